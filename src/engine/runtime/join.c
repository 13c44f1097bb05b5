/*
 * join.c - a process joins a container; see join.h.
 *
 *                 joiner, at entry          joiner, at clone            joined process, at exec
 * namespaces      the caller's              the container's             the container's
 * pid namespace   the caller's              the caller's (children:     the container's
 *                                           the container's)
 * ids             the caller's              the caller's                the payload's
 * capabilities    the caller's              all of the container's      the container's set
 *                                           user namespace
 * memory          copy of the caller's, not dumpable from before the container can see it until the exec replaces it
 * descriptors     copies of the caller's, all close-on-exec             0, 1, 2 (and preserved ones)
 *
 * Why the memory is safe: the kernel asks a tracer for CAP_SYS_PTRACE in the user namespace the memory was made in when
 * it is not dumpable, and that is the caller's. The same check stands before /proc/PID/{mem,environ,fd,exe,cwd,root}.
 * The command line is readable without it; so it is wiped.
 */
#include "rl/engine/join.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "join_clone.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/sync.h"
#include "rl/engine/notifyd.h"
#include "rl/kern/cgroup.h"
#include "rl/kern/pty.h"
#include "rl/kern/safepath.h"
#include "steps.h"

struct joining {
	const struct runtime_join *j;
	const struct plan *plan;
	int sync;
	int notifyd;
	int other_end; /* the caller's end of sync: must be open in the caller only, so that its death is seen */
};

static int place_stdio(const int stdio[3], struct err *e)
{
	int high[3];
	for (int i = 0; i < 3; i++) {
		high[i] = stdio[i] < 0 ? -1 : fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
		if (stdio[i] >= 0 && high[i] < 0)
			return err_sys(e, errno, "dup");
	}
	for (int i = 0; i < 3; i++)
		if (high[i] >= 0 && dup2(high[i], i) < 0)
			return err_sys(e, errno, "dup");
	return 0;
}

static int before_entry(void *arg, struct err *e)
{
	struct joining *g = arg;
	const struct runtime_join *j = g->j;
	close_fd(&g->other_end);
	/* While cgroupfs of the host is in sight; what the joiner clones is where the joiner is. */
	int r = j->cgroups ? cgroup_join(j->cgroups, getpid(), e) : 0;
	if (r == 0)
		r = place_stdio(j->stdio, e);
	if (r == 0)
		r = role_child_close_on_exec_from(3 + (int)j->preserve_fds, e);
	return r < 0 ? r : join_prepare(j->spec, e);
}

static int make_terminal(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	autofd int pts = safepath_open(a->rootfd, "/dev/pts", O_PATH | O_DIRECTORY, 0, e);
	struct pty_pair pair;
	int r = pts < 0 ? pts : pty_open(pts, &pair, e);
	if (r < 0)
		return err_ctx(e, "terminal");
	a->pty_slave = pair.slavefd;
	autofd int master = pair.masterfd;
	if (s->rows || s->columns)
		r = pty_set_size(master, s->rows, s->columns, e);
	return r < 0 ? r : sync_send(a->sync, STEP_PTY, NULL, 0, &master, 1, e);
}

static int joined(struct apply *a, struct err *e)
{
	/* The namespace's own root: setns has put us there, whatever its first process has made its root since. */
	a->rootfd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->rootfd < 0)
		return err_sys(e, errno, "open the container's root");
	int r = role_child_become_root(a->plan, e);
	/* A change of credentials sets it to a default of the machine. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0) < 0)
		r = err_sys(e, errno, "hide from the container");
	if (r < 0)
		return r;
	umask(0);
	role_child_reset_signals();
	if (a->plan->spec->terminal)
		r = make_terminal(a, e);
	return r < 0 ? r : apply_stages(a, STAGE_PROCESS, STAGE_SECURITY, e);
}

static void joined_main(void *arg)
{
	const struct joining *g = arg;
	struct err e = ERR_INIT;
	struct apply a = APPLY_INIT;
	log_set_role("joined");
	a.plan = g->plan;
	a.join = g->j;
	a.sync = g->sync;
	a.notifyd = g->notifyd;
	(void)!joined(&a, &e);
	/* Only failure comes back: success is an exec. */
	sync_send_err(g->sync, &e);
	_exit(err_exit_status(&e));
}

int runtime_join(const struct runtime_join *j, struct runtime_container *ret_c, struct err *e)
{
	struct runtime_container c = RUNTIME_CONTAINER_NONE;
	struct notifyd_config config;
	int pair[2] = {-1, -1};
	autofd int notifyd = -1;
	if (!j->spec->args.count || !j->spec->args.items[0][0])
		return err_set(e, EINVAL, "no command");
	bool answered = notifyd_config_from_spec(j->spec, &config);
	int r = answered ? notifyd_start(&config, j->pidfd, &notifyd, &c.notifyd, e) : 0;
	if (r == 0)
		r = sync_pair(pair, e);
	if (r < 0) {
		runtime_container_close(&c);
		return r;
	}
	struct plan *plan = plan_joined(j->spec, j->map, j->filter);
	struct joining g = {.j = j, .plan = plan, .sync = pair[1], .notifyd = notifyd, .other_end = pair[0]};
	const struct join_clone jc = {
		.entries = {{.fd = j->pidfd, .namespaces = j->namespaces}},
		.nentries = 1,
		.sync = pair[1],
		.before = before_entry,
		.child = joined_main,
		.arg = &g,
	};
	r = join_clone(&jc, &c.pid, &c.pidfd, e);
	close(pair[1]);
	close_fd(&notifyd);
	runtime_plan_free(plan);
	c.sync = pair[0];
	if (r == -ECHILD)
		r = join_explain(c.sync, e);
	if (r < 0) {
		runtime_container_close(&c);
		return r;
	}
	log_debug(LOG_RUN, "joined as process %d", (int)c.pid);
	*ret_c = c;
	return 0;
}

/* True if `pid` is a child of `parent` now. */
static bool is_child_of(int pid, pid_t parent)
{
	char path[40];
	char state;
	int ppid;
	autostr struct str text = STR_INIT;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (io_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return false;
	const char *end = strrchr(text.buf, ')');
	return end && sscanf(end + 1, " %c %d", &state, &ppid) == 2 && ppid == parent && state != 'Z' && state != 'X';
}

static int list_children(pid_t pid, struct str *out, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	int r = io_read_file(AT_FDCWD, path, 64 * 1024, out, e);
	return r < 0 ? err_ctx(e, "find the container's command") : 0;
}

static int no_member(struct err *e)
{
	return err_set(e, ESRCH, "the container has no process that can be joined");
}

int runtime_find_member(pid_t init_pid, pid_t *ret_pid, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = list_children(init_pid, &text, e);
	if (r < 0)
		return r;
	long pid = strtol(text.buf, NULL, 10);
	if (pid <= 0)
		return no_member(e);
	*ret_pid = (pid_t)pid;
	return 0;
}

int runtime_open_member(pid_t init_pid, int init_pidfd, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = list_children(init_pid, &text, e);
	if (r < 0)
		return r;
	for (const char *p = text.buf; *p;) {
		char *end;
		int pid = (int)strtol(p, &end, 10);
		if (end == p)
			break;
		p = end;
		autofd int pidfd = proc_pidfd_open(pid, NULL);
		/* Held first, then looked at: its parent is PID 1, and PID 1 is who it was. */
		if (pidfd >= 0 && is_child_of(pid, init_pid) && proc_pidfd_signal(init_pidfd, 0, NULL) == 0)
			return take_fd(&pidfd);
	}
	return no_member(e);
}
