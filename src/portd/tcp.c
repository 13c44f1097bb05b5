/*
 * tcp.c - connections: accepted from the host, met inside, moved by splice.
 *
 * Two halves per connection, one for each direction. A half borrows a pipe when its source has something, and gives it
 * back when all of it has arrived; a reader that stands still keeps its pipe, up to PORTD_PIPES_MAX of them, after which
 * halves peek, send and discard exactly what was sent, so that nothing is ever held. Idle connections therefore cost
 * their struct conn and two descriptors.
 *
 * Both sockets are watched edge-triggered, once, for everything: an event on either end moves both halves as far as
 * they go. A connection that could go on for ever is put aside after its turn (busy list) so that others get theirs.
 *
 * The end of one direction is passed on as such; a reset of either side resets the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "portd.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum {
	ACCEPTS = 64, /* in one go */
	TURN = 16,    /* splices of one half in one go */
	CHUNK = 1 << 20,
	COPY = 65536,
	ALL_EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (int)EPOLLET,
};

struct half {
	struct pipe *pipe;
	uint32_t len; /* in it */
	bool ended;   /* the source will send no more */
	bool done;    /* and the other side knows */
};

struct conn {
	struct portd *d;
	struct port *port;
	struct client *client;
	struct event_source end[2]; /* host, inside */
	struct half half[2];	    /* from end[i] to end[!i] */
	bool connecting, is_busy;
	struct conn *busy_next, *busy_prev;
};

static int on_busy(void *arg, struct err *e);

static void busy_unlink(struct conn *c)
{
	struct portd *d = c->d;
	if (!c->is_busy)
		return;
	*(c->busy_prev ? &c->busy_prev->busy_next : &d->busy) = c->busy_next;
	if (c->busy_next)
		c->busy_next->busy_prev = c->busy_prev;
	c->busy_next = c->busy_prev = NULL;
	c->is_busy = false;
}

static void busy_link(struct conn *c)
{
	struct portd *d = c->d;
	if (c->is_busy)
		return;
	c->busy_next = d->busy;
	if (d->busy)
		d->busy->busy_prev = c;
	d->busy = c;
	c->is_busy = true;
	event_timer_set(&d->loop, &d->busy_timer, 0, on_busy, d);
}

