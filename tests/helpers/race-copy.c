/* links: engine/copy kern base; libs: -lcap-ng -ljansson */
/*
 * race-copy.c - a payload that swaps names while `rl cp` reads from and writes into its root.
 *
 * Usage: race-copy [ITERATIONS [naive]]      (100000; "naive" resolves paths as this machine does and must be seen to
 * read what lies outside: the proof that the swapper is fast enough to catch somebody)
 *
 * The swapper exchanges, as fast as it can, a directory for a symlink out of the root (absolute and with ".."), and a
 * file for a symlink to a file outside. The other side copies trees and files out of the root and into it through these
 * names. What comes out must never be what lies outside, and what lies outside must stay as it is; errors are allowed.
 * Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/str.h"
#include "rl/base/tree_wire.h"
#include "rl/engine/copy.h"
#include "tap.h"

static const char secret[] = "SECRET";

static void put(int dirfd, const char *path, const char *text)
{
	if (io_write_file(dirfd, path, text, strlen(text), 0644, NULL) < 0)
		exit(1);
}

static void swapper(int rootfd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		renameat2(rootfd, "tree/d", rootfd, "out-abs", RENAME_EXCHANGE);
		renameat2(rootfd, "tree/d", rootfd, "out-abs", RENAME_EXCHANGE);
		renameat2(rootfd, "tree/d", rootfd, "out-up", RENAME_EXCHANGE);
		renameat2(rootfd, "tree/d", rootfd, "out-up", RENAME_EXCHANGE);
		renameat2(rootfd, "tree/d/f", rootfd, "file-out", RENAME_EXCHANGE);
		renameat2(rootfd, "tree/d/f", rootfd, "file-out", RENAME_EXCHANGE);
	}
}

/* Read a whole stream: true if something of it is what lies outside. */
static bool leaks(int fd, unsigned *files)
{
	struct tree_in in;
	struct tree_node n;
	const void *data;
	uint64_t len;
	bool leak = false;
	tree_in_init(&in, fd);
	while (tree_in_next(&in, &n, NULL) > 0) {
		/* Only when it was read for a link's text may "outside" be there. */
		leak |= strstr(n.path, "only-outside") != NULL;
		while (tree_in_data(&in, &data, &len, NULL) > 0) {
			(*files)++;
			leak |= data && len >= strlen(secret) && memcmp(data, secret, strlen(secret)) == 0;
		}
	}
	tree_in_free(&in);
	return leak;
}

static bool send_once(int rootfd, const char *naive_root, const char *path, bool follow, unsigned *files)
{
	int ends[2];
	autofree char *naive = naive_root ? path_join(naive_root, path) : NULL;
	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	(void)!copy_send(&(struct copy_send){.place = {.rootfd = rootfd, .host = naive != NULL},
					     .path = naive ? naive : path,
					     .follow = follow,
					     .outfd = ends[1]},
			 NULL);
	close(ends[1]);
	bool leak = leaks(ends[0], files);
	close(ends[0]);
	return leak;
}

static bool receive_once(int rootfd, const char *path)
{
	int ends[2];
	struct tree_out out;
	struct err e = ERR_INIT;
	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	tree_out_init(&out, ends[1]);
	const struct tree_node dir = {.uid = getuid(), .gid = getgid(), .mode = S_IFDIR | 0755, .path = "", .link = ""};
	const struct tree_node sub = {
		.uid = getuid(), .gid = getgid(), .mode = S_IFDIR | 0755, .path = "d", .link = ""};
	const struct tree_node file = {
		.uid = getuid(), .gid = getgid(), .mode = S_IFREG | 0644, .path = "d/f", .link = ""};
	if (tree_out_node(&out, &dir, &e) < 0 || tree_out_node(&out, &sub, &e) < 0 ||
	    tree_out_node(&out, &file, &e) < 0 || tree_out_data(&out, "written", 7, &e) < 0 ||
	    tree_out_file_end(&out, &e) < 0 || tree_out_end(&out, &e) < 0)
		exit(1);
	tree_out_free(&out);
	close(ends[1]);
	int r = copy_receive(&(struct copy_receive){.place = {.rootfd = rootfd},
						    .path = path,
						    .name = "tree",
						    .contents = true,
						    .keep_owner = true,
						    .from_host = NULL,
						    .infd = ends[0]},
			     NULL);
	close(ends[0]);
	return r >= 0;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100000;
	tap_plan_later();
	umask(0);
	autofree char *top = tap_tmpdir();
	autofree char *root = xasprintf("%s/root", top);
	const char *naive = argc > 2 ? root : NULL;
	autofree char *outside = xasprintf("%s/outside", top);
	autofree char *secret_file = xasprintf("%s/f", outside);
	autofd int topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (io_mkdirs(topfd, "root/tree/d", 0755, NULL) < 0 || io_mkdirs(topfd, "outside/only-outside", 0755, NULL) < 0)
		return 1;
	autofd int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(topfd, "outside/f", secret);
	put(topfd, "outside/only-outside/x", secret);
	put(rootfd, "tree/d/f", "inside");
	if (symlinkat(outside, rootfd, "out-abs") < 0 || symlinkat("../../outside", rootfd, "out-up") < 0 ||
	    symlinkat(secret_file, rootfd, "file-out") < 0)
		return 1;
	pid_t pid = fork();
	if (pid == 0)
		swapper(rootfd);
	unsigned files = 0;
	unsigned received = 0;
	unsigned leaked = 0;
	for (unsigned i = 0; i < rounds; i++) {
		leaked += send_once(rootfd, naive, "/tree", false, &files);
		leaked += send_once(rootfd, naive, i % 2 ? "/tree/d/f" : "/tree/d/", i % 4 < 2, &files);
		if (naive)
			continue;
		received += receive_once(rootfd, i % 2 ? "/tree" : "/tree/d/..");
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (naive) {
		tap_ok(leaked > 0, "%u of %u rounds read what lies outside", leaked, rounds);
		(void)!io_remove_tree(AT_FDCWD, top, NULL);
		return tap_done();
	}
	tap_ok(files > rounds / 10 && received > rounds / 100, "%u files were sent and %u trees received in %u rounds",
	       files, received, rounds);
	tap_is_int(leaked, 0, "nothing outside of the root was read");
	autostr struct str text = STR_INIT;
	struct err e = ERR_INIT;
	struct stat st;
	tap_ok(io_read_file(topfd, "outside/f", 100, &text, &e) == 0 && str_eq(text.buf, secret) &&
		       fstatat(topfd, "outside", &st, 0) == 0 && st.st_nlink == 3 &&
		       fstatat(topfd, "outside/d", &st, 0) < 0,
	       "and nothing was written there");
	(void)!io_remove_tree(AT_FDCWD, top, NULL);
	return tap_done();
}
