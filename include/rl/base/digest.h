/*
 * digest.h - SHA-256 as the image formats write it, by libcrypto.
 *
 * Only programs that link libcrypto may call it (rl-image); rl itself does not, for the sake of its start time.
 * Calling sequence: struct digest d = DIGEST_INIT; digest_begin, any number of digest_add, digest_end; digest_begin again
 * starts over; digest_free. digest_of is all of it for one buffer.
 * Context: any thread, one at a time per digest. libcrypto fails here only without memory, which ends the process.
 */
#ifndef RL_BASE_DIGEST_H
#define RL_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SIZE = 72 }; /* "sha256:" + 64 hex + NUL */

struct digest {
	void *ctx;	/* EVP_MD_CTX */
	uint64_t count; /* bytes added since digest_begin */
};
#define DIGEST_INIT                                                                                                    \
	{                                                                                                              \
		.ctx = NULL                                                                                            \
	}

void digest_begin(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t len);
void digest_end(struct digest *d, char ret_digest[DIGEST_SIZE]);
void digest_free(struct digest *d);
void digest_of(const void *data, size_t len, char ret_digest[DIGEST_SIZE]);

#endif
