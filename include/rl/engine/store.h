/*
 * store.h - images and unpacked layers on disk: found, published, removed.
 *
 * Layout below the store's root (DESIGN.md 5): images/ is an OCI image layout (oci-layout, index.json,
 * blobs/sha256/HEX); images/refs/ENCODED-NAME is one small record per name and is the truth about names, index.json is
 * rebuilt from the records; layers/KEY/HEX/ is an unpacked layer for the id map KEY: `diff/` is the tree, `info.json`
 * what unpacking found out; containers/, volumes/, networks/, cache/, tmp/ belong to others, this module only makes
 * and names them.
 *
 * Rules: an object exists exactly if its final name exists (made in tmp/, synced, renamed). Readers take no lock.
 * Writers of new objects take none either (rename decides races); removal and garbage collection hold the store lock
 * exclusively while publishing holds it shared.
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
	char *root;	/* absolute path */
	int rootfd;	/* O_DIRECTORY */
	char *builtin;	/* read-only OCI layout searched last, or NULL (share/rl/images) */
};

/* Open (and make, 0700, if `create`) the store: `root` or RL_ROOT or $XDG_DATA_HOME/rl or ~/.local/share/rl or, as
 * root, /var/lib/rl. */
int store_open(const char *root, bool create, struct store *ret_store, struct err *e) RL_CHECK;
void store_close(struct store *s);
/* Descriptor of a directory below the root ("containers", "tmp", ...), made when missing. */
int store_dir(const struct store *s, const char *name, struct err *e) RL_CHECK;

struct store_image {
	char *name;			       /* canonical reference that matched, "" when found by id */
	char manifest_digest[STORE_DIGEST_SIZE];
	char config_digest[STORE_DIGEST_SIZE]; /* the image id */
	json_t *config;			       /* the parsed image config document */
	struct strv layer_keys;		       /* one per layer, bottom first: hex of the DiffID, or of the ChainID for
						  layers that depend on the ones below (DECISIONS 7) */
	bool builtin;			       /* blobs are in the built-in layout */
};

/* Find an image by reference (short names expanded as docker does), image id or unique prefix of an id. -ENOENT with a
 * hint that suggests the nearest name. */
int store_find_image(const struct store *s, const char *ref, struct store_image *ret_image, struct err *e) RL_CHECK;
void store_image_free(struct store_image *i);

/* Absolute paths of the image's unpacked layers for id map `key`, TOP layer first (overlayfs lowerdir order). Returns
 * 0, or 1 when at least one layer is not unpacked for that map yet (ret_missing gets its index, bottom is 0). */
int store_layer_dirs(const struct store *s, const struct store_image *i, const char *key, struct strv *ret_dirs,
		     size_t *ret_missing, struct err *e) RL_CHECK;

#endif
