/*
 * ovl.c - see ovl.h.
 */
#include "rl/kern/ovl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/io.h"
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

/* ---- directories of one path ---- */

void ovl_dirs_free(struct ovl_dirs *s)
{
	for (size_t i = 0; i < s->n; i++)
		close(s->fds[i]);
	free(s->fds);
	*s = (struct ovl_dirs){.n = 0};
}

/* One that may be searched but not read will do until its names are asked for. */
static int open_dir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 && errno == EACCES ? openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : fd;
}

int ovl_dirs_open(const int *layerfds, size_t n, struct ovl_dirs *ret, struct err *e)
{
	*ret = (struct ovl_dirs){.fds = xcalloc(n + 1, sizeof(int))};
	for (size_t i = 0; i < n; i++) {
		int fd = open_dir(layerfds[i], ".");
		if (fd < 0)
			return err_sys(e, errno, "open a layer");
		ret->fds[ret->n++] = fd;
	}
	return 0;
}

int ovl_dirs_descend(const struct ovl_dirs *s, const char *name, struct ovl_dirs *ret, struct err *e)
{
	*ret = (struct ovl_dirs){.fds = xcalloc(s->n + 1, sizeof(int))};
	for (size_t i = 0; i < s->n; i++) {
		int fd = open_dir(s->fds[i], name);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
			return 0;
		if (fd < 0)
			return err_sys(e, errno, "open directory %s", name);
		ret->fds[ret->n++] = fd;
		ret->is_opaque = ovl_is_opaque(fd);
		if (ret->is_opaque)
			return 0;
	}
	return 0;
}

int ovl_dirs_look(const struct ovl_dirs *s, const char *name, struct stat *ret, struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		if (fstatat(s->fds[i], name, ret, AT_SYMLINK_NOFOLLOW) == 0)
			return !ovl_is_whiteout(ret);
		if (errno != ENOENT)
			return err_sys(e, errno, "look up %s", name);
	}
	return 0;
}

int ovl_dirs_names(const struct ovl_dirs *s, struct strv *out, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < s->n && r >= 0; i++)
		r = io_list_dir(s->fds[i], out, e);
	return r;
}
