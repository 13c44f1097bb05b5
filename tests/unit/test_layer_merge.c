/* links: engine/store kern model base; libs: -lcap-ng -lseccomp -ljansson */
/* Two layers that lie on each other, merged, show what they showed: compared with changes_compare over a third one. */
#include "rl/engine/layer_merge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/changes.h"
#include "rl/kern/ovl.h"
#include "tap.h"

static char *top;

/* "dX" directory, "oX" opaque one, "fX" file, "wX" whiteout. */
static int layer(const char *name, const char *const *what)
{
	autofree char *path = xasprintf("%s/%s", top, name);
	int fd = io_open_dir(AT_FDCWD, path, true, 0755, NULL);
	for (; *what; what++) {
		const char *p = *what + 1;
		autofree char *full = xasprintf("%s/%s", path, p);
		int r = 0;
		if (**what == 'd' || **what == 'o')
			r = io_mkdirs(fd, p, 0755, NULL);
		if (r == 0 && **what == 'o')
			r = setxattr(full, "user.overlay.opaque", "y", 1, 0);
		if (**what == 'f')
			r = io_write_file(fd, p, name, strlen(name), 0644, NULL);
		if (**what == 'w')
			r = mknodat(fd, p, S_IFCHR, makedev(0, 0));
		if (r < 0)
			exit(1);
	}
	return fd;
}

static bool is_opaque(int dirfd, const char *name)
{
	autofd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && ovl_is_opaque(fd);
}

int main(void)
{
	tap_plan_later();
	struct err e = ERR_INIT;
	top = tap_tmpdir();
	autofree char *owned = top;
	static const char *const base[] = {"dd",    "fd/1", "fd/2", "dgone", "fgone/x", "df",	"ff/x", "fplain", "dopq",
					   "fopq/o", "dback", "fback/old", "dkeep", "fkeep/k", NULL};
	static const char *const lower[] = {"dd",	"fd/2",	 "fd/3", "dnew",   "fnew/n", "wgone", "ff",    "wback",
					    "oopq", "fopq/l", "fboth", "fswap", "dturn", "fturn/x", "dlow", "flow/a", NULL};
	static const char *const upper[] = {"dd",    "wd/1",   "fd/4",	 "wd/3",  "dnew", "fnew/m", "dback", "fback/new", "dopq", "fopq/u",
					    "fboth", "dswap", "fswap/in", "wplain", "fturn", "olow", "flow/b", NULL};
	static const char *const nothing[] = {NULL};
	autofd int f_base = layer("base", base);
	autofd int f_lower = layer("lower", lower);
	autofd int f_upper = layer("upper", upper);
	autofd int f_out = layer("out", nothing);
	if (linkat(f_upper, "both", f_upper, "hard", 0) < 0 || symlinkat("x", f_lower, "link") < 0 ||
	    fchmodat(f_upper, "new", 0700, 0) < 0 || fchmodat(f_lower, "d", 0711, 0) < 0)
		return 1;
	if (!tap_ok(layer_merge(f_upper, f_lower, f_out, &e) == 0, "two layers are merged"))
		tap_diag("%s", e.text);
	struct change_list l = {.count = 0};
	const int fds[] = {f_out, f_base, f_upper, f_lower, f_base};
	const struct changes_req req = {.top = fds, .ntop = 2, .below = fds + 2, .nbelow = 3};
	tap_ok(changes_compare(&req, &l, &e) == 0 && l.count == 0, "over a third one they show the same");
	for (size_t i = 0; i < l.count; i++)
		tap_diag("%c %s", l.items[i].kind, l.items[i].path);
	change_list_free(&l);
	struct stat a;
	struct stat b;
	tap_ok(fstatat(f_out, "d/4", &a, 0) == 0 && fstatat(f_upper, "d/4", &b, 0) == 0 && a.st_ino == b.st_ino,
	       "files are linked, not copied");
	tap_ok(fstatat(f_out, "both", &a, 0) == 0 && fstatat(f_out, "hard", &b, 0) == 0 && a.st_ino == b.st_ino,
	       "hard links stay together");
	tap_ok(fstatat(f_out, "gone", &a, AT_SYMLINK_NOFOLLOW) == 0 && ovl_is_whiteout(&a), "whiteouts stay");
	tap_ok(is_opaque(f_out, "opq") && is_opaque(f_out, "low"), "what hid something in either layer hides it");
	tap_ok(is_opaque(f_out, "back"), "so does a directory made where the lower layer had a whiteout");
	tap_ok(is_opaque(f_out, "swap"), "or a file");
	tap_ok(!is_opaque(f_out, "d") && !is_opaque(f_out, "new"), "and no other");
	tap_ok(fstatat(f_out, "new", &a, 0) == 0 && (a.st_mode & 07777) == 0700, "modes are those of the upper one");
	tap_ok(faccessat(f_out, "low/a", F_OK, 0) < 0 && faccessat(f_out, "low/b", F_OK, 0) == 0,
	       "what the upper one hides of the lower one is not linked");
	tap_is_int(layer_merge(f_upper, f_lower, f_out, &e), -EEXIST, "a target that is not empty is refused");
	if (io_remove_tree(AT_FDCWD, top, &e) < 0)
		return 1;
	return tap_done();
}
