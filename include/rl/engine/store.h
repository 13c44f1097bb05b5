/*
 * store.h - images and unpacked layers on disk: found, published, removed.
 *
 * Layout below the store's root (rl-internals(7), Files): images/ is an OCI image layout (oci-layout, index.json,
 * blobs/sha256/HEX); images/refs/ENCODED-NAME is one small record per name and is the truth about names, index.json is
 * rebuilt from the records; layers/KEY/HEX/ is an unpacked layer for the id map KEY: `diff/` is the tree, `info.json`
 * what unpacking found out; containers/, volumes/, networks/, cache/, tmp/ belong to others, this module only makes
 * and names them.
 *
 * images/meta/MANIFEST-HEX.json is the record of one image: its blobs, its config, its layers and the key under which
 * each layer is unpacked. An image exists exactly if its record does; a name only points to it.
 *
 * Additional stores (RL_ADDITIONAL_STORES, or additionalimagestores in storage.conf) are stores of this form that are
 * only read: searched after our own and before the built-in images, their layers used where they are.
 *
 * Rules: an object exists exactly if its final name exists (made in tmp/, synced, renamed). Readers take no lock.
 * Writers of new objects work in a directory of their own below tmp/ (struct store_work), which they hold flock()ed as
 * long as they live, and list there what they need ("pins"). Pinning and publishing hold the store lock shared for
 * microseconds; garbage collection holds it exclusively while it marks (records, pins of live writers, layers of
 * containers) and moves what nobody needs to tmp/, and deletes after letting go. Entries of tmp/ whose lock is free are
 * left-overs of a crash: store_sweep removes them.
 *
 * Calling sequence of a writer:
 *     store_work_begin -> { store_pin_blob / store_pin_layer: 1 means it is there already, 0 make it in w.dirfd and
 *     store_publish_blob / store_publish_layer } -> store_publish_image -> store_tag -> store_work_end
 * Whatever happens on the way (SIGKILL included) leaves whole objects and garbage in tmp/, nothing else.
 *
 * Context: host side, ordinary user. rl itself links this (jansson only, no digest library): it reads and removes;
 * rl-image adds objects.
 */
#ifndef RL_ENGINE_STORE_H
#define RL_ENGINE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

enum { STORE_DIGEST_SIZE = 72 }; /* "sha256:" + 64 hex + NUL */

struct store {
	char *root;	  /* absolute path */
	int rootfd;	  /* O_DIRECTORY */
	char *builtin;	  /* read-only OCI layout searched last, or NULL (share/rl/images) */
	bool alone;	  /* neither built-in images nor additional stores are looked at */
	bool index_later; /* who makes several changes calls store_rebuild_index itself, once, at the end */
};

/* Open (and make, 0700, if `create`) the store: `root` or RL_ROOT or $XDG_DATA_HOME/rl or ~/.local/share/rl or, as
 * root, /var/lib/rl. */
int store_open(const char *root, bool create, struct store *ret_store, struct err *e) RL_CHECK;
void store_close(struct store *s);
/* Descriptor of a directory below the root ("containers", "tmp", ...), made when missing. */
int store_dir(const struct store *s, const char *name, struct err *e) RL_CHECK;

struct store_image {
	char *name; /* canonical reference that matched, "" when found by id */
	char manifest_digest[STORE_DIGEST_SIZE];
	char config_digest[STORE_DIGEST_SIZE]; /* the image id */
	json_t *config;			       /* the parsed image config document */
	struct strv layer_keys;		       /* one per layer, bottom first: hex of the DiffID, or of the ChainID for
						  layers that depend on the ones below (decision 7) */
	bool keys_known;		       /* false until the layers were unpacked once: some may need a ChainID */
	bool builtin;			       /* not ours: blobs are in the built-in layout or an additional store */
	bool shared;			       /* in an additional store */
};

/* One name (or one image without a name) of the store. */
struct store_entry {
	char *name; /* canonical reference, "" for an image that has none */
	char manifest_digest[STORE_DIGEST_SIZE];
	char config_digest[STORE_DIGEST_SIZE];
	char *created; /* RFC 3339 as the config says, "" if it does not */
	int64_t size;  /* bytes of the unpacked layers, of the blobs where that is not known */
	bool builtin;  /* not ours: built in, or of an additional store */
	bool shared;   /* of an additional store */
	bool broken;   /* the record of the name cannot be read or leads nowhere */
};

struct store_list {
	struct store_entry *items;
	size_t count;
};

/* Every name, then every image without one, then the built-in images whose name is not taken. Sorted by name. */
int store_list(const struct store *s, struct store_list *ret_list, struct err *e) RL_CHECK;
void store_list_free(struct store_list *l);

/* Find an image by reference (short names expanded as docker does), image id or unique prefix of an id. -ENOENT with a
 * hint that suggests the nearest name. */
