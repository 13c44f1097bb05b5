/*
 * apply_secret.c - secrets on a tmpfs of the container's own.
 *
 * One tmpfs stands on /run/secrets. A secret with a place elsewhere is written there too, bound to its place and
 * unlinked: the mount keeps the file, which is then on no disk and in no layer. What the layer gets is the empty file or
 * directory that was mounted on. When all are written, the tmpfs becomes read-only.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mnt.h"
#include "rl/kern/safepath.h"

static const char place[] = "/run/secrets";

static int write_secret(int dir, const char *name, const struct rt_secret *s, struct err *e)
{
	autofree char *parent = path_dir(name);
	autofd int made = str_eq(parent, ".") ? -1 : safepath_mkdirs(dir, parent, 0755, e);
	if (!str_eq(parent, ".") && made < 0)
		return made;
	autofd int fd = safepath_open(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
	if (fd < 0)
		return fd;
	int r = io_write_all(fd, s->data, s->len, e);
	if (r < 0)
		return r;
	if ((s->uid || s->gid) && fchown(fd, s->uid, s->gid) < 0)
		return err_sys(e, errno, "give it to %u:%u", s->uid, s->gid);
	return fchmod(fd, (mode_t)s->mode) < 0 ? err_sys(e, errno, "set its mode") : 0;
}

static int put_secret(struct apply *a, int dir, const struct rt_secret *s, struct err *e)
{
	static const char hidden[] = ".secret";
	const char *below = str_after(s->target, place);
	if (below && *below == '/')
		return write_secret(dir, below + 1, s, e);
	int r = write_secret(dir, hidden, s, e);
	if (r < 0)
		return r;
	autofd int source = safepath_open(dir, hidden, O_PATH | O_NOFOLLOW, 0, e);
	autofd int target = source < 0 ? source : safepath_mountpoint(a->rootfd, s->target, false, 0755, e);
	autofd int fd = target < 0 ? target
				   : mnt_bind(source, "", false, MNT_RDONLY | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, 0,
					      target, e);
	if (unlinkat(dir, hidden, 0) < 0 && fd >= 0)
		return err_sys(e, errno, "unlink");
	return fd < 0 ? fd : 0;
}

int apply_secrets(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	size_t total = 0;
	for (size_t i = 0; i < s->nsecrets; i++)
		total += s->secrets[i].len + 16384; /* whole pages, directories */
	autofree char *options = xasprintf("mode=755,size=%zu", total + 65536);
	autofd int target = safepath_mountpoint(a->rootfd, place, true, 0755, e);
	if (target < 0)
		return err_ctx(e, "%s", place);
	autofd int dir = mnt_new("tmpfs", options, MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, target, e);
	if (dir < 0)
		return err_ctx(e, "%s", place);
	for (size_t i = 0; i < s->nsecrets; i++) {
		int r = put_secret(a, dir, &s->secrets[i], e);
		if (r < 0)
			return err_ctx(e, "secret on %s", s->secrets[i].target);
	}
	return mnt_setattr(dir, false, MNT_RDONLY, 0, e);
}
