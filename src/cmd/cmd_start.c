/*
 * cmd_start.c - `rl start`, `rl restart`, `rl attach`, `rl init`.
 */
#include <errno.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/run_opts.h"
#include "verbs_int.h"

struct start_opts {
	struct container_targets t;
	struct container_attach_opts a;
	bool no_stdin;
	char *detach_keys;
	unsigned time;
	bool time_set;
};

#define S struct start_opts
static const char options[] = "Options";

static const struct opt_def start_defs[] = {
	{"attach", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, a.attach), 0, options,
	 "show its output and end as it ends", 0, NULL},
	{"interactive", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, S, a.interactive), 0, options,
	 "and give it standard input", 0, NULL},
	{"detach-keys", NULL, 0, "KEYS", OPT_GENERIC(opt_set_string, S, detach_keys), 0, options,
	 "keys that leave a terminal (default ctrl-p,ctrl-q)", 0, NULL},
	{"sig-proxy", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, a.sig_proxy), 0, options,
	 "pass signals on to the command (default true)", 0, NULL},
	{"all", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, t.all), 0, options, "every container", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "the container made last", 0,
	 NULL},
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, t.filters), OPT_REPEAT, options,
	 "those that match, as in ps", 0, NULL},
	OPT_END,
};

static int set_time(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	((S *)target)->time_set = true;
	return opt_set_uint(def, target, value, e);
}

static const struct opt_def restart_defs[] = {
	{"time", "timeout", 't', "SECONDS", set_time, offsetof(S, time), 0, options,
	 "how long it may take to end before it is killed (default 10)", 0, NULL},
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, t.all), 0, options, "every container", 0, NULL},
	{"running", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, t.running_only), 0, options,
	 "every container that runs", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "the container made last", 0,
	 NULL},
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, t.filters), OPT_REPEAT, options,
	 "those that match, as in ps", 0, NULL},
	OPT_END,
};

static const struct opt_def attach_defs[] = {
	{"no-stdin", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_stdin), 0, options, "only watch", 0, NULL},
	{"detach-keys", NULL, 0, "KEYS", OPT_GENERIC(opt_set_string, S, detach_keys), 0, options,
	 "keys that leave a terminal (default ctrl-p,ctrl-q)", 0, NULL},
	{"sig-proxy", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, a.sig_proxy), 0, options,
	 "pass signals on to the command (default true)", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "the container made last", 0,
	 NULL},
	OPT_END,
};

static const struct opt_def init_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, t.all), 0, options, "every container", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "the container made last", 0,
	 NULL},
	OPT_END,
};
#undef S

static void start_init(void *opts)
{
	struct start_opts *o = opts;
	o->a.sig_proxy = true;
}

static void start_release(void *opts)
{
	struct start_opts *o = opts;
	container_targets_release(&o->t);
	free(o->detach_keys);
}

static int check_keys(const struct start_opts *o, struct err *e)
{
	unsigned char keys[RUN_OPTS_DETACH_MAX];
	size_t n;
	return o->detach_keys ? run_opts_parse_detach_keys(o->detach_keys, keys, &n, e) : 0;
}

static int start_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	int status = 0;
	int r = container_start(ctx->store_root, name, arg, &status, e);
	return r < 0 ? r : 0;
}

static int start_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct start_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	int r = check_keys(o, e);
	if (r >= 0)
		r = container_targets_resolve(ctx, &o->t, args, &names, e);
	if (r < 0)
		return r;
	o->a.detach_keys = o->detach_keys;
	o->a.attach |= o->a.interactive;
	if (!o->a.attach)
		return container_verb_each(ctx, &names, false, false, start_one, &o->a, e);
	if (names.count != 1)
		return err_set(e, EINVAL, "start: one container can be attached to, not %zu", names.count);
	int status = 0;
	r = container_start(ctx->store_root, names.items[0], &o->a, &status, e);
	return r < 0 ? r : status;
}

static int restart_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct start_opts *o = arg;
	return container_restart(ctx->store_root, name, o->time_set ? (int)o->time : CONTAINER_TIMEOUT_OWN, e);
}

static int restart_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct start_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	o->t.all |= o->t.running_only && !args->operands.count;
	int r = container_targets_resolve(ctx, &o->t, args, &names, e);
	return r < 0 ? r : container_verb_each(ctx, &names, false, false, restart_one, o, e);
}

static int attach_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct start_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	int r = check_keys(o, e);
	if (r >= 0)
		r = container_targets_resolve(ctx, &o->t, args, &names, e);
	if (r < 0)
		return r;
	o->a.detach_keys = o->detach_keys;
	o->a.interactive = !o->no_stdin;
	int status = 0;
	r = container_attach(ctx->store_root, names.items[0], &o->a, &status, e);
	return r < 0 ? r : status;
}

static int init_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	(void)arg;
	return container_init_only(ctx->store_root, name, e);
}

static int init_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct start_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	int r = container_targets_resolve(ctx, &o->t, args, &names, e);
	return r < 0 ? r : container_verb_each(ctx, &names, false, false, init_one, NULL, e);
}

#define VERB_COMMON                                                                                                    \
	.group = "Containers", .max_operands = OPERANDS_ANY, .opts_size = sizeof(struct start_opts),                   \
	.init = start_init, .release = start_release

const struct verb verb_start = {
	VERB_COMMON,
	.name = "start",
	.aliases = "container start",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "start containers that do not run",
	.example = "  rl start web\n  rl start -ai shell",
	.opts = start_defs,
	.starts_containers = true,
	.run = start_run,
};

const struct verb verb_restart = {
	VERB_COMMON,
	.name = "restart",
	.aliases = "container restart",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "stop containers and start them again",
	.example = "  rl restart -t 2 web",
	.opts = restart_defs,
	.starts_containers = true,
	.run = restart_run,
};

const struct verb verb_attach = {
	.group = "Containers",
	.opts_size = sizeof(struct start_opts),
	.init = start_init,
	.release = start_release,
	.name = "attach",
	.aliases = "container attach",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "connect the terminal to a running container",
	.example = "  rl attach web        (ctrl-p ctrl-q leaves it)",
	.opts = attach_defs,
	.max_operands = 1,
	.run = attach_run,
};

const struct verb verb_init = {
	VERB_COMMON,
	.name = "init",
	.aliases = "container init",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "make containers ready without starting them",
	.example = "  rl init web",
	.opts = init_defs,
	.run = init_run,
};
