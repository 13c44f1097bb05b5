/*
 * apply_staged.c - mounts of which only a part is to be seen in the container: a path of a stack of layers, one file of a
 * file system in memory.
 *
 * The whole is mounted on an empty directory of the host's first, in this mount namespace only, and the part is bound to
 * its target. After the pivot nothing leads to the whole any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/mnt.h"
#include "rl/kern/safepath.h"

enum { FILE_MAX = 64 << 20 };

static int bind_part(struct apply *a, const struct rt_mount *m, int part, unsigned set, struct err *e)
{
	struct stat st;
	if (fstat(part, &st) < 0)
		return err_sys(e, errno, "mount on %s", m->target);
	autofd int target = safepath_mountpoint(a->rootfd, m->target, S_ISDIR(st.st_mode), 0755, e);
	if (target < 0)
		return err_ctx(e, "mount point %s", m->target);
	autofd int fd = mnt_bind(part, "", false, set, 0, target, e);
	return fd < 0 ? err_ctx(e, "mount on %s", m->target) : 0;
}

static int stage_layers(struct apply *a, const struct rt_mount *m, const struct apply_source *source, struct err *e)
{
	const struct mnt_overlay o = {.lower = source->lowers, .nlower = m->lowers.count, .upper = -1, .work = -1};
	autofd int root = mnt_overlay(&o, MNT_NODEV, source->fd, e);
	if (root < 0)
		return root;
	autofd int part = safepath_locate(root, m->subpath ? m->subpath : "/", e);
	return part < 0 ? err_ctx(e, "mount on %s", m->target) : bind_part(a, m, part, m->set, e);
}

static int stage_file(struct apply *a, const struct rt_mount *m, int stage, struct err *e)
{
	autostr struct str text = STR_INIT;
	/* Read at an offset: the descriptor's position is shared with whoever made it. */
	char buffer[4096];
	ssize_t n;
	while ((n = pread(m->fd, buffer, sizeof(buffer), (off_t)text.len)) > 0) {
		str_add(&text, buffer, (size_t)n);
		if (text.len > FILE_MAX)
			return err_set(e, EFBIG, "the file for %s is too large", m->target);
	}
	if (n < 0)
		return err_sys(e, errno, "read the file for %s", m->target);
	autofd int fs = mnt_new("tmpfs", "mode=700,size=65m", MNT_NODEV | MNT_NOSUID, stage, e);
	if (fs < 0)
		return fs;
	autofd int file = openat(fs, "file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return err_sys(e, errno, "make the file for %s", m->target);
	int r = io_write_all(file, text.buf, text.len, e);
	if (r == 0 && (fchown(file, m->uid, m->gid) < 0 || fchmod(file, m->mode) < 0))
		r = err_sys(e, errno, "owner %u:%u of %s", m->uid, m->gid, m->target);
	return r < 0 ? r : bind_part(a, m, file, m->set, e);
}

int apply_staged(struct apply *a, const struct rt_mount *m, const struct apply_source *source, struct err *e)
{
	return m->kind == RT_LAYERS ? stage_layers(a, m, source, e) : stage_file(a, m, source->fd, e);
}
