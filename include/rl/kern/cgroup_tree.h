/*
 * cgroup_tree.h - control groups at a path that somebody else has chosen, as an OCI runtime has to make them.
 *
 * Model: `cgroup_tree_read` lists the hierarchies by mount point, in the form of cgroup.h's directory vectors
 * ("CONTROLLER:PATH", "" for v2, "name=systemd" for a named one). `cgroup_tree_plan` puts one path below each of them:
 * that vector is for a record, for cgroup_tree_make and for the functions of cgroup.h. Limits are written file by file with
 * `cgroup_tree_put`, since what they mean is in the caller's table.
 *
 * Calling sequence: read -> plan -> make -> (clone, cgroup_join) -> put... -> cgroup_kill, cgroup_tree_remove.
 * Context: host side. Paths come from config.json of a caller that may write cgroupfs: they are checked to have no "..".
 * Errors: err.h; -EACCES, -EPERM and -EROFS from make mean that these hierarchies are not ours.
 */
#ifndef RL_KERN_CGROUP_TREE_H
#define RL_KERN_CGROUP_TREE_H

#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

/* Every hierarchy that is mounted: one item for each v1 controller, and one for v2. */
int cgroup_tree_read(struct strv *ret_mounts, struct err *e) RL_CHECK;

/* The hierarchies are all v2. */
bool cgroup_tree_is_unified(const struct strv *mounts);

/* `path` (absolute) below each mount point. -EINVAL for a .. or the root itself. */
int cgroup_tree_plan(const struct strv *mounts, const char *path, struct strv *ret_dirs, struct err *e) RL_CHECK;

/* Make what was planned, and enable v2's controllers down to it. v1's cpuset gets its parent's sets, without which nothing
 * can be put into it. Directories that are there already are used. Either all are made or, of those made here, none. */
int cgroup_tree_make(const struct strv *dirs, struct err *e) RL_CHECK;

/* The v1 directory of a controller, or the v2 directory (NULL or ""); NULL if there is none. */
const char *cgroup_tree_dir(const struct strv *dirs, const char *controller);

/* Write a value. Returns 1, 0 where the directory has no such file, -errno what the kernel says. */
int cgroup_tree_put(const char *dir, const char *file, const char *value, struct err *e) RL_CHECK;
/* Append the content of a file; -errno. */
int cgroup_tree_get(const char *dir, const char *file, struct str *out) RL_CHECK;

/* Processes in the cgroup and in those below it. */
int cgroup_tree_pids(const struct strv *dirs, struct strv *ret_pids, struct err *e) RL_CHECK;

/* Remove with what was made inside of it (by an init system in the container), and with parents that cgroup_tree_make has
 * made and nobody uses any more. Must be empty of processes. */
int cgroup_tree_remove(const struct strv *dirs, struct err *e) RL_CHECK;

#endif
