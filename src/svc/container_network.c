/*
 * container_network.c - which network a container gets, and what is recorded of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "container_int.h"
#include "network_int.h"
#include "rl/base/io.h"
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
	return s->fast ? container_rights_fast(&c->rec.config, s, &c->spec.connect, e) : 0;
}

int container_build_network(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	struct rt_ns *ns = &c->spec.ns[RT_NS_NET];
	struct net_rights *rights = NULL;
	int r = container_rights(&c->rec.config, &rights, e);
	free(rights);
	if (r < 0)
		return r; /* said before anything is made */
	switch (o->network.kind) {
	case NETWORK_NONE:
		return 0;
	case NETWORK_HOST:
		ns->mode = RT_NS_HOST;
		return 0;
	case NETWORK_SLIRP:
		return build_slirp(c, e);
	case NETWORK_NS: /* container_share_open */
	case NETWORK_CONTAINER:
	case NETWORK_NAMED: /* container_network_lease */
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

static bool set_addresses(struct net_lease *l, const char *ip, const char *ip6, const char *mac)
{
	return (!ip || inet_pton(AF_INET, ip, &l->host.address) == 1) &&
	       (!ip6 || inet_pton(AF_INET6, ip6, &l->host.address6) == 1) &&
	       (!mac || sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &l->host.mac[0], &l->host.mac[1], &l->host.mac[2],
			       &l->host.mac[3], &l->host.mac[4], &l->host.mac[5]) == NET_MAC_LEN);
}

int container_lease(const struct store *s, const struct record_config *config, const char *text, const char *interface,
		    struct net_lease *ret_lease, int *ret_conn, struct err *e)
{
	const struct run_opts *o = &config->o;
	struct net_lease l = {0};
	struct named_opt n;
	char id[13];
	int r = run_opts_parse_named(text, &n, e);
	if (r < 0)
		return r;
	snprintf(l.network, sizeof(l.network), "%s", n.name);
	snprintf(l.interface, sizeof(l.interface), "%s", n.interface ? n.interface : interface);
	if (!set_addresses(&l, n.ip, n.ip6, n.mac))
		r = err_set(e, EINVAL, "--network %s: a malformed address", n.name);
	snprintf(id, sizeof(id), "%.12s", config->id);
	add_name(&l.host, config->name);
	add_name(&l.host, id);
	if (config->hostname)
		add_name(&l.host, config->hostname);
	for (size_t i = 0; i < n.aliases.count; i++)
		add_name(&l.host, n.aliases.items[i]);
	size_t aliases = n.aliases.count;
	run_opts_free_named(&n);
	/* Rights are rl-netd's to grant. */
	l.by_netd = o->allow_net.count || o->deny_net.count || o->host_access.count;
	l.guarded = o->allow_net.count || o->deny_net.count;
	if (r >= 0)
		r = network_lease(s, &l, ret_conn, e);
	if (r >= 0 && !l.direct && o->dns.count && o->network.kind == NETWORK_NAMED)
		r = err_set(e, EINVAL, "--dns: not with --network %s, whose resolver is for all containers on it",
			    l.network);
	if (r >= 0 && l.direct && aliases)
		r = err_set(e, ENOTSUP, "network %s has no resolver of rl's, and so no aliases", l.network);
	if (r >= 0)
		*ret_lease = l;
	return r;
}

static int lease_next(struct container *c, const char *text, struct err *e)
{
	char interface[NET_IFNAME_SIZE];
	snprintf(interface, sizeof(interface), "eth%zu", c->nleases + c->uses_slirp);
	int r = container_lease(&c->store, &c->rec.config, text, interface, &c->leases[c->nleases],
				&c->lease_conns[c->nleases], e);
	if (r < 0)
		return r;
	size_t i = c->nleases++;
	if (*c->leases[i].late_firewall)
		log_warn("network %s: the host's firewall (%s) came after it and may drop what its containers send; "
			 "stop all that are on it: started again they are beside it",
			 c->leases[i].network, c->leases[i].late_firewall);
	return container_rights_lease(&c->rec, &c->leases[i], c->lease_conns[i], e);
}

