/*
 * commit.c - `rl-image commit`: directories that were written become layers, and with a config an image; image_commit.h
 * says what and why, image_proto.h how it is asked for.
 *
 * A layer that is copied is packed, compressed, hashed, unpacked and stored in one pass: the packer's threads write the
 * blob into a pipe, the confined unpacker reads it there, passes every byte on to the blob's file and writes the tree.
 * What is run later is thus what everybody else unpacks from the blob. A layer that is taken is packed only.
 *
 * Ids: the directories are packed in the user namespace they were written in. Layers of a keep-id map are unpacked with
 * another map than containers run with (rl/kern/idmap.h), so they are not unpacked here but at their first use.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/kern/probe.h"
#include "rl/model/imgref.h"

enum { REQUEST_MAX = 64 << 20 };

struct commit {
	struct image_ctx *c;
	struct store_work w;
	json_t *request;
	struct strv lowers; /* of the directory at hand, top first */
	struct store_record record;
	json_t *config;
	const char *created;
	enum archive_compression compression;
	bool docker, squash;
};

/* One directory on its way. */
struct piece {
	struct commit *commit;
	const json_t *dir;
	const char *path;
	struct strv exclude;
	int *fds; /* the directory, then those below */
	int *sidecars;
	size_t nfds;
	bool take;
	struct archive_packed packed;
};

/* ---- packing ---- */

static int open_dir(const char *path, int *ret_sidecar, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	/* layers/KEY/HEX/diff has its sidecar, if any, beside it */
	autofree char *side = xasprintf("%s/../sidecar", path);
	int sidecar = open(side, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	*ret_sidecar = sidecar < 0 ? 0 : sidecar;
	return fd;
}

static int open_dirs(struct piece *p, struct err *e)
{
	const struct strv *lowers = &p->commit->lowers;
	p->fds = xcalloc(lowers->count + 1, sizeof(int));
	p->sidecars = xcalloc(lowers->count + 1, sizeof(int));
	for (size_t i = 0; i <= lowers->count; i++) {
		int fd = open_dir(i ? lowers->items[i - 1] : p->path, &p->sidecars[i], e);
		if (fd < 0)
			return fd;
		p->fds[p->nfds++] = fd;
	}
	return 0;
}

static void close_dirs(struct piece *p)
{
	for (size_t i = 0; i < p->nfds; i++) {
		close(p->fds[i]);
		if (p->sidecars[i] > 0)
			close(p->sidecars[i]);
	}
	free(p->fds);
	free(p->sidecars);
	strv_free(&p->exclude);
}

static int pack_piece(void *arg, int outfd, struct err *e)
{
	struct piece *p = arg;
	const struct commit *k = p->commit;
	int64_t epoch = json_int_or(k->request, "epoch", -1);
	return archive_pack(
		&(struct archive_pack){
			.map = &k->c->map,
			.kind = k->squash ? ARCHIVE_PACK_MERGED : ARCHIVE_PACK_LAYER,
			.trust = json_bool_or(k->request, "trust_records", false) ? ARCHIVE_TRUST_UPPER
										  : ARCHIVE_TRUST_LOWER,
			.dirfds = p->fds,
			.sidecarfds = p->sidecars,
			.ndirs = p->nfds,
			.outfd = outfd,
			.compression = k->compression,
			.clamp_mtime = epoch >= 0,
			.source_date_epoch = epoch,
			.exclude = (const char *const *)strv_argv(&p->exclude),
			.scrub = p->take,
		},
		&p->packed, e);
}

static void found_while_packing(const struct archive_packed *p, struct archive_unpacked *u)
{
	*u = (struct archive_unpacked){
		.blob_size = p->blob_size,
		.tar_size = p->tar_size,
		.unpacked_size = p->content,
		.entries = p->entries,
		.max_uid = p->max_uid,
		.max_gid = p->max_gid,
		.has_root = true,
	};
	memcpy(u->blob_digest, p->blob_digest, sizeof(u->blob_digest));
	memcpy(u->diffid, p->diffid, sizeof(u->diffid));
}

static int open_blob_again(void *arg, struct err *e)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *(const int *)arg);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open the blob") : fd;
}

