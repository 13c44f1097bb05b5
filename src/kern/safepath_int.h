/*
 * safepath_int.h - the component walk, behind safepath.c.
 *
 * Used where openat2(2) does not exist or is filtered, and wherever something on the way has to be made.
 */
#ifndef RL_KERN_SAFEPATH_INT_H
#define RL_KERN_SAFEPATH_INT_H

#include <stdbool.h>
#include <sys/types.h>

#include "rl/kern/safepath.h"

/* What openat2 with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS does. Returns the descriptor or -errno, no error object:
 * safepath.c words it. */
int safepath_walk_open(int rootfd, const char *path, int flags, mode_t mode);

/* mkdir -p: what is missing is made, except through a symlink at the last component (-ELOOP). Returns an O_PATH
 * descriptor of the directory or -errno. */
int safepath_walk_mkdirs(int rootfd, const char *path, mode_t mode);

#endif
