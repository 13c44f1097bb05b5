/*
 * frag.c - see net_frag.h.
 *
 * One entry holds one datagram: its payload in a buffer that grows to what has been seen, and a bit for each unit of
 * eight bytes that has arrived. Only the last fragment may have a length that is no multiple of eight, so bits are
 * exact: a fragment whose first bits are set already overlaps, and the datagram is complete when all bits below its
 * end are set. frame_check has made sure that offsets and lengths stay below 65515 bytes.
 */
#include "rl/engine/net_frag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"

enum { IP_HEADER = 20, PAYLOAD_MAX = 65535 - IP_HEADER, UNITS = PAYLOAD_MAX / 8 + 1 };

struct entry {
	bool used;
	uint8_t key[13]; /* source, destination, protocol, identification */
	int64_t deadline;
	size_t total; /* of the payload; 0 until the last fragment has been seen */
	size_t end;   /* greatest end seen */
	size_t units; /* bits set */
	uint8_t *data;
	uint8_t seen[UNITS / 8 + 1];
	uint8_t head[FRAME_ETH_LEN + IP_HEADER]; /* of the first to arrive */
};

struct frag_table {
	struct entry entries[FRAG_ENTRIES];
};

struct frag_table *frag_new(void)
{
	return xcalloc(1, sizeof(struct frag_table));
}

static void end_entry(struct entry *n)
{
	free(n->data);
	*n = (struct entry){0};
}

void frag_free(struct frag_table *t)
{
	for (size_t i = 0; t && i < FRAG_ENTRIES; i++)
		end_entry(&t->entries[i]);
	free(t);
}

static struct entry *find(struct frag_table *t, const uint8_t *ip, int64_t now_ms)
{
	uint8_t key[13];
	memcpy(key, ip + 12, 8);
	memcpy(key + 8, ip + 4, 2);
	key[10] = ip[9];
	key[11] = key[12] = 0;
	struct entry *choice = &t->entries[0];
	for (size_t i = 0; i < FRAG_ENTRIES; i++) {
		struct entry *n = &t->entries[i];
		if (n->used && memcmp(n->key, key, sizeof(key)) == 0)
			return n;
		/* A free entry, else the oldest. */
		if (!n->used ? choice->used : choice->used && n->deadline < choice->deadline)
			choice = n;
	}
	end_entry(choice);
	choice->used = true;
	memcpy(choice->key, key, sizeof(key));
	memcpy(choice->head, ip - FRAME_ETH_LEN, sizeof(choice->head));
	choice->deadline = now_ms + FRAG_TIMEOUT_MS;
	return choice;
}

static bool mark(struct entry *n, size_t offset, size_t len)
{
	for (size_t unit = offset / 8; unit < (offset + len + 7) / 8; unit++) {
		uint8_t bit = (uint8_t)(1u << (unit % 8));
		if (n->seen[unit / 8] & bit)
			return false;
		n->seen[unit / 8] |= bit;
		n->units++;
	}
	return true;
}

static size_t build(const struct entry *n, uint8_t *out)
{
	uint8_t *ip = out + FRAME_ETH_LEN;
	size_t total = IP_HEADER + n->total;
	memcpy(out, n->head, sizeof(n->head));
	memcpy(ip + IP_HEADER, n->data, n->total);
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	memset(ip + 6, 0, 2);
	memset(ip + 10, 0, 2);
	uint16_t sum = frame_checksum(ip, IP_HEADER, 0);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	return FRAME_ETH_LEN + total;
}

int frag_add(struct frag_table *t, const uint8_t *frame, const struct frame_info *i, int64_t now_ms, uint8_t *out)
{
	const uint8_t *ip = frame + i->l3;
	unsigned field = (unsigned)ip[6] << 8 | ip[7];
	size_t offset = (size_t)(field & 0x1fff) * 8;
	size_t len = i->end - i->l4;
	bool last = !(field & 0x2000);
	frag_expire(t, now_ms);
	struct entry *n = find(t, ip, now_ms);
	bool contradicts = (last && (n->total || offset + len < n->end)) ||
			   (!last && n->total && offset + len > n->total);
	if (contradicts || !mark(n, offset, len)) {
		end_entry(n);
		return -EINVAL;
	}
	if (offset + len > n->end) {
		n->end = offset + len;
		n->data = xrealloc(n->data, n->end);
	}
	memcpy(n->data + offset, frame + i->l4, len);
	if (last)
		n->total = offset + len;
	if (!n->total || n->units != (n->total + 7) / 8)
		return 0;
	size_t built = build(n, out);
	end_entry(n);
	return (int)built;
}

int64_t frag_deadline(const struct frag_table *t)
{
	int64_t first = INT64_MAX;
	for (size_t i = 0; i < FRAG_ENTRIES; i++)
		if (t->entries[i].used)
			first = RL_MIN(first, t->entries[i].deadline);
	return first;
}

void frag_expire(struct frag_table *t, int64_t now_ms)
{
	for (size_t i = 0; i < FRAG_ENTRIES; i++)
		if (t->entries[i].used && now_ms >= t->entries[i].deadline)
			end_entry(&t->entries[i]);
}
