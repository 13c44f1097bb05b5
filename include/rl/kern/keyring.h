/*
 * keyring.h - the session keyring.
 *
 * A process inherits its session keyring over fork, exec and clone, user namespaces included: without this call a
 * payload could read the caller's keys (keyrings(7), session-keyring(7)).
 */
#ifndef RL_KERN_KEYRING_H
#define RL_KERN_KEYRING_H

#include "rl/base/err.h"

/* Replace the session keyring of this process by a new, empty, anonymous one. A kernel without keys, or an outer seccomp
 * filter that refuses keyctl (which then refuses it to the payload too), is success. */
int keyring_join_new(struct err *e) RL_CHECK;

#endif
