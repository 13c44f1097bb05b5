/*
 * cmd_rmi.c - `rl rmi`: names and images are removed.
 *
 * Each operand is removed on its own and reported; the first failure is the verb's error after the rest is done.
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/imgref.h"
#include "rl/svc/image.h"
#include "verbs_int.h"

struct rmi_opts {
	bool force, all, ignore;
};

static const struct opt_def rmi_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, struct rmi_opts, force), 0, "Options",
	 "remove an image given by id with all its names", 0, NULL},
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct rmi_opts, all), 0, "Options", "remove every image", 0,
	 NULL},
	{"ignore", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, struct rmi_opts, ignore), 0, "Options",
	 "an image that is not there is no error", 0, NULL},
	{.name = "no-prune", .flags = OPT_REFUSED, .help = "an image has no parents here that could be kept"},
	OPT_END,
};

static void report(const struct cmd_ctx *ctx, const struct image_removed *removed, struct str *out)
{
	for (size_t i = 0; i < removed->untagged.count; i++) {
		const char *name = removed->untagged.items[i];
		str_addf(out, "Untagged: %s\n", ctx->flavour == CMD_PODMAN ? name : imgref_familiar(name));
	}
	for (size_t i = 0; i < removed->deleted.count; i++)
		str_addf(out, "Deleted: %s\n", removed->deleted.items[i]);
}

static int remove_one(const struct cmd_ctx *ctx, const struct rmi_opts *o, const char *ref, struct str *out,
		      struct err *e)
{
	autostrv struct strv refs = STRV_INIT;
	struct image_removed removed = {.bytes = 0};
	strv_add(&refs, ref);
	int r = image_remove(ctx->store_root, &refs, o->force || o->all, &removed, e);
	if (r == -ENOENT && o->ignore)
		return 0;
	if (r < 0)
		return r;
	report(ctx, &removed, out);
	image_removed_free(&removed);
	return 0;
}

/* --all: every name and every image without one that is our own. */
static int all_refs(const struct cmd_ctx *ctx, struct strv *refs, struct err *e)
{
	struct store_list list = {.items = NULL};
	int r = image_entries(ctx->store_root, NULL, &list, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < list.count; i++) {
		const struct store_entry *entry = &list.items[i];
		if (!entry->builtin)
			strv_add(refs, *entry->name ? entry->name : entry->config_digest);
	}
	store_list_free(&list);
	return 0;
}

static int rmi_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct rmi_opts *o = opts;
	autostrv struct strv refs = STRV_INIT;
	autostr struct str out = STR_INIT;
	int result = 0;
	if (o->all && args->operands.count)
		return err_set(e, EINVAL, "rmi: --all and names exclude each other");
	if (!o->all && !args->operands.count) {
		err_set(e, EINVAL, "rmi: the image is missing");
		return err_hint(e, "usage: rl rmi [OPTIONS] IMAGE...");
	}
	strv_add_all(&refs, &args->operands);
	int r = o->all ? all_refs(ctx, &refs, e) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < refs.count; i++) {
		struct err one = ERR_INIT;
		r = remove_one(ctx, o, refs.items[i], &out, &one);
		if (r >= 0)
			continue;
		if (result < 0)
			err_print(&one);
		else
			*e = one;
		result = r;
	}
	r = out_flush(&out, result < 0 ? NULL : e);
	return result < 0 ? result : r;
}

const struct verb verb_rmi = {
	.name = "rmi",
	.aliases = "image rm,image remove",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE...",
	.summary = "remove images",
	.example = "  rl rmi localhost/tools:1",
	.opts = rmi_defs,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct rmi_opts),
	.run = rmi_run,
};
