/*
 * notifyd_proto.h - what is said on the one socket of rl-notifyd (base/sync.h messages), descriptor 3 of it.
 *
 * step      sender      payload                            when
 * --------  ----------  ---------------------------------  -------------------------------------------------------
 * CONFIG    rl          struct notifyd_config; a pidfd of  in the socket before rl-notifyd is started
 *                       the user namespace if it exists
 * FILTER    rl-notifyd  struct sock_filter[]               then; to the process whose calls are to be answered
 * LISTENER  that one    struct notifyd_identity; listener, it has loaded the filter
 *                       pidfd of itself, root directory;
 *                       with `connect` those of enum
 *                       notifyd_container_fd
 * READY     rl-notifyd  -                                  its calls are answered from now on
 * ERROR     rl-notifyd  struct err (sync.h)                instead of FILTER or READY
 *
 * After READY nobody uses the socket. rl's end is inherited by the container's child (or the joined process) and closed
 * in rl: when that process dies before it has sent LISTENER, rl-notifyd ends. Afterwards it ends with the last process
 * that has the filter.
 *
 * What the payload may do to it: nothing, except through the calls it makes. The filter must not trap what the child
 * needs between loading it and READY: sendmsg, recvmsg, pidfd_open, close, exit.
 */
#ifndef RL_ENGINE_NOTIFYD_PROTO_H
#define RL_ENGINE_NOTIFYD_PROTO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "rl/model/net_policy.h"

/* Whom the process is to appear as, with `emulate`. */
enum { NOTIFYD_GROUPS_MAX = 1024 };
struct notifyd_identity {
	uint32_t uid, gid, ngroups;
	uint32_t groups[NOTIFYD_GROUPS_MAX];
};

enum notifyd_step { NOTIFYD_STEP_CONFIG = 1, NOTIFYD_STEP_FILTER, NOTIFYD_STEP_LISTENER, NOTIFYD_STEP_READY };

enum { NOTIFYD_SOCKET_FD = 3 };

/* What only a process in the container's namespaces can open. */
enum notifyd_container_fd {
	NOTIFYD_FD_ROUTE, /* a netlink socket */
	NOTIFYD_FD_MODEL, /* a TCP socket as it is made */
	NOTIFYD_FD_PROC,  /* its /proc */
	NOTIFYD_FD_COUNT
};

/* TCP connections through `gateway` are made on sockets of the host. */
struct notifyd_connect {
	uint32_t on;
	struct in_addr gateway, outbound; /* outbound: where they leave from, zeros: as routed */
	struct in6_addr gateway6, outbound6;
	bool has_policy;
	struct net_policy policy;
};

/* Flat, both sides are of one build. One member per feature; a zero one is off. */
struct notifyd_config {
	uint32_t emulate; /* enum rt_emulate (rl/model/rtspec.h has the meaning): 0 off, 1 write, 2 full */
	uint64_t caps;	  /* of the container: what root may not, emulated root may not */
	struct notifyd_connect connect;
};

#endif
