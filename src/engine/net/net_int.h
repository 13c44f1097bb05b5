/* net_int.h - what the files of the network engine share. */
#ifndef RL_ENGINE_NET_NET_INT_H
#define RL_ENGINE_NET_NET_INT_H

#include "rl/engine/net.h"
#include "rl/kern/netlink.h"

/* child.c: the interface o->ifname in the namespace of `nl`, which is this process's, and the descriptor its frames come
 * out of. */
int net_device_make(const struct net_slirp_opts *o, const struct nl *nl, struct net_device *ret,
		    struct err *e) RL_CHECK;

/* bridge.c, in the namespace of the bridge: all rules; what one container may send; a published port; an interface that
 * forwards because of us. */
struct net_place;
struct net_lease;
struct net_port;
int net_place_rules(const struct net_place *p, struct err *e) RL_CHECK;
int net_place_speaker(const struct net_place *p, int nft, const char *port, const struct net_lease *lease, bool add,
		      struct err *e) RL_CHECK;
int net_place_port(const struct net_place *p, int nft, struct in_addr container, const struct net_port *port, bool add,
		   struct err *e) RL_CHECK;
int net_place_uplink(const struct net_place *p, int nft, const char *interface, struct err *e) RL_CHECK;

#endif
