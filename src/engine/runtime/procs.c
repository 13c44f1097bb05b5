/*
 * procs.c - see procs.h.
 *
 * One pass reads stat of everything; then each process is walked up to the first ancestor whose answer is known, which
 * is then the answer of the whole path. The mount namespace is asked for only where no ancestor has settled it. Of
 * others' processes and of those that are not dumpable the kernel shows no namespace: they are strangers unless their
 * parent is ours.
 */
#include "rl/engine/procs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/str.h"

enum { LINK_SIZE = PROCS_NS_SIZE, DEPTH_MAX = 4096, KILL_PASSES_MAX = 100 };

enum belonging { UNKNOWN, MEMBER, STRANGER };

struct scan {
	struct procs_list all;
	enum belonging *belongs;
	pid_t first;
	char mount_ns[LINK_SIZE]; /* "" where it cannot be seen */
	int procfd;
};

static bool read_small(int procfd, pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
	autofd int fd = openat(procfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, text, size - 1, NULL);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

static bool parse_stat(const char *text, struct procs_entry *p)
{
	const char *open = strchr(text, '(');
	const char *close = strrchr(text, ')');
	unsigned long long utime;
	unsigned long long stime;
	unsigned long long start;
	unsigned long long vsize;
	long long rss;
	long nice;
	long threads;
	if (!open || !close || close < open)
		return false;
	snprintf(p->comm, sizeof(p->comm), "%.*s", (int)(close - open - 1), open + 1);
	/* Fields 3 to 24; see proc(5). */
	int n = sscanf(
		close + 1, " %c %d %d %d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %ld %ld %*d %llu %llu %lld",
		&p->state, &p->ppid, &p->pgid, &p->sid, &p->tty, &utime, &stime, &nice, &threads, &start, &vsize, &rss);
	if (n != 12)
		return false;
	p->user_ticks = utime;
	p->system_ticks = stime;
	p->nice = (int)nice;
	p->threads = (unsigned)threads;
	p->start_ticks = start;
	p->vsize = vsize;
	p->rss = rss < 0 ? 0 : (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

static bool mount_ns_of(int procfd, pid_t pid, char ret[LINK_SIZE])
{
	char path[64];
	snprintf(path, sizeof(path), "%d/ns/mnt", (int)pid);
	ssize_t n = readlinkat(procfd, path, ret, LINK_SIZE - 1);
	ret[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct procs_entry *x = a;
	const struct procs_entry *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int scan_all(struct scan *s, struct err *e)
{
	int fd = fcntl(s->procfd, F_DUPFD_CLOEXEC, 3);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return err_sys(e, errno, "list /proc");
	size_t size = 0;
	struct dirent *entry;
	char text[1024];
	while ((entry = readdir(d))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		struct procs_entry p = {.pid = (pid_t)strtol(entry->d_name, NULL, 10)};
		if (!read_small(s->procfd, p.pid, "stat", text, sizeof(text)) || !parse_stat(text, &p))
			continue;
		if (s->all.count == size) {
			size = size ? 2 * size : 256;
			s->all.items = xreallocarray(s->all.items, size, sizeof(*s->all.items));
		}
		s->all.items[s->all.count++] = p;
	}
	if (s->all.count)
		qsort(s->all.items, s->all.count, sizeof(*s->all.items), by_pid);
	return 0;
}

static struct procs_entry *find(const struct scan *s, pid_t pid)
{
	const struct procs_entry key = {.pid = pid};
	return s->all.count ? bsearch(&key, s->all.items, s->all.count, sizeof(key), by_pid) : NULL;
}

/* Where the first process is our reaper, the kernel shows nothing of it; its oldest child is the command. */
static void find_mount_ns(struct scan *s)
{
	if (mount_ns_of(s->procfd, s->first, s->mount_ns))
		return;
	const struct procs_entry *oldest = NULL;
	for (size_t i = 0; i < s->all.count; i++) {
		const struct procs_entry *p = &s->all.items[i];
		if (p->ppid == s->first && (!oldest || p->start_ticks < oldest->start_ticks))
			oldest = p;
	}
	if (oldest)
		(void)mount_ns_of(s->procfd, oldest->pid, s->mount_ns);
}

static bool is_member(struct scan *s, struct procs_entry *p)
{
	struct procs_entry *path[DEPTH_MAX];
	size_t n = 0;
	enum belonging answer = STRANGER;
	/* Up to somebody whose answer is known, then the answer for the whole path. */
	for (; p && n < DEPTH_MAX; p = find(s, p->ppid)) {
		char ns[LINK_SIZE];
		size_t i = (size_t)(p - s->all.items);
		if (s->belongs[i] != UNKNOWN) {
			answer = s->belongs[i];
			break;
		}
		path[n++] = p;
		if (p->pid == s->first ||
		    (s->mount_ns[0] && mount_ns_of(s->procfd, p->pid, ns) && str_eq(ns, s->mount_ns))) {
			answer = MEMBER;
			break;
		}
	}
	for (size_t i = 0; i < n; i++)
		s->belongs[path[i] - s->all.items] = answer;
	return answer == MEMBER;
}

int procs_of(pid_t first, struct procs_list *ret_list, struct err *e)
{
	struct scan s = {.first = first};
	autofd int procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (procfd < 0)
		return err_sys(e, errno, "open /proc");
	s.procfd = procfd;
	int r = scan_all(&s, e);
	if (r == 0 && !find(&s, first))
		r = err_set(e, ESRCH, "the container's first process is gone");
	if (r < 0) {
		procs_free(&s.all);
		return r;
	}
	find_mount_ns(&s);
	/* A first process in our own mount namespace is none of a container: nothing but its children then. */
	char own[LINK_SIZE];
	if (mount_ns_of(s.procfd, getpid(), own) && str_eq(own, s.mount_ns))
		s.mount_ns[0] = '\0';
	s.belongs = xcalloc(s.all.count, sizeof(*s.belongs));
	bool *keep = xcalloc(s.all.count, sizeof(bool));
	for (size_t i = 0; i < s.all.count; i++)
		keep[i] = is_member(&s, &s.all.items[i]);
	size_t n = 0;
	for (size_t i = 0; i < s.all.count; i++)
		if (keep[i])
			s.all.items[n++] = s.all.items[i];
	s.all.count = n;
	free(keep);
	free(s.belongs);
	*ret_list = s.all;
	return 0;
}

/* Returns how many were there. */
static int kill_pass(int procfd, const char *mount_ns, struct err *e)
{
	struct scan s = {.procfd = procfd};
	int r = scan_all(&s, e);
	int found = 0;
	for (size_t i = 0; r == 0 && i < s.all.count; i++) {
		const struct procs_entry *p = &s.all.items[i];
		char ns[LINK_SIZE];
		if (p->state == 'Z' || p->state == 'X')
			continue;
		autofd int pidfd = proc_pidfd_open(p->pid, NULL);
		/* Held, then looked at: it is this very process that is in the namespace. */
		if (pidfd < 0 || !mount_ns_of(procfd, p->pid, ns) || !str_eq(ns, mount_ns))
			continue;
		found++;
		(void)!proc_pidfd_signal(pidfd, SIGKILL, NULL);
	}
	procs_free(&s.all);
	return r < 0 ? r : found;
}

int procs_kill_rest(const char *mount_ns, struct err *e)
{
	char own[LINK_SIZE];
	autofd int procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (procfd < 0)
		return err_sys(e, errno, "open /proc");
	if (!mount_ns_of(procfd, getpid(), own) || str_eq(own, mount_ns))
		return 0;
	for (int pass = 0; pass < KILL_PASSES_MAX; pass++) {
		int n = kill_pass(procfd, mount_ns, e);
		if (n <= 0)
			return n;
	}
	return err_set(e, EBUSY, "processes of the container do not end");
}

static bool pid_ns_of(int procfd, pid_t pid, char ret[LINK_SIZE])
{
	char path[64];
	snprintf(path, sizeof(path), "%d/ns/pid", (int)pid);
	ssize_t n = readlinkat(procfd, path, ret, LINK_SIZE - 1);
	ret[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* True if the stopped parent of the dead process was woken. */
static bool wake_reaper(const struct scan *s, const struct procs_entry *dead, const char *pid_ns)
{
	char ns[LINK_SIZE];
	char text[1024];
	struct procs_entry now = {.pid = dead->pid};
	const struct procs_entry *parent = find(s, dead->ppid);
	if (!parent || parent->state != 'T' || !pid_ns_of(s->procfd, dead->pid, ns) || !str_eq(ns, pid_ns) ||
	    (pid_ns_of(s->procfd, parent->pid, ns) && str_eq(ns, pid_ns)))
		return false;
	autofd int pidfd = proc_pidfd_open(parent->pid, NULL);
	/* Held, then looked at again: the number is still that of the parent. */
	return pidfd >= 0 && read_small(s->procfd, dead->pid, "stat", text, sizeof(text)) && parse_stat(text, &now) &&
	       now.ppid == parent->pid && proc_pidfd_signal(pidfd, SIGCONT, NULL) == 0;
}

int procs_wake_reapers(pid_t first)
{
	struct scan s = {.first = first};
	char pid_ns[LINK_SIZE];
	autofd int procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int woken = 0;
	s.procfd = procfd;
	if (procfd < 0 || !pid_ns_of(procfd, first, pid_ns) || scan_all(&s, NULL) < 0)
		return 0;
	for (size_t i = 0; i < s.all.count; i++)
		if (s.all.items[i].state == 'Z')
			woken += wake_reaper(&s, &s.all.items[i], pid_ns);
	procs_free(&s.all);
	return woken;
}

void procs_free(struct procs_list *l)
{
	free(l->items);
	*l = (struct procs_list){.items = NULL};
}

/* The text after "Name:" at the start of a line. */
static const char *field(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1;
	}
	return NULL;
}

/* The numbers of NSpid: from the caller's namespace inwards. Returns how many there are. */
static int ns_pids(const char *status, int want, pid_t *ret_pid)
{
	const char *p = field(status, "NSpid");
	int n = 0;
	while (p && *p && *p != '\n') {
		char *end;
		long pid = strtol(p, &end, 10);
		if (end == p)
			break;
		p = end;
		p += strspn(p, " \t");
		if (++n == want)
			*ret_pid = (pid_t)pid;
	}
	return n;
}

int procs_depth(pid_t first)
{
	char path[64];
	pid_t ignored;
	autostr struct str text = STR_INIT;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)first);
	if (io_read_file(AT_FDCWD, path, 64 * 1024, &text, NULL) < 0)
		return 0;
	return ns_pids(text.buf, 0, &ignored);
}

int procs_status(pid_t pid, int depth, struct procs_status *ret_status, struct err *e)
{
	char path[64];
	struct procs_status s = {.seccomp = -1};
	autostr struct str text = STR_INIT;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	int r = io_read_file(AT_FDCWD, path, 64 * 1024, &text, e);
	if (r < 0)
		return r;
	const char *uid = field(text.buf, "Uid");
	const char *gid = field(text.buf, "Gid");
	const char *seccomp = field(text.buf, "Seccomp");
	const char *caps = field(text.buf, "CapEff");
	if (!uid || sscanf(uid, "%u %u", &s.ruid, &s.euid) != 2 || !gid || sscanf(gid, "%u %u", &s.rgid, &s.egid) != 2)
		return err_set(e, EBADMSG, "%s: not understood", path);
	if (seccomp)
		s.seccomp = (int)strtol(seccomp, NULL, 10);
	if (caps)
		s.cap_effective = strtoull(caps, NULL, 16);
	(void)ns_pids(text.buf, depth, &s.inside);
	*ret_status = s;
	return 0;
}

void procs_io(pid_t pid, uint64_t *ret_read, uint64_t *ret_written)
{
	char path[64];
	autostr struct str text = STR_INIT;
	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	*ret_read = *ret_written = 0;
	if (io_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return;
	const char *in = field(text.buf, "read_bytes");
	const char *out = field(text.buf, "write_bytes");
	*ret_read = in ? strtoull(in, NULL, 10) : 0;
	*ret_written = out ? strtoull(out, NULL, 10) : 0;
}
