/*
 * check.c - `rl-image check`: what is broken in the store, told line by line, and mended with --repair; see check_int.h.
 *
 * Order, each step relying on those before it: names (a damaged one is looked up in index.json), then for every image a
 * name or a record leads to: manifest, record, config, blobs of the layers; then unpacked layers against the blobs; then
 * what is derived (index.json), left over, or needed by nobody.
 *
 * Repair replaces what is damaged by what has the right digest, and touches nothing else: a damaged blob goes (whatever
 * it is, it is not what its name says) and is fetched from the repositories the image may have come from; a layer is
 * unpacked again; a record is made again from manifest and config. What cannot be mended stays as it is and is told:
 * the other images do not need it. The one thing given up is a name that leads nowhere and that no registry knows.
 *
 * With an operand (a name or id) only that image is looked at, which is what a run does that met a broken one. Others
 * may be at work meanwhile: an image whose record went away while it was examined is not broken.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check_int.h"
#include "rl/base/digest.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

enum { HASH_CHUNK = 1 << 20 };

/* ---- telling ---- */

static void add_names(json_t *images, const struct check_image *image)
{
	for (size_t i = 0; i < image->names.count; i++)
		json_array_append_new(images, json_string(imgref_familiar(image->names.items[i])));
	if (!image->names.count)
		json_array_append_new(images, json_stringn(image->manifest + 7, 12));
}

void check_report(struct check *k, enum check_state state, const char *kind, const char *what,
		  const struct check_image *image, const char *fmt, ...)
{
	static const char *const states[] = {"broken", "mended", "leftover", "removed"};
	va_list ap;
	va_start(ap, fmt);
	autofree char *why = xvasprintf(fmt, ap);
	va_end(ap);
	autojson json_t *doc = json_object();
	json_t *images = json_array();
	if (image)
		add_names(images, image);
	for (size_t i = 0; image && i < k->nimages; i++)
		if (&k->images[i] != image && check_image_has(&k->images[i], what))
			add_names(images, &k->images[i]);
	json_put_str(doc, "Kind", kind);
	json_put_str(doc, "What", what);
	json_put_str(doc, "Why", why);
	json_put(doc, "Images", images);
	json_put_str(doc, "State", states[state]);
	autostr struct str line = STR_INIT;
	json_print(doc, false, &line);
	str_addc(&line, '\n');
	image_tell_text(k->c, line.buf);
}

bool check_image_has(const struct check_image *image, const char *digest)
{
	if (!image->has_record)
		return false;
	for (size_t i = 0; i < image->record.nlayers; i++)
		if (str_eq(image->record.layers[i].blob, digest))
			return true;
	return str_eq(image->record.config, digest) || str_eq(image->record.manifest, digest);
}

/* ---- blobs ---- */

static int hash_fd(int fd, char ret_digest[STORE_DIGEST_SIZE], struct err *e)
{
	autofree char *chunk = xmalloc(HASH_CHUNK);
	struct digest d = DIGEST_INIT;
	ssize_t n;
	digest_begin(&d);
	while ((n = io_read_full(fd, chunk, HASH_CHUNK, e)) > 0)
		digest_add(&d, chunk, (size_t)n);
	digest_end(&d, ret_digest);
	digest_free(&d);
	return n < 0 ? (int)n : 0;
}

/* 0 it is what it should be; -errno says how it is not. */
static int look_at_blob(const struct check *k, const char *digest, int64_t size, bool hash, struct err *e)
{
	char actual[STORE_DIGEST_SIZE];
	autofd int fd = store_open_blob(&k->c->store, digest, size, e);
	if (fd < 0)
		return fd;
	int r = hash ? hash_fd(fd, actual, e) : 0;
	if (r < 0)
		return err_ctx(e, "blob %s", digest);
	if (hash && !str_eq(actual, digest))
		return err_set(e, EBADMSG, "its digest is %.19s", actual);
	return 0;
}

static bool is_gone(const struct check *k, const struct check_image *image)
{
	struct store_record now = {0};
	autostrv struct strv names = STRV_INIT;
	if (image->remade)
		return false; /* its record is still to be published */
	bool gone = store_record_read_file(&k->c->store, image->manifest, &now, NULL) == -ENOENT;
	store_record_free(&now);
	return gone && image->has_record && store_names(&k->c->store, image->manifest, &names, NULL) >= 0 &&
	       !names.count;
}

