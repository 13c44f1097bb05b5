/*
 * working.c - working containers: made, commands run in them, their config changed; see working.h. COPY and ADD are in
 * working_copy.c.
 *
 * A command is run as `rl run` would run it in a new container of the image that the document describes: the same
 * function resolves options and config (container_resolve.c); only the writable layer, the name and the record are those
 * of the container that is there, and the record is not written again.
 */
#include "rl/svc/working.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "container_copied.h"
#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"
#include "rl/svc/container.h"
#include "rl/svc/image_commit.h"
#include "working_int.h"

/* ---- the document ---- */

int working_read(const struct container_rec *rec, json_t **ret_doc, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_file(rec->dirfd, WORKING_FILE, WORKING_MAX, &text, NULL);
	if (r >= 0)
		return json_parse(text.buf, text.len, WORKING_FILE, ret_doc, e);
	if (r != -ENOENT)
		return err_sys(e, -r, "container %s: %s", rec->config.name, WORKING_FILE);
	(void)!err_set(e, EINVAL, "container %s is no working container", rec->config.name);
	return err_hint(e, "rl from IMAGE makes one; rl exec is for containers that run");
}

int working_write(const struct container_rec *rec, const json_t *doc, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	return io_replace_file(rec->dirfd, WORKING_FILE, text.buf, text.len, 0600, false, e);
}

void working_note(json_t *doc, const char *what)
{
	json_array_append_new(json_member(doc, DONE_KEY, JSON_ARRAY), json_string_lossy(what, strlen(what)));
}

int working_document(const struct container_rec *rec, json_t **ret_doc, struct str *ret_history, struct err *e)
{
	json_t *doc = NULL;
	size_t i;
	json_t *item;
	*ret_doc = NULL;
	if (faccessat(rec->dirfd, WORKING_FILE, F_OK, 0) < 0)
		return 0;
	int r = working_read(rec, &doc, e);
	if (r < 0)
		return r;
	json_array_foreach (json_object_get(doc, DONE_KEY), i, item)
		str_addf(ret_history, "%s%s", i ? " && " : "", json_string_value(item));
	json_object_del(doc, DONE_KEY);
	*ret_doc = doc;
	return 0;
}

/* ---- one at a time ---- */

void working_close(struct working *w)
{
	container_rec_free(&w->rec);
	json_decref(w->doc);
	w->doc = NULL;
	close_fd(&w->own);
	close_fd(&w->op);
	store_close(&w->store);
}

int working_open(const char *root, const char *name, struct working *w, struct err *e)
{
	*w = (struct working)WORKING_INIT;
	int r = store_open(root, true, &w->store, e);
	if (r < 0)
		return r;
	r = container_store_find(&w->store, name, &w->rec, e);
	if (r >= 0)
		r = working_read(&w->rec, &w->doc, e);
	if (r >= 0)
		r = w->op = container_rec_lock(&w->rec, e);
	if (r >= 0)
		r = container_rec_try_own(&w->rec, &w->own, e);
	if (r == 0)
		r = err_set(e, EBUSY, "a command runs in container %s", w->rec.config.name);
	/* What was read before the locks were held may be old. */
	if (r >= 0) {
		json_decref(w->doc);
		w->doc = NULL;
		r = working_read(&w->rec, &w->doc, e);
	}
	if (r < 0)
		working_close(w);
	return r < 0 ? r : 0;
}

