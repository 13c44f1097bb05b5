/*
 * oci_config.c - reads a document along the table of oci_fields.c; knows no member by name.
 */
#include "rl/model/oci_config.h"

#include <errno.h>
#include <stdlib.h>

#include "oci_fields.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

/* jansson reads no integer above INT64_MAX. Such literals become strings with a prefix that JSON text cannot have by
 * accident, and numbers take these. */
static const char big_prefix[] = "\001u64:";

struct reader {
	struct str path; /* of the member being read */
	struct strv *ignored;
	struct err *e;
};

static int read_members(struct reader *r, const json_t *obj, const struct oci_field *table, char *base);

static int wrong(struct reader *r, const char *want)
{
	return err_set(r->e, EINVAL, "%s is not %s", r->path.len ? r->path.buf : "the document", want);
}

static int read_text(struct reader *r, const json_t *v, char **ret)
{
	if (!json_is_string(v))
		return wrong(r, "a string");
	if (strlen(json_string_value(v)) != json_string_length(v))
		return wrong(r, "a string without NUL");
	free(*ret);
	*ret = xstrdup(json_string_value(v));
	return 0;
}

static int read_number(struct reader *r, const json_t *v, struct oci_num *ret)
{
	const char *digits = json_is_string(v) ? str_after(json_string_value(v), big_prefix) : NULL;
	uint64_t value = 0;
	if (digits) {
		int q = str_to_u64(digits, UINT64_MAX, r->path.buf, &value, r->e);
		if (q < 0)
			return q;
		*ret = (struct oci_num){true, (int64_t)value};
		return 0;
	}
	if (!json_is_integer(v))
		return wrong(r, "an integer");
	*ret = (struct oci_num){true, json_integer_value(v)};
	return 0;
}

static int read_bool(struct reader *r, const json_t *v, struct oci_num *ret)
{
	if (!json_is_boolean(v))
		return wrong(r, "true or false");
	*ret = (struct oci_num){true, json_is_true(v)};
	return 0;
}

static int check_list(struct reader *r, const json_t *v)
{
	if (!json_is_array(v))
		return wrong(r, "a list");
	if (json_array_size(v) > OCI_LIST_MAX)
		return err_set(r->e, E2BIG, "%s has more than %d items", r->path.buf, OCI_LIST_MAX);
	return 0;
}

static int read_strings(struct reader *r, const json_t *v, struct strv *ret)
{
	size_t len = r->path.len;
	int q = check_list(r, v);
	for (size_t i = 0; q == 0 && i < json_array_size(v); i++) {
		char *text = NULL;
		str_addf(&r->path, "[%zu]", i);
		q = read_text(r, json_array_get(v, i), &text);
		str_cut(&r->path, len);
		if (q == 0)
			strv_add_owned(ret, text);
	}
	return q;
}

static int read_list(struct reader *r, const json_t *v, const struct oci_field *f, struct oci_list *ret)
{
	size_t len = r->path.len;
	size_t size = f->kind == OCI_LIST ? f->size : sizeof(struct oci_num);
	int q = check_list(r, v);
	if (q < 0 || !json_array_size(v) || ret->items)
		return q;
	ret->items = xcalloc(json_array_size(v), size);
	for (size_t i = 0; q == 0 && i < json_array_size(v); i++) {
		char *item = (char *)ret->items + i * size;
		str_addf(&r->path, "[%zu]", i);
		ret->count = i + 1;
		q = f->kind == OCI_LIST ? read_members(r, json_array_get(v, i), f->members, item)
					: read_number(r, json_array_get(v, i), (struct oci_num *)(void *)item);
		str_cut(&r->path, len);
	}
	return q;
}

static int read_map(struct reader *r, const json_t *v, const struct oci_field *f, json_t **ret)
{
	const char *name;
	json_t *value;
	size_t len = r->path.len;
	if (!json_is_object(v))
		return wrong(r, "an object");
	json_object_foreach ((json_t *)(uintptr_t)v, name, value) {
		int q = 0;
		str_addf(&r->path, ".%s", name);
		if (!f->members && !json_is_string(value))
			q = wrong(r, "a string");
		for (const struct oci_field *m = f->members; m && m->name && q == 0; m++) {
			const json_t *x = json_object_get(value, m->name);
			if (!json_is_object(value) || (x && !json_is_null(x) && !json_is_integer(x)))
				q = wrong(r, "an object of integers");
		}
		str_cut(&r->path, len);
		if (q < 0)
			return q;
	}
	json_decref(*ret);
	*ret = json_incref((json_t *)(uintptr_t)v);
	return 0;
}

