/*
 * cmd_container.c - `rl container exists`.
 */
#include <errno.h>

#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "verbs_int.h"

static const struct opt_def exists_defs[] = {OPT_END};

static int exists_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	autostrv struct strv ids = STRV_INIT;
	struct err why = ERR_INIT;
	const struct container_selection one = {.names = &args->operands};
	(void)opts;
	int r = container_select(ctx->store_root, &one, &ids, &why);
	if (r == -ENOENT)
		return 1;
	if (r < 0)
		*e = why;
	return r;
}

const struct verb verb_container_exists = {
	.group = "Containers",
	.name = "container exists",
	.usage = "CONTAINER",
	.summary = "succeed if the container is there",
	.example = "  rl container exists web || rl create --name web busybox",
	.opts = exists_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = exists_run,
};
