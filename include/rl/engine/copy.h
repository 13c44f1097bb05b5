/*
 * copy.h - the two ends of `rl cp`: one walks what is to be copied, the other makes it, each in the place it belongs to.
 *
 * Model: a place is a root directory and what may be reached in it. In a container (host false) every path is resolved
 * beneath the root by rl/kern/safepath; on this machine (host true) as the kernel resolves any path. From the object a
 * path leads to, everything is reached by descriptor and single names, never through a symlink, so a payload that swaps
 * names meanwhile gets an error or an odd copy, and nothing outside of the tree is read or written.
 *
 * The rules are docker's. Source: a path that ends in "/" or "/." is a directory and a symlink there is followed; "/."
 * means what is in it (`contents`). Target:
 *     source          target is not there   is a directory                 is something else
 *     file            made (its directory    NAME in it                     replaced
 *                     must exist; with a
 *                     trailing slash: error)
 *     directory       made, filled           NAME in it, or its contents     error
 *     tar stream      error                  extracted into it               error
 * A symlink at the target's end is followed. Directories are never replaced by anything else, nor the reverse, unless
 * `overwrite` says so.
 *
 * Context: any process that has the rights; umask 0. Descriptors stay the caller's.
 */
#ifndef RL_ENGINE_COPY_H
#define RL_ENGINE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/kern/idmap.h"

struct copy_place {
	int rootfd; /* with host: -1 */
	bool host;
};

struct copy_send {
	struct copy_place place;
	const char *path; /* absolute */
	bool follow;	  /* a symlink at its end */
	int outfd;
};
/* Write the tree to outfd (rl/base/tree_wire.h). Sockets are left out. Of virtual file systems (proc, sysfs, cgroup and
 * the like) that are mounted in a tree only the directory is copied. */
int copy_send(const struct copy_send *s, struct err *e) RL_CHECK;

struct copy_receive {
	struct copy_place place;
	const char *path; /* absolute, as typed: a trailing slash means something */
	const char *name; /* the source's last component */
	bool contents;	  /* of the source directory, not the directory itself */
	bool archive;	  /* a tar stream: paths are relative to the target, which must be a directory */
	bool keep_owner;  /* owners as they come; otherwise root in a container, ourselves on this machine */
	const struct idmap *from_host; /* NULL, or: owners that come are this machine's ids */
	bool overwrite;		       /* a directory gives way to something else, and the reverse */
	bool drop_setid;	       /* setuid and setgid bits are not made */
	int infd;
};
int copy_receive(const struct copy_receive *c, struct err *e) RL_CHECK;

/* True if the path says that its object is a directory: it ends in "/" or "/.". */
bool copy_path_is_dir(const char *path);
/* "/." at the end, or the root itself: the contents are meant. */
bool copy_path_is_contents(const char *path);

#endif
