/*
 * pack_gzip.c - one gzip member made by several threads; part of pack_int.h.
 *
 * Theory: the stream is cut into blocks (the ring's slots, which are always full but for the last). Each block is
 * deflated on its own, with the 32 KiB before it as dictionary, and ends byte-aligned (sync flush), so that the pieces
 * can be put one behind the other; an empty final block and the CRC, combined from the blocks' own, close the member.
 * The result is a function of the data and the level, not of the number of threads or of timing.
 *
 * Two deflaters: ISA-L, several times as fast, for the default level; zlib for the levels 1 to 9. ISA-L's output
 * depends on what the CPU can do, zlib's does not.
 *
 * Threads: this one (the sink's) copies slots into jobs; workers take jobs in order; a writer thread writes finished
 * jobs in order. A job slot is reused when it is written, so memory is bounded by JOBS_MAX blocks.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zlib.h>

#if __has_include(<isa-l/igzip_lib.h>)
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#define HAVE_ISAL 1
#else
#define HAVE_ISAL 0
#endif

#include "pack_int.h"
#include "rl/base/mem.h"

enum {
	WORKERS_MAX = 8,
	JOBS_MAX = 2 * WORKERS_MAX,
	DICT_SIZE = 32 * 1024,
	OUT_SIZE = RING_SLOT_SIZE + RING_SLOT_SIZE / 8 + 4096,
	ISAL_LEVEL = 1,
};

enum job_state { JOB_FREE, JOB_FULL, JOB_BUSY, JOB_DONE };

struct job {
	enum job_state state;
	unsigned char *in; /* DICT_SIZE bytes of dictionary, then the block */
	unsigned char *out;
	size_t dict_len;
	size_t in_len;
	size_t out_len;
	uint32_t crc;
	bool failed;
};

struct pool {
	struct pack_sink *sink;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job jobs[JOBS_MAX];
	size_t njobs;
	uint64_t filled;  /* jobs given out so far */
	uint64_t taken;	  /* jobs workers have taken */
	uint64_t written; /* jobs written */
	bool ended;	  /* no more will be filled */
	bool failed;
	struct err failure;
	uint32_t crc;
	uint64_t total;
};

/* ---- deflating one block ---- */

#if HAVE_ISAL
struct isal_space {
	struct isal_zstream stream;
	unsigned char level_buf[ISAL_DEF_LVL1_DEFAULT];
};

static bool deflate_isal(struct job *j, struct isal_space *space)
{
	struct isal_zstream *z = &space->stream;
	isal_deflate_init(z);
	z->level = ISAL_LEVEL;
	z->level_buf = space->level_buf;
	z->level_buf_size = sizeof(space->level_buf);
	z->flush = SYNC_FLUSH;
	z->end_of_stream = 0;
	z->gzip_flag = IGZIP_DEFLATE;
	if (j->dict_len && isal_deflate_set_dict(z, j->in + DICT_SIZE - j->dict_len, (uint32_t)j->dict_len) != COMP_OK)
		return false;
	z->next_in = j->in + DICT_SIZE;
	z->avail_in = (uint32_t)j->in_len;
	z->next_out = j->out;
	z->avail_out = OUT_SIZE;
	int r = isal_deflate(z);
	j->out_len = OUT_SIZE - z->avail_out;
	j->crc = crc32_gzip_refl(0, j->in + DICT_SIZE, j->in_len);
	return r == COMP_OK && z->avail_in == 0 && z->avail_out > 0;
}
#endif

