/*
 * idmap_int.h - what the files of idmap share.
 *
 * idmap.c chooses maps, idmap_subid.c finds subordinate ranges, idmap_write.c writes maps and starts children in them.
 */
#ifndef RL_KERN_IDMAP_INT_H
#define RL_KERN_IDMAP_INT_H

#include "rl/kern/idmap.h"

/* The subordinate ranges of the user: `kind` is 'u' or 'g'. Returns the number found. *ret_source (static) names where
 * was looked. */
size_t idmap_find_subids(char kind, const char *user, uint32_t uid, struct idmap_extent *ranges, size_t max,
			 const char **ret_source);

/* Absolute path of "newuidmap" or "newgidmap": PATH (absolute directories only), then /usr/bin. False: not there. */
bool idmap_find_helper(const char *name, char *ret_path, size_t size);

#endif
