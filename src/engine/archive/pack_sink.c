/*
 * pack_sink.c - from the ring to the blob; part of pack_int.h. gzip is in pack_gzip.c.
 */
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "pack_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

/*
 * Matches are looked for in 8 MiB, which every reader of the format has to be able to hold, with the search for long ones
 * on: a tree of programs repeats itself over such distances. Of 530 MB of /usr level 2 with it makes 137 MB in 1.7 s of
 * processor time, level 3 without it 151 MB in 2.2 s, and level 3 with it 132 MB in 2.2 s.
 */
enum { ZSTD_OUT_SIZE = 256 * 1024, ZSTD_LEVEL_DEFAULT = 2, ZSTD_JOB_SIZE = 2 << 20, ZSTD_WINDOW_LOG = 23 };

int pack_sink_write(struct pack_sink *s, const void *data, size_t len, struct err *e)
{
	if (s->compression != ARCHIVE_PLAIN)
		digest_add(&s->digest, data, len);
	s->blob_size += len;
	int r = io_write_all(s->outfd, data, len, e);
	return r < 0 ? err_ctx(e, "write the archive") : 0;
}

static int run_plain(struct pack_sink *s, struct err *e)
{
	const unsigned char *data;
	size_t len;
	int r;
	while ((r = ring_next(s->ring, s->reader, &data, &len, e)) > 0) {
		r = pack_sink_write(s, data, len, e);
		if (r < 0)
			return r;
	}
	return r;
}

static int zstd_step(struct pack_sink *s, ZSTD_CCtx *ctx, const void *data, size_t len, ZSTD_EndDirective mode,
		     void *out, struct err *e)
{
	ZSTD_inBuffer in = {data, len, 0};
	for (;;) {
		ZSTD_outBuffer to = {out, ZSTD_OUT_SIZE, 0};
		size_t left = ZSTD_compressStream2(ctx, &to, &in, mode);
		if (ZSTD_isError(left))
			return err_set(e, EIO, "zstd: %s", ZSTD_getErrorName(left));
		int r = to.pos ? pack_sink_write(s, out, to.pos, e) : 0;
		if (r < 0)
			return r;
		if (mode == ZSTD_e_end ? left == 0 : in.pos == in.size)
			return 0;
	}
}

static int run_zstd(struct pack_sink *s, struct err *e)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	autofree void *out = xmalloc(ZSTD_OUT_SIZE);
	if (!ctx)
		return err_sys(e, ENOMEM, "zstd");
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, s->level ? s->level : ZSTD_LEVEL_DEFAULT);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, ZSTD_WINDOW_LOG);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_enableLongDistanceMatching, 1);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	/* Always at least one worker, and a fixed job size: the result then does not depend on how many there are. A
	 * library without threads refuses both and compresses here. */
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_nbWorkers, RL_MAX(s->threads, 1));
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_jobSize, ZSTD_JOB_SIZE);
	const unsigned char *data;
	size_t len;
	int r;
	while ((r = ring_next(s->ring, s->reader, &data, &len, e)) > 0) {
		r = zstd_step(s, ctx, data, len, ZSTD_e_continue, out, e);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = zstd_step(s, ctx, NULL, 0, ZSTD_e_end, out, e);
	ZSTD_freeCCtx(ctx);
	return r;
}

static int run_all(struct pack_sink *s, struct err *e)
{
	switch (s->compression) {
	case ARCHIVE_PLAIN:
		return run_plain(s, e);
	case ARCHIVE_GZIP:
		return pack_gzip_run(s, e);
	case ARCHIVE_ZSTD:
		return run_zstd(s, e);
	case ARCHIVE_COMPRESSION_N:
		break;
	}
	return err_set(e, EINVAL, "compression %d", (int)s->compression);
}

static void *sink_main(void *arg)
{
	struct pack_sink *s = arg;
	struct err e = ERR_INIT;
	digest_begin(&s->digest);
	if (run_all(s, &e) < 0)
		ring_fail(s->ring, &e);
	digest_end(&s->digest, s->blob_digest);
	digest_free(&s->digest);
	if (s->compression == ARCHIVE_PLAIN)
		s->blob_digest[0] = '\0';
	return NULL;
}

int pack_sink_start(struct pack_sink *s, struct err *e)
{
	int r = pthread_create(&s->thread, NULL, sink_main, s);
	return r ? err_sys(e, r, "start a thread") : 0;
}

void pack_sink_join(struct pack_sink *s)
{
	pthread_join(s->thread, NULL);
}
