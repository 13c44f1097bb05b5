/*
 * find.c - from what a person typed to an image, and the list of all images; see store.h.
 *
 * Order of the search, first match wins: the name in normal form; for names without a domain the same under
 * localhost/ (images made by podman and buildah); the name in the built-in layout and in shared stores; and then, as a
 * name wins over an id wherever it is, an id or the beginning of one, in the same order. The normal case, a name of ours, costs three small reads: the record of the name, the record of the image,
 * the config.
 *
 * A layer is looked for by one stat of its `diff` directory: layers are published by rename, so it is whole if it is
 * there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"
#include "store_int.h"

void store_image_free(struct store_image *i)
{
	free(i->name);
	json_decref(i->config);
	strv_free(&i->layer_keys);
	*i = (struct store_image){0};
}

/* ---- list ---- */

void store_list_free(struct store_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].name);
		free(l->items[i].created);
	}
	free(l->items);
	*l = (struct store_list){0};
}

static struct store_entry *list_add(struct store_list *l, const char *name, const char *created)
{
	if ((l->count & (l->count + 1)) == 0) /* grow at 0, 1, 3, 7, ... */
		l->items = xreallocarray(l->items, 2 * l->count + 2, sizeof(*l->items));
	struct store_entry *entry = &l->items[l->count++];
	*entry = (struct store_entry){.name = xstrdup(name), .created = xstrdup(created ? created : "")};
	return entry;
}

static void list_add_record(struct store_list *l, const char *name, const struct store_record *r)
{
	struct store_entry *entry = list_add(l, name, r->created);
	memcpy(entry->manifest_digest, r->manifest, STORE_DIGEST_SIZE);
	memcpy(entry->config_digest, r->config, STORE_DIGEST_SIZE);
	entry->size = store_record_size(r);
	entry->builtin = r->builtin;
	entry->shared = r->shared;
}

static bool list_has_name(const struct store_list *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (str_eq(l->items[i].name, name))
			return true;
	return false;
}

struct list_arg {
	const struct store *s;
	struct store_list *l;
};

static int add_builtin(const char *name, struct store_record *record, void *arg)
{
	struct list_arg *a = arg;
	struct store_record own = {0};
	if (*name && list_has_name(a->l, name))
		return 0;
	/* Once it was unpacked, our own record knows its size. */
	bool known = store_record_read(a->s, record->manifest, &own, NULL) >= 0;
	own.shared = record->shared;
	list_add_record(a->l, name, known && own.builtin ? &own : record);
	store_record_free(&own);
	return 0;
}

static void list_builtin(const struct store *s, struct store_list *l)
{
	struct err cause = ERR_INIT;
	struct list_arg arg = {s, l};
	if (store_builtin_each(s, add_builtin, &arg, &cause) < 0)
		log_debug(LOG_STORE, "%s", cause.text);
}

static int compare_entries(const void *a, const void *b)
{
	const struct store_entry *x = a;
	const struct store_entry *y = b;
	int order = !*x->name - !*y->name; /* those without a name last */
	return order ? order : *x->name ? strcmp(x->name, y->name) : strcmp(x->config_digest, y->config_digest);
}

static void list_unnamed(const struct store *s, const struct strv *digests, struct strv *named, struct store_list *l)
{
	strv_sort(named);
	for (size_t i = 0; i < digests->count; i++) {
		if (strv_find_sorted(named, digests->items[i]))
			continue;
		struct store_record record = {0};
		struct err cause = ERR_INIT;
		if (store_record_read(s, digests->items[i], &record, &cause) < 0) {
			struct store_entry *entry = list_add(l, "", NULL);
			memcpy(entry->manifest_digest, digests->items[i], STORE_DIGEST_SIZE);
			entry->broken = true;
		} else if (!record.builtin) {
			list_add_record(l, "", &record);
		}
		store_record_free(&record);
	}
}

