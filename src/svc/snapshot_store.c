/*
 * snapshot_store.c - snapshots on disk: found, read, written, swept; see rl/svc/snapshot.h.
 *
 * A snapshot exists if snapshots/ID/info.json and snapshots/ID/diff do. While one is being made the first is there
 * before the second; readers leave it out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "snapshot_int.h"

static const char dir_name[] = "snapshots";
static const char info_name[] = "info.json";

void snapshot_free(struct snapshot *sn)
{
	free(sn->name);
	free(sn->comment);
	free(sn->dir);
	free(sn->diff);
	strv_free(&sn->layers);
}

void snapshots_free(struct snapshots *v)
{
	for (size_t i = 0; i < v->count; i++)
		snapshot_free(&v->items[i]);
	free(v->items);
	*v = (struct snapshots){.count = 0};
}

static int read_info(const struct store *s, int parent, const char *id, struct snapshot *ret, struct err *e)
{
	json_t *doc = NULL;
	struct snapshot sn = {.created = 0};
	autofree char *path = xasprintf("%s/%s", id, info_name);
	autofree char *diff = xasprintf("%s/diff", id);
	int r = json_parse_file(parent, path, RECORD_FILE_MAX, &doc, e);
	autojson json_t *owned = doc;
	if (r < 0)
		return r;
	if (faccessat(parent, diff, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ENOENT, "snapshot %.12s is being made", id);
	const char *container = json_str_or_null(owned, "container");
	const char *name = json_str_or_null(owned, "name");
	const char *comment = json_str_or_null(owned, "comment");
	if (!container || strlen(container) != RECORD_ID_SIZE - 1 || !str_eq(json_str_or_null(owned, "id") ?: "", id))
		return err_set(e, EBADMSG, "%s/%s/%s is damaged", dir_name, id, info_name);
	r = json_get_strv(owned, "layers", &sn.layers, e);
	if (r < 0)
		return r;
	snprintf(sn.id, sizeof(sn.id), "%.*s", (int)sizeof(sn.id) - 1, id);
	snprintf(sn.container, sizeof(sn.container), "%s", container);
	sn.name = xstrdup(name ? name : "");
	sn.comment = xstrdup(comment ? comment : "");
	sn.created = json_int_or(owned, "created", 0);
	sn.dir = xasprintf("%s/%s/%s", s->root, dir_name, id);
	sn.diff = path_join(sn.dir, "diff");
	*ret = sn;
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct snapshot *x = a;
	const struct snapshot *y = b;
	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->id, y->id);
}

static bool is_id(const char *name)
{
	return strlen(name) == RECORD_ID_SIZE - 1 && strspn(name, "0123456789abcdef") == RECORD_ID_SIZE - 1;
}

int snapshots_list(const struct store *s, const char *container, struct snapshots *ret, struct err *e)
{
	struct snapshots v = {.count = 0};
	autofd int parent = openat(s->rootfd, dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 && errno == ENOENT) {
		*ret = v;
		return 0;
	}
	int scan = parent < 0 ? -1 : openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	if (!d)
		return err_sys(e, errno, "list the snapshots");
	struct dirent *entry;
	while ((entry = readdir(d))) {
		struct snapshot sn;
		struct err why = ERR_INIT;
		if (!is_id(entry->d_name))
			continue;
		if (read_info(s, parent, entry->d_name, &sn, &why) < 0) {
			log_debug(LOG_STORE, "%s", why.text);
			continue;
		}
		if (container && !str_eq(sn.container, container)) {
			snapshot_free(&sn);
			continue;
		}
		if ((v.count & (v.count - 1)) == 0)
			v.items = xreallocarray(v.items, v.count ? 2 * v.count : 1, sizeof(*v.items));
		v.items[v.count++] = sn;
	}
	if (v.count)
		qsort(v.items, v.count, sizeof(*v.items), by_age);
	*ret = v;
	return 0;
}

int snapshots_find(const struct snapshots *v, const char *name, const struct snapshot **ret, struct err *e)
{
	autostrv struct strv known = STRV_INIT;
	for (size_t i = 0; i < v->count; i++) {
		if (!*v->items[i].name)
			continue;
		if (str_eq(v->items[i].name, name)) {
			*ret = &v->items[i];
			return 0;
		}
		strv_add(&known, v->items[i].name);
	}
	err_set(e, ENOENT, "there is no snapshot '%s' of this container", name);
	const char *near = str_nearest(name, (const char *const *)strv_argv(&known));
	return near ? err_hint(e, "did you mean '%s'?", near) : -ENOENT;
}

const struct snapshot *snapshots_of_layer(const struct snapshots *v, const char *diff)
{
	for (size_t i = 0; i < v->count; i++)
		if (str_eq(v->items[i].diff, diff))
			return &v->items[i];
	return NULL;
}

void snapshot_init(const struct container_stack *k, const char *name, const char *comment, struct snapshot *ret)
{
	*ret = (struct snapshot){.created = container_now()};
	io_random_hex(32, ret->id);
	memcpy(ret->container, k->rec.config.id, sizeof(ret->container));
	ret->name = xstrdup(name);
	ret->comment = xstrdup(comment ? comment : "");
	strv_add_all(&ret->layers, &k->rec.config.layers);
	ret->dir = xasprintf("%s/%s/%s", k->store.root, dir_name, ret->id);
	ret->diff = path_join(ret->dir, "diff");
}

int snapshot_write(const struct snapshot *sn, const char *dir, struct err *e)
{
	autojson json_t *doc = json_object();
	json_put_int(doc, "version", 1);
	json_put_str(doc, "id", sn->id);
	json_put_str(doc, "container", sn->container);
	json_put_str(doc, "name", sn->name);
	json_put_str(doc, "comment", sn->comment);
	json_put_int(doc, "created", sn->created);
	json_put_strv(doc, "layers", &sn->layers);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	str_addc(&text, '\n');
	autofree char *path = path_join(dir, info_name);
	return io_replace_file(AT_FDCWD, path, text.buf, text.len, 0600, true, e);
}

int snapshots_lock(const struct store *s, bool exclusive, struct err *e)
{
	autofd int fd = store_dir(s, dir_name, e);
	if (fd < 0)
		return fd;
	int r = io_lock(fd, exclusive, e);
	return r < 0 ? r : take_fd(&fd);
}

int snapshot_delete(const struct store *s, const struct snapshot *sn, struct err *e)
{
	autofd int parent = store_dir(s, dir_name, e);
	autofree char *doomed = xasprintf(".del-%s", sn->id);
	if (parent < 0)
		return parent;
	if (renameat(parent, sn->id, parent, doomed) < 0)
		return err_sys(e, errno, "remove snapshot %s", sn->name);
	return store_remove_tree(parent, doomed, e);
}

int snapshot_user(const struct store *s, const char *diff, const char *except_id, char **ret_name, struct err *e)
{
	struct container_list l;
	*ret_name = NULL;
	int r = container_store_list(s, &l, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l.count && !*ret_name; i++)
		if (!str_eq(l.items[i].config.id, except_id) && strv_has(&l.items[i].config.layers, diff))
			*ret_name = xstrdup(l.items[i].config.name);
	container_list_free(&l);
	return 0;
}

/* ---- sweeping ---- */

