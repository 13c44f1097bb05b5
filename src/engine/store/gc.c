/*
 * gc.c - removal: images, and after them everything nobody needs; left-overs of crashes; see store.h.
 *
 * Reachability, not reference counts. Under the exclusive store lock the roots are read: every record of images/meta
 * (also the built-in images), the pins of living writers, the file `layers` of every container, and the build cache. What is below
 * blobs/ and layers/ and not marked is renamed into a work directory of ours, which takes microseconds per object, and
 * deleted after the lock is gone. A collector that is killed therefore leaves rubbish in tmp/ and nothing else.
 *
 * A layer is reached through its hex key in whichever id map it was unpacked: maps are not roots, so layers of an old
 * map go only when their image goes.
 *
 * Files of a layer may belong to subordinate ids, which we cannot delete as ourselves: then the removal runs as root
 * of a user namespace with the caller's map.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/store_check.h"
#include "rl/kern/idmap.h"
#include "rl/kern/probe.h"
#include "rl/model/imgref.h"
#include "store_int.h"

enum { PINS_MAX = 64 << 20, OPEN_UP_DEPTH_MAX = 1024 };

struct marks {
	struct strv blobs;   /* hex */
	struct strv layers;  /* hex, whatever the map */
	struct strv builtin; /* manifests of the built-in images */
};

static void marks_free(struct marks *m)
{
	strv_free(&m->blobs);
	strv_free(&m->layers);
	strv_free(&m->builtin);
}

static void marks_sort(struct marks *m)
{
	struct strv *sets[] = {&m->blobs, &m->layers};
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		strv_sort(sets[i]);
}

static bool is_marked(const struct strv *set, const char *hex)
{
	return strv_find_sorted(set, hex) != NULL;
}

static void mark_record(struct marks *m, const struct store_record *r)
{
	strv_add(&m->blobs, store_hex(r->manifest));
	strv_add(&m->blobs, store_hex(r->config));
	for (size_t i = 0; i < r->nlayers; i++) {
		strv_add(&m->blobs, store_hex(r->layers[i].blob));
		strv_add(&m->layers, r->layers[i].key);
	}
	for (size_t i = 0; i < r->extra.count; i++)
		strv_add(&m->blobs, store_hex(r->extra.items[i]));
}

static int note_builtin(const char *name, struct store_record *record, void *arg)
{
	(void)name;
	mark_record(arg, record);
	strv_add(&((struct marks *)arg)->builtin, record->manifest);
	return 0;
}

/* Our note about an image that is not built in any more (another version of rl was installed). */
static bool is_stale_note(const struct marks *m, const struct store_record *r)
{
	return r->builtin && !strv_has(&m->builtin, r->manifest);
}

static void drop_record(const struct store *s, const char *manifest_digest)
{
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), STORE_META "/%s.json", store_hex(manifest_digest));
	unlinkat(s->rootfd, path, 0); /* if it stays it is met again */
}

static int mark_images(const struct store *s, struct marks *m, bool drop_stale, struct err *e)
{
	autostrv struct strv digests = STRV_INIT;
	(void)!store_builtin_each(s, note_builtin, m, NULL);
	int r = store_records_list(s, &digests, e);
	for (size_t i = 0; r >= 0 && i < digests.count; i++) {
		struct store_record record = {0};
		struct err cause = ERR_INIT;
		int rc = store_record_read(s, digests.items[i], &record, &cause);
		bool stale = rc >= 0 && is_stale_note(m, &record);
		if (stale && drop_stale)
			drop_record(s, digests.items[i]);
		else if (rc >= 0 && !stale)
			mark_record(m, &record);
		/* A broken image keeps nothing alive. One that cannot be read now may be whole: collect nothing. */
		else if (rc < 0 && rc != -ENOENT && rc != -EBADMSG && rc != -EINVAL && rc != -EOPNOTSUPP)
			r = e ? (*e = cause, rc) : rc;
		store_record_free(&record);
	}
	return r;
}

/* ---- reading pins and containers ---- */

static void mark_pins(const char *name, const char *text, void *arg)
{
	struct marks *m = arg;
	(void)name;
	autostrv struct strv lines = STRV_INIT;
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		const char *blob = str_after(lines.items[i], "blob ");
		const char *layer = str_after(lines.items[i], "layer ");
		const char *hex = layer ? strchr(layer, ' ') : NULL;
		if (blob && imgref_is_hex(blob))
			strv_add(&m->blobs, blob);
		else if (hex && imgref_is_hex(hex + 1))
			strv_add(&m->layers, hex + 1);
	}
}

