/*
 * container_exec.c - `rl exec`: one more command in a container, and rl in front of it.
 *
 * Without a terminal the command has our own descriptors and nothing is copied. Signals that we get are passed on; the
 * command is no PID 1, so their default actions happen by themselves.
 *
 * If we are killed, the command dies: by its parent-death signal, and by a keeper (decision 20), which is forked only
 * once the command has run for a while, because most do not. With a terminal that can be left there is no parent-death
 * signal, since a process cannot take back another's: then the keeper is forked at once.
 *
 * Detached from a terminal, somebody has to hold the pty, or the command would get SIGHUP, and to read it, or it would
 * wait: a fork of ours does, until the last slave is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/stdio.h"
#include "rl/svc/container.h"
#include "rl/svc/events.h"

enum { SLOT_SIGNAL, SLOT_PIDFD, SLOT_SYNC, SLOT_INPUT, SLOT_MASTER, SLOT_OUTPUT, SLOT_COUNT };
enum { KEEPER_AFTER_MS = 20 };

struct exec {
	const struct container_exec_opts *o;
	struct runtime_container run;
	int signalfd;
	unsigned char keys[RUN_OPTS_DETACH_MAX];
	size_t nkeys;
	struct tty_relay tty;
	bool has_tty, tty_ended, kept, detached;
};

static const int passed_on[] = {SIGHUP,	 SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,  SIGALRM, SIGTERM,
				SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGPIPE};

static int open_signals(struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(e, errno, "signalfd") : fd;
}

static bool can_be_left(const struct exec *x)
{
	return x->o->o.tty && x->o->o.interactive && x->nkeys;
}

static int on_signals(struct exec *x, struct err *e)
{
	struct signalfd_siginfo info;
	while (read(x->signalfd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;
		int r = 0;
		if (sig == SIGWINCH && x->has_tty) {
			tty_relay_resize(&x->tty);
		} else if (sig == SIGTSTP && !x->has_tty) {
			/* The command leads a session, and with it a group, of its own: it stands still with us. */
			(void)!kill(-x->run.pid, SIGSTOP);
			raise(SIGSTOP);
			(void)!kill(-x->run.pid, SIGCONT);
		} else if (sig != SIGTTIN && sig != SIGTTOU && sig != SIGCONT && sig != SIGTSTP && sig != SIGPIPE &&
			   sig != SIGWINCH) {
			r = proc_pidfd_signal(x->run.pidfd, sig, e);
		}
		if (r < 0 && r != -ESRCH)
			return r;
	}
	return 0;
}

static int keep(struct exec *x)
{
	struct err why = ERR_INIT;
	x->kept = true;
	if (runtime_keep(&x->run, &why) < 0)
		log_warn("the command will outlive rl if rl is killed: %s", why.text);
	return 0;
}

static int on_handshake(struct exec *x, struct err *e)
{
	int r = runtime_on_message(&x->run, e);
	if (r < 0)
		return r;
	if (x->run.pty >= 0 && !x->has_tty && !x->o->o.detach) {
		tty_relay_init(&x->tty, x->run.pty, x->o->o.interactive ? STDIN_FILENO : -1, STDOUT_FILENO);
		int started = tty_relay_start(&x->tty, e);
		if (started < 0)
			return started;
		tty_relay_keys(&x->tty, x->keys, x->nkeys);
		x->has_tty = true;
	}
	return r == 0 && can_be_left(x) ? keep(x) : 0;
}

static int on_terminal(struct exec *x, const struct pollfd *p, struct err *e)
{
	int r = 0;
	if (p[SLOT_MASTER].revents & POLLOUT)
		r = tty_relay_flush(&x->tty, e);
	if (r == 0 && p[SLOT_INPUT].revents) {
		/* No process of the container is what a key could not end. */
		r = tty_relay_input(&x->tty, -1, e);
		x->detached = x->tty.detached;
	}
	if (r >= 0 && p[SLOT_OUTPUT].revents)
		r = tty_relay_show(&x->tty, e);
	if (r >= 0 && (p[SLOT_MASTER].revents & (POLLIN | POLLHUP))) {
		r = tty_relay_output(&x->tty, e);
		x->tty_ended = r == 0;
	}
	return r < 0 ? r : 0;
}