/* The way out is that of the first network that is not internal. Those of root are the kernel's own, which has no slow
 * way, and a socket of the host would pass by the rules between them. */
static int lease_fast(struct container *c, struct err *e)
{
	autofree char *name = run_opts_fast_network(c->o);
	struct net_slirp_opts s;
	size_t i = 0;
	if (!name)
		return 0;
	while (i < c->nleases && c->leases[i].internal)
		i++;
	if (c->uses_slirp || i == c->nleases || !str_eq(c->leases[i].network, name)) {
		err_set(e, EINVAL, "--network %s,fast: this network is not the way out", name);
		return err_hint(e, "that is the first one that is not internal");
	}
	if (network_is_hosts()) {
		log_warn("no fast path on network %s: root's networks are the kernel's own", name);
		return 0;
	}
	net_slirp_opts_init(&s);
	s.gateway = c->leases[i].gateway;
	s.ipv6 = c->leases[i].ipv6;
	s.gateway6 = c->leases[i].gateway6;
	return container_rights_fast(&c->rec.config, &s, &c->spec.connect, e);
}

int container_network_lease(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	size_t n = o->networks.count;
	if (!n)
		return 0;
	c->leases = xcalloc(n, sizeof(*c->leases));
	c->lease_conns = xcalloc(n, sizeof(*c->lease_conns));
	int r = 0;
	for (size_t i = 0; i < n && r >= 0; i++)
		r = lease_next(c, o->networks.items[i], e);
	return r < 0 ? r : lease_fast(c, e);
}

void container_network_release(struct container *c)
{
	network_ns_end(c->dirfd);
	for (size_t i = 0; i < c->nleases; i++)
		close_fd(&c->lease_conns[i]);
	free(c->leases);
	free(c->lease_conns);
	c->leases = NULL;
	c->lease_conns = NULL;
	c->nleases = 0;
}

/* In the child, in the container's network namespace. */
int container_network_setup(void *arg, int *ret_fd, int *ret_kind, struct err *e)
{
	const struct container *c = arg;
	struct net_device device = NET_DEVICE_NONE;
	int r = c->uses_slirp ? net_slirp_child(&c->slirp_opts, &device, e) : 0;
	if (r >= 0 && c->nleases)
		r = net_named_child(c->leases, c->lease_conns, c->nleases, c->uses_slirp, e);
	if (!c->uses_slirp)
		return r < 0 || c->nleases ? r : net_lo_up_child(e);
	if (r < 0) {
		close_fd(&device.fd);
		return r;
	}
	*ret_fd = device.fd;
	*ret_kind = (int)device.kind;
	return 0;
}

/* ---- what it has ---- */

void container_network_endpoint(const struct net_lease *l, struct strv *out)
{
	struct endpoint p = {.prefix = l->prefix, .internal = l->internal};
	autostr struct str text = STR_INIT;
	snprintf(p.network, sizeof(p.network), "%s", l->network);
	snprintf(p.interface, sizeof(p.interface), "%s", l->interface);
	mac_text(l->host.mac, p.mac);
	net_addr4_text(l->host.address, p.address);
	net_addr4_text(l->gateway, p.gateway);
	if (l->dns.s_addr)
		net_addr4_text(l->dns, p.dns);
	if (l->ipv6) {
		net_addr6_text(&l->host.address6, p.address6);
		net_addr6_text(&l->gateway6, p.gateway6);
		p.prefix6 = 64;
	}
	endpoint_text(&p, &text);
	strv_add(out, text.buf);
}

static void describe_slirp(const struct net_slirp_opts *s, struct strv *out)
{
	struct endpoint p = {.network = "slirp", .prefix = s->prefix};
	autostr struct str text = STR_INIT;
	snprintf(p.interface, sizeof(p.interface), "%s", s->ifname);
	mac_text(s->mac, p.mac);
	net_addr4_text(s->address, p.address);
	net_addr4_text(s->gateway, p.gateway);
	net_addr4_text(s->dns, p.dns);
	if (s->ipv6) {
		net_addr6_text(&s->address6, p.address6);
		net_addr6_text(&s->gateway6, p.gateway6);
		p.prefix6 = 64;
	}
	endpoint_text(&p, &text);
	strv_add(out, text.buf);
}
void container_network_describe(const struct container *c, struct strv *out)
{
	if (c->uses_slirp)
		describe_slirp(&c->slirp_opts, out);
	for (size_t i = 0; i < c->nleases; i++)
		container_network_endpoint(&c->leases[i], out);
}

