/*
 * load.c - `rl-image load`: every image of an archive or a directory; see image_int.h.
 *
 * Four forms are told apart by the files that are there:
 *     OCI layout      oci-layout and index.json (also inside an archive: oci-archive, and docker save since 25)
 *     docker archive  manifest.json, an array of {Config, RepoTags, Layers}
 *     dir             manifest.json, an image manifest; blobs are files named by their hex digits (skopeo's dir:)
 * For the first and the last the documents are kept as they are, so that digests stay. A docker archive has no
 * manifest: one is made, around its config, whose digest is the image id docker knows it by.
 *
 * Everything is verified before it is published: documents against their descriptors, layers against manifest and
 * DiffIDs. Images of one archive are independent: the first bad one ends the load, those before it stay.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

enum { DOCKER_MANIFEST_MAX = 16 << 20, ARCHIVE_IMAGES_MAX = 10000 };

struct load {
	struct image_ctx *c;
	struct store_work *w;
	struct image_source source;
	bool flat; /* dir: blobs lie beside manifest.json */
	size_t images;
};

/* ---- shared ---- */

static void blob_path(const struct load *l, const char *digest, char ret[128])
{
	snprintf(ret, 128, "%s%s", l->flat ? "" : "blobs/sha256/", digest + 7);
}

/* A document the digest of which is known. */
static int read_document(const struct load *l, const char *digest, size_t max, struct str *out, struct err *e)
{
	char path[128];
	char actual[STORE_DIGEST_SIZE];
	blob_path(l, digest, path);
	int r = source_read(&l->source, path, max, out, e);
	if (r < 0)
		return r;
	image_digest(out->buf, out->len, actual);
	if (!str_eq(actual, digest))
		return err_set(e, EBADMSG, "%s is damaged: its digest is %s", path, actual);
	return 0;
}

/* Layers present, record written, names set, rl told. */
static int finish_image(struct load *l, struct store_record *record, const struct strv *names, struct err *e)
{
	int r = layers_ensure(l->c, l->w, record, e);
	if (r < 0 && layers_may_stay_packed(l->c)) {
		err_clear(e);
		r = 0;
	}
	if (r >= 0)
		r = store_publish_image(l->w, record, e);
	if (r < 0)
		return r;
	l->images++;
	size_t tagged = 0;
	for (size_t i = 0; i < names->count; i++) {
		struct imgref ref;
		struct err why = ERR_INIT;
		if (imgref_parse(names->items[i], &ref, &why) < 0) {
			image_note(l->c, "the name in the archive is not used: %s", why.text);
			continue;
		}
		autofree char *name = imgref_format(&ref);
		imgref_free(&ref);
		r = store_tag(&l->c->store, name, record->manifest, e);
		if (r < 0)
			return r;
		image_tell_added(l->c, record, name);
		tagged++;
	}
	if (!tagged)
		image_tell_added(l->c, record, "");
	return 0;
}

/* ---- OCI layout and dir ---- */

/* The image of one manifest, its bytes read and verified. */
static int load_manifest(struct load *l, const char *digest, const struct str *bytes, const json_t *doc,
			 const struct strv *names, struct err *e)
{
	struct imgspec_manifest m = {0};
	struct imgspec_config config = {0};
	struct store_record record = {0};
	autostr struct str config_bytes = STR_INIT;
	int r = imgspec_manifest_parse(doc, &m, e);
	if (r >= 0)
		r = read_document(l, m.config.digest, IMGSPEC_CONFIG_MAX, &config_bytes, e);
	if (r >= 0 && (int64_t)config_bytes.len != m.config.size)
		r = err_set(e, EBADMSG, "the config has %zu bytes and should have %lld", config_bytes.len,
			    (long long)m.config.size);
	if (r >= 0)
		r = image_parse_config(&config_bytes, &config, e);
	if (r >= 0)
		r = image_fill_record(&m, &config, &record, e);
	for (size_t i = 0; r >= 0 && i < m.nlayers; i++) {
		char path[128];
		char got[STORE_DIGEST_SIZE];
		int64_t size;
		blob_path(l, m.layers[i].digest, path);
		r = source_take_blob(l->w, &l->source, path, m.layers[i].digest, m.layers[i].size, got, &size, e);
	}
	if (r >= 0)
		r = store_put_blob(l->w, config_bytes.buf, config_bytes.len, m.config.digest, e);
	if (r >= 0)
		r = store_put_blob(l->w, bytes->buf, bytes->len, digest, e);
	if (r >= 0) {
		snprintf(record.manifest, sizeof(record.manifest), "%s", digest);
		record.manifest_size = (int64_t)bytes->len;
		r = finish_image(l, &record, names, e);
	}
	imgspec_manifest_free(&m);
	imgspec_config_free(&config);
	store_record_free(&record);
	return r;
}