int store_find_image(const struct store *s, const char *ref, struct store_image *ret_image, struct err *e) RL_CHECK;
void store_image_free(struct store_image *i);

/* Absolute paths of the image's unpacked layers for id map `key`, TOP layer first (overlayfs lowerdir order). Returns
 * 0, or 1 when at least one layer is not unpacked for that map yet (ret_missing gets its index, bottom is 0). */
int store_layer_dirs(const struct store *s, const struct store_image *i, const char *key, struct strv *ret_dirs,
		     size_t *ret_missing, struct err *e) RL_CHECK;

/* Hold the store lock shared: nothing is removed until the returned descriptor is closed. `rl run` takes it before it
 * looks for the layers and lets go when its container's `layers` file names them. */
int store_lease(const struct store *s, struct err *e) RL_CHECK;

/* 0 if things can be removed from this store; -ENOLCK where nobody could tell what the living need. */
int store_can_remove(const struct store *s, struct err *e) RL_CHECK;

/* Name of the file in a container's directory that keeps its layers alive: absolute paths, one per line. */
#define STORE_CONTAINER_LAYERS "layers"

/* ---- records ---- */

struct store_layer {
	char *media_type;
	char blob[STORE_DIGEST_SIZE];
	int64_t blob_size;
	char diff_id[STORE_DIGEST_SIZE];
	char key[STORE_DIGEST_SIZE]; /* 64 hex: of the DiffID, or of the ChainID where the layer needs those below */
	int64_t unpacked_size;	     /* bytes of the files, -1 while it was never unpacked and `key` is a guess */
};

struct store_record {
	char *media_type; /* of the manifest */
	char manifest[STORE_DIGEST_SIZE];
	int64_t manifest_size;
	char config[STORE_DIGEST_SIZE];
	int64_t config_size;
	char *created;
	struct store_layer *layers; /* bottom first */
	size_t nlayers;
	struct strv extra; /* further blobs to keep (an index it was chosen from): digests */
	char *origin;	   /* repository it was pulled from (DOMAIN/PATH), or NULL */
	struct strv maps;  /* keys of the id maps it was unpacked for: a layer missing there is damage */
	bool builtin;	   /* its blobs are in the built-in layout or an additional store; kept only for the keys of its
			      layers */
	bool shared;	   /* found in an additional store */
};

void store_record_free(struct store_record *r);
/* The record of an image of the store (-ENOENT), or made from the documents of a built-in one. */
int store_record_read(const struct store *s, const char *manifest_digest, struct store_record *ret_record,
		      struct err *e) RL_CHECK;
/* Descriptor of a blob, opened for reading, wherever it is (built-in layout included); checked to have `size` bytes
 * unless size is -1. -ENOENT with a text that says what is missing. */
int store_open_blob(const struct store *s, const char *digest, int64_t size, struct err *e) RL_CHECK;
/* A whole blob of at most `max` bytes. */
int store_read_blob(const struct store *s, const char *digest, size_t max, struct str *out, struct err *e) RL_CHECK;
/* "layers/KEY/HEX" below the root. */
char *store_layer_path(const char *key, const char *hex);

/* ---- writers ---- */

struct store_work {
	const struct store *store;
	char *name; /* below tmp/ */
	int dirfd;  /* the directory; holds the lock that tells the living from the crashed */
	int pinsfd;
	bool synced; /* the caller syncs the file system itself, before it publishes and after: nothing is synced here */
};

int store_work_begin(const struct store *s, struct store_work *ret_work, struct err *e) RL_CHECK;
/* For who only reads and pins what it reads: on a store that cannot be written, where nobody removes anything either,
 * there are no pins. */
int store_work_begin_reading(const struct store *s, struct store_work *ret_work, struct err *e) RL_CHECK;
/* Removes what was not published. Safe on a zeroed or ended work. */
void store_work_end(struct store_work *w);

/* Ask for an object and keep it from being collected: 1 it is there (a blob: with `size` bytes, -1: any), 0 it is not. */
int store_pin_blob(struct store_work *w, const char *digest, int64_t size, struct err *e) RL_CHECK;
int store_pin_layer(struct store_work *w, const char *key, const char *hex, struct err *e) RL_CHECK;
/* Rename `name` (a synced file, a synced layer directory {diff,info.json}) in the work directory to its place. The
 * caller has verified the digest. If somebody else was quicker theirs stays (a damaged one is replaced). */
int store_publish_blob(struct store_work *w, const char *name, const char *digest, struct err *e) RL_CHECK;
int store_publish_layer(struct store_work *w, const char *name, const char *key, const char *hex,
			struct err *e) RL_CHECK;
