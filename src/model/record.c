/*
 * record.c - config.json and state.json.
 *
 * Tables say which member is which; what is nested (id map, options, health, join) is an object of its own.
 */
#include "rl/model/record.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "fields_int.h"
#include "rl/base/mem.h"

#define C struct record_config
static const struct field config_fields[] = {
	FIELD_TEXT(C, id),
	FIELD(C, FIELD_STR, name),
	FIELD(C, FIELD_I64, created),
	FIELD(C, FIELD_STR, image),
	FIELD(C, FIELD_STR, image_id),
	FIELD(C, FIELD_STR, image_manifest),
	FIELD(C, FIELD_STRV, layers),
	FIELD(C, FIELD_STRV, labels),
	FIELD(C, FIELD_STRV, args),
	FIELD(C, FIELD_STRV, env),
	FIELD(C, FIELD_STR, cwd),
	FIELD(C, FIELD_STR, user),
	FIELD(C, FIELD_STR, hostname),
	FIELD_ENUM(C, stop_signal, 1, 64),
};
#undef C

static const struct json_part options_listed[] = {
	{"image", NULL},   {"network", NULL}, {"network_of", NULL}, {"networks", NULL},
	{"mounts", NULL},  {"restart", NULL}, {"pod", NULL},	    {"holder", NULL},
	{"publish", NULL}, {"expose", NULL},  {NULL, NULL},
};

const struct json_part record_config_listed[] = {
	{"version", NULL},  {"id", NULL},     {"name", NULL}, {"created", NULL},	   {"image", NULL},
	{"image_id", NULL}, {"labels", NULL}, {"args", NULL}, {"options", options_listed}, {NULL, NULL},
};

static const struct json_part join_listed[] = {{"init", NULL}, {NULL, NULL}};

const struct json_part record_state_listed[] = {
	{"version", NULL},	 {"status", NULL},	    {"boot_id", NULL},
	{"init_pid", NULL},	 {"init_start", NULL},	    {"monitor_pid", NULL},
	{"monitor_start", NULL}, {"started", NULL},	    {"finished", NULL},
	{"exit_code", NULL},	 {"restarts", NULL},	    {"health", NULL},
	{"join", join_listed},	 {"stopped_by_user", NULL}, {NULL, NULL},
};

#define H struct record_health_check
static const struct field check_fields[] = {
	FIELD(H, FIELD_STRV, test),
	FIELD(H, FIELD_U64, interval_ns),
	FIELD(H, FIELD_U64, timeout_ns),
	FIELD(H, FIELD_U64, start_period_ns),
	FIELD(H, FIELD_U64, start_interval_ns),
	FIELD(H, FIELD_UINT, retries),
	FIELD(H, FIELD_STRV, startup_test),
	FIELD(H, FIELD_U64, startup_interval_ns),
	FIELD(H, FIELD_U64, startup_timeout_ns),
	FIELD(H, FIELD_UINT, startup_retries),
	FIELD(H, FIELD_UINT, startup_success),
};
#undef H

#define J struct record_join
static const struct field join_fields[] = {
	FIELD(J, FIELD_UINT, namespaces),   FIELD(J, FIELD_U64, caps),
	FIELD(J, FIELD_BOOL, no_new_privs), FIELD(J, FIELD_STR, seccomp),
	FIELD(J, FIELD_BOOL, privileged),   FIELD(J, FIELD_BOOL, terminal),
	FIELD(J, FIELD_BOOL, init),	    FIELD(J, FIELD_BOOL, keep_groups),
	FIELD_ENUM(J, umask, 0, 0777),	    FIELD(J, FIELD_STRV, env),
	FIELD(J, FIELD_STR, cwd),	    FIELD(J, FIELD_STR, user),
	FIELD(J, FIELD_STRV, group_add),    FIELD(J, FIELD_BOOL, root_read_only),
};
#undef J

#define S struct record_state
static const struct field state_fields[] = {
	FIELD_TEXT(S, boot_id),
	FIELD_AS(S, FIELD_INT, "init_pid", init.pid),
	FIELD_AS(S, FIELD_U64, "init_start", init.start),
	FIELD_AS(S, FIELD_INT, "monitor_pid", monitor.pid),
	FIELD_AS(S, FIELD_U64, "monitor_start", monitor.start),
	FIELD(S, FIELD_BOOL, foreground),
	FIELD(S, FIELD_I64, started),
	FIELD(S, FIELD_I64, finished),
	FIELD_ENUM(S, exit_code, RECORD_EXIT_UNKNOWN, 255),
	FIELD(S, FIELD_BOOL, oom_killed),
	FIELD(S, FIELD_STR, error),
	FIELD(S, FIELD_UINT, restarts),
	FIELD(S, FIELD_BOOL, stopped_by_user),
	FIELD(S, FIELD_STRV, cgroups),
	FIELD(S, FIELD_STR, limits_rung),
	FIELD(S, FIELD_STRV, networks),
};
#undef S

