/*
 * toml_text.c - blanks, lines, strings and keys of a TOML text; see toml_int.h.
 */
#include "toml_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "rl/base/mem.h"

int toml_fail(struct toml *t, const char *why)
{
	return err_set(t->e, EBADMSG, "%s: line %u: %s", t->what, t->line, why);
}

int toml_peek(const struct toml *t)
{
	return t->p < t->end ? (unsigned char)*t->p : -1;
}

void toml_skip_blanks(struct toml *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
		t->p++;
}

static bool is_newline(const struct toml *t)
{
	return toml_peek(t) == '\n' || (toml_peek(t) == '\r' && t->p + 1 < t->end && t->p[1] == '\n');
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
	if (toml_peek(t) != '#')
		return 0;
	while (t->p < t->end && !is_newline(t)) {
		if (is_control((unsigned char)*t->p))
			return toml_fail(t, "control character in a comment");
		t->p++;
	}
	return 0;
}

int toml_skip_all(struct toml *t)
{
	for (;;) {
		toml_skip_blanks(t);
		int r = skip_comment(t);
		if (r < 0)
			return r;
		if (!is_newline(t))
			return 0;
		take_newline(t);
	}
}

int toml_end_line(struct toml *t)
{
	toml_skip_blanks(t);
	int r = skip_comment(t);
	if (r < 0)
		return r;
	if (t->p == t->end)
		return 0;
	if (!is_newline(t))
		return toml_fail(t, "something follows where the line should end");
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

int toml_hex_digit(int c)
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
		int d = toml_hex_digit(toml_peek(t));
		if (d < 0)
			return toml_fail(t, "bad \\u escape");
		c = c << 4 | (uint32_t)d;
		t->p++;
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return toml_fail(t, "\\u escape is no character");
	add_utf8(out, c);
	return 0;
}

static int take_escape(struct toml *t, bool multi, struct str *out)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	int c = toml_peek(t);
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
		toml_skip_blanks(t);
		if (is_newline(t)) {
			while (toml_skip_blanks(t), is_newline(t))
				take_newline(t);
			return 0;
		}
	}
	return toml_fail(t, "unknown escape in a string");
}

static int take_multi_string(struct toml *t, char quote, struct str *out)
{
	if (is_newline(t))
		take_newline(t);
	for (;;) {
		if (t->p == t->end)
			return toml_fail(t, "string without end");
		if (*t->p == quote) {
			int n = 0;
			while (toml_peek(t) == quote && n < 5) {
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
			return toml_fail(t, "control character in a string");
		} else {
			str_addc(out, *t->p++);
		}
	}
}

/* The cursor is on the opening quote. */
int toml_take_string(struct toml *t, bool allow_multi, struct str *out)
{
	char quote = *t->p++;
	if (t->end - t->p >= 2 && t->p[0] == quote && t->p[1] == quote) {
		if (!allow_multi)
			return toml_fail(t, "a multi-line string cannot be a key");
		t->p += 2;
		return take_multi_string(t, quote, out);
	}
	for (;;) {
		int c = toml_peek(t);
		if (c < 0 || is_control(c))
			return toml_fail(t,
					 c < 0 || c == '\n' ? "string without end" : "control character in a string");
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

bool toml_is_bare(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int take_key_part(struct toml *t, struct strv *parts)
{
	autostr struct str key = STR_INIT;
	if (toml_peek(t) == '"' || toml_peek(t) == '\'') {
		int r = toml_take_string(t, false, &key);
		if (r < 0)
			return r;
	} else {
		while (toml_is_bare(toml_peek(t)))
			str_addc(&key, *t->p++);
		if (!key.len)
			return toml_fail(t, "a key is expected here");
	}
	if (key.len > TOML_KEY_MAX || parts->count >= TOML_DEPTH_MAX)
		return toml_fail(t, "key too long or too deep");
	strv_add(parts, key.buf);
	return 0;
}

/* key, "key", a.b."c": the number of parts. */
int toml_take_key(struct toml *t, struct strv *parts)
{
	for (;;) {
		int r = take_key_part(t, parts);
		if (r < 0)
			return r;
		toml_skip_blanks(t);
		if (toml_peek(t) != '.')
			return (int)parts->count;
		t->p++;
		toml_skip_blanks(t);
	}
}
