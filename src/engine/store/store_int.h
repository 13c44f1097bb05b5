/*
 * store_int.h - what the files of the store share.
 *
 * store.c   the root, its directories and the lock        record.c  images/meta: one record per image
 * refs.c    images/refs: one record per name, index.json  find.c    from what a person typed to an image
 * layout.c  OCI layouts of others (the built-in one)      work.c    writers: tmp/, pins, publishing
 * gc.c      what nobody needs, and what crashes left     check.c   what is damaged (rl/engine/store_check.h)
 * shared.c  stores of others, read only                  lists.c   multi-platform indexes
 */
#ifndef RL_ENGINE_STORE_INT_H
#define RL_ENGINE_STORE_INT_H

#include "rl/engine/store.h"

enum {
	STORE_PATH_SIZE = 320,	    /* longest name of ours below the root */
	STORE_RECORD_MAX = 1 << 20, /* bytes of one of our records */
	STORE_HEX_OFFSET = 7,	    /* of the hex digits in "sha256:..." */
};

#define STORE_BLOBS "images/blobs/sha256"
#define STORE_META  "images/meta"
#define STORE_REFS  "images/refs"

static inline const char *store_hex(const char *digest)
{
	return digest + STORE_HEX_OFFSET;
}

/* The store lock: 0 and *ret_fd, or for `wait` false 1 when somebody else holds it. */
int store_lock(const struct store *s, bool exclusive, bool wait, int *ret_fd, struct err *e) RL_CHECK;

/* One record of images/refs. */
struct store_ref {
	char *name;
	char manifest[STORE_DIGEST_SIZE];
	char config[STORE_DIGEST_SIZE];
	char *created;
	int64_t size;
};
void store_ref_free(struct store_ref *r);
/* -ENOENT if there is no such name. */
int store_ref_read(const struct store *s, const char *name, struct store_ref *ret_ref, struct err *e) RL_CHECK;
/* One file of images/refs: -ENOENT also where it is not the record of the name it stands for. */
int store_ref_read_file(int dirfd, const char *file, struct store_ref *ret_ref) RL_CHECK;
/* All of them, in no order; unreadable ones are reported with an empty manifest digest. */
struct store_refs {
	struct store_ref *items;
	size_t count;
};
int store_refs_read(const struct store *s, struct store_refs *ret_refs, struct err *e) RL_CHECK;
void store_refs_free(struct store_refs *r);

/* After a change of names or records: the index is made again now, or later (struct store). */
int store_index_changed(const struct store *s, struct err *e) RL_CHECK;

/* Manifest digests of all records of images/meta. */
int store_records_list(const struct store *s, struct strv *ret_digests, struct err *e) RL_CHECK;
/* Sum of the unpacked layers, or of the blobs where that is not known. */
int64_t store_record_size(const struct store_record *r);
/* Make a record from documents: `read` gives the bytes of a blob. Layer keys are the DiffIDs. */
typedef int store_read_fn(void *arg, const char *digest, size_t max, struct str *out, struct err *e);
int store_record_from_manifest(const char *manifest_digest, const char *declared_type, store_read_fn *read, void *arg,
			       struct store_record *ret_record, json_t **ret_config, struct err *e) RL_CHECK;

/* Read DIR/ENTRY/FILE of every entry. `only_locked`: of those whose owner lives. */
typedef void store_file_fn(const char *name, const char *text, void *arg);
int store_each_file(const struct store *s, const char *dir, const char *file, bool only_locked, store_file_fn *fn,
		    void *arg, struct err *e) RL_CHECK;
/* index.json as the records have it. */
int store_index_document(const struct store *s, json_t **ret_doc, struct err *e) RL_CHECK;

/* Stores of others (shared.c). The callback goes on with 0; what else it returns ends the walk and is returned. */
typedef int store_shared_fn(const struct store *shared, void *arg, struct err *e);
int store_shared_each(const struct store *s, store_shared_fn *fn, void *arg, struct err *e) RL_CHECK;
/* Their images, marked as not ours. */
int store_shared_images(const struct store *s, store_layout_fn *fn, void *arg, struct err *e) RL_CHECK;
/* Descriptor of a blob that one of them has, or -1; the absolute path of a layer ("layers/KEY/HEX/diff"), or NULL. */
int store_shared_blob(const struct store *s, const char *digest, int64_t size);
char *store_shared_layer(const struct store *s, const char *path);

/* Temporary names beside records, left by the dead. The caller holds the store lock exclusively. */
int store_remove_temporaries(const struct store *s, struct err *e) RL_CHECK;

/* The built-in layout, or -1 if there is none. */
int store_builtin_open(const struct store *s);
int store_blob_read_at(int layout_dirfd, const char *digest, size_t max, struct str *out, struct err *e) RL_CHECK;

#endif
