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
#include "rl/base/str.h"

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

/* The directories of one path in a stack, topmost first and as far down as overlayfs merges them. */
struct ovl_dirs {
	int *fds;
	size_t n;
	bool is_opaque; /* the last one hides what lies under it */
};
void ovl_dirs_free(struct ovl_dirs *s);
#define autoovldirs __attribute__((cleanup(ovl_dirs_free)))

/* The roots of the layers. What was opened before a failure is freed by the caller. */
int ovl_dirs_open(const int *layerfds, size_t n, struct ovl_dirs *ret, struct err *e) RL_CHECK;
/* Those of directory `name` in them. */
int ovl_dirs_descend(const struct ovl_dirs *s, const char *name, struct ovl_dirs *ret, struct err *e) RL_CHECK;
/* What they show under a name: 1, or 0 if nothing. */
int ovl_dirs_look(const struct ovl_dirs *s, const char *name, struct stat *ret, struct err *e) RL_CHECK;
/* All names in any of them, whiteouts included; a name as often as it is there. */
int ovl_dirs_names(const struct ovl_dirs *s, struct strv *out, struct err *e) RL_CHECK;

#endif
