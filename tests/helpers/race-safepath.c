/* links: kern base */
/*
 * race-safepath.c - a payload that swaps path components while we resolve, create and mount inside its root.
 *
 * Usage: race-safepath [ITERATIONS [walk|naive]]      (100000; "walk" takes openat2 away first; "naive" uses openat(2)
 * instead of safepath and must be seen to escape: the proof that the swapper is fast enough to catch somebody)
 *
 * The swapper exchanges, as fast as it can, a directory for a symlink out of the root, a directory for a symlink to
 * "/", and moves a directory up and down, so that ".." changes its meaning. The other side calls every function of
 * safepath on paths through those components. Whatever is returned must lie inside the root, and the directory outside
 * must be as it was: any other outcome (errors included) is allowed. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/safepath.h"
#include "tap.h"

static bool remove_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static RL_NORETURN void swapper(int rootfd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0;; i++) {
		renameat2(rootfd, "swap", rootfd, "link-out", RENAME_EXCHANGE);
		renameat2(rootfd, "swap", rootfd, "link-root", RENAME_EXCHANGE);
		renameat2(rootfd, "in/swap", rootfd, "link-deep", RENAME_EXCHANGE);
		if (i & 1)
			renameat2(rootfd, "x/y/mover", rootfd, "mover", RENAME_NOREPLACE);
		else
			renameat2(rootfd, "mover", rootfd, "x/y/mover", RENAME_NOREPLACE);
		if (i % 16 == 0)
			renameat2(rootfd, "file", rootfd, "link-file", RENAME_EXCHANGE);
	}
}

struct counts {
	long inside;
	long refused;
	long escaped;
};

static void check(int fd, const char *root, struct counts *c)
{
	if (fd < 0) {
		c->refused++;
		return;
	}
	char link[32];
	char path[PATH_MAX];
	safepath_fd_path(fd, link);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	const char *rest = str_after(path, root);
	if (rest && (*rest == '/' || *rest == '\0')) {
		c->inside++;
	} else {
		if (c->escaped++ == 0)
			tap_diag("escaped: %s", path);
	}
	close(fd);
}

static void attack(int rootfd, const char *root, long i, struct counts *c)
{
	static const char *const paths[] = {"swap/secret",
					    "in/swap/secret",
					    "mover/../secret",
					    "mover/../../secret",
					    "x/y/mover/../../../../secret",
					    "swap/../secret",
					    "file",
					    "in/swap/../../../secret",
					    "x/y/mover/../../swap/new"};
	static const char *const dirs[] = {"swap/d", "in/swap/d/e", "x/y/mover/../d", "swap/../in/swap/d"};
	const char *path = paths[(size_t)i % ARRAY_SIZE(paths)];
	const char *dir = dirs[(size_t)i % ARRAY_SIZE(dirs)];
	struct stat st;
	switch (i % 6) {
	case 0:
		check(safepath_open(rootfd, path, O_RDONLY | O_NONBLOCK, 0, NULL), root, c);
		break;
	case 1:
		check(safepath_open(rootfd, path, O_CREAT | O_WRONLY | O_TRUNC, 0600, NULL), root, c);
		break;
	case 2:
		check(safepath_mkdirs(rootfd, dir, 0755, NULL), root, c);
		break;
	case 3:
		check(safepath_mountpoint(rootfd, dir, true, 0755, NULL), root, c);
		break;
	case 4:
		check(safepath_mountpoint(rootfd, path, false, 0644, NULL), root, c);
		break;
	default:
		if (safepath_write_file(rootfd, path, "mine", 4, 0644, NULL) < 0)
			c->refused++;
		else
			c->inside++;
		break;
	}
	if (i % 64 == 0) {
		(void)!io_remove_tree(rootfd, "d", NULL);
		(void)!io_remove_tree(rootfd, "swap/d", NULL);
		(void)!unlinkat(rootfd, "secret", 0);
		(void)!fstat(rootfd, &st);
	}
}

static void attack_naively(int rootfd, const char *root, long i, struct counts *c)
{
	static const char *const paths[] = {"swap/secret", "in/swap/secret", "mover/../../secret"};
	check(openat(rootfd, paths[(size_t)i % ARRAY_SIZE(paths)], O_RDONLY | O_CLOEXEC), root, c);
}

static bool outside_untouched(int topfd)
{
	autostr struct str text = STR_INIT;
	struct stat st;
	const bool same = io_read_file(topfd, "outside/secret", 100, &text, NULL) == 0 && str_eq(text.buf, "secret") &&
			  io_read_file(topfd, "secret", 100, &text, NULL) == 0 && str_eq(text.buf, "secretsecret");
	return same && fstatat(topfd, "outside", &st, 0) == 0 && st.st_nlink == 2 &&
	       faccessat(topfd, "outside/new", F_OK, 0) < 0 && faccessat(topfd, "outside/d", F_OK, 0) < 0;
}

int main(int argc, char **argv)
{
	long iterations = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
	bool walk = argc > 2 && str_eq(argv[2], "walk");
	bool naive = argc > 2 && str_eq(argv[2], "naive");
	tap_plan_later();
	if (walk && !remove_openat2())
		return tap_skip_all("no seccomp filters");
	autofree char *top = tap_tmpdir();
	autofd int topfd = open(top, O_DIRECTORY | O_CLOEXEC);
	static const char *const dirs[] = {"root/swap", "root/in/swap", "root/x/y/mover", "outside"};
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		(void)!io_mkdirs(topfd, dirs[i], 0755, NULL);
	(void)!io_write_file(topfd, "outside/secret", "secret", 6, 0644, NULL);
	(void)!io_write_file(topfd, "secret", "secret", 6, 0644, NULL);
	(void)!io_write_file(topfd, "root/file", "file", 4, 0644, NULL);
	(void)!symlinkat("../outside", topfd, "root/link-out");
	(void)!symlinkat("/", topfd, "root/link-root");
	(void)!symlinkat("../../outside", topfd, "root/link-deep");
	(void)!symlinkat("../outside/secret", topfd, "root/link-file");
	autofree char *root = xasprintf("%s/root", top);
	autofd int rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	pid_t pid = fork();
	if (pid == 0)
		swapper(rootfd);
	struct counts c = {0};
	for (long i = 0; i < iterations; i++)
		(naive ? attack_naively : attack)(rootfd, root, i, &c);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	tap_diag("%ld inside, %ld refused, %ld escaped", c.inside, c.refused, c.escaped);
	if (naive) {
		(void)!io_remove_tree(AT_FDCWD, top, NULL);
		tap_ok(c.escaped > 0, "the swapper catches a resolution that does not defend itself");
		return tap_done();
	}
	tap_ok(c.escaped == 0, "%ld calls against a swapper returned nothing outside of the root (%s)", iterations,
	       walk ? "walk" : "openat2");
	tap_ok(outside_untouched(topfd), "and nothing outside was made, written or removed");
	tap_ok(c.inside > iterations / 10 && c.refused > 0, "both outcomes were met: the race took place");
	(void)!io_remove_tree(AT_FDCWD, top, NULL);
	return tap_done();
}
