/*
 * doctor_host.c - probes of what the host has: files, sysctls, kernel features, services.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "doctor_int.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/cgroup.h"
#include "rl/kern/landlock.h"
#include "rl/kern/probe.h"
#include "rl/kern/xattr.h"
#include "rl/model/user_spec.h"

enum { MAGIC_NFS = 0x6969, MAGIC_OVERLAY = 0x794c7630, MAGIC_TMPFS = 0x01021994, LOW_SPACE = 256 << 20 };

static bool exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

enum doctor_state doctor_store_dir(struct doctor *d, struct doctor_row *row)
{
	struct statvfs vfs;
	struct statfs fs;
	char size[FMT_SIZE];
	if (!d->has_store) {
		str_adds(&row->finding, d->store_error.text);
		str_addf(&row->remedy, "%s%srl --root DIR or RL_ROOT=DIR puts the store where you may write",
			 d->store_error.hint, *d->store_error.hint ? "; " : "");
		return DOCTOR_MISSING;
	}
	if (fstatvfs(d->store.rootfd, &vfs) < 0 || fstatfs(d->store.rootfd, &fs) < 0) {
		str_addf(&row->finding, "%s cannot be examined", d->store.root);
		return DOCTOR_MISSING;
	}
	uint64_t left = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	const char *kind = fs.f_type == MAGIC_NFS	? " on NFS"
			   : fs.f_type == MAGIC_OVERLAY ? " on an overlay"
			   : fs.f_type == MAGIC_TMPFS	? " in memory"
							: "";
	fmt_size_binary(left, size);
	str_addf(&row->finding, "%s%s, %s free%s", d->store.root, kind, size,
		 vfs.f_flag & ST_NOEXEC	  ? ", mounted noexec: images can be kept there but not run"
		 : vfs.f_flag & ST_NOSUID ? ", mounted nosuid: set-user-ID programs of images have no effect"
					  : "");
	if (vfs.f_flag & ST_NOEXEC || left < LOW_SPACE) {
		str_adds(&row->remedy, left < LOW_SPACE
					       ? "make room: rl image prune, rl container prune"
					       : "rl --root DIR or RL_ROOT=DIR on a file system without noexec");
		return DOCTOR_RUNG;
	}
	return DOCTOR_WORKS;
}

enum doctor_state doctor_xattr(struct doctor *d, struct doctor_row *row)
{
	if (!d->has_store) {
		str_adds(&row->finding, "needs a store");
		return DOCTOR_MISSING;
	}
	if (xattr_has_user(d->store.rootfd)) {
		str_adds(&row->finding, "the store's file system keeps them");
		return DOCTOR_WORKS;
	}
	str_adds(&row->finding, "the store's file system has none: owners are kept in an index beside each layer");
	str_adds(&row->remedy, "rl --root DIR on another file system (ext4, xfs, btrfs, tmpfs of Linux 6.6)");
	return DOCTOR_RUNG;
}

enum doctor_state doctor_cgroups(struct doctor *d, struct doctor_row *row)
{
	char id[32];
	struct cgroup_job job = CGROUP_JOB_NONE;
	struct cgroup_made made = CGROUP_MADE_NONE;
	struct err e = ERR_INIT;
	(void)d;
	snprintf(id, sizeof(id), "doctor%d", (int)getpid());
	const struct cgroup_limits l = {.pids = 100};
	const struct cgroup_ask ask = {.id = id, .limits = &l};
	cgroup_request(&ask, &job);
	if (cgroup_make(&ask, &job, &made, &e) == 1) {
		str_addf(&row->finding, "by %s: %s", cgroup_rung_name(made.rung), strchr(made.dirs.items[0], ':') + 1);
		(void)!cgroup_remove(&made.dirs, NULL);
		cgroup_made_free(&made);
		return DOCTOR_WORKS;
	}
	str_addf(&row->finding,
		 "no cgroup can be made (%s): --memory is watched by sampling, other limits are named and not "
		 "enforced",
		 e.code ? e.text : made.why.buf);
	cgroup_made_free(&made);
	if (exists("/run/systemd/system")) {
		str_adds(&row->remedy,
			 "run in a login session of systemd (ssh, or: sudo machinectl shell $USER@), and as root "
			 "delegate all controllers");
		row->command =
			"mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io "
			"memory pids\\n' >/etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload";
	} else {
		str_adds(&row->remedy,
			 "inside a container: start the outer one with a writable cgroup (docker, podman: "
			 "--cgroupns private --security-opt unmask=/sys/fs/cgroup); --require-limits refuses "
			 "to run without");
	}
	return DOCTOR_RUNG;
}

enum doctor_state doctor_seccomp(struct doctor *d, struct doctor_row *row)
{
	struct seccomp_notif_sizes sizes;
	(void)d;
	bool notify = syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0;
	long long mode = probe_status("Seccomp");
	str_addf(&row->finding, "filters work%s%s", notify ? ", notification too" : ", notification does not",
		 mode == 2 ? "; a filter of an outer container is active" : "");
	return notify ? DOCTOR_WORKS : DOCTOR_RUNG;
}

enum doctor_state doctor_landlock(struct doctor *d, struct doctor_row *row)
{
	(void)d;
	int abi = landlock_abi();
	if (abi > 0) {
		str_addf(&row->finding, "ABI %d%s", abi,
			 abi < 4   ? ": no fast path (--network slirp,fast), and abstract sockets of the host are "
				     "reachable "
				     "with --network host"
			 : abi < 6 ? ": abstract sockets of the host are reachable with --network host"
				   : "");
		return DOCTOR_WORKS;
	}
	str_adds(&row->finding,
		 "not there: no fast path (--network slirp,fast), and abstract sockets of the host are reachable with "
		 "--network host");
	str_adds(&row->remedy,
		 "a kernel with landlock in its list of security modules (lsm=landlock,... on its command line)");
	return DOCTOR_RUNG;
}

enum doctor_state doctor_ping(struct doctor *d, struct doctor_row *row)
{
	autostr struct str text = STR_INIT;
	unsigned low = 1;
	unsigned high = 0;
	(void)d;
	if (io_read_file(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", 256, &text, NULL) == 0)
		(void)!sscanf(text.buf, "%u %u", &low, &high);
	unsigned gid = getegid();
	if ((gid >= low && gid <= high) || gid == 0) {
		str_adds(&row->finding, "containers can ping");
		return DOCTOR_WORKS;
	}
	str_addf(&row->finding,
		 "net.ipv4.ping_group_range is '%u %u' and leaves out group %u: containers cannot ping outward", low,
		 high, gid);
	str_adds(&row->remedy, "as root: sysctl -w net.ipv4.ping_group_range='0 2147483647'");
	row->command = "echo 'net.ipv4.ping_group_range=0 2147483647' >/etc/sysctl.d/99-rl-ping.conf && sysctl -p "
		       "/etc/sysctl.d/99-rl-ping.conf";
	return DOCTOR_RUNG;
}

enum doctor_state doctor_ports(struct doctor *d, struct doctor_row *row)
{
	long first = probe_sysctl("net/ipv4/ip_unprivileged_port_start", 1024);
	if (first == 0 || d->is_root) {
		str_adds(&row->finding, "every port can be published");
		return DOCTOR_WORKS;
	}
	str_addf(&row->finding, "ports from %ld on can be published; inside a container every port can be used", first);
	str_adds(&row->remedy,
		 "publish a higher one (-p 8080:80), or as root: sysctl -w net.ipv4.ip_unprivileged_port_start=80");
	row->command = "echo net.ipv4.ip_unprivileged_port_start=80 >/etc/sysctl.d/99-rl-ports.conf && sysctl -p "
		       "/etc/sysctl.d/99-rl-ports.conf";
	return DOCTOR_RUNG;
}

/* As systemd knows the caller: by the name of the uid, whatever USER says; USER where the account is in no file. */
static char *own_name(void)
{
	autostr struct str passwd = STR_INIT;
	const struct user_spec spec = {.user = {.kind = USER_PART_ID, .id = getuid()}};
	struct user_ids ids = {.name = NULL};
	const char *user = getenv("USER");
	char *name = NULL;
	if (io_read_file(AT_FDCWD, "/etc/passwd", USER_SPEC_FILE_MAX, &passwd, NULL) == 0 &&
	    user_spec_resolve(&spec, passwd.buf, passwd.len, NULL, 0, &ids, NULL) == 0 && ids.name)
		name = xstrdup(ids.name);
	user_ids_free(&ids);
	return name ? name : xstrdup(user ? user : "");
}

