/*
 * json_part.c - some members of a document, without the rest being built; see json.h.
 *
 * A list of containers looks at a twentieth of each record, and jansson spends its time on the other nineteen. What is
 * not asked for is only walked over here: brackets, strings and separators must be where they belong, so a document that
 * was cut short or overwritten is refused as a whole, but numbers, escapes and UTF-8 are looked at in what is kept only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"

enum { DEPTH_MAX = 64, INTEGER_DIGITS_MAX = 18 };

struct cursor {
	const char *p, *end;
	const char *why; /* what is wrong, once something is */
};

static bool fail(struct cursor *c, const char *why)
{
	c->why = c->why ? c->why : why;
	return false;
}

static char next(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r'))
		c->p++;
	return c->p < c->end ? *c->p : '\0';
}

static bool take(struct cursor *c, char want)
{
	if (next(c) != want)
		return false;
	c->p++;
	return true;
}

/* ret_text: what lies between the quotes, as it is written. */
static bool skip_string(struct cursor *c, const char **ret_text, size_t *ret_len)
{
	if (!take(c, '"'))
		return fail(c, "a string is missing");
	const char *start = c->p;
	while (c->p < c->end && *c->p != '"') {
		if ((unsigned char)*c->p < ' ')
			return fail(c, "control character in a string");
		c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
	}
	if (c->p >= c->end)
		return fail(c, "a string does not end");
	*ret_text = start;
	*ret_len = (size_t)(c->p - start);
	c->p++;
	return true;
}

static bool skip_value(struct cursor *c, unsigned depth);

static bool is_word_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'E';
}

/* Numbers, true, false, null: anything else that consists of such characters is jansson's to refuse, if it is kept. */
static bool skip_word(struct cursor *c)
{
	const char *start = c->p;
	while (c->p < c->end && is_word_character(*c->p))
		c->p++;
	return c->p > start || fail(c, "a value is missing");
}

static bool skip_members(struct cursor *c, bool is_object, unsigned depth)
{
	const char close = is_object ? '}' : ']';
	const char *key;
	size_t len;
	c->p++;
	if (take(c, close))
		return true;
	do {
		if (is_object && (!skip_string(c, &key, &len) || !take(c, ':')))
			return fail(c, "a name without a value");
		if (!skip_value(c, depth + 1))
			return false;
	} while (take(c, ','));
	return take(c, close) || fail(c, is_object ? "an object does not end" : "an array does not end");
}

static bool skip_value(struct cursor *c, unsigned depth)
{
	const char *text;
	size_t len;
	if (depth > DEPTH_MAX)
		return fail(c, "nested too deeply");
	switch (next(c)) {
	case '"':
		return skip_string(c, &text, &len);
	case '{':
		return skip_members(c, true, depth);
	case '[':
		return skip_members(c, false, depth);
	default:
		return skip_word(c);
	}
}

/* The two kinds nearly everything is, without jansson's scanner; NULL where it has to look itself. */
static json_t *simple_value(const char *text, size_t len)
{
	if (len >= 2 && text[0] == '"' && !memchr(text, '\\', len) && !memchr(text, '\0', len))
		return json_stringn(text + 1, len - 2);
	if (len == 0 || len > INTEGER_DIGITS_MAX || text[0] < '1' || text[0] > '9')
		return NULL;
	json_int_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return NULL;
		n = n * 10 + (text[i] - '0');
	}
	return json_integer(n);
}

static json_t *keep_value(struct cursor *c, unsigned depth)
{
	(void)next(c);
	const char *start = c->p;
	if (!skip_value(c, depth))
		return NULL;
	size_t len = (size_t)(c->p - start);
	json_t *v = simple_value(start, len);
	if (!v)
		v = json_loadb(start, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	if (!v)
		fail(c, "a value is not valid");
	return v;
}

static const struct json_part *find_part(const struct json_part *parts, const char *name, size_t len)
{
	while (parts->name && (parts->name[0] != name[0] || strncmp(parts->name, name, len) != 0 || parts->name[len]))
		parts++;
	return parts->name ? parts : NULL;
}

static json_t *keep_parts(struct cursor *c, const struct json_part *parts, unsigned depth)
{
	autojson json_t *out = json_object();
	const char *key;
	size_t len;
	if (!take(c, '{')) {
		fail(c, "an object is expected");
		return NULL;
	}
	if (take(c, '}'))
		return json_incref(out);
	do {
		if (!skip_string(c, &key, &len) || !take(c, ':')) {
			fail(c, "a name without a value");
			return NULL;
		}
		const struct json_part *part = find_part(parts, key, len);
		if (!part && !skip_value(c, depth + 1))
			return NULL;
		if (!part)
			continue;
		json_t *v = part->parts && next(c) == '{' ? keep_parts(c, part->parts, depth + 1)
							  : keep_value(c, depth + 1);
		if (!v)
			return NULL;
		if (json_object_get(out, part->name))
			fail(c, "a name appears twice");
		json_object_set_new(out, part->name, v);
	} while (take(c, ','));
	if (!take(c, '}'))
		fail(c, "an object does not end");
	return c->why ? NULL : json_incref(out);
}

int json_parse_parts(const char *text, size_t len, const char *what, const struct json_part *parts, json_t **ret_doc,
		     struct err *e)
{
	struct cursor c = {.p = text, .end = text + len};
	autojson json_t *doc = keep_parts(&c, parts, 0);
	if (doc && (next(&c) || c.p < c.end))
		fail(&c, "there is something after its end");
	if (c.why)
		return err_set(e, EBADMSG, "%s: not valid JSON: %s", what, c.why);
	*ret_doc = json_incref(doc);
	return 0;
}
