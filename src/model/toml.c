/*
 * toml.c - see toml.h.
 *
 * One pass over the text with a cursor; every function leaves the cursor behind what it consumed. The document is built
 * as a JSON tree at once. What JSON cannot say, namely how a table came to be, which decides whether it may be added to
 * later, is kept beside the tree in `origins`, keyed by the address of the node (nodes are never freed while parsing).
 *
 * How a table came to be         [header] may define it   [sub.header] below   a.b = dotted keys may add
 * only named as a parent         yes, once                yes                  no
 * by [header] or [[header]]      no                       yes                  no (only its own section's keys)
 * by a dotted key                no                       yes                  yes
 * inline { }                     no                       no                   no
 */
#include "rl/model/toml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "toml_int.h"

enum origin { ORIGIN_NONE, ORIGIN_PARENT, ORIGIN_HEADER, ORIGIN_DOTTED, ORIGIN_INLINE, ORIGIN_TABLES };

static void set_origin(struct toml *t, const json_t *node, enum origin o)
{
	char key[32];
	snprintf(key, sizeof(key), "%p", (const void *)node);
	json_object_set_new(t->origins, key, json_integer(o));
}

static enum origin origin_of(const struct toml *t, const json_t *node)
{
	char key[32];
	snprintf(key, sizeof(key), "%p", (const void *)node);
	return (enum origin)json_integer_value(json_object_get(t->origins, key));
}

static int put_new(struct toml *t, json_t *obj, const char *key, json_t *value)
{
	if (json_object_get(obj, key)) {
		json_decref(value);
		return toml_fail(t, "a key is defined twice");
	}
	if (json_object_set_new(obj, key, value) < 0)
		return toml_fail(t, "a key is not UTF-8");
	return 0;
}

static int digit_of(int c, int base)
{
	int d = toml_hex_digit(c);
	return d >= 0 && d < base ? d : -1;
}

static int take_number(struct toml *t, json_t **ret_value)
{
	bool negative = toml_peek(t) == '-', sign = negative || toml_peek(t) == '+';
	const char *start = t->p += sign;
	int base = 10;
	if (t->end - t->p > 2 && t->p[0] == '0' && !sign)
		base = t->p[1] == 'x' ? 16 : t->p[1] == 'o' ? 8 : t->p[1] == 'b' ? 2 : 10;
	if (base != 10)
		start = t->p += 2;
	uint64_t v = 0;
	bool was_digit = false;
	for (; t->p < t->end; t->p++) {
		if (*t->p == '_') {
			if (!was_digit)
				return toml_fail(t, "misplaced '_' in a number");
			was_digit = false;
			continue;
		}
		int d = digit_of((unsigned char)*t->p, base);
		if (d < 0)
			break;
		if (v > ((uint64_t)INT64_MAX - (uint64_t)d) / (uint64_t)base)
			return toml_fail(t, "number out of range");
		v = v * (uint64_t)base + (uint64_t)d;
		was_digit = true;
	}
	int c = toml_peek(t);
	if (t->p == start && (c == 'i' || c == 'n')) /* inf, nan */
		return err_set(t->e, EOPNOTSUPP, "%s: line %u: floats are not supported", t->what, t->line);
	if (t->p == start || !was_digit)
		return toml_fail(t, "a value is expected here");
	if (c == '.' || c == 'e' || c == 'E' || c == ':' || (c == '-' && base == 10))
		return err_set(t->e, EOPNOTSUPP, "%s: line %u: floats, dates and times are not supported", t->what,
			       t->line);
	if (toml_is_bare(c) || (base == 10 && start[0] == '0' && t->p - start > 1))
		return toml_fail(t, "bad number");
	*ret_value = json_integer(negative ? -(json_int_t)v : (json_int_t)v);
	return 0;
}

static int take_word(struct toml *t, const char *word, json_t *value, json_t **ret_value)
{
	size_t n = strlen(word);
	if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0 || (t->p + n < t->end && toml_is_bare(t->p[n])))
		return toml_fail(t, "a value is expected here");
	t->p += n;
	*ret_value = value;
	return 0;
}

