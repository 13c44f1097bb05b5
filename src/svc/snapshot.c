/*
 * snapshot.c - snapshots made, listed, compared and returned to; the model is in rl/svc/snapshot.h.
 *
 * Of a stopped container: snapshots/ID/info.json is written, then the writable layer becomes snapshots/ID/diff and the
 * container's stack gets it, whole or not at all (container_restack.c). Of a running one: everything is put together in
 * snapshots/.new-ID and renamed; the container's own stack stays as it is, so such a snapshot is a branch of the tree that
 * nobody stands on until it is rolled back to or branched from.
 */
#include "rl/svc/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_hold.h"
#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mnt.h"
#include "rl/kern/tree.h"
#include "snapshot_int.h"

/* ---- create ---- */

static int choose_name(const struct snapshots *v, const char *asked, char **ret_name, struct err *e)
{
	const struct snapshot *there;
	if (asked && !path_is_plain_name(asked))
		return err_set(e, EINVAL,
			       "'%s' is no name of a snapshot: letters, digits, '_', '.' and '-', beginning with a "
			       "letter or digit",
			       asked);
	if (asked && snapshots_find(v, asked, &there, NULL) == 0)
		return err_set(e, EEXIST, "this container has a snapshot '%s' already", asked);
	if (asked) {
		*ret_name = xstrdup(asked);
		return 0;
	}
	for (unsigned n = 1;; n++) {
		autofree char *name = xasprintf("snap%u", n);
		if (snapshots_find(v, name, &there, NULL) < 0) {
			*ret_name = take_ptr(&name);
			return 0;
		}
	}
}

static int freeze_layer(struct container_stack *k, const struct snapshot *sn, struct err *e)
{
	if (k->rec.config.layers.count + 1 > OVL_LOWER_MAX) {
		err_set(e, E2BIG, "container %s stands on %zu layers, and the kernel takes no more", k->rec.config.name,
			k->rec.config.layers.count);
		return err_hint(e, "'rl snapshot merge' makes one of two");
	}
	if (mkdir(sn->dir, 0700) < 0)
		return err_sys(e, errno, "make %s", sn->dir);
	int r = snapshot_write(sn, sn->dir, e);
	autostrv struct strv layers = STRV_INIT;
	strv_add(&layers, sn->diff);
	strv_add_all(&layers, &k->rec.config.layers);
	if (r >= 0)
		r = container_restack(&k->rec, sn->diff, sn->dir, &layers, e);
	if (r < 0)
		(void)!store_remove_tree(AT_FDCWD, sn->dir, NULL);
	return r;
}

struct copy_job {
	const char *from, *to;
};