/* Write, sync and publish a small blob. */
int store_put_blob(struct store_work *w, const void *data, size_t len, const char *digest, struct err *e) RL_CHECK;
/* Write (or rewrite) the record of an image; everything it names must be published. Durable when this returns. */
int store_publish_image(struct store_work *w, const struct store_record *r, struct err *e) RL_CHECK;
/* Its layers are unpacked for this map now; true if that was not known. */
bool store_record_note_map(struct store_record *r, const char *key);

/* ---- names and removal ---- */

/* Let `name` (canonical) point to the image; index.json is rebuilt. */
int store_tag(const struct store *s, const char *name, const char *manifest_digest, struct err *e) RL_CHECK;
/* Remove a name; 1 it was there, 0 it was not. The image stays. */
int store_untag(const struct store *s, const char *text, struct err *e) RL_CHECK;
/* All names of an image. */
int store_names(const struct store *s, const char *manifest_digest, struct strv *ret_names, struct err *e) RL_CHECK;
/* Remove the record; its names must be gone. Follow with store_gc. */
int store_remove_image(const struct store *s, const char *manifest_digest, struct err *e) RL_CHECK;
/* The same for who tidies up: 0 if it has a name after all, is part of an index, or a living writer is about to give it a
 * name; 1 removed. */
int store_prune_image(const struct store *s, const char *manifest_digest, struct err *e) RL_CHECK;
int store_rebuild_index(const struct store *s, struct err *e) RL_CHECK;

/* Ids of the containers (names below containers/) that run on exactly this stack of layers. */
int store_image_users(const struct store *s, const struct store_record *r, struct strv *ret_ids,
		      struct err *e) RL_CHECK;

/* Multi-platform indexes: documents in lists/ whose entries name images of ours. */
enum { STORE_LIST_MAX = 1 << 20 };
/* The file of an index (canonical name). */
char *store_list_file(const char *name);
/* Its document, which has the array `manifests`. -ENOENT, -EBADMSG. */
int store_list_read(int dirfd, const char *file, json_t **ret_doc, struct err *e) RL_CHECK;
/* `fn` for every entry of every index, until it returns something else than 0. Those that are no documents are passed
 * over and, unless NULL, added to `ret_damaged`. */
typedef int store_list_fn(const char *index, const char *digest, void *arg);
int store_lists_each(const struct store *s, store_list_fn *fn, void *arg, struct strv *ret_damaged,
		     struct err *e) RL_CHECK;
/* An index that has the image: 1 and its name, or 0. */
int store_list_of(const struct store *s, const char *manifest_digest, char **ret_index, struct err *e) RL_CHECK;

struct store_gc_result {
	struct strv blobs;  /* digests removed */
	struct strv layers; /* "KEY/HEX" removed */
	int64_t bytes;	    /* of the blobs */
	size_t kept;	    /* trees that could not be deleted now (they wait in tmp/) */
};

/* Remove every blob and layer that no record, live writer or container needs, and sweep tmp/. */
int store_gc(const struct store *s, struct store_gc_result *ret_result, struct err *e) RL_CHECK;
/* The same without waiting: 1 if others are at work in the store. For a program whose caller may be one of them. */
int store_gc_try(const struct store *s, struct store_gc_result *ret_result, struct err *e) RL_CHECK;
void store_gc_result_free(struct store_gc_result *r);
/* Interrupted downloads leave what they have in cache/STORE_PARTIAL HEX, for the next one. Remove those nobody writes to and
 * that are older than so many seconds (0: all). Returns how many; their bytes are added to *ret_bytes. */
#define STORE_PARTIAL "partial-"
/* And what compressed layers became, for the next push: STORE_COMPRESSED DIFFID-FORMAT-LEVEL; removed with them. */
#define STORE_COMPRESSED "compressed-"
int store_drop_partials(const struct store *s, int64_t older_than, int64_t *ret_bytes, struct err *e) RL_CHECK;
/* Remove what crashed writers left in tmp/; never waits (a busy store is swept by the next one). Returns how many there
 * were: what they had published already is garbage too, so some call for store_gc. */
int store_sweep(const struct store *s, struct err *e) RL_CHECK;
/* Remove a tree of ours that may contain files of subordinate ids (then inside a user namespace that has them). */
int store_remove_tree(int dirfd, const char *path, struct err *e) RL_CHECK;

/* ---- OCI layout directories that are not ours (the built-in one) ---- */

/* Call `fn` for every image of the layout that suits this machine, with its canonical name ("" if it has none), until
 * it returns something other than 0, which is then returned. Layer keys are the DiffIDs. Images whose documents are
 * damaged are left out (debug line). */
typedef int store_layout_fn(const char *name, struct store_record *record, void *arg);
int store_layout_each(int dirfd, store_layout_fn *fn, void *arg, struct err *e) RL_CHECK;
/* The same for the images of additional stores and then for the built-in layout. */
int store_builtin_each(const struct store *s, store_layout_fn *fn, void *arg, struct err *e) RL_CHECK;

#endif
