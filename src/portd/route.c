/*
 * route.c - how a client's own address can be used inside.
 *
 * A socket here, in the container's network namespace, is bound to the client's address (IP_TRANSPARENT) and connected
 * to the container's: both ends of the connection are in this namespace, and its packets go over lo. The payload's
 * answers are for an address that is not here, though, and would leave by the default route. So, per published port, a
 * rule sends packets from that port to a table of ours, where each client that has something open stands as a local
 * address. What the payload sends from that port to anybody else is not in the table and takes its normal way.
 *
 * A route stays when its client's last connection is gone, because the other end may still have a word to say, and goes
 * when many clients have come since.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "portd.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum {
	BUCKETS = 4096,
	IDLE_MAX = 4096, /* routes kept for clients with nothing open */
};

struct client {
	int family;
	uint8_t addr[16];
	uint32_t uses;
	struct client *next;		      /* in the bucket */
	struct client *idle_next, *idle_prev; /* while uses is 0: oldest first */
};

struct covered {
	enum net_port_proto proto;
	int family;
	uint16_t port;
};

struct clients {
	struct client *buckets[BUCKETS];
	struct client *idle_first, *idle_last;
	size_t idle_count;
	struct covered *covered;
	size_t ncovered;
};

void clients_init(struct portd *d)
{
	d->clients = xcalloc(1, sizeof(*d->clients));
}

static int add_rule(struct portd *d, int family, const struct net_port *p, struct err *e)
{
	struct clients *all = d->clients;
	for (size_t i = 0; i < all->ncovered; i++) {
		const struct covered *c = &all->covered[i];
		if (c->proto == p->proto && c->family == family && c->port == p->inside)
			return 0;
	}
	nl_rule_add(&d->nl, &(struct nl_rule){.family = family,
					      .priority = PORTD_RULE_PRIORITY,
					      .table = PORTD_TABLE,
					      .proto = p->proto == NET_PORT_TCP ? IPPROTO_TCP : IPPROTO_UDP,
					      .sport_first = p->inside,
					      .sport_last = p->inside});
	int r = nl_flush(&d->nl, e);
	if (r == -EEXIST) { /* of a forwarder before us */
		err_clear(e);
		r = 0;
	}
	if (r < 0)
		return r;
	all->covered = xreallocarray(all->covered, all->ncovered + 1, sizeof(*all->covered));
	all->covered[all->ncovered++] = (struct covered){.proto = p->proto, .family = family, .port = p->inside};
	return 0;
}

int clients_add_port(struct portd *d, const struct net_port *p, struct err *e)
{
	int r = d->cfg.has4 ? add_rule(d, AF_INET, p, e) : 0;
	if (r >= 0 && d->cfg.has6)
		r = add_rule(d, AF_INET6, p, e);
	return r < 0 ? err_ctx(e, "routing of answers from port %u", p->inside) : 0;
}

static const uint8_t *addr_bytes(const union addr *a)
{
	return a->sa.sa_family == AF_INET ? (const uint8_t *)&a->in.sin_addr : a->in6.sin6_addr.s6_addr;
}

socklen_t addr_size(const union addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

static struct client **bucket(struct clients *all, int family, const uint8_t *addr)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < (family == AF_INET ? 4 : 16); i++)
		hash = (hash ^ addr[i]) * 16777619u;
	return &all->buckets[hash % BUCKETS];
}

static void idle_unlink(struct clients *all, struct client *c)
{
	*(c->idle_prev ? &c->idle_prev->idle_next : &all->idle_first) = c->idle_next;
	*(c->idle_next ? &c->idle_next->idle_prev : &all->idle_last) = c->idle_prev;
	c->idle_next = c->idle_prev = NULL;
	all->idle_count--;
}

static void forget_oldest(struct portd *d)
{
	struct clients *all = d->clients;
	struct client *c = all->idle_first;
	struct client **p = bucket(all, c->family, c->addr);
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	idle_unlink(all, c);
	nl_route_local_del(&d->nl, PORTD_TABLE, c->family, c->addr);
	(void)!nl_flush(&d->nl, NULL);
	free(c);
}

