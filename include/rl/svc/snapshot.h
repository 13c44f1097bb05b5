/*
 * snapshot.h - snapshots of a container's files: frozen writable layers, kept by name, returned to, branched from.
 *
 * Model: a container stands on a stack of directories. To make a snapshot of a container that does not run, its writable
 * layer becomes one more shared layer of the stack and it goes on in an empty one: nothing is copied, however much there
 * is. Of a container that runs the layer is copied (with shared extents where the file system has them) while it stands
 * still, since the kernel knows it as the writable one. A snapshot knows the stack it stood on, so snapshots form a tree.
 *
 * On disk: snapshots/ID/diff is the frozen layer, snapshots/ID/info.json what is known of it:
 *     {"version":1,"id":...,"container":ID,"name":...,"comment":...,"created":ns,"layers":[what it stands on, top first]}
 * A snapshot without a name is one that was removed while its layer is still stood on. A layer nobody names and nobody
 * stands on is removed. Snapshots go with their container, but for layers that branches stand on.
 *
 * Crash safety: container_restack.c. Locks: the container's; flock of snapshots/ exclusively by who removes layers, shared
 * by who makes a container stand on one that is not its own.
 * Errors: -EBUSY the container runs, or another one uses what would change (named).
 */
#ifndef RL_SVC_SNAPSHOT_H
#define RL_SVC_SNAPSHOT_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

struct snapshot_create_opts {
	const char *root, *container;
	const char *name;      /* NULL: snapN */
	const char *comment;   /* or NULL */
	bool allow_unfrozen;   /* a running container without a freezer: its processes are stopped one after the other */
};
int snapshot_create(const struct snapshot_create_opts *o, struct str *ret_name, struct err *e) RL_CHECK;
/* Array of {"Name","ID","Created"(ns),"Parent","Current"(bool),"Branches":[names],"Comment"}, oldest first. */
int snapshot_list(const char *root, const char *container, json_t **ret_rows, struct err *e) RL_CHECK;
/* What the container has changed since, as container_diff shows it. */
int snapshot_diff(const char *root, const char *container, const char *name, json_t **ret_changes, struct err *e)
	RL_CHECK;
/* The container's files are those of the snapshot; what was written since is lost. */
int snapshot_rollback(const char *root, const char *container, const char *name, struct err *e) RL_CHECK;
/* A new container like this one on the snapshot's files. new_name NULL: one is made up. *ret_id gets its id. */
int snapshot_branch(const char *root, const char *container, const char *name, const char *new_name, struct str *ret_id,
		    struct err *e) RL_CHECK;
/* Fold it into the snapshot it stands on, which then has both. */
int snapshot_merge(const char *root, const char *container, const char *name, struct err *e) RL_CHECK;
int snapshot_remove(const char *root, const char *container, const char *name, struct err *e) RL_CHECK;

#endif
