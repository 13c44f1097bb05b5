/*
 * host.h - what containers of `rl run host` changed, taken into this machine or thrown away.
 *
 * Model: such a container has no image; below its writable layers are the machine's own directories (src/svc/host_walk.h).
 * container_diff lists what it changed; host_apply makes those changes here, as the caller and with no privilege that the
 * caller lacks; host_discard removes the container and with it the changes. What was applied is no change any more, because
 * both sides are the same then: an apply that was interrupted is done by doing it again.
 *
 * `root` is --root or NULL. A container that is not named is the one of `rl run host` made last.
 */
#ifndef RL_SVC_HOST_H
#define RL_SVC_HOST_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

/* Id of the container of `rl run host` made last; -ENOENT if there is none. */
int host_latest(const char *root, char **ret_id, struct err *e) RL_CHECK;

struct host_apply_opts {
	const char *root;
	const char *container;	  /* or NULL */
	const struct strv *paths; /* absolute, cleaned: these and what is below them; empty: everything */
	bool dry_run;		  /* look only */
	bool force;		  /* what was changed here meanwhile is replaced */
};
/* *ret_rows: [{"kind":"A","path":"/..","verdict":"apply"|"conflict"|"denied"|"skipped","reason":".."}]. If some row is a
 * conflict or denied nothing is changed, and *ret_refused is how many. -EBUSY while the container runs. */
int host_apply(const struct host_apply_opts *o, json_t **ret_rows, size_t *ret_refused, struct err *e) RL_CHECK;

/* Remove these containers, or the latest; `force` ends them first. -EINVAL for one that has an image. */
int host_discard(const char *root, const struct strv *names, bool force, struct err *e) RL_CHECK;

#endif
