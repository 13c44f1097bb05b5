/*
 * role_confine_int.h - how the reader of hostile archives gives up everything it does not need.
 *
 * Calling sequence, all in one single-threaded process, in this order:
 *     confine_unshare   own user, mount, net, ipc and uts namespaces; the parent then writes the id map
 *     confine_enter     container root, the target as root directory; ret_rootfd is it, lower directories become
 *                       read-only mounts of their own, every descriptor that could lead outside is closed
 *     confine_drop      resource limits, six capabilities, no_new_privs, seccomp
 * Where user namespaces are refused altogether, confine_enter_plain stands for the first two: Landlock leaves only the
 * target (and, for reading, the lower directories) to be opened by name; a caller who may (root of another engine's
 * container) makes the target its root directory as well. Lacking both, the archive is not read.
 * Mustn't: open anything of the host after confine_unshare, start threads before confine_drop.
 */
#ifndef RL_ENGINE_ARCHIVE_ROLE_CONFINE_INT_H
#define RL_ENGINE_ARCHIVE_ROLE_CONFINE_INT_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"
#include "rl/kern/idmap.h"

/* lowerfds: host directories, replaced by paths that confine_enter opens again in the new mount namespace. */
int confine_unshare(int targetfd, struct err *e) RL_CHECK;
int confine_enter(const struct idmap *map, int *lowerfds, size_t nlower, int *ret_rootfd, struct err *e) RL_CHECK;
int confine_enter_plain(int targetfd, const int *lowerfds, size_t nlower, int *ret_rootfd, struct err *e) RL_CHECK;
/* plain: as after confine_enter_plain. No capability that the process has not is asked for. */
int confine_drop(bool plain, struct err *e) RL_CHECK;

#endif
