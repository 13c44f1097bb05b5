/* emptyroot.c - see emptyroot.h. */
#include "rl/kern/emptyroot.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/kern/mnt.h"

/* A descriptor of the new mount's root, attached at "/". */
static int attach_by_new_calls(struct err *e)
{
	autofd int fs = (int)syscall(SYS_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */);
	if (fs < 0)
		return err_sys(e, errno, "open tmpfs");
	if (syscall(SYS_fsconfig, fs, 1 /* SET_STRING */, "size", "4k", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, 1, "nr_inodes", "4", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, 1, "mode", "0700", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, 6 /* CMD_CREATE */, NULL, NULL, 0) < 0)
		return err_sys(e, errno, "make a tmpfs");
	autofd int mnt = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 2 | 4 | 8 /* NOSUID NODEV NOEXEC */);
	if (mnt < 0)
		return err_sys(e, errno, "mount a tmpfs");
	if (syscall(SYS_move_mount, mnt, "", AT_FDCWD, "/", 4 /* F_EMPTY_PATH */) < 0)
		return err_sys(e, errno, "attach the empty root");
	return take_fd(&mnt);
}

/* On any directory there is: its place goes with the old root. */
static int attach_by_mount(void)
{
	static const char *const places[] = {"/proc", "/tmp", "/dev", "/usr"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (mount("tmpfs", places[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "size=4k,nr_inodes=4,mode=0700") == 0)
			return open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return -1;
}

int emptyroot_enter(struct err *e)
{
	struct err why = ERR_INIT;
	int r = mnt_make_all_private(e);
	if (r < 0)
		return r;
	autofd int mnt = attach_by_new_calls(&why);
	if (mnt < 0)
		mnt = attach_by_mount();
	if (mnt < 0) {
		if (e)
			*e = why;
		return -why.code;
	}
	if (fchdir(mnt) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, errno, "change to the empty root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(e, errno, "leave the host's root");
	return 0;
}

int emptyroot_limit(int what, unsigned long long value, struct err *e)
{
	struct rlimit now;
	if (getrlimit(what, &now) < 0)
		return err_sys(e, errno, "read limit %d", what);
	now.rlim_max = RL_MIN(now.rlim_max, (rlim_t)value);
	now.rlim_cur = now.rlim_max;
	if (setrlimit(what, &now) < 0)
		return err_sys(e, errno, "set limit %d", what);
	return 0;
}

int emptyroot_close(struct err *e)
{
	struct mount_attr attr = {.attr_set = 1 | 2 | 4 | 8}; /* RDONLY NOSUID NODEV NOEXEC */
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
		return 0;
	int errnum = errno;
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof(attr)) == 0)
		return 0;
	return err_sys(e, errnum, "make the empty root read-only");
}

int emptyroot_keep_caps(unsigned long long mask, struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{0}};
	for (int i = 0; i < 2; i++)
		sets[i].effective = sets[i].permitted = (uint32_t)(mask >> (32 * i));
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(e, errno, "drop capability %d", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(e, errno, "clear the ambient capabilities");
	if (syscall(SYS_capset, &header, sets) < 0)
		return err_sys(e, errno, "drop the capabilities");
	return 0;
}
