/*
 * apply_root.c - the root file system: stacked or bound at the mount directory, and entered.
 *
 * The mount directory is the container's own record directory: the root is mounted over it in this mount namespace
 * only, so no directory has to be made and nothing is left when the namespace goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/mnt.h"

int apply_open_devices(struct apply *a, struct err *e)
{
	/* Masks are made from this inode only, opened before the container's own /dev exists and proved to be the null
	 * device: runc took whatever the container had put at /dev/null (CVE-2025-31133). */
	a->nullfd = open("/dev/null", O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (a->nullfd < 0)
		return err_sys(e, errno, "open /dev/null");
	struct stat st;
	if (fstat(a->nullfd, &st) < 0)
		return err_sys(e, errno, "stat /dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(e, ENODEV, "/dev/null of the host is not the null device");
	return 0;
}

static int open_mount_dir(const struct rtspec *s, struct err *e)
{
	int fd = open(s->mount_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", s->mount_dir);
	return fd;
}

int apply_root_overlay(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	autofd int target = open_mount_dir(s, e);
	if (target < 0)
		return target;
	const struct mnt_overlay o = {
		.lower = s->layers.items,
		.nlower = s->layers.count,
		.upper = s->upper,
		.work = s->work,
		.is_volatile = s->is_volatile,
	};
	a->rootfd = mnt_overlay(&o, MNT_NODEV, target, e);
	return a->rootfd < 0 ? a->rootfd : 0;
}

int apply_root_bind(struct apply *a, const char *dir, struct err *e)
{
	autofd int target = open_mount_dir(a->plan->spec, e);
	if (target < 0)
		return target;
	a->rootfd = mnt_bind(AT_FDCWD, dir, true, 0, 0, target, e);
	return a->rootfd < 0 ? err_ctx(e, "root directory %s", dir) : 0;
}

int apply_pivot(struct apply *a, struct err *e)
{
	int r = mnt_pivot(a->rootfd, e);
	if (r < 0)
		return r;
	/* Descriptors of the host are closed now, not at exec: nothing below may reach them even by mistake. */
	close_fd(&a->procfd);
	close_fd(&a->nullfd);
	close_fd(&a->emptyfd);
	log_debug(LOG_RUN, "root entered");
	return 0;
}
