/*
 * push.c - uploading blobs, several at once, and manifests.
 *
 *     HEAD (there already? done) -> POST (mounted? done) -> PATCH ... PATCH -> PUT ?digest=
 *                                        ^                    | broken: GET the upload: how far did it come?
 *                                        +---- upload gone ---+
 * A blob that is complete in one chunk is sent with the final PUT, without PATCH.
 *
 * A regular file is sent in one PATCH from where the registry is; it can be read again at any place. What comes from a
 * `read` callback is collected in chunks: one is sent while the next is filled, and a chunk is kept until the registry
 * has it, so that a broken connection can be resumed inside it. If the registry loses the upload after that, the blob
 * has to be produced again and the job fails.
 *
 * PATCH and PUT are not repeated blindly (`once`): the registry is asked first what it has. After a PUT whose answer
 * was lost, HEAD tells whether the blob arrived. The digest is computed while reading, each byte once; a file that is
 * not what its descriptor says is never committed.
 */
#include "push_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"

static void push_begin(struct push *j);
static void step_head(struct push *j, enum step as);
static void step_post(struct push *j);
static void step_send(struct push *j);
static void step_status(struct push *j);
static void step_put(struct push *j, bool with_body);

/* What the registry is asked for. */
static const char *wanted_digest(const struct push *j)
{
	return j->u->digest ? j->u->digest : j->digest[0] ? j->digest : j->u->known_digest;
}

static void push_end(struct push *j, int result, bool existed)
{
	struct push_run *run = j->run;
	j->step = STEP_END;
	j->u->result = result;
	j->u->existed = existed;
	http_task_remove(run->repo->r, &j->task);
	if (j->x)
		http_abandon(j->x);
	free(j->filling.buf);
	free(j->sending.buf);
	j->filling.buf = j->sending.buf = NULL;
	if (result == 0) {
		memcpy(j->u->ret_digest, wanted_digest(j), IMGREF_DIGEST_SIZE);
		j->u->ret_size = !existed ? j->total : j->u->digest ? j->u->size : j->u->known_size;
	}
	run->active--;
	push_tell(j, result < 0 ? REGISTRY_FAILED : existed ? REGISTRY_EXISTS : REGISTRY_DONE, true);
	if (result < 0 && run->result == 0) {
		run->result = result;
		run->err = j->err;
		run->stopping = !run->t->keep_going;
	}
	if (!run->stopping)
		while (run->next < run->n && run->active < run->parallel)
			push_begin(&run->jobs[run->next++]);
	run->done = run->stopping || (run->active == 0 && run->next == run->n);
}

static void push_fail(struct push *j, const struct err *why)
{
	if (why != &j->err)
		j->err = *why;
	push_end(j, -j->err.code, false);
}

static struct http_xfer *request(struct push *j, const char *method, char *target, void (*on_done)(struct http_xfer *))
{
	http_free(j->x);
	j->x = http_new(j->run->repo->r, j->run->place->ep, j->run->place->auth, method, target);
	j->x->user = j;
	j->x->on_done = on_done;
	return j->x;
}

/* Is this failure one of the way, after which the registry may be asked how things stand? Counts it. */
static bool may_go_on(struct push *j, int result)
{
	bool way = result == -ECONNRESET || result == -ETIMEDOUT || result == -ECONNREFUSED || result == -EIO ||
		   result == -EAGAIN || j->x->reply.status == 416;
	return way && (int)++j->failures <= j->run->repo->r->o.retries;
}

static void push_task(struct http_task *t)
{
	struct push *j = (struct push *)t;
	if (push_fill(j) < 0)
		push_fail(j, &j->err);
	else if (j->step == STEP_SEND)
		step_send(j);
}

/* ---- steps ---- */

static int set_location(struct push *j)
{
	autourl struct url to = {.text = NULL};
	struct http_xfer *x = j->x;
	if (!x->reply.location)
		return j->location ? 0 : err_set(&j->err, EPROTO, "%s: upload without a Location", x->ep->shown);
	int r = url_resolve(x->url.text, x->reply.location, &to, &j->err);
	if (r < 0)
		return err_ctx(&j->err, "%s: Location of an upload", x->ep->shown);
	free(j->location);
	j->location = take_ptr(&to.text);
	return 0;
}