static int take_value(struct toml *t, int depth, json_t **ret_value);
static int take_pair(struct toml *t, json_t *table, int depth);

static int take_array(struct toml *t, int depth, json_t **ret_value)
{
	autojson json_t *array = json_array();
	t->p++;
	for (;;) {
		int r = toml_skip_all(t);
		if (r < 0)
			return r;
		if (toml_peek(t) == ']')
			break;
		json_t *item = NULL;
		r = take_value(t, depth + 1, &item);
		if (r < 0)
			return r;
		json_array_append_new(array, item);
		r = toml_skip_all(t);
		if (r < 0)
			return r;
		if (toml_peek(t) == ',')
			t->p++;
		else if (toml_peek(t) != ']')
			return toml_fail(t, "',' or ']' is expected here");
	}
	t->p++;
	*ret_value = take_ptr(&array);
	return 0;
}

/* Everything inside braces is closed once the brace is: tables made by dotted keys in there too. */
static void close_tables(struct toml *t, json_t *table)
{
	const char *key;
	json_t *v;
	set_origin(t, table, ORIGIN_INLINE);
	json_object_foreach (table, key, v)
		if (json_is_object(v) && origin_of(t, v) == ORIGIN_DOTTED)
			close_tables(t, v);
}

static int take_inline_table(struct toml *t, int depth, json_t **ret_value)
{
	autojson json_t *table = json_object();
	t->p++;
	toml_skip_blanks(t);
	while (toml_peek(t) != '}') {
		int r = take_pair(t, table, depth + 1);
		if (r < 0)
			return r;
		toml_skip_blanks(t);
		if (toml_peek(t) == '}')
			break;
		if (toml_peek(t) != ',')
			return toml_fail(t, "',' or '}' is expected here");
		t->p++;
		toml_skip_blanks(t);
		if (toml_peek(t) == '}')
			return toml_fail(t, "',' before '}'");
	}
	t->p++;
	close_tables(t, table);
	*ret_value = take_ptr(&table);
	return 0;
}

static int take_value(struct toml *t, int depth, json_t **ret_value)
{
	autostr struct str s = STR_INIT;
	int r;
	if (depth > TOML_DEPTH_MAX)
		return toml_fail(t, "values are nested too deeply");
	switch (toml_peek(t)) {
	case '"':
	case '\'':
		r = toml_take_string(t, true, &s);
		if (r < 0)
			return r;
		*ret_value = json_stringn(s.buf, s.len);
		return *ret_value ? 0 : toml_fail(t, "a string is not UTF-8");
	case '[':
		return take_array(t, depth, ret_value);
	case '{':
		return take_inline_table(t, depth, ret_value);
	case 't':
		return take_word(t, "true", json_true(), ret_value);
	case 'f':
		return take_word(t, "false", json_false(), ret_value);
	default:
		return take_number(t, ret_value);
	}
}

/* key = value, with the tables a dotted key passes through. */
static int take_pair(struct toml *t, json_t *table, int depth)
{
	autostrv struct strv key = STRV_INIT;
	int r = toml_take_key(t, &key);
	if (r <= 0)
		return r;
	if (toml_peek(t) != '=')
		return toml_fail(t, "'=' is expected after a key");
	t->p++;
	toml_skip_blanks(t);
	for (size_t i = 0; i + 1 < key.count; i++) {
		json_t *next = json_object_get(table, key.items[i]);
		if (!next) {
			next = json_object();
			r = put_new(t, table, key.items[i], next);
			if (r < 0)
				return r;
			set_origin(t, next, ORIGIN_DOTTED);
		} else if (!json_is_object(next) || origin_of(t, next) != ORIGIN_DOTTED) {
			return toml_fail(t, "a dotted key adds to something defined elsewhere");
		}
		table = next;
	}
	json_t *value = NULL;
	r = take_value(t, depth, &value);
	if (r < 0)
		return r;
	return put_new(t, table, key.items[key.count - 1], value);
}

