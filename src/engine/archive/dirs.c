/*
 * dirs.c - see dirs_int.h.
 *
 * Theory: nearly every lookup is the directory of the previous entry, the rest is one openat2 from the root. Only when
 * that fails, the path is looked at component by component: something is missing, is a whiteout that a directory must
 * replace, or is a symlink whose target does not exist (a layer may hold "lib -> usr/lib" and "lib/x" without usr/lib).
 *
 * The kernel does all resolving (RESOLVE_IN_ROOT). Where openat2 is missing or filtered away, plain openat is as good:
 * the role using this has made the tree its root directory before (else `strict` says so).
 */
#include "dirs_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/engine/archive.h"

enum { EAGAIN_TRIES = 10000 };

static uint64_t hash_path(const char *path)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3u;
	return h;
}

const char *dirs_split(const char *path, char **ret_parent)
{
	const char *slash = strrchr(path, '/');
	*ret_parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
	return slash ? slash + 1 : path;
}

static int open_in_root(struct dirs *d, const char *path)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	if (!d->no_openat2) {
		const struct open_how how = {.flags = (uint64_t)flags,
					     .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
		/* EAGAIN: something, anywhere on the machine, was renamed or mounted while a ".." was resolved. */
		int fd = -1;
		for (unsigned tries = 0; tries < EAGAIN_TRIES; tries++) {
			fd = (int)syscall(SYS_openat2, d->rootfd, path, &how, sizeof(how));
			if (fd >= 0 || errno != EAGAIN)
				break;
		}
		if (fd >= 0 || d->strict || (errno != ENOSYS && errno != EPERM))
			return fd;
		d->no_openat2 = true;
	}
	return openat(d->rootfd, path, flags);
}

/* ---- the cache ---- */

static int restore_times(struct dir *dir, struct err *e)
{
	const struct timespec times[2] = {dir->mtime, dir->mtime};
	if (!dir->dirty)
		return 0;
	dir->dirty = false;
	if (futimens(dir->fd, times) < 0)
		return err_sys(e, errno, "set times of directory %s", dir->path);
	return 0;
}

static int release(struct dir *dir, struct err *e)
{
	int r = restore_times(dir, e);
	close_fd(&dir->fd);
	free(take_ptr(&dir->path));
	free(take_ptr(&dir->canon));
	return r;
}

static struct dir *cached(struct dirs *d, const char *path)
{
	if (!*path)
		return &d->slot[0];
	uint64_t h = hash_path(path);
	for (size_t i = 1; i < d->n; i++) {
		struct dir *dir = &d->slot[i];
		if (dir->hash == h && str_eq(dir->path, path)) {
			dir->used = ++d->clock;
			return dir;
		}
	}
	return NULL;
}

static int fill_slot(struct dir *dir, int fd, const struct stat *st, const char *path)
{
	*dir = (struct dir){
		.fd = fd,
		.path = xstrdup(path),
		.hash = hash_path(path),
		.dev = st->st_dev,
		.ino = st->st_ino,
		.mode = st->st_mode,
		.mtime = st->st_mtim,
	};
	return 0;
}

/* Take over an open directory. If another path of it is cached already, that entry is used: two entries would restore
 * two different times. */
static int adopt(struct dirs *d, const char *path, int fd_taken, struct dir **ret, struct err *e)
{
	autofd int fd = fd_taken;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	struct dir *oldest = NULL;
	for (size_t i = 0; i < d->n; i++) {
		struct dir *dir = &d->slot[i];
		if (dir->ino == st.st_ino && dir->dev == st.st_dev) {
			dir->used = ++d->clock;
			*ret = dir;
			return 0;
		}
		if (i && (!oldest || dir->used < oldest->used))
			oldest = dir;
	}
	struct dir *slot = oldest;
	if (d->n < DIRS_MAX) {
		slot = &d->slot[d->n++];
	} else {
		int r = release(slot, e);
		if (r < 0)
			return r;
	}
	fill_slot(slot, take_fd(&fd), &st, path);
	slot->used = ++d->clock;
	*ret = slot;
	return 0;
}

int dirs_init(struct dirs *d, int rootfd, struct err *e)
{
	struct stat st;
	if (fstat(rootfd, &st) < 0)
		return err_sys(e, errno, "stat the target directory");
	d->rootfd = rootfd;
	d->n = 1;
	fill_slot(&d->slot[0], rootfd, &st, "");
	return 0;
}

int dirs_forget(struct dirs *d, struct err *e)
{
	int result = 0;
	for (size_t i = 1; i < d->n; i++) {
		int r = release(&d->slot[i], result < 0 ? NULL : e);
		if (result == 0)
			result = r;
	}
	d->n = 1;
	return result;
}

int dirs_finish(struct dirs *d, struct err *e)
{
	int r = dirs_forget(d, e);
	if (r == 0)
		r = restore_times(&d->slot[0], e);
	free(take_ptr(&d->slot[0].path));
	free(take_ptr(&d->slot[0].canon));
	d->n = 0;
	return r;
}

/* ---- lookup ---- */

int dirs_find(struct dirs *d, const char *path, struct dir **ret, struct err *e)
{
	*ret = cached(d, path);
	if (*ret)
		return 1;
	int fd = open_in_root(d, path);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd < 0)
		return err_sys(e, errno, "open directory %s", path);
	int r = adopt(d, path, fd, ret, e);
	return r < 0 ? r : 1;
}