static int load_descriptor(struct load *l, const struct imgspec_desc *d, const struct strv *names, int depth,
			   struct err *e);

static int load_index(struct load *l, const json_t *doc, const struct strv *names, int depth, struct err *e)
{
	struct imgspec_index x = {0};
	struct imgspec_platform want = {0};
	const char *os, *architecture, *variant;
	int r = imgspec_index_parse(doc, &x, e);
	if (r < 0)
		return r;
	imgspec_host_platform(&os, &architecture, &variant);
	want.os = xstrdup(os);
	want.architecture = xstrdup(architecture);
	want.variant = variant ? xstrdup(variant) : NULL;
	r = imgspec_index_choose(&x, &want, e);
	if (r >= 0)
		r = load_descriptor(l, &x.manifests[r], names, depth + 1, e);
	imgspec_platform_free(&want);
	imgspec_index_free(&x);
	return r;
}

static int load_descriptor(struct load *l, const struct imgspec_desc *d, const struct strv *names, int depth,
			   struct err *e)
{
	if (depth > IMGSPEC_DEPTH_MAX)
		return err_set(e, EBADMSG, "indexes nested more than %d deep", IMGSPEC_DEPTH_MAX);
	autostr struct str bytes = STR_INIT;
	autojson json_t *doc = NULL;
	enum imgspec_kind kind;
	int r = read_document(l, d->digest, IMGSPEC_MANIFEST_MAX, &bytes, e);
	if (r >= 0 && (int64_t)bytes.len != d->size)
		r = err_set(e, EBADMSG, "manifest %s has %zu bytes and should have %lld", d->digest, bytes.len,
			    (long long)d->size);
	if (r >= 0)
		r = imgspec_kind(bytes.buf, bytes.len, d->media_type, &kind, &doc, e);
	if (r < 0)
		return r;
	if (kind == IMGSPEC_INDEX)
		return load_index(l, doc, names, depth, e);
	return load_manifest(l, d->digest, &bytes, doc, names, e);
}

/* The annotation is a whole name for some tools and only a tag for others; a tag alone names nothing. */
static void add_name(const struct imgspec_desc *d, struct strv *names)
{
	const char *name = d->image_name ? d->image_name : d->ref_name;
	if (name && (d->image_name || strpbrk(name, "/:")) && !strv_has(names, name))
		strv_add(names, name);
}

/* Does `--which` mean the image that is called this in the archive? */
static bool is_which(const struct load *l, const char *name)
{
	struct imgref a = {0};
	struct imgref b = {0};
	if (!name)
		return false;
	bool same = str_eq(name, l->c->which);
	if (!same && imgref_parse(name, &a, NULL) >= 0 && imgref_parse(l->c->which, &b, NULL) >= 0) {
		autofree char *x = imgref_format(&a);
		autofree char *y = imgref_format(&b);
		same = str_eq(x, y);
	}
	imgref_free(&a);
	imgref_free(&b);
	return same;
}

static bool is_wanted(const struct load *l, const struct imgspec_index *x, size_t i)
{
	bool wanted = !l->c->which;
	for (size_t k = 0; k < x->nmanifests && !wanted; k++)
		wanted = str_eq(x->manifests[k].digest, x->manifests[i].digest) &&
			 (is_which(l, x->manifests[k].ref_name) || is_which(l, x->manifests[k].image_name));
	return wanted;
}

