/*
 * bridge.c - the rules beside a network's bridge: who may speak on it, and as root what the host does with its packets.
 *
 * On the bridge (table "bridge", in the namespace the bridge is in): a port passes only what its container may send, by
 * MAC address, ARP, IPv4 and IPv6 source and what it advertises as a neighbour. So no container can take a neighbour's
 * address, its traffic or its name service's answers, whatever raw frames it makes. Who may send what is in three sets,
 * changed with each container.
 *
 * On the host (table "inet", where root has the bridge in the host's namespace): nothing new is forwarded to the bridge
 * but what was published; what leaves it gets the host's address; published IPv4 ports are in maps. Interfaces that
 * forward only because of us (forward.c) pass nothing new to anywhere else.
 *
 * Nobody else's table is touched. A packet that we accept may still be dropped by another table, and nothing can be done
 * about that from ours: where the host has a firewall that drops what it does not know, the network is as an ordinary
 * user's, with rl-netd as its way out and rl-portd for its ports. Both are ordinary programs to such a firewall.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "net_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "rl/kern/netlink.h"
#include "rl/kern/nft.h"

static const char ours[] = "rl-";

static void set_private_names(struct net_place *p)
{
	snprintf(p->bridge, sizeof(p->bridge), "rl0");
	snprintf(p->ports, sizeof(p->ports), "port");
	snprintf(p->table, sizeof(p->table), "rl");
}

void net_place_init(const char *id, bool on_host, const char *bridge, struct net_place *ret)
{
	struct net_place p = {.on_host = on_host};
	if (!on_host) {
		set_private_names(&p);
	} else {
		if (bridge)
			snprintf(p.bridge, sizeof(p.bridge), "%s", bridge);
		else
			snprintf(p.bridge, sizeof(p.bridge), "%s%.8s", ours, id);
		snprintf(p.ports, sizeof(p.ports), "rl%.6s.", id);
		snprintf(p.table, sizeof(p.table), "%s%.12s", ours, id);
		(void)sscanf(id, "%2hhx%2hhx%2hhx%2hhx%2hhx", &p.mac[1], &p.mac[2], &p.mac[3], &p.mac[4], &p.mac[5]);
		p.mac[0] = 0x02;
	}
	*ret = p;
}

void net_place_set_linked(struct net_place *p)
{
	memcpy(p->host_end, p->bridge, sizeof(p->host_end));
	p->on_host = false;
	p->linked = true;
	set_private_names(p);
}

/* ---- text ---- */

static void fresh_table(const struct net_place *p, const char *family, struct str *out)
{
	str_addf(out, "add table %s %s\ndelete table %s %s\n", family, p->table, family, p->table);
}

static void speaker_rules(const struct net_place *p, struct str *out)
{
	fresh_table(p, "bridge", out);
	str_addf(out,
		 "table bridge %s {\n"
		 " set who4 { type ifname . ether_addr . ipv4_addr; }\n"
		 " set who6 { type ifname . ether_addr . ipv6_addr; }\n"
		 " set neighbour6 { typeof iifname . ether saddr . @th,64,128; }\n"
		 " set guarded { type ifname; }\n"
		 " chain in { type filter hook prerouting priority -300; policy accept;\n"
		 "  iifname != \"%s*\" accept\n"
		 "  iifname \"%sup\" accept\n"
		 "  iifname @guarded ether daddr %02x:%02x:%02x:%02x:%02x:%02x drop\n" /* the host's end */
		 "  ether type arp iifname . ether saddr . arp saddr ip @who4 "
		 "iifname . arp saddr ether . arp saddr ip @who4 accept\n"
		 "  ether type ip iifname . ether saddr . ip saddr @who4 accept\n"
		 "  ether type ip6 icmpv6 type 136 iifname . ether saddr . @th,64,128 @neighbour6 "
		 "iifname . ether saddr . ip6 saddr @who6 accept\n"
		 /* advertised neighbours, routers and redirects of others */
		 "  ether type ip6 icmpv6 type { 134, 136, 137 } drop\n"
		 "  ether type ip6 iifname . ether saddr . ip6 saddr @who6 accept\n"
		 "  drop\n"
		 " }\n}\n",
		 p->table, p->ports, p->ports, p->mac[0], p->mac[1], p->mac[2], p->mac[3], p->mac[4], p->mac[5]);
}

