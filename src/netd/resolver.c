/*
 * resolver.c - the container's name server for UDP: queries go to what the host uses now.
 *
 * Each query gets a socket of its own, connected to one server, and an id of its own: an answer is taken only from
 * that server's address and port, to a port the kernel picked at random, with a random id and the very question that
 * was asked. The client's own id is put back before the answer goes to it.
 *
 * Which servers: the owner is asked when a query comes in (unless it was a moment ago), because it sees the host's
 * files and we do not; the query waits for the answer. An owner that does not answer, stopped by ^Z perhaps, is not
 * waited for again until it has spoken.
 *
 * Several servers: the next one is tried when there is an ICMP error, when the time is up, or when the answer is
 * SERVFAIL, NOTIMP or REFUSED, as libc does; two rounds, then SERVFAIL. A server that failed is tried last for a
 * while. With no server reachable (offline) the client gets SERVFAIL at once and not after a timeout.
 *
 * Bounds: QUERIES_MAX queries at a time; when the table is full the oldest is given up. A repeated query (same client
 * port, same id) of one that is still open is dropped: its answer is on the way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_dns.h"
#include "rl/engine/net_proto.h"

enum {
	QUERIES_MAX = 128,
	ROUNDS = 2,
	TIMEOUT_MS = 1500, /* of one try in the first round, doubled in the second */
	PENALTY_MS = 30000,
	FRESH_MS = 50, /* for so long a server list is as good as new */
	DNS_PORT = 53,
};

struct query {
	int fd; /* -1: a free entry */
	int poll_index;
	uint16_t client_port, client_id;
	struct sender sender;
	unsigned tries;
	int64_t started, deadline;
	const struct net_server *server; /* NULL: waits for the owner's list */
	uint8_t *msg;			 /* with our id in it */
	size_t len;
};

struct resolver {
	struct netd *n;
	unsigned open;
	bool asked, silent; /* the owner: has been asked; has not answered in time */
	int64_t fresh_until;
	int64_t bad_until[NET_SERVERS_MAX];
	struct query queries[QUERIES_MAX];
	uint8_t *buf; /* FRAME_MAX: headers and the answer */
};

struct resolver *resolver_new(struct netd *n)
{
	struct resolver *r = xcalloc(1, sizeof(*r));
	r->n = n;
	r->buf = n->reply;
	for (size_t i = 0; i < QUERIES_MAX; i++)
		r->queries[i].fd = -1;
	return r;
}

/* ---- servers ---- */

bool resolver_is_fresh(struct resolver *r)
{
	struct netd *n = r->n;
	if (n->opts.dns_servers.count || r->silent || netd_now_ms() < r->fresh_until)
		return true;
	if (!r->asked && sync_send(n->control_fd, NETD_STEP_SERVERS, NULL, 0, NULL, 0, NULL) < 0)
		return true; /* the owner is dead; the loop will see it */
	r->asked = true;
	return false;
}

const struct net_server *resolver_pick(struct resolver *r, unsigned nth)
{
	const struct net_servers *s = &r->n->servers;
	int64_t now = netd_now_ms();
	for (int bad = 0; bad < 2; bad++) {
		for (size_t i = 0; i < s->count; i++) {
			if ((r->bad_until[i] > now) != bad)
				continue;
			if (nth-- == 0)
				return &s->items[i];
		}
	}
	return NULL;
}

void resolver_mark(struct resolver *r, const struct net_server *s, bool good)
{
	size_t i = (size_t)(s - r->n->servers.items);
	r->bad_until[i] = good ? 0 : netd_now_ms() + PENALTY_MS;
}

int resolver_socket(const struct net_server *s, int type)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr = s->addr.v4};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(s->port),
				  .sin6_addr = s->addr.v6,
				  .sin6_scope_id = s->scope};
	bool is4 = s->family == AF_INET;
	/* The raw calls: guard.c's socket keeps descriptors back for us, and its connect would refuse the host's own
	 * resolver on loopback. */
	autofd int fd = (int)syscall(SYS_socket, is4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_connect, fd, is4 ? (void *)&a4 : (void *)&a6, is4 ? sizeof(a4) : sizeof(a6)) < 0 &&
	    errno != EINPROGRESS)
		return -errno;
	return take_fd(&fd);
}

