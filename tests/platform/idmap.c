/* What the kernel says about id maps: who may write which, and what a new user namespace can do. */
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "platform.h"
#include "rl/kern/probe.h"

/* A child in a user namespace without a map, stopped; the caller writes and then kills it. */
static pid_t unmapped_child(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static int write_map(pid_t pid, const char *file, const char *text)
{
	autofree char *path = xasprintf("/proc/%d/%s", (int)pid, file);
	return put(path, text);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_single(void)
{
	autofree char *uid = xasprintf("0 %u 1", geteuid());
	autofree char *gid = xasprintf("0 %u 1", getegid());
	autofree char *two = xasprintf("0 %u 2", geteuid());
	if (geteuid() == 0) {
		tap_skip("root may write any map", "an ordinary user's own map needs setgroups denied first");
		return;
	}
	pid_t pid = unmapped_child();
	tap_is_int(write_map(pid, "gid_map", gid), -EPERM,
		   "a map of the own gid is refused while setgroups is allowed");
	tap_is_int(write_map(pid, "setgroups", "deny"), 0, "setgroups can be denied from outside");
	tap_is_int(write_map(pid, "gid_map", gid), 0, "then the map of the own gid is written");
	tap_is_int(write_map(pid, "setgroups", "allow"), -EPERM, "and setgroups cannot be allowed again");
	tap_is_int(write_map(pid, "uid_map", two), -EPERM, "two ids are refused");
	tap_is_int(write_map(pid, "uid_map", uid), 0, "the own uid alone is written");
	tap_is_int(write_map(pid, "uid_map", uid), -EPERM, "a map is written once");
	end(pid);
}

/* As root of a holder namespace: maps of nested namespaces need no helper (decision 2). */
static int nested_map(void *arg)
{
	(void)arg;
	pid_t pid = unmapped_child();
	int r = write_map(pid, "uid_map", "0 0 1\n1 1 1999\n2000 3000 100\n");
	int g = write_map(pid, "gid_map", "0 0 1\n1 1 1999\n");
	end(pid);
	return r ? -r : g ? -g : 0;
}

static int line_over_two(void *arg)
{
	(void)arg;
	autofree char *own = get("/proc/self/uid_map");
	if (!strchr(own, '\n'))
		return LACKS; /* root: one line maps everything */
	pid_t pid = unmapped_child();
	int r = write_map(pid, "uid_map", "0 0 2\n");
	end(pid);
	return r == -EPERM ? 0 : 1;
}

static int overlapping_map(void *arg)
{
	(void)arg;
	pid_t pid = unmapped_child();
	int r = write_map(pid, "uid_map", "0 0 10\n10 5 10\n");
	end(pid);
	return r == -EINVAL ? 0 : 1;
}

static int full_set_again(void *arg)
{
	(void)arg;
	uint64_t before = (uint64_t)probe_status("CapBnd");
	if (prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0) < 0 || (uint64_t)probe_status("CapBnd") == before)
		return 1;
	if (unshare(CLONE_NEWUSER) < 0)
		return 2;
	uint64_t full = (uint64_t)probe_status("CapBnd");
	return full & 1ull << CAP_MKNOD && (uint64_t)probe_status("CapEff") == full ? 0 : 3;
}

static int dumpable_owner(void *arg)
{
	struct stat st;
	(void)arg;
	/* Id 1 is another id than the caller's: the change makes us undumpable. */
	if (setresuid(1, 1, 1) < 0 || prctl(PR_GET_DUMPABLE) != 0)
		return 1;
	return stat("/proc/self/fd", &st) == 0 && st.st_uid != 1 ? 0 : 2;
}

int main(void)
{
	tap_plan_later();
	test_single();
	ranged(0, nested_map, NULL,
	       "the root of a user namespace writes maps of nested ones directly, in several extents");
	ranged(0, line_over_two, NULL, "a line that reaches over two lines of the parent's map is refused");
	ranged(0, overlapping_map, NULL, "a map with overlapping ids is refused");
	single(0, full_set_again, NULL,
	       "a new user namespace has every capability, whatever its maker's bounding set lacks");
	ranged(0, dumpable_owner, NULL, "a change of user takes /proc/self away until it is dumpable again");
	return tap_done();
}
