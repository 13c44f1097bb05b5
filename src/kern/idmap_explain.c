/*
 * idmap_explain.c - why this machine refuses user namespaces, and what its administrator can do.
 *
 * The kernel answers a refused clone with one errno for many causes; each is looked for where it can be seen (sysctls,
 * our own status, the mount table), most specific first. Sources: user_namespaces(7), create_user_ns() and
 * copy_namespaces() of the kernel, Debian's and Ubuntu's patches for the two sysctls.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/str.h"
#include "rl/kern/idmap.h"
#include "rl/kern/probe.h"

enum { SECCOMP_MODE_OF_FILTERS = 2 };

bool idmap_hint_restricted(struct err *e)
{
	if (probe_sysctl("kernel/apparmor_restrict_unprivileged_userns", 0) != 1)
		return false;
	char exe[160];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0 || n >= (ssize_t)sizeof(exe) - 1)
		n = snprintf(exe, sizeof(exe), "/usr/local/bin/rl");
	exe[n] = '\0';
	err_hint(e,
		 "AppArmor takes the capabilities from user namespaces here; as root, let rl have them: echo 'abi "
		 "<abi/4.0>, profile rl %s flags=(unconfined) { userns, }' > /etc/apparmor.d/rl && apparmor_parser -r "
		 "/etc/apparmor.d/rl; or for every program: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
		 exe);
	return true;
}

static void explain_limit(struct err *e)
{
	static const char *const kinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char name[40];
		snprintf(name, sizeof(name), "user/max_%s_namespaces", kinds[i]);
		if (probe_sysctl(name, -1) != 0)
			continue;
		err_set(e, ENOSPC, "the administrator allows no %s namespaces (user.max_%s_namespaces=0)", kinds[i],
			kinds[i]);
		err_hint(e,
			 "as root: sysctl -w user.max_%s_namespaces=28633, and the same line in "
			 "/etc/sysctl.d/99-rl.conf",
			 kinds[i]);
		return;
	}
	err_set(e, ENOSPC,
		"no more namespaces: one of the limits user.max_*_namespaces is reached, or user namespaces "
		"are nested 32 deep");
	err_hint(e, "`sysctl -a -r user.max_` shows the limits, `lsns` the namespaces that exist");
}

static void explain_refusal(int errnum, struct err *e)
{
	if (probe_sysctl("kernel/unprivileged_userns_clone", 1) == 0) {
		err_set(e, errnum,
			"ordinary users may not create user namespaces (kernel.unprivileged_userns_clone=0)");
		err_hint(e, "as root: sysctl -w kernel.unprivileged_userns_clone=1, and the same line in "
			    "/etc/sysctl.d/99-rl.conf");
		return;
	}
	err_sys(e, errnum, "create a user namespace");
	if (idmap_hint_restricted(e))
		return;
	if (probe_is_chrooted())
		err_hint(e, "the kernel refuses user namespaces inside a chroot: enter the tree with pivot_root or a "
			    "container instead");
	else if (probe_status("Seccomp") == SECCOMP_MODE_OF_FILTERS)
		err_hint(e,
			 "a seccomp filter around us refuses it, as container engines do by default: start the outer "
			 "container with --security-opt seccomp=unconfined (Kubernetes: seccompProfile type "
			 "Unconfined)");
	else
		err_hint(
			e,
			"a security policy (SELinux, AppArmor) refuses user namespaces (`dmesg` or the audit log names "
			"it), or this is a chroot, where the kernel makes none");
}

bool idmap_try_again(int errnum, unsigned *tries)
{
	enum { TRIES_MAX = 60, WAIT_MS = 5 };
	bool again = errnum == ENOSPC && ++*tries <= TRIES_MAX && probe_sysctl("user/max_user_namespaces", 1) != 0;
	if (again)
		(void)!poll(NULL, 0, WAIT_MS);
	errno = errnum; /* the caller reports it */
	return again;
}

int idmap_explain_clone(int errnum, struct err *e)
{
	switch (errnum) {
	case ENOSPC:
	case EUSERS: /* until Linux 4.9 */
		explain_limit(e);
		break;
	case EPERM:
	case EACCES:
	case ENOSYS: /* some filters answer so */
		explain_refusal(errnum, e);
		break;
	case EINVAL:
		err_sys(e, errnum, "create a user namespace");
		err_hint(e, "this kernel was built without user namespaces, or without another kind that is needed "
			    "(CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_IPC_NS, CONFIG_UTS_NS)");
		break;
	case EAGAIN:
		err_sys(e, errnum, "create a user namespace");
		err_hint(e, "the limit of processes is reached: `ulimit -u`, or pids.max of the control group");
		break;
	default:
		err_sys(e, errnum, "create a user namespace");
		break;
	}
	return -errnum;
}
