#include "rl/engine/net_dns.h"

#include <ctype.h>
#include <string.h>

enum {
	FLAG_QR = 0x80,	    /* byte 2 */
	FLAG_TC = 0x02,	    /* byte 2 */
	FLAG_RD = 0x01,	    /* byte 2 */
	FLAG_OPCODE = 0x78, /* byte 2 */
	FLAG_RA = 0x80,	    /* byte 3 */
	NAME_MAX_BYTES = 255,
	LABEL_MAX = 63,
	QUESTION_TAIL = 4, /* type and class */
};

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* The offset behind the question that starts at DNS_HEADER, or 0. */
static size_t question_end(const uint8_t *msg, size_t len)
{
	size_t at = DNS_HEADER;
	while (at < len && msg[at] != 0) {
		if (msg[at] > LABEL_MAX)
			return 0;
		at += (size_t)msg[at] + 1;
		if (at - DNS_HEADER >= NAME_MAX_BYTES)
			return 0;
	}
	at += 1 + QUESTION_TAIL;
	return at <= len ? at : 0;
}

size_t dns_check_query(const uint8_t *msg, size_t len)
{
	if (len < DNS_HEADER || len > DNS_QUERY_MAX || (msg[2] & FLAG_QR) || get16(msg + 4) != 1)
		return 0;
	return question_end(msg, len);
}

uint16_t dns_id(const uint8_t *msg)
{
	return (uint16_t)get16(msg);
}

void dns_set_id(uint8_t *msg, uint16_t id)
{
	msg[0] = (uint8_t)(id >> 8);
	msg[1] = (uint8_t)id;
}

unsigned dns_rcode(const uint8_t *msg)
{
	return msg[3] & 0x0f;
}

bool dns_is_truncated(const uint8_t *msg)
{
	return msg[2] & FLAG_TC;
}

static bool same_question(const uint8_t *a, const uint8_t *b, size_t end)
{
	for (size_t i = DNS_HEADER; i < end; i++) {
		/* Label lengths are below 64, so folding case cannot confuse them with letters; the last four bytes
		 * (type, class) must be exact. */
		bool exact = i >= end - QUESTION_TAIL;
		if (exact ? a[i] != b[i] : tolower(a[i]) != tolower(b[i]))
			return false;
	}
	return true;
}

bool dns_reply_matches(const uint8_t *query, size_t query_len, const uint8_t *reply, size_t reply_len)
{
	if (reply_len < DNS_HEADER || !(reply[2] & FLAG_QR) || memcmp(query, reply, 2) != 0)
		return false;
	if ((query[2] & FLAG_OPCODE) != (reply[2] & FLAG_OPCODE))
		return false;
	if (get16(reply + 4) == 0)
		return dns_rcode(reply) != 0; /* servers that could not read the question leave it out */
	size_t end = question_end(query, query_len);
	return get16(reply + 4) == 1 && end && question_end(reply, reply_len) == end &&
	       same_question(query, reply, end);
}

static void clear_counts(uint8_t *msg)
{
	memset(msg + 6, 0, 6);
}

size_t dns_build_error(const uint8_t *query, size_t len, unsigned rcode, uint8_t *out)
{
	size_t end = question_end(query, len);
	if (end == 0)
		return 0;
	memcpy(out, query, end);
	out[2] = (uint8_t)(FLAG_QR | (query[2] & (FLAG_OPCODE | FLAG_RD)));
	out[3] = (uint8_t)(FLAG_RA | (rcode & 0x0f));
	clear_counts(out);
	return end;
}

size_t dns_truncate(uint8_t *reply, size_t len)
{
	size_t end = len >= DNS_HEADER && get16(reply + 4) == 1 ? question_end(reply, len) : 0;
	if (end == 0)
		return len < DNS_HEADER ? len : DNS_HEADER;
	reply[2] |= FLAG_TC;
	clear_counts(reply);
	return end;
}
