/*
 * image_int.h - what the files of the program rl-image share.
 *
 * main.c     options, the socket to rl, the table of verbs     digest.c  SHA-256 of buffers and files
 * layers.c   one layer unpacked and published           layer_set.c  all of an image, also while they arrive
 * import.c   one tar becomes an image
 * load.c     archives and layout directories                   sources.c where the blobs of a load come from
 * pull.c     from a registry                                  record.c  documents to the store's record
 * push.c     to a registry                                    push_layer.c  a layer compressed on its way there
 * login.c    credentials for a registry
 * remote.c   looking at what a registry has
 * volume.c   archives of volumes                              check*.c  what is broken in the store (check_int.h)
 * save.c     archives and layouts from the store              bundle.c  where they go: a tar stream or a directory
 * fetch.c    addresses; archives for ADD                      pack_layers.c  the layers of a build, one after the other
 * tree_stream.c  copied trees as tar and back
 * commit.c   written directories become an image             export.c  what a stack of directories shows, as one tar
 */
#ifndef RL_IMAGE_INT_H
#define RL_IMAGE_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/engine/archive.h"
#include "rl/engine/registry.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/model/image_proto.h"
#include "rl/model/imgspec.h"

/* What every verb gets. */
struct image_ctx {
	struct store store;
	struct idmap map;
	int sock;		    /* to rl */
	const char *root, *builtin; /* --root, --builtin: the store */
	const char *program;	    /* our own file, for the confined roles */
	struct strv args;	    /* operands */
	char *name, *message;	    /* --name, --message, or NULL */
	struct strv changes;	    /* --change */
	struct registry_opts
		registry;	 /* --authfile, --cert-dir, --tls-verify, --retry; credentials from RL_IMAGE_CREDS */
	char *platform;		 /* --platform, or NULL */
	const char *output;	 /* --output: file or directory, "-" standard output */
	const char *format;	 /* --format, or NULL */
	const char *compression; /* --compression, or NULL */
	const char *which;	 /* --which: tag or name of one image of an archive, or NULL: all */
	int level;		 /* --compression-level, 0: the default */
	bool raw;		 /* --raw: the document itself */
	bool append;		 /* --append: an OCI layout that is there already gets one more image */
	bool force;		 /* --force-compression */
	bool all_tags;		 /* --all-tags */
	bool any_single; /* --any-single: the platform chooses from an index; an image alone is taken as it is */
	bool only_newer; /* --newer: nothing is done if the store has what the registry has */
	bool repair, quick, local; /* --repair, --quick, --local: of check */
};

typedef int image_verb_fn(struct image_ctx *c, struct err *e);
image_verb_fn check_verb, commit_verb, export_verb, import_verb, inspect_verb, load_verb, login_verb, logout_verb,
	pull_verb, push_verb, push_index_verb, save_verb, tags_verb, unpack_verb, volume_export_verb,
	volume_import_verb;
image_verb_fn fetch_verb, pack_layers_verb, unpack_tar_verb; /* for builds */
image_verb_fn tar_to_tree_verb, tree_to_tar_verb;	     /* for cp */

/* ---- main.c: messages to rl; a message that cannot be sent is not an error, the work is what counts ---- */

void image_tell_progress(const struct image_ctx *c, const char *what, enum image_progress_state state, uint64_t done,
			 uint64_t total);
/* What the registry engine is doing, in those words; `running` for its running state. */
enum image_progress_state image_transfer_state(enum registry_state state, enum image_progress_state running);
void image_note(const struct image_ctx *c, const char *fmt, ...) RL_PRINTF(2, 3);
void image_tell_added(const struct image_ctx *c, const struct store_record *r, const char *name);

/* A part of the answer: a document, lines. */
void image_tell_text(const struct image_ctx *c, const char *text);
/* The record of an image, of the built-in ones too. */
int image_find_record(const struct image_ctx *c, const char *manifest, struct store_record *ret,
		      struct err *e) RL_CHECK;

/* ---- digest.c ---- */

void image_digest(const void *data, size_t len, char ret_digest[STORE_DIGEST_SIZE]);
/* Copy all of `from` to `to` (kernel-side where that is possible) and give digest and size. */
int image_copy(int from, int to, char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size, struct err *e) RL_CHECK;
/* ChainID of a layer on top of a stack: both and the result are 64 hex digits; `below` is "" for the bottom. */
void image_chain(const char *below, const char *diff_hex, char ret_hex[STORE_DIGEST_SIZE]);

/* ---- record.c ---- */

int image_parse_config(const struct str *bytes, struct imgspec_config *ret_config, struct err *e) RL_CHECK;
/* Everything but the manifest's digest and size; layer keys are a guess (the DiffIDs) until layers_ensure. */
int image_fill_record(const struct imgspec_manifest *m, const struct imgspec_config *config, struct store_record *r,
		      struct err *e) RL_CHECK;

