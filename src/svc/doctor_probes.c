/*
 * doctor_probes.c - probes that make namespaces and do the thing in them.
 *
 * Each runs in a child made by userns_spawn with the very map containers get; the child's exit status is 0 or the errno
 * of what failed, so that EPERM (a policy), ENOSPC (a limit) and EINVAL (the kernel or the file system) are told
 * apart. The child's mount namespace goes with it; files it makes lie in a directory of the store's tmp/ that is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/mnt.h"
#include "rl/kern/netlink.h"
#include "rl/kern/probe.h"
#include "rl/kern/tap.h"

static const int all_namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

/* 0, the errno of fn, or -errno where no child could be made (*e). */
static int try(const struct doctor *d, int flags, int (*fn)(void *), void *arg, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	int r = userns_spawn(&d->map, flags, fn, arg, &child, e);
	return r < 0 ? r : proc_wait(&child, "a probe", e);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

enum doctor_state doctor_userns(struct doctor *d, struct doctor_row *row)
{
	struct err e = ERR_INIT;
	int r = try(d, all_namespaces, nothing, NULL, &e);
	d->has_userns = r == 0;
	if (r == 0) {
		str_adds(&row->finding, "user, mount, pid, network, ipc and uts namespaces can be made");
		return DOCTOR_WORKS;
	}
	/* A map that cannot be written says nothing about the clone itself: ask once more with the plainest one. */
	struct idmap single;
	struct err plain = ERR_INIT;
	struct doctor other = *d;
	if (idmap_detect(true, &single, &plain) == 0) {
		other.map = single;
		if (try(&other, all_namespaces, nothing, NULL, &plain) == 0) {
			d->map = single;
			d->has_userns = true;
			str_addf(&row->finding, "only with one user id: %s", e.text);
			str_adds(&row->remedy, e.hint);
			return DOCTOR_RUNG;
		}
	}
	str_addf(&row->finding, "%s", e.text);
	str_addf(&row->remedy, "%s%spull, push, inspect, save and login work without them", e.hint,
		 *e.hint ? "; " : "");
	return DOCTOR_MISSING;
}

enum doctor_state doctor_ids(struct doctor *d, struct doctor_row *row)
{
	uint64_t count = 0;
	for (size_t i = 0; i < d->map.nuid; i++)
		count += d->map.uid[i].count;
	if (d->map.form != IDMAP_SINGLE) {
		str_addf(&row->finding, "%llu user ids (%s)", (unsigned long long)count, d->map.key);
		return DOCTOR_WORKS;
	}
	str_addf(&row->finding, "one user id: %s",
		 *d->map.why_single ? d->map.why_single : "the map of more cannot be written");
	str_addf(&row->remedy,
		 "as root: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %u",
		 (unsigned)getuid());
	row->command = "apt-get install -y uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
		       "\"${SUDO_USER:-$USER}\"";
	return DOCTOR_RUNG;
}

static int tmp_target(void)
{
	return open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int mount_proc(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	autofd int target = tmp_target();
	autofd int fd = mnt_new("proc", NULL, 0, target, &e);
	return fd < 0 ? e.code : 0;
}

enum doctor_state doctor_proc(struct doctor *d, struct doctor_row *row)
{
	struct err e = ERR_INIT;
	int r = d->has_userns ? try(d, all_namespaces, mount_proc, NULL, &e) : -EPERM;
	if (r == 0) {
		str_adds(&row->finding, "a fresh one can be mounted");
		return DOCTOR_WORKS;
	}
	if (!d->has_userns) {
		str_adds(&row->finding, "needs user namespaces");
		return DOCTOR_MISSING;
	}
	str_adds(&row->finding, "a fresh one is refused, because the outer one is partly covered: the outer one is "
				"shown, read-only; names "
				"and command lines of outer processes stay visible");
	str_adds(&row->remedy, "start the outer container with an uncovered /proc (docker, podman: --security-opt "
			       "systempaths=unconfined or unmask=ALL; Kubernetes: procMount: Unmasked)");
	return DOCTOR_RUNG;
}

struct overlay_probe {
	const char *dir; /* with l, u, w, m and t; by name: a descriptor lies in the parent's mount namespace */
	bool tmpfs;
};

static int mount_overlay(void *arg)
{
	const struct overlay_probe *p = arg;
	struct err e = ERR_INIT;
	autofd int dir = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofd int lower = openat(dir, "l", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofd int target = openat(dir, "m", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofd int base = openat(dir, p->tmpfs ? "t" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->tmpfs) {
		autofd int fresh = mnt_new("tmpfs", "size=1m", 0, base, &e);
		if (fresh < 0)
			return e.code;
		close_fd(&base);
		base = take_fd(&fresh);
		if (mkdirat(base, "u", 0755) < 0 || mkdirat(base, "w", 0755) < 0)
			return errno;
	}
	autofd int upper = openat(base, "u", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofd int work = openat(base, "w", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct mnt_overlay o = {.lower = &lower, .nlower = 1, .upper = upper, .work = work};
	autofd int fd = mnt_overlay(&o, MNT_NODEV, target, &e);
	if (fd < 0)
		return e.code ? e.code : EIO;
	/* A writable layer without extended attributes fails later, at the first directory that is renamed or replaced. */
	autofd int file = openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return file < 0 ? errno : 0;
}

enum doctor_state doctor_overlay(struct doctor *d, struct doctor_row *row)
{
	static const char *const names[] = {"l", "u", "w", "m", "t"};
	struct err e = ERR_INIT;
	if (!d->has_store || !d->has_userns) {
		str_adds(&row->finding, !d->has_store ? "needs a store" : "needs user namespaces");
		return DOCTOR_MISSING;
	}
	autofd int tmp = store_dir(&d->store, "tmp", &e);
	char name[40];
	snprintf(name, sizeof(name), "doctor-%d", (int)getpid());
	if (tmp < 0 || mkdirat(tmp, name, 0700) < 0) {
		str_adds(&row->finding, "nothing can be made in the store");
		return DOCTOR_MISSING;
	}
	autofree char *path = xasprintf("%s/tmp/%s", d->store.root, name);
	struct overlay_probe p = {.dir = path};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autofree char *sub = xasprintf("%s/%s", path, names[i]);
		(void)!mkdir(sub, 0755);
	}
	int r = try(d, all_namespaces, mount_overlay, &p, &e);
	int first = r;
	p.tmpfs = true;
	if (r != 0)
		r = try(d, all_namespaces, mount_overlay, &p, &e);
	(void)!store_remove_tree(tmp, name, NULL);
	if (first == 0) {
		str_adds(&row->finding, "mounts on the store's own file system");
		return DOCTOR_WORKS;
	}
	if (r == 0) {
		str_adds(&row->finding,
			 "refused with a writable layer in the store (the store lies on an overlay or on a "
			 "network file system): containers with --rm write to memory");
		str_adds(&row->remedy,
			 "put the store on another file system: rl --root DIR, or RL_ROOT; inside a container "
			 "give it a volume");
		return DOCTOR_RUNG;
	}
	str_addf(&row->finding, "refused: %s", strerrordesc_np(first > 0 ? first : -first));
	str_adds(&row->remedy, first == ENODEV
				       ? "as root: modprobe overlay"
				       : "an outer container or a policy refuses the mount: start the outer one with "
					 "--security-opt seccomp=unconfined");
	if (first == ENODEV)
		row->command = "modprobe overlay && echo overlay >/etc/modules-load.d/overlay.conf";
	return DOCTOR_MISSING;
}

static int make_tap(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	autofd int fd = tap_open("rltap", true, &e);
	return fd < 0 ? e.code : 0;
}

static int make_veth(void *arg)
{
	struct err e = ERR_INIT;
	struct nl nl;
	(void)arg;
	if (nl_open(&nl, &e) < 0)
		return e.code;
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	autofd int here = nl_netns_fd(&nl, &e);
	const struct nl_veth pair = {
		.name = "rlv0", .peer_name = "rlv1", .peer_netns_fd = here, .peer_mac = mac, .mtu = 1500};
	nl_veth_add(&nl, &pair);
	int r = nl_flush(&nl, &e);
	int index = r == 0 ? nl_link_index(&nl, "rlv1", &e) : r;
	autofd int fd = index >= 0 ? packet_open(index, true, &e) : -1;
	nl_close(&nl);
	return fd < 0 ? e.code : 0;
}

enum doctor_state doctor_network(struct doctor *d, struct doctor_row *row)
{
	struct err e = ERR_INIT;
	if (!d->has_userns) {
		str_adds(&row->finding, "needs user namespaces");
		return DOCTOR_MISSING;
	}
	int r = try(d, all_namespaces, make_tap, NULL, &e);
	if (r == 0) {
		str_adds(&row->finding, "a TAP device can be made");
		return DOCTOR_WORKS;
	}
	int tap = r;
	r = try(d, all_namespaces, make_veth, NULL, &e);
	str_addf(&row->finding, "/dev/net/tun: %s%s", strerrordesc_np(tap > 0 ? tap : -tap),
		 r == 0 ? "; a veth pair is used in its place"
			: ", and no veth pair can be made: --network none and host work");
	str_adds(&row->remedy,
		 "as root: modprobe tun; chmod 0666 /dev/net/tun (in an outer container: --device /dev/net/tun)");
	row->command = "modprobe tun; chmod 0666 /dev/net/tun";
	return r == 0 ? DOCTOR_RUNG : DOCTOR_MISSING;
}

static int new_calls(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	autofd int target = tmp_target();
	autofd int fd = mnt_new("tmpfs", "size=64k", 0, target, &e);
	if (fd < 0)
		return e.code;
	/* openat2 is asked by itself: an outer filter may refuse it alone. */
	struct {
		uint64_t flags, mode, resolve;
	} how = {.flags = O_PATH | O_CLOEXEC, .resolve = 8 /* RESOLVE_BENEATH */};
	long r = syscall(SYS_openat2, fd, ".", &how, sizeof(how));
	return r < 0 ? errno : 0;
}

enum doctor_state doctor_mount_calls(struct doctor *d, struct doctor_row *row)
{
	struct err e = ERR_INIT;
	int r = d->has_userns ? try(d, all_namespaces, new_calls, NULL, &e) : -EPERM;
	if (r == 0) {
		str_adds(&row->finding, "tmpfs mounts, paths are resolved by openat2");
		return DOCTOR_WORKS;
	}
	if (r == ENOSYS) {
		str_adds(&row->finding, "openat2 is refused by an outer filter: paths are resolved step by step");
		str_adds(&row->remedy, "a newer libseccomp on the host of the outer container; nothing has to be done");
		return DOCTOR_RUNG;
	}
	str_addf(&row->finding, "mounts are refused: %s", strerrordesc_np(r > 0 ? r : -r));
	str_adds(&row->remedy, "start the outer container with --security-opt seccomp=unconfined");
	return DOCTOR_MISSING;
}
