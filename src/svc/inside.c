/* inside.c - see inside.h. */
#include "inside.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"

struct start {
	const struct inside *inside;
	bool plain; /* no user namespace can be had; what only compares or moves needs none */
	int sock;
};

static int become_root(struct err *e)
{
	/* A single map allows no setgroups, and then there is nothing to drop that could be named inside. */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_sys(e, errno, "drop supplementary groups");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(e, errno, "become the container's root");
	return 0;
}

static int join(const struct inside *i, struct err *e)
{
	if (i->join_user && setns(i->pidfd, CLONE_NEWUSER) < 0)
		return err_sys(e, errno, "join the container's user namespace");
	if (setns(i->pidfd, CLONE_NEWNS) < 0)
		return err_sys(e, errno, "join the container's mount namespace");
	return i->join_user ? become_root(e) : 0;
}

static int child_main(void *arg)
{
	const struct start *s = arg;
	struct err e = ERR_INIT;
	umask(0);
	signal(SIGPIPE, SIG_IGN);
	int r = 0;
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		r = err_sys(&e, errno, "prctl");
	if (r == 0 && s->inside->pidfd > 0)
		r = join(s->inside, &e);
	if (r == 0)
		r = s->inside->fn(s->inside->arg, &e);
	if (r < 0) {
		sync_send_err(s->sock, &e);
		return 1;
	}
	return 0;
}

/* As userns_spawn does it, without the user namespace. */
static int fork_plain(struct start *s, struct proc_child *ret_child, struct err *e)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		_exit(child_main(s));
	}
	ret_child->pid = pid;
	ret_child->pidfd = proc_pidfd_open(pid, NULL);
	return 0;
}

int inside_start(const struct inside *i, struct inside_job *ret_job, struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	struct inside_job job = {.child = PROC_CHILD_NONE, .sock = pair[0], .what = i->what};
	autofd int theirs = pair[1];
	struct start s = {.inside = i, .sock = theirs};
	if (!i->map || i->pidfd > 0)
		r = fork_plain(&s, &job.child, e);
	else if (i->clone_flags)
		r = userns_spawn(i->map, i->clone_flags, child_main, &s, &job.child, e);
	else
		r = userns_spawn_or_plain(i->map, 0, child_main, &s, &s.plain, &job.child, e);
	if (r < 0) {
		close(job.sock);
		return r;
	}
	*ret_job = job;
	return 0;
}

int inside_finish(struct inside_job *job, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	struct err said = ERR_INIT;
	int r = sync_next(job->sock, job->what, msg, &said);
	close_fd(&job->sock);
	if (r < 0) {
		proc_kill_wait(&job->child);
		if (e)
			*e = said;
		return r;
	}
	return proc_wait_ok(&job->child, job->what, e);
}

void inside_cancel(struct inside_job *job)
{
	proc_kill_wait(&job->child);
	close_fd(&job->sock);
}

int inside_run(const struct inside *i, struct err *e)
{
	struct inside_job job;
	int r = inside_start(i, &job, e);
	return r < 0 ? r : inside_finish(&job, e);
}
