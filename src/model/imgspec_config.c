/*
 * imgspec_config.c - the image config document; see imgspec.h.
 *
 * Everything in a config is the image's wish. This file only turns it into types; whether a wish is granted (a user, a
 * volume path, a signal) is decided by those who use it, and none of them may take more from it than a plain image
 * would get.
 */
#include <errno.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/model/imgspec.h"

enum { HISTORY_MAX = 4096 };

static int bad_config(struct err *e)
{
	if (e)
		e->code = EBADMSG;
	return -EBADMSG;
}

static int get_text(const json_t *obj, const char *key, char **ret_text, struct err *e)
{
	const char *text = NULL;
	if (json_get_str(obj, key, &text, e) < 0)
		return bad_config(e);
	*ret_text = text && *text ? xstrdup(text) : NULL;
	return 0;
}

/* Keys of an object such as Volumes or ExposedPorts. */
static int get_keys(const json_t *obj, const char *key, struct strv *out, struct err *e)
{
	json_t *set = NULL;
	if (json_get_obj(obj, key, &set, e) < 0)
		return bad_config(e);
	const char *name;
	json_t *value;
	json_object_foreach (set, name, value)
		strv_add(out, name);
	return 0;
}

static int get_labels(const json_t *obj, struct strv *out, struct err *e)
{
	json_t *labels = NULL;
	if (json_get_obj(obj, "Labels", &labels, e) < 0)
		return bad_config(e);
	const char *name;
	json_t *value;
	json_object_foreach (labels, name, value) {
		if (!json_is_string(value))
			return err_set(e, EBADMSG, "config: label \"%.80s\" is not a string", name);
		strv_addf(out, "%s=%s", name, json_string_value(value));
	}
	return 0;
}

static int get_env(const json_t *obj, struct strv *out, struct err *e)
{
	autostrv struct strv all = STRV_INIT;
	if (json_get_strv(obj, "Env", &all, e) < 0)
		return bad_config(e);
	for (size_t i = 0; i < all.count; i++)
		if (strchr(all.items[i], '=') > all.items[i])
			strv_add(out, all.items[i]);
	return 0;
}

static int get_health(const json_t *obj, struct imgspec_health *h, struct err *e)
{
	json_t *health = NULL;
	if (json_get_obj(obj, "Healthcheck", &health, e) < 0)
		return bad_config(e);
	if (!health)
		return 0;
	if (json_get_strv(health, "Test", &h->test, e) < 0 || json_get_int(health, "Interval", &h->interval, e) < 0 ||
	    json_get_int(health, "Timeout", &h->timeout, e) < 0 ||
	    json_get_int(health, "StartPeriod", &h->start_period, e) < 0 ||
	    json_get_int(health, "StartInterval", &h->start_interval, e) < 0 ||
	    json_get_int(health, "Retries", &h->retries, e) < 0) {
		err_ctx(e, "Healthcheck");
		return bad_config(e);
	}
	if (h->interval < 0 || h->timeout < 0 || h->start_period < 0 || h->start_interval < 0 || h->retries < 0)
		return err_set(e, EBADMSG, "config: a negative number in Healthcheck");
	h->set = true;
	return 0;
}

static int get_inner(const json_t *doc, struct imgspec_config *c, struct err *e)
{
	json_t *inner = NULL;
	if (json_get_obj(doc, "config", &inner, e) < 0)
		return bad_config(e);
	if (!inner)
		return 0;
	if (json_get_strv(inner, "Cmd", &c->cmd, e) < 0 || json_get_strv(inner, "Entrypoint", &c->entrypoint, e) < 0 ||
	    json_get_strv(inner, "Shell", &c->shell, e) < 0 || json_get_strv(inner, "OnBuild", &c->onbuild, e) < 0)
		return bad_config(e);
	if (get_text(inner, "WorkingDir", &c->working_dir, e) < 0 || get_text(inner, "User", &c->user, e) < 0 ||
	    get_text(inner, "StopSignal", &c->stop_signal, e) < 0 || get_env(inner, &c->env, e) < 0 ||
	    get_keys(inner, "Volumes", &c->volumes, e) < 0 ||
	    get_keys(inner, "ExposedPorts", &c->exposed_ports, e) < 0 || get_labels(inner, &c->labels, e) < 0)
		return -EBADMSG;
	return get_health(inner, &c->health, e);
}

