/*
 * container_copied.h - containers whose root is a copy of their layers, because overlays were refused when they started
 * (rl/engine/root_copy.h); for those who read or exchange layers.
 *
 * `dirfd` is the container's directory, `layers` what it stands on, TOP first. With the lock of the operation.
 */
#ifndef RL_SVC_CONTAINER_COPIED_H
#define RL_SVC_CONTAINER_COPIED_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/kern/idmap.h"

/* The copy, in the container's directory. */
#define CONTAINER_COPIED_ROOT "work/root"

bool container_is_copied(int dirfd);
/* Put what it has changed into its writable layer, if it is one of these. map: NULL for none. */
int container_copied_settle(int dirfd, const struct strv *layers, const struct idmap *map, struct err *e) RL_CHECK;
/* It starts from its layers again, if it is one of these; for when they are other ones, or have what it changed. */
int container_copied_drop(int dirfd, const struct idmap *map, struct err *e) RL_CHECK;

#endif
