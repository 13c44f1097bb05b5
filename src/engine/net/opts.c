/*
 * opts.c - options of the user-mode network: defaults, what was asked for, and a subnet that does not clash.
 *
 * A clash means: one of the host's routes other than a default route covers the container's subnet, so that
 * the container could not reach hosts there. Candidates are tried in the order of the table below; when a host routes
 * all private space somewhere (a full VPN), nothing helps and the default stays.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/net.h"
#include "rl/kern/netlink.h"
#include "rl/model/slirp_opt.h"

static void set_subnet(struct net_slirp_opts *o, uint32_t network, unsigned prefix)
{
	o->prefix = prefix;
	o->network.s_addr = htonl(network);
	o->gateway.s_addr = htonl(network + 2);
	o->dns.s_addr = htonl(network + 3);
	/* .100 where the subnet has one, as everybody knows it from slirp4netns; else right behind ours. */
	o->address.s_addr = htonl(network + (prefix <= 24 ? 100 : prefix <= 28 ? 10 : 4));
}

static void set_subnet6(struct net_slirp_opts *o, uint16_t third)
{
	struct in6_addr a = {.s6_addr = {0xfd, 0}};
	a.s6_addr[6] = (uint8_t)(third >> 8);
	a.s6_addr[7] = (uint8_t)third;
	o->network6 = o->address6 = o->gateway6 = a;
	o->address6.s6_addr[14] = 1; /* ::100 */
	o->gateway6.s6_addr[15] = 2;
}

void net_slirp_opts_init(struct net_slirp_opts *o)
{
	*o = (struct net_slirp_opts){
		.mtu = NET_MTU_DEFAULT, .ifname = "eth0", .ipv6 = true, .resolv_path = "/etc/resolv.conf"};
	io_random(o->mac, sizeof(o->mac));
	o->mac[0] = (uint8_t)((o->mac[0] & 0xfc) | 0x02); /* unicast, locally administered */
	set_subnet(o, 0x0a000200, 24);
	set_subnet6(o, 0);
}

void net_slirp_set_shared(struct net_slirp_opts *o, struct in_addr network, unsigned prefix, struct in_addr gateway)
{
	uint32_t first = ntohl(network.s_addr);
	uint32_t last = first | (uint32_t)(0xffffffffull >> prefix);
	o->shared = o->cidr_given = o->chosen = true;
	o->prefix = prefix;
	o->network = network;
	o->gateway = gateway;
	o->dns.s_addr = htonl(last - 1 == ntohl(gateway.s_addr) ? last - 2 : last - 1);
	o->address.s_addr = 0;
	o->ipv6 = false;
}

void net_slirp_set_shared6(struct net_slirp_opts *o, const struct in6_addr *network, const struct in6_addr *gateway)
{
	o->ipv6 = true;
	o->network6 = *network;
	o->gateway6 = *gateway;
	o->address6 = (struct in6_addr){0};
}

int net_slirp_parse(const char *text, struct net_slirp_opts *o, struct err *e)
{
	struct slirp_opt said;
	int r = slirp_opt_parse(text, &said, e);
	if (r < 0)
		return r;
	if (said.mtu)
		o->mtu = said.mtu;
	if (said.cidr_given) {
		set_subnet(o, said.network, said.prefix);
		o->cidr_given = true;
	}
	o->fast = said.fast;
	if (said.enable_ipv6 >= 0)
		o->ipv6 = said.enable_ipv6;
	if (said.allow_host_loopback >= 0)
		o->host_access = said.allow_host_loopback ? NET_HOST_ALL : NET_HOST_NONE;
	if (*said.outbound_addr)
		memcpy(o->outbound, said.outbound_addr, sizeof(o->outbound));
	if (*said.outbound_addr6)
		memcpy(o->outbound6, said.outbound_addr6, sizeof(o->outbound6));
	return 0;
}