static void nat_rules(const struct net_place *p, struct str *out)
{
	char network[INET_ADDRSTRLEN];
	char network6[INET6_ADDRSTRLEN];
	net_addr4_text(p->network, network);
	net_addr6_text(&p->network6, network6);
	str_addf(out,
		 " chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n"
		 "  ip saddr %s/%u oifname != \"%s\" masquerade\n",
		 network, p->prefix, p->bridge);
	if (p->routes6)
		str_addf(out, "  ip6 saddr %s/64 oifname != \"%s\" masquerade\n", network6, p->bridge);
	str_adds(out, " }\n");
	static const char *const protocols[] = {"tcp", "udp"};
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		str_addf(out,
			 " map %s_any { type inet_service : ipv4_addr . inet_service; }\n"
			 " map %s_at { type ipv4_addr . inet_service : ipv4_addr . inet_service; }\n",
			 protocols[i], protocols[i]);
	str_adds(out, " chain prerouting { type nat hook prerouting priority dstnat; policy accept;\n");
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		/* What comes from the network itself goes to rl-portd, which keeps its address. */
		str_addf(out,
			 "  iifname != \"%s\" dnat ip to ip daddr . %s dport map @%s_at\n"
			 "  iifname != \"%s\" meta nfproto ipv4 fib daddr type local dnat ip to %s dport map @%s_any\n",
			 p->bridge, protocols[i], protocols[i], p->bridge, protocols[i], protocols[i]);
	str_adds(out, " }\n");
}

static void host_rules(const struct net_place *p, struct str *out)
{
	fresh_table(p, "inet", out);
	str_addf(out,
		 "table inet %s {\n"
		 " set uplinks { type ifname; }\n"
		 " set same { type ifname . ifname; }\n"
		 " chain forward { type filter hook forward priority filter; policy accept;\n"
		 "  iifname \"%s\" oifname \"%s\" accept\n"
		 "  ct state established,related accept\n"
		 "  ct status dnat accept\n"
		 "  oifname \"%s\" drop\n"
		 "  iifname \"%s\" meta nfproto ipv4 %s\n"
		 "  iifname \"%s\" meta nfproto ipv6 %s\n"
		 /* frames on a bridge of the host's, where br_netfilter shows them here too */
		 "  iifname . oifname @same accept\n"
		 "  iifname @uplinks drop\n"
		 " }\n",
		 p->table, p->bridge, p->bridge, p->bridge, p->bridge, p->routes4 ? "accept" : "drop", p->bridge,
		 p->routes6 ? "accept" : "drop");
	if (p->routes4)
		nat_rules(p, out);
	str_adds(out, "}\n");
}

int net_place_rules(const struct net_place *p, struct err *e)
{
	autostr struct str text = STR_INIT;
	speaker_rules(p, &text);
	if (p->on_host)
		host_rules(p, &text);
	return nft_run(text.buf, e);
}

/* An interface of this name may be somebody else's. */
static bool is_ours(const struct net_place *p, const struct nl *nl)
{
	struct ifreq ifr = {0};
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", p->bridge);
	return ioctl(nl->fd, SIOCGIFHWADDR, &ifr) == 0 && memcmp(ifr.ifr_hwaddr.sa_data, p->mac, NET_MAC_LEN) == 0;
}

