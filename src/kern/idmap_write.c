/*
 * idmap_write.c - putting a map in place, and children that live in one.
 *
 * Theory: who may write what (map_write and new_idmap_permitted of the kernel):
 *   identity  we hold CAP_SETUID and CAP_SETGID in the parent namespace: written directly, setgroups stays allowed
 *   single    anybody may map their own id once setgroups is denied for the namespace: deny, then written directly
 *   others    newuidmap and newgidmap, setuid programs, check /etc/subuid and write. They cost a program start each, so
 *             both run while the caller prepares other things; they meet the caller again in idmap_finish.
 * A map file takes one write(2) and never a second one.
 *
 * The helpers print to a pipe of ours that never blocks them (a full pipe loses text, nothing else); it is read only
 * when one of them failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "idmap_int.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/probe.h"

enum { HELPER_TEXT_MAX = 300, HELPER_NUMBERS_MAX = 3 * IDMAP_EXTENTS_MAX };

/* userns_spawn's two messages: the parent has written the map; the child is root in it and will not outlive us. */
enum { STEP_MAPPED = 1, STEP_ROOT };

static int hint_map_refused(const struct idmap *map, struct err *e)
{
	bool refused = e && (e->code == EPERM || e->code == EACCES) && !idmap_hint_restricted(e);
	/* Linux 5.12: who maps user id 0 of outside must have CAP_SETFCAP there, for itself as well. */
	if (refused && map->form == IDMAP_SINGLE && geteuid() == 0)
		err_hint(e, "root without CAP_SETFCAP may not map itself: add it to the outer container "
			    "(--cap-add SETFCAP), or let rl run as another user there");
	else if (refused && map->form == IDMAP_IDENTITY)
		err_hint(e, "root in a container needs CAP_SETUID, CAP_SETGID and CAP_SETFCAP to map ids: add them to "
			    "the outer container");
	return e ? -e->code : -EPERM;
}

static int write_pid_file(pid_t pid, const char *name, const char *text, size_t len, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	ssize_t n = write(fd, text, len);
	if (n != (ssize_t)len)
		return err_sys(e, n < 0 ? errno : EIO, "write %s", path);
	return 0;
}

static int write_extents(pid_t pid, const char *name, const struct idmap_extent *ext, size_t n, struct err *e)
{
	char text[IDMAP_EXTENTS_MAX * 34 + 1];
	size_t len = 0;
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u %u %u\n", ext[i].inside, ext[i].outside,
					ext[i].count);
	return write_pid_file(pid, name, text, len, e);
}

static int write_directly(const struct idmap *map, pid_t pid, struct err *e)
{
	int r = 0;
	if (map->form == IDMAP_SINGLE)
		r = write_pid_file(pid, "setgroups", "deny", 4, e);
	if (r == 0)
		r = write_extents(pid, "uid_map", map->uid, map->nuid, e);
	if (r == 0)
		r = write_extents(pid, "gid_map", map->gid, map->ngid, e);
	return r < 0 ? hint_map_refused(map, e) : 0;
}

static int start_helper(const char *name, pid_t pid, const struct idmap_extent *ext, size_t n, int stderr_fd,
			struct proc_child *ret_child, struct err *e)
{
	char path[PATH_MAX];
	char numbers[1 + HELPER_NUMBERS_MAX][12];
	char *argv[2 + HELPER_NUMBERS_MAX + 1];
	/* Setuid programs of the system need nothing of our environment; their messages are wanted untranslated. */
	char locale[] = "LC_ALL=C";
	char *envp[] = {locale, NULL};
	size_t argc = 0;
	if (!idmap_find_helper(name, path, sizeof(path)))
		return err_set(e, ENOENT, "%s is not installed (package uidmap)", name);
	argv[argc++] = path;
	snprintf(numbers[0], sizeof(numbers[0]), "%d", (int)pid);
	argv[argc++] = numbers[0];
	for (size_t i = 0; i < 3 * n; i++) {
		const struct idmap_extent *x = &ext[i / 3];
		uint32_t value = i % 3 == 0 ? x->inside : i % 3 == 1 ? x->outside : x->count;
		snprintf(numbers[1 + i], sizeof(numbers[0]), "%u", value);
		argv[argc++] = numbers[1 + i];
	}
	argv[argc] = NULL;
	const struct proc_spawn spawn = {.path = path,
					 .argv = argv,
					 .envp = envp,
					 .stdout_fd = stderr_fd,
					 .stderr_fd = stderr_fd,
					 .parent_death_signal = SIGKILL};
	return proc_spawn(&spawn, ret_child, e);
}

