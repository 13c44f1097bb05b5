/*
 * frames.h - what the fuzz targets of frames share: the input's form, and the repairs that let random bytes get past the
 * first checks.
 *
 * Input: frames, each with two bytes of length and one of flags before it. Flags: 1 the container's own MAC, 2 its source
 * address and the IP checksum, 4 the checksum of TCP, UDP or ICMP, 8 a header of IPv4, 16 of IPv6. The others are the
 * target's own.
 */
#ifndef TESTS_FUZZ_FRAMES_H
#define TESTS_FUZZ_FRAMES_H

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rl/engine/net_frame.h"

/* Who the frames are from. */
struct frame_origin {
	const uint8_t *mac;
	struct in_addr address;
	struct in6_addr address6;
};

static inline void must(bool cond)
{
	if (!cond)
		abort();
}

static inline void frame_put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void frame_repair_l4(uint8_t *f, size_t l4, size_t len, int family, uint8_t proto)
{
	size_t at = proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
	if (l4 + at + 2 > len)
		return;
	if (proto == IPPROTO_UDP && l4 + 8 <= len)
		frame_put16(f + l4 + 4, len - l4);
	frame_put16(f + l4 + at, 0);
	const uint8_t *ip = f + 14;
	frame_put16(f + l4 + at, proto == IPPROTO_ICMP ? frame_checksum(f + l4, len - l4, 0)
						       : frame_l4_checksum(family, ip + (family == AF_INET ? 12 : 8),
									   ip + (family == AF_INET ? 16 : 24), proto,
									   f + l4, len - l4));
}

static inline void frame_repair(const struct frame_origin *who, uint8_t *f, size_t len, uint8_t flags)
{
	if (flags & 1 && len >= 12)
		memcpy(f + 6, who->mac, 6);
	if (flags & 8 && len >= 34) {
		frame_put16(f + 12, 0x0800);
		f[14] = 0x45;
	}
	if (flags & 16 && len >= 54) {
		frame_put16(f + 12, 0x86dd);
		f[14] = 0x60;
	}
	if (len >= 34 && f[12] == 8 && f[13] == 0) {
		if (flags & 2) {
			memcpy(f + 26, &who->address, 4);
			frame_put16(f + 16, len - 14);
		}
		if (flags & 4)
			frame_repair_l4(f, 34, len, AF_INET, f[23]);
		if (flags & 2) {
			frame_put16(f + 24, 0);
			frame_put16(f + 24, frame_checksum(f + 14, 20, 0));
		}
	} else if (len >= 54 && f[12] == 0x86 && f[13] == 0xdd) {
		if (flags & 2) {
			memcpy(f + 22, &who->address6, 16);
			frame_put16(f + 18, len - 54);
		}
		if (flags & 4)
			frame_repair_l4(f, 54, len, AF_INET6, f[20]);
	}
}

/* The next frame of the input, in memory of its exact size, so that the sanitizer sees one byte too many; NULL at the
 * end. The caller's to free. */
static inline uint8_t *frame_take(const uint8_t **data, size_t *size, size_t *ret_len, uint8_t *ret_flags)
{
	if (*size <= 3)
		return NULL;
	size_t len = ((size_t)(*data)[0] << 8 | (*data)[1]) % 2048;
	*ret_flags = (*data)[2];
	*data += 3;
	*size -= 3;
	*ret_len = len = len < *size ? len : *size;
	uint8_t *f = malloc(len ? len : 1);
	memcpy(f, *data, len);
	*data += len;
	*size -= len;
	return f;
}

/* For slirp_pollfds_fill and slirp_pollfds_poll: no descriptor is ever ready. */
static inline int frame_add_poll(int fd, int events, void *opaque)
{
	(void)fd;
	(void)events;
	(void)opaque;
	return 0;
}

static inline int frame_no_events(int index, void *opaque)
{
	(void)index;
	(void)opaque;
	return 0;
}

#endif
