/*
 * cmd_stop.c - `rl stop`, `rl kill`, `rl rm`, `rl container prune`.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/run_opts.h"
#include "verbs_int.h"

struct stop_opts {
	struct container_targets t;
	unsigned time;
	bool time_set, force, volumes, depend, link;
	char *signal;
	int sig;
};

#define S struct stop_opts
static const char options[] = "Options";

static int set_time(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	/* docker: a negative time is without end; nobody lives to see more than this */
	((S *)target)->time_set = true;
	if (str_eq(value, "-1")) {
		((S *)target)->time = 1000000000;
		return 0;
	}
	return opt_set_uint(def, target, value, e);
}

static int set_signal(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	autofree char *what = xasprintf("--%s", def->name);
	return run_opts_parse_signal(value, what, &((S *)target)->sig, e);
}

#define ALL_AND_LATEST                                                                                                 \
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, t.all), 0, options, "every container", 0, NULL},         \
		{"latest",                                                                                             \
		 NULL,                                                                                                 \
		 'l',                                                                                                  \
		 NULL,                                                                                                 \
		 OPT_GENERIC(opt_set_bool, S, t.latest),                                                               \
		 0,                                                                                                    \
		 options,                                                                                              \
		 "the container made last",                                                                            \
		 0,                                                                                                    \
		 NULL},                                                                                                \
		{"filter",                                                                                             \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "NAME=VALUE",                                                                                         \
		 OPT_GENERIC(opt_set_list, S, t.filters),                                                              \
		 OPT_REPEAT,                                                                                           \
		 options,                                                                                              \
		 "those that match, as in ps",                                                                         \
		 0,                                                                                                    \
		 NULL},                                                                                                \
		{"cidfile",                                                                                            \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "FILE",                                                                                               \
		 OPT_GENERIC(opt_set_list, S, t.cidfiles),                                                             \
		 OPT_REPEAT,                                                                                           \
		 options,                                                                                              \
		 "the container whose id is in FILE",                                                                  \
		 COMPLETE_FILE,                                                                                        \
		 NULL},                                                                                                \
	{                                                                                                              \
		"ignore", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, S, t.ignore), 0, options,                         \
			"a container that does not exist is no error", 0, NULL                                         \
	}

static const struct opt_def stop_defs[] = {
	{"time", "timeout", 't', "SECONDS", set_time, offsetof(S, time), 0, options,
	 "how long it may take to end before it is killed (default 10)", 0, NULL},
	{"signal", NULL, 's', "SIGNAL", set_signal, 0, 0, options, "signal that asks it to end", 0, NULL},
	ALL_AND_LATEST,
	OPT_END,
};

static const struct opt_def kill_defs[] = {
	{"signal", NULL, 's', "SIGNAL", set_signal, 0, 0, options, "signal to send (default KILL)", 0, NULL},
	ALL_AND_LATEST,
	OPT_END,
};

static const struct opt_def rm_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "also while it runs", 0, NULL},
	{"volumes", NULL, 'v', NULL, OPT_GENERIC(opt_set_bool, S, volumes), 0, options,
	 "and the volumes without a name that were made for it", 0, NULL},
	{"time", NULL, 't', "SECONDS", set_time, offsetof(S, time), 0, options,
	 "with --force: let it end by itself for this long first", 0, NULL},
	{"depend", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, depend), OPT_HIDDEN, options,
	 "accepted for scripts: no container depends on another", 0, NULL},
	ALL_AND_LATEST,
	OPT_END,
};

static const struct opt_def prune_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "do not ask", 0, NULL},
	{"filter", NULL, 0, "NAME=VALUE", OPT_GENERIC(opt_set_list, S, t.filters), OPT_REPEAT, options,
	 "label=, until=, as in ps", 0, NULL},
	OPT_END,
};
#undef S

static void stop_release(void *opts)
{
	struct stop_opts *o = opts;
	container_targets_release(&o->t);
	free(o->signal);
}

static int stop_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct stop_opts *o = arg;
	int time = o->time_set ? (int)RL_MIN(o->time, 1000000000U) : CONTAINER_TIMEOUT_OWN;
	int r = container_stop(ctx->store_root, name, time, o->sig, e);
	return r < 0 ? r : 0;
}

static int kill_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct stop_opts *o = arg;
	return container_kill(ctx->store_root, name, o->sig ? o->sig : SIGKILL, e);
}

static int rm_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct stop_opts *o = arg;
	if (o->force && o->time_set && o->time) {
		int r = container_stop(ctx->store_root, name, (int)RL_MIN(o->time, 1000000000U), 0, e);
		if (r < 0)
			return r;
	}
	return container_remove(ctx->store_root, name, o->force, o->volumes, e);
}

static int each(const struct cmd_ctx *ctx, struct stop_opts *o, const struct opt_args *args, container_verb_fn *fn,
		struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = container_targets_resolve(ctx, &o->t, args, &names, e);
	return r < 0 ? r : container_verb_each(ctx, &names, o->t.ignore, false, fn, o, e);
}

static int stop_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct stop_opts *o = opts;
	o->t.running_only = true;
	return each(ctx, o, args, stop_one, e);
}

static int kill_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct stop_opts *o = opts;
	o->t.running_only = true;
	return each(ctx, o, args, kill_one, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct stop_opts *o = opts;
	/* docker: with -f, one that is not there is no failure */
	o->t.ignore |= o->force;
	int r = each(ctx, o, args, rm_one, e);
	if (o->t.all)
		container_tidy(ctx->store_root);
	return r;
}

static int prune_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct stop_opts *o = opts;
	autostrv struct strv removed = STRV_INIT;
	autostr struct str out = STR_INIT;
	(void)args;
	int r = out_confirm("container prune", "Remove all containers that do not run?", o->force, e);
	if (r <= 0)
		return r;
	r = container_prune(ctx->store_root, &o->t.filters, &removed, e);
	for (size_t i = 0; i < removed.count; i++)
		str_addf(&out, "%s\n", removed.items[i]);
	int flushed = out_flush(&out, r < 0 ? NULL : e);
	return r < 0 ? r : flushed;
}

#define VERB_COMMON                                                                                                    \
	.group = "Containers", .max_operands = OPERANDS_ANY, .opts_size = sizeof(struct stop_opts),                    \
	.release = stop_release

const struct verb verb_stop = {
	VERB_COMMON,
	.name = "stop",
	.aliases = "container stop",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "ask containers to end, and kill them if they do not",
	.example = "  rl stop -t 2 web",
	.opts = stop_defs,
	.run = stop_run,
};

const struct verb verb_kill = {
	VERB_COMMON,
	.name = "kill",
	.aliases = "container kill",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "send a signal to containers",
	.example = "  rl kill -s HUP web",
	.opts = kill_defs,
	.run = kill_run,
};

const struct verb verb_rm = {
	VERB_COMMON,
	.name = "rm",
	.aliases = "container rm",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "remove containers",
	.example = "  rl rm -f web\n  rl rm -fa",
	.opts = rm_defs,
	.run = rm_run,
};

const struct verb verb_container_prune = {
	.group = "Containers",
	.opts_size = sizeof(struct stop_opts),
	.release = stop_release,
	.name = "container prune",
	.usage = "[OPTIONS]",
	.summary = "remove all containers that do not run",
	.example = "  rl container prune --filter until=24h",
	.opts = prune_defs,
	.run = prune_run,
};
