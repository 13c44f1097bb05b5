/*
 * host_changes.h - the parts of a container of `rl run host`, opened: what it wrote, and what that lies on.
 */
#ifndef RL_SVC_HOST_CHANGES_H
#define RL_SVC_HOST_CHANGES_H

#include "container_stack.h"
#include "rl/base/json.h"
#include "rl/engine/changes.h"

struct host_layer {
	char *path;	 /* of the part on this machine */
	int upper, host; /* O_PATH */
	bool overlay;	 /* else a plain directory with mount points in it (host_image.h) */
};

struct host_layers {
	struct host_layer *items; /* by path */
	size_t count;
};

/* A part whose directory has gone from the machine is left out with a warning. */
int host_layers_open(const struct container_stack *k, struct host_layers *ret, struct err *e) RL_CHECK;
void host_layers_close(struct host_layers *l);
/* Paths at which an empty file or directory, or a link, is not what the container wrote. */
void host_hidden(const struct container_stack *k, struct strv *out);
/* Changes of one part; as root of the container's map. */
int host_layer_changes(const struct host_layer *l, const struct strv *hidden, struct change_list *ret,
		       struct err *e) RL_CHECK;

/* container_diff of such a container. */
int host_diff(const struct container_stack *k, json_t **ret_changes, struct err *e) RL_CHECK;

#endif
