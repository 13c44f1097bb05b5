/*
 * snapshot_change.c - containers branched from snapshots, snapshots merged and removed; see rl/svc/snapshot.h.
 *
 * A merge is safe to interrupt at every step, because S over M shows what S over P showed, if M is S merged into P:
 *     1. M is put together beside them, by hard links                   (a crash leaves rubbish)
 *     2. M and P's layer change places, in one rename                    (P now has both; S on it changes nothing)
 *     3. S is taken out of every stack that has it, one file at a time   (each is right before and after)
 *     4. S is removed
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/layer_merge.h"
#include "snapshot_int.h"

struct at_hand {
	struct container_stack k;
	struct snapshots all; /* of this container */
	const struct snapshot *sn;
	int lock; /* of snapshots/ */
};

static void put_down(struct at_hand *h)
{
	snapshots_free(&h->all);
	close_fd(&h->lock);
	container_stack_close(&h->k);
}

static int take_up(const char *root, const char *container, const char *name, bool exclusive, struct at_hand *h,
		   struct err *e)
{
	*h = (struct at_hand){.lock = -1};
	int r = container_stack_open(root, container, STACK_OWN, &h->k, e);
	if (r < 0)
		return r;
	h->lock = snapshots_lock(&h->k.store, exclusive, e);
	r = h->lock < 0 ? h->lock : snapshots_list(&h->k.store, h->k.rec.config.id, &h->all, e);
	if (r >= 0)
		r = snapshots_find(&h->all, name, &h->sn, e);
	if (r < 0)
		put_down(h);
	return r;
}

/* ---- branch ---- */

/* The root directory of the new writable layer is the snapshot's: its owner and mode are what the container shows. */
struct root_like {
	int dirfd;
	const char *like;
};

