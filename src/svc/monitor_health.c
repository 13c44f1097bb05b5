/*
 * monitor_health.c - health checks: a command executed in the container every interval, and what follows from it.
 *
 * The command is run by `rl exec`, which applies the container's own sandbox to it. A check that lasts longer than its
 * timeout is killed and has failed. "retries" failures in a row make the container unhealthy; failures within the start
 * period do not count unless a check has succeeded before (docker's rules).
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

enum { OUTPUT_MAX = 4096 };

static int run_check(void *arg, struct err *e);

static const struct record_health_check *check_of(const struct monitor *m)
{
	return &m->c->rec.config.health;
}

static void next_check(struct monitor *m)
{
	event_timer_set(&m->loop, &m->health_timer, check_of(m)->interval_ns, run_check, m);
}

static void act(struct monitor *m)
{
	switch (m->c->o->health_on_failure) {
	case HEALTH_ACTION_NONE:
		return;
	case HEALTH_ACTION_STOP:
		m->stopping = true;
		break;
	case HEALTH_ACTION_RESTART:
		if (container_want_get(m->c->dirfd) == WANT_POLICY)
			(void)!container_want_set(m->c->dirfd, WANT_RESTART, NULL);
		break;
	case HEALTH_ACTION_KILL:
		break;
	}
	monitor_deliver(m, SIGKILL);
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

static void judge(struct monitor *m, int code)
{
	struct record_health *h = &m->c->rec.state.health;
	const struct record_health_check *check = check_of(m);
	bool was_unhealthy = h->status && str_eq(h->status, "unhealthy");
	note(m, code);
	if (code == 0) {
		h->failing_streak = 0;
		set_status(m, "healthy");
	} else if (!h->status || !str_eq(h->status, "starting") ||
		   event_now_ns() - m->started_ns >= check->start_period_ns) {
		h->failing_streak++;
		if (h->failing_streak >= check->retries)
			set_status(m, "unhealthy");
	}
	monitor_write_state(m);
	if (!was_unhealthy && h->status && str_eq(h->status, "unhealthy"))
		act(m);
}

static int on_check_end(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	(void)events;
	(void)e;
	event_del(&m->loop, &m->check_src);
	event_del(&m->loop, &m->check_out_src);
	event_timer_stop(&m->loop, &m->health_limit);
	/* What it said is there by now; a child of it that keeps the pipe is not waited for. */
	char buf[OUTPUT_MAX];
	ssize_t n;
	while (m->check_out >= 0 && m->check_text.len < OUTPUT_MAX && (n = read(m->check_out, buf, sizeof(buf))) > 0)
		str_add(&m->check_text, buf, RL_MIN((size_t)n, OUTPUT_MAX - m->check_text.len));
	close_fd(&m->check_out);
	int status = proc_wait(&m->check, "health check", NULL);
	if (m->check_timed_out) {
		str_addf(&m->check_text, "Health check exceeded timeout (%llu ms)",
			 (unsigned long long)(check_of(m)->timeout_ns / 1000000));
		status = -1;
	}
	judge(m, status);
	if (m->c->run.pidfd >= 0)
		next_check(m);
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

static int on_check_limit(void *arg, struct err *e)
{
	struct monitor *m = arg;
	(void)e;
	m->check_timed_out = true;
	if (m->check.pidfd >= 0)
		(void)!proc_pidfd_signal(m->check.pidfd, SIGKILL, NULL);
	return 0;
}

static int spawn_check(struct monitor *m, struct err *e)
{
	autostrv struct strv argv = STRV_INIT;
	int p[2];
	const char *const words[] = {"rl", "--root", m->c->store.root, "exec", m->c->id};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(&argv, words[i]);
	strv_add_all(&argv, &check_of(m)->test);
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int theirs = p[1];
	m->check_out = p[0];
	int r = io_set_nonblock(m->check_out, true, e);
	if (r == 0)
		r = proc_spawn(&(struct proc_spawn){.path = "/proc/self/exe", .argv = argv.items, .stdout_fd = theirs,
						    .stderr_fd = theirs, .new_session = true,
						    .parent_death_signal = SIGKILL},
			       &m->check, e);
	if (r == 0)
		r = event_add(&m->loop, &m->check_out_src, m->check_out, EPOLLIN, on_check_output, m, e);
	if (r == 0)
		r = event_add(&m->loop, &m->check_src, m->check.pidfd, EPOLLIN, on_check_end, m, e);
	return r;
}

static int run_check(void *arg, struct err *e)
{
	struct monitor *m = arg;
	struct err why = ERR_INIT;
	(void)e;
	str_cut(&m->check_text, 0);
	m->check_started = container_now();
	m->check_timed_out = false;
	if (spawn_check(m, &why) < 0) {
		log_debug(LOG_RUN, "%s", why.text);
		monitor_health_stop(m);
		str_adds(&m->check_text, why.text);
		judge(m, -1);
		next_check(m);
		return 0;
	}
	event_timer_set(&m->loop, &m->health_limit, check_of(m)->timeout_ns, on_check_limit, m);
	return 0;
}

void monitor_health_start(struct monitor *m)
{
	if (check_of(m)->test.count)
		next_check(m);
}

void monitor_health_stop(struct monitor *m)
{
	event_timer_stop(&m->loop, &m->health_timer);
	event_timer_stop(&m->loop, &m->health_limit);
	event_del(&m->loop, &m->check_src);
	event_del(&m->loop, &m->check_out_src);
	proc_kill_wait(&m->check);
	close_fd(&m->check_out);
}
