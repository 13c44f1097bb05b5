/*
 * image_admin.c - list, tag, remove, prune; see image.h.
 *
 * Removing by name removes the name, and the image with its last name; by id it removes the image with its names.
 * Either way garbage collection follows and decides what really goes: layers that a container uses stay. A name whose
 * image is broken can be removed like any other: nothing but the record of the name is read for that.
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/svc/events.h"

/* ---- list ---- */

static bool matches(const char *name, const char *pattern)
{
	const char *familiar = imgref_familiar(name);
	autofree char *repository = imgref_repository(name);
	const char *short_repository = imgref_familiar(repository);
	const char *forms[] = {name, familiar, repository, short_repository};
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (fnmatch(pattern, forms[i], 0) == 0)
			return true;
	return false;
}

int image_entries(const char *root, const char *reference, struct store_list *ret_list, struct err *e)
{
	struct store s;
	struct store_list list = {0};
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_list(&s, &list, e);
	store_close(&s);
	if (r < 0)
		return r;
	size_t kept = 0;
	for (size_t i = 0; i < list.count; i++) {
		struct store_entry *entry = &list.items[i];
		if (reference && (!*entry->name || !matches(entry->name, reference))) {
			free(entry->name);
			free(entry->created);
			continue;
		}
		list.items[kept++] = *entry;
	}
	list.count = kept;
	*ret_list = list;
	return 0;
}

/* ---- tag ---- */

/* A name for an image of ours: canonical, with a tag, without a digest. */
static int target_name(const char *text, char **ret_name, struct err *e)
{
	struct imgref ref;
	int r = imgref_parse(text, &ref, e);
	if (r < 0)
		return r;
	if (*ref.digest)
		r = err_set(e, EINVAL, "\"%s\": a name with a digest cannot be given to an image", text);
	else
		*ret_name = imgref_format(&ref);
	imgref_free(&ref);
	return r;
}

/* A built-in image gets a place in the store before it can carry other names: its blobs are read from where they are,
 * its record says so. */
static int tag_image(const struct store *s, const struct store_image *image, const char *name, struct err *e)
{
	if (!image->builtin)
		return store_tag(s, name, image->manifest_digest, e);
	if (image->shared) {
		err_set(e, EPERM, "image %s is in an additional store, which is only read", image->name);
		return err_hint(e, "make it your own first: rl save NAME | rl load");
	}
	struct idmap map;
	autostrv struct strv verb = STRV_INIT;
	int r = idmap_detect(false, &map, e);
	if (r < 0)
		return r;
	strv_add(&verb, "load");
	strv_add(&verb, s->builtin);
	r = image_program_run(s, &map, &verb, false, NULL, NULL, e);
	return r < 0 ? r : store_tag(s, name, image->manifest_digest, e);
}