static int loop(struct exec *x, struct err *e)
{
	for (;;) {
		struct pollfd p[SLOT_COUNT] = {
			[SLOT_SIGNAL] = {.fd = x->signalfd, .events = POLLIN},
			[SLOT_PIDFD] = {.fd = x->run.pidfd, .events = POLLIN},
			[SLOT_SYNC] = {.fd = x->run.sync, .events = POLLIN},
			[SLOT_INPUT] = {.fd = x->has_tty && tty_relay_wants_input(&x->tty) ? x->tty.in : -1,
					.events = POLLIN},
			[SLOT_MASTER] = {.fd = x->has_tty && !x->tty_ended && tty_relay_events(&x->tty) ? x->tty.master
													: -1,
					 .events = x->has_tty ? tty_relay_events(&x->tty) : (short)0},
			[SLOT_OUTPUT] = {.fd = x->has_tty ? tty_relay_out(&x->tty) : -1, .events = POLLOUT},
		};
		bool running = x->run.sync < 0;
		int n = poll(p, SLOT_COUNT, running && !x->kept ? KEEPER_AFTER_MS : -1);
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (n == 0)
			(void)!keep(x);
		if (n <= 0)
			continue;
		int r = p[SLOT_SYNC].revents ? on_handshake(x, e) : 0;
		if (r == 0 && p[SLOT_SIGNAL].revents)
			r = on_signals(x, e);
		if (r == 0 && x->has_tty)
			r = on_terminal(x, p, e);
		if (r < 0 || x->detached)
			return r;
		/* Last, and only after the handshake: an error comes over the socket, and output comes before the end. */
		if (p[SLOT_PIDFD].revents && x->run.sync < 0)
			return 0;
	}
}

/* Reads what nobody looks at any more. */
static int hold_terminal(int master, struct err *e)
{
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (pid > 0)
		return 0;
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null >= 0 && dup2(null, fd) < 0)
			_exit(1);
	if (dup2(master, 3) < 0 || io_close_from(4, NULL) < 0)
		_exit(1);
	setsid();
	(void)!chdir("/");
	prctl(PR_SET_NAME, "rl-exec");
	(void)!io_set_nonblock(3, false, NULL);
	char buf[4096];
	ssize_t n;
	while ((n = read(3, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
		;
	_exit(0);
}

/* The command goes on without us. */
static int let_go(struct exec *x, struct err *e)
{
	int r = x->run.pty >= 0 ? hold_terminal(x->run.pty, e) : 0;
	if (r < 0)
		return r;
	proc_kill_wait(&x->run.keeper);
	close_fd(&x->run.pidfd);
	x->run.pid = -1;
	return 0;
}

static int run_joined(struct exec *x, struct err *e)
{
	if (x->o->o.detach) {
		int r = runtime_wait_exec(&x->run, e);
		return r < 0 ? r : let_go(x, e);
	}
	int r = loop(x, e);
	if (r < 0)
		return r;
	if (x->detached)
		return let_go(x, e);
	int status = runtime_reap(&x->run, e);
	if (x->has_tty)
		tty_relay_drain(&x->tty);
	return status;
}

/* After the fact, so that the command does not wait for it. */
static void note(const struct container_rec *rec, const struct exec *x, int status)
{
	char text[16];
	if (status < 0)
		return;
	events_container(rec, "exec", NULL);
	if (x->o->o.detach || x->detached)
		return;
	snprintf(text, sizeof(text), "%d", status);
	events_container(rec, "exec_die", "exitCode", text, NULL);
}

static int exec_in(const struct container_rec *rec, const struct container_exec_opts *o, struct err *e)
{
	struct exec x = {.o = o, .run = RUNTIME_CONTAINER_NONE, .signalfd = -1};
	const char *keys = o->o.detach_keys ? o->o.detach_keys : rec->config.o.detach_keys;
	int r = run_opts_parse_detach_keys(keys ? keys : "ctrl-p,ctrl-q", x.keys, &x.nkeys, e);
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (r == 0 && null < 0)
		r = err_sys(e, errno, "open /dev/null");
	autofd int signals = r < 0 || o->o.detach ? -1 : open_signals(e);
	if (r < 0 || (!o->o.detach && signals < 0))
		return r < 0 ? r : signals;
	x.signalfd = signals;
	const struct container_join_opts jo = {
		.args = &o->args,
		.o = &o->o,
		.stdio = {o->o.interactive && !o->o.detach ? -1 : null, o->o.detach ? null : -1,
			  o->o.detach ? null : -1},
		.preserve_fds = o->preserve_fds,
		.outlives_caller = o->o.detach || can_be_left(&x),
	};
	r = container_join(rec, &jo, &x.run, e);
	if (r == 0)
		r = run_joined(&x, e);
	if (x.has_tty)
		tty_relay_stop(&x.tty);
	note(rec, &x, r);
	runtime_container_close(&x.run);
	return r;
}

int container_exec(const char *root, const char *name, const struct container_exec_opts *o, int *ret_status,
		   struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0 && rec.status == RECORD_PAUSED) {
		err_set(e, EBUSY, "container %s is paused", rec.config.name);
		r = err_hint(e, "'rl unpause %s' lets it go on", rec.config.name);
	} else if (r == 0 && rec.status != RECORD_RUNNING) {
		err_set(e, EINVAL, "container %s is not running", rec.config.name);
		r = err_hint(e, "'rl start %s' starts it", rec.config.name);
	}
	if (r == 0)
		r = exec_in(&rec, o, e);
	store_close(&s);
	if (r < 0)
		return r;
	*ret_status = r;
	return 0;
}
