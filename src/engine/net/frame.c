/*
 * frame.c - see net_frame.h.
 *
 * Everything here reads a frame of `len` hostile bytes. The invariant that keeps it safe: no byte is read before the
 * length that contains it has been compared with `len`, and each layer narrows [l4, end) before the next one looks.
 * Fields are read bytewise (get16, memcpy), so alignment does not matter.
 *
 * Order of the checks in one layer: shape, then source, then destination, then protocol; so a frame that is wrong in
 * several ways is counted under the first. Multicast noise that any kernel sends when an interface comes up (listener
 * reports, router solicitations, duplicate address detection) is "other", not an attack.
 */
#include "rl/engine/net_frame.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	ETHERTYPE_4 = 0x0800,
	ETHERTYPE_ARP_ = 0x0806,
	ETHERTYPE_6 = 0x86dd,
	ARP_LEN = 28,
	IP4_LEN = 20,
	IP6_LEN = 40,
	TCP_LEN = 20,
	UDP_LEN = 8,
	ICMP_LEN = 8,
	NDP_LEN = 24,
	PORT_DNS = 53,
	ICMP_ECHO_REQUEST = 8,
	ICMP6_ECHO_REQUEST_ = 128,
	ICMP6_NS = 135,
	ICMP6_NA = 136,
	TCP_FLAG_FIN = 1,
	TCP_FLAG_SYN = 2,
	TCP_FLAG_RST = 4,
	TCP_FLAG_ACK = 16,
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static struct in_addr get_addr4(const uint8_t *p)
{
	struct in_addr a;
	memcpy(&a, p, sizeof(a));
	return a;
}

void frame_policy_init(const struct net_slirp_opts *o, struct frame_policy *ret)
{
	*ret = (struct frame_policy){
		.address = o->address,
		.network = o->network,
		.netmask.s_addr = htonl((uint32_t)(0xffffffffu << (32 - o->prefix))),
		.gateway = o->gateway,
		.dns = o->dns,
		.ipv6 = o->ipv6,
		.address6 = o->address6,
		.network6 = o->network6,
		.gateway6 = o->gateway6,
		.host_access = o->host_access,
		.host_ports_count = RL_MIN(o->host_ports_count, (size_t)NET_HOST_PORTS_MAX),
	};
	memcpy(ret->mac, o->mac, sizeof(ret->mac));
	memcpy(ret->host_ports, o->host_ports, sizeof(ret->host_ports));
}

/* ---- addresses ---- */

bool frame_addr4_closed(struct in_addr a)
{
	uint32_t h = ntohl(a.s_addr);
	return h >> 24 == 0 || h >> 24 == 127 || h >> 28 >= 14; /* this host, loopback, multicast and beyond */
}

bool frame_addr6_closed(const struct in6_addr *a)
{
	static const uint8_t zero[12];
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	const uint8_t *b = a->s6_addr;
	/* ::, ::1 and the v4-compatible range; v4-mapped; multicast; link-local (means nothing outside one link). */
	if (memcmp(b, zero, 12) == 0 || memcmp(b, mapped, 12) == 0 || b[0] == 0xff ||
	    (b[0] == 0xfe && (b[1] & 0xc0) == 0x80))
		return true;
	/* A translator or 6to4 interface on this very host could turn these into what is closed above. */
	if (memcmp(b, nat64, 12) == 0)
		return frame_addr4_closed(get_addr4(b + 12));
	return b[0] == 0x20 && b[1] == 0x02 && frame_addr4_closed(get_addr4(b + 2));
}

bool frame_host_port_open(const struct frame_policy *p, uint16_t port)
{
	if (p->host_access == NET_HOST_ALL)
		return true;
	for (size_t i = 0; p->host_access == NET_HOST_PORTS && i < p->host_ports_count; i++)
		if (p->host_ports[i] == port)
			return true;
	return false;
}

/* ---- layers ---- */

