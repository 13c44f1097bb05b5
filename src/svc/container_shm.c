/*
 * container_shm.c - /dev/shm of a container whose ipc namespace is shared.
 *
 * shm_open(3) and sem_open(3) are files there, so who shares ipc without it shares half of it. A mount of another mount
 * namespace can only be copied from within that namespace: a child enters the other container, makes a detached copy of
 * the mount and sends its descriptor, and the new container's child attaches it. The other container's payload decides
 * what its /dev/shm is; taken is a tmpfs that is a real directory at that very path, without set-user-ID and devices.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "container_int.h"
#include "inside.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/mnt.h"
#include "rl/kern/safepath.h"

enum { STEP_SHM = 1 };

static int send_copy(void *arg, struct err *e)
{
	const int *sock = arg;
	struct statfs fs;
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "open /");
	autofd int dir = safepath_open(root, "/dev/shm", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, e);
	if (dir < 0)
		return dir;
	if (fstatfs(dir, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return err_set(e, ENODEV, "it is no tmpfs");
	autofd int copy = mnt_copy(dir, MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, e);
	return copy < 0 ? copy : sync_send(*sock, STEP_SHM, NULL, 0, &copy, 1, e);
}

int container_shm_open(int pidfd, bool join_user, struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	const struct inside in = {
		.pidfd = pidfd,
		.join_user = join_user,
		.fn = send_copy,
		.arg = &theirs,
		.what = "the look at /dev/shm",
	};
	r = inside_run(&in, e);
	close_fd(&theirs);
	return r < 0 ? r : sync_expect_fd(ours, "the other container", STEP_SHM, e);
}
