/*
 * dirs_int.h - the directories of the tree being unpacked: found by path, kept open, their times restored.
 *
 * Model: a cache of at most DIRS_MAX open directories, keyed by the clean path an archive uses ("" is the root). A
 * directory's times are what its entry said, but making anything inside changes them: whoever changes a directory calls
 * dirs_touch, and when it leaves the cache (or at dirs_finish) its times are put back. So nothing has to be remembered
 * for directories outside the cache, and memory and descriptors stay flat however large the archive is.
 *
 * Paths are resolved with the tree's root as root: symlinks of the archive, absolute ones and ".." in them included,
 * cannot leave it. Two paths of one directory (through a symlink) share one cache entry.
 *
 * Pointers stay valid while fewer than DIRS_MAX other directories are looked up: a caller that needs two gets the
 * first, the second, and then the first again.
 */
#ifndef RL_ENGINE_ARCHIVE_DIRS_INT_H
#define RL_ENGINE_ARCHIVE_DIRS_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "rl/base/err.h"

enum { DIRS_MAX = 128, DIRS_SYMLINKS_MAX = 40 };

struct dir {
	int fd;
	char *path;
	char *canon; /* path without symlinks, NULL until dirs_canon */
	uint64_t hash;
	uint64_t used;
	dev_t dev;
	ino_t ino;
	mode_t mode;
	struct timespec mtime;
	bool dirty;
	bool opaque; /* known to be */
};

struct dirs {
	int rootfd;
	struct dir slot[DIRS_MAX]; /* slot[0] is the root and never leaves */
	size_t n;
	uint64_t clock;
	bool no_openat2;
	bool strict; /* only openat2 will do: the tree is not our root directory */
	/* Called for a directory that is not there, with its parent; makes it or a symlink to follow. over_whiteout:
	 * a whiteout of the same layer was there (and is removed already). */
	int (*missing)(void *ctx, struct dir *parent, const char *name, const char *path, bool over_whiteout,
		       struct err *e);
	void *ctx;
};

int dirs_init(struct dirs *d, int rootfd, struct err *e) RL_CHECK;
/* Put all times back and close everything but rootfd. */
int dirs_finish(struct dirs *d, struct err *e) RL_CHECK;

/* The directory at `path`, made (through `missing`) if it is not there. -EBADMSG: something else is there. */
int dirs_get(struct dirs *d, const char *path, struct dir **ret, struct err *e) RL_CHECK;
/* Only if it is there: 1, else 0. */
int dirs_find(struct dirs *d, const char *path, struct dir **ret, struct err *e) RL_CHECK;
/* Something that a path went through is about to be removed or replaced: forget every path. */
int dirs_forget(struct dirs *d, struct err *e) RL_CHECK;
static inline void dirs_touch(struct dir *dir)
{
	dir->dirty = true;
}
/* The path of the directory with all symlinks resolved. Borrowed from dir. */
int dirs_canon(struct dirs *d, struct dir *dir, const char **ret_canon, struct err *e) RL_CHECK;

/* Split a clean path into the parent's path (allocated, "" for the root) and the last component (borrowed). */
const char *dirs_split(const char *path, char **ret_parent);

#endif
