/*
 * patch.c - see patch.h.
 */
#include "rl/engine/patch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/tree.h"

enum { TEMPORARY_SIZE = 32 };

/* A file of the layer with several names, and the first of them that was made. */
struct patch_link {
	dev_t dev;
	ino_t ino;
	char *path;
	ino_t made;
};

/* One side of a change: the directory that holds it. */
struct side {
	int fd; /* -1 */
	char name[NAME_MAX + 1];
};

static const char *below(const struct patch_target *t, const char *path)
{
	size_t n = strlen(t->path);
	return path[n] == '/' ? path + n + 1 : path + n;
}

static void temporary_name(char ret[TEMPORARY_SIZE])
{
	memcpy(ret, ".rl-apply-", sizeof(".rl-apply-"));
	io_random_hex(8, ret + strlen(ret));
}

/* The directory of the last component, reached by plain names on one file system. */
static int open_side(int root, const char *relative, struct side *ret, struct err *e)
{
	struct stat top;
	struct stat st;
	autofd int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &top) < 0)
		return err_sys(e, errno, "open a directory");
	for (const char *p = relative;;) {
		size_t n = strcspn(p, "/");
		if (n == 0 || n > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "%s", relative);
		memcpy(ret->name, p, n);
		ret->name[n] = '\0';
		if (str_eq(ret->name, "..") || str_eq(ret->name, "."))
			return err_set(e, EINVAL, "%s", relative);
		if (p[n] == '\0')
			break;
		int next = openat(fd, ret->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return err_sys(e, errno, "%.*s", (int)(p + n - relative), relative);
		close(fd);
		fd = next;
		if (fstat(fd, &st) < 0 || st.st_dev != top.st_dev)
			return err_set(e, EXDEV, "%.*s is on another file system now", (int)(p + n - relative),
				       relative);
		p += n + 1;
	}
	ret->fd = take_fd(&fd);
	return 0;
}

