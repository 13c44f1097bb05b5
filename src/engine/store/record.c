/*
 * record.c - images/meta/MANIFEST-HEX.json, the record of an image; see store.h.
 *
 *     {"version":1,"mediaType":...,"manifest":"sha256:...","manifestSize":n,"config":"sha256:...","configSize":n,
 *      "created":"...","layers":[{"mediaType":...,"blob":"sha256:...","size":n,"diffID":"sha256:...","key":"hex",
 *      "unpacked":n}, ...],"extra":["sha256:..."],"origin":"docker.io/library/x","maps":["single"],"builtin":true}
 *
 * It repeats what manifest and config say, so that listing, running and collecting need not parse those, and adds the
 * one thing they do not say: the key of each layer's unpacked form. It is checked when read, because its digests
 * become paths. A record that is damaged is made again from the manifest blob by whoever needs it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/store_check.h"
#include "rl/model/imgspec.h"
#include "store_int.h"

void store_record_free(struct store_record *r)
{
	free(r->media_type);
	free(r->created);
	for (size_t i = 0; i < r->nlayers; i++)
		free(r->layers[i].media_type);
	free(r->layers);
	strv_free(&r->extra);
	free(r->origin);
	strv_free(&r->maps);
	*r = (struct store_record){0};
}

int64_t store_record_size(const struct store_record *r)
{
	int64_t sum = 0;
	for (size_t i = 0; i < r->nlayers; i++)
		sum += r->layers[i].unpacked_size >= 0 ? r->layers[i].unpacked_size : r->layers[i].blob_size;
	return sum;
}

/* ---- writing ---- */

static json_t *layer_to_json(const struct store_layer *l)
{
	json_t *doc = json_object();
	json_put_str(doc, "mediaType", l->media_type);
	json_put_str(doc, "blob", l->blob);
	json_put_int(doc, "size", l->blob_size);
	json_put_str(doc, "diffID", l->diff_id);
	json_put_str(doc, "key", l->key);
	if (l->unpacked_size >= 0)
		json_put_int(doc, "unpacked", l->unpacked_size);
	return doc;
}

static void record_print(const struct store_record *r, struct str *out)
{
	autojson json_t *doc = json_object();
	json_put_int(doc, "version", 1);
	json_put_str(doc, "mediaType", r->media_type);
	json_put_str(doc, "manifest", r->manifest);
	json_put_int(doc, "manifestSize", r->manifest_size);
	json_put_str(doc, "config", r->config);
	json_put_int(doc, "configSize", r->config_size);
	json_put_str(doc, "created", r->created);
	json_t *layers = json_array();
	for (size_t i = 0; i < r->nlayers; i++)
		json_array_append_new(layers, layer_to_json(&r->layers[i]));
	json_put(doc, "layers", layers);
	if (r->extra.count)
		json_put_strv(doc, "extra", &r->extra);
	if (r->origin)
		json_put_str(doc, "origin", r->origin);
	if (r->maps.count)
		json_put_strv(doc, "maps", &r->maps);
	if (r->builtin)
		json_put_bool(doc, "builtin", true);
	json_print(doc, false, out);
	str_addc(out, '\n');
}

