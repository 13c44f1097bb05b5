/*
 * apply_root.c - the root file system: stacked or bound at the mount directory, and entered.
 *
 * The mount directory is the container's own record directory: the root is mounted over it in this mount namespace
 * only, so no directory has to be made and nothing is left when the namespace goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/mnt.h"
#include "rl/kern/safepath.h"

static int open_path(const char *path, int flags, const char *what, int *ret_fd, struct err *e)
{
	if (!path)
		return 0;
	int fd = open(path, O_PATH | O_CLOEXEC | flags);
	if (fd < 0)
		return err_sys(e, errno, "%s %s", what, path);
	*ret_fd = fd;
	return 0;
}

static int open_null(struct apply *a, struct err *e)
{
	/* Masks are made from this inode only, opened before the container's own /dev exists and proved to be the null
	 * device: runc took whatever the container had put at /dev/null (CVE-2025-31133). */
	int r = open_path("/dev/null", O_NOFOLLOW, "open", &a->nullfd, e);
	if (r < 0)
		return r;
	struct stat st;
	if (fstat(a->nullfd, &st) < 0)
		return err_sys(e, errno, "stat /dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(e, ENODEV, "/dev/null of the host is not the null device");
	return 0;
}

static int open_lowers(const struct rt_mount *m, struct apply_source *source, struct err *e)
{
	source->lowers = xcalloc(m->lowers.count, sizeof(int));
	int r = 0;
	for (size_t i = 0; i < m->lowers.count && r == 0; i++)
		r = open_path(m->lowers.items[i], O_DIRECTORY, "layer", &source->lowers[i], e);
	return r;
}

static int open_mount_sources(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	a->sources = xcalloc(s->nmounts, sizeof(*a->sources));
	int r = 0;
	for (size_t i = 0; i < s->nmounts && r == 0; i++) {
		const struct rt_mount *m = &s->mounts[i];
		a->sources[i] = (struct apply_source){-1, -1, -1, NULL};
		bool is_name = m->kind == RT_FS || m->kind == RT_TMPFS;
		r = is_name ? 0 : open_path(m->source, 0, "mount", &a->sources[i].fd, e);
		if (r == -ENOENT && m->may_vanish) {
			r = 0;
			if (e)
				err_clear(e);
			continue;
		}
		if (r == 0)
			r = open_path(m->upper, O_DIRECTORY, "overlay", &a->sources[i].upper, e);
		if (r == 0)
			r = open_path(m->work, O_DIRECTORY, "overlay", &a->sources[i].work, e);
		if (r == 0 && m->lowers.count)
			r = open_lowers(m, &a->sources[i], e);
	}
	return r;
}

/* Paths of the host are opened while this process is still the caller: container root may be nobody to the caller's
 * directories (--userns=nomap), and what the caller may not open, container root must not either. */
int apply_open_host(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	int r = open_null(a, e);
	if (r == 0)
		r = open_path(s->mount_dir, O_DIRECTORY, "open", &a->mountfd, e);
	if (r == 0)
		r = open_path(s->rootfs, O_DIRECTORY, "root directory", &a->rootfs, e);
	a->layerfds = xcalloc(s->layers.count, sizeof(int));
	for (size_t i = 0; i < s->layers.count && r == 0; i++)
		r = open_path(s->layers.items[i], O_DIRECTORY, "layer", &a->layerfds[i], e);
	if (r == 0)
		r = open_path(s->upper, O_DIRECTORY, "writable layer", &a->upperfd, e);
	if (r == 0)
		r = open_path(s->work, O_DIRECTORY, "writable layer", &a->workfd, e);
	return r < 0 ? r : open_mount_sources(a, e);
}

int apply_root_bind(struct apply *a, const char *dir, struct err *e)
{
	/* pivot_root wants a root, and a mount around it, whose events go nowhere. */
	int r = a->plan->spec->keep_shared ? mnt_make_private_around(a->mountfd, e) : 0;
	if (r == 0)
		r = a->rootfd = mnt_bind(a->rootfs, "", true, 0, 0, a->mountfd, e);
	if (r >= 0 && a->plan->spec->keep_shared)
		r = mnt_propagation(a->rootfd, false, MS_PRIVATE, e);
	return r < 0 ? err_ctx(e, "root directory %s", dir) : 0;
}

int apply_root_propagation(const struct apply *a, struct err *e)
{
	unsigned long how = a->plan->spec->root_propagation;
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "open /");
	int r = mnt_propagation(root, (how & MS_REC) != 0, how & ~(unsigned long)MS_REC, e);
	return r < 0 ? err_ctx(e, "propagation of the root") : 0;
}

static int make_entry(int root, const struct rt_entry *entry, struct err *e)
{
	const char *path = entry->path + 1;
	int r = 0;
	if (entry->link)
		r = symlinkat(entry->link, root, path);
	else if (*path)
		r = mkdirat(root, path, entry->mode);
	/* mkdir leaves out the bits above 0777, and a file system of ours has the right owners as far as they are mapped. */
	if (r == 0 && !entry->link && fchmodat(root, *path ? path : ".", entry->mode, 0) < 0)
		r = -1;
	if (r < 0)
		return err_sys(e, errno, "make %s", entry->path);
	if ((entry->uid || entry->gid) &&
	    fchownat(root, *path ? path : ".", entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		log_debug(LOG_MNT, "%s keeps its owner", entry->path);
	return 0;
}

/* Nobody else can see the file system yet, and paths of the spec lead through its own entries only. */
int apply_root_memory(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	a->rootfd = mnt_new("tmpfs", "size=25%,mode=755", MNT_NODEV | MNT_NOSUID, a->mountfd, e);
	int r = a->rootfd < 0 ? a->rootfd : 0;
	for (size_t i = 0; i < s->nentries && r == 0; i++)
		r = make_entry(a->rootfd, &s->entries[i], e);
	for (size_t i = 0; i < s->root_files.count && r == 0; i++) {
		autofd int fd = safepath_mountpoint(a->rootfd, s->root_files.items[i], false, 0644, e);
		r = fd < 0 ? fd : 0;
	}
	return r < 0 ? err_ctx(e, "root directory") : 0;
}

int apply_pivot(struct apply *a, struct err *e)
{
	int r = a->plan->spec->no_pivot ? mnt_move_to_root(a->rootfd, e) : mnt_pivot(a->rootfd, e);
	if (r < 0)
		return r;
	/* Descriptors of the host are closed now, not at exec: nothing below may reach them even by mistake. */
	close_fd(&a->procfd);
	close_fd(&a->nullfd);
	close_fd(&a->emptyfd);
	log_debug(LOG_RUN, "root entered");
	return 0;
}
