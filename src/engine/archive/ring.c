#include "ring_int.h"

#include <errno.h>
#include <string.h>

#include "rl/base/digest.h"
#include "rl/base/mem.h"

void ring_init(struct ring *r, size_t nreaders)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->memory = xmalloc((size_t)RING_SLOTS * RING_SLOT_SIZE);
	r->nreaders = nreaders;
}

void ring_free(struct ring *r)
{
	free(take_ptr(&r->memory));
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

static bool has_free_slot(const struct ring *r)
{
	for (size_t i = 0; i < r->nreaders; i++)
		if (r->produced - r->released[i] >= RING_SLOTS)
			return false;
	return true;
}

unsigned char *ring_get(struct ring *r)
{
	pthread_mutex_lock(&r->lock);
	while (!r->failure.code && !has_free_slot(r))
		pthread_cond_wait(&r->changed, &r->lock);
	unsigned char *slot = r->failure.code ? NULL : r->memory + (r->produced % RING_SLOTS) * RING_SLOT_SIZE;
	pthread_mutex_unlock(&r->lock);
	return slot;
}

void ring_put(struct ring *r, size_t len)
{
	if (!len)
		return;
	pthread_mutex_lock(&r->lock);
	r->len[r->produced % RING_SLOTS] = len;
	r->produced++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void ring_end(struct ring *r)
{
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void ring_fail(struct ring *r, const struct err *cause)
{
	pthread_mutex_lock(&r->lock);
	if (!r->failure.code) {
		r->failure = *cause;
		if (!r->failure.code)
			r->failure.code = EIO;
	}
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

int ring_error(struct ring *r, struct err *e)
{
	pthread_mutex_lock(&r->lock);
	int code = r->failure.code;
	if (code && e)
		*e = r->failure;
	pthread_mutex_unlock(&r->lock);
	return -code;
}

int ring_next(struct ring *r, size_t reader, const unsigned char **ret_data, size_t *ret_len, struct err *e)
{
	pthread_mutex_lock(&r->lock);
	if (r->holding[reader]) {
		r->holding[reader] = false;
		r->released[reader]++;
		pthread_cond_broadcast(&r->changed);
	}
	while (!r->failure.code && r->released[reader] == r->produced && !r->ended)
		pthread_cond_wait(&r->changed, &r->lock);
	int result = 0;
	if (r->failure.code) {
		if (e)
			*e = r->failure;
		result = -r->failure.code;
	} else if (r->released[reader] < r->produced) {
		size_t slot = r->released[reader] % RING_SLOTS;
		*ret_data = r->memory + slot * RING_SLOT_SIZE;
		*ret_len = r->len[slot];
		r->holding[reader] = true;
		result = 1;
	}
	pthread_mutex_unlock(&r->lock);
	return result;
}

void *ring_hash(void *hasher)
{
	struct ring_hasher *h = hasher;
	struct digest d = DIGEST_INIT;
	const unsigned char *data = NULL;
	size_t len = 0;
	digest_begin(&d);
	while (ring_next(h->ring, h->reader, &data, &len, NULL) > 0)
		digest_add(&d, data, len);
	digest_end(&d, h->digest);
	digest_free(&d);
	return NULL;
}