void net_place_clear(const struct net_place *p)
{
	struct err why = ERR_INIT;
	struct nl nl = NL_NONE;
	autostr struct str text = STR_INIT;
	if (!p->on_host)
		return;
	fresh_table(p, "bridge", &text);
	fresh_table(p, "inet", &text);
	int r = nft_run(text.buf, &why);
	if (r < 0 && r != -ENOENT)
		log_debug(LOG_NET, "%s", why.text);
	int index = nl_open(&nl, &why) < 0 || !is_ours(p, &nl) ? -1 : nl_link_index(&nl, p->bridge, NULL);
	if (index > 0) {
		nl_link_del(&nl, index);
		if (nl_flush(&nl, &why) < 0)
			log_debug(LOG_NET, "%s", why.text);
	}
	nl_close(&nl);
}

/* ---- elements ---- */

static void put_name(struct nft_element *x, const char *name)
{
	char padded[IFNAMSIZ] = "";
	snprintf(padded, sizeof(padded), "%s", name);
	nft_put(x->key, &x->key_len, padded, sizeof(padded));
}

static void speaker(struct nft_batch *b, const struct net_place *p, const char *set, const char *port,
		    const struct net_host *h, const void *address, size_t len, bool add)
{
	struct nft_element x = {.family = NFPROTO_BRIDGE, .table = p->table, .set = set};
	put_name(&x, port);
	nft_put(x.key, &x.key_len, h->mac, sizeof(h->mac));
	nft_put(x.key, &x.key_len, address, len);
	nft_element(b, &x, add);
}

int net_place_speaker(const struct net_place *p, int nft, const char *port, const struct net_lease *lease, bool add,
		      struct err *e)
{
	const struct net_host *h = &lease->host;
	struct nft_element guarded = {.family = NFPROTO_BRIDGE, .table = p->table, .set = "guarded"};
	autofree struct nft_batch *b = xmalloc(sizeof(*b));
	nft_begin(b);
	put_name(&guarded, port);
	if (lease->guarded)
		nft_element(b, &guarded, add);
	speaker(b, p, "who4", port, h, &h->address, sizeof(h->address), add);
	if (!IN6_IS_ADDR_UNSPECIFIED(&h->address6)) {
		speaker(b, p, "who6", port, h, &h->address6, sizeof(h->address6), add);
		speaker(b, p, "neighbour6", port, h, &h->address6, sizeof(h->address6), add);
	}
	return nft_commit(nft, b, e);
}

int net_place_uplink(const struct net_place *p, int nft, const char *interface, struct err *e)
{
	autofree struct nft_batch *b = xmalloc(sizeof(*b));
	struct nft_element x = {.family = NFPROTO_INET, .table = p->table, .set = "uplinks"};
	put_name(&x, interface);
	nft_begin(b);
	nft_element(b, &x, true);
	x.set = "same";
	put_name(&x, interface);
	nft_element(b, &x, true);
	return nft_commit(nft, b, e);
}

int net_place_port(const struct net_place *p, int nft, struct in_addr container, const struct net_port *port, bool add,
		   struct err *e)
{
	bool udp = port->proto == NET_PORT_UDP;
	struct in_addr at;
	uint16_t host = htons(port->host);
	uint16_t inside = htons(port->inside);
	memcpy(&at, &port->addr, sizeof(at));
	/* A client of the host's loopback is served by rl-portd. */
	if (!p->routes4 || port->family != AF_INET || ntohl(at.s_addr) >> 24 == 127)
		return 0;
	bool any = at.s_addr == INADDR_ANY;
	struct nft_element x = {.family = NFPROTO_INET,
				.table = p->table,
				.set = any ? (udp ? "udp_any" : "tcp_any") : (udp ? "udp_at" : "tcp_at")};
	if (!any)
		nft_put(x.key, &x.key_len, &at, sizeof(at));
	nft_put(x.key, &x.key_len, &host, sizeof(host));
	if (any)
		x.key_len = sizeof(host);
	nft_put(x.data, &x.data_len, &container, sizeof(container));
	nft_put(x.data, &x.data_len, &inside, sizeof(inside));
	autofree struct nft_batch *b = xmalloc(sizeof(*b));
	nft_begin(b);
	nft_element(b, &x, add);
	return nft_commit(nft, b, e);
}
