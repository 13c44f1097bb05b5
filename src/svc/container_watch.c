/*
 * container_watch.c - waiting for what others do to a container: inotify on its directory, pidfds of its processes.
 */
#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/event.h"
#include "rl/base/mem.h"

enum { OWN_WAIT_S = 10 };

int container_watch_open(const struct container_rec *rec, struct container_watch *ret_watch, struct err *e)
{
	struct container_watch w = {.rec = rec, .pids = {-1, -1}};
	w.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w.inotify < 0)
		return err_sys(e, errno, "inotify");
	if (inotify_add_watch(w.inotify, rec->dir,
			      IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF) < 0) {
		int errnum = errno;
		close(w.inotify);
		return err_sys(e, errnum, "watch container %.12s", rec->config.id);
	}
	w.pids[0] = container_rec_open_init(rec, NULL);
	w.pids[1] = container_rec_open_monitor(rec, NULL);
	*ret_watch = w;
	return 0;
}

void container_watch_open_ends(const struct container_rec *rec, struct container_watch *ret_watch)
{
	*ret_watch = (struct container_watch){
		.rec = rec,
		.inotify = -1,
		.pids = {container_rec_open_init(rec, NULL), container_rec_open_monitor(rec, NULL)},
	};
}

int container_watch_wait(struct container_watch *w, int timeout_ms, struct err *e)
{
	struct pollfd p[] = {
		{.fd = w->inotify, .events = POLLIN},
		{.fd = w->pids[0], .events = POLLIN},
		{.fd = w->pids[1], .events = POLLIN},
	};
	int n;
	while ((n = poll(p, ARRAY_SIZE(p), timeout_ms)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return err_sys(e, errno, "poll");
	_Alignas(struct inotify_event) char buf[4096];
	if (p[0].revents)
		while (read(w->inotify, buf, sizeof(buf)) > 0)
			;
	/* A process that has ended stays readable: told once. */
	for (size_t i = 0; i < ARRAY_SIZE(w->pids); i++)
		if (p[1 + i].revents)
			close_fd(&w->pids[i]);
	return n > 0;
}

void container_watch_close(struct container_watch *w)
{
	close_fd(&w->inotify);
	close_fd(&w->pids[0]);
	close_fd(&w->pids[1]);
}

int container_rec_wait_free(const struct container_rec *rec, int *ret_fd, struct err *e)
{
	uint64_t end = event_now_ns() + OWN_WAIT_S * UINT64_C(1000000000);
	for (;;) {
		int r = container_rec_try_own(rec, ret_fd, e);
		if (r != 0)
			return r;
		struct container_watch w;
		r = container_watch_open(rec, &w, e);
		if (r < 0)
			return r;
		bool named = w.pids[1] >= 0;
		/* The holder that the record does not name is a verb at work for a moment, or a monitor whose record was not yet
		 * read: its end is no event, so look again soon. */
		r = container_watch_wait(&w, named ? 1000 : 5, e);
		container_watch_close(&w);
		if (r < 0)
			return r;
		if (event_now_ns() > end)
			return err_set(e, EBUSY, "container %s is held by another process", rec->config.name);
	}
}
