/*
 * compress.c - archive_compress: bytes that are there already through the sink of the packer.
 *
 * This thread reads into the ring, the sink compresses (with more threads) and writes. Nothing is parsed, so no
 * confinement is needed; the caller knows the digest of what goes in.
 */
#include <sched.h>
#include <string.h>

#include "pack_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { COMPRESS_THREADS_MAX = 8 };

static int feed(struct ring *ring, int infd, struct digest *d, struct err *e)
{
	for (;;) {
		unsigned char *slot = ring_get(ring);
		if (!slot)
			return 0; /* the sink failed and says why */
		ssize_t n = io_read_full(infd, slot, RING_SLOT_SIZE, e);
		if (n < 0) {
			ring_fail(ring, e);
			return (int)n;
		}
		if (n == 0)
			break;
		digest_add(d, slot, (size_t)n);
		ring_put(ring, (size_t)n);
	}
	ring_end(ring);
	return 0;
}

int archive_compress(int infd, int outfd, enum archive_compression compression, int level,
		     struct archive_compressed *ret, struct err *e)
{
	cpu_set_t set;
	struct ring ring;
	struct digest digest = DIGEST_INIT;
	struct err local = ERR_INIT;
	struct pack_sink sink = {
		.ring = &ring, .outfd = outfd, .compression = compression, .level = level, .threads = 1};
	int r = pack_check_level(compression, level, e);
	if (r < 0)
		return r;
	if (!e)
		e = &local; /* the ring keeps a copy of the cause */
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		sink.threads = RL_MAX(1, RL_MIN(CPU_COUNT(&set), (int)COMPRESS_THREADS_MAX));
	ring_init(&ring, 1);
	r = pack_sink_start(&sink, e);
	if (r >= 0) {
		digest_begin(&digest);
		r = feed(&ring, infd, &digest, e);
		pack_sink_join(&sink);
		digest_end(&digest, ret->in_digest);
		if (r >= 0)
			r = ring_error(&ring, e);
	}
	digest_free(&digest);
	ring_free(&ring);
	if (r < 0)
		return r;
	ret->size = sink.blob_size;
	memcpy(ret->digest, *sink.blob_digest ? sink.blob_digest : ret->in_digest, sizeof(ret->digest));
	return 0;
}
