/*
 * base64.h - the standard base64 of RFC 4648, section 4.
 *
 * Both append to `out`. Encoding pads; decoding is strict about the alphabet and about padding in the middle, and forgives
 * padding that is missing, as credential files of other tools leave it out. Errors: -EBADMSG; what was decoded before the
 * error stays in `out`.
 */
#ifndef RL_BASE_BASE64_H
#define RL_BASE_BASE64_H

#include <stddef.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

void base64_encode(const void *data, size_t len, struct str *out);
int base64_decode(const char *text, size_t len, struct str *out, struct err *e) RL_CHECK;

#endif
