/*
 * build_share.c - --cache-to and --cache-from: steps of the cache travel with an image.
 *
 * The carrier is an ordinary image, so whatever moves images moves it: its layers are those of the steps, and its config
 * has a member BUILD_SHARED_KEY, a list of
 *     {"key": HEX, "layer": N, "created": RFC3339}      N: index into the image's layers, -1: the step changed nothing
 * Inline it is the built image itself, and the list tells of the steps of the target stage (of those whose layers are in
 * it). Exported it is an image of its own with the layers of every stage that was done, without a name, in an OCI layout
 * or a registry; nothing of that image stays in the store, here or where it is taken from.
 *
 * Keys say what a step starts from and everything that can change its result (build_cache.c), so steps from elsewhere are
 * as good as those done here - if those who made them are trusted: nothing proves that a layer is what a step would make.
 * A source that cannot be reached is a warning: the build does the steps.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "build_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

/* Member of the config of an image that is nothing else. */
#define CARRIER_KEY "rl.build.carrier"

/* One --cache-from or --cache-to: which image, in the form image_ensure and image_push take. */
struct place {
	char *ref; /* "oci:DIR:cache" or a name; NULL: inline */
	bool is_min;
};

static void place_free(struct place *p)
{
	free(p->ref);
}

static int refuse(const char *text, bool to, struct err *e)
{
	(void)!err_set(e, EINVAL, "--cache-%s %s: that is not known", to ? "to" : "from", text);
	return err_hint(e, to ? "type=local,dest=DIR, type=registry,ref=NAME or type=inline; mode=min or max"
			      : "type=local,src=DIR, type=registry,ref=NAME, or the name of an image");
}

static int set_field(const char *text, const char *field, bool to, char *(*all)[3], struct place *p, struct err *e)
{
	enum { TYPE, WHERE, REF };
	const char *value = strchr(field, '=') + 1;
	int at = str_after(field, "type=") ? TYPE : str_after(field, to ? "dest=" : "src=") ? WHERE : -1;
	if (str_after(field, "ref="))
		at = REF;
	if (at >= 0) {
		free((*all)[at]);
		(*all)[at] = xstrdup(value);
		return 0;
	}
	if (to && str_after(field, "mode=") && (str_eq(value, "min") || str_eq(value, "max"))) {
		p->is_min = str_eq(value, "min");
		return 0;
	}
	return refuse(text, to, e);
}

static int from_fields(const char *text, bool to, char *const (*all)[3], struct place *p, struct err *e)
{
	const char *type = (*all)[0];
	const char *dir = (*all)[1];
	const char *ref = (*all)[2];
	if (type && str_eq(type, "local") && dir && *dir && !ref) {
		p->ref = xasprintf("oci:%s:cache", dir);
		return 0;
	}
	if (type && str_eq(type, "registry") && ref && *ref && !dir) {
		p->ref = xstrdup(ref);
		return 0;
	}
	if (to && type && str_eq(type, "inline") && !ref && !dir)
		return 0;
	return refuse(text, to, e);
}

