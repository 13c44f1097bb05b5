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

enum origin { ORIGIN_NONE, ORIGIN_PARENT, ORIGIN_HEADER, ORIGIN_DOTTED, ORIGIN_INLINE, ORIGIN_TABLES };

struct toml {
	const char *p, *end;
	const char *what;
	unsigned line;
	json_t *root;
	json_t *origins;
	struct err *e;
};

static int fail(struct toml *t, const char *why)
{
	return err_set(t->e, EBADMSG, "%s: line %u: %s", t->what, t->line, why);
}

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

static int peek(const struct toml *t)
{
	return t->p < t->end ? (unsigned char)*t->p : -1;
}

static void skip_blanks(struct toml *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
		t->p++;
}

static bool is_newline(const struct toml *t)
{
	return peek(t) == '\n' || (peek(t) == '\r' && t->p + 1 < t->end && t->p[1] == '\n');
}

static void take_newline(struct toml *t)
{
	t->p += *t->p == '\r' ? 2 : 1;
	t->line++;
}

/* TOML's control characters: everything below space but tab, and DEL. */
static bool is_control(int c)
{
	return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f;
}

static int skip_comment(struct toml *t)
{
	if (peek(t) != '#')
		return 0;
	while (t->p < t->end && !is_newline(t)) {
		if (is_control((unsigned char)*t->p))
			return fail(t, "control character in a comment");
		t->p++;
	}
	return 0;
}

/* Blanks, comments and newlines, as allowed between values of an array. */
static int skip_all(struct toml *t)
{
	for (;;) {
		skip_blanks(t);
		int r = skip_comment(t);
		if (r < 0)
			return r;
		if (!is_newline(t))
			return 0;
		take_newline(t);
	}
}

/* After a header or a value nothing but a comment may follow on the line. */
static int end_line(struct toml *t)
{
	skip_blanks(t);
	int r = skip_comment(t);
	if (r < 0)
		return r;
	if (t->p == t->end)
		return 0;
	if (!is_newline(t))
		return fail(t, "something follows where the line should end");
	take_newline(t);
	return 0;
}

