/*
 * fields_int.h - structs as JSON objects by table: one row per member, used in both directions, so that what is written
 * and what is read cannot differ.
 *
 * Strings are kept exactly: one that is not UTF-8 becomes {"hex": "..."}. Members equal to zero (NULL, false, 0, empty)
 * are written too where the default is not zero, i.e. always for numbers and booleans; NULL strings and empty vectors
 * are left out, and reading leaves the target's own value where a member is missing.
 */
#ifndef RL_MODEL_FIELDS_INT_H
#define RL_MODEL_FIELDS_INT_H

#include <stddef.h>

#include "rl/base/json.h"

enum field_type {
	FIELD_STR,   /* char * */
	FIELD_CHARS, /* char [size] */
	FIELD_STRV,  /* struct strv */
	FIELD_BOOL,
	FIELD_INT,  /* int, and every enum */
	FIELD_UINT, /* unsigned, uint32_t */
	FIELD_I64,
	FIELD_U64, /* as a decimal string where it does not fit a JSON integer */
};

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	size_t size;	  /* FIELD_CHARS */
	int64_t min, max; /* FIELD_INT; 0 0: any */
};

#define FIELD(type_name, kind, member)                                                                                 \
	{                                                                                                              \
		.name = #member, .type = kind, .offset = offsetof(type_name, member)                                   \
	}
#define FIELD_AS(type_name, kind, text, member)                                                                        \
	{                                                                                                              \
		.name = text, .type = kind, .offset = offsetof(type_name, member)                                      \
	}
#define FIELD_ENUM(type_name, member, low, high)                                                                       \
	{                                                                                                              \
		.name = #member, .type = FIELD_INT, .offset = offsetof(type_name, member), .min = low, .max = high     \
	}
#define FIELD_TEXT(type_name, member)                                                                                  \
	{                                                                                                              \
		.name = #member, .type = FIELD_CHARS, .offset = offsetof(type_name, member),                           \
		.size = sizeof(((type_name *)0)->member)                                                               \
	}

void fields_to_json(const struct field *fields, size_t n, const void *obj, json_t *out);
int fields_from_json(const struct field *fields, size_t n, const json_t *doc, void *obj, struct err *e) RL_CHECK;

json_t *field_exact_string(const char *text);
/* Without the numbers and booleans that are 0 in both `obj` and `defaults` (what a reader starts from): a record of many
 * members of which few are set is read often. */
void fields_to_json_brief(const struct field *fields, size_t n, const void *obj, const void *defaults, json_t *out);

/* A new string, or NULL if `v` is no string of either form. */
char *field_read_string(const json_t *v);

#endif
