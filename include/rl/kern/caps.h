/*
 * caps.h - capability sets as 64-bit masks: names, docker's default set, and giving up the rest.
 *
 * Model: bit n is capability number n (capabilities(7), <linux/capability.h>). A container's set is its bounding set;
 * uid 0 starts with all of it effective and permitted, another uid with nothing. Inheritable and ambient are always
 * empty (the CVE-2022-24769 family came from a non-empty inheritable set).
 *
 * Calling sequence in the child, as root of the container:
 *     caps_drop_bounding(set); setgroups; setresgid; setresuid; caps_set(uid == 0 ? set : 0)
 * The bounding set goes first because dropping it needs CAP_SETPCAP.
 *
 * Names and capset(2) come from libcap-ng. Its capng_apply(CAPNG_SELECT_BOUNDS) is not used: it reads /proc/self/status
 * and asks for every ambient bit (more than 80 system calls) before it drops anything; one prctl for each capability
 * that goes is all the kernel needs.
 */
#ifndef RL_KERN_CAPS_H
#define RL_KERN_CAPS_H

#include <linux/capability.h>
#include <stdint.h>

#include "rl/base/err.h"

#define CAPS_BIT(cap) (1ULL << (cap))

/* docker's default set. */
#define CAPS_DEFAULT                                                                                                   \
	(CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_FSETID) | CAPS_BIT(CAP_FOWNER) |                  \
	 CAPS_BIT(CAP_MKNOD) | CAPS_BIT(CAP_NET_RAW) | CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETUID) |                       \
	 CAPS_BIT(CAP_SETFCAP) | CAPS_BIT(CAP_SETPCAP) | CAPS_BIT(CAP_NET_BIND_SERVICE) | CAPS_BIT(CAP_SYS_CHROOT) |       \
	 CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_AUDIT_WRITE))

/* Every capability this program knows of (what the kernel does not have is ignored when it is set). */
uint64_t caps_all(void);

/* Number of a capability by name, with or without "CAP_", any case; -1 if there is none. */
int caps_from_name(const char *name);
/* "CAP_NET_RAW" into ret_name; -1 for numbers without a name. */
int caps_to_name(int cap, char *ret_name, size_t size);

/* Drop everything but `keep` from the bounding set. */
int caps_drop_bounding(uint64_t keep, struct err *e) RL_CHECK;
/* Effective and permitted become `set` (it must be within the present permitted set), inheritable and ambient empty. */
int caps_set(uint64_t set, struct err *e) RL_CHECK;

#endif