int image_tag(const char *root, const char *source, const char *target, struct err *e)
{
	autofree char *name = NULL;
	autofree char *ref = NULL;
	struct store s;
	struct store_image image;
	int r = target_name(target, &name, e);
	if (r >= 0)
		r = image_bring_default(root, source, &ref, e);
	if (r >= 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_find_image(&s, ref, &image, e);
	if (r >= 0) {
		r = tag_image(&s, &image, name, e);
		if (r >= 0)
			events_note(&s, "image", "tag", image.config_digest, name);
		store_image_free(&image);
	}
	store_close(&s);
	return r;
}

int image_untag(const char *root, const char *text, struct err *e)
{
	struct imgref ref;
	struct store s;
	int r = imgref_parse(text, &ref, e);
	if (r < 0)
		return r;
	autofree char *name = imgref_format(&ref);
	imgref_free(&ref);
	r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_untag(&s, name, e);
	if (r > 0)
		events_note(&s, "image", "untag", "", name);
	store_close(&s);
	return r == 0 ? err_set(e, ENOENT, "untag %s: there is no such name", imgref_familiar(name)) : r < 0 ? r : 0;
}

int image_exists(const char *root, const char *ref, struct err *e)
{
	struct store s;
	struct store_image image;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_find_image(&s, ref, &image, e);
	if (r >= 0)
		store_image_free(&image);
	store_close(&s);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* ---- remove ---- */

void image_removed_free(struct image_removed *r)
{
	strv_free(&r->untagged);
	strv_free(&r->deleted);
	*r = (struct image_removed){0};
}

static int untag_one(const struct store *s, const char *name, struct image_removed *removed, struct err *e)
{
	int r = store_untag(s, name, e);
	if (r > 0)
		strv_add(&removed->untagged, name);
	return r;
}

/* -EBUSY if a container runs on the image or an index has it. A record that cannot be read has no users: it is what is
 * to be removed. */
static int check_unused(const struct store *s, const char *manifest, const char *text, struct err *e)
{
	struct store_record record = {0};
	autostrv struct strv ids = STRV_INIT;
	autofree char *index = NULL;
	if (!*manifest || store_record_read(s, manifest, &record, NULL) < 0)
		return 0;
	int r = store_list_of(s, manifest, &index, e);
	if (r > 0) {
		store_record_free(&record);
		r = err_set(e, EBUSY, "image %s is part of the index %s", text, imgref_familiar(index));
		err_hint(e, "take it out first: rl manifest remove %s %s; or remove it all the same: rl rmi --force %s",
			 imgref_familiar(index), manifest, text);
		return r;
	}
	if (r >= 0)
		r = store_image_users(s, &record, &ids, e);
	store_record_free(&record);
	if (r < 0 || ids.count == 0)
		return r;
	r = err_set(e, EBUSY, "image %s is used by container %.12s", text, ids.items[0]);
	err_hint(e, "remove the container first, or the image all the same: rl rmi --force %s", text);
	return r;
}

/* The record, if it has no name left. */
static int drop_unnamed(const struct store *s, const char *manifest, const char *config, struct image_removed *removed,
			struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = *manifest ? store_names(s, manifest, &names, e) : 0;
	if (r < 0 || names.count || !*manifest)
		return r;
	r = store_remove_image(s, manifest, e);
	if (r >= 0)
		strv_add(&removed->deleted, *config ? config : manifest);
	return r;
}

static const struct store_entry *entry_named(const struct store_list *list, const char *name)
{
	for (size_t i = 0; name && i < list->count; i++)
		if (str_eq(list->items[i].name, name) && !list->items[i].builtin)
			return &list->items[i];
	return NULL;
}

/* The entry whose name `ref` is, in any of the forms that store_find_image tries. */
static const struct store_entry *find_by_name(const struct store_list *list, const char *text, char **ret_name)
{
	struct imgref ref;
	if (imgref_parse(text, &ref, NULL) < 0)
		return NULL;
	autofree char *canonical = imgref_format(&ref);
	autofree char *local = NULL;
	if (ref.short_name) {
		const char *path = str_after(ref.path, "library/");
		local = xasprintf("localhost/%s:%s", path ? path : ref.path, ref.tag ? ref.tag : "");
	}
	imgref_free(&ref);
	const struct store_entry *entry = entry_named(list, canonical);
	*ret_name = NULL;
	if (entry) {
		*ret_name = take_ptr(&canonical);
	} else {
		entry = entry_named(list, local);
		if (entry)
			*ret_name = take_ptr(&local);
	}
	return entry;
}

static int remove_by_id(const struct store *s, const char *text, bool force, struct image_removed *removed,
			struct err *e)
{
	struct store_image image;
	autostrv struct strv names = STRV_INIT;
	int r = store_find_image(s, text, &image, e);
	if (r < 0)
		return r;
	if (image.builtin) {
		r = err_set(e, EPERM, "image %s is %s and cannot be removed", text,
			    image.shared ? "in an additional store, which is only read," : "built into rl");
	} else {
		r = store_names(s, image.manifest_digest, &names, e);
		if (r >= 0 && names.count > 1 && !force) {
			r = err_set(e, EBUSY, "image %s has %zu names", text, names.count);
			err_hint(e, "remove them one by one, or all with: rl rmi --force %s", text);
		}
	}
	if (r >= 0 && !force)
		r = check_unused(s, image.manifest_digest, text, e);
	for (size_t i = 0; r >= 0 && i < names.count; i++)
		r = untag_one(s, names.items[i], removed, e);
	if (r >= 0)
		r = drop_unnamed(s, image.manifest_digest, image.config_digest, removed, e);
	store_image_free(&image);
	return r;
}

static int remove_one(const struct store *s, const char *text, bool force, struct image_removed *removed, struct err *e)
{
	struct store_list list = {0};
	autofree char *name = NULL;
	int r = store_list(s, &list, e);
	if (r < 0)
		return r;
	const struct store_entry *entry = find_by_name(&list, text, &name);
	if (!entry) {
		r = remove_by_id(s, text, force, removed, e);
	} else {
		autostrv struct strv names = STRV_INIT;
		if (*entry->manifest_digest)
			r = store_names(s, entry->manifest_digest, &names, e);
		if (r >= 0 && names.count == 1 && !force)
			r = check_unused(s, entry->manifest_digest, text, e);
		if (r >= 0)
			r = untag_one(s, name, removed, e);
		if (r >= 0)
			r = drop_unnamed(s, entry->manifest_digest, entry->config_digest, removed, e);
	}
	store_list_free(&list);
	return r < 0 ? r : 0;
}

static int collect(const struct store *s, struct image_removed *removed, struct err *e)
{
	struct store_gc_result result = {0};
	int r = store_gc(s, &result, e);
	if (r < 0)
		return r;
	removed->bytes = result.bytes;
	if (result.kept)
		log_warn("%zu removed layers could not be deleted yet; they wait in %s/tmp", result.kept, s->root);
	store_gc_result_free(&result);
	return 0;
}

static void note_removed(const struct store *s, const struct image_removed *removed)
{
	for (size_t i = 0; i < removed->untagged.count; i++)
		events_note(s, "image", "untag", "", removed->untagged.items[i]);
	for (size_t i = 0; i < removed->deleted.count; i++)
		events_note(s, "image", "remove", removed->deleted.items[i], "");
}

int image_remove(const char *root, const struct strv *refs, bool force, struct image_removed *ret_removed,
		 struct err *e)
{
	struct store s;
	struct image_removed removed = {0};
	struct err first = ERR_INIT;
	int result = 0;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_can_remove(&s, e);
	if (r < 0) {
		store_close(&s);
		return r;
	}
	for (size_t i = 0; i < refs->count; i++) {
		struct err one = ERR_INIT;
		r = remove_one(&s, refs->items[i], force, &removed, &one);
		if (r < 0 && result == 0) {
			result = r;
			first = one;
		} else if (r < 0) {
			log_warn("%s", one.text);
		}
	}
	note_removed(&s, &removed);
	if (removed.deleted.count) {
		r = collect(&s, &removed, &first);
		if (r < 0 && result == 0)
			result = r;
	}
	store_close(&s);
	*ret_removed = removed; /* also on failure: what went is gone and should be said */
	if (result < 0 && e)
		*e = first;
	return result;
}

/* ---- prune ---- */

/* What has no name may be about to get one: a pull publishes the image first. */
static int prune_unnamed(const struct store *s, const struct store_entry *entry, struct image_removed *removed,
			 struct err *e)
{
	int r = *entry->manifest_digest ? store_prune_image(s, entry->manifest_digest, e) : 0;
	if (r > 0)
		strv_add(&removed->deleted, *entry->config_digest ? entry->config_digest : entry->manifest_digest);
	return r < 0 ? r : 0;
}

static int prune_entries(const struct store *s, const struct store_list *list, bool all, image_filter_fn *fn, void *arg,
			 struct image_removed *removed, struct err *e)
{
	int r = 0;
	for (size_t i = 0; r >= 0 && i < list->count; i++) {
		const struct store_entry *entry = &list->items[i];
		if (entry->builtin || (*entry->name && !all) || (fn && !fn(entry, arg)))
			continue;
		struct err why = ERR_INIT;
		r = check_unused(s, entry->manifest_digest, entry->name, &why);
		if (r == -EBUSY) {
			r = 0;
			continue;
		}
		if (r < 0) {
			*e = why;
			break;
		}
		if (*entry->name)
			r = untag_one(s, entry->name, removed, e);
		if (r >= 0)
			r = prune_unnamed(s, entry, removed, e);
	}
	return r;
}

int image_prune_filtered(const char *root, bool all, image_filter_fn *fn, void *arg, struct image_removed *ret_removed,
			 struct err *e)
{
	struct store s;
	struct store_list list = {0};
	struct image_removed removed = {0};
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_can_remove(&s, e);
	if (r >= 0)
		r = store_list(&s, &list, e);
	if (r >= 0)
		r = prune_entries(&s, &list, all, fn, arg, &removed, e);
	note_removed(&s, &removed);
	if (r >= 0)
		r = collect(&s, &removed, e);
	if (r >= 0)
		r = store_drop_partials(&s, 0, &removed.bytes, e);
	r = r < 0 ? r : 0;
	store_list_free(&list);
	store_close(&s);
	if (r < 0) {
		image_removed_free(&removed);
		return r;
	}
	*ret_removed = removed;
	return 0;
}