static bool deflate_zlib(struct job *j, int level)
{
	z_stream z = {.next_in = NULL};
	if (deflateInit2(&z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	bool ok = !j->dict_len || deflateSetDictionary(&z, j->in + DICT_SIZE - j->dict_len, (uInt)j->dict_len) == Z_OK;
	z.next_in = j->in + DICT_SIZE;
	z.avail_in = (uInt)j->in_len;
	z.next_out = j->out;
	z.avail_out = OUT_SIZE;
	ok = ok && deflate(&z, Z_SYNC_FLUSH) == Z_OK && z.avail_in == 0 && z.avail_out > 0;
	j->out_len = OUT_SIZE - z.avail_out;
	deflateEnd(&z);
	j->crc = (uint32_t)crc32(0, j->in + DICT_SIZE, (uInt)j->in_len);
	return ok;
}

static bool has_isal_default(const struct pack_sink *s)
{
	return HAVE_ISAL && s->level == 0;
}

static void *worker_main(void *arg)
{
	struct pool *p = arg;
	int level = p->sink->level ? p->sink->level : 6;
#if HAVE_ISAL
	autofree struct isal_space *space = xmalloc(sizeof(*space));
#endif
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->failed && p->taken == p->filled && !p->ended)
			pthread_cond_wait(&p->changed, &p->lock);
		if (p->failed || p->taken == p->filled)
			break;
		struct job *j = &p->jobs[p->taken++ % p->njobs];
		j->state = JOB_BUSY;
		pthread_mutex_unlock(&p->lock);
#if HAVE_ISAL
		bool ok = has_isal_default(p->sink) ? deflate_isal(j, space) : deflate_zlib(j, level);
#else
		bool ok = deflate_zlib(j, level);
#endif
		pthread_mutex_lock(&p->lock);
		j->failed = !ok;
		j->state = JOB_DONE;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- writing in order ---- */

static int write_job(struct pool *p, const struct job *j, struct err *e)
{
	if (j->failed)
		return err_set(e, EIO, "gzip: compression failed");
	p->crc = (uint32_t)crc32_combine(p->crc, j->crc, (z_off_t)j->in_len);
	p->total += j->in_len;
	return pack_sink_write(p->sink, j->out, j->out_len, e);
}

static void *writer_main(void *arg)
{
	struct pool *p = arg;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct job *j = &p->jobs[p->written % p->njobs];
		while (!p->failed && !(p->written < p->filled && j->state == JOB_DONE) &&
		       !(p->ended && p->written == p->filled))
			pthread_cond_wait(&p->changed, &p->lock);
		if (p->failed || p->written == p->filled)
			break;
		pthread_mutex_unlock(&p->lock);
		struct err e = ERR_INIT;
		int r = write_job(p, j, &e);
		pthread_mutex_lock(&p->lock);
		if (r < 0 && !p->failed) {
			p->failed = true;
			p->failure = e;
		}
		j->state = JOB_FREE;
		p->written++;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- filling ---- */

/* Returns 1, or 0 when the pool has failed. */
static int fill_job(struct pool *p, const unsigned char *data, size_t len, unsigned char *dict, size_t *dict_len)
{
	pthread_mutex_lock(&p->lock);
	struct job *j = &p->jobs[p->filled % p->njobs];
	while (!p->failed && j->state != JOB_FREE)
		pthread_cond_wait(&p->changed, &p->lock);
	bool failed = p->failed;
	pthread_mutex_unlock(&p->lock);
	if (failed)
		return 0;
	memcpy(j->in + DICT_SIZE - *dict_len, dict, *dict_len);
	memcpy(j->in + DICT_SIZE, data, len);
	j->dict_len = *dict_len;
	j->in_len = len;
	*dict_len = RL_MIN(len, (size_t)DICT_SIZE);
	memcpy(dict, data + len - *dict_len, *dict_len);
	pthread_mutex_lock(&p->lock);
	j->state = JOB_FULL;
	p->filled++;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return 1;
}

static int feed(struct pool *p, struct err *e)
{
	const unsigned char *data;
	size_t len;
	size_t dict_len = 0;
	autofree unsigned char *dict = xmalloc(DICT_SIZE);
	int r;
	while ((r = ring_next(p->sink->ring, p->sink->reader, &data, &len, e)) > 0)
		if (!fill_job(p, data, len, dict, &dict_len))
			return 0;
	return r;
}

static void finish(struct pool *p, bool failed, const struct err *why)
{
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	if (failed && !p->failed) {
		p->failed = true;
		p->failure = *why;
	}
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static int write_trailer(struct pool *p, struct err *e)
{
	/* An empty final block with fixed codes, then CRC and length, little endian. */
	unsigned char t[10] = {0x03, 0x00};
	for (int i = 0; i < 4; i++) {
		t[2 + i] = (unsigned char)(p->crc >> (8 * i));
		t[6 + i] = (unsigned char)(p->total >> (8 * i));
	}
	return pack_sink_write(p->sink, t, sizeof(t), e);
}

static void pool_free(struct pool *p)
{
	for (size_t i = 0; i < p->njobs; i++) {
		free(p->jobs[i].in);
		free(p->jobs[i].out);
	}
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int pack_gzip_run(struct pack_sink *s, struct err *e)
{
	static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
	int r = pack_sink_write(s, header, sizeof(header), e);
	if (r < 0)
		return r;
	struct pool *p = xcalloc(1, sizeof(*p));
	size_t wanted = (size_t)RL_MIN(RL_MAX(s->threads, 1), (int)WORKERS_MAX);
	p->sink = s;
	p->njobs = 2 * wanted;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	for (size_t i = 0; i < p->njobs; i++) {
		p->jobs[i].in = xmalloc(DICT_SIZE + RING_SLOT_SIZE);
		p->jobs[i].out = xmalloc(OUT_SIZE);
	}
	pthread_t workers[WORKERS_MAX];
	pthread_t writer;
	size_t started = 0;
	r = -pthread_create(&writer, NULL, writer_main, p);
	bool has_writer = r == 0;
	while (r == 0 && started < wanted && (r = -pthread_create(&workers[started], NULL, worker_main, p)) == 0)
		started++;
	if (r < 0 && !(has_writer && started))
		err_sys(e, -r, "start a thread");
	else
		r = feed(p, e);
	finish(p, r < 0, e);
	for (size_t i = 0; i < started; i++)
		pthread_join(workers[i], NULL);
	if (has_writer)
		pthread_join(writer, NULL);
	if (r == 0 && p->failed) {
		*e = p->failure;
		r = -e->code;
	}
	if (r == 0)
		r = write_trailer(p, e);
	pool_free(p);
	return r;
}
