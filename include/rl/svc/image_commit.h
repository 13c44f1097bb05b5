/*
 * image_commit.h - directories that were written to become layers, and with a config document an image.
 *
 * Model: a writable layer (overlay's upper directory, written in the user namespace of `map`) is packed into a layer
 * blob: whiteouts and opaque directories become .wh. names, overlay's and our own control xattrs are left out, records
 * of true owners count only if the layers below have the same ones (decision 6). The blob goes into the store together
 * with the unpacked layer, so that the image can be run at once. How the unpacked layer comes to be:
 *     take     the directory itself is moved into the store by rename, nothing is copied; whatever an unpacked layer
 *              may not have (forged records, excluded paths, sockets) is removed from it first. The directory is gone
 *              afterwards. For builds: nobody may use it any more, and it must be on the store's file system.
 *     copy     the blob is unpacked while it is made (one pass: the packer writes into the unpacker, and the unpacker
 *              passes the bytes on to the blob). The directory stays as it is; it may be in use, what changes meanwhile
 *              is packed as it was met. For `rl commit`.
 *     squash   one layer with everything that directories and lowers show together; lowers and base's layers are not in
 *              the new image.
 * The config is the caller's: a whole image config document whose rootfs.diff_ids are those of `base` (an empty list
 * without one) and whose history may have any number of empty_layer entries more. A DiffID and a history entry are added
 * for every layer here; nothing else of the document changes, members nobody knows included. With no layer at all
 * (count 0) the image differs from its base in the config only.
 *
 * Calling sequence of a build step:
 *     json_t *config = ...;                                    // imgspec_config_new() or the base's own document
 *     imgspec_change(config, "ENV A=b", e);
 *     struct image_layer_dir dir = {.path = upper, .take = true, .created_by = "RUN make"};
 *     image_commit(&s, &map, &(struct image_commit){.base = base_manifest, .lowers = &lowers, .dirs = &dir,
 *                  .ndirs = 1, .config = config}, NULL, &added, e);
 *     // added.manifest is the next step's base; its layer is found by image_ensure, or store_layer_dirs, at once
 *
 * Everything is done by rl-image (verb `commit`), in the caller's name; durable when this returns. A crash leaves a
 * directory that was to be taken where it was, or nothing of it (the layer is then garbage of the store or published).
 * Errors: -ENOENT base, layer or directory is gone; -EBADMSG a file is called like a whiteout (".wh...."); -EXDEV cannot
 * happen (other file systems are copied). Context: host side, one thread, ordinary user.
 */
#ifndef RL_SVC_IMAGE_COMMIT_H
#define RL_SVC_IMAGE_COMMIT_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/model/image_proto.h"
#include "rl/svc/image.h"

/* One directory that becomes one layer. */
struct image_layer_dir {
	const char *path;	      /* absolute; root of the writable layer */
	bool take;		      /* see above */
	const struct strv *exclude;   /* paths below it (no leading slash) left out with everything in them, or NULL */
	const char *created_by;	      /* of its history entry */
	const char *comment, *author; /* or NULL */
};

struct image_commit {
	const char *base; /* manifest digest of an image of the store (built-in ones too), NULL: from scratch */
	const struct strv *lowers; /* unpacked layers below the first directory, absolute, TOP first; NULL: none */
	const struct image_layer_dir *dirs; /* BOTTOM first, each on top of the one before */
	size_t ndirs;
	bool squash;
	bool trust_records;	 /* rl-notifyd wrote the control records in the directories (rl/kern/xattr.h) */
	json_t *config;		 /* borrowed; not changed */
	const char *name;	 /* reference to give it (as typed), or NULL */
	const char *format;	 /* "oci" (NULL) or "docker" */
	const char *compression; /* "gzip" (NULL), "zstd", "none" */
	const char *created;	 /* RFC 3339, of the config and the history entries; NULL: now */
	bool clamp_mtime; /* times in the blob later than source_date_epoch become it; then nothing is taken but copied */
	int64_t source_date_epoch;
};

/* `map`: the one the directories were written with; NULL: the caller's own ids (root without a user namespace). */
int image_commit(const struct store *s, const struct idmap *map, const struct image_commit *c,
		 const struct image_ui *ui, struct image_added *ret_added, struct err *e) RL_CHECK;

#endif
