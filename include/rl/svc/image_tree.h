/*
 * image_tree.h - the layers of an image, bottom first, and the images that end in each of them.
 *
 *     {"ID","Tags":[names],"Size":n,"Layers":[{"ID":diffID,"Size":n,"Unpacked":bool,"TopLayerOf":[names]}]}
 *
 * Sizes are those of the unpacked files, of the blob where it was never unpacked. Errors: see rl/svc/image.h.
 */
#ifndef RL_SVC_IMAGE_TREE_H
#define RL_SVC_IMAGE_TREE_H

#include "rl/base/err.h"
#include "rl/base/json.h"

int image_tree(const char *root, const char *ref, json_t **ret_doc, struct err *e) RL_CHECK;

#endif
