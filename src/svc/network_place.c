/* network_place.c - whose a network is, root's or a user's, and who takes its packets out. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "network_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "rl/kern/caps.h"
#include "rl/kern/probe.h"
#include "rl/model/network_rec.h"

bool network_is_hosts(void)
{
	autostr struct str map = STR_INIT;
	uint64_t caps = 0;
	unsigned inside, outside, count;
	return geteuid() == 0 && caps_effective(&caps, NULL) >= 0 && (caps & 1ull << CAP_NET_ADMIN) &&
	       io_read_file(AT_FDCWD, "/proc/self/uid_map", 4096, &map, NULL) >= 0 &&
	       sscanf(map.buf, "%u %u %u", &inside, &outside, &count) == 3 && !inside && !outside &&
	       count == UINT32_MAX;
}

void network_place(const struct network_rec *rec, struct net_place *ret)
{
	const char *bridge = NULL;
	for (size_t i = 0; i < rec->options.count; i++) {
		const char *value = str_after(rec->options.items[i], "bridge=");
		value = value ? value : str_after(rec->options.items[i], "com.docker.network.bridge.name=");
		bridge = value ? value : bridge;
	}
	net_place_init(rec->id, network_is_hosts(), bridge, ret);
}

int network_choose_routes(const struct network_rec *rec, const struct network_addrs *a, struct net_place *p,
			  struct err *e)
{
	struct err why = ERR_INIT;
	struct net_firewall f = {0};
	net_place_clear(p); /* of a holder that was killed */
	int r = net_firewall_look(&f, &why);
	if (r < 0 || f.strict)
		log_debug(LOG_NET, "network %s: not by the host: %s%s", rec->name,
			  r < 0 ? why.text : "it has a firewall that may drop what it sends: ", f.chain);
	if (f.strict)
		net_place_set_linked(p);
	snprintf(p->firewall, sizeof(p->firewall), "%s", f.input);
	p->routes4 = r >= 0 && !f.strict && !rec->internal;
	p->routes6 = p->routes4 && !f.strict6 && a->ipv6 && probe_sysctl("net/ipv6/conf/all/forwarding", 0) == 1;
	p->network.s_addr = htonl(a->network);
	p->address.s_addr = htonl(a->gateway);
	p->prefix = a->prefix;
	p->ipv6 = a->ipv6;
	p->network6 = a->network6;
	p->address6 = a->gateway6;
	const char *name = p->linked ? p->host_end : p->bridge;
	if (if_nametoindex(name))
		return err_set(e, EEXIST, "network %s: there is an interface %s already", rec->name, name);
	return 0;
}
