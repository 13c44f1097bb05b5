/*
 * volume_admin.c - the verbs on volumes: create, rm, prune, ls, inspect.
 *
 * Filters of one name are alternatives, filters of different names must all hold; labels must all hold (docker's rules).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "container_int.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/tree.h"
#include "volume_int.h"

static int open_volumes(const char *root, struct store *s, struct err *e)
{
	int r = store_open(root, true, s, e);
	if (r == 0)
		volume_sweep(s);
	return r;
}

/* ---- create ---- */

static bool same_options(const struct strv *a, const struct strv *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!strv_has(b, a->items[i]))
			return false;
	return true;
}

static int check_options(const struct strv *options, struct err *e)
{
	struct run_opts scratch;
	run_opts_init(&scratch);
	/* Whatever volumes exist, /volume is a target like any other. */
	int r = run_opts_volume(&scratch, "checked:/volume", e);
	if (r == 0)
		r = volume_options_apply(options, &scratch.mounts[0], e);
	run_opts_free(&scratch);
	return r;
}

/* docker: creating a volume again is success; with other options it is a mistake somewhere. */
static int accept_existing(const struct store *s, const struct volume_create_opts *o, struct err *e)
{
	struct volume_record old = VOLUME_RECORD_INIT;
	if (e)
		err_clear(e);
	int r = volume_read(s, o->name, &old, e);
	if (r == 0 && !o->ignore && o->options->count && !same_options(&old.options, o->options))
		r = err_set(e, EEXIST, "volume %s exists with other options", o->name);
	volume_record_free(&old);
	return r;
}

int volume_create(const char *root, const struct volume_create_opts *o, struct str *ret_name, struct err *e)
{
	struct store s;
	char hex[65];
	if (o->name && !path_is_plain_name(o->name))
		return err_set(e, EINVAL,
			       "'%s' is no volume name: letters, digits, '_', '.' and '-', beginning with a "
			       "letter or digit",
			       o->name);
	int r = check_options(o->options, e);
	if (r == 0)
		r = open_volumes(root, &s, e);
	if (r < 0)
		return r;
	io_random_hex(32, hex);
	struct volume_record record = VOLUME_RECORD_INIT;
	record.name = xstrdup(o->name ? o->name : hex);
	record.anonymous = !o->name;
	record.created = container_now();
	strv_add_all(&record.labels, o->labels);
	strv_add_all(&record.options, o->options);
	r = volume_make(&s, &record, e);
	if (r == -EEXIST)
		r = accept_existing(&s, o, e);
	if (r == 0)
		str_adds(ret_name, record.name);
	volume_record_free(&record);
	store_close(&s);
	return r;
}

int volume_exists(const char *root, const char *name, struct err *e)
{
	struct store s;
	struct volume_record record = VOLUME_RECORD_INIT;
	struct err why = ERR_INIT;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = volume_read(&s, name, &record, &why);
	volume_record_free(&record);
	store_close(&s);
	if (r == -ENOENT)
		return 0;
	if (r < 0 && e)
		*e = why;
	return r < 0 ? r : 1;
}

/* ---- remove ---- */

static int remove_locked(const struct store *s, struct volume_lease *l, struct err *e)
{
	autostrv struct strv users = STRV_INIT;
	int r = volume_try_exclusive(s, l, e);
	int found = r < 0 ? r : volume_users(s, l->record.name, NULL, &users, e);
	if (found < 0)
		return found;
	if (users.count) {
		autostr struct str names = STR_INIT;
		for (size_t i = 0; i < users.count && i < 5; i++)
			str_addf(&names, "%s%s", i ? ", " : "", users.items[i]);
		err_set(e, EBUSY, "volume %s is used by container %s%s", l->record.name, names.buf,
			users.count > 5 ? ", ..." : "");
		return err_hint(e, "remove the container first: rl rm %s", users.items[0]);
	}
	if (r == 0)
		return err_set(e, EBUSY, "volume %s is just being used by another rl", l->record.name);
	return volume_unmake(s, l->record.name, e);
}

/* A volume whose record cannot be read can still be removed by its exact name. */
static int remove_broken(const struct store *s, const char *name, struct err *e)
{
	autostrv struct strv users = STRV_INIT;
	int r = volume_users(s, name, NULL, &users, e);
	if (r == 0 && users.count)
		r = err_set(e, EBUSY, "volume %s is used by container %s", name, users.items[0]);
	return r < 0 ? r : volume_unmake(s, name, e);
}

