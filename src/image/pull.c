/*
 * pull.c - `rl-image pull`: an image from a registry into the store; see image_int.h.
 *
 * Order: the documents first (small, verified), then everything at once: every blob the store lacks is downloaded,
 * several at a time over one connection pool, and while it arrives its layer is unpacked by a confined process that
 * reads the same file (layer_set.c). When all digests, DiffIDs included, are right, blobs and layers are published by
 * renaming, then record and name. A blob is written once, to cache/partial-HEX, and renamed from there.
 *
 * Partial files are flock()ed by whoever fills them, so of several pulls of one blob one fetches and the others wait
 * and find it in the store; a pull that was killed leaves a beginning that the next one goes on with. Locks are taken in
 * the order of the digests, so two pulls cannot wait for each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

struct fetch {
	const struct store_layer *layer;
	int fd; /* the partial file, locked; -1 while the store has the blob */
	char file[96];
	char what[76];
	struct layer_feed *feed; /* who unpacks it, or NULL */
	struct registry_sink sink;
};

struct pull {
	struct image_ctx *c;
	struct store_work w;
	struct layer_set *layers;
	struct registry_repo *repo;
	int cachefd;
	struct fetch *fetches; /* by digest, no duplicates */
	size_t nfetches;
	struct registry_blob *blobs;
	struct fetch **blob_fetch; /* of each blob job */
	size_t nblobs;
};

static int by_digest(const void *a, const void *b)
{
	return strcmp(((const struct fetch *)a)->layer->blob, ((const struct fetch *)b)->layer->blob);
}

static void list_fetches(struct pull *p, const struct store_record *r)
{
	p->fetches = xcalloc(r->nlayers + 1, sizeof(*p->fetches));
	for (size_t i = 0; i < r->nlayers; i++) {
		bool twin = false;
		for (size_t k = 0; k < p->nfetches; k++)
			twin = twin || str_eq(p->fetches[k].layer->blob, r->layers[i].blob);
		if (twin)
			continue;
		struct fetch *f = &p->fetches[p->nfetches++];
		*f = (struct fetch){.layer = &r->layers[i], .fd = -1};
		snprintf(f->what, sizeof(f->what), "layer %zu/%zu %.12s", i + 1, r->nlayers, r->layers[i].blob + 7);
	}
	qsort(p->fetches, p->nfetches, sizeof(*p->fetches), by_digest);
}