int store_list(const struct store *s, struct store_list *ret_list, struct err *e)
{
	struct store_refs refs = {0};
	struct store_list l = {0};
	autostrv struct strv digests = STRV_INIT;
	autostrv struct strv named = STRV_INIT;
	int r = store_refs_read(s, &refs, e);
	if (r >= 0)
		r = store_records_list(s, &digests, e);
	if (r < 0) {
		store_refs_free(&refs);
		return r;
	}
	strv_sort(&digests);
	for (size_t i = 0; i < refs.count; i++) {
		const struct store_ref *ref = &refs.items[i];
		struct store_entry *entry = list_add(&l, ref->name, ref->created);
		memcpy(entry->manifest_digest, ref->manifest, STORE_DIGEST_SIZE);
		memcpy(entry->config_digest, ref->config, STORE_DIGEST_SIZE);
		entry->size = ref->size;
		entry->broken = !strv_find_sorted(&digests, ref->manifest);
		strv_add(&named, ref->manifest);
	}
	store_refs_free(&refs);
	list_unnamed(s, &digests, &named, &l);
	list_builtin(s, &l);
	if (l.count)
		qsort(l.items, l.count, sizeof(*l.items), compare_entries);
	*ret_list = l;
	return 0;
}

/* ---- find ---- */

struct wanted {
	const struct store *s;
	struct imgref ref;		  /* zeroed when the text cannot be a name */
	char *canonical;		  /* or NULL */
	char *local;			  /* the same below localhost/, or NULL */
	const char *id;			  /* hex digits, or NULL */
	bool by_id;			  /* no name was found: the built-in layout is searched for the id */
	char manifest[STORE_DIGEST_SIZE]; /* what was found */
	char *name;
	struct store_record record;
	bool builtin;
};

static void wanted_free(struct wanted *w)
{
	imgref_free(&w->ref);
	free(w->canonical);
	free(w->local);
	free(w->name);
	store_record_free(&w->record);
}

static int wanted_parse(const char *text, struct wanted *w, struct err *e)
{
	const char *hex = str_after(text, "sha256:");
	if (hex && imgref_is_id_prefix(hex)) {
		w->id = hex;
		return 0;
	}
	if (imgref_is_id_prefix(text))
		w->id = text;
	int r = imgref_parse(text, &w->ref, w->id ? NULL : e);
	if (r < 0)
		return w->id ? 0 : r;
	/* tag and digest: the digest decides (docker). */
	if (*w->ref.digest) {
		free(w->ref.tag);
		w->ref.tag = NULL;
	}
	w->canonical = imgref_format(&w->ref);
	if (w->ref.short_name) {
		const char *path = str_after(w->ref.path, "library/");
		w->local = xasprintf("localhost/%s%s%s%s%s", path ? path : w->ref.path, w->ref.tag ? ":" : "",
				     w->ref.tag ? w->ref.tag : "", *w->ref.digest ? "@" : "", w->ref.digest);
	}
	return 0;
}

/* 1 found, 0 not. */
static int find_own_name(struct wanted *w, const char *name, struct err *e)
{
	struct store_ref ref = {0};
	struct err cause = ERR_INIT;
	int r = name ? store_ref_read(w->s, name, &ref, &cause) : -ENOENT;
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0) {
		err_hint(&cause, "remove the name with: rl rmi %s", imgref_familiar(name));
		if (e)
			*e = cause;
		return r;
	}
	w->name = xstrdup(ref.name);
	memcpy(w->manifest, ref.manifest, sizeof(w->manifest));
	store_ref_free(&ref);
	return 1;
}

/* A manifest is what its digest says, whatever name it came under. */
static int find_own_digest(struct wanted *w)
{
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), STORE_META "/%s.json", store_hex(w->ref.digest));
	if (faccessat(w->s->rootfd, path, F_OK, 0) < 0)
		return 0;
	w->name = xstrdup(w->canonical);
	memcpy(w->manifest, w->ref.digest, sizeof(w->manifest));
	return 1;
}

