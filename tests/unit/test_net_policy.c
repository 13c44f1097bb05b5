#include "rl/model/net_policy.h"

#include <arpa/inet.h>

#include "rl/base/mem.h"
#include "tap.h"

static struct net_target target(const char *address, uint8_t proto, uint16_t port)
{
	struct net_target t = {.family = strchr(address, ':') ? AF_INET6 : AF_INET, .proto = proto, .port = port};
	tap_must(inet_pton(t.family, address, t.address) == 1);
	return t;
}

static struct net_policy *policy(const char *allow, const char *deny)
{
	struct net_policy *p = xcalloc(1, sizeof(*p));
	struct err e = ERR_INIT;
	tap_must(!allow || net_policy_add(p, allow, false, &e) == 0);
	tap_must(!deny || net_policy_add(p, deny, true, &e) == 0);
	return p;
}

static void test_grammar(void)
{
	static const char *const good[] = {
		"10.0.0.0/8",	 "10.1.2.3",	  "10.1.2.3:443",     "10.0.0.0/8:80-90",
		"0.0.0.0/0",	 "::/0",	  "2001:db8::1",      "[2001:db8::/32]:80",
		"[2001:db8::1]", "example.org",	  "example.org:443",  "*.example.org:443",
		"EXAMPLE.org.",	 "1password.com", "_srv.example.org", "intranet",
		"metadata",	 "metadata:80",	  "a,b,10.0.0.1",     "xn--mnchen-3ya.de",
	};
	static const char *const bad[] = {
		"",
		",",
		"a,,b",
		"10.0.0.1/8",
		"10.0.0.0/33",
		"10.0.0",
		"0177.1",
		"1.2.3.4.5",
		"example..x",
		".example.x",
		"*.*.x",
		"*",
		"a*.b",
		"example.org:0",
		"x:65536",
		"x:90-80",
		"x:",
		"x:http",
		"[::1",
		"[::1]x",
		"[10.0.0.1]:80",
		"::1:80/64",
		"fe80::1%lo",
		"a b",
		"a/b",
		"2001:db8::/129",
		"a.-:",
		"-1",
		"10.0.0.1/",
		"[]:80",
		"*.10.0.0.1",
		"example.org/24",
		"http://x",
		"[::/0]:",
		"x.1",
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err e = ERR_INIT;
		autofree struct net_policy *p = policy(NULL, NULL);
		tap_ok(net_policy_add(p, good[i], false, &e) == 0 && p->count, "'%s' is understood: %s", good[i],
		       e.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;
		autofree struct net_policy *p = policy("10.0.0.1", NULL);
		autofree struct net_policy *before = xmemdup(p, sizeof(*p));
		tap_ok(net_policy_add(p, bad[i], false, &e) == -EINVAL && *e.text && memcmp(p, before, sizeof(*p)) == 0,
		       "'%s' is refused and changes nothing", bad[i]);
	}
	autofree struct net_policy *p = policy(NULL, NULL);
	int r = 0, added = 0;
	for (; r == 0 && added < 1000; added++)
		r = net_policy_add(p, "10.0.0.1", false, NULL);
	tap_ok(r == -E2BIG && added == NET_POLICY_ITEMS + 1, "the list has an end");
	char name[200];
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = '.';
	name[190] = '\0';
	memset(p, 0, sizeof(*p));
	for (r = 0, added = 0; r == 0 && added < 1000; added++)
		r = net_policy_add(p, name, false, NULL);
	tap_ok(r == -E2BIG && added > 10, "so has the room for names");
}

struct case_ {
	const char *allow, *deny, *address;
	uint8_t proto;
	uint16_t port;
	enum net_verdict want;
};

static void test_addresses(void)
{
	enum { ICMP = IPPROTO_ICMP, TCP = IPPROTO_TCP, UDP = IPPROTO_UDP };
	static const struct case_ cases[] = {
		{NULL, "10.0.0.0/8", "10.1.2.3", TCP, 80, NET_DENIED},
		{NULL, "10.0.0.0/8", "11.1.2.3", TCP, 80, NET_ALLOWED},
		{"10.0.0.0/8", NULL, "10.1.2.3", UDP, 80, NET_ALLOWED},
		{"10.0.0.0/8", NULL, "11.1.2.3", UDP, 80, NET_UNLISTED},
		{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", TCP, 80, NET_DENIED},
		{"10.1.0.0/16", "10.0.0.0/8", "10.1.2.3", TCP, 80, NET_DENIED},
		{"0.0.0.0/0", NULL, "2001:db8::1", TCP, 80, NET_UNLISTED},
		{"::/0", NULL, "2001:db8::1", TCP, 80, NET_ALLOWED},
		{"10.0.0.0/8:80-81", NULL, "10.0.0.1", TCP, 81, NET_ALLOWED},
		{"10.0.0.0/8:80-81", NULL, "10.0.0.1", TCP, 82, NET_UNLISTED},
		{"10.0.0.0/8:80", NULL, "10.0.0.1", ICMP, 0, NET_UNLISTED},
		{"10.0.0.0/8", NULL, "10.0.0.1", ICMP, 0, NET_ALLOWED},
		{NULL, "10.0.0.0/8:80", "10.0.0.1", ICMP, 0, NET_ALLOWED},
		{NULL, "10.0.0.0/8", "10.0.0.1", ICMP, 0, NET_DENIED},
		{"[2001:db8::/32]:443", NULL, "2001:db8:1::1", TCP, 443, NET_ALLOWED},
		{"2001:db8::/33", NULL, "2001:db8:8000::1", TCP, 443, NET_UNLISTED},
		{NULL, "metadata", "169.254.169.254", TCP, 80, NET_DENIED},
		{NULL, "metadata", "fd00:ec2::254", TCP, 80, NET_DENIED},
		{NULL, "metadata", "169.254.169.253", TCP, 80, NET_ALLOWED},
		{NULL, "metadata", "64:ff9b::a9fe:a9fe", TCP, 80, NET_DENIED},
		{NULL, "metadata", "2002:a9fe:a9fe::1", TCP, 80, NET_DENIED},
		{"metadata", NULL, "169.254.169.254", TCP, 80, NET_ALLOWED},
		{"::/0", "10.0.0.0/8", "64:ff9b::a00:1", TCP, 80, NET_DENIED},
		{NULL, "metadata", "192.0.2.53", UDP, 53, NET_ALLOWED},
		{NULL, "example.org", "192.0.2.53", UDP, 53, NET_DENIED},
		{NULL, "example.org", "192.0.2.53", TCP, 853, NET_DENIED},
		{"192.0.2.53:53", "example.org", "192.0.2.53", UDP, 53, NET_ALLOWED},
		{NULL, "example.org", "192.0.2.53", TCP, 443, NET_ALLOWED},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct case_ *c = &cases[i];
		autofree struct net_policy *p = policy(c->allow, c->deny);
		struct net_target t = target(c->address, c->proto, c->port);
		tap_ok(net_policy_judge(p, &t) == c->want, "allow %s, deny %s: %s port %u of protocol %u",
		       c->allow ? c->allow : "-", c->deny ? c->deny : "-", c->address, c->port, c->proto);
	}
}

static void test_names(void)
{
	autofree struct net_policy *p = policy("example.org:443,*.Example.net,deb.debian.org",
					       "bad.example.net,x.example.net:80");
	struct net_target web = target("192.0.2.1", IPPROTO_TCP, 443), plain = target("192.0.2.1", IPPROTO_TCP, 80);
	struct net_target ping = target("192.0.2.1", IPPROTO_ICMP, 0),
			  meta = target("169.254.169.254", IPPROTO_TCP, 443);
	tap_ok(net_policy_may_ask(p, "example.org") && net_policy_may_ask(p, "EXAMPLE.ORG."),
	       "a listed name may be asked for, in any case and with a dot at the end");
	tap_ok(!net_policy_may_ask(p, "www.example.org") && !net_policy_may_ask(p, "notexample.org") &&
		       !net_policy_may_ask(p, ""),
	       "others may not");
	tap_ok(net_policy_may_ask(p, "a.example.net") && net_policy_may_ask(p, "a.b.example.net"),
	       "a wildcard has every name below it");
	tap_ok(!net_policy_may_ask(p, "example.net") && !net_policy_may_ask(p, "aexample.net"),
	       "and not the name itself");
	tap_ok(!net_policy_may_ask(p, "bad.example.net") && net_policy_may_ask(p, "x.example.net"),
	       "what is denied may not be asked for, unless only a port of it is");
	tap_ok(!net_policy_may_alias(p, "bad.example.net") && net_policy_may_alias(p, "cdn.example.com"),
	       "an alias may be any name that is not denied");
	tap_is_int(net_policy_judge_name(p, "example.org", &web), NET_ALLOWED, "a name opens its ports");
	tap_is_int(net_policy_judge_name(p, "example.org", &plain), NET_UNLISTED, "and no others");
	tap_is_int(net_policy_judge_name(p, "example.org", &ping), NET_UNLISTED, "nor ICMP");
	tap_is_int(net_policy_judge_name(p, "a.example.net", &ping), NET_ALLOWED, "without a port it opens that too");
	tap_is_int(net_policy_judge_name(p, "a.example.net", &meta), NET_UNLISTED,
		   "a name never opens a metadata address");
	tap_is_int(net_policy_judge_name(p, "x.example.net", &plain), NET_DENIED, "a denied port of a name is denied");
	tap_is_int(net_policy_judge_name(p, "other", &web), NET_UNLISTED, "another name says nothing");
	tap_ok(net_policy_add_alias(p, "example.org", "198.51.100.7", NULL) == 0, "an address can be given to a name");
	struct net_target given = target("198.51.100.7", IPPROTO_TCP, 443),
			  not_given = target("198.51.100.7", IPPROTO_TCP, 80);
	tap_ok(net_policy_judge(p, &given) == NET_ALLOWED && net_policy_judge(p, &not_given) == NET_UNLISTED,
	       "it has the ports of the name");
	unsigned count = p->count;
	tap_ok(net_policy_add_alias(p, "elsewhere", "198.51.100.8", NULL) == 0 && p->count == count,
	       "a name that is not on the list gets nothing");
	autofree struct net_policy *cloud = policy(NULL, "metadata");
	tap_ok(!net_policy_may_ask(cloud, "metadata.google.internal") && net_policy_may_ask(cloud, "example.org"),
	       "'metadata' has names as well");
}

int main(void)
{
	tap_plan_later();
	test_grammar();
	test_addresses();
	test_names();
	return tap_done();
}
