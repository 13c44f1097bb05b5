/*
 * dns.c - see net_dns.h.
 *
 * A message is `len` hostile bytes. A question is read without compression (question_end), a record with it (read_name):
 * a pointer costs one of POINTERS_MAX jumps, so that one which leads to itself has an end, and a name ends before
 * NAME_MAX_BYTES. What is looked at of an answer is bounded too: RECORDS_MAX records for each of DNS_ALIASES_MAX names.
 */
#include "rl/engine/net_dns.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "rl/base/compiler.h"

enum {
	FLAG_QR = 0x80,	    /* byte 2 */
	FLAG_TC = 0x02,	    /* byte 2 */
	FLAG_RD = 0x01,	    /* byte 2 */
	FLAG_OPCODE = 0x78, /* byte 2 */
	FLAG_RA = 0x80,	    /* byte 3 */
	NAME_MAX_BYTES = 255,
	LABEL_MAX = 63,
	QUESTION_TAIL = 4, /* type and class */
	POINTER = 0xc0,
	POINTERS_MAX = 64, /* in one name */
	RECORD_TAIL = 10,  /* type, class, TTL, length */
	RECORDS_MAX = 256, /* of one answer that are looked at */
	TYPE_A = 1,
	TYPE_CNAME = 5,
	TYPE_AAAA = 28,
	CLASS_IN = 1,
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

bool dns_check_answer(const uint8_t *msg, size_t len)
{
	return len >= DNS_HEADER && (msg[2] & FLAG_QR) && get16(msg + 4) == 1 && question_end(msg, len);
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

/* ---- names and records ---- */

/* The name at *at, moved behind it. False: malformed. *ret_plain: no odd characters. */
static bool read_name(const uint8_t *msg, size_t len, size_t *at, char ret[DNS_NAME_TEXT], bool *ret_plain)
{
	size_t p = *at, out = 0;
	bool moved = false;
	*ret_plain = true;
	for (int jumps = 0; p < len && msg[p] != 0;) {
		if ((msg[p] & POINTER) == POINTER) {
			if (p + 2 > len || ++jumps > POINTERS_MAX)
				return false;
			if (!moved)
				*at = p + 2;
			moved = true;
			p = get16(msg + p) & 0x3fff;
			continue;
		}
		size_t label = msg[p];
		if (label > LABEL_MAX || p + label >= len || out + label + 1 >= NAME_MAX_BYTES)
			return false;
		if (out)
			ret[out++] = '.';
		for (size_t i = 1; i <= label; i++) {
			uint8_t c = msg[p + i];
			bool plain = c > ' ' && c < 127 && c != '.';
			*ret_plain &= plain;
			ret[out++] = plain ? (char)c : '?';
		}
		p += label + 1;
	}
	if (p >= len)
		return false;
	if (!moved)
		*at = p + 1;
	ret[out] = '\0';
	return true;
}

bool dns_question_name(const uint8_t *query, char ret[DNS_NAME_TEXT], size_t *ret_end)
{
	bool plain = false;
	*ret_end = DNS_HEADER;
	*ret = '\0';
	return read_name(query, DNS_HEADER + NAME_MAX_BYTES + 1, ret_end, ret, &plain) && plain;
}

struct record {
	char name[DNS_NAME_TEXT];
	unsigned type;
	uint32_t ttl;
	size_t data, data_len; /* where in the message */
};

/* The record at *at, moved behind it. */
static bool read_record(const uint8_t *msg, size_t len, size_t *at, struct record *ret)
{
	bool plain;
	if (!read_name(msg, len, at, ret->name, &plain) || *at + RECORD_TAIL > len)
		return false;
	const uint8_t *p = msg + *at;
	ret->type = get16(p + 2) == CLASS_IN ? get16(p) : 0;
	ret->ttl = (uint32_t)get16(p + 4) << 16 | get16(p + 6);
	ret->data = *at + RECORD_TAIL;
	ret->data_len = get16(p + 8);
	*at = ret->data + ret->data_len;
	return *at <= len;
}

/* Report the addresses of `name`; its alias, if it has one, into `ret_alias`. */
static bool look_up(const uint8_t *msg, size_t len, size_t first, const char *name, const struct dns_found *found,
		    char ret_alias[DNS_NAME_TEXT])
{
	bool has_alias = false, plain;
	size_t at = first;
	struct record r;
	for (unsigned left = RL_MIN(get16(msg + 6), (unsigned)RECORDS_MAX); left && read_record(msg, len, &at, &r);
	     left--) {
		size_t data = r.data;
		if (strcasecmp(r.name, name) != 0)
			continue;
		if (r.type == TYPE_CNAME && !has_alias)
			has_alias = read_name(msg, len, &data, ret_alias, &plain);
		else if (r.type == TYPE_A && r.data_len == 4)
			found->address(found->arg, AF_INET, msg + r.data, r.ttl);
		else if (r.type == TYPE_AAAA && r.data_len == 16)
			found->address(found->arg, AF_INET6, msg + r.data, r.ttl);
	}
	return has_alias;
}

bool dns_walk_answer(const uint8_t *msg, size_t len, const struct dns_found *found)
{
	char name[DNS_NAME_TEXT], alias[DNS_NAME_TEXT];
	size_t first = DNS_HEADER;
	bool plain;
	if (len < DNS_HEADER || get16(msg + 4) != 1 || !read_name(msg, len, &first, name, &plain))
		return true;
	first += QUESTION_TAIL;
	for (int i = 0; i < DNS_ALIASES_MAX && look_up(msg, len, first, name, found, alias); i++) {
		if (!found->alias(found->arg, alias))
			return false;
		memcpy(name, alias, sizeof(name));
	}
	return true;
}

/* ---- answers of our own ---- */

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
