/*
 * path.h - lexical path algebra; no system calls.
 *
 * Results are malloc'd. Nothing here resolves symlinks: what a path means inside a container is decided by
 * rl/kern/safepath.h when it is opened.
 */
#ifndef RL_BASE_PATH_H
#define RL_BASE_PATH_H

#include <stdbool.h>

#include "rl/base/compiler.h"

/* "a" + "b/c" -> "a/b/c"; an absolute second part is appended all the same ("/r" + "/x" -> "/r/x"). */
char *path_join(const char *a, const char *b);
/* Remove ".", "..", double and trailing slashes lexically; ".." at the top disappears. The result of an absolute path
 * is absolute ("/" at least), of a relative one relative ("." at least). */
char *path_clean(const char *path);
/* Last component of the path ("" for "/"), pointing into it. */
const char *path_base(const char *path);
/* Everything before the last component: "a/b" -> "a", "/a" -> "/", "a" -> ".". */
char *path_dir(const char *path);
/* True if `path` equals `root` or lies below it, both cleaned absolute paths. */
bool path_is_below(const char *path, const char *root);
/* True if one component is "..". */
bool path_has_dotdot(const char *path);
/* True for http:// and https://, which are no paths. */
bool path_is_address(const char *text);
/* An address, or anything else, as it may be shown and recorded: without what can be a secret, which are the user name and
 * what follows the path (a signature that lets anybody fetch it). */
char *path_shown(const char *text);
/* True for names that are safe as one file name of ours: [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most 128 characters. The
 * grammar of container, volume and network names (docker's). */
bool path_is_plain_name(const char *name);

#endif
