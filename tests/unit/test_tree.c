/* Trees copied, given away and measured, in a directory of the test's own. */
#include "rl/kern/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "tap.h"

static int put(int dir, const char *name, const char *text, mode_t mode)
{
	struct err e = ERR_INIT;
	int r = io_write_file(dir, name, text, strlen(text), mode, &e);
	return r < 0 ? r : fchmodat(dir, name, mode, 0);
}

static int open_dir(int parent, const char *name)
{
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void fill(int from)
{
	const struct timespec then[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	mkdirat(from, "d", 0750);
	int d = open_dir(from, "d");
	put(from, "f", "hello", 0640);
	put(d, "deep", "below", 0600);
	linkat(from, "f", d, "same", 0);
	symlinkat("/etc/passwd", from, "link");
	mknodat(from, "fifo", S_IFIFO | 0600, 0);
	fsetxattr(d, "user.mine", "x", 1, 0);
	fsetxattr(d, "user.overlay.opaque", "y", 1, 0);
	utimensat(from, "f", then, 0);
	fchmod(d, 02750);
	close(d);
}

static void copies(int from, int to)
{
	struct tree_stats stats = {0};
	struct err e = ERR_INIT;
	struct stat a;
	struct stat b;
	char target[32] = "";
	tap_is_int(tree_copy(from, to, 0, &stats, &e), 0, "a tree is copied");
	tap_is_int((long long)stats.entries, 6, "every entry is counted");
	tap_is_int((long long)stats.bytes, 10, "a file with two names counts once");
	tap_ok(fstatat(to, "f", &a, 0) == 0 && (a.st_mode & 07777) == 0640 && a.st_mtime == 2000,
	       "a file keeps mode and time");
	tap_ok(fstatat(to, "d", &b, 0) == 0 && (b.st_mode & 07777) == 02750, "a directory keeps its mode");
	tap_ok(fstatat(to, "d/same", &b, 0) == 0 && a.st_ino == b.st_ino, "a hard link stays one");
	tap_ok(readlinkat(to, "link", target, sizeof(target) - 1) > 0 && strcmp(target, "/etc/passwd") == 0,
	       "a symlink is copied, not followed");
	tap_ok(fstatat(to, "fifo", &a, AT_SYMLINK_NOFOLLOW) == 0 && S_ISFIFO(a.st_mode), "a fifo is made");
	int d = open_dir(to, "d");
	char value[4];
	if (fgetxattr(d, "user.mine", value, sizeof(value)) < 0 && errno == ENOTSUP)
		tap_skip("no user xattrs here", "an xattr is copied");
	else
		tap_ok(fgetxattr(d, "user.mine", value, sizeof(value)) == 1, "an xattr is copied");
	tap_ok(fgetxattr(d, "user.overlay.opaque", value, sizeof(value)) < 0, "one of overlayfs is not");
	close(d);
}

static void merges(int from, int to)
{
	struct tree_stats stats;
	struct err e = ERR_INIT;
	struct stat st;
	tap_is_int(tree_copy(from, to, 0, &stats, &e), -EEXIST, "without TREE_REPLACE nothing is overwritten");
	tap_ok(strstr(e.text, "already") != NULL, "and the error says what is there");
	unlinkat(to, "f", 0);
	symlinkat("/dev/null", to, "f");
	put(to, "mine", "mine", 0600);
	err_clear(&e);
	tap_is_int(tree_copy(from, to, TREE_REPLACE, &stats, &e), 0, "with it trees are merged");
	tap_ok(fstatat(to, "f", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size == 5,
	       "a symlink in the way is replaced, not written through");
	tap_ok(fstatat(to, "mine", &st, 0) == 0, "what only the target has stays");
	unlinkat(to, "link", 0);
	mkdirat(to, "link", 0700);
	int in = open_dir(to, "link");
	put(in, "x", "x", 0600);
	close(in);
	tap_is_int(tree_copy(from, to, TREE_REPLACE, &stats, &e), -EISDIR, "a directory with content is not replaced");
}

static void deep(int base)
{
	struct tree_stats stats;
	struct err e = ERR_INIT;
	mkdirat(base, "deep", 0700);
	mkdirat(base, "deep2", 0700);
	int at = open_dir(base, "deep");
	for (int i = 0; i < TREE_DEPTH_MAX + 5 && at >= 0; i++) {
		mkdirat(at, "d", 0700);
		int next = open_dir(at, "d");
		close(at);
		at = next;
	}
	close(at);
	int from = open_dir(base, "deep");
	int to = open_dir(base, "deep2");
	tap_is_int(tree_copy(from, to, 0, &stats, &e), -ELOOP, "a tree that is too deep is refused, not recursed into");
	tap_is_int(tree_measure(from, 0, &stats, &e), 0, "measuring it stops at the limit");
	close(from);
	close(to);
}

static void owners(int to)
{
	struct err e = ERR_INIT;
	struct stat st;
	tap_is_int(tree_chown(to, geteuid(), getegid(), &e), 0, "giving a tree to its owner changes nothing");
	if (geteuid() != 0) {
		tap_is_int(tree_chown(to, 0, 0, &e), -EPERM, "what is not allowed is an error");
		return;
	}
	tap_ok(tree_chown(to, 12, 34, &e) == 0 && fstatat(to, "d/deep", &st, 0) == 0 && st.st_uid == 12 &&
		       st.st_gid == 34 && fstatat(to, "fifo", &st, 0) == 0 && st.st_uid == 12,
	       "a tree is given to somebody else");
}

int main(void)
{
	struct err e = ERR_INIT;
	char dir[] = "/var/tmp/test_tree.XXXXXX";
	tap_plan_later();
	if (!mkdtemp(dir))
		return 1;
	int base = open_dir(AT_FDCWD, dir);
	mkdirat(base, "from", 0700);
	mkdirat(base, "to", 0700);
	int from = open_dir(base, "from");
	int to = open_dir(base, "to");
	tap_is_int(tree_is_empty(from, &e), 1, "a new directory is empty");
	fill(from);
	tap_is_int(tree_is_empty(from, &e), 0, "one with a file is not");
	copies(from, to);
	merges(from, to);
	deep(base);
	owners(to);
	close(from);
	close(to);
	close(base);
	tap_is_int(io_remove_tree(AT_FDCWD, dir, &e), 0, "all of it can be removed");
	return tap_done();
}