int volume_remove(const char *root, const char *name, struct err *e)
{
	struct store s;
	struct err why = ERR_INIT;
	struct volume_lease l = VOLUME_LEASE_NONE;
	int r = open_volumes(root, &s, e);
	if (r < 0)
		return r;
	r = volume_ensure(&s, name, VOLUME_FIND, &l, &why);
	if (r == 0)
		r = remove_locked(&s, &l, &why);
	else if (r == -EBADMSG || (r == -ENOENT && path_is_plain_name(name) && !str_after(why.text, "there is no")))
		r = remove_broken(&s, name, &why);
	volume_release(&l);
	store_close(&s);
	if (r < 0 && e)
		*e = why;
	return r;
}

/* ---- filters ---- */

static const char *const filter_names[] = {"name",	"label", "label!", "dangling", "driver", "opt",
					   "anonymous", "scope", "since",  "after",    "until",	 NULL};

static int check_filters(const struct strv *filters, struct err *e)
{
	for (size_t i = 0; i < filters->count; i++) {
		const char *eq = strchr(filters->items[i], '=');
		if (!eq || eq == filters->items[i])
			return err_set(e, EINVAL, "--filter '%s': NAME=VALUE is expected", filters->items[i]);
		autofree char *name = xstrndup(filters->items[i], (size_t)(eq - filters->items[i]));
		bool known = false;
		for (size_t k = 0; filter_names[k] && !known; k++)
			known = str_eq(name, filter_names[k]);
		if (known)
			continue;
		const char *near = str_nearest(name, filter_names);
		err_set(e, EINVAL, "--filter '%s': there is no filter '%s'", filters->items[i], name);
		return near ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
	}
	return 0;
}

/* "key" or "key=value" among "key=value" items. */
static bool has_pair(const struct strv *pairs, const char *want)
{
	for (size_t i = 0; i < pairs->count; i++) {
		const char *rest = str_after(pairs->items[i], want);
		if (rest && (!*rest || (*rest == '=' && !strchr(want, '='))))
			return true;
	}
	return false;
}

/* A volume's name, a duration back from now, or a time: ns since 1970. */
static int read_moment(const struct store *s, const char *name, const char *text, int64_t *ret, struct err *e)
{
	struct volume_record other = VOLUME_RECORD_INIT;
	if (volume_read(s, text, &other, NULL) == 0) {
		*ret = other.created;
		volume_record_free(&other);
		return 0;
	}
	autofree char *what = xasprintf("--filter %s", name);
	return fmt_parse_when(text, what, container_now(), ret, e);
}

static int match_one(const struct store *s, const struct volume_record *v, const char *name, const char *value,
		     struct err *e)
{
	if (str_eq(name, "name"))
		return strstr(v->name, value) != NULL;
	if (str_eq(name, "label"))
		return has_pair(&v->labels, value);
	if (str_eq(name, "label!"))
		return !has_pair(&v->labels, value);
	if (str_eq(name, "opt"))
		return has_pair(&v->options, value);
	if (str_eq(name, "driver") || str_eq(name, "scope"))
		return str_eq(value, "local");
	if (str_eq(name, "anonymous") || str_eq(name, "dangling")) {
		bool wanted = str_eq(value, "true") || str_eq(value, "1");
		if (!wanted && !str_eq(value, "false") && !str_eq(value, "0"))
			return err_set(e, EINVAL, "--filter %s=%s: true or false is expected", name, value);
		if (str_eq(name, "anonymous"))
			return v->anonymous == wanted;
		autostrv struct strv users = STRV_INIT;
		int r = volume_users(s, v->name, NULL, &users, e);
		return r < 0 ? r : !users.count == wanted;
	}
	int64_t moment = 0;
	int r = read_moment(s, name, value, &moment, e);
	if (r < 0)
		return r;
	return str_eq(name, "until") ? v->created < moment : v->created > moment;
}

/* 1: passes all filters. */
static int passes(const struct store *s, const struct volume_record *v, const struct strv *filters, struct err *e)
{
	for (size_t i = 0; i < filters->count; i++) {
		const char *eq = strchr(filters->items[i], '=');
		autofree char *name = xstrndup(filters->items[i], (size_t)(eq - filters->items[i]));
		int r = match_one(s, v, name, eq + 1, e);
		/* An alternative of the same name may do instead. */
		for (size_t k = 0; r == 0 && k < filters->count && !str_after(name, "label"); k++) {
			const char *value = str_after(filters->items[k], name);
			if (value && *value == '=')
				r = match_one(s, v, name, value + 1, e);
		}
		if (r <= 0)
			return r;
	}
	return 1;
}

/* ---- prune ---- */

static uint64_t size_of(const struct volume_lease *l)
{
	struct tree_stats stats = {.bytes = 0};
	autofd int fd = io_open_dir(l->fd, VOLUME_DATA, false, 0, NULL);
	if (fd >= 0)
		(void)!tree_measure(fd, 0, &stats, NULL);
	return stats.bytes;
}

