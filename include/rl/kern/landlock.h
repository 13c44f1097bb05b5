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

#include <stdbool.h>
#include <stddef.h>

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
/* A directory that stays reachable by name. fd: O_PATH will do. */
struct landlock_place {
	int fd;
	bool writable;
};
/* From here on nothing outside of these directories can be opened, made, removed or renamed by name; descriptors that
 * are open stay good. Not covered (no Landlock does it): stat, readlink, and chmod, chown and utime by path, which a
 * seccomp filter has to take away. Needs ABI 2 (Linux 5.19), without which hard links and renames between directories
 * would be refused. 1 it holds now, 0 this kernel cannot. */
int landlock_restrict_files(const struct landlock_place *places, size_t n, struct err *e) RL_CHECK;
/* Apply what is supported of `wanted`. Returns the set that holds now (0 if nothing could be done), or -errno. */
int landlock_restrict(unsigned wanted, struct err *e) RL_CHECK;

#endif
