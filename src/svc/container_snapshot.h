/*
 * container_snapshot.h - restacking of a container's layers, as the files of svc see it; the model is in
 * container_snapshot.c.
 */
#ifndef RL_SVC_CONTAINER_SNAPSHOT_H
#define RL_SVC_CONTAINER_SNAPSHOT_H

#include "container_stack.h"
#include "rl/base/json.h"
#include "rl/engine/changes.h"

/* True if a restack of this container was begun and its end is not recorded. No lock is needed. */
bool container_restack_is_pending(const struct container_rec *rec);
/* Finish or undo it; nothing to do in the normal case. With both locks of the container. */
int container_restack_recover(struct container_rec *rec, struct err *e) RL_CHECK;
/* Put the writable layer aside (to move_to, an absolute path on the store's file system, or NULL: throw it away) and go on
 * with an empty one on `layers`. snapshot: the directory that is removed if this is undone, or NULL. With both locks. */
int container_restack(struct container_rec *rec, const char *move_to, const char *snapshot, const struct strv *layers,
		      struct err *e) RL_CHECK;
/* The file that keeps the layers of config.json from being collected. */
int container_restack_write_layers(const struct container_rec *rec, struct err *e) RL_CHECK;
/* Remove frozen layers that no container stands on and no container's list names. Cheap when there are none. */
void container_snapshots_sweep(const struct store *s);

/* container_diff.c: what the first ntop of the directories change in the others, or how the two stacks differ. */
int container_stack_diff(const struct container_stack *k, bool compares, size_t ntop, const int *fds, size_t nfds,
			 json_t **ret_changes, struct err *e) RL_CHECK;

/* Its two ends, for other comparisons: the child writes lists of changes to a pipe, `ends`, whose both ends are closed here;
 * they come back as container_diff's array. */
int container_changes_write(const struct change_list *l, int fd, struct err *e) RL_CHECK;
int container_changes_read(const struct inside *in, int ends[2], json_t **ret_changes, struct err *e) RL_CHECK;

#endif
