/*
 * save.c - `rl-image save`: images of the store into an archive or a directory; see image_int.h.
 *
 *     oci-archive, oci-dir   oci-layout, blobs/sha256/HEX, index.json with the names as annotations
 *     docker-archive         HEX.json, HEX.tar (blobs as they are, compressed or not; every reader looks), manifest.json
 *     docker-dir             skopeo's dir: of one image: version, blobs named HEX, manifest.json
 *
 * Nothing is unpacked, packed or converted: documents and blobs go out as they came in, so digests stay (a docker
 * archive has no manifest: its image keeps the id). Blobs are hashed on the way; a damaged one ends the save. A blob two
 * images share is written once. Everything is pinned before the first byte is written.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

enum save_format { SAVE_DOCKER_ARCHIVE, SAVE_OCI_ARCHIVE, SAVE_OCI_DIR, SAVE_DOCKER_DIR, SAVE_FORMAT_N };

static const char *const format_names[] = {
	[SAVE_DOCKER_ARCHIVE] = "docker-archive",
	[SAVE_OCI_ARCHIVE] = "oci-archive",
	[SAVE_OCI_DIR] = "oci-dir",
	[SAVE_DOCKER_DIR] = "docker-dir",
};
_Static_assert(ARRAY_SIZE(format_names) == SAVE_FORMAT_N, "a name for every format");

struct saved {
	struct store_record record;
	struct strv names; /* canonical, with a tag */
};

struct save {
	struct image_ctx *c;
	struct store_work w;
	enum save_format format;
	struct saved *images;
	size_t count;
	struct bundle out;
	char what[76];
	uint64_t told;
};

/* ---- which images ---- */

/* A name that has a tag is kept; an id names nothing, and a name with only a digest is known by the digest. */
static void add_name(struct saved *image, const char *canonical)
{
	struct imgref ref;
	if (!*canonical || imgref_parse(canonical, &ref, NULL) < 0)
		return;
	if (ref.tag) {
		ref.digest[0] = '\0';
		autofree char *name = imgref_format(&ref);
		if (!strv_has(&image->names, name))
			strv_add(&image->names, name);
	}
	imgref_free(&ref);
}

static int add_image(struct save *s, const char *ref, struct err *e)
{
	struct store_image found = {0};
	int r = store_find_image(&s->c->store, ref, &found, e);
	if (r < 0)
		return r;
	size_t i = 0;
	while (i < s->count && !str_eq(s->images[i].record.manifest, found.manifest_digest))
		i++;
	if (i == s->count) {
		struct store_record record = {0};
		r = image_find_record(s->c, found.manifest_digest, &record, e);
		if (r >= 0)
			s->images[s->count++] = (struct saved){.record = record};
		if (r >= 0)
			r = image_pin_record(&s->w, &s->images[i].record, e);
	}
	if (r >= 0 && s->c->name && *s->c->name)
		strv_add(&s->images[i].names, s->c->name);
	else if (r >= 0 && !s->c->name)
		add_name(&s->images[i], found.name ? found.name : "");
	store_image_free(&found);
	return r < 0 ? err_ctx(e, "save %s", ref) : 0;
}

/* ---- what they consist of ---- */

static void tell_copied(void *arg, uint64_t done, uint64_t total)
{
	struct save *s = arg;
	if (done - s->told < 16 << 20 && done != total)
		return;
	s->told = done;
	image_tell_progress(s->c, s->what, done == total ? IMAGE_DONE : IMAGE_COPYING, done, total);
}

static int put_blob(struct save *s, const char *name, const char *digest, int64_t size, struct err *e)
{
	if (bundle_has(&s->out, name))
		return 0;
	autofd int fd = store_open_blob(&s->c->store, digest, size, e);
	if (fd < 0)
		return fd;
	s->told = 0;
	return bundle_add_blob(&s->out, name, fd,
			       &(struct bundle_blob){.digest = digest, .size = size, .progress = tell_copied, .arg = s},
			       e);
}