static enum frame_verdict check_arp(const struct frame_policy *p, const uint8_t *arp, size_t len)
{
	static const uint8_t ethernet_ipv4[6] = {0, 1, 8, 0, 6, 4};
	if (len < ARP_LEN)
		return FRAME_DROP_MALFORMED;
	if (memcmp(arp, ethernet_ipv4, sizeof(ethernet_ipv4)) != 0)
		return FRAME_DROP_OTHER;
	uint16_t op = get16(arp + 6);
	if (op != 1 && op != 2)
		return FRAME_DROP_OTHER;
	if (memcmp(arp + 8, p->mac, NET_MAC_LEN) != 0 || get_addr4(arp + 14).s_addr != p->address.s_addr)
		return FRAME_DROP_SOURCE;
	return FRAME_PASS;
}

/* The transport header: lengths, ports. DROP_MALFORMED, DROP_OTHER or PASS. */
static enum frame_verdict check_l4(const uint8_t *frame, struct frame_info *i)
{
	const uint8_t *l4 = frame + i->l4;
	size_t len = i->end - i->l4;
	if (i->proto == IPPROTO_TCP) {
		if (len < TCP_LEN || (size_t)(l4[12] >> 4) * 4 < TCP_LEN || (size_t)(l4[12] >> 4) * 4 > len)
			return FRAME_DROP_MALFORMED;
	} else if (i->proto == IPPROTO_UDP) {
		if (len < UDP_LEN || get16(l4 + 4) != len)
			return FRAME_DROP_MALFORMED;
	} else {
		return len < ICMP_LEN ? FRAME_DROP_MALFORMED : FRAME_PASS;
	}
	i->sport = get16(l4);
	i->dport = get16(l4 + 2);
	return i->sport && i->dport ? FRAME_PASS : FRAME_DROP_MALFORMED;
}