static int get_history(const json_t *doc, struct imgspec_config *c, struct err *e)
{
	json_t *history = NULL;
	if (json_get_array(doc, "history", &history, e) < 0)
		return bad_config(e);
	size_t n = history ? json_array_size(history) : 0;
	if (n > HISTORY_MAX)
		return err_set(e, EBADMSG, "config: history of %zu steps", n);
	c->history = xcalloc(n + 1, sizeof(*c->history));
	for (size_t i = 0; i < n; i++) {
		const json_t *step = json_array_get(history, i);
		struct imgspec_history *h = &c->history[c->nhistory++];
		if (!json_is_object(step))
			return err_set(e, EBADMSG, "config: a history step is not an object");
		if (get_text(step, "created", &h->created, e) < 0 ||
		    get_text(step, "created_by", &h->created_by, e) < 0 ||
		    get_text(step, "comment", &h->comment, e) < 0 || get_text(step, "author", &h->author, e) < 0)
			return -EBADMSG;
		if (json_get_bool(step, "empty_layer", &h->empty_layer, e) < 0)
			return bad_config(e);
	}
	return 0;
}

/* Calls for every DiffID after it has been checked. */
static int each_diff_id(const json_t *doc, struct strv *out, size_t skip, struct err *e)
{
	json_t *rootfs = NULL;
	json_t *ids = NULL;
	const char *type = NULL;
	if (!json_is_object(doc))
		return err_set(e, EBADMSG, "config: not an object");
	if (json_get_obj(doc, "rootfs", &rootfs, e) < 0)
		return bad_config(e);
	if (!rootfs)
		return err_set(e, EBADMSG, "config: without a rootfs");
	if (json_get_str(rootfs, "type", &type, e) < 0 || json_get_array(rootfs, "diff_ids", &ids, e) < 0)
		return bad_config(e);
	if (type && !str_eq(type, "layers"))
		return err_set(e, EBADMSG, "config: rootfs of type \"%.80s\"", type);
	size_t n = ids ? json_array_size(ids) : 0;
	if (n > IMGSPEC_LAYERS_MAX)
		return err_set(e, EBADMSG, "config: %zu DiffIDs (at most %d)", n, IMGSPEC_LAYERS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		if (!id || !imgref_is_digest(id))
			return err_set(e, EBADMSG, "config: DiffID %zu is not sha256: and 64 hex digits", i + 1);
		strv_add(out, id + skip);
	}
	return 0;
}

int imgspec_diff_ids(const json_t *doc, struct strv *out, struct err *e)
{
	return each_diff_id(doc, out, strlen("sha256:"), e);
}

static int fill(const json_t *doc, struct imgspec_config *c, struct err *e)
{
	int r = each_diff_id(doc, &c->diff_ids, 0, e);
	if (r < 0)
		return r;
	struct imgspec_platform *p = &c->platform;
	if (get_text(doc, "os", &p->os, e) < 0 || get_text(doc, "architecture", &p->architecture, e) < 0 ||
	    get_text(doc, "variant", &p->variant, e) < 0 || get_text(doc, "created", &c->created, e) < 0 ||
	    get_text(doc, "author", &c->author, e) < 0)
		return -EBADMSG;
	r = get_inner(doc, c, e);
	return r < 0 ? r : get_history(doc, c, e);
}

int imgspec_config_parse(const json_t *doc, struct imgspec_config *ret_config, struct err *e)
{
	struct imgspec_config c = {0};
	int r = fill(doc, &c, e);
	if (r < 0) {
		imgspec_config_free(&c);
		return r;
	}
	*ret_config = c;
	return 0;
}

void imgspec_config_free(struct imgspec_config *c)
{
	struct strv *vectors[] = {&c->env,     &c->cmd,		  &c->entrypoint, &c->shell,	   &c->onbuild,
				  &c->volumes, &c->exposed_ports, &c->labels,	  &c->health.test, &c->diff_ids};
	char *texts[] = {c->created, c->author, c->working_dir, c->user, c->stop_signal};
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		strv_free(vectors[i]);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < c->nhistory; i++) {
		free(c->history[i].created);
		free(c->history[i].created_by);
		free(c->history[i].comment);
		free(c->history[i].author);
	}
	free(c->history);
	imgspec_platform_free(&c->platform);
	*c = (struct imgspec_config){0};
}
