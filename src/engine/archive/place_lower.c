/*
 * place_lower.c - what the layers below hold, for layers that are not self-contained; part of place_int.h.
 *
 * Theory: objects are found as overlayfs would show them (ovl.h). The paths asked for are canonical in the
 * layer being made, and parents that are symlinks below have been copied as symlinks before (lower_make), so that no
 * symlink needs to be followed there.
 *
 * What is found is copied with owner, mode, times and all xattrs, control records included: the same id map was used
 * below, so the ids and records mean the same here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "place_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/ovl.h"
#include "rl/kern/xattr.h"

/* Is this directory, or one it is in, opaque in the layer being made? Then nothing of below shows in it. */
static bool hidden_here(struct place *p, const char *canon)
{
	bool stop;
	int fd = ovl_walk(p->rootfd, canon, &stop);
	if (fd >= 0)
		close(fd);
	return stop || p->dirs.slot[0].opaque;
}

static int copy_xattrs(int from, int to, struct err *e)
{
	autostr struct str names = STR_INIT;
	int r = xattr_list(from, &names, e);
	for (size_t at = 0; r == 0 && at < names.len; at += strlen(names.buf + at) + 1) {
		const char *name = names.buf + at;
		/* Records of symlinks belong to entries that are not copied with their directory. */
		if (str_after(name, XATTR_STAT_AT) || (xattr_is_control(name) && !str_eq(name, XATTR_STAT)))
			continue;
		autostr struct str value = STR_INIT;
		int got = xattr_get(from, name, &value, e);
		if (got < 0)
			return got;
		if (got && xattr_set(to, name, value.buf, value.len) < 0)
			return err_set(e, EIO, "extended attribute %s of a lower layer cannot be copied", name);
	}
	return r;
}

static int copy_metadata(struct place *p, const struct stat *st, int from, int to, const char *path, struct err *e)
{
	if (fchown(to, st->st_uid, st->st_gid) < 0)
		return err_sys(e, errno, "copy the owner from a lower layer");
	int r = mode_set(p, to, st->st_mode & 07777, path, e);
	if (r == 0)
		r = copy_xattrs(from, to, e);
	if (r == 0 && !S_ISDIR(st->st_mode))
		r = file_mode_last(p, to, st->st_mode & 07777, path, e);
	if (r < 0)
		return r;
	const struct timespec times[2] = {st->st_mtim, st->st_mtim};
	if (futimens(to, times) < 0)
		return err_sys(e, errno, "copy the times from a lower layer");
	return 0;
}

static int copy_dir(struct place *p, const struct ovl_hit *h, struct dir *parent, const char *name, struct err *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if (mkdirat(parent->fd, name, 0700) < 0)
		return err_sys(e, errno, "create directory %s", name);
	autofd int from = openat(h->dirfd, name, flags);
	autofd int to = openat(parent->fd, name, flags);
	if (from < 0 || to < 0)
		return err_sys(e, errno, "open directory %s", name);
	autofree char *path = *parent->path ? xasprintf("%s/%s", parent->path, name) : xstrdup(name);
	return copy_metadata(p, &h->st, from, to, path, e);
}

static int copy_symlink(struct place *p, const struct ovl_hit *h, struct dir *parent, const char *name, struct err *e)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(h->dirfd, name, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(e, errno, "read symlink %s", name);
	target[n] = '\0';
	const struct timespec times[2] = {h->st.st_mtim, h->st.st_mtim};
	if (symlinkat(target, parent->fd, name) < 0 ||
	    fchownat(parent->fd, name, h->st.st_uid, h->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(parent->fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "copy symlink %s", name);
	char at_name[256];
	autostr struct str record = STR_INIT;
	if (!xattr_at_name(name, at_name))
		return 0;
	int r = xattr_get(h->dirfd, at_name, &record, e);
	if (r > 0 && xattr_set(parent->fd, at_name, record.buf, record.len) == 0)
		p->at_records = true;
	return r < 0 ? r : 0;
}

int lower_make(struct place *p, struct dir *parent, const char *name, struct err *e)
{
	const char *canon;
	int r = dirs_canon(&p->dirs, parent, &canon, e);
	if (r < 0 || hidden_here(p, canon))
		return r;
	struct ovl_hit h;
	r = ovl_find(p->lowerfds, p->nlower, canon, name, &h, e);
	if (r <= 0)
		return r;
	autofd int dirfd = h.dirfd;
	(void)dirfd;
	if (S_ISDIR(h.st.st_mode))
		r = copy_dir(p, &h, parent, name, e);
	else if (S_ISLNK(h.st.st_mode))
		r = copy_symlink(p, &h, parent, name, e);
	else
		return err_set(e, EBADMSG, "%s is used as a directory and is a file in a lower layer", name);
	return r < 0 ? err_ctx(e, "lower layer") : 1;
}

static int copy_data(int from, int to, off_t size, struct err *e)
{
	for (off_t left = size; left > 0;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)RL_MIN(left, (off_t)1 << 30), 0);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		left -= n;
		if (left <= 0)
			return 0;
	}
	/* Not between these file systems: by hand, from wherever it stopped. */
	return io_copy_rest(from, to, e);
}

