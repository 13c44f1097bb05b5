/*
 * frames.h - frames as a container might write them, for the tests of the frame check and of the network as a whole.
 *
 * A struct frames_spec names what is special; everything else is as the container's own kernel would do it. Checksums
 * are right unless `bad_checksum`.
 */
#ifndef TESTS_FRAMES_H
#define TESTS_FRAMES_H

#include <arpa/inet.h>
#include <string.h>

#include "rl/engine/net_frame.h"

struct frames_spec {
	const uint8_t *src_mac;	      /* NULL: the container's */
	const char *src, *dst;	      /* address texts; src NULL: the container's */
	uint8_t proto;		      /* IPPROTO_TCP, _UDP, _ICMP, _ICMPV6 or anything */
	uint16_t sport, dport;	      /* 0: 40000 and 80 */
	uint8_t tcp_flags;	      /* 0: SYN */
	uint8_t icmp_type, hop_limit; /* 0: echo request, 64 */
	uint16_t offset_field;	      /* IPv4 flags and fragment offset */
	size_t payload;		      /* bytes behind the transport header */
	bool bad_checksum;
};

static inline void frames_put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Transport header and payload at l4; returns the length of both. */
static inline size_t frames_transport(const struct frames_spec *s, int family, uint8_t *l4)
{
	size_t header = s->proto == IPPROTO_TCP ? 20 : 8;
	memset(l4, 0, header);
	memset(l4 + header, 'x', s->payload);
	if (s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6) {
		l4[0] = s->icmp_type ? s->icmp_type : family == AF_INET ? 8 : 128;
		return header + s->payload;
	}
	frames_put16(l4, s->sport ? s->sport : 40000);
	frames_put16(l4 + 2, s->dport ? s->dport : 80);
	if (s->proto == IPPROTO_TCP) {
		l4[7] = 7;
		l4[12] = 5 << 4;
		l4[13] = s->tcp_flags ? s->tcp_flags : 2;
		frames_put16(l4 + 14, 65535);
	} else {
		frames_put16(l4 + 4, header + s->payload);
	}
	return header + s->payload;
}

static inline void frames_checksum(const struct frames_spec *s, int family, const uint8_t *src, const uint8_t *dst,
				   uint8_t *l4, size_t len)
{
	size_t at = s->proto == IPPROTO_TCP ? 16 : s->proto == IPPROTO_UDP ? 6 : 2;
	uint16_t sum = s->proto == IPPROTO_ICMP ? frame_checksum(l4, len, 0)
						: frame_l4_checksum(family, src, dst, s->proto, l4, len);
	frames_put16(l4 + at, sum);
}

/* Build it into `out` (FRAME_MAX bytes); returns its length. */
static inline size_t frames_build(const struct frame_policy *p, const struct frames_spec *s, uint8_t *out)
{
	bool is6 = strchr(s->dst, ':') != NULL;
	uint8_t src[16], dst[16];
	memcpy(src, is6 ? (const void *)&p->address6 : (const void *)&p->address, is6 ? 16 : 4);
	if (s->src)
		inet_pton(is6 ? AF_INET6 : AF_INET, s->src, src);
	inet_pton(is6 ? AF_INET6 : AF_INET, s->dst, dst);
	if (is6)
		frame_slirp_mac6(&p->gateway6, out);
	else
		frame_slirp_mac4(p->gateway, out);
	memcpy(out + 6, s->src_mac ? s->src_mac : p->mac, 6);
	frames_put16(out + 12, is6 ? 0x86dd : 0x0800);
	uint8_t *ip = out + FRAME_ETH_LEN;
	uint8_t *l4 = ip + (is6 ? 40 : 20);
	size_t n = frames_transport(s, is6 ? AF_INET6 : AF_INET, l4);
	frames_checksum(s, is6 ? AF_INET6 : AF_INET, src, dst, l4, n);
	memset(ip, 0, (size_t)(l4 - ip));
	if (is6) {
		ip[0] = 0x60;
		frames_put16(ip + 4, n);
		ip[6] = s->proto;
		ip[7] = s->hop_limit ? s->hop_limit : 64;
		memcpy(ip + 8, src, 16);
		memcpy(ip + 24, dst, 16);
	} else {
		ip[0] = 0x45;
		frames_put16(ip + 2, 20 + n);
		frames_put16(ip + 6, s->offset_field);
		ip[8] = s->hop_limit ? s->hop_limit : 64;
		ip[9] = s->proto;
		memcpy(ip + 12, src, 4);
		memcpy(ip + 16, dst, 4);
		frames_put16(ip + 10, frame_checksum(ip, 20, 0));
		if (s->bad_checksum)
			ip[10] ^= 0x55;
	}
	return (size_t)(l4 - out) + n;
}

#endif
