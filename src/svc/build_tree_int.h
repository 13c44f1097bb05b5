/*
 * build_tree_int.h - finding the files of a COPY, shared by the digest (build_tree.c) and the copy (build_copy.c,
 * build_copy_tree.c).
 */
#ifndef RL_SVC_BUILD_TREE_INT_H
#define RL_SVC_BUILD_TREE_INT_H

#include "build_int.h"

enum { BUILD_DEPTH_MAX = 400 };

/* Names of a directory, sorted. */
int build_list_dir(int dirfd, struct strv *ret_names, struct err *e) RL_CHECK;
/* Paths beneath the root that the pattern stands for, sorted; -ENOENT if there is none. */
int build_glob(int rootfd, const struct ignore *g, const char *pattern, struct strv *out, struct err *e) RL_CHECK;
/* With --parents: what of a path that was found goes on standing in the copy's. */
const char *build_kept_path(const struct build_source *src, const char *path);
bool build_is_left_out(const struct ignore *g, const char *path, bool is_dir);
/* Where the step's files are, if they are in a context: its descriptor and ignore file (or NULL). */
int build_source_root(const struct build *b, const struct build_step *st, const struct ignore **ret_ignore);

#endif
