/*
 * apply_dev.c - /dev of the container: a tmpfs with six device nodes bound from the host, links, and the terminal.
 *
 * mknod of a device is refused in a user namespace, so the nodes are binds of the host's. Each source is opened by
 * O_PATH without following a symlink and its device number checked, because what a bind opens is what the payload gets.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/sync.h"
#include "rl/kern/mnt.h"
#include "rl/kern/pty.h"
#include "rl/kern/safepath.h"
#include "steps.h"

static const struct {
	const char *name;
	unsigned major, minor;
} nodes[] = {
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const struct {
	const char *name;
	const char *target;
} links[] = {
	{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

/* A mount point in the tmpfs we just made: nobody else can have put anything there. */
static int make_file(int devfd, const char *name, struct err *e)
{
	int fd = openat(devfd, name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0)
		return err_sys(e, errno, "create /dev/%s", name);
	return fd;
}

static int bind_node(int devfd, size_t i, struct err *e)
{
	char path[32];
	snprintf(path, sizeof(path), "/dev/%s", nodes[i].name);
	autofd int source = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (source < 0)
		return err_sys(e, errno, "open %s", path);
	struct stat st;
	if (fstat(source, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(nodes[i].major, nodes[i].minor))
		return err_set(e, ENODEV, "%s of the host is not the device it should be", path);
	autofd int target = make_file(devfd, nodes[i].name, e);
	if (target < 0)
		return target;
	autofd int fd = mnt_bind(source, "", false, 0, 0, target, e);
	return fd < 0 ? err_ctx(e, "%s", path) : 0;
}

int apply_dev(struct apply *a, const struct rt_mount *m, struct err *e)
{
	int r = apply_check_target(a, m->target, e);
	if (r < 0)
		return r;
	autofd int target = safepath_mountpoint(a->rootfd, m->target, true, 0755, e);
	if (target < 0)
		return err_ctx(e, "%s", m->target);
	autofd int devfd = mnt_new("tmpfs", m->options, m->set, target, e);
	if (devfd < 0)
		return err_ctx(e, "%s", m->target);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		r = bind_node(devfd, i, e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, devfd, links[i].name) < 0)
			return err_sys(e, errno, "link /dev/%s", links[i].name);
	static const char *const dirs[] = {"pts", "shm", "mqueue"};
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdirat(devfd, dirs[i], 0755) < 0)
			return err_sys(e, errno, "make /dev/%s", dirs[i]);
	return 0;
}

/* The parent of a path in the root, made if it is missing. */
static int open_parent(struct apply *a, const char *path, struct err *e)
{
	autofree char *dir = path_dir(path);
	return safepath_mkdirs(a->rootfd, dir, 0755, e);
}

static mode_t node_type(const struct rt_device *d)
{
	return d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;
}

static bool is_node(const struct stat *st, const struct rt_device *d)
{
	return (st->st_mode & S_IFMT) == node_type(d) && (d->type == 'p' || st->st_rdev == makedev(d->major, d->minor));
}

static int make_node(int dir, const struct rt_device *d, struct err *e)
{
	const char *name = path_base(d->target);
	struct stat st;
	if (mknodat(dir, name, node_type(d) | d->mode, makedev(d->major, d->minor)) < 0) {
		int errnum = errno;
		if (errnum == EEXIST && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_node(&st, d))
			return 0;
		return err_sys(e, errnum, "make device %s", d->target);
	}
	if (fchownat(dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "owner of device %s", d->target);
	return 0;
}

static int bind_device(struct apply *a, const struct rt_device *d, struct err *e)
{
	autofd int source = open(d->source, O_PATH | O_CLOEXEC);
	if (source < 0)
		return err_sys(e, errno, "device %s", d->source);
	struct stat st;
	if (fstat(source, &st) < 0)
		return err_sys(e, errno, "device %s", d->source);
	if (d->node && !is_node(&st, d))
		return err_set(e, ENODEV, "%s of the host is not device %c %u:%u, and no other can be made here",
			       d->source, d->type, d->major, d->minor);
	autofd int target = safepath_mountpoint(a->rootfd, d->target, S_ISDIR(st.st_mode), 0755, e);
	if (target < 0)
		return err_ctx(e, "device %s", d->target);
	autofd int fd = mnt_bind(source, "", S_ISDIR(st.st_mode), d->read_only ? MNT_RDONLY : 0, 0, target, e);
	return fd < 0 ? err_ctx(e, "device %s", d->target) : 0;
}

int apply_device(struct apply *a, const struct rt_device *d, struct err *e)
{
	struct err why = ERR_INIT;
	if (!d->node)
		return bind_device(a, d, e);
	autofd int dir = open_parent(a, d->target, e);
	if (dir < 0)
		return err_ctx(e, "device %s", d->target);
	int r = make_node(dir, d, &why);
	if (r == -EPERM)
		return bind_device(a, d, e);
	if (r < 0 && e)
		*e = why;
	return r;
}

int apply_standard_dev(struct apply *a, struct err *e)
{
	autofd int dev = safepath_mkdirs(a->rootfd, "/dev", 0755, e);
	if (dev < 0)
		return err_ctx(e, "/dev");
	struct stat st;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		char path[32];
		snprintf(path, sizeof(path), "/dev/%s", nodes[i].name);
		const struct rt_device d = {.source = path,
					    .target = path,
					    .node = true,
					    .type = 'c',
					    .major = nodes[i].major,
					    .minor = nodes[i].minor,
					    .mode = 0666};
		int r = fstatat(dev, nodes[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : apply_device(a, &d, e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0 && errno != EEXIST)
			return err_sys(e, errno, "link /dev/%s", links[i].name);
	return 0;
}

int apply_terminal(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	autofd int pts = safepath_open(a->rootfd, "/dev/pts", O_PATH | O_DIRECTORY, 0, e);
	if (pts < 0)
		return pts;
	struct pty_pair pair;
	int r = pty_open(pts, &pair, e);
	if (r < 0)
		return r;
	a->pty_master = pair.masterfd;
	a->pty_slave = pair.slavefd;
	if (s->rows || s->columns) {
		r = pty_set_size(a->pty_master, s->rows, s->columns, e);
		if (r < 0)
			return r;
	}
	/* The slave came from TIOCGPTPEER, not from a path in /dev/pts that could be swapped (CVE-2025-52565). */
	autofd int target = safepath_mountpoint(a->rootfd, "/dev/console", false, 0600, e);
	if (target < 0)
		return err_ctx(e, "/dev/console");
	autofd int fd = mnt_bind(a->pty_slave, "", false, 0, 0, target, e);
	if (fd < 0)
		return err_ctx(e, "/dev/console");
	r = sync_send(a->sync, STEP_PTY, NULL, 0, &a->pty_master, 1, e);
	if (r < 0)
		return r;
	close_fd(&a->pty_master);
	return 0;
}
