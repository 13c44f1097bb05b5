/*
 * cmd_healthcheck.c - `rl healthcheck run`.
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "verbs_int.h"

struct healthcheck_opts {
	bool quiet;
};

static const struct opt_def healthcheck_defs[] = {
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct healthcheck_opts, quiet), 0, "Options",
	 "do not print what the check said", 0, NULL},
	OPT_END,
};

/* 0 healthy, 1 not: for scripts. */
static int healthcheck_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct healthcheck_opts *o = opts;
	autostr struct str text = STR_INIT;
	int code = 0;
	int r = container_healthcheck(ctx->store_root, args->operands.items[0], &code, &text, e);
	if (r < 0)
		return r;
	if (text.len && text.buf[text.len - 1] != '\n')
		str_addc(&text, '\n');
	r = o->quiet ? 0 : out_flush(&text, e);
	return r < 0 ? r : code != 0;
}

const struct verb verb_healthcheck_run = {
	.group = "Containers",
	.name = "healthcheck run",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "run the health check of a container now",
	.example = "  rl healthcheck run web && echo fine",
	.opts = healthcheck_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct healthcheck_opts),
	.run = healthcheck_run,
};