int working_exists(const struct store *s, const char *name)
{
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	char link[8 + NAME_MAX];
	/* Every run of an image asks: one call, where the search by name would read the directory of containers. */
	if (!path_is_plain_name(name) || snprintf(link, sizeof(link), "names/%s", name) >= (int)sizeof(link) ||
	    faccessat(s->rootfd, link, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return container_store_find(s, name, &rec, NULL) >= 0 && str_eq(rec.config.name, name) &&
	       faccessat(rec.dirfd, WORKING_FILE, F_OK, 0) == 0;
}

int working_settle(const struct container_rec *rec, struct err *e)
{
	struct idmap map;
	const struct idmap *with = container_rec_map(rec, &map) ? &map : NULL;
	int r = container_copied_settle(rec->dirfd, &rec->config.layers, with, e);
	return r < 0 ? r : container_copied_drop(rec->dirfd, with, e);
}

/* ---- from ---- */

/* An image of nothing, for `rl from scratch`. Its layers are none, so it is the same for everybody. */
static int empty_image(const struct store *s, char ret_id[STORE_DIGEST_SIZE], struct err *e)
{
	const char *os, *arch, *variant;
	char created[] = "1970-01-01T00:00:00Z";
	struct image_added added;
	imgspec_host_platform(&os, &arch, &variant);
	autojson json_t *config = imgspec_config_new(arch, variant, created);
	int r = image_commit(s, NULL, &(struct image_commit){.config = config, .created = created}, NULL, &added, e);
	if (r >= 0)
		memcpy(ret_id, added.id, STORE_DIGEST_SIZE);
	return r;
}

/* IMAGE-working-container, and with a number where that is taken. */
static char *make_name(const char *image, unsigned n)
{
	struct imgref ref;
	if (str_eq(image, "scratch") || imgref_parse(image, &ref, NULL) < 0)
		return n ? xasprintf("working-container-%u", n) : xstrdup("working-container");
	const char *slash = strrchr(ref.path, '/');
	char *name = n ? xasprintf("%s-working-container-%u", slash ? slash + 1 : ref.path, n)
		       : xasprintf("%s-working-container", slash ? slash + 1 : ref.path);
	imgref_free(&ref);
	return name;
}

/* An overlay stands on something. */
static int give_empty_layer(struct container_rec *rec, struct err *e)
{
	if (mkdirat(rec->dirfd, "empty", 0755) < 0 || fchmodat(rec->dirfd, "empty", 0755, 0) < 0)
		return err_sys(e, errno, "make an empty layer");
	strv_addf(&rec->config.layers, "%s/empty", rec->dir);
	return container_rec_write_config(rec, e);
}

static int begin_document(const struct store *s, const char *id, const char *image, bool scratch, char **ret_name,
			  struct err *e)
{
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	struct store_image found = {0};
	int r = container_store_find(s, id, &rec, e);
	if (r >= 0 && scratch)
		r = give_empty_layer(&rec, e);
	if (r >= 0)
		r = store_find_image(s, rec.config.image_id, &found, e);
	if (r < 0)
		return r;
	json_t *doc = json_deep_copy(found.config);
	store_image_free(&found);
	if (!json_is_object(json_object_get(doc, "config")))
		json_put(doc, "config", json_object());
	autofree char *from = xasprintf("FROM %s", scratch ? "scratch" : image);
	json_object_del(doc, DONE_KEY);
	working_note(doc, from);
	r = working_write(&rec, doc, e);
	json_decref(doc);
	*ret_name = xstrdup(rec.config.name);
	return r;
}

static int create(const char *root, const struct run_opts *o, const char *image, const char *name, struct str *ret_id,
		  struct err *e)
{
	struct run_opts c;
	run_opts_init(&c);
	c.image = xstrdup(image);
	c.name = xstrdup(name);
	c.pull = o->pull;
	c.progress = o->progress;
	c.progress_arg = o->progress_arg;
	c.entrypoint_set = true;
	c.no_healthcheck = true;
	strv_add(&c.command, "/bin/sh");
	int r = container_create(&c, root, ret_id, e);
	run_opts_free(&c);
	return r;
}

int working_from(const char *root, struct run_opts *o, struct str *ret_name, struct err *e)
{
	struct store s;
	char empty[STORE_DIGEST_SIZE];
	autostr struct str id = STR_INIT;
	autofree char *name = NULL;
	bool scratch = str_eq(o->image, "scratch");
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	if (scratch)
		r = empty_image(&s, empty, e);
	for (unsigned n = 0; r >= 0; n++) {
		autofree char *own = o->name ? xstrdup(o->name) : make_name(o->image, n);
		r = create(root, o, scratch ? empty : o->image, own, &id, e);
		if (r != -EEXIST || o->name)
			break;
		r = 0;
	}
	if (r >= 0)
		r = begin_document(&s, id.buf, o->image, scratch, &name, e);
	if (r < 0 && id.len)
		(void)!container_remove(root, id.buf, true, true, NULL);
	if (r >= 0)
		str_adds(ret_name, name);
	store_close(&s);
	run_opts_free(o);
	run_opts_init(o);
	return r < 0 ? r : 0;
}

/* ---- run ---- */

/* The record as if the container were now made from the document, with these options and this command. */
static int resolve_again(struct container *c, struct run_opts *o, const json_t *doc, struct err *e)
{
	struct record_config *rc = &c->rec.config;
	struct record_config fresh;
	record_config_init(&fresh);
	fresh.name = take_ptr(&rc->name);
	strv_add_all(&fresh.layers, &rc->layers);
	c->image.image.name = xstrdup("");
	c->image.image.config = json_deep_copy(doc);
	/* Empty directories for VOLUME would hide what the command is to change. */
	json_object_del(json_object_get(c->image.image.config, "config"), "Volumes");
	snprintf(c->image.image.config_digest, sizeof(c->image.image.config_digest), "%s", rc->image_id);
	snprintf(c->image.image.manifest_digest, sizeof(c->image.image.manifest_digest), "%s", rc->image_manifest);
	c->has_image = true;
	record_config_free(rc);
	*rc = fresh;
	rc->o = *o;
	run_opts_init(o);
	rc->o.entrypoint_set = true;
	strv_free(&rc->o.entrypoint);
	rc->o.no_healthcheck = true;
	rc->o.rm = false;
	if (rc->o.interactive || rc->o.tty)
		rc->o.interactive = true;
	return container_resolve(c, e);
}

/* Nothing of the runtime is to get into the image: below everything lie the mount points of this command. */
static int stand_on_skeleton(struct container *c, struct err *e)
{
	autofd int fd = -1;
	int r = store_remove_tree(c->dirfd, BUILD_SKELETON, e);
	if (r >= 0)
		r = build_make_skeleton(c, &fd, e);
	strv_addf(&c->rec.config.layers, "%s/" BUILD_SKELETON, c->dir);
	return r < 0 ? r : 0;
}

static int run_in(struct working *w, struct run_opts *o, const char *root, struct err *e)
{
	struct container c;
	autostr struct str what = STR_INIT;
	container_init(&c);
	str_adds(&what, "RUN");
	for (size_t i = 0; i < o->command.count; i++)
		str_addf(&what, " %s", o->command.items[i]);
	int r = container_prepare_old(&c, root, &w->rec, take_fd(&w->own), e);
	if (r == 0)
		r = resolve_again(&c, o, w->doc, e);
	if (r == 0)
		r = stand_on_skeleton(&c, e);
	if (r == 0)
		r = container_build_spec(&c, e);
	c.spec.is_layer = true;
	if (r == 0)
		r = container_limits_make(&c, e);
	close_fd(&w->op);
	int status = r < 0 ? r : container_start_and_relay(&c, e);
	if (status >= 0)
		r = working_settle(&c.rec, e);
	if (status == 0 && r == 0) {
		working_note(w->doc, what.buf);
		r = working_write(&c.rec, w->doc, e);
	}
	container_close(&c, true);
	return r < 0 ? r : status;
}

int working_run(const char *root, struct run_opts *o, int *ret_status, struct err *e)
{
	struct working w;
	autofree char *name = xstrdup(o->image);
	/* buildah's way of saying that options end here */
	if (o->command.count && str_eq(o->command.items[0], "--")) {
		autostrv struct strv rest = STRV_INIT;
		for (size_t i = 1; i < o->command.count; i++)
			strv_add(&rest, o->command.items[i]);
		strv_free(&o->command);
		strv_add_all(&o->command, &rest);
	}
	if (!o->command.count) {
		(void)!err_set(e, EINVAL, "run %s: the command is missing", name);
		return err_hint(e, "in a working container nothing is run by itself: rl run %s make", name);
	}
	if (o->detach || o->restart != RESTART_NO)
		return err_set(e, EINVAL, "run %s: a command in a working container is waited for", name);
	int r = working_open(root, name, &w, e);
	if (r < 0)
		return r;
	r = run_in(&w, o, root, e);
	working_close(&w);
	if (r >= 0)
		*ret_status = r;
	return r < 0 ? r : 0;
}
