/*
 * patch.h - changes in a writable layer, made in the directory it was stacked on: one at a time, each whole or not at all.
 *
 * Model: a target is a pair of directories of one path: `upper` has what was written, `host` is what lay below it and gets
 * it. A change is a kind (A, C, D) and a path below the target (rl/engine/changes.h finds them). Both sides are walked from
 * their directory by single names, never through a symlink and never into another file system, so that who renames
 * things meanwhile makes the change fail and nothing else. Nothing is written that the caller may not write.
 *
 *     file, symlink, fifo   made beside its place under a name of ours, with mode, times, xattrs and, as far as the caller
 *                           may, the owner; then renamed over it. Links to one file stay links to one file
 *     directory             made; what is in it are changes of their own; mode, times and xattrs by patch_finish
 *     deleted, or of another type now
 *                           renamed away, then removed
 *
 * Conflict: what is there now was changed (its ctime) after `since`. A directory that goes must be unchanged throughout.
 *
 * Calling sequence: patch_check for all; patch_change for all in order, parents first; patch_finish for the directories
 * in reverse order; patch_close.
 * Context: a process that may read the layer; its writes are checked by the kernel against its own ids.
 */
#ifndef RL_ENGINE_PATCH_H
#define RL_ENGINE_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"

struct patch_link;

struct patch_target {
	int upper, host;  /* borrowed, readable */
	const char *path; /* of both, absolute; changes are below it */
	int64_t since_ns; /* CLOCK_REALTIME; INT64_MAX: nothing is a conflict */
	struct patch_link *links;
	size_t nlinks;
};

enum patch_verdict {
	PATCH_FINE,
	PATCH_CONFLICT,
	PATCH_DENIED,  /* the caller may not */
	PATCH_SKIPPED, /* a socket or a device: nothing that could be kept */
};

/* *why is filled for all but PATCH_FINE. Nothing is changed. */
enum patch_verdict patch_check(const struct patch_target *t, char kind, const char *path, struct err *why);
int patch_change(struct patch_target *t, char kind, const char *path, struct err *e) RL_CHECK;
/* The last touch to a directory of an A or C; anything else is left alone. */
int patch_finish(const struct patch_target *t, char kind, const char *path, struct err *e) RL_CHECK;
void patch_close(struct patch_target *t);

#endif
