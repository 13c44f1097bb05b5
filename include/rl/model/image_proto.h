/*
 * image_proto.h - what rl and rl-image say to each other over descriptor 3 (base/sync.h).
 *
 * rl starts `rl-image VERB OPTIONS` with everything a person chose in argv and one end of a sync pair as descriptor 3.
 * rl-image prints nothing itself: results, progress, notes and the error go through the socket, so that there is one
 * place that talks to the person. It ends after IMAGE_STEP_DONE or SYNC_STEP_ERROR.
 *
 * Verbs and their options (every one takes --root DIR and --builtin DIR, the store and the built-in layout):
 *     import FILE|URL|-     --name REF  --message TEXT  --change INSTRUCTION (repeatable)
 *     load FILE|DIR|-       --which NAME (one image of it; all otherwise); names come from the archive
 *     save IMAGE...         --output FILE|DIR|-  --format docker-archive|oci-archive|oci-dir|docker-dir
 *                           --name NAME (instead of its own)  --append (to a layout that is there)
 *     push IMAGE DEST       --format oci|v2s2  --compression gzip|zstd|none  --compression-level N  --force-compression;
 *                           DEST "" is the image's name
 *     login REGISTRY, logout REGISTRY   ("" for all); login answers where the credentials are, or whose they are
 *     push-index JSON DEST  --format; the index and the images of the store that are its entries
 *     inspect REF           --platform; answers a JSON document; with --raw the manifest or index itself
 *     tags REF              answers the repository and its tags, one per line
 *     commit                --name REF  --format oci|docker  --compression gzip|zstd|none; descriptor 4 is a JSON request:
 *                           {"config":{...},"base":"sha256:...","lowers":[...],"squash":bool,"created":"...","epoch":n,
 *                            "dirs":[{"path":...,"take":bool,"exclude":[...],"created_by":...,"comment":...}]}
 *                           (members as in struct image_commit, rl/svc/image_commit.h)
 *     export                descriptor 4 is a JSON request {"dirs":[...],"trust_records":bool,"exclude":[...]}, 5 is
 *                           where the tar goes
 *     pack-layers           the layers of a build as they come (rl/model/build_proto.h)
 *     fetch URL             --output FILE; http and https
 *     unpack-tar FILE|-     --output DIR, which is empty; by the confined unpacker
 *     tree-to-tar           --name ROOT; a tree (rl/base/tree_wire.h) from descriptor 4 as a tar to 5
 *     tar-to-tree           a tar from 4 as a tree to 5
 *     volume-export DIR     --output FILE|-
 *     volume-import FILE|- DIR
 *     unpack-image DIGEST   make the layers of the image with this manifest present for the map
 *
 *   step                 sender    when                                   payload
 *   IMAGE_STEP_START     rl        first                                  struct idmap, as in memory
 *   IMAGE_STEP_PROGRESS  rl-image  any time                               struct image_progress
 *   IMAGE_STEP_NOTE      rl-image  any time                               text, no NUL (a warning for the person)
 *   IMAGE_STEP_IMAGE     rl-image  once per name or unnamed image added   struct image_added
 *   IMAGE_STEP_TEXT      rl-image  any number of times                    a part of the answer, no NUL
 *   IMAGE_STEP_DONE      rl-image  last, everything is durable            none
 *   SYNC_STEP_ERROR      rl-image  last                                   struct err
 */
#ifndef RL_MODEL_IMAGE_PROTO_H
#define RL_MODEL_IMAGE_PROTO_H

#include <stdint.h>

enum { IMAGE_PROTO_FD = 3, IMAGE_PROTO_DATA_FD = 4, IMAGE_PROTO_OUT_FD = 5 };

enum image_step {
	IMAGE_STEP_START = 1,
	IMAGE_STEP_PROGRESS,
	IMAGE_STEP_NOTE,
	IMAGE_STEP_IMAGE,
	IMAGE_STEP_TEXT,
	IMAGE_STEP_DONE,
	IMAGE_STEP_N,
};

enum image_progress_state {
	IMAGE_WAITING,
	IMAGE_CHECKING, /* what an earlier attempt left */
	IMAGE_DOWNLOADING,
	IMAGE_RETRYING,
	IMAGE_UNPACKING,
	IMAGE_COMPRESSING,
	IMAGE_UPLOADING,
	IMAGE_COPYING,
	IMAGE_PRESENT, /* nothing had to be done */
	IMAGE_DONE,
	IMAGE_FAILED,
	IMAGE_PROGRESS_N,
};

/* One thing that is worked on; messages with the same `what` are about the same thing. */
struct image_progress {
	char what[76];	/* "layer 1/3 0123456789ab" */
	uint32_t state; /* enum image_progress_state */
	uint64_t done;	/* bytes */
	uint64_t total; /* 0: not known */
};

struct image_added {
	char id[72];	   /* config digest */
	char manifest[72]; /* manifest digest */
	char name[480];	   /* canonical reference, "" if it has none */
};

#endif