static void head_found(struct push *j, const struct http_xfer *x)
{
	const struct registry_upload *u = j->u;
	bool by_guess = !u->digest && j->step == STEP_HEAD;
	uint64_t size = u->digest ? u->size : by_guess ? u->known_size : j->total;
	if (x->reply.content_length < 0 || (uint64_t)x->reply.content_length == size) {
		push_end(j, 0, j->step == STEP_HEAD);
	} else if (by_guess) {
		step_post(j);
	} else {
		/* HEAD of a blob must say its size; one that says another size is a broken blob or a lie. */
		err_set(&j->err, EBADMSG, "%s: has a blob %.19s of %" PRId64 " bytes instead of %" PRIu64, x->ep->shown,
			wanted_digest(j), x->reply.content_length, size);
		push_fail(j, &j->err);
	}
}

static void head_done(struct http_xfer *x)
{
	struct push *j = push_of(x);
	if (x->result == 0)
		head_found(j, x);
	else if (j->step == STEP_LOST)
		step_status(j);
	else if (x->result == -ECANCELED || x->result == -EACCES || x->result == -EPERM)
		push_fail(j, &x->err);
	else
		step_post(j);
}

static void step_head(struct push *j, enum step as)
{
	j->step = as;
	http_start(request(j, "HEAD", xasprintf("/v2/%s/blobs/%s", j->run->place->path, wanted_digest(j)), head_done));
}

static void post_done(struct http_xfer *x)
{
	struct push *j = push_of(x);
	bool mounting = j->u->mount_from && j->u->digest && !j->no_mount;
	if (x->result < 0) {
		if (mounting && x->result != -ECANCELED) {
			j->no_mount = true;
			step_post(j);
			return;
		}
		push_fail(j, &x->err);
		return;
	}
	if (mounting && x->reply.status == 201) {
		if (x->reply.digest && !str_eq(x->reply.digest, j->u->digest)) {
			err_set(&j->err, EBADMSG, "%s: mounted %.80s instead of %s", x->ep->shown, x->reply.digest,
				j->u->digest);
			push_fail(j, &j->err);
			return;
		}
		push_end(j, 0, true);
		return;
	}
	j->sent = 0;
	j->no_mount = true;
	if (x->reply.chunk_min > REGISTRY_CHUNK && !j->filling.buf)
		j->chunk_size = (size_t)RL_MIN(x->reply.chunk_min, (int64_t)CHUNK_LIMIT);
	if (set_location(j) < 0)
		push_fail(j, &j->err);
	else
		step_send(j);
}

static struct auth_ctx *mount_auth(struct push *j)
{
	struct place *p = j->run->place;
	if (!j->mount_auth) {
		j->mount_auth = auth_new(j->run->repo->r, p->ep, p->name);
		strv_add_all(&j->mount_auth->scopes, &p->auth->scopes);
		strv_addf(&j->mount_auth->scopes, "repository:%s:pull", j->u->mount_from);
	}
	return j->mount_auth;
}

static void step_post(struct push *j)
{
	const struct registry_upload *u = j->u;
	autostr struct str target = STR_INIT;
	bool mounting = u->mount_from && u->digest && !j->no_mount;
	str_addf(&target, "/v2/%s/blobs/uploads/", j->run->place->path);
	if (mounting) {
		str_adds(&target, "?mount=");
		url_escape(&target, u->digest);
		str_adds(&target, "&from=");
		url_escape(&target, u->mount_from);
	}
	j->step = STEP_POST;
	struct http_xfer *x = request(j, "POST", str_take(&target), post_done);
	if (mounting)
		x->auth = mount_auth(j);
	push_tell(j, REGISTRY_RUNNING, true);
	http_start(x);
}

/* "0-N" or "bytes=0-N": bytes the registry has. Distribution says "0-0" for none. */
static uint64_t bytes_in_range(const char *text)
{
	uint64_t last;
	const char *dash = text ? strchr(text, '-') : NULL;
	if (!dash || str_to_u64(dash + 1, INT64_MAX, "Range", &last, NULL) < 0)
		return UINT64_MAX;
	return last ? last + 1 : 0;
}