/* Present and right, or made so: true. */
static bool check_blob(struct check *k, const struct check_image *image, const char *digest, int64_t size,
		       bool is_document, bool is_manifest)
{
	struct err why = ERR_INIT;
	struct err cannot = ERR_INIT;
	if (strv_has(&k->sound, digest))
		return true;
	if (strv_has(&k->damaged, digest))
		return false;
	int r = look_at_blob(k, digest, size, is_document || k->hash_blobs, &why);
	if (r == 0) {
		strv_add(&k->sound, digest);
		return true;
	}
	if (r == -ENOENT && is_gone(k, image))
		return true;
	const char *kind = r == -ENOENT ? "blob missing" : "blob damaged";
	const char *text = r == -ENOENT ? "it is not there" : why.text;
	bool mended = false;
	if (k->repair) {
		/* What is not what its name says must not be taken for it by the next pull. */
		r = r == -ENOENT ? 0 : store_remove_blob(&k->w, digest, &cannot);
		/* The built-in images may have it as well. */
		if (r >= 0)
			r = look_at_blob(k, digest, size, true, NULL);
		if (r < 0)
			r = check_fetch(k, image, digest, size, is_manifest, &cannot);
		mended = r >= 0;
	}
	if (mended)
		check_report(k, CHECK_MENDED, kind, digest, image, "%s; got again", text);
	else if (k->repair)
		check_report(k, CHECK_BROKEN, kind, digest, image, "%s, and cannot be had again: %s", text,
			     cannot.text);
	else
		check_report(k, CHECK_BROKEN, kind, digest, image, "%s", text);
	strv_add(mended ? &k->sound : &k->damaged, digest);
	return mended;
}

/* ---- images ---- */

struct check_image *check_image_of(struct check *k, const char *manifest)
{
	for (size_t i = 0; i < k->nimages; i++)
		if (str_eq(k->images[i].manifest, manifest))
			return &k->images[i];
	k->images = xreallocarray(k->images, k->nimages + 1, sizeof(*k->images));
	struct check_image *image = &k->images[k->nimages++];
	*image = (struct check_image){.has_record = false};
	snprintf(image->manifest, sizeof(image->manifest), "%s", manifest);
	return image;
}

static void add_origin(struct check_image *image, const char *repository)
{
	if (!str_after(repository, "localhost/") && !strv_has(&image->origins, repository))
		strv_add(&image->origins, repository);
}

static void add_origins(struct check_image *image)
{
	if (image->has_record && image->record.origin)
		add_origin(image, image->record.origin);
	for (size_t i = 0; i < image->names.count; i++) {
		autofree char *repository = imgref_repository(image->names.items[i]);
		add_origin(image, repository);
	}
}

/* The config's digest and size, as the manifest has them, so that it can be fetched before a record is made of both. */
static int check_config_of(struct check *k, struct check_image *image, struct err *e)
{
	autostr struct str bytes = STR_INIT;
	autojson json_t *doc = NULL;
	struct imgspec_manifest m = {0};
	enum imgspec_kind kind;
	int r = store_read_blob(&k->c->store, image->manifest, IMGSPEC_MANIFEST_MAX, &bytes, e);
	if (r >= 0)
		r = imgspec_kind(bytes.buf, bytes.len, NULL, &kind, &doc, e);
	if (r >= 0 && kind != IMGSPEC_MANIFEST)
		r = err_set(e, EBADMSG, "it is an index");
	if (r >= 0)
		r = imgspec_manifest_parse(doc, &m, e);
	if (r >= 0 && !check_blob(k, image, m.config.digest, m.config.size, true, false))
		r = err_set(e, EBADMSG, "its config is broken");
	imgspec_manifest_free(&m);
	return r;
}

static bool same_layers(const struct store_record *a, const struct store_record *b)
{
	if (a->nlayers != b->nlayers || !str_eq(a->config, b->config))
		return false;
	for (size_t i = 0; i < a->nlayers; i++)
		if (!str_eq(a->layers[i].blob, b->layers[i].blob) ||
		    !str_eq(a->layers[i].diff_id, b->layers[i].diff_id) ||
		    a->layers[i].blob_size != b->layers[i].blob_size)
			return false;
	return true;
}

