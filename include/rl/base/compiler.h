/*
 * compiler.h - attributes used by every header.
 *
 * Included by all public headers; has no functions. `RL_CHECK` marks results that must be looked at,
 * `RL_PRINTF` lets the compiler check format strings.
 */
#ifndef RL_BASE_COMPILER_H
#define RL_BASE_COMPILER_H

#include <stddef.h>

#define RL_CHECK			 __attribute__((warn_unused_result))
#define RL_PRINTF(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))
#define RL_NORETURN			 __attribute__((noreturn))
#define RL_UNUSED			 __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define RL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define RL_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
