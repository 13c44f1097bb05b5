#include "rl/engine/net_shape.h"

#include <string.h>

#include "rl/base/compiler.h"
#include "rl/engine/net_frame.h"

enum {
	TCP_HEADER = 20,
	TCP_OFFSET_ACK = 8,
	TCP_OFFSET_LEN = 12,
	TCP_OFFSET_FLAGS = 13,
	TCP_OFFSET_WINDOW = 14,
	TCP_OFFSET_CHECKSUM = 16,
	FLAG_ACK = 16,
	VNET_NEEDS_CSUM = 1,
	VNET_CSUM_START = 6,
	VNET_CSUM_OFFSET = 8,
	EVEN_WINDOW = 65534,
};

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Offset of the TCP header behind a plain IP header, and the end of the packet; 0 for anything else. */
static size_t find_tcp(const uint8_t *frame, size_t len, size_t *ret_end)
{
	const uint8_t *ip = frame + FRAME_ETH_LEN;
	size_t l4, end;
	if (len < FRAME_ETH_LEN + 20 + TCP_HEADER)
		return 0;
	if (get16(frame + 12) == 0x0800 && ip[0] == 0x45 && ip[9] == IPPROTO_TCP && (get16(ip + 6) & 0x3fff) == 0) {
		l4 = FRAME_ETH_LEN + 20;
		end = FRAME_ETH_LEN + get16(ip + 2);
	} else if (get16(frame + 12) == 0x86dd && ip[6] == IPPROTO_TCP) {
		l4 = FRAME_ETH_LEN + 40;
		end = l4 + get16(ip + 4);
	} else {
		return 0;
	}
	if (end > len || l4 + TCP_HEADER > end)
		return 0;
	*ret_end = end;
	return l4;
}

void shape_frame(const uint8_t *frame, size_t len, struct shape *ret)
{
	size_t end = 0;
	ret->head_len = RL_MIN(len, (size_t)SHAPE_HEAD_MAX);
	memcpy(ret->head, frame, ret->head_len);
	memset(ret->vnet, 0, sizeof(ret->vnet));
	ret->is_ack = false;
	ret->l3 = FRAME_ETH_LEN;
	ret->l4 = find_tcp(frame, len, &end);
	if (!ret->l4)
		return;
	bool is4 = frame[12] == 0x08;
	uint8_t *tcp = ret->head + ret->l4;
	if (get16(tcp + TCP_OFFSET_WINDOW) == 65535)
		put16(tcp + TCP_OFFSET_WINDOW, EVEN_WINDOW);
	ret->is_ack = tcp[TCP_OFFSET_FLAGS] == FLAG_ACK && ret->l4 + (size_t)(tcp[TCP_OFFSET_LEN] >> 4) * 4 == end;
	/* The checksum to be completed starts from the pseudo header's sum. */
	uint16_t sum = frame_pseudo_sum(is4 ? AF_INET : AF_INET6, frame + ret->l3 + (is4 ? 12 : 8),
					frame + ret->l3 + (is4 ? 16 : 24), IPPROTO_TCP, end - ret->l4);
	put16(tcp + TCP_OFFSET_CHECKSUM, sum);
	uint16_t start = (uint16_t)ret->l4;
	uint16_t offset = TCP_OFFSET_CHECKSUM;
	ret->vnet[0] = VNET_NEEDS_CSUM;
	memcpy(ret->vnet + VNET_CSUM_START, &start, sizeof(start)); /* the machine's byte order */
	memcpy(ret->vnet + VNET_CSUM_OFFSET, &offset, sizeof(offset));
}

bool shape_supersedes(const struct shape *newer, const struct shape *older)
{
	if (!newer->is_ack || !older->is_ack || newer->l4 != older->l4)
		return false;
	/* MACs, addresses and ports */
	size_t addresses = newer->l4 - newer->l3 == 20 ? 12 : 8;
	size_t from = newer->l3 + addresses;
	if (memcmp(newer->head + from, older->head + from, newer->l4 + 4 - from) != 0)
		return false;
	uint32_t a, b;
	memcpy(&a, newer->head + newer->l4 + TCP_OFFSET_ACK, 4);
	memcpy(&b, older->head + older->l4 + TCP_OFFSET_ACK, 4);
	return (int32_t)(__builtin_bswap32(a) - __builtin_bswap32(b)) > 0;
}
