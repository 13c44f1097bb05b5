/*
 * cgroup_stats.c - what a container uses, from its cgroups or from /proc.
 *
 * From cgroups, v2 files first, v1 ones where they are the container's. Without cgroups a container is its PID 1 and
 * everything below it, and whatever else is in the same pid namespace (exec'd processes have other parents). Their
 * numbers are summed; memory by PSS (smaps_rollup), so that what processes share is counted once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { PROC_FILE_MAX = 1 << 20, TREE_MAX = 1 << 20 };

/* ---- from cgroups ---- */

static void memory_v2(const char *dir, struct cgroup_stats *s)
{
	s->memory = cgroup_read_u64(dir, "memory.current", UINT64_MAX);
	if (s->memory == UINT64_MAX)
		return;
	uint64_t droppable = cgroup_read_key(dir, "memory.stat", "inactive_file", 0);
	s->memory -= RL_MIN(droppable, s->memory);
	s->memory_peak = cgroup_read_u64(dir, "memory.peak", 0);
	s->memory_limit = cgroup_read_u64(dir, "memory.max", UINT64_MAX);
	s->swap = cgroup_read_u64(dir, "memory.swap.current", 0);
	s->has_memory = true;
}

static void memory_v1(const char *dir, struct cgroup_stats *s)
{
	s->memory = cgroup_read_u64(dir, "memory.usage_in_bytes", UINT64_MAX);
	if (s->memory == UINT64_MAX)
		return;
	uint64_t droppable = cgroup_read_key(dir, "memory.stat", "total_inactive_file", 0);
	s->memory -= RL_MIN(droppable, s->memory);
	s->memory_peak = cgroup_read_u64(dir, "memory.max_usage_in_bytes", 0);
	s->memory_limit = cgroup_read_u64(dir, "memory.limit_in_bytes", UINT64_MAX);
	if (s->memory_limit >= INT64_MAX / 4096 * 4096)
		s->memory_limit = UINT64_MAX; /* v1's "no limit" */
	s->swap = cgroup_read_key(dir, "memory.stat", "total_swap", 0);
	s->has_memory = true;
}

static void cpu_v2(const char *dir, struct cgroup_stats *s)
{
	uint64_t used = cgroup_read_key(dir, "cpu.stat", "usage_usec", UINT64_MAX);
	if (used == UINT64_MAX)
		return;
	s->cpu_us = used;
	s->cpu_user_us = cgroup_read_key(dir, "cpu.stat", "user_usec", 0);
	s->cpu_system_us = cgroup_read_key(dir, "cpu.stat", "system_usec", 0);
	s->cpu_throttled_us = cgroup_read_key(dir, "cpu.stat", "throttled_usec", 0);
	s->has_cpu = true;
}

static void cpu_v1(const struct strv *dirs, struct cgroup_stats *s)
{
	const char *acct = cgroup_dir_of(dirs, "cpuacct");
	const char *cpu = cgroup_dir_of(dirs, "cpu");
	if (cpu)
		s->cpu_throttled_us = cgroup_read_key(cpu, "cpu.stat", "throttled_time", 0) / 1000;
	if (!acct)
		return;
	s->cpu_us = cgroup_read_u64(acct, "cpuacct.usage", 0) / 1000;
	s->cpu_user_us = cgroup_read_u64(acct, "cpuacct.usage_user", 0) / 1000;
	s->cpu_system_us = cgroup_read_u64(acct, "cpuacct.usage_sys", 0) / 1000;
	s->has_cpu = true;
}

static void pids_of(const char *dir, struct cgroup_stats *s)
{
	uint64_t n = cgroup_read_u64(dir, "pids.current", UINT64_MAX);
	if (n == UINT64_MAX)
		return;
	s->pids = n;
	s->pids_limit = cgroup_read_u64(dir, "pids.max", UINT64_MAX);
	s->has_pids = true;
}

/* Sum of the numbers after `key` (up to `end`) in every line. */
static uint64_t sum_after(const char *text, const char *key)
{
	uint64_t sum = 0;
	for (const char *p = text; (p = strstr(p, key)); p += strlen(key))
		sum += strtoull(p + strlen(key), NULL, 10);
	return sum;
}

static void io_of(const struct strv *dirs, struct cgroup_stats *s)
{
	autostr struct str text = STR_INIT;
	const char *v2 = cgroup_v2_dir(dirs);
	const char *v1 = cgroup_dir_of(dirs, "blkio");
	if (v2 && cgroup_read(v2, "io.stat", &text) == 0) {
		s->io_read = sum_after(text.buf, " rbytes=");
		s->io_written = sum_after(text.buf, " wbytes=");
		s->has_io = true;
	} else if (v1 && cgroup_read(v1, "blkio.throttle.io_service_bytes", &text) == 0) {
		s->io_read = sum_after(text.buf, " Read ");
		s->io_written = sum_after(text.buf, " Write ");
		s->has_io = true;
	}
}

