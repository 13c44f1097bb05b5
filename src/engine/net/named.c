/* named.c - see net_named.h: the bridge, its ports, and a container's end. */
#include "rl/engine/net_named.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "net_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_frame.h"
#include "rl/kern/caps.h"
#include "rl/kern/netlink.h"
#include "rl/kern/nft.h"

enum { LO_INDEX = 1, STEP_MADE = 1 };

/* ---- the bridge's namespace ---- */

/* A router's advertisement on the bridge, of rl-netd or of a container, is not for the host. */
static int ignore_routers(const char *bridge, struct err *e)
{
	autofree char *path = xasprintf("/proc/sys/net/ipv6/conf/%s/accept_ra", bridge);
	struct err why = ERR_INIT;
	int r = io_write_file(AT_FDCWD, path, "0", 1, 0, &why);
	if (r < 0 && r != -ENOENT) { /* a host without IPv6 */
		if (e)
			*e = why;
		return r;
	}
	return 0;
}

static void queue_host_addresses(struct nl *nl, const struct net_place *p, int index)
{
	/* Without one the kernel does not ask for a neighbour that it forwards something to. */
	static const struct in6_addr link_local = {.s6_addr = {0xfe, 0x80, [15] = 1}};
	nl_addr_add(nl, index, AF_INET, &p->address, p->prefix);
	if (!p->ipv6)
		return;
	nl_addr_add(nl, index, AF_INET6, &link_local, 64);
	nl_addr_add(nl, index, AF_INET6, &p->address6, 64);
}

/* The host on the network of a bridge that is elsewhere. The pair goes with the bridge's namespace. */
static int link_host(struct net_named *n, struct err *e)
{
	static const char name[] = "host"; /* none of the ports that are checked */
	const struct net_place *p = &n->place;
	struct nl host = NL_NONE;
	int r = nl_open(&host, e);
	autofd int netns = r < 0 ? r : nl_netns_fd(&host, e);
	if (netns >= 0)
		nl_veth_add(&n->nl, &(struct nl_veth){.name = name,
						      .peer_name = p->host_end,
						      .peer_netns_fd = netns,
						      .peer_mac = p->mac});
	r = netns < 0 ? netns : nl_flush(&n->nl, e);
	int port = r < 0 ? r : nl_link_index(&n->nl, name, e);
	int end = port < 0 ? port : nl_link_index(&host, p->host_end, e);
	r = end < 0 ? end : ignore_routers(p->host_end, e);
	if (r >= 0) {
		nl_link_set(&n->nl, port, &(struct nl_link_set){.no_addrgen = true, .master = n->bridge});
		nl_link_up(&n->nl, port);
		nl_link_set(&host, end, &(struct nl_link_set){.no_addrgen = true});
		nl_link_up(&host, end);
		queue_host_addresses(&host, p, end);
		r = nl_flush(&n->nl, e);
	}
	if (r >= 0)
		r = nl_flush(&host, e);
	nl_close(&host);
	return r;
}

static int make_bridge(const struct net_slirp_opts *o, const struct net_place *p, struct nl *nl,
		       struct net_device *ret_dev, struct err *e)
{
	int r = nl_open(nl, e);
	if (r < 0)
		return r;
	nl_bridge_add(nl, p->bridge, p->on_host ? p->mac : NULL);
	r = nl_flush(nl, e);
	if (r >= 0 && p->on_host)
		r = ignore_routers(p->bridge, e);
	if (r >= 0)
		r = net_device_make(o, nl, ret_dev, e);
	int bridge = r < 0 ? r : nl_link_index(nl, p->bridge, e);
	int port = bridge < 0 ? bridge : nl_link_index(nl, o->ifname, e);
	if (port < 0)
		return port;
	if (!p->on_host)
		nl_link_up(nl, LO_INDEX);
	nl_link_set(nl, port, &(struct nl_link_set){.mtu = o->mtu, .no_addrgen = true, .master = bridge});
	nl_link_set(nl, bridge, &(struct nl_link_set){.no_addrgen = true});
	nl_link_up(nl, port);
	nl_link_up(nl, bridge);
	if (p->on_host)
		queue_host_addresses(nl, p, bridge);
	return nl_flush(nl, e);
}

