/*
 * tree.c - walks over directory trees that somebody else may be changing.
 *
 * One recursive walk serves all: it reads the names of a directory, then handles them one by one by descriptor. A level
 * costs at most two descriptors, which bounds the depth. Hard links: files with more than one link are remembered by
 * device and inode of the source, with the path and inode of the copy; the copy is found again beneath the target and
 * linked only if it is still that inode, so a payload that swaps a directory for a symlink meanwhile gets an error.
 */
#include "rl/kern/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/safepath.h"
#include "rl/kern/xattr.h"

struct link_seen {
	dev_t dev;
	ino_t ino; /* of the source */
	ino_t copy_ino;
	char *path; /* of the copy, below the target */
};

struct walk {
	unsigned flags;
	int to_root;
	struct str path; /* of the directory being copied, below the root, with a slash behind */
	struct link_seen *links;
	size_t nlinks, size;
	struct tree_stats stats;
	unsigned elsewhere;
	uid_t uid;
	gid_t gid;
	dev_t dev;
};

static void walk_free(struct walk *w)
{
	for (size_t i = 0; i < w->nlinks; i++)
		free(w->links[i].path);
	free(w->links);
	str_free(&w->path);
}

static int open_dir(int parent, const char *name, struct err *e)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open directory %s", name) : fd;
}

int tree_is_empty(int dirfd, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = io_list_dir(dirfd, &names, e);
	return r < 0 ? r : names.count == 0;
}

/* ---- copying ---- */

static bool is_left_out(const struct walk *w, const char *name)
{
	return xattr_is_control(name) && !(w->flags & TREE_LAYER) &&
	       !((w->flags & TREE_RECORDS) && str_after(name, XATTR_OURS));
}

static void copy_xattrs(const struct walk *w, int from, int to)
{
	autostr struct str names = STR_INIT;
	if (xattr_list(from, &names, NULL) < 0)
		return;
	for (size_t at = 0; at < names.len; at += strlen(names.buf + at) + 1) {
		const char *name = names.buf + at;
		autostr struct str value = STR_INIT;
		if (is_left_out(w, name) || xattr_get(from, name, &value, NULL) != 1)
			continue;
		if (xattr_set(to, name, value.buf, value.len) < 0)
			log_debug(LOG_STORE, "xattr %s is not copied", name);
	}
}

/* Owner first: a change of owner clears set-id bits and file capabilities. */
static int copy_meta(const struct walk *w, int from, int to, const struct stat *st, struct err *e)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (fchown(to, st->st_uid, st->st_gid) < 0 && errno != EPERM && errno != EINVAL)
		return err_sys(e, errno, "set the owner");
	if (fchmod(to, st->st_mode & 07777) < 0)
		return err_sys(e, errno, "set the mode");
	copy_xattrs(w, from, to);
	if (futimens(to, times) < 0)
		return err_sys(e, errno, "set the times");
	return 0;
}

static int copy_bytes(int from, int to, struct err *e)
{
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	for (bool any = false;; any = true) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
		if (n == 0 && any)
			return 0;
		/* Some file systems say 0 for what they cannot do; both offsets stand where the rest begins. */
		if (n <= 0)
			return n == 0 || errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS
				       ? io_copy_rest(from, to, e)
				       : err_sys(e, errno, "copy");
	}
}

/* 1: linked to an earlier copy. */
static int link_copy(struct walk *w, const struct stat *st, int to, const char *name, struct err *e)
{
	const struct link_seen *seen = NULL;
	for (size_t i = 0; i < w->nlinks && !seen; i++)
		if (w->links[i].dev == st->st_dev && w->links[i].ino == st->st_ino)
			seen = &w->links[i];
	if (!seen)
		return 0;
	char path[32];
	struct stat copy;
	autofd int fd = safepath_open(w->to_root, seen->path, O_PATH | O_NOFOLLOW, 0, e);
	if (fd < 0)
		return fd;
	if (fstat(fd, &copy) < 0 || copy.st_ino != seen->copy_ino)
		return err_set(e, EAGAIN, "%s was changed while it was copied", seen->path);
	safepath_fd_path(fd, path);
	if (linkat(AT_FDCWD, path, to, name, AT_SYMLINK_FOLLOW) < 0)
		return err_sys(e, errno, "link %s", name);
	return 1;
}

