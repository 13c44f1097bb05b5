/*
 * refs.c - images/refs: one small record per name, and index.json, which is derived from them; see store.h.
 *
 *     {"name":"docker.io/library/busybox:latest","manifest":"sha256:...","config":"sha256:...","created":"...","size":n}
 *
 * File name: the canonical name with '/' written as '+' (no reference contains one). A name that would not fit into a
 * file name is cut and gets '~' and a hash; the record inside says the whole name and is believed only if it encodes
 * to the very file name it was found under, so left-over temporary files and collisions are never taken for names.
 *
 * index.json is for other tools. It is written from the records under its own lock after each change; if a crash
 * leaves an old one behind, the next change puts it right, and nothing of ours reads it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/imgspec.h"
#include "store_int.h"

enum { ENCODED_MAX = 230, ENCODED_CUT = 200 }; /* io_replace_file adds 21 to it; NAME_MAX is 255 */

static void encode_name(const char *name, char ret[ENCODED_MAX + 1])
{
	size_t n = strlen(name);
	bool cut = n > ENCODED_MAX;
	size_t keep = cut ? ENCODED_CUT : n;
	for (size_t i = 0; i < keep; i++)
		ret[i] = name[i] == '/' ? '+' : name[i];
	ret[keep] = '\0';
	if (!cut)
		return;
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3u;
	snprintf(ret + keep, ENCODED_MAX + 1 - keep, "~%016llx", (unsigned long long)hash);
}

void store_ref_free(struct store_ref *r)
{
	free(r->name);
	free(r->created);
	*r = (struct store_ref){0};
}

static int ref_fill(const json_t *doc, const char *file, struct store_ref *r, struct err *e)
{
	const char *name = json_str_or_null(doc, "name");
	const char *manifest = json_str_or_null(doc, "manifest");
	const char *config = json_str_or_null(doc, "config");
	const char *created = json_str_or_null(doc, "created");
	char encoded[ENCODED_MAX + 1] = "";
	if (name)
		encode_name(name, encoded);
	if (!str_eq(encoded, file))
		return err_set(e, ENOENT, "%s is not the record of a name", file);
	if (!manifest || !imgref_is_digest(manifest) || !config || !imgref_is_digest(config))
		return err_set(e, EBADMSG, "the record of %s is damaged", name);
	r->name = xstrdup(name);
	r->created = xstrdup(created ? created : "");
	memcpy(r->manifest, manifest, STORE_DIGEST_SIZE);
	memcpy(r->config, config, STORE_DIGEST_SIZE);
	r->size = json_int_or(doc, "size", 0);
	return 0;
}

int store_ref_read(const struct store *s, const char *name, struct store_ref *ret_ref, struct err *e)
{
	char path[STORE_PATH_SIZE] = STORE_REFS "/";
	encode_name(name, path + strlen(STORE_REFS "/"));
	autojson json_t *doc = NULL;
	int r = json_parse_file(s->rootfd, path, STORE_RECORD_MAX, &doc, e);
	if (r < 0)
		return r == -ENOENT ? r : err_ctx(e, "the record of %s is damaged", name);
	return ref_fill(doc, path + strlen(STORE_REFS "/"), ret_ref, e);
}

/* A damaged record still shows its name, so that it can be seen and removed. */
static void broken_ref(const char *file, struct store_ref *r)
{
	r->name = xstrdup(file);
	for (char *p = r->name; *p; p++)
		if (*p == '+')
			*p = '/';
	r->created = xstrdup("");
}

/* json_parse_file with three system calls instead of five: `rl images` reads hundreds of these. */
static int parse_small(int dirfd, const char *file, json_t **ret_doc, struct err *e)
{
	char text[4096];
	autofd int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n < 0 || (size_t)n == sizeof(text))
		return json_parse_file(dirfd, file, STORE_RECORD_MAX, ret_doc, e);
	return json_parse(text, (size_t)n, file, ret_doc, e);
}

int store_ref_read_file(int dirfd, const char *file, struct store_ref *ret_ref)
{
	autojson json_t *doc = NULL;
	int r = parse_small(dirfd, file, &doc, NULL);
	return r < 0 ? r : ref_fill(doc, file, ret_ref, NULL);
}