/* The rules about who may speak need nothing but nft. Without it the network works, and says so to who looks. */
static int make_rules(const struct net_place *p, int *ret_nft, struct err *e)
{
	struct err why = ERR_INIT;
	int r = net_place_rules(p, &why);
	if (r >= 0) {
		*ret_nft = nft_open(e);
		return *ret_nft < 0 ? *ret_nft : 0;
	}
	if (p->routes4 || p->routes6) {
		if (e)
			*e = why;
		return r;
	}
	log_debug(LOG_NET, "containers on this network can take each other's addresses: %s", why.text);
	return 0;
}

/* No id is mapped in it: what is executed there, nft, keeps the rights of its maker only if it is told to. */
static int enter_own(struct err *e)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return err_sys(e, errno, "make a network namespace");
	uint64_t all = caps_all_kernel();
	const struct caps_sets sets = {all, all, all, all, all};
	return caps_after_setid(&sets, e);
}

struct wanted {
	struct net_slirp_opts port;
	const struct net_place *place;
};

/* In a process that makes the namespace, hands over what keeps it and is gone. */
static int make_all(const void *arg, int sock, struct err *e)
{
	const struct wanted *w = arg;
	struct nl nl = NL_NONE;
	struct net_device dev = NET_DEVICE_NONE;
	int r = w->place->on_host ? 0 : enter_own(e);
	if (r >= 0)
		r = make_bridge(&w->port, w->place, &nl, &dev, e);
	int nft = -1;
	if (r >= 0)
		r = make_rules(w->place, &nft, e);
	if (r < 0)
		return r;
	uint32_t kind = (uint32_t)dev.kind;
	int fds[3] = {nl.fd, dev.fd, nft};
	return sync_send(sock, STEP_MADE, &kind, sizeof(kind), fds, nft < 0 ? 2 : 3, e);
}

int net_named_make(const struct net_slirp_opts *o, const struct net_place *p, struct net_named *ret,
		   struct net_device *ret_device, struct err *e)
{
	struct wanted w = {.port = *o, .place = p};
	struct net_named n = NET_NAMED_NONE;
	uint32_t kind;
	n.place = *p;
	snprintf(w.port.ifname, sizeof(w.port.ifname), "%sup", p->ports);
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	int r = sync_ask_fork(make_all, &w, "the maker of the network", STEP_MADE, m, e);
	if (r < 0)
		return err_ctx(e, "network");
	if (m->nfds < 2 || m->nfds > 3 || m->len != sizeof(kind)) {
		sync_close_fds(m);
		return err_set(e, EPROTO, "malformed message");
	}
	memcpy(&kind, m->data, sizeof(kind));
	n.nl.fd = m->fds[0];
	*ret_device = (struct net_device){.kind = kind, .fd = m->fds[1]};
	n.nft = m->nfds == 3 ? m->fds[2] : -1;
	n.bridge = nl_link_index(&n.nl, p->bridge, e);
	if (n.bridge < 0) {
		sync_close_fds(m);
		return n.bridge;
	}
	*ret = n;
	return p->linked ? link_host(ret, e) : 0;
}

/* ---- its ports ---- */

static void port_name(const struct net_named *n, int port, char ret[NET_IFNAME_SIZE])
{
	snprintf(ret, NET_IFNAME_SIZE, "%s%u", n->place.ports, (unsigned)port % 1000000);
}

/* What it may send first, then its port. */
static int allow(struct net_named *n, const char *name, const struct net_lease *lease, struct err *e)
{
	if (n->nft < 0 && lease->guarded && (n->place.on_host || n->place.linked)) {
		err_set(e, ENOTSUP, "--allow-net and --deny-net on a network that the host is on need nft");
		return err_hint(e, "install the package nftables");
	}
	return n->nft < 0 ? 0 : net_place_speaker(&n->place, n->nft, name, lease, true, e);
}