int cgroup_stats(const struct strv *dirs, struct cgroup_stats *ret_stats, struct err *e)
{
	struct cgroup_stats s = {.memory_limit = UINT64_MAX, .pids_limit = UINT64_MAX};
	const char *v2 = cgroup_v2_dir(dirs);
	const char *memory = cgroup_dir_of(dirs, "memory");
	const char *pids = cgroup_dir_of(dirs, "pids");
	bool there = false;
	for (size_t i = 0; i < dirs->count; i++)
		there |= faccessat(AT_FDCWD, strchr(dirs->items[i], ':') + 1, F_OK, AT_EACCESS) == 0;
	if (!there)
		return err_set(e, ENOENT, "the container has no cgroup");
	if (v2) {
		memory_v2(v2, &s);
		cpu_v2(v2, &s);
		pids_of(v2, &s);
	}
	if (memory && !s.has_memory)
		memory_v1(memory, &s);
	if (!s.has_cpu)
		cpu_v1(dirs, &s);
	if (pids && !s.has_pids)
		pids_of(pids, &s);
	io_of(dirs, &s);
	*ret_stats = s;
	return 0;
}

/* ---- from /proc ---- */

struct member {
	int pid, ppid;
	uint64_t utime, stime, reaped; /* ticks; of children already waited for */
	bool is_member;
};

struct tree {
	struct member *items;
	size_t count;
};

static bool read_text(int procfd, int pid, const char *file, struct str *out)
{
	char path[64];
	snprintf(path, sizeof(path), "%d/%s", pid, file);
	autofd int fd = openat(procfd, path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && io_read_rest(fd, PROC_FILE_MAX, path, out, NULL) == 0;
}

static bool read_member(int procfd, int pid, struct member *m)
{
	autostr struct str text = STR_INIT;
	if (!read_text(procfd, pid, "stat", &text))
		return false;
	const char *p = strrchr(text.buf, ')');
	uint64_t child_user;
	uint64_t child_system;
	m->pid = pid;
	m->is_member = false;
	if (!p ||
	    sscanf(p + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &m->ppid, &m->utime, &m->stime, &child_user, &child_system) != 5)
		return false;
	m->reaped = child_user + child_system;
	return true;
}

static ino_t pid_namespace(int procfd, int pid)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "%d/ns/pid", pid);
	return fstatat(procfd, path, &st, 0) == 0 ? st.st_ino : 0;
}