int idmap_start(const struct idmap *map, pid_t pid, struct idmap_job *ret_job, struct err *e)
{
	struct idmap_job job = IDMAP_JOB_NONE;
	if (map->form == IDMAP_IDENTITY || map->form == IDMAP_SINGLE) {
		int r = write_directly(map, pid, e);
		if (r == 0)
			*ret_job = job;
		return r;
	}
	int fds[2];
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, errno, "pipe");
	job.stderr_fd = fds[0];
	autofd int writer = fds[1];
	int r = start_helper("newuidmap", pid, map->uid, map->nuid, writer, &job.newuidmap, e);
	if (r == 0)
		r = start_helper("newgidmap", pid, map->gid, map->ngid, writer, &job.newgidmap, e);
	if (r < 0) {
		idmap_cancel(&job);
		return r;
	}
	*ret_job = job;
	return 0;
}

/* What the helpers printed, as one line: "a; b". */
static void read_helper_text(int fd, char *text, size_t size)
{
	char raw[HELPER_TEXT_MAX];
	ssize_t n = fd >= 0 ? read(fd, raw, sizeof(raw)) : 0;
	size_t out = 0;
	while (n > 0 && raw[n - 1] == '\n')
		n--;
	for (ssize_t i = 0; i < n && out + 3 < size; i++) {
		text[out++] = raw[i] == '\n' ? ';' : raw[i];
		if (raw[i] == '\n')
			text[out++] = ' ';
	}
	text[out] = '\0';
}

static int explain_helpers(int fd, int uid_status, int gid_status, struct err *e)
{
	char text[HELPER_TEXT_MAX];
	read_helper_text(fd, text, sizeof(text));
	const char *name = uid_status ? "newuidmap" : "newgidmap";
	if (text[0])
		err_set(e, EPERM, "cannot map subordinate ids: %s", text);
	else
		err_set(e, EPERM, "cannot map subordinate ids: %s failed with status %d", name,
			uid_status ? uid_status : gid_status);
	if (strstr(text, "not allowed"))
		return err_hint(e, "%s does not grant these ids: look at the lines of /etc/subuid and /etc/subgid",
				name);
	if (!e || idmap_hint_restricted(e))
		return -EPERM;
	return err_hint(e,
			"%s could not do its work: it must be setuid root (or have the file capability), outside of "
			"nosuid mounts and of containers without CAP_SETUID and CAP_SETGID; RL_IDMAP=single does "
			"without it",
			name);
}

int idmap_finish(struct idmap_job *job, struct err *e)
{
	if (job->newuidmap.pid <= 0) {
		idmap_cancel(job);
		return 0;
	}
	int uid_status = proc_wait(&job->newuidmap, "newuidmap", e);
	int gid_status = uid_status < 0 ? uid_status : proc_wait(&job->newgidmap, "newgidmap", e);
	int r = RL_MIN(uid_status, gid_status);
	if (uid_status > 0 || gid_status > 0)
		r = explain_helpers(job->stderr_fd, uid_status, gid_status, e);
	idmap_cancel(job);
	return r;
}

void idmap_cancel(struct idmap_job *job)
{
	proc_kill_wait(&job->newuidmap);
	proc_kill_wait(&job->newgidmap);
	close_fd(&job->stderr_fd);
}

/* From whatever id the map gives us (the kept one in a keep-id map) to the root of the namespace. */
static int become_root(const struct idmap *map, struct err *e)
{
	if (map->form != IDMAP_SINGLE && setgroups(0, NULL) < 0 && errno != EPERM)
		return err_sys(e, errno, "setgroups");
	if (idmap_uid_to_host(map, 0) == IDMAP_UNMAPPED || idmap_gid_to_host(map, 0) == IDMAP_UNMAPPED)
		return 0; /* a single keep-id map has no root; the capabilities are there all the same */
	if (getegid() != 0 && setresgid(0, 0, 0) < 0)
		return err_sys(e, errno, "setresgid");
	if (geteuid() != 0) {
		if (setresuid(0, 0, 0) < 0)
			return err_sys(e, errno, "setresuid");
		/* Lost with the change of ids; without it our own /proc/self belongs to somebody else. */
		if (prctl(PR_SET_DUMPABLE, 1) < 0)
			return err_sys(e, errno, "set dumpable");
	}
	return 0;
}

