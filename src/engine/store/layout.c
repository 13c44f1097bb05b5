/*
 * layout.c - OCI image layouts that are not ours, read where they are: the built-in one; see store.h.
 *
 * Such a layout has no records of names and images, so its index.json is walked each time. It is small (one image) and
 * read only after our own store had no answer. Entries are verified like any other document, descent into nested
 * indexes is bounded, and an entry that is damaged hides nothing but itself.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"
#include "store_int.h"

struct walk {
	int dirfd;
	store_layout_fn *fn;
	void *arg;
};

static int read_at(void *arg, const char *digest, size_t max, struct str *out, struct err *e)
{
	return store_blob_read_at(*(int *)arg, digest, max, out, e);
}

/* The name an entry carries, canonical, or "". */
static char *entry_name(const struct imgspec_desc *d)
{
	const char *said = d->image_name ? d->image_name : d->ref_name;
	struct imgref ref;
	if (!said || imgref_parse(said, &ref, NULL) < 0)
		return xstrdup("");
	char *name = imgref_format(&ref);
	imgref_free(&ref);
	return name;
}

static bool is_index(const struct imgspec_desc *d)
{
	return str_eq(d->media_type, IMGSPEC_OCI_INDEX) || str_eq(d->media_type, IMGSPEC_DOCKER_LIST);
}

/* Follow an index to the manifest for this machine. */
static int resolve(int dirfd, const struct imgspec_desc *from, char ret_digest[STORE_DIGEST_SIZE], struct err *e)
{
	struct imgspec_platform want = {0};
	const char *os, *architecture, *variant;
	imgspec_host_platform(&os, &architecture, &variant);
	char digest[STORE_DIGEST_SIZE];
	memcpy(digest, from->digest, sizeof(digest));
	for (int depth = 0; depth < IMGSPEC_DEPTH_MAX; depth++) {
		autostr struct str bytes = STR_INIT;
		autojson json_t *doc = NULL;
		struct imgspec_index x = {0};
		enum imgspec_kind kind;
		int r = store_blob_read_at(dirfd, digest, IMGSPEC_MANIFEST_MAX, &bytes, e);
		if (r >= 0)
			r = imgspec_kind(bytes.buf, bytes.len, NULL, &kind, &doc, e);
		if (r < 0)
			return r;
		if (kind == IMGSPEC_MANIFEST) {
			memcpy(ret_digest, digest, sizeof(digest));
			return 0;
		}
		r = imgspec_index_parse(doc, &x, e);
		if (r < 0)
			return r;
		want = (struct imgspec_platform){.os = xstrdup(os),
						 .architecture = xstrdup(architecture),
						 .variant = variant ? xstrdup(variant) : NULL};
		r = imgspec_index_choose(&x, &want, e);
		imgspec_platform_free(&want);
		if (r >= 0)
			memcpy(digest, x.manifests[r].digest, sizeof(digest));
		imgspec_index_free(&x);
		if (r < 0)
			return r;
	}
	return err_set(e, EBADMSG, "indexes nested more than %d deep", IMGSPEC_DEPTH_MAX);
}

static int visit(const struct walk *w, const struct imgspec_desc *d)
{
	struct err cause = ERR_INIT;
	struct store_record record = {0};
	char digest[STORE_DIGEST_SIZE];
	int dirfd = w->dirfd;
	memcpy(digest, d->digest, sizeof(digest));
	int r = is_index(d) ? resolve(dirfd, d, digest, &cause) : 0;
	if (r >= 0)
		r = store_record_from_manifest(digest, is_index(d) ? NULL : d->media_type, read_at, &dirfd, &record,
					       NULL, &cause);
	if (r < 0) {
		log_debug(LOG_STORE, "layout entry %s is left out: %s", d->digest, cause.text);
		return 0;
	}
	record.builtin = true;
	autofree char *name = entry_name(d);
	r = w->fn(name, &record, w->arg);
	store_record_free(&record);
	return r;
}

int store_layout_each(int dirfd, store_layout_fn *fn, void *arg, struct err *e)
{
	autostr struct str bytes = STR_INIT;
	autojson json_t *doc = NULL;
	struct imgspec_index x = {0};
	enum imgspec_kind kind;
	int r = io_read_file(dirfd, "index.json", IMGSPEC_MANIFEST_MAX, &bytes, e);
	if (r >= 0)
		r = imgspec_kind(bytes.buf, bytes.len, IMGSPEC_OCI_INDEX, &kind, &doc, e);
	if (r >= 0)
		r = imgspec_index_parse(doc, &x, e);
	if (r < 0)
		return err_ctx(e, "index.json");
	struct walk w = {.dirfd = dirfd, .fn = fn, .arg = arg};
	r = 0;
	for (size_t i = 0; r == 0 && i < x.nmanifests; i++)
		r = visit(&w, &x.manifests[i]);
	imgspec_index_free(&x);
	return r;
}

int store_builtin_each(const struct store *s, store_layout_fn *fn, void *arg, struct err *e)
{
	int r = store_shared_images(s, fn, arg, e);
	if (r)
		return r;
	autofd int dirfd = store_builtin_open(s);
	if (dirfd < 0)
		return 0;
	r = store_layout_each(dirfd, fn, arg, e);
	return r < 0 ? err_ctx(e, "built-in images %s", s->builtin) : r;
}
