/*
 * manifest.c - manifests, tags, single questions, and the way from a reference to one platform's image.
 *
 * A manifest is asked for at every place of the repository in turn until one has it. What comes must hash to the digest
 * asked for; by tag, to the digest the place itself announces, if it announces one. The error people see is the one of
 * the registry itself, not of a mirror.
 */
#include "registry_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum { TAGS_PAGE = 1000, TAGS_PAGES_MAX = 2000, TAGS_REPLY_MAX = 16 << 20 };

void registry_manifest_free(struct registry_manifest *m)
{
	str_free(&m->body);
	free(m->media_type);
	free(m->host);
	*m = (struct registry_manifest)REGISTRY_MANIFEST_INIT;
}

static bool is_tag(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
	return n > 0 && n <= IMGREF_TAG_MAX && !s[n] && *s != '.' && *s != '-';
}

int check_which(const char *which, struct err *e)
{
	if (!is_tag(which) && !imgref_is_digest(which))
		return err_set(e, EINVAL, "\"%s\" is neither a tag nor a digest", which);
	return 0;
}

static void accept_all(struct http_xfer *x)
{
	strv_add(&x->headers, "Accept: " IMGSPEC_OCI_INDEX ", " IMGSPEC_OCI_MANIFEST ", " IMGSPEC_DOCKER_LIST
			      ", " IMGSPEC_DOCKER_MANIFEST);
}

static struct http_xfer *manifest_xfer(struct registry_repo *repo, struct place *p, const char *method,
				       const char *which)
{
	struct http_xfer *x = http_new(repo->r, p->ep, p->auth, method,
				       xasprintf("/v2/%s/manifests/%s", p->path, which));
	x->reply_max = IMGSPEC_MANIFEST_MAX;
	/* A mirror that is down must not hold up the registry behind it. */
	if (p->is_mirror)
		x->retries = 0;
	return x;
}

/* "application/json; charset=utf-8" -> "application/json" */
static char *media_type_of(const char *content_type)
{
	if (!content_type)
		return NULL;
	return xstrndup(content_type, strcspn(content_type, "; \t"));
}

static int take_manifest(struct http_xfer *x, const char *which, struct registry_manifest *m, struct err *e)
{
	const char *host = x->ep->shown, *said = x->reply.digest;
	digest_of(x->text.buf, x->text.len, m->digest);
	if (imgref_is_digest(which) && !str_eq(which, m->digest))
		return err_set(e, EBADMSG, "%s: the manifest has digest %s, not %s", host, m->digest, which);
	if (said && imgref_is_digest(said) && !str_eq(said, m->digest))
		return err_set(e, EBADMSG, "%s: the registry announces manifest %s and sends %s", host, said,
			       m->digest);
	m->body = x->text;
	x->text = (struct str)STR_INIT;
	m->media_type = media_type_of(x->reply.content_type);
	m->host = xstrdup(host);
	return 0;
}

static int get_from(struct registry_repo *repo, struct place *p, const char *which, struct registry_manifest *m,
		    struct err *e)
{
	struct http_xfer *x = manifest_xfer(repo, p, "GET", which);
	accept_all(x);
	int r = http_do(x, e);
	if (r == 0)
		r = take_manifest(x, which, m, e);
	http_free(x);
	return r;
}

int registry_get_manifest(struct registry_repo *repo, const char *which, struct registry_manifest *ret_manifest,
			  struct err *e)
{
	int r = check_which(which, e);
	if (r == 0)
		r = repo_order(repo, imgref_is_digest(which), e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < repo->norder; i++) {
		struct registry_manifest m = REGISTRY_MANIFEST_INIT;
		struct err why = ERR_INIT;
		r = get_from(repo, repo->order[i], which, &m, &why);
		if (r == 0) {
			repo->served = repo->order[i];
			*ret_manifest = m;
			return 0;
		}
		log_debug(LOG_REGISTRY, "%s: %s", repo->order[i]->name, why.text);
		if (i + 1 == repo->norder || !is_failover(r)) {
			if (e)
				*e = why;
			return err_ctx(e, "%s%c%s", repo->name, imgref_is_digest(which) ? '@' : ':', which);
		}
	}
	return err_set(e, ENOENT, "%s: no place to fetch it from", repo->name);
}

int registry_head_manifest(struct registry_repo *repo, const char *which, char ret_digest[IMGREF_DIGEST_SIZE],
			   struct err *e)
{
	struct registry_manifest m = REGISTRY_MANIFEST_INIT;
	int r = check_which(which, e);
	if (r == 0)
		r = repo_order(repo, imgref_is_digest(which), e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < repo->norder; i++) {
		struct http_xfer *x = manifest_xfer(repo, repo->order[i], "HEAD", which);
		accept_all(x);
		r = http_do(x, NULL);
		bool said = r == 0 && x->reply.digest && imgref_is_digest(x->reply.digest);
		if (said)
			memcpy(ret_digest, x->reply.digest, IMGREF_DIGEST_SIZE);
		http_free(x);
		if (said)
			return 0;
		if (r == -ECANCELED)
			return err_set(e, ECANCELED, "interrupted");
	}
	/* Nobody told: the whole manifest tells, or the error is its. */
	r = registry_get_manifest(repo, which, &m, e);
	if (r == 0)
		memcpy(ret_digest, m.digest, sizeof(m.digest));
	registry_manifest_free(&m);
	return r;
}

