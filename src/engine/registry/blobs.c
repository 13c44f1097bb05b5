/*
 * blobs.c - fetching blobs: several at once, verified as they stream, resumable, with receivers that may be slow.
 *
 * Each blob is a job; its position `pos` counts the bytes that have been hashed and written to the partial file, in
 * order, each once. Bytes the receiver (sink) has not taken yet are in `pending`, at most one network buffer; while
 * there are any, the transfer is paused and nothing is read from the network.
 *
 *     WAITING -> CHECKING (bytes of the partial file, through hash and sink) -> RUNNING -> DRAINING (sink) -> DONE
 *                                                          ^ retry, other place: goes on at pos
 *
 * A server that ignores Range sends everything again: the first pos bytes are skipped, not believed. A server that
 * answers with another range, or says it cannot, is asked again without Range. More bytes than the descriptor says end
 * the job at once; fewer count as a broken transfer. A wrong digest empties the partial file; if bytes of it were old,
 * or there is another place to ask, the job starts over once from byte 0, provided the sink can.
 */
#include "registry_int.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"

enum { CHECK_CHUNK = 256 << 10, PROGRESS_MS = 100 };

enum phase { PHASE_WAITING, PHASE_CHECKING, PHASE_RUNNING, PHASE_DRAINING, PHASE_ENDED };

struct run;

struct job {
	struct http_task task; /* first: tasks are jobs */
	struct run *run;
	struct registry_blob *b;
	size_t index;
	enum phase phase;
	struct http_xfer *x;
	struct digest hash;
	uint64_t pos;	  /* bytes hashed and stored */
	uint64_t on_disk; /* bytes the partial file had at the beginning */
	uint64_t skip;	  /* bytes of this answer that we have already */
	unsigned char *pending;
	size_t pending_at, pending_len, pending_size;
	bool no_range; /* this place does not do ranges */
	bool restarted;
	size_t tried; /* places tried */
	int fd;
	int64_t told_at;
	struct err err;
};

struct run {
	struct registry_repo *repo;
	const struct registry_transfer *t;
	struct place **order;
	size_t norder;
	struct job *jobs;
	size_t n, next, active, parallel;
	bool done, stopping;
	bool watch_failed; /* result and err are the watcher's */
	int result;
	struct err err;
};

struct watcher {
	struct http_task task; /* first */
	struct run *run;
};

static void job_begin(struct job *j);
static void job_end(struct job *j, int result);
static void request_done(struct http_xfer *x);

static void tell(struct job *j, enum registry_state state, bool always)
{
	const struct registry_transfer *t = j->run->t;
	int64_t now = now_ms();
	if (!t->progress || (!always && now - j->told_at < PROGRESS_MS))
		return;
	j->told_at = now;
	t->progress(t->progress_arg, j->index, state, j->pos, j->b->size);
}

static int job_error(struct job *j, int code, const char *what)
{
	const char *host = j->x ? j->x->ep->shown : j->run->repo->name;
	err_clear(&j->err);
	return err_set(&j->err, code, "%s: blob %.19s: %s", host, j->b->digest, what);
}

/* ---- the sink ---- */

/* Give the sink what is pending. 1: all taken, 0: it is full, -errno. */
static int flush(struct job *j)
{
	const struct registry_sink *s = j->b->sink;
	while (j->pending_len) {
		ssize_t n = s->write(s->arg, j->pending + j->pending_at, j->pending_len);
		if (n == -EAGAIN && s->wait_fd >= 0) {
			j->task.fd = s->wait_fd;
			return 0;
		}
		if (n <= 0 || (size_t)n > j->pending_len)
			return err_sys(&j->err, n < 0 ? (int)-n : EIO, "receiver of blob %.19s", j->b->digest);
		j->pending_at += (size_t)n;
		j->pending_len -= (size_t)n;
	}
	j->pending_at = 0;
	j->task.fd = -1;
	return 1;
}

