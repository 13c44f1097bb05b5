#include "rl/model/network_rec.h"

#include <errno.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "tap.h"

static struct network_rec make(const char *subnet, const char *gateway, const char *range, const char *subnet6)
{
	struct network_rec n = {.name = xstrdup("net"), .driver = xstrdup("bridge"), .subnet = xstrdup(subnet)};
	n.gateway = gateway ? xstrdup(gateway) : NULL;
	n.ip_range = range ? xstrdup(range) : NULL;
	n.subnet6 = subnet6 ? xstrdup(subnet6) : NULL;
	return n;
}

static void test_addrs(void)
{
	struct network_addrs a;
	struct err e = ERR_INIT;
	struct network_rec n = make("10.89.1.0/24", NULL, NULL, NULL);
	tap_ok(network_rec_addrs(&n, &a, &e) == 0 && a.gateway == 0x0a590101 && a.first == 0x0a590101 &&
		       a.last == 0x0a5901fe,
	       "the gateway is the first address and containers get all");
	tap_is_str(n.gateway, "10.89.1.1", "and is written down");
	network_rec_free(&n);
	n = make("10.89.1.0/24", "10.89.1.9", "10.89.1.128/25", "fd01::/64");
	tap_ok(network_rec_addrs(&n, &a, &e) == 0 && a.gateway == 0x0a590109 && a.first == 0x0a590180 && a.ipv6,
	       "a gateway, a range and IPv6 are understood");
	tap_is_str(n.gateway6, "fd01::1", "the gateway of IPv6 is the first address too");
	network_rec_free(&n);
	static const struct {
		const char *subnet, *gateway, *range, *six;
	} bad[] = {
		{"10.0.0.0", NULL, NULL, NULL},
		{"10.0.0.0/30", NULL, NULL, NULL},
		{"10.0.0.0/33", NULL, NULL, NULL},
		{"127.0.0.0/8", NULL, NULL, NULL},
		{"169.254.1.0/24", NULL, NULL, NULL},
		{"0.0.0.0/8", NULL, NULL, NULL},
		{"224.0.0.0/8", NULL, NULL, NULL},
		{"10.0.0.0/24", "10.0.1.1", NULL, NULL},
		{"10.0.0.0/24", "10.0.0.0", NULL, NULL},
		{"10.0.0.0/24", "10.0.0.255", NULL, NULL},
		{"10.0.0.0/24", "x", NULL, NULL},
		{"10.0.0.0/24", NULL, "10.0.1.0/25", NULL},
		{"10.0.0.0/24", NULL, "10.0.0.0/16", NULL},
		{"10.0.0.0/24", NULL, NULL, "fd00::/48"},
		{"10.0.0.0/24", NULL, NULL, "fe80::/64"},
		{"10.0.0.0/24", NULL, NULL, "ff00::/64"},
		{"010.0.0.0/24", NULL, NULL, NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		n = make(bad[i].subnet, bad[i].gateway, bad[i].range, bad[i].six);
		tap_ok(network_rec_addrs(&n, &a, &e) == -EINVAL, "%s %s %s %s is refused", bad[i].subnet,
		       bad[i].gateway ? bad[i].gateway : "-", bad[i].range ? bad[i].range : "-",
		       bad[i].six ? bad[i].six : "-");
		network_rec_free(&n);
	}
}

static void test_names(void)
{
	static const char *const good[] = {"a", "net1", "my_net.x-2", "9"};
	static const char *const bad[] = {
		"",	 ".x",	   "-x",
		"_x",	 "a/b",	   "a b",
		"a:b",	 "host",   "none",
		"slirp", "bridge", "container",
		"a\n",	 "..",	   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		tap_ok(network_rec_check_name(good[i], NULL) == 0, "'%s' is a name", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(network_rec_check_name(bad[i], NULL) < 0, "name %zu of the bad ones is refused", i);
}

static void test_json(void)
{
	struct err e = ERR_INIT;
	struct network_rec back;
	struct network_rec n = make("10.0.0.0/24", "10.0.0.1", NULL, NULL);
	strv_add(&n.labels, "a=b");
	n.internal = true;
	autojson json_t *doc = network_rec_to_json(&n);
	tap_ok(network_rec_from_json(doc, &back, &e) == 0 && str_eq(back.subnet, n.subnet) && back.internal &&
		       strv_has(&back.labels, "a=b"),
	       "a record is read as it was written");
	network_rec_free(&back);
	json_object_set_new(doc, "version", json_integer(2));
	tap_is_int(network_rec_from_json(doc, &back, &e), -EPROTONOSUPPORT, "a newer version is refused");
	json_object_set_new(doc, "version", json_integer(1));
	json_object_del(doc, "subnet");
	tap_is_int(network_rec_from_json(doc, &back, &e), -EBADMSG, "a record without a subnet is damaged");
	network_rec_free(&n);
}

int main(void)
{
	tap_plan_later();
	test_addrs();
	test_names();
	test_json();
	return tap_done();
}