static bool is_transport(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* UDP services libslirp itself would offer on the gateway's address. */
static bool is_slirp_service(const struct frame_info *i)
{
	return i->proto == IPPROTO_UDP && (i->dport == 67 || i->dport == 69 || i->dport == 547);
}

static enum frame_verdict to_gateway(const struct frame_policy *p, const struct frame_info *i)
{
	if (!is_transport(i->proto))
		return FRAME_PASS; /* echo: answered by libslirp */
	return !is_slirp_service(i) && frame_host_port_open(p, i->dport) ? FRAME_PASS : FRAME_REFUSE;
}

static enum frame_verdict to_dns(const struct frame_info *i)
{
	if (!is_transport(i->proto))
		return FRAME_DROP_DEST;
	if (i->dport != PORT_DNS)
		return FRAME_REFUSE;
	return i->proto == IPPROTO_UDP ? FRAME_DNS : FRAME_PASS;
}

static enum frame_verdict check_fragment(const struct frame_policy *p, const struct frame_info *i,
					 uint16_t offset_field, struct in_addr dst)
{
	size_t payload = i->end - i->l4;
	size_t offset = (size_t)(offset_field & 0x1fff) * 8;
	bool more = offset_field & 0x2000;
	if (payload == 0 || (more && payload % 8) || offset + payload > 65535 - IP4_LEN)
		return FRAME_DROP_MALFORMED;
	if ((dst.s_addr & p->netmask.s_addr) == p->network.s_addr)
		return FRAME_DROP_DEST;
	return i->proto == IPPROTO_UDP || i->proto == IPPROTO_ICMP ? FRAME_FRAGMENT : FRAME_DROP_OTHER;
}

static enum frame_verdict check_ip4(const struct frame_policy *p, const uint8_t *frame, size_t len,
				    struct frame_info *i)
{
	const uint8_t *ip = frame + FRAME_ETH_LEN;
	if (len < FRAME_ETH_LEN + IP4_LEN || ip[0] != 0x45)
		return FRAME_DROP_MALFORMED;
	size_t total = get16(ip + 2);
	if (total < IP4_LEN || total > len - FRAME_ETH_LEN || frame_checksum(ip, IP4_LEN, 0) != 0)
		return FRAME_DROP_MALFORMED;
	i->family = AF_INET;
	i->proto = ip[9];
	i->l4 = FRAME_ETH_LEN + IP4_LEN;
	i->end = FRAME_ETH_LEN + total;
	struct in_addr src = get_addr4(ip + 12);
	struct in_addr dst = get_addr4(ip + 16);
	if (src.s_addr != p->address.s_addr)
		return FRAME_DROP_SOURCE;
	if (frame_addr4_closed(dst) || frame[0] & 1)
		return FRAME_DROP_DEST;
	uint16_t offset_field = get16(ip + 6);
	if (offset_field & 0x3fff)
		return check_fragment(p, i, offset_field, dst);
	if (!is_transport(i->proto) && i->proto != IPPROTO_ICMP)
		return FRAME_DROP_OTHER;
	enum frame_verdict v = check_l4(frame, i);
	if (v != FRAME_PASS)
		return v;
	if (i->proto == IPPROTO_ICMP && (frame[i->l4] != ICMP_ECHO_REQUEST || frame[i->l4 + 1] != 0))
		return FRAME_DROP_OTHER;
	if (dst.s_addr == p->gateway.s_addr)
		return to_gateway(p, i);
	if (dst.s_addr == p->dns.s_addr)
		return to_dns(i);
	if ((dst.s_addr & p->netmask.s_addr) == p->network.s_addr)
		return FRAME_DROP_DEST;
	return i->proto == IPPROTO_ICMP ? FRAME_PING : FRAME_PASS;
}

static bool equal6(const uint8_t *bytes, const struct in6_addr *a)
{
	return memcmp(bytes, a->s6_addr, 16) == 0;
}

static bool is_solicited_node(const uint8_t *dst, const struct in6_addr *target)
{
	static const uint8_t prefix[13] = {0xff, 2, [11] = 1, [12] = 0xff};
	return memcmp(dst, prefix, 13) == 0 && memcmp(dst + 13, target->s6_addr + 13, 3) == 0;
}

/* Neighbour discovery for the gateway, from the container's own address. */
static enum frame_verdict check_ndp(const struct frame_policy *p, const uint8_t *frame, const struct frame_info *i)
{
	const uint8_t *ip = frame + FRAME_ETH_LEN;
	const uint8_t *icmp = frame + i->l4;
	if (i->end - i->l4 < NDP_LEN || ip[7] != 255 || icmp[1] != 0)
		return FRAME_DROP_MALFORMED;
	bool to_us = equal6(ip + 24, &p->gateway6);
	if (icmp[0] == ICMP6_NS && equal6(icmp + 8, &p->gateway6) &&
	    (to_us || is_solicited_node(ip + 24, &p->gateway6)))
		return FRAME_PASS;
	return icmp[0] == ICMP6_NA && to_us && equal6(icmp + 8, &p->address6) ? FRAME_PASS : FRAME_DROP_OTHER;
}

static enum frame_verdict check_ip6(const struct frame_policy *p, const uint8_t *frame, size_t len,
				    struct frame_info *i)
{
	const uint8_t *ip = frame + FRAME_ETH_LEN;
	static const struct in6_addr unspecified;
	struct in6_addr dst;
	if (!p->ipv6)
		return FRAME_DROP_OTHER;
	if (len < FRAME_ETH_LEN + IP6_LEN || ip[0] >> 4 != 6 || get16(ip + 4) > len - FRAME_ETH_LEN - IP6_LEN)
		return FRAME_DROP_MALFORMED;
	i->family = AF_INET6;
	i->proto = ip[6];
	i->l4 = FRAME_ETH_LEN + IP6_LEN;
	i->end = i->l4 + get16(ip + 4);
	memcpy(&dst, ip + 24, sizeof(dst));
	bool is_ndp = i->proto == IPPROTO_ICMPV6 && i->end - i->l4 >= ICMP_LEN &&
		      (frame[i->l4] == ICMP6_NS || frame[i->l4] == ICMP6_NA);
	if (dst.s6_addr[0] == 0xff && !is_ndp)
		return i->proto == 0 || i->proto == IPPROTO_ICMPV6 ? FRAME_DROP_OTHER : FRAME_DROP_DEST;
	if (!equal6(ip + 8, &p->address6))
		return is_ndp && equal6(ip + 8, &unspecified) ? FRAME_DROP_OTHER : FRAME_DROP_SOURCE;
	if (is_ndp)
		return check_ndp(p, frame, i);
	if (frame_addr6_closed(&dst) || frame[0] & 1)
		return FRAME_DROP_DEST;
	if (!is_transport(i->proto) && i->proto != IPPROTO_ICMPV6)
		return FRAME_DROP_OTHER; /* extension headers and fragments too: libslirp has no idea of them */
	enum frame_verdict v = check_l4(frame, i);
	if (v != FRAME_PASS)
		return v;
	if (i->proto == IPPROTO_ICMPV6 && (frame[i->l4] != ICMP6_ECHO_REQUEST_ || frame[i->l4 + 1] != 0))
		return FRAME_DROP_OTHER;
	if (equal6(ip + 24, &p->gateway6))
		return to_gateway(p, i);
	if (memcmp(dst.s6_addr, p->network6.s6_addr, 8) == 0)
		return FRAME_DROP_DEST;
	return i->proto == IPPROTO_ICMPV6 ? FRAME_PING : FRAME_PASS;
}

enum frame_verdict frame_check(const struct frame_policy *p, const uint8_t *frame, size_t len, struct frame_info *ret)
{
	*ret = (struct frame_info){.l3 = FRAME_ETH_LEN};
	if (len < FRAME_ETH_LEN || len > FRAME_MAX)
		return FRAME_DROP_MALFORMED;
	if (memcmp(frame + NET_MAC_LEN, p->mac, NET_MAC_LEN) != 0)
		return FRAME_DROP_SOURCE;
	switch (get16(frame + 12)) {
	case ETHERTYPE_ARP_:
		return check_arp(p, frame + FRAME_ETH_LEN, len - FRAME_ETH_LEN);
	case ETHERTYPE_4:
		return check_ip4(p, frame, len, ret);
	case ETHERTYPE_6:
		return check_ip6(p, frame, len, ret);
	default:
		return FRAME_DROP_OTHER;
	}
}

/* ---- building ---- */

uint16_t frame_checksum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *p = data;
	uint64_t sum = start;
	for (; len >= 2; len -= 2, p += 2)
		sum += get16(p);
	if (len)
		sum += (uint32_t)*p << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint16_t frame_pseudo_sum(int family, const void *src, const void *dst, uint8_t proto, size_t len)
{
	size_t n = family == AF_INET ? 4 : 16;
	uint32_t sum = proto + (uint32_t)(len >> 16) + (uint32_t)(len & 0xffff);
	sum += (uint16_t)~frame_checksum(src, n, 0);
	return (uint16_t)~frame_checksum(dst, n, sum);
}

uint16_t frame_l4_checksum(int family, const void *src, const void *dst, uint8_t proto, const void *data, size_t len)
{
	uint16_t result = frame_checksum(data, len, frame_pseudo_sum(family, src, dst, proto, len));
	return result == 0 && proto == IPPROTO_UDP ? 0xffff : result;
}

static void build_eth(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t type)
{
	memcpy(frame, dst, NET_MAC_LEN);
	memcpy(frame + NET_MAC_LEN, src, NET_MAC_LEN);
	put16(frame + 12, type);
}

static void build_ip4(uint8_t *ip, const void *src, const void *dst, uint8_t proto, size_t payload)
{
	memset(ip, 0, IP4_LEN);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(IP4_LEN + payload));
	ip[6] = 0x40; /* don't fragment, so that an identification is not needed */
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, src, 4);
	memcpy(ip + 16, dst, 4);
	put16(ip + 10, frame_checksum(ip, IP4_LEN, 0));
}

