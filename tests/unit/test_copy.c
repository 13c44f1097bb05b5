/* links: engine/copy kern base; libs: -lcap-ng -ljansson */
/* copy_send and copy_receive between directories; streams that a hostile tar could lead to. */
#include "rl/engine/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/base/tree_wire.h"
#include "tap.h"

static char *top;
static int from, to;

static int transfer(const char *source, const char *target, const char *name)
{
	struct err e = ERR_INIT;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	int r = copy_send(&(struct copy_send){.place = {.rootfd = from}, .path = source, .outfd = ends[1]}, &e);
	close(ends[1]);
	if (r >= 0)
		r = copy_receive(&(struct copy_receive){.place = {.rootfd = to},
							.path = target,
							.name = name,
							.contents = copy_path_is_contents(source),
							.keep_owner = true,
							.infd = ends[0]},
				 &e);
	close(ends[0]);
	return r;
}

static bool has(const char *path, const char *text)
{
	autostr struct str got = STR_INIT;
	return io_read_file(to, path, 1000, &got, NULL) >= 0 && str_eq(got.buf, text);
}

static int receive_nodes(const struct tree_node *nodes, size_t n, bool archive)
{
	struct err e = ERR_INIT;
	struct tree_out o;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	tree_out_init(&o, ends[1]);
	for (size_t i = 0; i < n; i++) {
		struct tree_node node = nodes[i];
		node.uid = getuid();
		node.gid = getgid();
		if (tree_out_node(&o, &node, &e) < 0 ||
		    (S_ISREG(node.mode) && !node.hardlink && tree_out_file_end(&o, &e) < 0))
			exit(1);
	}
	if (tree_out_end(&o, &e) < 0)
		exit(1);
	tree_out_free(&o);
	close(ends[1]);
	int r = copy_receive(&(struct copy_receive){.place = {.rootfd = to},
						    .path = "/in",
						    .name = "x",
						    .archive = archive,
						    .keep_owner = true,
						    .infd = ends[0]},
			     &e);
	close(ends[0]);
	return r;
}

static void test_hostile(void)
{
	static const char *const paths[] = {"../up", "a/../../up", "./x", "a/.", "..", ".", "a/../x"};
	unsigned bad = 0;
	if (mkdirat(to, "in", 0755) < 0 || symlinkat("/", to, "in/link") < 0 || symlinkat("..", to, "in/up") < 0)
		exit(1);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct tree_node n = {.mode = S_IFREG | 0644, .path = paths[i], .link = ""};
		bad += receive_nodes(&n, 1, true) != -EBADMSG;
	}
	tap_is_int(bad, 0, "paths that are not plain are refused");
	const struct tree_node through[] = {{.mode = S_IFREG | 0644, .path = "link/evil", .link = ""}};
	tap_ok(receive_nodes(through, 1, true) < 0 && faccessat(to, "evil", F_OK, 0) < 0,
	       "a symlink on the way is not followed");
	const struct tree_node own[] = {{.mode = S_IFLNK | 0777, .path = "own", .link = "/"},
					{.mode = S_IFREG | 0644, .path = "own/evil", .link = ""}};
	tap_ok(receive_nodes(own, 2, true) < 0 && faccessat(to, "evil", F_OK, 0) < 0, "not even one that came before");
	const struct tree_node hard[] = {{.mode = S_IFREG | 0644, .hardlink = true, .path = "h", .link = "../d/f"}};
	tap_is_int(receive_nodes(hard, 1, true), -EBADMSG, "hard links lead to what was copied only");
	const struct tree_node orphan[] = {{.mode = S_IFREG | 0644, .path = "", .link = ""},
					   {.mode = S_IFREG | 0644, .path = "x", .link = ""}};
	tap_is_int(receive_nodes(orphan, 2, false), -EBADMSG, "a file holds nothing");
	const struct tree_node implied[] = {{.mode = S_IFREG | 0644, .path = "p/q/r", .link = ""}};
	tap_ok(receive_nodes(implied, 1, true) == 0 && has("in/p/q/r", ""), "parents that a tar leaves out are made");
}

int main(void)
{
	tap_plan_later();
	umask(0);
	struct err e = ERR_INIT;
	struct stat st;
	struct stat other;
	top = tap_tmpdir();
	autofree char *owned = top;
	autofd int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (io_mkdirs(dir, "from/d/sub", 0755, &e) < 0 || io_mkdirs(dir, "to", 0755, &e) < 0)
		return 1;
	from = openat(dir, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = openat(dir, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (io_write_file(from, "d/f", "one", 3, 0640, &e) < 0 || linkat(from, "d/f", from, "d/sub/g", 0) < 0 ||
	    symlinkat("f", from, "d/l") < 0 || mknodat(from, "d/p", S_IFIFO | 0600, 0) < 0 ||
	    mknodat(from, "d/s", S_IFSOCK | 0600, 0) < 0 || symlinkat("/d", from, "abs") < 0 ||
	    fchmodat(from, "d/sub", 0555, 0) < 0)
		return 1;
	tap_is_int(transfer("/d", "/d", "d"), 0, "a directory becomes what is not there");
	tap_ok(has("d/f", "one") && fstatat(to, "d/f", &st, 0) == 0 && fstatat(to, "d/sub/g", &other, 0) == 0 &&
		       st.st_ino == other.st_ino && (st.st_mode & 07777) == 0640,
	       "with files, modes and hard links");
	tap_ok(fstatat(to, "d/sub", &st, 0) == 0 && (st.st_mode & 07777) == 0555,
	       "a read-only directory is filled first");
	tap_ok(fstatat(to, "d/l", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
		       fstatat(to, "d/p", &st, 0) == 0 && S_ISFIFO(st.st_mode),
	       "links and fifos are themselves");
	tap_ok(faccessat(to, "d/s", F_OK, AT_SYMLINK_NOFOLLOW) < 0, "sockets are left out");
	tap_ok(transfer("/d", "/d", "d") == 0 && has("d/d/f", "one"), "into a directory that is there it goes below");
	tap_ok(transfer("/abs/f", "/x", "f") == 0 && has("x", "one"), "an absolute symlink means the place's own root");
	tap_ok(transfer("/abs/.", "/y", "abs") == 0 && has("y/f", "one"), "contents through a symlink");
	tap_is_int(transfer("/d", "/x", "d"), -ENOTDIR, "no directory onto a file");
	tap_is_int(transfer("/d/f", "/none/", "f"), -ENOENT, "no file into a directory that is not there");
	tap_is_int(transfer("/d/f/", "/z", "f"), -ENOTDIR, "no file by a directory's name");
	tap_is_int(transfer("/none", "/z", "f"), -ENOENT, "no source");
	test_hostile();
	if (fchmodat(from, "d/sub", 0755, 0) < 0 || io_remove_tree(AT_FDCWD, top, &e) < 0)
		return 1;
	return tap_done();
}
