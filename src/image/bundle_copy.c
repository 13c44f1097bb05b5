/*
 * bundle_copy.c - a blob from the store to where a save goes, hashed on its way; see image_int.h.
 *
 * Hashing takes as long as reading and writing, so a thread does it while the next bytes are copied. What is hashed is
 * what was written: both are done from the same buffer, which is filled again only after both.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/digest.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { COPY_CHUNK = 512 << 10, COPY_BUFFERS = 4 };

struct copy {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *buffers[COPY_BUFFERS];
	size_t len[COPY_BUFFERS];
	uint64_t filled; /* buffers read so far */
	uint64_t hashed;
	bool ended;
	char digest[DIGEST_SIZE];
};

/* 1 and a buffer to hash, or 0 at the end. */
static int next_buffer(struct copy *c, size_t *ret)
{
	pthread_mutex_lock(&c->lock);
	while (c->hashed == c->filled && !c->ended)
		pthread_cond_wait(&c->changed, &c->lock);
	int r = c->hashed < c->filled;
	*ret = c->hashed % COPY_BUFFERS;
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void *hash_main(void *arg)
{
	struct copy *c = arg;
	struct digest d = DIGEST_INIT;
	size_t i;
	digest_begin(&d);
	while (next_buffer(c, &i)) {
		digest_add(&d, c->buffers[i], c->len[i]);
		pthread_mutex_lock(&c->lock);
		c->hashed++;
		pthread_cond_signal(&c->changed);
		pthread_mutex_unlock(&c->lock);
	}
	digest_end(&d, c->digest);
	digest_free(&d);
	return NULL;
}

static char *free_buffer(struct copy *c)
{
	pthread_mutex_lock(&c->lock);
	while (c->filled - c->hashed == COPY_BUFFERS)
		pthread_cond_wait(&c->changed, &c->lock);
	char *buffer = c->buffers[c->filled % COPY_BUFFERS];
	pthread_mutex_unlock(&c->lock);
	return buffer;
}

static void put_buffer(struct copy *c, size_t len)
{
	pthread_mutex_lock(&c->lock);
	c->len[c->filled++ % COPY_BUFFERS] = len;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void end_buffers(struct copy *c)
{
	pthread_mutex_lock(&c->lock);
	c->ended = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static int copy_all(struct copy *c, int from, int to, const struct bundle_blob *blob, struct err *e)
{
	for (int64_t done = 0; done < blob->size;) {
		char *buffer = free_buffer(c);
		ssize_t n = io_read_full(from, buffer, (size_t)RL_MIN((int64_t)COPY_CHUNK, blob->size - done), e);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return err_set(e, EBADMSG, "blob %s is too short", blob->digest);
		put_buffer(c, (size_t)n);
		int r = io_write_all(to, buffer, (size_t)n, e);
		if (r < 0)
			return r;
		done += n;
		if (blob->progress)
			blob->progress(blob->arg, (uint64_t)done, (uint64_t)blob->size);
	}
	return 0;
}

int bundle_copy(int from, int to, const struct bundle_blob *blob, struct err *e)
{
	struct copy c = {.filled = 0};
	pthread_t hasher;
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.changed, NULL);
	for (size_t i = 0; i < COPY_BUFFERS; i++)
		c.buffers[i] = xmalloc(COPY_CHUNK);
	int r = pthread_create(&hasher, NULL, hash_main, &c);
	if (r) {
		r = err_sys(e, r, "start a thread");
	} else {
		r = copy_all(&c, from, to, blob, e);
		end_buffers(&c);
		pthread_join(hasher, NULL);
	}
	if (r >= 0 && !str_eq(c.digest, blob->digest)) {
		r = err_set(e, EBADMSG, "blob %s is damaged: its digest is %s", blob->digest, c.digest);
		err_hint(e, "pull or load the image again; that mends it");
	}
	for (size_t i = 0; i < COPY_BUFFERS; i++)
		free(c.buffers[i]);
	pthread_cond_destroy(&c.changed);
	pthread_mutex_destroy(&c.lock);
	return r;
}
