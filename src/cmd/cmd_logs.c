/*
 * cmd_logs.c - `rl logs`.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "verbs_int.h"

struct logs_opts {
	struct container_targets t;
	struct container_logs_opts l;
};

#define S struct logs_opts
static const char options[] = "Options";

static int parse_when(const char *text, const char *what, int64_t *ret, struct err *e)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return fmt_parse_when(text, what, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, ret, e);
}

static int set_since(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return parse_when(value, "--since", &((S *)target)->l.since, e);
}

static int set_until(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return parse_when(value, "--until", &((S *)target)->l.until, e);
}

static int set_tail(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	if (str_eq(value, "all") || str_eq(value, "-1"))
		return 0;
	return str_to_u64(value, UINT64_MAX - 1, "--tail", &((S *)target)->l.tail, e);
}

static const struct opt_def logs_defs[] = {
	{"follow", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, l.follow), 0, options,
	 "go on until the container ends", 0, NULL},
	{"tail", NULL, 'n', "N", set_tail, 0, 0, options, "only the last N lines; all is the default", 0, NULL},
	{"timestamps", NULL, 't', NULL, OPT_GENERIC(opt_set_bool, S, l.timestamps), 0, options,
	 "put the time before each line", 0, NULL},
	{"since", NULL, 0, "TIME", set_since, 0, 0, options, "from TIME on: 10m, 2026-11-22T18:00:00Z", 0, NULL},
	{"until", NULL, 0, "TIME", set_until, 0, 0, options, "up to TIME", 0, NULL},
	{"details", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, l.details), 0, options,
	 "put the tag of --log-opt before each line", 0, NULL},
	{"names", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, l.names), 0, options,
	 "put the container's name before each line", 0, NULL},
	{"color", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, l.color), 0, options,
	 "the same, in a color of its own for each container", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "the container made last", 0,
	 NULL},
	OPT_END,
};
#undef S

static void logs_init(void *opts)
{
	((struct logs_opts *)opts)->l.tail = UINT64_MAX;
}

static void logs_release(void *opts)
{
	container_targets_release(&((struct logs_opts *)opts)->t);
}

static int logs_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct logs_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	int r = container_targets_resolve(ctx, &o->t, args, &names, e);
	return r < 0 ? r : container_logs(ctx->store_root, &names, &o->l, e);
}

const struct verb verb_logs = {
	.name = "logs",
	.aliases = "container logs",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "show what containers have printed",
	.example = "  rl logs -f --tail 20 web",
	.opts = logs_defs,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct logs_opts),
	.init = logs_init,
	.release = logs_release,
	.run = logs_run,
};
