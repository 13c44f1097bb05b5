/*
 * image_show.c - inspect and history: docker's documents, made from the record and the config; see image.h.
 *
 * Text of an image is shown as it is in the JSON; whoever prints it to a terminal escapes it.
 */
#include <errno.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

struct shown {
	struct store store;
	struct store_image image;
	struct store_record record;
	struct strv names; /* canonical */
	bool opened, found;
};

static void shown_free(struct shown *x)
{
	store_record_free(&x->record);
	strv_free(&x->names);
	if (x->found)
		store_image_free(&x->image);
	if (x->opened)
		store_close(&x->store);
}

/* Layers of a built-in image without a record of ours: all that is known is in its documents. */
static int match_builtin(const char *name, struct store_record *record, void *arg)
{
	struct shown *x = arg;
	(void)name;
	if (!str_eq(record->manifest, x->image.manifest_digest))
		return 0;
	x->record = *record;
	*record = (struct store_record){0};
	return 1;
}

static int look_up(const char *root, const char *text, struct shown *x, struct err *e)
{
	autofree char *ref = NULL;
	int r = image_bring_default(root, text, &ref, e);
	if (r >= 0)
		r = store_open(root, true, &x->store, e);
	if (r < 0)
		return r;
	x->opened = true;
	r = store_find_image(&x->store, ref, &x->image, e);
	if (r < 0)
		return r;
	x->found = true;
	r = store_names(&x->store, x->image.manifest_digest, &x->names, e);
	if (r < 0)
		return r;
	if (x->image.builtin && *x->image.name && !strv_has(&x->names, x->image.name))
		strv_add(&x->names, x->image.name);
	r = store_record_read(&x->store, x->image.manifest_digest, &x->record, e);
	if (r == -ENOENT && x->image.builtin) {
		r = store_builtin_each(&x->store, match_builtin, x, e);
		if (r == 0)
			return err_set(e, ENOENT, "image %s is not built in any more", ref);
	}
	return r < 0 ? r : 0;
}

static int64_t layer_size(const struct store_layer *l)
{
	return l->unpacked_size >= 0 ? l->unpacked_size : l->blob_size;
}

static json_t *names_array(const struct strv *names, const char *digest)
{
	json_t *array = json_array();
	autostrv struct strv seen = STRV_INIT;
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->items[i];
		autofree char *repository = imgref_repository(name);
		autofree char *with_digest = xasprintf("%s@%s", repository, digest);
		const char *text = imgref_familiar(*digest ? with_digest : name);
		if ((!*digest && strchr(name, '@')) || strv_has(&seen, text))
			continue;
		strv_add(&seen, text);
		json_array_append_new(array, json_string(text));
	}
	return array;
}

static void put_copy(json_t *to, const char *key, const json_t *from, const char *from_key)
{
	json_t *value = json_object_get(from, from_key);
	if (value)
		json_object_set(to, key, value);
}

/* docker keeps the comment of the newest step at the top. */
static const char *last_comment(const json_t *config)
{
	const json_t *history = json_object_get(config, "history");
	size_t n = json_array_size(history);
	const char *text = n ? json_str_or_null(json_array_get(history, n - 1), "comment") : NULL;
	return text ? text : "";
}

