/*
 * str.h - a growing byte string, a vector of strings, and the few string tests everybody needs.
 *
 * struct str: `buf` is always NUL-terminated (also when empty), `len` never counts that NUL, embedded NULs are kept.
 * struct strv: `items[count]` is always NULL once something was added, so items is an argv; before that items is NULL
 * (use strv_argv for an argv that is never NULL). Both own their memory; str_free/strv_free or the autostr/autostrv
 * attributes release it.
 *     autostr struct str s = STR_INIT;
 *     str_addf(&s, "lowerdir=%s", path);
 */
#ifndef RL_BASE_STR_H
#define RL_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rl/base/compiler.h"
#include "rl/base/err.h"

struct str {
	char *buf;
	size_t len;
	size_t size; /* 0 while buf points at the static empty string */
};

extern char str_empty_buf[1];
#define STR_INIT                                                                                                       \
	{                                                                                                              \
		.buf = str_empty_buf                                                                                   \
	}

void str_reserve(struct str *s, size_t extra);
void str_add(struct str *s, const void *data, size_t len);
void str_adds(struct str *s, const char *text);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) RL_PRINTF(2, 3);
/* Drop everything past `len`. */
void str_cut(struct str *s, size_t len);
void str_free(struct str *s);
/* Hand the buffer (malloc'd, NUL-terminated) to the caller and become empty. */
char *str_take(struct str *s);
#define autostr __attribute__((cleanup(str_free)))

struct strv {
	char **items;
	size_t count;
	size_t size;
};

#define STRV_INIT                                                                                                      \
	{                                                                                                              \
		.items = NULL                                                                                          \
	}

/* Adds a copy. */
void strv_add(struct strv *v, const char *text);
void strv_addf(struct strv *v, const char *fmt, ...) RL_PRINTF(2, 3);
/* Adds `text` itself; v frees it. */
void strv_add_owned(struct strv *v, char *text);
void strv_add_all(struct strv *v, const struct strv *other);
void strv_remove(struct strv *v, size_t index);
bool strv_has(const struct strv *v, const char *text);
/* Split at every `sep`; empty parts are kept ("" gives one empty part). */
void strv_split(struct strv *v, const char *text, char sep);
/* By bytes, as LC_ALL=C sorts. */
void strv_sort(struct strv *v);
/* Where `text` stands in a sorted vector (which of several equal ones is open), or NULL. */
char **strv_find_sorted(const struct strv *v, const char *text);
char **strv_argv(const struct strv *v);
void strv_free(struct strv *v);
#define autostrv __attribute__((cleanup(strv_free)))

/* Environment vectors: "KEY=value" items. Set replaces in place, else appends. */
void strv_env_set(struct strv *v, const char *key, const char *value);
const char *strv_env_get(const struct strv *v, const char *key);
void strv_env_unset(struct strv *v, const char *key);

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* If `text` starts with `prefix` the rest, else NULL. */
static inline const char *str_after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static inline bool str_ends(const char *text, const char *suffix)
{
	size_t n = strlen(text);
	size_t m = strlen(suffix);
	return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

/* Whole-string decimal numbers only: no sign, no space, no "0x", no empty string. -EINVAL or -ERANGE otherwise;
 * `what` names the value in the error ("--mtu"). max inclusive. */
int str_to_u64(const char *text, uint64_t max, const char *what, uint64_t *ret_value, struct err *e) RL_CHECK;

/* Length of the UTF-8 character at `text` (1 to 4 bytes), 0 if the `len` bytes there begin with none. */
size_t str_utf8_len(const char *text, size_t len);

/* The candidate nearest to `text` by edit distance, or NULL when none is near enough to be worth suggesting.
 * `candidates` is a NULL-terminated vector. */
const char *str_nearest(const char *text, const char *const *candidates);

#endif