/* A media type in the words of the other format: what docker's cannot say is -EINVAL. */
int image_translate_type(const char *type, bool docker, const char **ret_type, struct err *e) RL_CHECK;

/* Keep its documents and blobs from being collected as long as `w` lives. */
int image_pin_record(struct store_work *w, const struct store_record *r, struct err *e) RL_CHECK;

/* ---- layers.c ---- */

/* A layer unpacked in the work directory, not published yet. */
struct layer_new {
	char dir[32]; /* name in the work directory, "" if there is none */
	struct archive_unpacked result;
};

/* Where the bytes of a layer come from. */
struct layer_source {
	/* A descriptor at the start of the blob; may be asked for twice. NULL with `make`: the tar must be self-contained. */
	int (*open)(void *arg, struct err *e);
	/* Writes the blob into the descriptor for the first reading, which happens meanwhile; or NULL: that is opened, too. */
	int (*make)(void *arg, int outfd, struct err *e);
	void *arg;
	int teefd; /* gets the bytes of the first reading, unless 0 */
	const char *what;
	uint64_t total; /* bytes, 0 not known */
};
/* Unpack the bottom layer of an image. On return it is in w/ret->dir, complete, synced, with its info.json. */
int layer_unpack(struct image_ctx *c, struct store_work *w, const struct layer_source *source, struct layer_new *ret,
		 struct err *e) RL_CHECK;
/* Move a directory that is a layer already into the work directory: 1, or 0 where it cannot be moved and is as it was. */
int layer_take(struct store_work *w, const char *path, const struct archive_unpacked *found, struct layer_new *ret,
	       struct err *e) RL_CHECK;
/* Publish it: under the DiffID, or under `chain_hex` if it needed the layers below. Fills key and sizes of *layer. */
int layer_publish(struct image_ctx *c, struct store_work *w, const struct layer_new *n, const char *chain_hex,
		  struct store_layer *layer, struct err *e) RL_CHECK;
/* The parts, for layer_set.c. */
struct layer_job {
	struct archive_job job;
	int blobfd;   /* borrowed; its position is the progress */
	char dir[32]; /* name in the work directory */
	bool active;
};
struct layer_input {
	int blobfd, feedfd, teefd; /* as in struct archive_unpack */
	uint64_t size;
	bool no_wait;
};
/* `lowers` NULL: without looking at what is below. */
int layer_job_begin(struct image_ctx *c, struct store_work *w, const struct layer_input *in, const struct strv *lowers,
		    struct layer_job *job, struct err *e) RL_CHECK;
int layer_unpack_once(struct image_ctx *c, struct store_work *w, const struct layer_source *source, int teefd,
		      const struct strv *lowers, struct layer_new *ret, struct err *e) RL_CHECK;
int layer_write_info(struct store_work *w, const char *dir, const struct archive_unpacked *u, bool needs_lower,
		     struct err *e) RL_CHECK;

/* ---- fetch.c ---- */

/* With the options for registries that the verb was given. */
int image_download(struct image_ctx *c, struct registry_download *d, struct err *e) RL_CHECK;

/* ---- push_layer.c ---- */

/* A plain layer that is compressed while it is uploaded; digest and size are results of the upload. */
struct push_layer;
/* `layer` and `cachefd` (cache/ of the store, -1: none) are borrowed. */
int push_layer_open(struct image_ctx *c, const struct store_layer *layer, enum archive_compression with, int cachefd,
		    struct push_layer **ret, struct err *e) RL_CHECK;
void push_layer_upload(struct push_layer *l, struct registry_upload *ret);
/* What it became is asked for first the next time. */
void push_layer_remember(const struct push_layer *l, const char *digest, uint64_t size);
/* Was it the compressing that failed? Then *e says how. */
bool push_layer_failed(const struct push_layer *l, struct err *e);
void push_layer_close(struct push_layer *l);

/* ---- layer_claim.c ---- */

/* The right to unpack these layers (DiffIDs in hex) for the map; waits until nobody else does. Look again afterwards
 * whether they are there. */
struct layer_claims {
	int cachefd; /* -1: none */
	struct strv names;
	int *fds;
	size_t count;
};
int layer_claims_take(struct image_ctx *c, const struct strv *hexes, struct layer_claims *ret, struct err *e) RL_CHECK;
/* Harmless without claims. */
void layer_claims_drop(struct layer_claims *claims);

/* ---- layer_set.c ---- */

struct layer_set;
struct layer_feed;

/*
 * All layers of an image, unpacked for the map, several at a time, from blobs of the store or from files that are still
 * being downloaded. Nothing of them is published before layer_set_publish.
 *     layer_set_open -> layer_set_feed for every blob that is being fetched -> layer_set_step whenever layer_set_fd is
 *     readable -> (all blobs are here and verified) -> layer_set_finish -> (they are published) -> layer_set_publish
 *     -> layer_set_close
 */
