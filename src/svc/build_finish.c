/*
 * build_finish.c - the layers of the target stage become an image: config, manifest, record, names, and what -o asks for.
 *
 * The same steps give the same bytes: times come from the cache entries of the steps, and the time of the whole image is
 * kept in the cache too, under a digest of everything else in the config. So building again what was built gives the
 * very same image.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

void build_time_text(int64_t seconds, char ret[40])
{
	char text[FMT_SIZE];
	fmt_time(seconds, text);
	snprintf(ret, 40, "%.39s", text);
}

static void hash_bytes(const struct build *b, const struct str *text, char ret_digest[STORE_DIGEST_SIZE])
{
	struct build_hash h;
	char hex[BUILD_KEY_SIZE];
	build_hash_begin(&h, &b->crypto);
	build_hash_add(&h, text->buf, text->len);
	build_hash_end(&h, hex);
	snprintf(ret_digest, STORE_DIGEST_SIZE, "sha256:%s", hex);
}

/* ---- the config ---- */

static void add_history(json_t *history, const struct build *b, const struct build_stage *s, const char *created)
{
	if (s->base_stage >= 0)
		add_history(history, b, &b->stages[s->base_stage], created);
	for (size_t i = 0; i < s->nsteps; i++) {
		const struct build_step *st = &s->steps[i];
		json_t *entry = json_object();
		json_put_str(entry, "created", *st->created ? st->created : created);
		json_put_str(entry, "created_by", st->history);
		json_put_str(entry, "comment", "rl build");
		if (!st->layer || b->squashed)
			json_put_bool(entry, "empty_layer", true);
		json_array_append_new(history, entry);
	}
}

static void add_whole_history(json_t *history, const struct build *b, const struct build_stage *s, const char *created)
{
	add_history(history, b, s, created);
	if (!b->squashed)
		return;
	autofree char *comment = xasprintf("%zu layers as one", b->squashed);
	json_t *entry = json_object();
	json_put_str(entry, "created", created);
	json_put_str(entry, "created_by", "--squash");
	json_put_str(entry, "comment", comment);
	json_array_append_new(history, entry);
}

static void put_pairs(json_t *object, const struct strv *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		autofree char *key = xstrndup(pairs->items[i], strcspn(pairs->items[i], "="));
		const char *value = strchr(pairs->items[i], '=');
		json_put_str(object, key, value ? value + 1 : "");
	}
}

static json_t *diff_ids_of(const struct build *b, const struct build_stage *s)
{
	json_t *ids = json_array();
	for (size_t i = 0; i < s->nlayers; i++)
		if (!b->layers[s->layers[i]].empty)
			json_array_append_new(ids, json_string(b->layers[s->layers[i]].diff_id));
	return ids;
}

static void unset_env(struct build_stage *s, const struct strv *names)
{
	json_t *env = json_object_get(build_config_of(s), "Env");
	for (size_t i = json_array_size(env); i-- > 0;) {
		const char *text = json_string_value(json_array_get(env, i));
		for (size_t k = 0; text && k < names->count; k++) {
			const char *rest = str_after(text, names->items[k]);
			if (rest && *rest == '=') {
				json_array_remove(env, i);
				break;
			}
		}
	}
}

/* The time of the image: given, or that of the first time these bytes were built. */
static int find_created(struct build *b, json_t *doc, char ret[40], struct err *e)
{
	if (b->has_epoch) {
		build_time_text(b->epoch, ret);
		return 0;
	}
	autostr struct str text = STR_INIT;
	char digest[STORE_DIGEST_SIZE];
	json_object_del(doc, "created");
	json_print(doc, false, &text);
	hash_bytes(b, &text, digest);
	struct build_step st = {.kind = BUILD_STEP_WORKDIR};
	snprintf(st.key, sizeof(st.key), "%.64s", digest + 7);
	int r = build_cache_find(b, &st, e);
	if (r == 0) {
		build_time_text((int64_t)time(NULL), st.created);
		r = build_cache_save(b, &st, e);
	}
	snprintf(ret, 40, "%s", st.created);
	memcpy(b->created, st.created, sizeof(b->created));
	memcpy(b->created_key, st.key, sizeof(b->created_key));
	return r < 0 ? r : 0;
}

