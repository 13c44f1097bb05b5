/*
 * verb.h - verbs: what `rl VERB` is, and what every verb gets.
 *
 * Model: each cmd_<verb>.c defines one `const struct verb verb_<name>` (name as typed, '-' and ' ' as '_') and verbs.c
 * lists them all. main finds the verb, has its options parsed into a zeroed struct of `opts_size` bytes that `init` may
 * fill with defaults, checks the number of operands, calls `run`, and prints the error if there is one. Only cmd
 * prints.
 *
 * A verb's run returns the exit status (0 to 255) or -errno with *e filled.
 */
#ifndef RL_CMD_VERB_H
#define RL_CMD_VERB_H

#include "rl/base/err.h"
#include "rl/cmd/opt.h"

#define RL_VERSION "0.1.0"

struct verb;

/* Whose command line we are taken for: decides between the two spellings of `--format json`. */
enum cmd_flavour { CMD_RL, CMD_DOCKER, CMD_PODMAN };

struct cmd_ctx {
	enum cmd_flavour flavour;
	const char *store_root; /* --root, or NULL */
	const struct verb *verb;
	const struct oci_runtime *oci; /* the global flags of rl-oci, for its verbs */
};

struct verb {
	const char *name;    /* "run", "image prune" */
	const char *aliases; /* "image ls,image list", or NULL */
	const char *group;   /* heading in `rl --help` */
	const char *usage;   /* "[OPTIONS] IMAGE [COMMAND [ARG...]]" */
	const char *summary; /* one line */
	const char *example; /* one or two lines, each "rl ..." */
	const struct opt_def *opts;
	const struct opt_rule *rules; /* or NULL */
	unsigned parse_flags;	      /* OPT_STOP_AT_OPERAND */
	unsigned min_operands;
	unsigned max_operands;	    /* 0 with min 0: none; OPERANDS_ANY: no limit */
	enum opt_complete complete; /* of operands */
	const char *choices;	    /* for COMPLETE_CHOICES */
	bool hidden;
	bool starts_containers; /* the binary is protected from them first, before any option is read */
	size_t opts_size;
	void (*init)(void *opts);
	void (*release)(void *opts);
	int (*run)(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e);
};

enum { OPERANDS_ANY = 1 << 20 };

/* All verbs, NULL-terminated, in the order `rl --help` shows them. */
extern const struct verb *const verb_table[];
/* Options before the verb. */
extern const struct opt_def verb_global_opts[];

/* The verb that argv begins with (one or two words); ret_words gets how many. NULL when there is none. */
const struct verb *verb_find(char *const *argv, size_t *ret_words);
/* -EINVAL "there is no verb ...", with the nearest as a hint. */
int verb_unknown(char *const *argv, struct err *e) RL_CHECK;

/* Parse argv (what follows the verb) by the table of ctx->verb, check it, run it. */
int verb_run_parsed(const struct cmd_ctx *ctx, char *const *argv, struct err *e) RL_CHECK;

void verb_usage(const struct verb *v, struct str *out);
void verb_help(const struct verb *v, bool all, struct str *out);
void verb_help_overview(struct str *out);
/* The verbs that begin with a word such as "image"; false, and nothing, if there are none. */
bool verb_help_family(const char *family, struct str *out);
/* "verb_table" as text for a shell; shell is bash, zsh or fish. */
int verb_completion(const char *shell, struct str *out, struct err *e) RL_CHECK;

#endif
