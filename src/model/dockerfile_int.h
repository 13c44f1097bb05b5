/*
 * dockerfile_int.h - what the files of the Dockerfile parser share.
 */
#ifndef RL_MODEL_DOCKERFILE_INT_H
#define RL_MODEL_DOCKERFILE_INT_H

#include "rl/model/dockerfile.h"

/* A logical line and where its pieces came from. */
struct joined_piece {
	size_t at; /* offset in the joined text */
	unsigned line, column;
};

struct joined {
	struct str text;
	struct joined_piece *pieces;
	size_t npieces, size;
};

struct dockerfile_parser {
	struct dockerfile *d;
	struct dockerfile_where *where; /* or NULL */
	struct joined line;
	size_t next; /* physical line to read next */
	size_t size; /* room in d->items */
	bool one;    /* a single instruction, no file */
};

void joined_place(const struct joined *j, size_t at, unsigned *ret_line, unsigned *ret_column);
/* -EINVAL, "line N: ...", and the place into p->where. `at` is an offset in the logical line. */
int dockerfile_fail(const struct dockerfile_parser *p, size_t at, size_t width, struct err *e, const char *fmt, ...)
	RL_PRINTF(5, 6);
/* dockerfile_words.c: flags, words and here-documents of the logical line, whose keyword has `len` bytes. */
int dockerfile_read_words(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t len, struct err *e) RL_CHECK;
int dockerfile_read_heredocs(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t rest_at,
			     struct err *e) RL_CHECK;

#endif
