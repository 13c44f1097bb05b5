/*
 * json.c - see json.h. jansson does the parsing; what is here is what it is asked to refuse, the difference between
 * absent and wrong, and text that is not UTF-8, which jansson itself would refuse to store.
 */
#include "rl/base/json.h"

#include <errno.h>
#include <stdlib.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"

int json_parse(const char *text, size_t len, const char *what, json_t **ret_doc, struct err *e)
{
	json_error_t error;
	json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!doc)
		return err_set(e, EBADMSG, "%s: not valid JSON: line %d: %s", what, error.line, error.text);
	*ret_doc = doc;
	return 0;
}

int json_parse_file(int dirfd, const char *path, size_t max, json_t **ret_doc, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_file(dirfd, path, max, &text, e);
	if (r < 0)
		return r;
	return json_parse(text.buf, text.len, path, ret_doc, e);
}

static int wrong_type(const char *key, const char *want, struct err *e)
{
	return err_set(e, EINVAL, "\"%s\" is not %s", key, want);
}

static int get(const json_t *obj, const char *key, json_t **ret_value)
{
	json_t *v = json_object_get(obj, key);
	if (!v || json_is_null(v))
		return 0;
	*ret_value = v;
	return 1;
}

int json_get_str(const json_t *obj, const char *key, const char **ret_value, struct err *e)
{
	json_t *v;
	if (!get(obj, key, &v))
		return 0;
	if (!json_is_string(v))
		return wrong_type(key, "a string", e);
	*ret_value = json_string_value(v);
	return 1;
}

int json_get_int(const json_t *obj, const char *key, int64_t *ret_value, struct err *e)
{
	json_t *v;
	if (!get(obj, key, &v))
		return 0;
	if (!json_is_integer(v))
		return wrong_type(key, "an integer", e);
	*ret_value = json_integer_value(v);
	return 1;
}

int json_get_bool(const json_t *obj, const char *key, bool *ret_value, struct err *e)
{
	json_t *v;
	if (!get(obj, key, &v))
		return 0;
	if (!json_is_boolean(v))
		return wrong_type(key, "true or false", e);
	*ret_value = json_is_true(v);
	return 1;
}

int json_get_obj(const json_t *obj, const char *key, json_t **ret_value, struct err *e)
{
	json_t *v;
	if (!get(obj, key, &v))
		return 0;
	if (!json_is_object(v))
		return wrong_type(key, "an object", e);
	*ret_value = v;
	return 1;
}

int json_get_array(const json_t *obj, const char *key, json_t **ret_value, struct err *e)
{
	json_t *v;
	if (!get(obj, key, &v))
		return 0;
	if (!json_is_array(v))
		return wrong_type(key, "an array", e);
	*ret_value = v;
	return 1;
}

int json_get_strv(const json_t *obj, const char *key, struct strv *out, struct err *e)
{
	json_t *array = NULL;
	int r = json_get_array(obj, key, &array, e);
	if (r <= 0)
		return r;
	size_t i;
	json_t *item;
	json_array_foreach (array, i, item)
		if (!json_is_string(item))
			return wrong_type(key, "an array of strings", e);
	json_array_foreach (array, i, item)
		strv_add(out, json_string_value(item));
	return 1;
}

const char *json_str_or_null(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

int64_t json_int_or(const json_t *obj, const char *key, int64_t fallback)
{
	json_t *v = json_object_get(obj, key);
	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool json_bool_or(const json_t *obj, const char *key, bool fallback)
{
	json_t *v = json_object_get(obj, key);
	return json_is_boolean(v) ? json_is_true(v) : fallback;
}

static bool is_utf8(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(text + i, len - i);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

json_t *json_string_lossy(const char *text, size_t len)
{
	json_t *v = json_stringn(text, len);
	if (v)
		return v;
	autostr struct str clean = STR_INIT;
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(text + i, len - i);
		if (n)
			str_add(&clean, text + i, n);
		else
			str_adds(&clean, "\xef\xbf\xbd");
		i += n ? n : 1;
	}
	return json_stringn(clean.buf, clean.len);
}

void json_put(json_t *obj, const char *key, json_t *value)
{
	/* A key may come from a person or an image (a label); jansson takes UTF-8 only. */
	autojson json_t *clean = NULL;
	if (!is_utf8(key, strlen(key))) {
		clean = json_string_lossy(key, strlen(key));
		key = json_string_value(clean);
	}
	if (json_object_set_new(obj, key, value) < 0)
		abort(); /* only on memory exhaustion or a NULL value: both end the process */
}

json_t *json_member(json_t *obj, const char *key, json_type type)
{
	json_t *v = json_object_get(obj, key);
	if (!v || json_typeof(v) != type) {
		v = type == JSON_ARRAY ? json_array() : json_object();
		json_put(obj, key, v);
	}
	return v;
}

void json_put_str(json_t *obj, const char *key, const char *text)
{
	if (text)
		json_put(obj, key, json_string_lossy(text, strlen(text)));
}

void json_put_int(json_t *obj, const char *key, int64_t value)
{
	json_put(obj, key, json_integer(value));
}

void json_put_bool(json_t *obj, const char *key, bool value)
{
	json_put(obj, key, json_boolean(value));
}

void json_put_strv(json_t *obj, const char *key, const struct strv *v)
{
	json_t *array = json_array();
	for (size_t i = 0; i < v->count; i++)
		json_array_append_new(array, json_string_lossy(v->items[i], strlen(v->items[i])));
	json_put(obj, key, array);
}

static int add_to_str(const char *buf, size_t len, void *out)
{
	str_add(out, buf, len);
	return 0;
}

void json_print(const json_t *doc, bool pretty, struct str *out)
{
	json_dump_callback(doc, add_to_str, out, JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT));
}
