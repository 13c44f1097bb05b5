#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "tap.h"

struct reading {
	const char *driver, *options;
	enum net_direct direct; /* what is understood, or */
	const char *error;	/* what is complained about */
};

int main(void)
{
	static const struct reading cases[] = {
		{"bridge", "parent=eth0", NET_DIRECT_NONE, NULL},
		{"macvlan", "parent=eth0", NET_DIRECT_MACVLAN, NULL},
		{"macvlan", "parent=eth0 mode=private", NET_DIRECT_MACVLAN, NULL},
		{"macvlan", "macvlan_mode=vepa parent=eth0", NET_DIRECT_MACVLAN, NULL},
		{"ipvlan", "parent=eth0 ipvlan_mode=l2", NET_DIRECT_IPVLAN, NULL},
		{"macvlan", "mtu=1500", 0, "-o parent="},
		{"macvlan", "parent=", 0, "-o parent="},
		{"macvlan", "parent=a/b", 0, "no name of an interface"},
		{"macvlan", "parent=abcdefghijklmnop", 0, "no name of an interface"},
		{"macvlan", "parent=eth0 mode=l2", 0, "bridge private vepa"},
		{"ipvlan", "parent=eth0 mode=bridge", 0, "are: l2"},
		{"macvlan", "parent=eth0 mode=passthru", 0, "bridge private vepa"},
	};
	tap_plan_later();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct reading *c = &cases[i];
		autostrv struct strv options = STRV_INIT;
		struct net_place p = {0};
		struct err e = ERR_INIT;
		strv_split(&options, c->options, ' ');
		int r = net_direct_init(c->driver, &options, &p, &e);
		bool as_due = c->error ? r < 0 && strstr(e.text, c->error)
				       : r == 0 && p.direct == c->direct && (!p.direct || str_eq(p.parent, "eth0"));
		bool hinted = c->error && e.hint[0] && strstr(e.hint, c->error);
		tap_ok(as_due || hinted, "-d %s with %s is %s: %s", c->driver, c->options,
		       c->error ? "refused" : "understood", e.text);
	}
	return tap_done();
}
