/*
 * check.c - what is damaged, what was left over, and the repairs that are renames; see rl/engine/store_check.h.
 *
 * Theory: nothing here believes a name before it has the form that this store gives its things, and nothing is removed
 * that a living writer may be about to use: what lies in tmp/ is told apart by locks, and temporary names beside
 * records are nobody's while the exclusive lock is held, and objects change their place under the exclusive store lock only. A layer is exchanged for a sound one in
 * one step (RENAME_EXCHANGE), so that at every moment there is a layer of that name; a container that runs has the old
 * one mounted and would lose its files, so it is asked for first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/store_check.h"
#include "rl/model/imgref.h"
#include "store_int.h"

enum { TEMPORARY_SECONDS = 60, INDEX_MAX = 64 << 20 };

/* Call `fn` for every entry of a directory below the root. A directory that is not there has none. */
typedef int entry_fn(int dirfd, const char *name, void *arg, struct err *e);

static int each_entry(const struct store *s, const char *path, entry_fn *fn, void *arg, struct err *e)
{
	int fd = openat(s->rootfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s/%s", s->root, path);
	autodir DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_sys(e, errno, "open %s/%s", s->root, path);
	}
	struct dirent *entry;
	int r = 0;
	while (r >= 0 && (entry = readdir(d)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			r = fn(fd, entry->d_name, arg, e);
	return r < 0 ? r : 0;
}

/* ---- names ---- */

void store_check_names_free(struct store_check_names *n)
{
	for (size_t i = 0; i < n->count; i++) {
		free(n->items[i].file);
		free(n->items[i].name);
	}
	free(n->items);
	*n = (struct store_check_names){0};
}

static bool is_temporary(const char *name)
{
	return str_ends(name, ".tmp");
}

struct names_arg {
	const struct store *s;
	struct store_check_names *names;
};

static int add_name(int dirfd, const char *file, void *arg, struct err *e)
{
	struct names_arg *a = arg;
	struct store_ref ref = {0};
	(void)e;
	if (is_temporary(file))
		return 0;
	int r = store_ref_read_file(dirfd, file, &ref);
	if (r == -ENOENT && faccessat(dirfd, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* removed meanwhile */
	a->names->items = xreallocarray(a->names->items, a->names->count + 1, sizeof(*a->names->items));
	struct store_check_name *n = &a->names->items[a->names->count++];
	*n = (struct store_check_name){.file = xstrdup(file)};
	if (r >= 0) {
		n->name = xstrdup(ref.name);
		memcpy(n->manifest, ref.manifest, sizeof(n->manifest));
	} else {
		n->name = xstrdup(file);
		for (char *p = n->name; *p; p++)
			*p = *p == '+' ? '/' : *p;
	}
	store_ref_free(&ref);
	return 0;
}

int store_check_names(const struct store *s, struct store_check_names *ret_names, struct err *e)
{
	struct store_check_names names = {0};
	int r = each_entry(s, STORE_REFS, add_name, &(struct names_arg){s, &names}, e);
	if (r < 0)
		store_check_names_free(&names);
	else
		*ret_names = names;
	return r;
}

int store_remove_name_file(const struct store *s, const char *file, struct err *e)
{
	if (!*file || *file == '.' || strchr(file, '/'))
		return err_set(e, EINVAL, "\"%.80s\" is not the record of a name", file);
	autofree char *path = xasprintf(STORE_REFS "/%s", file);
	autofd int lockfd = -1;
	int r = store_lock(s, false, true, &lockfd, e);
	if (r < 0)
		return r;
	/* What took the place of a record may be anything. */
	return io_remove_tree(s->rootfd, path, e);
}

static const char *annotated_name(const json_t *descriptor)
{
	const json_t *annotations = json_object_get(descriptor, "annotations");
	return annotations ? json_str_or_null(annotations, "io.containerd.image.name") : NULL;
}

int store_index_lookup(const struct store *s, const char *name, char ret_manifest[STORE_DIGEST_SIZE], struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse_file(s->rootfd, "images/index.json", INDEX_MAX, &doc, e);
	if (r < 0)
		return r;
	size_t i;
	json_t *d;
	json_array_foreach (json_object_get(doc, "manifests"), i, d) {
		const char *said = annotated_name(d);
		const char *digest = json_str_or_null(d, "digest");
		if (!said || !digest || !str_eq(said, name) || !imgref_is_digest(digest))
			continue;
		memcpy(ret_manifest, digest, STORE_DIGEST_SIZE);
		return 1;
	}
	return 0;
}

int store_index_is_current(const struct store *s, struct err *e)
{
	autojson json_t *want = NULL;
	autojson json_t *have = NULL;
	int r = store_index_document(s, &want, e);
	if (r < 0)
		return r;
	r = json_parse_file(s->rootfd, "images/index.json", INDEX_MAX, &have, e);
	if (r == -ENOENT) {
		err_clear(e);
		return json_array_size(json_object_get(want, "manifests")) == 0;
	}
	return r < 0 ? r : json_equal(want, have);
}

/* ---- records, blobs, layers ---- */

static int add_record(int dirfd, const char *file, void *arg, struct err *e)
{
	(void)dirfd;
	(void)e;
	if (strlen(file) != 64 + 5 || !str_ends(file, ".json"))
		return 0;
	autofree char *hex = xstrndup(file, 64);
	if (imgref_is_hex(hex))
		strv_addf(arg, "sha256:%s", hex);
	return 0;
}

int store_check_records(const struct store *s, struct strv *ret_digests, struct err *e)
{
	return each_entry(s, STORE_META, add_record, ret_digests, e);
}

static int add_hex(int dirfd, const char *name, void *arg, struct err *e)
{
	(void)dirfd;
	(void)e;
	if (imgref_is_hex(name))
		strv_add(arg, name);
	return 0;
}

int store_check_blobs(const struct store *s, struct strv *ret_hex, struct err *e)
{
	return each_entry(s, STORE_BLOBS, add_hex, ret_hex, e);
}

struct layers_arg {
	const struct store *s;
	struct strv *out;
};

static int add_map(int dirfd, const char *key, void *arg, struct err *e)
{
	const struct layers_arg *a = arg;
	autofree char *path = xasprintf("layers/%s", key);
	autostrv struct strv hexes = STRV_INIT;
	struct stat st;
	if (key[0] == '.' || fstatat(dirfd, key, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	int r = each_entry(a->s, path, add_hex, &hexes, e);
	for (size_t i = 0; i < hexes.count; i++)
		strv_addf(a->out, "%s/%s", key, hexes.items[i]);
	return r;
}

int store_check_layers(const struct store *s, struct strv *ret_layers, struct err *e)
{
	return each_entry(s, "layers", add_map, &(struct layers_arg){s, ret_layers}, e);
}

struct layer_users {
	const char *needle;
	struct strv *ids;
};

static void match_layer(const char *id, const char *text, void *arg)
{
	const struct layer_users *u = arg;
	if (strstr(text, u->needle))
		strv_add(u->ids, id);
}

int store_layer_users(const struct store *s, const char *key, const char *hex, bool alive, struct strv *ret_ids,
		      struct err *e)
{
	autofree char *needle = xasprintf("layers/%s/%s", key, hex);
	return store_each_file(s, "containers", STORE_CONTAINER_LAYERS, alive, match_layer,
			       &(struct layer_users){needle, ret_ids}, e);
}

static int exchange(struct store_work *w, const char *name, const char *path, struct err *e)
{
	if (renameat2(w->dirfd, name, w->store->rootfd, path, RENAME_EXCHANGE) == 0)
		return 0;
	char random[17];
	io_random_hex(8, random);
	/* Not there, or a file system that cannot exchange: in two steps. */
	if (renameat(w->store->rootfd, path, w->dirfd, random) < 0 && errno != ENOENT)
		return err_sys(e, errno, "move the damaged %s away", path);
	return renameat(w->dirfd, name, w->store->rootfd, path) < 0 ? err_sys(e, errno, "publish layer %s", path) : 0;
}

int store_replace_layer(struct store_work *w, const char *name, const char *key, const char *hex, struct err *e)
{
	autostrv struct strv users = STRV_INIT;
	autofd int lockfd = -1;
	if (!path_is_plain_name(key) || !imgref_is_hex(hex))
		return err_set(e, EINVAL, "\"%.80s/%.80s\" does not name a layer", key, hex);
	autofree char *parent = xasprintf("layers/%s", key);
	autofree char *path = store_layer_path(key, hex);
	int r = store_lock(w->store, true, true, &lockfd, e);
	if (r >= 0)
		r = store_layer_users(w->store, key, hex, true, &users, e);
	if (r >= 0 && users.count)
		r = err_set(e, EBUSY, "container %.12s runs on it; stop it first", users.items[0]);
	if (r >= 0)
		r = io_mkdirs(w->store->rootfd, parent, 0700, e);
	if (r >= 0)
		r = exchange(w, name, path, e);
	autofd int fd = r < 0 ? -1 : openat(w->store->rootfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS)
		return err_sys(e, errno, "sync %s", parent);
	return r;
}

static int take_away(struct store_work *w, const char *path, struct err *e)
{
	char random[17];
	io_random_hex(8, random);
	if (renameat(w->store->rootfd, path, w->dirfd, random) < 0 && errno != ENOENT)
		return err_sys(e, errno, "move %s away", path);
	return 0;
}

int store_remove_blob(struct store_work *w, const char *digest, struct err *e)
{
	autofd int lockfd = -1;
	autofree char *path = xasprintf(STORE_BLOBS "/%s", store_hex(digest));
	int r = store_lock(w->store, true, true, &lockfd, e);
	return r < 0 ? r : take_away(w, path, e);
}

int store_remove_layer(struct store_work *w, const char *key, const char *hex, struct err *e)
{
	autostrv struct strv users = STRV_INIT;
	autofd int lockfd = -1;
	autofree char *path = store_layer_path(key, hex);
	autofree char *parent = xasprintf("layers/%s", key);
	int r = store_lock(w->store, true, true, &lockfd, e);
	if (r >= 0)
		r = store_layer_users(w->store, key, hex, false, &users, e);
	if (r >= 0 && users.count)
		r = err_set(e, EBUSY, "container %.12s uses it", users.items[0]);
	if (r >= 0)
		r = take_away(w, path, e);
	unlinkat(w->store->rootfd, parent, AT_REMOVEDIR); /* succeeds only when it is empty */
	return r;
}

/* ---- left-overs ---- */

struct leftovers {
	const char *dir;
	struct strv *out;
	time_t before; /* only older ones */
};

static int add_unlocked(int dirfd, const char *name, void *arg, struct err *e)
{
	const struct leftovers *l = arg;
	(void)e;
	autofd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	/* Shared, so that two who look do not take each other for the owner. */
	if (fd < 0 || io_try_lock(fd, false, NULL) == 1)
		strv_addf(l->out, "%s/%s", l->dir, name);
	return 0;
}

static int add_temporary(int dirfd, const char *name, void *arg, struct err *e)
{
	const struct leftovers *l = arg;
	struct stat st;
	(void)e;
	if (is_temporary(name) && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < l->before)
		strv_addf(l->out, "%s/%s", l->dir, name);
	return 0;
}

/* Temporary names beside records. Records are written under the shared lock, so with the exclusive one (`locked`) every
 * one of them is a dead writer's; index.json and the documents in lists/ have locks of their own, and age must do. */
static int temporaries(const struct store *s, bool locked, struct strv *out, struct err *e)
{
	time_t old = time(NULL) - TEMPORARY_SECONDS;
	time_t any = locked ? (time_t)INT64_MAX : old;
	int r = each_entry(s, "images", add_temporary, &(struct leftovers){"images", out, old}, e);
	if (r >= 0)
		r = each_entry(s, "lists", add_temporary, &(struct leftovers){"lists", out, old}, e);
	if (r >= 0)
		r = each_entry(s, STORE_META, add_temporary, &(struct leftovers){STORE_META, out, any}, e);
	return r < 0 ? r : each_entry(s, STORE_REFS, add_temporary, &(struct leftovers){STORE_REFS, out, any}, e);
}

int store_leftovers(const struct store *s, struct strv *ret_paths, struct err *e)
{
	autofd int lockfd = -1;
	/* A work directory is made and locked under the shared lock; nobody may be between the two now. */
	int r = store_lock(s, true, false, &lockfd, e);
	bool locked = r == 0;
	if (locked)
		r = each_entry(s, "tmp", add_unlocked, &(struct leftovers){"tmp", ret_paths, 0}, e);
	return r < 0 ? r : temporaries(s, locked, ret_paths, e);
}

int store_remove_temporaries(const struct store *s, struct err *e)
{
	autostrv struct strv paths = STRV_INIT;
	int r = temporaries(s, true, &paths, e);
	for (size_t i = 0; i < paths.count && r >= 0; i++)
		if (unlinkat(s->rootfd, paths.items[i], 0) < 0 && errno != ENOENT)
			r = err_sys(e, errno, "remove %s", paths.items[i]);
	return r;
}

/* ---- owners and permissions ---- */

static void check_owner(const struct store *s, const char *path, bool mend, store_owner_fn *fn, void *arg)
{
	struct stat st;
	if (fstatat(s->rootfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	bool is_dir = S_ISDIR(st.st_mode);
	if (!is_dir) {
		fn(path, "it is not a directory", false, arg);
	} else if (st.st_uid != geteuid()) {
		autofree char *why = xasprintf("it belongs to uid %u", (unsigned)st.st_uid);
		bool mended = mend && fchownat(s->rootfd, path, geteuid(), getegid(), AT_SYMLINK_NOFOLLOW) == 0;
		fn(path, why, mended, arg);
	} else if ((st.st_mode & 0700) != 0700 || (st.st_mode & 0002)) {
		autofree char *why = xasprintf("its mode is %04o", (unsigned)st.st_mode & 07777);
		bool mended = mend && fchmodat(s->rootfd, path, ((st.st_mode & 07777) | 0700) & ~02u, 0) == 0;
		fn(path, why, mended, arg);
	}
}

struct owners_arg {
	const struct store *s;
	bool mend;
	store_owner_fn *fn;
	void *arg;
};

static int check_map_owner(int dirfd, const char *key, void *arg, struct err *e)
{
	const struct owners_arg *a = arg;
	autofree char *path = xasprintf("layers/%s", key);
	(void)dirfd;
	(void)e;
	check_owner(a->s, path, a->mend, a->fn, a->arg);
	return 0;
}

int store_check_owners(const struct store *s, bool mend, store_owner_fn *fn, void *arg, struct err *e)
{
	static const char *const dirs[] = {
		".",	  "images", "images/blobs", STORE_BLOBS, STORE_META, STORE_REFS,
		"layers", "lists",  "containers",   "names",	 "tmp",	     "cache",
	};
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		check_owner(s, dirs[i], mend, fn, arg);
	struct owners_arg a = {s, mend, fn, arg};
	return each_entry(s, "layers", check_map_owner, &a, e);
}