static int make_config(struct build *b, struct build_stage *s, struct err *e)
{
	json_t *doc = s->doc;
	char created[40] = "";
	json_t *config = build_config_of(s);
	json_object_del(doc, "rl.cmd");
	json_object_del(doc, BUILD_SHARED_KEY); /* of a base image: it tells of that one's layers */
	json_object_del(doc, "container");
	json_object_del(doc, "container_config");
	if (b->o->labels.count)
		put_pairs(json_member(config, "Labels", JSON_OBJECT), &b->o->labels);
	unset_env(s, &b->o->unset_env);
	json_t *rootfs = json_member(doc, "rootfs", JSON_OBJECT);
	json_put_str(rootfs, "type", "layers");
	json_put(rootfs, "diff_ids", diff_ids_of(b, s));
	int r = find_created(b, doc, created, e);
	if (r < 0)
		return r;
	json_put_str(doc, "created", created);
	if (!json_is_array(json_object_get(doc, "history")))
		json_put(doc, "history", json_array());
	if (b->o->omit_history)
		json_object_del(doc, "history");
	else
		add_whole_history(json_object_get(doc, "history"), b, s, created);
	build_share_inline(b, doc);
	return 0;
}

/* ---- documents ---- */

static int put_document(struct build *b, const json_t *doc, char ret_digest[STORE_DIGEST_SIZE], int64_t *ret_size,
			struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	hash_bytes(b, &text, ret_digest);
	*ret_size = (int64_t)text.len;
	return store_put_blob(&b->work, text.buf, text.len, ret_digest, e);
}