int net_slirp_set_host_access(const struct strv *items, struct net_slirp_opts *o, struct err *e)
{
	struct net_slirp_opts parsed = *o;
	for (size_t i = 0; i < items->count; i++) {
		const char *item = items->items[i];
		uint64_t port = 0;
		if (str_eq(item, "none")) {
			parsed.host_access = NET_HOST_NONE;
			parsed.host_ports_count = 0;
		} else if (str_eq(item, "all")) {
			parsed.host_access = NET_HOST_ALL;
		} else {
			int r = str_to_u64(item, 65535, "--host-access", &port, e);
			if (r < 0)
				return r;
			if (port == 0)
				return err_set(e, EINVAL, "--host-access 0: not a port");
			if (parsed.host_ports_count == NET_HOST_PORTS_MAX)
				return err_set(e, E2BIG, "--host-access: more than %d ports", NET_HOST_PORTS_MAX);
			if (parsed.host_access == NET_HOST_NONE)
				parsed.host_access = NET_HOST_PORTS;
			parsed.host_ports[parsed.host_ports_count++] = (uint16_t)port;
		}
	}
	*o = parsed;
	return 0;
}

int net_slirp_set_dns(const struct strv *addresses, struct net_slirp_opts *o, struct err *e)
{
	struct net_servers servers = o->dns_servers;
	for (size_t i = 0; i < addresses->count; i++) {
		struct net_server s = {.port = 53};
		if (inet_pton(AF_INET, addresses->items[i], &s.addr.v4) == 1)
			s.family = AF_INET;
		else if (inet_pton(AF_INET6, addresses->items[i], &s.addr.v6) == 1)
			s.family = AF_INET6;
		else
			return err_set(e, EINVAL, "--dns %s: not an IP address", addresses->items[i]);
		if (servers.count == NET_SERVERS_MAX)
			return err_set(e, E2BIG, "--dns: more than %d servers", NET_SERVERS_MAX);
		servers.items[servers.count++] = s;
	}
	o->dns_servers = servers;
	return 0;
}

/* ---- a subnet of our own ---- */

enum { CANDIDATES = 16, CANDIDATES6 = 8 };

/* 10.0.2, 10.0.3 ... stay recognisable; then places where home, office and cloud networks seldom are. */
static const uint32_t candidates[CANDIDATES] = {
	0x0a000200, 0x0a000300, 0x0a000400, 0x0a002a00, 0x0a540200, 0x0a630200, 0x0a7b0200, 0x0aa50200,
	0x0ac70200, 0x0afb0200, 0xac1f0200, 0xac1d0200, 0xc0a8f200, 0xc0a84f00, 0xc6120200, 0x64400200,
};

struct clashes {
	bool taken[CANDIDATES];
	bool taken6[CANDIDATES6];
};

/* Do the first `bits` bits agree? */
static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned bytes = bits / 8;
	if (memcmp(a, b, bytes) != 0)
		return false;
	return bits % 8 == 0 || (a[bytes] ^ b[bytes]) >> (8 - bits % 8) == 0;
}

static int note_clash(const struct nl_route *route, void *arg)
{
	struct clashes *c = arg;
	if (route->prefix == 0)
		return 0;
	for (unsigned i = 0; route->family == AF_INET && i < CANDIDATES; i++) {
		uint32_t net = htonl(candidates[i]);
		c->taken[i] |= same_prefix(route->dst, (const unsigned char *)&net, RL_MIN(route->prefix, 24u));
	}
	for (unsigned i = 0; route->family == AF_INET6 && i < CANDIDATES6; i++) {
		unsigned char net[16] = {0xfd, [7] = (unsigned char)i};
		c->taken6[i] |= same_prefix(route->dst, net, RL_MIN(route->prefix, 64u));
	}
	return 0;
}

int net_slirp_choose_subnet(struct net_slirp_opts *o, struct err *e)
{
	struct clashes c = {0};
	struct nl nl = NL_NONE;
	if (o->chosen)
		return 0;
	int r = nl_open(&nl, e);
	if (r >= 0) {
		r = nl_routes(&nl, o->ipv6 ? AF_UNSPEC : AF_INET, note_clash, &c, e);
		nl_close(&nl);
	}
	if (r < 0)
		return err_ctx(e, "look for a free subnet");
	for (unsigned i = 0; !o->cidr_given && i < CANDIDATES; i++) {
		if (c.taken[i])
			continue;
		if (i)
			log_debug(LOG_NET, "the default subnet clashes with the host's routes, candidate %u is free",
				  i);
		set_subnet(o, candidates[i], 24);
		break;
	}
	for (unsigned i = 0; o->ipv6 && i < CANDIDATES6; i++) {
		if (c.taken6[i])
			continue;
		set_subnet6(o, (uint16_t)i);
		break;
	}
	o->chosen = true;
	return 0;
}
