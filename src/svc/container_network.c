/*
 * container_network.c - which network a container gets, and what is recorded of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/endpoint.h"
#include "rl/svc/network.h"

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
	case NETWORK_CONTAINER: /* container_share_open */
	case NETWORK_NAMED:	/* container_network_lease */
		return 0;
	}
	return 0;
}

static void mac_text(const uint8_t mac[NET_MAC_LEN], char ret[18])
{
	snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* ---- named networks ---- */

static void add_name(struct net_host *h, const char *name)
{
	size_t at = 0;
	while (h->names[at]) {
		if (str_eq(h->names + at, name))
			return;
		at += strlen(h->names + at) + 1;
	}
	if (at + strlen(name) + 2 < sizeof(h->names))
		memcpy(h->names + at, name, strlen(name) + 1);
}

static int lease_one(struct container *c, const char *text, bool first, struct err *e)
{
	const struct run_opts *o = c->o;
	struct named_opt n;
	int r = run_opts_parse_named(text, &n, e);
	if (r < 0)
		return r;
	struct net_lease *l = &c->leases[c->nleases];
	char id[13];
	const char *ip = first && o->ip ? o->ip : n.ip;
	const char *ip6 = first && o->ip6 ? o->ip6 : n.ip6;
	const char *mac = first && o->mac_address ? o->mac_address : n.mac;
	*l = (struct net_lease){0};
	snprintf(l->network, sizeof(l->network), "%s", n.name);
	snprintf(l->interface, sizeof(l->interface), "eth%zu", c->nleases);
	if (n.interface)
		snprintf(l->interface, sizeof(l->interface), "%s", n.interface);
	if ((ip && inet_pton(AF_INET, ip, &l->host.address) != 1) ||
	    (ip6 && inet_pton(AF_INET6, ip6, &l->host.address6) != 1) ||
	    (mac && sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &l->host.mac[0], &l->host.mac[1], &l->host.mac[2],
			   &l->host.mac[3], &l->host.mac[4], &l->host.mac[5]) != NET_MAC_LEN))
		r = err_set(e, EINVAL, "--network %s: a malformed address", n.name);
	snprintf(id, sizeof(id), "%.12s", c->id);
	add_name(&l->host, c->rec.config.name);
	add_name(&l->host, id);
	if (c->rec.config.hostname)
		add_name(&l->host, c->rec.config.hostname);
	for (size_t i = 0; first && i < o->network_aliases.count; i++)
		add_name(&l->host, o->network_aliases.items[i]);
	for (size_t i = 0; i < n.aliases.count; i++)
		add_name(&l->host, n.aliases.items[i]);
	run_opts_free_named(&n);
	if (r >= 0)
		r = network_lease(&c->store, l, &c->lease_conns[c->nleases], e);
	if (r >= 0)
		c->nleases++;
	return r;
}

int container_network_lease(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	if (o->network.kind != NETWORK_NAMED)
		return 0;
	container_network_release(c);
	size_t n = 1 + o->more_networks.count;
	c->leases = xcalloc(n, sizeof(*c->leases));
	c->lease_conns = xcalloc(n, sizeof(*c->lease_conns));
	autofree char *first = o->network.options ? xasprintf("%s:%s", o->network.name, o->network.options)
						  : xstrdup(o->network.name);
	int r = lease_one(c, first, true, e);
	for (size_t i = 0; i < o->more_networks.count && r >= 0; i++)
		r = lease_one(c, o->more_networks.items[i], false, e);
	return r < 0 ? r : 0;
}

void container_network_release(struct container *c)
{
	for (size_t i = 0; i < c->nleases; i++)
		close_fd(&c->lease_conns[i]);
	free(c->leases);
	free(c->lease_conns);
	c->leases = NULL;
	c->lease_conns = NULL;
	c->nleases = 0;
}

/* Internal networks first: their resolver refuses what it does not know, and then the next one is asked. */
void container_network_resolvers(const struct container *c, struct strv *out)
{
	for (int internal = 1; internal >= 0; internal--)
		for (size_t i = 0; i < c->nleases; i++) {
			char text[INET_ADDRSTRLEN];
			net_addr4_text(c->leases[i].dns, text);
			if (c->leases[i].internal == internal)
				strv_add(out, text);
		}
}

static void describe_lease(const struct net_lease *l, struct strv *out)
{
	struct endpoint p = {.prefix = l->prefix};
	autostr struct str text = STR_INIT;
	snprintf(p.network, sizeof(p.network), "%s", l->network);
	snprintf(p.interface, sizeof(p.interface), "%s", l->interface);
	mac_text(l->host.mac, p.mac);
	net_addr4_text(l->host.address, p.address);
	net_addr4_text(l->gateway, p.gateway);
	if (l->ipv6) {
		net_addr6_text(&l->host.address6, p.address6);
		net_addr6_text(&l->gateway6, p.gateway6);
		p.prefix6 = 64;
	}
	endpoint_text(&p, &text);
	strv_add(out, text.buf);
}

void container_network_describe(const struct container *c, struct strv *out)
{
	const struct net_slirp_opts *s = &c->slirp_opts;
	struct endpoint p = {.network = "slirp", .prefix = s->prefix};
	autostr struct str text = STR_INIT;
	for (size_t i = 0; i < c->nleases; i++)
		describe_lease(&c->leases[i], out);
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
