/*
 * stack_mount.h - layers stacked read-only, mounted on a directory.
 */
#ifndef RL_SVC_STACK_MOUNT_H
#define RL_SVC_STACK_MOUNT_H

#include "rl/base/err.h"
#include "rl/base/str.h"

/* `dirs` TOP first, in this mount namespace, in which the caller may mount. Returns a descriptor of the mount's root. */
int stack_mount(const struct strv *dirs, const char *at, struct err *e) RL_CHECK;

#endif
