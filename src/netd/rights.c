/*
 * rights.c - what each container may: its egress policy, and which ports of the host's loopback.
 *
 * Rights come before the container does: on a network of its own before the device, on a shared one before HOST, under the
 * MAC that HOST will name. They go with HOST_GONE. A container without an entry may what the options say.
 *
 * Who is speaking is known by its MAC (hosts.c). On a shared network the bridge lets a container with rights of its own
 * send under its own MAC only (net_named.h): otherwise it could take a neighbour's rights by taking its address.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/mem.h"

enum { TCP_FLAGS = 13, TCP_SYN = 2 };

struct one {
	uint8_t mac[NET_MAC_LEN];
	enum net_host_access host_access;
	size_t host_ports_count;
	uint16_t host_ports[NET_HOST_PORTS_MAX];
	struct egress *egress; /* NULL: no policy */
};

struct rights {
	struct one *items;
	size_t count;
};

struct rights *rights_new(void)
{
	return xcalloc(1, sizeof(struct rights));
}

static struct one *find(const struct netd *n, const uint8_t mac[NET_MAC_LEN])
{
	for (size_t i = 0; i < n->rights->count; i++)
		if (memcmp(n->rights->items[i].mac, mac, NET_MAC_LEN) == 0)
			return &n->rights->items[i];
	return NULL;
}

struct egress *rights_egress(const struct netd *n, const uint8_t mac[NET_MAC_LEN])
{
	const struct one *o = find(n, mac);
	return o ? o->egress : NULL;
}

void rights_select(struct netd *n, const uint8_t mac[NET_MAC_LEN])
{
	const struct one *o = find(n, mac);
	struct frame_policy *p = &n->policy;
	n->egress = o ? o->egress : NULL;
	if (!n->hosts)
		return;
	p->host_access = o ? o->host_access : n->opts.host_access;
	p->host_ports_count = o ? o->host_ports_count : 0;
	if (p->host_ports_count)
		memcpy(p->host_ports, o->host_ports, sizeof(p->host_ports));
}

void rights_drop(struct netd *n, const uint8_t mac[NET_MAC_LEN])
{
	struct one *o = find(n, mac);
	if (!o)
		return;
	if (n->egress == o->egress)
		n->egress = NULL;
	egress_free(o->egress);
	*o = n->rights->items[--n->rights->count];
}

int rights_set(struct netd *n, const struct net_rights *r, int log_fd, struct err *e)
{
	struct rights *all = n->rights;
	struct net_log *log = NULL;
	struct one o = {.host_access = r->host_access,
			.host_ports_count = RL_MIN(r->host_ports_count, (size_t)NET_HOST_PORTS_MAX)};
	int mapped = log_fd < 0 ? 0 : net_log_map(log_fd, &log, e);
	if (mapped < 0)
		return mapped;
	memcpy(o.mac, r->mac, sizeof(o.mac));
	memcpy(o.host_ports, r->host_ports, sizeof(o.host_ports));
	if (!net_policy_is_empty(&r->policy))
		o.egress = egress_new(&r->policy, log);
	else
		net_log_unmap(log);
	rights_drop(n, r->mac);
	all->items = xreallocarray(all->items, all->count + 1, sizeof(*all->items));
	all->items[all->count++] = o;
	if (!n->hosts)
		rights_select(n, n->policy.mac);
	return 0;
}

static void refuse(struct netd *n, const uint8_t *frame, const struct frame_info *i)
{
	size_t len = frame_build_refusal(frame, i, FRAME_REASON_PROHIBITED, n->reply);
	n->stats.refused++;
	if (len)
		netd_send_frame(n, n->reply, len);
}

bool rights_check(struct netd *n, const uint8_t *frame, const struct frame_info *i)
{
	struct net_target t = {.family = i->family, .proto = i->proto, .port = i->dport};
	const uint8_t *ip = frame + i->l3;
	/* What is open goes on. libslirp makes a connection of a segment with SYN only. */
	if (i->proto == IPPROTO_TCP && !(frame[i->l4 + TCP_FLAGS] & TCP_SYN))
		return true;
	if (i->family == AF_INET)
		memcpy(t.address, ip + 16, 4);
	else
		memcpy(t.address, ip + 24, 16);
	if (!egress_allows(n->egress, &t, i->sport, netd_now_ms())) {
		refuse(n, frame, i);
		return false;
	}
	guard_only(&t);
	return true;
}
