/* named.c - see net_named.h: the bridge, its ports, and a container's end. */
#include "rl/engine/net_named.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_frame.h"
#include "rl/kern/netlink.h"

enum { LO_INDEX = 1, STEP_MADE = 1 };

static const char bridge_name[] = "rl0";
static const char port_name[] = "up0";

/* ---- the bridge's namespace ---- */

static int make_bridge(const struct net_slirp_opts *o, struct nl *nl, struct net_device *ret_dev, struct err *e)
{
	int r = nl_open(nl, e);
	if (r < 0)
		return r;
	nl_bridge_add(nl, bridge_name);
	r = nl_flush(nl, e);
	if (r >= 0)
		r = net_device_make(o, nl, ret_dev, e);
	int bridge = r < 0 ? r : nl_link_index(nl, bridge_name, e);
	int port = bridge < 0 ? bridge : nl_link_index(nl, o->ifname, e);
	if (port < 0)
		return port;
	nl_link_up(nl, LO_INDEX);
	nl_link_set(nl, port, &(struct nl_link_set){.mtu = o->mtu, .no_addrgen = true, .master = bridge});
	nl_link_set(nl, bridge, &(struct nl_link_set){.no_addrgen = true});
	nl_link_up(nl, port);
	nl_link_up(nl, bridge);
	return nl_flush(nl, e);
}

/* The process that makes the namespace: hands over what keeps it and is gone. */
RL_NORETURN static void maker(const struct net_slirp_opts *o, int sock)
{
	struct err e = ERR_INIT;
	struct nl nl = NL_NONE;
	struct net_device dev = NET_DEVICE_NONE;
	int r = unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? err_sys(&e, errno, "make a network namespace") : 0;
	if (r >= 0)
		r = make_bridge(o, &nl, &dev, &e);
	if (r >= 0) {
		uint32_t kind = (uint32_t)dev.kind;
		int fds[2] = {nl.fd, dev.fd};
		r = sync_send(sock, STEP_MADE, &kind, sizeof(kind), fds, 2, &e);
	}
	if (r < 0)
		sync_send_err(sock, &e);
	_exit(r < 0);
}

int net_named_make(const struct net_slirp_opts *o, struct net_named *ret, struct net_device *ret_device, struct err *e)
{
	struct net_slirp_opts port = *o;
	struct net_named n = {.nl = NL_NONE};
	uint32_t kind;
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	snprintf(port.ifname, sizeof(port.ifname), "%s", port_name);
	pid_t pid = fork();
	if (pid == 0)
		maker(&port, pair[1]);
	int errnum = errno;
	close(pair[1]);
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	r = pid < 0 ? err_sys(e, errnum, "fork") : sync_expect(pair[0], "the maker of the network", STEP_MADE, m, e);
	close(pair[0]);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (r < 0)
		return err_ctx(e, "network");
	if (m->nfds != 2 || m->len != sizeof(kind)) {
		sync_close_fds(m);
		return err_set(e, EPROTO, "malformed message");
	}
	memcpy(&kind, m->data, sizeof(kind));
	n.nl.fd = m->fds[0];
	*ret_device = (struct net_device){.kind = kind, .fd = m->fds[1]};
	n.bridge = nl_link_index(&n.nl, bridge_name, e);
	if (n.bridge < 0) {
		sync_close_fds(m);
		return n.bridge;
	}
	*ret = n;
	return 0;
}

int net_named_plug(struct net_named *n, const struct net_lease *lease, bool locked, int netns, struct err *e)
{
	char name[NET_IFNAME_SIZE];
	snprintf(name, sizeof(name), "port%u", n->ports++ % 1000000);
	nl_veth_add(&n->nl, &(struct nl_veth){.name = name,
					      .peer_name = lease->interface,
					      .peer_netns_fd = netns,
					      .peer_mac = lease->host.mac,
					      .mtu = lease->mtu});
	int r = nl_flush(&n->nl, e);
	int index = r < 0 ? r : nl_link_index(&n->nl, name, e);
	if (index < 0)
		return err_ctx(e, "network %s", lease->network);
	nl_link_set(&n->nl, index, &(struct nl_link_set){.no_addrgen = true, .master = n->bridge});
	if (locked)
		nl_bridge_port_lock(&n->nl, index, lease->host.mac);
	nl_link_up(&n->nl, index);
	r = nl_flush(&n->nl, e);
	if (r >= 0 && locked && !nl_bridge_port_is_locked(&n->nl, index)) {
		err_set(e, ENOTSUP, "the kernel cannot keep a container from sending as another");
		r = err_hint(e, "--allow-net and --deny-net on a network with a name need Linux 5.18");
	}
	return r < 0 ? err_ctx(e, "network %s", lease->network) : index;
}

int net_named_unplug(struct net_named *n, int port, struct err *e)
{
	nl_link_del(&n->nl, port);
	return nl_flush(&n->nl, e);
}

void net_named_close(struct net_named *n)
{
	nl_close(&n->nl);
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

static void queue_config(struct nl *nl, const struct net_lease *l, int index, bool is_default)
{
	uint8_t mac[NET_MAC_LEN];
	nl_link_set(nl, index, &(struct nl_link_set){.no_addrgen = true});
	nl_link_up(nl, index);
	nl_addr_add(nl, index, AF_INET, &l->host.address, l->prefix);
	if (is_default)
		nl_route_default(nl, index, AF_INET, &l->gateway);
	frame_slirp_mac4(l->gateway, mac);
	nl_neigh_add(nl, index, AF_INET, &l->gateway, mac);
	frame_slirp_mac4(l->dns, mac);
	nl_neigh_add(nl, index, AF_INET, &l->dns, mac);
	if (!l->ipv6)
		return;
	nl_addr_add(nl, index, AF_INET6, &l->host.address6, 64);
	if (is_default)
		nl_route_default(nl, index, AF_INET6, &l->gateway6);
	frame_slirp_mac6(&l->gateway6, mac);
	nl_neigh_add(nl, index, AF_INET6, &l->gateway6, mac);
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
RL_NORETURN static void opener(int pidfd, int sock)
{
	struct err e = ERR_INIT;
	struct nl nl = NL_NONE;
	int r = prctl(PR_SET_DUMPABLE, 0) < 0 ? err_sys(&e, errno, "hide from the container") : 0;
	/* EINVAL: it has no user namespace of its own. */
	if (r >= 0 && setns(pidfd, CLONE_NEWUSER | CLONE_NEWNET) < 0 &&
	    (errno != EINVAL || setns(pidfd, CLONE_NEWNET) < 0))
		r = err_sys(&e, errno, "enter the container's network");
	if (r >= 0)
		r = nl_open(&nl, &e);
	if (r >= 0)
		r = sync_send(sock, STEP_MADE, NULL, 0, &nl.fd, 1, &e);
	if (r < 0)
		sync_send_err(sock, &e);
	_exit(r < 0);
}

int net_live_open(int pidfd, struct nl *ret, struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	pid_t pid = fork();
	if (pid == 0)
		opener(pidfd, pair[1]);
	int errnum = errno;
	close(pair[1]);
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	r = pid < 0 ? err_sys(e, errnum, "fork") : sync_expect(pair[0], "who enters the network", STEP_MADE, m, e);
	close(pair[0]);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
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
