/*
 * container_foreground.c - rl while its container runs: signals, terminal, resolver, time limit, the end.
 *
 * One poll loop over: signals (signalfd), PID 1's pidfd, the handshake socket until the payload was executed, the pty,
 * and the network's watch. Everything that need not happen before the payload runs (watching resolv.conf, sweeping up
 * after killed runs) happens after the handshake socket has closed.
 *
 * Signals (decision 19): the kernel drops signals with default action for PID 1 of a pid namespace. A signal that the
 * payload catches, ignores or blocks is forwarded; one of INT, TERM, HUP, QUIT that it does not is carried out: the
 * container is killed and rl's status is 128 + signal, as if the payload had been an ordinary process.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/notify.h"
#include "rl/engine/stdio.h"
#include "rl/svc/events.h"

enum { SLOT_SIGNAL, SLOT_PIDFD, SLOT_SYNC, SLOT_NET, SLOT_INPUT, SLOT_MASTER, SLOT_OUTPUT, SLOT_LIMITS, SLOT_COUNT };

struct foreground {
	struct container *c;
	int signalfd;
	int netfd; /* -1 when not watched */
	struct tty_relay tty;
	bool has_tty;
	bool tty_ended; /* every slave of the pty is closed */
	bool started;
	bool timed_out;
	int killed_by; /* the signal whose default action we carried out, 0 */
	struct timespec deadline;
};

static const int forwarded[] = {SIGHUP,	 SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,  SIGALRM, SIGTERM,
				SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGPIPE};

static int open_signals(struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "signalfd");
	return fd;
}

static void deliver(struct foreground *f, int sig)
{
	int killed_by = container_deliver(f->c, sig);
	if (killed_by)
		f->killed_by = killed_by;
}

/* Ctrl-Z on a command without a terminal of its own: the whole container stands still, then rl. */
static int suspend(struct foreground *f, struct err *e)
{
	int r = runtime_stop_all(f->c->run.pid, e);
	if (r < 0)
		return r;
	raise(SIGSTOP);
	return runtime_continue_all(f->c->run.pid, e);
}

