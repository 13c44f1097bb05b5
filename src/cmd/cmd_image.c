/*
 * cmd_image.c - `rl image prune` and `rl image exists`.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "rl/base/fmt.h"
#include "rl/cmd/out.h"
#include "rl/model/imgref.h"
#include "rl/svc/image.h"
#include "verbs_int.h"

struct prune_opts {
	bool all, force;
	struct strv filters;
};

static const struct opt_def prune_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct prune_opts, all), 0, "Options",
	 "also remove images with a name that no container uses", 0, NULL},
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, struct prune_opts, force), 0, "Options", "do not ask", 0,
	 NULL},
	{"filter", NULL, 0, "NAME=VALUE", OPT_GENERIC(opt_set_list, struct prune_opts, filters), OPT_REPEAT, "Options",
	 "only those that are older (until=24h), or that have a label (label=, label!=)", 0, NULL},
	OPT_END,
};

static int prune_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)args;
	const struct prune_opts *o = opts;
	int r = out_confirm("image prune",
			    o->all ? "Remove all images that no container uses?" : "Remove all images without a name?",
			    o->force, e);
	if (r <= 0)
		return r;
	struct image_removed removed = {.bytes = 0};
	r = image_prune(ctx->store_root, o->all, &o->filters, &removed, e);
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < removed.untagged.count; i++)
		str_addf(&out, "untagged: %s\n", imgref_familiar(removed.untagged.items[i]));
	for (size_t i = 0; i < removed.deleted.count; i++)
		str_addf(&out, "deleted: %s\n", removed.deleted.items[i]);
	char size[FMT_SIZE];
	fmt_size(removed.bytes > 0 ? (uint64_t)removed.bytes : 0, size);
	str_addf(&out, "Total reclaimed space: %s\n", size);
	image_removed_free(&removed);
	return out_flush(&out, e);
}

static void prune_release(void *opts)
{
	strv_free(&((struct prune_opts *)opts)->filters);
}

const struct verb verb_image_prune = {
	.name = "image prune",
	.group = "Images",
	.usage = "[OPTIONS]",
	.summary = "remove images that nothing needs",
	.example = "  rl image prune -f",
	.opts = prune_defs,
	.opts_size = sizeof(struct prune_opts),
	.release = prune_release,
	.run = prune_run,
};

static const struct opt_def exists_defs[] = {OPT_END};

static int exists_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = image_exists(ctx->store_root, args->operands.items[0], e);
	return r < 0 ? r : !r;
}

const struct verb verb_image_exists = {
	.name = "image exists",
	.group = "Images",
	.usage = "IMAGE",
	.summary = "succeed if the image is there",
	.example = "  rl image exists busybox && echo yes",
	.opts = exists_defs,
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_IMAGE,
	.run = exists_run,
};