static void add_utf8(struct str *out, uint32_t c)
{
	if (c < 0x80) {
		str_addc(out, (char)c);
	} else if (c < 0x800) {
		str_addc(out, (char)(0xc0 | c >> 6));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		str_addc(out, (char)(0xe0 | c >> 12));
		str_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		str_addc(out, (char)(0xf0 | c >> 18));
		str_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		str_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int take_unicode(struct toml *t, int digits, struct str *out)
{
	uint32_t c = 0;
	for (int i = 0; i < digits; i++) {
		int d = hex_digit(peek(t));
		if (d < 0)
			return fail(t, "bad \\u escape");
		c = c << 4 | (uint32_t)d;
		t->p++;
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return fail(t, "\\u escape is no character");
	add_utf8(out, c);
	return 0;
}

static int take_escape(struct toml *t, bool multi, struct str *out)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	int c = peek(t);
	const char *at = c > 0 ? strchr(from, c) : NULL;
	if (at) {
		str_addc(out, to[at - from]);
		t->p++;
		return 0;
	}
	if (c == 'u' || c == 'U') {
		t->p++;
		return take_unicode(t, c == 'u' ? 4 : 8, out);
	}
	if (multi) {
		/* A backslash at the end of the line swallows the newline and all blanks up to the next text. */
		skip_blanks(t);
		if (is_newline(t)) {
			while (skip_blanks(t), is_newline(t))
				take_newline(t);
			return 0;
		}
	}
	return fail(t, "unknown escape in a string");
}

static int take_multi_string(struct toml *t, char quote, struct str *out)
{
	if (is_newline(t))
		take_newline(t);
	for (;;) {
		if (t->p == t->end)
			return fail(t, "string without end");
		if (*t->p == quote) {
			int n = 0;
			while (peek(t) == quote && n < 5) {
				t->p++;
				n++;
			}
			/* Up to two quotes may stand directly before the three that end the string. */
			for (int i = n >= 3 ? n - 3 : n; i > 0; i--)
				str_addc(out, quote);
			if (n >= 3)
				return 0;
		} else if (is_newline(t)) {
			take_newline(t);
			str_addc(out, '\n');
		} else if (*t->p == '\\' && quote == '"') {
			t->p++;
			int r = take_escape(t, true, out);
			if (r < 0)
				return r;
		} else if (is_control((unsigned char)*t->p)) {
			return fail(t, "control character in a string");
		} else {
			str_addc(out, *t->p++);
		}
	}
}

/* The cursor is on the opening quote. */
static int take_string(struct toml *t, bool allow_multi, struct str *out)
{
	char quote = *t->p++;
	if (t->end - t->p >= 2 && t->p[0] == quote && t->p[1] == quote) {
		if (!allow_multi)
			return fail(t, "a multi-line string cannot be a key");
		t->p += 2;
		return take_multi_string(t, quote, out);
	}
	for (;;) {
		int c = peek(t);
		if (c < 0 || is_control(c))
			return fail(t, c < 0 || c == '\n' ? "string without end" : "control character in a string");
		t->p++;
		if (c == quote)
			return 0;
		if (c == '\\' && quote == '"') {
			int r = take_escape(t, false, out);
			if (r < 0)
				return r;
		} else {
			str_addc(out, (char)c);
		}
	}
}

static bool is_bare(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int take_key_part(struct toml *t, struct strv *parts)
{
	autostr struct str key = STR_INIT;
	if (peek(t) == '"' || peek(t) == '\'') {
		int r = take_string(t, false, &key);
		if (r < 0)
			return r;
	} else {
		while (is_bare(peek(t)))
			str_addc(&key, *t->p++);
		if (!key.len)
			return fail(t, "a key is expected here");
	}
	if (key.len > TOML_KEY_MAX || parts->count >= TOML_DEPTH_MAX)
		return fail(t, "key too long or too deep");
	strv_add(parts, key.buf);
	return 0;
}

/* key, "key", a.b."c": the number of parts. */
static int take_key(struct toml *t, struct strv *parts)
{
	for (;;) {
		int r = take_key_part(t, parts);
		if (r < 0)
			return r;
		skip_blanks(t);
		if (peek(t) != '.')
			return (int)parts->count;
		t->p++;
		skip_blanks(t);
	}
}

static int put_new(struct toml *t, json_t *obj, const char *key, json_t *value)
{
	if (json_object_get(obj, key)) {
		json_decref(value);
		return fail(t, "a key is defined twice");
	}
	if (json_object_set_new(obj, key, value) < 0)
		return fail(t, "a key is not UTF-8");
	return 0;
}

static int digit_of(int c, int base)
{
	int d = hex_digit(c);
	return d >= 0 && d < base ? d : -1;
}

static int take_number(struct toml *t, json_t **ret_value)
{
	bool negative = peek(t) == '-', sign = negative || peek(t) == '+';
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
				return fail(t, "misplaced '_' in a number");
			was_digit = false;
			continue;
		}
		int d = digit_of((unsigned char)*t->p, base);
		if (d < 0)
			break;
		if (v > ((uint64_t)INT64_MAX - (uint64_t)d) / (uint64_t)base)
			return fail(t, "number out of range");
		v = v * (uint64_t)base + (uint64_t)d;
		was_digit = true;
	}
	int c = peek(t);
	if (t->p == start && (c == 'i' || c == 'n')) /* inf, nan */
		return err_set(t->e, EOPNOTSUPP, "%s: line %u: floats are not supported", t->what, t->line);
	if (t->p == start || !was_digit)
		return fail(t, "a value is expected here");
	if (c == '.' || c == 'e' || c == 'E' || c == ':' || (c == '-' && base == 10))
		return err_set(t->e, EOPNOTSUPP, "%s: line %u: floats, dates and times are not supported", t->what,
			       t->line);
	if (is_bare(c) || (base == 10 && start[0] == '0' && t->p - start > 1))
		return fail(t, "bad number");
	*ret_value = json_integer(negative ? -(json_int_t)v : (json_int_t)v);
	return 0;
}

static int take_word(struct toml *t, const char *word, json_t *value, json_t **ret_value)
{
	size_t n = strlen(word);
	if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0 || (t->p + n < t->end && is_bare(t->p[n])))
		return fail(t, "a value is expected here");
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
		int r = skip_all(t);
		if (r < 0)
			return r;
		if (peek(t) == ']')
			break;
		json_t *item = NULL;
		r = take_value(t, depth + 1, &item);
		if (r < 0)
			return r;
		json_array_append_new(array, item);
		r = skip_all(t);
		if (r < 0)
			return r;
		if (peek(t) == ',')
			t->p++;
		else if (peek(t) != ']')
			return fail(t, "',' or ']' is expected here");
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
	skip_blanks(t);
	while (peek(t) != '}') {
		int r = take_pair(t, table, depth + 1);
		if (r < 0)
			return r;
		skip_blanks(t);
		if (peek(t) == '}')
			break;
		if (peek(t) != ',')
			return fail(t, "',' or '}' is expected here");
		t->p++;
		skip_blanks(t);
		if (peek(t) == '}')
			return fail(t, "',' before '}'");
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
		return fail(t, "values are nested too deeply");
	switch (peek(t)) {
	case '"':
	case '\'':
		r = take_string(t, true, &s);
		if (r < 0)
			return r;
		*ret_value = json_stringn(s.buf, s.len);
		return *ret_value ? 0 : fail(t, "a string is not UTF-8");
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
	int r = take_key(t, &key);
	if (r <= 0)
		return r;
	if (peek(t) != '=')
		return fail(t, "'=' is expected after a key");
	t->p++;
	skip_blanks(t);
	for (size_t i = 0; i + 1 < key.count; i++) {
		json_t *next = json_object_get(table, key.items[i]);
		if (!next) {
			next = json_object();
			r = put_new(t, table, key.items[i], next);
			if (r < 0)
				return r;
			set_origin(t, next, ORIGIN_DOTTED);
		} else if (!json_is_object(next) || origin_of(t, next) != ORIGIN_DOTTED) {
			return fail(t, "a dotted key adds to something defined elsewhere");
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
			return fail(t, "a table is put below something that is no open table");
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
		return fail(t, "a table is defined twice");
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
		return fail(t, "an array of tables has the name of something else");
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
	skip_blanks(t);
	int r = take_key(t, &key);
	if (r <= 0)
		return r;
	for (int i = 0; i < (many ? 2 : 1); i++) {
		if (peek(t) != ']')
			return fail(t, "']' is expected here");
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
		int r = skip_all(t);
		if (r < 0)
			return r;
		if (t->p == t->end)
			return 0;
		r = *t->p == '[' ? take_header(t, &table) : take_pair(t, table, 0);
		if (r < 0)
			return r;
		r = end_line(t);
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