static const struct field entry_fields[] = {
	FIELD(struct record_health_entry, FIELD_I64, start),
	FIELD(struct record_health_entry, FIELD_I64, end),
	FIELD(struct record_health_entry, FIELD_INT, exit_code),
	FIELD(struct record_health_entry, FIELD_STR, output),
};

static const char *const status_names[] = {
	[RECORD_CREATED] = "created",	[RECORD_RUNNING] = "running",
	[RECORD_PAUSED] = "paused",	[RECORD_RESTARTING] = "restarting",
	[RECORD_STOPPING] = "stopping", [RECORD_EXITED] = "exited",
	[RECORD_DEAD] = "dead",
};

const char *record_status_name(enum record_status s)
{
	return status_names[s];
}

int record_status_parse(const char *name, enum record_status *ret_status, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_names); i++) {
		if (!str_eq(name, status_names[i]))
			continue;
		*ret_status = (enum record_status)i;
		return 0;
	}
	return err_set(e, EINVAL, "'%s' is not a status (created, running, paused, restarting, stopping, exited, dead)",
		       name);
}

void record_config_init(struct record_config *c)
{
	*c = (struct record_config){.stop_signal = SIGTERM};
	run_opts_init(&c->o);
}

void record_config_free(struct record_config *c)
{
	char *const strings[] = {c->name, c->image, c->image_id, c->image_manifest, c->cwd, c->user, c->hostname};
	struct strv *const vectors[] = {&c->layers, &c->labels,	     &c->args,
					&c->env,    &c->health.test, &c->health.startup_test};
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		strv_free(vectors[i]);
	run_opts_free(&c->o);
	record_config_init(c);
}

static json_t *write_extents(const struct record_extent *x, size_t n)
{
	json_t *out = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *item = json_array();
		json_array_append_new(item, json_integer(x[i].inside));
		json_array_append_new(item, json_integer(x[i].outside));
		json_array_append_new(item, json_integer(x[i].count));
		json_array_append_new(out, item);
	}
	return out;
}

static int read_extents(const json_t *map, const char *name, struct record_extent *x, size_t *ret_n, struct err *e)
{
	const json_t *array = json_object_get(map, name);
	size_t n = json_array_size(array);
	if (n > RECORD_EXTENTS_MAX)
		return err_set(e, EBADMSG, "\"map\" has too many extents");
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(array, i);
		uint32_t *const to[] = {&x[i].inside, &x[i].outside, &x[i].count};
		for (size_t k = 0; k < ARRAY_SIZE(to); k++) {
			const json_t *v = json_array_get(item, k);
			json_int_t value = json_integer_value(v);
			if (!json_is_integer(v) || value < 0 || value > UINT32_MAX)
				return err_set(e, EBADMSG, "\"map\" has an extent that is no three numbers");
			*to[k] = (uint32_t)value;
		}
	}
	*ret_n = n;
	return 0;
}

static const struct field map_fields[] = {
	FIELD_ENUM(struct record_map, form, 0, 7),
	FIELD_TEXT(struct record_map, key),
};

static json_t *write_map(const struct record_map *m)
{
	json_t *out = json_object();
	fields_to_json(map_fields, ARRAY_SIZE(map_fields), m, out);
	json_put(out, "uid", write_extents(m->uid, m->nuid));
	json_put(out, "gid", write_extents(m->gid, m->ngid));
	return out;
}

static int read_map(const json_t *doc, struct record_map *m, struct err *e)
{
	const json_t *obj = json_object_get(doc, "map");
	if (!obj)
		return 0;
	int r = fields_from_json(map_fields, ARRAY_SIZE(map_fields), obj, m, e);
	if (r == 0)
		r = read_extents(obj, "uid", m->uid, &m->nuid, e);
	if (r == 0)
		r = read_extents(obj, "gid", m->gid, &m->ngid, e);
	m->present = r == 0;
	return r;
}

json_t *record_config_to_json(const struct record_config *c)
{
	json_t *doc = json_object();
	json_put_int(doc, "version", RECORD_VERSION);
	fields_to_json(config_fields, ARRAY_SIZE(config_fields), c, doc);
	if (c->map.present)
		json_put(doc, "map", write_map(&c->map));
	json_t *health = json_object();
	fields_to_json(check_fields, ARRAY_SIZE(check_fields), &c->health, health);
	json_put(doc, "health", health);
	json_put(doc, "options", run_opts_to_json(&c->o));
	return doc;
}

