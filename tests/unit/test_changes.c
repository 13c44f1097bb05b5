/* links: engine/store kern model base; libs: -lcap-ng -lseccomp -ljansson */
/* changes_find on layers made by hand: several own layers, opaque directories, places of mounts. */
#include "rl/engine/changes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

static const char *top;

static int layer(const char *name, const char *const *what)
{
	struct err e = ERR_INIT;
	autofree char *path = xasprintf("%s/%s", top, name);
	int fd = io_open_dir(AT_FDCWD, path, true, 0755, &e);
	for (; *what; what++) {
		const char *p = *what + 1;
		int r = 0;
		if (**what == 'd')
			r = io_mkdirs(fd, p, 0755, &e);
		else if (**what == 'o') {
			autofree char *full = xasprintf("%s/%s", path, p);
			r = io_mkdirs(fd, p, 0755, &e);
			if (r == 0 && setxattr(full, "user.overlay.opaque", "y", 1, 0) < 0)
				exit(77);
		} else if (**what == 'f')
			r = io_write_file(fd, p, name, strlen(name), 0644, &e);
		else if (**what == 'e')
			r = io_write_file(fd, p, "", 0, 0644, &e);
		else if (**what == 'w')
			r = mknodat(fd, p, S_IFCHR, makedev(0, 0));
		else if (**what == 't') {
			const struct timespec then[] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
			r = utimensat(fd, p, then, 0);
		}
		if (r < 0)
			exit(1);
	}
	return fd;
}

static void check(const int *fds, size_t ntop, size_t n, const struct strv *hidden, const char *want,
		  const char *sentence)
{
	struct err e = ERR_INIT;
	struct change_list l = {.count = 0};
	autostr struct str got = STR_INIT;
	const struct changes_req req = {
		.top = fds, .ntop = ntop, .below = fds + ntop, .nbelow = n - ntop, .hidden = hidden};
	if (changes_find(&req, &l, &e) < 0)
		str_adds(&got, e.text);
	for (size_t i = 0; i < l.count; i++)
		str_addf(&got, "%s%c%s", i ? " " : "", l.items[i].kind, l.items[i].path);
	change_list_free(&l);
	tap_is_str(got.buf, want, sentence);
}

static void compare(const int *fds, size_t ntop, size_t n, const char *want, const char *sentence)
{
	struct err e = ERR_INIT;
	struct change_list l = {.count = 0};
	autostr struct str got = STR_INIT;
	const struct changes_req req = {.top = fds, .ntop = ntop, .below = fds + ntop, .nbelow = n - ntop};
	if (changes_compare(&req, &l, &e) < 0)
		str_adds(&got, e.text);
	for (size_t i = 0; i < l.count; i++)
		str_addf(&got, "%s%c%s", i ? " " : "", l.items[i].kind, l.items[i].path);
	change_list_free(&l);
	tap_is_str(got.buf, want, sentence);
}

int main(void)
{
	tap_plan_later();
	char dir[] = "/tmp/rl-changes-XXXXXX";
	top = mkdtemp(dir);
	if (!top)
		return 1;
	const char *const base[] = {"da", "fa/x", "fa/y", "db", "fb/z", "detc", "ta", "tb", "tetc", NULL};
	const char *const one[] = {"da", "fa/new", "wa/x", "db", "tb", NULL};
	const char *const two[] = {"ob", "fb/q", "wa", NULL};
	const char *const mounts[] = {"detc", "eetc/hosts", "dproc", "dsub", "dsub/deep", NULL};
	const char *const undone[] = {"da", "wa/new", NULL};
	autofd int f_base = layer("base", base);
	autofd int f_one = layer("one", one);
	autofd int f_two = layer("two", two);
	autofd int f_mounts = layer("mounts", mounts);
	autofd int f_undone = layer("undone", undone);
	autostrv struct strv hidden = STRV_INIT;
	strv_add(&hidden, "/etc/hosts");
	strv_add(&hidden, "/proc");
	strv_add(&hidden, "/sub/deep");
	check((const int[]){f_one, f_base}, 1, 2, NULL, "C/a A/a/new D/a/x", "one layer: added, deleted, an untouched copy is none");
	check((const int[]){f_two, f_one, f_base}, 2, 3, NULL, "D/a C/b A/b/q D/b/z", "two layers count as one");
	check((const int[]){f_two, f_one, f_base}, 1, 3, NULL, "D/a C/b A/b/q D/b/z", "the upper one alone, with the other below");
	check((const int[]){f_undone, f_one, f_base}, 2, 3, NULL, "C/a D/a/x", "what came and went between own layers is nothing");
	check((const int[]){f_mounts, f_base}, 1, 2, &hidden, "", "places of mounts are no changes");
	check((const int[]){f_mounts, f_base}, 1, 2, NULL, "C/etc A/etc/hosts A/proc A/sub A/sub/deep", "unless nothing was mounted there");
	check((const int[]){f_base}, 1, 1, NULL, "A/a A/a/x A/a/y A/b A/b/z A/etc", "over nothing all is new");
	compare((const int[]){f_one, f_base, f_base}, 2, 3, "C/a A/a/new D/a/x", "two stacks: the one has a layer more");
	compare((const int[]){f_base, f_one, f_base}, 1, 3, "C/a D/a/new A/a/x", "or the other");
	compare((const int[]){f_two, f_one, f_base, f_one, f_base}, 3, 5, "D/a C/b A/b/q D/b/z", "they share all but one");
	compare((const int[]){f_one, f_base, f_two, f_base}, 2, 4, "A/a A/a/new A/a/y C/b D/b/q A/b/z", "each has one of its own");
	compare((const int[]){f_base, f_base}, 1, 2, "", "a stack is like itself");
	struct err e = ERR_INIT;
	if (io_remove_tree(AT_FDCWD, top, &e) < 0)
		return 1;
	return tap_done();
}
