/*
 * mnt_overlay.c - overlayfs mounts of up to 500 layers.
 *
 * mount(2) carries its options in one page, and fsconfig(2) cuts each string at 256 bytes (on 6.1 the whole lowerdir is
 * one string), so the length of paths is what limits the number of layers. Every layer is named by a
 * descriptor, which also makes ':' and ',' and '\' in a store's path harmless. Past LOWER_BY_FD layers the names are
 * made shorter still: symlinks 0, 1, 2, ... in a tmpfs mounted on the target for that purpose, entered as working
 * directory while mounting, so that 500 layers need 1,890 bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/mnt.h"

enum { LOWER_BY_FD = 100 };

static void add_upper(struct str *options, int upperfd, int workfd, bool is_volatile)
{
	if (upperfd >= 0)
		str_addf(options, ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", upperfd, workfd);
	if (upperfd >= 0 && is_volatile)
		str_adds(options, ",volatile");
	str_adds(options, ",userxattr");
}

static int explain(int errnum, size_t layers, struct err *e)
{
	int r = err_sys(e, errnum, "mount overlay of %zu layers", layers);
	if (errnum == EINVAL)
		err_hint(e, "the file system of the store cannot hold a writable layer (another overlay, NFS?); "
			    "--root DIR puts the store on another one, `rl doctor` tells more");
	else if (errnum == EPERM)
		err_hint(e, "this kernel or an outer container refuses overlay mounts in a user namespace");
	else if (errnum == ELOOP)
		err_hint(e, "the layers already stand on too many stacked overlays");
	return r;
}

static int mount_short_names(const struct mnt_overlay *o, const char *tail, unsigned long flags, int targetfd,
			     struct err *e)
{
	autofd int names = mnt_new("tmpfs", "size=1m", 0, targetfd, e);
	if (names < 0)
		return names;
	autofd int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cwd < 0 || fchdir(names) < 0)
		return err_sys(e, errno, "enter the directory of layer names");
	autostr struct str options = STR_INIT;
	str_adds(&options, "lowerdir=");
	int r = 0;
	for (size_t i = 0; i < o->nlower && r == 0; i++) {
		char name[24];
		char target[32];
		snprintf(name, sizeof(name), "%zu", i);
		snprintf(target, sizeof(target), "/proc/self/fd/%d", o->lower[i]);
		if (symlink(target, name) < 0)
			r = err_sys(e, errno, "name layer %zu", i);
		str_addf(&options, "%s%zu", i ? ":" : "", i);
	}
	str_adds(&options, tail);
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", targetfd);
	/* The overlay lands on top of the tmpfs of names, which is then out of reach and goes with the namespace. */
	if (r == 0 && mount("overlay", path, "overlay", flags, options.buf) < 0)
		r = explain(errno, o->nlower, e);
	if (fchdir(cwd) < 0 && r == 0)
		r = err_sys(e, errno, "leave the directory of layer names");
	return r;
}