static RL_NORETURN void userns_child(const struct idmap *map, int sock, int (*fn)(void *arg), void *arg)
{
	struct err e = ERR_INIT;
	if (sync_expect(sock, "parent", STEP_MAPPED, NULL, NULL) < 0)
		_exit(EXIT_RL_FAILED); /* the parent failed or died, and says why itself */
	if (become_root(map, &e) < 0) {
		sync_send_err(sock, &e);
		_exit(EXIT_RL_FAILED);
	}
	/* After the change of ids, which would have cleared it. Our answer reaches nobody if the parent died before. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sync_send(sock, STEP_ROOT, NULL, 0, NULL, 0, NULL) < 0)
		_exit(EXIT_RL_FAILED);
	close(sock);
	_exit(fn(arg) & 0xff);
}

static int bring_up(const struct idmap *map, pid_t pid, int sock, struct err *e)
{
	struct idmap_job job;
	int r = idmap_start(map, pid, &job, e);
	if (r == 0)
		r = idmap_finish(&job, e);
	if (r == 0)
		r = sync_send(sock, STEP_MAPPED, NULL, 0, NULL, 0, e);
	if (r == 0)
		r = sync_expect(sock, "the child in the user namespace", STEP_ROOT, NULL, e);
	return r;
}

/* No user namespace, no ids to change: only the end with the parent is arranged. */
RL_NORETURN static void plain_child(int sock, int (*fn)(void *arg), void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sync_send(sock, STEP_ROOT, NULL, 0, NULL, 0, NULL) < 0)
		_exit(EXIT_RL_FAILED);
	close(sock);
	_exit(fn(arg) & 0xff);
}

/* In a user namespace with the map, or, where that is NULL, in the caller's. */
static int spawn(const struct idmap *map, int clone_flags, int (*fn)(void *arg), void *arg,
		 struct proc_child *ret_child, struct err *e)
{
	int socks[2];
	int r = sync_pair(socks, e);
	if (r < 0)
		return r;
	autofd int ours = socks[0];
	autofd int theirs = socks[1];
	struct proc_child child = PROC_CHILD_NONE;
	const unsigned long flags = (unsigned long)clone_flags | (map ? CLONE_NEWUSER : 0) | CLONE_PIDFD | SIGCHLD;
	unsigned tries = 0;
	do
		child.pid = (pid_t)syscall(SYS_clone, flags, NULL, &child.pidfd, NULL, NULL);
	while (child.pid < 0 && map && idmap_try_again(errno, &tries));
	if (child.pid < 0)
		return map ? idmap_explain_clone(errno, e) : err_sys(e, errno, "fork");
	if (child.pid == 0) {
		close(ours);
		if (map)
			userns_child(map, theirs, fn, arg);
		plain_child(theirs, fn, arg);
	}
	close_fd(&theirs); /* or a dead child would not be noticed */
	r = map ? bring_up(map, child.pid, ours, e) : sync_expect(ours, "the child", STEP_ROOT, NULL, e);
	if (r < 0) {
		proc_kill_wait(&child);
		return r;
	}
	*ret_child = child;
	return 0;
}

bool idmap_is_plain(const struct idmap *map)
{
	return map->form == IDMAP_SINGLE || map->form == IDMAP_IDENTITY;
}

int userns_spawn_or_plain(const struct idmap *map, int clone_flags, int (*fn)(void *arg), void *arg, bool *ret_plain,
			  struct proc_child *ret_child, struct err *e)
{
	struct err why = ERR_INIT;
	*ret_plain = false;
	int r = userns_spawn(map, clone_flags, fn, arg, ret_child, &why);
	if (r < 0 && idmap_is_plain(map) && probe_userns() != 0) {
		*ret_plain = true;
		return spawn(NULL, 0, fn, arg, ret_child, e);
	}
	if (r < 0 && e)
		*e = why;
	return r;
}

int userns_spawn(const struct idmap *map, int clone_flags, int (*fn)(void *arg), void *arg,
		 struct proc_child *ret_child, struct err *e)
{
	return spawn(map, clone_flags, fn, arg, ret_child, e);
}
