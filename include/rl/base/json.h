/*
 * json.h - reading and writing JSON on jansson, with the checks hostile documents need.
 *
 * Model: json_parse refuses duplicate keys (two readers must not see two documents), bytes after the document, NULs in
 * strings and input above `max` bytes. The json_get_* functions read one member of an object and distinguish "absent"
 * or null (0, output untouched), "present" (1) and "wrong type" (-EINVAL, naming the member).
 *
 * Ownership: json_t is jansson's; autojson drops one reference. Borrowed strings live as long as their document.
 */
#ifndef RL_BASE_JSON_H
#define RL_BASE_JSON_H

#include <stdint.h>

/* Before jansson.h, which names FILE without including it; the blank line keeps the order. */
#include <stdio.h>

#include <jansson.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define autojson __attribute__((cleanup(cleanup_json)))

int json_parse(const char *text, size_t len, const char *what, json_t **ret_doc, struct err *e) RL_CHECK;
/* Read and parse a file of ours, at most `max` bytes. */
int json_parse_file(int dirfd, const char *path, size_t max, json_t **ret_doc, struct err *e) RL_CHECK;

/* An object of which only these members are built, for readers of many documents; about ten times as fast. What is kept
 * is what json_parse would have given. Of the rest the structure is checked, so a document cut short is refused, but not
 * the spelling of numbers and escapes; only for documents of ours. */
struct json_part {
	const char *name;	       /* NULL ends a list */
	const struct json_part *parts; /* of an object that is not kept whole; NULL: keep the value */
};
int json_parse_parts(const char *text, size_t len, const char *what, const struct json_part *parts, json_t **ret_doc,
		     struct err *e) RL_CHECK;

int json_get_str(const json_t *obj, const char *key, const char **ret_value, struct err *e) RL_CHECK;
int json_get_int(const json_t *obj, const char *key, int64_t *ret_value, struct err *e) RL_CHECK;
int json_get_bool(const json_t *obj, const char *key, bool *ret_value, struct err *e) RL_CHECK;
int json_get_obj(const json_t *obj, const char *key, json_t **ret_value, struct err *e) RL_CHECK;
int json_get_array(const json_t *obj, const char *key, json_t **ret_value, struct err *e) RL_CHECK;
/* An array of strings. Appends to `out`, all or nothing. */
int json_get_strv(const json_t *obj, const char *key, struct strv *out, struct err *e) RL_CHECK;

/* For documents of our own: the string member or NULL, the integer or `fallback`. */
const char *json_str_or_null(const json_t *obj, const char *key);
int64_t json_int_or(const json_t *obj, const char *key, int64_t fallback);
bool json_bool_or(const json_t *obj, const char *key, bool fallback);

/* Set members on an object; strings and keys that are not UTF-8 are stored with replacement characters. NULL text is skipped. */
void json_put_str(json_t *obj, const char *key, const char *text);
void json_put_int(json_t *obj, const char *key, int64_t value);
void json_put_bool(json_t *obj, const char *key, bool value);
void json_put_strv(json_t *obj, const char *key, const struct strv *v);
/* Steals `value`. */
void json_put(json_t *obj, const char *key, json_t *value);
/* The array or object (`type`) under `key`, borrowed; made if there is anything else or nothing: others write null for
 * what is empty. */
json_t *json_member(json_t *obj, const char *key, json_type type);
json_t *json_string_lossy(const char *text, size_t len);

/* Compact with members in the order they were put (deterministic output), or indented by two for people. */
void json_print(const json_t *doc, bool pretty, struct str *out);

#endif