static void reset_on_close(int fd)
{
	struct linger now = {.l_onoff = 1};
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void conn_close(struct conn *c, bool reset)
{
	struct portd *d = c->d;
	busy_unlink(c);
	for (int i = 0; i < 2; i++) {
		int fd = c->end[i].fd;
		if (reset)
			reset_on_close(fd);
		event_del_close(&d->loop, &c->end[i]);
		if (c->half[i].pipe)
			pipe_return(d->pipes, c->half[i].pipe, c->half[i].len == 0);
	}
	client_release(d, c->client);
	share_return(c->port, 2);
	free(c);
}

static void give_back(struct conn *c, struct half *h)
{
	if (h->pipe)
		pipe_return(c->d->pipes, h->pipe, true);
	h->pipe = NULL;
}

/* Without a pipe. 1: go on, 0: nothing can be moved now. */
static int copy_some(struct conn *c, int i)
{
	int from = c->end[i].fd;
	ssize_t n = recv(from, c->d->datagram, COPY, MSG_PEEK);
	if (n == 0) {
		c->half[i].ended = true;
		return 1;
	}
	if (n > 0)
		n = send(c->end[!i].fd, c->d->datagram, (size_t)n, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return recv(from, c->d->datagram, (size_t)n, MSG_TRUNC) == n ? 1 : -EIO;
}

/* 1: go on, 0: nothing can be moved now. */
static int move_some(struct conn *c, int i)
{
	struct half *h = &c->half[i];
	ssize_t n;
	if (h->len) {
		n = splice(h->pipe->fd[0], NULL, c->end[!i].fd, NULL, h->len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -EPIPE;
		h->len -= (uint32_t)n;
		return 1;
	}
	if (h->ended) {
		give_back(c, h);
		h->done = true;
		return shutdown(c->end[!i].fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
	}
	if (!h->pipe)
		h->pipe = pipe_borrow(c->d->pipes);
	if (!h->pipe)
		return copy_some(c, i);
	n = splice(c->end[i].fd, NULL, h->pipe->fd[1], NULL, CHUNK, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0) {
		h->len = (uint32_t)n;
		return 1;
	}
	if (n == 0) {
		h->ended = true;
		return 1;
	}
	int errnum = errno;
	give_back(c, h);
	return errnum == EAGAIN ? 0 : -errnum;
}

/* Move both halves; `c` may be gone afterwards. */
static void serve(struct conn *c)
{
	bool more = false;
	for (int i = 0; i < 2; i++) {
		int r = 1;
		for (int n = 0; r > 0 && n < TURN && !c->half[i].done; n++)
			r = move_some(c, i);
		if (r < 0) {
			conn_close(c, true);
			return;
		}
		more |= r > 0 && !c->half[i].done;
	}
	if (c->half[0].done && c->half[1].done)
		conn_close(c, false);
	else if (more)
		busy_link(c);
	else
		busy_unlink(c);
}

static int on_busy(void *arg, struct err *e)
{
	struct portd *d = arg;
	(void)e;
	struct conn *list = d->busy;
	d->busy = NULL;
	while (list) {
		struct conn *c = list;
		list = c->busy_next;
		if (list)
			list->busy_prev = NULL;
		c->busy_next = c->busy_prev = NULL;
		c->is_busy = false;
		serve(c);
	}
	return 0;
}

static bool has_failed(const struct conn *c)
{
	bool failed = false;
	for (int i = 0; i < 2; i++) {
		int error = 0;
		socklen_t len = sizeof(error);
		failed |= getsockopt(c->end[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error;
	}
	return failed;
}

static int on_event(struct conn *c, uint32_t events)
{
	if ((events & EPOLLERR) && has_failed(c))
		conn_close(c, true);
	else if (!c->connecting)
		serve(c);
	return 0;
}

/* Before the one inside is connected, what comes from outside waits: `serve` will look at both. */
static int on_host(void *arg, uint32_t events, struct err *e)
{
	(void)e;
	return on_event(arg, events);
}

/* A socket that is connecting is neither readable nor writable. */
static int on_inside(void *arg, uint32_t events, struct err *e)
{
	struct conn *c = arg;
	(void)e;
	c->connecting &= !(events & (EPOLLIN | EPOLLOUT));
	return on_event(c, events);
}

void tcp_prepare(int listen_fd)
{
	static const int on = 1;
	(void)setsockopt(listen_fd, SOL_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(listen_fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static void refuse(int fd)
{
	reset_on_close(fd);
	close(fd);
}

static void meet(struct port *p, int host_fd, const union addr *peer)
{
	static const int on = 1;
	struct portd *d = p->d;
	union addr src, dst;
	client_inside(d, peer, p->p.inside, &src, &dst);
	if (!share_take(p, 2)) {
		refuse(host_fd);
		return;
	}
	struct client *client = client_use(d, &src);
	int fd = client ? inside_socket(SOCK_STREAM, &src, &dst) : -ENETUNREACH;
	if (fd < 0) { /* nobody listens inside, or there are no more descriptors */
		client_release(d, client);
		share_return(p, 2);
		refuse(host_fd);
		return;
	}
	(void)setsockopt(fd, SOL_TCP, TCP_NODELAY, &on, sizeof(on));
	struct conn *c = xcalloc(1, sizeof(*c));
	*c = (struct conn){
		.d = d, .port = p, .client = client, .end = {EVENT_SOURCE_INIT, EVENT_SOURCE_INIT}, .connecting = true};
	struct err why = ERR_INIT;
	if (event_add(&d->loop, &c->end[0], host_fd, (uint32_t)ALL_EVENTS, on_host, c, &why) < 0 ||
	    event_add(&d->loop, &c->end[1], fd, (uint32_t)ALL_EVENTS, on_inside, c, &why) < 0) {
		log_debug(LOG_NET, "%s", why.text);
		c->end[0].fd = host_fd;
		c->end[1].fd = fd;
		conn_close(c, true);
	}
}

/* No descriptor is left: the client is told, instead of waiting. */
static void refuse_one(struct portd *d, int listen_fd)
{
	close_fd(&d->reserve_fd);
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		refuse(fd);
	d->reserve_fd = fcntl(d->loop.epollfd, F_DUPFD_CLOEXEC, 3);
}

int tcp_on_listen(void *arg, uint32_t events, struct err *e)
{
	struct port *p = arg;
	(void)events;
	(void)e;
	for (int i = 0; i < ACCEPTS; i++) {
		union addr peer = {0};
		socklen_t len = sizeof(peer);
		int fd = accept4(p->src.fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			meet(p, fd, &peer);
		else if (errno == EMFILE || errno == ENFILE)
			refuse_one(p->d, p->src.fd);
		else if (errno == EAGAIN)
			break;
	}
	return 0;
}
