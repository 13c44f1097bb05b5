/* hold_int.h - the holder of a network, for the files it is made of: network_hold.c, network_hold_lease.c. */
#ifndef RL_SVC_HOLD_INT_H
#define RL_SVC_HOLD_INT_H

#include "network_int.h"
#include "rl/base/event.h"
#include "rl/base/sync.h"
#include "rl/engine/net_named.h"
#include "rl/model/network_rec.h"

/* A connection to the holder, and the container it is for. */
struct entry {
	struct hold *h;
	struct net_lease lease;
	bool leased, plugged;
	int port;		   /* of the bridge, while plugged */
	struct net_rights *rights; /* NULL: as everybody on the network */
	int log_fd;		   /* of its connections (rl/engine/net_log.h), -1 */
	struct net_port *published;
	size_t npublished;
	struct event_source conn, process;
	struct entry *next;
};

struct hold {
	struct store store;
	int dirfd; /* networks/ */
	struct network_rec rec;
	struct network_addrs addrs;
	struct net_slirp_opts opts;
	struct net_slirp slirp;
	struct net_place place;
	struct net_named net;
	struct event_loop loop;
	struct event_source listen, netd, routes;
	struct event_timer first, look_again;
	struct entry *entries;
	int rules_fd;	    /* hears of changes in the host's nftables while the bridge is the host's; -1 */
	char firewall[160]; /* which may drop packets since such a change */
};

/* LEASE: addresses that nobody has, or those that are asked for. */
int hold_on_lease(struct entry *x, const struct sync_msg *msg, struct err *e) RL_CHECK;

#endif
