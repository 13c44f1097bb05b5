/*
 * keeper.c - makes the container die with rl, whatever ends rl.
 *
 * PR_SET_PDEATHSIG alone is not enough: the payload clears it with one prctl. The keeper is a fork of rl in the
 * caller's own user namespace (so it may signal a PID 1 that runs as a subordinate id); it holds PID 1's pidfd and the
 * reading end of a pipe whose only writer is rl, and kills PID 1 when the pipe reaches its end. It is in a session of
 * its own and blocks every signal, so only SIGKILL can end it, and whoever sends that to it and to rl has also ended
 * the container's parent: the parent-death signal is then what is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/runtime.h"

enum { KEEPER_PIPE = 0, KEEPER_PIDFD = 1 };

RL_NORETURN static void keeper_main(int pipefd, int pidfd)
{
	/* Nothing of rl may stay open here: not the terminal, not the network helper's control socket. */
	int high_pipe = fcntl(pipefd, F_DUPFD_CLOEXEC, 10);
	int high_pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 10);
	if (high_pipe < 0 || high_pidfd < 0 || dup2(high_pipe, KEEPER_PIPE) < 0 || dup2(high_pidfd, KEEPER_PIDFD) < 0 ||
	    io_close_from(2, NULL) < 0)
		_exit(1);
	setsid();
	prctl(PR_SET_NAME, "rl-keeper");
	char byte;
	while (read(KEEPER_PIPE, &byte, 1) < 0 && errno == EINTR)
		;
	syscall(SYS_pidfd_send_signal, KEEPER_PIDFD, SIGKILL, NULL, 0);
	_exit(0);
}

int runtime_keep(struct runtime_container *c, struct err *e)
{
	int pair[2];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	sigset_t all;
	sigset_t old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid_t pid = fork();
	int errnum = errno;
	if (pid == 0) {
		close(pair[1]);
		keeper_main(pair[0], c->pidfd);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pair[0]);
	if (pid < 0) {
		close(pair[1]);
		return err_sys(e, errnum, "fork");
	}
	c->keeper = (struct proc_child){.pid = pid, .pidfd = -1};
	c->keeper_pipe = pair[1];
	return 0;
}