int layer_set_open(struct image_ctx *c, struct store_work *w, struct store_record *record, struct layer_set **ret_set,
		   struct err *e) RL_CHECK;
/* Removes nothing from the work directory: that goes with it. */
void layer_set_close(struct layer_set *set);
/* The blob arrives in a file, of which `fd` is a descriptor of its own for reading (taken). NULL: no layer needs it. */
int layer_set_feed(struct layer_set *set, const char *digest, int fd, struct layer_feed **ret_feed,
		   struct err *e) RL_CHECK;
void layer_feed_add(struct layer_feed *feed, uint64_t bytes);
/* What was said of the file is not true any more: from byte 0. */
int layer_feed_restart(struct layer_feed *feed);
int layer_set_fd(const struct layer_set *set);
int layer_set_step(struct layer_set *set, struct err *e) RL_CHECK;
/* Wait for the unpackers; the results are what the record says. */
int layer_set_finish(struct layer_set *set, struct err *e) RL_CHECK;
/* Returns 1 if keys or sizes in the record were put right. */
int layer_set_publish(struct layer_set *set, struct err *e) RL_CHECK;

/* All of it, from the blobs of the store. */
int layers_ensure(struct image_ctx *c, struct store_work *w, struct store_record *r, struct err *e) RL_CHECK;
/* Unpacking has failed: true, and said, if that is because user namespaces are refused altogether. Then images can be pulled,
 * loaded, inspected, saved and pushed all the same, and whoever runs one unpacks its layers. */
bool layers_may_stay_packed(struct image_ctx *c);

/* ---- sources.c ---- */

/* The files of an archive that was extracted, or of a directory. */
struct image_source {
	int dirfd;
	struct archive_members members; /* of an archive; empty for a directory */
	bool is_dir;
};

int source_open(struct image_ctx *c, struct store_work *w, const char *path, struct image_source *ret_source,
		struct err *e) RL_CHECK;
void source_close(struct image_source *s);
bool source_has(const struct image_source *s, const char *name);
/* A whole small file; -ENOENT. */
int source_read(const struct image_source *s, const char *name, size_t max, struct str *out, struct err *e) RL_CHECK;
/* Bring the file into the store as a blob. `digest` "" or what it must have; gives digest and size. */
int source_take_blob(struct store_work *w, const struct image_source *s, const char *name, const char *digest,
		     int64_t size, char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size, struct err *e) RL_CHECK;

/* ---- bundle.c ---- */

struct bundle {
	const char *path; /* borrowed; "-": standard output */
	int fd;		  /* the stream, or the directory */
	bool is_dir;
	bool grows;	  /* a layout of others: nothing of it is removed */
	bool nameless;	  /* the file has no name yet */
	char *temp;	  /* its name until it is whole, or NULL: written in place */
	uint64_t written; /* to the stream */
	struct strv names;
};

struct bundle_blob {
	const char *digest; /* what the bytes must have; borrowed */
	int64_t size;
	void (*progress)(void *arg, uint64_t done, uint64_t total); /* or NULL */
	void *arg;
};

/* bundle_open -> any number of bundle_add, bundle_add_blob -> bundle_end when all is well -> bundle_close. -EINVAL if
 * the output is a terminal. Names are at most 100 bytes. */
int bundle_open(struct bundle *b, const char *path, bool is_dir, struct err *e) RL_CHECK;
/* The same for an OCI layout that is there; what it has is not written again. */
int bundle_open_layout(struct bundle *b, const char *path, struct err *e) RL_CHECK;
/* Replace a document of such a layout. */
int bundle_replace(struct bundle *b, const char *name, const void *data, size_t len, struct err *e) RL_CHECK;
int bundle_end(struct bundle *b, struct err *e) RL_CHECK;
/* `failed`: what was written is removed where it can be. */
void bundle_close(struct bundle *b, bool failed);
bool bundle_has(const struct bundle *b, const char *name);
/* `name` ends with a slash. Readers that make missing parents themselves give them to root, which fails for others. */
int bundle_add_dir(struct bundle *b, const char *name, struct err *e) RL_CHECK;
int bundle_add(struct bundle *b, const char *name, const void *data, size_t len, struct err *e) RL_CHECK;
/* Copy from the descriptor's position, hashing. -EBADMSG if it is not what it should be. */
int bundle_add_blob(struct bundle *b, const char *name, int from, const struct bundle_blob *blob,
		    struct err *e) RL_CHECK;
/* Its bytes only, from one descriptor to the other; -EBADMSG if they are not what the digest says. */
int bundle_copy(int from, int to, const struct bundle_blob *blob, struct err *e) RL_CHECK;

#endif
