/*
 * dockerfile.h - a Dockerfile as a list of instructions, and the expansion of variables in their words.
 *
 * Model: dockerfile_parse cuts the text into instructions: lines joined at the escape character, comments and empty lines
 * dropped, here-documents taken from the lines that follow, flags (--name=value) and words split off, arrays in JSON
 * form read. Nothing is expanded and nothing is looked up: words keep their quotes. What a word means is said by
 * dockerfile_expand with the variables of the place where it stands.
 *
 * Positions: every instruction, flag and word knows its line and column (from 1). A failure of dockerfile_parse fills
 * *ret_where too; dockerfile_excerpt makes the two lines ("  12 | RUNN x" and the caret) from it.
 *
 * Limits (hostile files): DOCKERFILE_MAX bytes; an expansion is at most DOCKERFILE_VALUE_MAX long and
 * DOCKERFILE_DEPTH_MAX deep. Parsing is linear in the size.
 *
 * Calling sequence:
 *     struct dockerfile d;  struct dockerfile_where at;
 *     r = dockerfile_parse(text, len, &d, &at, e);
 *     for each d.items[i]: dockerfile_expand(d.items[i].words[0].text, &vars, &out, e);
 *     dockerfile_free(&d);
 * Ownership: struct dockerfile owns everything below it. Pure; any bytes may be given. Errors: -EINVAL, -EOPNOTSUPP
 * (# syntax= of a version that is not known), -E2BIG.
 * Source: the Dockerfile reference (docs.docker.com/reference/dockerfile), frontend 1.x.
 */
#ifndef RL_MODEL_DOCKERFILE_H
#define RL_MODEL_DOCKERFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum {
	DOCKERFILE_MAX = 16 << 20,
	DOCKERFILE_VALUE_MAX = 4 << 20,
	DOCKERFILE_DEPTH_MAX = 64,
	DOCKERFILE_PATTERN_MAX = 1024, /* of a value changed by #, % or / with a wildcard */
};

enum dockerfile_kind {
	DOCKERFILE_ADD,
	DOCKERFILE_ARG,
	DOCKERFILE_CMD,
	DOCKERFILE_COPY,
	DOCKERFILE_ENTRYPOINT,
	DOCKERFILE_ENV,
	DOCKERFILE_EXPOSE,
	DOCKERFILE_FROM,
	DOCKERFILE_HEALTHCHECK,
	DOCKERFILE_LABEL,
	DOCKERFILE_MAINTAINER,
	DOCKERFILE_ONBUILD,
	DOCKERFILE_RUN,
	DOCKERFILE_SHELL,
	DOCKERFILE_STOPSIGNAL,
	DOCKERFILE_USER,
	DOCKERFILE_VOLUME,
	DOCKERFILE_WORKDIR,
	DOCKERFILE_KIND_N,
};

struct dockerfile_where {
	unsigned line, column; /* from 1; 0: unknown */
	unsigned width;	       /* characters the caret marks */
	char excerpt[160];     /* the line, cut off where longer */
};

struct dockerfile_word {
	char *text; /* quotes kept, except in JSON form */
	unsigned line, column;
};

struct dockerfile_flag {
	char *name;  /* without "--" */
	char *value; /* "" and has_value false for --name alone */
	bool has_value;
	unsigned line, column;
};

struct dockerfile_heredoc {
	char *name;
	char *text;
	bool expand; /* the name was not quoted */
};

struct dockerfile_instr {
	enum dockerfile_kind kind;
	unsigned line;
	char *text; /* the whole instruction in one line, keyword in capitals: for people and for the history */
	char *rest; /* what follows the flags: the command of the shell forms, here-document markers included */
	bool json;  /* the words were a JSON array */
	struct dockerfile_flag *flags;
	size_t nflags;
	struct dockerfile_word *words; /* by blanks outside quotes, or the items of the array */
	size_t nwords;
	struct dockerfile_heredoc *heredocs;
	size_t nheredocs;
};

struct dockerfile {
	struct dockerfile_instr *items;
	size_t count;
	char escape;  /* '\\' or '`' */
	char *syntax; /* of the directive, or NULL */
	char **lines; /* the source, for excerpts */
	size_t nlines;
};

int dockerfile_parse(const char *text, size_t len, struct dockerfile *ret_file, struct dockerfile_where *ret_where,
		     struct err *e) RL_CHECK;
/* One instruction alone, as ONBUILD keeps it. */
int dockerfile_parse_one(const char *text, char escape, struct dockerfile *ret_file, struct err *e) RL_CHECK;
void dockerfile_free(struct dockerfile *d);
const char *dockerfile_kind_name(enum dockerfile_kind kind);

/* Fill *ret_where for a place in the file. */
void dockerfile_at(const struct dockerfile *d, unsigned line, unsigned column, unsigned width,
		   struct dockerfile_where *ret_where);
/* "  12 | RUNN x\n     | ^^^^\n". */
void dockerfile_excerpt(const struct dockerfile_where *w, struct str *out);

const struct dockerfile_flag *dockerfile_find_flag(const struct dockerfile_instr *i, const char *name);

/* ---- variables ---- */

struct dockerfile_vars {
	/* The value, or NULL where it is not set. */
	const char *(*get)(void *arg, const char *name);
	void *arg;
	char escape;
};

/* One word: $name, ${name}, ${name:-w} ${name-w} ${name:+w} ${name+w} ${name:?w} ${name?w}, ${name#p} ${name##p}
 * ${name%p} ${name%%p} ${name/p/w} ${name//p/w}; quotes and escapes are removed. The result is one word whatever is in
 * it. */
int dockerfile_expand(const char *text, const struct dockerfile_vars *v, struct str *out, struct err *e) RL_CHECK;
/* The same, cut at blanks outside quotes, also those a variable brought. */
int dockerfile_expand_words(const char *text, const struct dockerfile_vars *v, struct strv *out,
			    struct err *e) RL_CHECK;
/* A here-document: quotes are text. */
int dockerfile_expand_text(const char *text, const struct dockerfile_vars *v, struct str *out, struct err *e) RL_CHECK;

/* "KEY=value" pairs of ENV, LABEL, ARG: splits a word at the first '='; false if there is none. `ret_key` malloc'd. */
bool dockerfile_split_pair(const char *word, char **ret_key, const char **ret_value);

#endif