static int on_signals(struct foreground *f, struct err *e)
{
	struct signalfd_siginfo info;
	while (read(f->signalfd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;
		if (sig == SIGWINCH) {
			if (f->has_tty)
				tty_relay_resize(&f->tty);
			continue;
		}
		if (sig == SIGTSTP && !f->has_tty) {
			int r = suspend(f, e);
			if (r < 0)
				return r;
			continue;
		}
		if (sig == SIGTTIN || sig == SIGTTOU || sig == SIGCONT || sig == SIGTSTP || sig == SIGPIPE)
			continue;
		if (f->c->o->sig_proxy)
			deliver(f, sig);
	}
	return 0;
}

static int start_terminal(struct foreground *f, struct err *e)
{
	if (f->has_tty || f->c->run.pty < 0)
		return 0;
	tty_relay_init(&f->tty, f->c->run.pty, f->c->o->interactive ? STDIN_FILENO : -1, STDOUT_FILENO);
	int r = tty_relay_start(&f->tty, e);
	f->has_tty = r == 0;
	return r;
}

/* Off the critical path: the payload runs already. Nothing in here is a reason to stop it. */
static void after_start(struct foreground *f)
{
	struct container *c = f->c;
	struct err why = ERR_INIT;
	if (c->uses_slirp) {
		f->netfd = net_slirp_watch(&c->slirp, &c->slirp_opts, &why);
		if (f->netfd < 0)
			log_debug(LOG_NET, "the resolver is not followed: %s", why.text);
	}
	container_limits_started(c);
	container_report_started(c);
	container_note_started(c, true);
	if (container_rec_write_state(&c->rec, &why) < 0)
		log_debug(LOG_RUN, "%s", why.text);
	events_container(&c->rec, "start", NULL);
	container_sweep(&c->store);
}

static int on_handshake(struct foreground *f, struct err *e)
{
	int r = runtime_on_message(&f->c->run, e);
	if (r < 0)
		return r;
	int failed = container_hand_over_device(f->c, e);
	if (failed == 0)
		failed = start_terminal(f, e);
	if (failed < 0)
		return failed;
	if (r > 0)
		return 0;
	failed = container_ports_start(f->c, e);
	if (failed < 0)
		return failed;
	f->started = true;
	if (f->c->o->sdnotify != SDNOTIFY_IGNORE)
		notify_ready(0);
	after_start(f);
	return 0;
}

static void on_network(struct foreground *f)
{
	struct err why = ERR_INIT;
	if (net_slirp_on_watch(&f->c->slirp, &why) < 0) {
		log_warn("the network has ended: %s", why.text);
		f->netfd = -1;
	}
}

/* Milliseconds until the time limit, -1 for none, 0 when it is over. */
static int time_left(const struct foreground *f)
{
	if (!f->c->o->timeout)
		return -1;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long long ms = (f->deadline.tv_sec - now.tv_sec) * 1000LL + (f->deadline.tv_nsec - now.tv_nsec) / 1000000;
	return ms < 0 ? 0 : (int)RL_MIN(ms + 1, 1000000000LL);
}

static int on_events(struct foreground *f, const struct pollfd *p, struct err *e)
{
	int r = 0;
	if (p[SLOT_SYNC].revents)
		r = on_handshake(f, e);
	if (r == 0 && p[SLOT_SIGNAL].revents)
		r = on_signals(f, e);
	if (r == 0 && p[SLOT_NET].revents)
		on_network(f);
	if (r == 0 && p[SLOT_LIMITS].revents && container_limits_on_timer(f->c))
		f->killed_by = SIGKILL;
	if (r == 0 && f->has_tty && (p[SLOT_MASTER].revents & POLLOUT))
		r = tty_relay_flush(&f->tty, e);
	if (r == 0 && f->has_tty && p[SLOT_INPUT].revents) {
		r = tty_relay_input(&f->tty, f->c->run.pid, e);
		if (r > 0) {
			deliver(f, r);
			r = 0;
		}
	}
	if (r == 0 && f->has_tty && p[SLOT_OUTPUT].revents)
		r = tty_relay_show(&f->tty, e);
	if (r == 0 && f->has_tty && (p[SLOT_MASTER].revents & (POLLIN | POLLHUP))) {
		r = tty_relay_output(&f->tty, e);
		f->tty_ended = r == 0;
	}
	return r < 0 ? r : 0;
}

static int loop(struct foreground *f, struct err *e)
{
	struct container *c = f->c;
	for (;;) {
		struct pollfd p[SLOT_COUNT] = {
			[SLOT_SIGNAL] = {.fd = f->signalfd, .events = POLLIN},
			[SLOT_PIDFD] = {.fd = c->run.pidfd, .events = POLLIN},
			[SLOT_SYNC] = {.fd = c->run.sync, .events = POLLIN},
			[SLOT_NET] = {.fd = f->netfd, .events = POLLIN},
			[SLOT_LIMITS] = {.fd = c->limits.timer, .events = POLLIN},
			[SLOT_INPUT] = {.fd = f->has_tty && tty_relay_wants_input(&f->tty) ? f->tty.in : -1,
					.events = POLLIN},
			[SLOT_MASTER] = {.fd = f->has_tty && !f->tty_ended && tty_relay_events(&f->tty) ? f->tty.master
													: -1,
					 .events = f->has_tty ? tty_relay_events(&f->tty) : (short)0},
			[SLOT_OUTPUT] = {.fd = f->has_tty ? tty_relay_out(&f->tty) : -1, .events = POLLOUT},
		};
		int n = poll(p, SLOT_COUNT, time_left(f));
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (n == 0) {
			log_warn("the time limit of %u s is over", c->o->timeout);
			f->killed_by = SIGKILL;
			f->timed_out = true;
			return proc_pidfd_signal(c->run.pidfd, SIGKILL, e);
		}
		if (n < 0)
			continue;
		int r = on_events(f, p, e);
		if (r < 0)
			return r;
		/* Last: what was written before the end must have been read first. An error of the child comes over the
		 * handshake socket before its end is seen here. */
		if (p[SLOT_PIDFD].revents && c->run.sync < 0)
			return 0;
	}
}

static void note_ended(struct container *c, int status)
{
	struct err why = ERR_INIT;
	c->rec.state.status = RECORD_EXITED;
	c->rec.state.exit_code = status;
	c->rec.state.oom_killed = c->limits.oom;
	c->rec.state.finished = container_now();
	if (container_rec_write_state(&c->rec, &why) < 0)
		log_warn("how the container ended could not be recorded: %s", why.text);
}

int container_foreground(struct container *c, struct err *e)
{
	struct foreground f = {.c = c, .netfd = -1};
	autofd int signals = open_signals(e);
	if (signals < 0)
		return signals;
	f.signalfd = signals;
	clock_gettime(CLOCK_MONOTONIC, &f.deadline);
	f.deadline.tv_sec += c->o->timeout;
	int r = loop(&f, e);
	int status = r;
	container_report_reaping(c);
	if (r >= 0)
		status = runtime_reap(&c->run, e);
	container_share_kill_rest(c);
	if (f.has_tty) {
		tty_relay_drain(&f.tty);
		tty_relay_stop(&f.tty);
	}
	if (status < 0)
		return status;
	if (f.killed_by)
		status = EXIT_SIGNAL_BASE + f.killed_by;
	events_ended(&c->rec, status);
	autostr struct str why = STR_INIT;
	container_limits_ended(c, status, &why);
	if (why.len)
		log_warn("%s", why.buf);
	autostr struct str report = STR_INIT;
	container_report(c, status, f.timed_out ? "timeout" : c->limits.oom ? "oom" : NULL, &report);
	(void)!io_write_all(STDERR_FILENO, report.buf, report.len, NULL);
	if (!c->o->rm)
		note_ended(c, status);
	return status;
}
