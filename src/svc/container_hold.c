/* container_hold.c - see container_hold.h. */
#include "container_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/runtime.h"
#include "rl/kern/cgroup.h"

/* In a process that no signal of the terminal reaches. */
__attribute__((noreturn)) static void guard_main(int pipefd, int pidfd, const struct container_rec *rec)
{
	char byte;
	sigset_t all;
	setsid();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	while (read(pipefd, &byte, 1) < 0 && errno == EINTR)
		;
	/* As long as PID 1 is there, or its pid not reaped, the number is its own. */
	if (proc_pidfd_signal(pidfd, 0, NULL) == 0 && cgroup_freeze(&rec->state.cgroups, false, NULL) != 1)
		(void)!runtime_continue_all(rec->state.init.pid, NULL);
	_exit(0);
}

int container_hold_begin(const struct container_rec *rec, struct container_hold *ret, struct err *e)
{
	if (rec->status != RECORD_RUNNING)
		return 0;
	autofd int pidfd = container_rec_open_init(rec, e);
	if (pidfd < 0)
		return pidfd;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		guard_main(ends[0], pidfd, rec);
	}
	int errnum = errno;
	close(ends[0]);
	if (pid < 0) {
		close(ends[1]);
		return err_sys(e, errnum, "fork");
	}
	struct container_hold h = {.guard = {.pid = pid, .pidfd = -1}, .pipefd = ends[1]};
	h.is_frozen = rec->state.cgroups.count && cgroup_freeze(&rec->state.cgroups, true, NULL) == 1;
	int r = h.is_frozen ? 0 : runtime_stop_all(rec->state.init.pid, e);
	if (r < 0) {
		container_hold_end(&h);
		return err_ctx(e, "pause container %s", rec->config.name);
	}
	*ret = h;
	return 0;
}

void container_hold_end(struct container_hold *h)
{
	if (h->pipefd < 0)
		return;
	close_fd(&h->pipefd);
	while (waitpid(h->guard.pid, NULL, 0) < 0 && errno == EINTR)
		;
	*h = (struct container_hold)CONTAINER_HOLD_NONE;
}
