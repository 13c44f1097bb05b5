/*
 * build_copy_tree.c - one object copied, and trees of them: what COPY and ADD do once it is known what goes where.
 *
 * Inside a directory that is copied nothing is followed; what stands in the way of something of another kind is replaced,
 * never written through.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/fs.h>

#include "build_copy_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/xattr.h"
#include "rl/model/chmod.h"

mode_t build_copy_mode(const struct copy *c, mode_t mode)
{
	return c->chmod ? chmod_apply(c->chmod, mode, S_ISDIR(mode)) : mode & 07777;
}

/* ---- one object ---- */

/* The owner as a record, where the file system cannot have it. */
static int record_owner(int dirfd, const char *name, uint32_t uid, uint32_t gid, struct err *e)
{
	struct stat st;
	char at_name[256];
	autostr struct str record = STR_INIT;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return err_sys(e, errno, "stat");
	const struct xattr_stat owner = {.uid = uid, .gid = gid, .mode = st.st_mode};
	xattr_record_start(&owner, &record);
	int r = -ENOTSUP;
	if (S_ISLNK(st.st_mode) && xattr_at_name(name, at_name)) {
		r = xattr_set(dirfd, at_name, record.buf, record.len);
	} else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		bool open_it = *name || S_ISDIR(st.st_mode); /* a directory may be a mere place */
		autofd int fd = open_it ? openat(dirfd, *name ? name : ".", O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
		r = xattr_set(open_it ? fd : dirfd, XATTR_STAT, record.buf, record.len);
	}
	return r < 0 ? err_sys(e, -r, "keep owner %u:%u", uid, gid) : 0;
}

int build_copy_set_owner(struct copy *c, int dirfd, const char *name, uint32_t uid, uint32_t gid, struct err *e)
{
	/* Without the map's user namespace a number that does not exist in it may be somebody here. */
	const struct idmap *map = &c->j->b->map;
	bool exists = !c->plain ||
		      (idmap_uid_to_host(map, uid) != IDMAP_UNMAPPED && idmap_gid_to_host(map, gid) != IDMAP_UNMAPPED);
	uint32_t to_uid = c->plain ? idmap_uid_to_host(map, uid) : uid;
	uint32_t to_gid = c->plain ? idmap_gid_to_host(map, gid) : gid;
	if (exists && fchownat(dirfd, name, to_uid, to_gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0)
		return 0;
	int errnum = exists ? errno : EINVAL;
	if (errnum != EINVAL || map->form != IDMAP_SINGLE)
		return err_sys(e, errnum, "owner %u:%u", uid, gid);
	if (build_emulates(c->j->b))
		return record_owner(dirfd, name, uid, gid, e);
	if (!c->warned)
		log_warn("owner %u:%u becomes root's: there is only one user id here", uid, gid);
	c->warned = true;
	return 0;
}

/* Where owners are kept, in *st whom something belongs to: a stage's layers may have it in a record (attr, of fd). */
static void true_owner(const struct copy *c, int fd, const char *attr, struct stat *st)
{
	const struct idmap *map = &c->j->b->map;
	autostr struct str record = STR_INIT;
	struct xattr_stat kept;
	if (!c->keep_owner || c->chown)
		return;
	if (c->plain) {
		st->st_uid = idmap_uid_from_host(map, st->st_uid);
		st->st_gid = idmap_gid_from_host(map, st->st_gid);
	}
	if (map->form == IDMAP_SINGLE && xattr_get(fd, attr, &record, NULL) > 0 &&
	    xattr_record_parse(record.buf, record.len, &kept, NULL) >= 0) {
		st->st_uid = kept.uid;
		st->st_gid = kept.gid;
	}
}

int build_copy_give(struct copy *c, int dirfd, const char *name, const struct stat *st, struct err *e)
{
	uint32_t uid = c->chown ? c->uid : c->keep_owner && st ? st->st_uid : 0;
	uint32_t gid = c->chown ? c->gid : c->keep_owner && st ? st->st_gid : 0;
	return uid || gid ? build_copy_set_owner(c, dirfd, name, uid, gid, e) : 0;
}

/* File capabilities and the like; what the target does not take is left out, as cp does. */
static void copy_xattrs(int from, int to)
{
	char names[4096];
	char value[4096];
	ssize_t n = flistxattr(from, names, sizeof(names));
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		const char *name = names + at;
		if (xattr_is_control(name) || str_after(name, "security.selinux"))
			continue;
		ssize_t len = fgetxattr(from, name, value, sizeof(value));
		if (len >= 0 && fsetxattr(to, name, value, (size_t)len, 0) < 0)
			log_debug(LOG_BUILD, "xattr %s is not copied", name);
	}
}

