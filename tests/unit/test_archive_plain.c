/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * The reader of archives where there are no user namespaces: what it could still reach if it were taken over.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/landlock.h"
#include "src/engine/archive/role_confine_int.h"
#include "tap.h"

enum { LOOKS = 14, CONFINED = 1 };

/* Everything is tried in one confined process; its answers come through a pipe. */
struct place {
	int target, lower;
	const char *outside; /* a directory */
};

static int tried(int r)
{
	return r < 0 ? errno : 0;
}

static int open_below(int dirfd, const char *path, uint64_t resolve)
{
	const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = resolve};
	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

static void try_all(const struct place *p, int root, int out)
{
	autofree char *file = xasprintf("%s/secret", p->outside);
	autofree char *new = xasprintf("%s/new", p->outside);
	const int answers[LOOKS] = {
		tried(openat(root, "made", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)),
		tried(mkdirat(root, "dir", 0755)),
		tried(mknodat(root, "whiteout", S_IFCHR, 0)),
		tried(symlinkat(p->outside, root, "out")),
		tried(openat(p->lower, "below", O_RDONLY | O_CLOEXEC)),
		tried(openat(p->lower, "written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)),
		tried(openat(root, "../outside/secret", O_RDONLY | O_CLOEXEC)),
		tried(openat(root, "out/secret", O_RDONLY | O_CLOEXEC)),
		tried(open(file, O_RDONLY | O_CLOEXEC)),
		tried(open(new, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)),
		tried(linkat(AT_FDCWD, file, root, "stolen", 0)),
		tried(fchmodat(AT_FDCWD, file, 0777, 0)),
		tried(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
		tried(open_below(root, "out/secret", RESOLVE_IN_ROOT)),
	};
	(void)!write(out, answers, sizeof(answers));
}

static int confined(const struct place *p, int out)
{
	struct err e = ERR_INIT;
	int root = -1;
	if (confine_enter_plain(p->target, &p->lower, 1, &root, &e) < 0 || confine_drop(true, &e) < 0) {
		err_print(&e);
		return CONFINED;
	}
	try_all(p, root, out);
	return 0;
}

static void report(const int *a)
{
	tap_is_int(a[0], 0, "a file is made in the target");
	tap_is_int(a[1], 0, "and a directory");
	tap_is_int(a[2], 0, "and a whiteout");
	tap_is_int(a[3], 0, "and a symlink, wherever it leads");
	tap_is_int(a[4], 0, "a layer below is read");
	tap_ok(a[5] == EACCES, "and not written");
	tap_ok(a[6] == EACCES || a[6] == ENOENT, "\"..\" of the target leads nowhere");
	tap_ok(a[7] == EACCES || a[7] == ENOENT, "nor does a symlink");
	tap_ok(a[8] == EACCES || a[8] == ENOENT, "a file of the user's elsewhere cannot be opened");
	tap_ok(a[9] == EACCES || a[9] == ENOENT, "nor one be made");
	tap_ok(a[10] != 0, "nor be linked to from the target");
	tap_ok(a[11] == EPERM, "nor have its mode changed");
	tap_ok(a[12] == EPERM, "there are no sockets");
	tap_ok(a[13] == ENOENT, "a symlink is resolved in the target, where the name is not");
}

int main(void)
{
	if (landlock_abi() < 2)
		return tap_skip_all("this kernel has no Landlock that could confine a reader of archives");
	tap_plan_later();
	autofree char *top = tap_tmpdir();
	autofree char *target = xasprintf("%s/target", top);
	autofree char *lower = xasprintf("%s/lower", top);
	autofree char *outside = xasprintf("%s/outside", top);
	int fds[2];
	tap_must(mkdir(target, 0755) == 0 && mkdir(lower, 0755) == 0 && mkdir(outside, 0755) == 0 &&
		 pipe2(fds, O_CLOEXEC) == 0);
	struct place p = {
		.target = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.lower = open(lower, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.outside = outside,
	};
	autofd int below = openat(p.lower, "below", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	autofree char *secret = xasprintf("%s/secret", outside);
	autofd int file = open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	tap_must(p.target >= 0 && p.lower >= 0 && below >= 0 && file >= 0);
	pid_t pid = fork();
	tap_must(pid >= 0);
	if (pid == 0)
		_exit(confined(&p, fds[1]));
	close(fds[1]);
	int answers[LOOKS];
	int status = 0;
	bool said = read(fds[0], answers, sizeof(answers)) == (ssize_t)sizeof(answers);
	close(fds[0]);
	tap_must(waitpid(pid, &status, 0) == pid);
	tap_ok(said && status == 0, "a process confines itself without any namespace, and works");
	if (said)
		report(answers);
	close(p.target);
	close(p.lower);
	struct err e = ERR_INIT;
	tap_is_int(io_remove_tree(AT_FDCWD, top, &e), 0, "cleaned up");
	return tap_done();
}
