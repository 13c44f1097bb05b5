/*
 * source.c - see source_int.h.
 *
 * Theory: this thread is the longest stage of an import (inflating costs more than anything else), so it does nothing
 * that another one could do: it inflates straight into the slots of the ring, and the digest of the tar stream belongs
 * to a reader of the ring. Only the compressed bytes, less than half as many, are digested here, while they are in the
 * cache.
 *
 * gzip comes in two implementations with one shape, a step that turns input into output: ISA-L, about three times as
 * fast, and zlib where ISA-L is not built. Neither is trusted with where a member ends: the step reports it, and what
 * follows must be the magic of another member or the end of the blob.
 *
 * Input that was read ahead into the inflater's bit buffer is given back by stepping the read pointer backwards; the
 * buffer keeps INPUT_KEEP bytes of the previous fill in front of the current one, so that this works across fills.
 *
 * Failure policy: every failure goes into the ring, where the other threads and source_join's caller find it.
 */
#include "source_int.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#if __has_include(<isa-l/igzip_lib.h>)
#include <isa-l/igzip_lib.h>
#define HAVE_ISAL 1
#else
#define HAVE_ISAL 0
#endif

#include "rl/base/io.h"
#include "rl/base/mem.h"

enum {
	INPUT_SIZE = 256 * 1024,
	INPUT_KEEP = 16,
	MAGIC_SIZE = 6,
	RATIO_FREE = 256 << 20, /* tar bytes below which the ratio does not matter */
	ZSTD_WINDOW_LOG_MAX = 27,
};

/* ---- input ---- */

/* At most how many of `size` bytes may be read now; waits until there are some. 0 at the end. */
static ssize_t readable(struct source *s, size_t size, struct err *e)
{
	if (s->feedfd < 0)
		return (ssize_t)size;
	while (s->announced == s->blob_size && s->blob_size < s->feed_size) {
		uint64_t more = 0;
		ssize_t n = read(s->feedfd, &more, sizeof(more));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(more))
			return err_sys(e, n < 0 ? errno : EPROTO, "wait for more of the blob");
		s->announced += RL_MIN(more, s->feed_size - s->announced);
	}
	return (ssize_t)RL_MIN((uint64_t)size, s->announced - s->blob_size);
}

/* One read of the blob, digested and copied on its way. Returns the number of bytes, 0 at the end. */
static ssize_t read_blob(struct source *s, unsigned char *to, size_t size, struct err *e)
{
	ssize_t n = readable(s, size, e);
	if (n < 0)
		return n;
	if (n > 0) {
		size = (size_t)n;
		do
			n = read(s->blobfd, to, size);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return err_sys(e, errno, "read the blob");
		if (n == 0 && s->feedfd >= 0)
			return err_set(e, EIO, "the blob is shorter than what was announced");
	}
	if (n == 0) {
		s->at_end = true;
		return 0;
	}
	s->blob_size += (uint64_t)n;
	if (s->compression != ARCHIVE_PLAIN && s->feedfd < 0)
		digest_add(&s->digest, to, (size_t)n);
	if (s->teefd >= 0) {
		int r = io_write_all(s->teefd, to, (size_t)n, e);
		if (r < 0) {
			err_ctx(e, "keep a copy of the blob");
			return r != -ENOSPC ? r : err_hint(e, ARCHIVE_NO_SPACE_HINT);
		}
	}
	return n;
}

/* Read more behind what is left. Only called with fewer than INPUT_SIZE bytes left. */
static int fill(struct source *s, struct err *e)
{
	unsigned char *base = s->input + INPUT_KEEP;
	size_t keep = RL_MIN((size_t)INPUT_KEEP, (size_t)(s->in - s->input));
	memmove(base - keep, s->in - keep, keep + s->in_len);
	s->in = base;
	ssize_t n = read_blob(s, base + s->in_len, INPUT_SIZE - s->in_len, e);
	if (n < 0)
		return (int)n;
	s->in_len += (size_t)n;
	return 0;
}

static void consume(struct source *s, size_t n)
{
	s->in += n;
	s->in_len -= n;
}

