/*
 * container_store.h - the containers of a store: found, listed, their true status, their locks.
 *
 * Model: a container is the directory containers/ID with a config.json; names/NAME is a symlink whose text says the id.
 * struct container_rec is one container as read from there, with the status that is true now: a record says "running"
 * only while PID 1 with that pid, start time and boot id lives. Reading takes no lock, so it never waits and never
 * disturbs; what was read may be old a moment later, and only a lock keeps it true.
 *
 * Locks, in the order they are taken:
 *     names/        flock: giving and taking names (held for microseconds)
 *     ID/op         flock: one verb that changes the container at a time (start, stop's record, rm, rename, update,
 *                   commit, snapshots). container_rec_lock; waits; then re-reads, because the world has gone on.
 *     ID/ itself    flock: held by the monitor (or the foreground rl) while the container lives, and by whoever
 *                   writes state.json when there is no monitor
 *
 * Calling sequence of a verb:
 *     struct store s; store_open(root, false, &s, e);
 *     struct container_rec c = CONTAINER_REC_INIT;
 *     container_store_find(&s, "web", &c, e);                  // -ENOENT with a suggestion, -EEXIST ambiguous prefix
 *     if (!container_rec_is_running(&c)) ...
 *     int pidfd = container_rec_open_init(&c, e);              // verified: the very process of the record
 *     container_rec_free(&c);
 * Joining (exec): c.state.join and c.config.map say how; container_rec_map gives the struct idmap. After the
 * namespaces were opened through /proc/PID/ns, ask container_rec_init_lives once more: pids are used again.
 *
 * Context: host side, ordinary user.
 */
#ifndef RL_SVC_CONTAINER_STORE_H
#define RL_SVC_CONTAINER_STORE_H

#include "rl/base/err.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/model/record.h"

struct container_rec {
	const struct store *store; /* borrowed */
	int dirfd;		   /* containers/ID, no lock */
	char *dir;		   /* its absolute path */
	struct record_config config;
	struct record_state state;
	enum record_status status; /* true at the moment of reading */
	bool broken;		   /* listed only: a document cannot be read; config.id is all that is known */
};

#define CONTAINER_REC_INIT                                                                                             \
	{                                                                                                              \
		.dirfd = -1                                                                                            \
	}

/* By name, whole id or unique prefix of an id. */
int container_store_find(const struct store *s, const char *name, struct container_rec *ret_rec,
			 struct err *e) RL_CHECK;
/* The container created last; -ENOENT if there is none. */
int container_store_latest(const struct store *s, struct container_rec *ret_rec, struct err *e) RL_CHECK;
/* Read again: config, state, status. -ENOENT when it was removed meanwhile. */
int container_rec_reload(struct container_rec *c, struct err *e) RL_CHECK;
void container_rec_free(struct container_rec *c);
#define autorec __attribute__((cleanup(container_rec_free)))

struct container_list {
	struct container_rec *items; /* newest first */
	size_t count;
};
/* All containers, the damaged ones marked; dirfd is -1 (find by id before changing one). Directories being made or removed are left out. */
int container_store_list(const struct store *s, struct container_list *ret_list, struct err *e) RL_CHECK;
/* The same with what `ps` shows and filters ask for only (record_config_listed, record_state_listed): for looking at
 * hundreds; to be found by id before anything else is done with one. */
int container_store_list_brief(const struct store *s, struct container_list *ret_list, struct err *e) RL_CHECK;
void container_list_free(struct container_list *l);

/* Running, paused or about to be restarted: there is or will be a process. */
bool container_rec_is_alive(const struct container_rec *c);
/* PID 1 lives (running or paused). */
bool container_rec_is_running(const struct container_rec *c);
/* Ask the kernel again about the recorded PID 1 or monitor; no files are read. */
bool container_rec_init_lives(const struct container_rec *c);
bool container_rec_monitor_lives(const struct container_rec *c);
/* A pidfd of PID 1 or of the monitor, certain to be the process of the record; -ESRCH if it is gone. */
int container_rec_open_init(const struct container_rec *c, struct err *e) RL_CHECK;
int container_rec_open_monitor(const struct container_rec *c, struct err *e) RL_CHECK;

/* Descriptor of ID/op, locked; close it to let go. Reloads *c: -ENOENT when it was removed while we waited. */
int container_rec_lock(struct container_rec *c, struct err *e) RL_CHECK;
/* Take the directory's own lock where nobody runs the container: 1 with *ret_fd, 0 when it is held. */
int container_rec_try_own(const struct container_rec *c, int *ret_fd, struct err *e) RL_CHECK;

/* Replace a document. config: with the op lock. state: with the directory's lock only. */
int container_rec_write_config(const struct container_rec *c, struct err *e) RL_CHECK;
int container_rec_write_state(const struct container_rec *c, struct err *e) RL_CHECK;
/* Keep blocks for a later state, for when the disk is full; if that fails there are none. */
#define CONTAINER_RESERVE_FILE "reserve"
void container_rec_reserve(const struct container_rec *c);

/* pause and unpause say so here; the mark counts only for the PID 1 it was made for. */
int container_rec_mark_paused(const struct container_rec *c, bool paused, struct err *e) RL_CHECK;

/* The recorded id map as kern's struct; false if the caller's user namespace is kept. */
bool container_rec_map(const struct container_rec *c, struct idmap *ret_map);
void container_map_to_record(const struct idmap *map, struct record_map *ret_map);

/* Names. claim: -EEXIST names the holder. A name whose container is gone is free. */
int container_name_claim(const struct store *s, const char *name, const char *id, struct err *e) RL_CHECK;
void container_name_release(const struct store *s, const char *name, const char *id);
/* Every name that leads to this id, where the record that knows the name cannot be read. */
void container_names_release_id(const struct store *s, const char *id);
/* Where names/NAME leads; -ENOENT: nowhere. `names` is a descriptor of the directory. */
int container_name_read(int names, const char *name, char ret_id[RECORD_ID_SIZE]) RL_CHECK;
/* The id that a name leads to: 0 or -ENOENT. Nothing says that there is such a container. */
int container_store_id_of(const struct store *s, const char *name, char ret_id[RECORD_ID_SIZE]) RL_CHECK;
/* An unused memorable name, claimed. */
int container_name_generate(const struct store *s, const char *id, char **ret_name, struct err *e) RL_CHECK;

#endif
