/*
 * net_named.h - networks with a name: a bridge in a network namespace of its own, containers plugged into it.
 *
 * Model: per network there is one namespace with a bridge, held by one process, the holder, which lives as long as a
 * container is on the network, and one rl-netd, whose device is a port of the bridge: the way out, and the resolver
 * that knows the containers' names. A container's interface is the end of a veth pair whose other end is a port.
 *
 *     holder                                        container's child, own namespaces
 *     ------------------------------------------    ----------------------------------------------------
 *     net_named_make      bridge, port of rl-netd
 *     net_slirp_start, net_slirp_attach
 *     answers LEASE (from rl)
 *     answers PLUG        net_named_plug         <-  net_named_child   sends its namespace, configures its end
 *
 * Rights: the bridge's and the container's namespaces belong to different user namespaces, neither inside the other. The
 * holder is in the user's own, the parent and owner of both, and therefore may do as it likes in either; it needs a
 * netlink socket in the bridge's namespace, which whoever made that namespace hands out.
 *
 * Protocol with the holder (base/sync.h messages over its socket):
 *   step    sender     payload                                        meaning
 *   LEASE   rl         struct net_lease: what is wanted, zeros: any   keep addresses for a container
 *   LEASE   holder     struct net_lease                               filled in; kept while the connection lives
 *   RIGHTS  rl         struct net_rights, 0 or 1 fd                   between LEASE and PLUG, if it has some of its own
 *   PLUG    child      its network namespace, a pidfd of itself       and from then on while that process lives
 *   PLUG    holder     -                                              its end of the pair is there
 *   UNPLUG  rl         struct net_lease: the MAC address counts       take the container's end away
 *   UNPLUG  holder     -                                              it is gone, and the lease with it
 *   ERROR   holder     struct err
 */
#ifndef RL_ENGINE_NET_NAMED_H
#define RL_ENGINE_NET_NAMED_H

#include "rl/engine/net.h"
#include "rl/kern/netlink.h"

enum net_hold_step { NET_HOLD_LEASE = 1, NET_HOLD_PLUG, NET_HOLD_UNPLUG, NET_HOLD_RIGHTS };

/* One container on one network. Flat. */
struct net_lease {
	char network[128];
	char interface[NET_IFNAME_SIZE];
	struct net_host host; /* addresses, MAC and names */
	struct in_addr gateway, dns;
	unsigned prefix, mtu;
	bool ipv6, internal;
	struct in6_addr gateway6;
};

struct net_named {
	struct nl nl; /* in the bridge's namespace; keeps it alive */
	int bridge;   /* index */
	unsigned ports;
};

/* Holder. A namespace with a bridge and rl-netd's port. `device` is the caller's to close once rl-netd has it. */
int net_named_make(const struct net_slirp_opts *o, struct net_named *ret, struct net_device *ret_device,
		   struct err *e) RL_CHECK;
/* Holder. The other end of the pair appears in `netns` as lease->interface, down. Returns the index of the port.
 * `locked`: the bridge takes frames with the container's own MAC only; -ENOTSUP where the kernel cannot (before 5.18). */
int net_named_plug(struct net_named *n, const struct net_lease *lease, bool locked, int netns, struct err *e) RL_CHECK;
int net_named_unplug(struct net_named *n, int port, struct err *e) RL_CHECK;
void net_named_close(struct net_named *n);

/* Container side: as net_slirp_child. Connections and leases in the order of the interfaces; the first that is not
 * internal has the default route, unless there is one (has_default). */
int net_named_child(const struct net_lease *leases, const int *conns, size_t n, bool has_default,
		    struct err *e) RL_CHECK;

/* ---- a container that runs, from outside, as the user who owns it ---- */

/* A netlink socket in the network namespace of the process behind pidfd. */
int net_live_open(int pidfd, struct nl *ret, struct err *e) RL_CHECK;
/* As net_named_child does for one lease. The lease lives as long as the process behind pidfd. */
int net_live_plug(struct nl *nl, const struct net_lease *lease, int conn, int pidfd, bool is_default,
		  struct err *e) RL_CHECK;
/* Default routes through these gateways of the interface; NULL: none of that family. One that exists stays. */
int net_live_default(struct nl *nl, const char *interface, const struct in_addr *gateway,
		     const struct in6_addr *gateway6, struct err *e) RL_CHECK;

#endif