/* The record is damaged, contradicts the documents, or is not there: made again from them. */
static void remake_record(struct check *k, struct check_image *image, const char *why)
{
	struct err cause = ERR_INIT;
	struct store_record made = {0};
	int r = check_config_of(k, image, &cause);
	if (r >= 0)
		r = store_record_remake(&k->c->store, image->manifest, &made, &cause);
	if (r < 0) {
		check_report(k, CHECK_BROKEN, "record damaged", image->manifest, image,
			     "%s, and cannot be made again: %s", why, cause.text);
		return;
	}
	made.origin = image->record.origin ? xstrdup(image->record.origin) : NULL;
	store_record_free(&image->record);
	image->record = made;
	image->has_record = true;
	image->remade = xstrdup(why);
}

/* Publish a record made from the documents; which key each layer has is found out by looking. */
static void publish_record(struct check *k, struct check_image *image)
{
	struct err why = ERR_INIT;
	int r = k->repair ? layers_ensure(k->c, &k->w, &image->record, &why) : 0;
	if (r < 0) {
		log_debug(LOG_STORE, "%s", why.text);
		err_clear(&why);
	}
	r = k->repair ? store_publish_image(&k->w, &image->record, &why) : -1;
	if (r >= 0)
		check_list_entry_mended(k, image);
	check_report(k, r < 0 ? CHECK_BROKEN : CHECK_MENDED, "record damaged", image->manifest, image, "%s%s%s",
		     image->remade, r < 0 ? "" : "; made again", k->repair && r < 0 ? why.text : "");
}

/* Names that lead to nothing that could be brought back are not kept. */
static void drop_names(struct check *k, struct check_image *image)
{
	if (check_list_entry_lost(k, image))
		return;
	for (size_t i = 0; i < image->names.count; i++) {
		struct err e = ERR_INIT;
		const char *name = imgref_familiar(image->names.items[i]);
		int r = k->repair && !image->origins.count ? store_untag(&k->c->store, image->names.items[i], &e) : 0;
		bool removed = k->repair && !image->origins.count && r >= 0;
		check_report(k, removed ? CHECK_REMOVED : CHECK_BROKEN, "name leads nowhere", name, image,
			     "there is neither record nor manifest %.19s%s", image->manifest,
			     removed ? ", and no registry to ask" : "");
	}
}

static void read_record(struct check *k, struct check_image *image)
{
	image->unreadable = store_record_read_file(&k->c->store, image->manifest, &image->record, &image->why);
	image->has_record = image->unreadable >= 0;
	add_origins(image);
}

static void check_documents(struct check *k, struct check_image *image)
{
	struct err why = image->why;
	int r = image->unreadable;
	if (r == -ENOENT && !image->names.count)
		return; /* removed since it was listed */
	if (image->has_record && image->record.builtin)
		return; /* a note about a built-in image: its blobs are not ours */
	int64_t size = image->has_record ? image->record.manifest_size : -1;
	bool can_fetch = image->origins.count && (k->repair || !image->index);
	if (!image->has_record && !can_fetch && look_at_blob(k, image->manifest, -1, false, NULL) == -ENOENT) {
		drop_names(k, image);
		return;
	}
	bool readable = check_blob(k, image, image->manifest, size, true, true);
	if (!image->has_record && !readable) {
		if (image->names.count)
			drop_names(k, image);
		else
			check_report(k, CHECK_BROKEN, "record damaged", image->manifest, image, "%s", why.text);
		return;
	}
	if (!image->has_record) {
		remake_record(k, image, r == -ENOENT ? "it is not there" : why.text);
	} else {
		struct store_record made = {0};
		bool config = check_blob(k, image, image->record.config, image->record.config_size, true, false);
		if (readable && config &&
		    (store_record_remake(&k->c->store, image->manifest, &made, &why) < 0 ||
		     !same_layers(&made, &image->record)))
			remake_record(k, image, "it contradicts manifest and config");
		store_record_free(&made);
	}
}

static void check_layer_blobs(struct check *k, struct check_image *image)
{
	for (size_t i = 0; i < image->record.nlayers; i++)
		(void)check_blob(k, image, image->record.layers[i].blob, image->record.layers[i].blob_size, false,
				 false);
}

/* ---- names ---- */

