/*
 * apply_mount.c - everything mounted into the container's root, and what is hidden or frozen there.
 *
 * Targets are made and found by safepath beneath the root's descriptor and used as descriptors. For the file systems of
 * ours (/proc, /sys, /dev) the last component must be a real directory: an image whose /proc is a symlink would
 * otherwise decide where proc is mounted (CVE-2019-19921, CVE-2026-41579). Binds and tmpfs of the user follow symlinks
 * inside the root, as docker's do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/mnt.h"
#include "rl/kern/safepath.h"
#include "rl/kern/tree.h"

static bool is_ours(enum rt_mount_kind kind)
{
	return kind != RT_BIND && kind != RT_TMPFS && kind != RT_OVERLAY && kind != RT_LAYERS && kind != RT_FILE &&
	       kind != RT_FS && kind != RT_MADE && kind != RT_REMOUNT;
}

static const struct apply_source *source_of(const struct apply *a, const struct rt_mount *m)
{
	return &a->sources[m - a->plan->spec->mounts];
}

int apply_check_target(const struct apply *a, const char *target, struct err *e)
{
	struct stat st;
	autofd int fd = safepath_open(a->rootfd, target, O_PATH | O_NOFOLLOW, 0, NULL);
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	return err_set(e, ENOTDIR, "%s of the image is not a directory", target);
}

/* The descriptor of the mount point, made when missing. */
static int open_target(struct apply *a, const struct rt_mount *m, bool is_dir, struct err *e)
{
	int r = is_ours(m->kind) ? apply_check_target(a, m->target, e) : 0;
	if (r < 0)
		return r;
	int fd = safepath_mountpoint(a->rootfd, m->target, is_dir, 0755, e);
	if (fd == -ELOOP && m->over_link && safepath_write_file(a->rootfd, m->target, "", 0, 0644, NULL) == 0) {
		if (e)
			err_clear(e);
		fd = safepath_mountpoint(a->rootfd, m->target, is_dir, 0755, e);
	}
	if (fd < 0)
		return err_ctx(e, "mount point %s", m->target);
	return fd;
}

/* The container's own procfs serves for what is written before the root is entered: another instance, mounted nowhere,
 * would make its last close wait for a grace period of the kernel. Not where a part of it is covered or frozen. */
static bool is_whole(const struct rtspec *s, const struct rt_mount *proc)
{
	for (size_t i = 0; i < s->nmounts; i++) {
		const char *below = str_after(s->mounts[i].target, proc->target);
		if (below && *below == '/')
			return false;
	}
	return !(proc->set & MNT_RDONLY) && str_eq(proc->target, "/proc");
}

static int mount_proc(struct apply *a, const struct rt_mount *m, int target, struct err *e)
{
	struct err fresh = ERR_INIT;
	if (a->plan->spec->ns[RT_NS_PID].mode == RT_NS_NEW || a->plan->spec->ns[RT_NS_PID].mode == RT_NS_JOIN) {
		autofd int fd = mnt_new("proc", NULL, m->set, target, &fresh);
		if (fd >= 0) {
			if (a->procfd < 0 && is_whole(a->plan->spec, m))
				a->procfd = take_fd(&fd);
			return 0;
		}
		if (fresh.code != EPERM) {
			if (e)
				*e = fresh;
			return -fresh.code;
		}
	}
	/* A fresh procfs is refused where the outer one is partly covered (containers of other engines do that), and
	 * makes no sense where the pid namespace is not ours. Then the outer one, frozen: the kernel already refuses to
	 * read memory or trace across user namespaces, but outer oom_score_adj could be written (decision 17). */
	log_debug(LOG_MNT, "a fresh procfs is refused, binding the outer one read-only");
	autofd int outer = mnt_bind(AT_FDCWD, "/proc", true, m->set | MNT_RDONLY, 0, target, e);
	return outer < 0 ? err_ctx(e, "/proc") : 0;
}

