/*
 * secret.c - secrets in the store, and on their way into a container; see secret.h.
 */
#include "rl/svc/secret.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

enum { HEAD_MAX = 64 * 1024, ID_LEN = 24, PREFIX_MIN = 4 };

static const char secret_dir[] = "secrets";

struct secret {
	json_t *head;
	struct str data;
};

static void secret_free(struct secret *s)
{
	json_decref(s->head);
	if (s->data.len)
		explicit_bzero(s->data.buf, s->data.len);
	str_free(&s->data);
}
#define autosecret __attribute__((cleanup(secret_free)))
#define SECRET_NONE                                                                                                    \
	{                                                                                                              \
		.data = STR_INIT                                                                                       \
	}

static struct secret take_secret(struct secret *s)
{
	struct secret taken = *s;
	*s = (struct secret)SECRET_NONE;
	return taken;
}

static int list_names(int dir, struct strv *out, struct err *e)
{
	autostrv struct strv all = STRV_INIT;
	int r = io_list_dir(dir, &all, e);
	if (r < 0)
		return err_ctx(e, "list the secrets");
	for (size_t i = 0; i < all.count; i++)
		if (path_is_plain_name(all.items[i]))
			strv_add(out, all.items[i]);
	strv_sort(out);
	return 0;
}

/* ---- one file ---- */

static int read_secret(int dir, const char *name, struct secret *ret, struct err *e)
{
	autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "secret %s", name);
	autosecret struct secret s = SECRET_NONE;
	struct str all = STR_INIT;
	int r = io_read_rest(fd, HEAD_MAX + SECRET_MAX, name, &all, e);
	const char *end = r == 0 ? memchr(all.buf, '\n', all.len) : NULL;
	size_t head = end ? (size_t)(end - all.buf) : 0;
	if (r == 0 && !end)
		r = err_set(e, EBADMSG, "its file is damaged");
	if (r == 0)
		r = json_parse(all.buf, head, name, &s.head, e);
	if (r == 0 && (!json_is_object(s.head) || !json_str_or_null(s.head, "id")))
		r = err_set(e, EBADMSG, "its file is damaged");
	if (r == 0)
		str_add(&s.data, end + 1, all.len - head - 1);
	if (all.len)
		explicit_bzero(all.buf, all.len);
	str_free(&all);
	if (r < 0)
		return err_ctx(e, "secret %s", name);
	*ret = take_secret(&s);
	return 0;
}

static int not_found(int dir, const char *name, struct err *e)
{
	autostrv struct strv known = STRV_INIT;
	(void)!list_names(dir, &known, NULL);
	err_set(e, ENOENT, "there is no secret '%s'", name);
	const char *near = str_nearest(name, (const char *const *)strv_argv(&known));
	return near ? err_hint(e, "did you mean '%s'?", near) : -ENOENT;
}

/* By name, then by id or prefix of one. *ret_name is malloc'd. */
static int find_secret(int dir, const char *name, char **ret_name, struct secret *ret, struct err *e)
{
	struct err why = ERR_INIT;
	int r = path_is_plain_name(name) ? read_secret(dir, name, ret, &why) : -ENOENT;
	if (r == 0)
		*ret_name = xstrdup(name);
	if (r != -ENOENT) {
		if (r < 0 && e)
			*e = why;
		return r;
	}
	autostrv struct strv names = STRV_INIT;
	autosecret struct secret found = SECRET_NONE;
	const char *which = NULL;
	r = strlen(name) >= PREFIX_MIN ? list_names(dir, &names, e) : 0;
	for (size_t i = 0; i < names.count && r == 0; i++) {
		struct secret s = SECRET_NONE;
		if (read_secret(dir, names.items[i], &s, NULL) < 0)
			continue;
		if (!str_after(json_str_or_null(s.head, "id"), name)) {
			secret_free(&s);
			continue;
		}
		if (which) {
			secret_free(&s);
			return err_set(e, EEXIST, "'%s' begins more than one secret's id", name);
		}
		found = s;
		which = names.items[i];
	}
	if (r < 0 || !which)
		return r < 0 ? r : not_found(dir, name, e);
	*ret_name = xstrdup(which);
	*ret = take_secret(&found);
	return 0;
}

/* ---- create ---- */

static int write_secret(int dir, const char *name, const json_t *head, const struct str *data, bool replace,
			struct err *e)
{
	struct str text = STR_INIT;
	char hex[17];
	json_print(head, false, &text);
	str_addc(&text, '\n');
	str_add(&text, data->buf, data->len);
	io_random_hex(8, hex);
	autofree char *temp = xasprintf(".new-%s", hex);
	int r = io_replace_file(dir, temp, text.buf, text.len, 0600, true, e);
	explicit_bzero(text.buf, text.len);
	str_free(&text);
	if (r < 0)
		return r;
	if ((replace ? renameat(dir, temp, dir, name) : io_rename_new(dir, temp, dir, name)) < 0) {
		r = errno == EEXIST ? err_set(e, EEXIST, "secret %s exists", name)
				    : err_sys(e, errno, "name secret %s", name);
		if (r == -EEXIST)
			err_hint(e, "--replace gives it the new value");
		unlinkat(dir, temp, 0);
	}
	return r;
}

