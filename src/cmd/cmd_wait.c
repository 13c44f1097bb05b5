/*
 * cmd_wait.c - `rl wait`, `rl rename` and `rl update`.
 */
#include <errno.h>
#include <unistd.h>

#include "container_verb.h"
#include "limit_rows.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct wait_opts {
	struct container_targets t;
	char *condition;
	char *interval;
	char *restart;
	struct limit_opts limits;
};

#define S struct wait_opts
static const char options[] = "Options";
static const struct opt_def wait_defs[] = {
	{"condition", NULL, 0, "STATE", OPT_GENERIC(opt_set_string, S, condition), 0, options,
	 "stopped (default), running, healthy, unhealthy or removed", COMPLETE_CHOICES,
	 "stopped running healthy unhealthy removed"},
	{"interval", NULL, 'i', "TIME", OPT_GENERIC(opt_set_string, S, interval), OPT_HIDDEN, options,
	 "accepted for scripts: nothing is polled", 0, NULL},
	{"ignore", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, t.ignore), 0, options,
	 "a container that does not exist is no error", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "the container made last", 0,
	 NULL},
	OPT_END,
};

static const struct opt_def update_defs[] = {
	{"restart", NULL, 0, "POLICY", OPT_GENERIC(opt_set_string, S, restart), 0, options,
	 "no, on-failure[:N], always or unless-stopped", COMPLETE_CHOICES, "no on-failure always unless-stopped"},
	LIMIT_ROWS(S, limits, options),
	OPT_END,
};

static const struct opt_def none_defs[] = {OPT_END};

#undef S

static void wait_release(void *opts)
{
	struct wait_opts *o = opts;
	container_targets_release(&o->t);
	free(o->condition);
	free(o->interval);
	free(o->restart);
	limit_opts_free(&o->limits);
}

static int parse_condition(const char *text, enum container_condition *ret, struct err *e)
{
	static const struct {
		const char *text;
		enum container_condition value;
	} known[] = {{"stopped", WAIT_STOPPED},	  {"exited", WAIT_STOPPED},   {"not-running", WAIT_STOPPED},
		     {"next-exit", WAIT_STOPPED}, {"running", WAIT_RUNNING},  {"healthy", WAIT_HEALTHY},
		     {"removed", WAIT_REMOVED},	  {"removing", WAIT_REMOVED}, {"unhealthy", WAIT_UNHEALTHY}};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!str_eq(text, known[i].text))
			continue;
		*ret = known[i].value;
		return 0;
	}
	return err_set(e, EINVAL, "--condition '%s': stopped, running, healthy, unhealthy or removed is expected",
		       text);
}

static int wait_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	int status = 0;
	autostr struct str out = STR_INIT;
	int r = container_wait(ctx->store_root, name, *(enum container_condition *)arg, &status, e);
	if (r < 0)
		return r;
	str_addf(&out, "%d\n", status);
	return out_flush(&out, e);
}

static int wait_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct wait_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	enum container_condition until = WAIT_STOPPED;
	int r = o->condition ? parse_condition(o->condition, &until, e) : 0;
	if (r >= 0)
		r = container_targets_resolve(ctx, &o->t, args, &names, e);
	return r < 0 ? r : container_verb_each(ctx, &names, o->t.ignore, true, wait_one, &until, e);
}

static int rename_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return container_rename(ctx->store_root, args->operands.items[0], args->operands.items[1], e);
}

static int update_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct wait_opts *o = arg;
	return container_update(ctx->store_root, name, o->restart, &o->limits, e);
}

static int update_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct wait_opts *o = opts;
	if (!o->restart && !limit_opts_any(&o->limits))
		return err_set(e, EINVAL, "update: nothing to change was given (--restart POLICY, --memory SIZE, ...)");
	return container_verb_each(ctx, &args->operands, false, false, update_one, o, e);
}

const struct verb verb_wait = {
	.name = "wait",
	.aliases = "container wait",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "wait until containers end and print their exit status",
	.example = "  rl wait job",
	.opts = wait_defs,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct wait_opts),
	.release = wait_release,
	.run = wait_run,
};

const struct verb verb_rename = {
	.name = "rename",
	.aliases = "container rename",
	.group = "Containers",
	.usage = "CONTAINER NAME",
	.summary = "give a container another name",
	.example = "  rl rename web old-web",
	.opts = none_defs,
	.min_operands = 2,
	.max_operands = 2,
	.opts_size = sizeof(struct wait_opts),
	.run = rename_run,
};

const struct verb verb_update = {
	.name = "update",
	.aliases = "container update",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER...",
	.summary = "change limits and restart policy of containers",
	.example = "  rl update --memory 1g --cpus 2 web\n  rl update --restart always web",
	.opts = update_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct wait_opts),
	.release = wait_release,
	.run = update_run,
};
