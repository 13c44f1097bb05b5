/*
 * bundle.h - images as OCI bundles, and back.
 *
 * Model: a bundle is a directory with `rootfs` (everything the image's layers show together, owned as containers of the
 * caller see it), `config.json` (runtime-spec; runs with rl-oci as the same user) and `rl-bundle.json`, which names the
 * image. Back, what differs from the image's layers becomes one layer on top of them: no layer of the image is packed
 * again, and its digests stay.
 *
 * Ids: the map is the caller's (idmap_detect), as of `rl run`; config.json has it as uidMappings and gidMappings.
 * Errors: -EEXIST the bundle is there already; -ENOENT the image is not in the store any more.
 */
#ifndef RL_SVC_BUNDLE_H
#define RL_SVC_BUNDLE_H

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/svc/image.h"

/* config.json of an image, which must be there: with `args` in place of its command if there are any. */
int bundle_config(const char *root, const char *image, const struct strv *args, const struct image_ui *ui,
		  json_t **ret_doc, struct err *e) RL_CHECK;
int bundle_unpack(const char *root, const char *image, const char *bundle, const struct image_ui *ui,
		  struct err *e) RL_CHECK;

struct bundle_repack {
	const char *bundle;
	const char *name;	      /* of the new image */
	const struct strv *changes;   /* instructions, or NULL */
	const char *author, *message; /* or NULL */
};
int bundle_repack(const char *root, const struct bundle_repack *o, const struct image_ui *ui,
		  struct image_added *ret_added, struct err *e) RL_CHECK;

#endif
