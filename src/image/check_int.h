/*
 * check_int.h - what the files of `rl-image check` share.
 *
 * check.c         the verb: names, records, blobs, left-overs     check_layers.c  unpacked layers
 * check_fetch.c   a blob or a document again from where it came    check_lists.c   multi-platform indexes
 *
 * The answer is one JSON object per line: {"Kind","What","Why","Images":[...],"State"}; see rl/svc/system.h.
 */
#ifndef RL_IMAGE_CHECK_INT_H
#define RL_IMAGE_CHECK_INT_H

#include "image_int.h"
#include "rl/base/json.h"
#include "rl/engine/store_check.h"

enum check_state {
	CHECK_BROKEN,
	CHECK_MENDED,
	CHECK_LEFTOVER, /* harms nobody */
	CHECK_REMOVED,
};

/* One image under examination. */
struct check_image {
	char manifest[STORE_DIGEST_SIZE];
	struct strv names;   /* canonical */
	struct strv origins; /* repositories that may have its blobs, best first */
	struct store_record record;
	int unreadable; /* why its file could not be read, or 0 */
	struct err why;
	char *remade;	 /* why the record was made again from the documents, or NULL */
	char *index;	 /* an index that has the image, or NULL */
	bool has_record; /* `record` is filled, from its file or from the documents */
};

struct check {
	struct image_ctx *c;
	struct store_work w;
	bool can_write; /* `w` is there: layers can be unpacked for comparison */
	bool repair;
	bool hash_blobs, compare_layers;
	bool closed;		    /* a directory was met that we may not use */
	bool local;		    /* ask no registry */
	struct registry *registry;  /* opened when first needed */
	struct strv sound, damaged; /* digests of blobs looked at */
	struct strv bad_layers;	    /* paths of layers that are damaged and not mended */
	struct check_image *images;
	size_t nimages;
};

/* Tell rl of one finding. `image` may be NULL. What is a digest is told with every image that has it. */
void check_report(struct check *k, enum check_state state, const char *kind, const char *what,
		  const struct check_image *image, const char *fmt, ...) RL_PRINTF(6, 7);

bool check_image_has(const struct check_image *image, const char *digest);
/* The image with this manifest; added if it is new. */
struct check_image *check_image_of(struct check *k, const char *manifest);
/* Bring a blob into the store again, from where this image or another that has it came. size -1: not known (manifests only). */
int check_fetch(struct check *k, const struct check_image *image, const char *digest, int64_t size, bool is_manifest,
		struct err *e) RL_CHECK;

/* What indexes need, put to the images; after those. */
int check_lists(struct check *k, struct err *e) RL_CHECK;
/* Told, if it is of an index, that there is neither record nor manifest. */
bool check_list_entry_lost(struct check *k, const struct check_image *image);
/* Its record was made again: it gets the name that keeps it. */
void check_list_entry_mended(const struct check *k, const struct check_image *image);

/* All of layers/, after the blobs. */
int check_all_layers(struct check *k, struct err *e) RL_CHECK;

#endif