static int make_layer_in_turn(struct piece *p, int blobfd, const char *what, struct layer_new *ret, struct err *e)
{
	struct commit *k = p->commit;
	int r = pack_piece(p, blobfd, e);
	if (r < 0)
		return r;
	const struct layer_source source = {
		.open = open_blob_again, .arg = &blobfd, .what = what, .total = p->packed.blob_size};
	r = layer_unpack_once(k->c, &k->w, &source, 0, NULL, ret, e);
	if (r >= 0 && !str_eq(ret->result.diffid, p->packed.diffid))
		r = err_set(e, EBADMSG, "the layer changed between packer and unpacker");
	return r < 0 ? r : layer_write_info(&k->w, ret->dir, &ret->result, false, e);
}

/* Blob in blobfd; the layer, if there is one, in *ret. */
static int make_layer(struct piece *p, int blobfd, const char *what, struct layer_new *ret, struct err *e)
{
	struct commit *k = p->commit;
	int r;
	if (p->take) {
		r = pack_piece(p, blobfd, e);
		if (r < 0)
			return r;
		struct archive_unpacked found;
		found_while_packing(&p->packed, &found);
		r = layer_take(&k->w, p->path, &found, ret, e);
		return r < 0 ? r : 0;
	}
	if (str_after(k->c->map.key, "keep"))
		return pack_piece(p, blobfd, e);
	/* One user namespace at a time: first the one, then the other. */
	if (probe_sysctl("user/max_user_namespaces", 2) == 1)
		return make_layer_in_turn(p, blobfd, what, ret, e);
	const struct layer_source source = {.make = pack_piece, .arg = p, .teefd = blobfd, .what = what};
	r = layer_unpack(k->c, &k->w, &source, ret, e);
	if (r >= 0 &&
	    (!str_eq(ret->result.diffid, p->packed.diffid) || !str_eq(ret->result.blob_digest, p->packed.blob_digest)))
		r = err_set(e, EBADMSG, "the layer changed between packer and unpacker");
	return r;
}

/* ---- one layer ---- */

static void note_history(struct commit *k, const json_t *dir, const char *diff_id)
{
	imgspec_config_add_layer(k->config, diff_id, k->created, json_str_or_null(dir, "created_by"),
				 json_str_or_null(dir, "comment"));
	json_t *history = json_object_get(k->config, "history");
	json_put_str(json_array_get(history, json_array_size(history) - 1), "author", json_str_or_null(dir, "author"));
}

static int publish_piece(struct piece *p, const char *blob, const struct layer_new *made, struct err *e)
{
	struct commit *k = p->commit;
	struct store_record *rec = &k->record;
	rec->layers = xreallocarray(rec->layers, rec->nlayers + 1, sizeof(*rec->layers));
	struct store_layer *l = &rec->layers[rec->nlayers];
	*l = (struct store_layer){.blob_size = (int64_t)p->packed.blob_size, .unpacked_size = -1};
	rec->nlayers++;
	const enum imgspec_compression c = k->compression == ARCHIVE_GZIP   ? IMGSPEC_GZIP
					   : k->compression == ARCHIVE_ZSTD ? IMGSPEC_ZSTD
									    : IMGSPEC_PLAIN;
	const char *type = NULL;
	int r = image_translate_type(imgspec_layer_media_type(c), k->docker, &type, e);
	if (r < 0)
		return r;
	l->media_type = xstrdup(type);
	memcpy(l->blob, p->packed.blob_digest, sizeof(l->blob));
	memcpy(l->diff_id, p->packed.diffid, sizeof(l->diff_id));
	snprintf(l->key, sizeof(l->key), "%s", l->diff_id + 7);
	r = store_publish_blob(&k->w, blob, l->blob, e);
	if (r >= 0 && *made->dir)
		r = layer_publish(k->c, &k->w, made, l->diff_id + 7, l, e);
	if (r >= 0)
		note_history(k, p->dir, l->diff_id);
	return r;
}

