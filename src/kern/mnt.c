/*
 * mnt.c - the mount system calls, by descriptor.
 *
 * Each public function first tries the descriptor-based calls (Linux 5.2, mount_setattr 5.12). They can be missing in
 * two ways: ENOSYS from an old kernel, and EPERM or ENOSYS from an outer container's seccomp filter that does not know
 * them. Only ENOSYS falls back at once; EPERM falls back once to mount(2), whose verdict is then the one reported,
 * because a genuine refusal (locked mount, masked procfs) is given by both.
 */
#include "rl/kern/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"

static int sys_fsopen(const char *fstype)
{
	return (int)syscall(SYS_fsopen, fstype, FSOPEN_CLOEXEC);
}

static int sys_fsconfig(int fd, unsigned cmd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fd, cmd, key, value, 0);
}

static int sys_fsmount(int fd, unsigned attrs)
{
	return (int)syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attrs);
}

static int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dirfd, path, flags);
}

static int sys_move_mount(int from, int to)
{
	return (int)syscall(SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int sys_mount_setattr(int fd, unsigned flags, struct mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, attr, sizeof(*attr));
}

static bool is_missing(int errnum)
{
	return errnum == ENOSYS || errnum == EPERM;
}

static void fd_path(int fd, char path[32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
}

/* mount(2)'s flags for our attributes. */
static unsigned long old_flags(unsigned attrs)
{
	unsigned long flags = 0;
	if (attrs & MNT_RDONLY)
		flags |= MS_RDONLY;
	if (attrs & MNT_NOSUID)
		flags |= MS_NOSUID;
	if (attrs & MNT_NODEV)
		flags |= MS_NODEV;
	if (attrs & MNT_NOEXEC)
		flags |= MS_NOEXEC;
	if (attrs & MNT_NOATIME)
		flags |= MS_NOATIME;
	if (attrs & MNT_STRICTATIME)
		flags |= MS_STRICTATIME;
	if (attrs & MNT_NODIRATIME)
		flags |= MS_NODIRATIME;
	return flags;
}

/* After mount(2) on a path, the path still names what is below the mount: reopen it to get the mount's root. */
static int reopen_target(int targetfd, struct err *e)
{
	char path[32];
	fd_path(targetfd, path);
	char real[4096];
	ssize_t n = readlink(path, real, sizeof(real) - 1);
	if (n < 0)
		return err_sys(e, errno, "readlink %s", path);
	real[n] = '\0';
	int fd = open(real, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "open %s", real);
	return fd;
}

static int set_options(int fsfd, const char *options)
{
	if (!options)
		return 0;
	autofree char *copy = xstrdup(options);
	for (char *word = copy; word && *word;) {
		char *next = strchr(word, ',');
		if (next)
			*next++ = '\0';
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		int r = value ? sys_fsconfig(fsfd, FSCONFIG_SET_STRING, word, value)
			      : sys_fsconfig(fsfd, FSCONFIG_SET_FLAG, word, NULL);
		if (r < 0)
			return -1;
		word = next;
	}
	return 0;
}

/* The kernel leaves its reason in the file system context; worth more than an errno. */
static void read_fs_message(int fsfd, char *text, size_t size)
{
	text[0] = '\0';
	ssize_t n = read(fsfd, text, size - 1);
	if (n <= 2) {
		text[0] = '\0';
		return;
	}
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	memmove(text, text + 2, strlen(text + 2) + 1); /* "e " in front */
}

int mnt_new(const char *fstype, const char *options, unsigned attrs, int targetfd, struct err *e)
{
	return mnt_new_from(fstype, NULL, options, attrs, targetfd, e);
}

int mnt_new_from(const char *fstype, const char *source, const char *options, unsigned attrs, int targetfd,
		 struct err *e)
{
	if (!source)
		source = fstype;
	char message[256] = "";
	autofd int fsfd = sys_fsopen(fstype);
	if (fsfd >= 0) {
		autofd int fd = -1;
		if (sys_fsconfig(fsfd, FSCONFIG_SET_STRING, "source", source) == 0 && set_options(fsfd, options) == 0 &&
		    sys_fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL) == 0 && (fd = sys_fsmount(fsfd, attrs)) >= 0 &&
		    sys_move_mount(fd, targetfd) == 0)
			return take_fd(&fd);
		int errnum = errno;
		read_fs_message(fsfd, message, sizeof(message));
		if (!is_missing(errnum))
			return err_sys(e, errnum, "mount %s%s%s", fstype, message[0] ? ": " : "", message);
	} else if (!is_missing(errno)) {
		return err_sys(e, errno, "mount %s", fstype);
	}
	char path[32];
	fd_path(targetfd, path);
	if (mount(source, path, fstype, old_flags(attrs), options) < 0)
		return err_sys(e, errno, "mount %s%s%s", fstype, message[0] ? ": " : "", message);
	return reopen_target(targetfd, e);
}

int mnt_new_detached(const char *fstype, unsigned attrs, struct err *e)
{
	autofd int fsfd = sys_fsopen(fstype);
	if (fsfd < 0 || sys_fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
		return err_sys(e, errno, "make a %s file system", fstype);
	int fd = sys_fsmount(fsfd, attrs);
	return fd < 0 ? err_sys(e, errno, "make a %s mount", fstype) : fd;
}

int mnt_setattr(int fd, bool recursive, unsigned set, unsigned clear, struct err *e)
{
	if (!set && !clear)
		return 0;
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear};
	if (set & (MNT_NOATIME | MNT_STRICTATIME))
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	if (sys_mount_setattr(fd, recursive ? AT_RECURSIVE : 0, &attr) == 0)
		return 0;
	if (!is_missing(errno))
		return err_sys(e, errno, "mount_setattr");
	int errnum = errno;
	if (recursive && errnum == ENOSYS)
		log_debug(LOG_MNT, "no mount_setattr here: attributes are not applied to mounts below");
	char path[32];
	fd_path(fd, path);
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | old_flags(set), NULL) < 0)
		return err_sys(e, errno, "remount with new attributes");
	return 0;
}