static int sync_dir(const struct store *s, const char *path, struct err *e)
{
	autofd int fd = openat(s->rootfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", path);
	/* Some file systems (9p, FUSE ones) cannot sync a directory; nothing better is to be had there. */
	if (fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS && errno != EROFS)
		return err_sys(e, errno, "sync %s", path);
	return 0;
}

int store_publish_image(struct store_work *w, const struct store_record *r, struct err *e)
{
	const struct store *s = w->store;
	autostr struct str text = STR_INIT;
	record_print(r, &text);
	/* What the record promises must be on disk before the record is. */
	int rc = sync_dir(s, STORE_BLOBS, e);
	if (rc >= 0)
		rc = io_mkdirs(s->rootfd, STORE_META, 0700, e);
	autofd int dirfd = rc < 0 ? -1 : io_open_dir(s->rootfd, STORE_META, false, 0700, e);
	if (dirfd < 0)
		return rc < 0 ? rc : dirfd;
	char name[STORE_PATH_SIZE];
	snprintf(name, sizeof(name), "%s.json", store_hex(r->manifest));
	/* Under the lock, so that a collector knows temporary files of the living. */
	autofd int lockfd = -1;
	rc = store_lock(s, false, true, &lockfd, e);
	if (rc >= 0)
		rc = io_replace_file(dirfd, name, text.buf, text.len, 0600, true, e);
	close_fd(&lockfd);
	if (rc < 0)
		return err_ctx(e, "record of image %s", r->manifest);
	rc = sync_dir(s, STORE_META, e);
	if (rc < 0)
		return rc;
	return r->builtin ? 0 : store_index_changed(s, e);
}

/* ---- reading ---- */

static int take_digest(const json_t *doc, const char *key, char ret[STORE_DIGEST_SIZE], struct err *e)
{
	const char *text = json_str_or_null(doc, key);
	if (!text || !imgref_is_digest(text))
		return err_set(e, EBADMSG, "\"%s\" is not a digest", key);
	memcpy(ret, text, STORE_DIGEST_SIZE);
	return 0;
}

static int take_layer(const json_t *doc, struct store_layer *l, struct err *e)
{
	const char *key = json_str_or_null(doc, "key");
	const char *type = json_str_or_null(doc, "mediaType");
	if (!key || !imgref_is_hex(key) || !type)
		return err_set(e, EBADMSG, "a layer without key or mediaType");
	if (take_digest(doc, "blob", l->blob, e) < 0 || take_digest(doc, "diffID", l->diff_id, e) < 0)
		return -EBADMSG;
	memcpy(l->key, key, strlen(key) + 1);
	l->blob_size = json_int_or(doc, "size", -1);
	l->unpacked_size = json_int_or(doc, "unpacked", -1);
	l->media_type = xstrdup(type);
	return 0;
}

/* Texts of ours that never become paths unchecked; what is no text is left out. */
static void take_texts(const json_t *doc, const char *key, struct strv *out)
{
	size_t i;
	json_t *text;
	json_array_foreach (json_object_get(doc, key), i, text)
		if (json_is_string(text))
			strv_add(out, json_string_value(text));
}

static int record_fill(const json_t *doc, struct store_record *r, struct err *e)
{
	const char *type = json_str_or_null(doc, "mediaType");
	if (json_int_or(doc, "version", 0) != 1 || !type)
		return err_set(e, EBADMSG, "not a record of version 1");
	if (take_digest(doc, "manifest", r->manifest, e) < 0 || take_digest(doc, "config", r->config, e) < 0)
		return -EBADMSG;
	r->media_type = xstrdup(type);
	r->manifest_size = json_int_or(doc, "manifestSize", -1);
	r->config_size = json_int_or(doc, "configSize", -1);
	const char *created = json_str_or_null(doc, "created");
	r->created = created ? xstrdup(created) : NULL;
	r->builtin = json_bool_or(doc, "builtin", false);
	const char *origin = json_str_or_null(doc, "origin");
	r->origin = origin ? xstrdup(origin) : NULL;
	take_texts(doc, "maps", &r->maps);
	const json_t *layers = json_object_get(doc, "layers");
	size_t n = json_array_size(layers);
	if (n > IMGSPEC_LAYERS_MAX)
		return err_set(e, EBADMSG, "%zu layers", n);
	r->layers = xcalloc(n + 1, sizeof(*r->layers));
	for (; r->nlayers < n; r->nlayers++)
		if (take_layer(json_array_get(layers, r->nlayers), &r->layers[r->nlayers], e) < 0)
			return -EBADMSG;
	size_t i;
	json_t *extra;
	json_array_foreach (json_object_get(doc, "extra"), i, extra) {
		const char *digest = json_string_value(extra);
		if (!digest || !imgref_is_digest(digest))
			return err_set(e, EBADMSG, "\"extra\" holds something other than digests");
		strv_add(&r->extra, digest);
	}
	return 0;
}

static int read_own_blob(void *arg, const char *digest, size_t max, struct str *out, struct err *e)
{
	return store_read_blob(arg, digest, max, out, e);
}

int store_record_read_file(const struct store *s, const char *manifest_digest, struct store_record *ret_record,
			   struct err *e)
{
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), STORE_META "/%s.json", store_hex(manifest_digest));
	autojson json_t *doc = NULL;
	struct store_record r = {0};
	int rc = json_parse_file(s->rootfd, path, STORE_RECORD_MAX, &doc, e);
	if (rc >= 0)
		rc = record_fill(doc, &r, e);
	if (rc >= 0 && !str_eq(r.manifest, manifest_digest))
		rc = err_set(e, EBADMSG, "it is the record of another image");
	if (rc < 0)
		store_record_free(&r);
	else
		*ret_record = r;
	return rc;
}

int store_record_remake(const struct store *s, const char *manifest_digest, struct store_record *ret_record,
			struct err *e)
{
	struct store own = *s;
	return store_record_from_manifest(manifest_digest, NULL, read_own_blob, &own, ret_record, NULL, e);
}

