/*
 * cmd_cp.c - `rl cp`: files into a container and out of it.
 */
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/svc/container_copy.h"
#include "verbs_int.h"

struct cp_opts {
	bool archive, follow, overwrite, quiet;
};

static const struct opt_def cp_defs[] = {
	{"archive", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct cp_opts, archive), 0, "Options",
	 "keep owners, as the container numbers them", 0, NULL},
	{"follow-link", NULL, 'L', NULL, OPT_GENERIC(opt_set_bool, struct cp_opts, follow), 0, "Options",
	 "copy what a symlink leads to, if the source is one", 0, NULL},
	{"overwrite", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct cp_opts, overwrite), 0, "Options",
	 "replace a directory by a file, and a file by a directory", 0, NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct cp_opts, quiet), OPT_HIDDEN, "Options",
	 "accepted for scripts: nothing is said anyway", 0, NULL},
	OPT_END,
};

static int cp_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct cp_opts *o = opts;
	return container_cp(&(struct container_cp_opts){.root = ctx->store_root,
							.source = args->operands.items[0],
							.dest = args->operands.items[1],
							.archive = o->archive,
							.follow = o->follow,
							.overwrite = o->overwrite},
			    e);
}

const struct verb verb_cp = {
	.name = "cp",
	.aliases = "container cp",
	.group = "Containers",
	.usage = "[OPTIONS] SOURCE DEST",
	.summary = "copy files between a container and this machine",
	.example = "  rl cp web:/var/log ./logs\n  tar -c conf | rl cp - web:/etc",
	.opts = cp_defs,
	.min_operands = 2,
	.max_operands = 2,
	.complete = COMPLETE_FILE,
	.opts_size = sizeof(struct cp_opts),
	.run = cp_run,
};
