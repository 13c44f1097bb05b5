/*
 * volume.h - what is stored of a volume, and what the options of `rl volume create` mean.
 *
 * Model: volumes/NAME/volume.json is written once, before the volume gets its name. Members a reader does not know are
 * ignored; wrong types are -EBADMSG.
 *
 * Options (-o) are those of docker's local driver as far as an ordinary user can have them:
 *     type=none|bind,o=bind[,ro,...],device=/DIR   the volume is a directory of this machine
 *     type=tmpfs[,o=size=64m,mode=...][,device=x]  every container gets a fresh tmpfs of its own
 * Everything else (nfs, cifs, block devices, quotas) is refused by name.
 *
 * Ownership: volume_record_free releases what the struct points to. No I/O here.
 */
#ifndef RL_MODEL_VOLUME_H
#define RL_MODEL_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"

enum { VOLUME_RECORD_MAX = 1 << 20 };

struct volume_record {
	char *name;
	int64_t created;     /* ns since 1970 */
	bool anonymous;	     /* made for one container: goes with it */
	struct strv labels;  /* "key=value" */
	struct strv options; /* "key=value" as typed */
};

#define VOLUME_RECORD_INIT                                                                                             \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}

void volume_record_free(struct volume_record *r);
json_t *volume_record_to_json(const struct volume_record *r);
int volume_record_from_json(const json_t *doc, struct volume_record *ret_record, struct err *e) RL_CHECK;

/* What the options make of a mount of the volume: *m, a MOUNT_KIND_VOLUME, becomes a bind of the device or a tmpfs, or
 * stays as it is (no options); read-only and noexec of the options are added to those of *m. Also the check of the
 * options: -EINVAL or -EOPNOTSUPP with the name of the one that cannot be had. */
int volume_options_apply(const struct strv *options, struct mount_opt *m, struct err *e) RL_CHECK;

#endif
