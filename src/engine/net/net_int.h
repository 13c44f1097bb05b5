/* net_int.h - what the files of the network engine share. */
#ifndef RL_ENGINE_NET_NET_INT_H
#define RL_ENGINE_NET_NET_INT_H

#include "rl/engine/net.h"
#include "rl/kern/netlink.h"

/* child.c: the interface o->ifname in the namespace of `nl`, which is this process's, and the descriptor its frames come
 * out of. */
int net_device_make(const struct net_slirp_opts *o, const struct nl *nl, struct net_device *ret,
		    struct err *e) RL_CHECK;

#endif