/* Internal networks first: their resolver refuses what it does not know, and then the next one is asked. That of the
 * user-mode network knows no container and is asked last. */
static void list_resolvers(const struct strv *endpoints, struct strv *out)
{
	enum { INTERNAL, NAMED, SLIRP, KIND_N };
	for (int kind = 0; kind < KIND_N; kind++)
		for (size_t i = 0; i < endpoints->count; i++) {
			struct endpoint p;
			if (!endpoint_parse(endpoints->items[i], &p) || !*p.dns)
				continue;
			int own = str_eq(p.network, "slirp") ? SLIRP : p.internal ? INTERNAL : NAMED;
			if (own == kind)
				strv_add(out, p.dns);
		}
}

int container_network_resolv_conf(const struct run_opts *o, const struct strv *endpoints, struct str *out,
				  struct err *e)
{
	autostr struct str host = STR_INIT;
	autostrv struct strv resolvers = STRV_INIT;
	autofree char *first = NULL;
	struct err why = ERR_INIT;
	if (io_read_file(AT_FDCWD, "/etc/resolv.conf", 1 << 20, &host, &why) < 0) {
		log_debug(LOG_NET, "%s", why.text);
		str_cut(&host, 0);
	}
	struct net_resolv_opts opts = {
		.host_text = host.buf,
		.servers = &o->dns,
		.search = &o->dns_search,
		.options = &o->dns_options,
	};
	list_resolvers(endpoints, &resolvers);
	opts.beyond = endpoints->count > 0;
	if (resolvers.count) {
		first = xstrdup(resolvers.items[0]);
		strv_remove(&resolvers, 0);
		opts.nameserver = first;
		opts.further = &resolvers;
	}
	return net_resolv_conf(&opts, out, e);
}

/* ---- shown ---- */

static void put_endpoint(const struct endpoint *p, json_t *out)
{
	json_put_str(out, "IPAddress", p->address);
	json_put_int(out, "IPPrefixLen", p->prefix);
	json_put_str(out, "Gateway", p->gateway);
	json_put_str(out, "MacAddress", p->mac);
	json_put_str(out, "GlobalIPv6Address", p->address6);
	json_put_int(out, "GlobalIPv6PrefixLen", p->prefix6);
	json_put_str(out, "IPv6Gateway", p->gateway6);
}

static json_t *aliases_of(const struct run_opts *o, const char *network)
{
	json_t *out = json_array();
	struct named_opt n;
	size_t at = run_opts_find_network(o, network);
	if (at == o->networks.count || run_opts_parse_named(o->networks.items[at], &n, NULL) < 0)
		return out;
	for (size_t i = 0; i < n.aliases.count; i++)
		json_array_append_new(out, json_string(n.aliases.items[i]));
	run_opts_free_named(&n);
	return out;
}

void container_networks_put(const struct container_rec *rec, const char *name, json_t *settings)
{
	json_t *networks = json_object();
	struct endpoint first = {0};
	bool running = container_rec_is_running(rec);
	for (size_t i = 0; running && i < rec->state.networks.count; i++) {
		struct endpoint p;
		if (!endpoint_parse(rec->state.networks.items[i], &p))
			continue;
		json_t *one = json_object();
		put_endpoint(&p, one);
		json_put(one, "Aliases", aliases_of(&rec->config.o, p.network));
		json_put(networks, p.network, one);
		if (!*first.network)
			first = p;
	}
	if (!json_object_size(networks))
		json_put(networks, name, json_object());
	put_endpoint(&first, settings);
	json_put(settings, "Networks", networks);
}
