/*
 * landlock.h - restrictions a process puts on itself and its descendants (landlock(7), ABI 6 for scopes).
 */
#ifndef RL_KERN_LANDLOCK_H
#define RL_KERN_LANDLOCK_H

#include "rl/base/err.h"

/* The ABI version of this kernel, 0 where there is no Landlock. */
int landlock_abi(void);

/* From now on abstract unix sockets made outside of this domain cannot be connected to. Needs no_new_privs or
 * CAP_SYS_ADMIN. On kernels without the feature (before 6.12) nothing happens and one warning says so: with the host's
 * network the user's X11, D-Bus and input method sockets are then within reach (DECISIONS 30). */
int landlock_scope_abstract(struct err *e) RL_CHECK;

#endif