/* Half-written ones of a crash: nobody else will ever rename them. */
static void sweep(int dir)
{
	int scan = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		struct stat st;
		if (entry->d_name[0] == '.' && strlen(entry->d_name) > 2 &&
		    fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    container_now() / 1000000000 - st.st_mtime > 60)
			unlinkat(dir, entry->d_name, 0);
	}
}

static json_t *make_head(const struct secret_create_opts *o, const json_t *old)
{
	char hex[ID_LEN + 1];
	json_t *head = json_object();
	io_random_hex(ID_LEN / 2, hex);
	json_put_int(head, "version", 1);
	json_put_str(head, "name", o->name);
	json_put_str(head, "id", old ? json_str_or_null(old, "id") : hex);
	json_put_int(head, "created", old ? json_int_or(old, "created", container_now()) : container_now());
	json_put_int(head, "updated", container_now());
	json_put_strv(head, "labels", o->labels);
	return head;
}

int secret_create(const char *root, const struct secret_create_opts *o, const struct str *data, struct str *ret_id,
		  struct err *e)
{
	struct store s;
	if (!path_is_plain_name(o->name))
		return err_set(e, EINVAL,
			       "'%s' is no name of a secret: letters, digits, '_', '.' and '-', beginning with "
			       "a letter or digit",
			       o->name);
	if (!data->len || data->len > SECRET_MAX)
		return err_set(e, data->len ? EFBIG : EINVAL, "secret %s: 1 to %d bytes, not %zu", o->name, SECRET_MAX,
			       data->len);
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autosecret struct secret old = SECRET_NONE;
	autofd int dir = store_dir(&s, secret_dir, e);
	r = dir < 0 ? dir : 0;
	if (r == 0) {
		sweep(dir);
		if (o->replace)
			(void)!read_secret(dir, o->name, &old, NULL);
		autojson json_t *head = make_head(o, old.head);
		r = write_secret(dir, o->name, head, data, o->replace, e);
		if (r == 0)
			str_adds(ret_id, json_str_or_null(head, "id"));
	}
	store_close(&s);
	return r;
}

/* ---- remove, look ---- */

/* Open the store and find the secret in it. */
static int open_secret(const char *root, const char *name, struct store *s, int *ret_dir, char **ret_name,
		       struct secret *ret, struct err *e)
{
	int r = store_open(root, true, s, e);
	if (r < 0)
		return r;
	autofd int dir = store_dir(s, secret_dir, e);
	r = dir < 0 ? dir : find_secret(dir, name, ret_name, ret, e);
	if (r < 0)
		store_close(s);
	else
		*ret_dir = take_fd(&dir);
	return r;
}

static int check_unused(const struct store *s, const char *name, struct err *e)
{
	struct container_list l;
	int r = container_store_list(s, &l, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l.count && r == 0; i++) {
		const struct run_opts *o = &l.items[i].config.o;
		for (size_t k = 0; !l.items[i].broken && k < o->nsecrets && r == 0; k++)
			if (str_eq(o->secrets[k].name, name)) {
				err_set(e, EBUSY, "secret %s is used by container %s", name, l.items[i].config.name);
				r = err_hint(e, "remove the container first: rl rm %s", l.items[i].config.name);
			}
	}
	container_list_free(&l);
	return r;
}

int secret_remove(const char *root, const char *name, struct err *e)
{
	struct store s;
	autofd int dir = -1;
	autofree char *found = NULL;
	autosecret struct secret secret = SECRET_NONE;
	int r = open_secret(root, name, &s, &dir, &found, &secret, e);
	if (r < 0)
		return r;
	r = check_unused(&s, found, e);
	if (r == 0 && unlinkat(dir, found, 0) < 0)
		r = err_sys(e, errno, "remove secret %s", found);
	store_close(&s);
	return r;
}

int secret_exists(const char *root, const char *name, struct err *e)
{
	struct store s;
	autofd int dir = -1;
	autofree char *found = NULL;
	autosecret struct secret secret = SECRET_NONE;
	struct err why = ERR_INIT;
	int r = open_secret(root, name, &s, &dir, &found, &secret, &why);
	if (r == 0)
		store_close(&s);
	if (r == -ENOENT)
		return 0;
	if (r < 0 && e)
		*e = why;
	return r < 0 ? r : 1;
}

static void put_time(json_t *out, const char *key, const json_t *head, const char *from)
{
	char text[FMT_SIZE];
	fmt_time(json_int_or(head, from, 0) / 1000000000, text);
	json_put_str(out, key, text);
}

static void put_age(json_t *out, const char *key, const json_t *head, const char *from)
{
	char text[FMT_SIZE];
	fmt_duration((container_now() - json_int_or(head, from, 0)) / 1000000000, text);
	autofree char *ago = xasprintf("%s ago", text);
	json_put_str(out, key, ago);
}

