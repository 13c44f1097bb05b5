/*
 * fields.c - structs as JSON objects, by a table of their members; see fields_int.h.
 *
 * One table of (key, type, offset) drives writing and reading, so the two cannot disagree about a member. A string that
 * is not UTF-8 (a file name may be any bytes) is written as {"hex": ...}, because what is read back must be the same
 * bytes. Reading takes documents that may be damaged: a member of the wrong type is an error that names it.
 */
#include "fields_int.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { FEW = 8 };

json_t *field_exact_string(const char *text)
{
	json_t *v = json_string(text);
	if (v)
		return v;
	autofree char *hex = xmalloc(2 * strlen(text) + 1);
	io_hex(text, strlen(text), hex);
	v = json_object();
	json_put_str(v, "hex", hex);
	return v;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *field_read_string(const json_t *v)
{
	if (json_is_string(v))
		return xstrdup(json_string_value(v));
	const char *hex = json_str_or_null(v, "hex");
	if (!hex || strlen(hex) % 2)
		return NULL;
	size_t n = strlen(hex) / 2;
	autofree char *text = xmalloc(n + 1);
	for (size_t i = 0; i < n; i++) {
		int high = nibble(hex[2 * i]);
		int low = nibble(hex[2 * i + 1]);
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return NULL;
		text[i] = (char)(high << 4 | low);
	}
	text[n] = '\0';
	return take_ptr(&text);
}

static json_t *write_field(const struct field *f, const char *at)
{
	char text[24];
	switch (f->type) {
	case FIELD_STR:
		return *(char *const *)at ? field_exact_string(*(char *const *)at) : NULL;
	case FIELD_CHARS:
		return *at ? field_exact_string(at) : NULL;
	case FIELD_STRV: {
		const struct strv *v = (const void *)at;
		if (!v->count)
			return NULL;
		json_t *array = json_array();
		for (size_t i = 0; i < v->count; i++)
			json_array_append_new(array, field_exact_string(v->items[i]));
		return array;
	}
	case FIELD_BOOL:
		return json_boolean(*(const bool *)at);
	case FIELD_INT:
		return json_integer(*(const int *)(const void *)at);
	case FIELD_UINT:
		return json_integer(*(const unsigned *)(const void *)at);
	case FIELD_I64:
		return json_integer(*(const int64_t *)(const void *)at);
	case FIELD_U64:
		if (*(const uint64_t *)(const void *)at <= INT64_MAX)
			return json_integer((json_int_t) * (const uint64_t *)(const void *)at);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)*(const uint64_t *)(const void *)at);
		return json_string(text);
	}
	return NULL;
}

void fields_to_json(const struct field *fields, size_t n, const void *obj, json_t *out)
{
	for (size_t i = 0; i < n; i++) {
		json_t *v = write_field(&fields[i], (const char *)obj + fields[i].offset);
		if (v)
			json_object_set_new(out, fields[i].name, v);
	}
}

static bool is_zero(const struct field *f, const void *obj)
{
	static const char zeros[sizeof(uint64_t)];
	size_t size = 0;
	switch (f->type) {
	case FIELD_BOOL:
		size = sizeof(bool);
		break;
	case FIELD_INT:
	case FIELD_UINT:
		size = sizeof(int);
		break;
	case FIELD_I64:
	case FIELD_U64:
		size = sizeof(uint64_t);
		break;
	case FIELD_STR:
	case FIELD_CHARS:
	case FIELD_STRV:
		return false;
	}
	return memcmp((const char *)obj + f->offset, zeros, size) == 0;
}

void fields_to_json_brief(const struct field *fields, size_t n, const void *obj, const void *defaults, json_t *out)
{
	for (size_t i = 0; i < n; i++)
		if (!is_zero(&fields[i], obj) || !is_zero(&fields[i], defaults))
			fields_to_json(&fields[i], 1, obj, out);
}