static bool id_matches(const char *digest, const char *id)
{
	return *digest && strncmp(store_hex(digest), id, strlen(id)) == 0;
}

static int ambiguous(const char *id, struct err *e)
{
	int r = err_set(e, EINVAL, "more than one image id begins with %s", id);
	err_hint(e, "type more of it: rl images");
	return r;
}

static int find_own_id(struct wanted *w, struct err *e)
{
	struct store own = *w->s;
	own.builtin = NULL;
	own.alone = true;
	struct store_list list = {0};
	int r = store_list(&own, &list, e);
	if (r < 0)
		return r;
	const struct store_entry *found = NULL;
	for (size_t i = 0; r >= 0 && i < list.count; i++) {
		const struct store_entry *entry = &list.items[i];
		if (!id_matches(entry->config_digest, w->id) && !id_matches(entry->manifest_digest, w->id))
			continue;
		if (found && !str_eq(found->config_digest, entry->config_digest))
			r = ambiguous(w->id, e);
		if (!found)
			found = entry;
	}
	if (found && r >= 0) {
		w->name = xstrdup("");
		memcpy(w->manifest, found->manifest_digest, sizeof(w->manifest));
		r = 1;
	}
	store_list_free(&list);
	return r;
}

static int match_builtin(const char *name, struct store_record *record, void *arg)
{
	struct wanted *w = arg;
	bool by_name = !w->by_id && w->canonical && str_eq(name, w->canonical);
	bool by_digest = !w->by_id && *w->ref.digest && str_eq(record->manifest, w->ref.digest);
	bool by_id = w->by_id && (id_matches(record->config, w->id) || id_matches(record->manifest, w->id));
	if (!by_name && !by_digest && !by_id)
		return 0;
	w->name = xstrdup(by_name || by_digest ? w->canonical : "");
	memcpy(w->manifest, record->manifest, sizeof(w->manifest));
	w->record = *record;
	*record = (struct store_record){0};
	w->builtin = true;
	return 1;
}

static int find_builtin(struct wanted *w, struct err *e)
{
	int r = store_builtin_each(w->s, match_builtin, w, e);
	if (r <= 0)
		return r;
	/* Our own record of it, if there is one, knows the keys of layers that are not self-contained. */
	struct store_record own = {0};
	if (store_record_read(w->s, w->manifest, &own, NULL) >= 0) {
		own.shared = w->record.shared;
		store_record_free(&w->record);
		w->record = own;
	}
	return 1;
}

/* Names as a person would type them here: a tag only if one was typed, localhost/ never. */
static void add_suggestion(const char *canonical, bool with_tag, struct strv *out)
{
	const char *local = str_after(canonical, "localhost/");
	const char *familiar = local && !strchr(local, '/') ? local : imgref_familiar(canonical);
	size_t n = strlen(familiar);
	if (!n)
		return;
	bool latest = str_ends(familiar, ":latest") && !with_tag;
	strv_add_owned(out, xstrndup(familiar, latest ? n - strlen(":latest") : n));
}

static int not_found(const struct store *s, const char *text, struct err *e)
{
	struct store_list list = {0};
	autostrv struct strv names = STRV_INIT;
	if (store_list(s, &list, NULL) >= 0) {
		for (size_t i = 0; i < list.count; i++)
			add_suggestion(list.items[i].name, strchr(text, ':'), &names);
		store_list_free(&list);
	}
	int r = err_set(e, ENOENT, "image %s: not in the store", text);
	const char *nearest = names.count ? str_nearest(text, (const char *const *)strv_argv(&names)) : NULL;
	if (nearest)
		err_hint(e, "did you mean %s? (rl images lists what is here)", nearest);
	else
		err_hint(e, "rl images lists what is here; rl load and rl import add images");
	return r;
}

