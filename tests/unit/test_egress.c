/* links: engine/net kern model base */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "rl/base/mem.h"
#include "rl/engine/net_dns.h"
#include "rl/engine/net_egress.h"
#include "tap.h"

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };

/* A message under construction. */
struct message {
	uint8_t bytes[2048];
	size_t len;
};

static void put16(struct message *m, unsigned v)
{
	m->bytes[m->len++] = (uint8_t)(v >> 8);
	m->bytes[m->len++] = (uint8_t)v;
}

static void put_name(struct message *m, const char *name)
{
	while (*name) {
		size_t label = strcspn(name, ".");
		m->bytes[m->len++] = (uint8_t)label;
		memcpy(m->bytes + m->len, name, label);
		m->len += label;
		name += label + (name[label] == '.');
	}
	m->bytes[m->len++] = 0;
}

static void start(struct message *m, const char *name, bool is_answer)
{
	*m = (struct message){.bytes = {[2] = is_answer ? 0x81 : 1, [5] = 1}, .len = DNS_HEADER};
	put_name(m, name);
	put16(m, TYPE_A);
	put16(m, 1);
}

static void put_record(struct message *m, const char *name, unsigned type, unsigned ttl, const void *data, size_t len)
{
	m->bytes[7]++;
	put_name(m, name);
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl);
	put16(m, (unsigned)len);
	memcpy(m->bytes + m->len, data, len);
	m->len += len;
}

static void put_a(struct message *m, const char *name, unsigned ttl, const char *address)
{
	uint8_t a[16];
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;
	tap_must(inet_pton(family, address, a) == 1);
	put_record(m, name, family == AF_INET ? TYPE_A : TYPE_AAAA, ttl, a, family == AF_INET ? 4 : 16);
}

static void put_alias(struct message *m, const char *name, const char *alias)
{
	struct message data = {.len = 0};
	put_name(&data, alias);
	put_record(m, name, TYPE_CNAME, 60, data.bytes, data.len);
}

static struct egress *egress(const char *allow, const char *deny)
{
	autofree struct net_policy *p = xcalloc(1, sizeof(*p));
	tap_must(!allow || net_policy_add(p, allow, false, NULL) == 0);
	tap_must(!deny || net_policy_add(p, deny, true, NULL) == 0);
	return egress_new(p, NULL);
}

static bool allows(struct egress *g, const char *address, uint8_t proto, uint16_t port, int64_t now)
{
	struct net_target t = {.family = strchr(address, ':') ? AF_INET6 : AF_INET, .proto = proto, .port = port};
	tap_must(inet_pton(t.family, address, t.address) == 1);
	return egress_allows(g, &t, 1000, now);
}

static bool tcp(struct egress *g, const char *address, uint16_t port, int64_t now)
{
	return allows(g, address, IPPROTO_TCP, port, now);
}

static void test_questions(void)
{
	struct egress *g = egress("good.example", NULL);
	struct message m;
	start(&m, "good.example", false);
	tap_ok(egress_may_ask(g, m.bytes), "a listed name may be asked for");
	start(&m, "bad.example", false);
	tap_ok(!egress_may_ask(g, m.bytes), "another may not");
	start(&m, "good.example", false);
	m.bytes[DNS_HEADER + 5] = '.';
	tap_ok(!egress_may_ask(g, m.bytes), "a dot inside a label makes another name");
	start(&m, "good.example", false);
	m.bytes[DNS_HEADER + 2] = 0;
	tap_ok(!egress_may_ask(g, m.bytes), "so does a zero byte");
	egress_free(g);
}