/* Lines ".../layers/KEY/HEX[/diff]", top first. */
static void container_layers(const char *text, struct strv *out)
{
	autostrv struct strv lines = STRV_INIT;
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		autostrv struct strv parts = STRV_INIT;
		strv_split(&parts, lines.items[i], '/');
		for (size_t k = 2; k < parts.count; k++)
			if (str_eq(parts.items[k - 2], "layers") && imgref_is_hex(parts.items[k]))
				strv_add(out, parts.items[k]);
	}
}

static void mark_container(const char *name, const char *text, void *arg)
{
	(void)name;
	container_layers(text, &((struct marks *)arg)->layers);
}

int store_each_file(const struct store *s, const char *dir, const char *file, bool only_locked, store_file_fn *fn,
		    void *arg, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	autofd int dirfd = openat(s->rootfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s/%s", s->root, dir);
	int r = io_list_dir(dirfd, &names, e);
	if (r < 0)
		return err_ctx(e, "%s/%s", s->root, dir);
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.items[i];
		if (name[0] == '.')
			continue;
		autofd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			return err_sys(e, errno, "open %s/%s/%s", s->root, dir, name);
		if (fd < 0 || (only_locked && io_try_lock(fd, true, NULL) == 1))
			continue; /* nobody lives there; closing lets go again */
		autostr struct str text = STR_INIT;
		struct err cause = ERR_INIT;
		r = io_read_file(fd, file, PINS_MAX, &text, &cause);
		if (r >= 0)
			fn(name, text.buf, arg);
		else if (r != -ENOENT)
			return e ? (*e = cause, r) : r;
	}
	return 0;
}

/* ---- sweeping objects ---- */

struct sweep {
	const struct store *s;
	const struct marks *marks;
	struct store_work *rubbish; /* NULL: only look */
	struct store_gc_result *result;
	unsigned n;
};

static int discard(struct sweep *w, int dirfd, const char *name, struct err *e)
{
	char to[32];
	if (!w->rubbish)
		return 0;
	snprintf(to, sizeof(to), "%u", w->n++);
	if (renameat(dirfd, name, w->rubbish->dirfd, to) < 0 && errno != ENOENT)
		return err_sys(e, errno, "move %s to tmp", name);
	return 0;
}

static int open_list(const struct store *s, const char *path, DIR **ret_dir, struct err *e)
{
	int fd = openat(s->rootfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, errno, "open %s/%s", s->root, path);
	*ret_dir = fdopendir(fd);
	if (!*ret_dir) {
		close(fd);
		return err_sys(e, errno, "open %s/%s", s->root, path);
	}
	return 1;
}

static int sweep_blobs(struct sweep *w, struct err *e)
{
	autodir DIR *d = NULL;
	int r = open_list(w->s, STORE_BLOBS, &d, e);
	struct dirent *entry;
	while (r > 0 && d && (entry = readdir(d))) {
		if (!imgref_is_hex(entry->d_name) || is_marked(&w->marks->blobs, entry->d_name))
			continue;
		struct stat st = {0};
		(void)!fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW);
		strv_addf(&w->result->blobs, "sha256:%s", entry->d_name);
		w->result->bytes += st.st_size;
		r = discard(w, dirfd(d), entry->d_name, e);
		if (r >= 0)
			r = 1;
	}
	return r < 0 ? r : 0;
}

static int sweep_map(struct sweep *w, const char *key, struct err *e)
{
	autodir DIR *d = NULL;
	autofree char *path = xasprintf("layers/%s", key);
	int r = open_list(w->s, path, &d, e);
	struct dirent *entry;
	while (r > 0 && d && (entry = readdir(d))) {
		if (!imgref_is_hex(entry->d_name) || is_marked(&w->marks->layers, entry->d_name))
			continue;
		strv_addf(&w->result->layers, "%s/%s", key, entry->d_name);
		r = discard(w, dirfd(d), entry->d_name, e);
		if (r >= 0)
			r = 1;
	}
	if (w->rubbish)
		unlinkat(w->s->rootfd, path, AT_REMOVEDIR); /* succeeds only when it is empty */
	return r < 0 ? r : 0;
}

static int sweep_layers(struct sweep *w, struct err *e)
{
	autodir DIR *d = NULL;
	int r = open_list(w->s, "layers", &d, e);
	struct dirent *entry;
	while (r > 0 && d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		r = sweep_map(w, entry->d_name, e);
		if (r >= 0)
			r = 1;
	}
	return r < 0 ? r : 0;
}

/* cache/build/KEY: steps of builds whose layers may belong to no image. */
static int mark_cache(const struct store *s, struct marks *m, struct err *e)
{
	static const char dir[] = "cache/build";
	autostrv struct strv names = STRV_INIT;
	autofd int dirfd = openat(s->rootfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dirfd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, errno, "open %s/%s", s->root, dir);
	int r = io_list_dir(dirfd, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		autostr struct str text = STR_INIT;
		if (!imgref_is_hex(names.items[i]))
			continue;
		r = io_read_file(dirfd, names.items[i], PINS_MAX, &text, e);
		if (r >= 0)
			mark_pins(names.items[i], text.buf, m);
		else if (r == -ENOENT)
			r = 0;
	}
	return r < 0 ? r : 0;
}

