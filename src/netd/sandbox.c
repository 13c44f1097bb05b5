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
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/emptyroot.h"

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

int sandbox_root(struct err *e)
{
	return emptyroot_enter(e);
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
		int r = emptyroot_limit(limits[i].what, limits[i].value, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int sandbox_close(struct err *e)
{
	int r = emptyroot_close(e);
	if (r >= 0)
		r = set_limits(e);
	if (r >= 0)
		r = emptyroot_keep_caps(0, e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "no_new_privs");
	return SANITIZED ? 0 : filter_load(e);
}
