#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "rl/kern/idmap.h"
#include "rl/kern/nft.h"
#include "tap.h"

static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void test_names(void)
{
	struct net_place p;
	net_place_init(id, true, NULL, &p);
	tap_ok(str_eq(p.bridge, "rl-01234567") && str_eq(p.ports, "rl012345.") && str_eq(p.table, "rl-0123456789ab"),
	       "names on the host come from the network's id");
	tap_ok(strlen(p.ports) + 6 < NET_IFNAME_SIZE, "and leave room for the numbers of a million ports");
	static const uint8_t mac[] = {2, 0x01, 0x23, 0x45, 0x67, 0x89};
	tap_ok(memcmp(p.mac, mac, sizeof(mac)) == 0, "the bridge's MAC address does too");
	net_place_set_linked(&p);
	tap_ok(!p.on_host && p.linked && str_eq(p.host_end, "rl-01234567") && str_eq(p.ports, "port"),
	       "a network that the host is linked to is elsewhere, under the same name here");
	net_place_init(id, true, "a-name-that-is-longer", &p);
	tap_ok(strlen(p.bridge) == NET_IFNAME_SIZE - 1, "a name that is too long is cut");
	net_place_init(id, false, NULL, &p);
	tap_ok(!p.on_host && str_eq(p.bridge, "rl0"), "a user's network has a namespace of its own");
}

static int add_bridge(const char *name, const uint8_t *mac)
{
	struct err e = ERR_INIT;
	struct nl nl = NL_NONE;
	int r = nl_open(&nl, &e);
	nl_bridge_add(&nl, name, mac);
	if (r >= 0)
		r = nl_flush(&nl, &e);
	nl_close(&nl);
	return r;
}

static int look(bool *ret_strict, struct err *e)
{
	struct net_firewall f;
	int r = net_firewall_look(&f, e);
	*ret_strict = r >= 0 && f.strict;
	return r;
}

static int in_own_namespace(void *arg)
{
	struct err e = ERR_INIT;
	struct net_place p;
	bool strict = true;
	(void)arg;
	net_place_init(id, true, NULL, &p);
	if (look(&strict, &e) < 0 || strict)
		return 1;
	if (nft_run("table inet f { chain c {\n type filter hook forward priority 0; policy accept;\n}\n}\n", &e) < 0 ||
	    look(&strict, &e) < 0 || strict)
		return 2;
	if (nft_run("table inet rl-x { chain c {\n type filter hook forward priority 0; policy drop;\n}\n}\n", &e) <
		    0 ||
	    look(&strict, &e) < 0 || strict)
		return 3; /* one of our own */
	if (nft_run("table ip g { chain c {\n type filter hook input priority 0; policy drop;\n}\n}\n", &e) < 0 ||
	    look(&strict, &e) < 0 || !strict)
		return 4;
	if (add_bridge(p.bridge, p.mac) < 0 || nft_run("table inet rl-0123456789ab { }\n", &e) < 0)
		return 5;
	net_place_clear(&p);
	if (if_nametoindex(p.bridge) || nft_run("delete table inet rl-0123456789ab\n", &e) >= 0)
		return 6;
	static const uint8_t other[] = {2, 9, 9, 9, 9, 9};
	if (add_bridge(p.bridge, other) < 0)
		return 7;
	net_place_clear(&p);
	return if_nametoindex(p.bridge) ? 0 : 8;
}

int main(void)
{
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child c;
	static const char sentence[] =
		"a firewall is known by its policy; what is cleared is ours, by name and address";
	tap_plan_later();
	test_names();
	if (access("/usr/sbin/nft", X_OK) < 0) {
		tap_skip("nft is not installed", sentence);
		return tap_done();
	}
	int r = idmap_detect(true, &map, &e);
	if (r == 0)
		r = userns_spawn(&map, CLONE_NEWNET, in_own_namespace, NULL, &c, &e);
	if (r == 0)
		r = proc_wait(&c, "child", &e);
	if (!tap_ok(r == 0, "%s", sentence))
		tap_diag("failed at %d %s", r, e.text);
	return tap_done();
}