/* 1: not done, since others are at work (only without `wait`). */
static int mark_and_sweep(const struct store *s, bool wait, struct store_work *rubbish, struct store_gc_result *result,
			  struct err *e)
{
	struct marks marks = {0};
	autofd int lockfd = -1;
	/* Looking is also done where the lock cannot be had for writing, and changes nothing: others go on. */
	int r = store_lock(s, rubbish != NULL, wait, &lockfd, e);
	if (r > 0)
		return r;
	if (r >= 0)
		r = mark_images(s, &marks, rubbish != NULL, e);
	if (r >= 0)
		r = store_each_file(s, "tmp", "pins", true, mark_pins, &marks, e);
	if (r >= 0)
		r = store_each_file(s, "containers", STORE_CONTAINER_LAYERS, false, mark_container, &marks, e);
	if (r >= 0)
		r = mark_cache(s, &marks, e);
	marks_sort(&marks);
	struct sweep w = {.s = s, .marks = &marks, .rubbish = rubbish, .result = result};
	if (r >= 0)
		r = sweep_blobs(&w, e);
	if (r >= 0)
		r = sweep_layers(&w, e);
	if (r >= 0 && rubbish)
		r = store_remove_temporaries(s, e);
	marks_free(&marks);
	return r < 0 ? r : 0;
}

static int collect(const struct store *s, bool wait, struct store_gc_result *ret_result, struct err *e)
{
	struct store_work rubbish = {0};
	struct store_gc_result result = {0};
	int r = store_work_begin(s, &rubbish, e);
	if (r < 0)
		return err_ctx(e, "collect garbage");
	autofree char *path = xasprintf("tmp/%s", rubbish.name);
	r = mark_and_sweep(s, wait, &rubbish, &result, e);
	store_work_end(&rubbish);
	if (faccessat(s->rootfd, path, F_OK, 0) == 0)
		result.kept++;
	if (r < 0) {
		store_gc_result_free(&result);
		return err_ctx(e, "collect garbage");
	}
	*ret_result = result;
	if (r > 0)
		return r;
	r = store_sweep(s, e);
	return r < 0 ? r : 0;
}

int store_gc(const struct store *s, struct store_gc_result *ret_result, struct err *e)
{
	return collect(s, true, ret_result, e);
}

int store_gc_try(const struct store *s, struct store_gc_result *ret_result, struct err *e)
{
	return collect(s, false, ret_result, e);
}

int store_gc_look(const struct store *s, struct store_gc_result *ret_result, struct err *e)
{
	struct store_gc_result result = {0};
	int r = mark_and_sweep(s, true, NULL, &result, e);
	if (r < 0)
		store_gc_result_free(&result);
	else
		*ret_result = result;
	return r;
}

void store_gc_result_free(struct store_gc_result *r)
{
	strv_free(&r->blobs);
	strv_free(&r->layers);
	*r = (struct store_gc_result){0};
}

/* ---- left-overs in tmp/ ---- */

/* An entry whose lock we could take is ours to remove: no other sweep gets it. */
struct leftover {
	char *name;
	int fd;
};

int store_sweep(const struct store *s, struct err *e)
{
	autofd int lockfd = -1;
	int r = store_lock(s, true, false, &lockfd, e);
	if (r)
		return r < 0 ? r : 0;
	autodir DIR *d = NULL;
	r = open_list(s, "tmp", &d, e);
	if (r <= 0)
		return r;
	struct leftover *found = NULL;
	size_t count = 0;
	struct dirent *entry;
	while ((entry = readdir(d))) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		int fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd >= 0 && io_try_lock(fd, true, NULL) != 1) {
			close(fd);
			continue;
		}
		found = xreallocarray(found, count + 1, sizeof(*found));
		found[count++] = (struct leftover){.name = xstrdup(entry->d_name), .fd = fd};
	}
	close_fd(&lockfd);
	for (size_t i = 0; i < count; i++) {
		struct err cause = ERR_INIT;
		autofree char *path = xasprintf("tmp/%s", found[i].name);
		if (store_remove_tree(s->rootfd, path, &cause) < 0)
			log_debug(LOG_STORE, "%s stays: %s", path, cause.text);
		close_fd(&found[i].fd);
		free(found[i].name);
	}
	free(found);
	return (int)RL_MIN(count, (size_t)INT_MAX);
}

