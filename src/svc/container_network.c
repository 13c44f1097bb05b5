/*
 * container_network.c - which network a container gets, and what is recorded of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/endpoint.h"

static int build_slirp(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	struct net_slirp_opts *s = &c->slirp_opts;
	net_slirp_opts_init(s);
	int r = net_slirp_parse(o->network.options, s, e);
	if (r == 0)
		r = net_slirp_set_host_access(&o->host_access, s, e);
	if (r == 0)
		r = net_slirp_set_dns(&o->dns, s, e);
	if (r == 0)
		r = net_slirp_choose_subnet(s, e);
	if (r < 0)
		return err_ctx(e, "--network");
	if (o->mac_address && sscanf(o->mac_address, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &s->mac[0], &s->mac[1],
				     &s->mac[2], &s->mac[3], &s->mac[4], &s->mac[5]) != NET_MAC_LEN)
		return err_set(e, EINVAL, "--mac-address: '%s' is not an address", o->mac_address);
	c->uses_slirp = true;
	return 0;
}

int container_build_network(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	struct rt_ns *ns = &c->spec.ns[RT_NS_NET];
	switch (o->network.kind) {
	case NETWORK_NONE:
		return 0;
	case NETWORK_HOST:
		ns->mode = RT_NS_HOST;
		return 0;
	case NETWORK_SLIRP:
		return build_slirp(c, e);
	case NETWORK_NS:
		ns->mode = RT_NS_JOIN;
		ns->fd = open(o->network.name, O_RDONLY | O_CLOEXEC);
		return ns->fd < 0 ? err_sys(e, errno, "--network ns:%s", o->network.name) : 0;
	case NETWORK_CONTAINER:
		return 0; /* container_share_open */
	case NETWORK_NAMED:
		break;
	}
	err_set(e, ENOENT, "there is no network '%s'", o->network.name);
	return err_hint(e, "--network slirp, none, host and ns:PATH exist");
}

static void mac_text(const uint8_t mac[NET_MAC_LEN], char ret[18])
{
	snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

void container_network_describe(const struct container *c, struct strv *out)
{
	const struct net_slirp_opts *s = &c->slirp_opts;
	struct endpoint p = {.network = "slirp", .prefix = s->prefix};
	autostr struct str text = STR_INIT;
	if (!c->uses_slirp)
		return;
	snprintf(p.interface, sizeof(p.interface), "%s", s->ifname);
	mac_text(s->mac, p.mac);
	net_addr4_text(s->address, p.address);
	net_addr4_text(s->gateway, p.gateway);
	if (s->ipv6) {
		net_addr6_text(&s->address6, p.address6);
		net_addr6_text(&s->gateway6, p.gateway6);
		p.prefix6 = 64;
	}
	endpoint_text(&p, &text);
	strv_add(out, text.buf);
}
