/*
 * safepath_walk.c - path resolution inside a root, one component at a time.
 *
 * Theory: the walk holds a descriptor of the directory it stands in and the names that lead there from the root, all of
 * them real directories when they were passed. A name is opened with O_PATH | O_NOFOLLOW, so that what is looked at is
 * what is acted on; a symlink's text is put in front of what remains. "/" goes back to the root descriptor. ".." must
 * not ask the kernel, since a directory that is moved meanwhile may have a parent outside of the root: instead the last
 * name is dropped and the rest is opened again from the root, each without following links; a component that became a
 * symlink since is an error (-ELOOP).
 *
 * Magic links of procfs do not even have to be known for safety, because no link is ever followed by the kernel, only
 * its text by us; they are refused with -ELOOP all the same, as RESOLVE_NO_MAGICLINKS does.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "safepath_int.h"

enum { LINKS_MAX = 40 }; /* the kernel's MAXSYMLINKS */

struct walk {
	int rootfd;
	int curfd;	   /* where we stand; -1: at the root */
	struct strv names; /* the way from the root to curfd */
	char *rest;	   /* what is still to be resolved */
	int links;	   /* symlinks followed so far */
	bool make;	   /* make missing directories */
	mode_t make_mode;
	bool follow_last;
	bool last_was_link;	 /* a symlink at the last component was followed: nothing may be made any more */
	bool wants_dir;		 /* a slash, "." or ".." ended the path */
	char last[NAME_MAX + 1]; /* the final component, "" when the path ends where we stand */
};

static int here(const struct walk *w)
{
	return w->curfd >= 0 ? w->curfd : w->rootfd;
}

static void walk_free(struct walk *w)
{
	close_fd(&w->curfd);
	strv_free(&w->names);
	free(w->rest);
	w->rest = NULL;
}

static int go_to_root(struct walk *w)
{
	close_fd(&w->curfd);
	while (w->names.count)
		strv_remove(&w->names, w->names.count - 1);
	return 0;
}

static int go_up(struct walk *w)
{
	if (w->names.count == 0)
		return 0; /* ".." at the root is the root */
	strv_remove(&w->names, w->names.count - 1);
	close_fd(&w->curfd);
	for (size_t i = 0; i < w->names.count; i++) {
		autofd int up = w->curfd;
		w->curfd = -1;
		int fd = openat(up >= 0 ? up : w->rootfd, w->names.items[i],
				O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return errno == ENOTDIR ? -ELOOP : -errno;
		w->curfd = fd;
	}
	return 0;
}

/* Texts of procfs's magic links: "/path", "(unreachable)/path", "socket:[1]", "anon_inode:x". Ordinary links there are
 * relative ("self/mounts"). */
static bool is_magic(int linkfd, const char *text)
{
	struct statfs fs;
	if (text[0] != '/' && text[0] != '(' && !strchr(text, ':'))
		return false;
	return fstatfs(linkfd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static int follow_link(struct walk *w, int linkfd, const char *after)
{
	char text[PATH_MAX];
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	ssize_t n = readlinkat(linkfd, "", text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (n == 0)
		return -ENOENT;
	if (is_magic(linkfd, text))
		return -ELOOP;
	char *rest = xasprintf("%s%s%s", text, *after ? "/" : "", after);
	free(w->rest);
	w->rest = rest;
	if (text[0] == '/')
		return go_to_root(w);
	return 0;
}

/* Open `name` where we stand without following it; make it a directory if it is missing and may be made. */
static int open_name(struct walk *w, const char *name, bool is_last, struct stat *st)
{
	for (int attempt = 0;; attempt++) {
		int fd = openat(here(w), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0) {
			if (fstat(fd, st) == 0)
				return fd;
			int errnum = errno;
			close(fd);
			return -errnum;
		}
		if (errno != ENOENT || !w->make || w->last_was_link || is_last || attempt)
			return -errno;
		if (mkdirat(here(w), name, w->make_mode) < 0 && errno != EEXIST)
			return -errno;
	}
}

static int enter(struct walk *w, int fd, const char *name)
{
	close_fd(&w->curfd);
	w->curfd = fd;
	strv_add(&w->names, name);
	return 0;
}

/* Take one component off w->rest. Returns 1 to go on, 0 when w->last is set, -errno. */
static int walk_step(struct walk *w)
{
	char *p = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(p, "/");
	char *after = p + len + strspn(p + len, "/");
	bool is_last = *after == '\0';
	char name[NAME_MAX + 1];
	if (len == 0)
		return 0;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, p, len);
	name[len] = '\0';
	bool dot = str_eq(name, ".");
	bool dotdot = str_eq(name, "..");
	if (is_last && (dot || dotdot || p[len] == '/'))
		w->wants_dir = true;
	if (dot || dotdot) {
		int r = dotdot ? go_up(w) : 0;
		memmove(w->rest, after, strlen(after) + 1);
		return r < 0 ? r : 1;
	}
	struct stat st = {.st_mode = 0};
	autofd int fd = open_name(w, name, is_last, &st);
	if (fd < 0 && !(is_last && fd == -ENOENT))
		return fd;
	if (fd >= 0 && S_ISLNK(st.st_mode) && (!is_last || w->follow_last || w->wants_dir)) {
		w->last_was_link |= is_last;
		/* The slash that ended the path still counts after the link's text. */
		int r = follow_link(w, fd, after);
		return r < 0 ? r : 1;
	}
	if (is_last) {
		memcpy(w->last, name, len + 1);
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	memmove(w->rest, after, strlen(after) + 1);
	return enter(w, take_fd(&fd), name) < 0 ? -EIO : 1;
}

/* Resolve all but the final component, which is left in w->last. */
static int walk_start(struct walk *w, int rootfd, const char *path)
{
	if (*path == '\0')
		return -ENOENT;
	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	w->rootfd = rootfd;
	w->curfd = -1;
	w->rest = xstrdup(path);
	int r;
	do
		r = walk_step(w);
	while (r > 0);
	return r;
}

int safepath_walk_open(int rootfd, const char *path, int flags, mode_t mode)
{
	struct walk w __attribute__((cleanup(walk_free))) = {.curfd = -1, .follow_last = !(flags & O_NOFOLLOW)};
	int r = walk_start(&w, rootfd, path);
	if (r < 0)
		return r;
	if (w.last[0] == '\0' || w.wants_dir) {
		if (flags & O_CREAT)
			return -EISDIR;
		flags |= O_DIRECTORY;
	}
	int fd = openat(here(&w), w.last[0] ? w.last : ".", flags | O_NOFOLLOW | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

int safepath_walk_mkdirs(int rootfd, const char *path, mode_t mode)
{
	struct walk w __attribute__((cleanup(walk_free))) = {
		.curfd = -1, .follow_last = true, .make = true, .make_mode = mode};
	int r = walk_start(&w, rootfd, path);
	if (r < 0)
		return r == -ENOENT && w.last_was_link ? -ELOOP : r;
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(here(&w), w.last[0] ? w.last : ".", flags);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	if (w.last_was_link)
		return -ELOOP;
	if (mkdirat(here(&w), w.last, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(here(&w), w.last, flags);
	return fd < 0 ? -errno : fd;
}
