/*
 * notifyd.h - rl-notifyd, which answers system calls of a container by seccomp user notification: host and child side.
 *
 * Model: one rl-notifyd serves one process that was put into the container (its first one, or one that joined) and all
 * descendants of it. It is started only when the specification asks for something it does, before the clone, so that it
 * is ready when the child is; it builds the filter, because it knows which calls it has handlers for. What it answers and
 * how: src/notifyd/notifyd.h.
 *
 * If rl-notifyd gives up, it kills the process it serves. If somebody else ends it, the kernel answers ENOSYS to the calls
 * it had (seccomp_unotify(2)): they fail, nothing is let through that the main filter denies.
 *
 * Calling sequence: runtime_start and runtime_join do it for specs with `emulate`:
 *     notifyd_start(&config, -1, &sock, &child, e);    // in rl, before the clone
 *     notifyd_hand_over(&sock, &ids, e);           // in the child, before it gives up its privileges
 *     notifyd_reap(&child);                        // in rl, after the end
 */
#ifndef RL_ENGINE_NOTIFYD_H
#define RL_ENGINE_NOTIFYD_H

#include "rl/base/err.h"
#include "rl/base/proc.h"
#include "rl/engine/notifyd_proto.h"
#include "rl/model/rtspec.h"
#include "rl/model/user_spec.h"

/* What the spec asks of it; false: nothing, and rl-notifyd is not needed. */
bool notifyd_config_from_spec(const struct rtspec *s, struct notifyd_config *ret);

/* Start it. `user_ns`: a pidfd of a process in the user namespace that the container joins, or -1. *ret_sock is the end for the container's child, close-on-exec; close it after the clone. */
int notifyd_start(const struct notifyd_config *c, int user_ns, int *ret_sock, struct proc_child *ret_child,
		  struct err *e) RL_CHECK;
/* After the process it serves: reap it, or leave it to those who still need it. Harmless on an empty child. */
void notifyd_reap(struct proc_child *child);

/* Load the filter that rl-notifyd sends, give it the listener and the ids, wait until it answers. Needs no_new_privs
 * or CAP_SYS_ADMIN. `connects`: the config has `connect`; then in the container's namespaces, its /proc mounted. Closes *sock. -EBUSY: an outer filter has a listener. */
int notifyd_hand_over(int *sock, const struct user_ids *ids, bool connects, struct err *e) RL_CHECK;

#endif
