/*
 * landlock.h - restrictions a process puts on itself, beside namespaces and seccomp.
 *
 * Model: one call applies what of the wanted set this kernel can do and says which; what is missing is the caller's
 * decision (a warning line, or another rung). Restrictions hold for the calling thread and all it starts, for ever.
 *
 *   LANDLOCK_WANT_SCOPE_SOCKETS   no connection to abstract unix sockets made outside (Linux 6.12, ABI 6)
 *   LANDLOCK_WANT_SCOPE_SIGNALS   no signals to processes outside (ABI 6)
 *   LANDLOCK_WANT_DENY_TCP        no TCP connect and bind at all (Linux 6.7, ABI 4). Not covered: MSG_FASTOPEN, MPTCP,
 * UDP
 *
 * Context: role child, single thread, after the last mount (a landlocked process may not mount any more where file
 * rules are handled; these do not) and with no_new_privs set or CAP_SYS_ADMIN in its user namespace.
 */
#ifndef RL_KERN_LANDLOCK_H
#define RL_KERN_LANDLOCK_H

#include "rl/base/err.h"

enum landlock_want {
	LANDLOCK_WANT_SCOPE_SOCKETS = 1 << 0,
	LANDLOCK_WANT_SCOPE_SIGNALS = 1 << 1,
	LANDLOCK_WANT_DENY_TCP = 1 << 2,
};

/* The kernel's Landlock ABI version; 0: none, or switched off at boot, or filtered. */
int landlock_abi(void);
/* What of `wanted` this kernel can do. */
unsigned landlock_supported(unsigned wanted);
/* Apply what is supported of `wanted`. Returns the set that holds now (0 if nothing could be done), or -errno. */
int landlock_restrict(unsigned wanted, struct err *e) RL_CHECK;

#endif
