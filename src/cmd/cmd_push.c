/*
 * cmd_push.c - `rl push`: images to a registry.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "image_progress.h"
#include "registry_opts.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct push_opts {
	struct registry_cli registry;
	char *creds, *format, *digestfile, *compression;
	unsigned level;
	bool quiet;
};

static const struct opt_def push_defs[] = {
	{"compression-format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct push_opts, compression), OPT_ONCE,
	 "Options", "for layers that are not compressed: gzip (default), zstd or none", COMPLETE_CHOICES,
	 "gzip zstd none"},
	{"compression-level", NULL, 0, "N", OPT_GENERIC(opt_set_uint, struct push_opts, level), OPT_ONCE, "Options",
	 "1 to 9 for gzip, 1 to 19 for zstd", 0, NULL},
	{"digestfile", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, struct push_opts, digestfile), OPT_ONCE, "Options",
	 "write the manifest's digest to this file", COMPLETE_FILE, NULL},
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, struct push_opts, format), OPT_ONCE, "Options",
	 "oci or v2s2 (docker's); the image's own if not given", COMPLETE_CHOICES, "oci v2s2"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct push_opts, quiet), 0, "Options", "show no progress",
	 0, NULL},
	{"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct push_opts, creds), OPT_ONCE,
	 "Registry", "credentials, instead of those of rl login", 0, NULL},
	REGISTRY_OPT_ROWS(struct push_opts),
	OPT_END,
};

static int push_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct push_opts *o = opts;
	struct image_push_opts p = {
		.root = ctx->store_root,
		.name = args->operands.items[0],
		.dest = args->operands.count > 1 ? args->operands.items[1] : NULL,
		.format = o->format,
		.compression = o->compression,
		.level = RL_MIN(o->level, 1000U),
	};
	struct image_added pushed;
	struct image_progress_line line;
	struct image_ui ui;
	int r = registry_cli_get(&o->registry, o->creds, &p.registry, e);
	if (r < 0)
		return r;
	image_progress_begin(&line, o->quiet, &ui);
	r = image_push(&p, &ui, &pushed, e);
	image_progress_end(&line);
	if (r >= 0 && o->digestfile)
		r = io_write_file(AT_FDCWD, o->digestfile, pushed.manifest, strlen(pushed.manifest), 0666, e);
	if (r < 0 || o->quiet)
		return r;
	autostr struct str out = STR_INIT;
	str_addf(&out, "%s@%s\n", pushed.name, pushed.manifest);
	return out_flush(&out, e);
}

static void push_release(void *opts)
{
	struct push_opts *o = opts;
	registry_cli_free(&o->registry);
	free(o->creds);
	free(o->format);
	free(o->digestfile);
	free(o->compression);
}

const struct verb verb_push = {
	.name = "push",
	.aliases = "image push",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE [DESTINATION]",
	.summary = "bring an image of the store to a registry",
	.example = "  rl push app localhost:5000/team/app:1",
	.opts = push_defs,
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct push_opts),
	.release = push_release,
	.run = push_run,
};
