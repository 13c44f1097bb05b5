/*
 * root_copy.h - a container's root as a copy of its layers, where no overlay can be mounted on them (decision 14).
 *
 * Model: in the work directory, which no overlay uses then, stand
 *     root      the layers put on top of each other, the writable layer last; the container's root from then on
 *     copied    written when that was done: its time of change is later than that of anything copied
 * The writable layer itself stays a layer. What the container has changed in `root` since is put there by
 * root_copy_settle: then everything that reads layers (diff, commit, export, snapshots, a step of a build) finds what it
 * would find below an overlay. It may be done again at any time, also while the container runs; the writable layer holds
 * links to the files of `root`, so it is a view, and who freezes it removes the copy (root_copy_remove).
 *
 * A file counts as changed where overlayfs would have copied it up: anything of its inode was changed after the copy.
 *
 * Context: root of the container's map, in which the directories' ids exist. Layers TOP first.
 * Errors: -EOPNOTSUPP the file system cannot hold that something was removed.
 */
#ifndef RL_ENGINE_ROOT_COPY_H
#define RL_ENGINE_ROOT_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"

bool root_copy_is_there(int workfd);
/* The copy, made unless it is there: a descriptor of its root. */
int root_copy_make(int workfd, int upperfd, const int *layers, size_t n, struct err *e) RL_CHECK;
int root_copy_settle(int workfd, int upperfd, const int *layers, size_t n, struct err *e) RL_CHECK;
/* The next start copies anew. */
int root_copy_remove(int workfd, struct err *e) RL_CHECK;

#endif