/* Lock the partial file, made when missing. 1: it is ours; 0: while we waited the blob came into the store. */
static int lock_partial(struct pull *p, struct fetch *f, struct err *e)
{
	for (;;) {
		autofd int fd = openat(p->cachefd, f->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(e, errno, "open cache/%s", f->file);
		int r = io_lock(fd, true, e);
		if (r < 0)
			return r;
		r = store_pin_blob(&p->w, f->layer->blob, f->layer->blob_size, e);
		if (r < 0)
			return r;
		struct stat st;
		struct stat named;
		bool same = fstat(fd, &st) == 0 && fstatat(p->cachefd, f->file, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
			    st.st_ino == named.st_ino;
		if (r == 1) {
			if (same)
				unlinkat(p->cachefd, f->file, 0);
			return 0;
		}
		if (same) {
			f->fd = take_fd(&fd);
			return 1;
		}
		/* Renamed or removed by who held it before us, and not in the store all the same: once more. */
	}
}

/* ---- from the download to the unpacker ---- */

static ssize_t feed_write(void *arg, const void *data, size_t len)
{
	struct fetch *f = arg;
	(void)data; /* it is in the file */
	layer_feed_add(f->feed, len);
	return (ssize_t)len;
}

static int feed_restart(void *arg)
{
	struct fetch *f = arg;
	return layer_feed_restart(f->feed);
}

static int attach_feed(struct pull *p, struct fetch *f, struct err *e)
{
	/* A file position of its own. */
	int fd = openat(p->cachefd, f->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "open cache/%s", f->file);
	int r = layer_set_feed(p->layers, f->layer->blob, fd, &f->feed, e);
	f->sink = (struct registry_sink){.write = feed_write, .restart = feed_restart, .arg = f, .wait_fd = -1};
	return r;
}

static int step_layers(void *arg, struct err *e)
{
	const struct pull *p = arg;
	return layer_set_step(p->layers, e);
}

/* ---- the transfers ---- */

static int lock_partials(struct pull *p, struct err *e)
{
	for (size_t i = 0; i < p->nfetches; i++) {
		struct fetch *f = &p->fetches[i];
		snprintf(f->file, sizeof(f->file), STORE_PARTIAL "%s", f->layer->blob + 7);
		int r = store_pin_blob(&p->w, f->layer->blob, f->layer->blob_size, e);
		if (r == 0)
			r = lock_partial(p, f, e);
		if (r < 0)
			return r;
		if (f->fd < 0)
			image_tell_progress(p->c, f->what, IMAGE_PRESENT, (uint64_t)f->layer->blob_size,
					    (uint64_t)f->layer->blob_size);
	}
	return 0;
}

static int by_size(const void *a, const void *b)
{
	const struct fetch *x = *(struct fetch *const *)a;
	const struct fetch *y = *(struct fetch *const *)b;
	return x->layer->blob_size < y->layer->blob_size ? 1 : x->layer->blob_size > y->layer->blob_size ? -1 : 0;
}

/* The largest first: what is left for the end is short. */
static int make_jobs(struct pull *p, struct err *e)
{
	p->blobs = xcalloc(p->nfetches + 1, sizeof(*p->blobs));
	p->blob_fetch = xcalloc(p->nfetches + 1, sizeof(struct fetch *));
	for (size_t i = 0; i < p->nfetches; i++) {
		if (p->fetches[i].fd < 0)
			continue;
		int r = p->layers ? attach_feed(p, &p->fetches[i], e) : 0;
		if (r < 0)
			return r;
		p->blob_fetch[p->nblobs++] = &p->fetches[i];
	}
	qsort(p->blob_fetch, p->nblobs, sizeof(struct fetch *), by_size);
	for (size_t i = 0; i < p->nblobs; i++) {
		const struct fetch *f = p->blob_fetch[i];
		p->blobs[i] = (struct registry_blob){
			.digest = f->layer->blob,
			.size = (uint64_t)f->layer->blob_size,
			.partial_fd = f->fd,
			.sink = f->feed ? &f->sink : NULL,
		};
	}
	return 0;
}

static void tell_transfer(void *arg, size_t job, enum registry_state state, uint64_t done, uint64_t size)
{
	const struct pull *p = arg;
	const struct fetch *f = p->blob_fetch[job];
	enum image_progress_state shown = image_transfer_state(state, IMAGE_DOWNLOADING);
	/* Here, and not yet done: what its unpacker does is the next news. */
	if (shown == IMAGE_DONE && f->feed)
		shown = IMAGE_WAITING;
	image_tell_progress(p->c, f->what, shown, done, size);
}

/* A whole, verified partial file becomes a blob of the store. */
static int publish_partial(struct pull *p, struct fetch *f, struct err *e)
{
	if (fsync(f->fd) < 0 && errno != EINVAL && errno != ENOSYS)
		return err_sys(e, errno, "sync cache/%s", f->file);
	if (renameat(p->cachefd, f->file, p->w.dirfd, f->file) < 0)
		return err_sys(e, errno, "move cache/%s", f->file);
	int r = store_publish_blob(&p->w, f->file, f->layer->blob, e);
	close_fd(&f->fd);
	return r;
}

static int fetch_blobs(struct pull *p, const struct store_record *record, struct err *e)
{
	list_fetches(p, record);
	int r = lock_partials(p, e);
	if (r >= 0)
		r = make_jobs(p, e);
	if (r < 0 || !p->nblobs)
		return r;
	/* What did arrive before an error or a signal stays in its partial file. */
	const struct registry_transfer t = {.progress = tell_transfer,
					    .progress_arg = p,
					    .watch = p->layers ? step_layers : NULL,
					    .watch_arg = p,
					    .watch_fd = p->layers ? layer_set_fd(p->layers) : -1};
	return registry_fetch_all(p->repo, p->blobs, p->nblobs, &t, e);
}

static int publish_all(struct pull *p, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < p->nblobs && r >= 0; i++)
		r = publish_partial(p, p->blob_fetch[i], e);
	return r < 0 || !p->layers ? r : layer_set_publish(p->layers, e);
}

/* Documents of the registry to record and blobs of the store. */
static int store_documents(struct pull *p, const struct registry_image *img, const char *origin,
			   struct store_record *record, struct err *e)
{
	struct imgspec_manifest m = {0};
	struct imgspec_config config = {0};
	autojson json_t *doc = NULL;
	enum imgspec_kind kind;
	int r = imgspec_kind(img->manifest.body.buf, img->manifest.body.len, img->manifest.media_type, &kind, &doc, e);
	if (r >= 0 && kind != IMGSPEC_MANIFEST)
		r = err_set(e, EBADMSG, "an index where a manifest was due");
	if (r >= 0)
		r = imgspec_manifest_parse(doc, &m, e);
	if (r >= 0)
		r = image_parse_config(&img->config, &config, e);
	if (r >= 0)
		r = image_fill_record(&m, &config, record, e);
	if (r >= 0) {
		snprintf(record->manifest, sizeof(record->manifest), "%s", img->manifest.digest);
		record->manifest_size = (int64_t)img->manifest.body.len;
		record->origin = xstrdup(origin);
		r = store_put_blob(&p->w, img->config.buf, img->config.len, record->config, e);
	}
	if (r >= 0)
		r = store_put_blob(&p->w, img->manifest.body.buf, img->manifest.body.len, record->manifest, e);
	if (r >= 0 && img->index.body.len) {
		r = store_put_blob(&p->w, img->index.body.buf, img->index.body.len, img->index.digest, e);
		strv_add(&record->extra, img->index.digest);
	}
	imgspec_manifest_free(&m);
	imgspec_config_free(&config);
	return r;
}

static void pull_close(struct pull *p)
{
	/* The unpackers first: they write to what is removed with the work directory. */
	layer_set_close(p->layers);
	for (size_t i = 0; i < p->nfetches; i++)
		close_fd(&p->fetches[i].fd);
	free(p->fetches);
	free(p->blobs);
	free(p->blob_fetch);
	close_fd(&p->cachefd);
	store_work_end(&p->w);
}

static int open_layers(struct pull *p, struct store_record *record, struct err *e)
{
	int r = layer_set_open(p->c, &p->w, record, &p->layers, e);
	if (r < 0 || !layers_may_stay_packed(p->c))
		return r;
	layer_set_close(p->layers);
	p->layers = NULL;
	return 0;
}

static int pull_documents(struct image_ctx *c, struct registry_repo *repo, const struct registry_image *img,
			  const char *name, struct err *e)
{
	struct pull p = {.c = c, .repo = repo, .cachefd = -1};
	struct store_record record = {0};
	int r = store_work_begin(&c->store, &p.w, e);
	if (r < 0)
		return r;
	p.cachefd = store_dir(&c->store, "cache", e);
	autofree char *origin = imgref_repository(name);
	r = p.cachefd < 0 ? p.cachefd : store_documents(&p, img, origin, &record, e);
	if (r >= 0)
		r = open_layers(&p, &record, e);
	if (r >= 0)
		r = fetch_blobs(&p, &record, e);
	if (r >= 0 && p.layers)
		r = layer_set_finish(p.layers, e);
	if (r >= 0)
		r = publish_all(&p, e);
	if (r >= 0)
		r = store_publish_image(&p.w, &record, e);
	if (r >= 0)
		r = store_tag(&c->store, name, record.manifest, e);
	if (r >= 0)
		image_tell_added(c, &record, name);
	pull_close(&p); /* has pointers into the record */
	store_record_free(&record);
	return r;
}

/* 1 if the store's image of this name is what the registry has (by the manifest, or by the index it came from). */
static int is_current(struct image_ctx *c, struct registry_repo *repo, const char *name, const char *which,
		      struct err *e)
{
	struct store_image have = {0};
	struct store_record record = {0};
	char digest[IMGREF_DIGEST_SIZE];
	if (store_find_image(&c->store, name, &have, NULL) < 0)
		return 0;
	int r = registry_head_manifest(repo, which, digest, e);
	if (r >= 0)
		r = str_eq(digest, have.manifest_digest);
	if (r == 0 && store_record_read(&c->store, have.manifest_digest, &record, NULL) >= 0)
		r = strv_has(&record.extra, digest);
	if (r == 1) {
		if (record.manifest[0] || store_record_read(&c->store, have.manifest_digest, &record, NULL) >= 0)
			image_tell_added(c, &record, name);
	}
	store_record_free(&record);
	store_image_free(&have);
	return r;
}

/* An index has what was asked for or is refused; a manifest that is alone is for one platform, and its config says which. */
static int check_platform(const struct registry_image *img, const struct imgspec_platform *want, struct err *e)
{
	struct imgspec_config config = {0};
	int r = image_parse_config(&img->config, &config, e);
	const struct imgspec_platform *is = &config.platform;
	bool same_os = !is->os || !want->os || str_eq(is->os, want->os);
	bool same = same_os &&
		    (!is->architecture || !want->architecture || str_eq(is->architecture, want->architecture));
	if (r >= 0 && !same)
		r = err_set(e, ENOENT, "there is only one for %s/%s", is->os ? is->os : "linux",
			    is->architecture ? is->architecture : "any");
	imgspec_config_free(&config);
	return r;
}

static int pull_one(struct image_ctx *c, struct registry_repo *repo, const struct imgref *ref, const char *which,
		    struct err *e)
{
	struct imgref named = *ref;
	if (c->all_tags) {
		named.tag = (char *)(uintptr_t)which;
		named.digest[0] = '\0';
	}
	autofree char *name = imgref_format(&named);
	struct imgspec_platform platform = {0};
	struct registry_image img = REGISTRY_IMAGE_INIT;
	int r = c->only_newer ? is_current(c, repo, name, which, e) : 0;
	if (r != 0)
		return r;
	if (c->platform)
		r = imgspec_platform_parse(c->platform, &platform, e);
	if (r >= 0)
		r = registry_get_image(repo, which, c->platform ? &platform : NULL, &img, e);
	if (r >= 0 && c->platform && !c->any_single && !img.index.body.len)
		r = check_platform(&img, &platform, e);
	if (r >= 0)
		r = pull_documents(c, repo, &img, name, e);
	registry_image_free(&img);
	imgspec_platform_free(&platform);
	if (r < 0)
		err_drop(e, name);
	return r < 0 ? err_ctx(e, "pull %s", imgref_familiar(name)) : r;
}

static int pull_tags(struct image_ctx *c, struct registry_repo *repo, const struct imgref *ref, struct err *e)
{
	if (!c->all_tags)
		return pull_one(c, repo, ref, ref->digest[0] ? ref->digest : ref->tag, e);
	autostrv struct strv tags = STRV_INIT;
	int r = registry_list_tags(repo, &tags, e);
	for (size_t i = 0; i < tags.count && r >= 0; i++)
		r = pull_one(c, repo, ref, tags.items[i], e);
	return r;
}

static int pull_candidate(struct image_ctx *c, struct registry *reg, const char *text, struct err *e)
{
	struct imgref ref;
	struct registry_repo *repo = NULL;
	int r = imgref_parse(text, &ref, e);
	if (r < 0)
		return r;
	r = registry_repo_open(reg, ref.domain, ref.path, REGISTRY_PULL, &repo, e);
	if (r >= 0) {
		r = pull_tags(c, repo, &ref, e);
		registry_repo_close(repo);
	}
	imgref_free(&ref);
	return r;
}

int pull_verb(struct image_ctx *c, struct err *e)
{
	struct registry *reg = NULL;
	autostrv struct strv names = STRV_INIT;
	int r = registry_open(&c->registry, &reg, e);
	if (r < 0)
		return r;
	r = registry_expand(reg, c->args.items[0], &names, e);
	/* Several candidates only for a name without a registry: the first place that has it; its own error if none. */
	int last = r;
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		struct err own = ERR_INIT;
		last = pull_candidate(c, reg, names.items[i], &own);
		if (last >= 0)
			break;
		if (i + 1 == names.count || (last != -ENOENT && last != -EACCES)) {
			*e = own;
			break;
		}
	}
	registry_close(reg);
	return last;
}