struct removal {
	int dirfd;
	const char *path;
};

static int remove_in_userns(void *arg)
{
	const struct removal *r = arg;
	struct err cause = ERR_INIT;
	if (io_remove_tree(r->dirfd, r->path, &cause) >= 0)
		return 0;
	log_debug(LOG_STORE, "%s", cause.text);
	return 1;
}

/* The caller may change the mode of what is the caller's: without namespaces nothing else is in the store. */
static void open_up(int dirfd, const char *name, unsigned depth)
{
	struct stat st;
	if (depth > OPEN_UP_DEPTH_MAX || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return;
	if ((st.st_mode & 0700) != 0700)
		(void)!fchmodat(dirfd, name, (st.st_mode & 07777) | 0700, 0);
	autofd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autostrv struct strv names = STRV_INIT;
	if (fd < 0 || io_list_dir(fd, &names, NULL) < 0)
		return;
	for (size_t i = 0; i < names.count; i++)
		open_up(fd, names.items[i], depth + 1);
}

int store_remove_tree(int dirfd, const char *path, struct err *e)
{
	struct err cause = ERR_INIT;
	int r = io_remove_tree(dirfd, path, &cause);
	if (r != -EACCES && r != -EPERM) {
		if (r < 0 && e)
			*e = cause;
		return r;
	}
	struct idmap map;
	struct proc_child child = PROC_CHILD_NONE;
	struct removal removal = {.dirfd = dirfd, .path = path};
	r = idmap_detect(false, &map, e);
	if (r >= 0 && probe_userns() != 0) {
		open_up(dirfd, path, 0);
		if (io_remove_tree(dirfd, path, NULL) >= 0)
			return 0;
	}
	if (r >= 0)
		r = userns_spawn(&map, 0, remove_in_userns, &removal, &child, e);
	if (r >= 0)
		r = proc_wait_ok(&child, "removal in the user namespace", e);
	if (r < 0)
		return err_ctx(e, "remove %s", path);
	/* What is left is ours: the top directory itself may lie outside the reach of the map's root. */
	return io_remove_tree(dirfd, path, e);
}

static int unlink_record(const struct store *s, const char *manifest_digest, struct err *e)
{
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), STORE_META "/%s.json", store_hex(manifest_digest));
	if (unlinkat(s->rootfd, path, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove the record of image %s", manifest_digest);
	return 0;
}

int store_remove_image(const struct store *s, const char *manifest_digest, struct err *e)
{
	autofd int lockfd = -1;
	autostrv struct strv names = STRV_INIT;
	int r = store_lock(s, true, true, &lockfd, e);
	if (r >= 0)
		r = store_names(s, manifest_digest, &names, e);
	if (r < 0)
		return r;
	if (names.count)
		return err_set(e, EBUSY, "image %s has the name %s", manifest_digest, imgref_familiar(names.items[0]));
	r = unlink_record(s, manifest_digest, e);
	close_fd(&lockfd);
	return r < 0 ? r : store_index_changed(s, e);
}

int store_prune_image(const struct store *s, const char *manifest_digest, struct err *e)
{
	autofd int lockfd = -1;
	autostrv struct strv names = STRV_INIT;
	struct marks pins = {0};
	int r = store_lock(s, true, true, &lockfd, e);
	if (r >= 0)
		r = store_names(s, manifest_digest, &names, e);
	if (r >= 0)
		r = store_each_file(s, "tmp", "pins", true, mark_pins, &pins, e);
	autofree char *index = NULL;
	if (r >= 0)
		r = store_list_of(s, manifest_digest, &index, e);
	bool spare = names.count || index || strv_has(&pins.blobs, store_hex(manifest_digest));
	marks_free(&pins);
	if (r < 0 || spare)
		return r < 0 ? r : 0;
	r = unlink_record(s, manifest_digest, e);
	close_fd(&lockfd);
	if (r >= 0)
		r = store_index_changed(s, e);
	return r < 0 ? r : 1;
}

struct users {
	const struct store_record *record;
	struct strv *ids;
};

static void match_user(const char *name, const char *text, void *arg)
{
	const struct users *u = arg;
	autostrv struct strv keys = STRV_INIT;
	container_layers(text, &keys);
	size_t n = u->record->nlayers;
	if (n == 0 || keys.count != n)
		return;
	for (size_t i = 0; i < n; i++)
		if (!str_eq(keys.items[i], u->record->layers[n - 1 - i].key))
			return;
	strv_add(u->ids, name);
}

int store_image_users(const struct store *s, const struct store_record *r, struct strv *ret_ids, struct err *e)
{
	struct users users = {r, ret_ids};
	return store_each_file(s, "containers", STORE_CONTAINER_LAYERS, false, match_user, &users, e);
}
