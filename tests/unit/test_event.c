#include "rl/base/event.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "tap.h"

struct state {
	struct event_loop loop;
	struct event_source a;
	struct event_source b;
	struct event_timer t1;
	struct event_timer t2;
	struct event_timer t3;
	int fds[2];
	int fds2[2];
	int calls;
	int b_calls;
	char order[16];
	int signo;
};

static int read_byte(void *arg, uint32_t events, struct err *e)
{
	struct state *s = arg;
	char byte;
	(void)events;
	(void)e;
	s->calls++;
	if (read(s->fds[0], &byte, 1) != 1 || byte == 'q')
		event_quit(&s->loop, 7);
	return 0;
}

static int fail(void *arg, uint32_t events, struct err *e)
{
	(void)arg;
	(void)events;
	return err_set(e, ENOTTY, "callback failed");
}

/* Whichever of two ready sources is called first removes the other. */
static int remove_other(void *arg, uint32_t events, struct err *e)
{
	struct state *s = arg;
	(void)events;
	(void)e;
	s->calls++;
	event_del(&s->loop, &s->a);
	event_del(&s->loop, &s->b);
	event_quit(&s->loop, 0);
	return 0;
}

static void test_sources(void)
{
	struct err e = ERR_INIT;
	struct state s = {.loop = EVENT_LOOP_INIT};
	tap_is_int(event_open(&s.loop, &e), 0, "a loop is opened");
	if (pipe(s.fds) < 0 || pipe(s.fds2) < 0)
		return;
	tap_is_int(event_add(&s.loop, &s.a, s.fds[0], EPOLLIN, read_byte, &s, &e), 0, "a descriptor is watched");
	(void)!write(s.fds[1], "abq", 3);
	tap_ok(event_run(&s.loop, &e) == 7 && s.calls == 3,
	       "it is called while it is ready, and the status of quit is returned");
	close(s.fds[1]);
	tap_ok(event_run(&s.loop, &e) == 7 && s.calls == 4, "end of file is an event, and a loop can run again");
	event_del(&s.loop, &s.a);
	event_del(&s.loop, &s.a);
	tap_is_int(s.a.fd, -1, "a source is removed, twice without harm");
	close(s.fds[0]);

	(void)!pipe(s.fds);
	(void)!write(s.fds[1], "x", 1);
	(void)!write(s.fds2[1], "x", 1);
	s.calls = 0;
	(void)!event_add(&s.loop, &s.a, s.fds[0], EPOLLIN, remove_other, &s, &e);
	(void)!event_add(&s.loop, &s.b, s.fds2[0], EPOLLIN, remove_other, &s, &e);
	tap_ok(event_run(&s.loop, &e) == 0 && s.calls == 1,
	       "an event already fetched for a removed source is not delivered");

	tap_is_int(event_add(&s.loop, &s.a, s.fds[0], EPOLLIN, fail, &s, &e), 0, "a source can be added again");
	tap_ok(event_run(&s.loop, &e) == -ENOTTY && strcmp(e.text, "callback failed") == 0,
	       "a callback's error ends the loop");
	tap_is_int(event_mod(&s.loop, &s.a, 0, &e), 0, "a source is muted");
	event_del(&s.loop, &s.a);
	tap_is_int(event_add(&s.loop, &s.a, 999, EPOLLIN, fail, &s, &e), -EBADF, "a closed descriptor is an error");
	event_close(&s.loop);
	event_close(&s.loop);
	for (int i = 0; i < 2; i++) {
		close(s.fds[i]);
		close(s.fds2[i]);
	}
}

static int count_file(void *arg, uint32_t events, struct err *e)
{
	struct state *s = arg;
	char byte;
	if (events != EPOLLIN)
		return err_set(e, EINVAL, "events %x", events);
	s->calls++;
	if (read(s->a.fd, &byte, 1) == 1)
		return 0;
	event_del(&s->loop, &s->a);
	return 0;
}

static int quit_later(void *arg, struct err *e)
{
	struct state *s = arg;
	(void)e;
	event_quit(&s->loop, 0);
	return 0;
}

static void test_files(void)
{
	struct err e = ERR_INIT;
	struct state s = {.loop = EVENT_LOOP_INIT};
	autofree char *dir = tap_tmpdir();
	autofree char *path = xasprintf("%s/file", dir);
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	(void)!write(fd, "abc", 3);
	lseek(fd, 0, SEEK_SET);
	(void)!event_open(&s.loop, &e);
	tap_is_int(event_add(&s.loop, &s.a, fd, EPOLLIN, count_file, &s, &e), 0, "a regular file can be watched");
	event_timer_set(&s.loop, &s.t1, 5000000, quit_later, &s);
	tap_ok(event_run(&s.loop, &e) == 0 && s.calls == 4, "it is always ready, to its end and end of file");
	tap_ok(s.a.fd == -1 && !s.loop.always, "and can remove itself");
	event_close(&s.loop);
	close(fd);
	unlink(path);
	rmdir(dir);
}

