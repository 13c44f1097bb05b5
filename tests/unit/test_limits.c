#include "rl/kern/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/idmap.h"
#include "rl/kern/procfs.h"
#include "tap.h"

static void test_rlimits(void)
{
	struct err e = ERR_INIT;
	tap_is_int(limits_rlimit_number("nofile", &e), RLIMIT_NOFILE, "docker's name of a limit");
	tap_is_int(limits_rlimit_number("RLIMIT_CORE", &e), RLIMIT_CORE, "the runtime spec's name");
	tap_is_int(limits_rlimit_number("nofil", &e), -EINVAL, "a mistyped name is an error");
	tap_has(e.hint, "nofile", "which suggests the nearest");
	bool round = true;
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		round &= limits_rlimit_name(i) && limits_rlimit_number(limits_rlimit_name(i), &e) == i;
	tap_ok(round && !limits_rlimit_name(RLIM_NLIMITS) && !limits_rlimit_name(-1),
	       "every limit has a name, and nothing else");

	uint64_t soft;
	uint64_t hard;
	tap_is_int(limits_get_rlimit(RLIMIT_NOFILE, &soft, &hard, &e), 0, "our own limit is read");
	tap_ok(limits_set_rlimit(RLIMIT_CORE, 0, 0, &e) == 0 && limits_get_rlimit(RLIMIT_CORE, &soft, &hard, &e) == 0 &&
		       soft == 0 && hard == 0,
	       "a limit is lowered");
	tap_is_int(limits_set_rlimit(RLIMIT_NOFILE, 10, 5, &e), -EINVAL, "soft above hard is refused");
	if (limits_set_rlimit(RLIMIT_CORE, 1, 1, &e) == 0) {
		tap_skip("we may raise hard limits here", "above the hard limit is refused with both figures");
	} else {
		tap_ok(e.code == EPERM && strstr(e.text, "core: 1 is above") && strstr(e.text, ", 0"),
		       "above the hard limit is refused with both figures");
		tap_is_int(limits_set_rlimit(RLIMIT_CORE, 0, LIMITS_INFINITY, &e), -EPERM, "and so is no limit at all");
		tap_has(e.text, "unlimited", "in words");
	}
}

