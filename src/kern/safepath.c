/*
 * safepath.c - see safepath.h.
 *
 * Theory: the kernel's own resolution (openat2) is the first choice, one system call and atomic; it answers -EAGAIN
 * when renames anywhere on the machine made it unsure about a "..", which is tried again a few times and then left to
 * the component walk of safepath_walk.c. The walk is also taken where openat2 is missing (-ENOSYS, or -EPERM from
 * filters written before it existed; a real -EPERM comes out of the walk again) and where directories have to be made.
 *
 * Whatever is created is created with a plain name in a directory that we hold: exclusively for files, and opened again
 * without following, so that a component swapped by the payload ends in an error and never outside.
 */
#include "rl/kern/safepath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "safepath_int.h"

enum { AGAIN_MAX = 32, PARENT_MODE = 0755 };

static int resolve(int rootfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	if (flags & O_CREAT)
		how.flags |= O_NOFOLLOW;
	int fd;
	int attempt = 0;
	do
		fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && attempt++ < AGAIN_MAX)));
	if (fd >= 0)
		return fd;
	if (errno == ENOSYS || errno == EPERM || errno == EAGAIN)
		return safepath_walk_open(rootfd, path, (int)how.flags, mode);
	return -errno;
}

int safepath_open(int rootfd, const char *path, int flags, mode_t mode, struct err *e)
{
	int fd = resolve(rootfd, path, flags, mode);
	if (fd < 0)
		return err_sys(e, -fd, "open %s in the container's root", path);
	return fd;
}

int safepath_locate(int rootfd, const char *path, struct err *e)
{
	int fd = resolve(rootfd, path, O_PATH, 0);
	if (fd < 0)
		return err_sys(e, -fd, "find %s in the container's root", path);
	return fd;
}

static int mkdirs(int rootfd, const char *path, mode_t mode)
{
	int fd = resolve(rootfd, path, O_PATH | O_DIRECTORY, 0);
	return fd == -ENOENT ? safepath_walk_mkdirs(rootfd, path, mode) : fd;
}

int safepath_mkdirs(int rootfd, const char *path, mode_t mode, struct err *e)
{
	int fd = mkdirs(rootfd, path, mode);
	if (fd == -ELOOP)
		return err_set(e, ELOOP,
			       "%s in the container's root leads through a symlink to something that cannot "
			       "be made or is not there",
			       path);
	if (fd < 0)
		return err_sys(e, -fd, "make directory %s in the container's root", path);
	return fd;
}

/* The directory that holds the last component, and its name. Parents are made if `make`. A path that ends in "/", "."
 * or ".." names no component that could be made: -EINVAL. */
static int open_parent(int rootfd, const char *path, bool make, char ret_name[NAME_MAX + 1])
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (strlen(name) > NAME_MAX || (slash && slash - path >= PATH_MAX))
		return -ENAMETOOLONG;
	autofree char *dir = slash && slash > path ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/");
	int fd = make ? mkdirs(rootfd, dir, PARENT_MODE) : resolve(rootfd, dir, O_PATH | O_DIRECTORY, 0);
	if (fd >= 0)
		memcpy(ret_name, name, strlen(name) + 1);
	return fd;
}

static int check_kind(int fd, const char *path, bool dir, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s in the container's root", path);
	if (S_ISLNK(st.st_mode))
		return err_set(e, ELOOP, "%s in the container's root is a symlink to something that is not there",
			       path);
	if (dir && !S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR,
			       "%s in the container's root is not a directory, but what is mounted on it is", path);
	if (!dir && S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "%s in the container's root is a directory, but what is mounted on it is not",
			       path);
	return 0;
}

static int make_mountpoint(int rootfd, const char *path, bool dir, mode_t mode, struct err *e)
{
	char name[NAME_MAX + 1];
	autofd int parent = open_parent(rootfd, path, true, name);
	if (parent == -EINVAL && dir)
		return safepath_mkdirs(rootfd, path, mode, e); /* "a/b/" */
	if (parent < 0)
		return err_sys(e, -parent, "make the directory of %s in the container's root", path);
	int r = dir ? mkdirat(parent, name, mode)
		    : openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
	if (r < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s in the container's root", path);
	if (r >= 0 && !dir)
		close(r);
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "find %s in the container's root", path);
	return fd;
}

int safepath_mountpoint(int rootfd, const char *path, bool dir, mode_t mode, struct err *e)
{
	autofd int fd = resolve(rootfd, path, O_PATH, 0);
	if (fd == -ENOENT) {
		int made = make_mountpoint(rootfd, path, dir, mode, e);
		if (made < 0)
			return made;
		fd = made;
	}
	if (fd < 0)
		return err_sys(e, -fd, "find %s in the container's root", path);
	int r = check_kind(fd, path, dir, e);
	return r < 0 ? r : take_fd(&fd);
}

int safepath_write_file(int rootfd, const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	char name[NAME_MAX + 1];
	autofd int parent = open_parent(rootfd, path, true, name);
	if (parent < 0)
		return err_sys(e, -parent, "write %s in the container's root", path);
	/* Whatever the image has there (symlink, fifo, device, hard link) is replaced and never written to. */
	char temporary[32] = ".rl-";
	io_random_hex(8, temporary + 4);
	autofd int fd = openat(parent, temporary, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "write %s in the container's root", path);
	int r = io_write_all(fd, data, len, e);
	if (r < 0)
		r = err_ctx(e, "%s in the container's root", path);
	else if (fchmod(fd, mode) < 0 || renameat(parent, temporary, parent, name) < 0)
		r = err_sys(e, errno, "write %s in the container's root", path);
	if (r < 0)
		unlinkat(parent, temporary, 0);
	return r;
}

static int require_regular(int fd, const char *path, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s in the container's root", path);
	if (S_ISDIR(st.st_mode))
		return err_sys(e, EISDIR, "read %s in the container's root", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s in the container's root is not a regular file", path);
	return 0;
}

int safepath_read_file(int rootfd, const char *path, size_t max, struct str *out, struct err *e)
{
	/* Looked at before it is opened for reading: opening a device may do something. */
	autofd int there = safepath_locate(rootfd, path, e);
	if (there < 0)
		return there;
	int r = require_regular(there, path, e);
	if (r < 0)
		return r;
	autofd int fd = safepath_open(rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, e);
	if (fd < 0)
		return fd;
	r = require_regular(fd, path, e);
	return r < 0 ? r : io_read_rest(fd, max, path, out, e);
}

int safepath_symlink(int rootfd, const char *target, const char *path, struct err *e)
{
	char name[NAME_MAX + 1];
	autofd int parent = open_parent(rootfd, path, false, name);
	if (parent < 0)
		return err_sys(e, -parent, "make symlink %s in the container's root", path);
	if (symlinkat(target, parent, name) < 0)
		return err_sys(e, errno, "make symlink %s in the container's root", path);
	return 0;
}

void safepath_fd_path(int fd, char ret[32])
{
	snprintf(ret, 32, "/proc/self/fd/%d", fd);
}
