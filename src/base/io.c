/*
 * io.c - see io.h.
 *
 * Failure policy: what a function made and could not finish it removes again (io_replace_file's temporary name), and
 * what it only read or locked it leaves to the caller. Removing a tree is the one place with a strategy of its own,
 * described above it.
 */
#include "rl/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"

int io_write_all(int fd, const void *data, size_t len, struct err *e)
{
	const char *p = data;
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, errno, "write");
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t io_read_full(int fd, void *data, size_t len, struct err *e)
{
	char *p = data;
	size_t got = 0;
	while (got < len) {
		ssize_t n = read(fd, p + got, len - got);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, errno, "read");
		}
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int io_copy_rest(int from, int to, struct err *e)
{
	enum { CHUNK = 128 * 1024 };
	autofree char *buf = xmalloc(CHUNK);
	for (;;) {
		ssize_t n = io_read_full(from, buf, CHUNK, e);
		if (n <= 0)
			return (int)n;
		int r = io_write_all(to, buf, (size_t)n, e);
		if (r < 0)
			return r;
	}
}

int io_read_rest(int fd, size_t max, const char *what, struct str *out, struct err *e)
{
	size_t start = out->len;
	for (;;) {
		size_t chunk = RL_MAX((size_t)4096, RL_MIN((size_t)1 << 20, out->size));
		str_reserve(out, chunk);
		ssize_t n = read(fd, out->buf + out->len, chunk);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, errno, "read %s", what);
		}
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		out->buf[out->len] = '\0';
		if (out->len - start > max)
			return err_set(e, EFBIG, "%s is larger than %zu bytes", what, max);
	}
}

/* As long as the file was when it was opened: its end is not asked for. Less is there in /sys. */
static int read_sized(int fd, size_t size, const char *what, struct str *out, struct err *e)
{
	str_reserve(out, size + 1);
	ssize_t n = io_read_full(fd, out->buf + out->len, size, e);
	if (n < 0)
		return err_ctx(e, "%s", what), (int)n;
	out->len += (size_t)n;
	out->buf[out->len] = '\0';
	return 0;
}

int io_read_file(int dirfd, const char *path, size_t max, struct str *out, struct err *e)
{
	/* O_NONBLOCK: a fifo in a place we read configuration from must not hang us. */
	autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	if (S_ISDIR(st.st_mode))
		return err_sys(e, EISDIR, "read %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", path);
	if (st.st_size <= 0 || (size_t)st.st_size > max)
		return io_read_rest(fd, max, path, out, e);
	return read_sized(fd, (size_t)st.st_size, path, out, e);
}

int io_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	autofd int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(e, errno, "create %s", path);
	int r = io_write_all(fd, data, len, e);
	if (r < 0)
		(void)err_ctx(e, "%s", path);
	return r;
}

int io_replace_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode, bool durable, struct err *e)
{
	char suffix[17];
	io_random_hex(8, suffix);
	autofree char *temporary = xasprintf("%s.%s.tmp", path, suffix);
	autofd int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(e, errno, "create %s", temporary);
	int r = io_write_all(fd, data, len, e);
	if (r < 0)
		(void)err_ctx(e, "%s", path);
	else if (durable && fsync(fd) < 0)
		r = err_sys(e, errno, "sync %s", path);
	else if (renameat(dirfd, temporary, dirfd, path) < 0)
		r = err_sys(e, errno, "rename to %s", path);
	if (r < 0)
		unlinkat(dirfd, temporary, 0);
	return r;
}

/* mkdir, and a directory (or a symlink to one) that is there already is success; anything else there is not. */
static int make_dir(int dirfd, const char *path, mode_t mode)
{
	struct stat st;
	if (mkdirat(dirfd, path, mode) == 0)
		return 0;
	int errnum = errno;
	if (errnum != EEXIST)
		return -errnum;
	if (fstatat(dirfd, path, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int io_rename_new(int olddir, const char *oldname, int newdir, const char *newname)
{
	struct stat st;
	if (renameat2(olddir, oldname, newdir, newname, RENAME_NOREPLACE) == 0)
		return 0;
	if ((errno != EINVAL && errno != ENOSYS) || fstatat(olddir, oldname, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		return linkat(olddir, oldname, newdir, newname, 0) < 0 ? -1 : unlinkat(olddir, oldname, 0);
	if (renameat(olddir, oldname, newdir, newname) == 0)
		return 0;
	if (errno == ENOTEMPTY)
		errno = EEXIST;
	return -1;
}

int io_mkdirs(int dirfd, const char *path, mode_t mode, struct err *e)
{
	int r = make_dir(dirfd, path, mode);
	if (r == 0)
		return 0;
	if (r != -ENOENT)
		return err_sys(e, -r, "mkdir %s", path);
	autofree char *part = xstrdup(path);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		r = make_dir(dirfd, part, mode);
		if (r < 0)
			return err_sys(e, -r, "mkdir %s", part);
		*p = '/';
	}
	r = make_dir(dirfd, path, mode);
	if (r < 0)
		return err_sys(e, -r, "mkdir %s", path);
	return 0;
}

int io_list_dir(int dirfd, struct strv *out, struct err *e)
{
	int scan = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scan < 0)
		return err_sys(e, errno, "read the directory");
	autodir DIR *d = fdopendir(scan);
	if (!d) {
		int errnum = errno;
		close(scan);
		return err_sys(e, errnum, "read the directory");
	}
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(d);
		if (!entry)
			return errno ? err_sys(e, errno, "read the directory") : 0;
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			strv_add(out, entry->d_name);
	}
}

int io_open_dir(int dirfd, const char *path, bool create, mode_t mode, struct err *e)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT || !create)
		return err_sys(e, errno, "open directory %s", path);
	int r = io_mkdirs(dirfd, path, mode, e);
	if (r < 0)
		return r;
	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open directory %s", path);
	return fd;
}

