/* links: kern base; libs: -lcap-ng -lseccomp -ljansson */
#include "rl/kern/ovl.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/xattr.h"
#include "tap.h"

static int layer(const char *top, const char *name, const char *const *dirs, const char *const *files,
		 const char *const *whiteouts)
{
	struct err e = ERR_INIT;
	autofree char *path = xasprintf("%s/%s", top, name);
	int fd = io_open_dir(AT_FDCWD, path, true, 0755, &e);
	for (; *dirs; dirs++)
		if (io_mkdirs(fd, *dirs, 0755, &e) < 0)
			exit(1);
	for (; *files; files++)
		if (io_write_file(fd, *files, name, strlen(name), 0644, &e) < 0)
			exit(1);
	for (; *whiteouts; whiteouts++)
		if (mknodat(fd, *whiteouts, S_IFCHR, makedev(0, 0)) < 0)
			exit(1);
	return fd;
}

/* Number of the layer that shows it, or -1. */
static int shown(const int *fds, const char *dir, const char *name)
{
	struct ovl_hit h;
	struct err e = ERR_INIT;
	if (ovl_find(fds, 3, dir, name, &h, &e) != 1)
		return -1;
	close(h.dirfd);
	return (int)h.layer;
}

int main(void)
{
	tap_plan_later();
	struct err e = ERR_INIT;
	autofree char *top = tap_tmpdir();
	const char *none[] = {NULL};
	int fds[3];
	fds[0] = layer(top, "0", (const char *[]){"d/e", "opq", NULL}, (const char *[]){"d/a", "plain", "opq/n", NULL},
		       (const char *[]){"d/gone", "gonedir", NULL});
	fds[1] = layer(top, "1", (const char *[]){"d/e", "opq", "plain", NULL},
		       (const char *[]){"d/b", "d/gone", "opq/o", "plain/x", NULL}, none);
	fds[2] = layer(top, "2", (const char *[]){"d/e", "gonedir", "opq", NULL},
		       (const char *[]){"d/a", "d/c", "gonedir/x", "opq/p", "d/e/deep", NULL}, none);
	if (symlinkat("d", fds[0], "sym") < 0)
		exit(1);
	tap_is_int(shown(fds, "d", "a"), 0, "the top layer wins");
	tap_is_int(shown(fds, "d", "b"), 1, "what it does not have comes from below");
	tap_is_int(shown(fds, "d/e", "deep"), 2, "from any depth");
	tap_is_int(shown(fds, "d", "gone"), -1, "a whiteout hides");
	tap_is_int(shown(fds, "gonedir", "x"), -1, "also what lies in the directory it hides");
	tap_is_int(shown(fds, "plain", "x"), -1, "a file covers a directory");
	tap_is_int(shown(fds, "sym", "a"), -1, "symlinks are not followed");
	tap_is_int(shown(fds, "", "plain"), 0, "the root is a directory like others");
	autofd int opq = openat(fds[0], "opq", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tap_is_int(shown(fds, "opq", "p"), 2, "a directory is merged");
	if (xattr_set(opq, XATTR_OVL_OPAQUE, "y", 1) == 0) {
		tap_is_int(shown(fds, "opq", "p"), -1, "until it is opaque");
		tap_is_int(shown(fds, "opq", "n"), 0, "which does not hide its own");
	} else {
		tap_skip("no user xattrs here", "an opaque directory");
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	tap_is_int(io_remove_tree(AT_FDCWD, top, &e), 0, "cleaned up");
	return tap_done();
}
