/*
 * host_walk.h - what a container whose image is this machine's own root is put together from; shared by host_*.c.
 *
 * Model: overlayfs shows one file system, and in a user namespace the kernel refuses a lower directory with mounts below
 * it ("failed to clone lowerpath"). So the root is a directory of ours whose entries are parts: a directory without
 * mounts below it is one overlay, or bound read-only where the caller could change nothing in it; one with mounts below is
 * made anew and its entries are parts again; a mount is a part like any directory.
 *
 * Access: a part's upper directory belongs to the caller and stands for a directory that may not, so its owner bits are
 * set to what the caller may do there: nothing can be added to a directory that the caller could not write to outside.
 */
#ifndef RL_SVC_HOST_WALK_H
#define RL_SVC_HOST_WALK_H

#include <sys/stat.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum host_part_kind {
	HOST_OVERLAY, /* a directory with everything in it */
	HOST_DIR,     /* a directory of ours; its entries, if any are shown, are parts */
	HOST_FILE,    /* bound read-only */
	HOST_LINK,    /* a symlink of the same text */
	HOST_TREE,    /* bound recursively and read-only: nothing to be changed, or too much to take apart */
};

struct host_part {
	enum host_part_kind kind;
	char *path; /* absolute, cleaned, no symlink on the way */
	struct stat st;
};

struct host_parts {
	struct host_part *items; /* a directory comes before what is in it */
	size_t count;
};

/* Take the root apart. `own` are places (cleaned absolute paths) where the caller surely wants to write: where one lies
 * below directories of other owners, which overlayfs cannot copy up, it becomes a part of its own. */
int host_walk(const struct strv *own, struct host_parts *ret, struct err *e) RL_CHECK;
void host_parts_free(struct host_parts *p);

/* The permission bits of a directory that stands for `path` and belongs to the caller. */
mode_t host_mode(const char *path, const struct stat *st);
/* /proc, /sys, /dev: every container has its own. /run: the sockets and the state of services that do not run in there. */
bool host_is_fresh(const char *path);

#endif
