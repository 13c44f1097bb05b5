/* Limits and numbers on directories that look like cgroups: which file gets what. The kernel's side of it is tested by
 * tests/cli/60-limits-root.t. */
#include "rl/kern/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

static char top[] = "/tmp/test_cgroup.XXXXXX";

static void put(const char *dir, const char *file, const char *text)
{
	autofree char *path = xasprintf("%s/%s/%s", top, dir, file);
	(void)!io_write_file(AT_FDCWD, path, text, strlen(text), 0644, NULL);
}

/* Files are not truncated by the writer (cgroupfs has nothing to truncate), so the content is compared up to its end. */
static const char *get(const char *dir, const char *file, struct str *out)
{
	autofree char *path = xasprintf("%s/%s/%s", top, dir, file);
	str_cut(out, 0);
	(void)!io_read_file(AT_FDCWD, path, 4096, out, NULL);
	return out->buf;
}

static void make_dir(const char *dir, const char *const *files)
{
	autofree char *path = xasprintf("%s/%s", top, dir);
	mkdir(path, 0755);
	for (; *files; files++)
		put(dir, *files, "");
}

static void limits_v2(void)
{
	static const char *const files[] = {"memory.max", "memory.swap.max", "memory.low",  "pids.max",
					    "cpu.max",	  "cpu.weight",	     "cpuset.cpus", "io.max",
					    "io.weight",  "memory.high",     NULL};
	autostrv struct strv dirs = STRV_INIT;
	autostrv struct strv missing = STRV_INIT;
	autostrv struct strv conf = STRV_INIT;
	autostr struct str text = STR_INIT;
	struct err e = ERR_INIT;
	make_dir("v2", files);
	strv_addf(&dirs, ":%s/v2", top);
	strv_add(&conf, "memory.high=900");
	const struct cgroup_io io = {.kind = CGROUP_IO_WBPS, .major = 8, .minor = 1, .value = 1000};
	const struct cgroup_limits l = {.memory = 1000,
					.memory_reservation = 500,
					.pids = CGROUP_UNLIMITED,
					.cpu_quota = 50000,
					.cpu_shares = 1024,
					.cpuset_cpus = "0-1",
					.cpuset_mems = "0",
					.blkio_weight = 1000,
					.io = &io,
					.nio = 1,
					.conf = &conf};
	tap_is_int(cgroup_set_limits(&dirs, &l, &missing, &e), 0, "limits are written to a v2 directory");
	tap_is_str(get("v2", "memory.max", &text), "1000", "memory");
	tap_is_str(get("v2", "memory.swap.max", &text), "1000", "as much swap, when nothing is said of it");
	tap_is_str(get("v2", "memory.low", &text), "500", "the reservation");
	tap_is_str(get("v2", "pids.max", &text), "max", "no limit is the kernel's word for it");
	tap_is_str(get("v2", "cpu.max", &text), "50000 100000", "the quota with the usual period");
	tap_is_str(get("v2", "cpu.weight", &text), "39", "1024 shares as a weight");
	tap_is_str(get("v2", "io.max", &text), "8:1 wbps=1000", "a device's rate");
	tap_is_str(get("v2", "io.weight", &text), "default 10000", "the disk weight, on the scale of v2");
	tap_is_str(get("v2", "memory.high", &text), "900", "a setting as it is");
	tap_ok(missing.count == 1 && str_eq(missing.items[0], "--cpuset-mems"),
	       "what has no file is named, and only that");
}