/* 1: removed. */
static int prune_one(const struct store *s, const char *name, bool all, const struct strv *filters, uint64_t *bytes,
		     struct err *e)
{
	struct volume_lease l = VOLUME_LEASE_NONE;
	struct err why = ERR_INIT;
	int r = volume_ensure(s, name, VOLUME_FIND, &l, &why);
	if (r < 0) {
		log_debug(LOG_STORE, "%s", why.text);
		return 0;
	}
	r = all || l.record.anonymous ? passes(s, &l.record, filters, e) : 0;
	if (r == 1) {
		uint64_t size = size_of(&l);
		r = remove_locked(s, &l, &why);
		if (r == 0)
			*bytes += size;
		else if (r != -EBUSY && r != -EAGAIN && e)
			*e = why;
		r = r == -EBUSY || r == -EAGAIN ? 0 : r < 0 ? r : 1;
	}
	volume_release(&l);
	return r;
}

int volume_prune(const char *root, bool all, const struct strv *filters, struct strv *ret_removed, uint64_t *ret_bytes,
		 struct err *e)
{
	struct store s;
	autostrv struct strv names = STRV_INIT;
	int r = check_filters(filters, e);
	if (r < 0)
		return r;
	r = open_volumes(root, &s, e);
	if (r < 0)
		return r;
	r = volume_names(&s, &names, e);
	*ret_bytes = 0;
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		r = prune_one(&s, names.items[i], all, filters, ret_bytes, e);
		if (r == 1)
			strv_add(ret_removed, names.items[i]);
	}
	store_close(&s);
	return r < 0 ? r : 0;
}

/* ---- looking ---- */

static json_t *pairs_object(const struct strv *pairs)
{
	if (!pairs->count)
		return json_null();
	json_t *out = json_object();
	for (size_t i = 0; i < pairs->count; i++) {
		autofree char *key = xstrdup(pairs->items[i]);
		char *eq = strchr(key, '=');
		if (eq)
			*eq = '\0';
		json_put_str(out, key, eq ? eq + 1 : "");
	}
	return out;
}

static void put_pairs_text(json_t *row, const char *key, const struct strv *pairs)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < pairs->count; i++)
		str_addf(&out, "%s%s", i ? "," : "", pairs->items[i]);
	json_put_str(row, key, out.buf);
}

static json_t *common_object(const struct store *s, const struct volume_record *v)
{
	char created[FMT_SIZE];
	json_t *out = json_object();
	fmt_time(v->created / 1000000000, created);
	autofree char *data = xasprintf("%s/volumes/%s/" VOLUME_DATA, s->root, v->name);
	json_put_str(out, "Name", v->name);
	json_put_str(out, "Driver", "local");
	json_put_str(out, "Mountpoint", data);
	json_put_str(out, "CreatedAt", created);
	json_put_str(out, "Scope", "local");
	json_put_bool(out, "Anonymous", v->anonymous);
	return out;
}

int volume_rows(const char *root, const struct strv *filters, json_t **ret_rows, struct err *e)
{
	struct store s;
	autostrv struct strv names = STRV_INIT;
	autojson json_t *rows = json_array();
	int r = check_filters(filters, e);
	if (r < 0)
		return r;
	r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = volume_names(&s, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		struct volume_record v = VOLUME_RECORD_INIT;
		struct err why = ERR_INIT;
		if (volume_read(&s, names.items[i], &v, &why) < 0) {
			log_debug(LOG_STORE, "%s", why.text);
			continue;
		}
		r = passes(&s, &v, filters, e);
		if (r == 1) {
			json_t *row = common_object(&s, &v);
			put_pairs_text(row, "Labels", &v.labels);
			put_pairs_text(row, "Options", &v.options);
			json_put_str(row, "Size", "N/A");
			json_put_str(row, "Links", "N/A");
			json_put_str(row, "Status", "N/A");
			json_array_append_new(rows, row);
		}
		volume_record_free(&v);
	}
	store_close(&s);
	if (r < 0)
		return r;
	*ret_rows = json_incref(rows);
	return 0;
}

int volume_inspect(const char *root, const char *name, json_t **ret_doc, struct err *e)
{
	struct store s;
	struct volume_record v = VOLUME_RECORD_INIT;
	autostrv struct strv users = STRV_INIT;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = volume_read(&s, name, &v, e);
	if (r == 0)
		r = volume_users(&s, name, NULL, &users, e);
	if (r == 0) {
		json_t *doc = common_object(&s, &v);
		json_put(doc, "Labels", pairs_object(&v.labels));
		json_put(doc, "Options", pairs_object(&v.options));
		json_t *by = json_array();
		for (size_t i = 0; i < users.count; i++)
			json_array_append_new(by, json_string_lossy(users.items[i], strlen(users.items[i])));
		json_put(doc, "UsedBy", by);
		*ret_doc = doc;
	}
	volume_record_free(&v);
	store_close(&s);
	return r;
}