static void build_ip6(uint8_t *ip, const void *src, const void *dst, uint8_t proto, size_t payload)
{
	memset(ip, 0, IP6_LEN);
	ip[0] = 0x60;
	put16(ip + 4, (uint16_t)payload);
	ip[6] = proto;
	ip[7] = 255;
	memcpy(ip + 8, src, 16);
	memcpy(ip + 24, dst, 16);
}

size_t frame_build_udp4(uint8_t *frame, const struct frame_udp *u, size_t len)
{
	uint8_t src_mac[NET_MAC_LEN];
	uint8_t *udp = frame + FRAME_ETH_LEN + IP4_LEN;
	frame_slirp_mac4(u->src, src_mac);
	build_eth(frame, u->dst_mac, src_mac, ETHERTYPE_4);
	build_ip4(frame + FRAME_ETH_LEN, &u->src, &u->dst, IPPROTO_UDP, UDP_LEN + len);
	put16(udp, u->sport);
	put16(udp + 2, u->dport);
	put16(udp + 4, (uint16_t)(UDP_LEN + len));
	put16(udp + 6, 0);
	put16(udp + 6, frame_l4_checksum(AF_INET, &u->src, &u->dst, IPPROTO_UDP, udp, UDP_LEN + len));
	return FRAME_UDP_HEADERS + len;
}

