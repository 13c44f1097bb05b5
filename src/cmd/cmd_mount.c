/*
 * cmd_mount.c - `rl mount` and `rl umount`: the files of containers and images as directories.
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/mount.h"
#include "verbs_int.h"

static const struct opt_def mount_defs[] = {OPT_END};

static int mount_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	autostr struct str out = STR_INIT;
	autostrv struct strv lines = STRV_INIT;
	int r = args->operands.count ? 0 : mount_list(ctx->store_root, &lines, e);
	for (size_t i = 0; r >= 0 && i < args->operands.count; i++) {
		char *path = NULL;
		r = mount_show(ctx->store_root, args->operands.items[i], &path, e);
		if (r >= 0)
			strv_add_owned(&lines, path);
	}
	for (size_t i = 0; i < lines.count; i++)
		str_addf(&out, "%s\n", lines.items[i]);
	int flushed = out_flush(&out, r < 0 ? NULL : e);
	return r < 0 ? r : flushed;
}

const struct verb verb_mount = {
	.name = "mount",
	.aliases = "container mount,image mount",
	.group = "System",
	.usage = "[CONTAINER|IMAGE...]",
	.summary = "show the files of a container or an image as a directory",
	.example = "  rl unshare sh -c 'ls $(rl mount busybox)'",
	.opts = mount_defs,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.run = mount_run,
};

struct umount_opts {
	bool all;
};

static const struct opt_def umount_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct umount_opts, all), 0, "Options",
	 "everything that rl mount has mounted here", 0, NULL},
	OPT_END,
};

static int umount_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct umount_opts *o = opts;
	if (o->all == (args->operands.count > 0))
		return err_set(e, EINVAL, "umount: either names, or --all");
	int r = o->all ? mount_drop_all(ctx->store_root, e) : 0;
	for (size_t i = 0; r >= 0 && i < args->operands.count; i++)
		r = mount_drop(ctx->store_root, args->operands.items[i], e);
	return r;
}

const struct verb verb_umount = {
	.name = "umount",
	.aliases = "unmount,container umount,container unmount,image umount,image unmount",
	.group = "System",
	.usage = "CONTAINER|IMAGE... | --all",
	.summary = "take away what rl mount has mounted",
	.example = "  rl umount busybox",
	.opts = umount_defs,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct umount_opts),
	.complete = COMPLETE_IMAGE,
	.run = umount_run,
};
