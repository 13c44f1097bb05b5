#include "rl/kern/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"

static int check_procfs(int fd, struct err *e)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return err_sys(e, errno, "statfs of procfs");
	if (fs.f_type != PROC_SUPER_MAGIC)
		return err_set(e, EINVAL, "what is mounted on /proc is not procfs");
	return 0;
}

int procfs_private(struct err *e)
{
	autofd int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_sys(e, errno, "open a procfs");
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, errno, "make a procfs");
	int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "make a procfs");
	return fd;
}

int procfs_outer(struct err *e)
{
	autofd int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open /proc");
	int r = check_procfs(fd, e);
	return r < 0 ? r : take_fd(&fd);
}

/* "self/x" -> "123/x": self is a symlink, and its number is the one this instance knows us by. */
static int replace_self(int procfd, const char *path, char *ret, size_t size)
{
	static const char *const selves[] = {"self", "thread-self"};
	snprintf(ret, size, "%s", path);
	for (size_t i = 0; i < ARRAY_SIZE(selves); i++) {
		const char *rest = str_after(path, selves[i]);
		char text[64];
		if (!rest || (*rest != '\0' && *rest != '/'))
			continue;
		ssize_t n = readlinkat(procfd, selves[i], text, sizeof(text) - 1);
		if (n < 0)
			return -errno;
		text[n] = '\0';
		snprintf(ret, size, "%s%s", text, rest);
		return 0;
	}
	return 0;
}

/* Without openat2: every component but the last is a directory, none is a link, all lie on the one file system. */
static int walk(int procfd, const char *path, int flags)
{
	struct stat top;
	struct stat st;
	if (fstat(procfd, &top) < 0)
		return -errno;
	autofd int cur = -1;
	for (const char *p = path;;) {
		size_t len = strcspn(p, "/");
		char name[NAME_MAX + 1];
		if (len == 0 || len > NAME_MAX)
			return -EINVAL;
		memcpy(name, p, len);
		name[len] = '\0';
		if (str_eq(name, ".."))
			return -EXDEV;
		bool last = p[len] == '\0';
		int fd = openat(cur >= 0 ? cur : procfd, name,
				(last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		close_fd(&cur);
		cur = fd;
		if (fstat(cur, &st) < 0)
			return -errno;
		if (st.st_dev != top.st_dev)
			return -EXDEV;
		if (last)
			return take_fd(&cur);
		p += len + 1;
	}
}

int procfs_open(int procfd, const char *path, int flags, struct err *e)
{
	char real[PATH_MAX];
	int r = check_procfs(procfd, e);
	if (r < 0)
		return r;
	if (*path == '/' || strlen(path) >= sizeof(real) - 64)
		return err_set(e, EINVAL, "procfs: bad path %s", path);
	r = replace_self(procfd, path, real, sizeof(real));
	if (r < 0)
		return err_sys(e, -r, "find ourselves in procfs");
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd;
	do
		fd = (int)syscall(SYS_openat2, procfd, real, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0)
		fd = errno == ENOSYS || errno == EPERM ? walk(procfd, real, flags) : -errno;
	if (fd < 0)
		return err_sys(e, -fd, "open /proc/%s", path);
	return fd;
}

int procfs_write(int procfd, const char *path, const char *value, struct err *e)
{
	autofd int fd = procfs_open(procfd, path, O_WRONLY, e);
	if (fd < 0)
		return fd;
	size_t len = strlen(value);
	ssize_t n = write(fd, value, len);
	if (n != (ssize_t)len)
		return err_sys(e, n < 0 ? errno : EIO, "write \"%s\" to /proc/%s", value, path);
	return 0;
}
