/*
 * limits.h - resource limits of a process, its badness for the OOM killer, and sysctls of its namespaces.
 *
 * Model: names and checks work on the host side, before anything is cloned (limits_rlimit_number, limits_sysctl_path);
 * the writers run in the child. Rlimit names are docker's and podman's ("nofile") and the runtime spec's
 * ("RLIMIT_NOFILE"); LIMITS_INFINITY means no limit. Sysctls are limited to those that belong to a namespace the
 * container owns: everything else would be the host's (and is refused by the kernel anyway for ordinary users).
 */
#ifndef RL_KERN_LIMITS_H
#define RL_KERN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"

#define LIMITS_INFINITY UINT64_MAX

/* "nofile", "NOFILE" or "RLIMIT_NOFILE": the RLIMIT_ number, or -EINVAL with the nearest name suggested. */
int limits_rlimit_number(const char *name, struct err *e) RL_CHECK;
/* "nofile"; NULL for an unknown number. Static. */
const char *limits_rlimit_name(int resource);
/* Our own limit. */
int limits_get_rlimit(int resource, uint64_t *ret_soft, uint64_t *ret_hard, struct err *e) RL_CHECK;
/* Set our own limit. -EPERM above the hard limit, with both figures; -EINVAL for soft above hard. */
int limits_set_rlimit(int resource, uint64_t soft, uint64_t hard, struct err *e) RL_CHECK;

/* -1000..1000. Values below the current one need CAP_SYS_RESOURCE of the host: -EACCES, named. `procfd`: procfs.h. */
int limits_set_oom_score_adj(int procfd, int value, struct err *e) RL_CHECK;

/* Namespaces of its own that the container will have, for limits_sysctl_path. */
enum limits_owned {
	LIMITS_OWN_NET = 1 << 0,
	LIMITS_OWN_IPC = 1 << 1,
	LIMITS_OWN_UTS = 1 << 2,
};

enum { LIMITS_SYSCTL_PATH_SIZE = 256 };

/* Check a sysctl name ("net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding": the first separator decides, as in
 * sysctl(8)) and turn it into a path below /proc: "sys/net/ipv4/ip_forward". `owned`: set of enum limits_owned.
 * -EPERM for names outside of the owned namespaces, -EINVAL for malformed ones. */
int limits_sysctl_path(const char *key, unsigned owned, char ret_path[LIMITS_SYSCTL_PATH_SIZE], struct err *e) RL_CHECK;
/* Write a path that limits_sysctl_path gave. */
int limits_write_sysctl(int procfd, const char *path, const char *value, struct err *e) RL_CHECK;

#endif
