/*
 * monitor_health.c - health checks: a command executed in the container every interval, and what follows from it.
 *
 * The monitor joins the command to the container itself (container_join.c), with the container's own sandbox. A check
 * that lasts longer than its timeout is killed, with its process group, and has failed. "retries" failures in a row make
 * the container unhealthy; failures within the start period do not count unless a check has succeeded before, and in it
 * checks come at the start interval (docker's rules). A paused container is not checked.
 *
 * With a startup check (podman's) that one alone runs until it has succeeded; its failures make the container start again
 * after startup_retries of them and otherwise change nothing: the container is "starting".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/svc/events.h"

enum { OUTPUT_MAX = 4096, CODE_NO_RESULT = -1 };

static int run_check(void *arg, struct err *e);

static const struct record_health_check *check_of(const struct monitor *m)
{
	return &m->c->rec.config.health;
}

static uint64_t timeout_of(const struct monitor *m)
{
	return m->in_startup ? check_of(m)->startup_timeout_ns : check_of(m)->timeout_ns;
}

static bool in_start_period(const struct monitor *m)
{
	const char *status = m->c->rec.state.health.status;
	return status && str_eq(status, "starting") && event_now_ns() - m->started_ns < check_of(m)->start_period_ns;
}

static void next_check(struct monitor *m)
{
	const struct record_health_check *check = check_of(m);
	uint64_t delay = m->in_startup ? check->startup_interval_ns : check->interval_ns;
	if (delay && !m->in_startup && in_start_period(m) && check->start_interval_ns)
		delay = RL_MIN(delay, check->start_interval_ns);
	if (delay)
		event_timer_set(&m->loop, &m->health_timer, delay, run_check, m);
}

static void restart(struct monitor *m)
{
	if (container_want_get(m->c->dirfd) == WANT_POLICY)
		(void)!container_want_set(m->c->dirfd, WANT_RESTART, NULL);
	monitor_end_run(m);
}

static void act(struct monitor *m)
{
	switch (m->c->o->health_on_failure) {
	case HEALTH_ACTION_NONE:
		return;
	case HEALTH_ACTION_STOP:
		m->stopping = true;
		monitor_end_run(m);
		break;
	case HEALTH_ACTION_RESTART:
		restart(m);
		break;
	case HEALTH_ACTION_KILL:
		monitor_deliver(m, SIGKILL);
		break;
	}
}

/* To those who asked; each is told once. */
static void answer(struct monitor *m, int code, const char *text)
{
	autostr struct str msg = STR_INIT;
	str_add(&msg, &code, sizeof(code));
	str_adds(&msg, text);
	monitor_send(m, ATTACH_WANTS_HEALTH, ATTACH_HEALTH, msg.buf, msg.len);
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		m->clients[i].flags &= ~(unsigned)ATTACH_WANTS_HEALTH;
}

static void note(struct monitor *m, int code)
{
	struct record_health *h = &m->c->rec.state.health;
	if (h->nlog == RECORD_HEALTH_LOG) {
		free(h->log[0].output);
		memmove(h->log, h->log + 1, (RECORD_HEALTH_LOG - 1) * sizeof(h->log[0]));
		h->nlog--;
	}
	h->log[h->nlog++] = (struct record_health_entry){
		.start = m->check_started,
		.end = container_now(),
		.exit_code = code,
		.output = xstrdup(m->check_text.buf),
	};
}

static void set_status(struct monitor *m, const char *status)
{
	struct record_health *h = &m->c->rec.state.health;
	free(h->status);
	h->status = xstrdup(status);
}

static void judge_startup(struct monitor *m, int code)
{
	const struct record_health_check *check = check_of(m);
	note(m, code);
	if (code == 0)
		m->in_startup = ++m->startup_passed < check->startup_success;
	monitor_write_state(m);
	answer(m, code, m->check_text.buf);
	if (code != 0 && ++m->startup_failed == check->startup_retries)
		restart(m);
}

static void judge(struct monitor *m, int code)
{
	struct record_health *h = &m->c->rec.state.health;
	autofree char *before = xstrdup(h->status ? h->status : "");
	bool was_unhealthy = str_eq(before, "unhealthy");
	note(m, code);
	if (code == 0) {
		h->failing_streak = 0;
		set_status(m, "healthy");
	} else if (!in_start_period(m)) {
		h->failing_streak++;
		if (h->failing_streak >= check_of(m)->retries)
			set_status(m, "unhealthy");
	}
	monitor_write_state(m);
	if (code == 0 && !str_eq(before, "healthy"))
		monitor_notify_ready(m);
	if (!str_eq(before, h->status ? h->status : ""))
		events_container(&m->c->rec, "health_status", "health_status", h->status, NULL);
	answer(m, code, m->check_text.buf);
	if (!was_unhealthy && h->status && str_eq(h->status, "unhealthy"))
		act(m);
}

static void drop_check(struct monitor *m)
{
	event_timer_stop(&m->loop, &m->health_limit);
	event_del(&m->loop, &m->check_src);
	event_del(&m->loop, &m->check_out_src);
	event_del(&m->loop, &m->check_sync_src);
	runtime_container_close(&m->check);
	close_fd(&m->check_out);
}