void frame_slirp_mac4(struct in_addr a, uint8_t ret[NET_MAC_LEN])
{
	ret[0] = 0x52;
	ret[1] = 0x55;
	memcpy(ret + 2, &a, 4);
}

void frame_slirp_mac6(const struct in6_addr *a, uint8_t ret[NET_MAC_LEN])
{
	ret[0] = 0x52;
	ret[1] = 0x56;
	ret[2] = 0;
	memcpy(ret + 3, a->s6_addr + 13, 3);
}

/* The reset that ends a connection attempt: it acknowledges what the segment occupied. */
static size_t build_reset(const uint8_t *tcp, size_t len, uint8_t *out)
{
	uint8_t flags = tcp[13];
	if (flags & TCP_FLAG_RST)
		return 0;
	uint32_t occupied = (uint32_t)(len - (size_t)(tcp[12] >> 4) * 4);
	occupied += !!(flags & TCP_FLAG_SYN) + !!(flags & TCP_FLAG_FIN);
	memset(out, 0, TCP_LEN);
	memcpy(out, tcp + 2, 2);
	memcpy(out + 2, tcp, 2);
	if (flags & TCP_FLAG_ACK) {
		memcpy(out + 4, tcp + 8, 4);
		out[13] = TCP_FLAG_RST;
	} else {
		put32(out + 8, get32(tcp + 4) + occupied);
		out[13] = TCP_FLAG_RST | TCP_FLAG_ACK;
	}
	out[12] = (TCP_LEN / 4) << 4;
	return TCP_LEN;
}

/* Unreachable, quoting the start of the refused packet. The checksum is left to frame_build_icmp. */
static size_t build_unreachable(const uint8_t *frame, const struct frame_info *in, enum frame_reason reason,
				uint8_t *out)
{
	static const uint8_t codes[FRAME_REASON_N][2] = {
		[FRAME_REASON_PORT] = {3, 4}, [FRAME_REASON_NETWORK] = {0, 0}, [FRAME_REASON_PROHIBITED] = {13, 1}};
	size_t quoted = RL_MIN(in->end - in->l3, (size_t)512);
	bool is4 = in->family == AF_INET;
	memset(out, 0, ICMP_LEN);
	out[0] = is4 ? 3 : 1;
	out[1] = codes[reason][is4 ? 0 : 1];
	memcpy(out + ICMP_LEN, frame + in->l3, quoted);
	return ICMP_LEN + quoted;
}

static size_t finish_packet(uint8_t *frame, const struct frame_icmp *f, const uint8_t *src_mac, uint8_t proto,
			    size_t len)
{
	bool is4 = f->family == AF_INET;
	build_eth(frame, f->dst_mac, src_mac, is4 ? ETHERTYPE_4 : ETHERTYPE_6);
	(is4 ? build_ip4 : build_ip6)(frame + FRAME_ETH_LEN, f->src, f->dst, proto, len);
	return FRAME_ETH_LEN + (is4 ? IP4_LEN : IP6_LEN) + len;
}