int mnt_bind(int sourcefd, const char *source, bool recursive, unsigned set, unsigned clear, int targetfd,
	     struct err *e)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u);
	autofd int fd = sys_open_tree(sourcefd, source, flags);
	if (fd >= 0) {
		int r = mnt_setattr(fd, recursive, set, clear, e);
		if (r < 0)
			return r;
		if (sys_move_mount(fd, targetfd) == 0)
			return take_fd(&fd);
	}
	if (!is_missing(errno)) {
		int r = err_sys(e, errno, "bind mount%s%s", *source ? " " : "", source);
		if (r == -EINVAL && !recursive)
			err_hint(e,
				 "in a user namespace a directory with mounts below it can only be bound recursively");
		return r;
	}
	close_fd(&fd);
	char from[32];
	autofd int opened = openat(sourcefd, source, O_PATH | O_CLOEXEC);
	int pathfd = *source ? opened : sourcefd;
	if (pathfd < 0)
		return err_sys(e, errno, "open %s", source);
	fd_path(pathfd, from);
	char to[32];
	fd_path(targetfd, to);
	if (mount(from, to, NULL, MS_BIND | (recursive ? MS_REC : 0), NULL) < 0)
		return err_sys(e, errno, "bind mount%s%s", *source ? " " : "", source);
	autofd int mounted = reopen_target(targetfd, e);
	if (mounted < 0)
		return mounted;
	int r = mnt_setattr(mounted, recursive, set, clear, e);
	return r < 0 ? r : take_fd(&mounted);
}

int mnt_copy(int sourcefd, unsigned set, struct err *e)
{
	autofd int fd = sys_open_tree(sourcefd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (fd < 0)
		return err_sys(e, errno, "copy a mount");
	int r = mnt_setattr(fd, false, set, 0, e);
	return r < 0 ? r : take_fd(&fd);
}

int mnt_attach(int fd, int targetfd, struct err *e)
{
	return sys_move_mount(fd, targetfd) < 0 ? err_sys(e, errno, "attach a mount") : 0;
}

int mnt_propagation(int fd, bool recursive, unsigned long how, struct err *e)
{
	struct mount_attr attr = {.propagation = how};
	if (sys_mount_setattr(fd, recursive ? AT_RECURSIVE : 0, &attr) == 0)
		return 0;
	if (!is_missing(errno))
		return err_sys(e, errno, "change mount propagation");
	char path[32];
	fd_path(fd, path);
	if (mount(NULL, path, NULL, how | (recursive ? MS_REC : 0), NULL) < 0)
		return err_sys(e, errno, "change mount propagation");
	return 0;
}

int mnt_detached(const struct mnt_detached *d, struct err *e)
{
	autofd int fd = sys_open_tree(AT_FDCWD, d->source,
				      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (d->recursive ? AT_RECURSIVE : 0u));
	if (fd < 0)
		return err_sys(e, errno, "clone the mount at %s", d->source);
	struct mount_attr map = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)d->usernsfd};
	if (d->usernsfd >= 0 && sys_mount_setattr(fd, d->map_recursive ? AT_RECURSIVE : 0, &map) < 0) {
		int r = err_sys(e, errno, "map the ids of the mount at %s", d->source);
		return r == -EINVAL ? err_hint(e, "its file system or this kernel cannot map ids") : r;
	}
	int r = mnt_setattr(fd, false, d->set, d->clear, e);
	return r < 0 ? r : take_fd(&fd);
}

int mnt_move_to_root(int rootfd, struct err *e)
{
	char path[32];
	fd_path(rootfd, path);
	if (fchdir(rootfd) < 0)
		return err_sys(e, errno, "enter the new root");
	if (mount(path, "/", NULL, MS_MOVE, NULL) < 0)
		return err_sys(e, errno, "move the new root over /");
	if (chroot(".") < 0 || chdir("/") < 0)
		return err_sys(e, errno, "chroot");
	return 0;
}

int mnt_make_private_around(int fd, struct err *e)
{
	struct statx st;
	char file[32];
	fd_path(fd, file);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 || !(st.stx_mask & STATX_MNT_ID))
		return err_sys(e, errno, "find the mount around a directory");
	autofile FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	char point[4096];
	unsigned long long id;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llu %*s %*s %*s %4095s", &id, point) != 2 || id != st.stx_mnt_id)
			continue;
		/* Blanks and their like are written as \\ooo; such a mount point is found by no name here. */
		return mount(NULL, point, NULL, MS_PRIVATE, NULL) < 0 ? err_sys(e, errno, "make %s private", point) : 0;
	}
	return err_set(e, ENOENT, "the mount around a directory is not in the mount table");
}

int mnt_make_all_private(struct err *e)
{
	struct mount_attr attr = {.propagation = MS_PRIVATE};
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return 0;
	int errnum = errno;
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) == 0)
		return 0;
	return err_sys(e, errnum, "make the mounts private");
}

int mnt_pivot(int rootfd, struct err *e)
{
	/* pivot_root(".", ".") puts the old root on top of the new one; detaching "." then removes the old one, and no
	 * directory for it is needed in the image. */
	if (fchdir(rootfd) < 0)
		return err_sys(e, errno, "enter the new root");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, errno, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(e, errno, "detach the old root");
	if (chdir("/") < 0)
		return err_sys(e, errno, "chdir /");
	return 0;
}
