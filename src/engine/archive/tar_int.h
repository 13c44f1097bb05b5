/*
 * tar_int.h - tar entries out of a ring, read by libarchive.
 *
 * Calling sequence: tar_open; while (tar_next() > 0) { optionally tar_data until 0 }; tar_drain; tar_close.
 * What tar_next and tar_data give is borrowed until the next call. Errors: -EBADMSG malformed, or the ring's failure.
 */
#ifndef RL_ENGINE_ARCHIVE_TAR_INT_H
#define RL_ENGINE_ARCHIVE_TAR_INT_H

#include "place_int.h"
#include "ring_int.h"

struct tar;

int tar_open(struct ring *ring, size_t reader, struct tar **ret, struct err *e) RL_CHECK;
int tar_next(struct tar *t, struct entry *ret, struct err *e) RL_CHECK;
int tar_data(struct tar *t, const void **ret_data, size_t *ret_len, uint64_t *ret_offset, struct err *e) RL_CHECK;
/* Read the rest of the ring, behind the end of the archive. */
int tar_drain(struct tar *t, struct err *e) RL_CHECK;
void tar_close(struct tar *t);

#endif