/* What came of it; the next one is set. */
static void conclude(struct monitor *m, int code)
{
	drop_check(m);
	if (m->in_startup)
		judge_startup(m, code);
	else
		judge(m, code);
	if (m->c->run.pidfd >= 0)
		next_check(m);
}

static void take_output(struct monitor *m)
{
	char buf[OUTPUT_MAX];
	ssize_t n;
	while (m->check_out >= 0 && (n = read(m->check_out, buf, sizeof(buf))) > 0)
		if (m->check_text.len < OUTPUT_MAX)
			str_add(&m->check_text, buf, RL_MIN((size_t)n, OUTPUT_MAX - m->check_text.len));
}

static int on_check_end(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	(void)events;
	(void)e;
	/* An error of the exec comes over the handshake socket, and its end is seen there. */
	if (m->check.sync >= 0)
		return 0;
	event_del(&m->loop, &m->check_src);
	/* What it said is there by now; a child of it that keeps the pipe is not waited for. */
	take_output(m);
	int status = runtime_reap(&m->check, NULL);
	if (m->check_timed_out) {
		str_addf(&m->check_text, "Health check exceeded timeout (%llu ms)",
			 (unsigned long long)(timeout_of(m) / 1000000));
		status = CODE_NO_RESULT;
	}
	conclude(m, status);
	return 0;
}

static int on_check_output(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	char buf[OUTPUT_MAX];
	(void)events;
	(void)e;
	ssize_t n = read(m->check_out, buf, sizeof(buf));
	if (n > 0 && m->check_text.len < OUTPUT_MAX)
		str_add(&m->check_text, buf, RL_MIN((size_t)n, OUTPUT_MAX - m->check_text.len));
	if (n == 0)
		event_del(&m->loop, &m->check_out_src);
	return 0;
}

static int on_check_handshake(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	struct err why = ERR_INIT;
	(void)events;
	(void)e;
	event_del(&m->loop, &m->check_sync_src); /* it is closed by the message that it is over */
	int r = runtime_on_message(&m->check, &why);
	if (r == 0)
		r = event_add(&m->loop, &m->check_src, m->check.pidfd, EPOLLIN, on_check_end, m, &why);
	else if (r > 0)
		r = event_add(&m->loop, &m->check_sync_src, m->check.sync, EPOLLIN, on_check_handshake, m, &why);
	if (r < 0) {
		str_adds(&m->check_text, why.text);
		conclude(m, err_exit_status(&why));
	}
	return 0;
}

static int on_check_limit(void *arg, struct err *e)
{
	struct monitor *m = arg;
	(void)e;
	m->check_timed_out = true;
	if (m->check.pid > 0) {
		/* Our own unreaped child, which leads a process group once it was executed. */
		(void)!kill(-m->check.pid, SIGKILL);
		(void)!proc_pidfd_signal(m->check.pidfd, SIGKILL, NULL);
	}
	return 0;
}

static int join_check(struct monitor *m, struct err *e)
{
	int p[2];
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int theirs = p[1];
	m->check_out = p[0];
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_sys(e, errno, "open /dev/null");
	const struct container_join_opts o = {.args = m->in_startup ? &check_of(m)->startup_test : &check_of(m)->test,
					      .stdio = {null, theirs, theirs}};
	int r = io_set_nonblock(m->check_out, true, e);
	if (r == 0)
		r = container_join(&m->c->rec, &o, &m->check, e);
	if (r == 0)
		r = event_add(&m->loop, &m->check_out_src, m->check_out, EPOLLIN, on_check_output, m, e);
	if (r == 0)
		r = event_add(&m->loop, &m->check_sync_src, m->check.sync, EPOLLIN, on_check_handshake, m, e);
	return r;
}

static int run_check(void *arg, struct err *e)
{
	struct monitor *m = arg;
	struct err why = ERR_INIT;
	(void)e;
	event_timer_stop(&m->loop, &m->health_timer);
	if (faccessat(m->c->dirfd, "paused", F_OK, 0) == 0) {
		next_check(m);
		answer(m, CODE_NO_RESULT, "the container is paused");
		return 0;
	}
	str_cut(&m->check_text, 0);
	m->check_started = container_now();
	m->check_timed_out = false;
	if (join_check(m, &why) < 0) {
		log_debug(LOG_RUN, "%s", why.text);
		str_adds(&m->check_text, why.text);
		conclude(m, CODE_NO_RESULT);
		return 0;
	}
	event_timer_set(&m->loop, &m->health_limit, timeout_of(m), on_check_limit, m);
	return 0;
}

void monitor_health_start(struct monitor *m)
{
	m->in_startup = check_of(m)->startup_test.count > 0;
	m->startup_passed = 0;
	m->startup_failed = 0;
	if (check_of(m)->test.count)
		next_check(m);
}

void monitor_health_now(struct monitor *m)
{
	if (!check_of(m)->test.count || m->c->run.pidfd < 0)
		answer(m, CODE_NO_RESULT, "there is nothing to check");
	else if (m->check.pid < 0)
		(void)!run_check(m, NULL);
}

void monitor_health_stop(struct monitor *m)
{
	event_timer_stop(&m->loop, &m->health_timer);
	drop_check(m);
	answer(m, CODE_NO_RESULT, "the container has ended");
}
