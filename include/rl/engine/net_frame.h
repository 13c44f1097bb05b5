/*
 * net_frame.h - may this Ethernet frame of the container's reach libslirp? Pure functions on bytes.
 *
 * Model: libslirp forwards any destination outside its own subnet unchanged, the host's 127.0.0.1 included, trusts
 * source addresses and has had its share of parser bugs. So every frame from the container is classified here first:
 * only well-formed ARP, IPv4 (TCP, UDP, ICMP echo) and IPv6 (TCP, UDP, the ICMPv6 that neighbour discovery and ping
 * need) from the container's own MAC and address to an address it may reach get through. Everything else is dropped
 * and counted by reason. Queries to the resolver's address are handed to the resolver instead of libslirp.
 *
 * The same address policy guards the socket calls of rl-netd as a second line: frame_addr4_closed and
 * frame_addr6_closed.
 */
#ifndef RL_ENGINE_NET_FRAME_H
#define RL_ENGINE_NET_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "rl/engine/net.h"

enum frame_verdict {
	FRAME_PASS,	      /* give it to libslirp */
	FRAME_DNS,	      /* UDP to the resolver's port 53 */
	FRAME_FRAGMENT,	      /* part of an IPv4 datagram: to be put together first, then judged again */
	FRAME_PING,	      /* echo request to an address outside */
	FRAME_REFUSE,	      /* TCP or UDP to a port of ours that is closed: answer so that nobody waits */
	FRAME_DROP_MALFORMED, /* lengths that contradict each other, header options, bad header checksum */
	FRAME_DROP_SOURCE,    /* MAC or address is not the container's */
	FRAME_DROP_DEST,      /* loopback, unspecified, mapped, multicast, broadcast, unused address of the subnet */
	FRAME_DROP_OTHER,     /* protocols that have no business here */
	FRAME_VERDICT_N
};

/* Derived once from the options. */
struct frame_policy {
	uint8_t mac[NET_MAC_LEN];
	struct in_addr address, network, netmask, gateway, dns;
	bool ipv6;
	struct in6_addr address6, network6, gateway6;
	enum net_host_access host_access;
	size_t host_ports_count;
	uint16_t host_ports[NET_HOST_PORTS_MAX];
};

/* Where the parts of an accepted frame are. */
struct frame_info {
	int family; /* AF_INET, AF_INET6, or 0 for ARP */
	uint8_t proto;
	size_t l3, l4, end;    /* offsets: IP header, transport header, one past the IP packet */
	uint16_t sport, dport; /* host order; 0 unless TCP or UDP */
};

/* DNS request found by frame_check (FRAME_DNS): payload = data + l4 + 8 .. end. */

void frame_policy_init(const struct net_slirp_opts *o, struct frame_policy *ret);
enum frame_verdict frame_check(const struct frame_policy *p, const uint8_t *frame, size_t len, struct frame_info *ret);

/* True for addresses no packet of a container may name, whatever the policy (loopback is reached by the gateway's). */
bool frame_addr4_closed(struct in_addr a);
bool frame_addr6_closed(const struct in6_addr *a);

/* Is this port of the host's loopback open, at the gateway's address? */
bool frame_host_port_open(const struct frame_policy *p, uint16_t port);

uint16_t frame_checksum(const void *data, size_t len, uint32_t sum);
/* Sum of a pseudo header alone, not complemented: where a checksum that is still to be completed starts from. */
uint16_t frame_pseudo_sum(int family, const void *src, const void *dst, uint8_t proto, size_t len);
/* Checksum of a transport payload with its IPv4 or IPv6 pseudo header; 0xffff instead of 0 for UDP. */
uint16_t frame_l4_checksum(int family, const void *src, const void *dst, uint8_t proto, const void *data, size_t len);

enum { FRAME_ETH_LEN = 14, FRAME_MAX = FRAME_ETH_LEN + 65535, FRAME_UDP_HEADERS = FRAME_ETH_LEN + 20 + 8 };

/* Build Ethernet, IPv4 and UDP headers for `len` bytes of payload that already stand at frame + FRAME_UDP_HEADERS.
 * Addresses and ports are the sender's (us) and the receiver's (the container). Returns the length of the frame. */
struct frame_udp {
	const uint8_t *dst_mac;
	struct in_addr src, dst;
	uint16_t sport, dport;
};
size_t frame_build_udp4(uint8_t *frame, const struct frame_udp *u, size_t len);
/* An ICMP or ICMPv6 message of `len` bytes that already stands behind the headers' place (Ethernet and 20 or 40 bytes);
 * its checksum is set. Returns the length of the frame. */
struct frame_icmp {
	int family;
	const uint8_t *dst_mac;
	const void *src, *dst;
};
size_t frame_build_icmp(uint8_t *frame, const struct frame_icmp *f, size_t len);
/* The answer to a refused frame: TCP reset, or unreachable with this reason (IPv4 and IPv6). `out` holds
 * FRAME_REFUSAL_MAX bytes. Returns its length, 0 when nothing is to be sent (a reset is never answered). */
enum frame_reason { FRAME_REASON_PORT, FRAME_REASON_NETWORK, FRAME_REASON_PROHIBITED, FRAME_REASON_N };
enum { FRAME_REFUSAL_MAX = FRAME_ETH_LEN + 40 + 8 + 512 };
size_t frame_build_refusal(const uint8_t *frame, const struct frame_info *in, enum frame_reason reason, uint8_t *out);
/* What a bridge would have learned from the container: a gratuitous ARP or an unsolicited neighbour advertisement of
 * its address, so that libslirp knows it without asking. `out` holds 128 bytes; returns the length. */
size_t frame_build_arp(const struct frame_policy *p, uint8_t *out);
size_t frame_build_na(const struct frame_policy *p, uint8_t *out);
/* The MAC under which libslirp shows one of its IPv4 addresses. */
void frame_slirp_mac4(struct in_addr a, uint8_t ret[NET_MAC_LEN]);
void frame_slirp_mac6(const struct in6_addr *a, uint8_t ret[NET_MAC_LEN]);

#endif