enum doctor_state doctor_linger(struct doctor *d, struct doctor_row *row)
{
	autofree char *name = own_name();
	if (d->is_root || !exists("/run/systemd/system")) {
		str_adds(&row->finding, d->is_root ? "not needed as root" : "no systemd ends our processes at logout");
		return DOCTOR_WORKS;
	}
	autofree char *mark = xasprintf("/var/lib/systemd/linger/%s", name);
	if (*name && exists(mark)) {
		str_adds(&row->finding, "detached containers outlive the session");
		return DOCTOR_WORKS;
	}
	str_adds(&row->finding, "systemd may end detached containers at logout");
	str_adds(&row->remedy, "loginctl enable-linger");
	row->command = "loginctl enable-linger \"${SUDO_USER:-$USER}\"";
	return DOCTOR_RUNG;
}

enum doctor_state doctor_lsm(struct doctor *d, struct doctor_row *row)
{
	autostr struct str enforce = STR_INIT;
	struct err e = ERR_INIT;
	(void)d;
	bool selinux = io_read_file(AT_FDCWD, "/sys/fs/selinux/enforce", 16, &enforce, NULL) == 0 &&
		       enforce.buf[0] == '1';
	err_set(&e, EPERM, "x");
	if (idmap_hint_restricted(&e)) {
		str_adds(&row->finding,
			 "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns=1)");
		str_adds(&row->remedy, e.hint);
		row->command = "echo 'abi <abi/4.0>, profile rl /usr/**/rl flags=(unconfined) { userns, }' "
			       ">/etc/apparmor.d/rl "
			       "&& apparmor_parser -r /etc/apparmor.d/rl";
		return DOCTOR_RUNG;
	}
	str_adds(&row->finding, selinux ? "SELinux enforces: -v needs :z where a label stands in the way"
					: "neither SELinux nor AppArmor stands in the way");
	return DOCTOR_WORKS;
}