static struct member *find(struct tree *t, int pid)
{
	/* readdir of /proc gives ascending pids */
	size_t low = 0;
	size_t high = t->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (t->items[mid].pid == pid)
			return &t->items[mid];
		if (t->items[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* Up through the parents; the way is short, and a loop cannot be longer than the table. */
static bool is_below(struct tree *t, const struct member *m, int init)
{
	for (size_t steps = 0; m && steps <= t->count; steps++) {
		if (m->pid == init)
			return true;
		m = find(t, m->ppid);
	}
	return false;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a;
	const struct member *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int read_tree(pid_t init, DIR *proc, struct tree *ret_tree, struct err *e)
{
	struct tree t = {.items = NULL};
	struct dirent *entry;
	ino_t ns = pid_namespace(dirfd(proc), init);
	while ((entry = readdir(proc)) && t.count < TREE_MAX) {
		struct member m;
		int pid = (int)strtol(entry->d_name, NULL, 10);
		if (pid <= 0 || !read_member(dirfd(proc), pid, &m))
			continue;
		if ((t.count & (t.count - 1)) == 0)
			t.items = xreallocarray(t.items, t.count ? t.count * 2 : 64, sizeof(*t.items));
		t.items[t.count++] = m;
	}
	if (t.count)
		qsort(t.items, t.count, sizeof(*t.items), compare_members);
	if (!find(&t, init)) {
		free(t.items);
		return err_set(e, ESRCH, "the container's first process is gone");
	}
	bool own = ns == pid_namespace(dirfd(proc), getpid());
	for (size_t i = 0; i < t.count; i++)
		t.items[i].is_member = is_below(&t, &t.items[i], init) ||
				       (!own && ns && pid_namespace(dirfd(proc), t.items[i].pid) == ns);
	*ret_tree = t;
	return 0;
}

/* "Pss_Anon:  12 kB" */
static uint64_t kib_field(const char *text, const char *key)
{
	const char *p = strstr(text, key);
	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 : 0;
}

static void add_memory(int procfd, int pid, struct cgroup_stats *s)
{
	autostr struct str text = STR_INIT;
	if (read_text(procfd, pid, "smaps_rollup", &text) && text.len) {
		s->memory += kib_field(text.buf, "\nPss:");
		s->swap += kib_field(text.buf, "\nSwapPss:");
		return;
	}
	/* Not ours to look into (setuid programs, dumpable off): what everybody may see. */
	str_cut(&text, 0);
	if (read_text(procfd, pid, "status", &text)) {
		s->memory += kib_field(text.buf, "\nVmRSS:");
		s->swap += kib_field(text.buf, "\nVmSwap:");
	}
}

static void add_io(int procfd, int pid, struct cgroup_stats *s)
{
	autostr struct str text = STR_INIT;
	if (!read_text(procfd, pid, "io", &text))
		return;
	s->io_read += sum_after(text.buf, "read_bytes: ");
	s->io_written += sum_after(text.buf, "\nwrite_bytes: ");
	s->has_io = true;
}

static void add_member(int procfd, const struct member *m, uint64_t tick_us, struct cgroup_stats *s)
{
	s->cpu_user_us += m->utime * tick_us;
	s->cpu_system_us += m->stime * tick_us;
	s->cpu_us += (m->utime + m->stime + m->reaped) * tick_us;
	s->pids++;
	add_memory(procfd, m->pid, s);
	add_io(procfd, m->pid, s);
}

int cgroup_stats_of_tree(pid_t init, struct cgroup_stats *ret_stats, struct err *e)
{
	struct cgroup_stats s = {.memory_limit = UINT64_MAX, .pids_limit = UINT64_MAX};
	struct tree t = {.items = NULL};
	autodir DIR *proc = opendir("/proc");
	if (!proc)
		return err_sys(e, errno, "open /proc");
	int r = read_tree(init, proc, &t, e);
	if (r < 0)
		return r;
	long hz = sysconf(_SC_CLK_TCK);
	for (size_t i = 0; i < t.count; i++)
		if (t.items[i].is_member)
			add_member(dirfd(proc), &t.items[i], 1000000 / (uint64_t)(hz > 0 ? hz : 100), &s);
	free(t.items);
	s.has_memory = s.has_cpu = s.has_pids = true;
	*ret_stats = s;
	return 0;
}

/* RssAnon, RssShmem and VmSwap: without the page cache. */
static uint64_t own_memory(int procfd, int pid)
{
	autostr struct str text = STR_INIT;
	if (!read_text(procfd, pid, "status", &text))
		return 0;
	return kib_field(text.buf, "\nRssAnon:") + kib_field(text.buf, "\nRssShmem:") +
	       kib_field(text.buf, "\nVmSwap:");
}

/* Children by the kernel's own lists: no walk over all processes of the machine. `left` bounds what a fork bomb costs. */
static uint64_t memory_below(int procfd, int pid, int depth, unsigned *left)
{
	char path[64];
	uint64_t sum = own_memory(procfd, pid);
	snprintf(path, sizeof(path), "%d/task", pid);
	int fd = depth > 0 ? openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	autodir DIR *tasks = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	while (tasks && (entry = readdir(tasks))) {
		autostr struct str text = STR_INIT;
		autofree char *children = xasprintf("%s/children", entry->d_name);
		autofd int list = entry->d_name[0] == '.' ? -1 : openat(dirfd(tasks), children, O_RDONLY | O_CLOEXEC);
		if (list < 0 || io_read_rest(list, PROC_FILE_MAX, "children", &text, NULL) < 0)
			continue;
		for (char *p = text.buf; *p && *left;) {
			char *next;
			long child = strtol(p, &next, 10);
			if (next == p)
				break;
			p = next;
			(*left)--;
			sum += memory_below(procfd, (int)child, depth - 1, left);
		}
	}
	return sum;
}

int cgroup_memory_of_tree(pid_t init, uint64_t *ret_bytes, struct err *e)
{
	unsigned left = 65536;
	autofd int procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[32];
	snprintf(path, sizeof(path), "%d", (int)init);
	if (procfd < 0)
		return err_sys(e, errno, "open /proc");
	if (faccessat(procfd, path, F_OK, 0) < 0)
		return err_set(e, ESRCH, "the container's first process is gone");
	*ret_bytes = memory_below(procfd, init, 64, &left);
	return 0;
}
