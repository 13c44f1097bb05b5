/*
 * limits.h - resource limits, the OOM score, and sysctls, for a container being set up.
 *
 * Writes to /proc go through a descriptor of a procfs root and openat2 with RESOLVE_BENEATH, RESOLVE_NO_XDEV and
 * RESOLVE_NO_SYMLINKS, and the file reached is proved to be on a procfs: a file mounted over a sysctl or a link in its
 * way is an error and not a write to somewhere else (CVE-2019-16884, CVE-2025-52881).
 *
 * Context: role child; limits_names also elsewhere.
 */
#ifndef RL_KERN_LIMITS_H
#define RL_KERN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"

/* setrlimit. UINT64_MAX is unlimited. A value above the caller's hard limit is -EPERM with both figures in the text,
 * unless lower_to_hard: then it is lowered to it (image and default values; DECISIONS 38). */
int limits_set(int resource, uint64_t soft, uint64_t hard, bool lower_to_hard, struct err *e) RL_CHECK;

/* key as sysctl(8) takes it ("net.ipv4.ip_forward", slashes too). Only keys that belong to a namespace are allowed:
 * net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*; the others would change the host or nothing (-EPERM). */
int limits_sysctl(int procfd, const char *key, const char *value, struct err *e) RL_CHECK;
/* The same check without writing. */
int limits_check_sysctl(const char *key, struct err *e) RL_CHECK;

/* Own process; -1000..1000. Lowering needs a privilege ordinary users lack: -EACCES with a hint. */
int limits_oom_score_adj(int procfd, int value, struct err *e) RL_CHECK;

#endif