static int commit_dir(struct commit *k, const json_t *dir, size_t i, size_t n, struct err *e)
{
	struct piece p = {.commit = k, .dir = dir, .path = json_str_or_null(dir, "path")};
	p.take = json_bool_or(dir, "take", false) && !k->squash && json_int_or(k->request, "epoch", -1) < 0 &&
		 !str_after(k->c->map.key, "keep");
	char blob[32];
	char what[64];
	snprintf(blob, sizeof(blob), "blob-%zu", i);
	snprintf(what, sizeof(what), "layer %zu/%zu", i + 1, n);
	if (!p.path || *p.path != '/')
		return err_set(e, EINVAL, "commit: a directory without an absolute path");
	image_tell_progress(k->c, what, IMAGE_COMPRESSING, 0, 0);
	struct layer_new made = {.dir = ""};
	autofd int blobfd = openat(k->w.dirfd, blob, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = blobfd < 0 ? err_sys(e, errno, "create a blob") : json_get_strv(dir, "exclude", &p.exclude, e);
	if (r >= 0)
		r = open_dirs(&p, e);
	if (r >= 0)
		r = make_layer(&p, blobfd, what, &made, e);
	if (r >= 0 && fdatasync(blobfd) < 0)
		r = err_sys(e, errno, "sync the blob");
	if (r >= 0)
		r = publish_piece(&p, blob, &made, e);
	/* What comes next stands on what was just published, or, while it is only packed, on the directory. */
	if (r >= 0) {
		autofree char *layer = store_layer_path(k->c->map.key, k->record.layers[k->record.nlayers - 1].key);
		autostrv struct strv old = k->lowers;
		k->lowers = (struct strv)STRV_INIT;
		if (*made.dir)
			strv_addf(&k->lowers, "%s/%s/diff", k->c->store.root, layer);
		else
			strv_add(&k->lowers, p.path);
		strv_add_all(&k->lowers, &old);
	}
	close_dirs(&p);
	return r < 0 ? err_ctx(e, "%s", p.path) : 0;
}

/* ---- the base ---- */

/* An image may not need the built-in layout, which goes with the program. */
static int own_blob(struct commit *k, const char *digest, int64_t size, struct err *e)
{
	char found[STORE_DIGEST_SIZE];
	int64_t copied;
	int r = store_pin_blob(&k->w, digest, size, e);
	if (r != 0)
		return r;
	autofd int from = store_open_blob(&k->c->store, digest, size, e);
	if (from < 0)
		return from;
	autofd int to = openat(k->w.dirfd, "own", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(e, errno, "create a blob");
	r = image_copy(from, to, found, &copied, e);
	if (r >= 0 && !str_eq(found, digest))
		r = err_set(e, EBADMSG, "blob %s is damaged", digest);
	if (r >= 0 && fdatasync(to) < 0)
		r = err_sys(e, errno, "sync a blob");
	return r < 0 ? r : store_publish_blob(&k->w, "own", digest, e);
}

static int take_base(struct commit *k, const char *base, struct err *e)
{
	struct store_record from = {0};
	if (!imgref_is_digest(base))
		return err_set(e, EINVAL, "\"%.80s\" is not a digest", base);
	int r = image_find_record(k->c, base, &from, e);
	if (r < 0)
		return r;
	struct store_record *rec = &k->record;
	rec->layers = xcalloc(from.nlayers + 1, sizeof(*rec->layers));
	for (size_t i = 0; i < from.nlayers && r >= 0; i++) {
		const char *type = NULL;
		r = image_translate_type(from.layers[i].media_type, k->docker, &type, e);
		if (r < 0)
			break;
		rec->layers[i] = from.layers[i];
		rec->layers[i].media_type = xstrdup(type);
		rec->nlayers++;
		r = own_blob(k, from.layers[i].blob, from.layers[i].blob_size, e);
	}
	store_record_free(&from);
	return r < 0 ? err_ctx(e, "base image %.19s", base) : 0;
}

static int check_config(struct commit *k, struct err *e)
{
	autostrv struct strv ids = STRV_INIT;
	if (!json_is_object(json_object_get(k->config, "config")))
		json_put(k->config, "config", json_object());
	if (!json_is_array(json_object_get(k->config, "history")))
		json_put(k->config, "history", json_array());
	if (!json_is_array(json_object_get(json_object_get(k->config, "rootfs"), "diff_ids")))
		return err_set(e, EINVAL, "commit: the config has no rootfs");
	int r = imgspec_diff_ids(k->config, &ids, e);
	if (r < 0)
		return r;
	bool same = ids.count == k->record.nlayers;
	for (size_t i = 0; same && i < ids.count; i++)
		same = str_eq(ids.items[i], k->record.layers[i].diff_id + 7);
	return same ? 0 : err_set(e, EINVAL, "commit: the config is not that of the base image");
}

/* ---- all of it ---- */

static int put_document(struct commit *k, const json_t *doc, char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size,
			struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	image_digest(text.buf, text.len, ret_digest);
	*ret_size = (int64_t)text.len;
	return store_put_blob(&k->w, text.buf, text.len, ret_digest, e);
}

static int publish(struct commit *k, struct err *e)
{
	struct store_record *rec = &k->record;
	json_put_str(k->config, "created", k->created);
	int r = put_document(k, k->config, rec->config, &rec->config_size, e);
	if (r < 0)
		return r;
	autojson json_t *manifest = imgspec_manifest_new(rec->config, rec->config_size);
	if (k->docker) {
		json_put_str(manifest, "mediaType", IMGSPEC_DOCKER_MANIFEST);
		json_put_str(json_object_get(manifest, "config"), "mediaType", IMGSPEC_DOCKER_CONFIG);
	}
	for (size_t i = 0; i < rec->nlayers; i++)
		imgspec_manifest_add_layer(manifest, rec->layers[i].media_type, rec->layers[i].blob,
					   rec->layers[i].blob_size);
	r = put_document(k, manifest, rec->manifest, &rec->manifest_size, e);
	if (r < 0)
		return r;
	rec->media_type = xstrdup(k->docker ? IMGSPEC_DOCKER_MANIFEST : IMGSPEC_OCI_MANIFEST);
	rec->created = xstrdup(k->created);
	return store_publish_image(&k->w, rec, e);
}

static int read_request(struct commit *k, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_rest(IMAGE_PROTO_DATA_FD, REQUEST_MAX, "the request", &text, e);
	if (r >= 0)
		r = json_parse(text.buf, text.len, "request", &k->request, e);
	if (r >= 0)
		r = json_get_strv(k->request, "lowers", &k->lowers, e);
	if (r < 0)
		return r;
	k->config = json_deep_copy(json_object_get(k->request, "config"));
	if (!json_is_object(k->config))
		return err_set(e, EINVAL, "commit: no config");
	k->squash = json_bool_or(k->request, "squash", false);
	k->docker = k->c->format && str_eq(k->c->format, "docker");
	if (k->c->format && !k->docker && !str_eq(k->c->format, "oci"))
		return err_set(e, EINVAL, "'%s' is no format: oci, docker", k->c->format);
	k->compression = ARCHIVE_GZIP;
	return k->c->compression ? archive_compressor_parse(k->c->compression, &k->compression, e) : 0;
}

static int commit_all(struct commit *k, const char *name, struct err *e)
{
	const json_t *dirs = json_object_get(k->request, "dirs");
	const char *base = json_str_or_null(k->request, "base");
	size_t n = json_array_size(dirs);
	int r = base && !k->squash ? take_base(k, base, e) : 0;
	if (k->squash) {
		json_put(json_member(k->config, "rootfs", JSON_OBJECT), "diff_ids", json_array());
		json_put(k->config, "history", json_array());
	}
	if (r >= 0)
		r = check_config(k, e);
	if (r >= 0 && k->squash && n > 1) {
		/* Those below the topmost are only looked at. */
		autostrv struct strv stack = STRV_INIT;
		for (size_t i = n - 1; i-- > 0;) {
			const char *path = json_str_or_null(json_array_get(dirs, i), "path");
			strv_add(&stack, path ? path : "");
		}
		strv_add_all(&stack, &k->lowers);
		strv_free(&k->lowers);
		k->lowers = stack;
		stack = (struct strv)STRV_INIT;
		r = commit_dir(k, json_array_get(dirs, n - 1), 0, 1, e);
	} else {
		for (size_t i = 0; i < n && r >= 0; i++)
			r = commit_dir(k, json_array_get(dirs, i), i, n, e);
	}
	if (r >= 0)
		r = publish(k, e);
	if (r >= 0 && name)
		r = store_tag(&k->c->store, name, k->record.manifest, e);
	if (r >= 0)
		image_tell_added(k->c, &k->record, name ? name : "");
	return r;
}

static void now_text(char ret[40])
{
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + n, 40 - n, ".%09ldZ", ts.tv_nsec);
}

int commit_verb(struct image_ctx *c, struct err *e)
{
	struct commit k = {.c = c};
	autofree char *name = NULL;
	char created[40];
	if (c->name) {
		struct imgref ref;
		int r = imgref_parse(c->name, &ref, e);
		if (r < 0)
			return r;
		name = *ref.digest ? NULL : imgref_format(&ref);
		imgref_free(&ref);
		if (!name)
			return err_set(e, EINVAL, "commit %s: a new image cannot be given a digest", c->name);
	}
	int r = read_request(&k, e);
	now_text(created);
	if (r >= 0) {
		const char *asked = json_str_or_null(k.request, "created");
		k.created = asked ? asked : created;
		r = store_work_begin(&c->store, &k.w, e);
	}
	if (r >= 0) {
		r = commit_all(&k, name, e);
		store_work_end(&k.w);
	}
	store_record_free(&k.record);
	strv_free(&k.lowers);
	json_decref(k.config);
	json_decref(k.request);
	return r;
}
