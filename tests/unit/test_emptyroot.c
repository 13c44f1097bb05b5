#include "rl/kern/emptyroot.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

/* Exit status: bits of what failed. */
static int inside(void)
{
	struct err e = ERR_INIT;
	struct rlimit files;
	int bad = 0;
	char map[32], groups[32];
	snprintf(groups, sizeof(groups), "0 %u 1", getegid());
	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
	    io_write_file(AT_FDCWD, "/proc/self/setgroups", "deny", 4, 0, &e) < 0 ||
	    io_write_file(AT_FDCWD, "/proc/self/gid_map", groups, strlen(groups), 0, &e) < 0 ||
	    io_write_file(AT_FDCWD, "/proc/self/uid_map", map, strlen(map), 0, &e) < 0)
		return 128;
	if (emptyroot_enter(&e) < 0)
		return 1;
	if (access("/proc", F_OK) == 0 || access("/etc", F_OK) == 0)
		bad |= 2;
	int fd = open("/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		bad |= 4;
	close(fd); /* a file open for writing keeps the mount writable */
	if (emptyroot_close(&e) < 0 || open("/other", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0)
		bad |= 8;
	if (emptyroot_limit(RLIMIT_NOFILE, 20, &e) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max != 20)
		bad |= 16;
	if (emptyroot_keep_caps(1ull << CAP_NET_ADMIN, &e) < 0 || prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0) != 0 ||
	    unshare(CLONE_NEWNS) == 0)
		bad |= 32;
	return bad;
}

int main(void)
{
	tap_plan_later();
	pid_t pid = fork();
	if (pid == 0)
		_exit(inside());
	int status;
	tap_must(waitpid(pid, &status, 0) == pid);
	int bad = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
	tap_must(!(bad & 128));
	tap_ok(!(bad & 1), "the root is exchanged");
	tap_ok(!(bad & 2), "nothing of the host is left in it");
	tap_ok(!(bad & 4), "it can be written at first");
	tap_ok(!(bad & 8), "and not after it was closed");
	tap_ok(!(bad & 16), "a limit is lowered for good");
	tap_ok(!(bad & 32), "capabilities that were not kept are gone, and so is the bounding set");
	return tap_done();
}
