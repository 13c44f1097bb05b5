/*
 * source_int.h - the first thread of every reader of archives: blob in, tar stream out.
 *
 * Model: source_run reads the blob to its end, digests and tees its bytes, finds the compression by its first bytes,
 * inflates into the ring and ends or fails the ring. It runs on its own thread (source_start, source_join), and the
 * results are valid after source_join returned 0.
 *
 * Compressed forms: gzip of one or more members, zstd of one or more frames (skippable ones too), plain. xz, bzip2,
 * lz4, compress and lzip are named and refused (-EOPNOTSUPP). Bytes behind the last member that are no member are
 * -EBADMSG, and so is every stream that ends early.
 */
#ifndef RL_ENGINE_ARCHIVE_SOURCE_INT_H
#define RL_ENGINE_ARCHIVE_SOURCE_INT_H

#include <pthread.h>
#include <stdint.h>

#include "ring_int.h"
#include "rl/base/digest.h"
#include "rl/engine/archive.h"

struct source {
	/* set by the caller */
	int blobfd;
	int teefd;	    /* -1: none */
	int feedfd;	    /* -1: the blob is whole; else it grows, see rl/engine/archive.h */
	uint64_t feed_size; /* with feedfd */
	uint64_t max_tar;   /* 0: none */
	uint64_t max_ratio; /* 0: none */
	struct ring *ring;
	bool use_zlib; /* inflate gzip with zlib although ISA-L is there */
	/* results */
	enum archive_compression compression;
	uint64_t blob_size;
	uint64_t tar_size;
	char blob_digest[ARCHIVE_DIGEST_SIZE]; /* "" for plain blobs (it is the tar's digest) and fed ones */
	/* private */
	pthread_t thread;
	struct digest digest;
	unsigned char *input;
	unsigned char *in; /* unread input: in[0..in_len) */
	size_t in_len;
	bool at_end;
	uint64_t announced;  /* bytes of a growing blob that may be read */
	unsigned char *slot; /* being filled */
	size_t slot_len;
};

int source_start(struct source *s, struct err *e) RL_CHECK;
/* The thread ends when the blob ends or the ring has failed (what it reads from must not stall for ever then: a
 * descriptor is all it waits for). */
void source_join(struct source *s);

#endif