static int bad(const struct field *f, const char *want, struct err *e)
{
	return err_set(e, EBADMSG, "\"%s\" is not %s", f->name, want);
}

static int read_strv(const struct field *f, const json_t *v, struct strv *out, struct err *e)
{
	if (!json_is_array(v))
		return bad(f, "an array of strings", e);
	autostrv struct strv items = STRV_INIT;
	size_t i;
	json_t *item;
	json_array_foreach (v, i, item) {
		char *text = field_read_string(item);
		if (!text)
			return bad(f, "an array of strings", e);
		strv_add_owned(&items, text);
	}
	strv_free(out);
	*out = items;
	items = (struct strv)STRV_INIT;
	return 0;
}

static int read_number(const struct field *f, const json_t *v, char *at, struct err *e)
{
	if (f->type == FIELD_U64 && json_is_string(v))
		return str_to_u64(json_string_value(v), UINT64_MAX, f->name, (uint64_t *)(void *)at, e);
	if (!json_is_integer(v))
		return bad(f, "an integer", e);
	int64_t n = json_integer_value(v);
	int64_t min = f->type == FIELD_I64 ? INT64_MIN : f->type == FIELD_INT ? INT_MIN : 0;
	int64_t max = f->type == FIELD_INT ? INT_MAX : f->type == FIELD_UINT ? UINT_MAX : INT64_MAX;
	if (f->min || f->max) {
		min = f->min;
		max = f->max;
	}
	if (n < min || n > max)
		return bad(f, "in range", e);
	if (f->type == FIELD_INT)
		*(int *)(void *)at = (int)n;
	else if (f->type == FIELD_UINT)
		*(unsigned *)(void *)at = (unsigned)n;
	else
		*(int64_t *)(void *)at = n; /* the same bits for a uint64_t that is not negative */
	return 0;
}

static int read_field(const struct field *f, const json_t *v, char *at, struct err *e)
{
	if (f->type == FIELD_STRV)
		return read_strv(f, v, (struct strv *)(void *)at, e);
	if (f->type == FIELD_BOOL) {
		if (!json_is_boolean(v))
			return bad(f, "true or false", e);
		*(bool *)at = json_is_true(v);
		return 0;
	}
	if (f->type != FIELD_STR && f->type != FIELD_CHARS)
		return read_number(f, v, at, e);
	autofree char *text = field_read_string(v);
	if (!text)
		return bad(f, "a string", e);
	if (f->type == FIELD_STR) {
		free(*(char **)(void *)at);
		*(char **)(void *)at = take_ptr(&text);
		return 0;
	}
	if (strlen(text) >= f->size)
		return bad(f, "of its length", e);
	memcpy(at, text, strlen(text) + 1);
	return 0;
}

/* Into every field of that name. */
static int read_member(const struct field *fields, size_t n, const char *key, const json_t *v, void *obj, struct err *e)
{
	for (size_t i = 0; i < n && !json_is_null(v); i++) {
		if (fields[i].name[0] != key[0] || !str_eq(fields[i].name, key))
			continue;
		int r = read_field(&fields[i], v, (char *)obj + fields[i].offset, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int fields_from_json(const struct field *fields, size_t n, const json_t *doc, void *obj, struct err *e)
{
	if (!json_is_object(doc))
		return err_set(e, EBADMSG, "not an object");
	/* Of the hundred options a list asks for five: they are looked for in the table then, not the table in them. */
	bool few = json_object_size(doc) < n / FEW;
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)(uintptr_t)doc, key, value) {
		if (!few)
			break;
		int r = read_member(fields, n, key, value, obj, e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n && !few; i++) {
		const json_t *v = json_object_get(doc, fields[i].name);
		if (!v || json_is_null(v))
			continue;
		int r = read_field(&fields[i], v, (char *)obj + fields[i].offset, e);
		if (r < 0)
			return r;
	}
	return 0;
}
