/*
 * send.c - the end that reads; see copy.h.
 *
 * Each object is opened without following and then asked what it is: a name that changed its meaning in between is what
 * it is now, and a fifo or device never blocks the open. One descriptor is held per level of directories.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "copy_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/tree_wire.h"

enum { DEPTH_MAX = 512, CHUNK = 64 * 1024, BUCKETS = 4096 };

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

/* A file with several names. */
struct known {
	struct known *next;
	dev_t dev;
	ino_t ino;
	char *path;
};

struct sender {
	struct tree_out out;
	struct known *known[BUCKETS];
	char *chunk;
};

bool copy_path_is_dir(const char *path)
{
	return str_ends(path, "/") || str_ends(path, "/.") || str_eq(path, ".");
}

bool copy_path_is_contents(const char *path)
{
	return str_ends(path, "/.") || str_eq(path, ".") || path[strspn(path, "/")] == '\0';
}

static void fill_node(struct tree_node *n, const struct stat *st, const char *path)
{
	*n = (struct tree_node){
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
		.path = path,
		.link = "",
	};
}

/* The earlier name of a file with several, or NULL and it is noted. */
static const char *earlier(struct sender *s, const struct stat *st, const char *path)
{
	struct known **head = &s->known[st->st_ino % BUCKETS];
	for (const struct known *k = *head; k; k = k->next)
		if (k->ino == st->st_ino && k->dev == st->st_dev)
			return k->path;
	struct known *k = xmalloc(sizeof(*k));
	*k = (struct known){*head, st->st_dev, st->st_ino, xstrdup(path)};
	*head = k;
	return NULL;
}

static void forget_known(struct sender *s)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (s->known[i]) {
			struct known *k = s->known[i];
			s->known[i] = k->next;
			free(k->path);
			free(k);
		}
	}
}

/* At most `len` bytes from where fd stands: what is read is what there is. */
static int send_range(struct sender *s, int fd, uint64_t len, struct err *e)
{
	while (len) {
		ssize_t n = read(fd, s->chunk, RL_MIN(len, (uint64_t)CHUNK));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read");
		if (n == 0)
			return 0;
		int r = tree_out_data(&s->out, s->chunk, (size_t)n, e);
		if (r < 0)
			return r;
		len -= (uint64_t)n;
	}
	return 0;
}

static int send_data(struct sender *s, int fd, const struct stat *st, struct err *e)
{
	/* Files of procfs and the like have no size but content. */
	bool sparse = st->st_blocks * 512 < st->st_size && st->st_size > 0;
	off_t at = 0;
	int r = 0;
	while (r >= 0 && sparse) {
		off_t data = lseek(fd, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return st->st_size > at ? tree_out_hole(&s->out, (uint64_t)(st->st_size - at), e) : 0;
		off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || lseek(fd, data, SEEK_SET) < 0)
			break;
		if (data > at)
			r = tree_out_hole(&s->out, (uint64_t)(data - at), e);
		if (r >= 0)
			r = send_range(s, fd, (uint64_t)(hole - data), e);
		at = hole;
		if (at >= st->st_size)
			return r;
	}
	return r < 0 ? r : send_range(s, fd, UINT64_MAX, e);
}

static int send_file(struct sender *s, int fd, const struct stat *st, const char *path, struct err *e)
{
	struct tree_node n;
	fill_node(&n, st, path);
	const char *first = st->st_nlink > 1 ? earlier(s, st, path) : NULL;
	if (first) {
		n.hardlink = true;
		n.link = first;
		return tree_out_node(&s->out, &n, e);
	}
	int r = tree_out_node(&s->out, &n, e);
	if (r >= 0)
		r = send_data(s, fd, st, e);
	return r < 0 ? err_ctx(e, "%s", path) : tree_out_file_end(&s->out, e);
}

static int send_symlink(struct sender *s, int dirfd, const char *name, const struct stat *st, const char *path,
			struct err *e)
{
	char target[PATH_MAX];
	struct tree_node n;
	ssize_t len = readlinkat(dirfd, name, target, sizeof(target) - 1);
	if (len < 0)
		return errno == ENOENT || errno == EINVAL ? 0 : err_sys(e, errno, "read symlink %s", path);
	target[len] = '\0';
	fill_node(&n, st, path);
	n.link = target;
	return tree_out_node(&s->out, &n, e);
}