static int timer_1(void *arg, struct err *e)
{
	struct state *s = arg;
	(void)e;
	strncat(s->order, "1", 2);
	return 0;
}

static int timer_2(void *arg, struct err *e)
{
	struct state *s = arg;
	(void)e;
	strncat(s->order, "2", 2);
	event_timer_stop(&s->loop, &s->t3);
	if (++s->calls < 3)
		event_timer_set(&s->loop, &s->t2, 1000000, timer_2, s);
	else
		event_quit(&s->loop, 0);
	return 0;
}

static int timer_3(void *arg, struct err *e)
{
	(void)arg;
	return err_set(e, EINVAL, "a stopped timer ran");
}

static void test_timers(void)
{
	struct err e = ERR_INIT;
	struct state s = {.loop = EVENT_LOOP_INIT};
	(void)!event_open(&s.loop, &e);
	uint64_t start = event_now_ns();
	event_timer_set(&s.loop, &s.t3, 9000000, timer_3, &s);
	event_timer_set(&s.loop, &s.t2, 4000000, timer_2, &s);
	event_timer_set(&s.loop, &s.t1, 8000000, timer_1, &s);
	event_timer_set(&s.loop, &s.t1, 2000000, timer_1, &s);
	tap_is_int(event_run(&s.loop, &e), 0, "timers run");
	tap_is_str(s.order, "1222", "in the order of their times, moved and set again");
	tap_ok(event_now_ns() - start >= 6000000, "not before their time");
	tap_ok(!s.loop.timers, "a stopped timer does not run");
	event_close(&s.loop);
}

static int on_signal(void *arg, const struct signalfd_siginfo *info, struct err *e)
{
	struct state *s = arg;
	(void)e;
	s->signo = (int)info->ssi_signo;
	if (++s->calls == 2)
		event_quit(&s->loop, 0);
	return 0;
}

static void test_signals(void)
{
	struct err e = ERR_INIT;
	struct state s = {.loop = EVENT_LOOP_INIT};
	sigset_t set;
	sigset_t now;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	(void)!event_open(&s.loop, &e);
	tap_is_int(event_signals(&s.loop, &set, on_signal, &s, &e), 0, "signals are watched");
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGTERM);
	tap_ok(event_run(&s.loop, &e) == 0 && s.calls == 2 && s.signo == SIGTERM,
	       "and delivered to the callback, each once");
	event_close(&s.loop);
	sigprocmask(SIG_SETMASK, NULL, &now);
	tap_ok(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGTERM), "closing the loop restores the signal mask");
}

/* The page in the middle of what a deep call has used of the stack. */
__attribute__((noinline)) static void *use_stack(void)
{
	enum { DEPTH = 128 * 1024 };
	volatile char *low = alloca(DEPTH);
	for (size_t i = 0; i < DEPTH; i += 1024)
		low[i] = 1;
	return (void *)((uintptr_t)(low + DEPTH / 2) & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1));
}

static bool is_resident(void *page)
{
	unsigned char there = 0;
	return mincore(page, (size_t)sysconf(_SC_PAGESIZE), &there) == 0 && there & 1;
}

static int is_late(void *arg, struct err *e)
{
	struct state *s = arg;
	(void)e;
	event_quit(&s->loop, 1);
	return 0;
}

static void test_gives_back(void)
{
	struct err e = ERR_INIT;
	struct state s = {.loop = EVENT_LOOP_INIT};
	for (int gives = 0; gives < 2; gives++) {
		(void)!event_open(&s.loop, &e);
		s.loop.gives_back = gives;
		event_timer_set(&s.loop, &s.t1, 1500 * 1000000ull, is_late, &s);
		void *page = use_stack();
		bool before = is_resident(page);
		int r = event_run(&s.loop, &e);
		tap_ok(before && r == 1 && is_resident(page) == !gives,
		       "a loop that %s its stack after a second without events",
		       gives ? "is told to gives back" : "is not told to keeps");
		event_close(&s.loop);
	}
}

int main(void)
{
	tap_plan_later();
	test_gives_back();
	test_sources();
	test_files();
	test_timers();
	test_signals();
	return tap_done();
}
