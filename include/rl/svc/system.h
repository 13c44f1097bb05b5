/*
 * system.h - the store as a whole: checked and mended, measured, emptied, removed, looked into.
 *
 * Model: the verbs of `rl system` and `rl unshare`. Reports are JSON documents, so that cmd can print them as a table,
 * as JSON or through a template without knowing more about them.
 *
 * system_check   an object {"Store","Sound":bool,"Broken":n,"Mended":n,"Leftovers":n,"Problems":[{"Kind","What","Why",
 *                "Images":[names],"State"}]}; State is "broken", "mended", "leftover" or "removed"
 * system_df      an object {"Summary":[rows],"Images":[rows],"Containers":[rows],"Volumes":[rows]}
 * system_prune   removes stopped containers, then images, then what nobody needs
 * system_reset   removes the whole store and nothing else, whoever owns what is in it
 * system_unshare runs a command in a user namespace with the map of the store's layers
 *
 * Errors: see rl/svc/image.h. Context: host side, ordinary user.
 */
#ifndef RL_SVC_SYSTEM_H
#define RL_SVC_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/svc/image.h"

struct system_check_opts {
	const char *root;
	bool repair;
	bool quick;			/* presence and sizes only: no digests, no comparison of layers */
	struct image_registry registry; /* for fetching again */
};
/* Returns how many things are broken and not mended. */
int system_check(const struct system_check_opts *o, const struct image_ui *ui, json_t **ret_report,
		 struct err *e) RL_CHECK;

int system_df(const char *root, json_t **ret_report, struct err *e) RL_CHECK;

struct system_prune_opts {
	const char *root;
	bool all;	     /* every image no container uses, not only those without a name */
	bool volumes;	     /* also anonymous volumes no container uses */
	struct strv filters; /* borrowed: label=, label!=, until= */
};
struct system_pruned {
	struct strv networks;
	struct strv containers; /* ids */
	struct strv volumes;
	struct image_removed images;
	int64_t bytes;
};
int system_prune(const struct system_prune_opts *o, struct system_pruned *ret_pruned, struct err *e) RL_CHECK;
void system_pruned_free(struct system_pruned *p);

/* -EBUSY while a container runs, unless `force`, which kills them first. ret_root (malloc'd) is what was removed; untouched where
 * there was nothing. */
int system_reset(const char *root, bool force, char **ret_root, struct err *e) RL_CHECK;

/* argv NULL-terminated; NULL or empty: the user's shell. RL_ROOT and RL_LAYERS name the store and its layers inside.
 * Returns the command's exit status. */
int system_unshare(const char *root, char *const *argv, struct err *e) RL_CHECK;

#endif
