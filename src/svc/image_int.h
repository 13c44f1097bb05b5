/*
 * image_int.h - what the files of svc/image share.
 *
 * image.c         ready for a run; rl-image as a child     image_add.c     import and load
 * image_admin.c   list, tag, remove, prune                 image_show.c    inspect, history
 */
#ifndef RL_SVC_IMAGE_INT_H
#define RL_SVC_IMAGE_INT_H

#include "rl/kern/idmap.h"
#include "rl/svc/image.h"

/* Run `rl-image VERB...` (verb->items[0] and its operands and options) on the store and collect what it added. */
int image_program_run(const struct store *s, const struct idmap *map, const struct strv *verb, bool with_stdin,
		      const struct image_ui *ui, struct image_list *ret_added, struct err *e) RL_CHECK;
/* image_pull on a store that is open. */
int image_pull_into(const struct store *s, const struct idmap *map, const struct image_pull_opts *o,
		    const struct image_ui *ui, struct image_list *ret_list, struct err *e) RL_CHECK;
/* The map layers are unpacked with for runs with `map`: the same, but for keep-id and nomap. */
int image_unpack_map(const struct idmap *map, struct idmap *ret_map, struct err *e) RL_CHECK;

#endif
