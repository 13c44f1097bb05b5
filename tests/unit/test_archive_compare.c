/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/* Two trees side by side: what makes them differ, and what does not. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/archive_compare.h"
#include "tap.h"

static char *top;
static struct idmap map;

static void put(const char *tree, const char *name, const char *text)
{
	autofree char *path = xasprintf("%s/%s/%s", top, tree, name);
	struct err e = ERR_INIT;
	if (io_write_file(AT_FDCWD, path, text, strlen(text), 0644, &e) < 0)
		tap_diag("%s", e.text);
}

static void set_times(const char *tree, const char *name)
{
	const struct timespec when[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000, .tv_nsec = 5}};
	autofree char *path = xasprintf("%s/%s/%s", top, tree, name);
	utimensat(AT_FDCWD, path, when, AT_SYMLINK_NOFOLLOW);
}

static void make_tree(const char *tree)
{
	autofree char *root = xasprintf("%s/%s", top, tree);
	autofree char *dir = xasprintf("%s/d", root);
	autofree char *link = xasprintf("%s/l", root);
	struct err e = ERR_INIT;
	(void)!io_remove_tree(AT_FDCWD, root, &e);
	mkdir(root, 0755);
	mkdir(dir, 0755);
	put(tree, "d/f", "hello");
	put(tree, "g", "more");
	symlink("d/f", link);
	const char *names[] = {"d/f", "d", "g", "l", "."};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		set_times(tree, names[i]);
}

static int compare(char difference[ARCHIVE_DIFFERENCE_SIZE])
{
	struct err e = ERR_INIT;
	autofree char *a = xasprintf("%s/a", top);
	autofree char *b = xasprintf("%s/b", top);
	autofd int have = open(a, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int want = open(b, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = archive_compare(&map, have, want, difference, &e);
	if (r < 0)
		tap_diag("%s", e.text);
	return r;
}

/* A fresh pair of trees, one of them changed by `change` of `name`; the difference must be `want`. */
typedef void change_fn(const char *path);

static void expect(const char *name, change_fn *change, bool and_times, const char *want, const char *sentence)
{
	char difference[ARCHIVE_DIFFERENCE_SIZE] = "";
	make_tree("a");
	make_tree("b");
	autofree char *path = xasprintf("%s/a/%s", top, name);
	change(path);
	if (and_times) {
		const char *names[] = {"d/f", "d", "g", "l", "."};
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			set_times("a", names[i]);
	}
	tap_is_int(compare(difference), 1, sentence);
	tap_is_str(difference, want, sentence);
}

static void write_other(const char *path)
{
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	(void)!write(fd, "jello", 5);
}

static void append(const char *path)
{
	autofd int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	(void)!write(fd, "x", 1);
}

static void touch_it(const char *path)
{
	utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static void make_setuid(const char *path)
{
	chmod(path, 04644);
}

static void remove_it(const char *path)
{
	unlink(path);
}

static void create_it(const char *path)
{
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	(void)fd;
}

static void relink(const char *path)
{
	unlink(path);
	symlink("d/g", path);
}

static void to_directory(const char *path)
{
	unlink(path);
	mkdir(path, 0755);
}

static void hard_link(const char *path)
{
	autofree char *other = xasprintf("%s/outside", top);
	unlink(other);
	(void)!link(path, other);
}

static void set_attribute(const char *path)
{
	setxattr(path, "user.strange", "1", 1, 0);
}

int main(void)
{
	char template[] = "/var/tmp/rl-compare-XXXXXX";
	char difference[ARCHIVE_DIFFERENCE_SIZE] = "";
	struct err e = ERR_INIT;
	tap_plan_later();
	top = mkdtemp(template);
	if (!top || idmap_detect(true, &map, &e) < 0)
		return tap_skip("there is no directory or no id map", "trees are compared"), tap_done();
	make_tree("a");
	make_tree("b");
	tap_is_int(compare(difference), 0, "two trees made alike are the same");
	expect("d/f", write_other, true, "d/f: content", "other bytes of the same length are found");
	expect("d/f", append, true, "d/f: size", "so is another length");
	expect("d/f", touch_it, false, "d/f: time of modification", "another time");
	expect("l", touch_it, false, "l: time of modification", "also of a symlink");
	expect("g", make_setuid, true, "g: mode", "a setuid bit");
	expect("g", remove_it, true, "g: missing", "a file that is gone");
	expect("d/e", create_it, true, "d/e: not in the layer", "one too many");
	expect("l", relink, true, "l: link target", "a symlink to elsewhere");
	expect("g", to_directory, true, "g: type", "a directory in the place of a file");
	expect("g", hard_link, true, "g: hard links", "a link more");
	make_tree("a");
	autofree char *probe = xasprintf("%s/a/g", top);
	if (setxattr(probe, "user.probe", "1", 1, 0) == 0)
		expect("g", set_attribute, true, "g: extended attributes", "an attribute more");
	else
		tap_skip("the file system has no user attributes", "an attribute more");
	autofree char *dir = xasprintf("%s/a/d", top);
	make_tree("a");
	make_tree("b");
	chmod(dir, 0);
	tap_is_int(compare(difference), 1, "what may not be read is not taken for the same");
	chmod(dir, 0755);
	(void)!io_remove_tree(AT_FDCWD, top, &e);
	return tap_done();
}
