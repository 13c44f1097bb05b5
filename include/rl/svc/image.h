/*
 * image.h - what verbs do with images: import, load, list, tag, remove, inspect, and an image made ready for a run.
 *
 * Model: cmd parses argv into the structs below and prints what comes back; nothing here prints, except that warnings
 * of rl-image go through log_warn and that `progress` is called when it is given. Work on archives and blobs is done by
 * the program rl-image, started here with a socket on descriptor 3 (rl/model/image_proto.h); everything else is done
 * by this process on the store.
 *
 * Names are accepted as docker accepts them: reference in any form, image id, unique prefix of an id.
 *
 * Calling sequence of a run:
 *     struct store s;  store_open(root, true, &s, e);
 *     struct image_run run = IMAGE_RUN_INIT;
 *     image_ensure(&s, "busybox", PULL_MISSING, &map, NULL, &run, e);     // run.lowers: overlay's lowerdir order
 *     ... write containers/ID/layers (one line per item of run.lowers) ...
 *     image_run_release_lease(&run);                                       // from here on that file keeps the layers
 *     ... image_run_free(&run);
 * Errors worth telling apart: -ENOENT no such image (with a hint), -EBADMSG the image is broken (hint says how it is
 * mended), -EBUSY it is in use.
 * Context: host side, ordinary user; image_ensure on its fast path makes about a dozen system calls and no process.
 */
#ifndef RL_SVC_IMAGE_H
#define RL_SVC_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/model/image_proto.h"
#include "rl/model/run_opts.h"

/* ---- for runs ---- */

typedef void image_progress_fn(const struct image_progress *p, void *arg);

/* How to show what is going on; all members may be zero. */
struct image_ui {
	image_progress_fn *progress;
	void *arg;
};

struct image_run {
	struct store_image image;
	struct strv lowers; /* absolute paths, top layer first */
	int leasefd;	    /* keeps garbage collection away, -1 when released */
};
#define IMAGE_RUN_INIT                                                                                                 \
	{                                                                                                              \
		.leasefd = -1                                                                                          \
	}

/* How to reach a registry; every member may be zero but tls_verify (UNSET as registries.conf says). All borrowed. */
struct image_registry {
	const char *creds; /* USER[:PASSWORD] */
	const char *authfile;
	const char *cert_dir;
	enum tristate tls_verify;
	unsigned retries; /* 0: the default */
};

/* Find the image, have missing layers unpacked for `map`, return the lower directories. */
int image_ensure(const struct store *s, const char *ref, enum pull_policy policy, const struct idmap *map,
		 const struct image_ui *ui, struct image_run *ret_run, struct err *e) RL_CHECK;
/* What is wanted in more words. All borrowed. */
struct image_want {
	const char *ref; /* may have a transport in front of it; what is behind one of a file is loaded */
	enum pull_policy policy;
	/* "linux/arm64": an image of another one counts as not being there. NULL: what the store has. */
	const char *platform;
	struct image_registry registry;
};

int image_ensure_wanted(const struct store *s, const struct image_want *want, const struct idmap *map,
			const struct image_ui *ui, struct image_run *ret_run, struct err *e) RL_CHECK;
void image_run_release_lease(struct image_run *run);
void image_run_free(struct image_run *run);

/* ---- for verbs; `root` is --root or NULL ---- */

struct image_list {
	struct image_added *items;
	size_t count;
};
void image_list_free(struct image_list *l);

struct image_import_opts {
	const char *root;
	const char *source; /* file name, address (path_is_address) or "-" */
	const char *name;   /* reference to give it, or NULL */
	const char *message;
	struct image_registry registry; /* for an address; credentials are not used */
	struct strv changes;		/* -c, borrowed */
	bool single;			/* the single-uid map even if there are subordinate ids */
};
int image_import(const struct image_import_opts *o, const struct image_ui *ui, struct image_added *ret_added,
		 struct err *e) RL_CHECK;

struct image_pull_opts {
	const char *root;
	const char *name;     /* reference, "docker://" in front of it or not */
	const char *platform; /* or NULL */
	bool any_single;      /* the platform only chooses from an index: an image that is alone may be for another */
	struct image_registry registry;
	enum pull_policy policy; /* of the registry's and the store's image, which wins */
	bool all_tags;
};
/* Bring an image of a registry into the store and unpack it. Names of the store that a transport other than docker://
 * stands in front of are loaded (image_load). ret_list: one per name. */
int image_pull(const struct image_pull_opts *o, const struct image_ui *ui, struct image_list *ret_list,
	       struct err *e) RL_CHECK;

/* source: file name, OCI layout directory or "-". */
int image_load(const char *root, const char *source, bool single, const struct image_ui *ui,
	       struct image_list *ret_list, struct err *e) RL_CHECK;
/* What a person may name wherever an image is named: a name or id of the store, or TRANSPORT:..., whose image is brought
 * into the store (without a name, if the archive has none). *ret_ref is what the store knows it by. */