static int read_field(struct reader *r, const json_t *v, const struct oci_field *f, char *base)
{
	void *at = base + f->offset;
	switch (f->kind) {
	case OCI_TEXT:
		return read_text(r, v, at);
	case OCI_BOOL:
		return read_bool(r, v, at);
	case OCI_NUMBER:
		return read_number(r, v, at);
	case OCI_STRINGS:
		return read_strings(r, v, at);
	case OCI_NUMBERS:
	case OCI_LIST:
		return read_list(r, v, f, at);
	case OCI_OBJECT:
		if (f->has_present)
			*(bool *)(void *)(base + f->present) = true;
		return read_members(r, v, f->members, at);
	case OCI_MAP:
		return read_map(r, v, f, at);
	case OCI_RAW: {
		json_t **raw = at;
		json_decref(*raw);
		*raw = json_incref((json_t *)(uintptr_t)v);
		return 0;
	}
	case OCI_REFUSED:
		return err_set(r->e, EOPNOTSUPP, "%s is not supported: %s", r->path.buf, f->why);
	case OCI_UNUSED:
		log_debug(LOG_RUN, "%s is ignored: %s", r->path.buf, f->why);
		return 0;
	}
	return 0;
}

static const struct oci_field *find(const struct oci_field *table, const char *name)
{
	for (; table->name; table++)
		if (str_eq(table->name, name))
			return table;
	return NULL;
}

static int read_members(struct reader *r, const json_t *obj, const struct oci_field *table, char *base)
{
	const char *name;
	json_t *v;
	size_t len = r->path.len;
	if (!json_is_object(obj))
		return wrong(r, "an object");
	json_object_foreach ((json_t *)(uintptr_t)obj, name, v) {
		const struct oci_field *f = find(table, name);
		str_addf(&r->path, "%s%s", len ? "." : "", name);
		int q = 0;
		if (f && !json_is_null(v)) {
			q = read_field(r, v, f, base);
		} else if (!f) {
			log_debug(LOG_RUN, "%s is unknown and ignored", r->path.buf);
			if (r->ignored)
				strv_add(r->ignored, r->path.buf);
		}
		str_cut(&r->path, len);
		if (q < 0)
			return q;
	}
	for (const struct oci_field *f = table; f->name; f++) {
		const json_t *x = f->required ? json_object_get(obj, f->name) : obj;
		if (!x || json_is_null(x))
			return err_set(r->e, EINVAL, "%s%s%s is missing", r->path.buf, len ? "." : "", f->name);
	}
	return 0;
}

static void free_members(const struct oci_field *table, char *base)
{
	for (const struct oci_field *f = table; f->name; f++) {
		void *at = base + f->offset;
		struct oci_list *list = at;
		if (f->kind == OCI_TEXT)
			free(*(char **)at);
		else if (f->kind == OCI_STRINGS)
			strv_free(at);
		else if (f->kind == OCI_OBJECT)
			free_members(f->members, at);
		else if (f->kind == OCI_MAP || f->kind == OCI_RAW)
			json_decref(*(json_t **)at);
		if (f->kind == OCI_LIST)
			for (size_t i = 0; i < list->count; i++)
				free_members(f->members, (char *)list->items + i * f->size);
		if (f->kind == OCI_LIST || f->kind == OCI_NUMBERS)
			free(list->items);
	}
}

/* Length of the integer at `p` if it is above INT64_MAX, else 0. */
static size_t big_number(const char *p, const char *end)
{
	static const char limit[] = "9223372036854775807";
	size_t n = 0;
	while (p + n < end && p[n] >= '0' && p[n] <= '9')
		n++;
	bool whole = p + n == end || !strchr(".eE", p[n]);
	size_t digits = strlen(limit);
	return whole && (n > digits || (n == digits && memcmp(p, limit, digits) > 0)) ? n : 0;
}

