/* What overlayfs does in a user namespace (decisions 5, 8, 13, 14). */
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "platform.h"

/* Each property gets a directory of its own on the real file system, and stands in it. */
static char *work_dir(void)
{
	char *top = tap_tmpdir();
	if (chdir(top) < 0)
		return top;
	for (const char *const *d = (const char *const[]){"lower", "lower/dir", "upper", "work", "view", NULL}; *d; d++)
		mkdir(*d, 0755);
	(void)!io_write_file(AT_FDCWD, "lower/file", "low", 3, 0644, NULL);
	(void)!io_write_file(AT_FDCWD, "lower/dir/file", "low", 3, 0644, NULL);
	return top;
}

static int whiteouts(void *arg)
{
	struct stat st;
	if (chdir(arg) < 0)
		return 1;
	if (mknod("upper/file", S_IFCHR, makedev(0, 0)) < 0)
		return 2;
	if (mknod("upper/null", S_IFCHR | 0666, makedev(1, 3)) == 0 || errno != EPERM)
		return 3;
	mkdir("upper/dir", 0755);
	if (setxattr("upper/dir", "user.overlay.opaque", "y", 1, 0) < 0)
		return errno == EOPNOTSUPP ? LACKS : 4;
	if (mount("overlay", "view", "overlay", 0, "userxattr,lowerdir=lower,upperdir=upper,workdir=work") < 0)
		return 5;
	if (stat("view/file", &st) == 0)
		return 6;
	if (stat("view/dir/file", &st) == 0 || stat("view/dir", &st) < 0)
		return 7;
	if (unlink("view/dir/nothing") == 0 || mkdir("view/new", 0755) < 0)
		return 8;
	return 0;
}

static int layers(void *arg)
{
	autostr struct str options = STR_INIT;
	if (chdir(arg) < 0)
		return 1;
	mkdir("many", 0755);
	if (chdir("many") < 0)
		return 2;
	for (int i = 0; i <= 500; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		mkdir(name, 0755);
		str_addf(&options, "%s%d", i ? ":" : "userxattr,lowerdir=", i);
	}
	if (options.len >= 4096)
		return 3;
	if (mount("overlay", "../view", "overlay", 0, options.buf) == 0 || errno != EINVAL)
		return 4;
	*strrchr(options.buf, ':') = '\0';
	return mount("overlay", "../view", "overlay", 0, options.buf) == 0 ? 0 : 5;
}

static int option_page(void *arg)
{
	autostr struct str options = STR_INIT;
	char name[65];
	if (chdir(arg) < 0)
		return 1;
	for (int i = 0; i < 70; i++) {
		snprintf(name, sizeof(name), "%064d", i);
		mkdir(name, 0755);
		str_addf(&options, "%s%s", i ? ":" : "userxattr,lowerdir=", name);
	}
	if (mount("overlay", "view", "overlay", 0, options.buf) == 0)
		return 2;
	str_cut(&options, (size_t)(strchr(options.buf, '=') - options.buf) + 1 + 60 * 65 - 1);
	return mount("overlay", "view", "overlay", 0, options.buf) == 0 ? 0 : 3;
}

static int volatile_once(void *arg)
{
	static const char options[] = "userxattr,volatile,lowerdir=lower,upperdir=upper,workdir=work";
	if (chdir(arg) < 0 || mount("overlay", "view", "overlay", 0, options) < 0)
		return 1;
	if (umount2("view", MNT_DETACH) < 0 || access("work/work/incompat/volatile", F_OK) < 0)
		return 2;
	return mount("overlay", "view", "overlay", 0, options) < 0 ? 0 : 3;
}

static int stacking(void *arg)
{
	if (chdir(arg) < 0 ||
	    mount("overlay", "view", "overlay", 0, "userxattr,lowerdir=lower,upperdir=upper,workdir=work") < 0)
		return 1;
	for (const char *const *d = (const char *const[]){"view/u", "view/w", "view2", "view3", "tmp", "tmp3", NULL};
	     *d; d++)
		mkdir(*d, 0755);
	if (mount("overlay", "view2", "overlay", 0, "userxattr,lowerdir=lower,upperdir=view/u,workdir=view/w") == 0)
		return 2;
	if (mount("none", "tmp", "tmpfs", 0, NULL) < 0 || mkdir("tmp/u", 0755) < 0 || mkdir("tmp/w", 0755) < 0 ||
	    mkdir("tmp/u3", 0755) < 0 || mkdir("tmp/w3", 0755) < 0)
		return 3;
	if (mount("overlay", "view2", "overlay", 0, "userxattr,lowerdir=view,upperdir=tmp/u,workdir=tmp/w") < 0)
		return 4;
	return mount("overlay", "view3", "overlay", 0, "userxattr,lowerdir=view2,upperdir=tmp/u3,workdir=tmp/w3") < 0
		       ? 0
		       : 5;
}

static int root_as_lower(void *arg)
{
	if (chdir(arg) < 0)
		return 1;
	if (mount("overlay", "view", "overlay", 0, "userxattr,lowerdir=/,upperdir=upper,workdir=work") == 0)
		return 2;
	return mount("overlay", "view", "overlay", 0, "userxattr,lowerdir=/usr,upperdir=upper,workdir=work") == 0 ? 0
														  : 3;
}

static int user_xattrs(void *arg)
{
	if (chdir(arg) < 0 || symlink("nowhere", "link") < 0 || mkfifo("fifo", 0600) < 0)
		return 1;
	if (setxattr("upper", "user.rl.test", "x", 1, 0) < 0)
		return errno == EOPNOTSUPP ? LACKS : 2;
	if (lsetxattr("link", "user.rl.test", "x", 1, 0) == 0 || errno != EPERM)
		return 3;
	if (lsetxattr("fifo", "user.rl.test", "x", 1, 0) == 0 || errno != EPERM)
		return 4;
	return setxattr("upper", "trusted.overlay.opaque", "y", 1, 0) < 0 ? 0 : 5;
}

int main(void)
{
	static const struct {
		int (*fn)(void *);
		const char *sentence;
	} props[] = {
		{whiteouts, "whiteouts may be made (other devices not) and user.overlay.opaque counts"},
		{layers, "500 layers are mounted, 501 are refused"},
		{option_page, "mount options end at one page: 60 layers with long names fit, 70 do not"},
		{volatile_once, "a volatile overlay cannot be mounted again with the same work directory"},
		{stacking, "no upper on overlay, a lower on overlay once, not twice"},
		{root_as_lower, "/ is no lower directory, /usr is"},
		{user_xattrs, "user xattrs on directories, not on symlinks and fifos; no trusted ones"},
	};
	tap_plan_later();
	for (size_t i = 0; i < ARRAY_SIZE(props); i++) {
		autofree char *top = work_dir();
		single(CLONE_NEWNS, props[i].fn, top, props[i].sentence);
		(void)!chdir("/");
		(void)!io_remove_tree(AT_FDCWD, top, NULL);
	}
	return tap_done();
}
