/*
 * container_verb.h - what verbs on several containers share: which ones, what happens when one of them fails.
 *
 * Every container is tried; each failure is printed when it happens, except the last one, which main prints. The names
 * (as typed) or ids of those that succeeded are printed, one a line.
 */
#ifndef RL_CMD_CONTAINER_VERB_H
#define RL_CMD_CONTAINER_VERB_H

#include "rl/cmd/verb.h"
#include "rl/svc/container.h"

struct container_targets {
	bool all, latest, ignore, running_only;
	struct strv filters;
	struct strv cidfiles;
};

void container_targets_release(struct container_targets *t);

/* Names from operands, --cidfile, or a selection; an error if there is nothing to choose from. */
int container_targets_resolve(const struct cmd_ctx *ctx, const struct container_targets *t, const struct opt_args *args,
			      struct strv *ret_names, struct err *e) RL_CHECK;

/* Call fn for each; it returns 0, or 1 for "done, do not print". ignore: -ENOENT is no failure. */
typedef int container_verb_fn(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e);
int container_verb_each(const struct cmd_ctx *ctx, const struct strv *names, bool ignore, bool quiet,
			container_verb_fn *fn, void *arg, struct err *e) RL_CHECK;

#endif
