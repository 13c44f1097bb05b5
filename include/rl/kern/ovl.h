/*
 * ovl.h - what a stack of layer directories shows, without mounting it.
 *
 * Model: overlayfs's rules. Layers are searched top first; a whiteout, or anything that is no directory, ends the
 * search for what lies behind that name; an opaque directory hides everything of the layers under it. Paths are walked
 * component by component without following symlinks.
 */
#ifndef RL_KERN_OVL_H
#define RL_KERN_OVL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "rl/base/err.h"

struct ovl_hit {
	int dirfd; /* the directory of one layer that holds it; the caller closes it */
	size_t layer;
	struct stat st;
};

bool ovl_is_whiteout(const struct stat *st);
bool ovl_is_opaque(int dirfd);

/* Walk to directory `path` of one layer. Returns a descriptor, or -1; *ret_stop: layers below show nothing there. */
int ovl_walk(int layerfd, const char *path, bool *ret_stop);
/* The object `name` in directory `path` of the stack. 1 found, 0 not there. */
int ovl_find(const int *layerfds, size_t n, const char *path, const char *name, struct ovl_hit *ret,
	     struct err *e) RL_CHECK;

#endif