static const char *refused_compression(const unsigned char *p, size_t n)
{
	static const struct {
		const char *name;
		const char *magic;
		size_t len;
	} table[] = {
		{"xz",
		 "\xfd"
		 "7zXZ",
		 5},
		{"bzip2", "BZh", 3},
		{"lz4", "\x04\x22\x4d\x18", 4},
		{"compress", "\x1f\x9d", 2},
		{"lzip", "LZIP", 4},
		{"zip", "PK\x03\x04", 4},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (n >= table[i].len && memcmp(p, table[i].magic, table[i].len) == 0)
			return table[i].name;
	return NULL;
}

static bool is_zstd_magic(const unsigned char *p, size_t n)
{
	/* Skippable frames, which seekable forms begin with, have magics 0x184d2a50 to 0x184d2a5f. */
	return n >= 4 && (memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0 ||
			  ((p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0));
}

static int detect(struct source *s, struct err *e)
{
	s->compression = ARCHIVE_GZIP; /* anything that makes fill() digest what it reads */
	while (s->in_len < MAGIC_SIZE && !s->at_end) {
		int r = fill(s, e);
		if (r < 0)
			return r;
	}
	if (!s->in_len)
		return err_set(e, EBADMSG, "the archive is empty");
	const char *refused = refused_compression(s->in, s->in_len);
	if (refused) {
		err_set(e, EOPNOTSUPP, "the archive is compressed with %s, which is not supported", refused);
		/* A zip is no compressed tar. */
		return str_eq(refused, "zip") ? -EOPNOTSUPP
					      : err_hint(e, "%s -dc FILE | rl import - NAME (or | rl load)", refused);
	}
	if (s->in_len >= 2 && s->in[0] == 0x1f && s->in[1] == 0x8b)
		return 0;
	s->compression = is_zstd_magic(s->in, s->in_len) ? ARCHIVE_ZSTD : ARCHIVE_PLAIN;
	return 0;
}

/* ---- output ---- */

/* Make room in the current slot. 1: there is some; 0: the ring was stopped. */
static int room(struct source *s)
{
	if (s->slot && s->slot_len < RING_SLOT_SIZE)
		return 1;
	if (s->slot)
		ring_put(s->ring, s->slot_len);
	s->slot = ring_get(s->ring);
	s->slot_len = 0;
	return s->slot ? 1 : 0;
}

static int produced(struct source *s, size_t n, struct err *e)
{
	s->slot_len += n;
	s->tar_size += n;
	if (s->max_tar && s->tar_size > s->max_tar)
		return err_set(e, EFBIG, "the archive unpacks to more than %llu bytes", (unsigned long long)s->max_tar);
	if (s->max_ratio && s->tar_size > RATIO_FREE && s->tar_size / s->max_ratio > s->blob_size) {
		err_set(e, EFBIG, "the archive unpacks to more than %llu times its size",
			(unsigned long long)s->max_ratio);
		return err_hint(e, "this is what a decompression bomb looks like; unpack it by hand if it is not one");
	}
	return 0;
}

static void flush(struct source *s)
{
	if (s->slot)
		ring_put(s->ring, s->slot_len);
	s->slot = NULL;
}

/* ---- the compressions: all return 1 when done, 0 when the ring was stopped ---- */

static int run_plain(struct source *s, struct err *e)
{
	/* The bytes detect() looked at; everything after them is read where the readers want it. */
	if (!room(s))
		return 0;
	memcpy(s->slot, s->in, s->in_len);
	int r = produced(s, s->in_len, e);
	consume(s, s->in_len);
	while (r == 0 && !s->at_end) {
		if (!room(s))
			return 0;
		ssize_t n = read_blob(s, s->slot + s->slot_len, RING_SLOT_SIZE - s->slot_len, e);
		r = n < 0 ? (int)n : produced(s, (size_t)n, e);
	}
	return r < 0 ? r : 1;
}

static int run_zstd(struct source *s, struct err *e)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	if (!ctx)
		return err_sys(e, ENOMEM, "zstd");
	int r = 1;
	size_t state = 0; /* 0 at frame boundaries */
	ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	for (bool more_output = false;;) {
		if (!s->in_len && !more_output && !s->at_end && (r = fill(s, e)) < 0)
			break;
		if (!s->in_len && !more_output && s->at_end) {
			r = state ? err_set(e, EBADMSG, "the zstd stream is truncated") : 1;
			break;
		}
		r = room(s);
		if (!r)
			break;
		ZSTD_inBuffer in = {s->in, s->in_len, 0};
		ZSTD_outBuffer out = {s->slot + s->slot_len, RING_SLOT_SIZE - s->slot_len, 0};
		state = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(state)) {
			r = err_set(e, EBADMSG, "the zstd stream is corrupt: %s", ZSTD_getErrorName(state));
			break;
		}
		more_output = state && out.pos == out.size;
		consume(s, in.pos);
		r = produced(s, out.pos, e);
		if (r < 0)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return r;
}

/* One step of a gzip inflater: uses s->in and fills the slot. Returns 1 at the end of a member, 0 otherwise. */
struct inflater {
	void *state;
	int (*step)(struct source *s, void *state, size_t *ret_produced, struct err *e);
	void (*reset)(void *state);
};

#if HAVE_ISAL
static int isal_step(struct source *s, void *state, size_t *ret_produced, struct err *e)
{
	struct inflate_state *st = state;
	unsigned char *in = s->in;
	st->next_in = in;
	st->avail_in = (uint32_t)s->in_len;
	st->next_out = s->slot + s->slot_len;
	st->avail_out = (uint32_t)(RING_SLOT_SIZE - s->slot_len);
	int r = isal_inflate(st);
	if (r == ISAL_INCORRECT_CHECKSUM)
		return err_set(e, EBADMSG, "the gzip stream is corrupt: wrong checksum");
	if (r < 0 || r == ISAL_NEED_DICT)
		return err_set(e, EBADMSG, "the gzip stream is corrupt");
	*ret_produced = (size_t)(st->next_out - (s->slot + s->slot_len));
	consume(s, (size_t)(st->next_in - in));
	if (st->block_state != ISAL_BLOCK_FINISH)
		return 0;
	size_t ahead = (size_t)RL_MAX(st->read_in_length, 0) / 8;
	s->in -= ahead;
	s->in_len += ahead;
	return 1;
}

static void isal_reset(void *state)
{
	struct inflate_state *st = state;
	isal_inflate_reset(st);
	st->crc_flag = ISAL_GZIP;
}
#endif

static int zlib_step(struct source *s, void *state, size_t *ret_produced, struct err *e)
{
	z_stream *z = state;
	z->next_in = s->in;
	z->avail_in = (uInt)s->in_len;
	z->next_out = s->slot + s->slot_len;
	z->avail_out = (uInt)(RING_SLOT_SIZE - s->slot_len);
	int r = inflate(z, Z_NO_FLUSH);
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return err_set(e, EBADMSG, "the gzip stream is corrupt%s%s", z->msg ? ": " : "", z->msg ? z->msg : "");
	*ret_produced = (size_t)(z->next_out - (s->slot + s->slot_len));
	consume(s, (size_t)(z->next_in - s->in));
	return r == Z_STREAM_END;
}

static void zlib_reset(void *state)
{
	inflateReset(state);
}

/* Between two members: 1 when another one follows, 0 at the end of the blob. */
static int next_member(struct source *s, struct err *e)
{
	while (s->in_len < 2 && !s->at_end) {
		int r = fill(s, e);
		if (r < 0)
			return r;
	}
	if (!s->in_len)
		return 0;
	if (s->in_len < 2 || s->in[0] != 0x1f || s->in[1] != 0x8b)
		return err_set(e, EBADMSG, "garbage after the end of the gzip stream");
	return 1;
}

static int run_inflater(struct source *s, const struct inflater *inf, struct err *e)
{
	for (;;) {
		int r = room(s);
		if (r <= 0)
			return r;
		size_t before = s->in_len;
		size_t n = 0;
		int ended = inf->step(s, inf->state, &n, e);
		if (ended < 0)
			return ended;
		r = produced(s, n, e);
		if (r < 0)
			return r;
		if (ended) {
			r = next_member(s, e);
			if (r < 0)
				return r;
			if (r == 0)
				return 1;
			inf->reset(inf->state);
			continue;
		}
		if (n || s->in_len != before)
			continue;
		/* No progress: it wants input. (A full slot cannot be the reason: room() made some.) */
		if (s->at_end)
			return err_set(e, EBADMSG, "the gzip stream is truncated");
		r = fill(s, e);
		if (r < 0)
			return r;
	}
}

static int run_gzip(struct source *s, struct err *e)
{
#if HAVE_ISAL
	if (!s->use_zlib) {
		autofree struct inflate_state *state = xmalloc(sizeof(*state));
		isal_inflate_init(state);
		state->crc_flag = ISAL_GZIP;
		return run_inflater(s, &(struct inflater){state, isal_step, isal_reset}, e);
	}
#endif
	z_stream z = {.next_in = NULL};
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return err_sys(e, ENOMEM, "zlib");
	int r = run_inflater(s, &(struct inflater){&z, zlib_step, zlib_reset}, e);
	inflateEnd(&z);
	return r;
}

static int run_all(struct source *s, struct err *e)
{
	int r = detect(s, e);
	if (r < 0)
		return r;
	switch (s->compression) {
	case ARCHIVE_PLAIN:
		return run_plain(s, e);
	case ARCHIVE_GZIP:
		return run_gzip(s, e);
	case ARCHIVE_ZSTD:
		return run_zstd(s, e);
	case ARCHIVE_COMPRESSION_N:
		break;
	}
	return err_set(e, EINVAL, "compression %d", (int)s->compression);
}

static void *source_main(void *arg)
{
	struct source *s = arg;
	struct err e = ERR_INIT;
	s->input = xmalloc(INPUT_KEEP + INPUT_SIZE);
	s->in = s->input + INPUT_KEEP;
	digest_begin(&s->digest);
	int r = run_all(s, &e);
	if (r < 0) {
		ring_fail(s->ring, &e);
	} else if (r > 0) {
		flush(s);
		ring_end(s->ring);
	}
	if (s->compression == ARCHIVE_PLAIN || s->feedfd >= 0)
		s->blob_digest[0] = '\0';
	else
		digest_end(&s->digest, s->blob_digest);
	digest_free(&s->digest);
	free(take_ptr(&s->input));
	return NULL;
}

int source_start(struct source *s, struct err *e)
{
	int r = pthread_create(&s->thread, NULL, source_main, s);
	return r ? err_sys(e, r, "start a thread") : 0;
}

void source_join(struct source *s)
{
	pthread_join(s->thread, NULL);
}