/* Removing a tree: each level holds one descriptor, so subdirectories of very deep (hostile) trees are moved up to the
 * top before descending further. Permission bits are widened only where a call failed for them, and each call is tried
 * again only once: a directory that cannot be changed fails at once, however deep it lies. */
enum { REMOVE_DEPTH_MAX = 64 };

/* chmod 0700 of a directory of ours that is in the way; never of what a symlink put in its place points to. */
static bool widen(int dirfd, const char *name)
{
	int saved_errno = errno;
	char proc[64];
	autofd int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	bool done = fd >= 0 && chmod(proc, 0700) == 0;
	/* What is reported is why the directory was in the way, not why it could not be changed. */
	errno = saved_errno;
	return done;
}

static int unlink_widening(int dirfd, const char *name, int flags)
{
	if (unlinkat(dirfd, name, flags) == 0)
		return 0;
	int r = -errno;
	if (r == -EACCES && fchmod(dirfd, 0700) == 0)
		r = unlinkat(dirfd, name, flags) == 0 ? 0 : -errno;
	return r;
}

static int move_up(int dirfd, const char *name, int topfd, struct err *e)
{
	char unique[2 * 8 + 4];
	io_random_hex(8, unique);
	memcpy(unique + 16, ".rm", 4);
	if (renameat(dirfd, name, topfd, unique) == 0)
		return 0;
	/* Moving a directory changes its "..", so it has to be writable itself. */
	int r = -errno;
	if (r == -EACCES && widen(dirfd, name) && fchmod(dirfd, 0700) == 0 && fchmod(topfd, 0700) == 0)
		r = renameat(dirfd, name, topfd, unique) == 0 ? 0 : -errno;
	return r < 0 ? err_sys(e, -r, "move %s out of a deep tree", name) : 0;
}

static int remove_children(int dirfd, const char *path, int topfd, unsigned depth, struct err *e);

/* What NFS and FUSE make of a file that is removed while somebody has it open. Removed again it only gets another such name;
 * it goes by itself when it is closed. */
static bool is_silly_name(const char *name)
{
	return str_after(name, ".nfs") || str_after(name, ".fuse_hidden");
}

static bool has_silly_names_only(int dirfd, const char *path)
{
	autofd int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autostrv struct strv names = STRV_INIT;
	if (fd < 0 || io_list_dir(fd, &names, NULL) < 0)
		return false;
	for (size_t i = 0; i < names.count; i++)
		if (!is_silly_name(names.items[i]))
			return false;
	return names.count > 0;
}

/* is_dir: it was one when the directory was read, which saves asking; nothing is believed because of it. */
static int remove_entry(int dirfd, const char *name, bool is_dir, int topfd, unsigned depth, struct err *e)
{
	int r = is_dir ? -EISDIR : unlink_widening(dirfd, name, 0);
	if (r == 0 || r == -ENOENT)
		return 0;
	if (r != -EISDIR && r != -EPERM)
		return err_sys(e, -r, "remove %s", name);
	int as_file = r;
	r = unlink_widening(dirfd, name, AT_REMOVEDIR);
	if (r == 0 || r == -ENOENT)
		return 0;
	if (r == -ENOTDIR && is_dir)
		return remove_entry(dirfd, name, false, topfd, depth, e);
	if (r == -ENOTDIR)
		return err_sys(e, -as_file, "remove %s", name);
	if (r != -ENOTEMPTY && r != -EEXIST)
		return err_sys(e, -r, "remove directory %s", name);
	if (depth >= REMOVE_DEPTH_MAX)
		return move_up(dirfd, name, topfd, e); /* the top level meets it again */
	r = remove_children(dirfd, name, topfd, depth + 1, e);
	if (r < 0)
		return r;
	r = unlink_widening(dirfd, name, AT_REMOVEDIR);
	if (r < 0 && r != -ENOENT)
		return err_sys(e, -r, "remove directory %s", name);
	return 0;
}