static int check_version(const json_t *doc, struct err *e)
{
	const json_t *v = json_object_get(doc, "version");
	if (!json_is_integer(v) || json_integer_value(v) < 1)
		return err_set(e, EBADMSG, "no version");
	if (json_integer_value(v) > RECORD_VERSION)
		return err_set(e, EPROTONOSUPPORT, "written by a newer rl (version %lld, this one reads %d)",
			       (long long)json_integer_value(v), RECORD_VERSION);
	return 0;
}

int record_config_from_json(const json_t *doc, struct record_config *ret_config, struct err *e)
{
	struct record_config c;
	record_config_init(&c);
	int r = check_version(doc, e);
	if (r == 0)
		r = fields_from_json(config_fields, ARRAY_SIZE(config_fields), doc, &c, e);
	if (r == 0 && (strlen(c.id) != RECORD_ID_SIZE - 1 || !c.name))
		r = err_set(e, EBADMSG, "no id or no name");
	if (r == 0)
		r = read_map(doc, &c.map, e);
	const json_t *health = json_object_get(doc, "health");
	if (r == 0 && health)
		r = fields_from_json(check_fields, ARRAY_SIZE(check_fields), health, &c.health, e);
	if (r == 0)
		r = run_opts_from_json(json_object_get(doc, "options"), &c.o, e);
	if (r < 0) {
		record_config_free(&c);
		return r;
	}
	*ret_config = c;
	return 0;
}

void record_state_init(struct record_state *s)
{
	*s = (struct record_state){.join.umask = 022};
}

void record_state_free(struct record_state *s)
{
	char *const strings[] = {s->error, s->health.status, s->join.seccomp, s->join.cwd, s->join.user};
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	for (size_t i = 0; i < s->health.nlog; i++)
		free(s->health.log[i].output);
	free(s->limits_rung);
	strv_free(&s->cgroups);
	strv_free(&s->join.env);
	strv_free(&s->join.group_add);
	strv_free(&s->networks);
	record_state_init(s);
}

static json_t *write_health(const struct record_health *h)
{
	json_t *out = json_object();
	json_t *log = json_array();
	json_put_str(out, "status", h->status);
	json_put_int(out, "failing_streak", h->failing_streak);
	for (size_t i = 0; i < h->nlog; i++) {
		json_t *entry = json_object();
		fields_to_json(entry_fields, ARRAY_SIZE(entry_fields), &h->log[i], entry);
		json_array_append_new(log, entry);
	}
	json_put(out, "log", log);
	return out;
}

static int read_health(const json_t *doc, struct record_health *h, struct err *e)
{
	const json_t *obj = json_object_get(doc, "health");
	const char *status = json_str_or_null(obj, "status");
	if (!status)
		return 0;
	h->status = xstrdup(status);
	h->failing_streak = (unsigned)json_int_or(obj, "failing_streak", 0);
	const json_t *log = json_object_get(obj, "log");
	size_t n = RL_MIN(json_array_size(log), (size_t)RECORD_HEALTH_LOG);
	for (size_t i = 0; i < n; i++) {
		h->nlog++;
		int r = fields_from_json(entry_fields, ARRAY_SIZE(entry_fields), json_array_get(log, i), &h->log[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

json_t *record_state_to_json(const struct record_state *s)
{
	json_t *doc = json_object();
	json_put_int(doc, "version", RECORD_VERSION);
	json_put_str(doc, "status", record_status_name(s->status));
	fields_to_json(state_fields, ARRAY_SIZE(state_fields), s, doc);
	if (s->health.status)
		json_put(doc, "health", write_health(&s->health));
	json_t *join = json_object();
	fields_to_json(join_fields, ARRAY_SIZE(join_fields), &s->join, join);
	json_put(doc, "join", join);
	return doc;
}

int record_state_from_json(const json_t *doc, struct record_state *ret_state, struct err *e)
{
	struct record_state s;
	record_state_init(&s);
	int r = check_version(doc, e);
	const char *status = json_str_or_null(doc, "status");
	if (r == 0 && !status)
		r = err_set(e, EBADMSG, "no status");
	if (r == 0)
		r = record_status_parse(status, &s.status, e);
	if (r == 0)
		r = fields_from_json(state_fields, ARRAY_SIZE(state_fields), doc, &s, e);
	const json_t *join = json_object_get(doc, "join");
	if (r == 0 && join)
		r = fields_from_json(join_fields, ARRAY_SIZE(join_fields), join, &s.join, e);
	if (r == 0)
		r = read_health(doc, &s.health, e);
	if (r < 0) {
		record_state_free(&s);
		return r;
	}
	*ret_state = s;
	return 0;
}
