/*
 * build_copy_int.h - what build_copy.c (a step: from where to where) and build_copy_tree.c (objects and trees) share: one
 * copying process.
 */
#ifndef RL_SVC_BUILD_COPY_INT_H
#define RL_SVC_BUILD_COPY_INT_H

#include <sys/stat.h>

#include "build_tree_int.h"

enum { BUILD_COPY_BUFFER = 1 << 20 };

struct copy {
	struct build_job *j;
	int sock;
	int rootfd;   /* the overlay */
	int memoryfd; /* the new layer while it is in memory, or -1 */
	int workfd;   /* of the new layer: diff, work, root, source */
	int sourcefd;
	const struct ignore *ignore;
	const struct ignore *exclude;
	bool keep_owner;
	bool chown;
	uint32_t uid, gid;
	const char *chmod; /* rl/model/chmod.h, or NULL */
	unsigned depth;
	char *buffer;
	bool warned;
	bool bare;	   /* no overlay: rootfd is the new layer itself, see build_copy_bare.c */
	bool plain;	   /* no user namespace either: ids seen are the host's */
	const int *lowers; /* bare: what lies below, top first */
	size_t nlowers;
	struct copy_late { /* bare: what is put right when everything is written */
		int fd;
		char *link; /* a symlink that was only needed as a way, in directory fd; or NULL: fd gets `mode` */
		ino_t ino;
		mode_t mode;
	} * late;
	size_t nlate;
	bool out; /* out of the layers, into a directory of the caller */
};

/* The mode of the copy of something that has `mode` (type included). */
mode_t build_copy_mode(const struct copy *c, mode_t mode);
int build_copy_set_owner(struct copy *c, int dirfd, const char *name, uint32_t uid, uint32_t gid,
			 struct err *e) RL_CHECK;
/* --chown, else the owner of `st` where owners are kept, else root. */
int build_copy_give(struct copy *c, int dirfd, const char *name, const struct stat *st, struct err *e) RL_CHECK;
/* For something that is not a directory. */
int build_copy_make_room(const struct copy *c, int dirfd, const char *name, struct err *e) RL_CHECK;
int build_copy_file(struct copy *c, int from, const struct stat *st, int todir, const char *name,
		    struct err *e) RL_CHECK;
/* What is in the directory `from` into `to`. path: from the root, for the ignore file; shown: for --exclude. */
int build_copy_contents(struct copy *c, int from, const char *path, const char *shown, int to, struct err *e) RL_CHECK;

/* ---- build_copy_bare.c; what an overlay does by itself ---- */

/* Have all directories and symlinks of `path` that exist below in the new layer. -ENOTDIR: a file is on the way, or at its
 * end where that must be a directory. */
int build_copy_reach(struct copy *c, const char *path, bool dir, struct err *e) RL_CHECK;
/* A file of the stack, "" where there is none. Symlinks are followed in the new layer only. */
void build_copy_read_below(const struct copy *c, const char *path, size_t max, struct str *out);
/* Would `name`, put into this directory of the new layer, cover a directory? */
bool build_copy_covers_dir(const struct copy *c, int dirfd, const char *name);
/* What the layers show together, made below `into` where there is more than one. Returns its descriptor. */
int build_copy_merge(struct copy *c, const int *fds, size_t n, int into, struct err *e) RL_CHECK;
/* When everything is written. */
int build_copy_settle(struct copy *c, struct err *e) RL_CHECK;

#endif