int store_refs_read(const struct store *s, struct store_refs *ret_refs, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	autofd int fd = openat(s->rootfd, STORE_REFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", STORE_REFS);
	int r = io_list_dir(fd, &names, e);
	if (r < 0)
		return err_ctx(e, "%s", STORE_REFS);
	ret_refs->items = xreallocarray(ret_refs->items, ret_refs->count + names.count + 1, sizeof(*ret_refs->items));
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.items[i];
		if (name[0] == '.')
			continue;
		autojson json_t *doc = NULL;
		struct store_ref ref = {0};
		struct err cause = ERR_INIT;
		r = parse_small(fd, name, &doc, &cause);
		if (r >= 0)
			r = ref_fill(doc, name, &ref, &cause);
		if (r == -ENOENT || (r < 0 && str_ends(name, ".tmp")))
			continue;
		if (r < 0) {
			log_debug(LOG_STORE, "%s", cause.text);
			broken_ref(name, &ref);
		}
		ret_refs->items[ret_refs->count++] = ref;
	}
	return 0;
}

void store_refs_free(struct store_refs *r)
{
	for (size_t i = 0; i < r->count; i++)
		store_ref_free(&r->items[i]);
	free(r->items);
	*r = (struct store_refs){0};
}

int store_names(const struct store *s, const char *manifest_digest, struct strv *ret_names, struct err *e)
{
	struct store_refs refs = {0};
	int r = store_refs_read(s, &refs, e);
	for (size_t i = 0; i < refs.count; i++)
		if (str_eq(refs.items[i].manifest, manifest_digest))
			strv_add(ret_names, refs.items[i].name);
	store_refs_free(&refs);
	return r;
}

/* ---- changing ---- */

static int write_ref(const struct store *s, const char *name, const struct store_record *record, struct err *e)
{
	char file[ENCODED_MAX + 1];
	encode_name(name, file);
	/* Two long names with one hash: keep the one that is there. */
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), STORE_REFS "/%s", file);
	autojson json_t *old = NULL;
	if (strchr(file, '~') && json_parse_file(s->rootfd, path, STORE_RECORD_MAX, &old, NULL) >= 0) {
		const char *old_name = json_str_or_null(old, "name");
		if (old_name && !str_eq(old_name, name))
			return err_set(e, EEXIST, "the name %s cannot be kept beside %s", name, old_name);
	}
	autojson json_t *doc = json_object();
	json_put_str(doc, "name", name);
	json_put_str(doc, "manifest", record->manifest);
	json_put_str(doc, "config", record->config);
	json_put_str(doc, "created", record->created);
	json_put_int(doc, "size", store_record_size(record));
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	str_addc(&text, '\n');
	int r = io_mkdirs(s->rootfd, STORE_REFS, 0700, e);
	if (r < 0)
		return r;
	autofd int dirfd = io_open_dir(s->rootfd, STORE_REFS, false, 0700, e);
	if (dirfd < 0)
		return dirfd;
	r = io_replace_file(dirfd, file, text.buf, text.len, 0600, true, e);
	if (r >= 0 && fsync(dirfd) < 0 && errno != EINVAL && errno != ENOSYS)
		r = err_sys(e, errno, "sync %s", STORE_REFS);
	return r;
}

/* A name with tag and digest is kept, and looked for, by its digest alone. */
static char *kept_name(const char *name)
{
	struct imgref ref;
	if (!strchr(name, '@') || imgref_parse(name, &ref, NULL) < 0)
		return xstrdup(name);
	free(ref.tag);
	ref.tag = NULL;
	char *kept = imgref_format(&ref);
	imgref_free(&ref);
	return kept;
}

int store_tag(const struct store *s, const char *text, const char *manifest_digest, struct err *e)
{
	autofree char *name = kept_name(text);
	autofd int lockfd = -1;
	struct store_record record = {0};
	int r = store_lock(s, false, true, &lockfd, e);
	if (r >= 0)
		r = store_record_read(s, manifest_digest, &record, e);
	if (r >= 0)
		r = write_ref(s, name, &record, e);
	store_record_free(&record);
	close_fd(&lockfd);
	return r < 0 ? err_ctx(e, "tag %s", imgref_familiar(name)) : store_index_changed(s, e);
}

