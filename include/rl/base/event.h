/*
 * event.h - one thread waiting for descriptors, timers and signals.
 *
 * Model: the loop owns an epoll descriptor and nothing else; sources and timers are structs inside the caller's own
 * state, linked while active, so that a running loop allocates nothing. Callbacks may add, change and remove any source
 * or timer, their own included: an event that was already fetched for a removed source is not delivered.
 *
 * Calling sequence:
 *     struct event_loop loop = EVENT_LOOP_INIT;
 *     r = event_open(&loop, e);
 *     r = event_add(&loop, &s->in, fd, EPOLLIN, on_input, s, e);      // struct event_source in; is a member of *s
 *     r = event_run(&loop, e);                                        // until event_quit, or a callback fails
 *     event_close(&loop);
 * Ownership: descriptors stay the caller's; event_del before closing one. event_close undoes event_signals too.
 * Descriptors that epoll cannot watch (regular files, /dev/null redirected from a file) are reported as always ready.
 * Callbacks return 0, or -errno with *e filled: that ends event_run with this error.
 * Context: single thread. Times are CLOCK_MONOTONIC.
 */
#ifndef RL_BASE_EVENT_H
#define RL_BASE_EVENT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "rl/base/err.h"

struct event_source {
	int fd; /* -1 while not in a loop */
	uint32_t events;
	int (*fn)(void *arg, uint32_t events, struct err *e);
	void *arg;
	bool always_ready;	   /* epoll cannot watch it */
	struct event_source *next; /* of the always ready ones */
};

#define EVENT_SOURCE_INIT                                                                                              \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

struct event_timer {
	uint64_t when_ns; /* 0 while not set */
	int (*fn)(void *arg, struct err *e);
	void *arg;
	struct event_timer *next;
};

enum { EVENT_BATCH = 32 };

struct event_loop {
	int epollfd;
	bool quit;
	bool gives_back; /* for a process that stays: mem_give_back when a second has passed without an event */
	int status;
	struct event_source *always; /* sources that are ready all the time */
	struct event_timer *timers;  /* earliest first */
	struct epoll_event batch[EVENT_BATCH];
	int batch_len;
	/* event_signals */
	struct event_source signal_source;
	sigset_t signal_old_mask;
	int (*signal_fn)(void *arg, const struct signalfd_siginfo *info, struct err *e);
	void *signal_arg;
};

#define EVENT_LOOP_INIT                                                                                                \
	{                                                                                                              \
		.epollfd = -1, .signal_source = EVENT_SOURCE_INIT                                                      \
	}

int event_open(struct event_loop *loop, struct err *e) RL_CHECK;
/* Harmless on a loop that is not open. */
void event_close(struct event_loop *loop);

/* events: EPOLLIN, EPOLLOUT, ...; EPOLLERR and EPOLLHUP always come. 0 is allowed (only errors). */
int event_add(struct event_loop *loop, struct event_source *src, int fd, uint32_t events,
	      int (*fn)(void *arg, uint32_t events, struct err *e), void *arg, struct err *e) RL_CHECK;
int event_mod(struct event_loop *loop, struct event_source *src, uint32_t events, struct err *e) RL_CHECK;
/* Harmless on a source that is in no loop. */
void event_del(struct event_loop *loop, struct event_source *src);
/* The same, and close its descriptor, which must be the only one of its file: a system call less. */
void event_del_close(struct event_loop *loop, struct event_source *src);

/* Call fn once, `delay_ns` from now; setting a timer that is set moves it. */
void event_timer_set(struct event_loop *loop, struct event_timer *timer, uint64_t delay_ns,
		     int (*fn)(void *arg, struct err *e), void *arg);
void event_timer_stop(struct event_loop *loop, struct event_timer *timer);
uint64_t event_now_ns(void);

/* Block these signals and have fn called for each that arrives, until event_close. Once per loop. */
int event_signals(struct event_loop *loop, const sigset_t *set,
		  int (*fn)(void *arg, const struct signalfd_siginfo *info, struct err *e), void *arg,
		  struct err *e) RL_CHECK;

/* Returns the status given to event_quit (>= 0), or the -errno of a callback. */
int event_run(struct event_loop *loop, struct err *e) RL_CHECK;
/* Leave event_run after the current callback. status >= 0. */
void event_quit(struct event_loop *loop, int status);

#endif
