/*
 * image_int.h - what the files of svc/image share.
 *
 * image.c         ready for a run; rl-image as a child     image_add.c     import, load, pull
 * image_admin.c   list, tag, remove, prune                 image_show.c    inspect, history
 * image_save.c    save                                     image_remote.c  push, login, looking at registries
 * image_commit.c  directories become an image, or a tar
 */
#ifndef RL_SVC_IMAGE_INT_H
#define RL_SVC_IMAGE_INT_H

#include "rl/kern/idmap.h"
#include "rl/svc/image.h"

/* Run `rl-image VERB...` (verb->items[0] and its operands and options) on the store and collect what it added. */
int image_program_run(const struct store *s, const struct idmap *map, const struct strv *verb, bool with_stdin,
		      const struct image_ui *ui, struct image_list *ret_added, struct err *e) RL_CHECK;

/* The same for a verb that answers a text. */
int image_program_ask(const struct store *s, const struct idmap *map, const struct strv *verb, struct str *ret_text,
		      struct err *e) RL_CHECK;

int image_program_ask_ui(const struct store *s, const struct idmap *map, const struct strv *verb,
			 const struct image_ui *ui, struct str *ret_text, struct err *e) RL_CHECK;
/* The same for a verb that takes descriptors: they become 4, 5, ... */
int image_program_feed(const struct store *s, const struct idmap *map, const struct strv *verb, const int *fds,
		       size_t nfds, const struct image_ui *ui, struct image_list *ret_added, struct err *e) RL_CHECK;

/* A request as rl-image reads it from descriptor 4. */
int image_request_fd(const json_t *doc, struct err *e) RL_CHECK;

/* image_prune of those entries that `fn` says true to; NULL: all. */
typedef bool image_filter_fn(const struct store_entry *entry, void *arg);
int image_prune_filtered(const char *root, bool all, image_filter_fn *fn, void *arg, struct image_removed *ret_removed,
			 struct err *e) RL_CHECK;

/* The manifest or index that a registry has under a name (no transport in front), as it is. */
int image_raw_remote(const char *root, const char *name, const struct image_registry *registry, json_t **ret_doc,
		     struct err *e) RL_CHECK;

/* The options of rl-image for a registry; credentials go through the environment, where other users cannot read them. */
void image_add_registry(struct strv *verb, const struct image_registry *r);
/* load into an open store; `source` with or without a transport. */
int image_load_into(const struct store *s, const struct idmap *map, const char *source, const struct image_ui *ui,
		    struct image_list *ret_list, struct err *e) RL_CHECK;
/* pull into an open store. */
int image_pull_into(const struct store *s, const struct idmap *map, const struct image_pull_opts *o,
		    const struct image_ui *ui, struct image_list *ret_list, struct err *e) RL_CHECK;

/* The id of the one image that was loaded; -EINVAL if there are several, -ENOENT if there is none. */
int image_list_single(const struct image_list *list, const char *source, char ret_id[STORE_DIGEST_SIZE],
		      struct err *e) RL_CHECK;
/* image_bring for verbs without options for registries: what is here is taken as it is. */
int image_bring_default(const char *root, const char *text, char **ret_ref, struct err *e) RL_CHECK;

#endif