static void patch_done(struct http_xfer *x)
{
	struct push *j = push_of(x);
	if (x->result < 0) {
		if (may_go_on(j, x->result))
			step_status(j);
		else
			push_fail(j, &x->err);
		return;
	}
	uint64_t has = bytes_in_range(x->reply.range);
	j->sent = has >= j->span_from && has < j->span_to ? has : j->span_to;
	if (set_location(j) < 0)
		push_fail(j, &j->err);
	else
		step_send(j);
}

static void send_patch(struct push *j, uint64_t to)
{
	struct http_xfer *x = request(j, "PATCH", xstrdup(j->location), patch_done);
	push_set_span(j, x, j->sent, to);
	strv_addf(&x->headers, "Content-Range: %" PRIu64 "-%" PRIu64, j->sent, to - 1);
	j->step = STEP_PATCH;
	http_start(x);
}

/* Whatever is to be done next with a running upload of which the registry has `sent` bytes. */
static void step_send(struct push *j)
{
	struct chunk *s = &j->sending, *f = &j->filling;
	j->step = STEP_SEND;
	if (push_is_file(j)) {
		if (j->sent == 0 && j->total <= REGISTRY_CHUNK && j->u->digest)
			step_put(j, true);
		else if (j->sent < j->total)
			send_patch(j, j->total);
		else
			step_put(j, false);
		return;
	}
	if (j->sent < s->at + s->len) {
		send_patch(j, s->at + s->len);
		return;
	}
	if (!j->ended && f->len < j->chunk_size) {
		/* push_task comes back; it may have stopped at a full chunk before. */
		j->task.due = j->task.fd < 0;
		return;
	}
	struct chunk old = *s;
	*s = *f;
	*f = old;
	f->len = 0;
	f->at = s->at + s->len;
	j->task.due = !j->ended;
	if (j->ended && s->at == 0)
		step_put(j, true);
	else if (s->len)
		send_patch(j, s->at + s->len);
	else
		step_put(j, false);
}

/* Everything from byte 0, once more. */
static bool produce_again(struct push *j)
{
	if (!j->u->restart || (int)++j->failures > j->run->repo->r->o.retries || j->u->restart(j->u->arg) < 0)
		return false;
	digest_begin(&j->hash);
	j->hashed = 0;
	j->digest[0] = '\0';
	j->ended = false;
	j->filling.len = j->sending.len = 0;
	j->filling.at = j->sending.at = 0;
	return true;
}

static void status_done(struct http_xfer *x)
{
	struct push *j = push_of(x);
	uint64_t has = bytes_in_range(x->reply.range), low = push_is_file(j) ? 0 : j->sending.at;
	uint64_t high = push_is_file(j) ? j->total : j->sending.at + j->sending.len;
	if (x->result == 0 && has >= low && has <= high) {
		log_debug(LOG_REGISTRY, "upload goes on at byte %" PRIu64, has);
		j->sent = has;
		if (set_location(j) < 0)
			push_fail(j, &j->err);
		else
			step_send(j);
		return;
	}
	/* The upload is gone, or does not say: a new one, if the beginning can still be had. */
	if ((x->result == 0 || x->result == -ENOENT) && (low == 0 || produce_again(j))) {
		free(j->location);
		j->location = NULL;
		step_post(j);
		return;
	}
	if (x->result == 0)
		err_set(&x->err, EPROTO, "%s: does not say how far the upload has come", x->ep->shown);
	push_fail(j, &x->err);
}

static void step_status(struct push *j)
{
	j->step = STEP_STATUS;
	push_tell(j, REGISTRY_RETRYING, true);
	http_start_later(request(j, "GET", xstrdup(j->location), status_done), j->failures);
}

static void put_done(struct http_xfer *x)
{
	struct push *j = push_of(x);
	if (x->result < 0) {
		if (may_go_on(j, x->result) && push_check_read(j) == 0)
			step_head(j, STEP_LOST);
		else
			push_fail(j, j->err.code ? &j->err : &x->err);
		return;
	}
	if (x->reply.digest && !str_eq(x->reply.digest, j->digest)) {
		err_set(&j->err, EBADMSG, "%s: stored the blob as %.80s instead of %s", x->ep->shown, x->reply.digest,
			j->digest);
		push_fail(j, &j->err);
		return;
	}
	push_end(j, 0, false);
}