static int make_root_like(void *arg, struct err *e)
{
	const struct root_like *l = arg;
	struct stat st;
	if (stat(l->like, &st) < 0)
		return err_sys(e, errno, "stat %s", l->like);
	if (fchownat(l->dirfd, "upper", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(l->dirfd, "upper", st.st_mode & 07777, 0) < 0)
		return err_sys(e, errno, "set owner and mode of the writable layer");
	return 0;
}

/* The other's record, as that of a container of its own. */
static int new_record(struct container *c, const struct container_rec *old, const struct strv *layers, struct err *e)
{
	autojson json_t *doc = record_config_to_json(&old->config);
	record_config_free(&c->rec.config);
	record_config_init(&c->rec.config);
	int r = record_config_from_json(doc, &c->rec.config, e);
	if (r < 0)
		return r;
	struct record_config *rc = &c->rec.config;
	char short_id[13];
	snprintf(short_id, sizeof(short_id), "%.12s", rc->id);
	memcpy(rc->id, c->id, sizeof(rc->id));
	rc->created = container_now();
	free(take_ptr(&rc->name));
	free(take_ptr(&rc->o.name));
	free(take_ptr(&rc->o.cidfile));
	free(take_ptr(&rc->o.pidfile));
	rc->o.rm = false;
	rc->o.replace = false;
	/* A host name that was made of the id is made of the new one. */
	if (rc->hostname && str_eq(rc->hostname, short_id)) {
		free(rc->hostname);
		rc->hostname = xstrndup(c->id, 12);
		if (str_eq(strv_env_get(&rc->env, "HOSTNAME") ?: "", short_id))
			strv_env_set(&rc->env, "HOSTNAME", rc->hostname);
	}
	strv_free(&rc->layers);
	strv_add_all(&rc->layers, layers);
	return 0;
}

static int make_branch(struct container *c, const struct at_hand *h, const char *new_name, const char *root, struct err *e)
{
	autostrv struct strv layers = STRV_INIT;
	strv_add(&layers, h->sn->diff);
	strv_add_all(&layers, &h->sn->layers);
	int r = store_open(root, true, &c->store, e);
	if (r >= 0)
		r = new_record(c, &h->k.rec, &layers, e);
	if (r < 0)
		return r;
	c->o = &c->rec.config.o;
	c->dir = xasprintf("%s/containers/%s", c->store.root, c->id);
	r = container_dir_make(c, e);
	if (r < 0)
		return r;
	c->rec.store = &c->store;
	c->rec.dirfd = c->dirfd;
	c->rec.dir = c->dir;
	struct idmap map;
	struct root_like like = {.dirfd = c->dirfd, .like = h->sn->diff};
	r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = inside_run(&(struct inside){.map = &map, .fn = make_root_like, .arg = &like, .what = "the branch"}, e);
	if (r >= 0 && new_name) {
		c->rec.config.name = xstrdup(new_name);
		r = container_name_claim(&c->store, new_name, c->id, e);
	} else if (r >= 0) {
		r = container_name_generate(&c->store, c->id, &c->rec.config.name, e);
	}
	c->is_named = r >= 0;
	if (r >= 0)
		r = container_restack_write_layers(&c->rec, e);
	if (r >= 0)
		r = container_rec_write_config(&c->rec, e);
	return r;
}

int snapshot_branch(const char *root, const char *container, const char *name, const char *new_name, struct str *ret_id,
		    struct err *e)
{
	struct at_hand h;
	struct container c;
	if (new_name && !path_is_plain_name(new_name))
		return err_set(e, EINVAL, "'%s' is no container name: letters, digits, '_', '.' and '-', beginning with a "
					  "letter or digit", new_name);
	int r = take_up(root, container, name, false, &h, e);
	if (r < 0)
		return r;
	container_init(&c);
	r = make_branch(&c, &h, new_name, root, e);
	if (r >= 0)
		str_adds(ret_id, c.id);
	container_close(&c, r >= 0);
	put_down(&h);
	return r < 0 ? r : 0;
}

/* ---- merge ---- */

/* Who else would see P change: another container that stands on it, or a snapshot of this one that does, but not on S. */
static int check_parent(const struct at_hand *h, const struct snapshot *parent, struct err *e)
{
	autofree char *user = NULL;
	const struct record_config *rc = &h->k.rec.config;
	int r = snapshot_user(&h->k.store, parent->diff, rc->id, &user, e);
	if (r < 0)
		return r;
	if (user)
		return err_set(e, EBUSY, "container %s stands on snapshot '%s', which would change", user, parent->name);
	for (size_t i = 0; i < h->all.count; i++) {
		const struct snapshot *other = &h->all.items[i];
		if (strv_has(&other->layers, parent->diff) && !strv_has(&other->layers, h->sn->diff) && other != h->sn)
			return err_set(e, EBUSY, "snapshot '%s' stands on '%s', which would change", other->name, parent->name);
	}
	bool on_parent = strv_has(&rc->layers, parent->diff);
	if (on_parent && !strv_has(&rc->layers, h->sn->diff))
		return err_set(e, EBUSY, "the container itself stands on snapshot '%s', which would change", parent->name);
	if (on_parent && container_rec_is_alive(&h->k.rec)) {
		err_set(e, EBUSY, "container %s is %s", rc->name, record_status_name(h->k.rec.status));
		return err_hint(e, "stop it first: its layers cannot be exchanged under it");
	}
	return 0;
}

struct merge_job {
	const char *upper, *lower, *out;
};

static int merge_layers(void *arg, struct err *e)
{
	const struct merge_job *j = arg;
	autofd int upper = open(j->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int lower = open(j->lower, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int out = open(j->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0 || lower < 0 || out < 0)
		return err_sys(e, errno, "open a layer");
	return layer_merge(upper, lower, out, e);
}

static int put_in_place(const char *merged, const char *place, struct err *e)
{
	if (renameat2(AT_FDCWD, merged, AT_FDCWD, place, RENAME_EXCHANGE) < 0)
		return err_sys(e, errno, "put the merged layer in place");
	return 0;
}

static int exchange_inside(void *arg, struct err *e)
{
	const struct merge_job *j = arg;
	return put_in_place(j->out, j->lower, e);
}

/* Steps 1 and 2. */
static int merge_into(const struct at_hand *h, const struct snapshot *parent, struct err *e)
{
	struct idmap map;
	autofree char *dir = path_dir(parent->dir);
	autofree char *fresh = xasprintf("%s/.new-%s", dir, parent->id);
	autofree char *out = path_join(fresh, "diff");
	struct merge_job j = {.upper = h->sn->diff, .lower = parent->diff, .out = out};
	int r = store_remove_tree(AT_FDCWD, fresh, e);
	if (r >= 0 && (mkdir(fresh, 0700) < 0 || mkdir(out, 0755) < 0))
		r = err_sys(e, errno, "make %s", fresh);
	if (r >= 0)
		r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = inside_run(&(struct inside){.map = &map, .fn = merge_layers, .arg = &j, .what = "the merge"}, e);
	if (r >= 0 && syncfs(h->lock) < 0)
		r = err_sys(e, errno, "sync");
	/* A root directory that a payload gave away may be moved to another directory by root of its ids only. */
	if (r >= 0)
		r = inside_run(&(struct inside){.map = &map, .fn = exchange_inside, .arg = &j, .what = "the merge"}, e);
	(void)!store_remove_tree(AT_FDCWD, fresh, NULL);
	return r;
}

static void drop_layer(struct strv *layers, const char *diff)
{
	for (size_t i = layers->count; i-- > 0;)
		if (str_eq(layers->items[i], diff))
			strv_remove(layers, i);
}

/* Step 3. */
static int forget_layer(struct at_hand *h, struct err *e)
{
	for (size_t i = 0; i < h->all.count; i++) {
		struct snapshot *other = &h->all.items[i];
		if (!strv_has(&other->layers, h->sn->diff))
			continue;
		drop_layer(&other->layers, h->sn->diff);
		int r = snapshot_write(other, other->dir, e);
		if (r < 0)
			return r;
	}
	struct container_rec *rec = &h->k.rec;
	if (!strv_has(&rec->config.layers, h->sn->diff))
		return 0;
	drop_layer(&rec->config.layers, h->sn->diff);
	int r = container_rec_write_config(rec, e);
	if (r >= 0 && syncfs(h->lock) < 0)
		r = err_sys(e, errno, "sync");
	return r < 0 ? r : container_restack_write_layers(rec, e);
}

/* Containers branched from S have it in their stacks. */
static int check_self(const struct at_hand *h, const char *what, struct err *e)
{
	autofree char *user = NULL;
	int r = snapshot_user(&h->k.store, h->sn->diff, h->k.rec.config.id, &user, e);
	if (r >= 0 && user)
		r = err_set(e, EBUSY, "container %s stands on snapshot '%s': it cannot be %s", user, h->sn->name, what);
	return r;
}

int snapshot_merge(const char *root, const char *container, const char *name, struct err *e)
{
	struct at_hand h;
	int r = take_up(root, container, name, true, &h, e);
	if (r < 0)
		return r;
	const struct snapshot *found =
		h.sn->layers.count ? snapshots_of_layer(&h.all, h.sn->layers.items[0]) : NULL;
	struct snapshot *parent = NULL;
	for (size_t i = 0; i < h.all.count; i++)
		if (&h.all.items[i] == found)
			parent = &h.all.items[i];
	if (!parent) {
		err_set(e, EINVAL, "snapshot '%s' stands on no other snapshot of this container", name);
		r = err_hint(e, "'rl commit' makes an image of it");
	}
	if (r >= 0)
		r = check_self(&h, "merged", e);
	if (r >= 0)
		r = check_parent(&h, parent, e);
	if (r >= 0)
		r = merge_into(&h, parent, e);
	/* One that was removed and only stood on gets the name: it has all that the name meant. */
	if (r >= 0 && !*parent->name) {
		free(parent->name);
		parent->name = xstrdup(h.sn->name);
		r = snapshot_write(parent, parent->dir, e);
	}
	if (r >= 0)
		r = forget_layer(&h, e);
	if (r >= 0)
		r = snapshot_delete(&h.k.store, h.sn, e);
	put_down(&h);
	return r < 0 ? r : 0;
}

/* ---- remove ---- */

int snapshot_remove(const char *root, const char *container, const char *name, struct err *e)
{
	struct at_hand h;
	int r = take_up(root, container, name, true, &h, e);
	if (r < 0)
		return r;
	r = check_self(&h, "removed", e);
	bool stood_on = strv_has(&h.k.rec.config.layers, h.sn->diff);
	for (size_t i = 0; i < h.all.count; i++)
		stood_on |= strv_has(&h.all.items[i].layers, h.sn->diff);
	if (r >= 0 && stood_on) {
		/* The name goes; the layer when nobody stands on it any more. */
		struct snapshot nameless = *h.sn;
		nameless.name = (char[]){""};
		r = snapshot_write(&nameless, nameless.dir, e);
	} else if (r >= 0) {
		r = snapshot_delete(&h.k.store, h.sn, e);
	}
	close_fd(&h.lock);
	if (r >= 0)
		container_snapshots_sweep(&h.k.store);
	put_down(&h);
	return r < 0 ? r : 0;
}
