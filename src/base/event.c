/*
 * event.c - see event.h.
 *
 * Theory: one epoll_wait fetches a batch into the loop itself. Removing a source walks that batch and blanks what is
 * still to be delivered to it, so that callbacks may free their neighbours. Descriptors that epoll refuses (-EPERM:
 * regular files) sit in a list of their own and are called once per round, with the wait not sleeping while one of them
 * wants anything. Timers are a sorted list: there are a handful of them.
 */
#include "rl/base/event.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/mem.h"

enum { NS_PER_MS = 1000000, QUIET_MS = 1000 };
#define NS_PER_S 1000000000ull

int event_open(struct event_loop *loop, struct err *e)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "epoll_create");
	*loop = (struct event_loop)EVENT_LOOP_INIT;
	loop->epollfd = fd;
	return 0;
}

void event_close(struct event_loop *loop)
{
	if (loop->epollfd < 0)
		return;
	if (loop->signal_source.fd >= 0) {
		int fd = loop->signal_source.fd;
		event_del(loop, &loop->signal_source);
		close(fd);
		sigprocmask(SIG_SETMASK, &loop->signal_old_mask, NULL);
	}
	close_fd(&loop->epollfd);
}

int event_add(struct event_loop *loop, struct event_source *src, int fd, uint32_t events,
	      int (*fn)(void *arg, uint32_t events, struct err *e), void *arg, struct err *e)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};
	bool always = false;
	if (epoll_ctl(loop->epollfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		if (errno != EPERM)
			return err_sys(e, errno, "watch descriptor %d", fd);
		always = true;
	}
	*src = (struct event_source){.fd = fd, .events = events, .fn = fn, .arg = arg, .always_ready = always};
	if (always) {
		src->next = loop->always;
		loop->always = src;
	}
	return 0;
}

int event_mod(struct event_loop *loop, struct event_source *src, uint32_t events, struct err *e)
{
	if (src->events == events)
		return 0;
	struct epoll_event ev = {.events = events, .data.ptr = src};
	if (!src->always_ready && epoll_ctl(loop->epollfd, EPOLL_CTL_MOD, src->fd, &ev) < 0)
		return err_sys(e, errno, "watch descriptor %d", src->fd);
	src->events = events;
	return 0;
}

static void forget_source(struct event_loop *loop, struct event_source *src, bool by_close)
{
	if (src->fd < 0)
		return;
	if (src->always_ready) {
		for (struct event_source **p = &loop->always; *p; p = &(*p)->next) {
			if (*p == src) {
				*p = src->next;
				break;
			}
		}
	} else {
		if (by_close)
			close(src->fd);
		else
			epoll_ctl(loop->epollfd, EPOLL_CTL_DEL, src->fd, NULL);
		for (int i = 0; i < loop->batch_len; i++)
			if (loop->batch[i].data.ptr == src)
				loop->batch[i].data.ptr = NULL;
	}
	if (by_close && src->always_ready)
		close(src->fd);
	src->fd = -1;
}

void event_del(struct event_loop *loop, struct event_source *src)
{
	forget_source(loop, src, false);
}

void event_del_close(struct event_loop *loop, struct event_source *src)
{
	forget_source(loop, src, true);
}

uint64_t event_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void event_timer_stop(struct event_loop *loop, struct event_timer *timer)
{
	if (!timer->when_ns)
		return;
	for (struct event_timer **p = &loop->timers; *p; p = &(*p)->next) {
		if (*p == timer) {
			*p = timer->next;
			break;
		}
	}
	timer->when_ns = 0;
}

void event_timer_set(struct event_loop *loop, struct event_timer *timer, uint64_t delay_ns,
		     int (*fn)(void *arg, struct err *e), void *arg)
{
	event_timer_stop(loop, timer);
	uint64_t now = event_now_ns();
	timer->when_ns = delay_ns > UINT64_MAX - now ? UINT64_MAX : now + delay_ns;
	timer->fn = fn;
	timer->arg = arg;
	struct event_timer **p = &loop->timers;
	while (*p && (*p)->when_ns <= timer->when_ns)
		p = &(*p)->next;
	timer->next = *p;
	*p = timer;
}