/* The table a header's name but its last part leads to. */
static int walk_header(struct toml *t, const struct strv *key, json_t **ret_table)
{
	json_t *table = t->root;
	for (size_t i = 0; i + 1 < key->count; i++) {
		json_t *next = json_object_get(table, key->items[i]);
		if (!next) {
			next = json_object();
			int r = put_new(t, table, key->items[i], next);
			if (r < 0)
				return r;
			set_origin(t, next, ORIGIN_PARENT);
		} else if (json_is_array(next) && origin_of(t, next) == ORIGIN_TABLES) {
			next = json_array_get(next, json_array_size(next) - 1);
		} else if (!json_is_object(next) || origin_of(t, next) == ORIGIN_INLINE) {
			return toml_fail(t, "a table is put below something that is no open table");
		}
		table = next;
	}
	*ret_table = table;
	return 0;
}

static int define_table(struct toml *t, json_t *parent, const char *name, json_t **ret_table)
{
	json_t *table = json_object_get(parent, name);
	if (table && (!json_is_object(table) || origin_of(t, table) != ORIGIN_PARENT))
		return toml_fail(t, "a table is defined twice");
	if (!table) {
		table = json_object();
		int r = put_new(t, parent, name, table);
		if (r < 0)
			return r;
	}
	set_origin(t, table, ORIGIN_HEADER);
	*ret_table = table;
	return 0;
}

static int append_table(struct toml *t, json_t *parent, const char *name, json_t **ret_table)
{
	json_t *array = json_object_get(parent, name);
	if (array && (!json_is_array(array) || origin_of(t, array) != ORIGIN_TABLES))
		return toml_fail(t, "an array of tables has the name of something else");
	if (!array) {
		array = json_array();
		int r = put_new(t, parent, name, array);
		if (r < 0)
			return r;
		set_origin(t, array, ORIGIN_TABLES);
	}
	json_t *table = json_object();
	json_array_append_new(array, table);
	set_origin(t, table, ORIGIN_HEADER);
	*ret_table = table;
	return 0;
}

/* [a.b] or [[a.b]]; the cursor is on the first bracket. */
static int take_header(struct toml *t, json_t **ret_table)
{
	autostrv struct strv key = STRV_INIT;
	bool many = t->end - t->p > 1 && t->p[1] == '[';
	t->p += many ? 2 : 1;
	toml_skip_blanks(t);
	int r = toml_take_key(t, &key);
	if (r <= 0)
		return r;
	for (int i = 0; i < (many ? 2 : 1); i++) {
		if (toml_peek(t) != ']')
			return toml_fail(t, "']' is expected here");
		t->p++;
	}
	json_t *parent = NULL;
	r = walk_header(t, &key, &parent);
	if (r < 0)
		return r;
	const char *name = key.items[key.count - 1];
	return many ? append_table(t, parent, name, ret_table) : define_table(t, parent, name, ret_table);
}

static int take_document(struct toml *t)
{
	json_t *table = t->root;
	for (;;) {
		int r = toml_skip_all(t);
		if (r < 0)
			return r;
		if (t->p == t->end)
			return 0;
		r = *t->p == '[' ? take_header(t, &table) : take_pair(t, table, 0);
		if (r < 0)
			return r;
		r = toml_end_line(t);
		if (r < 0)
			return r;
	}
}

int toml_parse(const char *text, size_t len, const char *what, json_t **ret_doc, struct err *e)
{
	autojson json_t *root = json_object();
	autojson json_t *origins = json_object();
	struct toml t = {
		.p = text, .end = text + len, .what = what, .line = 1, .root = root, .origins = origins, .e = e};
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		t.p += 3;
	if (memchr(text, 0, len))
		return err_set(e, EBADMSG, "%s: contains a NUL byte", what);
	int r = take_document(&t);
	if (r < 0)
		return r;
	*ret_doc = take_ptr(&root);
	return 0;
}