static int remove_children(int dirfd, const char *path, int topfd, unsigned depth, struct err *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(dirfd, path, flags);
	if (fd < 0 && errno == EACCES && widen(dirfd, path))
		fd = openat(dirfd, path, flags);
	if (fd < 0)
		return err_sys(e, errno, "open directory %s", path);
	autodir DIR *d = fdopendir(fd);
	if (!d) {
		int errnum = errno;
		close(fd);
		return err_sys(e, errnum, "open directory %s", path);
	}
	/* Only the top directory is read again: what move_up adds to it may come before the place readdir is at. */
	bool is_top = topfd < 0;
	bool again;
	do {
		again = false;
		rewinddir(d);
		struct dirent *entry;
		while ((entry = readdir(d))) {
			if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..") || is_silly_name(entry->d_name))
				continue;
			int r = remove_entry(fd, entry->d_name, entry->d_type == DT_DIR, is_top ? fd : topfd, depth, e);
			if (r < 0)
				return r;
			again = is_top;
		}
	} while (again);
	return 0;
}

int io_remove_tree(int dirfd, const char *path, struct err *e)
{
	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	int as_file = errno;
	if (unlinkat(dirfd, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR)
		return err_sys(e, as_file, "remove %s", path);
	if (errno != ENOTEMPTY && errno != EEXIST)
		return err_sys(e, errno, "remove directory %s", path);
	int r = remove_children(dirfd, path, -1, 0, e);
	if (r < 0) {
		(void)err_ctx(e, "remove %s", path);
		return r;
	}
	if (unlinkat(dirfd, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == ENOTEMPTY && has_silly_names_only(dirfd, path) ? 0
								       : err_sys(e, errno, "remove directory %s", path);
}

static int lock_fd(int fd, int operation, struct err *e)
{
	while (flock(fd, operation) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EWOULDBLOCK)
			return 0;
		if (errno == ENOLCK || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS) {
			log_debug(LOG_STORE, "this file system has no locks: %s", strerrorname_np(errno));
			return 1;
		}
		return err_sys(e, errno, "lock");
	}
	return 1;
}

bool io_can_lock(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK || errno == EINTR;
	(void)!flock(fd, LOCK_UN);
	return true;
}

int io_lock(int fd, bool exclusive, struct err *e)
{
	int r = lock_fd(fd, exclusive ? LOCK_EX : LOCK_SH, e);
	return r < 0 ? r : 0;
}

int io_try_lock(int fd, bool exclusive, struct err *e)
{
	return lock_fd(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB, e);
}

void io_random(void *data, size_t len)
{
	char *p = data;
	while (len) {
		ssize_t n = getrandom(p, len, 0);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			log_line("getrandom: %s", strerrordesc_np(errno));
			_exit(EXIT_RL_FAILED);
		}
		p += n;
		len -= (size_t)n;
	}
}

void io_hex(const void *data, size_t n, char *ret_hex)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	for (size_t i = 0; i < n; i++) {
		ret_hex[2 * i] = digits[p[i] >> 4];
		ret_hex[2 * i + 1] = digits[p[i] & 15];
	}
	ret_hex[2 * n] = '\0';
}

void io_random_hex(size_t n, char *ret_hex)
{
	unsigned char raw[64];
	n = RL_MIN(n, sizeof(raw));
	io_random(raw, n);
	io_hex(raw, n, ret_hex);
}

int io_close_from(int first, struct err *e)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0)
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return err_sys(e, errno, "close_range");
	/* Linux before 5.9, or a seccomp filter that does not know the call: walk our own list. */
	autodir DIR *d = opendir("/proc/self/fd");
	if (!d)
		return err_sys(e, errno, "open /proc/self/fd");
	struct dirent *entry;
	while ((entry = readdir(d))) {
		int fd = -1;
		if (sscanf(entry->d_name, "%d", &fd) == 1 && fd >= first && fd != dirfd(d))
			close(fd);
	}
	return 0;
}

int io_move_high(int fd, struct err *e)
{
	if (fd > 2)
		return fd;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (high < 0)
		return err_sys(e, errno, "dup");
	close(fd);
	return high;
}

int io_set_cloexec(int fd, bool on, struct err *e)
{
	if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0)
		return err_sys(e, errno, "set close-on-exec");
	return 0;
}

int io_set_nonblock(int fd, bool on, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		return err_sys(e, errno, "set O_NONBLOCK");
	return 0;
}
