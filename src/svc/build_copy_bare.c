/*
 * build_copy_bare.c - COPY where no overlay can be mounted: no user namespaces, or a kernel that refuses overlays.
 *
 * Theory: a copy needs three things of an overlay, and each can be had without one. Directories and symlinks on the way
 * to the destination are copied up by hand (symlinks until the end), so that the new layer alone answers every question
 * about the path. A file that takes the place of a directory below is told by looking (rl/kern/ovl.h). What is copied from, a stack
 * of layers, is merged by hard links. Inside a copied tree nothing is needed: a directory that is made over one below is
 * merged with it by whoever stacks the layers later.
 *
 * Without a user namespace (plain) nothing overrides modes: a directory that was copied up is writable until the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_copy_int.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/layer_merge.h"
#include "rl/kern/ovl.h"
#include "rl/kern/safepath.h"
#include "rl/kern/xattr.h"

enum { LINKS_MAX = 40 };

static int open_dir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- copying up ---- */

static int copy_records(int from, int to, struct err *e)
{
	autostr struct str names = STR_INIT;
	int r = xattr_list(from, &names, e);
	for (size_t at = 0; r >= 0 && at < names.len; at += strlen(names.buf + at) + 1) {
		const char *name = names.buf + at;
		autostr struct str value = STR_INIT;
		if (xattr_is_control(name) && !str_eq(name, XATTR_STAT))
			continue;
		r = xattr_get(from, name, &value, e);
		if (r > 0 && xattr_set(to, name, value.buf, value.len) < 0)
			r = err_set(e, EIO, "extended attribute %s of a directory below cannot be copied", name);
	}
	return r < 0 ? r : 0;
}

static struct copy_late *add_late(struct copy *c)
{
	c->late = xreallocarray(c->late, c->nlate + 1, sizeof(*c->late));
	return &c->late[c->nlate++];
}

static int copy_up_dir(struct copy *c, const struct ovl_hit *h, int updir, const char *name, struct err *e)
{
	autofd int from = open_dir(h->dirfd, name);
	if (from < 0)
		return err_sys(e, errno, "open %s of a layer below", name);
	if (mkdirat(updir, name, 0700) < 0)
		return err_sys(e, errno, "make directory %s", name);
	autofd int to = open_dir(updir, name);
	if (to < 0)
		return err_sys(e, errno, "open directory %s", name);
	if (fchown(to, h->st.st_uid, h->st.st_gid) < 0 || fchmod(to, (h->st.st_mode & 07777) | 0700) < 0)
		return err_sys(e, errno, "owner and mode of %s", name);
	int r = copy_records(from, to, e);
	const struct timespec times[2] = {h->st.st_atim, h->st.st_mtim};
	if (r == 0 && futimens(to, times) < 0)
		r = err_sys(e, errno, "time of %s", name);
	if (r == 0 && (h->st.st_mode & 0700) != 0700)
		*add_late(c) = (struct copy_late){.fd = take_fd(&to), .mode = h->st.st_mode & 07777};
	return r;
}

/* A change of what is in a directory must not show as one when it is undone. */
static int keep_time(int dirfd, const struct stat *st, struct err *e)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	return futimens(dirfd, times) < 0 ? err_sys(e, errno, "time of a directory") : 0;
}

