/*
 * connect_wait.c - connecting without blocking for callers that block.
 *
 * Every connect here is non-blocking, on a socket of the host or on the caller's own (whose O_NONBLOCK is set as long as
 * that takes). When the descriptor is ready, a second connect has the result, as the kernel would have given it to the
 * first, and brings the socket to the state it has after a blocking one. SO_SNDTIMEO bounds the wait with EINPROGRESS, as
 * it does in the kernel.
 *
 * A signal ends the caller's wait: the kernel makes the call again (SA_RESTART) or says EINTR. We notice when the same
 * thread calls again, or when the answer finds nobody; then the host's socket is closed, and the caller's own goes on by
 * itself as after any interrupted connect.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "connect.h"
#include "rl/base/mem.h"

struct connect_waiting {
	struct connect *c;
	struct connect_call k; /* with a copy of its socket */
	struct event_source src;
	struct event_timer timer;
	struct connect_waiting *next;
};

static int socket_of(const struct connect_waiting *w)
{
	return w->k.host >= 0 ? w->k.host : w->k.sock;
}

static int try_connect(const struct connect_call *k, int fd)
{
	int r;
	do
		r = connect(fd, (const struct sockaddr *)&k->address, k->len);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static void end(struct connect_waiting *w)
{
	struct connect *c = w->c;
	event_del(&c->d->loop, &w->src);
	event_timer_stop(&c->d->loop, &w->timer);
	if (w->k.host < 0)
		(void)fcntl(w->k.sock, F_SETFL, w->k.flags);
	close_fd(&w->k.host);
	close_fd(&w->k.sock);
	for (struct connect_waiting **at = &c->waiting; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	c->nwaiting--;
	notifyd_pending(c->d, -1);
	free(w);
}

/* The result is known. A connection that failed leaves the caller its own socket. */
static void answer(struct connect_waiting *w, int result)
{
	struct connect *c = w->c;
	struct seccomp_notify *n = &c->d->notify;
	if (w->k.host < 0) /* before the caller goes on */
		(void)fcntl(w->k.sock, F_SETFL, w->k.flags);
	if (w->k.host >= 0 && (result == 0 || result == -EINPROGRESS)) {
		int r = connect_is_still(c, &w->k) ? connect_replace(c, &w->k, w->k.host) : -EBADF;
		if (r < 0)
			result = r;
	}
	(void)!seccomp_notify_answer(n, w->k.id, result);
	end(w);
}

static int on_ready(void *arg, uint32_t events, struct err *e)
{
	struct connect_waiting *w = arg;
	(void)events;
	(void)e;
	int r = try_connect(&w->k, socket_of(w));
	if (r == -EALREADY || r == -EINPROGRESS)
		return 0;
	answer(w, r == -EISCONN ? 0 : r);
	return 0;
}

static int on_timeout(void *arg, struct err *e)
{
	(void)e;
	answer(arg, -EINPROGRESS);
	return 0;
}

void connect_forget(struct connect *c, uint32_t pid)
{
	struct connect_waiting *next;
	for (struct connect_waiting *w = c->waiting; w; w = next) {
		next = w->next;
		if (w->k.pid == pid)
			end(w);
	}
}

static void forget_gone(struct connect *c)
{
	struct connect_waiting *next;
	for (struct connect_waiting *w = c->waiting; w; w = next) {
		next = w->next;
		if (!seccomp_notify_is_valid(&c->d->notify, w->k.id))
			end(w);
	}
}

static int64_t wait_for(struct connect *c, struct connect_call *k)
{
	struct timeval limit = {0};
	socklen_t len = sizeof(limit);
	if (c->nwaiting >= CONNECT_WAITING_MAX)
		forget_gone(c);
	if (c->nwaiting >= CONNECT_WAITING_MAX)
		return -ENOBUFS;
	struct connect_waiting *w = xcalloc(1, sizeof(*w));
	*w = (struct connect_waiting){.c = c, .k = *k, .src = EVENT_SOURCE_INIT, .next = c->waiting};
	w->k.sock = fcntl(k->sock, F_DUPFD_CLOEXEC, 3);
	w->k.host = take_fd(&k->host);
	len = sizeof(w->k.cookie);
	(void)getsockopt(k->sock, SOL_SOCKET, SO_COOKIE, &w->k.cookie, &len);
	len = sizeof(limit);
	c->waiting = w;
	c->nwaiting++;
	notifyd_pending(c->d, 1);
	if (w->k.sock < 0 || event_add(&c->d->loop, &w->src, socket_of(w), EPOLLOUT, on_ready, w, NULL) < 0) {
		end(w);
		return -ENOBUFS;
	}
	if (getsockopt(k->sock, SOL_SOCKET, SO_SNDTIMEO, &limit, &len) == 0 && (limit.tv_sec || limit.tv_usec))
		event_timer_set(&c->d->loop, &w->timer,
				(uint64_t)limit.tv_sec * 1000000000 + (uint64_t)limit.tv_usec * 1000, on_timeout, w);
	return NOTIFYD_LATER;
}

int64_t connect_do(struct connect *c, struct connect_call *k)
{
	bool switches = k->host >= 0;
	bool blocks = !(k->flags & O_NONBLOCK);
	int fd = switches ? k->host : k->sock;
	if (!switches && blocks && fcntl(k->sock, F_SETFL, k->flags | O_NONBLOCK) < 0)
		return -errno;
	int r = try_connect(k, fd);
	if (switches && (r == 0 || r == -EINPROGRESS) && connect_deafen(c, fd) < 0)
		return -ENOBUFS;
	/* Over loopback the handshake is done when the first call returns, and only its result has not been looked at. */
	if (blocks && r == -EINPROGRESS)
		r = try_connect(k, fd);
	if (r == -EISCONN && switches)
		r = 0;
	/* A second call on a blocking socket waits for the first. */
	if (blocks && (r == -EINPROGRESS || r == -EALREADY))
		return wait_for(c, k);
	if (!switches && blocks)
		(void)fcntl(k->sock, F_SETFL, k->flags);
	if (switches && (r == 0 || r == -EINPROGRESS)) {
		int replaced = connect_replace(c, k, fd);
		if (replaced < 0)
			r = replaced;
	}
	return r;
}
