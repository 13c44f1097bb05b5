/*
 * toml.h - TOML texts as JSON documents.
 *
 * Model: the part of TOML 1.0 that configuration files of containers use: comments, bare, quoted and dotted keys,
 * tables, arrays of tables, all four kinds of strings, integers, booleans, arrays and inline tables. Floats and dates
 * are refused
 * (-EOPNOTSUPP), never misread. Strict: keys and tables defined twice, bytes that are not UTF-8, control characters and
 * NULs are errors (-EBADMSG) that name the line. Bounded: TOML_DEPTH_MAX levels, TOML_KEY_MAX bytes of one key part.
 *
 * Tables become objects, arrays (of tables) arrays. Ownership: the caller drops the document (autojson). Pure.
 */
#ifndef RL_MODEL_TOML_H
#define RL_MODEL_TOML_H

#include <stddef.h>

#include "rl/base/err.h"
#include "rl/base/json.h"

enum { TOML_DEPTH_MAX = 16, TOML_KEY_MAX = 256 };

int toml_parse(const char *text, size_t len, const char *what, json_t **ret_doc, struct err *e) RL_CHECK;

#endif
