/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include "src/engine/archive/dirs_int.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

static unsigned open_fds(void)
{
	autodir DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	return n;
}

static int make_dir(void *ctx, struct dir *parent, const char *name, const char *path, bool over_whiteout,
		    struct err *e)
{
	(void)over_whiteout;
	(*(unsigned *)ctx)++;
	dirs_touch(parent);
	return mkdirat(parent->fd, name, 0755) < 0 ? err_sys(e, errno, "mkdir %s", path) : 0;
}

static time_t mtime_of(int root, const char *path)
{
	struct stat st;
	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : st.st_mtim.tv_sec;
}

static void set_old(int root, const char *path)
{
	const struct timespec old[2] = {{1000, 0}, {1000, 0}};
	if (utimensat(root, path, old, 0) < 0)
		exit(1);
}

static int make_in(struct dirs *d, const char *path, const char *name, struct err *e)
{
	struct dir *dir;
	int r = dirs_get(d, path, &dir, e);
	if (r < 0)
		return r;
	dirs_touch(dir);
	return mkdirat(dir->fd, name, 0755) < 0 ? err_sys(e, errno, "mkdir") : 0;
}

static void test_lookup(int root)
{
	struct err e = ERR_INIT;
	unsigned made = 0;
	autofree struct dirs *d = xcalloc(1, sizeof(*d));
	struct dir *dir;
	struct dir *other;
	tap_is_int(dirs_init(d, root, &e), 0, "a cache begins with the root");
	d->missing = make_dir;
	d->ctx = &made;
	tap_is_int(dirs_get(d, "a/b/c", &dir, &e), 0, "a path is made");
	tap_is_int(made, 3, "component by component");
	tap_ok(dirs_get(d, "a/b/c", &other, &e) == 0 && other == dir && made == 3, "and then found in the cache");
	tap_ok(dirs_find(d, "a/b", &other, &e) == 1 && dirs_find(d, "a/x", &other, &e) == 0, "finding makes nothing");
	if (symlinkat("a/b", root, "link") < 0 || symlinkat("/../../new/deep", root, "dangling") < 0 ||
	    symlinkat("loop2", root, "loop1") < 0 || symlinkat("loop1", root, "loop2") < 0 ||
	    symlinkat("../../../../../../../../tmp", root, "up") < 0)
		exit(1);
	tap_ok(dirs_get(d, "link/c", &other, &e) == 0 && other == dir, "two paths of one directory share an entry");
	const char *canon;
	tap_ok(dirs_get(d, "dangling/x", &other, &e) == 0 && dirs_canon(d, other, &canon, &e) == 0 &&
		       str_eq(canon, "new/deep/x"),
	       "a dangling symlink's target is made inside the root");
	tap_is_int(dirs_get(d, "loop1/x", &other, &e), -ELOOP, "a loop of symlinks is an error");
	tap_ok(dirs_get(d, "up/evil", &other, &e) == 0 && mtime_of(root, "tmp/evil") > 0, "'..' stays in the root");
	autofd int file = openat(root, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	tap_is_int(dirs_get(d, "file/x", &other, &e), -EBADMSG, "a file is no directory");
	d->no_openat2 = true;
	tap_ok(dirs_get(d, "a/b/plain", &other, &e) == 0 && mtime_of(root, "a/b/plain") > 0,
	       "it works without openat2");
	d->no_openat2 = false;
	tap_is_int(dirs_finish(d, &e), 0, "and comes to an end");
}

static void test_times(int root)
{
	struct err e = ERR_INIT;
	unsigned made = 0;
	autofree struct dirs *d = xcalloc(1, sizeof(*d));
	if (dirs_init(d, root, &e) < 0)
		exit(1);
	d->missing = make_dir;
	d->ctx = &made;
	struct dir *dir;
	bool ok = true;
	for (int i = 0; i < 3 * DIRS_MAX; i++) {
		autofree char *path = xasprintf("times/%d", i);
		ok &= dirs_get(d, path, &dir, &e) == 0;
		dir->mtime = (struct timespec){.tv_sec = 5000 + i};
		dirs_touch(dir);
	}
	unsigned before = open_fds();
	for (int i = 0; i < 3 * DIRS_MAX; i++) {
		autofree char *path = xasprintf("times/%d", i);
		ok &= make_in(d, path, "child", &e) == 0;
	}
	tap_ok(ok, "many more directories than the cache holds");
	tap_is_int(open_fds(), before, "take no more descriptors");
	tap_ok(before < DIRS_MAX + 16, "than the cache has room for");
	set_old(root, "a");
	tap_is_int(make_in(d, "link", "again", &e), 0, "changing one under another name");
	tap_is_int(dirs_finish(d, &e), 0, "finish");
	for (int i = 0; i < 3 * DIRS_MAX; i++) {
		autofree char *path = xasprintf("times/%d", i);
		ok &= mtime_of(root, path) == 5000 + i;
	}
	tap_ok(ok, "every time is what was asked for");
	tap_is_int(mtime_of(root, "a"), 1000, "and what was not touched keeps its own");
}

int main(void)
{
	tap_plan_later();
	unsigned fds = open_fds();
	autofree char *path = tap_tmpdir();
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_lookup(root);
	test_times(root);
	close(root);
	tap_is_int(open_fds(), fds, "nothing stays open");
	struct err e = ERR_INIT;
	tap_is_int(io_remove_tree(AT_FDCWD, path, &e), 0, "cleaned up");
	return tap_done();
}
