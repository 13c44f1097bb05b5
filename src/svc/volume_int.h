/*
 * volume_int.h - what the files of svc/volume share.
 *
 * volume.c  made, found, locked, removed    volume_fill.c  content put in    volume_admin.c  the verbs
 */
#ifndef RL_SVC_VOLUME_INT_H
#define RL_SVC_VOLUME_INT_H

#include "rl/svc/volume.h"

#define VOLUME_DATA    "_data"
#define VOLUME_FILLING "_fill"

/* Wait for the lock of who fills the volume whose directory that is; its descriptor. */
int volume_lock_fill(int dirfd, struct err *e) RL_CHECK;
/* A directory we may not read has got its owner from a container: it was in use already. */
bool volume_may_be_empty(int dirfd);
/* Make the volume under its name. -EEXIST. */
int volume_make(const struct store *s, const struct volume_record *r, struct err *e) RL_CHECK;
/* The names of all volumes, sorted. */
int volume_names(const struct store *s, struct strv *ret_names, struct err *e) RL_CHECK;
/* The record, without a lock. */
int volume_read(const struct store *s, const char *name, struct volume_record *ret_record, struct err *e) RL_CHECK;
/* Names of the containers whose record names the volume, and of those whose record cannot be read. */
int volume_users(const struct store *s, const char *name, const char *except_id, struct strv *ret_users,
		 struct err *e) RL_CHECK;
/* Does a container that is alive name it (or one whose record cannot be read)? */
int volume_is_live(const struct store *s, const char *name, struct err *e) RL_CHECK;
/* Take a lease's lock exclusively: 1, or 0 (and it is shared again) where others hold it. Shared again by
 * volume_unlock_exclusive; both are -EAGAIN if the volume was removed in between. */
int volume_try_exclusive(const struct store *s, struct volume_lease *lease, struct err *e) RL_CHECK;
int volume_unlock_exclusive(const struct store *s, struct volume_lease *lease, struct err *e) RL_CHECK;
/* Remove, with the exclusive lock held and no users. */
int volume_unmake(const struct store *s, const char *name, struct err *e) RL_CHECK;
/* Remove what crashed verbs left. */
void volume_sweep(const struct store *s);

#endif
