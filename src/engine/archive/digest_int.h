/*
 * digest_int.h - one digest of one stream: the life of a base/digest.h digest in three calls.
 *
 * Calling sequence: digest_start, any number of digest_add, digest_finish once; digest_drop for an unfinished one.
 */
#ifndef RL_ENGINE_ARCHIVE_DIGEST_INT_H
#define RL_ENGINE_ARCHIVE_DIGEST_INT_H

#include "rl/base/digest.h"
#include "rl/engine/archive.h"

static inline void digest_start(struct digest *d)
{
	*d = (struct digest)DIGEST_INIT;
	digest_begin(d);
}

static inline void digest_drop(struct digest *d)
{
	digest_free(d);
}

static inline void digest_finish(struct digest *d, char ret[ARCHIVE_DIGEST_SIZE])
{
	digest_end(d, ret);
	digest_free(d);
}

#endif
