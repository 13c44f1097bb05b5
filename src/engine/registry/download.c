/*
 * download.c - one file from an address that a person named, for ADD and import.
 *
 * Nothing says beforehand what the file is, so there is nothing to verify it by. What has to be kept apart is one version
 * of it from another: bytes of two would be an archive that nobody ever made. A transfer that broke is therefore gone on
 * with under If-Range, which a server answers with the rest of the same version or with all of the new one, and a whole
 * answer is only skipped into if it has the same validator. Without one the file is fetched from its beginning again,
 * which needs a descriptor that can go back.
 *
 *     address -> endpoint of its own scheme -> exchange (http.c: redirects, proxies, retries) -> bytes from pos on -> fd
 */
#include "registry_int.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { PROGRESS_MS = 100, VALIDATOR_MAX = 256 };

struct download {
	struct registry_download *d;
	uint64_t pos;	/* bytes that fd has */
	uint64_t skip;	/* bytes of this answer that fd has already */
	uint64_t total; /* 0: the server did not say */
	uint64_t max;
	char *validator; /* of the version at hand: a strong ETag, else Last-Modified; NULL: none */
	int64_t told_at;
	bool done;
};

/* RFC 9110, 8.8.1: a weak ETag does not say that two versions have the same bytes. What becomes a header of ours is one
 * line of bounded length. */
static const char *validator_of(const struct http_reply *reply)
{
	const char *text = reply->etag && reply->etag[0] == '"' ? reply->etag : reply->last_modified;
	size_t n = text ? strlen(text) : 0;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return NULL;
	return n <= VALIDATOR_MAX ? text : NULL;
}

static void tell(struct download *f, bool always)
{
	int64_t now = now_ms();
	if (!f->d->progress || (!always && now - f->told_at < PROGRESS_MS))
		return;
	f->told_at = now;
	f->d->progress(f->d->progress_arg, f->pos, f->total);
}

/* From byte 0, where the descriptor can do that. */
static bool start_over(struct download *f)
{
	if (f->pos && (ftruncate(f->d->fd, 0) < 0 || lseek(f->d->fd, 0, SEEK_SET) < 0))
		return false;
	f->pos = 0;
	return true;
}

static void prepare(struct http_xfer *x)
{
	struct download *f = x->user;
	strv_free(&x->headers);
	strv_add(&x->headers, "Accept-Encoding: identity");
	f->skip = 0;
	if (!f->pos || !f->validator)
		return;
	strv_addf(&x->headers, "Range: bytes=%" PRIu64 "-", f->pos);
	strv_addf(&x->headers, "If-Range: %s", f->validator);
}

static int take_whole_answer(struct http_xfer *x, struct download *f)
{
	const char *validator = validator_of(&x->reply);
	if (f->pos && f->validator && validator && str_eq(f->validator, validator)) {
		f->skip = f->pos;
	} else if (!start_over(f)) {
		return http_refuse(x, ESTALE, "the transfer broke after %" PRIu64 " bytes, and the server %s", f->pos,
				   f->validator ? "has another file now" : "cannot go on with it");
	}
	free(f->validator);
	f->validator = validator ? xstrdup(validator) : NULL;
	f->total = x->reply.content_length > 0 ? (uint64_t)x->reply.content_length : 0;
	f->d->modified = http_date(x->reply.last_modified);
	return f->total <= f->max
		       ? 0
		       : http_refuse(x, EFBIG, "%" PRIu64 " bytes, at most %" PRIu64 " are taken", f->total, f->max);
}

static int on_head(struct http_xfer *x)
{
	struct download *f = x->user;
	uint64_t first, last, total;
	if (x->reply.status == 200)
		return take_whole_answer(x, f);
	if (x->reply.status != 206)
		return http_refuse(x, EPROTO, "unexpected status %ld for a file", x->reply.status);
	if (!f->pos || !http_content_range(x->reply.content_range, &first, &last, &total) || first != f->pos ||
	    (f->total && last != f->total - 1) || (total != UINT64_MAX && last != total - 1))
		return http_refuse(x, ERANGE, "the server answered with another range than asked for");
	return 0;
}

static int on_body(struct http_xfer *x, const void *data, size_t len)
{
	struct download *f = x->user;
	size_t skip = (size_t)RL_MIN(f->skip, (uint64_t)len);
	const char *p = (const char *)data + skip;
	f->skip -= skip;
	len -= skip;
	if (len > f->max - f->pos)
		return http_refuse(x, EFBIG, "more than %" PRIu64 " bytes", f->max);
	err_clear(&x->err);
	int r = io_write_all(f->d->fd, p, len, &x->err);
	if (r < 0)
		return r;
	f->pos += len;
	tell(f, false);
	return 0;
}

static void on_done(struct http_xfer *x)
{
	((struct download *)x->user)->done = true;
}

/* A server is known by its authority; one of http always with the port, so that https of the same name is another. */
static struct http_endpoint *endpoint_of(struct registry *r, const struct url *u)
{
	bool plain = str_eq(u->scheme, "http");
	autofree char *authority = str_eq(u->port, "443") && !plain ? xstrdup(u->host)
								    : xasprintf("%s:%s", u->host, u->port);
	struct http_endpoint *ep = endpoint_get(r, authority, authority, false);
	/* The person wrote http, so http it is, and may stay so. Certificates are looked at where it leads to https. */
	if (plain)
		ep->plain = ep->insecure = ep->decided = true;
	return ep;
}

static int run(struct registry *r, struct download *f, const struct url *u, struct err *e)
{
	struct http_xfer *x = http_new(r, endpoint_of(r, u), NULL, "GET", xstrdup(u->text));
	x->user = f;
	x->stream = x->no_registry = true;
	x->prepare = prepare;
	x->on_head = on_head;
	x->on_body = on_body;
	x->on_done = on_done;
	http_start(x);
	int n = http_loop(r, &f->done, e);
	if (n < 0) {
		http_abandon(x);
	} else if (x->result < 0) {
		n = x->result;
		if (e)
			*e = x->err;
	} else if (f->skip) {
		n = err_set(e, EIO, "%s: the file became shorter while it was fetched", x->ep->shown);
	} else {
		tell(f, true);
	}
	http_free(x);
	return n;
}

int registry_download(struct registry *r, struct registry_download *d, struct err *e)
{
	struct download f = {.d = d, .max = d->max ? d->max : (uint64_t)IMGSPEC_BLOB_MAX};
	autourl struct url u = {.text = NULL};
	const char *host = strstr(d->url, "://");
	d->modified = -1;
	/* Said here, because what parses addresses would quote the password. */
	if (host && memchr(host + 3, '@', strcspn(host + 3, "/?#"))) {
		err_set(e, EINVAL, "a user name in an address is not taken");
		return err_hint(e, "fetch the file with a program that has credentials, and give it to rl");
	}
	int n = url_resolve(NULL, d->url, &u, e);
	if (n == 0)
		n = run(r, &f, &u, e);
	free(f.validator);
	return n;
}
