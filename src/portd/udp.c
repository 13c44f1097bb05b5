/*
 * udp.c - datagrams: one flow per client address and port, met inside by a socket that is bound to both.
 *
 * What the payload sends to the client arrives on the flow's socket (route.c) and leaves by the socket of the host that
 * the client wrote to, from the very address it wrote to. A flow that nobody used for a while ends; when there are too
 * many, the one used longest ago makes room: of the same port, unless that has less than its part of all.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "portd.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum {
	FLOWS_MAX = 4096,
	BATCH = 64,
	DATAGRAM_MAX = 65535,
	IDLE_S = 120,
	SWEEP_S = 10,
};

#define SECOND UINT64_C(1000000000)

struct flow {
	struct portd *d;
	struct port *port;
	struct client *client;
	union addr peer;
	union { /* the address of ours the client wrote to */
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
	} local;
	struct event_source inside;
	uint64_t used_ns;
	struct flow *next;	    /* in the bucket */
	struct flow *newer, *older; /* by last use */
};

static struct flow **bucket(struct portd *d, const struct port *p, const union addr *peer)
{
	const uint8_t *bytes = (const uint8_t *)&peer->sa;
	uint32_t hash = 2166136261u ^ p->p.host;
	for (size_t i = 0; i < addr_size(peer); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return &d->flows[hash % ARRAY_SIZE(d->flows)];
}

static void order_unlink(struct flow *f)
{
	struct port *p = f->port;
	*(f->older ? &f->older->newer : &p->oldest) = f->newer;
	*(f->newer ? &f->newer->older : &p->newest) = f->older;
	f->older = f->newer = NULL;
}

static void order_append(struct flow *f)
{
	struct port *p = f->port;
	f->older = p->newest;
	*(p->newest ? &p->newest->newer : &p->oldest) = f;
	p->newest = f;
}

static void touch(struct flow *f)
{
	f->used_ns = event_now_ns();
	if (f->port->newest == f)
		return;
	order_unlink(f);
	order_append(f);
}

static void flow_end(struct flow *f)
{
	struct portd *d = f->d;
	struct flow **at = bucket(d, f->port, &f->peer);
	int fd = f->inside.fd;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	order_unlink(f);
	event_del(&d->loop, &f->inside);
	close(fd);
	client_release(d, f->client);
	share_return(f->port, 1);
	d->nflows--;
	free(f);
}

void udp_forget_port(const struct port *p)
{
	while (p->oldest)
		flow_end(p->oldest);
}

static int on_sweep(void *arg, struct err *e)
{
	struct portd *d = arg;
	uint64_t now = event_now_ns();
	(void)e;
	for (const struct port *p = d->ports; p; p = p->next)
		while (p->oldest && now - p->oldest->used_ns > IDLE_S * SECOND)
			flow_end(p->oldest);
	if (d->nflows)
		event_timer_set(&d->loop, &d->flow_timer, SWEEP_S * SECOND, on_sweep, d);
	return 0;
}

static void send_to_client(struct flow *f, size_t len)
{
	bool is4 = f->peer.sa.sa_family == AF_INET;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	struct iovec iov = {f->d->datagram, len};
	struct msghdr m = {.msg_name = &f->peer,
			   .msg_namelen = addr_size(&f->peer),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = is4 ? CMSG_SPACE(sizeof(f->local.v4)) : CMSG_SPACE(sizeof(f->local.v6))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = is4 ? SOL_IP : SOL_IPV6;
	c->cmsg_type = is4 ? IP_PKTINFO : IPV6_PKTINFO;
	c->cmsg_len = is4 ? CMSG_LEN(sizeof(f->local.v4)) : CMSG_LEN(sizeof(f->local.v6));
	memcpy(CMSG_DATA(c), &f->local, is4 ? sizeof(f->local.v4) : sizeof(f->local.v6));
	(void)!sendmsg(f->port->src.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT); /* a lost datagram is a lost datagram */
}

static int on_answer(void *arg, uint32_t events, struct err *e)
{
	struct flow *f = arg;
	(void)events;
	(void)e;
	for (int i = 0; i < BATCH; i++) {
		ssize_t n = recv(f->inside.fd, f->d->datagram, DATAGRAM_MAX, 0);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n >= 0) { /* else: nobody listens inside; the payload may start yet */
			touch(f);
			send_to_client(f, (size_t)n);
		}
	}
	return 0;
}

static void read_local(struct flow *f, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&f->local.v4, CMSG_DATA(c), sizeof(f->local.v4));
			f->local.v4.ipi_ifindex = 0; /* as routed */
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&f->local.v6, CMSG_DATA(c), sizeof(f->local.v6));
			if (!IN6_IS_ADDR_LINKLOCAL(&f->local.v6.ipi6_addr))
				f->local.v6.ipi6_ifindex = 0;
		}
	}
}