static int find_any(struct wanted *w, const char *text, struct err *e)
{
	int r = find_own_name(w, w->canonical, e);
	if (r == 0 && *w->ref.digest)
		r = find_own_digest(w);
	if (r == 0)
		r = find_own_name(w, w->local, e);
	if (r == 0)
		r = find_builtin(w, e);
	if (r == 0 && w->id) {
		w->by_id = true;
		r = find_own_id(w, e);
		if (r == 0)
			r = find_builtin(w, e);
	}
	if (r == 0)
		return not_found(w->s, text, e);
	if (r < 0 || w->builtin)
		return r;
	r = store_record_read(w->s, w->manifest, &w->record, e);
	if (r == -ENOENT)
		return err_set(e, EBADMSG, "image %s is broken: the record of %s is missing", text, w->manifest);
	return r;
}

static int read_config(struct wanted *w, json_t **ret_config, struct err *e)
{
	autostr struct str bytes = STR_INIT;
	autofd int fd = store_open_blob(w->s, w->record.config, w->record.config_size, e);
	if (fd < 0)
		return fd;
	int r = io_read_rest(fd, IMGSPEC_CONFIG_MAX, "config", &bytes, e);
	return r < 0 ? r : json_parse(bytes.buf, bytes.len, "config", ret_config, e);
}

static int broken(const char *text, struct err *e)
{
	err_hint(e, "get the image again (rl load, rl import, rl pull), or remove it: rl rmi %s", text);
	err_ctx(e, "image %s is broken", text);
	if (e)
		e->code = EBADMSG;
	return -EBADMSG;
}

int store_find_image(const struct store *s, const char *text, struct store_image *ret_image, struct err *e)
{
	struct wanted w = {.s = s};
	autojson json_t *config = NULL;
	int r = wanted_parse(text, &w, e);
	if (r >= 0)
		r = find_any(&w, text, e);
	if (r >= 0) {
		r = read_config(&w, &config, e);
		if (r < 0)
			r = broken(text, e);
	} else if (r == -EBADMSG) {
		err_hint(e, "get the image again (rl load, rl import, rl pull), or remove it: rl rmi %s", text);
	}
	if (r < 0) {
		wanted_free(&w);
		return r;
	}
	struct store_image image = {.name = take_ptr(&w.name),
				    .config = take_ptr(&config),
				    .builtin = w.builtin,
				    .shared = w.record.shared};
	memcpy(image.manifest_digest, w.manifest, sizeof(w.manifest));
	memcpy(image.config_digest, w.record.config, sizeof(image.config_digest));
	image.keys_known = true;
	for (size_t i = 0; i < w.record.nlayers; i++) {
		strv_add(&image.layer_keys, w.record.layers[i].key);
		image.keys_known = image.keys_known && w.record.layers[i].unpacked_size >= 0;
	}
	wanted_free(&w);
	*ret_image = image;
	return 0;
}

int store_layer_dirs(const struct store *s, const struct store_image *i, const char *key, struct strv *ret_dirs,
		     size_t *ret_missing, struct err *e)
{
	autostrv struct strv dirs = STRV_INIT;
	if (!i->keys_known) {
		*ret_missing = 0;
		return 1;
	}
	for (size_t n = 0; n < i->layer_keys.count; n++) {
		char path[STORE_PATH_SIZE];
		struct stat st = {0};
		snprintf(path, sizeof(path), "layers/%s/%s/diff", key, i->layer_keys.items[n]);
		bool there = fstatat(s->rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (!there && errno != ENOENT)
			return err_sys(e, errno, "stat %s/%s", s->root, path);
		char *dir = there && S_ISDIR(st.st_mode) ? xasprintf("%s/%s", s->root, path)
							 : store_shared_layer(s, path);
		if (!dir) {
			*ret_missing = n;
			return 1;
		}
		strv_add_owned(&dirs, dir);
	}
	for (size_t n = dirs.count; n-- > 0;)
		strv_add(ret_dirs, dirs.items[n]);
	return 0;
}
