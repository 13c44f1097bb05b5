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
 * As root of the machine the bridge is in the host's own network namespace instead, with an address of the host's: the
 * host forwards, and rl-netd is the resolver and the way out for IPv6 where the host does not forward that. Where the host
 * has a firewall that drops what it does not know, which the frames of a bridge would meet too, the bridge is in a
 * namespace of its own, rl-netd is the way out, and the host is on the network by a veth pair (bridge.c).
 *
 * Networks of the drivers macvlan and ipvlan (direct.c) have neither bridge nor rl-netd: PLUG makes a device on a link of the
 * host's own, and the holder does nothing but give addresses.
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
 *   PORTS   rl         struct net_hold_ports                          all published ports of a container, anew
 *   PORTS   holder     -                                              done, as far as it can be
 *   ERROR   holder     struct err
 */
#ifndef RL_ENGINE_NET_NAMED_H
#define RL_ENGINE_NET_NAMED_H

#include "rl/engine/net.h"
#include "rl/engine/net_ports.h"
#include "rl/kern/netlink.h"

enum net_hold_step { NET_HOLD_LEASE = 1, NET_HOLD_PLUG, NET_HOLD_UNPLUG, NET_HOLD_RIGHTS, NET_HOLD_PORTS };

/* One container on one network. Flat. */
struct net_lease {
	char network[128];
	char interface[NET_IFNAME_SIZE];
	struct net_host host;	     /* addresses, MAC and names */
	struct in_addr gateway, dns; /* of the default route; the resolver, none: 0 */
	struct in_addr on_host;	     /* the host's own address on the network; none: 0 */
	char firewall
		[160]; /* told: a chain of somebody else's that may drop what comes for a published port (net_firewall) */
	char late_firewall
		[160]; /* told: one that came when the network was there already, and may drop what it sends */
	unsigned prefix, mtu;
	bool ipv6, internal;
	bool by_netd; /* asked: its way out is rl-netd, which alone knows what it may */
	bool direct;  /* told: a device on a link of the host's, see struct net_place */
	bool guarded; /* asked: and the host is not reached past rl-netd */
	struct in6_addr gateway6;
	uint8_t gateway_mac[NET_MAC_LEN], gateway6_mac[NET_MAC_LEN];
};

/* Flat. */
enum { NET_HOLD_PORTS_MAX = 256 }; /* more are left to rl-portd */
struct net_hold_ports {
	uint8_t mac[NET_MAC_LEN];
	size_t count;
	struct net_port items[NET_HOLD_PORTS_MAX];
};

/* A network on a link of the host's own. */
enum net_direct { NET_DIRECT_NONE, NET_DIRECT_MACVLAN, NET_DIRECT_IPVLAN };

/* Where the bridge is, and what it is called there. */
struct net_place {
	bool on_host; /* root's: in the caller's own network namespace; else in one made for it */
	bool linked; /* root's, but in one of its own: the host has one end of a veth pair, named as the bridge would be */
	char bridge[NET_IFNAME_SIZE];
	char host_end[NET_IFNAME_SIZE];
	char ports[10]; /* the names of its ports begin with this; that of rl-netd ends in "up" */
	char table[24]; /* of nftables */
	/* on_host or linked: the network, the host's own addresses on it, and for which families the host forwards */
	struct in_addr network, address;
	unsigned prefix;
	bool ipv6, routes4, routes6;
	char firewall[160]; /* net_firewall's input */
	struct in6_addr network6, address6;
	enum net_direct direct; /* and then on which link, how; the rest above does not count */
	char parent[NET_IFNAME_SIZE];
	unsigned mode;
	uint8_t mac[NET_MAC_LEN]; /* of the bridge, from the network's id: by it the bridge is known to be ours */
};

struct net_named {
	struct net_place place;
	struct nl nl; /* in the bridge's namespace; keeps it alive */
	int nft;      /* likewise; -1: no rules about who may speak */
	int bridge;   /* index */
	unsigned ports;
};

