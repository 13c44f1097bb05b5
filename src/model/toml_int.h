/*
 * toml_int.h - the cursor, and what toml_text.c takes from under it: blanks, lines, strings, keys. toml.c makes values
 * and tables of that. Every function leaves the cursor behind what it consumed; failures are told with the line.
 */
#ifndef RL_MODEL_TOML_INT_H
#define RL_MODEL_TOML_INT_H

#include <stdbool.h>

#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/toml.h"

struct toml {
	const char *p, *end;
	const char *what;
	unsigned line;
	json_t *root;
	json_t *origins;
	struct err *e;
};

int toml_fail(struct toml *t, const char *why);
/* The next byte, or -1. */
int toml_peek(const struct toml *t);
void toml_skip_blanks(struct toml *t);
/* Blanks, comments and newlines, as allowed between values of an array. */
int toml_skip_all(struct toml *t);
/* After a header or a value nothing but a comment may follow on the line. */
int toml_end_line(struct toml *t);
/* May it be in a key without quotes? */
bool toml_is_bare(int c);
/* Its value, or -1. */
int toml_hex_digit(int c);
int toml_take_string(struct toml *t, bool allow_multi, struct str *out);
/* A dotted key in its parts, whose number is returned. */
int toml_take_key(struct toml *t, struct strv *parts);

#endif