int net_named_plug(struct net_named *n, const struct net_lease *lease, bool locked, int netns, struct err *e)
{
	char name[NET_IFNAME_SIZE];
	int port = (int)(n->ports++ % 1000000);
	port_name(n, port, name);
	nl_veth_add(&n->nl, &(struct nl_veth){.name = name,
					      .peer_name = lease->interface,
					      .peer_netns_fd = netns,
					      .peer_mac = lease->host.mac,
					      .mtu = lease->mtu});
	int r = nl_flush(&n->nl, e);
	int index = r < 0 ? r : nl_link_index(&n->nl, name, e);
	if (index < 0)
		return err_ctx(e, "network %s", lease->network);
	r = allow(n, name, lease, e);
	if (r >= 0) {
		nl_link_set(&n->nl, index, &(struct nl_link_set){.no_addrgen = true, .master = n->bridge});
		if (locked)
			nl_bridge_port_lock(&n->nl, index, lease->host.mac);
		nl_link_up(&n->nl, index);
		r = nl_flush(&n->nl, e);
	}
	if (r >= 0 && locked && !nl_bridge_port_is_locked(&n->nl, index)) {
		err_set(e, ENOTSUP, "the kernel cannot keep a container from sending as another");
		r = err_hint(e, "--allow-net and --deny-net on a network with a name need Linux 5.18");
	}
	return r < 0 ? err_ctx(e, "network %s", lease->network) : port;
}

void net_named_forget(struct net_named *n, int port, const struct net_lease *lease)
{
	char name[NET_IFNAME_SIZE];
	struct err why = ERR_INIT;
	port_name(n, port, name);
	if (n->nft >= 0 && net_place_speaker(&n->place, n->nft, name, lease, false, &why) < 0)
		log_debug(LOG_NET, "%s", why.text);
}

int net_named_unplug(struct net_named *n, int port, struct err *e)
{
	char name[NET_IFNAME_SIZE];
	port_name(n, port, name);
	int index = nl_link_index(&n->nl, name, e);
	if (index < 0)
		return index;
	nl_link_del(&n->nl, index);
	return nl_flush(&n->nl, e);
}

int net_named_publish(struct net_named *n, const struct net_lease *lease, const struct net_port *port, bool add,
		      struct err *e)
{
	return n->nft < 0 ? 0 : net_place_port(&n->place, n->nft, lease->host.address, port, add, e);
}

void net_named_close(struct net_named *n)
{
	nl_close(&n->nl);
	close_fd(&n->nft);
	net_place_clear(&n->place);
}
/* ---- the container's end ---- */

static int plug_in(const struct nl *nl, int conn, int pidfd, struct err *e)
{
	int fds[2] = {nl_netns_fd(nl, e), pidfd};
	if (fds[0] < 0)
		return fds[0];
	int r = sync_send(conn, NET_HOLD_PLUG, NULL, 0, fds, 2, e);
	close_fd(&fds[0]);
	return r < 0 ? r : sync_expect(conn, "the network's holder", NET_HOLD_PLUG, NULL, e);
}

static void queue_direct(struct nl *nl, const struct net_lease *l, int index, bool is_default)
{
	if (is_default)
		nl_route_default(nl, index, AF_INET, &l->gateway);
	if (!l->ipv6)
		return;
	nl_addr_add(nl, index, AF_INET6, &l->host.address6, 64);
	if (is_default)
		nl_route_default(nl, index, AF_INET6, &l->gateway6);
}

