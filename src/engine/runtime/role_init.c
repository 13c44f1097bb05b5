/*
 * role_init.c - PID 1 of a container with --init: forwards signals to the payload, reaps everything, exits as it did.
 *
 * The fork happens before the security stage, and both sides go through it: the reaper runs with the same ids,
 * capabilities and filter as the payload. From the fork on it allocates nothing and may not exit before the payload.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"

RL_NORETURN static void reap_until(pid_t payload, const sigset_t *all)
{
	for (;;) {
		int sig = sigwaitinfo(all, NULL);
		if (sig != SIGCHLD) {
			/* The payload's whole group, as a terminal would: shells run their job in the same group. */
			if (sig > 0 && kill(-payload, sig) < 0)
				kill(payload, sig);
			continue;
		}
		int status;
		pid_t pid;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == payload)
				_exit(proc_status_code(status));
	}
}

/* What the reaper still has to do of the security stage, with nothing of ours left open. */
RL_NORETURN static void reaper_main(struct apply *a, pid_t payload, const sigset_t *all)
{
	struct err e = ERR_INIT;
	role_child_wipe_command_line();
	if (apply_identity(a, &e) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		kill(payload, SIGKILL);
		_exit(EXIT_RL_FAILED);
	}
	/* Everything, for two reasons: the end of file on the sync socket tells rl that the payload runs, and the payload
	 * could look into /proc/1/fd otherwise. */
	prctl(PR_SET_DUMPABLE, 0);
	if (io_close_from(0, &e) < 0) {
		kill(payload, SIGKILL);
		_exit(EXIT_RL_FAILED);
	}
	prctl(PR_SET_NAME, "rl-init");
	if (!a->plan->spec->outlives_parent)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	reap_until(payload, all);
}

int role_init_fork(struct apply *a, struct err *e)
{
	sigset_t all;
	sigset_t none;
	sigfillset(&all);
	sigemptyset(&none);
	/* Blocked before the fork, so that no signal is lost between fork and wait. */
	sigprocmask(SIG_SETMASK, &all, NULL);
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork the payload");
	if (pid > 0)
		reaper_main(a, pid, &all);
	if (setpgid(0, 0) == 0 && isatty(STDIN_FILENO)) {
		/* SIGTTOU would stop us: we are not yet the foreground group. */
		sigset_t ttou;
		sigemptyset(&ttou);
		sigaddset(&ttou, SIGTTOU);
		sigprocmask(SIG_BLOCK, &ttou, NULL);
		tcsetpgrp(STDIN_FILENO, getpid());
	}
	sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}
