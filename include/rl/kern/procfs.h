/*
 * procfs.h - files of procfs that nobody can have replaced.
 *
 * Model: writes to /proc (sysctls, oom_score_adj, ...) on behalf of a container go through a descriptor of a procfs
 * instance of our own that is mounted nowhere, so that neither the image nor a racing payload can put a mount or a
 * symlink in the way (CVE-2025-52881 and its family). Paths below it are opened without following links and without
 * crossing mounts.
 *
 * Calling sequence: procfs_private in the child, once its pid namespace exists; procfs_open / procfs_write with it;
 * close. Where a new procfs is refused (the rung of decision 17), procfs_outer opens the one that is mounted; it
 * still checks that what it got is procfs.
 * Context: role child; procfs_private needs CAP_SYS_ADMIN in the user namespace that owns the pid namespace.
 */
#ifndef RL_KERN_PROCFS_H
#define RL_KERN_PROCFS_H

#include "rl/base/compiler.h"
#include "rl/base/err.h"

/* A fresh procfs of our pid namespace, not mounted anywhere. -EPERM where the kernel refuses it because the outer one
 * is partly covered. */
int procfs_private(struct err *e) RL_CHECK;
/* Descriptor of /proc as it is mounted; -EINVAL if that is no procfs. */
int procfs_outer(struct err *e) RL_CHECK;

/* Open a path below procfd ("sys/kernel/sem", "self/oom_score_adj"): a leading "self" or "thread-self" means us, no
 * other link is followed, no mount is crossed. open(2) flags; close-on-exec is added. */
int procfs_open(int procfd, const char *path, int flags, struct err *e) RL_CHECK;
/* Write a value in one write(2). */
int procfs_write(int procfd, const char *path, const char *value, struct err *e) RL_CHECK;

#endif
