#include "join_clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/sync.h"
#include "rl/kern/limits.h"
#include "rl/kern/procfs.h"

int join_ns_flag(enum rt_ns_kind kind)
{
	static const int flags[] = {
		[RT_NS_USER] = CLONE_NEWUSER,	  [RT_NS_MOUNT] = CLONE_NEWNS, [RT_NS_PID] = CLONE_NEWPID,
		[RT_NS_NET] = CLONE_NEWNET,	  [RT_NS_IPC] = CLONE_NEWIPC,  [RT_NS_UTS] = CLONE_NEWUTS,
		[RT_NS_CGROUP] = CLONE_NEWCGROUP,
	};
	_Static_assert(ARRAY_SIZE(flags) == RT_NS_COUNT, "a flag for every namespace");
	return flags[kind];
}

static int enter(const struct join_entry *n, struct err *e)
{
	int flags = 0;
	for (int i = 0; i < RT_NS_COUNT; i++)
		if (n->namespaces & (1U << i))
			flags |= join_ns_flag((enum rt_ns_kind)i);
	if (n->namespaces & RT_NS_TIME_BIT)
		flags |= CLONE_NEWTIME;
	if (flags && setns(n->fd, flags) < 0)
		return err_sys(e, errno, "enter the namespaces");
	return 0;
}

/* A new child of our own parent. exit_signal must be 0 with CLONE_PARENT: it is the joiner's, SIGCHLD. */
static pid_t clone_sibling(uint64_t flags)
{
	struct clone_args args = {.flags = flags | CLONE_PARENT};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid >= 0 || errno != ENOSYS)
		return pid;
	return (pid_t)syscall(SYS_clone, (unsigned long)flags | CLONE_PARENT, NULL, NULL, NULL, 0UL);
}

RL_NORETURN static void joiner(const struct join_clone *j, pid_t *shared_pid)
{
	struct err e = ERR_INIT;
	log_set_role("joiner");
	/* The container must not see the joined process leave its birth half-way: it dies with rl also before it says so. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int r = j->before ? j->before(j->arg, &e) : 0;
	for (size_t i = 0; i < j->nentries && r == 0; i++)
		r = enter(&j->entries[i], &e);
	/* CLONE_PARENT and CLONE_NEWPID do not go together, but this does. */
	if (r == 0 && (j->clone_flags & CLONE_NEWPID) && unshare(CLONE_NEWPID) < 0)
		r = err_sys(&e, errno, "make a pid namespace");
	if (r == 0) {
		pid_t pid = clone_sibling(j->clone_flags & ~(uint64_t)CLONE_NEWPID);
		if (pid == 0) {
			j->child(j->arg);
			_exit(EXIT_RL_FAILED);
		}
		if (pid > 0) {
			*shared_pid = pid;
			_exit(0);
		}
		err_sys(&e, errno, "clone into the container's namespaces");
	}
	sync_send_err(j->sync, &e);
	_exit(EXIT_RL_FAILED);
}

static int set_oom_score(const struct rtspec *s, struct err *e)
{
	if (!s->oom_score_adj_set)
		return 0;
	/* Before the container's /proc is the one in sight; children inherit the value. */
	autofd int proc = procfs_outer(e);
	return proc < 0 ? proc : limits_set_oom_score_adj(proc, s->oom_score_adj, e);
}

int join_prepare(const struct rtspec *spec, struct err *e)
{
	int r = set_oom_score(spec, e);
	if (r < 0)
		return r;
	role_child_wipe_command_line();
	/* With a user namespace of its own it cannot be looked at by those it meets, and its ids have still to be mapped. */
	if (spec->ns[RT_NS_USER].mode == RT_NS_NEW && spec->ns[RT_NS_PID].mode != RT_NS_JOIN)
		return 0;
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, errno, "hide from the container");
	return 0;
}

int join_explain(int sync, struct err *e)
{
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	int r = sync_next(sync, "the joiner", m, e);
	if (r < 0)
		return r;
	if (r == 1)
		sync_close_fds(m);
	return err_set(e, ESRCH, "the container ended, or the process that joins it was killed");
}

int join_clone(const struct join_clone *j, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	pid_t *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return err_sys(e, errno, "mmap");
	pid_t helper = fork();
	if (helper == 0)
		joiner(j, shared);
	int errnum = errno;
	int status = 0;
	while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	pid_t pid = *shared;
	munmap(shared, sizeof(*shared));
	if (helper < 0)
		return err_sys(e, errnum, "fork");
	if (pid <= 0)
		return -ECHILD;
	/* Our own child, which nobody but us reaps: the number is still its. */
	int pidfd = proc_pidfd_open(pid, e);
	if (pidfd < 0) {
		struct proc_child lost = {.pid = pid, .pidfd = -1};
		proc_kill_wait(&lost);
		return pidfd;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
