/*
 * notifyd_proto.h - what is said on the one socket of rl-notifyd (base/sync.h messages), descriptor 3 of it.
 *
 * step      sender      payload                            when
 * --------  ----------  ---------------------------------  -------------------------------------------------------
 * CONFIG    rl          struct notifyd_config; a pidfd of  in the socket before rl-notifyd is started
 *                       the user namespace if it exists
 * FILTER    rl-notifyd  struct sock_filter[]               then; to the process whose calls are to be answered
 * LISTENER  that one    struct notifyd_identity; listener, it has loaded the filter
 *                       pidfd of itself, root directory
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

#include <stdbool.h>
#include <stdint.h>

/* Whom the process is to appear as, with `emulate`. */
enum { NOTIFYD_GROUPS_MAX = 1024 };
struct notifyd_identity {
	uint32_t uid, gid, ngroups;
	uint32_t groups[NOTIFYD_GROUPS_MAX];
};

enum notifyd_step { NOTIFYD_STEP_CONFIG = 1, NOTIFYD_STEP_FILTER, NOTIFYD_STEP_LISTENER, NOTIFYD_STEP_READY };

enum { NOTIFYD_SOCKET_FD = 3 };

/* Flat, both sides are of one build. One member per feature; a zero one is off. */
struct notifyd_config {
	uint32_t emulate; /* enum rt_emulate (rl/model/rtspec.h has the meaning): 0 off, 1 write, 2 full */
	uint64_t caps;	  /* of the container: what root may not, emulated root may not */
};

#endif