static int put_blobs(struct save *s, const struct store_record *r, const char *prefix, const char *config_suffix,
		     const char *layer_suffix, struct err *e)
{
	for (size_t i = 0; i < r->nlayers; i++) {
		const struct store_layer *l = &r->layers[i];
		autofree char *name = xasprintf("%s%s%s", prefix, l->blob + 7, layer_suffix);
		snprintf(s->what, sizeof(s->what), "layer %zu/%zu %.12s", i + 1, r->nlayers, l->blob + 7);
		int rc = put_blob(s, name, l->blob, l->blob_size, e);
		if (rc < 0)
			return rc;
	}
	autofree char *name = xasprintf("%s%s%s", prefix, r->config + 7, config_suffix);
	snprintf(s->what, sizeof(s->what), "config %.12s", r->config + 7);
	return put_blob(s, name, r->config, r->config_size, e);
}

static int put_document(struct save *s, const char *name, const json_t *doc, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	return bundle_add(&s->out, name, text.buf, text.len, e);
}

/* ---- the formats ---- */

static json_t *index_entry(const struct store_record *r, const char *name)
{
	json_t *d = imgspec_desc_new(r->media_type, r->manifest, r->manifest_size);
	if (name) {
		/* The first is what skopeo and podman look for, the second what docker and containerd do. */
		json_t *notes = json_object();
		if (strpbrk(name, "/:"))
			json_put_str(notes, "io.containerd.image.name", name);
		json_put_str(notes, "org.opencontainers.image.ref.name", name);
		json_put(d, "annotations", notes);
	}
	return d;
}

/* The index of a layout that is there, less what the new names were given to. */
static int read_index(struct save *s, json_t **ret_index, struct err *e)
{
	autojson json_t *doc = NULL;
	autostr struct str bytes = STR_INIT;
	enum imgspec_kind kind;
	int r = io_read_file(s->out.fd, "index.json", IMGSPEC_MANIFEST_MAX, &bytes, e);
	if (r >= 0)
		r = imgspec_kind(bytes.buf, bytes.len, IMGSPEC_OCI_INDEX, &kind, &doc, e);
	if (r >= 0 && kind != IMGSPEC_INDEX)
		r = err_set(e, EBADMSG, "index.json is no index");
	if (r < 0)
		return err_ctx(e, "%s", s->out.path);
	json_t *manifests = json_object_get(doc, "manifests");
	for (size_t i = json_array_size(manifests); i-- > 0;) {
		const json_t *d = json_array_get(manifests, i);
		const char *name = json_str_or_null(json_object_get(d, "annotations"),
						    "org.opencontainers.image.ref.name");
		const char *digest = json_str_or_null(d, "digest");
		for (size_t k = 0; k < s->count; k++) {
			bool same = digest && str_eq(digest, s->images[k].record.manifest);
			if (name ? strv_has(&s->images[k].names, name) : same) {
				json_array_remove(manifests, i);
				break;
			}
		}
	}
	*ret_index = take_ptr(&doc);
	return 0;
}

static int save_oci(struct save *s, struct err *e)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	autojson json_t *index = NULL;
	int r = s->out.grows ? read_index(s, &index, e) : 0;
	if (r < 0)
		return r;
	if (!index) {
		index = json_object();
		json_put_int(index, "schemaVersion", 2);
		json_put_str(index, "mediaType", IMGSPEC_OCI_INDEX);
		json_put(index, "manifests", json_array());
		r = bundle_add(&s->out, "oci-layout", layout, strlen(layout), e);
	}
	json_t *manifests = json_object_get(index, "manifests");
	if (r >= 0)
		r = bundle_add_dir(&s->out, "blobs/", e);
	if (r >= 0)
		r = bundle_add_dir(&s->out, "blobs/sha256/", e);
	for (size_t i = 0; i < s->count && r >= 0; i++) {
		const struct store_record *record = &s->images[i].record;
		const struct strv *names = &s->images[i].names;
		autofree char *name = xasprintf("blobs/sha256/%s", record->manifest + 7);
		r = put_blobs(s, record, "blobs/sha256/", "", "", e);
		if (r >= 0)
			r = put_blob(s, name, record->manifest, record->manifest_size, e);
		for (size_t k = 0; k < names->count; k++)
			json_array_append_new(manifests, index_entry(record, names->items[k]));
		if (!names->count)
			json_array_append_new(manifests, index_entry(record, NULL));
	}
	if (r < 0 || !s->out.grows)
		return r < 0 ? r : put_document(s, "index.json", index, e);
	autostr struct str text = STR_INIT;
	json_print(index, false, &text);
	return bundle_replace(&s->out, "index.json", text.buf, text.len, e);
}

