/*
 * net_dns.h - what a forwarding resolver must know of DNS messages; pure functions on hostile bytes.
 *
 * Messages are passed on as they are: only the header and the one question are looked at, and where a policy wants to
 * know, the addresses of an answer. Names are compared without regard to case, compression pointers in a question are
 * refused (no client writes them).
 */
#ifndef RL_ENGINE_NET_DNS_H
#define RL_ENGINE_NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_HEADER = 12,
	DNS_QUERY_MAX = 4096, /* longest query that is forwarded */
	DNS_MESSAGE_MAX = 65535,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
	DNS_NAME_TEXT = 256,
	DNS_ALIASES_MAX = 16, /* CNAMEs from the question to the addresses */
};

/* A query with exactly one well-formed question: the length of header and question, else 0. */
size_t dns_check_query(const uint8_t *msg, size_t len);
/* An answer with exactly one well-formed question? */
bool dns_check_answer(const uint8_t *msg, size_t len);
/* The question's name as text without the last dot, of a message that was checked; false when it has odd characters, which
 * become '?'. `ret_end`: where type and class stand. */
bool dns_question_name(const uint8_t *query, char ret[DNS_NAME_TEXT], size_t *ret_end);
uint16_t dns_id(const uint8_t *msg);
void dns_set_id(uint8_t *msg, uint16_t id);
unsigned dns_rcode(const uint8_t *msg);
bool dns_is_truncated(const uint8_t *msg);
/* Is `reply` an answer to `query` (whose id must already be the one that was sent)? */
bool dns_reply_matches(const uint8_t *query, size_t query_len, const uint8_t *reply, size_t reply_len);
/* What an answer that matches its query says of the question's name. */
struct dns_found {
	void *arg;
	bool (*alias)(void *arg, const char *name); /* false ends the walk */
	void (*address)(void *arg, int family, const void *address, uint32_t ttl);
};
/* Follow the aliases from the question's name and report them, then the addresses of every name on the way. False: an
 * alias was not wanted. What is malformed ends the walk quietly. */
bool dns_walk_answer(const uint8_t *msg, size_t len, const struct dns_found *found);
/* Header and question of `query` turned into a reply with this rcode. `out` holds DNS_QUERY_MAX bytes. */
size_t dns_build_error(const uint8_t *query, size_t len, unsigned rcode, uint8_t *out);
/* Cut a reply to header and question with the truncation bit, so that the client asks again over TCP. The new length. */
size_t dns_truncate(uint8_t *reply, size_t len);

#endif