enum doctor_state doctor_groups(struct doctor *d, struct doctor_row *row)
{
	int n = getgroups(0, NULL);
	if (d->map.form == IDMAP_SINGLE && n > 0) {
		str_addf(&row->finding,
			 "%d supplementary groups cannot be dropped with one user id: the command keeps their "
			 "rights, as nogroup",
			 n);
		str_adds(&row->remedy, "subordinate ids (see user ids)");
		return DOCTOR_RUNG;
	}
	str_adds(&row->finding, "supplementary groups are dropped, or kept with --group-add keep-groups");
	return DOCTOR_WORKS;
}

enum doctor_state doctor_runtime_dir(struct doctor *d, struct doctor_row *row)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	(void)d;
	if (dir && exists(dir))
		str_addf(&row->finding, "XDG_RUNTIME_DIR is %s", dir);
	else
		str_adds(&row->finding, "XDG_RUNTIME_DIR is not set, and nothing needs it: state lies in the store");
	return DOCTOR_WORKS;
}

enum doctor_state doctor_programs(struct doctor *d, struct doctor_row *row)
{
	static const char *const names[] = {"rl-image", "rl-netd"};
	(void)d;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autofree char *path = xasprintf("%s/%s", proc_libexec_dir(), names[i]);
		if (exists(path))
			continue;
		str_addf(&row->finding, "%s is not there", path);
		str_adds(&row->remedy, "install rl as a whole, or say with RL_LIBEXEC where its programs are");
		return DOCTOR_MISSING;
	}
	str_addf(&row->finding, "rl-image and rl-netd are in %s", proc_libexec_dir());
	return DOCTOR_WORKS;
}

enum doctor_state doctor_user(struct doctor *d, struct doctor_row *row)
{
	const char *home = getenv("HOME");
	(void)d;
	str_addf(&row->finding, "uid %u%s; neither HOME nor a passwd entry is needed", (unsigned)getuid(),
		 home && *home ? "" : ", HOME is not set");
	return DOCTOR_WORKS;
}
