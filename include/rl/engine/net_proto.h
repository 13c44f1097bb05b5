/*
 * net_proto.h - what `rl` and `rl-netd` say to each other on the control socket (base/sync.h messages).
 *
 * step            sender   payload                          when
 * --------------  -------  -------------------------------  ---------------------------------------------------------
 * CONFIG          rl       struct net_slirp_opts            first message, once
 * WORKER          rl-netd  pidfd of the sandboxed process   once, when it has been made (rl reads it when it stops)
 * DEVICE          rl or    enum net_device_kind, one fd     once, any time after CONFIG
 *                 child
 * SERVERS         rl-netd  -                                when a name is looked up, a few times a second at most
 * SERVERS         rl       struct net_servers               in answer to it: the host's resolv.conf of this moment
 * STATS           rl       -                                any time; answered by
 * STATS           rl-netd  struct net_slirp_stats
 * HOST            rl       struct net_host                  shared networks: a container came
 * HOST_GONE       rl       struct net_host                  it went
 * RIGHTS          rl       struct net_rights, 0 or 1 fd     before the device or the HOST it is about; the fd: net_log.h
 * ERROR           rl-netd  struct err (sync.h)              before it ends because it cannot work
 *
 * End of file on either side ends the other: rl-netd exits, rl reports that the network is gone.
 */
#ifndef RL_ENGINE_NET_PROTO_H
#define RL_ENGINE_NET_PROTO_H

#include "rl/engine/net.h"

enum netd_step {
	NETD_STEP_CONFIG = 1,
	NETD_STEP_WORKER,
	NETD_STEP_DEVICE,
	NETD_STEP_SERVERS,
	NETD_STEP_STATS,
	NETD_STEP_HOST,
	NETD_STEP_HOST_GONE,
	NETD_STEP_RIGHTS,
	NETD_STEP_N
};

enum { NETD_CONTROL_FD = 3 };

#endif