/* Does anything that lives stand on it, or name it? */
static bool is_needed(const struct snapshot *sn, const struct snapshots *all, const struct container_list *l)
{
	bool owner_lives = false;
	for (size_t i = 0; i < l->count; i++) {
		/* Who cannot be read may need anything. */
		if (l->items[i].broken || strv_has(&l->items[i].config.layers, sn->diff))
			return true;
		owner_lives |= str_eq(l->items[i].config.id, sn->container);
	}
	if (!owner_lives)
		return false;
	if (*sn->name)
		return true;
	for (size_t i = 0; i < all->count; i++)
		if (*all->items[i].name && str_eq(all->items[i].container, sn->container) &&
		    strv_has(&all->items[i].layers, sn->diff))
			return true;
	return false;
}

/* With the lock held exclusively nobody makes anything here: what is not whole was left by a crash. A directory that is
 * still without its layer may be in the plan of a restack that is to be undone or finished first. */
static void sweep_leftovers(int parent, bool is_restacking)
{
	int scan = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		autofree char *diff = xasprintf("%s/diff", entry->d_name);
		autofree char *info = xasprintf("%s/%s", entry->d_name, info_name);
		bool whole = faccessat(parent, diff, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
			     faccessat(parent, info, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		if (str_after(entry->d_name, ".del-") || str_after(entry->d_name, ".new-") ||
		    (is_id(entry->d_name) && !whole && !is_restacking))
			(void)!store_remove_tree(parent, entry->d_name, NULL);
	}
}

static bool is_restacking(const struct store *s, const struct container_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		autofree char *path = xasprintf("containers/%s/restack", l->items[i].config.id);
		if (faccessat(s->rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

void container_snapshots_sweep(const struct store *s)
{
	if (faccessat(s->rootfd, dir_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	struct err why = ERR_INIT;
	autofd int lock = store_dir(s, dir_name, &why);
	struct container_list l = {.count = 0};
	autosnapshots struct snapshots all = {.count = 0};
	/* While somebody copies a layer, which may take long, nobody waits: the next one sweeps. */
	if (lock < 0 || io_try_lock(lock, true, &why) != 1 || snapshots_list(s, NULL, &all, &why) < 0)
		return;
	if (container_store_list(s, &l, &why) < 0) {
		log_debug(LOG_STORE, "%s", why.text);
		return;
	}
	for (size_t i = 0; i < all.count; i++)
		if (!is_needed(&all.items[i], &all, &l) && snapshot_delete(s, &all.items[i], &why) < 0)
			log_debug(LOG_STORE, "%s", why.text);
	sweep_leftovers(lock, is_restacking(s, &l));
	container_list_free(&l);
}
