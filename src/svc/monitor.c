/*
 * monitor.c - the life of a detached container: started, watched, started again, its end recorded.
 *
 * The monitor is a fork of the rl that starts the container: no exec, a session of its own, nothing of the terminal. It
 * is PID 1's parent, so it alone learns the exit status; it holds the lock of the container's directory for as long as
 * it lives and is the one writer of state.json meanwhile. It has no keeper and sets no parent-death signal: if it
 * is killed, the container goes on without network and log, is listed as running as long as PID 1 lives, can be stopped
 * and removed, and how it ended is then unknown.
 *
 * What others want of it is written into the file `want`, which is read when PID 1 has ended; SIGUSR1 makes it look
 * while it waits to restart. SIGTERM and SIGINT end the container as `rl stop` does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/pty.h"
#include "rl/svc/events.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

enum { BACKOFF_FIRST_MS = 100, BACKOFF_LAST_S = 60, RAN_WELL_S = 10, LINGER_S = 3 };

static int start_again(void *arg, struct err *e);
static void on_end(struct monitor *m);

void monitor_write_state(struct monitor *m)
{
	struct err why = ERR_INIT;
	if (container_rec_write_state(&m->c->rec, &why) < 0)
		log_debug(LOG_RUN, "%s", why.text);
}

void monitor_deliver(struct monitor *m, int sig)
{
	if (m->c->run.pidfd < 0)
		return;
	int killed_by = container_deliver(m->c, sig);
	if (killed_by)
		m->killed_by = killed_by;
}

static int on_pid(void *arg, uint32_t events, struct err *e)
{
	(void)events;
	(void)e;
	on_end(arg);
	return 0;
}

static int on_network(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	(void)events;
	(void)e;
	struct err why = ERR_INIT;
	if (net_slirp_on_watch(&m->c->slirp, &why) < 0) {
		log_debug(LOG_NET, "%s", why.text);
		event_del(&m->loop, &m->net_src);
	}
	return 0;
}

static int on_limit(void *arg, struct err *e)
{
	struct monitor *m = arg;
	(void)e;
	m->killed_by = SIGKILL;
	m->timed_out = true;
	monitor_deliver(m, SIGKILL);
	return 0;
}

static int on_limits(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	(void)events;
	(void)e;
	if (container_limits_on_timer(m->c))
		m->killed_by = SIGKILL;
	return 0;
}

static int watch_limits(struct monitor *m, struct err *e)
{
	int timer = m->c->limits.timer;
	return timer >= 0 && m->limits_src.fd < 0 ? event_add(&m->loop, &m->limits_src, timer, EPOLLIN, on_limits, m, e)
						  : 0;
}

/* ---- start ---- */

static int handshake(struct container *c, struct err *e)
{
	for (;;) {
		int r = runtime_on_message(&c->run, e);
		if (r < 0)
			return r;
		int failed = container_hand_over_device(c, e);
		if (failed < 0)
			return failed;
		if (r == 0)
			return 0;
	}
}

static void after_clone(void *arg)
{
	monitor_stdio_drop(arg);
}

static int launch(struct monitor *m, struct err *e)
{
	struct container *c = m->c;
	int r = monitor_stdio_make(m, e);
	c->after_clone = after_clone;
	c->after_clone_arg = m;
	c->spec.outlives_parent = true;
	if (r == 0)
		r = container_launch(c, e);
	monitor_stdio_drop(m);
	if (r == 0)
		r = handshake(c, e);
	if (r == 0)
		r = container_ports_start(c, e);
	if (r == 0)
		r = monitor_stdio_watch(m, e);
	if (r == 0)
		r = event_add(&m->loop, &m->pid_src, c->run.pidfd, EPOLLIN, on_pid, m, e);
	return r;
}

/* What was needed to start only. The next start makes it again from the record. */
static void free_plan(struct container *c)
{
	container_share_close(c);
	rtspec_free(&c->spec);
	seccomp_plan_free(&c->seccomp);
	c->has_seccomp = false;
	image_run_free(&c->image);
	c->image = (struct image_run)IMAGE_RUN_INIT;
	c->has_image = false;
	mem_give_back();
}

static void follow_resolver(struct monitor *m)
{
	struct container *c = m->c;
	struct err why = ERR_INIT;
	if (!c->uses_slirp)
		return;
	int fd = net_slirp_watch(&c->slirp, &c->slirp_opts, &why);
	if (fd < 0 || event_add(&m->loop, &m->net_src, fd, EPOLLIN, on_network, m, &why) < 0)
		log_debug(LOG_NET, "the resolver is not followed: %s", why.text);
}

