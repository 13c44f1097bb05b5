/*
 * cmd_export.c - `rl export`: a container's or an image's whole file system.
 */
#include "rl/base/mem.h"
#include "rl/svc/container_copy.h"
#include "verbs_int.h"

struct export_opts {
	char *output, *format;
};

static const struct opt_def export_defs[] = {
	{"output", NULL, 'o', "FILE", OPT_GENERIC(opt_set_string, struct export_opts, output), OPT_ONCE, "Options",
	 "file to write (default: standard output)", COMPLETE_FILE, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct export_opts, format), OPT_ONCE, "Options",
	 "tar (default), squashfs, ext4 or erofs", COMPLETE_CHOICES, "tar squashfs ext4 erofs"},
	OPT_END,
};

static int export_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct export_opts *o = opts;
	return container_export(&(struct container_export_opts){.root = ctx->store_root,
								.name = args->operands.items[0],
								.output = o->output ? o->output : "-",
								.format = o->format},
				e);
}

static void export_release(void *opts)
{
	struct export_opts *o = opts;
	free(o->output);
	free(o->format);
}

const struct verb verb_export = {
	.name = "export",
	.aliases = "container export",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER|IMAGE",
	.summary = "write a whole file system as a tar or a file system image",
	.example = "  rl export -o web.tar web\n  rl export --format squashfs -o web.sqfs web",
	.opts = export_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct export_opts),
	.release = export_release,
	.run = export_run,
};
