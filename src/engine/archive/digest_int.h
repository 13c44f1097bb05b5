/*
 * digest_int.h - SHA-256 as the image formats write it.
 *
 * Calling sequence: digest_start, any number of digest_add, digest_finish once (frees the context); digest_drop frees
 * an unfinished one. Context: any thread, one at a time per digest.
 */
#ifndef RL_ENGINE_ARCHIVE_DIGEST_INT_H
#define RL_ENGINE_ARCHIVE_DIGEST_INT_H

#include <stddef.h>

#include "rl/engine/archive.h"

struct digest {
	void *ctx; /* EVP_MD_CTX */
};

void digest_start(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t len);
void digest_finish(struct digest *d, char ret[ARCHIVE_DIGEST_SIZE]); /* "sha256:HEX" */
void digest_drop(struct digest *d);

#endif