static int load_layout(struct load *l, struct err *e)
{
	autostr struct str bytes = STR_INIT;
	autojson json_t *doc = NULL;
	struct imgspec_index x = {0};
	enum imgspec_kind kind;
	int r = source_read(&l->source, "index.json", IMGSPEC_MANIFEST_MAX, &bytes, e);
	if (r >= 0)
		r = imgspec_kind(bytes.buf, bytes.len, IMGSPEC_OCI_INDEX, &kind, &doc, e);
	if (r >= 0)
		r = imgspec_index_parse(doc, &x, e);
	if (r < 0)
		return err_ctx(e, "index.json");
	for (size_t i = 0; r >= 0 && i < x.nmanifests; i++) {
		const struct imgspec_desc *d = &x.manifests[i];
		bool seen = d->is_attestation || !is_wanted(l, &x, i);
		for (size_t k = 0; k < i && !seen; k++)
			seen = str_eq(x.manifests[k].digest, d->digest);
		if (seen)
			continue; /* its names were collected with the first one */
		autostrv struct strv names = STRV_INIT;
		for (size_t k = i; k < x.nmanifests; k++)
			if (str_eq(x.manifests[k].digest, d->digest))
				add_name(&x.manifests[k], &names);
		r = load_descriptor(l, d, &names, 0, e);
		if (r < 0)
			err_ctx(e, "image %s", names.count ? names.items[0] : d->digest);
	}
	imgspec_index_free(&x);
	return r;
}

/* skopeo's dir: one image, the manifest is the file manifest.json itself. */
static int load_dir(struct load *l, const struct str *bytes, struct err *e)
{
	autojson json_t *doc = NULL;
	enum imgspec_kind kind;
	char digest[STORE_DIGEST_SIZE];
	const struct strv no_names = STRV_INIT;
	l->flat = true;
	int r = imgspec_kind(bytes->buf, bytes->len, NULL, &kind, &doc, e);
	if (r < 0)
		return r;
	if (kind == IMGSPEC_INDEX)
		return load_index(l, doc, &no_names, 0, e);
	image_digest(bytes->buf, bytes->len, digest);
	return load_manifest(l, digest, bytes, doc, &no_names, e);
}

/* ---- docker archive ---- */

/* What the first bytes of a blob say; docker writes plain tars, others compress them. */
static int sniff(struct store_work *w, const char *digest, enum imgspec_compression *ret, struct err *e)
{
	static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	unsigned char head[4] = {0};
	autofd int fd = store_open_blob(w->store, digest, -1, e);
	if (fd < 0)
		return fd;
	if (pread(fd, head, sizeof(head), 0) < 0)
		return err_sys(e, errno, "read blob %s", digest);
	*ret = memcmp(head, gzip, sizeof(gzip)) == 0   ? IMGSPEC_GZIP
	       : memcmp(head, zstd, sizeof(zstd)) == 0 ? IMGSPEC_ZSTD
						       : IMGSPEC_PLAIN;
	return 0;
}

static int docker_layers(struct load *l, const struct strv *files, const struct imgspec_config *config,
			 struct store_record *record, json_t *manifest, struct err *e)
{
	if (files->count != config->diff_ids.count)
		return err_set(e, EBADMSG, "manifest.json names %zu layers, the config %zu DiffIDs", files->count,
			       config->diff_ids.count);
	record->layers = xcalloc(files->count + 1, sizeof(*record->layers));
	for (; record->nlayers < files->count; record->nlayers++) {
		struct store_layer *layer = &record->layers[record->nlayers];
		const char *diff_id = config->diff_ids.items[record->nlayers];
		enum imgspec_compression compression = IMGSPEC_PLAIN;
		int r = source_take_blob(l->w, &l->source, files->items[record->nlayers], "", -1, layer->blob,
					 &layer->blob_size, e);
		if (r >= 0)
			r = sniff(l->w, layer->blob, &compression, e);
		if (r < 0)
			return err_ctx(e, "layer %zu", record->nlayers + 1);
		layer->media_type = xstrdup(imgspec_layer_media_type(compression));
		snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", diff_id);
		snprintf(layer->key, sizeof(layer->key), "%s", diff_id + 7);
		layer->unpacked_size = -1;
		imgspec_manifest_add_layer(manifest, layer->media_type, layer->blob, layer->blob_size);
	}
	return 0;
}