static void check_damaged_name(struct check *k, const struct store_check_name *n)
{
	char manifest[STORE_DIGEST_SIZE];
	struct err why = ERR_INIT;
	const char *name = imgref_familiar(n->name);
	if (!k->repair) {
		check_report(k, CHECK_BROKEN, "name damaged", name, NULL, "its record cannot be read");
		return;
	}
	int r = store_index_lookup(&k->c->store, n->name, manifest, &why);
	bool known = r > 0;
	r = store_remove_name_file(&k->c->store, n->file, &why);
	if (r >= 0 && known) {
		struct err untagged = ERR_INIT;
		if (store_tag(&k->c->store, n->name, manifest, &untagged) >= 0) {
			strv_add(&check_image_of(k, manifest)->names, n->name);
			check_report(k, CHECK_MENDED, "name damaged", name, NULL, "taken from index.json");
			return;
		}
	}
	if (r < 0)
		check_report(k, CHECK_BROKEN, "name damaged", name, NULL, "%s", why.text);
	else
		check_report(k, CHECK_REMOVED, "name damaged", name, NULL, "nothing says which image it was");
}

/* Is this the image that was asked for? */
static bool is_wanted(const struct check *k, const char *name, const char *manifest)
{
	struct imgref ref;
	const char *text = k->c->args.count ? k->c->args.items[0] : NULL;
	if (!text)
		return true;
	const char *hex = str_after(text, "sha256:");
	if (*manifest && imgref_is_id_prefix(hex ? hex : text) && str_after(manifest + 7, hex ? hex : text))
		return true;
	if (!name || imgref_parse(text, &ref, NULL) < 0)
		return false;
	autofree char *canonical = imgref_format(&ref);
	const char *path = str_after(ref.path, "library/");
	autofree char *local = xasprintf("localhost/%s:%s", path ? path : ref.path, ref.tag ? ref.tag : "");
	bool same = str_eq(name, canonical) || (ref.short_name && str_eq(name, local)) ||
		    (*ref.digest && str_eq(manifest, ref.digest));
	imgref_free(&ref);
	return same;
}

static int collect_images(struct check *k, struct err *e)
{
	struct store_check_names names = {0};
	autostrv struct strv records = STRV_INIT;
	int r = store_check_names(&k->c->store, &names, e);
	if (r >= 0)
		r = store_check_records(&k->c->store, &records, e);
	/* Images first: a damaged name may be given back to one. */
	for (size_t i = 0; r >= 0 && i < names.count; i++)
		if (names.items[i].manifest[0] && is_wanted(k, names.items[i].name, names.items[i].manifest))
			strv_add(&check_image_of(k, names.items[i].manifest)->names, names.items[i].name);
	for (size_t i = 0; r >= 0 && i < records.count; i++) {
		struct store_record record = {0};
		/* By its config's digest, the image id, too. */
		bool wanted = is_wanted(k, NULL, records.items[i]) ||
			      (store_record_read_file(&k->c->store, records.items[i], &record, NULL) >= 0 &&
			       is_wanted(k, NULL, record.config));
		if (wanted)
			(void)check_image_of(k, records.items[i]);
		store_record_free(&record);
	}
	for (size_t i = 0; r >= 0 && i < names.count; i++)
		if (!names.items[i].manifest[0] && is_wanted(k, names.items[i].name, ""))
			check_damaged_name(k, &names.items[i]);
	store_check_names_free(&names);
	return r;
}

/* ---- the rest of the store ---- */

static void report_owner(const char *path, const char *why, bool mended, void *arg)
{
	struct check *k = arg;
	autofree char *full = str_eq(path, ".") ? xstrdup(k->c->store.root)
						: xasprintf("%s/%s", k->c->store.root, path);
	k->closed = k->closed || !mended;
	check_report(k, mended ? CHECK_MENDED : CHECK_BROKEN, "wrong owner", full, NULL, "%s", why);
}

static int check_index(struct check *k, struct err *e)
{
	static const char what[] = "images/index.json";
	int r = store_index_is_current(&k->c->store, e);
	if (r > 0)
		return 0;
	/* Nothing of ours reads it, and any change of a name writes it anew: an old one is what a crash leaves. One that
	 * is no document at all is not. */
	bool damaged = r == -EBADMSG;
	if (r < 0 && !damaged)
		return r;
	err_clear(e);
	struct err why = ERR_INIT;
	if (k->repair && store_rebuild_index(&k->c->store, &why) >= 0)
		check_report(k, CHECK_MENDED, damaged ? "index damaged" : "index out of date", what, NULL,
			     "written again from the records");
	else if (damaged)
		check_report(k, CHECK_BROKEN, "index damaged", what, NULL, "it is not a document");
	else
		check_report(k, CHECK_LEFTOVER, "index out of date", what, NULL, "it is not what the records say");
	return 0;
}