int image_bring(const struct image_pull_opts *o, const struct image_ui *ui, char **ret_ref, struct err *e) RL_CHECK;

struct image_save_opts {
	const char *root;
	const char *output; /* file, directory, or "-" */
	const char *format; /* docker-archive (NULL), oci-archive, oci-dir, docker-dir */
	const char *name;   /* what the one image is called there instead ("" nothing), or NULL: its names */
	bool append;	    /* an OCI layout that is there already gets the image as well */
	bool one_image;	    /* more than one image is -EINVAL */
	struct strv refs;   /* borrowed */
};
/* Write images as they are stored. A ref with a transport is brought into the store first (image_bring). A file appears when it is whole; a directory must be new or empty. */
int image_save(const struct image_save_opts *o, const struct image_ui *ui, struct err *e) RL_CHECK;

struct image_push_opts {
	const char *root;
	const char *name; /* image of the store, or one that a transport names: it is brought into the store first */
	const char
		*dest; /* reference, "docker://" in front of it or not; NULL: the image's name. With another transport:
			     where to write it (oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:DIR) */
	struct image_registry registry;
	const char *format;	 /* "oci", "v2s2", or NULL: the manifest as it is */
	const char *compression; /* for layers that are not compressed: "gzip" (NULL), "zstd", "none" */
	unsigned level;		 /* 0: the default */
	bool force;		 /* layers in another compression than this are compressed anew */
};
/* ret_pushed: the destination's canonical name and the digest of the manifest that is there now. */
int image_push(const struct image_push_opts *o, const struct image_ui *ui, struct image_added *ret_pushed,
	       struct err *e) RL_CHECK;
/* key: REGISTRY[/NAMESPACE]. registry->creds ("USER:PASSWORD") are verified with the registry and stored, the text is
 * where; without creds those stored are verified, the text is the user's name (-ENOENT there are none). */
int image_login(const char *root, const char *key, const struct image_registry *registry, struct str *ret_text,
		struct err *e) RL_CHECK;
/* key NULL: forget all. 1: there were some; 0: there were none, which has been said. */
int image_logout(const char *root, const char *key, const struct image_registry *registry, struct err *e) RL_CHECK;
/* What a registry says of an image, verified, as `skopeo inspect` does (an object). Nothing is stored. */
int image_inspect_remote(const char *root, const char *name, const struct image_registry *registry, json_t **ret_doc,
			 struct err *e) RL_CHECK;
/* Tags of a repository, appended in the registry's order; ret_name (malloc'd) is DOMAIN/PATH. */
int image_remote_tags(const char *root, const char *name, const struct image_registry *registry, char **ret_name,
		      struct strv *ret_tags, struct err *e) RL_CHECK;

/* Names and images, sorted by name (see store_list). `reference`: only names that match this pattern (fnmatch on the
 * familiar and on the canonical form, with and without the tag), or NULL. */
int image_entries(const char *root, const char *reference, struct store_list *ret_list, struct err *e) RL_CHECK;

struct image_removed {
	struct strv untagged; /* canonical names */
	struct strv deleted;  /* image ids ("sha256:...") whose record is gone */
	int64_t bytes;	      /* of blobs that went with them */
};
/* Remove by name (the name goes, the image when it was the last one) or by id (-EBUSY if several names point to it).
 * -EBUSY also when the image would go and a container uses it. `force` does both all the same; the layers a container
 * uses stay until it is gone. Goes through all of `refs` and returns the first error after the rest is done; what was
 * removed is in *ret_removed also then (initialise it with zeros). */
int image_remove(const char *root, const struct strv *refs, bool force, struct image_removed *ret_removed,
		 struct err *e) RL_CHECK;
/* Every image without a name, or with `all` every image no container uses; of these, those that pass the filters (until=,
 * label=, label!=). */
int image_prune(const char *root, bool all, const struct strv *filters, struct image_removed *ret_removed,
		struct err *e) RL_CHECK;
void image_removed_free(struct image_removed *r);

int image_tag(const char *root, const char *source, const char *target, struct err *e) RL_CHECK;
int image_untag(const char *root, const char *name, struct err *e) RL_CHECK;
/* 1 or 0. */
int image_exists(const char *root, const char *ref, struct err *e) RL_CHECK;

/* docker's `image inspect` document of one image (an object). */
int image_inspect(const char *root, const char *ref, json_t **ret_doc, struct err *e) RL_CHECK;

struct image_step_history {
	char *id; /* image id for the newest step, "<missing>" for the others (docker) */
	char *created, *created_by, *comment;
	int64_t size;
	bool empty_layer;
};
struct image_history {
	struct image_step_history *items; /* newest first */
	size_t count;
};
int image_history(const char *root, const char *ref, struct image_history *ret_history, struct err *e) RL_CHECK;
void image_history_free(struct image_history *h);

#endif
