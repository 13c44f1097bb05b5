/*
 * opt.h - options as tables: one row per option, and everything about an option comes from its row.
 *
 * Model: a verb has one array of struct opt_def, ended by OPT_END. From it come the parser, --help, the shell
 * completions and the list that lint compares with the manual pages. Spellings are docker's and podman's: -it clusters,
 * -eK=V, -e K=V, --flag=value, --flag value, booleans as --rm and --rm=false, "--" ends the options. Long options are
 * never abbreviated, so that a new option cannot change what an old script means.
 *
 * A setter reads one value into the verb's own options struct (`target`). For booleans the value is "true" or "false".
 * The generic setters below use `offset` (offsetof in that struct).
 *
 * Calling sequence:
 *     struct opt_args args = OPT_ARGS_INIT;
 *     opt_parse(defs, flags, argv, target, &args, e);      // argv[0] is the first word after the verb
 *     opt_check_rules(defs, rules, &args, e);
 *     ... args.operands ...
 *     opt_args_free(&args);
 * Errors: -EINVAL; an unknown option is named and the nearest known one suggested; a refused one is named with the
 * reason of its row.
 */
#ifndef RL_CMD_OPT_H
#define RL_CMD_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum { OPT_DEFS_MAX = 256 };

enum opt_flags {
	OPT_REPEAT = 1 << 0,  /* may be given several times */
	OPT_ONCE = 1 << 1,    /* giving it twice is an error; without this and REPEAT the last one counts */
	OPT_HIDDEN = 1 << 2,  /* works, but is in no help and no completion */
	OPT_REFUSED = 1 << 3, /* known from elsewhere; `help` is the reason why it is refused */
	OPT_COMMON = 1 << 4,  /* gets a line of its own where the help of a big verb is short */
	OPT_WORDS =
		1 << 5, /* a boolean that takes other words too: --pull, --pull=never; the setter gets what was typed */
};

/* Parsing flags. */
enum {
	OPT_STOP_AT_OPERAND = 1 << 0, /* what follows the first operand belongs to it (`rl run IMAGE ...`) */
};

/* What completes a value. */
enum opt_complete {
	COMPLETE_NONE,
	COMPLETE_FILE,
	COMPLETE_DIR,
	COMPLETE_IMAGE,
	COMPLETE_VERB,
	COMPLETE_CHOICES, /* the words of `choices` */
};

struct opt_def;
typedef int opt_setter(const struct opt_def *def, void *target, const char *value, struct err *e);

struct opt_def {
	const char *name;    /* without "--" */
	const char *aliases; /* "net,network-mode", or NULL */
	char letter;	     /* 0: none */
	const char *metavar; /* what the value is; NULL: a boolean */
	opt_setter *set;     /* NULL only with OPT_REFUSED */
	size_t offset;	     /* for the generic setters */
	unsigned flags;
	const char *group; /* heading in the help */
	const char *help;  /* one line, no full stop; the reason for OPT_REFUSED */
	enum opt_complete complete;
	const char *choices; /* "a b c", for COMPLETE_CHOICES */
};

#define OPT_END                                                                                                        \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}

/* A value that must not be typed out in every table. */
#define OPT_GENERIC(setter, type, member) .set = (setter), .offset = offsetof(type, member)

int opt_set_bool(const struct opt_def *def, void *target, const char *value, struct err *e) RL_CHECK; /* bool */
int opt_set_string(const struct opt_def *def, void *target, const char *value,
		   struct err *e) RL_CHECK; /* char *, owned */
int opt_set_list(const struct opt_def *def, void *target, const char *value, struct err *e) RL_CHECK; /* struct strv */
int opt_set_uint(const struct opt_def *def, void *target, const char *value, struct err *e) RL_CHECK; /* unsigned */

struct opt_args {
	struct strv operands;
	/* By index in the table: given with a value or as true (false again after --flag=false). */
	bool given[OPT_DEFS_MAX];
	struct strv typed; /* "--name=value" of everything that was given, in order */
	bool help;	   /* --help was there; nothing else has been checked */
};

#define OPT_ARGS_INIT                                                                                                  \
	{                                                                                                              \
		.help = false                                                                                          \
	}

/* argv is NULL-terminated. Options of the table are applied in the order typed; at the first error parsing stops, and
 * what was set before stays set. -h is help only where the table has no 'h'. */
int opt_parse(const struct opt_def *defs, unsigned flags, char *const *argv, void *target, struct opt_args *ret_args,
	      struct err *e) RL_CHECK;
void opt_args_free(struct opt_args *args);

/* The row of a long name or alias, or NULL. */
const struct opt_def *opt_find(const struct opt_def *defs, const char *name);
bool opt_given(const struct opt_def *defs, const struct opt_args *args, const char *name);

/* Rules between options; both sides must be names of the table (a test walks them). */
enum opt_rule_kind { OPT_CONFLICTS, OPT_REQUIRES };

struct opt_rule {
	const char *option;
	enum opt_rule_kind kind;
	const char *other;
	const char *text; /* why */
};

/* rules ends with a NULL option. */
int opt_check_rules(const struct opt_def *defs, const struct opt_rule *rules, const struct opt_args *args,
		    struct err *e) RL_CHECK;

/* "--volume", or "-v" and "--volume" as "-v, --volume SOURCE:TARGET". */
void opt_spelling(const struct opt_def *def, bool with_letter, bool with_metavar, struct str *out);

/* The options part of a help text, grouped by heading in the order of first appearance. `brief`: only OPT_COMMON rows
 * have a line, the others are listed by name. */
void opt_help(const struct opt_def *defs, bool brief, struct str *out);

/* One line per option that is neither hidden nor refused: "--name", "-l", metavar, "repeat", aliases, group;
 * tab-separated, "-" for nothing. */
void opt_list(const struct opt_def *defs, struct str *out);

#endif
