/*
 * remote.c - `rl-image inspect` and `tags`: what a registry has, without bringing it here; see image_int.h.
 *
 * The documents are verified as for a pull; nothing is written to the store. The form is that of `skopeo inspect`.
 */
#include <errno.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

typedef int remote_fn(struct image_ctx *c, struct registry_repo *repo, const struct imgref *ref, struct err *e);

/* Several candidates only for a name without a registry: the first place that has it. */
static int at_repository(struct image_ctx *c, remote_fn *fn, struct err *e)
{
	struct registry *reg = NULL;
	autostrv struct strv names = STRV_INIT;
	int r = registry_open(&c->registry, &reg, e);
	if (r < 0)
		return r;
	r = registry_expand(reg, c->args.items[0], &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		struct imgref ref = {0};
		struct registry_repo *repo = NULL;
		struct err own = ERR_INIT;
		int rc = imgref_parse(names.items[i], &ref, &own);
		if (rc >= 0)
			rc = registry_repo_open(reg, ref.domain, ref.path, REGISTRY_PULL, &repo, &own);
		if (rc >= 0) {
			rc = fn(c, repo, &ref, &own);
			registry_repo_close(repo);
		}
		imgref_free(&ref);
		if (rc >= 0)
			break;
		if (i + 1 == names.count || (rc != -ENOENT && rc != -EACCES)) {
			*e = own;
			r = rc;
		}
	}
	registry_close(reg);
	return r;
}

static void put_copy(json_t *to, const char *key, const json_t *from, const char *from_key)
{
	json_t *value = json_object_get(from, from_key);
	if (value)
		json_object_set(to, key, value);
}

static json_t *describe(const struct imgref *ref, const struct registry_image *img, const struct imgspec_manifest *m,
			const json_t *config, const struct strv *tags)
{
	json_t *doc = json_object();
	json_t *layers = json_array();
	json_t *data = json_array();
	const json_t *inner = json_object_get(config, "config");
	autofree char *name = xasprintf("%s/%s", ref->domain, ref->path);
	json_put_str(doc, "Name", name);
	json_put_str(doc, "Digest", img->index.body.len ? img->index.digest : img->manifest.digest);
	json_put_strv(doc, "RepoTags", tags);
	put_copy(doc, "Created", config, "created");
	put_copy(doc, "Labels", inner, "Labels");
	put_copy(doc, "Architecture", config, "architecture");
	put_copy(doc, "Variant", config, "variant");
	put_copy(doc, "Os", config, "os");
	int64_t size = 0;
	for (size_t i = 0; i < m->nlayers; i++) {
		json_t *d = json_object();
		json_put_str(d, "MIMEType", m->layers[i].media_type);
		json_put_str(d, "Digest", m->layers[i].digest);
		json_put_int(d, "Size", m->layers[i].size);
		json_array_append_new(data, d);
		json_array_append_new(layers, json_string(m->layers[i].digest));
		size += m->layers[i].size;
	}
	json_put(doc, "Layers", layers);
	json_put(doc, "LayersData", data);
	put_copy(doc, "Env", inner, "Env");
	json_put_str(doc, "Id", m->config.digest);
	json_put_str(doc, "ManifestDigest", img->manifest.digest);
	json_put_str(doc, "ManifestType", m->media_type);
	json_put_int(doc, "Size", size);
	if (json_is_object(inner))
		put_copy(doc, "Config", config, "config");
	return doc;
}

static int tell_image(struct image_ctx *c, const struct imgref *ref, const struct registry_image *img,
		      const struct strv *tags, struct err *e)
{
	struct imgspec_manifest m = {0};
	struct imgspec_config checked = {0};
	autojson json_t *manifest = NULL;
	autojson json_t *config = NULL;
	enum imgspec_kind kind;
	int r = imgspec_kind(img->manifest.body.buf, img->manifest.body.len, img->manifest.media_type, &kind, &manifest,
			     e);
	if (r >= 0 && kind != IMGSPEC_MANIFEST)
		r = err_set(e, EBADMSG, "an index where a manifest was due");
	if (r >= 0)
		r = imgspec_manifest_parse(manifest, &m, e);
	if (r >= 0)
		r = json_parse(img->config.buf, img->config.len, "config", &config, e);
	if (r >= 0)
		r = imgspec_config_parse(config, &checked, e);
	if (r >= 0) {
		autojson json_t *doc = describe(ref, img, &m, config, tags);
		autostr struct str text = STR_INIT;
		json_print(doc, false, &text);
		image_tell_text(c, text.buf);
	}
	imgspec_manifest_free(&m);
	imgspec_config_free(&checked);
	return r;
}

static int inspect_at(struct image_ctx *c, struct registry_repo *repo, const struct imgref *ref, struct err *e)
{
	struct registry_image img = REGISTRY_IMAGE_INIT;
	struct imgspec_platform platform = {0};
	autostrv struct strv tags = STRV_INIT;
	struct err why = ERR_INIT;
	int r = c->platform ? imgspec_platform_parse(c->platform, &platform, e) : 0;
	if (r >= 0)
		r = registry_get_image(repo, ref->digest[0] ? ref->digest : ref->tag, c->platform ? &platform : NULL,
				       &img, e);
	if (r >= 0 && registry_list_tags(repo, &tags, &why) < 0)
		image_note(c, "the tags are not known: %s", why.text);
	if (r >= 0)
		r = tell_image(c, ref, &img, &tags, e);
	registry_image_free(&img);
	imgspec_platform_free(&platform);
	return r;
}

/* The manifest or index that a reference names, as it is; verified to be one. */
static int raw_at(struct image_ctx *c, struct registry_repo *repo, const struct imgref *ref, struct err *e)
{
	struct registry_manifest m = REGISTRY_MANIFEST_INIT;
	autojson json_t *doc = NULL;
	enum imgspec_kind kind;
	int r = registry_get_manifest(repo, ref->digest[0] ? ref->digest : ref->tag, &m, e);
	if (r >= 0)
		r = imgspec_kind(m.body.buf, m.body.len, m.media_type, &kind, &doc, e);
	if (r >= 0)
		image_tell_text(c, m.body.buf);
	registry_manifest_free(&m);
	return r;
}

int inspect_verb(struct image_ctx *c, struct err *e)
{
	int r = at_repository(c, c->raw ? raw_at : inspect_at, e);
	if (r < 0)
		err_drop(e, c->args.items[0]);
	return r < 0 ? err_ctx(e, "inspect %s", c->args.items[0]) : 0;
}

/* One per line: a tag that cannot be one would break that, and is not worth showing. */
static int tags_at(struct image_ctx *c, struct registry_repo *repo, const struct imgref *ref, struct err *e)
{
	autostrv struct strv tags = STRV_INIT;
	autostr struct str text = STR_INIT;
	int r = registry_list_tags(repo, &tags, e);
	if (r < 0)
		return r;
	str_addf(&text, "%s/%s\n", ref->domain, ref->path);
	for (size_t i = 0; i < tags.count; i++) {
		struct imgref checked = {0};
		autofree char *name = xasprintf("%s/%s:%s", ref->domain, ref->path, tags.items[i]);
		if (imgref_parse(name, &checked, NULL) >= 0)
			str_addf(&text, "%s\n", tags.items[i]);
		imgref_free(&checked);
	}
	image_tell_text(c, text.buf);
	return 0;
}

int tags_verb(struct image_ctx *c, struct err *e)
{
	int r = at_repository(c, tags_at, e);
	if (r < 0)
		err_drop(e, c->args.items[0]);
	return r < 0 ? err_ctx(e, "tags of %s", c->args.items[0]) : 0;
}
