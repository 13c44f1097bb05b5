/*
 * store_check.h - looking at a store for damage, and the small repairs that need no digest and no registry.
 *
 * Model: three kinds of findings. *Damage* is something an image or name promises and that is not so. *Left-overs* are
 * what a crash left behind; they harm nobody and the next writer removes them. *Garbage* is whole and needed by nobody.
 * The functions here look at records, names, directories and tmp/; what blobs and layers contain is for rl-image
 * (src/image/check*.c), which drives all of it. Nothing is changed by a function that is not named remove, replace
 * or mend.
 *
 * Context: host side, ordinary user; also on a store that cannot be written, as far as nothing is changed.
 */
#ifndef RL_ENGINE_STORE_CHECK_H
#define RL_ENGINE_STORE_CHECK_H

#include "rl/engine/store.h"

struct store_check_name {
	char *file;			  /* in images/refs */
	char *name;			  /* canonical, made from the file's name where the record is damaged */
	char manifest[STORE_DIGEST_SIZE]; /* "" if the record is damaged */
};
struct store_check_names {
	struct store_check_name *items;
	size_t count;
};
int store_check_names(const struct store *s, struct store_check_names *ret_names, struct err *e) RL_CHECK;
void store_check_names_free(struct store_check_names *n);
/* Remove one record of a name as the file it is. */
int store_remove_name_file(const struct store *s, const char *file, struct err *e) RL_CHECK;
/* What index.json says the name stood for, if it says so: 1 or 0. */
int store_index_lookup(const struct store *s, const char *name, char ret_manifest[STORE_DIGEST_SIZE],
		       struct err *e) RL_CHECK;
/* Is index.json what the records say? 1 or 0; -EBADMSG: it is no document. A store without images needs none. */
int store_index_is_current(const struct store *s, struct err *e) RL_CHECK;

/* Manifest digests of all files in images/meta, readable or not. */
int store_check_records(const struct store *s, struct strv *ret_digests, struct err *e) RL_CHECK;
/* The record as its file has it, nothing made up: -ENOENT, -EBADMSG. */
int store_record_read_file(const struct store *s, const char *manifest_digest, struct store_record *ret_record,
			   struct err *e) RL_CHECK;
/* The record as the documents in the store have it. */
int store_record_remake(const struct store *s, const char *manifest_digest, struct store_record *ret_record,
			struct err *e) RL_CHECK;

/* All hex names of blobs, and all "KEY/HEX" of layers, whether anybody needs them or not. */
int store_check_blobs(const struct store *s, struct strv *ret_hex, struct err *e) RL_CHECK;
int store_check_layers(const struct store *s, struct strv *ret_layers, struct err *e) RL_CHECK;
/* Ids of the containers whose file `layers` names layers/KEY/HEX; `alive`: only those that somebody runs now. */
int store_layer_users(const struct store *s, const char *key, const char *hex, bool alive, struct strv *ret_ids,
		      struct err *e) RL_CHECK;
/* Put `name` of the work directory in the place of layers/KEY/HEX, which goes to the work directory (and away with it).
 * -EBUSY while a container runs on it. */
int store_replace_layer(struct store_work *w, const char *name, const char *key, const char *hex,
			struct err *e) RL_CHECK;
/* Take a damaged blob, or a layer that nobody uses (-EBUSY), out of the store. */
int store_remove_blob(struct store_work *w, const char *digest, struct err *e) RL_CHECK;
int store_remove_layer(struct store_work *w, const char *key, const char *hex, struct err *e) RL_CHECK;

/* Paths below the root that crashes left: entries of tmp/ nobody holds, temporary names of records. store_gc removes
 * them. */
int store_leftovers(const struct store *s, struct strv *ret_paths, struct err *e) RL_CHECK;
/* What store_gc would remove. */
int store_gc_look(const struct store *s, struct store_gc_result *ret_result, struct err *e) RL_CHECK;

/* Directories of the store that are not ours or that we may not write: `fn` gets the path and what is wrong. With
 * `mend` permissions are put right where that is possible, `fn` then gets mended true. */
typedef void store_owner_fn(const char *path, const char *why, bool mended, void *arg);
int store_check_owners(const struct store *s, bool mend, store_owner_fn *fn, void *arg, struct err *e) RL_CHECK;

#endif