static int copy_data(struct copy *c, int from, int to, off_t size, struct err *e)
{
	if (size == 0)
		return 0;
	if (size > 65536 && ioctl(to, FICLONE, from) == 0)
		return 0;
	for (;;) {
		ssize_t n = read(from, c->buffer, BUILD_COPY_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read");
		if (n == 0)
			return 0;
		int r = io_write_all(to, c->buffer, (size_t)n, e);
		if (r < 0)
			return r;
	}
}

/* Make room for something that is not a directory. */
int build_copy_make_room(const struct copy *c, int dirfd, const char *name, struct err *e)
{
	if (build_copy_covers_dir(c, dirfd, name))
		return err_set(e, EISDIR, "a directory is in its place");
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR)
		return err_set(e, EISDIR, "a directory is in its place");
	return err_sys(e, errno, "replace what is there");
}

int build_copy_file(struct copy *c, int from, const struct stat *found, int todir, const char *name, struct err *e)
{
	struct stat own = *found;
	const struct stat *st = &own;
	true_owner(c, from, XATTR_STAT, &own);
	mode_t mode = build_copy_mode(c, st->st_mode);
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	/* Without capabilities a file that is read-only to us takes no attributes. */
	mode_t made = (mode & 0777) | (c->plain ? 0600 : 0);
	if (build_copy_covers_dir(c, todir, name))
		return err_set(e, EISDIR, "a directory is in its place");
	autofd int to = openat(todir, name, flags, made);
	if (to < 0 && errno == EEXIST) {
		int r = build_copy_make_room(c, todir, name, e);
		if (r < 0)
			return r;
		to = openat(todir, name, flags, made);
	}
	if (to < 0)
		return err_sys(e, errno, "create");
	int r = copy_data(c, from, to, st->st_size, e);
	if (r == 0)
		r = build_copy_give(c, to, "", st, e);
	if (r < 0)
		return r;
	if (c->plain)
		copy_xattrs(from, to);
	/* After the owner: chown takes set-id bits away. */
	if (((mode & 07000) || made != (mode & 0777)) && fchmod(to, mode) < 0)
		return err_sys(e, errno, "mode");
	if (!c->plain)
		copy_xattrs(from, to);
	const struct timespec times[2] = {st->st_mtim, st->st_mtim};
	return futimens(to, times) < 0 ? err_sys(e, errno, "time") : 0;
}

