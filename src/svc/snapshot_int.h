/*
 * snapshot_int.h - what the files of snapshots share.
 *
 * snapshot_store.c  found, read, written, swept      snapshot.c  create, list, diff, rollback
 * snapshot_change.c branch, merge, remove
 */
#ifndef RL_SVC_SNAPSHOT_INT_H
#define RL_SVC_SNAPSHOT_INT_H

#include "container_snapshot.h"
#include "container_stack.h"
#include "rl/base/str.h"
#include "rl/svc/snapshot.h"

struct snapshot {
	char id[RECORD_ID_SIZE];
	char container[RECORD_ID_SIZE];
	char *name; /* "": removed, but stood on */
	char *comment;
	int64_t created;
	struct strv layers; /* below it, TOP first */
	char *dir;  /* snapshots/ID, absolute */
	char *diff; /* its layer, absolute */
};

struct snapshots {
	struct snapshot *items; /* oldest first */
	size_t count;
};
#define autosnapshots __attribute__((cleanup(snapshots_free)))

void snapshots_free(struct snapshots *v);
/* Those of one container (id), nameless ones too; NULL: of all. */
int snapshots_list(const struct store *s, const char *container, struct snapshots *ret, struct err *e) RL_CHECK;
/* By name; -ENOENT with a suggestion. Borrowed from v. */
int snapshots_find(const struct snapshots *v, const char *name, const struct snapshot **ret, struct err *e) RL_CHECK;
/* The one whose layer this is, or NULL. */
const struct snapshot *snapshots_of_layer(const struct snapshots *v, const char *diff);
/* Replace info.json below the directory `dir` (absolute). */
int snapshot_write(const struct snapshot *sn, const char *dir, struct err *e) RL_CHECK;
/* A new one of this container, on its stack; snapshots/ID is not made. */
void snapshot_init(const struct container_stack *k, const char *name, const char *comment, struct snapshot *ret);
void snapshot_free(struct snapshot *sn);
/* Remove snapshots/ID with its layer. */
int snapshot_delete(const struct store *s, const struct snapshot *sn, struct err *e) RL_CHECK;
/* flock of snapshots/. */
int snapshots_lock(const struct store *s, bool exclusive, struct err *e) RL_CHECK;
/* Name of a container but `except_id` that stands on this layer, malloc'd; NULL if there is none. */
int snapshot_user(const struct store *s, const char *diff, const char *except_id, char **ret_name, struct err *e)
	RL_CHECK;

#endif