/* ---- answers ---- */

static void finish(struct resolver *r, struct query *q)
{
	close_fd(&q->fd);
	free(q->msg);
	*q = (struct query){.fd = -1};
	r->open--;
}

/* Send what stands at buf + FRAME_UDP_HEADERS and end the query. */
static void answer(struct resolver *r, struct query *q, size_t len)
{
	uint8_t *msg = r->buf + FRAME_UDP_HEADERS;
	struct netd *n = r->n;
	struct frame_udp u = {.dst_mac = q->sender.mac,
			      .src = n->policy.dns,
			      .dst = q->sender.address,
			      .sport = DNS_PORT,
			      .dport = q->client_port};
	size_t room = n->opts.mtu - (FRAME_UDP_HEADERS - FRAME_ETH_LEN);
	if (len > room)
		len = dns_truncate(msg, len);
	dns_set_id(msg, q->client_id);
	netd_send_frame(n, r->buf, frame_build_udp4(r->buf, &u, len));
	finish(r, q);
}

static void answer_failure(struct resolver *r, struct query *q)
{
	size_t len = dns_build_error(q->msg, q->len, DNS_RCODE_SERVFAIL, r->buf + FRAME_UDP_HEADERS);
	r->n->stats.dns_failed++;
	answer(r, q, len);
}

static void answer_refused(struct resolver *r, struct query *q)
{
	size_t len = dns_build_error(q->msg, q->len, DNS_RCODE_REFUSED, r->buf + FRAME_UDP_HEADERS);
	r->n->stats.refused++;
	answer(r, q, len);
}

static bool same_servers(const struct net_servers *a, const struct net_servers *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct net_server *x = &a->items[i], *y = &b->items[i];
		size_t len = x->family == AF_INET6 ? sizeof(x->addr.v6) : sizeof(x->addr.v4);
		if (x->family != y->family || x->port != y->port || x->scope != y->scope ||
		    memcmp(&x->addr, &y->addr, len) != 0)
			return false;
	}
	return true;
}

/* Ask the next server; with none left, say so. */
static void ask_next(struct resolver *r, struct query *q)
{
	const unsigned count = (unsigned)r->n->servers.count; /* at most NET_SERVERS_MAX */
	while (q->tries < ROUNDS * count) {
		uint16_t id;
		unsigned nth = q->tries++;
		int64_t timeout = TIMEOUT_MS;
		for (; nth >= count; nth -= count)
			timeout += TIMEOUT_MS;
		const struct net_server *s = resolver_pick(r, nth);
		close_fd(&q->fd);
		q->fd = s ? resolver_socket(s, SOCK_DGRAM) : -1;
		if (q->fd < 0)
			continue;
		io_random(&id, sizeof(id));
		dns_set_id(q->msg, id);
		if (send(q->fd, q->msg, q->len, MSG_NOSIGNAL) < 0) {
			resolver_mark(r, s, false);
			continue;
		}
		q->server = s;
		q->deadline = netd_now_ms() + timeout;
		return;
	}
	answer_failure(r, q);
}

void resolver_servers_came(struct resolver *r, const struct net_servers *servers)
{
	r->asked = r->silent = false;
	r->fresh_until = netd_now_ms() + FRESH_MS;
	if (!same_servers(&r->n->servers, servers)) {
		r->n->servers = *servers;
		memset(r->bad_until, 0, sizeof(r->bad_until));
	}
	for (size_t i = 0; r->open && i < QUERIES_MAX; i++)
		if (r->queries[i].msg && !r->queries[i].server)
			ask_next(r, &r->queries[i]);
}

static struct query *free_entry(struct resolver *r)
{
	struct query *oldest = &r->queries[0];
	for (size_t i = 0; i < QUERIES_MAX; i++) {
		struct query *q = &r->queries[i];
		if (!q->msg)
			return q;
		if (q->started < oldest->started)
			oldest = q;
	}
	answer_failure(r, oldest);
	return oldest;
}

