/*
 * manifest.c - see rl/svc/manifest.h.
 *
 * A document is read, changed as JSON and replaced as a whole; lists/.lock is held from reading to replacing. What the
 * store makes of these documents is in engine/store/lists.c.
 */
#include "rl/svc/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

enum { ARGUMENT_MAX = 100 << 10 };

struct list {
	struct store s;
	int dirfd, lockfd;
	char *name; /* canonical */
	char *file;
	json_t *doc;
};

static void list_close(struct list *l)
{
	if (!l->name)
		return;
	json_decref(l->doc);
	free(l->name);
	free(l->file);
	close_fd(&l->lockfd);
	close_fd(&l->dirfd);
	store_close(&l->s);
	*l = (struct list){.dirfd = -1, .lockfd = -1};
}

static int name_list(struct list *l, const char *name, struct err *e)
{
	struct imgref ref;
	int r = imgref_parse(name, &ref, e);
	if (r < 0)
		return r;
	bool has_digest = *ref.digest;
	l->name = imgref_format(&ref);
	imgref_free(&ref);
	if (has_digest) {
		free(l->name);
		l->name = NULL;
		return err_set(e, EINVAL, "%s: an index of ours cannot be named by a digest", name);
	}
	l->file = store_list_file(l->name);
	return 0;
}

