/*
 * resolver_tcp.c - the container's name server for TCP.
 *
 * libslirp terminates the container's TCP connection and connects to a unix socket in our empty root for each; here
 * its other end is accepted. One query at a time per connection: read it whole, send it to a server (a fresh
 * connection each), read the answer whole, check it, pass it on, read the next. Messages are length-prefixed; a query
 * that is not one closes the connection, so that what reaches the host's resolver is always a DNS query.
 *
 *   READ_QUERY -> WAIT_SERVERS -> CONNECT -> SEND_QUERY -> READ_ANSWER -> SEND_ANSWER -> READ_QUERY
 *                                    ^___________|______________| next server
 *
 * Bounds: CONNECTIONS_MAX connections, IDLE_MS without progress; the listener is emptied in every round
 * and its backlog is longer than a round has frames, so that libslirp's connect, which happens in this very thread, is
 * not refused (it cannot wait: guard.c makes it non-blocking).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/mem.h"
#include "rl/engine/net_dns.h"

enum {
	CONNECTIONS_MAX = 16,
	IDLE_MS = 10000,
	CONNECT_MS = 3000,
	PREFIX = 2,
};

enum state { READ_QUERY, WAIT_SERVERS, CONNECT, SEND_QUERY, READ_ANSWER, SEND_ANSWER, STATE_N };

struct connection {
	int client, server; /* client -1: a free entry */
	int poll_index;
	enum state state;
	uint8_t mac[NET_MAC_LEN]; /* whose */
	unsigned tries;
	int64_t deadline;
	const struct net_server *asked;
	size_t done, query_len; /* progress in the message of this state; the query with its prefix */
	uint8_t *query;		/* PREFIX + DNS_QUERY_MAX */
	uint8_t *answer;	/* PREFIX + DNS_MESSAGE_MAX, while there is one */
};

struct resolver_tcp {
	struct netd *n;
	int listener;
	int poll_index;
	unsigned open;
	uint8_t expected[NETD_DNS_BACKLOG + 1][NET_MAC_LEN]; /* of those not accepted yet: the first of so many */
	unsigned expected_first, expected_count;
	struct connection items[CONNECTIONS_MAX];
};

int resolver_tcp_new(struct netd *n, struct resolver_tcp **ret, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = NETD_DNS_PATH};
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, NETD_DNS_BACKLOG) < 0)
		return err_sys(e, errno, "listen for TCP queries");
	struct resolver_tcp *t = xcalloc(1, sizeof(*t));
	t->n = n;
	t->listener = take_fd(&fd);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		t->items[i].client = t->items[i].server = -1;
	*ret = t;
	return 0;
}

void resolver_tcp_expect(struct resolver_tcp *t, const uint8_t mac[NET_MAC_LEN])
{
	const unsigned size = ARRAY_SIZE(t->expected);
	if (t->expected_count == size)
		return; /* cannot be: the listener's queue is shorter */
	memcpy(t->expected[(t->expected_first + t->expected_count++) % size], mac, NET_MAC_LEN);
}

static void take_expected(struct resolver_tcp *t, uint8_t ret_mac[NET_MAC_LEN])
{
	if (!t->expected_count)
		return;
	memcpy(ret_mac, t->expected[t->expected_first], NET_MAC_LEN);
	t->expected_first = (t->expected_first + 1) % ARRAY_SIZE(t->expected);
	t->expected_count--;
}

static size_t prefixed_len(const uint8_t *p)
{
	return PREFIX + ((size_t)p[0] << 8 | p[1]);
}

static void enter(struct connection *c, enum state state)
{
	c->state = state;
	c->done = 0;
	c->deadline = netd_now_ms() + (state == CONNECT	       ? CONNECT_MS
				       : state == WAIT_SERVERS ? NETD_SERVERS_MS
							       : IDLE_MS);
}

static void finish(struct resolver_tcp *t, struct connection *c)
{
	close_fd(&c->client);
	close_fd(&c->server);
	free(c->query);
	free(c->answer);
	*c = (struct connection){.client = -1, .server = -1};
	t->open--;
}

