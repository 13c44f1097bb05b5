/* links: engine/net kern model base; libs: -lslirp -lcap-ng -lseccomp -ljansson */
/*
 * fuzz_netd.c - raw frames of hostile containers through rl-netd's own code: its sources are included, with everything from
 * the frame in hand to libslirp, the resolver, ping, egress policies and a shared network's names.
 *
 * Input: one byte that chooses the set-up (1: a network with two containers, 2: a policy, 4: the other list), then frames
 * as frames.h has them. Flag 32: from the other container; 64: the bytes are the answer of a name server to the query in
 * hand.
 *
 * connect, sendto and sockets are answered here, so that nothing leaves the machine. Checked besides what the sanitizers
 * see: with a policy libslirp opens nothing but the one target that was judged, and nothing that is denied.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Several of them have functions and constants of the same name. */
#include "src/netd/buffers.c"
#include "src/netd/device.c"
#define find hosts_find
#include "src/netd/hosts.c"
#undef find
#define find   rights_find
#define refuse rights_refuse
#include "src/netd/rights.c"
#undef find
#undef refuse
#define find	ping_find
#define finish	ping_finish
#define IDLE_MS PING_IDLE_MS
#include "src/netd/ping.c"
#undef find
#undef finish
#undef IDLE_MS
#include "frames.h"
#define TCP_SYN TIMEWAIT_SYN
#include "src/netd/timewait.c"
#undef TCP_SYN
#include "src/netd/loop.c"
#include "src/netd/resolver.c"

static struct net_target only;
static struct netd *instances[8];

/* ---- what guard.c and the kernel would do ---- */

void guard_init(const struct frame_policy *p)
{
	(void)p;
}

void guard_share(void)
{
}

void guard_only(const struct net_target *t)
{
	only = t ? *t : (struct net_target){.family = 0};
}

unsigned guard_resolver_count(void)
{
	return 0;
}

static void check_target(const struct sockaddr *addr, socklen_t len)
{
	if (!only.family || !addr || (addr->sa_family != AF_INET && addr->sa_family != AF_INET6))
		return;
	must(addr->sa_family == only.family);
	must(len >= (only.family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
	const void *at = only.family == AF_INET
				 ? (const void *)&((const struct sockaddr_in *)(const void *)addr)->sin_addr
				 : &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
	must(memcmp(at, only.address, only.family == AF_INET ? 4 : 16) == 0);
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)fd;
	check_target(addr, len);
	errno = ENETUNREACH;
	return -1;
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
	(void)fd;
	(void)data;
	(void)flags;
	check_target(addr, len);
	return (ssize_t)n;
}

/* The TCP resolver's connections come over a socket that is not there. */
void resolver_tcp_expect(struct resolver_tcp *t, const uint8_t mac[NET_MAC_LEN])
{
	(void)t;
	(void)mac;
}

void resolver_tcp_fill(struct resolver_tcp *t, struct poll_set *s)
{
	(void)t;
	(void)s;
}

void resolver_tcp_poll(struct resolver_tcp *t, const struct poll_set *s)
{
	(void)t;
	(void)s;
}

void resolver_tcp_servers_came(struct resolver_tcp *t)
{
	(void)t;
}

/* ---- set-up ---- */

static const uint8_t macs[2][NET_MAC_LEN] = {{2, 1, 2, 3, 4, 5}, {2, 1, 2, 3, 4, 6}};

static void add_rights(struct netd *n, const uint8_t *mac, bool deny)
{
	struct net_rights r = {.host_access = NET_HOST_PORTS, .host_ports_count = 1, .host_ports = {80}};
	struct err e = ERR_INIT;
	memcpy(r.mac, mac, NET_MAC_LEN);
	must(net_policy_add(&r.policy,
			    deny ? "metadata,example.org,10.0.0.0/8" : "example.org:80,*.example.net,192.0.2.0/24,::/1",
			    deny, &e) == 0);
	must(rights_set(n, &r, -1, &e) == 0);
}

static struct netd *set_up(unsigned how)
{
	struct netd *n = xcalloc(1, sizeof(*n));
	struct err e = ERR_INIT;
	net_slirp_opts_init(&n->opts);
	memcpy(n->opts.mac, macs[0], NET_MAC_LEN);
	if (how & 1) {
		struct in6_addr net6 = {.s6_addr = {0xfd, 0x89}}, gw6 = {.s6_addr = {0xfd, 0x89, [15] = 1}};
		net_slirp_set_shared(&n->opts, (struct in_addr){htonl(0x0a590000)}, 24,
				     (struct in_addr){htonl(0x0a590001)});
		net_slirp_set_shared6(&n->opts, &net6, &gw6);
	}
	n->opts.dns_servers = n->servers = (struct net_servers){
		.count = 1, .items = {{.family = AF_INET, .port = 53, .addr.v4.s_addr = htonl(0xc0000235)}}};
	frame_policy_init(&n->opts, &n->policy);
	n->control_fd = -1;
	n->device.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	must(loop_init(n, &e) == 0);
	for (unsigned i = 0; i < 2 && how & 1; i++) {
		struct net_host h = {.address.s_addr = htonl(0x0a590002 + i),
				     .address6.s6_addr = {0xfd, 0x89, [15] = (uint8_t)(2 + i)}};
		memcpy(h.mac, macs[i], NET_MAC_LEN);
		memcpy(h.names, i ? "two\0" : "one\0", 5);
		if (how & 2 && i == 0)
			add_rights(n, macs[0], how & 4);
		hosts_add(n, &h);
	}
	if ((how & 3) == 2)
		add_rights(n, macs[0], how & 4);
	return n;
}

/* ---- frames ---- */

static void repair(const struct netd *n, uint8_t *f, size_t len, uint8_t flags)
{
	struct frame_origin who = {macs[n->hosts && flags & 32], n->opts.address, n->opts.address6};
	for (size_t i = 0; n->hosts && i < n->hosts->count; i++)
		if (memcmp(n->hosts->items[i].mac, who.mac, NET_MAC_LEN) == 0) {
			who.address = n->hosts->items[i].address;
			who.address6 = n->hosts->items[i].address6;
		}
	frame_repair(&who, f, len, flags);
}

/* What a name server could say to the container that asked. */
static void take_answer(const struct netd *n, const uint8_t *msg, size_t len)
{
	for (size_t i = 0; i < n->rights->count; i++)
		if (n->rights->items[i].egress)
			(void)egress_learn(n->rights->items[i].egress, msg, len, netd_now_ms());
}

/* Queries and echo requests under way: their sockets lead nowhere. */
static void finish_all(struct netd *n)
{
	for (size_t i = 0; i < QUERIES_MAX; i++)
		if (n->resolver->queries[i].msg)
			finish(n->resolver, &n->resolver->queries[i]);
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (n->ping->sessions[i].fd >= 0)
			ping_finish(n->ping, &n->ping->sessions[i]);
	uint32_t timeout = UINT32_MAX;
	slirp_pollfds_fill(n->slirp, &timeout, frame_add_poll, NULL);
	slirp_pollfds_poll(n->slirp, 0, frame_no_events, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct netd **n = &instances[data[0] & 7];
	*n = *n ? *n : set_up(data[0] & 7);
	data++;
	size--;
	size_t len;
	uint8_t flags;
	for (uint8_t *f; (f = frame_take(&data, &size, &len, &flags)); free(f)) {
		if (flags & 64) {
			take_answer(*n, f, len);
		} else {
			repair(*n, f, len, flags);
			take_frame(*n, f, len);
		}
	}
	finish_all(*n);
	return 0;
}
