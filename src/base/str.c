/*
 * str.c - see str.h. Buffers double, an empty string owns nothing (all empty strings share one static NUL), and memory
 * that is not to be had ends the process in mem.c.
 */
#include "rl/base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rl/base/mem.h"

char str_empty_buf[1];
static char *empty_argv[1];

void str_reserve(struct str *s, size_t extra)
{
	if (s->len + extra < s->size)
		return;
	size_t size = s->size ? s->size : 64;
	while (size <= s->len + extra)
		size *= 2;
	char *old = s->size ? s->buf : NULL;
	s->buf = xrealloc(old, size);
	s->buf[s->len] = '\0';
	s->size = size;
}

void str_add(struct str *s, const void *data, size_t len)
{
	if (!len)
		return;
	str_reserve(s, len);
	memcpy(s->buf + s->len, data, len);
	s->len += len;
	s->buf[s->len] = '\0';
}

void str_adds(struct str *s, const char *text)
{
	str_add(s, text, strlen(text));
}

void str_addc(struct str *s, char c)
{
	str_add(s, &c, 1);
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	str_adds(s, text);
}

void str_cut(struct str *s, size_t len)
{
	if (len < s->len) {
		s->len = len;
		s->buf[len] = '\0';
	}
}

void str_free(struct str *s)
{
	if (s->size)
		free(s->buf);
	s->buf = str_empty_buf;
	s->len = 0;
	s->size = 0;
}

char *str_take(struct str *s)
{
	char *p = s->size ? s->buf : xstrdup("");
	s->buf = str_empty_buf;
	s->len = 0;
	s->size = 0;
	return p;
}

void strv_add_owned(struct strv *v, char *text)
{
	if (v->count + 2 > v->size) {
		v->size = v->size ? v->size * 2 : 8;
		v->items = xreallocarray(v->items, v->size, sizeof(char *));
	}
	v->items[v->count++] = text;
	v->items[v->count] = NULL;
}

void strv_add(struct strv *v, const char *text)
{
	strv_add_owned(v, xstrdup(text));
}

void strv_addf(struct strv *v, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	strv_add_owned(v, xvasprintf(fmt, ap));
	va_end(ap);
}

void strv_add_all(struct strv *v, const struct strv *other)
{
	for (size_t i = 0; i < other->count; i++)
		strv_add(v, other->items[i]);
}

void strv_remove(struct strv *v, size_t index)
{
	free(v->items[index]);
	memmove(v->items + index, v->items + index + 1, (v->count - index) * sizeof(char *));
	v->count--;
}

bool strv_has(const struct strv *v, const char *text)
{
	for (size_t i = 0; i < v->count; i++)
		if (str_eq(v->items[i], text))
			return true;
	return false;
}

void strv_split(struct strv *v, const char *text, char sep)
{
	for (;;) {
		const char *end = strchr(text, sep);
		if (!end)
			break;
		strv_add_owned(v, xstrndup(text, (size_t)(end - text)));
		text = end + 1;
	}
	strv_add(v, text);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->count)
		qsort(v->items, v->count, sizeof(*v->items), by_text);
}

char **strv_find_sorted(const struct strv *v, const char *text)
{
	return v->count ? bsearch(&text, v->items, v->count, sizeof(*v->items), by_text) : NULL;
}

char **strv_argv(const struct strv *v)
{
	return v->items ? v->items : empty_argv;
}

void strv_free(struct strv *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i]);
	free(v->items);
	v->items = NULL;
	v->count = 0;
	v->size = 0;
}

static size_t env_index(const struct strv *v, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = 0; i < v->count; i++)
		if (!strncmp(v->items[i], key, n) && v->items[i][n] == '=')
			return i;
	return v->count;
}

void strv_env_set(struct strv *v, const char *key, const char *value)
{
	char *item = xasprintf("%s=%s", key, value);
	size_t i = env_index(v, key);
	if (i == v->count) {
		strv_add_owned(v, item);
		return;
	}
	free(v->items[i]);
	v->items[i] = item;
}

const char *strv_env_get(const struct strv *v, const char *key)
{
	size_t i = env_index(v, key);
	return i < v->count ? v->items[i] + strlen(key) + 1 : NULL;
}

void strv_env_unset(struct strv *v, const char *key)
{
	size_t i = env_index(v, key);
	if (i < v->count)
		strv_remove(v, i);
}

int str_to_u64(const char *text, uint64_t max, const char *what, uint64_t *ret_value, struct err *e)
{
	uint64_t v = 0;
	if (!*text)
		return err_set(e, EINVAL, "%s: a number is missing", what);
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return err_set(e, EINVAL, "%s: '%s' is not a number", what, text);
		unsigned digit = (unsigned)(*p - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return err_set(e, ERANGE, "%s: '%s' is too large", what, text);
		v = v * 10 + digit;
	}
	if (v > max)
		return err_set(e, ERANGE, "%s: %s is above %llu", what, text, (unsigned long long)max);
	*ret_value = v;
	return 0;
}

size_t str_utf8_len(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	if (!len)
		return 0;
	if (p[0] < 0x80)
		return 1;
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	if (!n || n > len || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] >= 0x90))
		return 0;
	return n;
}

/* How many letters have to be put in, left out, exchanged or swapped with their neighbour. The rows are on the stack: names
 * longer than these are near only to themselves. */
static size_t edit_distance(const char *a, const char *b)
{
	enum { ROW = 64 };
	size_t n = strlen(a);
	size_t m = strlen(b);
	if (n >= ROW || m >= ROW)
		return str_eq(a, b) ? 0 : SIZE_MAX;
	size_t rows[3][ROW];
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3];
		const size_t *two_above = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = RL_MIN(above[j], row[j - 1]) + 1;
			row[j] = RL_MIN(best, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = RL_MIN(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[n % 3][m];
}

const char *str_nearest(const char *text, const char *const *candidates)
{
	const char *best = NULL;
	size_t best_distance = strlen(text) / 3 + 1;
	for (; *candidates; candidates++) {
		size_t d = edit_distance(text, *candidates);
		if (d <= best_distance && (!best || d < best_distance)) {
			best = *candidates;
			best_distance = d;
		}
	}
	return best;
}