/* Send what was built at answer + PREFIX. */
static void answer(struct connection *c, size_t len)
{
	c->answer[0] = (uint8_t)(len >> 8);
	c->answer[1] = (uint8_t)len;
	enter(c, SEND_ANSWER);
}

static void ask_next(struct resolver_tcp *t, struct connection *c)
{
	while (c->tries < t->n->servers.count) {
		close_fd(&c->server);
		c->asked = resolver_pick(t->n->resolver, c->tries++);
		c->server = c->asked ? resolver_socket(c->asked, SOCK_STREAM) : -1;
		if (c->server < 0)
			continue;
		enter(c, CONNECT);
		return;
	}
	/* No server would answer: a failure the client understands, not a closed connection. */
	c->answer = c->answer ? c->answer : xmalloc(PREFIX + DNS_MESSAGE_MAX);
	size_t len = dns_build_error(c->query + PREFIX, c->query_len - PREFIX, DNS_RCODE_SERVFAIL, c->answer + PREFIX);
	t->n->stats.dns_failed++;
	close_fd(&c->server);
	answer(c, len);
}

/* Read one length-prefixed message of at most `max` bytes. Returns 1 when it is complete, 0 when there is more to
 * come, -1 at the end, on errors and when it is too long. */
static int read_message(struct connection *c, int fd, uint8_t *buf, size_t max)
{
	for (;;) {
		size_t want = c->done < PREFIX ? PREFIX : prefixed_len(buf);
		if (c->done >= PREFIX && want > PREFIX + max)
			return -1;
		if (c->done == want && want > PREFIX)
			return 1;
		if (c->done == want)
			return -1; /* an empty message */
		ssize_t n = recv(fd, buf + c->done, want - c->done, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
		c->done += (size_t)n;
	}
}

/* 1 sent, 0 more to come, -1 failed */
static int send_message(struct connection *c, int fd, const uint8_t *buf, size_t len)
{
	ssize_t n = send(fd, buf + c->done, len - c->done, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	c->done += (size_t)n;
	return c->done == len;
}

static void answer_refused(struct resolver_tcp *t, struct connection *c)
{
	t->n->stats.refused++;
	answer(c, dns_build_error(c->query + PREFIX, c->query_len - PREFIX, DNS_RCODE_REFUSED, c->answer + PREFIX));
}

static void on_query(struct resolver_tcp *t, struct connection *c)
{
	struct egress *egress = rights_egress(t->n, c->mac);
	c->query_len = prefixed_len(c->query);
	t->n->stats.dns_queries++;
	if (dns_check_query(c->query + PREFIX, c->query_len - PREFIX) == 0) {
		finish(t, c);
		return;
	}
	c->answer = c->answer ? c->answer : xmalloc(PREFIX + DNS_MESSAGE_MAX);
	size_t local = hosts_answer(t->n, c->query + PREFIX, c->query_len - PREFIX, c->answer + PREFIX);
	if (local) {
		answer(c, local);
		return;
	}
	if (egress && !egress_may_ask(egress, c->query + PREFIX)) {
		answer_refused(t, c);
		return;
	}
	c->tries = 0;
	enter(c, WAIT_SERVERS);
	if (resolver_is_fresh(t->n->resolver))
		ask_next(t, c);
}

void resolver_tcp_servers_came(struct resolver_tcp *t)
{
	for (size_t i = 0; t->open && i < CONNECTIONS_MAX; i++)
		if (t->items[i].client >= 0 && t->items[i].state == WAIT_SERVERS)
			ask_next(t, &t->items[i]);
}

static void on_connected(struct resolver_tcp *t, struct connection *c)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(c->server, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
		resolver_mark(t->n->resolver, c->asked, false);
		ask_next(t, c);
		return;
	}
	enter(c, SEND_QUERY);
}

static void on_answer(struct resolver_tcp *t, struct connection *c)
{
	close_fd(&c->server);
	if (!dns_reply_matches(c->query + PREFIX, c->query_len - PREFIX, c->answer + PREFIX,
			       prefixed_len(c->answer) - PREFIX)) {
		ask_next(t, c);
		return;
	}
	struct egress *egress = rights_egress(t->n, c->mac);
	if (egress && !egress_learn(egress, c->answer + PREFIX, prefixed_len(c->answer) - PREFIX, netd_now_ms()))
		answer_refused(t, c);
	else
		enter(c, SEND_ANSWER);
}

static void on_answered(struct connection *c)
{
	free(c->answer);
	c->answer = NULL;
	enter(c, READ_QUERY);
}

static void progress(struct resolver_tcp *t, struct connection *c)
{
	int r;
	switch (c->state) {
	case READ_QUERY:
		r = read_message(c, c->client, c->query, DNS_QUERY_MAX);
		if (r > 0)
			on_query(t, c);
		else if (r < 0)
			finish(t, c);
		break;
	case CONNECT:
		on_connected(t, c);
		break;
	case SEND_QUERY:
		r = send_message(c, c->server, c->query, c->query_len);
		if (r > 0) {
			c->answer = c->answer ? c->answer : xmalloc(PREFIX + DNS_MESSAGE_MAX);
			enter(c, READ_ANSWER);
		} else if (r < 0) {
			ask_next(t, c);
		}
		break;
	case READ_ANSWER:
		r = read_message(c, c->server, c->answer, DNS_MESSAGE_MAX);
		if (r > 0)
			on_answer(t, c);
		else if (r < 0)
			ask_next(t, c);
		break;
	case SEND_ANSWER:
		r = send_message(c, c->client, c->answer, prefixed_len(c->answer));
		if (r > 0)
			on_answered(c);
		else if (r < 0)
			finish(t, c);
		break;
	case WAIT_SERVERS:
	case STATE_N:
		break;
	}
}

static void accept_all(struct resolver_tcp *t)
{
	int fd;
	while ((fd = accept4(t->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *c = NULL;
		uint8_t mac[NET_MAC_LEN] = {0};
		take_expected(t, mac);
		for (size_t i = 0; i < CONNECTIONS_MAX && !c; i++)
			if (t->items[i].client < 0)
				c = &t->items[i];
		if (!c) {
			close(fd);
			continue;
		}
		*c = (struct connection){.client = fd, .server = -1, .poll_index = -1};
		memcpy(c->mac, mac, sizeof(c->mac));
		c->query = xmalloc(PREFIX + DNS_QUERY_MAX);
		enter(c, READ_QUERY);
		t->open++;
	}
}

void resolver_tcp_fill(struct resolver_tcp *t, struct poll_set *s)
{
	t->poll_index = poll_set_add(s, t->listener, POLLIN);
	for (size_t i = 0; t->open && i < CONNECTIONS_MAX; i++) {
		struct connection *c = &t->items[i];
		if (c->client < 0)
			continue;
		bool on_client = c->state == READ_QUERY || c->state == SEND_ANSWER; /* server is -1 in WAIT_SERVERS */
		bool reads = c->state == READ_QUERY || c->state == READ_ANSWER;
		c->poll_index = poll_set_add(s, on_client ? c->client : c->server, reads ? POLLIN : POLLOUT);
		poll_set_deadline(s, c->deadline);
	}
}

static void on_timeout(struct resolver_tcp *t, struct connection *c)
{
	if (c->state == READ_QUERY || c->state == SEND_ANSWER) {
		finish(t, c);
		return;
	}
	if (c->state != WAIT_SERVERS)
		resolver_mark(t->n->resolver, c->asked, false);
	ask_next(t, c);
}

void resolver_tcp_poll(struct resolver_tcp *t, const struct poll_set *s)
{
	int64_t now = t->open ? netd_now_ms() : 0;
	for (size_t i = 0; t->open && i < CONNECTIONS_MAX; i++) {
		struct connection *c = &t->items[i];
		if (c->client < 0 || c->poll_index < 0)
			continue;
		bool ready = s->items[c->poll_index].revents;
		c->poll_index = -1;
		if (ready)
			progress(t, c);
		else if (now >= c->deadline)
			on_timeout(t, c);
	}
	if (s->items[t->poll_index].revents)
		accept_all(t);
}