/* The document is read if it is there; the lock is exclusive. */
static int list_open(const char *root, const char *name, bool damaged_too, struct list *ret, struct err *e)
{
	struct list l = {.dirfd = -1, .lockfd = -1};
	int r = name_list(&l, name, e);
	if (r < 0)
		return r;
	r = store_open(root, true, &l.s, e);
	if (r < 0) {
		free(l.name);
		free(l.file);
		return r;
	}
	l.dirfd = store_dir(&l.s, "lists", e);
	if (l.dirfd < 0) {
		r = l.dirfd;
	} else {
		l.lockfd = openat(l.dirfd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		r = l.lockfd < 0 ? err_sys(e, errno, "open lists/.lock") : io_lock(l.lockfd, true, e);
	}
	if (r >= 0 && faccessat(l.dirfd, l.file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = store_list_read(l.dirfd, l.file, &l.doc, e);
	if (r == -EBADMSG && damaged_too) {
		err_clear(e);
		r = 0;
	}
	if (r < 0) {
		list_close(&l);
		return r;
	}
	*ret = l;
	return 0;
}

static int no_list(const char *name, struct err *e)
{
	err_set(e, ENOENT, "there is no index called %s", name);
	return err_hint(e, "make one: rl manifest create %s", name);
}

static int open_existing(const char *root, const char *name, struct list *ret, struct err *e)
{
	int r = list_open(root, name, false, ret, e);
	if (r < 0 || ret->doc)
		return r;
	list_close(ret);
	return no_list(name, e);
}

static int list_save(const struct list *l, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(l->doc, false, &text);
	str_addc(&text, '\n');
	return io_replace_file(l->dirfd, l->file, text.buf, text.len, 0600, true, e);
}

/* ---- life of an index ---- */

int manifest_create(const char *root, const char *name, bool amend, char **ret_name, struct err *e)
{
	struct list l;
	int r = list_open(root, name, false, &l, e);
	if (r < 0)
		return r;
	if (l.doc && !amend) {
		r = err_set(e, EEXIST, "there is an index called %s already", name);
		err_hint(e, "--amend takes it as it is");
	} else if (!l.doc) {
		l.doc = json_object();
		json_put_int(l.doc, "schemaVersion", 2);
		json_put_str(l.doc, "mediaType", IMGSPEC_OCI_INDEX);
		json_put(l.doc, "manifests", json_array());
		r = list_save(&l, e);
	}
	if (r >= 0)
		*ret_name = xstrdup(l.name);
	list_close(&l);
	return r;
}

int manifest_exists(const char *root, const char *name, struct err *e)
{
	struct list l;
	int r = list_open(root, name, false, &l, e);
	if (r < 0)
		return r;
	r = l.doc != NULL;
	list_close(&l);
	return r;
}

/* ---- entries ---- */

static const char *digest_of(const json_t *entry)
{
	const char *digest = json_str_or_null(entry, "digest");
	return digest ? digest : "";
}

/* The name that keeps the image of an entry; indexes of one repository have the same one for it. */
static char *keeper(const char *index, const char *digest)
{
	autofree char *repository = imgref_repository(index);
	return xasprintf("%s@%s", repository, digest);
}

struct keeper_users {
	const struct list *but;
	const char *keeper;
};

static int match_keeper(const char *index, const char *digest, void *arg)
{
	const struct keeper_users *u = arg;
	autofree char *name = keeper(index, digest);
	return !str_eq(index, u->but->name) && str_eq(name, u->keeper);
}

static int drop_entry(const struct list *l, size_t i, struct err *e)
{
	json_t *manifests = json_object_get(l->doc, "manifests");
	autofree char *digest = xstrdup(digest_of(json_array_get(manifests, i)));
	autofree char *name = keeper(l->name, digest);
	json_array_remove(manifests, i);
	if (!imgref_is_digest(digest))
		return 0;
	int r = store_lists_each(&l->s, match_keeper, &(struct keeper_users){l, name}, NULL, e);
	if (r == 0)
		r = store_untag(&l->s, name, e);
	return r < 0 ? r : 0;
}

int manifest_delete(const char *root, const char *name, struct err *e)
{
	struct list l;
	/* One that nobody can read can go, too; the names that keep its images then stay. */
	int r = list_open(root, name, true, &l, e);
	if (r < 0)
		return r;
	/* The document first: names that are left over after a crash keep images too long, never too short. */
	if (unlinkat(l.dirfd, l.file, 0) < 0)
		r = errno == ENOENT ? no_list(name, e) : err_sys(e, errno, "remove lists/%s", l.file);
	for (size_t i = json_array_size(json_object_get(l.doc, "manifests")); i-- > 0 && r >= 0;)
		r = drop_entry(&l, i, e);
	list_close(&l);
	return r;
}

static void put_or_drop(json_t *to, const char *key, const char *value)
{
	if (value && *value)
		json_put_str(to, key, value);
	else if (value)
		json_object_del(to, key);
}

static int describe(json_t *entry, const struct manifest_entry *m, struct err *e)
{
	json_t *platform = json_member(entry, "platform", JSON_OBJECT);
	put_or_drop(platform, "os", m->os);
	put_or_drop(platform, "architecture", m->architecture);
	put_or_drop(platform, "variant", m->variant);
	put_or_drop(platform, "os.version", m->os_version);
	for (size_t i = 0; i < m->annotations.count; i++) {
		const char *text = m->annotations.items[i];
		const char *equals = strchr(text, '=');
		if (!equals || equals == text)
			return err_set(e, EINVAL, "--annotation %s: KEY=VALUE is expected", text);
		autofree char *key = xstrndup(text, (size_t)(equals - text));
		json_put_str(json_member(entry, "annotations", JSON_OBJECT), key, equals + 1);
	}
	return 0;
}

/* What the image is called in the store, after it was brought there if it has to be. */
static int bring(const char *root, const char *image, const struct manifest_entry *m,
		 const struct image_registry *registry, const struct image_ui *ui, char ret_id[STORE_DIGEST_SIZE],
		 struct err *e)
{
	struct imgref_location at;
	struct image_list list = {0};
	autofree char *platform = NULL;
	int r = imgref_locate(image, &at, e);
	if (r < 0)
		return r;
	bool here = at.transport == IMGREF_STORE;
	imgref_location_free(&at);
	if (m->architecture)
		platform = xasprintf("%s/%s%s%s", m->os ? m->os : "linux", m->architecture, m->variant ? "/" : "",
				     m->variant ? m->variant : "");
	const struct image_pull_opts pull = {.root = root,
					     .name = image,
					     .platform = platform,
					     .any_single = true,
					     .registry = *registry,
					     .policy = here ? PULL_MISSING : PULL_ALWAYS};
	/* An image of the store is taken as it is, whatever is said of it. */
	if (here && image_exists(root, image, NULL) == 1) {
		snprintf(ret_id, STORE_DIGEST_SIZE, "%s", "");
		return 0;
	}
	r = image_pull(&pull, ui, &list, e);
	if (r >= 0 && list.count != 1)
		r = err_set(e, EINVAL, "%s holds %zu images", image, list.count);
	if (r >= 0)
		snprintf(ret_id, STORE_DIGEST_SIZE, "%s", list.items[0].id);
	image_list_free(&list);
	return r;
}

static json_t *make_entry(const struct store_record *record, const json_t *config)
{
	static const char *const keys[] = {"os", "architecture", "variant", "os.version"};
	json_t *entry = imgspec_desc_new(record->media_type, record->manifest, record->manifest_size);
	json_t *platform = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put_or_drop(platform, keys[i], json_str_or_null(config, keys[i]));
	json_put(entry, "platform", platform);
	return entry;
}

static int add_entry(struct list *l, json_t *entry, struct err *e)
{
	json_t *manifests = json_object_get(l->doc, "manifests");
	for (size_t i = json_array_size(manifests); i-- > 0;) {
		const json_t *old = json_array_get(manifests, i);
		bool same = json_equal(json_object_get(old, "platform"), json_object_get(entry, "platform")) ||
			    str_eq(digest_of(old), digest_of(entry));
		int r = same ? drop_entry(l, i, e) : 0;
		if (r < 0)
			return r;
	}
	if (json_array_size(manifests) >= MANIFEST_ENTRIES_MAX)
		return err_set(e, E2BIG, "%s has %d entries already", l->name, MANIFEST_ENTRIES_MAX);
	autofree char *name = keeper(l->name, digest_of(entry));
	int r = store_tag(&l->s, name, digest_of(entry), e);
	if (r >= 0)
		json_array_append(manifests, entry);
	return r;
}

int manifest_add(const char *root, const char *name, const char *image, const struct manifest_entry *m,
		 const struct image_registry *registry, const struct image_ui *ui, char ret_digest[STORE_DIGEST_SIZE],
		 struct err *e)
{
	struct list l;
	struct store_image found = {0};
	struct store_record record = {0};
	char id[STORE_DIGEST_SIZE] = "";
	int r = manifest_exists(root, name, e);
	if (r >= 0)
		r = bring(root, image, m, registry, ui, id, e);
	if (r >= 0)
		r = open_existing(root, name, &l, e);
	if (r < 0)
		return r;
	r = store_find_image(&l.s, *id ? id : image, &found, e);
	if (r >= 0)
		r = store_record_read(&l.s, found.manifest_digest, &record, e);
	if (r >= 0 && found.builtin)
		r = err_set(e, EINVAL, "%s is built in; pull or load it to have it in an index", image);
	if (r >= 0) {
		autojson json_t *entry = make_entry(&record, found.config);
		r = describe(entry, m, e);
		if (r >= 0)
			r = add_entry(&l, entry, e);
		if (r >= 0)
			r = list_save(&l, e);
	}
	if (r >= 0)
		memcpy(ret_digest, found.manifest_digest, STORE_DIGEST_SIZE);
	store_record_free(&record);
	store_image_free(&found);
	list_close(&l);
	return r;
}

/* Position of the entry that is meant. */
static int find_entry(const struct list *l, const char *which, struct err *e)
{
	const json_t *manifests = json_object_get(l->doc, "manifests");
	struct store_image found = {0};
	char digest[STORE_DIGEST_SIZE] = "";
	autofree char *ref = NULL;
	if (imgref_is_digest(which)) {
		snprintf(digest, sizeof(digest), "%s", which);
	} else {
		int r = image_bring_default(l->s.root, which, &ref, e);
		if (r < 0)
			return r;
		if (store_find_image(&l->s, ref, &found, NULL) >= 0)
			memcpy(digest, found.manifest_digest, sizeof(digest));
	}
	store_image_free(&found);
	for (size_t i = 0; i < json_array_size(manifests); i++)
		if (str_eq(digest_of(json_array_get(manifests, i)), digest))
			return (int)i;
	return err_set(e, ENOENT, "%s has no entry %s", l->name, which);
}

int manifest_annotate(const char *root, const char *name, const char *which, const struct manifest_entry *m,
		      struct err *e)
{
	struct list l;
	int r = open_existing(root, name, &l, e);
	if (r < 0)
		return r;
	r = find_entry(&l, which, e);
	if (r >= 0)
		r = describe(json_array_get(json_object_get(l.doc, "manifests"), (size_t)r), m, e);
	if (r >= 0)
		r = list_save(&l, e);
	list_close(&l);
	return r;
}

int manifest_remove(const char *root, const char *name, const char *which, struct err *e)
{
	struct list l;
	int r = open_existing(root, name, &l, e);
	if (r < 0)
		return r;
	r = find_entry(&l, which, e);
	if (r >= 0)
		r = drop_entry(&l, (size_t)r, e);
	if (r >= 0)
		r = list_save(&l, e);
	list_close(&l);
	return r;
}

/* ---- out of the store ---- */

static bool names_registry(const char *name)
{
	struct imgref ref;
	if (imgref_parse(name, &ref, NULL) < 0)
		return false;
	bool is_named = !ref.short_name;
	imgref_free(&ref);
	return is_named;
}

int manifest_inspect(const char *root, const char *name, const struct image_registry *registry, json_t **ret_doc,
		     struct err *e)
{
	struct list l;
	const char *remote = str_after(name, "docker://");
	if (remote)
		return image_raw_remote(root, remote, registry, ret_doc, e);
	int r = list_open(root, name, false, &l, e);
	if (r < 0)
		return r;
	if (!l.doc) {
		list_close(&l);
		/* As docker and podman do; but nobody is asked who was not named. */
		if (names_registry(name))
			return image_raw_remote(root, name, registry, ret_doc, e);
		err_set(e, ENOENT, "there is no index called %s", name);
		return err_hint(e, "rl manifest inspect docker://%s asks the registry", name);
	}
	*ret_doc = json_incref(l.doc);
	list_close(&l);
	return 0;
}

static int check_destination(const char *dest, struct err *e)
{
	struct imgref_location at;
	int r = dest ? imgref_locate(dest, &at, e) : 0;
	if (!dest || r < 0)
		return r;
	bool registry = at.transport == IMGREF_STORE || at.transport == IMGREF_DOCKER;
	imgref_location_free(&at);
	if (registry)
		return 0;
	err_set(e, EOPNOTSUPP, "%s: an index is pushed to a registry", dest);
	return err_hint(e, "its images are written one by one: rl push IMAGE %s", dest);
}

int manifest_push(const char *root, const char *name, const char *dest, bool docker,
		  const struct image_registry *registry, const struct image_ui *ui, char ret_digest[STORE_DIGEST_SIZE],
		  struct err *e)
{
	struct list l;
	struct idmap map;
	struct image_list list = {0};
	autostrv struct strv verb = STRV_INIT;
	autostr struct str text = STR_INIT;
	int r = check_destination(dest, e);
	if (r >= 0)
		r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = open_existing(root, name, &l, e);
	if (r < 0)
		return r;
	const char *after = dest ? str_after(dest, "docker://") : NULL;
	json_print(l.doc, false, &text);
	if (!json_array_size(json_object_get(l.doc, "manifests")))
		r = err_set(e, EINVAL, "%s has no entries", name);
	else if (text.len > ARGUMENT_MAX)
		r = err_set(e, E2BIG, "the document of %s has %zu bytes; the limit is %d", name, text.len,
			    ARGUMENT_MAX);
	strv_add(&verb, "push-index");
	image_add_registry(&verb, registry);
	if (docker)
		strv_add(&verb, "--format=v2s2");
	strv_add(&verb, "--");
	strv_add(&verb, text.buf);
	strv_add(&verb, after ? after : dest ? dest : l.name);
	/* Others may read and change the list meanwhile: its document is on its way. */
	close_fd(&l.lockfd);
	if (r >= 0)
		r = image_program_run(&l.s, &map, &verb, false, ui, &list, e);
	if (r >= 0 && list.count != 1)
		r = err_set(e, EPROTO, "rl-image pushed %zu indexes instead of one", list.count);
	if (r >= 0)
		memcpy(ret_digest, list.items[0].manifest, STORE_DIGEST_SIZE);
	image_list_free(&list);
	list_close(&l);
	return r;
}
