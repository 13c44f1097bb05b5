/*
 * push.c - `rl-image push`: an image of the store to a registry; see image_int.h.
 *
 * Order: every blob the registry lacks, several at a time, then the manifest, so that a tag never leads to something
 * incomplete. Blobs go as they are stored; the manifest too, byte for byte, unless another format is asked for or a layer
 * is not compressed: such a layer is compressed on its way (push_layer.c), and the manifest is written anew.
 * --force-compression does it to layers in another compression as well: a confined program inflates them, and the new
 * blob is a file of the work directory (never of the store: it is the same layer). Blobs are offered for mounting from another repository of the same registry
 * that the image has a name in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image_int.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

struct push {
	struct image_ctx *c;
	struct store_work w;
	struct store_image image;
	struct store_record record;
	struct imgref dest;
	char *mount_from; /* path of a repository, or NULL */
	struct registry_upload *uploads;
	size_t count;
	int *packed;		     /* by layer: the compressed file, 0 where the store's blob goes */
	struct push_layer **streams; /* by layer: compressed on its way, or NULL */
	enum archive_compression with;
	int cachefd;	     /* of the store, -1: none */
	char (*what)[76];    /* by layer, and the config: what progress calls it */
	size_t *upload_what; /* index into `what` of each upload */
	struct str manifest;
	const char *media_type;
	bool rewrite; /* the manifest of the store is not what is pushed */
};

/* ---- layers that are not compressed ---- */

static enum archive_compression compression_of(const struct store_layer *l)
{
	enum imgspec_compression compression;
	if (imgspec_layer_compression(l->media_type, &compression, NULL) < 0)
		return ARCHIVE_COMPRESSION_N;
	return compression == IMGSPEC_GZIP ? ARCHIVE_GZIP : compression == IMGSPEC_ZSTD ? ARCHIVE_ZSTD : ARCHIVE_PLAIN;
}