static int copy_regular(struct place *p, const struct ovl_hit *h, struct dir *parent, const char *name, struct err *e)
{
	autofd int from = openat(h->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	autofd int to = openat(parent->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		return err_sys(e, errno, "copy %s", name);
	int r = h->st.st_size ? copy_data(from, to, h->st.st_size, e) : 0;
	return r < 0 ? r : copy_metadata(p, &h->st, from, to, name, e);
}

int lower_copy_file(struct place *p, struct dir *parent, const char *name, struct err *e)
{
	const char *canon;
	int r = dirs_canon(&p->dirs, parent, &canon, e);
	if (r < 0 || hidden_here(p, canon))
		return r;
	struct ovl_hit h;
	r = ovl_find(p->lowerfds, p->nlower, canon, name, &h, e);
	if (r <= 0)
		return r;
	autofd int dirfd = h.dirfd;
	(void)dirfd;
	if (S_ISREG(h.st.st_mode))
		r = copy_regular(p, &h, parent, name, e);
	else if (S_ISLNK(h.st.st_mode))
		r = copy_symlink(p, &h, parent, name, e);
	else
		return err_set(e, EBADMSG, "a hard link to %s, which is neither a file nor a symlink", name);
	dirs_touch(parent);
	return r < 0 ? err_ctx(e, "lower layer") : 1;
}

/* ---- hiding names one by one ---- */

enum { HIDE_DEPTH_MAX = 64 };

/* Hide what directory `fd` of one lower layer shows, in `here`. */
static int hide_names(struct place *p, int fd, int here, unsigned depth, struct err *e)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	autodir DIR *d = own >= 0 ? fdopendir(own) : NULL;
	if (!d)
		return err_sys(e, errno, "read a directory of a lower layer");
	rewinddir(d);
	struct dirent *entry;
	while ((entry = readdir(d))) {
		const char *name = entry->d_name;
		struct stat st;
		if (str_eq(name, ".") || str_eq(name, ".."))
			continue;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || ovl_is_whiteout(&st))
			continue;
		if (mknodat(here, name, S_IFCHR, makedev(0, 0)) == 0)
			continue;
		if (errno != EEXIST)
			return err_sys(e, errno, "hide %s", name);
		const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
		autofd int ours = openat(here, name, flags);
		autofd int theirs = openat(fd, name, flags);
		if (ours < 0 || theirs < 0)
			continue; /* one of them is no directory: ours covers theirs */
		if (xattr_set(ours, XATTR_OVL_OPAQUE, "y", 1) == 0)
			continue;
		if (depth >= HIDE_DEPTH_MAX)
			return err_set(e, ELOOP, "opaque directory too deep");
		int r = hide_names(p, theirs, ours, depth + 1, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int lower_hide(struct place *p, struct dir *dir, struct err *e)
{
	const char *canon;
	int r = dirs_canon(&p->dirs, dir, &canon, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->nlower; i++) {
		bool stop;
		autofd int fd = ovl_walk(p->lowerfds[i], canon, &stop);
		if (fd >= 0)
			r = hide_names(p, fd, dir->fd, 0, e);
		if (r < 0 || stop)
			return r;
	}
	dirs_touch(dir);
	return 0;
}
