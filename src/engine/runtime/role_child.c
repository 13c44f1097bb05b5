/*
 * role_child.c - the cloned process on its way to being the payload.
 *
 *                 at entry                          after STEP_MAPPED                at exec
 * user ns         new, nothing mapped               mapped; uid 0 of the container   the same
 * pid ns          new                               the same                         the same
 * mount ns        the caller's; made here first     new, a copy of the host's        only the container's
 * other ns        the caller's; made here first     new (those asked for)            the same
 * ids             the caller's (shown as 65534)     0:0                              the payload's
 * capabilities    all, in the new user namespace    all                              the container's set
 * descriptors     copies of rl's, all close-on-exec and the sync socket              0, 1, 2
 *
 * Should: apply the plan and execute. Mustn't: decide, print, return.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/procs.h"
#include "steps.h"

/* rl blocks signals to read them from a descriptor; the payload starts with none blocked and default actions. */
void role_child_reset_signals(void)
{
	sigset_t none;
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	/* rl itself changes only these two; what its caller ignored (nohup) stays ignored, as with exec. */
	sigaction(SIGPIPE, &dfl, NULL);
	sigaction(SIGTSTP, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors that rl's caller left open without close-on-exec must not reach the payload. */
int role_child_close_on_exec_from(int first, struct err *e)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return 0;
	int open_max = (int)sysconf(_SC_OPEN_MAX);
	for (int fd = first; fd < RL_MIN(open_max, 65536); fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return err_sys(e, errno, "set close-on-exec");
	}
	return 0;
}

/* /proc/PID/cmdline can be read by everybody and is memory of ours: what -e said would stand there. The words were
 * copied when the options were parsed. */
void role_child_wipe_command_line(void)
{
	autostr struct str text = STR_INIT;
	struct err why = ERR_INIT;
	if (io_read_file(AT_FDCWD, "/proc/self/stat", 4096, &text, &why) < 0)
		return;
	const char *p = strrchr(text.buf, ')');
	unsigned long long start = 0;
	unsigned long long end = 0;
	for (int field = 2; p && field < 48; field++)
		p = strchr(p + 1, ' ');
	if (p && sscanf(p, "%llu %llu", &start, &end) == 2 && start && end > start)
		memset((void *)(uintptr_t)start, 0, (size_t)(end - start));
}

int role_child_become_root(const struct plan *p, struct err *e)
{
	if (!p->map)
		return 0;
	/* In a keep-id map the caller is not container root; files must be made as root all the same. */
	/* With one user id and --userns=keep-id there is no root; the one id has all capabilities as well. */
	bool no_gid = idmap_gid_to_host(p->map, 0) == IDMAP_UNMAPPED;
	bool no_uid = idmap_uid_to_host(p->map, 0) == IDMAP_UNMAPPED;
	if ((!no_gid && setresgid(0, 0, 0) < 0) || (!no_uid && setresuid(0, 0, 0) < 0))
		return err_sys(e, errno, "become root of the container");
	return 0;
}

/* Wait until the parent is ready; if it moved us into a cgroup after the clone, the cgroup namespace that the clone made
 * begins in the wrong place, and another one is made here. */
static int wait_mapped(struct apply *a, struct err *e)
{
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	bool moved = false;
	int r = sync_expect(a->sync, "rl", STEP_MAPPED, m, e);
	if (r < 0)
		return r;
	memcpy(&moved, m->data, RL_MIN(m->len, sizeof(moved)));
	if (moved && a->plan->spec->ns[RT_NS_CGROUP].mode == RT_NS_NEW && unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(e, errno, "new cgroup namespace");
	return 0;
}

/* By this what is left of the container is found when the pid namespace does not end with it. */
static int tell_mount_ns(const struct apply *a, struct err *e)
{
	char name[PROCS_NS_SIZE];
	if (a->plan->spec->ns[RT_NS_PID].mode == RT_NS_NEW)
		return 0;
	ssize_t n = readlink("/proc/self/ns/mnt", name, sizeof(name) - 1);
	return n < 0 ? 0 : sync_send(a->sync, STEP_MOUNT_NS, name, (size_t)n, NULL, 0, e);
}

static int make_namespaces(uint64_t flags, struct err *e)
{
	unsigned tries = 0;
	int r;
	if (!flags)
		return 0;
	do
		r = unshare((int)flags);
	while (r < 0 && idmap_try_again(errno, &tries));
	return r < 0 ? idmap_explain_clone(errno, e) : 0;
}

static int child(struct apply *a, uint64_t namespaces, struct err *e)
{
	int r = make_namespaces(namespaces, e);
	if (r == 0)
		r = role_child_close_on_exec_from(3 + (int)a->plan->spec->preserve_fds, e);
	if (r == 0)
		r = tell_mount_ns(a, e);
	if (r == 0)
		r = apply_stages(a, STAGE_EARLY, STAGE_EARLY, e);
	if (r == 0)
		r = wait_mapped(a, e);
	if (r == 0)
		r = apply_stages(a, STAGE_HOST, STAGE_HOST, e);
	if (r == 0)
		r = role_child_become_root(a->plan, e);
	if (r < 0)
		return r;
	umask(0);
	r = apply_stages(a, STAGE_ROOT, STAGE_PIVOT, e);
	if (r == 0)
		r = sync_expect(a->sync, "rl", STEP_RECORDED, NULL, e);
	if (r < 0)
		return r;
	role_child_reset_signals();
	return apply_stages(a, STAGE_PROCESS, STAGE_SECURITY, e);
}

void role_child_main(const struct runtime_start *start, uint64_t namespaces, int sync, int notifyd)
{
	log_set_role("child");
	struct apply a = APPLY_INIT;
	a.plan = start->plan;
	a.start = start;
	a.sync = sync;
	a.notifyd = notifyd;
	struct err e = ERR_INIT;
	(void)!child(&a, namespaces, &e);
	/* Only failure comes back: success is an exec. */
	sync_send_err(sync, &e);
	if (start->meet_failed)
		start->meet_failed(start->meet_arg, &e);
	_exit(err_exit_status(&e));
}