/* An image may not need the built-in layout, which goes with the program. */
static int own_blob(struct build *b, const struct build_layer *l, struct err *e)
{
	int r = store_pin_blob(&b->work, l->blob, l->blob_size, e);
	if (r != 0)
		return r < 0 ? r : 0;
	autofd int from = store_open_blob(&b->store, l->blob, l->blob_size, e);
	autofd int to = from < 0 ? -1 : openat(b->work.dirfd, "own", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (from < 0)
		return from;
	if (to < 0)
		return err_sys(e, errno, "create a blob");
	struct build_hash h;
	char hex[BUILD_KEY_SIZE];
	char buffer[65536];
	ssize_t n;
	build_hash_begin(&h, &b->crypto);
	while (r >= 0 && (n = read(from, buffer, sizeof(buffer))) > 0) {
		build_hash_add(&h, buffer, (size_t)n);
		r = io_write_all(to, buffer, (size_t)n, e);
	}
	build_hash_end(&h, hex);
	if (r >= 0 && !str_eq(hex, l->blob + 7))
		r = err_set(e, EBADMSG, "blob %s is damaged", l->blob);
	if (r >= 0 && fdatasync(to) < 0)
		r = err_sys(e, errno, "sync a blob");
	return r < 0 ? r : store_publish_blob(&b->work, "own", l->blob, e);
}

int build_publish(struct build *b, json_t *doc, const size_t *layers, size_t nlayers, struct store_record *rec,
		  struct err *e)
{
	int r = put_document(b, doc, rec->config, &rec->config_size, e);
	if (r < 0)
		return r;
	autojson json_t *manifest = imgspec_manifest_new(rec->config, rec->config_size);
	rec->layers = xcalloc(nlayers + 1, sizeof(*rec->layers));
	for (size_t i = 0; i < nlayers && r >= 0; i++) {
		const struct build_layer *l = &b->layers[layers[i]];
		if (l->empty)
			continue;
		struct store_layer *to = &rec->layers[rec->nlayers++];
		to->media_type = xstrdup(l->media_type);
		to->blob_size = l->blob_size;
		to->unpacked_size = l->unpacked_size;
		memcpy(to->blob, l->blob, sizeof(to->blob));
		memcpy(to->diff_id, l->diff_id, sizeof(to->diff_id));
		memcpy(to->key, l->key, sizeof(l->key));
		imgspec_manifest_add_layer(manifest, l->media_type, l->blob, l->blob_size);
		r = own_blob(b, l, e);
	}
	if (b->o->annotations.count) {
		json_put(manifest, "annotations", json_object());
		put_pairs(json_object_get(manifest, "annotations"), &b->o->annotations);
	}
	if (r >= 0)
		r = put_document(b, manifest, rec->manifest, &rec->manifest_size, e);
	if (r < 0)
		return r;
	/* Built before: nothing of it has to reach the disk once more. */
	struct store_record old = {0};
	bool known = store_record_read(&b->store, rec->manifest, &old, NULL) >= 0;
	store_record_free(&old);
	if (known)
		return 0;
	rec->media_type = xstrdup(IMGSPEC_OCI_MANIFEST);
	rec->created = xstrdup(json_str_or_null(doc, "created"));
	return store_publish_image(&b->work, rec, e);
}

static bool has_name(const struct build *b, const char *name, const char *manifest)
{
	autostrv struct strv names = STRV_INIT;
	return store_names(&b->store, manifest, &names, NULL) >= 0 && strv_has(&names, name);
}

static int tag_all(struct build *b, const struct store_record *rec, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < b->o->tags.count && r >= 0; i++) {
		struct imgref ref;
		r = imgref_parse(b->o->tags.items[i], &ref, e);
		if (r < 0)
			return r;
		autofree char *name = imgref_format(&ref);
		imgref_free(&ref);
		if (!has_name(b, name, rec->manifest))
			r = store_tag(&b->store, name, rec->manifest, e);
		if (r >= 0)
			build_show_line(b, "named %s", imgref_familiar(name));
	}
	return r;
}

static int write_files(struct build *b, const struct store_record *rec, struct err *e)
{
	int r = 0;
	if (b->o->iidfile)
		r = io_replace_file(AT_FDCWD, b->o->iidfile, rec->config, strlen(rec->config), 0644, false, e);
	if (r < 0)
		return err_ctx(e, "--iidfile");
	if (!b->o->metadata_file)
		return 0;
	autojson json_t *doc = json_object();
	autostr struct str names = STR_INIT;
	autostr struct str text = STR_INIT;
	for (size_t i = 0; i < b->o->tags.count; i++)
		str_addf(&names, "%s%s", i ? "," : "", b->o->tags.items[i]);
	json_put_str(doc, "containerimage.config.digest", rec->config);
	json_put_str(doc, "containerimage.digest", rec->manifest);
	if (names.len)
		json_put_str(doc, "image.name", names.buf);
	json_print(doc, true, &text);
	str_addc(&text, '\n');
	r = io_replace_file(AT_FDCWD, b->o->metadata_file, text.buf, text.len, 0644, false, e);
	return r < 0 ? err_ctx(e, "--metadata-file") : 0;
}

int build_finish(struct build *b, struct str *ret_id, struct err *e)
{
	struct build_stage *s = &b->stages[b->target];
	struct store_record rec = {0};
	int r = make_config(b, s, e);
	if (r >= 0)
		r = build_publish(b, s->doc, s->layers, s->nlayers, &rec, e);
	if (r >= 0)
		r = tag_all(b, &rec, e);
	if (r >= 0)
		r = write_files(b, &rec, e);
	if (r >= 0)
		r = build_output(b, &rec, e);
	if (r >= 0)
		r = build_share_export(b, e);
	if (r >= 0)
		str_adds(ret_id, rec.config);
	store_record_free(&rec);
	return r < 0 ? r : 0;
}