#define NET_NAMED_NONE                                                                                                 \
	{                                                                                                              \
		.nl = NL_NONE, .nft = -1                                                                               \
	}

/* Names. `bridge` is what the user wants it to be called on the host, or NULL. */
void net_place_init(const char *id, bool on_host, const char *bridge, struct net_place *ret);
/* From on_host to linked. */
void net_place_set_linked(struct net_place *p);
/* Tables and bridge of the host, those of a holder that was killed included. Nothing where there is none. */
void net_place_clear(const struct net_place *p);

/* Rules of somebody else's that may drop what containers send (firewall.c). */
struct net_firewall {
	bool strict;  /* for frames of a bridge or for IPv4 */
	bool strict6; /* for IPv6 */
	/* Of the first that is strict, and of the first of those at which a published port arrives: "FAMILY TABLE CHAIN", "". */
	char chain[160], input[160];
};
/* -ENOENT: there is no nft, and thus no rules of ours. */
int net_firewall_look(struct net_firewall *ret, struct err *e) RL_CHECK;
/* From the text of `nft -j list ruleset`, added to what is in *f. */
void net_firewall_judge(const char *ruleset, struct net_firewall *f);

/* Holder. A bridge and rl-netd's port, in a namespace of their own or the host's. `device` is the caller's to close once
 * rl-netd has it. */
int net_named_make(const struct net_slirp_opts *o, const struct net_place *p, struct net_named *ret,
		   struct net_device *ret_device, struct err *e) RL_CHECK;
/* Holder. The other end of the pair appears in `netns` as lease->interface, down. Returns the number of the port.
 * `locked`: the bridge takes frames with the container's own MAC only; -ENOTSUP where the kernel cannot (before 5.18). */
int net_named_plug(struct net_named *n, const struct net_lease *lease, bool locked, int netns, struct err *e) RL_CHECK;
int net_named_unplug(struct net_named *n, int port, struct err *e) RL_CHECK;
/* Holder. The container of this lease is gone, and its interface with it. */
void net_named_forget(struct net_named *n, int port, const struct net_lease *lease);
/* Holder, on the host: a published port of a container. Others than those of IPv4 are rl-portd's alone. */
int net_named_publish(struct net_named *n, const struct net_lease *lease, const struct net_port *port, bool add,
		      struct err *e) RL_CHECK;
void net_named_close(struct net_named *n);

/* ---- networks on a link of the host's own, as root ---- */

/* What a network's record says, into `direct` and what is behind it; nothing for other drivers. -EINVAL names it. */
int net_direct_init(const char *driver, const struct strv *options, struct net_place *p, struct err *e) RL_CHECK;
/* Can such a device be made? Tried, and thrown away. -EOPNOTSUPP: the kernel has no such driver. */
int net_direct_probe(const struct net_place *p, struct err *e) RL_CHECK;
/* Holder: instead of net_named_make, _plug and _unplug. */
int net_direct_open(const struct net_place *p, struct net_named *ret, struct err *e) RL_CHECK;
int net_direct_plug(struct net_named *n, const struct net_lease *lease, int netns, struct err *e) RL_CHECK;
int net_direct_unplug(const struct net_lease *lease, int pidfd, struct err *e) RL_CHECK;

/* ---- forwarding of IPv4 by the host ---- */

/* Interfaces that have routes must forward while a network of root's is up. Those that do not already are switched on,
 * one by one, and are switched off again when the last network is released; if somebody has switched forwarding on
 * altogether meanwhile, they stay. `ledger` is a file that all networks of the store share. acquire: may be called again
 * when routes have changed. */
/* Before the bridge is made: it is no interface to the outside, for any of the networks. */
int net_forward_claim(int dirfd, const char *ledger, const char *network, const char *bridge, struct err *e) RL_CHECK;
int net_forward_acquire(int dirfd, const char *ledger, const char *network, struct net_named *n,
			struct err *e) RL_CHECK;
void net_forward_release(int dirfd, const char *ledger, const char *network);

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