/* For as long as the step takes: a symlink below is found below again. */
static int copy_up_link(struct copy *c, int updir, const char *name, const char *target, struct err *e)
{
	struct stat dir;
	struct stat st;
	if (fstat(updir, &dir) < 0 || symlinkat(target, updir, name) < 0 ||
	    fstatat(updir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "copy symlink %s", name);
	int fd = fcntl(updir, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_sys(e, errno, "dup");
	*add_late(c) = (struct copy_late){.fd = fd, .link = xstrdup(name), .ino = st.st_ino};
	return keep_time(updir, &dir, e);
}

struct walk {
	struct str at; /* where we are, without symlinks; all of it is in the new layer */
	char *rest;
	unsigned links;
	bool dir; /* the last component must be a directory too */
};

static void go_up(struct walk *w)
{
	const char *slash = w->at.len ? strrchr(w->at.buf, '/') : NULL;
	str_cut(&w->at, slash ? (size_t)(slash - w->at.buf) : 0);
}

static void enter(struct walk *w, const char *name, const char *rest)
{
	str_addf(&w->at, "%s%s", w->at.len ? "/" : "", name);
	char *next = xstrdup(rest);
	free(w->rest);
	w->rest = next;
}

static int follow(struct copy *c, struct walk *w, const struct ovl_hit *h, int updir, const char *name,
		  const char *rest, struct err *e)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(h->dirfd, name, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(e, errno, "read symlink %s", name);
	target[n] = '\0';
	int r = h->layer ? copy_up_link(c, updir, name, target, e) : 0;
	if (r < 0)
		return r;
	if (++w->links > LINKS_MAX)
		return err_sys(e, ELOOP, "%s", name);
	if (target[0] == '/')
		str_cut(&w->at, 0);
	char *next = xasprintf("%s/%s", target, rest);
	free(w->rest);
	w->rest = next;
	return 0;
}

/* One component. 1: go on, 0: nothing more is there. */
static int step(struct copy *c, struct walk *w, const int *stack, struct err *e)
{
	const char *p = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(p, "/");
	if (n == 0)
		return 0;
	autofree char *name = xstrndup(p, n);
	if (str_eq(name, ".") || str_eq(name, "..")) {
		if (name[1])
			go_up(w);
		char *next = xstrdup(p + n);
		free(w->rest);
		w->rest = next;
		return 1;
	}
	struct ovl_hit h;
	int r = ovl_find(stack, c->nlowers + 1, w->at.len ? w->at.buf : "", name, &h, e);
	if (r <= 0)
		return r;
	autofd int held = h.dirfd;
	(void)held;
	if (!S_ISDIR(h.st.st_mode) && !S_ISLNK(h.st.st_mode)) {
		/* The last one may be replaced by a file; none of the others can be passed. */
		bool last = !p[n + strspn(p + n, "/")];
		return last && !w->dir ? 0 : err_set(e, ENOTDIR, "%s is not a directory", name);
	}
	bool stop;
	autofd int updir = ovl_walk(c->rootfd, w->at.len ? w->at.buf : "", &stop);
	if (updir < 0)
		return err_sys(e, errno, "open %s", w->at.buf);
	if (S_ISLNK(h.st.st_mode)) {
		r = follow(c, w, &h, updir, name, p + n, e);
		return r < 0 ? r : 1;
	}
	r = h.layer ? copy_up_dir(c, &h, updir, name, e) : 0;
	if (r == 0)
		enter(w, name, p + n);
	return r < 0 ? r : 1;
}

static int *make_stack(const struct copy *c)
{
	int *stack = xcalloc(c->nlowers + 1, sizeof(*stack));
	stack[0] = c->rootfd;
	if (c->nlowers)
		memcpy(stack + 1, c->lowers, c->nlowers * sizeof(*stack));
	return stack;
}

int build_copy_reach(struct copy *c, const char *path, bool dir, struct err *e)
{
	if (!c->bare)
		return 0;
	autofree int *stack = make_stack(c);
	struct walk w = {.at = STR_INIT, .rest = xstrdup(path), .dir = dir};
	int r;
	while ((r = step(c, &w, stack, e)) > 0)
		;
	str_free(&w.at);
	free(w.rest);
	return r;
}

/* ---- looking ---- */

void build_copy_read_below(const struct copy *c, const char *path, size_t max, struct str *out)
{
	if (safepath_read_file(c->rootfd, path, max, out, NULL) == 0)
		return;
	autofree char *dir = path_dir(path + 1);
	struct ovl_hit h;
	if (!c->bare || ovl_find(c->lowers, c->nlowers, str_eq(dir, ".") ? "" : dir, path_base(path), &h, NULL) <= 0)
		return;
	(void)!safepath_read_file(h.dirfd, path_base(path), max, out, NULL);
	close(h.dirfd);
}

/* Where a directory of the new layer lies in it. */
static bool path_in_layer(const struct copy *c, int dirfd, char ret[PATH_MAX])
{
	char self[32];
	char root[PATH_MAX];
	safepath_fd_path(c->rootfd, self);
	ssize_t nroot = readlink(self, root, sizeof(root) - 1);
	safepath_fd_path(dirfd, self);
	ssize_t n = readlink(self, ret, PATH_MAX - 1);
	if (nroot < 0 || n < nroot || memcmp(root, ret, (size_t)nroot) != 0)
		return false;
	ret[n] = '\0';
	const char *rest = ret + nroot;
	rest += *rest == '/';
	memmove(ret, rest, strlen(rest) + 1);
	return true;
}

bool build_copy_covers_dir(const struct copy *c, int dirfd, const char *name)
{
	char path[PATH_MAX];
	struct ovl_hit h;
	struct stat st;
	if (!c->bare || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || !path_in_layer(c, dirfd, path))
		return false;
	autofree int *stack = make_stack(c);
	if (ovl_find(stack, c->nlowers + 1, path, name, &h, NULL) <= 0)
		return false;
	close(h.dirfd);
	return S_ISDIR(h.st.st_mode);
}

/* ---- what is copied from ---- */

int build_copy_merge(struct copy *c, const int *fds, size_t n, int into, struct err *e)
{
	if (n <= 1) {
		int fd = openat(n ? fds[0] : c->j->b->emptyfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_sys(e, errno, "open a layer") : fd;
	}
	autofd int merged = -1;
	for (size_t i = n - 1; i-- > 0;) {
		char name[24];
		snprintf(name, sizeof(name), "%zu", i);
		if (mkdirat(into, name, 0755) < 0)
			return err_sys(e, errno, "make a directory");
		autofd int out = open_dir(into, name);
		int r = out < 0 ? err_sys(e, errno, "open a directory")
				: layer_merge(fds[i], merged < 0 ? fds[n - 1] : merged, out, e);
		if (r < 0)
			return r;
		close_fd(&merged);
		merged = take_fd(&out);
	}
	return take_fd(&merged);
}

/* Unless something else was put in its place meanwhile. */
static int remove_link(const struct copy_late *l, struct err *e)
{
	struct stat dir;
	struct stat st;
	if (fstatat(l->fd, l->link, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != l->ino || !S_ISLNK(st.st_mode))
		return 0;
	if (fstat(l->fd, &dir) < 0 || unlinkat(l->fd, l->link, 0) < 0)
		return err_sys(e, errno, "remove %s", l->link);
	return keep_time(l->fd, &dir, e);
}

int build_copy_settle(struct copy *c, struct err *e)
{
	int r = 0;
	while (c->nlate) {
		struct copy_late *l = &c->late[--c->nlate];
		if (r == 0 && l->link)
			r = remove_link(l, e);
		else if (r == 0 && fchmod(l->fd, l->mode) < 0)
			r = err_sys(e, errno, "mode of a directory");
		close(l->fd);
		free(l->link);
	}
	free(take_ptr(&c->late));
	return r;
}