static void quote_big_numbers(const char *text, size_t len, struct str *out)
{
	const char *end = text + len;
	const char *from = text;
	bool in_string = false;
	for (const char *p = text; p < end; p++) {
		if (in_string && *p == '\\') {
			p++;
			continue;
		}
		if (*p == '"')
			in_string = !in_string;
		bool starts = *p >= '0' && *p <= '9' && (p == text || !strchr("0123456789.eE+-", p[-1]));
		size_t n = !in_string && starts ? big_number(p, end) : 0;
		if (!n)
			continue;
		str_add(out, from, (size_t)(p - from));
		str_addf(out, "\"\\u0001u64:%.*s\"", (int)n, p);
		from = p + n;
		p = from - 1;
	}
	if (from < end)
		str_add(out, from, (size_t)(end - from));
}

static int parse(const char *text, size_t len, const char *what, const struct oci_field *table, void *base,
		 struct strv *ignored, struct err *e)
{
	autostr struct str quoted = STR_INIT;
	autojson json_t *doc = NULL;
	if (len > OCI_CONFIG_MAX)
		return err_set(e, EFBIG, "%s has more than %d bytes", what, OCI_CONFIG_MAX);
	quote_big_numbers(text, len, &quoted);
	int q = json_parse(quoted.buf, quoted.len, what, &doc, e);
	if (q < 0)
		return q;
	struct reader r = {.path = STR_INIT, .ignored = ignored, .e = e};
	q = read_members(&r, doc, table, base);
	str_free(&r.path);
	return q < 0 ? err_ctx(e, "%s", what) : 0;
}

int oci_config_parse(const char *text, size_t len, struct oci_config *ret_config, struct err *e)
{
	struct oci_config c = OCI_CONFIG_INIT;
	int q = parse(text, len, "config.json", oci_config_table, &c, &c.ignored, e);
	if (q < 0)
		oci_config_free(&c);
	else
		*ret_config = c;
	return q;
}

void oci_config_free(struct oci_config *c)
{
	free_members(oci_config_table, (char *)c);
	strv_free(&c->ignored);
	*c = (struct oci_config)OCI_CONFIG_INIT;
}

int oci_process_parse(const char *text, size_t len, struct oci_process *ret_process, struct err *e)
{
	struct oci_process p = {.given = true};
	int q = parse(text, len, "process.json", oci_process_table, &p, NULL, e);
	if (q < 0)
		oci_process_free(&p);
	else
		*ret_process = p;
	return q;
}

void oci_process_free(struct oci_process *p)
{
	free_members(oci_process_table, (char *)p);
	*p = (struct oci_process){.given = false};
}

int oci_resources_parse(const char *text, size_t len, struct oci_resources *ret_resources, struct err *e)
{
	struct oci_resources res = {.given = true};
	int q = parse(text, len, "resources", oci_resources_table, &res, NULL, e);
	if (q < 0)
		oci_resources_free(&res);
	else
		*ret_resources = res;
	return q;
}

void oci_resources_free(struct oci_resources *r)
{
	free_members(oci_resources_table, (char *)r);
	*r = (struct oci_resources){.given = false};
}

static void list_fields(const struct oci_field *table, struct str *path, struct str *out)
{
	size_t len = path->len;
	for (const struct oci_field *f = table; f->name; f++) {
		str_addf(path, "%s%s", len ? "." : "", f->name);
		if (f->kind == OCI_LIST)
			str_adds(path, "[]");
		else if (f->kind == OCI_MAP)
			str_adds(path, ".*");
		str_addf(out, "%s\t", path->buf);
		if (f->kind == OCI_REFUSED || f->kind == OCI_UNUSED)
			str_addf(out, "%s: %s\n", f->kind == OCI_REFUSED ? "refused" : "ignored", f->why);
		else
			str_adds(out, "handled\n");
		if (f->members)
			list_fields(f->members, path, out);
		str_cut(path, len);
	}
}

void oci_config_fields(struct str *out)
{
	autostr struct str path = STR_INIT;
	list_fields(oci_config_table, &path, out);
}

const char *oci_hook_kind_name(enum oci_hook_kind kind)
{
	static const char *const names[] = {
		[OCI_HOOK_PRESTART] = "prestart",
		[OCI_HOOK_CREATE_RUNTIME] = "createRuntime",
		[OCI_HOOK_CREATE_CONTAINER] = "createContainer",
		[OCI_HOOK_START_CONTAINER] = "startContainer",
		[OCI_HOOK_POSTSTART] = "poststart",
		[OCI_HOOK_POSTSTOP] = "poststop",
	};
	_Static_assert(ARRAY_SIZE(names) == OCI_HOOK_KINDS, "a name for every kind");
	return names[kind];
}