static int copy_layer(void *arg, struct err *e)
{
	const struct copy_job *j = arg;
	struct tree_stats stats;
	autofd int from = open(j->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int to = open(j->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0 || to < 0)
		return err_sys(e, errno, "open the writable layer");
	return tree_copy(from, to, TREE_LAYER, &stats, e);
}

/* As root of all of the caller's ids: whatever ids the container's own map has, files may belong to any of them. */
static int copy_running(struct container_stack *k, const struct snapshot *sn, struct err *e)
{
	struct idmap map;
	autofree char *parent = path_dir(sn->dir);
	autofree char *fresh = xasprintf("%s/.new-%s", parent, sn->id);
	autofree char *diff = path_join(fresh, "diff");
	struct copy_job j = {.from = k->mine.items[0], .to = diff};
	if (mkdir(fresh, 0700) < 0 || mkdir(diff, 0755) < 0)
		return err_sys(e, errno, "make %s", fresh);
	int r = snapshot_write(sn, fresh, e);
	if (r >= 0)
		r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = inside_run(&(struct inside){.map = &map, .fn = copy_layer, .arg = &j, .what = "the copy"}, e);
	autofd int fd = r >= 0 ? open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (r >= 0 && (fd < 0 || syncfs(fd) < 0))
		r = err_sys(e, errno, "sync");
	if (r >= 0 && rename(fresh, sn->dir) < 0)
		r = err_sys(e, errno, "name the snapshot");
	if (r < 0)
		(void)!store_remove_tree(AT_FDCWD, fresh, NULL);
	return r;
}

static int create_running(struct container_stack *k, const struct snapshot *sn, bool allow_unfrozen, struct err *e)
{
	struct container_hold hold = CONTAINER_HOLD_NONE;
	if (!container_rec_is_running(&k->rec))
		return err_set(e, EBUSY, "container %s is about to end or to start again", k->rec.config.name);
	int r = container_hold_begin(&k->rec, &hold, e);
	if (r < 0)
		return r;
	if (!hold.is_frozen && !allow_unfrozen) {
		container_hold_end(&hold);
		err_set(e, EBUSY,
			"container %s runs, and has no cgroup in which all of it could be stopped at one moment",
			k->rec.config.name);
		return err_hint(e,
				"stop it first; with --allow-unfrozen its processes are stopped one after the other");
	}
	/* As it is now that it stands still. */
	r = container_stack_need_layers(k, "snapshot", e);
	if (r >= 0)
		r = copy_running(k, sn, e);
	container_hold_end(&hold);
	return r;
}

int snapshot_create(const struct snapshot_create_opts *o, struct str *ret_name, struct err *e)
{
	struct container_stack k;
	autosnapshots struct snapshots v = {.count = 0};
	autofree char *name = NULL;
	int r = container_stack_open(o->root, o->container, STACK_OWN, &k, e);
	if (r < 0)
		return r;
	r = container_stack_need_layers(&k, "snapshot", e);
	/* Nothing is removed from snapshots/ while ours is without anybody that names it. */
	autofd int lock = r < 0 ? -1 : snapshots_lock(&k.store, false, e);
	if (r >= 0 && lock < 0)
		r = lock;
	if (r >= 0)
		r = snapshots_list(&k.store, k.rec.config.id, &v, e);
	if (r >= 0)
		r = choose_name(&v, o->name, &name, e);
	if (r >= 0) {
		struct snapshot sn;
		snapshot_init(&k, name, o->comment, &sn);
		r = container_rec_is_alive(&k.rec) ? create_running(&k, &sn, o->allow_unfrozen, e)
						   : freeze_layer(&k, &sn, e);
		snapshot_free(&sn);
	}
	if (r >= 0)
		str_adds(ret_name, name);
	container_stack_close(&k);
	return r < 0 ? r : 0;
}

/* ---- list ---- */

/* The nearest snapshot below that has a name. */
static const char *parent_name(const struct snapshots *v, const struct strv *layers)
{
	for (size_t i = 0; i < layers->count; i++) {
		const struct snapshot *p = snapshots_of_layer(v, layers->items[i]);
		if (p && *p->name)
			return p->name;
	}
	return "";
}

static json_t *row_of(const struct snapshots *v, const struct snapshot *sn, const struct container_list *l,
		      const struct record_config *rc)
{
	json_t *row = json_object();
	json_t *branches = json_array();
	const char *on = parent_name(v, &rc->layers);
	for (size_t i = 0; i < l->count; i++)
		if (!str_eq(l->items[i].config.id, rc->id) && strv_has(&l->items[i].config.layers, sn->diff))
			json_array_append_new(branches, json_string(l->items[i].config.name));
	json_put_str(row, "Name", sn->name);
	json_put_str(row, "ID", sn->id);
	json_put_int(row, "Created", sn->created);
	json_put_str(row, "Parent", parent_name(v, &sn->layers));
	json_put_bool(row, "Current", str_eq(on, sn->name));
	json_put(row, "Branches", branches);
	json_put_str(row, "Comment", sn->comment);
	return row;
}

int snapshot_list(const char *root, const char *container, json_t **ret_rows, struct err *e)
{
	struct store s;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	autosnapshots struct snapshots v = {.count = 0};
	struct container_list l = {.count = 0};
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = container_store_find(&s, container, &rec, e);
	if (r >= 0)
		r = snapshots_list(&s, rec.config.id, &v, e);
	if (r >= 0)
		r = container_store_list(&s, &l, e);
	if (r >= 0) {
		json_t *rows = json_array();
		for (size_t i = 0; i < v.count; i++)
			if (*v.items[i].name)
				json_array_append_new(rows, row_of(&v, &v.items[i], &l, &rec.config));
		*ret_rows = rows;
	}
	container_list_free(&l);
	store_close(&s);
	return r;
}

/* ---- diff ---- */

int snapshot_diff(const char *root, const char *container, const char *name, json_t **ret_changes, struct err *e)
{
	struct container_stack k;
	struct container_stack old = CONTAINER_STACK_INIT;
	autosnapshots struct snapshots v = {.count = 0};
	const struct snapshot *sn = NULL;
	int *now_fds = NULL;
	int *old_fds = NULL;
	int r = container_stack_open(root, container, STACK_READ, &k, e);
	if (r < 0)
		return r;
	r = snapshots_list(&k.store, k.rec.config.id, &v, e);
	if (r >= 0)
		r = snapshots_find(&v, name, &sn, e);
	if (r >= 0)
		r = container_stack_need_layers(&k, "snapshot", e);
	if (r >= 0) {
		strv_add(&old.mine, sn->diff);
		strv_add_all(&old.mine, &sn->layers);
		r = container_stack_open_fds(&k, &now_fds, e);
	}
	if (r >= 0)
		r = container_stack_open_fds(&old, &old_fds, e);
	if (r >= 0) {
		size_t n = k.mine.count + k.image.count;
		autofree int *fds = xcalloc(n + old.mine.count, sizeof(int));
		for (size_t i = 0; i < n + old.mine.count; i++)
			fds[i] = i < n ? now_fds[i] : old_fds[i - n];
		r = container_stack_diff(&k, true, n, fds, n + old.mine.count, ret_changes, e);
	}
	container_stack_close_fds(&k, now_fds);
	container_stack_close_fds(&old, old_fds);
	strv_free(&old.mine);
	container_stack_close(&k);
	return r < 0 ? r : 0;
}

/* ---- rollback ---- */

int snapshot_rollback(const char *root, const char *container, const char *name, struct err *e)
{
	struct container_stack k;
	autosnapshots struct snapshots v = {.count = 0};
	const struct snapshot *sn = NULL;
	int r = container_stack_open(root, container, STACK_OWN, &k, e);
	if (r < 0)
		return r;
	r = snapshots_list(&k.store, k.rec.config.id, &v, e);
	if (r >= 0)
		r = snapshots_find(&v, name, &sn, e);
	if (r >= 0 && container_rec_is_alive(&k.rec)) {
		err_set(e, EBUSY, "container %s is %s", k.rec.config.name, record_status_name(k.rec.status));
		r = err_hint(e, "stop it first: its files cannot be exchanged under it");
	}
	if (r >= 0) {
		autostrv struct strv layers = STRV_INIT;
		strv_add(&layers, sn->diff);
		strv_add_all(&layers, &sn->layers);
		r = container_restack(&k.rec, NULL, NULL, &layers, e);
	}
	struct store s = k.store;
	if (r >= 0)
		container_snapshots_sweep(&s);
	container_stack_close(&k);
	return r < 0 ? r : 0;
}
