/*
 * root_copy.c - see root_copy.h.
 *
 * Theory of settling: one recursion over the copy and the set of directories of the same path below it. What is in the
 * copy alone, or was changed, is linked into the writable layer; what is below alone gets a whiteout. No directory needs
 * to be opaque, since every name that is gone has its own whiteout. A directory is made first and taken back if nothing
 * about it differs.
 */
#include "rl/engine/root_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/ovl.h"
#include "rl/kern/tree.h"

static const char root_name[] = "root";
static const char mark_name[] = "copied";

enum { CLOCK_TRIES = 3000 }; /* milliseconds at least; some file systems count in seconds */

static int open_dir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool root_copy_is_there(int workfd)
{
	return workfd >= 0 && faccessat(workfd, mark_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_root(int workfd, struct err *e)
{
	int fd = open_dir(workfd, root_name);
	return fd < 0 ? err_sys(e, errno, "open the copy of the image") : fd;
}

int root_copy_remove(int workfd, struct err *e)
{
	if (unlinkat(workfd, mark_name, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove the mark of a copy");
	return io_remove_tree(workfd, root_name, e);
}

/* ---- making it ---- */

static int empty_dir(int dir, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = io_list_dir(dir, &names, e);
	for (size_t i = 0; i < names.count && r == 0; i++)
		r = io_remove_tree(dir, names.items[i], e);
	return r;
}

static bool is_whiteout(int dir, const char *name)
{
	struct stat st;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && ovl_is_whiteout(&st);
}

/* What the layer hides of those below it, removed from the copy of those. With `after`: the marks of whiteouts
 * themselves, which the copy has taken over as the device nodes they are. */
static int hide(int layer, int to, bool after, int depth, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ELOOP, "a layer is nested too deep");
	int r = io_list_dir(layer, &names, e);
	if (r == 0 && !after && ovl_is_opaque(layer))
		r = empty_dir(to, e);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		const char *name = names.items[i];
		if (is_whiteout(layer, name)) {
			r = io_remove_tree(to, name, e);
			continue;
		}
		autofd int from = open_dir(layer, name);
		autofd int below = open_dir(to, name);
		if (from >= 0 && below >= 0)
			r = hide(from, below, after, depth + 1, e);
		else if (!after && below >= 0)
			r = io_remove_tree(to, name, e); /* a file where a directory was */
		else if (!after && from >= 0 && unlinkat(to, name, 0) < 0 && errno != ENOENT)
			r = err_sys(e, errno, "replace %s", name);
	}
	return r;
}

static int add_layer(int layerfd, int to, struct err *e)
{
	struct tree_stats stats;
	autofd int layer = open_dir(layerfd, ".");
	if (layer < 0)
		return err_sys(e, errno, "open a layer");
	int r = hide(layer, to, false, 0, e);
	if (r == 0)
		r = tree_copy(layer, to, TREE_REPLACE | TREE_RECORDS, &stats, e);
	return r == 0 ? hide(layer, to, true, 0, e) : r;
}

static int mark_time(int workfd, struct timespec *ret, struct err *e)
{
	struct stat st;
	if (fstatat(workfd, mark_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "the mark of a copy");
	*ret = st.st_ctim;
	return 0;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* The clock of inodes is coarse: written again until it has gone on, the mark is later than every copy. Where that
 * takes too long some copies will count as changes, which costs room and nothing else. */
static int write_mark(int workfd, struct err *e)
{
	struct timespec first = {.tv_sec = 0};
	struct timespec now;
	int r = io_write_file(workfd, mark_name, "", 0, 0600, e);
	if (r >= 0)
		r = mark_time(workfd, &first, e);
	now = first;
	for (int i = 0; r >= 0 && !is_before(&first, &now) && i < CLOCK_TRIES; i++) {
		(void)!poll(NULL, 0, 1);
		if (utimensat(workfd, mark_name, NULL, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, errno, "the mark of a copy");
		r = mark_time(workfd, &now, e);
	}
	return r < 0 ? r : 0;
}

static int copy_layers(int workfd, int upperfd, const int *layers, size_t n, struct err *e)
{
	/* What a copy that was interrupted has left is not of this image only. */
	int r = io_remove_tree(workfd, root_name, e);
	if (r >= 0 && mkdirat(workfd, root_name, 0755) < 0)
		r = err_sys(e, errno, "make a directory for the copy");
	autofd int to = r < 0 ? -1 : open_root(workfd, e);
	if (to < 0)
		return r < 0 ? r : to;
	for (size_t i = n; i-- > 0 && r >= 0;)
		r = add_layer(layers[i], to, e);
	if (r >= 0)
		r = add_layer(upperfd, to, e);
	if (r < 0)
		return err_ctx(e, "copy the image");
	return write_mark(workfd, e);
}

int root_copy_make(int workfd, int upperfd, const int *layers, size_t n, struct err *e)
{
	int r = root_copy_is_there(workfd) ? 0 : copy_layers(workfd, upperfd, layers, n, e);
	return r < 0 ? r : open_root(workfd, e);
}

/* ---- settling ---- */

struct settle {
	struct timespec since;
};

static bool is_changed(const struct settle *s, const struct stat *now, const struct stat *below)
{
	return !is_before(&now->st_ctim, &s->since) || now->st_mode != below->st_mode || now->st_uid != below->st_uid ||
	       now->st_gid != below->st_gid || now->st_rdev != below->st_rdev ||
	       (!S_ISDIR(now->st_mode) && now->st_size != below->st_size);
}

static int put_whiteout(int out, const char *name, struct err *e)
{
	if (mknodat(out, name, S_IFCHR, makedev(0, 0)) == 0)
		return 0;
	err_set(e, EOPNOTSUPP, "the store's file system cannot hold that %s was removed", name);
	return err_hint(e,
			"keep the store on another file system (is this a container? on a volume: rl run -v NAME:DIR), "
			"and --root DIR; rl export needs no such marks");
}

static int put_file(int root, const char *name, int out, const struct stat *st, struct err *e)
{
	if (linkat(root, name, out, name, 0) == 0 || errno == ENOENT)
		return 0;
	int errnum = errno;
	if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode) || S_ISFIFO(st->st_mode))
		return tree_copy_one(root, name, out, name, TREE_RECORDS, e);
	return err_sys(e, errnum, "link %s", name);
}

/* 1: something of it was put there. */
static int settle_dir(const struct settle *s, int root, const struct ovl_dirs *below, int out, unsigned depth,
		      struct err *e);

static int settle_subdir(const struct settle *s, int root, const struct ovl_dirs *below, const struct stat *old,
			 int out, const char *name, unsigned depth, struct err *e)
{
	autoovldirs struct ovl_dirs under = {.n = 0};
	struct stat now;
	autofd int from = open_dir(root, name);
	if (from < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open directory %s", name);
	if (mkdirat(out, name, 0700) < 0)
		return err_sys(e, errno, "make directory %s", name);
	autofd int to = open_dir(out, name);
	if (to < 0 || fstat(from, &now) < 0)
		return err_sys(e, errno, "open directory %s", name);
	int r = old ? ovl_dirs_descend(below, name, &under, e) : 0;
	if (r >= 0)
		r = settle_dir(s, from, &under, to, depth + 1, e);
	if (r < 0)
		return r;
	if (r == 0 && old && !is_changed(s, &now, old))
		return unlinkat(out, name, AT_REMOVEDIR) < 0 ? err_sys(e, errno, "remove %s", name) : 0;
	r = tree_copy_meta(from, to, TREE_RECORDS, e);
	return r < 0 ? r : 1;
}

static int settle_name(const struct settle *s, int root, const struct ovl_dirs *below, int out, const char *name,
		       unsigned depth, struct err *e)
{
	struct stat now;
	struct stat old;
	int in_below = ovl_dirs_look(below, name, &old, e);
	if (in_below < 0)
		return in_below;
	if (fstatat(root, name, &now, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return err_sys(e, errno, "%s", name);
		int r = in_below ? put_whiteout(out, name, e) : 0;
		return r < 0 ? r : in_below;
	}
	if (S_ISDIR(now.st_mode))
		return settle_subdir(s, root, below, in_below && S_ISDIR(old.st_mode) ? &old : NULL, out, name, depth,
				     e);
	if (in_below && !is_changed(s, &now, &old))
		return 0;
	int r = put_file(root, name, out, &now, e);
	return r < 0 ? r : 1;
}

static int settle_dir(const struct settle *s, int root, const struct ovl_dirs *below, int out, unsigned depth,
		      struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	bool any = false;
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ELOOP, "directories more than %d deep", TREE_DEPTH_MAX);
	int r = io_list_dir(root, &names, e);
	if (r >= 0)
		r = ovl_dirs_names(below, &names, e);
	strv_sort(&names);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		if (i && str_eq(names.items[i], names.items[i - 1]))
			continue;
		r = settle_name(s, root, below, out, names.items[i], depth, e);
		any |= r > 0;
	}
	return r < 0 ? r : any;
}

int root_copy_settle(int workfd, int upperfd, const int *layers, size_t n, struct err *e)
{
	autoovldirs struct ovl_dirs below = {.n = 0};
	struct settle s;
	autofd int root = open_root(workfd, e);
	if (root < 0)
		return root;
	autofd int out = open_dir(upperfd, ".");
	if (out < 0)
		return err_sys(e, errno, "open the writable layer");
	int r = mark_time(workfd, &s.since, e);
	if (r >= 0)
		r = ovl_dirs_open(layers, n, &below, e);
	if (r >= 0)
		r = empty_dir(out, e);
	if (r >= 0)
		r = settle_dir(&s, root, &below, out, 0, e);
	return r < 0 ? r : tree_copy_meta(root, out, TREE_RECORDS, e);
}