static long config(int fs, unsigned cmd, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

/* The layers one by one (lowerdir+, Linux 6.7), else as one string of at most 255 bytes: a dozen layers. */
static int config_lower(int fs, const struct mnt_overlay *o)
{
	autostr struct str all = STR_INIT;
	char path[32];
	for (size_t i = 0; i < o->nlower; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", o->lower[i]);
		if (config(fs, FSCONFIG_SET_STRING, "lowerdir+", path) < 0)
			break;
		if (i + 1 == o->nlower)
			return 0;
	}
	for (size_t i = 0; i < o->nlower; i++)
		str_addf(&all, "%s/proc/self/fd/%d", i ? ":" : "", o->lower[i]);
	return (int)config(fs, FSCONFIG_SET_STRING, "lowerdir", all.buf);
}

/* For outer filters that refuse mount(2) and know nothing of the calls that came after it. */
static int mount_by_new_calls(const struct mnt_overlay *o, unsigned attrs, int targetfd)
{
	char upper[32];
	char work[32];
	autofd int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
	if (fs < 0 || config_lower(fs, o) < 0)
		return -errno;
	snprintf(upper, sizeof(upper), "/proc/self/fd/%d", o->upper);
	snprintf(work, sizeof(work), "/proc/self/fd/%d", o->work);
	if (o->upper >= 0 && (config(fs, FSCONFIG_SET_STRING, "upperdir", upper) < 0 ||
			      config(fs, FSCONFIG_SET_STRING, "workdir", work) < 0))
		return -errno;
	if (o->upper >= 0 && o->is_volatile && config(fs, FSCONFIG_SET_FLAG, "volatile", NULL) < 0)
		return -errno;
	if (config(fs, FSCONFIG_SET_FLAG, "userxattr", NULL) < 0 || config(fs, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
		return -errno;
	autofd int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attrs);
	if (fd < 0 ||
	    syscall(SYS_move_mount, fd, "", targetfd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

static bool is_refused_call(int errnum)
{
	return errnum == EPERM || errnum == ENOSYS || errnum == EACCES;
}

int mnt_overlay(const struct mnt_overlay *o, unsigned attrs, int targetfd, struct err *e)
{
	if (o->nlower == 0 || o->nlower > OVL_LOWER_MAX)
		return err_set(e, EINVAL, "an image of %zu layers cannot be mounted: the kernel's limit is %d",
			       o->nlower, OVL_LOWER_MAX);
	autostr struct str tail = STR_INIT;
	add_upper(&tail, o->upper, o->work, o->is_volatile);
	unsigned long flags = (attrs & MNT_RDONLY ? MS_RDONLY : 0UL) | (attrs & MNT_NODEV ? MS_NODEV : 0UL) |
			      (attrs & MNT_NOSUID ? MS_NOSUID : 0UL);
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", targetfd);
	if (o->nlower > LOWER_BY_FD) {
		int r = mount_short_names(o, tail.buf, flags, targetfd, e);
		if (r < 0)
			return r;
	} else {
		autostr struct str options = STR_INIT;
		str_adds(&options, "lowerdir=");
		for (size_t i = 0; i < o->nlower; i++)
			str_addf(&options, "%s/proc/self/fd/%d", i ? ":" : "", o->lower[i]);
		str_adds(&options, tail.buf);
		if (mount("overlay", path, "overlay", flags, options.buf) < 0) {
			int errnum = errno;
			if (!is_refused_call(errnum) || mount_by_new_calls(o, attrs, targetfd) < 0)
				return explain(errnum, o->nlower, e);
		}
	}
	log_debug(LOG_MNT, "overlay of %zu lower layers%s mounted", o->nlower,
		  o->upper >= 0 ? " and an upper one" : "");
	/* The target descriptor names what is below the mount. */
	char real[4096];
	ssize_t n = readlink(path, real, sizeof(real) - 1);
	if (n < 0)
		return err_sys(e, errno, "readlink %s", path);
	real[n] = '\0';
	int fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open the mounted overlay");
	return fd;
}

bool mnt_overlay_is_refused(int code)
{
	return code == EINVAL || code == EPERM || code == EACCES || code == ENODEV || code == ENOSYS ||
	       code == EOPNOTSUPP || code == ELOOP || code == EIO;
}

void mnt_overlay_clear_work(int dirfd, const char *work)
{
	/* Of ovl_workdir_create and ovl_create_volatile_dirty in fs/overlayfs/super.c, with no mode bits; in the last is
	 * one file. */
	static const char *const made[] = {"work", "work/incompat", "work/incompat/volatile"};
	autofd int fd = openat(dirfd, work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	size_t n = 0;
	while (fd >= 0 && n < ARRAY_SIZE(made) && fchmodat(fd, made[n], 0700, 0) == 0)
		n++;
	if (n == ARRAY_SIZE(made))
		(void)unlinkat(fd, "work/incompat/volatile/dirty", 0);
	while (n-- > 0)
		if (unlinkat(fd, made[n], AT_REMOVEDIR) < 0)
			return;
}