int store_record_read(const struct store *s, const char *manifest_digest, struct store_record *ret_record,
		      struct err *e)
{
	struct store_record r = {0};
	struct err cause = ERR_INIT;
	int rc = store_record_read_file(s, manifest_digest, &r, &cause);
	if (rc == -ENOENT)
		return err_set(e, ENOENT, "no image has the manifest %s", manifest_digest);
	if (rc < 0) {
		log_debug(LOG_STORE, "the record of %s: %s", manifest_digest, cause.text);
		rc = store_record_remake(s, manifest_digest, &r, e);
		if (rc < 0)
			return err_ctx(e, "image %s is broken (%s)", manifest_digest, cause.text);
	}
	*ret_record = r;
	return 0;
}

bool store_record_note_map(struct store_record *r, const char *key)
{
	if (strv_has(&r->maps, key))
		return false;
	strv_add(&r->maps, key);
	return true;
}

static int fill_from_documents(const struct imgspec_manifest *m, const json_t *config, struct store_record *r,
			       struct err *e)
{
	autostrv struct strv diff_ids = STRV_INIT;
	int rc = imgspec_diff_ids(config, &diff_ids, e);
	if (rc < 0)
		return rc;
	if (diff_ids.count != m->nlayers)
		return err_set(e, EBADMSG, "the manifest has %zu layers, its config %zu DiffIDs", m->nlayers,
			       diff_ids.count);
	r->media_type = xstrdup(m->media_type);
	memcpy(r->config, m->config.digest, STORE_DIGEST_SIZE);
	r->config_size = m->config.size;
	const char *created = json_str_or_null(config, "created");
	r->created = created ? xstrdup(created) : NULL;
	r->layers = xcalloc(m->nlayers + 1, sizeof(*r->layers));
	for (; r->nlayers < m->nlayers; r->nlayers++) {
		const struct imgspec_desc *d = &m->layers[r->nlayers];
		struct store_layer *l = &r->layers[r->nlayers];
		l->media_type = xstrdup(d->media_type);
		memcpy(l->blob, d->digest, STORE_DIGEST_SIZE);
		l->blob_size = d->size;
		snprintf(l->diff_id, sizeof(l->diff_id), "sha256:%s", diff_ids.items[r->nlayers]);
		snprintf(l->key, sizeof(l->key), "%s", diff_ids.items[r->nlayers]);
		l->unpacked_size = -1;
	}
	return 0;
}

static int parse_manifest_bytes(const struct str *bytes, const char *declared, struct imgspec_manifest *ret,
				struct err *e)
{
	autojson json_t *doc = NULL;
	enum imgspec_kind kind;
	int rc = imgspec_kind(bytes->buf, bytes->len, declared, &kind, &doc, e);
	if (rc < 0)
		return rc;
	if (kind != IMGSPEC_MANIFEST)
		return err_set(e, EBADMSG, "an index where a manifest is expected");
	return imgspec_manifest_parse(doc, ret, e);
}

int store_record_from_manifest(const char *manifest_digest, const char *declared_type, store_read_fn *read, void *arg,
			       struct store_record *ret_record, json_t **ret_config, struct err *e)
{
	autostr struct str bytes = STR_INIT;
	autostr struct str config_bytes = STR_INIT;
	autojson json_t *config = NULL;
	struct imgspec_manifest m = {0};
	struct store_record r = {0};
	int rc = read(arg, manifest_digest, IMGSPEC_MANIFEST_MAX, &bytes, e);
	if (rc >= 0)
		rc = parse_manifest_bytes(&bytes, declared_type, &m, e);
	if (rc >= 0)
		rc = read(arg, m.config.digest, IMGSPEC_CONFIG_MAX, &config_bytes, e);
	if (rc >= 0)
		rc = json_parse(config_bytes.buf, config_bytes.len, "config", &config, e);
	if (rc >= 0)
		rc = fill_from_documents(&m, config, &r, e);
	imgspec_manifest_free(&m);
	if (rc < 0) {
		store_record_free(&r);
		return rc;
	}
	memcpy(r.manifest, manifest_digest, STORE_DIGEST_SIZE);
	r.manifest_size = (int64_t)bytes.len;
	*ret_record = r;
	if (ret_config)
		*ret_config = take_ptr(&config);
	return 0;
}

int store_records_list(const struct store *s, struct strv *ret_digests, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	autofd int fd = openat(s->rootfd, STORE_META, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", STORE_META);
	int r = io_list_dir(fd, &names, e);
	if (r < 0)
		return err_ctx(e, "%s", STORE_META);
	for (size_t i = 0; i < names.count; i++) {
		char *name = names.items[i];
		if (strlen(name) != 64 + 5 || !str_ends(name, ".json"))
			continue;
		name[64] = '\0';
		if (imgref_is_hex(name))
			strv_addf(ret_digests, "sha256:%s", name);
	}
	return 0;
}
