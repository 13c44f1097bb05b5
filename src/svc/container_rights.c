/*
 * container_rights.c - what a container may reach, from its options to the rl-netd of each of its networks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "container_int.h"
#include "network_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/net_log.h"
#include "rl/kern/landlock.h"
#include "rl/model/endpoint.h"
#include "rl/svc/container_netlog.h"
#include "rl/svc/network.h"

/* What /etc/hosts of the container says of an allowed name is allowed too: no query will be seen for it. */
static int add_aliases(const struct run_opts *o, struct net_policy *p, struct err *e)
{
	for (size_t i = 0; i < o->add_hosts.count; i++) {
		const char *colon = strchr(o->add_hosts.items[i], ':');
		if (!colon || str_eq(colon + 1, "host-gateway"))
			continue;
		autofree char *name = xstrndup(o->add_hosts.items[i], (size_t)(colon - o->add_hosts.items[i]));
		int r = net_policy_add_alias(p, name, colon + 1, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_policy(const struct run_opts *o, struct net_policy *p, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < o->allow_net.count && r >= 0; i++)
		r = net_policy_add(p, o->allow_net.items[i], false, e);
	if (r < 0)
		return err_ctx(e, "--allow-net");
	for (size_t i = 0; i < o->deny_net.count && r >= 0; i++)
		r = net_policy_add(p, o->deny_net.items[i], true, e);
	return r < 0 ? err_ctx(e, "--deny-net") : add_aliases(o, p, e);
}

int container_rights(const struct record_config *config, struct net_rights **ret, struct err *e)
{
	const struct run_opts *o = &config->o;
	struct net_slirp_opts s = {.host_access = NET_HOST_NONE};
	*ret = NULL;
	if (!o->allow_net.count && !o->deny_net.count && !o->host_access.count)
		return 0;
	autofree struct net_rights *rights = xcalloc(1, sizeof(*rights));
	int r = add_policy(o, &rights->policy, e);
	if (r >= 0)
		r = net_slirp_set_host_access(&o->host_access, &s, e);
	if (r < 0)
		return r;
	rights->host_access = s.host_access;
	rights->host_ports_count = s.host_ports_count;
	memcpy(rights->host_ports, s.host_ports, sizeof(rights->host_ports));
	*ret = take_ptr(&rights);
	return 0;
}

/* *ret_fd is -1 without a policy. */
static int open_log(const struct container_rec *rec, const struct net_rights *rights, const char *network, int *ret_fd,
		    struct err *e)
{
	*ret_fd = -1;
	if (net_policy_is_empty(&rights->policy))
		return 0;
	autofree char *name = xasprintf(CONTAINER_NETLOG_PREFIX "%s", network);
	*ret_fd = net_log_open(rec->dirfd, name, e);
	return *ret_fd < 0 ? *ret_fd : 0;
}

int container_rights_slirp(struct container *c, struct err *e)
{
	struct net_rights *rights = NULL;
	autofd int log = -1;
	int r = container_rights(&c->rec.config, &rights, e);
	if (r >= 0 && rights && !net_policy_is_empty(&rights->policy)) {
		memcpy(rights->mac, c->slirp_opts.mac, NET_MAC_LEN);
		r = open_log(&c->rec, rights, "slirp", &log, e);
		if (r >= 0)
			r = net_slirp_rights(&c->slirp, rights, log, e);
	}
	free(rights);
	return r;
}

int container_rights_lease(const struct container_rec *rec, const struct net_lease *lease, int conn, struct err *e)
{
	struct net_rights *rights = NULL;
	autofd int log = -1;
	int r = container_rights(&rec->config, &rights, e);
	if (r >= 0 && rights) {
		r = open_log(rec, rights, lease->network, &log, e);
		if (r >= 0)
			r = network_rights(conn, rights, log, e);
	}
	free(rights);
	return r;
}

/* ---- the fast path ---- */

int container_rights_fast(const struct record_config *config, const struct net_slirp_opts *s, struct rt_connect *ret,
			  struct err *e)
{
	struct net_slirp_opts found = *s;
	struct net_rights *rights = NULL;
	free(ret->policy);
	*ret = (struct rt_connect){.on = false};
	if (!landlock_supported(LANDLOCK_WANT_DENY_TCP)) {
		log_warn("no fast path: Landlock has no rules for TCP here (Linux 6.7); connections go through slirp");
		return 0;
	}
	int r = net_slirp_find_outbound(&found, e);
	if (r >= 0)
		r = container_rights(config, &rights, e);
	if (r < 0)
		return r;
	*ret = (struct rt_connect){.on = true,
				   .gateway = found.gateway,
				   .outbound = found.outbound_addr,
				   .outbound6 = found.outbound_addr6};
	if (found.ipv6)
		ret->gateway6 = found.gateway6;
	if (rights && !net_policy_is_empty(&rights->policy))
		ret->policy = xmemdup(&rights->policy, sizeof(rights->policy));
	free(rights);
	return 0;
}

int container_rights_fast_join(const struct container_rec *rec, struct rt_connect *ret, struct err *e)
{
	const struct run_opts *o = &rec->config.o;
	autofree char *name = run_opts_fast_network(o);
	struct net_slirp_opts s;
	bool found = false;
	if (name && network_is_hosts())
		return 0;
	net_slirp_opts_init(&s);
	int r = o->network.kind == NETWORK_SLIRP ? net_slirp_parse(o->network.options, &s, e) : 0;
	if (r < 0 || !(s.fast || name))
		return r;
	s.ipv6 = false;
	const char *wanted = s.fast ? "slirp" : name;
	for (size_t i = 0; i < rec->state.networks.count && !found; i++) {
		struct endpoint p;
		found = endpoint_parse(rec->state.networks.items[i], &p) && str_eq(p.network, wanted) &&
			inet_pton(AF_INET, p.gateway, &s.gateway) == 1;
		if (found)
			s.ipv6 = inet_pton(AF_INET6, p.gateway6, &s.gateway6) == 1;
	}
	return found ? container_rights_fast(&rec->config, &s, ret, e) : 0;
}
