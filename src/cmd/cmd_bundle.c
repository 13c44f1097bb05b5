/*
 * cmd_bundle.c - `rl unpack`, `rl repack`, `rl generate spec`: images as OCI bundles and back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "image_progress.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/bundle.h"
#include "verbs_int.h"

struct bundle_opts {
	char *author, *message, *file;
	struct strv changes;
	bool quiet;
};

static void bundle_release(void *opts)
{
	struct bundle_opts *o = opts;
	free(o->author);
	free(o->message);
	free(o->file);
	strv_free(&o->changes);
}

#define B struct bundle_opts
static const char options[] = "Options";

static const struct opt_def unpack_defs[] = {
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, B, quiet), 0, options, "no progress", 0, NULL},
	OPT_END,
};

static int unpack_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct bundle_opts *o = opts;
	struct image_progress_line line;
	struct image_ui ui;
	image_progress_begin(&line, o->quiet, &ui);
	int r = bundle_unpack(ctx->store_root, args->operands.items[0], args->operands.items[1], &ui, e);
	image_progress_end(&line);
	return r < 0 ? err_ctx(e, "unpack %s", args->operands.items[0]) : 0;
}

const struct verb verb_unpack = {
	.name = "unpack",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE BUNDLE",
	.summary = "make an OCI bundle of an image",
	.example = "  rl unpack debian:12 bundle && rl oci run -b bundle web",
	.opts = unpack_defs,
	.min_operands = 2,
	.max_operands = 2,
	.opts_size = sizeof(B),
	.release = bundle_release,
	.run = unpack_run,
};

static const struct opt_def repack_defs[] = {
	{"change", NULL, 'c', "INSTRUCTION", OPT_GENERIC(opt_set_list, B, changes), OPT_REPEAT, options,
	 "change the image's configuration, as a line of a Dockerfile does", 0, NULL},
	{"message", NULL, 'm', "TEXT", OPT_GENERIC(opt_set_string, B, message), 0, options, "comment of the new layer",
	 0, NULL},
	{"author", NULL, 'a', "NAME", OPT_GENERIC(opt_set_string, B, author), 0, options, "author of the image", 0,
	 NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, B, quiet), 0, options, "no progress", 0, NULL},
	OPT_END,
};

static int repack_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct bundle_opts *o = opts;
	const struct bundle_repack b = {
		.bundle = args->operands.items[0],
		.name = args->operands.items[1],
		.changes = &o->changes,
		.author = o->author,
		.message = o->message,
	};
	struct image_progress_line line;
	struct image_ui ui;
	struct image_added added;
	image_progress_begin(&line, o->quiet, &ui);
	int r = bundle_repack(ctx->store_root, &b, &ui, &added, e);
	image_progress_end(&line);
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	str_addf(&out, "%s\n", added.id);
	return out_flush(&out, e);
}

const struct verb verb_repack = {
	.name = "repack",
	.group = "Images",
	.usage = "[OPTIONS] BUNDLE IMAGE",
	.summary = "make an image of what was changed in a bundle",
	.example = "  rl repack bundle localhost/web:v2",
	.opts = repack_defs,
	.min_operands = 2,
	.max_operands = 2,
	.opts_size = sizeof(B),
	.release = bundle_release,
	.run = repack_run,
};

static const struct opt_def spec_defs[] = {
	{"file", "filename", 'f', "FILE", OPT_GENERIC(opt_set_string, B, file), 0, options,
	 "write to FILE instead of standard output", COMPLETE_FILE, NULL},
	OPT_END,
};

static int spec_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct bundle_opts *o = opts;
	autostrv struct strv command = STRV_INIT;
	json_t *made = NULL;
	struct image_progress_line line;
	struct image_ui ui;
	for (size_t i = 1; i < args->operands.count; i++)
		strv_add(&command, args->operands.items[i]);
	image_progress_begin(&line, true, &ui);
	int r = bundle_config(ctx->store_root, args->operands.items[0], &command, &ui, &made, e);
	image_progress_end(&line);
	autojson json_t *doc = made;
	autostr struct str out = STR_INIT;
	if (r < 0)
		return r;
	json_print(doc, true, &out);
	str_addc(&out, '\n');
	return o->file ? io_replace_file(AT_FDCWD, o->file, out.buf, out.len, 0644, false, e) : out_flush(&out, e);
}

const struct verb verb_generate_spec = {
	.name = "generate spec",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE [COMMAND [ARG...]]",
	.summary = "print a config.json of the OCI runtime specification for an image",
	.example = "  rl generate spec -f bundle/config.json debian:12 bash",
	.opts = spec_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(B),
	.release = bundle_release,
	.run = spec_run,
};
#undef B