static int copy_link(struct copy *c, int fromdir, const char *from_name, const struct stat *st, int todir,
		     const char *name, struct err *e)
{
	char target[4097];
	ssize_t n = readlinkat(fromdir, from_name, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(e, errno, "readlink");
	target[n] = '\0';
	struct stat own = *st;
	char at_name[256];
	if (xattr_at_name(from_name, at_name))
		true_owner(c, fromdir, at_name, &own);
	int r = build_copy_make_room(c, todir, name, e);
	if (r < 0)
		return r;
	if (symlinkat(target, todir, name) < 0)
		return err_sys(e, errno, "symlink");
	const struct timespec times[2] = {st->st_mtim, st->st_mtim};
	r = build_copy_give(c, todir, name, &own, e);
	if (r == 0 && utimensat(todir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_sys(e, errno, "time");
	return r;
}

static int copy_fifo(struct copy *c, const struct stat *st, int todir, const char *name, struct err *e)
{
	int r = build_copy_make_room(c, todir, name, e);
	if (r < 0)
		return r;
	if (mkfifoat(todir, name, build_copy_mode(c, st->st_mode) & 0777) < 0)
		return err_sys(e, errno, "mkfifo");
	return build_copy_give(c, todir, name, st, e);
}

/* ---- trees ---- */

static char *below(const char *dir, const char *name)
{
	return *dir && !str_eq(dir, ".") ? xasprintf("%s/%s", dir, name) : xstrdup(name);
}

static int copy_entry(struct copy *c, int fromdir, const char *name, const char *path, const char *shown, int todir,
		      struct err *e);

/* What is in `from` into `to`. */
int build_copy_contents(struct copy *c, int from, const char *path, const char *shown, int to, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	if (++c->depth > BUILD_DEPTH_MAX)
		return err_set(e, ELOOP, "directories more than %d deep", BUILD_DEPTH_MAX);
	int r = build_list_dir(from, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		autofree char *inner = below(path, names.items[i]);
		autofree char *inner_shown = below(shown, names.items[i]);
		r = copy_entry(c, from, names.items[i], inner, inner_shown, to, e);
	}
	c->depth--;
	return r;
}

/* Owner, attributes and a mode that lets us in; the true one comes when all is in it. */
static int copy_dir_metadata(struct copy *c, int from, const struct stat *st, int to, struct err *e)
{
	if (c->plain && fchmod(to, 0700) < 0)
		return err_sys(e, errno, "mode");
	int r = build_copy_give(c, to, "", st, e);
	if (r == 0 && fchmod(to, build_copy_mode(c, st->st_mode) | (c->plain ? 0700 : 0)) < 0)
		r = err_sys(e, errno, "mode");
	if (r == 0)
		copy_xattrs(from, to);
	return r;
}

static int copy_dir(struct copy *c, int fromdir, const char *name, const char *path, const char *shown, int todir,
		    struct err *e)
{
	struct stat st;
	autofd int from = openat(fromdir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return err_sys(e, errno, "open");
	if (mkdirat(todir, name, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkdir");
	/* A symlink there that leads to a directory is replaced, not followed. */
	autofd int to = openat(todir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0 && (errno == ENOTDIR || errno == ELOOP)) {
		int r = build_copy_make_room(c, todir, name, e);
		if (r < 0)
			return r;
		if (mkdirat(todir, name, 0700) < 0)
			return err_sys(e, errno, "mkdir");
		to = openat(todir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (to < 0)
		return err_sys(e, errno, "open the new directory");
	true_owner(c, from, XATTR_STAT, &st);
	int r = copy_dir_metadata(c, from, &st, to, e);
	if (r == 0)
		r = build_copy_contents(c, from, path, shown, to, e);
	if (r == 0 && c->plain && fchmod(to, build_copy_mode(c, st.st_mode)) < 0)
		r = err_sys(e, errno, "mode");
	const struct timespec times[2] = {st.st_mtim, st.st_mtim};
	if (r == 0 && futimens(to, times) < 0)
		r = err_sys(e, errno, "time");
	return r;
}

static int copy_entry(struct copy *c, int fromdir, const char *name, const char *path, const char *shown, int todir,
		      struct err *e)
{
	struct stat st;
	if (fstatat(fromdir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "%s", path);
	bool is_dir = S_ISDIR(st.st_mode);
	if (build_is_left_out(c->ignore, path, is_dir) || build_is_left_out(c->exclude, shown, is_dir))
		return 0;
	int r = 0;
	if (is_dir)
		return copy_dir(c, fromdir, name, path, shown, todir, e);
	if (S_ISREG(st.st_mode)) {
		autofd int from = openat(fromdir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		r = from < 0 ? err_sys(e, errno, "read") : build_copy_file(c, from, &st, todir, name, e);
	} else if (S_ISLNK(st.st_mode)) {
		r = copy_link(c, fromdir, name, &st, todir, name, e);
	} else if (S_ISFIFO(st.st_mode)) {
		r = copy_fifo(c, &st, todir, name, e);
	} else {
		log_debug(LOG_BUILD, "%s is a device or a socket and left out", path);
	}
	return r < 0 ? err_ctx(e, "%s", path) : 0;
}