int store_untag(const struct store *s, const char *text, struct err *e)
{
	autofree char *name = kept_name(text);
	char path[STORE_PATH_SIZE] = STORE_REFS "/";
	encode_name(name, path + strlen(STORE_REFS "/"));
	autofd int lockfd = -1;
	int r = store_lock(s, false, true, &lockfd, e);
	if (r < 0)
		return r;
	struct store_ref ref = {0};
	r = store_ref_read(s, name, &ref, NULL);
	store_ref_free(&ref);
	if (r == -ENOENT)
		return 0;
	if (unlinkat(s->rootfd, path, 0) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_sys(e, errno, "untag %s", imgref_familiar(name));
	}
	close_fd(&lockfd);
	r = store_index_changed(s, e);
	return r < 0 ? r : 1;
}

/* ---- index.json ---- */

static json_t *index_entry(const struct store_record *record, const char *name)
{
	json_t *d = imgspec_desc_new(record->media_type, record->manifest, record->manifest_size);
	if (name) {
		json_t *annotations = json_object();
		json_put_str(annotations, "io.containerd.image.name", name);
		json_put_str(annotations, "org.opencontainers.image.ref.name", name);
		json_put(d, "annotations", annotations);
	}
	return d;
}

static int compare_refs(const void *a, const void *b)
{
	const struct store_ref *x = a;
	const struct store_ref *y = b;
	return strcmp(x->name, y->name);
}

/* A record that cannot be read takes its own names out of the index, nothing else. */
int store_index_document(const struct store *s, json_t **ret_doc, struct err *e)
{
	struct store_refs refs = {0};
	autostrv struct strv digests = STRV_INIT;
	int r = store_refs_read(s, &refs, e);
	if (r >= 0)
		r = store_records_list(s, &digests, e);
	if (r < 0) {
		store_refs_free(&refs);
		return r;
	}
	if (refs.count)
		qsort(refs.items, refs.count, sizeof(*refs.items), compare_refs);
	strv_sort(&digests);
	json_t *doc = json_object();
	json_put_int(doc, "schemaVersion", 2);
	json_put_str(doc, "mediaType", IMGSPEC_OCI_INDEX);
	json_t *manifests = json_array();
	json_put(doc, "manifests", manifests);
	for (size_t i = 0; i < digests.count; i++) {
		struct store_record record = {0};
		if (store_record_read(s, digests.items[i], &record, NULL) < 0)
			continue;
		bool named = record.builtin;
		for (size_t k = 0; k < refs.count; k++) {
			if (!str_eq(refs.items[k].manifest, digests.items[i]))
				continue;
			json_array_append_new(manifests, index_entry(&record, refs.items[k].name));
			named = true;
		}
		if (!named)
			json_array_append_new(manifests, index_entry(&record, NULL));
		store_record_free(&record);
	}
	store_refs_free(&refs);
	*ret_doc = doc;
	return 0;
}

int store_rebuild_index(const struct store *s, struct err *e)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}\n";
	autofd int dirfd = io_open_dir(s->rootfd, "images", true, 0700, e);
	if (dirfd < 0)
		return dirfd;
	int r = io_mkdirs(dirfd, "blobs/sha256", 0700, e);
	if (r >= 0 && faccessat(dirfd, "oci-layout", F_OK, 0) < 0)
		r = io_replace_file(dirfd, "oci-layout", layout, strlen(layout), 0644, true, e);
	if (r < 0)
		return r;
	autofd int lockfd = openat(dirfd, "index.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lockfd < 0)
		return err_sys(e, errno, "open images/index.lock");
	r = io_lock(lockfd, true, e);
	if (r < 0)
		return r;
	autojson json_t *doc = NULL;
	r = store_index_document(s, &doc, e);
	if (r < 0)
		return r;
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	str_addc(&text, '\n');
	/* Derived, but other tools read it: after a power loss it may be old, never empty. */
	return io_replace_file(dirfd, "index.json", text.buf, text.len, 0644, true, e);
}

int store_index_changed(const struct store *s, struct err *e)
{
	return s->index_later ? 0 : store_rebuild_index(s, e);
}