static int mount_sysfs(struct apply *a, const struct rt_mount *m, int target, struct err *e)
{
	autofd int fd = -1;
	/* One that belongs to a user namespace that we have joined is ours as well, or the kernel says no. */
	if (a->plan->spec->ns[RT_NS_NET].mode == RT_NS_NEW || a->plan->spec->ns[RT_NS_USER].mode == RT_NS_JOIN) {
		fd = mnt_new("sysfs", NULL, m->set, target, NULL);
		if (fd >= 0)
			return 0;
	}
	/* sysfs belongs to the network namespace; where that is not ours, the outer one (decision 18). */
	fd = mnt_bind(AT_FDCWD, "/sys", true, m->set, 0, target, e);
	return fd < 0 ? err_ctx(e, "/sys") : 0;
}

/* A file system that not every kernel and not every outer container allows; the container lives without. */
static int mount_optional(const char *type, const char *host_path, const struct rt_mount *m, int target)
{
	struct err why = ERR_INIT;
	autofd int fd = mnt_new(type, m->options, m->set, target, &why);
	if (fd < 0 && host_path)
		fd = mnt_bind(AT_FDCWD, host_path, true, m->set, 0, target, &why);
	if (fd < 0)
		log_debug(LOG_MNT, "%s is left out: %s", m->target, why.text);
	return 0;
}

/* What a volume holds is the payload's work: its symlinks lead nowhere outside of it (CVE-2017-1002101). */
static int locate_part(int source, const struct rt_mount *m, struct err *e)
{
	int fd = safepath_locate(source, m->subpath, e);
	return fd < 0 ? err_ctx(e, "mount on %s: subpath %s", m->target, m->subpath) : fd;
}

/* What is the same for every kind that can be asked for it. */
static int finish(const struct rt_mount *m, int fd, struct err *e)
{
	int r = m->rec_set || m->rec_clear ? mnt_setattr(fd, true, m->rec_set, m->rec_clear, e) : 0;
	if (r == 0 && m->propagation)
		r = mnt_propagation(fd, (m->propagation & MS_REC) != 0, m->propagation & ~(unsigned long)MS_REC, e);
	return r < 0 ? err_ctx(e, "mount on %s", m->target) : 0;
}

static int mount_bind(struct apply *a, const struct rt_mount *m, struct err *e)
{
	int source = source_of(a, m)->fd;
	struct stat st;
	autofd int part = m->subpath ? locate_part(source, m, e) : -1;
	if (m->subpath && part < 0)
		return part;
	if (m->subpath)
		source = part;
	if (fstat(source, &st) < 0)
		return err_sys(e, errno, "mount %s: stat", m->source);
	autofd int target = open_target(a, m, S_ISDIR(st.st_mode), e);
	if (target < 0)
		return target;
	/* Attributes of the top alone are set once it is attached: a bind sets them throughout. */
	bool apart = m->top_only;
	struct err why = ERR_INIT;
	autofd int fd = mnt_bind(source, "", m->recursive, apart ? 0 : m->set, apart ? 0 : m->clear, target, &why);
	if (fd < 0 && m->may_vanish && why.code == ENOENT)
		return 0; /* removed since it was opened */
	if (fd < 0 && e)
		*e = why;
	if (fd < 0)
		return err_ctx(e, "mount %s on %s", m->source, m->target);
	int r = apart ? mnt_setattr(fd, false, m->set, m->clear, e) : 0;
	return r < 0 ? err_ctx(e, "mount %s on %s", m->source, m->target) : finish(m, fd, e);
}

/* A part of the machine of which the file system or a policy does not allow an overlay, or whose upper directory cannot be
 * one: on an overlay, say. */
static int overlay_rungs(struct apply *a, const struct rt_mount *m, const struct mnt_overlay *o, int target,
			 struct err *e)
{
	int r = 0;
	autofd int memory = m->is_volatile ? apply_overlay_in_memory(o, m->set, o->work, target, NULL, NULL) : -1;
	if (memory >= 0 && !a->said_memory)
		r = apply_say(a, "the store cannot hold changes of this machine's files: they are kept in memory", e);
	a->said_memory |= memory >= 0;
	if (memory >= 0)
		return r;
	autofd int fd = mnt_bind(source_of(a, m)->fd, "", true, m->set | MNT_RDONLY, 0, target, e);
	if (fd < 0)
		return err_ctx(e, "mount %s", m->target);
	if (a->said_bound)
		return 0;
	a->said_bound = true;
	autofree char *text = xasprintf("overlays of some directories are refused here (%s): they are read-only",
					m->target);
	return apply_say(a, text, e);
}