static int check_garbage(struct check *k, struct err *e)
{
	struct store_gc_result result = {0};
	int r = k->repair ? store_gc(&k->c->store, &result, e) : store_gc_look(&k->c->store, &result, e);
	if (r < 0)
		return r;
	enum check_state state = k->repair ? CHECK_REMOVED : CHECK_LEFTOVER;
	for (size_t i = 0; i < result.blobs.count; i++)
		check_report(k, state, "unneeded blob", result.blobs.items[i], NULL, "no image needs it");
	for (size_t i = 0; i < result.layers.count; i++)
		check_report(k, state, "unneeded layer", result.layers.items[i], NULL,
			     "no image and no container needs it");
	store_gc_result_free(&result);
	return 0;
}

/* Without locks nobody can be told from the dead. */
static int without_locks(struct check *k, int r, struct err *e)
{
	if (r != -ENOLCK)
		return r < 0 ? r : 0;
	image_note(k->c, "left-overs: %s", e->text);
	err_clear(e);
	return 0;
}

static int check_leftovers(struct check *k, struct err *e)
{
	autostrv struct strv paths = STRV_INIT;
	/* The collection that follows removes them. */
	int r = store_leftovers(&k->c->store, &paths, e);
	for (size_t i = 0; r >= 0 && i < paths.count; i++)
		check_report(k, k->repair ? CHECK_REMOVED : CHECK_LEFTOVER, "left-over", paths.items[i], NULL,
			     "a crash left it");
	return r < 0 ? r : 0;
}

/* In turns, since a blob may be had from where another image that has it came. */
static void check_images(struct check *k)
{
	for (size_t i = 0; i < k->nimages; i++)
		read_record(k, &k->images[i]);
	for (size_t i = 0; i < k->nimages; i++)
		check_documents(k, &k->images[i]);
	for (size_t i = 0; i < k->nimages; i++) {
		image_tell_progress(k->c, "images", IMAGE_CHECKING, i, k->nimages);
		if (k->images[i].has_record && !k->images[i].record.builtin)
			check_layer_blobs(k, &k->images[i]);
	}
	for (size_t i = 0; i < k->nimages; i++)
		if (k->images[i].remade)
			publish_record(k, &k->images[i]);
}

static int check_store(struct check *k, struct err *e)
{
	bool whole = k->c->args.count == 0;
	int r = whole ? store_check_owners(&k->c->store, k->repair, report_owner, k, e) : 0;
	if (r >= 0)
		r = collect_images(k, e);
	if (r >= 0 && whole)
		r = check_lists(k, e);
	if (r >= 0)
		check_images(k);
	if (r >= 0)
		r = check_all_layers(k, e);
	if (r >= 0 && whole)
		r = without_locks(k, check_leftovers(k, e), e);
	if (r >= 0 && whole)
		r = without_locks(k, check_garbage(k, e), e);
	if (r >= 0 && whole)
		r = check_index(k, e);
	/* Why something cannot be looked at has been told. */
	return r == -EACCES && k->closed ? 0 : r;
}

static void check_free(struct check *k)
{
	if (k->registry)
		registry_close(k->registry);
	for (size_t i = 0; i < k->nimages; i++) {
		strv_free(&k->images[i].names);
		strv_free(&k->images[i].origins);
		store_record_free(&k->images[i].record);
		free(k->images[i].remade);
		free(k->images[i].index);
	}
	free(k->images);
	strv_free(&k->sound);
	strv_free(&k->damaged);
	strv_free(&k->bad_layers);
	if (k->can_write)
		store_work_end(&k->w);
}

int check_verb(struct image_ctx *c, struct err *e)
{
	struct check k = {.c = c, .repair = c->repair, .local = c->local};
	struct err why = ERR_INIT;
	k.hash_blobs = !c->quick;
	k.compare_layers = !c->quick && c->args.count == 0;
	int r = store_work_begin(&c->store, &k.w, &why);
	k.can_write = r >= 0;
	if (r < 0 && (c->repair || (r != -EROFS && r != -EACCES && r != -EPERM && r != -ENOSPC))) {
		*e = why;
		return r;
	}
	if (!k.can_write && k.compare_layers)
		image_note(c, "unpacked layers are not compared with their blobs: %s", why.text);
	r = check_store(&k, e);
	check_free(&k);
	return r;
}