static int give(struct job *j, const unsigned char *p, size_t len)
{
	const struct registry_sink *s = j->b->sink;
	while (s && len) {
		ssize_t n = s->write(s->arg, p, len);
		if (n == -EAGAIN && s->wait_fd >= 0)
			break;
		if (n <= 0 || (size_t)n > len)
			return err_sys(&j->err, n < 0 ? (int)-n : EIO, "receiver of blob %.19s", j->b->digest);
		p += n;
		len -= (size_t)n;
	}
	if (!s || !len)
		return 0;
	if (len > j->pending_size) {
		free(j->pending);
		j->pending = xmalloc(len);
		j->pending_size = len;
	}
	memcpy(j->pending, p, len);
	j->pending_at = 0;
	j->pending_len = len;
	j->task.fd = s->wait_fd;
	return 0;
}

/* ---- bytes ---- */

static int store(struct job *j, const unsigned char *p, size_t len)
{
	uint64_t at = j->pos;
	while (len) {
		ssize_t n = pwrite(j->fd, p, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(&j->err, errno, "write blob %.19s", j->b->digest);
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* New bytes from the network, or (fresh false) from the partial file. */
static int take(struct job *j, const unsigned char *p, size_t len, bool fresh)
{
	if (len > j->b->size - j->pos)
		return job_error(j, EBADMSG, "longer than its descriptor says");
	digest_add(&j->hash, p, len);
	int r = fresh && j->fd >= 0 ? store(j, p, len) : 0;
	if (r < 0)
		return r;
	j->pos += len;
	tell(j, fresh ? REGISTRY_RUNNING : REGISTRY_CHECKING, false);
	return give(j, p, len);
}

/* ---- the request ---- */

static struct job *job_of(struct http_xfer *x)
{
	return x->user;
}

static void prepare(struct http_xfer *x)
{
	struct job *j = job_of(x);
	strv_free(&x->headers);
	strv_add(&x->headers, "Accept-Encoding: identity");
	j->skip = 0;
	if (j->pos && !j->no_range)
		strv_addf(&x->headers, "Range: bytes=%" PRIu64 "-", j->pos);
	if (j->phase == PHASE_RUNNING)
		tell(j, REGISTRY_RUNNING, true);
}

/* The rest of this blob? */
static bool is_our_range(const struct job *j, const char *text)
{
	uint64_t first, last, total;
	return http_content_range(text, &first, &last, &total) && first == j->pos && last == j->b->size - 1 &&
	       (total == UINT64_MAX || total == j->b->size);
}

static int on_head(struct http_xfer *x)
{
	struct job *j = job_of(x);
	if (x->reply.status == 206) {
		if (is_our_range(j, x->reply.content_range) && !j->no_range)
			return 0;
		return http_refuse(x, ERANGE, "the registry answered with another range than asked for");
	}
	if (x->reply.status != 200)
		return http_refuse(x, EPROTO, "unexpected status %ld for a blob", x->reply.status);
	if (x->reply.content_length >= 0 && (uint64_t)x->reply.content_length != j->b->size)
		return http_refuse(x, EBADMSG, "blob %.19s has %" PRId64 " bytes, its descriptor says %" PRIu64,
				   j->b->digest, x->reply.content_length, j->b->size);
	j->skip = j->pos;
	return 0;
}

static int on_body(struct http_xfer *x, const void *data, size_t len)
{
	struct job *j = job_of(x);
	const unsigned char *p = data;
	/* Once paused, libcurl gives the same bytes again when resumed: nothing of them may be used up yet. */
	if (j->pending_len) {
		int r = flush(j);
		if (r <= 0)
			return r == 0 ? HTTP_PAUSE : (x->err = j->err, r);
	}
	size_t skip = (size_t)RL_MIN(j->skip, (uint64_t)len);
	j->skip -= skip;
	int r = take(j, p + skip, len - skip, true);
	if (r < 0)
		x->err = j->err;
	return r;
}

static void request(struct job *j, struct place *p)
{
	struct registry_repo *repo = j->run->repo;
	http_free(j->x);
	j->x = http_new(repo->r, p->ep, p->auth, "GET", xasprintf("/v2/%s/blobs/%s", p->path, j->b->digest));
	j->x->user = j;
	j->x->stream = true;
	j->x->pausable = j->b->sink && j->b->sink->wait_fd >= 0;
	j->x->prepare = prepare;
	j->x->on_head = on_head;
	j->x->on_body = on_body;
	j->x->on_done = request_done;
	if (p->is_mirror)
		j->x->retries = RL_MIN(j->x->retries, 1);
	j->no_range = false;
	j->phase = PHASE_RUNNING;
	http_start(j->x);
}

/* ---- ends ---- */

/* From byte 0, at the next place if `other`. False: impossible. */
static bool start_over(struct job *j, bool other)
{
	const struct registry_sink *s = j->b->sink;
	struct run *run = j->run;
	if (j->restarted || (other && j->tried >= run->norder))
		return false;
	if (s && (!s->restart || s->restart(s->arg) < 0))
		return false;
	if (j->fd >= 0 && ftruncate(j->fd, 0) < 0)
		return false;
	log_debug(LOG_REGISTRY, "%s: starting over", j->b->digest);
	j->restarted = true;
	j->pos = j->on_disk = j->pending_len = 0;
	j->b->resumed = 0;
	digest_begin(&j->hash);
	if (other)
		request(j, run->order[j->tried++]);
	else
		request(j, run->order[j->tried - 1]);
	return true;
}

/* All bytes are here and the sink has them. */
static void verify(struct job *j)
{
	char digest[IMGREF_DIGEST_SIZE];
	digest_end(&j->hash, digest);
	if (str_eq(digest, j->b->digest)) {
		job_end(j, 0);
		return;
	}
	bool old_bytes = j->on_disk > 0;
	if (old_bytes && !j->tried)
		j->tried = 1;
	if (start_over(j, !old_bytes))
		return;
	err_clear(&j->err);
	err_set(&j->err, EBADMSG, "%s: blob %s has other contents (%s)", j->x ? j->x->ep->shown : "partial file",
		j->b->digest, digest);
	if (j->fd >= 0 && ftruncate(j->fd, 0) < 0)
		log_debug(LOG_REGISTRY, "cannot empty the partial file of %s", j->b->digest);
	job_end(j, -EBADMSG);
}

/* Bytes are complete; wait for the sink if it must be waited for. */
static void complete(struct job *j)
{
	int r = j->pending_len ? flush(j) : 1;
	if (r < 0) {
		job_end(j, r);
		return;
	}
	j->phase = PHASE_DRAINING;
	if (r == 1)
		verify(j);
}

static void failed(struct job *j, int result)
{
	struct run *run = j->run;
	struct http_xfer *x = j->x;
	err_clear(&j->err);
	/* This place does not do ranges: the whole blob again then, skipping what we have. */
	if ((result == -ERANGE || x->reply.status == 416) && j->pos && !j->no_range && http_again(x, true)) {
		j->no_range = true;
		return;
	}
	if (result == -EBADMSG && start_over(j, true))
		return;
	if (is_failover(result) && result != -EBADMSG && j->tried < run->norder && x->err.code) {
		log_debug(LOG_REGISTRY, "%s: %s", j->b->digest, x->err.text);
		request(j, run->order[j->tried++]);
		return;
	}
	j->err = x->err;
	if (result == -EBADMSG && j->fd >= 0 && ftruncate(j->fd, 0) < 0)
		log_debug(LOG_REGISTRY, "cannot empty the partial file of %s", j->b->digest);
	job_end(j, result);
}

static void request_done(struct http_xfer *x)
{
	struct job *j = job_of(x);
	if (x->result < 0) {
		if (j->err.code && j->err.code != EBADMSG) /* sink or disk: no other place makes that better */
			job_end(j, -j->err.code);
		else
			failed(j, x->result);
		return;
	}
	if (j->pos == j->b->size) {
		complete(j);
		return;
	}
	err_clear(&x->err);
	x->result = err_set(&x->err, EIO, "%s: blob %.19s ends after %" PRIu64 " of %" PRIu64 " bytes", x->ep->shown,
			    j->b->digest, j->pos, j->b->size);
	if (http_again(x, false))
		tell(j, REGISTRY_RETRYING, true);
	else
		failed(j, x->result);
}

static void job_end(struct job *j, int result)
{
	struct run *run = j->run;
	const struct registry_sink *s = j->b->sink;
	j->phase = PHASE_ENDED;
	j->b->result = result;
	http_task_remove(run->repo->r, &j->task);
	if (j->x)
		http_abandon(j->x);
	free(j->pending);
	j->pending = NULL;
	j->pending_len = 0;
	digest_free(&j->hash);
	run->active--;
	tell(j, result < 0 ? REGISTRY_FAILED : REGISTRY_DONE, true);
	if (s && s->done)
		s->done(s->arg, result);
	if (result < 0 && run->result == 0) {
		run->result = result;
		run->err = j->err;
		run->stopping = !run->t->keep_going;
	}
	if (!run->stopping)
		while (run->next < run->n && run->active < run->parallel)
			job_begin(&run->jobs[run->next++]);
	run->done = run->stopping || (run->active == 0 && run->next == run->n);
}

/* ---- beginnings ---- */

/* The next piece of the partial file, unless the sink is full. */
static void check_more(struct job *j)
{
	unsigned char *buf = xmalloc(CHECK_CHUNK);
	ssize_t n = pread(j->fd, buf, RL_MIN((uint64_t)CHECK_CHUNK, j->on_disk - j->pos), (off_t)j->pos);
	int r = n > 0 ? take(j, buf, (size_t)n, false) : err_sys(&j->err, n < 0 ? errno : EIO, "read the partial blob");
	free(buf);
	if (r < 0)
		job_end(j, r);
}

static void after_check(struct job *j)
{
	if (j->pos == j->b->size)
		complete(j);
	else
		request(j, j->run->order[j->tried++]);
}

static void run_task(struct http_task *t)
{
	struct job *j = (struct job *)t;
	int r = j->pending_len ? flush(j) : 1;
	if (r < 0) {
		job_end(j, r);
		return;
	}
	if (r == 0)
		return;
	switch (j->phase) {
	case PHASE_CHECKING:
		if (j->pos < j->on_disk)
			check_more(j);
		if (j->phase != PHASE_CHECKING)
			return;
		if (j->pos == j->on_disk)
			after_check(j);
		else
			j->task.due = j->pending_len == 0;
		return;
	case PHASE_RUNNING:
		http_resume(j->x);
		return;
	case PHASE_DRAINING:
		verify(j);
		return;
	case PHASE_WAITING:
	case PHASE_ENDED:
		return;
	}
}

static int open_partial(struct job *j)
{
	struct stat st;
	if (j->b->partial_fd <= 0)
		return 0;
	j->fd = j->b->partial_fd;
	if (fstat(j->fd, &st) < 0)
		return err_sys(&j->err, errno, "stat the partial file of %.19s", j->b->digest);
	if (!S_ISREG(st.st_mode))
		return err_set(&j->err, EINVAL, "the partial file of %.19s is no regular file", j->b->digest);
	if ((uint64_t)st.st_size > j->b->size) {
		/* Not a beginning of this blob. */
		if (ftruncate(j->fd, 0) < 0)
			return err_sys(&j->err, errno, "empty the partial file of %.19s", j->b->digest);
		st.st_size = 0;
	}
	j->on_disk = j->b->resumed = (uint64_t)st.st_size;
	return 0;
}

static void job_begin(struct job *j)
{
	j->run->active++;
	digest_begin(&j->hash);
	http_task_add(j->run->repo->r, &j->task);
	int r = 0;
	if (!imgref_is_digest(j->b->digest) || j->b->size > (uint64_t)IMGSPEC_BLOB_MAX)
		r = err_set(&j->err, EINVAL, "\"%.80s\" with %" PRIu64 " bytes is no blob", j->b->digest, j->b->size);
	if (r == 0)
		r = open_partial(j);
	if (r < 0) {
		job_end(j, r);
		return;
	}
	j->phase = PHASE_CHECKING;
	j->task.due = true;
	if (j->on_disk)
		tell(j, REGISTRY_CHECKING, true);
}

/* The place that served the manifest first, then the others. */
static int blob_order(struct registry_repo *repo, struct run *run, struct err *e)
{
	if (!repo->norder) {
		int r = repo_order(repo, true, e);
		if (r < 0)
			return r;
	}
	run->order = xcalloc(repo->norder + 1, sizeof(*run->order));
	if (repo->served)
		run->order[run->norder++] = repo->served;
	for (size_t i = 0; i < repo->norder; i++)
		if (repo->order[i] != repo->served)
			run->order[run->norder++] = repo->order[i];
	return 0;
}

static void run_watch(struct http_task *t)
{
	struct run *run = ((struct watcher *)t)->run;
	struct err own = ERR_INIT;
	int r = run->t->watch(run->t->watch_arg, &own);
	if (r >= 0 || run->watch_failed)
		return;
	run->result = r;
	run->err = own;
	run->watch_failed = run->stopping = run->done = true;
}

static void break_off(struct run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		struct job *j = &run->jobs[i];
		const struct registry_sink *s = j->b->sink;
		bool ended = j->phase == PHASE_ENDED;
		http_task_remove(run->repo->r, &j->task);
		http_free(j->x);
		free(j->pending);
		digest_free(&j->hash);
		if (ended)
			continue;
		j->b->result = -ECANCELED;
		if (s && s->done)
			s->done(s->arg, -ECANCELED);
	}
}

int registry_fetch_all(struct registry_repo *repo, struct registry_blob *blobs, size_t n,
		       const struct registry_transfer *t, struct err *e)
{
	struct run run = {.repo = repo, .t = t, .n = n};
	if (!n)
		return 0;
	int r = blob_order(repo, &run, e);
	if (r < 0)
		return r;
	run.parallel = t->parallel ? RL_MIN(t->parallel, (unsigned)REGISTRY_PARALLEL_MAX) : REGISTRY_PARALLEL_DEFAULT;
	run.jobs = xcalloc(n, sizeof(*run.jobs));
	for (size_t i = 0; i < n; i++) {
		run.jobs[i] = (struct job){
			.task = {.fd = -1, .events = CURL_WAIT_POLLOUT, .run = run_task},
			.run = &run,
			.b = &blobs[i],
			.index = i,
			.fd = -1,
		};
		blobs[i].result = -ECANCELED;
		blobs[i].resumed = 0;
	}
	struct watcher watcher = {.task = {.fd = t->watch_fd, .events = CURL_WAIT_POLLIN, .run = run_watch},
				  .run = &run};
	if (t->watch)
		http_task_add(repo->r, &watcher.task);
	while (run.next < n && run.active < run.parallel && !run.done)
		job_begin(&run.jobs[run.next++]);
	r = run.done ? 0 : http_loop(repo->r, &run.done, e);
	if (t->watch)
		http_task_remove(repo->r, &watcher.task);
	break_off(&run);
	if (r == 0 && run.result < 0) {
		r = run.result;
		if (e)
			*e = run.err;
		if (!run.watch_failed)
			err_ctx(e, "%s", repo->name);
	}
	free(run.jobs);
	free(run.order);
	return r;
}
