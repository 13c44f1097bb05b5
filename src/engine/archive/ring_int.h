/*
 * ring_int.h - a bounded ring of buffers between one producing thread and a few reading threads.
 *
 * Model: the producer fills slots in order; every reader sees every slot, in order, without a copy; a slot is reused
 * once all readers have moved past it. Memory is RING_SLOTS * RING_SLOT_SIZE whatever passes through.
 *
 * Calling sequence:
 *     producer: while ((slot = ring_get(r))) { fill; ring_put(r, len); }  then ring_end or ring_fail
 *     reader i: while ((n = ring_next(r, i, &data, &len, e)) > 0) use data    valid until the next ring_next of i
 * A reader that gives up calls ring_stop: the producer's ring_get returns NULL and the other readers get -ECANCELED.
 * The first failure (ring_fail or ring_stop) is the one everybody sees through ring_error.
 */
#ifndef RL_ENGINE_ARCHIVE_RING_INT_H
#define RL_ENGINE_ARCHIVE_RING_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/engine/archive.h"

enum { RING_SLOTS = 16, RING_SLOT_SIZE = 512 * 1024, RING_READERS_MAX = 3 };

struct ring {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned char *memory;
	size_t len[RING_SLOTS];
	uint64_t produced;		     /* slots published so far */
	uint64_t released[RING_READERS_MAX]; /* slots reader i is done with */
	bool holding[RING_READERS_MAX];	     /* reader i is looking at slot released[i] */
	size_t nreaders;
	bool ended;
	struct err failure; /* .code != 0: everybody stops */
};

void ring_init(struct ring *r, size_t nreaders);
void ring_free(struct ring *r);

unsigned char *ring_get(struct ring *r); /* RING_SLOT_SIZE bytes to fill, or NULL when stopped */
void ring_put(struct ring *r, size_t len);
void ring_end(struct ring *r);
void ring_fail(struct ring *r, const struct err *cause); /* also what a reader calls to stop everybody */

int ring_next(struct ring *r, size_t reader, const unsigned char **ret_data, size_t *ret_len, struct err *e) RL_CHECK;
/* The failure everybody saw, copied into e; 0 if there was none. */
int ring_error(struct ring *r, struct err *e);

/* A thread that is one of the readers and computes the SHA-256 of all that passes: ring_hash is its start routine, and
 * the digest is there when it has ended. */
struct ring_hasher {
	struct ring *ring;
	size_t reader;
	pthread_t thread;
	char digest[ARCHIVE_DIGEST_SIZE];
};
void *ring_hash(void *hasher);

#endif
