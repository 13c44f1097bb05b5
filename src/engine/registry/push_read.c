/*
 * push_read.c - the bytes of an upload: from a file or what produces them into chunks and requests, hashed once; see
 * push.c.
 */
#include "push_int.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/mem.h"

enum { FILL_AT_ONCE = 1 << 20, PUSH_PROGRESS_MS = 100 };

void push_tell(struct push *j, enum registry_state state, bool always)
{
	const struct registry_transfer *t = j->run->t;
	int64_t now = now_ms();
	if (!t->progress || (!always && now - j->told_at < PUSH_PROGRESS_MS))
		return;
	j->told_at = now;
	t->progress(t->progress_arg, j->index, state, RL_MAX(j->sent, j->span_at), j->ended ? j->total : j->u->size);
}

int push_check_read(struct push *j)
{
	const struct registry_upload *u = j->u;
	if (j->digest[0])
		return 0;
	digest_end(&j->hash, j->digest);
	if (u->digest && (!str_eq(u->digest, j->digest) || u->size != j->total))
		return err_set(&j->err, EBADMSG, "blob %.19s is not what its descriptor says (%" PRIu64 " bytes, %s)",
			       u->digest, j->total, j->digest);
	return 0;
}

static ssize_t span_read(struct http_xfer *x, void *buf, size_t len)
{
	struct push *j = push_of(x);
	size_t n = (size_t)RL_MIN((uint64_t)len, j->span_to - j->span_at);
	if (!n)
		return 0;
	if (!push_is_file(j)) {
		memcpy(buf, j->sending.buf + (j->span_at - j->sending.at), n);
	} else {
		ssize_t got = pread(j->u->fd, buf, n, (off_t)j->span_at);
		if (got <= 0) {
			err_sys(&x->err, got < 0 ? errno : EIO, "read the blob to upload");
			return -x->err.code;
		}
		n = (size_t)got;
		if (j->hashed == j->span_at) {
			digest_add(&j->hash, buf, n);
			j->hashed += n;
		}
	}
	j->span_at += n;
	push_tell(j, REGISTRY_RUNNING, false);
	return (ssize_t)n;
}

static int span_rewind(struct http_xfer *x)
{
	push_of(x)->span_at = push_of(x)->span_from;
	return 0;
}

void push_set_span(struct push *j, struct http_xfer *x, uint64_t from, uint64_t to)
{
	j->span_from = j->span_at = from;
	j->span_to = to;
	x->source = (struct http_source){.read = span_read, .rewind = span_rewind, .size = (int64_t)(to - from)};
	x->stream = true;
	x->once = true;
	x->stall = HTTP_UPLOAD_STALL;
	strv_add(&x->headers, "Content-Type: application/octet-stream");
}

int push_fill(struct push *j)
{
	struct chunk *c = &j->filling;
	size_t budget = FILL_AT_ONCE;
	j->task.fd = -1;
	if (!c->buf)
		c->buf = xmalloc(j->chunk_size);
	while (!j->ended && c->len < j->chunk_size && budget) {
		size_t want = RL_MIN(budget, j->chunk_size - c->len);
		ssize_t n = j->u->read(j->u->arg, c->buf + c->len, want);
		if (n == -EAGAIN && j->u->wait_fd >= 0) {
			j->task.fd = j->u->wait_fd;
			return 0;
		}
		if (n < 0 || (size_t)n > want)
			return err_sys(&j->err, n < 0 ? (int)-n : EIO, "produce the blob to upload");
		if (n == 0) {
			j->ended = true;
			j->total = j->hashed;
			break;
		}
		digest_add(&j->hash, c->buf + c->len, (size_t)n);
		j->hashed += (size_t)n;
		c->len += (size_t)n;
		budget -= (size_t)n;
	}
	j->task.due = !j->ended && c->len < j->chunk_size;
	return 0;
}

int push_hash_file(struct push *j)
{
	unsigned char *buf = xmalloc(256 << 10);
	int r = 0;
	while (r == 0 && j->hashed < j->total) {
		ssize_t n = pread(j->u->fd, buf, 256 << 10, (off_t)j->hashed);
		if (n <= 0) {
			r = err_sys(&j->err, n < 0 ? errno : EIO, "read the blob to upload");
			break;
		}
		digest_add(&j->hash, buf, (size_t)n);
		j->hashed += (size_t)n;
	}
	free(buf);
	return r;
}