static int parse_place(const char *text, bool to, struct place *ret, struct err *e)
{
	struct place p = {0};
	char *all[3] = {NULL, NULL, NULL};
	autostrv struct strv fields = STRV_INIT;
	int r = 0;
	strv_split(&fields, text, ',');
	if (!strchr(text, '=') && *text) {
		p.ref = xstrdup(text);
	} else {
		for (size_t i = 0; i < fields.count && r >= 0; i++)
			r = strchr(fields.items[i], '=') ? set_field(text, fields.items[i], to, &all, &p, e)
							 : refuse(text, to, e);
		if (r >= 0)
			r = from_fields(text, to, &all, &p, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
	if (r < 0)
		place_free(&p);
	else
		*ret = p;
	return r;
}

int build_share_check(const struct build_opts *o, struct err *e)
{
	int r = 0;
	for (int to = 0; to < 2; to++) {
		const struct strv *v = to ? &o->cache_to : &o->cache_from;
		for (size_t i = 0; i < v->count && r >= 0; i++) {
			struct place p = {0};
			r = parse_place(v->items[i], to, &p, e);
			place_free(&p);
		}
	}
	return r;
}

/* ---- from ---- */

static int take_step(struct build *b, const json_t *item, const size_t *layers, size_t nlayers, struct err *e)
{
	struct build_step st = {.kind = BUILD_STEP_RUN};
	const char *key = json_str_or_null(item, "key");
	const char *created = json_str_or_null(item, "created");
	json_int_t n = json_integer_value(json_object_get(item, "layer"));
	if (!key || !imgref_is_hex(key) || !created || strlen(created) >= sizeof(st.created) || n < -1 ||
	    n >= (json_int_t)nlayers || strchr(created, '\n'))
		return err_set(e, EBADMSG, "its list of steps is damaged");
	snprintf(st.key, sizeof(st.key), "%s", key);
	/* What is known here already stays: its layer is the one later steps were done on. */
	if (build_cache_knows(b, &st))
		return 0;
	snprintf(st.created, sizeof(st.created), "%s", created);
	st.layer = n < 0 ? 0 : layers[n] + 1;
	int r = build_cache_save(b, &st, e);
	return r < 0 ? r : 1;
}

/* An image that only carries steps: they are in the cache now, it is not wanted any more. */
static void remove_carrier(const struct build *b, const json_t *doc, const char *manifest)
{
	autostrv struct strv refs = STRV_INIT;
	struct image_removed removed = {0};
	if (!json_is_true(json_object_get(doc, CARRIER_KEY)))
		return;
	if (store_names(&b->store, manifest, &refs, NULL) < 0 || !refs.count)
		strv_add(&refs, manifest);
	if (image_remove(b->store.root, &refs, false, &removed, NULL) < 0)
		log_debug(LOG_BUILD, "the carrier of the cache stays in the store");
	image_removed_free(&removed);
}

static int import_from(struct build *b, const char *ref, struct err *e)
{
	size_t *layers = NULL;
	size_t nlayers = 0;
	json_t *doc = NULL;
	size_t i;
	json_t *item;
	int taken = 0;
	const struct idmap *map = &b->map;
	struct image_run run = IMAGE_RUN_INIT;
	/* Ask again: what a name stood for when it was last looked at may be old. */
	bool is_local = str_after(ref, "oci:") != NULL;
	const struct image_want want = {
		.ref = ref, .policy = is_local ? PULL_MISSING : PULL_NEWER, .registry = b->o->registry};
	int r = image_ensure_wanted(&b->store, &want, map, NULL, &run, e);
	char id[STORE_DIGEST_SIZE] = "";
	if (r >= 0)
		memcpy(id, run.image.manifest_digest, sizeof(id));
	image_run_free(&run);
	if (r >= 0)
		r = build_take_image(b, id, &layers, &nlayers, &doc, NULL, e);
	const json_t *list = r < 0 ? NULL : json_object_get(doc, BUILD_SHARED_KEY);
	if (r >= 0 && !json_is_array(list))
		r = err_set(e, ENODATA, "it tells of no steps");
	json_array_foreach (list, i, item) {
		r = take_step(b, item, layers, nlayers, e);
		if (r < 0)
			break;
		taken += r;
	}
	if (doc)
		remove_carrier(b, doc, id);
	free(layers);
	json_decref(doc);
	if (r >= 0)
		build_show_line(b, "%d steps from %s", taken, ref);
	return r < 0 ? r : 0;
}

int build_share_import(struct build *b, struct err *e)
{
	for (size_t i = 0; i < b->o->cache_from.count && !b->o->no_cache; i++) {
		struct place p = {0};
		struct err why = ERR_INIT;
		int r = parse_place(b->o->cache_from.items[i], false, &p, e);
		if (r < 0)
			return r;
		if (import_from(b, p.ref, &why) < 0)
			log_warn("--cache-from %s: %s", b->o->cache_from.items[i], why.text);
		place_free(&p);
	}
	return 0;
}

/* ---- to ---- */

/* Index of the layer among those of the image; -1 for none, -2 if it is not in it. */
static int find_layer(const struct build *b, const struct build_step *st, const size_t *layers, size_t n)
{
	if (!st->layer || b->layers[st->layer - 1].empty)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (str_eq(b->layers[layers[i]].diff_id, b->layers[st->layer - 1].diff_id))
			return (int)i;
	return -2;
}

static void add_steps(const struct build *b, const struct build_stage *s, const size_t *layers, size_t n, json_t *list)
{
	for (size_t i = 0; i < s->nsteps; i++) {
		const struct build_step *st = &s->steps[i];
		int layer = find_layer(b, st, layers, n);
		if (st->kind == BUILD_STEP_META || st->state != BUILD_DONE || layer == -2)
			continue;
		json_t *item = json_object();
		json_put_str(item, "key", st->key);
		json_put_int(item, "layer", layer);
		json_put_str(item, "created", st->created);
		json_array_append_new(list, item);
	}
}

/* When the image was first made: kept in the cache like a step that changed nothing. */
static void add_created(const struct build *b, json_t *list)
{
	if (!*b->created_key)
		return;
	json_t *item = json_object();
	json_put_str(item, "key", b->created_key);
	json_put_int(item, "layer", -1);
	json_put_str(item, "created", b->created);
	json_array_append_new(list, item);
}

/* The layers of an image are those that hold anything. */
static size_t *full_layers(const struct build *b, const struct build_stage *s, size_t *ret_n)
{
	size_t *full = xcalloc(s->nlayers + 1, sizeof(*full));
	*ret_n = 0;
	for (size_t i = 0; i < s->nlayers; i++)
		if (!b->layers[s->layers[i]].empty)
			full[(*ret_n)++] = s->layers[i];
	return full;
}

void build_share_inline(struct build *b, json_t *doc)
{
	bool wanted = false;
	for (size_t i = 0; i < b->o->cache_to.count; i++)
		wanted = wanted || str_eq(b->o->cache_to.items[i], "type=inline");
	if (!wanted)
		return;
	size_t n;
	const struct build_stage *s = &b->stages[b->target];
	autofree size_t *layers = full_layers(b, s, &n);
	json_t *list = json_array();
	for (; s; s = s->base_stage >= 0 ? &b->stages[s->base_stage] : NULL)
		add_steps(b, s, layers, n, list);
	add_created(b, list);
	json_put(doc, BUILD_SHARED_KEY, list);
}

static bool is_under_target(const struct build *b, const struct build_stage *s)
{
	const struct build_stage *p = &b->stages[b->target];
	while (p != s && p->base_stage >= 0)
		p = &b->stages[p->base_stage];
	return p == s;
}

/* Every layer that a step has made, each once. */
static size_t *step_layers(const struct build *b, bool only_target, size_t *ret_n)
{
	size_t *all = xcalloc(b->nlayers + 1, sizeof(*all));
	*ret_n = 0;
	for (size_t k = 0; k < b->nstages; k++) {
		const struct build_stage *s = &b->stages[k];
		bool is_wanted = !only_target || is_under_target(b, s);
		for (size_t i = 0; i < s->nsteps && is_wanted; i++) {
			const struct build_step *st = &s->steps[i];
			if (st->layer && find_layer(b, st, all, *ret_n) == -2)
				all[(*ret_n)++] = st->layer - 1;
		}
	}
	return all;
}

static json_t *carrier_config(struct build *b, bool only_target, const size_t *layers, size_t n)
{
	const char *os, *arch, *variant;
	imgspec_host_platform(&os, &arch, &variant);
	json_t *doc = imgspec_config_new(arch, variant, NULL);
	json_t *ids = json_array();
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(ids, json_string(b->layers[layers[i]].diff_id));
	json_put(json_member(doc, "rootfs", JSON_OBJECT), "diff_ids", ids);
	for (size_t k = 0; k < b->nstages; k++)
		if (!only_target || is_under_target(b, &b->stages[k]))
			add_steps(b, &b->stages[k], layers, n, list);
	add_created(b, list);
	json_put(doc, BUILD_SHARED_KEY, list);
	json_put_bool(doc, CARRIER_KEY, true);
	/* The same steps make the same carrier. */
	char created[40];
	build_time_text(0, created);
	json_put_str(doc, "created", created);
	return doc;
}

static int export_to(struct build *b, const struct place *p, struct err *e)
{
	size_t n;
	autofree size_t *layers = step_layers(b, p->is_min, &n);
	autojson json_t *doc = carrier_config(b, p->is_min, layers, n);
	struct store_record rec = {0};
	struct image_added pushed;
	int r = build_publish(b, doc, layers, n, &rec, e);
	if (r >= 0)
		r = image_push(
			&(struct image_push_opts){
				.root = b->store.root, .name = rec.config, .dest = p->ref, .registry = b->o->registry},
			NULL, &pushed, e);
	if (*rec.manifest)
		remove_carrier(b, doc, rec.manifest);
	store_record_free(&rec);
	return r < 0 ? r : 0;
}

int build_share_export(struct build *b, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < b->o->cache_to.count && r >= 0; i++) {
		struct place p = {0};
		r = parse_place(b->o->cache_to.items[i], true, &p, e);
		if (r >= 0 && p.ref)
			r = export_to(b, &p, e);
		if (r < 0)
			err_ctx(e, "--cache-to %s", b->o->cache_to.items[i]);
		place_free(&p);
	}
	return r < 0 ? r : 0;
}