/* ---- images ---- */

void registry_image_free(struct registry_image *i)
{
	registry_manifest_free(&i->index);
	registry_manifest_free(&i->manifest);
	str_free(&i->config);
}

static int choose(const json_t *doc, const struct imgspec_platform *platform, char ret_digest[IMGREF_DIGEST_SIZE],
		  struct err *e)
{
	struct imgspec_index x = {.media_type = NULL};
	int r = imgspec_index_parse(doc, &x, e);
	if (r < 0)
		return r;
	r = imgspec_index_choose(&x, platform, e);
	if (r >= 0) {
		memcpy(ret_digest, x.manifests[r].digest, IMGREF_DIGEST_SIZE);
		r = 0;
	}
	imgspec_index_free(&x);
	return r;
}

static int get_config(struct registry_repo *repo, const json_t *doc, struct str *config, struct err *e)
{
	struct imgspec_manifest m = {.media_type = NULL};
	int r = imgspec_manifest_parse(doc, &m, e);
	if (r < 0)
		return r;
	r = registry_get_blob(repo, m.config.digest, (uint64_t)m.config.size, IMGSPEC_CONFIG_MAX, config, e);
	imgspec_manifest_free(&m);
	return r;
}

/* From `m`, the document the reference led to, to the platform's manifest. */
static int descend(struct registry_repo *repo, const struct imgspec_platform *platform, struct registry_image *i,
		   struct err *e)
{
	for (int depth = 0;; depth++) {
		autojson json_t *doc = NULL;
		enum imgspec_kind kind;
		char digest[IMGREF_DIGEST_SIZE];
		struct registry_manifest m = REGISTRY_MANIFEST_INIT;
		int r = imgspec_kind(i->manifest.body.buf, i->manifest.body.len, i->manifest.media_type, &kind, &doc,
				     e);
		if (r < 0)
			return r;
		if (kind == IMGSPEC_MANIFEST)
			return get_config(repo, doc, &i->config, e);
		if (depth >= IMGSPEC_DEPTH_MAX)
			return err_set(e, EBADMSG, "more than %d indexes inside each other", IMGSPEC_DEPTH_MAX);
		r = choose(doc, platform, digest, e);
		if (r == 0)
			r = registry_get_manifest(repo, digest, &m, e);
		if (r < 0)
			return r;
		if (i->index.body.len)
			registry_manifest_free(&i->manifest);
		else
			i->index = i->manifest;
		i->manifest = m;
	}
}

int registry_get_image(struct registry_repo *repo, const char *which, const struct imgspec_platform *platform,
		       struct registry_image *ret_image, struct err *e)
{
	struct registry_image i = REGISTRY_IMAGE_INIT;
	const char *os, *arch, *variant;
	imgspec_host_platform(&os, &arch, &variant);
	autofree char *o = xstrdup(os);
	autofree char *a = xstrdup(arch);
	autofree char *v = variant ? xstrdup(variant) : NULL;
	struct imgspec_platform here = {.os = o, .architecture = a, .variant = v};
	int r = registry_get_manifest(repo, which, &i.manifest, e);
	if (r < 0)
		return r;
	r = descend(repo, platform ? platform : &here, &i, e);
	if (r < 0) {
		registry_image_free(&i);
		return err_ctx(e, "%s", repo->name);
	}
	*ret_image = i;
	return 0;
}

/* ---- tags ---- */

static int add_page(const struct http_xfer *x, struct strv *out, size_t *ret_new, struct err *e)
{
	autojson json_t *doc = NULL;
	json_t *tags = NULL, *tag;
	size_t k, before = out->count;
	int r = json_parse(x->text.buf, x->text.len, "list of tags", &doc, e);
	if (r == 0 && !json_is_object(doc))
		r = err_set(e, EBADMSG, "list of tags: not an object");
	if (r == 0)
		r = json_get_array(doc, "tags", &tags, e);
	if (r < 0)
		return err_ctx(e, "%s", x->ep->shown);
	json_array_foreach (tags, k, tag) {
		if (!json_is_string(tag) || !is_tag(json_string_value(tag)))
			return err_set(e, EBADMSG, "%s: list of tags: something that is no tag", x->ep->shown);
		if (out->count >= REGISTRY_TAGS_MAX)
			return err_set(e, EFBIG, "%s: more than %d tags", x->ep->shown, REGISTRY_TAGS_MAX);
		strv_add(out, json_string_value(tag));
	}
	*ret_new = out->count - before;
	return 0;
}

