/*
 * ovl.c - see ovl.h.
 */
#include "rl/kern/ovl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/kern/xattr.h"

bool ovl_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

bool ovl_is_opaque(int dirfd)
{
	char value[2];
	return fgetxattr(dirfd, XATTR_OVL_OPAQUE, value, sizeof(value)) == 1 && value[0] == 'y';
}

int ovl_walk(int layerfd, const char *path, bool *ret_stop)
{
	*ret_stop = false;
	autofd int fd = openat(layerfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *p = path; fd >= 0 && *p;) {
		size_t n = strcspn(p, "/");
		char name[NAME_MAX + 1];
		if (n > NAME_MAX)
			return -1;
		memcpy(name, p, n);
		name[n] = '\0';
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0) {
			/* Anything but "not there" covers what lies below: a whiteout, a file, a symlink. */
			*ret_stop |= errno != ENOENT;
			return -1;
		}
		close(fd);
		fd = next;
		*ret_stop |= ovl_is_opaque(fd);
		p += n;
		p += *p == '/';
	}
	return take_fd(&fd);
}

int ovl_find(const int *layerfds, size_t n, const char *path, const char *name, struct ovl_hit *ret, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		bool stop;
		autofd int fd = ovl_walk(layerfds[i], path, &stop);
		struct stat st;
		if (fd >= 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (ovl_is_whiteout(&st))
				return 0;
			*ret = (struct ovl_hit){.dirfd = take_fd(&fd), .st = st, .layer = i};
			return 1;
		}
		if (fd >= 0 && errno != ENOENT)
			return err_sys(e, errno, "look up %s in a lower layer", name);
		if (stop)
			return 0;
	}
	return 0;
}
