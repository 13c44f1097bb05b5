/* layer_merge.c - see layer_merge.h. */
#include "rl/engine/layer_merge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/ovl.h"
#include "rl/kern/xattr.h"

enum { DEPTH_MAX = 512 };

static int open_dir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int copy_metadata(int from, int to, bool opaque, struct err *e)
{
	struct stat st;
	autostr struct str names = STR_INIT;
	int r = xattr_list(from, &names, e);
	for (size_t at = 0; r >= 0 && at < names.len; at += strlen(names.buf + at) + 1) {
		autostr struct str value = STR_INIT;
		r = xattr_get(from, names.buf + at, &value, e);
		if (r > 0 && xattr_set(to, names.buf + at, value.buf, value.len) < 0)
			r = err_sys(e, errno, "set %s", names.buf + at);
	}
	if (r >= 0 && opaque && xattr_set(to, XATTR_OVL_OPAQUE, "y", 1) < 0)
		r = err_sys(e, errno, "mark a directory as opaque");
	if (r < 0)
		return r;
	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
		return err_sys(e, errno, "set owner and mode of a directory");
	const struct timespec times[] = {st.st_atim, st.st_mtim};
	return futimens(to, times) < 0 ? err_sys(e, errno, "set the time of a directory") : 0;
}

static int link_name(int from, const char *name, int to, struct err *e)
{
	return linkat(from, name, to, name, 0) < 0 ? err_sys(e, errno, "link %s", name) : 0;
}

/* upper or lower may be -1: nothing of it. hides: something of another kind, or nothing, was meant by `lower`. */
static int merge_dir(int upper, int lower, bool hides, int out, unsigned depth, struct err *e);

static int merge_subdir(int upper, int lower, bool hides, int out, const char *name, unsigned depth, struct err *e)
{
	if (depth >= DEPTH_MAX)
		return err_sys(e, ELOOP, "%s: too deep", name);
	if (mkdirat(out, name, 0700) < 0)
		return err_sys(e, errno, "make directory %s", name);
	autofd int fd = open_dir(out, name);
	if (fd < 0)
		return err_sys(e, errno, "open directory %s", name);
	int r = merge_dir(upper, lower, hides, fd, depth + 1, e);
	return r < 0 ? err_ctx(e, "%s", name) : 0;
}

static int merge_upper_name(int upper, int lower, const char *name, int out, unsigned depth, struct err *e)
{
	struct stat st;
	struct stat old;
	if (fstatat(upper, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "%s", name);
	if (!S_ISDIR(st.st_mode))
		return link_name(upper, name, out, e);
	autofd int up = open_dir(upper, name);
	if (up < 0)
		return err_sys(e, errno, "open directory %s", name);
	autofd int low = -1;
	bool hides = false;
	if (lower >= 0 && fstatat(lower, name, &old, AT_SYMLINK_NOFOLLOW) == 0) {
		/* What covers what lies below the two must go on doing so. */
		hides = !S_ISDIR(old.st_mode);
		low = hides ? -1 : open_dir(lower, name);
		if (!hides && low < 0)
			return err_sys(e, errno, "open directory %s", name);
	}
	return merge_subdir(up, low, hides, out, name, depth, e);
}

static int merge_dir(int upper, int lower, bool hides, int out, unsigned depth, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	autostrv struct strv more = STRV_INIT;
	bool upper_hides = upper >= 0 && ovl_is_opaque(upper);
	bool opaque = hides || upper_hides || (lower >= 0 && ovl_is_opaque(lower));
	int below = upper_hides ? -1 : lower;
	int r = upper >= 0 ? io_list_dir(upper, &names, e) : 0;
	for (size_t i = 0; i < names.count && r >= 0; i++)
		r = merge_upper_name(upper, below, names.items[i], out, depth, e);
	if (r >= 0 && below >= 0)
		r = io_list_dir(below, &more, e);
	for (size_t i = 0; i < more.count && r >= 0; i++) {
		const char *name = more.items[i];
		struct stat st;
		if (upper >= 0 && fstatat(upper, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (fstatat(below, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, errno, "%s", name);
		if (!S_ISDIR(st.st_mode)) {
			r = link_name(below, name, out, e);
			continue;
		}
		autofd int low = open_dir(below, name);
		r = low < 0 ? err_sys(e, errno, "open directory %s", name)
			    : merge_subdir(-1, low, false, out, name, depth, e);
	}
	return r < 0 ? r : copy_metadata(upper >= 0 ? upper : lower, out, opaque, e);
}

int layer_merge(int upper, int lower, int out, struct err *e)
{
	autofd int up = open_dir(upper, ".");
	autofd int low = open_dir(lower, ".");
	autofd int to = open_dir(out, ".");
	if (up < 0 || low < 0 || to < 0)
		return err_sys(e, errno, "open a layer");
	return merge_dir(up, low, false, to, 0, e);
}
