/*
 * cmd_save.c - `rl save`: images into an archive or a directory.
 */
#include "image_progress.h"
#include "rl/base/mem.h"
#include "verbs_int.h"

struct save_opts {
	char *output, *format;
	bool quiet, several;
};

static const struct opt_def save_defs[] = {
	{"output", NULL, 'o', "FILE", OPT_GENERIC(opt_set_string, struct save_opts, output), OPT_ONCE, "Options",
	 "file or directory to write (default: standard output)", COMPLETE_FILE, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct save_opts, format), OPT_ONCE, "Options",
	 "docker-archive (default), oci-archive, oci-dir or docker-dir", COMPLETE_CHOICES,
	 "docker-archive oci-archive oci-dir docker-dir"},
	{"multi-image-archive", NULL, 'm', NULL, OPT_GENERIC(opt_set_bool, struct save_opts, several), 0, "Options",
	 "several images may be given (the default; =false allows one)", 0, NULL},
	{.name = "compress", .flags = OPT_REFUSED, .help = "layers are written as they are here, compressed or not"},
	{.name = "uncompressed",
	 .flags = OPT_REFUSED,
	 .help = "layers are written as they are here, compressed or not"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct save_opts, quiet), 0, "Options", "show no progress",
	 0, NULL},
	OPT_END,
};

static int save_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct save_opts *o = opts;
	struct image_progress_line line;
	struct image_ui ui;
	image_progress_begin(&line, o->quiet, &ui);
	int r = image_save(&(struct image_save_opts){.root = ctx->store_root,
						     .output = o->output ? o->output : "-",
						     .format = o->format,
						     .one_image = !o->several,
						     .refs = args->operands},
			   &ui, e);
	image_progress_end(&line);
	return r;
}

static void save_init(void *opts)
{
	((struct save_opts *)opts)->several = true;
}

static void save_release(void *opts)
{
	struct save_opts *o = opts;
	free(o->output);
	free(o->format);
}

const struct verb verb_save = {
	.name = "save",
	.aliases = "image save",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE...",
	.summary = "write images with their layers into an archive or an OCI layout",
	.example = "  rl save -o image.tar busybox",
	.opts = save_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct save_opts),
	.init = save_init,
	.release = save_release,
	.run = save_run,
};