static void limits_v1(void)
{
	static const char *const memory[] = {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", NULL};
	static const char *const cpu[] = {"cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", NULL};
	autostrv struct strv dirs = STRV_INIT;
	autostrv struct strv missing = STRV_INIT;
	autostr struct str text = STR_INIT;
	struct err e = ERR_INIT;
	make_dir("m", memory);
	make_dir("c", cpu);
	strv_addf(&dirs, "memory:%s/m", top);
	strv_addf(&dirs, "cpu:%s/c", top);
	const struct cgroup_limits l = {.memory = 1000,
					.memory_swap = CGROUP_UNLIMITED,
					.cpu_quota = CGROUP_UNLIMITED,
					.cpu_shares = 77,
					.pids = 5};
	tap_is_int(cgroup_set_limits(&dirs, &l, &missing, &e), 0, "limits are written to v1 directories");
	tap_is_str(get("m", "memory.limit_in_bytes", &text), "1000", "memory");
	tap_is_str(get("m", "memory.memsw.limit_in_bytes", &text), "-1", "swap without limit");
	tap_is_str(get("c", "cpu.cfs_quota_us", &text), "-1", "no quota");
	tap_is_str(get("c", "cpu.shares", &text), "77", "shares");
	tap_ok(missing.count == 1 && str_eq(missing.items[0], "--pids-limit"), "a hierarchy that is not ours is named");
}

static void numbers(void)
{
	static const char *const none[] = {NULL};
	autostrv struct strv dirs = STRV_INIT;
	struct cgroup_stats s;
	struct err e = ERR_INIT;
	make_dir("n", none);
	put("n", "memory.current", "5000\n");
	put("n", "memory.max", "max\n");
	put("n", "memory.stat", "anon 3000\ninactive_file 1000\nfile 1500\n");
	put("n", "cpu.stat", "usage_usec 70\nuser_usec 50\nsystem_usec 20\n");
	put("n", "io.stat", "8:0 rbytes=1 wbytes=2 rios=1\n8:16 rbytes=10 wbytes=20 rios=3\n");
	put("n", "memory.events", "low 0\noom 3\noom_kill 2\n");
	strv_addf(&dirs, ":%s/n", top);
	tap_is_int(cgroup_stats(&dirs, &s, &e), 0, "numbers are read");
	tap_ok(s.has_memory && s.memory == 4000, "memory without what can be dropped at once");
	tap_ok(s.memory_limit == UINT64_MAX, "no limit");
	tap_ok(s.has_cpu && s.cpu_us == 70 && s.cpu_user_us == 50, "processor time");
	tap_ok(s.has_io && s.io_read == 11 && s.io_written == 22, "bytes of all disks together");
	tap_ok(!s.has_pids, "what is not there is not claimed");
	tap_is_int((int)cgroup_oom_kills(&dirs), 2, "kills for memory");
	autostrv struct strv gone = STRV_INIT;
	strv_addf(&gone, ":%s/gone", top);
	tap_is_int(cgroup_stats(&gone, &s, &e), -ENOENT, "a cgroup that is gone is told from an empty one");
	tap_is_int(cgroup_remove(&gone, &e), 0, "removing it is success");
}

/* A child with a grandchild, both holding memory, ready when a byte came. */
static pid_t make_tree(int *ret_fd)
{
	int ready[2];
	(void)!pipe2(ready, O_CLOEXEC);
	pid_t pid = fork();
	if (pid == 0) {
		char *p = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(p, 1, 32 << 20);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			(void)!write(ready[1], "x", 1);
		}
		for (;;)
			pause();
	}
	close(ready[1]);
	*ret_fd = ready[0];
	return pid;
}

static void tree(void)
{
	struct cgroup_stats s;
	struct err e = ERR_INIT;
	uint64_t quick = 0;
	char byte;
	int ready = -1;
	pid_t pid = make_tree(&ready);
	(void)!read(ready, &byte, 1);
	tap_is_int(cgroup_stats_of_tree(pid, &s, &e), 0, "numbers of a tree of processes");
	tap_is_int((int)s.pids, 2, "two processes");
	tap_ok(s.memory >= 32 << 20 && s.memory < 48 << 20, "memory they share counts once");
	tap_ok(cgroup_memory_of_tree(pid, &quick, &e) == 0 && quick >= 64 << 20, "the quick sum is never too small");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	tap_is_int(cgroup_stats_of_tree(pid, &s, &e), -ESRCH, "one that is gone is an error");
	close(ready);
}

static void host(void)
{
	struct cgroup_host h;
	struct err e = ERR_INIT;
	tap_is_int(cgroup_host_read(&h, &e), 0, "what this machine has is read");
	tap_ok(!h.v2_own || access(h.v2_own, F_OK) == 0, "our own directory of v2, if any, is one");
	bool there = true;
	for (size_t i = 0; i < h.v1.count; i++)
		there &= access(strchr(h.v1.items[i], ':') + 1, F_OK) == 0;
	tap_ok(there, "so are those of v1");
	cgroup_host_free(&h);
}

int main(void)
{
	tap_plan_later();
	if (!mkdtemp(top))
		return 1;
	limits_v2();
	limits_v1();
	numbers();
	tree();
	host();
	(void)!io_remove_tree(AT_FDCWD, top, NULL);
	return tap_done();
}