/* Whose flow makes room when there are as many as there may be. */
static const struct port *victim(const struct port *p)
{
	const struct portd *d = p->d;
	const struct port *most = p;
	size_t count = 0;
	for (const struct port *q = d->ports; q; q = q->next) {
		count += q->p.proto == NET_PORT_UDP;
		if (q->p.proto == NET_PORT_UDP && q->files > most->files)
			most = q;
	}
	size_t part = RL_MAX(FLOWS_MAX / RL_MAX(count, (size_t)1), (size_t)1);
	return p->files >= part ? p : most;
}

static bool make_room(struct port *p)
{
	if (p->d->nflows == FLOWS_MAX)
		flow_end(victim(p)->oldest);
	while (!share_take(p, 1)) {
		if (!p->oldest)
			return false;
		flow_end(p->oldest);
	}
	return true;
}

static struct flow *flow_begin(struct port *p, const union addr *peer, struct msghdr *m)
{
	struct portd *d = p->d;
	union addr src, dst;
	if (!make_room(p))
		return NULL;
	client_inside(d, peer, p->p.inside, &src, &dst);
	struct client *client = client_use(d, &src);
	int fd = client ? inside_socket(SOCK_DGRAM, &src, &dst) : -ENETUNREACH;
	if (fd < 0) {
		log_debug(LOG_NET, "no flow: error %d", -fd);
		client_release(d, client);
		share_return(p, 1);
		return NULL;
	}
	struct flow *f = xcalloc(1, sizeof(*f));
	*f = (struct flow){.d = d, .port = p, .client = client, .peer = *peer, .inside = EVENT_SOURCE_INIT};
	read_local(f, m);
	struct err why = ERR_INIT;
	if (event_add(&d->loop, &f->inside, fd, EPOLLIN, on_answer, f, &why) < 0) {
		log_debug(LOG_NET, "%s", why.text);
		close(fd);
		client_release(d, client);
		share_return(p, 1);
		free(f);
		return NULL;
	}
	struct flow **at = bucket(d, p, peer);
	f->next = *at;
	*at = f;
	order_append(f);
	d->nflows++;
	if (!d->flow_timer.when_ns)
		event_timer_set(&d->loop, &d->flow_timer, SWEEP_S * SECOND, on_sweep, d);
	return f;
}

static bool same_addr(const union addr *a, const union addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

static void take_datagram(struct port *p, const union addr *peer, struct msghdr *m, size_t len)
{
	struct flow *f = *bucket(p->d, p, peer);
	while (f && (f->port != p || !same_addr(&f->peer, peer)))
		f = f->next;
	if (!f)
		f = flow_begin(p, peer, m);
	if (!f)
		return;
	touch(f);
	(void)!send(f->inside.fd, p->d->datagram, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int udp_on_datagram(void *arg, uint32_t events, struct err *e)
{
	struct port *p = arg;
	(void)events;
	(void)e;
	for (int i = 0; i < BATCH; i++) {
		union addr peer = {0};
		_Alignas(struct cmsghdr) char control[128];
		struct iovec iov = {p->d->datagram, DATAGRAM_MAX};
		struct msghdr m = {.msg_name = &peer,
				   .msg_namelen = sizeof(peer),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(p->src.fd, &m, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n >= 0)
			take_datagram(p, &peer, &m, (size_t)n);
	}
	return 0;
}
