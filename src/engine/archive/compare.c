/*
 * compare.c - two unpacked layers side by side; see rl/engine/archive_compare.h.
 *
 * Theory: both directories are listed and sorted, so that a name that only one of them has shows at once. Directories are
 * held open on the way down (their depth is bounded by ARCHIVE_DEPTH_MAX, which the unpacker enforces), so no path is
 * ever longer than one component and no symlink is followed. The first difference ends it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/base/sync.h"
#include "rl/engine/archive.h"
#include "rl/engine/archive_compare.h"
#include "rl/kern/xattr.h"

enum { CHUNK = 256 << 10, STEP_SAME = 1, STEP_DIFFERS };

struct compare {
	struct str path; /* of what is compared now */
	char *difference;
	char *a, *b; /* CHUNK bytes each */
	int depth;
};

static int differs(struct compare *c, const char *in)
{
	snprintf(c->difference, ARCHIVE_DIFFERENCE_SIZE, "%.200s: %s", c->path.len ? c->path.buf : "/", in);
	return 1;
}

static int list(int dirfd, struct strv *out, struct err *e)
{
	int r = io_list_dir(dirfd, out, e);
	if (r < 0)
		return r;
	strv_sort(out);
	return 0;
}

/* What the machine's policy sets on every file is not the layer's. */
static bool is_ignored(const char *name)
{
	return str_eq(name, "security.selinux") || str_eq(name, "security.SMACK64");
}

static int names_of(int fd, struct strv *out, struct err *e)
{
	autostr struct str all = STR_INIT;
	int r = xattr_list(fd, &all, e);
	for (size_t at = 0; r >= 0 && at < all.len; at += strlen(all.buf + at) + 1)
		if (!is_ignored(all.buf + at))
			strv_add(out, all.buf + at);
	strv_sort(out);
	return r;
}

static int compare_xattrs(struct compare *c, int a, int b, struct err *e)
{
	autostrv struct strv x = STRV_INIT;
	autostrv struct strv y = STRV_INIT;
	int r = names_of(a, &x, e);
	if (r >= 0)
		r = names_of(b, &y, e);
	if (r < 0)
		return r;
	if (x.count != y.count)
		return differs(c, "extended attributes");
	for (size_t i = 0; i < x.count; i++) {
		autostr struct str v = STR_INIT;
		autostr struct str w = STR_INIT;
		r = xattr_get(a, x.items[i], &v, e);
		if (r >= 0)
			r = xattr_get(b, x.items[i], &w, e);
		if (r < 0)
			return r;
		if (!str_eq(x.items[i], y.items[i]) || v.len != w.len || memcmp(v.buf, w.buf, v.len) != 0)
			return differs(c, "extended attributes");
	}
	return 0;
}

static int compare_content(struct compare *c, int a, int b, struct err *e)
{
	for (;;) {
		ssize_t n = io_read_full(a, c->a, CHUNK, e);
		ssize_t m = n < 0 ? n : io_read_full(b, c->b, CHUNK, e);
		if (n < 0 || m < 0)
			return n < 0 ? (int)n : (int)m;
		if (n != m || memcmp(c->a, c->b, (size_t)n) != 0)
			return differs(c, "content");
		if (n == 0)
			return 0;
	}
}

static int compare_links(struct compare *c, int a, int b, const char *name, struct err *e)
{
	char x[ARCHIVE_PATH_MAX + 2];
	char y[ARCHIVE_PATH_MAX + 2];
	ssize_t n = readlinkat(a, name, x, sizeof(x));
	ssize_t m = readlinkat(b, name, y, sizeof(y));
	if (n < 0 || m < 0)
		return err_sys(e, errno, "read a symlink");
	return n != m || memcmp(x, y, (size_t)n) != 0 ? differs(c, "link target") : 0;
}

static const char *stat_difference(const struct stat *a, const struct stat *b)
{
	if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT))
		return "type";
	if (a->st_mode != b->st_mode)
		return "mode";
	if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		return "owner";
	if (a->st_rdev != b->st_rdev)
		return "device number";
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		return "time of modification";
	if (S_ISDIR(a->st_mode))
		return NULL; /* link counts and sizes of directories are the file system's business */
	if (a->st_nlink != b->st_nlink)
		return "hard links";
	return a->st_size != b->st_size ? "size" : NULL;
}

static int compare_dirs(struct compare *c, int a, int b, struct err *e);