static void test_answers(void)
{
	struct egress *g = egress("good.example:80", NULL);
	struct message m;
	tap_ok(!tcp(g, "192.0.2.1", 80, 0), "an address nobody named is closed");
	start(&m, "good.example", true);
	put_a(&m, "Good.Example", 60, "192.0.2.1");
	put_a(&m, "other.example", 60, "192.0.2.2");
	put_a(&m, "good.example", 10, "2001:db8::1");
	tap_ok(egress_learn(g, m.bytes, m.len, 0), "an answer is taken");
	tap_ok(tcp(g, "192.0.2.1", 80, 1000), "its address is open");
	tap_ok(!tcp(g, "192.0.2.1", 81, 1000), "at the ports of the item");
	tap_ok(tcp(g, "2001:db8::1", 80, 1000), "those of both families are");
	tap_ok(!tcp(g, "192.0.2.2", 80, 1000), "a record of another name in the same answer opens nothing");
	tap_ok(tcp(g, "192.0.2.1", 80, 60 * 1000 + EGRESS_GRACE_MS - 1),
	       "it is open as long as the answer says and a while longer");
	tap_ok(!tcp(g, "192.0.2.1", 80, 60 * 1000 + EGRESS_GRACE_MS), "and then no more");
	tap_ok(!tcp(g, "2001:db8::1", 80, 10 * 1000 + EGRESS_GRACE_MS), "each record has its own time");
	tap_ok(egress_learn(g, m.bytes, m.len, 500000) && tcp(g, "192.0.2.1", 80, 500001),
	       "asked again it is open again");
	egress_free(g);

	g = egress("good.example", "bad.example");
	start(&m, "good.example", true);
	put_a(&m, "cdn.example", 60, "192.0.2.3");
	put_alias(&m, "edge.example", "cdn.example");
	put_alias(&m, "good.example", "edge.example");
	tap_ok(egress_learn(g, m.bytes, m.len, 0) && tcp(g, "192.0.2.3", 80, 0), "aliases are followed in any order");
	start(&m, "good.example", true);
	put_alias(&m, "good.example", "bad.example");
	put_a(&m, "bad.example", 60, "192.0.2.4");
	tap_ok(!egress_learn(g, m.bytes, m.len, 0) && !tcp(g, "192.0.2.4", 80, 0), "not to a name that is denied");
	start(&m, "good.example", true);
	put_alias(&m, "good.example", "edge.example");
	put_alias(&m, "edge.example", "good.example");
	tap_ok(egress_learn(g, m.bytes, m.len, 0), "a circle of aliases has an end");
	egress_free(g);

	g = egress(NULL, "some.example:25");
	start(&m, "some.example", true);
	put_a(&m, "some.example", 60, "192.0.2.5");
	tap_ok(egress_learn(g, m.bytes, m.len, 0) && tcp(g, "192.0.2.5", 80, 0) && !tcp(g, "192.0.2.5", 25, 0),
	       "a denied port of a name is closed at its address");
	egress_free(g);
}

static void test_hostile_answers(void)
{
	struct egress *g = egress("good.example", NULL);
	struct message m;
	start(&m, "good.example", true);
	put_a(&m, "good.example", 60, "192.0.2.1");
	bool quiet = true;
	for (size_t len = 0; len < m.len; len++) {
		autofree uint8_t *cut = xmemdup(m.bytes, len ? len : 1);
		quiet &= egress_learn(g, cut, len, 0);
	}
	tap_ok(quiet && !tcp(g, "192.0.2.1", 80, 0), "an answer that is cut anywhere opens nothing");
	m.bytes[DNS_HEADER + 14 + 4] = 0xc0;
	m.bytes[DNS_HEADER + 14 + 5] = DNS_HEADER + 14 + 4;
	tap_ok(egress_learn(g, m.bytes, m.len, 0), "a name that points at itself has an end");
	start(&m, "good.example", true);
	put_a(&m, "good.example", 0xffffffff, "192.0.2.1");
	tap_ok(egress_learn(g, m.bytes, m.len, 0) && tcp(g, "192.0.2.1", 80, EGRESS_TTL_MAX_S * 1000L) &&
		       !tcp(g, "192.0.2.1", 80, EGRESS_TTL_MAX_S * 1000L + EGRESS_GRACE_MS),
	       "no answer opens an address for longer than a day");
	for (unsigned i = 0; i < 2 * EGRESS_KNOWN; i++) {
		char address[16];
		snprintf(address, sizeof(address), "10.0.%u.%u", i / 250, i % 250 + 1);
		start(&m, "good.example", true);
		put_a(&m, "good.example", 60 + i, address);
		tap_must(egress_learn(g, m.bytes, m.len, 0));
	}
	tap_ok(tcp(g, "10.0.4.1", 80, 0) && !tcp(g, "10.0.0.1", 80, 0),
	       "more addresses than there is room for push out the shortest");
	egress_free(g);
}

static void test_flows(void)
{
	struct egress *g = egress("good.example", NULL);
	struct message m;
	start(&m, "good.example", true);
	put_a(&m, "good.example", 0, "192.0.2.1");
	tap_must(egress_learn(g, m.bytes, m.len, 0));
	tap_ok(allows(g, "192.0.2.1", IPPROTO_UDP, 443, 0), "a datagram to an open address goes");
	int64_t now = 0;
	bool goes_on = true;
	for (; now < 20 * EGRESS_FLOW_MS; now += EGRESS_FLOW_MS - 1)
		goes_on &= allows(g, "192.0.2.1", IPPROTO_UDP, 443, now);
	tap_ok(goes_on, "its flow goes on as long as it is used");
	tap_ok(!allows(g, "192.0.2.1", IPPROTO_UDP, 444, now), "another port is no part of it");
	tap_ok(!tcp(g, "192.0.2.1", 443, now), "nor is a connection");
	tap_ok(!allows(g, "192.0.2.1", IPPROTO_UDP, 443, now + 2 * EGRESS_FLOW_MS), "once quiet it is over");
	tap_ok(!allows(g, "192.0.2.9", IPPROTO_ICMP, 0, 0), "an echo request is judged");
	egress_free(g);
}

int main(void)
{
	tap_plan_later();
	test_questions();
	test_answers();
	test_hostile_answers();
	test_flows();
	return tap_done();
}
