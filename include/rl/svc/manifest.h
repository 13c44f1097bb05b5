/*
 * manifest.h - indexes of images for several platforms ("manifest lists"): made here, pushed from here.
 *
 * Model: an index of ours is one file below the store's lists/, the OCI index document itself, under a name of its own
 * (which may be that of an image as well; they do not meet). Its entries are images of the store: what is added from
 * elsewhere is brought there first. Every entry is given the name LIST-REPOSITORY@DIGEST, so that pruning leaves it;
 * that name goes with the entry. Pushing sends all images, then the index; layers that are not compressed are compressed
 * on the way, and the index that is pushed says so.
 *
 * Context: host side, ordinary user. Writers hold a lock on lists/. Errors: -ENOENT no such index, entry or image;
 * -EEXIST a name that is taken.
 */
#ifndef RL_SVC_MANIFEST_H
#define RL_SVC_MANIFEST_H

#include "rl/svc/image.h"

enum { MANIFEST_ENTRIES_MAX = 256 };

/* What is said of an entry besides what its image says. NULL: as the image. */
struct manifest_entry {
	const char *os, *architecture, *variant, *os_version;
	struct strv annotations; /* KEY=VALUE, borrowed */
};

/* `amend`: an index that is there already is taken. ret_name: malloc'd, canonical. */
int manifest_create(const char *root, const char *name, bool amend, char **ret_name, struct err *e) RL_CHECK;
int manifest_exists(const char *root, const char *name, struct err *e) RL_CHECK; /* 1 or 0 */
int manifest_delete(const char *root, const char *name, struct err *e) RL_CHECK;

/* Add an image: of the store, or behind a transport. entry->os and architecture choose of an index there. An entry for
 * the same platform is replaced. ret_digest: of the image's manifest. */
int manifest_add(const char *root, const char *name, const char *image, const struct manifest_entry *entry,
		 const struct image_registry *registry, const struct image_ui *ui, char ret_digest[STORE_DIGEST_SIZE],
		 struct err *e) RL_CHECK;
/* `which`: the digest of an entry, or an image that is one. */
int manifest_annotate(const char *root, const char *name, const char *which, const struct manifest_entry *entry,
		      struct err *e) RL_CHECK;
int manifest_remove(const char *root, const char *name, const char *which, struct err *e) RL_CHECK;

/* The document: of an index of ours, or of what a registry has (docker://...), as it is there. */
int manifest_inspect(const char *root, const char *name, const struct image_registry *registry, json_t **ret_doc,
		     struct err *e) RL_CHECK;
/* dest NULL: the index's name. `docker`: as docker's manifest list. ret_digest: of what the registry has then. */
int manifest_push(const char *root, const char *name, const char *dest, bool docker,
		  const struct image_registry *registry, const struct image_ui *ui, char ret_digest[STORE_DIGEST_SIZE],
		  struct err *e) RL_CHECK;

#endif