static json_t *inspect_document(const struct shown *x)
{
	const json_t *config = x->image.config;
	const json_t *inner = json_object_get(config, "config");
	json_t *doc = json_object();
	int64_t size = 0;
	json_t *layers = json_array();
	for (size_t i = 0; i < x->record.nlayers; i++) {
		size += layer_size(&x->record.layers[i]);
		json_array_append_new(layers, json_string(x->record.layers[i].diff_id));
	}
	json_put_str(doc, "Id", x->image.config_digest);
	json_put_str(doc, "Digest", x->image.manifest_digest);
	json_put(doc, "RepoTags", names_array(&x->names, ""));
	json_put(doc, "RepoDigests", names_array(&x->names, x->image.manifest_digest));
	json_put_str(doc, "Parent", "");
	json_put_str(doc, "Comment", last_comment(config));
	put_copy(doc, "Created", config, "created");
	json_put_str(doc, "Author", json_str_or_null(config, "author") ? json_str_or_null(config, "author") : "");
	if (json_is_object(inner))
		put_copy(doc, "Config", config, "config");
	else
		json_put(doc, "Config", json_object());
	put_copy(doc, "Architecture", config, "architecture");
	put_copy(doc, "Variant", config, "variant");
	put_copy(doc, "Os", config, "os");
	json_put_int(doc, "Size", size);
	json_put_int(doc, "VirtualSize", size);
	json_t *rootfs = json_object();
	json_put_str(rootfs, "Type", "layers");
	json_put(rootfs, "Layers", layers);
	json_put(doc, "RootFS", rootfs);
	if (inner)
		put_copy(doc, "Labels", inner, "Labels");
	put_copy(doc, "History", config, "history");
	json_put_str(doc, "ManifestType", x->record.media_type);
	json_put_bool(doc, "BuiltIn", x->image.builtin && !x->image.shared);
	json_put_bool(doc, "ReadOnly", x->image.builtin);
	return doc;
}

int image_inspect(const char *root, const char *ref, json_t **ret_doc, struct err *e)
{
	struct shown x = {0};
	int r = look_up(root, ref, &x, e);
	if (r >= 0)
		*ret_doc = inspect_document(&x);
	shown_free(&x);
	return r;
}

void image_history_free(struct image_history *h)
{
	for (size_t i = 0; i < h->count; i++) {
		free(h->items[i].id);
		free(h->items[i].created);
		free(h->items[i].created_by);
		free(h->items[i].comment);
	}
	free(h->items);
	*h = (struct image_history){0};
}

static char *text_or_empty(const char *text)
{
	return xstrdup(text ? text : "");
}

/* Steps of the config from the oldest on, each that made a layer paired with the next one; layers that no step speaks
 * of follow as steps of their own. */
static void history_steps(const struct shown *x, const struct imgspec_config *config, struct image_history *h)
{
	size_t layer = 0;
	size_t n = config->nhistory + x->record.nlayers;
	h->items = xcalloc(n + 1, sizeof(*h->items));
	for (size_t i = 0; i < n; i++) {
		const struct imgspec_history nothing = {0};
		const struct imgspec_history *said = i < config->nhistory ? &config->history[i] : &nothing;
		if (i >= config->nhistory && layer >= x->record.nlayers)
			break;
		h->items[h->count++] = (struct image_step_history){
			.id = xstrdup("<missing>"),
			.created = text_or_empty(said->created),
			.created_by = text_or_empty(said->created_by),
			.comment = text_or_empty(said->comment),
			.size = !said->empty_layer && layer < x->record.nlayers ? layer_size(&x->record.layers[layer++])
										: 0,
			.empty_layer = said->empty_layer,
		};
	}
	for (size_t i = 0; i < h->count / 2; i++) {
		struct image_step_history swap = h->items[i];
		h->items[i] = h->items[h->count - 1 - i];
		h->items[h->count - 1 - i] = swap;
	}
	if (h->count) {
		free(h->items[0].id);
		h->items[0].id = xstrdup(x->image.config_digest);
	}
}

int image_history(const char *root, const char *ref, struct image_history *ret_history, struct err *e)
{
	struct shown x = {0};
	struct imgspec_config config = {0};
	struct image_history h = {0};
	int r = look_up(root, ref, &x, e);
	if (r >= 0)
		r = imgspec_config_parse(x.image.config, &config, e);
	if (r >= 0) {
		history_steps(&x, &config, &h);
		*ret_history = h;
	}
	imgspec_config_free(&config);
	shown_free(&x);
	return r;
}