static int mount_overlay(struct apply *a, const struct rt_mount *m, struct err *e)
{
	autofd int target = open_target(a, m, true, e);
	if (target < 0)
		return target;
	const struct apply_source *source = source_of(a, m);
	const struct mnt_overlay o = {
		.lower = m->source ? &source->fd : source->lowers,
		.nlower = m->source ? 1 : m->lowers.count,
		.upper = source->upper,
		.work = source->work,
		.is_volatile = m->is_volatile,
	};
	struct err why = ERR_INIT;
	autofd int fd = mnt_overlay(&o, m->set, target, &why);
	if (fd < 0 && m->may_bind && mnt_overlay_is_refused(why.code))
		return overlay_rungs(a, m, &o, target, e);
	if (fd < 0 && m->may_vanish && (why.code == ENOENT || why.code == ESTALE))
		return 0;
	if (fd < 0 && e)
		*e = why;
	if (fd < 0)
		return err_ctx(e, "overlay of %s on %s", m->source ? m->source : "an image", m->target);
	if (!m->subpath)
		return 0;
	/* The part over the whole, at the same place. */
	autofd int part = locate_part(fd, m, e);
	autofd int over = part < 0 ? part : mnt_bind(part, "", false, m->set, 0, fd, e);
	return over < 0 ? err_ctx(e, "mount on %s", m->target) : 0;
}

int apply_chown(struct apply *a, const struct rt_mount *m, struct err *e)
{
	int source = source_of(a, m)->fd;
	struct stat st;
	if (fstat(source, &st) < 0)
		return err_sys(e, errno, "%s", m->target);
	autofd int part = m->subpath ? locate_part(source, m, e) : -1;
	if (m->subpath && part < 0)
		return part;
	if (m->subpath)
		source = part;
	int r = 0;
	autofd int dir = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		r = tree_chown(dir, a->ids.uid, a->ids.gid, e);
	else if (errno != ENOTDIR)
		r = err_sys(e, errno, "open");
	else if (fchownat(source, "", a->ids.uid, a->ids.gid, AT_EMPTY_PATH) < 0)
		r = err_sys(e, errno, "change the owner");
	if (r == 0)
		return 0;
	err_ctx(e, "U of %s", m->target);
	return err_hint(e, "only files of your own and of your subordinate ids can change their owner");
}

/* What the image has at the mount point, which `target` still names though it is covered. */
static int copy_up(int target, int fd, struct err *e)
{
	struct tree_stats stats = {0};
	autofd int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int to = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0 || to < 0)
		return err_sys(e, errno, "open");
	return tree_copy(from, to, 0, &stats, e);
}

static int mount_tmpfs(struct apply *a, const struct rt_mount *m, struct err *e)
{
	autofd int target = open_target(a, m, true, e);
	if (target < 0)
		return target;
	autofd int fd = mnt_new_from("tmpfs", m->source, m->options, m->set, target, e);
	if (fd < 0)
		return err_ctx(e, "tmpfs on %s", m->target);
	int r = m->copy_up ? copy_up(target, fd, e) : 0;
	return r < 0 ? err_ctx(e, "tmpfs on %s", m->target) : finish(m, fd, e);
}

static int mount_fs(struct apply *a, const struct rt_mount *m, struct err *e)
{
	autofd int target = open_target(a, m, true, e);
	if (target < 0)
		return target;
	autofd int fd = mnt_new_from(m->fstype, m->source, m->options, m->set, target, e);
	return fd < 0 ? err_ctx(e, "mount on %s", m->target) : finish(m, fd, e);
}