static int compress_again(const struct push *p, const char *empty, int from, int to, enum archive_compression with,
			  struct archive_recompressed *ret, struct err *e)
{
	if (mkdirat(p->w.dirfd, empty, 0700) < 0)
		return err_sys(e, errno, "make an empty directory");
	autofd int emptyfd = openat(p->w.dirfd, empty, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (emptyfd < 0)
		return err_sys(e, errno, "open an empty directory");
	return archive_recompress(&(struct archive_recompress){.program = p->c->program,
							       .map = &p->c->map,
							       .blobfd = from,
							       .emptyfd = emptyfd,
							       .outfd = to,
							       .compression = with,
							       .level = p->c->level},
				  ret, e);
}

static void set_blob(struct store_layer *l, enum archive_compression with, const char *digest, uint64_t size)
{
	snprintf(l->blob, sizeof(l->blob), "%s", digest);
	l->blob_size = (int64_t)size;
	free(l->media_type);
	l->media_type = xstrdup(imgspec_layer_media_type(with == ARCHIVE_ZSTD	? IMGSPEC_ZSTD
							 : with == ARCHIVE_GZIP ? IMGSPEC_GZIP
										: IMGSPEC_PLAIN));
}

static int compress_layer(struct push *p, size_t i, enum archive_compression with, struct err *e)
{
	struct store_layer *l = &p->record.layers[i];
	struct archive_recompressed done;
	char name[32];
	char empty[32];
	snprintf(name, sizeof(name), "packed-%zu", i);
	snprintf(empty, sizeof(empty), "empty-%zu", i);
	autofd int from = store_open_blob(&p->c->store, l->blob, l->blob_size, e);
	if (from < 0)
		return from;
	autofd int to = openat(p->w.dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(e, errno, "create a file for a compressed layer");
	image_tell_progress(p->c, p->what[i], IMAGE_COMPRESSING, 0, (uint64_t)l->blob_size);
	int r = compress_again(p, empty, from, to, with, &done, e);
	if (r >= 0 && !str_eq(done.blob_digest, l->blob))
		r = err_set(e, EBADMSG, "blob %s is damaged: its digest is %s", l->blob, done.blob_digest);
	if (r >= 0 && !str_eq(done.diffid, l->diff_id))
		r = err_set(e, EBADMSG, "layer %s unpacks to %s, not to %s", l->blob, done.diffid, l->diff_id);
	if (r < 0)
		return r;
	set_blob(l, with, done.digest, done.size);
	p->packed[i] = take_fd(&to);
	return 0;
}

/* 1 if there was something to compress. A layer that is compressed stays as it is unless it is forced into another form. */
static int compress_layers(struct push *p, bool docker, struct err *e)
{
	enum archive_compression with = ARCHIVE_GZIP;
	int changed = 0;
	int r = p->c->compression ? archive_compressor_parse(p->c->compression, &with, e) : 0;
	if (r < 0)
		return r;
	p->packed = xcalloc(p->record.nlayers + 1, sizeof(*p->packed));
	p->streams = xcalloc(p->record.nlayers + 1, sizeof(struct push_layer *));
	p->with = with;
	for (size_t i = 0; i < p->record.nlayers && r >= 0; i++) {
		enum archive_compression has = compression_of(&p->record.layers[i]);
		if (has == with || has == ARCHIVE_COMPRESSION_N || (has != ARCHIVE_PLAIN && !p->c->force))
			continue;
		if (docker && with == ARCHIVE_ZSTD) {
			err_set(e, EINVAL, "docker's format has no layers compressed with zstd");
			return err_hint(e, "push with --format oci");
		}
		r = has == ARCHIVE_PLAIN
			    ? push_layer_open(p->c, &p->record.layers[i], with, p->cachefd, &p->streams[i], e)
			    : compress_layer(p, i, with, e);
		changed = 1;
	}
	return r < 0 ? r : changed;
}

/* ---- the manifest ---- */

static int rewrite_manifest(struct push *p, bool docker, struct err *e)
{
	const struct store_record *rec = &p->record;
	autojson json_t *doc = json_object();
	json_t *layers = json_array();
	json_put_int(doc, "schemaVersion", 2);
	json_put_str(doc, "mediaType", p->media_type);
	json_put(doc, "config",
		 imgspec_desc_new(docker ? IMGSPEC_DOCKER_CONFIG : IMGSPEC_OCI_CONFIG, rec->config, rec->config_size));
	json_put(doc, "layers", layers);
	for (size_t i = 0; i < rec->nlayers; i++) {
		const char *type = NULL;
		int r = image_translate_type(rec->layers[i].media_type, docker, &type, e);
		if (r < 0)
			return r;
		json_array_append_new(layers, imgspec_desc_new(type, rec->layers[i].blob, rec->layers[i].blob_size));
	}
	json_print(doc, false, &p->manifest);
	return 0;
}

/* What kind of manifest, and which layers must be compressed for it. */
static int choose_form(struct push *p, struct err *e)
{
	const char *format = p->c->format;
	bool docker = format && str_eq(format, "v2s2");
	if (format && !docker && !str_eq(format, "oci"))
		return err_set(e, EINVAL, "'%s' is no format: oci, v2s2", format);
	bool is_docker = str_eq(p->record.media_type, IMGSPEC_DOCKER_MANIFEST);
	docker = format ? docker : is_docker;
	int r = compress_layers(p, docker, e);
	if (r < 0)
		return r;
	p->rewrite = r > 0 || docker != is_docker;
	p->media_type = docker ? IMGSPEC_DOCKER_MANIFEST : IMGSPEC_OCI_MANIFEST;
	return 0;
}

static int make_manifest(struct push *p, struct err *e)
{
	if (p->rewrite)
		return rewrite_manifest(p, str_eq(p->media_type, IMGSPEC_DOCKER_MANIFEST), e);
	return store_read_blob(&p->c->store, p->record.manifest, IMGSPEC_MANIFEST_MAX, &p->manifest, e);
}

/* ---- the blobs ---- */

/* `packed` is a file that has it, which then belongs to the upload, or 0: the store has it. */
static int add_upload(struct push *p, size_t what, const char *digest, int64_t size, int packed, struct err *e)
{
	for (size_t i = 0; i < p->count; i++) {
		if (!str_eq(p->uploads[i].digest, digest))
			continue;
		if (packed)
			close(packed);
		return 0;
	}
	int fd = packed ? packed : store_open_blob(&p->c->store, digest, size, e);
	if (fd < 0)
		return fd;
	p->upload_what[p->count] = what;
	p->uploads[p->count++] = (struct registry_upload){
		.digest = digest, .size = (uint64_t)size, .mount_from = p->mount_from, .fd = fd, .wait_fd = -1};
	return 0;
}

static int open_blobs(struct push *p, struct err *e)
{
	const struct store_record *rec = &p->record;
	int r = 0;
	p->uploads = xcalloc(rec->nlayers + 1, sizeof(*p->uploads));
	p->upload_what = xcalloc(rec->nlayers + 1, sizeof(*p->upload_what));
	for (size_t i = 0; i < rec->nlayers && r >= 0; i++) {
		int packed = p->packed ? p->packed[i] : 0;
		if (p->streams[i])
			continue;
		if (packed)
			p->packed[i] = 0;
		r = add_upload(p, i, rec->layers[i].blob, rec->layers[i].blob_size, packed, e);
	}
	return r < 0 ? r : add_upload(p, rec->nlayers, rec->config, rec->config_size, 0, e);
}

static void tell_transfer(void *arg, size_t job, enum registry_state state, uint64_t done, uint64_t size)
{
	const struct push *p = arg;
	image_tell_progress(p->c, p->what[p->upload_what[job]], image_transfer_state(state, IMAGE_UPLOADING), done,
			    size);
}

static void name_things(struct push *p)
{
	const struct store_record *r = &p->record;
	p->what = xcalloc(r->nlayers + 1, sizeof(*p->what));
	for (size_t i = 0; i < r->nlayers; i++)
		snprintf(p->what[i], sizeof(*p->what), "layer %zu/%zu %.12s", i + 1, r->nlayers, r->layers[i].blob + 7);
	snprintf(p->what[r->nlayers], sizeof(*p->what), "config %.12s", r->config + 7);
}

/* ---- from what to where ---- */

/* A repository of the same registry that the image came from or was pushed to. */
static int find_mount(struct push *p, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = store_names(&p->c->store, p->image.manifest_digest, &names, e);
	for (size_t i = 0; i < names.count && r >= 0 && !p->mount_from; i++) {
		struct imgref ref;
		if (imgref_parse(names.items[i], &ref, NULL) < 0)
			continue;
		if (str_eq(ref.domain, p->dest.domain) && !str_eq(ref.path, p->dest.path))
			p->mount_from = xstrdup(ref.path);
		imgref_free(&ref);
	}
	return r < 0 ? r : 0;
}

struct stream {
	const struct push *p;
	size_t layer;
};

static void tell_stream(void *arg, size_t job, enum registry_state state, uint64_t done, uint64_t size)
{
	const struct stream *s = arg;
	(void)job;
	image_tell_progress(s->p->c, s->p->what[s->layer], image_transfer_state(state, IMAGE_UPLOADING), done, size);
}

/* One that is compressed on its way: it keeps all cores busy by itself. */
static int send_stream(struct push *p, struct registry_repo *repo, size_t i, struct err *e)
{
	struct stream stream = {p, i};
	struct store_layer *l = &p->record.layers[i];
	struct registry_upload upload;
	const struct registry_transfer t = {.progress = tell_stream, .progress_arg = &stream};
	push_layer_upload(p->streams[i], &upload);
	int r = registry_push_all(repo, &upload, 1, &t, e);
	if (r < 0 && push_layer_failed(p->streams[i], e))
		err_ctx(e, "layer %.19s", l->blob);
	if (r < 0)
		return r;
	push_layer_remember(p->streams[i], upload.ret_digest, upload.ret_size);
	set_blob(l, p->with, upload.ret_digest, upload.ret_size);
	return 0;
}

static int send_blobs(struct push *p, struct registry_repo *repo, struct err *e)
{
	const struct registry_transfer t = {.progress = tell_transfer, .progress_arg = p};
	int r = registry_push_all(repo, p->uploads, p->count, &t, e);
	for (size_t i = 0; r >= 0 && i < p->record.nlayers; i++)
		if (p->streams[i])
			r = send_stream(p, repo, i, e);
	return r < 0 ? r : make_manifest(p, e);
}

static int send_manifest(struct push *p, struct registry_repo *repo, const char *which,
			 char ret_digest[STORE_DIGEST_SIZE], struct err *e)
{
	return registry_push_manifest(repo, which, p->media_type, p->manifest.buf, p->manifest.len, ret_digest, e);
}

/* The image with this manifest, as it will be sent. */
static int prepare(struct push *p, const char *manifest, struct err *e)
{
	int r = image_find_record(p->c, manifest, &p->record, e);
	if (r >= 0)
		r = image_pin_record(&p->w, &p->record, e);
	if (r < 0)
		return r;
	name_things(p);
	p->cachefd = store_dir(&p->c->store, "cache", NULL); /* a store that is only read has none */
	r = find_mount(p, e);
	if (r >= 0)
		r = choose_form(p, e);
	return r < 0 ? r : open_blobs(p, e);
}

static int open_destination(struct push *p, struct registry **reg, struct registry_repo **repo, struct err *e)
{
	int r = registry_open(&p->c->registry, reg, e);
	if (r < 0)
		return r;
	r = registry_repo_open(*reg, p->dest.domain, p->dest.path, REGISTRY_PUSH, repo, e);
	if (r < 0)
		registry_close(*reg);
	return r;
}

static int push_image(struct push *p, const char *from, const char *to, struct err *e)
{
	struct registry *reg = NULL;
	struct registry_repo *repo = NULL;
	int r = store_find_image(&p->c->store, from, &p->image, e);
	if (r >= 0 && !*to)
		to = p->image.name ? p->image.name : "";
	if (r >= 0 && !*to)
		r = err_set(e, EINVAL, "an image id does not say where to: name the destination");
	if (r >= 0)
		r = imgref_parse(to, &p->dest, e);
	if (r >= 0)
		r = prepare(p, p->image.manifest_digest, e);
	if (r >= 0)
		r = open_destination(p, &reg, &repo, e);
	if (r < 0)
		return r;
	struct store_record pushed = {0};
	r = send_blobs(p, repo, e);
	if (r >= 0) {
		pushed = p->record;
		r = send_manifest(p, repo, p->dest.tag ? p->dest.tag : p->dest.digest, pushed.manifest, e);
	}
	registry_repo_close(repo);
	registry_close(reg);
	if (r < 0)
		return r;
	autofree char *name = imgref_format(&p->dest);
	image_tell_added(p->c, &pushed, name);
	return 0;
}

static void push_close(struct push *p)
{
	for (size_t i = 0; i < p->count; i++)
		close_fd(&p->uploads[i].fd);
	for (size_t i = 0; p->packed && i < p->record.nlayers; i++)
		if (p->packed[i])
			close(p->packed[i]);
	for (size_t i = 0; p->streams && i < p->record.nlayers; i++)
		push_layer_close(p->streams[i]);
	free(p->streams);
	free(p->packed);
	close_fd(&p->cachefd);
	free(p->what);
	free(p->upload_what);
	free(p->uploads);
	free(p->mount_from);
	str_free(&p->manifest);
	store_record_free(&p->record);
	store_image_free(&p->image);
	imgref_free(&p->dest);
	store_work_end(&p->w);
}

/* Operands: the image, and where to ("" if its name says that). */
int push_verb(struct image_ctx *c, struct err *e)
{
	struct push p = {.c = c, .cachefd = -1, .manifest = STR_INIT};
	int r = store_work_begin(&c->store, &p.w, e);
	if (r < 0)
		return r;
	r = push_image(&p, c->args.items[0], c->args.items[1], e);
	push_close(&p);
	autofree char *repository = imgref_repository(c->args.items[0]);
	if (r < 0)
		err_drop(e, repository);
	return r < 0 ? err_ctx(e, "push %s", c->args.items[0]) : 0;
}

/* ---- an index ---- */

/* One image of it, known by its digest there; what the index says of it is put right. */
static int push_entry(struct image_ctx *c, struct registry_repo *repo, const char *dest, json_t *entry,
		      const struct imgspec_desc *d, struct err *e)
{
	struct push p = {.c = c, .cachefd = -1, .manifest = STR_INIT};
	char digest[STORE_DIGEST_SIZE];
	char reported[STORE_DIGEST_SIZE];
	int r = store_work_begin(&c->store, &p.w, e);
	if (r < 0)
		return r;
	memcpy(p.image.manifest_digest, d->digest, sizeof(p.image.manifest_digest));
	r = imgref_parse(dest, &p.dest, e);
	if (r >= 0)
		r = prepare(&p, d->digest, e);
	if (r >= 0)
		r = send_blobs(&p, repo, e);
	if (r >= 0) {
		image_digest(p.manifest.buf, p.manifest.len, digest);
		r = send_manifest(&p, repo, digest, reported, e);
	}
	if (r >= 0) {
		json_put_str(entry, "digest", digest);
		json_put_int(entry, "size", (int64_t)p.manifest.len);
		json_put_str(entry, "mediaType", p.media_type);
	}
	push_close(&p);
	return r < 0 ? err_ctx(e, "image %.19s", d->digest) : 0;
}

static int push_index(struct image_ctx *c, json_t *doc, const struct imgspec_index *x, struct err *e)
{
	struct push where = {.c = c, .cachefd = -1, .manifest = STR_INIT};
	struct registry *reg = NULL;
	struct registry_repo *repo = NULL;
	struct store_record told = {0};
	const char *dest = c->args.items[1];
	bool docker = c->format && str_eq(c->format, "v2s2");
	const char *type = docker ? IMGSPEC_DOCKER_LIST : IMGSPEC_OCI_INDEX;
	/* One kind of document throughout: not every registry takes a mixture. */
	if (!c->format)
		c->format = "oci";
	int r = imgref_parse(dest, &where.dest, e);
	if (r >= 0 && !where.dest.tag)
		r = err_set(e, EINVAL, "%s: an index is pushed to a tag", dest);
	if (r >= 0)
		r = open_destination(&where, &reg, &repo, e);
	if (r < 0) {
		imgref_free(&where.dest);
		return r;
	}
	json_t *entries = json_object_get(doc, "manifests");
	for (size_t i = 0; i < x->nmanifests && r >= 0; i++)
		r = push_entry(c, repo, dest, json_array_get(entries, i), &x->manifests[i], e);
	json_put_str(doc, "mediaType", type);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	if (r >= 0)
		r = registry_push_manifest(repo, where.dest.tag, type, text.buf, text.len, told.manifest, e);
	if (r >= 0) {
		autofree char *name = imgref_format(&where.dest);
		image_tell_added(c, &told, name);
	}
	registry_repo_close(repo);
	registry_close(reg);
	imgref_free(&where.dest);
	return r;
}

/* Operands: the document of the index, whose entries the store has, and where to. */
int push_index_verb(struct image_ctx *c, struct err *e)
{
	autojson json_t *doc = NULL;
	struct imgspec_index x = {0};
	enum imgspec_kind kind;
	const char *text = c->args.items[0];
	int r = imgspec_kind(text, strlen(text), IMGSPEC_OCI_INDEX, &kind, &doc, e);
	if (r >= 0 && kind != IMGSPEC_INDEX)
		r = err_set(e, EBADMSG, "the document is no index");
	if (r >= 0)
		r = imgspec_index_parse(doc, &x, e);
	if (r >= 0)
		r = push_index(c, doc, &x, e);
	imgspec_index_free(&x);
	return r < 0 ? err_ctx(e, "push index to %s", c->args.items[1]) : 0;
}
