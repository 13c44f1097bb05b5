/*
 * mount.h - the files of a container or an image as a directory, for programs of this machine.
 *
 * Model: what the layers show together is mounted, read-only, below mounts/ of the store, in the mount namespace of the
 * caller: that of `rl unshare`, whose root an ordinary user has to be to mount anything and where the ids of the files
 * are those of the container, or for real root the machine's. A mount goes with its namespace; the directory that is
 * left then is empty and harms nobody.
 */
#ifndef RL_SVC_MOUNT_H
#define RL_SVC_MOUNT_H

#include "rl/base/err.h"
#include "rl/base/str.h"

/* A container by this name, else an image (whose layers must be unpacked for the id map). *ret_path is where it is; what
 * is mounted already stays. -EPERM where the caller can mount nothing, with what to do. */
int mount_show(const char *root, const char *name, char **ret_path, struct err *e) RL_CHECK;
/* "ID PATH" of everything that is mounted here. */
int mount_list(const char *root, struct strv *ret_lines, struct err *e) RL_CHECK;
/* -ENOENT if it is not mounted here. */
int mount_drop(const char *root, const char *name, struct err *e) RL_CHECK;
int mount_drop_all(const char *root, struct err *e) RL_CHECK;

#endif