static int save_docker_archive(struct save *s, struct err *e)
{
	autojson json_t *doc = json_array();
	int r = 0;
	for (size_t i = 0; i < s->count && r >= 0; i++) {
		const struct store_record *record = &s->images[i].record;
		json_t *item = json_object();
		json_t *layers = json_array();
		autofree char *config = xasprintf("%s.json", record->config + 7);
		for (size_t k = 0; k < record->nlayers; k++) {
			autofree char *layer = xasprintf("%s.tar", record->layers[k].blob + 7);
			json_array_append_new(layers, json_string(layer));
		}
		json_put_str(item, "Config", config);
		json_put_strv(item, "RepoTags", &s->images[i].names);
		json_put(item, "Layers", layers);
		json_array_append_new(doc, item);
		r = put_blobs(s, record, "", ".json", ".tar", e);
	}
	return r < 0 ? r : put_document(s, "manifest.json", doc, e);
}

static int save_docker_dir(struct save *s, struct err *e)
{
	static const char version[] = "Directory Transport Version: 1.1\n";
	const struct store_record *record = &s->images[0].record;
	if (s->count != 1)
		return err_set(e, EINVAL, "docker-dir holds one image, not %zu", s->count);
	int r = bundle_add(&s->out, "version", version, strlen(version), e);
	if (r >= 0)
		r = put_blobs(s, record, "", "", "", e);
	return r < 0 ? r : put_blob(s, "manifest.json", record->manifest, record->manifest_size, e);
}

static int save_into(struct save *s, struct err *e)
{
	switch (s->format) {
	case SAVE_DOCKER_ARCHIVE:
		return save_docker_archive(s, e);
	case SAVE_OCI_ARCHIVE:
	case SAVE_OCI_DIR:
		return save_oci(s, e);
	case SAVE_DOCKER_DIR:
		return save_docker_dir(s, e);
	case SAVE_FORMAT_N:
		break;
	}
	return err_set(e, EINVAL, "format %d", (int)s->format);
}

static int parse_format(const char *text, enum save_format *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(format_names); i++) {
		if (str_eq(text, format_names[i])) {
			*ret = (enum save_format)i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "'%s' is no format: docker-archive, oci-archive, oci-dir, docker-dir", text);
}

static int save_all(struct save *s, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < s->c->args.count && r >= 0; i++)
		r = add_image(s, s->c->args.items[i], e);
	if (r < 0)
		return r;
	bool is_dir = s->format == SAVE_OCI_DIR || s->format == SAVE_DOCKER_DIR;
	autofree char *index = xasprintf("%s/index.json", s->c->output);
	if (s->c->append && s->format == SAVE_OCI_DIR && access(index, F_OK) == 0)
		r = bundle_open_layout(&s->out, s->c->output, e);
	else
		r = bundle_open(&s->out, s->c->output, is_dir, e);
	if (r < 0)
		return r;
	r = save_into(s, e);
	if (r >= 0)
		r = bundle_end(&s->out, e);
	bundle_close(&s->out, r < 0);
	return r;
}

int save_verb(struct image_ctx *c, struct err *e)
{
	struct save s = {.c = c};
	/* A reader that went away is an error that is told like any other. */
	signal(SIGPIPE, SIG_IGN);
	int r = parse_format(c->format ? c->format : format_names[SAVE_DOCKER_ARCHIVE], &s.format, e);
	if (r < 0)
		return r;
	r = store_work_begin_reading(&c->store, &s.w, e);
	if (r < 0)
		return r;
	s.images = xcalloc(c->args.count + 1, sizeof(*s.images));
	r = save_all(&s, e);
	for (size_t i = 0; i < s.count; i++) {
		store_record_free(&s.images[i].record);
		strv_free(&s.images[i].names);
	}
	free(s.images);
	store_work_end(&s.w);
	return r;
}