/* Filters of one name are alternatives. */
static int passes(const struct strv *filters, const char *name, const char *id, struct err *e)
{
	bool by_name = false, by_id = false, name_ok = false, id_ok = false;
	for (size_t i = 0; i < filters->count; i++) {
		const char *value;
		if ((value = str_after(filters->items[i], "name="))) {
			by_name = true;
			name_ok |= strstr(name, value) != NULL;
		} else if ((value = str_after(filters->items[i], "id="))) {
			by_id = true;
			id_ok |= str_after(id, value) != NULL;
		} else {
			return err_set(e, EINVAL, "--filter '%s': name= or id= is expected", filters->items[i]);
		}
	}
	return (!by_name || name_ok) && (!by_id || id_ok);
}

int secret_rows(const char *root, const struct strv *filters, json_t **ret_rows, struct err *e)
{
	struct store s;
	autostrv struct strv names = STRV_INIT;
	autojson json_t *rows = json_array();
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autofd int dir = store_dir(&s, secret_dir, e);
	r = dir < 0 ? dir : list_names(dir, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		autosecret struct secret one = SECRET_NONE;
		struct err why = ERR_INIT;
		if (read_secret(dir, names.items[i], &one, &why) < 0) {
			log_warn("%s", why.text);
			continue;
		}
		const char *id = json_str_or_null(one.head, "id");
		r = passes(filters, names.items[i], id, e);
		if (r != 1)
			continue;
		json_t *row = json_object();
		json_put_str(row, "ID", id);
		json_put_str(row, "Name", names.items[i]);
		json_put_str(row, "Driver", "file");
		put_age(row, "CreatedAt", one.head, "created");
		put_age(row, "UpdatedAt", one.head, "updated");
		json_array_append_new(rows, row);
	}
	store_close(&s);
	if (r < 0)
		return r;
	*ret_rows = json_incref(rows);
	return 0;
}

int secret_inspect(const char *root, const char *name, bool show, json_t **ret_doc, struct err *e)
{
	struct store s;
	autofd int dir = -1;
	autofree char *found = NULL;
	autosecret struct secret secret = SECRET_NONE;
	int r = open_secret(root, name, &s, &dir, &found, &secret, e);
	if (r < 0)
		return r;
	store_close(&s);
	json_t *doc = json_object();
	json_t *spec = json_object();
	json_t *driver = json_object();
	json_t *labels = json_object();
	const json_t *pairs = json_object_get(secret.head, "labels");
	size_t i;
	json_t *pair;
	json_array_foreach (pairs, i, pair) {
		autofree char *key = xstrdup(json_string_value(pair) ? json_string_value(pair) : "");
		char *eq = strchr(key, '=');
		if (eq)
			*eq = '\0';
		json_put_str(labels, key, eq ? eq + 1 : "");
	}
	json_put_str(doc, "ID", json_str_or_null(secret.head, "id"));
	put_time(doc, "CreatedAt", secret.head, "created");
	put_time(doc, "UpdatedAt", secret.head, "updated");
	json_put_str(driver, "Name", "file");
	json_put(driver, "Options", json_object());
	json_put_str(spec, "Name", found);
	json_put(spec, "Driver", driver);
	json_put(spec, "Labels", labels);
	json_put(doc, "Spec", spec);
	if (show)
		json_put(doc, "SecretData", json_string_lossy(secret.data.buf, secret.data.len));
	*ret_doc = doc;
	return 0;
}

/* ---- into a container ---- */

static int add_one(int dir, const struct secret_opt *o, struct rtspec *spec, struct err *e)
{
	autofree char *found = NULL;
	autosecret struct secret secret = SECRET_NONE;
	int r = find_secret(dir, o->name, &found, &secret, e);
	if (r < 0)
		return r;
	if (!o->env) {
		rtspec_add_secret(spec, o->target, o->uid, o->gid, o->mode, secret.data.buf, secret.data.len);
		return 0;
	}
	if (memchr(secret.data.buf, '\0', secret.data.len))
		return err_set(e, EINVAL, "secret %s has a NUL byte and cannot be a variable", o->name);
	strv_env_set(&spec->secret_env, o->target, secret.data.buf);
	return 0;
}

int secret_add_env(const struct store *s, const struct run_opts *o, const struct run_opts *now, struct rtspec *spec,
		   struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < o->nsecrets && r == 0; i++) {
		const struct secret_opt *one = &o->secrets[i];
		bool given = false;
		for (size_t k = 0; now && k < now->nenv && !given; k++)
			given = str_eq(now->env[k].key, one->target);
		if (!one->env || given)
			continue;
		autofd int dir = store_dir(s, secret_dir, e);
		r = dir < 0 ? dir : add_one(dir, one, spec, e);
	}
	return r < 0 ? err_ctx(e, "--secret") : 0;
}

int secret_add_to_spec(const struct store *s, const struct run_opts *o, struct rtspec *spec, struct err *e)
{
	autofd int dir = o->nsecrets ? store_dir(s, secret_dir, e) : -1;
	int r = o->nsecrets && dir < 0 ? dir : 0;
	for (size_t i = 0; i < o->nsecrets && r == 0; i++)
		r = add_one(dir, &o->secrets[i], spec, e);
	return r < 0 ? err_ctx(e, "--secret") : 0;
}
