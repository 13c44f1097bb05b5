/*
 * container_commit.c - a container's own layers become an image; see rl/svc/container_copy.h and image_commit.h.
 *
 * The config is the image's with what the options of the container changed of it (docker's rule: what ran is what the
 * new image runs), then the instructions of --change. Variables that rl sets itself (container, HOSTNAME, TERM) are not
 * the image's. Every layer the container has of its own (one, and one per snapshot it stands on) becomes a layer.
 */
#include <errno.h>
#include <stdio.h>

#include "container_hold.h"
#include "container_stack.h"
#include "rl/base/mem.h"
#include "rl/model/imgspec.h"
#include "rl/svc/container_copy.h"
#include "rl/svc/image_commit.h"
#include "rl/svc/working.h"

/* ---- config ---- */

static int set_env(json_t *config, const struct run_opts *o, struct err *e)
{
	autostrv struct strv env = STRV_INIT;
	int r = json_get_strv(config, "Env", &env, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < o->nenv; i++) {
		if (o->env[i].value)
			strv_env_set(&env, o->env[i].key, o->env[i].value);
		else
			strv_env_unset(&env, o->env[i].key);
	}
	if (env.count)
		json_put_strv(config, "Env", &env);
	return 0;
}

static void put_list(json_t *config, const char *key, const struct strv *v)
{
	if (v->count)
		json_put_strv(config, key, v);
	else
		json_object_del(config, key);
}

static void set_labels(json_t *config, const struct run_opts *o)
{
	if (!o->labels.count)
		return;
	json_t *labels = json_member(config, "Labels", JSON_OBJECT);
	for (size_t i = 0; i < o->labels.count; i++) {
		autofree char *name = xstrdup(o->labels.items[i]);
		char *eq = strchr(name, '=');
		if (eq)
			*eq = '\0';
		json_put_str(labels, name, eq ? eq + 1 : "");
	}
}

static void set_health(json_t *config, const struct record_config *rc)
{
	if (!rc->o.health_cmd && !rc->o.no_healthcheck)
		return;
	autostrv struct strv test = STRV_INIT;
	strv_add(&test, rc->health.test.count ? "CMD" : "NONE");
	strv_add_all(&test, &rc->health.test);
	json_t *h = json_object();
	json_put_strv(h, "Test", &test);
	if (rc->health.test.count) {
		json_put_int(h, "Interval", (int64_t)rc->health.interval_ns);
		json_put_int(h, "Timeout", (int64_t)rc->health.timeout_ns);
		json_put_int(h, "StartPeriod", (int64_t)rc->health.start_period_ns);
		json_put_int(h, "Retries", rc->health.retries);
	}
	json_put(config, "Healthcheck", h);
}

static int apply_options(json_t *doc, const struct record_config *rc, struct err *e)
{
	const struct run_opts *o = &rc->o;
	json_t *config = json_member(doc, "config", JSON_OBJECT);
	int r = set_env(config, o, e);
	if (r < 0)
		return r;
	if (o->entrypoint_set) {
		put_list(config, "Entrypoint", &o->entrypoint);
		put_list(config, "Cmd", &o->command);
	} else if (o->command.count) {
		put_list(config, "Cmd", &o->command);
	}
	json_put_str(config, "WorkingDir", o->workdir);
	json_put_str(config, "User", o->user);
	if (o->stop_signal) {
		autofree char *number = xasprintf("%d", o->stop_signal);
		json_put_str(config, "StopSignal", number);
	}
	set_labels(config, o);
	set_health(config, rc);
	return 0;
}