static int read_signals(void *arg, uint32_t events, struct err *e)
{
	struct event_loop *loop = arg;
	struct signalfd_siginfo info;
	(void)events;
	/* One per call: the callback may close the loop's source. */
	ssize_t n = read(loop->signal_source.fd, &info, sizeof(info));
	if (n != sizeof(info))
		return n < 0 && errno != EAGAIN && errno != EINTR ? err_sys(e, errno, "read a signal") : 0;
	return loop->signal_fn(loop->signal_arg, &info, e);
}

int event_signals(struct event_loop *loop, const sigset_t *set,
		  int (*fn)(void *arg, const struct signalfd_siginfo *info, struct err *e), void *arg, struct err *e)
{
	autofd int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "signalfd");
	loop->signal_fn = fn;
	loop->signal_arg = arg;
	int r = event_add(loop, &loop->signal_source, fd, EPOLLIN, read_signals, loop, e);
	if (r < 0)
		return r;
	/* Last, so that nothing is blocked when this fails; a signal that came earlier did what it does without us. */
	sigprocmask(SIG_BLOCK, set, &loop->signal_old_mask);
	(void)take_fd(&fd);
	return 0;
}

/* Call what is due. Timers set by a callback for "now" wait for the next round, so that descriptors get their turn. */
static int run_timers(struct event_loop *loop, struct err *e)
{
	uint64_t now = loop->timers ? event_now_ns() : 0;
	while (!loop->quit && loop->timers && loop->timers->when_ns <= now) {
		struct event_timer *timer = loop->timers;
		event_timer_stop(loop, timer);
		int r = timer->fn(timer->arg, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run_always(struct event_loop *loop, struct err *e)
{
	struct event_source *next;
	for (struct event_source *src = loop->always; src && !loop->quit; src = next) {
		next = src->next;
		uint32_t ready = src->events & (EPOLLIN | EPOLLOUT);
		if (!ready)
			continue;
		int r = src->fn(src->arg, ready, e);
		if (r < 0)
			return r;
		/* The callback may have removed any of them; start again at the next round if it did. */
		struct event_source *p = loop->always;
		while (p && p != next)
			p = p->next;
		if (p != next)
			break;
	}
	return 0;
}

static int run_batch(struct event_loop *loop, int n, struct err *e)
{
	int r = 0;
	loop->batch_len = n;
	for (int i = 0; i < n && r >= 0 && !loop->quit; i++) {
		struct event_source *src = loop->batch[i].data.ptr;
		if (src)
			r = src->fn(src->arg, loop->batch[i].events, e);
	}
	loop->batch_len = 0;
	return r;
}

static int wait_ms(const struct event_loop *loop)
{
	for (const struct event_source *src = loop->always; src; src = src->next)
		if (src->events & (EPOLLIN | EPOLLOUT))
			return 0;
	if (!loop->timers)
		return -1;
	uint64_t now = event_now_ns();
	if (loop->timers->when_ns <= now)
		return 0;
	/* Rounded up: waking early would only mean another round. */
	uint64_t ms = (loop->timers->when_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int event_run(struct event_loop *loop, struct err *e)
{
	bool used = true; /* since memory was last given back */
	loop->quit = false;
	loop->status = 0;
	while (!loop->quit) {
		int wait = wait_ms(loop);
		bool settles = loop->gives_back && used && (wait < 0 || wait > QUIET_MS);
		int n = epoll_wait(loop->epollfd, loop->batch, EVENT_BATCH, settles ? QUIET_MS : wait);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, errno, "epoll_wait");
		}
		used = n > 0 || !settles;
		if (!used)
			mem_give_back();
		int r = run_batch(loop, n, e);
		if (r >= 0)
			r = run_always(loop, e);
		if (r >= 0)
			r = run_timers(loop, e);
		if (r < 0)
			return r;
	}
	return loop->status;
}

void event_quit(struct event_loop *loop, int status)
{
	loop->quit = true;
	loop->status = status;
}