static int docker_record(struct load *l, const struct strv *files, const struct str *config_bytes,
			 struct store_record *record, struct err *e)
{
	struct imgspec_config config = {0};
	int r = image_parse_config(config_bytes, &config, e);
	if (r < 0)
		return r;
	image_digest(config_bytes->buf, config_bytes->len, record->config);
	record->config_size = (int64_t)config_bytes->len;
	record->created = config.created ? xstrdup(config.created) : NULL;
	record->media_type = xstrdup(IMGSPEC_OCI_MANIFEST);
	autojson json_t *manifest = imgspec_manifest_new(record->config, record->config_size);
	r = docker_layers(l, files, &config, record, manifest, e);
	imgspec_config_free(&config);
	if (r < 0)
		return r;
	autostr struct str text = STR_INIT;
	json_print(manifest, false, &text);
	image_digest(text.buf, text.len, record->manifest);
	record->manifest_size = (int64_t)text.len;
	r = store_put_blob(l->w, config_bytes->buf, config_bytes->len, record->config, e);
	return r < 0 ? r : store_put_blob(l->w, text.buf, text.len, record->manifest, e);
}

static int take_docker_image(struct load *l, const struct imgspec_docker_entry *entry, struct err *e)
{
	autostr struct str config_bytes = STR_INIT;
	struct store_record record = {0};
	bool wanted = !l->c->which;
	for (size_t i = 0; i < entry->names.count && !wanted; i++)
		wanted = is_which(l, entry->names.items[i]);
	if (!wanted)
		return 0;
	int r = source_read(&l->source, entry->config, IMGSPEC_CONFIG_MAX, &config_bytes, e);
	if (r >= 0)
		r = docker_record(l, &entry->layers, &config_bytes, &record, e);
	if (r >= 0)
		r = finish_image(l, &record, &entry->names, e);
	store_record_free(&record);
	return r < 0 ? err_ctx(e, "image %s", entry->names.count ? entry->names.items[0] : entry->config) : 0;
}

static int load_docker_image(struct load *l, const json_t *item, struct err *e)
{
	struct imgspec_docker_entry entry;
	int r = imgspec_docker_entry_parse(item, &entry, e);
	if (r < 0)
		return r;
	r = take_docker_image(l, &entry, e);
	imgspec_docker_entry_free(&entry);
	return r;
}

static int load_docker(struct load *l, const json_t *doc, struct err *e)
{
	size_t n = json_array_size(doc);
	if (n > ARCHIVE_IMAGES_MAX)
		return err_set(e, EBADMSG, "manifest.json names %zu images", n);
	for (size_t i = 0; i < n; i++) {
		int r = load_docker_image(l, json_array_get(doc, i), e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- which one is it ---- */

static int load_any(struct load *l, struct err *e)
{
	if (source_has(&l->source, "oci-layout") && source_has(&l->source, "index.json"))
		return load_layout(l, e);
	if (!source_has(&l->source, "manifest.json")) {
		int r = err_set(e, EBADMSG,
				"neither an OCI layout (oci-layout, index.json) nor an image archive "
				"(manifest.json)");
		err_hint(e, "a root file system becomes an image with: rl import FILE NAME");
		return r;
	}
	autostr struct str bytes = STR_INIT;
	autojson json_t *doc = NULL;
	int r = source_read(&l->source, "manifest.json", DOCKER_MANIFEST_MAX, &bytes, e);
	if (r >= 0)
		r = json_parse(bytes.buf, bytes.len, "manifest.json", &doc, e);
	if (r < 0)
		return r;
	return json_is_array(doc) ? load_docker(l, doc, e) : load_dir(l, &bytes, e);
}

static int load_into(struct image_ctx *c, struct store_work *w, struct err *e)
{
	struct load l = {.c = c, .w = w};
	int r = source_open(c, w, c->args.items[0], &l.source, e);
	if (r < 0)
		return err_ctx(e, "load %s", c->args.items[0]);
	r = load_any(&l, e);
	source_close(&l.source);
	if (r >= 0 && l.images == 0)
		r = c->which ? err_set(e, ENOENT, "there is no image called %s in it", c->which)
			     : err_set(e, EBADMSG, "there is no image in it");
	return r < 0 ? err_ctx(e, "load %s", c->args.items[0]) : 0;
}

int load_verb(struct image_ctx *c, struct err *e)
{
	struct store_work w;
	int r = store_work_begin(&c->store, &w, e);
	if (r < 0)
		return r;
	r = load_into(c, &w, e);
	store_work_end(&w);
	return r;
}
