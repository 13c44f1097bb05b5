/*
 * cmd_pause.c - `rl pause`, `rl unpause`.
 */
#include <errno.h>

#include "container_verb.h"
#include "rl/base/mem.h"
#include "verbs_int.h"

struct pause_opts {
	struct container_targets t;
};

#define S struct pause_opts
static const char options[] = "Options";
static const struct opt_def pause_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, t.all), 0, options, "every container that runs", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "the container made last", 0,
	 NULL},
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, t.filters), OPT_REPEAT, options,
	 "those that match, as in ps", 0, NULL},
	{"cidfile", NULL, 0, "FILE", OPT_GENERIC(opt_set_list, S, t.cidfiles), OPT_REPEAT, options,
	 "the container whose id is in FILE", COMPLETE_FILE, NULL},
	OPT_END,
};
#undef S

static void pause_release(void *opts)
{
	struct pause_opts *o = opts;
	container_targets_release(&o->t);
}

static int each(const struct cmd_ctx *ctx, struct pause_opts *o, const struct opt_args *args, container_verb_fn *fn,
		struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	o->t.running_only = true;
	int r = container_targets_resolve(ctx, &o->t, args, &names, e);
	return r < 0 ? r : container_verb_each(ctx, &names, false, false, fn, o, e);
}

/* With --all, those that are so already are passed over. */
static int settle(int r, const struct pause_opts *o, struct err *e)
{
	if (r != -EALREADY || !o->t.all)
		return r;
	err_clear(e);
	return 1;
}

static int pause_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	return settle(container_pause(ctx->store_root, name, e), arg, e);
}

static int unpause_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	return settle(container_unpause(ctx->store_root, name, e), arg, e);
}

static int pause_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	return each(ctx, opts, args, pause_one, e);
}

static int unpause_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	return each(ctx, opts, args, unpause_one, e);
}

#define VERB_COMMON                                                                                                    \
	.group = "Containers", .max_operands = OPERANDS_ANY, .opts = pause_defs,                                       \
	.opts_size = sizeof(struct pause_opts), .release = pause_release, .usage = "[OPTIONS] CONTAINER..."

const struct verb verb_pause = {
	VERB_COMMON,
	.name = "pause",
	.aliases = "container pause",
	.summary = "let containers stand still",
	.example = "  rl pause web\n  rl pause --all",
	.run = pause_run,
};

const struct verb verb_unpause = {
	VERB_COMMON,
	.name = "unpause",
	.aliases = "container unpause",
	.summary = "let paused containers go on",
	.example = "  rl unpause web",
	.run = unpause_run,
};