static int start(struct monitor *m, bool again, struct err *e)
{
	struct container *c = m->c;
	struct err why = ERR_INIT;
	m->killed_by = 0;
	m->timed_out = false;
	int r = launch(m, e);
	if (r < 0)
		return r;
	m->started_ns = event_now_ns();
	container_limits_started(c);
	container_report_started(c);
	r = watch_limits(m, e);
	if (r < 0)
		return r;
	container_note_started(c, false);
	r = container_rec_write_state(&c->rec, &why);
	if (r < 0 && !again) {
		/* Nobody could stop what runs without a record. One that runs again has the last one. */
		*e = why;
		return r;
	}
	events_container(&c->rec, "start", NULL);
	if (c->o->timeout)
		event_timer_set(&m->loop, &m->limit_timer, c->o->timeout * SECOND, on_limit, m);
	return 0;
}

static void after_start(struct monitor *m)
{
	follow_resolver(m);
	monitor_health_start(m);
	free_plan(m->c);
}

/* Undo a start that failed half-way, and a run that is over. */
static void clean_up_run(struct monitor *m)
{
	struct container *c = m->c;
	event_del(&m->loop, &m->pid_src);
	event_del(&m->loop, &m->net_src);
	event_timer_stop(&m->loop, &m->limit_timer);
	event_timer_stop(&m->loop, &m->stop_timer);
	monitor_health_stop(m);
	container_ports_stop(c);
	container_network_release(c);
	runtime_container_close(&c->run);
	container_share_kill_rest(c);
	c->run = (struct runtime_container)RUNTIME_CONTAINER_NONE;
	monitor_stdio_drain(m);
}

/* ---- end ---- */

static int quit_now(void *arg, struct err *e)
{
	struct monitor *m = arg;
	(void)e;
	event_quit(&m->loop, 0);
	return 0;
}

void monitor_maybe_quit(struct monitor *m)
{
	if (m->ended && monitor_clients_idle(m))
		event_quit(&m->loop, 0);
}

static void note_ended(const struct monitor *m)
{
	if (m->c->rec.state.oom_killed)
		events_container(&m->c->rec, "oom", NULL);
	events_ended(&m->c->rec, m->exit_status);
}

/* What the log could neither take nor say it lost. */
static void tell_lost(struct monitor *m)
{
	struct record_state *s = &m->c->rec.state;
	uint64_t lost = log_writer_settle(&m->log);
	if (lost && !s->error)
		s->error = xasprintf("%llu bytes of the log were lost: %s", (unsigned long long)lost,
				     strerrordesc_np(m->log.lost_errno));
}

/* The container is over for good. */
static void finish(struct monitor *m)
{
	struct container *c = m->c;
	struct record_state *s = &c->rec.state;
	s->status = RECORD_EXITED;
	s->exit_code = m->exit_status;
	s->finished = container_now();
	/* Not what ends everything at a shutdown: a SIGTERM to us. */
	s->stopped_by_user = container_want_get(c->dirfd) == WANT_STOP;
	tell_lost(m);
	monitor_write_state(m);
	note_ended(m);
	net_slirp_stop(&c->slirp);
	c->slirp = (struct net_slirp)NET_SLIRP_NONE;
	log_writer_close(&m->log);
	log_journal_close(&m->journal);
	event_del(&m->loop, &m->limits_src);
	container_limits_close(c);
	m->ended = true;
	container_volumes_release(c);
	if (c->o->rm) {
		struct err why = ERR_INIT;
		container_volumes_drop(&c->rec);
		if (container_dir_unmake(&c->store, c->id, c->rec.config.name, &why) < 0)
			log_debug(LOG_RUN, "%s", why.text);
	}
	monitor_send(m, ~0u, ATTACH_EXIT, &m->exit_status, sizeof(m->exit_status));
	/* A client that does not take the rest of its output must not keep us. */
	event_timer_set(&m->loop, &m->linger_timer, LINGER_S * SECOND, quit_now, m);
	monitor_maybe_quit(m);
}

static bool policy_restarts(const struct monitor *m)
{
	const struct run_opts *o = m->c->o;
	switch (o->restart) {
	case RESTART_NO:
		return false;
	case RESTART_ON_FAILURE:
		return m->exit_status != 0 && (!o->restart_retries || m->c->rec.state.restarts < o->restart_retries);
	case RESTART_ALWAYS:
	case RESTART_UNLESS_STOPPED:
		return true;
	}
	return false;
}

static void wait_to_restart(struct monitor *m, uint64_t delay)
{
	struct record_state *s = &m->c->rec.state;
	s->status = RECORD_RESTARTING;
	s->exit_code = m->exit_status;
	s->finished = container_now();
	monitor_write_state(m);
	note_ended(m);
	event_timer_set(&m->loop, &m->restart_timer, delay, start_again, m);
}