static void step_put(struct push *j, bool with_body)
{
	autostr struct str target = STR_INIT;
	int r = push_is_file(j) ? push_hash_file(j) : 0;
	if (r == 0)
		r = push_check_read(j);
	if (r < 0) {
		push_fail(j, &j->err);
		return;
	}
	str_addf(&target, "%s%cdigest=", j->location, strchr(j->location, '?') ? '&' : '?');
	url_escape(&target, j->digest);
	struct http_xfer *x = request(j, "PUT", str_take(&target), put_done);
	x->once = true;
	x->stream = true;
	x->stall = HTTP_UPLOAD_STALL;
	if (with_body && j->total)
		push_set_span(j, x, 0, j->total);
	j->step = STEP_PUT;
	http_start(x);
}

/* ---- runs ---- */

static int push_check(struct push *j)
{
	struct registry_upload *u = j->u;
	struct stat st;
	if ((u->digest && !imgref_is_digest(u->digest)) || (u->known_digest && !imgref_is_digest(u->known_digest)))
		return err_set(&j->err, EINVAL, "\"%.80s\" is no digest", wanted_digest(j));
	if (!push_is_file(j))
		return u->read ? 0 : err_set(&j->err, EINVAL, "an upload without a source");
	if (fstat(u->fd, &st) < 0)
		return err_sys(&j->err, errno, "stat the blob to upload");
	if (!S_ISREG(st.st_mode))
		return err_set(&j->err, EINVAL, "the blob to upload is no regular file");
	j->total = (uint64_t)st.st_size;
	j->ended = true;
	if (u->digest && u->size != j->total)
		return err_set(&j->err, EBADMSG, "blob %.19s has %" PRIu64 " bytes, its descriptor says %" PRIu64,
			       u->digest, j->total, u->size);
	return 0;
}

static void push_begin(struct push *j)
{
	j->run->active++;
	digest_begin(&j->hash);
	http_task_add(j->run->repo->r, &j->task);
	if (push_check(j) < 0) {
		push_fail(j, &j->err);
		return;
	}
	/* Producing starts only when it is known that the blob is wanted. */
	if (j->u->digest || j->u->known_digest)
		step_head(j, STEP_HEAD);
	else
		step_post(j);
}

int registry_push_all(struct registry_repo *repo, struct registry_upload *uploads, size_t n,
		      const struct registry_transfer *t, struct err *e)
{
	struct push_run run = {.repo = repo, .t = t, .n = n};
	if (!n)
		return 0;
	if (repo->mode != REGISTRY_PUSH)
		return err_set(e, EINVAL, "%s: not opened for pushing", repo->name);
	int r = repo_order(repo, false, e);
	if (r < 0)
		return r;
	run.place = repo->order[repo->norder - 1];
	run.parallel = t->parallel ? RL_MIN(t->parallel, (unsigned)REGISTRY_PARALLEL_MAX) : REGISTRY_PARALLEL_DEFAULT;
	run.jobs = xcalloc(n, sizeof(*run.jobs));
	for (size_t i = 0; i < n; i++) {
		run.jobs[i] = (struct push){
			.task = {.fd = -1, .events = CURL_WAIT_POLLIN, .run = push_task},
			.run = &run,
			.u = &uploads[i],
			.index = i,
			.chunk_size = REGISTRY_CHUNK,
		};
		uploads[i].result = -ECANCELED;
	}
	while (run.next < n && run.active < run.parallel && !run.done)
		push_begin(&run.jobs[run.next++]);
	r = run.done ? 0 : http_loop(repo->r, &run.done, e);
	for (size_t i = 0; i < n; i++) {
		struct push *j = &run.jobs[i];
		http_task_remove(repo->r, &j->task);
		http_free(j->x);
		auth_free(j->mount_auth);
		free(j->location);
		free(j->filling.buf);
		free(j->sending.buf);
		digest_free(&j->hash);
	}
	free(run.jobs);
	if (r == 0 && run.result < 0) {
		r = run.result;
		if (e)
			*e = run.err;
		err_ctx(e, "%s", repo->name);
	}
	return r;
}
