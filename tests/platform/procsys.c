/* procfs, sysfs and devpts in namespaces (decisions 17, 18, 28). */
#include <linux/mount.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "platform.h"
#include "rl/kern/mnt.h"

static int devpts_gid(void *arg)
{
	bool mapped = arg != NULL;
	int r = mount("none", "/mnt", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	if (mapped)
		return r == 0 ? 0 : 1;
	return r < 0 && errno == EINVAL &&
			       mount("none", "/mnt", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620") == 0
		       ? 0
		       : 2;
}

static int sysfs_without_netns(void *arg)
{
	(void)arg;
	if (mount("none", "/mnt", "sysfs", 0, NULL) == 0 || errno != EPERM)
		return 1;
	if (mount("/sys", "/mnt", NULL, MS_BIND, NULL) == 0 || errno != EINVAL)
		return 2;
	if (mount("/sys", "/mnt", NULL, MS_BIND | MS_REC, NULL) < 0)
		return 3;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/mnt", AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return 4;
	struct statvfs top;
	struct statvfs below;
	if (statvfs("/mnt", &top) < 0 || statvfs("/mnt/fs/cgroup", &below) < 0)
		return 5;
	return top.f_flag & below.f_flag & ST_RDONLY ? 0 : 6;
}

static int sysfs_with_netns(void *arg)
{
	(void)arg;
	return mount("none", "/mnt", "sysfs", 0, NULL) == 0 && access("/mnt/class/net/lo", F_OK) == 0 ? 0 : 1;
}

/* A process of the same user outside of the pid namespace, seen through the outer procfs. */
static int outer_process(void *arg)
{
	int pid = *(int *)arg;
	char path[64];
	char byte;
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	int fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, &byte, 1) >= 0)
		return 1;
	snprintf(path, sizeof(path), "/proc/%d/fd/0", pid);
	if (open(path, O_RDONLY) >= 0)
		return 2;
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	if (open(path, O_RDONLY) >= 0)
		return 3;
	if (kill(pid, 0) == 0)
		return 4;
	/* The hole: files that only look at who owns them. */
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	if (put(path, "5") < 0)
		return 5;
	return 0;
}

static int read_only_proc(void *arg)
{
	int pid = *(int *)arg;
	char path[64];
	if (mount("/proc", "/proc", NULL, MS_BIND | MS_REC, NULL) < 0)
		return 1;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/proc", AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return 2;
	static const char *const names[] = {"oom_score_adj", "coredump_filter", "timerslack_ns", "comm",
					    "clear_refs",    "autogroup",	"sched",	 "oom_adj",
					    "loginuid",	     "projid_map"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[i]);
		int r = access(path, F_OK) == 0 ? put(path, "6") : -EROFS;
		if (r >= 0)
			return 10 + (int)i;
	}
	return 0;
}

static int covered_inner(void *arg)
{
	(void)arg;
	return mount("none", "/mnt", "proc", 0, NULL) < 0 && errno == EPERM ? 0 : 1;
}

/* Container engines cover parts of /proc; a namespace below gets no fresh one then. */
static int covered_proc(void *arg)
{
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child c;
	(void)arg;
	if (mount("none", "/proc", "proc", 0, NULL) < 0 || mount("none", "/proc/irq", "tmpfs", MS_RDONLY, NULL) < 0)
		return LACKS;
	if (idmap_detect(true, &map, &e) < 0 ||
	    userns_spawn(&map, CLONE_NEWPID | CLONE_NEWNS, covered_inner, NULL, &c, &e) < 0)
		return 2;
	return proc_wait(&c, "inner", &e);
}

static int locked_flags(void *arg)
{
	(void)arg;
	/* Mounts that came from outside keep their restrictions: a read-only one cannot be made writable. */
	if (mount("none", "/mnt", "tmpfs", 0, NULL) < 0 || mkdir("/mnt/ro", 0755) < 0 ||
	    mount("none", "/mnt/ro", "tmpfs", MS_RDONLY | MS_NOSUID, NULL) < 0)
		return 1;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return 2;
	if (mount("none", "/mnt/ro", NULL, MS_REMOUNT | MS_BIND, NULL) == 0)
		return 3;
	return umount("/mnt/ro") < 0 && errno == EINVAL ? 0 : 4;
}

int main(void)
{
	tap_plan_later();
	single(CLONE_NEWNS, devpts_gid, NULL, "devpts with gid=5 is refused where gid 5 is not mapped");
	static int mapped;
	ranged(CLONE_NEWNS, devpts_gid, &mapped, "and mounted where it is");
	single(CLONE_NEWNS, sysfs_without_netns, NULL,
	       "with the host's network sysfs is neither mounted nor bound alone, but recursively and read-only");
	single(CLONE_NEWNS | CLONE_NEWNET, sysfs_with_netns, NULL,
	       "with a network namespace of its own sysfs is mounted");

	pid_t victim = fork();
	if (victim == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	int pid = victim;
	single(CLONE_NEWNS | CLONE_NEWPID, outer_process, &pid,
	       "through the outer procfs no memory and no signal, but oom_score_adj of an outer process of the same "
	       "user");
	single(CLONE_NEWNS | CLONE_NEWPID, read_only_proc, &pid, "bound read-only, nothing of it can be written");
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	single(CLONE_NEWNS | CLONE_NEWPID, covered_proc, NULL,
	       "a fresh procfs is refused where the outer one is partly covered");
	single(CLONE_NEWNS, locked_flags, NULL, "restrictions of mounts from outside are locked");
	return tap_done();
}