static bool is_repeated(const struct resolver *r, const struct sender *s, uint16_t port, uint16_t id)
{
	for (size_t i = 0; r->open && i < QUERIES_MAX; i++)
		if (r->queries[i].msg && r->queries[i].client_port == port && r->queries[i].client_id == id &&
		    memcmp(r->queries[i].sender.mac, s->mac, NET_MAC_LEN) == 0)
			return true;
	return false;
}

void resolver_query(struct resolver *r, const uint8_t *msg, size_t len, uint16_t client_port)
{
	r->n->stats.dns_queries++;
	if (dns_check_query(msg, len) == 0) {
		r->n->stats.dropped_malformed++;
		return;
	}
	struct sender sender;
	netd_sender(r->n, &sender);
	if (is_repeated(r, &sender, client_port, dns_id(msg)))
		return;
	struct query *q = free_entry(r);
	*q = (struct query){.fd = -1,
			    .poll_index = -1,
			    .client_port = client_port,
			    .client_id = dns_id(msg),
			    .sender = sender,
			    .started = netd_now_ms(),
			    .msg = xmemdup(msg, len),
			    .len = len};
	r->open++;
	size_t local = hosts_answer(r->n, msg, len, r->buf + FRAME_UDP_HEADERS);
	if (local) {
		answer(r, q, local);
		return;
	}
	if (r->n->egress && !egress_may_ask(r->n->egress, msg)) {
		answer_refused(r, q);
		return;
	}
	q->deadline = q->started + NETD_SERVERS_MS;
	if (resolver_is_fresh(r))
		ask_next(r, q);
}

static void read_answer(struct resolver *r, struct query *q)
{
	uint8_t *msg = r->buf + FRAME_UDP_HEADERS;
	ssize_t len = recv(q->fd, msg, DNS_MESSAGE_MAX - FRAME_UDP_HEADERS, 0);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len < 0) { /* the server's host says there is nobody */
		resolver_mark(r, q->server, false);
		ask_next(r, q);
		return;
	}
	if (!dns_reply_matches(q->msg, q->len, msg, (size_t)len))
		return; /* forged or stale: the right one may still come */
	unsigned rcode = dns_rcode(msg);
	bool failed = rcode == DNS_RCODE_SERVFAIL || rcode == DNS_RCODE_NOTIMP || rcode == DNS_RCODE_REFUSED;
	if (failed && q->tries < r->n->servers.count) {
		ask_next(r, q);
		return;
	}
	resolver_mark(r, q->server, true);
	struct egress *egress = rights_egress(r->n, q->sender.mac);
	if (egress && !egress_learn(egress, msg, (size_t)len, netd_now_ms()))
		answer_refused(r, q);
	else
		answer(r, q, (size_t)len);
}

/* ---- in the loop ---- */

void resolver_fill(struct resolver *r, struct poll_set *s)
{
	for (size_t i = 0; r->open && i < QUERIES_MAX; i++) {
		struct query *q = &r->queries[i];
		if (!q->msg)
			continue;
		q->poll_index = poll_set_add(s, q->fd, POLLIN);
		poll_set_deadline(s, q->deadline);
	}
}

void resolver_poll(struct resolver *r, const struct poll_set *s)
{
	int64_t now = r->open ? netd_now_ms() : 0;
	for (size_t i = 0; r->open && i < QUERIES_MAX; i++) {
		struct query *q = &r->queries[i];
		/* Entries made since the set was filled have no index yet. */
		if (!q->msg || q->poll_index < 0)
			continue;
		bool readable = q->fd >= 0 && s->items[q->poll_index].fd == q->fd && s->items[q->poll_index].revents;
		q->poll_index = -1;
		if (readable) {
			read_answer(r, q);
		} else if (now >= q->deadline) {
			if (q->server)
				resolver_mark(r, q->server, false);
			else
				r->silent = true;
			ask_next(r, q);
		}
	}
}