size_t frame_build_icmp(uint8_t *frame, const struct frame_icmp *f, size_t len)
{
	bool is4 = f->family == AF_INET;
	uint8_t *icmp = frame + FRAME_ETH_LEN + (is4 ? IP4_LEN : IP6_LEN);
	uint8_t src_mac[NET_MAC_LEN];
	struct in6_addr src6;
	if (is4) {
		frame_slirp_mac4(get_addr4(f->src), src_mac);
	} else {
		memcpy(&src6, f->src, sizeof(src6)); /* in a frame it is not aligned */
		frame_slirp_mac6(&src6, src_mac);
	}
	put16(icmp + 2, 0);
	put16(icmp + 2, is4 ? frame_checksum(icmp, len, 0)
			    : frame_l4_checksum(AF_INET6, f->src, f->dst, IPPROTO_ICMPV6, icmp, len));
	return finish_packet(frame, f, src_mac, is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, len);
}

size_t frame_build_refusal(const uint8_t *frame, const struct frame_info *in, enum frame_reason reason, uint8_t *out)
{
	bool is4 = in->family == AF_INET;
	const uint8_t *ip = frame + in->l3;
	/* Back to the sender, from where it wanted to go. */
	struct frame_icmp f = {.family = in->family,
			       .dst_mac = frame + NET_MAC_LEN,
			       .src = ip + (is4 ? 16 : 24),
			       .dst = ip + (is4 ? 12 : 8)};
	uint8_t *l4 = out + FRAME_ETH_LEN + (is4 ? IP4_LEN : IP6_LEN);
	if (in->proto != IPPROTO_TCP)
		return frame_build_icmp(out, &f, build_unreachable(frame, in, reason, l4));
	size_t n = build_reset(frame + in->l4, in->end - in->l4, l4);
	if (n == 0)
		return 0;
	put16(l4 + 16, frame_l4_checksum(in->family, f.src, f.dst, IPPROTO_TCP, l4, n));
	return finish_packet(out, &f, frame, IPPROTO_TCP, n);
}

size_t frame_build_arp(const struct frame_policy *p, uint8_t *out)
{
	static const uint8_t broadcast[NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	uint8_t *arp = out + FRAME_ETH_LEN;
	build_eth(out, broadcast, p->mac, ETHERTYPE_ARP_);
	memset(arp, 0, ARP_LEN);
	memcpy(arp, request, sizeof(request));
	memcpy(arp + 8, p->mac, NET_MAC_LEN);
	memcpy(arp + 14, &p->address, 4);
	memcpy(arp + 24, &p->address, 4);
	return FRAME_ETH_LEN + ARP_LEN;
}

size_t frame_build_na(const struct frame_policy *p, uint8_t *out)
{
	enum { NA_LEN = NDP_LEN + 8 };
	uint8_t gateway_mac[NET_MAC_LEN];
	uint8_t *na = out + FRAME_ETH_LEN + IP6_LEN;
	frame_slirp_mac6(&p->gateway6, gateway_mac);
	build_eth(out, gateway_mac, p->mac, ETHERTYPE_6);
	build_ip6(out + FRAME_ETH_LEN, &p->address6, &p->gateway6, IPPROTO_ICMPV6, NA_LEN);
	memset(na, 0, NA_LEN);
	na[0] = ICMP6_NA;
	na[4] = 0x60; /* solicited, override */
	memcpy(na + 8, &p->address6, 16);
	na[24] = 2; /* target link-layer address */
	na[25] = 1;
	memcpy(na + 26, p->mac, NET_MAC_LEN);
	put16(na + 2, frame_l4_checksum(AF_INET6, &p->address6, &p->gateway6, IPPROTO_ICMPV6, na, NA_LEN));
	return FRAME_ETH_LEN + IP6_LEN + NA_LEN;
}
