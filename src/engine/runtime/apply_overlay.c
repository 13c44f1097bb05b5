/*
 * apply_overlay.c - the root from image layers, on the first rung that holds (decision 14).
 *
 *   overlay   upper and work in the container's directory
 *   memory    the same lower layers, upper and work on a tmpfs of this mount namespace: where the store lies on an
 *             overlay or a network file system. What is written is lost at the end, so for --rm only
 *   copy      the layers are put on top of each other into the container's own directory, by reflink where the file
 *             system can, and that directory is the root. Done once; `copied` in the work directory says that it was
 *
 * A step of a build stands on the first rung, since its upper directory becomes a layer; or on the second, where who
 * started it takes the layer from memory. The third would fill the layer with everything.
 *
 * Each is chosen by trying it with the very directories. The parent is told, and tells the person.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/mnt.h"
#include "rl/kern/tree.h"
#include "rl/kern/xattr.h"
#include "steps.h"

static const char copied_mark[] = "copied";

int apply_say(struct apply *a, const char *text, struct err *e)
{
	return sync_send(a->sync, STEP_NOTE, text, strlen(text), NULL, 0, e);
}

/* ---- memory ---- */

static int make_in(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0)
		return -1;
	return openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int apply_overlay_in_memory(const struct mnt_overlay *o, unsigned attrs, int place, int targetfd, int *ret_upper,
			    struct err *e)
{
	/* A quarter of the machine's memory at most. */
	autofd int tmpfs = mnt_new("tmpfs", "size=25%,mode=755", 0, place, e);
	if (tmpfs < 0)
		return tmpfs;
	autofd int upper = make_in(tmpfs, "upper");
	autofd int work = make_in(tmpfs, "work");
	if (upper < 0 || work < 0)
		return err_sys(e, errno, "make a writable layer in memory");
	struct mnt_overlay in = *o;
	in.upper = upper;
	in.work = work;
	if (ret_upper && (*ret_upper = openat(upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "open the writable layer in memory");
	return mnt_overlay(&in, attrs, targetfd, e);
}

/* ---- copy ---- */

static bool is_whiteout(int dir, const char *name)
{
	struct stat st;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

static bool is_opaque(int dir)
{
	char value[2];
	return fgetxattr(dir, XATTR_OVL_OPAQUE, value, sizeof(value)) == 1 && value[0] == 'y';
}

static int empty_dir(int dir, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = io_list_dir(dir, &names, e);
	for (size_t i = 0; i < names.count && r == 0; i++)
		r = io_remove_tree(dir, names.items[i], e);
	return r;
}

/* What the layer hides of those below it, removed from the copy of those. With `after`: the marks of whiteouts
 * themselves, which the copy has taken over as the device nodes they are. */
static int hide(int layer, int to, bool after, int depth, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ELOOP, "a layer is nested too deep");
	int r = io_list_dir(layer, &names, e);
	if (r == 0 && !after && is_opaque(layer))
		r = empty_dir(to, e);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		const char *name = names.items[i];
		if (is_whiteout(layer, name)) {
			r = io_remove_tree(to, name, e);
			continue;
		}
		autofd int from = openat(layer, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		autofd int below = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (from >= 0 && below >= 0)
			r = hide(from, below, after, depth + 1, e);
		else if (!after && below >= 0)
			r = io_remove_tree(to, name, e); /* a file where a directory was */
		else if (!after && from >= 0 && unlinkat(to, name, 0) < 0 && errno != ENOENT)
			r = err_sys(e, errno, "replace %s", name);
	}
	return r;
}

static int copy_layers(struct apply *a, int to, struct err *e)
{
	struct tree_stats stats;
	for (size_t i = a->plan->spec->layers.count; i-- > 0;) {
		autofd int layer = openat(a->layerfds[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (layer < 0)
			return err_sys(e, errno, "open a layer");
		int r = hide(layer, to, false, 0, e);
		if (r == 0)
			r = tree_copy(layer, to, TREE_REPLACE, &stats, e);
		if (r == 0)
			r = hide(layer, to, true, 0, e);
		if (r < 0)
			return err_ctx(e, "copy the image");
	}
	return 0;
}

static int mount_copy(struct apply *a, struct err *e)
{
	autofd int to = openat(a->upperfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_sys(e, errno, "open the writable layer");
	if (faccessat(a->workfd, copied_mark, F_OK, 0) < 0) {
		/* What a copy that was interrupted has left is not of this image only. */
		int r = empty_dir(to, e);
		if (r == 0)
			r = copy_layers(a, to, e);
		if (r == 0)
			r = io_write_file(a->workfd, copied_mark, "", 0, 0600, e);
		if (r < 0)
			return r;
	}
	return mnt_bind(a->upperfd, "", false, MNT_NODEV, 0, a->mountfd, e);
}

/* ---- the rungs ---- */

/* Worth another rung: the file system or a policy says no. Not: a layer is missing, memory is short. */
bool apply_overlay_is_refused(int code)
{
	return code == EINVAL || code == EPERM || code == EACCES || code == ENODEV || code == ENOSYS ||
	       code == EOPNOTSUPP || code == ELOOP || code == EIO;
}

/* The other rungs would leave the layer empty, or fill it with everything. */
static int refuse_layer(struct err *why, struct err *e)
{
	(void)err_hint(why, "the store's file system cannot hold a layer that is written (is this a container?); keep "
			    "the store on a volume of it: rl run -v NAME:DIR, and --root DIR inside");
	if (e)
		*e = *why;
	return -why->code;
}

/* Its owner reads it when we are gone, through the descriptor. */
static int layer_in_memory(struct apply *a, const struct mnt_overlay *o, struct err *first, struct err *e)
{
	autofd int upper = -1;
	int fd = a->plan->spec->layer_in_memory && o->nlower <= OVL_LOWER_MAX
			 ? apply_overlay_in_memory(o, MNT_NODEV, a->workfd, a->mountfd, &upper, NULL)
			 : -1;
	if (fd < 0)
		return refuse_layer(first, e);
	a->rootfd = fd;
	int r = sync_send(a->sync, STEP_LAYER, NULL, 0, &upper, 1, e);
	return r < 0 ? r
		     : apply_say(a,
				 "the store cannot hold a layer that is written: what this step writes is in memory "
				 "until "
				 "it is done",
				 e);
}

int apply_root_overlay(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	struct err first = ERR_INIT;
	struct err why = ERR_INIT;
	struct mnt_overlay o = {
		.lower = a->layerfds,
		.nlower = s->layers.count,
		.upper = a->upperfd,
		.work = a->workfd,
		.is_volatile = s->is_volatile,
	};
	bool copied = a->workfd >= 0 && faccessat(a->workfd, copied_mark, F_OK, 0) == 0;
	int fd = copied ? -1 : mnt_overlay(&o, MNT_NODEV, a->mountfd, &first);
	bool refused = fd < 0 && !copied && apply_overlay_is_refused(first.code);
	if (refused && s->is_layer)
		return layer_in_memory(a, &o, &first, e);
	bool may_fall = copied || (refused && a->upperfd >= 0 && o.nlower <= OVL_LOWER_MAX);
	int r = 0;
	if (fd < 0 && may_fall && !copied && s->is_volatile) {
		/* On the work directory, which this overlay does not use. */
		fd = apply_overlay_in_memory(&o, MNT_NODEV, a->workfd, a->mountfd, NULL, &why);
		if (fd >= 0)
			r = apply_say(
				a,
				"the store cannot hold a writable layer of an overlay: what the container writes is "
				"kept "
				"in memory",
				e);
	}
	if (fd < 0 && may_fall) {
		if (!copied)
			r = apply_say(a, "overlays are refused here: the image is copied for this container", e);
		fd = mount_copy(a, &why);
	}
	if (fd < 0) {
		if (e)
			*e = copied ? why : first;
		if (may_fall && !copied)
			err_hint(e, "copying the image failed too: %.200s", why.text);
		return e ? -e->code : fd;
	}
	a->rootfd = fd;
	return r;
}