static void test_sysctl_names(void)
{
	static const struct {
		const char *key;
		unsigned owned;
		int want;
		const char *path;
		const char *sentence;
	} cases[] = {
		{"net.ipv4.ip_forward", LIMITS_OWN_NET, 0, "sys/net/ipv4/ip_forward", "a dotted name"},
		{"net/ipv4/conf/eth0.1/forwarding", LIMITS_OWN_NET, 0, "sys/net/ipv4/conf/eth0.1/forwarding",
		 "a name with slashes keeps its dots"},
		{"net.ipv4.conf.eth0/1.forwarding", LIMITS_OWN_NET, 0, "sys/net/ipv4/conf/eth0.1/forwarding",
		 "a slash in a dotted name is a dot"},
		{"net.ipv4.ip_forward", LIMITS_OWN_IPC, -EPERM, NULL, "net with the host's network"},
		{"kernel.sem", LIMITS_OWN_IPC, 0, "sys/kernel/sem", "an ipc name"},
		{"fs.mqueue.msg_max", LIMITS_OWN_IPC, 0, "sys/fs/mqueue/msg_max", "a message queue name"},
		{"fs.mqueue.msg_max", LIMITS_OWN_NET, -EPERM, NULL, "a message queue name with the host's ipc"},
		{"kernel.domainname", LIMITS_OWN_UTS, 0, "sys/kernel/domainname", "a uts name"},
		{"kernel.shmmax_not", LIMITS_OWN_IPC, -EPERM, NULL, "a name that only begins like one"},
		{"kernel.core_pattern", 7, -EPERM, NULL, "core_pattern is the host's"},
		{"kernel.modprobe", 7, -EPERM, NULL, "modprobe is the host's"},
		{"vm.overcommit_memory", 7, -EPERM, NULL, "vm is the host's"},
		{"net", 7, -EPERM, NULL, "a directory alone"},
		{"net.", 7, -EINVAL, NULL, "an empty last part"},
		{"", 7, -EINVAL, NULL, "an empty name"},
		{"net/../kernel/core_pattern", 7, -EINVAL, NULL, "dots that lead out"},
		{"net/ipv4/../../kernel/core_pattern", 7, -EINVAL, NULL, "dots that lead out from deeper"},
		{"net...kernel.core_pattern", 7, -EINVAL, NULL, "dots that become empty parts"},
		{"/net/ipv4/ip_forward", 7, -EINVAL, NULL, "an absolute path"},
		{"net.ipv4.ip\nforward", 7, -EINVAL, NULL, "a newline"},
		{"kernel//sem", 7, -EINVAL, NULL, "a double slash"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		char path[LIMITS_SYSCTL_PATH_SIZE] = "";
		int r = limits_sysctl_path(cases[i].key, cases[i].owned, path, &e);
		if (!tap_ok(r == cases[i].want && (r < 0 || strcmp(path, cases[i].path) == 0), "sysctl: %s",
			    cases[i].sentence))
			tap_diag("%d %s %s", r, path, e.text);
	}
}

static bool holds(int procfd, const char *path, const char *want)
{
	autostr struct str text = STR_INIT;
	autofd int fd = procfs_open(procfd, path, O_RDONLY, NULL);
	return fd >= 0 && io_read_rest(fd, 100, path, &text, NULL) == 0 && strcmp(text.buf, want) == 0;
}

/* In new pid, net, ipc and mount namespaces. Exit status: the number of the first property that does not hold. */
static int in_namespaces(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	autofd int procfd = procfs_private(&e);
	if (procfd < 0) {
		tap_diag("%s", e.text);
		return 77;
	}
	if (limits_write_sysctl(procfd, "sys/net/ipv4/ip_forward", "1", &e) < 0 ||
	    !holds(procfd, "sys/net/ipv4/ip_forward", "1\n"))
		return 1;
	if (limits_write_sysctl(procfd, "sys/kernel/sem", "250 32000 32 128", &e) < 0)
		return 2;
	/* The value it has already: as root the kernel would let us, and the test must not change the machine. */
	autostr struct str same = STR_INIT;
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/core_uses_pid", 16, &same, &e) < 0 ||
	    limits_write_sysctl(procfd, "sys/kernel/core_uses_pid", same.buf, &e) != -EPERM)
		return 3;
	if (limits_write_sysctl(procfd, "self/oom_score_adj", "1", &e) != -EPERM)
		return 4;
	if (limits_set_oom_score_adj(procfd, 500, &e) < 0 || !holds(procfd, "1/oom_score_adj", "500\n"))
		return 5;
	if (limits_set_oom_score_adj(procfd, 1001, &e) != -EINVAL)
		return 6;
	/* Ways out of procfs. */
	static const char *const bad[] = {"self/root/etc/passwd", "self/cwd",	"self/exe", "../etc/passwd", "mounts",
					  "/proc/self/status",	  "1/../../etc"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (procfs_open(procfd, bad[i], O_RDONLY, &e) >= 0)
			return 10 + (int)i;
	/* A mount over a file of the instance that is mounted is not seen through ours. */
	if (mount("none", "/proc", "proc", 0, NULL) < 0 ||
	    mount("/dev/null", "/proc/sys/net/ipv4/ip_forward", NULL, MS_BIND, NULL) < 0)
		return 77;
	if (limits_write_sysctl(procfd, "sys/net/ipv4/ip_forward", "0", &e) < 0 ||
	    !holds(procfd, "sys/net/ipv4/ip_forward", "0\n"))
		return 30;
	/* And is noticed where the mounted one has to do. */
	autofd int outer = procfs_outer(&e);
	if (outer < 0)
		return 31;
	if (limits_write_sysctl(outer, "sys/net/ipv4/ip_forward", "1", &e) != -EXDEV)
		return 32;
	/* Something else that pretends to be /proc. */
	if (mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return 77;
	if (procfs_outer(&e) != -EINVAL)
		return 33;
	return 0;
}

static void test_writers(void)
{
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child c;
	int r = idmap_detect(true, &map, &e);
	if (r == 0)
		r = userns_spawn(&map, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC, in_namespaces, NULL,
				 &c, &e);
	int status = r < 0 ? r : proc_wait(&c, "child", &e);
	static const char sentence[] = "sysctls and oom_score_adj are written through a procfs nobody can cover "
				       "(CVE-2025-52881)";
	if (status == 77)
		tap_skip("procfs cannot be mounted here", sentence);
	else
		tap_is_int(status, 0, sentence);
}

int main(void)
{
	tap_plan_later();
	test_rlimits();
	test_sysctl_names();
	test_writers();
	return tap_done();
}