static int compare_opened(struct compare *c, int a, int b, const char *name, mode_t type, struct err *e)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	autofd int x = openat(a, name, flags);
	autofd int y = x < 0 ? -1 : openat(b, name, flags);
	if (x < 0 || y < 0)
		return err_sys(e, errno, "open");
	int r = compare_xattrs(c, x, y, e);
	if (r)
		return r;
	return S_ISDIR(type) ? compare_dirs(c, x, y, e) : compare_content(c, x, y, e);
}

static int compare_entry(struct compare *c, int a, int b, const char *name, struct err *e)
{
	struct stat x;
	struct stat y;
	if (fstatat(a, name, &x, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(b, name, &y, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "stat");
	const char *in = stat_difference(&x, &y);
	if (in)
		return differs(c, in);
	if (S_ISLNK(x.st_mode))
		return compare_links(c, a, b, name, e);
	if (!S_ISREG(x.st_mode) && !S_ISDIR(x.st_mode))
		return 0;
	return compare_opened(c, a, b, name, x.st_mode, e);
}

static int compare_dirs(struct compare *c, int a, int b, struct err *e)
{
	autostrv struct strv x = STRV_INIT;
	autostrv struct strv y = STRV_INIT;
	if (++c->depth > ARCHIVE_DEPTH_MAX)
		return differs(c, "deeper than any archive");
	int r = list(a, &x, e);
	if (r >= 0)
		r = list(b, &y, e);
	for (size_t i = 0; r == 0 && i < RL_MAX(x.count, y.count); i++) {
		const char *have = i < x.count ? x.items[i] : NULL;
		const char *want = i < y.count ? y.items[i] : NULL;
		int order = !have ? 1 : !want ? -1 : strcmp(have, want);
		size_t len = c->path.len;
		str_addf(&c->path, "%s%s", len ? "/" : "", order > 0 ? want : have);
		if (order)
			r = differs(c, order > 0 ? "missing" : "not in the layer");
		else
			r = compare_entry(c, a, b, have, e);
		if (r == 0)
			str_cut(&c->path, len);
	}
	c->depth--;
	return r;
}

static int compare_roots(struct compare *c, int a, int b, struct err *e)
{
	struct stat x;
	struct stat y;
	if (fstat(a, &x) < 0 || fstat(b, &y) < 0)
		return err_sys(e, errno, "stat");
	const char *in = stat_difference(&x, &y);
	if (in)
		return differs(c, in);
	int r = compare_xattrs(c, a, b, e);
	return r ? r : compare_dirs(c, a, b, e);
}

/* ---- the child ---- */

struct job {
	int have_fd, want_fd, sock;
};

static int run(void *arg)
{
	const struct job *job = arg;
	char difference[ARCHIVE_DIFFERENCE_SIZE] = "";
	struct err e = ERR_INIT;
	struct compare c = {.path = STR_INIT, .difference = difference};
	autofree char *x = c.a = xmalloc(CHUNK);
	autofree char *y = c.b = xmalloc(CHUNK);
	int r = compare_roots(&c, job->have_fd, job->want_fd, &e);
	if (r < 0)
		err_ctx(&e, "%.200s", c.path.len ? c.path.buf : "/");
	str_free(&c.path);
	if (r < 0) {
		sync_send_err(job->sock, &e);
		return 0;
	}
	r = sync_send(job->sock, r ? STEP_DIFFERS : STEP_SAME, difference, sizeof(difference), NULL, 0, &e);
	return r < 0;
}

int archive_compare(const struct idmap *map, int have_fd, int want_fd, char ret_difference[ARCHIVE_DIFFERENCE_SIZE],
		    struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	struct proc_child child = PROC_CHILD_NONE;
	struct job job = {have_fd, want_fd, theirs};
	r = userns_spawn(map, 0, run, &job, &child, e);
	if (r < 0)
		return r;
	close_fd(&theirs);
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	r = sync_recv(ours, "the comparison", msg, e);
	proc_kill_wait(&child);
	if (r < 0)
		return r;
	sync_close_fds(msg);
	if (msg->step == STEP_DIFFERS && msg->len == ARCHIVE_DIFFERENCE_SIZE) {
		memcpy(ret_difference, msg->data, ARCHIVE_DIFFERENCE_SIZE);
		ret_difference[ARCHIVE_DIFFERENCE_SIZE - 1] = '\0';
		return 1;
	}
	return msg->step == STEP_SAME ? 0 : err_set(e, EPROTO, "the comparison answered with step %u", msg->step);
}
