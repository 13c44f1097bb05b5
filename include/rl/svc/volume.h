/*
 * volume.h - volumes: directories of the store that outlive containers.
 *
 * On disk, below the store's root:
 *     volumes/NAME/volume.json   the record (rl/model/volume.h), written before the volume has its name
 *     volumes/NAME/_data/        the content, owned by ids of the container's map
 *     volumes/NAME/_fill/        content being put together; garbage unless the volume's lock is held
 *     volumes/.new-HEX, .del-HEX being made, being removed; swept by the next verb that changes volumes
 * A volume exists exactly if its name does. It is in use exactly if the config.json of a container names it: nothing is
 * counted, so nothing can be wrong after a crash. Containers keep the names of their volumes in the mounts of their
 * record, those of anonymous ones included.
 *
 * Locks: flock of the directory volumes/NAME. Shared: by the process that makes or runs a container with it, from the
 * lookup until the container ends or (not started) its record is written. Exclusive: by who removes the volume, and
 * for as long as it is filled. Whoever gets the lock looks whether the directory still has its name. The lock is not
 * what protects a volume of a container (the record is): it closes the moment before the record exists.
 * Before the shared lock, while the volume is empty, who is going to fill it takes the lock of its volume.json: of two
 * that begin at once one would hold the volume while the other looks whether anybody does, and neither would fill it.
 * Order: after a container's own locks (rl/svc/container_store.h); volume.json's before the directory's.
 *
 * Copy-up: at the creation of a container, an empty volume is filled with what the image has at the target (docker's
 * rule), together with owner and mode of the directory, unless `nocopy`. The content is put together in _fill by a
 * process in the container's id map, which follows nothing out of the image, and then renamed over _data: the kernel
 * does that only if _data is empty (rename(2)), and a crash leaves the volume empty or filled, never half. An empty
 * volume that somebody else holds is left as it is.
 *
 * Calling sequence of a container (container_volumes.c): volume_ensure -> volume_fill -> ... -> volume_release.
 * Errors worth telling apart: -ENOENT no such volume (with a suggestion), -EBUSY used by a container (named), -EEXIST.
 * Context: host side, ordinary user.
 */
#ifndef RL_SVC_VOLUME_H
#define RL_SVC_VOLUME_H

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/model/volume.h"

/* ---- for containers ---- */

/* A volume held by the shared lock. */
struct volume_lease {
	struct volume_record record;
	char *data;   /* absolute path of _data */
	int fd;	      /* the volume's directory, locked; -1 */
	int fillfd;   /* its record, locked by who may fill it; -1 */
	bool is_made; /* this call made it */
};
#define VOLUME_LEASE_NONE                                                                                              \
	{                                                                                                              \
		.record = VOLUME_RECORD_INIT, .fd = -1, .fillfd = -1                                                   \
	}

enum volume_want {
	VOLUME_FIND,
	VOLUME_MAKE, /* where there is none */
	VOLUME_FILL, /* the same, and volume_fill comes next */
};
/* name NULL: make an anonymous one. With VOLUME_FILL it waits while others fill the volume. */
int volume_ensure(const struct store *s, const char *name, enum volume_want want, struct volume_lease *ret_lease,
		  struct err *e) RL_CHECK;
/* Copy-up, where the volume is empty and nobody else holds it; after it, others may. `layers` as overlay wants them (top first), `path` the
 * target in the image, `map` NULL where the caller's user namespace is kept. Returns 1 if something was copied. */
int volume_fill(const struct store *s, struct volume_lease *lease, const struct idmap *map, const struct strv *layers,
		const char *path, struct err *e) RL_CHECK;
/* Let go; safe twice. */
void volume_release(struct volume_lease *lease);
/* Remove the anonymous volumes among `names` that no container but `except_id` uses. Never fails: what is in use stays,
 * what cannot be removed is for `volume prune`. */
void volume_drop_anonymous(const struct store *s, const struct strv *names, const char *except_id);

/* ---- for verbs; `root` is --root or NULL ---- */

struct volume_create_opts {
	const char *name; /* NULL: a name is made up */
	const struct strv *labels;
	const struct strv *options;
	bool ignore; /* one that exists is no error whatever its options */
};
/* As in docker, a volume of that name with the same options is success. *ret_name gets the name. */
int volume_create(const char *root, const struct volume_create_opts *o, struct str *ret_name, struct err *e) RL_CHECK;
/* 1 it exists, 0 it does not. */
int volume_exists(const char *root, const char *name, struct err *e) RL_CHECK;
/* -EBUSY while a container names it. */
int volume_remove(const char *root, const char *name, struct err *e) RL_CHECK;
/* Every volume no container names and that passes the filters; without `all` only anonymous ones. */
int volume_prune(const char *root, bool all, const struct strv *filters, struct strv *ret_removed, uint64_t *ret_bytes,
		 struct err *e) RL_CHECK;
/* Objects with the members docker's and podman's templates use, sorted by name. filters: name=, label=, dangling=,
 * driver=, opt=, anonymous=, scope=, since=, until=, after=. */
int volume_rows(const char *root, const struct strv *filters, json_t **ret_rows, struct err *e) RL_CHECK;
int volume_inspect(const char *root, const char *name, json_t **ret_doc, struct err *e) RL_CHECK;
/* A tar archive of the content to `file`, NULL: standard output. */
int volume_export(const char *root, const char *name, const char *file, struct err *e) RL_CHECK;
/* The content of a tar archive ("-": standard input), compressed or not, over what is there. */
int volume_import(const char *root, const char *name, const char *file, struct err *e) RL_CHECK;

#endif
