/* Signals, parent death and pid namespaces (decisions 19, 20). */
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>

#include "platform.h"
#include "rl/kern/pty.h"

static int death_signal(void)
{
	int sig = -1;
	prctl(PR_GET_PDEATHSIG, &sig);
	return sig;
}

static int set_and_exec(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl("/proc/self/exe", "process", "print-death-signal", NULL);
	return 1;
}

static int set_and_clear(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return prctl(PR_SET_PDEATHSIG, 0) == 0 && death_signal() == 0 ? 0 : 1;
}

static int change_of_user(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return setresuid(1, 1, 1) == 0 && death_signal() == 0 ? 0 : 1;
}

/* As PID 1: every signal with its default action that we send ourselves is dropped. */
static int init_from_inside(void *arg)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGKILL, SIGSTOP, SIGTSTP, SIGUSR1};
	(void)arg;
	if (getpid() != 1)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		kill(1, signals[i]);
	return 0;
}

static int wait_for_byte(int fd)
{
	char byte;
	return read(fd, &byte, 1) == 1 ? byte : 0;
}

struct init {
	int pipe[2];
	int handled;
};

static void on_term(int sig)
{
	_exit(40 + sig);
}

static int init_waits(void *arg)
{
	struct init *t = arg;
	if (t->handled)
		signal(SIGTERM, on_term);
	if (write(t->pipe[1], "r", 1) != 1)
		return 1;
	close(t->pipe[1]);
	/* Ended by a signal that counts, and by nothing else. */
	for (;;)
		pause();
}

static void test_init_from_outside(void)
{
	for (int handled = 0; handled < 2; handled++) {
		struct init t = {.handled = handled};
		struct err e = ERR_INIT;
		struct idmap map;
		struct proc_child c;
		if (pipe(t.pipe) < 0 || idmap_detect(true, &map, &e) < 0 ||
		    userns_spawn(&map, CLONE_NEWPID, init_waits, &t, &c, &e) < 0) {
			tap_ok(false, "an init can be started: %s", e.text);
			return;
		}
		close(t.pipe[1]);
		wait_for_byte(t.pipe[0]);
		close(t.pipe[0]);
		kill(c.pid, SIGTERM);
		/* Signals are taken in order of their number when both are pending, so an accepted TERM would win. */
		if (!handled)
			kill(c.pid, SIGKILL);
		int status = proc_wait(&c, "init", &e);
		if (handled)
			tap_is_int(status, 40 + SIGTERM, "a signal from outside reaches an init that handles it");
		else
			tap_is_int(status, 128 + SIGKILL,
				   "a default-action signal from outside is dropped, SIGKILL is not");
	}
}

/* Ctrl-C on a terminal whose foreground is PID 1 with default actions: dropped. */
static int init_on_terminal(void *arg)
{
	struct pty_pair *p = arg;
	struct err e = ERR_INIT;
	char line[8] = "";
	if (getpid() != 1 || setsid() < 0 || pty_set_controlling(p->slavefd, &e) < 0)
		return 1;
	if (write(p->slavefd, "ready", 5) != 5)
		return 2;
	/* Reads on when the interrupt character did nothing; the line comes after it. */
	ssize_t n = read(p->slavefd, line, sizeof(line) - 1);
	return n == 2 && line[0] == 'x' ? 7 : 3;
}

static void test_terminal(void)
{
	struct err e = ERR_INIT;
	struct idmap map;
	struct pty_pair p;
	struct proc_child c;
	char ready[5];
	if (pty_open(-1, &p, &e) < 0 || idmap_detect(true, &map, &e) < 0 ||
	    userns_spawn(&map, CLONE_NEWPID, init_on_terminal, &p, &c, &e) < 0) {
		tap_ok(false, "an init with a terminal can be started: %s", e.text);
		return;
	}
	(void)!io_read_full(p.masterfd, ready, sizeof(ready), &e);
	(void)!write(p.masterfd, "\003", 1);
	(void)!write(p.masterfd, "x\n", 2);
	tap_is_int(proc_wait(&c, "init", &e), 7, "Ctrl-C does nothing to a PID 1 that does not handle it");
	close(p.masterfd);
	close(p.slavefd);
}

static int dies_with_init(void *arg)
{
	int *fds = arg;
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, 0);
		setsid();
		for (;;)
			pause();
	}
	close(fds[1]);
	return 0;
}

static void test_init_death(void)
{
	int fds[2];
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child c;
	if (pipe(fds) < 0 || idmap_detect(true, &map, &e) < 0 ||
	    userns_spawn(&map, CLONE_NEWPID, dies_with_init, fds, &c, &e) < 0)
		return;
	close(fds[1]);
	int status = proc_wait(&c, "init", &e);
	tap_ok(status == 0 && wait_for_byte(fds[0]) == 0, "nothing in a pid namespace outlives its init");
	close(fds[0]);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "print-death-signal") == 0)
		return death_signal();
	tap_plan_later();
	tap_is_int(tap_child_status(set_and_exec, NULL), SIGKILL, "the parent death signal survives exec");
	tap_is_int(tap_child_status(set_and_clear, NULL), 0, "and is cleared by anybody with one prctl");
	ranged(0, change_of_user, NULL, "and by a change of user");
	single(CLONE_NEWPID, init_from_inside, NULL,
	       "an init ignores default-action signals from inside, SIGKILL included");
	test_init_from_outside();
	test_terminal();
	test_init_death();
	return tap_done();
}
