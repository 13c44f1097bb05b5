/* network_hold_lease.c - the addresses a network's holder gives out. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hold_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/net_frame.h"
#include "rl/kern/nft.h"

static bool is_taken(const struct hold *h, uint32_t address)
{
	if (address == h->addrs.gateway || address == ntohl(h->opts.gateway.s_addr) ||
	    address == ntohl(h->opts.dns.s_addr))
		return true;
	for (const struct entry *x = h->entries; x; x = x->next)
		if (x->leased && x->lease.host.address.s_addr == htonl(address))
			return true;
	return false;
}

static int give_address(const struct hold *h, struct net_host *want, struct err *e)
{
	const struct network_addrs *a = &h->addrs;
	uint32_t asked = ntohl(want->address.s_addr);
	char text[INET_ADDRSTRLEN];
	net_addr4_text(want->address, text);
	if (asked) {
		uint32_t end = a->network | (uint32_t)(0xffffffffull >> a->prefix);
		if (asked <= a->network || asked >= end)
			return err_set(e, EINVAL, "address %s is not in the subnet %s", text, h->rec.subnet);
		return is_taken(h, asked) ? err_set(e, EADDRINUSE, "address %s is in use", text) : 0;
	}
	for (uint32_t ip = a->first; ip <= a->last; ip++)
		if (!is_taken(h, ip)) {
			want->address.s_addr = htonl(ip);
			return 0;
		}
	return err_set(e, EADDRNOTAVAIL, "no address is free in %s",
		       h->rec.ip_range && *h->rec.ip_range ? h->rec.ip_range : h->rec.subnet);
}

static int give_address6(const struct hold *h, struct net_host *want, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	bool asked = !IN6_IS_ADDR_UNSPECIFIED(&want->address6);
	if (!h->addrs.ipv6)
		return asked ? err_set(e, EINVAL, "the network has no IPv6") : 0;
	if (!asked) { /* the same host part as in IPv4, which is free */
		uint32_t part = htonl(ntohl(want->address.s_addr) - h->addrs.network);
		want->address6 = h->addrs.network6;
		memcpy(want->address6.s6_addr + 12, &part, sizeof(part));
		want->address6.s6_addr[11] = 1; /* out of the way of addresses people choose */
		return 0;
	}
	net_addr6_text(&want->address6, text);
	if (memcmp(&want->address6, &h->addrs.network6, 8) != 0)
		return err_set(e, EINVAL, "address %s is not in the subnet %s", text, h->rec.subnet6);
	bool taken = IN6_ARE_ADDR_EQUAL(&want->address6, &h->addrs.gateway6) ||
		     IN6_ARE_ADDR_EQUAL(&want->address6, &h->opts.gateway6);
	for (const struct entry *x = h->entries; x; x = x->next)
		taken |= x->leased && IN6_ARE_ADDR_EQUAL(&x->lease.host.address6, &want->address6);
	return taken ? err_set(e, EADDRINUSE, "address %s is in use", text) : 0;
}

static bool is_mac_taken(const struct hold *h, const uint8_t mac[NET_MAC_LEN])
{
	for (const struct entry *x = h->entries; x; x = x->next)
		if (x->leased && memcmp(x->lease.host.mac, mac, NET_MAC_LEN) == 0)
			return true;
	return false;
}

/* From the address, so that neighbours who remember the last container that had it reach the next one at once. */
static int give_mac(const struct hold *h, struct net_host *want, struct err *e)
{
	static const uint8_t none[NET_MAC_LEN];
	if (memcmp(want->mac, none, NET_MAC_LEN) != 0)
		return is_mac_taken(h, want->mac) ? err_set(e, EADDRINUSE, "the MAC address is in use") : 0;
	want->mac[0] = 0x02;
	want->mac[1] = 'r';
	memcpy(want->mac + 2, &want->address, sizeof(want->address));
	while (is_mac_taken(h, want->mac)) { /* somebody has asked for this very one */
		io_random(want->mac, NET_MAC_LEN);
		want->mac[0] = (uint8_t)((want->mac[0] & 0xfc) | 0x02);
	}
	return 0;
}

/* Where the default routes lead: to the host where it forwards, to rl-netd otherwise. */
static void set_gateways(const struct hold *h, struct net_lease *l)
{
	const struct net_place *p = &h->net.place;
	if (p->direct) {
		l->direct = true;
		l->gateway.s_addr = htonl(h->addrs.gateway);
		l->gateway6 = h->addrs.gateway6;
		return;
	}
	bool host4 = p->routes4 && !l->by_netd;
	bool host6 = p->routes6 && !l->by_netd;
	l->gateway = host4 ? p->address : h->opts.gateway;
	l->gateway6 = host6 ? p->address6 : h->opts.gateway6;
	frame_slirp_mac4(l->gateway, l->gateway_mac);
	frame_slirp_mac6(&l->gateway6, l->gateway6_mac);
	if (host4)
		memcpy(l->gateway_mac, p->mac, NET_MAC_LEN);
	if (host6)
		memcpy(l->gateway6_mac, p->mac, NET_MAC_LEN);
	l->on_host.s_addr = (p->on_host || p->linked) && !l->by_netd ? p->address.s_addr : 0;
}

/* The bridge is where it is as long as anybody is on the network; so whoever comes is told what has happened to it. */
static void look_for_firewall(struct hold *h)
{
	struct net_firewall f = {0};
	if (h->rules_fd < 0 || !nft_has_changed(h->rules_fd, "rl-"))
		return;
	bool strict = net_firewall_look(&f, NULL) >= 0 && f.strict;
	snprintf(h->firewall, sizeof(h->firewall), "%s", strict ? f.chain : "");
}

int hold_on_lease(struct entry *x, const struct sync_msg *msg, struct err *e)
{
	struct hold *h = x->h;
	struct net_lease l;
	if (msg->len != sizeof(l) || x->leased)
		return err_set(e, EPROTO, "malformed request");
	memcpy(&l, msg->data, sizeof(l));
	snprintf(l.network, sizeof(l.network), "%s", h->rec.name);
	l.interface[sizeof(l.interface) - 1] = '\0';
	if (h->rec.disable_dns)
		memset(l.host.names, 0, sizeof(l.host.names));
	int r = give_address(h, &l.host, e);
	if (r >= 0)
		r = give_address6(h, &l.host, e);
	if (r >= 0)
		r = give_mac(h, &l.host, e);
	if (r < 0)
		return r;
	set_gateways(h, &l);
	memcpy(l.firewall, h->place.firewall, sizeof(l.firewall));
	look_for_firewall(h);
	memcpy(l.late_firewall, h->firewall, sizeof(l.late_firewall));
	l.dns = h->opts.dns;
	l.prefix = h->addrs.prefix;
	l.mtu = h->opts.mtu;
	l.ipv6 = h->addrs.ipv6;
	l.internal = h->rec.internal;
	x->lease = l;
	x->leased = true;
	event_timer_stop(&h->loop, &h->first);
	return sync_send(x->conn.fd, NET_HOLD_LEASE, &l, sizeof(l), NULL, 0, e);
}
