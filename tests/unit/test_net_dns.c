/* links: engine/net kern model base */
#include "rl/engine/net_dns.h"

#include "rl/base/compiler.h"
#include "tap.h"

static const uint8_t query[] = {
	0x12, 0x34, 1,	 0,   0, 1,   0,   0,	0,   0,	  0,   1, /* header: recursion, one additional */
	3,    'W',  'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0,
	1,    0,    1,	 0,   0, 41,  4,   0,	0,   0,	  0,   0,   0, 0}; /* EDNS */
enum { QUESTION_END = 12 + 13 + 4 };

static void test_queries(void)
{
	uint8_t msg[sizeof(query)];
	tap_is_int(dns_check_query(query, sizeof(query)), QUESTION_END, "a query with EDNS is accepted");
	bool refused = true;
	for (size_t len = 0; len < QUESTION_END; len++)
		refused &= dns_check_query(query, len) == 0;
	tap_ok(refused, "a query cut anywhere in header or question is refused");
	memcpy(msg, query, sizeof(msg));
	msg[2] |= 0x80;
	tap_is_int(dns_check_query(msg, sizeof(msg)), 0, "an answer is not a query");
	memcpy(msg, query, sizeof(msg));
	msg[5] = 2;
	tap_is_int(dns_check_query(msg, sizeof(msg)), 0, "two questions are refused");
	msg[5] = 0;
	tap_is_int(dns_check_query(msg, sizeof(msg)), 0, "no question is refused");
	memcpy(msg, query, sizeof(msg));
	msg[12] = 0xc0;
	tap_is_int(dns_check_query(msg, sizeof(msg)), 0, "a compressed name in the question is refused");
	msg[12] = 63;
	tap_is_int(dns_check_query(msg, sizeof(msg)), 0, "a label that runs past the message is refused");
	uint8_t longest[12 + 4 * 64 + 10] = {[5] = 1};
	for (size_t i = 0; i < 4; i++)
		longest[12 + i * 64] = 63;
	tap_is_int(dns_check_query(longest, sizeof(longest)), 0, "a name above 255 bytes is refused");
	const uint8_t root[] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1};
	tap_is_int(dns_check_query(root, sizeof(root)), sizeof(root), "a question for the root is accepted");
}

static void test_replies(void)
{
	uint8_t reply[sizeof(query)];
	memcpy(reply, query, sizeof(reply));
	reply[2] |= 0x80;
	reply[13] = 'w';
	tap_ok(dns_reply_matches(query, sizeof(query), reply, sizeof(reply)),
	       "an answer with the name in other case matches");
	reply[0] ^= 1;
	tap_ok(!dns_reply_matches(query, sizeof(query), reply, sizeof(reply)), "another id does not match");
	reply[0] ^= 1;
	reply[14] = 'x';
	tap_ok(!dns_reply_matches(query, sizeof(query), reply, sizeof(reply)), "another name does not match");
	reply[14] = 'w';
	reply[QUESTION_END - 3] = 28;
	tap_ok(!dns_reply_matches(query, sizeof(query), reply, sizeof(reply)), "another type does not match");
	reply[QUESTION_END - 3] = 1;
	tap_ok(!dns_reply_matches(query, sizeof(query), query, sizeof(query)), "the query itself is not its answer");
	reply[5] = 0;
	tap_ok(!dns_reply_matches(query, sizeof(query), reply, 12), "success without a question does not match");
	reply[3] = 1;
	tap_ok(dns_reply_matches(query, sizeof(query), reply, 12), "a format error without a question matches");
}

static void test_built(void)
{
	uint8_t out[DNS_QUERY_MAX];
	size_t n = dns_build_error(query, sizeof(query), DNS_RCODE_SERVFAIL, out);
	tap_is_int(n, QUESTION_END, "an error answer is header and question");
	tap_ok(dns_reply_matches(query, sizeof(query), out, n) && dns_rcode(out) == DNS_RCODE_SERVFAIL,
	       "it matches its query and says SERVFAIL");
	uint8_t reply[sizeof(query)];
	memcpy(reply, query, sizeof(reply));
	reply[2] |= 0x80;
	reply[7] = 3;
	n = dns_truncate(reply, sizeof(reply));
	tap_ok(n == QUESTION_END && dns_is_truncated(reply) && reply[7] == 0,
	       "a truncated answer has no records and says so");
	dns_set_id(reply, 0xabcd);
	tap_is_int(dns_id(reply), 0xabcd, "an id can be replaced");
}

int main(void)
{
	tap_plan_later();
	test_queries();
	test_replies();
	test_built();
	return tap_done();
}