static int ensure(struct dirs *d, const char *path, unsigned *links, struct dir **ret, struct err *e)
	__attribute__((nonnull(1)));

/* The target of a dangling symlink is made like any other missing directory, then the link leads somewhere. */
static int ensure_link_target(struct dirs *d, struct dir *parent, const char *name, const char *path, unsigned *links,
			      struct err *e)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parent->fd, name, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(e, errno, "read symlink %s", path);
	target[n] = '\0';
	if (++*links > DIRS_SYMLINKS_MAX)
		return err_sys(e, ELOOP, "%s", path);
	const char *relative = target + strspn(target, "/");
	autofree char *joined = NULL;
	if (relative != target || !*parent->path)
		joined = xstrdup(relative);
	else
		joined = xasprintf("%s/%s", parent->path, relative);
	/* Lookups split at the last slash: trailing ones must not count as an empty name. */
	size_t len = strlen(joined);
	while (len && joined[len - 1] == '/')
		joined[--len] = '\0';
	if (len > ARCHIVE_PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "%.64s...", path);
	struct dir *unused;
	return ensure(d, joined, links, &unused, e);
}

/* `path` could not be opened: look at its last component and make it openable. */
static int mend(struct dirs *d, const char *path, unsigned *links, struct err *e)
{
	autofree char *parent_path = NULL;
	const char *name = dirs_split(path, &parent_path);
	struct dir *parent;
	int r = ensure(d, parent_path, links, &parent, e);
	if (r < 0)
		return r;
	struct stat st;
	bool whiteout = false;
	if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISLNK(st.st_mode))
			return ensure_link_target(d, parent, name, path, links, e);
		if (S_ISDIR(st.st_mode))
			return 0;
		if (!S_ISCHR(st.st_mode))
			return err_set(e, EBADMSG, "%s is used as a directory and is none", path);
		/* The only character devices in a layer directory are whiteouts. */
		whiteout = true;
		if (unlinkat(parent->fd, name, 0) < 0)
			return err_sys(e, errno, "replace whiteout %s", path);
	} else if (errno != ENOENT) {
		return err_sys(e, errno, "look up %s", path);
	}
	if (!d->missing)
		return err_sys(e, ENOENT, "%s", path);
	return d->missing(d->ctx, parent, name, path, whiteout, e);
}

static int ensure(struct dirs *d, const char *path, unsigned *links, struct dir **ret, struct err *e)
{
	/* Each round mends one thing: a whiteout, a missing name, a chain of symlinks copied from a lower layer. */
	for (unsigned round = 0; round <= DIRS_SYMLINKS_MAX; round++) {
		struct dir *known = cached(d, path);
		if (known) {
			*ret = known;
			return 0;
		}
		int fd = open_in_root(d, path);
		if (fd >= 0)
			return adopt(d, path, fd, ret, e);
		if (errno == ELOOP)
			return err_sys(e, ELOOP, "%s", path);
		if (errno != ENOENT && errno != ENOTDIR)
			return err_sys(e, errno, "open directory %s", path);
		int r = mend(d, path, links, e);
		if (r < 0)
			return r;
	}
	return err_set(e, ELOOP, "%s cannot be made a directory", path);
}

int dirs_get(struct dirs *d, const char *path, struct dir **ret, struct err *e)
{
	unsigned links = 0;
	return ensure(d, path, &links, ret, e);
}

/* ---- canonical paths ---- */

/* Resolve `path` the way the kernel does in a root: the walk keeps the components passed so far, ".." removes one. */
static int canonical(struct dirs *d, const char *path, struct str *out, struct err *e)
{
	autofree char *rest = xstrdup(path);
	unsigned links = 0;
	while (*rest) {
		char *p = rest + strspn(rest, "/");
		size_t n = strcspn(p, "/");
		autofree char *name = xstrndup(p, n);
		autofree char *tail = xstrdup(p + n);
		size_t before = out->len;
		char target[PATH_MAX];
		ssize_t got = -1;
		if (n == 0 || str_eq(name, ".")) {
			/* nothing to do */
		} else if (str_eq(name, "..")) {
			const char *slash = strrchr(out->buf, '/');
			str_cut(out, slash ? (size_t)(slash - out->buf) : 0);
		} else {
			str_addf(out, "%s%s", before ? "/" : "", name);
			got = readlinkat(d->rootfd, out->buf, target, sizeof(target) - 1);
		}
		char *next;
		if (got >= 0) {
			target[got] = '\0';
			if (++links > DIRS_SYMLINKS_MAX)
				return err_sys(e, ELOOP, "%s", path);
			str_cut(out, target[0] == '/' ? 0 : before);
			next = xasprintf("%s%s", target, tail);
		} else {
			next = take_ptr(&tail);
		}
		free(rest);
		rest = next;
	}
	return 0;
}

int dirs_canon(struct dirs *d, struct dir *dir, const char **ret_canon, struct err *e)
{
	if (!dir->canon) {
		autostr struct str out = STR_INIT;
		int r = canonical(d, dir->path, &out, e);
		if (r < 0)
			return r;
		dir->canon = str_take(&out);
	}
	*ret_canon = dir->canon;
	return 0;
}
