/*
 * container_leftover.c - processes of a container whose record cannot say who they are.
 *
 * Where the record is damaged and the monitor is dead, the mount table of a process still tells: what the container has
 * of its own directory (hostname, parts of the machine's image) is mounted in no other one. A number read somewhere is
 * not trusted, and neither is a path: another store may hold a copy of the directory. The file that is mounted must be
 * the very file in this directory; a payload cannot fake that for another than itself.
 *
 * hosts and resolv.conf alone prove less: they are mounted too in a container that shares the network. Such a process,
 * and one whose files the kernel does not let us compare, is told to the user and not ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/mountinfo.h"

enum { TABLE_MAX = 1 << 20, PASSES_MAX = 100, PATIENCE_MS = 10000 };

enum tie { TIE_NONE, TIE_LOOSE, TIE_SURE };

/* The file of the container's directory that is mounted, "hostname"; NULL if it is none of its. */
static const char *member(const char *root, const char *id)
{
	const char *at = strstr(root, id);
	return at && at > root && at[-1] == '/' && at[strlen(id)] == '/' ? at + strlen(id) + 1 : NULL;
}

static enum tie tie_by_file(const char *process, const char *point, int dirfd, const char *name)
{
	struct stat theirs;
	struct stat ours;
	autofree char *path = xasprintf("%s/root%s", process, point);
	bool is_own = !str_eq(name, "hosts") && !str_eq(name, "resolv.conf");
	if (stat(path, &theirs) < 0 || fstatat(dirfd, name, &ours, AT_SYMLINK_NOFOLLOW) < 0)
		return TIE_LOOSE;
	if (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino)
		return TIE_NONE;
	return is_own ? TIE_SURE : TIE_LOOSE;
}

/* Some other container's own file: this process is that one's. */
static bool is_of_another(const struct mountinfo *m, const char *id)
{
	static const char end[] = "/hostname";
	enum { LEN = RECORD_ID_SIZE - 1 };
	for (size_t i = 0; i < m->count; i++) {
		const char *root = m->items[i].root;
		size_t n = strlen(root);
		if (n < LEN + sizeof(end) || !str_eq(root + n - (sizeof(end) - 1), end))
			continue;
		const char *at = root + n - (sizeof(end) - 1) - LEN;
		if (at[-1] == '/' && strspn(at, "0123456789abcdef") == LEN && strncmp(at, id, LEN) != 0)
			return true;
	}
	return false;
}

static enum tie tie_of(const struct container_rec *rec, int dirfd, pid_t pid)
{
	char process[32];
	const char *id = rec->config.id;
	autostr struct str text = STR_INIT;
	struct mountinfo m;
	enum tie tie = TIE_NONE;
	snprintf(process, sizeof(process), "/proc/%d", (int)pid);
	autofree char *path = xasprintf("%s/mountinfo", process);
	if (io_read_file(AT_FDCWD, path, TABLE_MAX, &text, NULL) < 0 || !strstr(text.buf, id))
		return TIE_NONE;
	mountinfo_parse(text.buf, &m);
	for (size_t i = 0; i < m.count && tie != TIE_SURE; i++) {
		const char *name = member(m.items[i].root, id);
		enum tie one = name ? tie_by_file(process, m.items[i].point, dirfd, name) : TIE_NONE;
		tie = RL_MAX(tie, one);
	}
	if (tie == TIE_LOOSE && is_of_another(&m, id))
		tie = TIE_NONE;
	mountinfo_free(&m);
	return tie;
}

/* Calls `fn` with every process that has to do with the container, until it says no. */
static int each(const struct container_rec *rec, bool (*fn)(void *arg, pid_t pid, enum tie tie), void *arg,
		struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	autofd int dirfd = open(rec->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autofd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || proc < 0)
		return err_sys(e, errno, "look for processes of container %.12s", rec->config.id);
	int r = io_list_dir(proc, &names, e);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		pid_t pid = (pid_t)strtol(names.items[i], NULL, 10);
		enum tie tie = pid > 0 && pid != getpid() ? tie_of(rec, dirfd, pid) : TIE_NONE;
		if (tie != TIE_NONE && !fn(arg, pid, tie))
			break;
	}
	return r;
}

struct search {
	const struct container_rec *rec;
	int dirfd;
	pid_t sure, loose; /* the first of each, 0: none */
	bool ends;	   /* and they are killed */
};

/* Held by its pidfd, then looked at once more: it is this very process. */
static void kill_one(const struct search *s, pid_t pid)
{
	autofd int pidfd = proc_pidfd_open(pid, NULL);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	if (pidfd >= 0 && tie_of(s->rec, s->dirfd, pid) == TIE_SURE && proc_pidfd_signal(pidfd, SIGKILL, NULL) == 0)
		(void)!poll(&p, 1, PATIENCE_MS);
}

static bool found(void *arg, pid_t pid, enum tie tie)
{
	struct search *s = arg;
	pid_t *first = tie == TIE_SURE ? &s->sure : &s->loose;
	if (!*first)
		*first = pid;
	if (tie == TIE_SURE && s->ends)
		kill_one(s, pid);
	return true;
}

pid_t container_leftover_find(const struct container_rec *rec)
{
	struct search s = {.rec = rec};
	return each(rec, found, &s, NULL) < 0 ? 0 : s.sure ? s.sure : s.loose;
}

int container_leftover_end(const struct container_rec *rec, struct err *e)
{
	autofd int dirfd = open(rec->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	pid_t was = 0;
	for (int pass = 0; pass < PASSES_MAX; pass++) {
		struct search s = {.rec = rec, .dirfd = dirfd, .ends = true};
		int r = each(rec, found, &s, e);
		if (r < 0)
			return r;
		/* With the container itself found, the loose ones are those that share its network. */
		if (!s.sure && (was || !s.loose))
			return 0;
		was = s.sure;
		if (was)
			continue;
		err_set(e, EBUSY, "process %d may be of container %.12s, whose record does not tell", (int)s.loose,
			rec->config.id);
		return err_hint(e, "look at it: ps %d; end it: kill -KILL %d; then remove the container again",
				(int)s.loose, (int)s.loose);
	}
	err_set(e, EBUSY, "process %d of container %.12s still runs and cannot be ended", (int)was, rec->config.id);
	return err_hint(e, "end it as its owner or as root: kill -KILL %d; then remove the container again", (int)was);
}