/* Link: </v2/x/tags/list?last=b&n=1000>; rel="next" -> the path, or NULL when this was the last page. */
static int next_page(const struct http_xfer *x, char **ret_target, struct err *e)
{
	const char *link = x->reply.link, *end;
	autourl struct url to = {.text = NULL};
	if (!link || *link != '<' || !(end = strchr(link, '>')) || !strstr(end, "next")) {
		*ret_target = NULL;
		return 0;
	}
	autofree char *ref = xstrndup(link + 1, (size_t)(end - link - 1));
	int r = url_resolve(x->url.text, ref, &to, e);
	if (r < 0)
		return err_ctx(e, "%s: list of tags", x->ep->shown);
	if (!url_same_origin(&x->url, &to))
		return err_set(e, EPERM, "%s: the list of tags goes on at another server (%s), refused", x->ep->shown,
			       to.host);
	*ret_target = xstrdup(strchr(strstr(to.text, "//") + 2, '/'));
	return 0;
}

int registry_list_tags(struct registry_repo *repo, struct strv *out, struct err *e)
{
	int r = repo_order(repo, false, e);
	if (r < 0)
		return r;
	/* The registry itself: mirrors often know only some of the tags. */
	struct place *p = repo->order[repo->norder - 1];
	char *target = xasprintf("/v2/%s/tags/list?n=%d", p->path, TAGS_PAGE);
	for (int page = 0; target; page++) {
		struct http_xfer *x = http_new(repo->r, p->ep, p->auth, "GET", target);
		size_t new = 0;
		target = NULL;
		x->reply_max = TAGS_REPLY_MAX;
		r = http_do(x, e);
		if (r == 0)
			r = add_page(x, out, &new, e);
		if (r == 0 && new)
			r = next_page(x, &target, e);
		if (r == 0 && target && page >= TAGS_PAGES_MAX)
			r = err_set(e, EFBIG, "%s: the list of tags has no end", p->ep->shown);
		http_free(x);
		if (r < 0) {
			free(target);
			return err_ctx(e, "%s", repo->name);
		}
	}
	return 0;
}

/* ---- single requests to the registry itself ---- */

static struct place *own_place(struct registry_repo *repo)
{
	return repo->order[repo->norder - 1];
}

int registry_has_blob(struct registry_repo *repo, const char *digest, uint64_t *ret_size, struct err *e)
{
	struct err why = ERR_INIT;
	if (!imgref_is_digest(digest))
		return err_set(e, EINVAL, "\"%.80s\" is no digest", digest);
	int r = repo_order(repo, true, e);
	if (r < 0)
		return r;
	struct place *p = own_place(repo);
	struct http_xfer *x = http_new(repo->r, p->ep, p->auth, "HEAD", xasprintf("/v2/%s/blobs/%s", p->path, digest));
	r = http_do(x, &why);
	if (r == 0 && ret_size && x->reply.content_length >= 0)
		*ret_size = (uint64_t)x->reply.content_length;
	http_free(x);
	if (r == -ENOENT)
		return 0;
	if (r < 0 && e)
		*e = why;
	return r < 0 ? r : 1;
}

int registry_push_manifest(struct registry_repo *repo, const char *which, const char *media_type, const void *bytes,
			   size_t len, char ret_digest[IMGREF_DIGEST_SIZE], struct err *e)
{
	char digest[IMGREF_DIGEST_SIZE];
	digest_of(bytes, len, digest);
	if (imgref_is_digest(which) && !str_eq(which, digest))
		return err_set(e, EINVAL, "the manifest has digest %s, not %s", digest, which);
	if (strspn(media_type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-+._/") !=
	    strlen(media_type))
		return err_set(e, EINVAL, "\"%.80s\" is no media type", media_type);
	if (len > IMGSPEC_MANIFEST_MAX)
		return err_set(e, EFBIG, "manifest of more than %d bytes", IMGSPEC_MANIFEST_MAX);
	int r = check_which(which, e);
	if (r == 0)
		r = repo_order(repo, false, e);
	if (r < 0)
		return r;
	struct place *p = own_place(repo);
	struct http_xfer *x = http_new(repo->r, p->ep, p->auth, "PUT",
				       xasprintf("/v2/%s/manifests/%s", p->path, which));
	x->body = bytes;
	x->body_len = len;
	strv_addf(&x->headers, "Content-Type: %s", media_type);
	r = http_do(x, e);
	if (r == 0 && x->reply.digest && imgref_is_digest(x->reply.digest) && !str_eq(x->reply.digest, digest))
		r = err_set(e, EBADMSG, "%s: stored the manifest as %s instead of %s", p->ep->shown, x->reply.digest,
			    digest);
	http_free(x);
	if (r < 0)
		return err_ctx(e, "%s:%s", repo->name, which);
	memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}

int registry_delete_manifest(struct registry_repo *repo, const char *which, struct err *e)
{
	int r = check_which(which, e);
	if (r == 0)
		r = repo_order(repo, false, e);
	if (r < 0)
		return r;
	struct place *p = own_place(repo);
	struct http_xfer *x = http_new(repo->r, p->ep, p->auth, "DELETE",
				       xasprintf("/v2/%s/manifests/%s", p->path, which));
	r = http_do(x, e);
	http_free(x);
	return r < 0 ? err_ctx(e, "%s", repo->name) : 0;
}
