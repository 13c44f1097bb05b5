/*
 * tree.h - directory trees by descriptor: copied, given to another owner, measured.
 *
 * Model: every step is one name below a directory descriptor, opened with O_NOFOLLOW, and the type is checked on the
 * descriptor: whoever may rename things in either tree while this works can make it fail or copy something else of the
 * same tree, never make it leave the tree (CVE-2023-0778, CVE-2022-23648).
 *
 * Copied are regular files (by reflink or in the kernel where the file systems can), directories, symlinks and fifos,
 * with owner, mode, times, hard links within the tree and xattrs; control xattrs of overlayfs and of ours
 * (rl/kern/xattr.h) are not. Sockets, and device nodes where they may not be made, are left out and counted. An owner
 * or an xattr that may not be set is left as it is.
 *
 * Context: any role; who should own and see other ids runs it in their user namespace (userns_spawn).
 * Errors: -ELOOP deeper than TREE_DEPTH_MAX (one descriptor pair per level), -EEXIST without TREE_REPLACE, -EISDIR a
 * directory with content is where something else should go.
 */
#ifndef RL_KERN_TREE_H
#define RL_KERN_TREE_H

#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"

enum { TREE_DEPTH_MAX = 400 };

enum tree_flags {
	TREE_REPLACE = 1 << 0, /* merge: directories are entered, everything else of the same name is replaced */
	TREE_LAYER = 1 << 1,   /* a layer as it is: control xattrs too (whiteouts are copied anyway) */
	TREE_RECORDS = 1 << 2, /* of control xattrs ours alone: what a layer shows, true owners kept */
};

struct tree_stats {
	uint64_t entries;
	uint64_t bytes;	  /* of regular files, as their size says; hard links once */
	uint64_t skipped; /* what could not be copied */
};

/* Everything in directory `from`, and from's own owner, mode and times, to directory `to` (both readable). */
int tree_copy(int from, int to, unsigned flags, struct tree_stats *ret_stats, struct err *e) RL_CHECK;

/* One file, symlink or fifo to a name that is not there yet, with everything that belongs to it; as a copy of its own,
 * however many links it has. */
int tree_copy_one(int from, const char *name, int to, const char *as, unsigned flags, struct err *e) RL_CHECK;
/* Owner, mode, xattrs and times of one open file or directory to another. */
int tree_copy_meta(int from, int to, unsigned flags, struct err *e) RL_CHECK;

/* Give the directory and everything in it to uid:gid; symlinks themselves, nothing on other mounts. Objects that
 * belong to them already are not touched. */
int tree_chown(int dirfd, uid_t uid, gid_t gid, struct err *e) RL_CHECK;

/* Count what is there; directories that may not be read count by themselves. elsewhere: so many of the links of a file
 * that has more than one are known to be in no such count. */
int tree_measure(int dirfd, unsigned elsewhere, struct tree_stats *ret_stats, struct err *e) RL_CHECK;

/* 1 if the directory has no entries, 0 if it has. */
int tree_is_empty(int dirfd, struct err *e) RL_CHECK;

#endif
