/*
 * keyring.h - the kernel keyrings a payload must not inherit.
 *
 * Context: role child, before the change of ids, so that the keyring is charged to the caller.
 */
#ifndef RL_KERN_KEYRING_H
#define RL_KERN_KEYRING_H

#include "rl/base/err.h"

/* Replace the session keyring by a new, empty one. Returns 1; 0 where the kernel has no keyrings or an outer filter
 * refuses the call (then it refuses the payload's too); -EDQUOT when the user's 200 keys are used up (each running
 * container holds one): harmless where the payload's seccomp filter refuses keyctl, as the default one does. */
int keyring_new_session(struct err *e) RL_CHECK;

#endif