static int mount_made(struct apply *a, const struct rt_mount *m, struct err *e)
{
	struct stat st;
	if (fstat(m->fd, &st) < 0)
		return err_sys(e, errno, "mount on %s", m->target);
	autofd int target = open_target(a, m, S_ISDIR(st.st_mode), e);
	if (target < 0)
		return target;
	int r = mnt_attach(m->fd, target, e);
	return r < 0 ? err_ctx(e, "mount on %s", m->target) : finish(m, m->fd, e);
}

int apply_attrs(struct apply *a, const struct rt_mount *m, unsigned set, struct err *e)
{
	autofd int target = safepath_locate(a->rootfd, m->target, e);
	int r = target < 0 ? target : mnt_setattr(target, false, set, m->clear, e);
	return r < 0 ? err_ctx(e, "attributes of %s", m->target) : 0;
}

int apply_mount(struct apply *a, const struct rt_mount *m, struct err *e)
{
	if (m->may_vanish && source_of(a, m)->fd < 0)
		return 0;
	switch (m->kind) {
	case RT_BIND:
		return mount_bind(a, m, e);
	case RT_TMPFS:
		return mount_tmpfs(a, m, e);
	case RT_FS:
		return mount_fs(a, m, e);
	case RT_REMOUNT:
		return apply_attrs(a, m, m->set, e);
	case RT_OVERLAY:
		return mount_overlay(a, m, e);
	case RT_LAYERS:
	case RT_FILE:
		return apply_staged(a, m, source_of(a, m), e);
	case RT_DEV:
		return apply_dev(a, m, e);
	case RT_MADE:
		return mount_made(a, m, e);
	case RT_PROC:
	case RT_SYSFS:
	case RT_DEVPTS:
	case RT_MQUEUE:
	case RT_CGROUP:
		break;
	}
	autofd int target = open_target(a, m, true, e);
	if (target < 0)
		return target;
	if (m->kind == RT_PROC)
		return mount_proc(a, m, target, e);
	if (m->kind == RT_SYSFS)
		return mount_sysfs(a, m, target, e);
	if (m->kind == RT_MQUEUE)
		return mount_optional("mqueue", "/dev/mqueue", m, target);
	if (m->kind == RT_CGROUP)
		return mount_optional("cgroup2", NULL, m, target);
	autofd int fd = mnt_new("devpts", m->options, m->set, target, e);
	return fd < 0 ? err_ctx(e, "%s", m->target) : 0;
}

/* The empty directory that hides directories: one tmpfs, read-only, cloned for each. */
static int mask_directory(struct apply *a, int target, struct err *e)
{
	autofd int fd = -1;
	if (a->emptyfd < 0) {
		a->emptyfd = mnt_new("tmpfs", "size=0,nr_inodes=1,mode=555",
				     MNT_RDONLY | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, target, e);
		return a->emptyfd < 0 ? a->emptyfd : 0;
	}
	fd = mnt_bind(a->emptyfd, "", false, 0, 0, target, e);
	return fd < 0 ? fd : 0;
}

int apply_mask(struct apply *a, const char *path, struct err *e)
{
	autofd int target = safepath_locate(a->rootfd, path, NULL);
	if (target < 0)
		return 0; /* nothing there to hide */
	struct stat st;
	if (fstat(target, &st) < 0)
		return err_sys(e, errno, "mask %s", path);
	int r;
	if (S_ISDIR(st.st_mode)) {
		r = mask_directory(a, target, e);
	} else {
		autofd int fd = mnt_bind(a->nullfd, "", false, 0, 0, target, e);
		r = fd < 0 ? fd : 0;
	}
	return r < 0 ? err_ctx(e, "mask %s", path) : 0;
}

int apply_read_only(struct apply *a, const char *path, struct err *e)
{
	autofd int target = safepath_locate(a->rootfd, path, NULL);
	if (target < 0)
		return 0;
	autofd int fd = mnt_bind(target, "", true, MNT_RDONLY | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, 0, target, e);
	return fd < 0 ? err_ctx(e, "make %s read-only", path) : 0;
}