static void queue_config(struct nl *nl, const struct net_lease *l, int index, bool is_default)
{
	uint8_t mac[NET_MAC_LEN];
	nl_link_set(nl, index, &(struct nl_link_set){.no_addrgen = true});
	nl_link_up(nl, index);
	nl_addr_add(nl, index, AF_INET, &l->host.address, l->prefix);
	if (l->direct) { /* the neighbours are real ones */
		queue_direct(nl, l, index, is_default);
		return;
	}
	if (is_default)
		nl_route_default(nl, index, AF_INET, &l->gateway);
	nl_neigh_add(nl, index, AF_INET, &l->gateway, l->gateway_mac);
	frame_slirp_mac4(l->dns, mac);
	nl_neigh_add(nl, index, AF_INET, &l->dns, mac);
	if (!l->ipv6)
		return;
	nl_addr_add(nl, index, AF_INET6, &l->host.address6, 64);
	if (is_default)
		nl_route_default(nl, index, AF_INET6, &l->gateway6);
	nl_neigh_add(nl, index, AF_INET6, &l->gateway6, l->gateway6_mac);
}

int net_live_plug(struct nl *nl, const struct net_lease *lease, int conn, int pidfd, bool is_default, struct err *e)
{
	int r = plug_in(nl, conn, pidfd, e);
	int index = r < 0 ? r : nl_link_index(nl, lease->interface, e);
	if (index < 0)
		return index;
	queue_config(nl, lease, index, is_default);
	return nl_flush(nl, e);
}

int net_named_child(const struct net_lease *leases, const int *conns, size_t n, bool has_default, struct err *e)
{
	struct nl nl = NL_NONE;
	autofd int self = proc_pidfd_open(getpid(), e);
	int r = self < 0 ? self : nl_open(&nl, e);
	if (r >= 0)
		nl_link_up(&nl, LO_INDEX);
	for (size_t i = 0; i < n && r >= 0; i++) {
		bool is_default = !has_default && !leases[i].internal;
		r = net_live_plug(&nl, &leases[i], conns[i], self, is_default, e);
		has_default |= is_default;
	}
	nl_close(&nl);
	return r < 0 ? err_ctx(e, "network") : 0;
}

/* ---- from outside ---- */

/* In a process of its own, because a user namespace cannot be left again: the socket is what stays. */
static int open_there(const void *arg, int sock, struct err *e)
{
	const int *pidfd = arg;
	struct nl nl = NL_NONE;
	int r = prctl(PR_SET_DUMPABLE, 0) < 0 ? err_sys(e, errno, "hide from the container") : 0;
	/* EINVAL: it has no user namespace of its own. */
	if (r >= 0 && setns(*pidfd, CLONE_NEWUSER | CLONE_NEWNET) < 0 &&
	    (errno != EINVAL || setns(*pidfd, CLONE_NEWNET) < 0))
		r = err_sys(e, errno, "enter the container's network");
	if (r >= 0)
		r = nl_open(&nl, e);
	return r < 0 ? r : sync_send(sock, STEP_MADE, NULL, 0, &nl.fd, 1, e);
}

int net_live_open(int pidfd, struct nl *ret, struct err *e)
{
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	int r = sync_ask_fork(open_there, &pidfd, "who enters the network", STEP_MADE, m, e);
	if (r < 0)
		return r;
	if (m->nfds != 1) {
		sync_close_fds(m);
		return err_set(e, EPROTO, "malformed message");
	}
	*ret = (struct nl)NL_NONE;
	ret->fd = m->fds[0];
	return 0;
}

int net_live_default(struct nl *nl, const char *interface, const struct in_addr *gateway,
		     const struct in6_addr *gateway6, struct err *e)
{
	int index = nl_link_index(nl, interface, e);
	if (index < 0)
		return index;
	int r = 0;
	if (gateway) {
		nl_route_default(nl, index, AF_INET, gateway);
		r = nl_flush(nl, e);
	}
	if (gateway6 && (r >= 0 || r == -EEXIST)) {
		nl_route_default(nl, index, AF_INET6, gateway6);
		r = nl_flush(nl, e);
	}
	return r == -EEXIST ? 0 : r;
}