/* What is below the image: its manifest in *ret_base and its config, or nothing and a new config. */
static int base_config(const struct container_stack *k, bool needs_image, const char **ret_base, json_t **ret_doc,
		       struct err *e)
{
	const struct record_config *rc = &k->rec.config;
	struct store_image image = {0};
	const char *os, *architecture, *variant;
	struct err why = ERR_INIT;
	int r = rc->image_manifest ? store_find_image(&k->store, rc->image_id, &image, &why) : -ENOENT;
	if (r >= 0) {
		*ret_doc = json_deep_copy(image.config);
		store_image_free(&image);
		*ret_base = rc->image_manifest;
		return 0;
	}
	if (needs_image && rc->image_manifest)
		err_set(e, ENOENT, "the image of container %s (%.19s) is not in the store any more", rc->name,
			rc->image_id);
	else if (needs_image)
		err_set(e, EINVAL, "container %s was not made from an image", rc->name);
	if (needs_image)
		return err_hint(e, "--squash makes one of everything the container shows");
	imgspec_host_platform(&os, &architecture, &variant);
	*ret_doc = imgspec_config_new(architecture, variant, NULL);
	return 0;
}

static int make_config(const struct container_stack *k, const struct container_commit_opts *o, const char **ret_base,
		       json_t **ret_doc, struct str *history, struct err *e)
{
	json_t *made = NULL;
	int r = base_config(k, !o->squash, ret_base, &made, e);
	autojson json_t *doc = made;
	json_t *working = NULL;
	if (r >= 0)
		r = working_document(&k->rec, &working, history, e);
	/* A working container says itself what it is to become. */
	if (r >= 0 && working) {
		json_decref(doc);
		doc = working;
	} else if (r >= 0) {
		r = apply_options(doc, &k->rec.config, e);
	}
	for (size_t i = 0; r >= 0 && o->changes && i < o->changes->count; i++)
		r = imgspec_change(doc, o->changes->items[i], e);
	if (r < 0)
		return r;
	if (o->author || !working)
		json_put_str(doc, "author", o->author);
	*ret_doc = take_ptr(&doc);
	return 0;
}

/* ---- layers ---- */

static void join_args(const struct strv *args, struct str *out)
{
	for (size_t i = 0; i < args->count; i++)
		str_addf(out, "%s%s", i ? " " : "", args->items[i]);
}

static int commit_stack(const struct container_stack *k, const struct container_commit_opts *o,
			const struct image_ui *ui, struct image_added *ret_added, struct err *e)
{
	const char *base = NULL;
	json_t *made = NULL;
	autostrv struct strv exclude = STRV_INIT;
	autostr struct str command = STR_INIT;
	int r = make_config(k, o, &base, &made, &command, e);
	autojson json_t *config = made;
	if (r >= 0)
		r = container_stack_placeholders(k, &exclude, e);
	if (r < 0)
		return r;
	if (!command.len)
		join_args(&k->rec.config.args, &command);
	size_t n = k->mine.count;
	autofree struct image_layer_dir *dirs = xcalloc(n, sizeof(*dirs));
	for (size_t i = 0; i < n; i++)
		dirs[i] = (struct image_layer_dir){
			.path = k->mine.items[n - 1 - i],
			.exclude = &exclude,
			.created_by = command.buf,
			.comment = i + 1 == n ? o->message : NULL,
			.author = o->author,
		};
	struct container_hold hold = CONTAINER_HOLD_NONE;
	r = o->pause ? container_hold_begin(&k->rec, &hold, e) : 0;
	if (r < 0)
		return r;
	/* As it is now that it stands still. */
	r = container_stack_need_layers(k, "commit", e);
	if (r >= 0)
		r = image_commit(&k->store, k->has_map ? &k->map : NULL,
				 &(struct image_commit){.base = o->squash ? NULL : base,
							.lowers = &k->image,
							.dirs = dirs,
							.ndirs = n,
							.squash = o->squash,
							.trust_records = k->rec.config.o.emulate > 0,
							.config = config,
							.name = o->image,
							.format = o->format},
				 ui, ret_added, e);
	container_hold_end(&hold);
	return r;
}

int container_commit(const struct container_commit_opts *o, const struct image_ui *ui, struct image_added *ret_added,
		     struct err *e)
{
	struct container_stack k;
	int r = container_stack_open(o->root, o->container, STACK_OWN, &k, e);
	if (r < 0)
		return r;
	r = container_stack_need_layers(&k, "commit", e);
	if (r >= 0)
		r = commit_stack(&k, o, ui, ret_added, e);
	container_stack_close(&k);
	return r;
}