/* update may have replaced config.json while the container ran. */
static void reread_config(struct monitor *m)
{
	struct err why = ERR_INIT;
	struct container_rec *rec = &m->c->rec;
	struct record_config fresh;
	json_t *doc = NULL;
	int r = json_parse_file(m->c->dirfd, "config.json", RECORD_FILE_MAX, &doc, &why);
	autojson json_t *owned = doc;
	if (r == 0)
		r = record_config_from_json(owned, &fresh, &why);
	if (r < 0) {
		log_debug(LOG_RUN, "%s", why.text);
		return;
	}
	record_config_free(&rec->config);
	rec->config = fresh;
}

static void decide(struct monitor *m)
{
	reread_config(m);
	enum container_want want = container_want_get(m->c->dirfd);
	if (m->stopping || want == WANT_STOP) {
		finish(m);
	} else if (want == WANT_RESTART) {
		(void)!container_want_set(m->c->dirfd, WANT_POLICY, NULL);
		m->backoff_ns = 0;
		wait_to_restart(m, 0);
	} else if (policy_restarts(m)) {
		/* Twice as long each time, unless it ran well. */
		if (event_now_ns() - m->started_ns >= RAN_WELL_S * SECOND)
			m->backoff_ns = 0;
		m->backoff_ns = m->backoff_ns ? RL_MIN(2 * m->backoff_ns, BACKOFF_LAST_S * SECOND)
					      : BACKOFF_FIRST_MS * MS;
		m->c->rec.state.restarts++;
		wait_to_restart(m, m->backoff_ns);
	} else {
		finish(m);
	}
}

/* A run that ended for its memory: into the record, and to whoever looks on. Not into the log, which is the payload's. */
static void tell_why(struct monitor *m)
{
	struct record_state *s = &m->c->rec.state;
	autostr struct str text = STR_INIT;
	container_limits_ended(m->c, m->exit_status, &text);
	s->oom_killed = m->c->limits.oom;
	autostr struct str report = STR_INIT;
	container_report(m->c, m->exit_status, m->timed_out ? "timeout" : s->oom_killed ? "oom" : NULL, &report);
	if (report.len)
		monitor_send(m, ATTACH_WANTS_OUTPUT, ATTACH_ERR, report.buf, report.len);
	if (!text.len)
		return;
	free(s->error);
	s->error = xstrdup(text.buf);
	autofree char *line = xasprintf("rl: %s\n", text.buf);
	monitor_send(m, ATTACH_WANTS_OUTPUT, ATTACH_ERR, line, strlen(line));
}

static void on_end(struct monitor *m)
{
	struct err why = ERR_INIT;
	container_report_reaping(m->c);
	int status = runtime_reap(&m->c->run, &why);
	if (status < 0) {
		log_debug(LOG_RUN, "%s", why.text);
		status = EXIT_RL_FAILED;
	}
	m->exit_status = m->killed_by ? EXIT_SIGNAL_BASE + m->killed_by : status;
	tell_why(m);
	clean_up_run(m);
	decide(m);
}

static int start_again(void *arg, struct err *e)
{
	struct monitor *m = arg;
	struct container *c = m->c;
	struct err why = ERR_INIT;
	(void)e;
	if (container_want_get(c->dirfd) == WANT_STOP) {
		finish(m);
		return 0;
	}
	net_slirp_stop_wait(&c->slirp);
	c->slirp = (struct net_slirp)NET_SLIRP_NONE;
	c->uses_slirp = false;
	int r = container_build_spec(c, &why);
	if (r == 0)
		r = start(m, true, &why);
	if (r == 0) {
		after_start(m);
		return 0;
	}
	m->exit_status = err_exit_status(&why);
	clean_up_run(m);
	free_plan(c);
	free(c->rec.state.error);
	c->rec.state.error = xstrdup(why.text);
	decide(m);
	return 0;
}

static int on_stop_limit(void *arg, struct err *e)
{
	(void)e;
	monitor_deliver(arg, SIGKILL);
	return 0;
}

void monitor_end_run(struct monitor *m)
{
	monitor_deliver(m, m->c->rec.config.stop_signal);
	event_timer_set(&m->loop, &m->stop_timer, m->c->o->stop_timeout * SECOND, on_stop_limit, m);
}

static int on_signal(void *arg, const struct signalfd_siginfo *info, struct err *e)
{
	struct monitor *m = arg;
	if (info->ssi_signo == SIGUSR1 && m->restart_timer.when_ns) {
		/* Somebody changed what is wanted while we wait to restart. */
		enum container_want want = container_want_get(m->c->dirfd);
		if (want == WANT_POLICY)
			return 0;
		event_timer_stop(&m->loop, &m->restart_timer);
		if (want == WANT_STOP)
			finish(m);
		else
			decide(m);
	} else if (info->ssi_signo == SIGUSR1 && m->c->run.pidfd >= 0) {
		/* `rl update` may have changed limits. */
		reread_config(m);
		container_limits_changed(m->c);
		return watch_limits(m, e);
	} else if ((info->ssi_signo == SIGTERM || info->ssi_signo == SIGINT) && !m->stopping) {
		m->stopping = true;
		if (m->restart_timer.when_ns) {
			event_timer_stop(&m->loop, &m->restart_timer);
			finish(m);
			return 0;
		}
		monitor_end_run(m);
	}
	return 0;
}

