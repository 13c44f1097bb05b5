/*
 * idmap_int.h - what the files of idmap share.
 *
 * idmap.c chooses maps, idmap_subid.c finds subordinate ranges, idmap_write.c writes maps and starts children in them.
 */
#ifndef RL_KERN_IDMAP_INT_H
#define RL_KERN_IDMAP_INT_H

#include "rl/kern/idmap.h"

enum idmap_source { IDMAP_SOURCE_FILES, IDMAP_SOURCE_LIBSUBID };
enum { IDMAP_USER_NAME_SIZE = 256 };

/* Where subordinate ids are found on this machine, as nsswitch.conf says. */
enum idmap_source idmap_subid_source(void);

/* The subordinate ranges of the user: `kind` is 'u' or 'g'. Returns the number found. */
size_t idmap_find_subids(enum idmap_source source, char kind, const char *user, uint32_t uid,
			 struct idmap_extent *ranges, size_t max);

/* The login name of an id: /etc/passwd, then the name service. False: it has none. */
bool idmap_user_name(uint32_t uid, char *ret_name, size_t size);

/* Absolute path of "newuidmap" or "newgidmap": PATH (absolute directories only), then /usr/bin. False: not there. */
bool idmap_find_helper(const char *name, char *ret_path, size_t size);

#endif