static bool is_virtual(int fd)
{
	static const uint32_t magics[] = {PROC_SUPER_MAGIC,   SYSFS_MAGIC,  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
					  DEVPTS_SUPER_MAGIC, MQUEUE_MAGIC, DEBUGFS_MAGIC,	TRACEFS_MAGIC,
					  SECURITYFS_MAGIC,   BPF_FS_MAGIC};
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if ((uint32_t)fs.f_type == magics[i])
			return true;
	return false;
}

static int send_dir(struct sender *s, int fd, const struct stat *st, const char *path, unsigned depth, struct err *e);

/* Whatever `name` in dirfd is at this moment. */
static int send_name(struct sender *s, int dirfd, const char *name, const char *path, unsigned depth, struct err *e)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "%s", path);
	if (S_ISLNK(st.st_mode))
		return send_symlink(s, dirfd, name, &st, path, e);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			return errno == ENOENT || errno == ELOOP ? 0 : err_sys(e, errno, "open %s", path);
		if (fstat(fd, &st) < 0)
			return err_sys(e, errno, "stat %s", path);
		if (S_ISDIR(st.st_mode))
			return send_dir(s, fd, &st, path, depth + 1, e);
		return S_ISREG(st.st_mode) ? send_file(s, fd, &st, path, e) : 0;
	}
	if (S_ISSOCK(st.st_mode)) {
		log_debug(LOG_RUN, "%s is a socket: left out", path);
		return 0;
	}
	struct tree_node n;
	fill_node(&n, &st, path);
	return tree_out_node(&s->out, &n, e);
}

static int send_dir(struct sender *s, int fd, const struct stat *st, const char *path, unsigned depth, struct err *e)
{
	struct tree_node n;
	autostrv struct strv names = STRV_INIT;
	if (depth > DEPTH_MAX)
		return err_sys(e, ELOOP, "%.64s...: too deep", path);
	fill_node(&n, st, path);
	int r = tree_out_node(&s->out, &n, e);
	if (r < 0 || (depth > 0 && is_virtual(fd)))
		return r;
	r = io_list_dir(fd, &names, e);
	if (r < 0)
		return err_ctx(e, "%s", *path ? path : ".");
	strv_sort(&names);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		autofree char *in = *path ? xasprintf("%s/%s", path, names.items[i]) : xstrdup(names.items[i]);
		r = send_name(s, fd, names.items[i], in, depth, e);
	}
	return r;
}

/* The source itself: its path may lead through symlinks, which stay in the place. */
static int send_root(struct sender *s, const struct copy_send *c, struct err *e)
{
	struct stat st;
	bool must_be_dir = copy_path_is_dir(c->path);
	bool follow = c->follow || must_be_dir;
	autofd int seen = copy_open(&c->place, c->path, O_PATH | (follow ? 0 : O_NOFOLLOW), e);
	if (seen < 0)
		return seen;
	if (fstat(seen, &st) < 0)
		return err_sys(e, errno, "stat %s", c->path);
	if (must_be_dir && !S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR, "%s", c->path);
	if (S_ISLNK(st.st_mode)) {
		/* Empty path: of the link the descriptor is. */
		char target[PATH_MAX];
		struct tree_node n;
		ssize_t len = readlinkat(seen, "", target, sizeof(target) - 1);
		if (len < 0)
			return err_sys(e, errno, "read symlink %s", c->path);
		target[len] = '\0';
		fill_node(&n, &st, "");
		n.link = target;
		return tree_out_node(&s->out, &n, e);
	}
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		autofd int fd = copy_open(&c->place, c->path,
					  O_RDONLY | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW), e);
		if (fd < 0)
			return fd;
		if (fstat(fd, &st) < 0)
			return err_sys(e, errno, "stat %s", c->path);
		if (S_ISDIR(st.st_mode))
			return send_dir(s, fd, &st, "", 0, e);
		return S_ISREG(st.st_mode) ? send_file(s, fd, &st, "", e)
					   : err_set(e, ESTALE, "%s changed meanwhile", c->path);
	}
	if (S_ISSOCK(st.st_mode))
		return err_set(e, EOPNOTSUPP, "%s is a socket", c->path);
	struct tree_node n;
	fill_node(&n, &st, "");
	return tree_out_node(&s->out, &n, e);
}

int copy_send(const struct copy_send *c, struct err *e)
{
	struct sender *s = xcalloc(1, sizeof(*s));
	struct rlimit lim;
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
	s->chunk = xmalloc(CHUNK);
	tree_out_init(&s->out, c->outfd);
	int r = send_root(s, c, e);
	if (r >= 0)
		r = tree_out_end(&s->out, e);
	tree_out_free(&s->out);
	forget_known(s);
	free(s->chunk);
	free(s);
	return r;
}
