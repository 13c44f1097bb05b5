/*
 * role_hold.c - the holder of a pod: PID 1 that executes nothing and lives so that its namespaces do.
 *
 * namespaces: its own. root: an empty directory, read-only. capabilities: none. descriptors: none. It is this program's
 * own image with what the caller's environment says in it, so nothing may share its pid namespace: a pod's containers
 * have their own (svc/pod.c, svc/container_share.c see to it). It stays dumpable, because its namespaces are entered
 * through it, and the kernel asks for the right to look at it then (setns(2)).
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"

static void on_end(int sig)
{
	(void)sig;
	_exit(0);
}

int role_hold(struct err *e)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct sigaction end = {.sa_handler = on_end};
	sigset_t none;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (sigaction(ends[i], &end, NULL) < 0)
			return err_sys(e, errno, "sigaction");
	role_child_wipe_command_line();
	prctl(PR_SET_NAME, "rl-pod");
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return err_sys(e, errno, "let the pod in");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* The end of file on the sync socket tells rl that it is there. */
	int r = io_close_from(0, e);
	if (r < 0)
		return r;
	for (;;)
		pause();
}
