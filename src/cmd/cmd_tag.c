/*
 * cmd_tag.c - `rl tag` and `rl untag`: names of images.
 */
#include "rl/cmd/out.h"
#include "rl/svc/image.h"
#include "verbs_int.h"

static const struct opt_def no_defs[] = {OPT_END};

static int tag_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	for (size_t i = 1; i < args->operands.count; i++) {
		int r = image_tag(ctx->store_root, args->operands.items[0], args->operands.items[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One operand is the name that goes; with more, the first says which image and the others are the names (podman). */
static int untag_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	for (size_t i = args->operands.count > 1; i < args->operands.count; i++) {
		int r = image_untag(ctx->store_root, args->operands.items[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

const struct verb verb_tag = {
	.name = "tag",
	.aliases = "image tag",
	.group = "Images",
	.usage = "IMAGE NAME[:TAG]...",
	.summary = "give an image further names",
	.example = "  rl tag busybox localhost/tools:1",
	.opts = no_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.run = tag_run,
};

const struct verb verb_untag = {
	.name = "untag",
	.aliases = "image untag",
	.group = "Images",
	.usage = "[IMAGE] NAME[:TAG]...",
	.summary = "take names from an image; the image stays",
	.example = "  rl untag localhost/tools:1",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.run = untag_run,
};