static void remember_link(struct walk *w, const struct stat *st, int copy, const char *name)
{
	struct stat made;
	if (st->st_nlink < 2 || fstat(copy, &made) < 0)
		return;
	if (w->nlinks == w->size) {
		w->size = w->size ? 2 * w->size : 16;
		w->links = xreallocarray(w->links, w->size, sizeof(*w->links));
	}
	w->links[w->nlinks++] = (struct link_seen){.dev = st->st_dev,
						   .ino = st->st_ino,
						   .copy_ino = made.st_ino,
						   .path = xasprintf("%s%s", w->path.buf, name)};
}

static int copy_file(struct walk *w, int from, const char *name, int to, const char *as, struct err *e)
{
	struct stat st;
	autofd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0)
		return err_sys(e, errno, "open");
	if (!S_ISREG(st.st_mode))
		return err_set(e, EAGAIN, "it was changed while it was copied");
	if (st.st_nlink > 1) {
		int r = link_copy(w, &st, to, as, e);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	autofd int out = openat(to, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_sys(e, errno, "create");
	w->stats.bytes += (uint64_t)st.st_size;
	int r = copy_bytes(in, out, e);
	if (r == 0)
		r = copy_meta(w, in, out, &st, e);
	if (r == 0)
		remember_link(w, &st, out, as);
	return r;
}

static int copy_link(int from, const char *name, int to, const char *as, const struct stat *st, struct err *e)
{
	char target[4096];
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(e, errno, "read link");
	target[n] = '\0';
	if (symlinkat(target, to, as) < 0)
		return err_sys(e, errno, "make link");
	if (fchownat(to, as, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		log_debug(LOG_STORE, "the owner of link %s is not copied", name);
	(void)!utimensat(to, as, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int copy_special(struct walk *w, int to, const char *name, const struct stat *st, struct err *e)
{
	if (S_ISSOCK(st->st_mode)) {
		w->stats.skipped++;
		return 0;
	}
	if (mknodat(to, name, st->st_mode, st->st_rdev) < 0) {
		if (errno != EPERM)
			return err_sys(e, errno, "make node");
		w->stats.skipped++;
		return 0;
	}
	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		log_debug(LOG_STORE, "the owner of %s is not copied", name);
	return 0;
}

/* Out of the way with what has the name, unless both are directories. Returns 1 if a directory stays. */
static int make_room(const struct walk *w, int to, const char *name, bool dir, struct err *e)
{
	struct stat old;
	if (fstatat(to, name, &old, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "look at the old one");
	if (!(w->flags & TREE_REPLACE))
		return err_set(e, EEXIST, "it is there already");
	if (dir && S_ISDIR(old.st_mode))
		return 1;
	if (unlinkat(to, name, S_ISDIR(old.st_mode) ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
		return errno == ENOTEMPTY || errno == EEXIST
			       ? err_set(e, EISDIR, "a directory with content is in its place")
			       : err_sys(e, errno, "replace");
	return 0;
}

static int copy_dir(struct walk *w, int from, int to, int depth, struct err *e);

static int copy_subdir(struct walk *w, int from, int to, const char *name, bool exists, int depth, struct err *e)
{
	autofd int in = open_dir(from, name, e);
	if (in < 0)
		return in;
	if (!exists && mkdirat(to, name, 0700) < 0)
		return err_sys(e, errno, "make directory %s", name);
	autofd int out = open_dir(to, name, e);
	if (out < 0)
		return out;
	size_t cut = w->path.len;
	str_addf(&w->path, "%s/", name);
	int r = copy_dir(w, in, out, depth + 1, e);
	str_cut(&w->path, cut);
	return r;
}

static int copy_entry(struct walk *w, int from, int to, const char *name, int depth, struct err *e)
{
	struct stat st;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "stat %s%s", w->path.buf, name);
	int r = make_room(w, to, name, S_ISDIR(st.st_mode), e);
	w->stats.entries++;
	if (r >= 0 && S_ISDIR(st.st_mode))
		return copy_subdir(w, from, to, name, r == 1, depth, e);
	if (r < 0)
		;
	else if (S_ISREG(st.st_mode))
		r = copy_file(w, from, name, to, name, e);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from, name, to, name, &st, e);
	else
		r = copy_special(w, to, name, &st, e);
	return r < 0 ? err_ctx(e, "%s%s", w->path.buf, name) : 0;
}

static int copy_dir(struct walk *w, int from, int to, int depth, struct err *e)
{
	struct stat st;
	autostrv struct strv names = STRV_INIT;
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ELOOP, "more than %d directories inside each other", TREE_DEPTH_MAX);
	if (fstat(from, &st) < 0)
		return err_sys(e, errno, "stat");
	int r = io_list_dir(from, &names, e);
	for (size_t i = 0; i < names.count && r == 0; i++)
		r = copy_entry(w, from, to, names.items[i], depth, e);
	return r < 0 ? r : copy_meta(w, from, to, &st, e);
}

int tree_copy(int from, int to, unsigned flags, struct tree_stats *ret_stats, struct err *e)
{
	struct walk w = {.flags = flags, .to_root = to, .path = STR_INIT};
	int r = copy_dir(&w, from, to, 0, e);
	if (r == 0)
		*ret_stats = w.stats;
	walk_free(&w);
	return r;
}

int tree_copy_one(int from, const char *name, int to, const char *as, unsigned flags, struct err *e)
{
	struct walk w = {.flags = flags, .to_root = to, .path = STR_INIT};
	struct stat st;
	int r = 0;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "stat %s", name);
	if (S_ISREG(st.st_mode))
		r = copy_file(&w, from, name, to, as, e);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from, name, to, as, &st, e);
	else if (S_ISFIFO(st.st_mode))
		r = copy_special(&w, to, as, &st, e);
	else
		r = err_set(e, EINVAL, "it is no file, symlink or fifo");
	walk_free(&w);
	return r < 0 ? err_ctx(e, "copy %s", name) : 0;
}

int tree_copy_meta(int from, int to, unsigned flags, struct err *e)
{
	const struct walk w = {.flags = flags, .to_root = to};
	struct stat st;
	return fstat(from, &st) < 0 ? err_sys(e, errno, "stat") : copy_meta(&w, from, to, &st, e);
}

/* ---- owners ---- */

static int chown_dir(const struct walk *w, int dirfd, int depth, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ELOOP, "more than %d directories inside each other", TREE_DEPTH_MAX);
	int r = io_list_dir(dirfd, &names, e);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		const char *name = names.items[i];
		struct stat st;
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			return err_sys(e, errno, "stat %s", name);
		}
		if (st.st_dev != w->dev)
			continue;
		if ((st.st_uid != w->uid || st.st_gid != w->gid) &&
		    fchownat(dirfd, name, w->uid, w->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return err_sys(e, errno, "change the owner of %s", name);
		if (!S_ISDIR(st.st_mode))
			continue;
		autofd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			return err_sys(e, errno, "open directory %s", name);
		if (fd >= 0)
			r = chown_dir(w, fd, depth + 1, e);
	}
	return r;
}

int tree_chown(int dirfd, uid_t uid, gid_t gid, struct err *e)
{
	struct stat st;
	if (fstat(dirfd, &st) < 0)
		return err_sys(e, errno, "stat");
	const struct walk w = {.uid = uid, .gid = gid, .dev = st.st_dev};
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(dirfd, uid, gid) < 0)
		return err_sys(e, errno, "change the owner");
	return chown_dir(&w, dirfd, 0, e);
}

/* ---- measuring ---- */

static int measure_dir(struct walk *w, int dirfd, int depth, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	if (depth > TREE_DEPTH_MAX)
		return 0;
	int r = io_list_dir(dirfd, &names, e);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		struct stat st;
		if (fstatat(dirfd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		w->stats.entries++;
		if (S_ISREG(st.st_mode))
			w->stats.bytes += (uint64_t)st.st_size /
					  RL_MAX((uint64_t)st.st_nlink - w->elsewhere, UINT64_C(1));
		if (!S_ISDIR(st.st_mode))
			continue;
		autofd int fd = openat(dirfd, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			(void)!measure_dir(w, fd, depth + 1, NULL);
	}
	return r;
}

int tree_measure(int dirfd, unsigned elsewhere, struct tree_stats *ret_stats, struct err *e)
{
	struct walk w = {.elsewhere = elsewhere, .path = STR_INIT};
	int r = measure_dir(&w, dirfd, 0, e);
	if (r == 0)
		*ret_stats = w.stats;
	walk_free(&w);
	return r;
}