static int64_t ctime_ns(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

/* ---- looking ---- */

static int is_changed_below(int dirfd, int64_t since, int depth)
{
	autostrv struct strv names = STRV_INIT;
	if (depth > TREE_DEPTH_MAX || io_list_dir(dirfd, &names, NULL) < 0)
		return 1;
	for (size_t i = 0; i < names.count; i++) {
		struct stat st;
		if (fstatat(dirfd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (ctime_ns(&st) > since)
			return 1;
		if (!S_ISDIR(st.st_mode))
			continue;
		autofd int fd = openat(dirfd, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || is_changed_below(fd, since, depth + 1))
			return 1;
	}
	return 0;
}

/* The object and, of a directory, everything in it. */
static bool is_changed(const struct side *h, const struct stat *st, int64_t since)
{
	if (ctime_ns(st) > since)
		return true;
	if (!S_ISDIR(st->st_mode) || since == INT64_MAX)
		return false;
	autofd int fd = openat(h->fd, h->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || is_changed_below(fd, since, 0);
}

static enum patch_verdict denied(struct err *why, const char *text, const char *path)
{
	(void)!err_set(why, EACCES, "%s: %s", path, text);
	return PATCH_DENIED;
}

static enum patch_verdict check_place(const struct patch_target *t, const struct side *h, const struct stat *new,
				      const char *path, struct err *why)
{
	struct stat old;
	struct stat dir;
	bool exists = fstatat(h->fd, h->name, &old, AT_SYMLINK_NOFOLLOW) == 0;
	bool merges = exists && new &&S_ISDIR(new->st_mode) && S_ISDIR(old.st_mode);
	if (merges && old.st_uid != geteuid() && (old.st_mode & 07777) != (new->st_mode & 07777))
		return denied(why, "only its owner may change its mode", path);
	if (merges)
		return PATCH_FINE;
	if (faccessat(h->fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return denied(why, "you may not write to its directory", path);
	if (exists && fstat(h->fd, &dir) == 0 && (dir.st_mode & S_ISVTX) && old.st_uid != geteuid() &&
	    dir.st_uid != geteuid() && geteuid() != 0)
		return denied(why, "it belongs to somebody else", path);
	if (exists && is_changed(h, &old, t->since_ns)) {
		(void)!err_set(why, EBUSY, "%s: it was changed on this machine since the container was made", path);
		return PATCH_CONFLICT;
	}
	return PATCH_FINE;
}

enum patch_verdict patch_check(const struct patch_target *t, char kind, const char *path, struct err *why)
{
	struct side u = {.fd = -1};
	struct side h = {.fd = -1};
	struct stat new = {.st_mode = 0};
	enum patch_verdict v = PATCH_FINE;
	int r = kind == 'D' ? 0 : open_side(t->upper, below(t, path), &u, why);
	if (r == 0 && kind != 'D' && fstatat(u.fd, u.name, &new, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_sys(why, errno, "%s", path);
	if (r == 0 && kind != 'D' && (S_ISSOCK(new.st_mode) || S_ISCHR(new.st_mode) || S_ISBLK(new.st_mode))) {
		(void)!err_set(why, EINVAL, "%s: it is a socket or a device", path);
		v = PATCH_SKIPPED;
	} else if (r == 0) {
		r = open_side(t->host, below(t, path), &h, why);
		/* A directory that an earlier change makes. */
		if (r == 0)
			v = check_place(t, &h, kind == 'D' ? NULL : &new, path, why);
		else if (r == -ENOENT || r == -ENOTDIR)
			r = 0;
	}
	close_fd(&u.fd);
	close_fd(&h.fd);
	return r < 0 ? PATCH_DENIED : v;
}

/* ---- making ---- */

/* What was looked at is what went aside, and nobody wrote in it since the check. */
static bool is_as_seen(const struct patch_target *t, const struct side *h, const char *aside, const struct stat *seen)
{
	struct stat st;
	if (fstatat(h->fd, aside, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != seen->st_dev ||
	    st.st_ino != seen->st_ino)
		return false;
	if (!S_ISDIR(st.st_mode) || t->since_ns == INT64_MAX)
		return true;
	autofd int fd = openat(h->fd, aside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && !is_changed_below(fd, t->since_ns, 0);
}

/* Out of its place first, in one step, whatever it is; what was put there meanwhile goes back. Nothing there is success. */
static int take_away(const struct patch_target *t, const struct side *h, struct err *e)
{
	char aside[TEMPORARY_SIZE];
	struct stat st;
	temporary_name(aside);
	if (fstatat(h->fd, h->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "remove");
	if (!S_ISDIR(st.st_mode) && ctime_ns(&st) > t->since_ns)
		return err_set(e, EBUSY, "it was changed meanwhile");
	if (renameat(h->fd, h->name, h->fd, aside) < 0)
		return err_sys(e, errno, "remove");
	if (!is_as_seen(t, h, aside, &st)) {
		if (io_rename_new(h->fd, aside, h->fd, h->name) < 0)
			return err_sys(e, errno, "put back what was changed meanwhile from %s", aside);
		return err_set(e, EBUSY, "it was changed meanwhile");
	}
	return io_remove_tree(h->fd, aside, e);
}

/* A further name of a file that was made before; 1 if it was. */
static int link_to_made(const struct patch_target *t, const struct stat *st, const struct side *h, const char *as)
{
	for (size_t i = 0; i < t->nlinks; i++) {
		const struct patch_link *l = &t->links[i];
		struct side first = {.fd = -1};
		struct stat made;
		if (l->dev != st->st_dev || l->ino != st->st_ino || open_side(t->host, l->path, &first, NULL) < 0)
			continue;
		autofd int owned = first.fd;
		if (linkat(owned, first.name, h->fd, as, 0) < 0)
			return 0;
		/* Somebody may have put something else there. */
		if (fstatat(h->fd, as, &made, AT_SYMLINK_NOFOLLOW) == 0 && made.st_ino == l->made)
			return 1;
		unlinkat(h->fd, as, 0);
		return 0;
	}
	return 0;
}

static void remember_link(struct patch_target *t, const struct stat *st, const struct side *h, const char *as,
			  const char *path)
{
	struct stat made;
	if (st->st_nlink < 2 || fstatat(h->fd, as, &made, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	t->links = xreallocarray(t->links, t->nlinks + 1, sizeof(*t->links));
	t->links[t->nlinks++] = (struct patch_link){
		.dev = st->st_dev, .ino = st->st_ino, .path = xstrdup(below(t, path)), .made = made.st_ino};
}

/* After a crash there is the old file or the new one, not an empty one. */
static int settle(int dirfd, const char *name, struct err *e)
{
	autofd int fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fdatasync(fd) < 0 ? err_sys(e, errno, "write") : 0;
}

static int put_file(struct patch_target *t, const struct side *u, const struct side *h, const struct stat *st,
		    const char *path, struct err *e)
{
	char as[TEMPORARY_SIZE];
	struct stat old;
	temporary_name(as);
	bool exists = fstatat(h->fd, h->name, &old, AT_SYMLINK_NOFOLLOW) == 0;
	int r = st->st_nlink > 1 && S_ISREG(st->st_mode) ? link_to_made(t, st, h, as) : 0;
	if (r == 0) {
		r = tree_copy_one(u->fd, u->name, h->fd, as, 0, e);
		if (r == 0 && exists && S_ISREG(st->st_mode))
			r = settle(h->fd, as, e);
		if (r == 0 && S_ISREG(st->st_mode))
			remember_link(t, st, h, as, path);
	}
	if (r >= 0 && exists && S_ISDIR(old.st_mode))
		r = take_away(t, h, e);
	if (r >= 0 && exists && fstatat(h->fd, h->name, &old, AT_SYMLINK_NOFOLLOW) == 0 && ctime_ns(&old) > t->since_ns)
		r = err_set(e, EBUSY, "it was changed meanwhile");
	/* Where nothing was, what somebody has made there meanwhile stays. */
	if (r >= 0 && (exists ? renameat(h->fd, as, h->fd, h->name) : io_rename_new(h->fd, as, h->fd, h->name)) < 0)
		r = err_sys(e, errno, "put in place");
	if (r < 0)
		unlinkat(h->fd, as, 0);
	return r < 0 ? r : 0;
}

static int put_dir(const struct patch_target *t, const struct side *h, struct err *e)
{
	struct stat old;
	if (fstatat(h->fd, h->name, &old, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(old.st_mode))
			return 0;
		int r = take_away(t, h, e);
		if (r < 0)
			return r;
	}
	return mkdirat(h->fd, h->name, 0700) < 0 ? err_sys(e, errno, "make directory") : 0;
}

int patch_change(struct patch_target *t, char kind, const char *path, struct err *e)
{
	struct side u = {.fd = -1};
	struct side h = {.fd = -1};
	struct stat st;
	int r = open_side(t->host, below(t, path), &h, e);
	if (r == 0 && kind != 'D')
		r = open_side(t->upper, below(t, path), &u, e);
	if (r == 0 && kind == 'D')
		r = take_away(t, &h, e);
	else if (r == 0 && fstatat(u.fd, u.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_sys(e, errno, "stat");
	else if (r == 0 && S_ISDIR(st.st_mode))
		r = put_dir(t, &h, e);
	else if (r == 0)
		r = put_file(t, &u, &h, &st, path, e);
	close_fd(&u.fd);
	close_fd(&h.fd);
	return r < 0 ? err_ctx(e, "%s", path) : 0;
}

static int finish_dir(const struct side *u, const struct side *h, char kind, struct err *e)
{
	struct stat new;
	struct stat old;
	autofd int from = openat(u->fd, u->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofd int to = openat(h->fd, h->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || to < 0 || fstat(from, &new) < 0 || fstat(to, &old) < 0)
		return err_sys(e, errno, "open directory");
	if (kind == 'A' || (new.st_mode & 07777) != (old.st_mode & 07777))
		return tree_copy_meta(from, to, 0, e);
	return 0;
}

int patch_finish(const struct patch_target *t, char kind, const char *path, struct err *e)
{
	struct side u = {.fd = -1};
	struct side h = {.fd = -1};
	struct stat st;
	if (kind == 'D')
		return 0;
	int r = open_side(t->upper, below(t, path), &u, e);
	if (r == 0 && fstatat(u.fd, u.name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
		r = open_side(t->host, below(t, path), &h, e);
		if (r == 0)
			r = finish_dir(&u, &h, kind, e);
	}
	close_fd(&u.fd);
	close_fd(&h.fd);
	return r < 0 ? err_ctx(e, "%s", path) : 0;
}

void patch_close(struct patch_target *t)
{
	for (size_t i = 0; i < t->nlinks; i++)
		free(t->links[i].path);
	free(t->links);
	t->links = NULL;
	t->nlinks = 0;
}
