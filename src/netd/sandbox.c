/*
 * sandbox.c - how the worker locks itself in.
 *
 * stage            should                                                mustn't
 * ---------------  ----------------------------------------------------  ----------------------------------------
 * sandbox_unshare  run in the launcher, single-threaded, dumpable        have changed the user id
 * sandbox_root     run in the worker, own user and mount namespace       need a path of the host's afterwards
 * sandbox_close    be the last step before the loop                      be followed by anything but the loop
 *
 * Without user namespaces a real root can still make the others; anybody else is refused, because running without the
 * sandbox would be a silent loss of what this program is for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 }; /* its shadow memory does not fit under the limits, its calls not through the filter */
#else
enum { SANITIZED = 0 };
#endif

enum {
	OTHER_NAMESPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWCGROUP,
};

static int map_self(uid_t uid, gid_t gid, struct err *e)
{
	char text[64];
	int r = io_write_file(AT_FDCWD, "/proc/self/setgroups", "deny", 4, 0, e);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	r = io_write_file(AT_FDCWD, "/proc/self/gid_map", text, strlen(text), 0, e);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	return io_write_file(AT_FDCWD, "/proc/self/uid_map", text, strlen(text), 0, e);
}

int sandbox_unshare(struct err *e)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (unshare(CLONE_NEWUSER | OTHER_NAMESPACES) == 0)
		return map_self(uid, gid, e);
	int refused = errno;
	if (unshare(OTHER_NAMESPACES) == 0)
		return 0;
	return err_sys(e, refused, "rl-netd cannot make namespaces for itself");
}

/* The new root is mounted on top of the old one, becomes the root, and the old one is unmounted: from then on there is
 * no path, mount or descriptor that leads back. */
int sandbox_root(struct err *e)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, errno, "make the mounts private");
	autofd int fs = (int)syscall(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */);
	if (fs < 0)
		return err_sys(e, errno, "open tmpfs");
	if (syscall(SYS_fsconfig, fs, 1 /* SET_STRING */, "size", "4k", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, 1, "nr_inodes", "4", 0) < 0 || syscall(SYS_fsconfig, fs, 1, "mode", "0700", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, 6 /* CMD_CREATE */, NULL, NULL, 0) < 0)
		return err_sys(e, errno, "make a tmpfs");
	autofd int mnt = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 2 | 4 | 8 /* NOSUID NODEV NOEXEC */);
	if (mnt < 0)
		return err_sys(e, errno, "mount a tmpfs");
	if (syscall(SYS_move_mount, mnt, "", AT_FDCWD, "/", 4 /* F_EMPTY_PATH */) < 0)
		return err_sys(e, errno, "attach the empty root");
	if (fchdir(mnt) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, errno, "change to the empty root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(e, errno, "leave the host's root");
	return 0;
}

/* Lower a limit; one that is lower already stays. */
static int limit(int what, rlim_t value, struct err *e)
{
	struct rlimit now;
	if (getrlimit(what, &now) < 0)
		return err_sys(e, errno, "read limit %d", what);
	now.rlim_max = RL_MIN(now.rlim_max, value);
	now.rlim_cur = now.rlim_max;
	if (setrlimit(what, &now) < 0)
		return err_sys(e, errno, "set limit %d", what);
	return 0;
}

static int set_limits(struct err *e)
{
	static const struct {
		int what;
		rlim_t value;
	} limits[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_FSIZE, 0},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_NPROC, 0},
		{RLIMIT_STACK, 1 << 20},
		{RLIMIT_NOFILE, NETD_FILES_MAX},
		{RLIMIT_AS, (rlim_t)8 << 30}, /* NETD_FILES_MAX connections of 384 KiB, hardly any of it touched */
	};
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		if (SANITIZED && limits[i].what == RLIMIT_AS)
			continue;
		int r = limit(limits[i].what, limits[i].value, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int drop_capabilities(struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(e, errno, "drop capability %d", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(e, errno, "clear the ambient capabilities");
	if (syscall(SYS_capset, &header, none) < 0)
		return err_sys(e, errno, "drop the capabilities");
	return 0;
}

int sandbox_close(struct err *e)
{
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(e, errno, "make the empty root read-only");
	int r = set_limits(e);
	if (r >= 0)
		r = drop_capabilities(e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "no_new_privs");
	return SANITIZED ? 0 : filter_load(e);
}