/* ---- the process ---- */

static int open_loop(struct monitor *m, struct err *e)
{
	sigset_t handled;
	sigset_t all;
	sigemptyset(&handled);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGUSR1);
	int r = event_open(&m->loop, e);
	m->loop.gives_back = true;
	if (r == 0)
		r = event_signals(&m->loop, &handled, on_signal, m, e);
	/* Nothing else may end or stop this process: it would take the container's exit status with it. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigprocmask(SIG_BLOCK, &all, NULL);
	return r;
}

static void become_monitor(struct monitor *m)
{
	log_set_role("monitor");
	setsid();
	prctl(PR_SET_NAME, "rl-monitor");
	(void)!chdir("/");
	close_fd(&m->c->op_fd);
	m->saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* From here on the starter's terminal and pipes are out of our hands. */
static void let_go_of_starter(struct monitor *m)
{
	close_fd(&m->saved_stderr);
	monitor_stdio_drop(m);
}

RL_NORETURN static void give_up(struct monitor *m, const struct err *why)
{
	struct container *c = m->c;
	clean_up_run(m);
	if (!m->is_new) {
		c->rec.state.status = RECORD_EXITED;
		c->rec.state.exit_code = err_exit_status(why);
		c->rec.state.finished = container_now();
		free(c->rec.state.error);
		c->rec.state.error = xstrdup(why->text);
		monitor_write_state(m);
	}
	bool remove = m->is_new || c->o->rm;
	container_close(c, !remove);
	monitor_send(m, ATTACH_STARTER, ATTACH_FAILED, why, sizeof(*why));
	_exit(err_exit_status(why));
}

static int open_io(void *arg, struct err *e)
{
	return monitor_io_open(arg, e);
}

/* Log and socket: at once, or when the directory is there. */
static int open_in_dir(struct monitor *m, struct err *e)
{
	if (m->c->dirfd < 0) {
		m->c->after_dir = open_io;
		m->c->after_dir_arg = m;
		return 0;
	}
	int r = monitor_io_open(m, e);
	if (r == 0)
		r = monitor_notify_open(m, e);
	return r < 0 || m->is_new ? r : container_want_set(m->c->dirfd, WANT_POLICY, e);
}

void monitor_main(struct container *c, int conn, unsigned conn_flags, bool is_new)
{
	static const struct event_source unused = EVENT_SOURCE_INIT;
	struct monitor *m = xcalloc(1, sizeof(*m));
	struct err e = ERR_INIT;
	m->c = c;
	m->is_new = is_new;
	m->loop = (struct event_loop)EVENT_LOOP_INIT;
	m->log = (struct log_writer){.fd = -1, .out = STR_INIT};
	m->journal = (struct log_journal)LOG_JOURNAL_NONE;
	m->saved_stderr = m->in = m->log_dir = m->notify_fd = m->listen_fd = m->out[0] = m->out[1] = m->check_out = -1;
	m->payload_fds[0] = m->payload_fds[1] = m->payload_fds[2] = -1;
	m->input = (struct str)STR_INIT;
	m->notify_kept = (struct str)STR_INIT;
	m->check_text = (struct str)STR_INIT;
	m->check = (struct runtime_container)RUNTIME_CONTAINER_NONE;
	m->notify_src = m->out_src[0] = m->out_src[1] = m->in_src = m->listen_src = m->pid_src = m->net_src =
		m->check_src = m->check_out_src = m->check_sync_src = m->limits_src = unused;
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		m->clients[i].fd = -1;
	become_monitor(m);
	int r = open_loop(m, &e);
	if (r == 0)
		r = monitor_client_add(m, conn, conn_flags | ATTACH_STARTER, true, &e);
	if (r == 0)
		r = open_in_dir(m, &e);
	if (r == 0)
		r = start(m, false, &e);
	if (r == 0)
		r = container_write_id_files(c, is_new, &e);
	if (r < 0)
		give_up(m, &e);
	int pid = (int)c->run.pid;
	monitor_send(m, ATTACH_STARTER, ATTACH_STARTED, &pid, sizeof(pid));
	let_go_of_starter(m);
	container_rec_reserve(&c->rec);
	container_sweep(&c->store);
	after_start(m); /* last, because it gives memory back */
	mem_drop_tables();
	r = event_run(&m->loop, &e);
	/* Where systemd was told that this is the main process, this is what it learns of the container's end. */
	_exit(r < 0 ? EXIT_RL_FAILED : m->exit_status);
}
