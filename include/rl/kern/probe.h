/*
 * probe.h - what this machine and our surroundings allow, found by asking or by trying.
 *
 * Model: each function answers one question about the host as it is now; nothing is cached and nothing is changed
 * that outlives the call. Used for hints (idmap_explain_clone) and by `rl doctor`.
 *
 * Context: host side, any role. Functions that return bool or int have no error object: "cannot be told" is an answer
 * of its own, named at each function.
 */
#ifndef RL_KERN_PROBE_H
#define RL_KERN_PROBE_H

#include <stdbool.h>

#include "rl/base/compiler.h"

/* A number from below /proc/sys ("user/max_user_namespaces"), or `missing` if the file is not there, cannot be read or
 * is not a number. */
long probe_sysctl(const char *name, long missing);

/* The value of a field of /proc/self/status as a number ("Seccomp", "NoNewPrivs"), base 10 or, for "Cap...", 16.
 * -1 when it cannot be told. */
long long probe_status(const char *field);

/* Make a user namespace in a child that ends at once: 0, or the errno. */
int probe_userns(void);

/* Load a filter with a listener in a child that ends at once: 0, or the errno (EBUSY: we are inside a container whose
 * calls are answered already; EINVAL: the kernel has none). */
int probe_seccomp_notify(void);

/* Nothing is mounted on our own "/": the caller sits in a chroot (the kernel refuses it user namespaces). False also
 * when it cannot be told. */
bool probe_is_chrooted(void);

#endif