struct client *client_use(struct portd *d, const union addr *a)
{
	if (!d->cfg.has4 && !d->cfg.has6)
		return NULL; /* it has left its last network; "any address" would mean its loopback */
	struct clients *all = d->clients;
	int family = a->sa.sa_family;
	size_t len = family == AF_INET ? 4 : 16;
	struct client **at = bucket(all, family, addr_bytes(a));
	struct client *c = *at;
	while (c && (c->family != family || memcmp(c->addr, addr_bytes(a), len) != 0))
		c = c->next;
	if (!c) {
		struct err why = ERR_INIT;
		const void *own = family == AF_INET ? (const void *)&d->cfg.address : &d->cfg.address6;
		nl_route_local_add(&d->nl, PORTD_TABLE, family, addr_bytes(a), own);
		if (nl_flush(&d->nl, &why) < 0) {
			log_debug(LOG_NET, "%s", why.text);
			return NULL;
		}
		c = xcalloc(1, sizeof(*c));
		c->family = family;
		memcpy(c->addr, addr_bytes(a), len);
		c->next = *at;
		*at = c;
	} else if (!c->uses) {
		idle_unlink(all, c);
	}
	c->uses++;
	return c;
}

void client_release(struct portd *d, struct client *c)
{
	struct clients *all = d->clients;
	if (!c || --c->uses)
		return;
	c->idle_prev = all->idle_last;
	*(all->idle_last ? &all->idle_last->idle_next : &all->idle_first) = c;
	all->idle_last = c;
	if (++all->idle_count > IDLE_MAX)
		forget_oldest(d);
}

/* May this address stand as the sender of a packet inside? */
static bool is_usable(const struct portd *d, const union addr *a)
{
	if (a->sa.sa_family == AF_INET) {
		uint32_t n = ntohl(a->in.sin_addr.s_addr);
		return n >> 24 != 127 && n >> 24 != 0 && n < 0xe0000000 && n >> 16 != 0xa9fe &&
		       a->in.sin_addr.s_addr != d->cfg.address.s_addr;
	}
	const struct in6_addr *six = &a->in6.sin6_addr;
	return !IN6_IS_ADDR_LOOPBACK(six) && !IN6_IS_ADDR_UNSPECIFIED(six) && !IN6_IS_ADDR_LINKLOCAL(six) &&
	       !IN6_IS_ADDR_MULTICAST(six) && !IN6_IS_ADDR_V4MAPPED(six) && !IN6_ARE_ADDR_EQUAL(six, &d->cfg.address6);
}

void client_inside(const struct portd *d, const union addr *client, uint16_t port, union addr *ret_src,
		   union addr *ret_dst)
{
	const struct net_portd_config *c = &d->cfg;
	bool is4 = client->sa.sa_family == AF_INET;
	bool keep = (is4 ? c->has4 : c->has6) && is_usable(d, client);
	uint16_t client_port = is4 ? client->in.sin_port : client->in6.sin6_port;
	bool use4 = is4 ? c->has4 : !c->has6;
	if (use4) {
		ret_src->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = client_port};
		ret_src->in.sin_addr = keep ? client->in.sin_addr : c->gateway;
		ret_dst->in = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = c->address};
		return;
	}
	ret_src->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = client_port};
	ret_src->in6.sin6_addr = keep ? client->in6.sin6_addr : c->gateway6;
	ret_dst->in6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = c->address6};
}

static int bind_as(int fd, const union addr *src)
{
	if (bind(fd, &src->sa, addr_size(src)) == 0)
		return 0;
	/* The very port is taken (by another loopback address that appears as the gateway too) or may not be used: the
	 * address is what matters. */
	union addr any = *src;
	if (any.sa.sa_family == AF_INET)
		any.in.sin_port = 0;
	else
		any.in6.sin6_port = 0;
	return bind(fd, &any.sa, addr_size(&any)) == 0 ? 0 : -errno;
}

int inside_socket(int type, const union addr *src, const union addr *dst)
{
	bool is4 = src->sa.sa_family == AF_INET;
	static const int on = 1;
	for (int tries = 0;; tries++) {
		union addr from = *src;
		if (tries) { /* the old connection of the same address and port still has its 60 seconds */
			if (is4)
				from.in.sin_port = 0;
			else
				from.in6.sin6_port = 0;
		}
		autofd int fd = socket(src->sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		if (setsockopt(fd, is4 ? SOL_IP : SOL_IPV6, is4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)) <
		    0)
			return -errno;
		if (type == SOCK_STREAM)
			(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		int r = bind_as(fd, &from);
		if (r < 0)
			return r;
		if (connect(fd, &dst->sa, addr_size(dst)) == 0 || errno == EINPROGRESS)
			return take_fd(&fd);
		if (errno != EADDRNOTAVAIL || tries)
			return -errno;
	}
}
