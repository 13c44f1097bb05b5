/*
 * chmod.h - file modes as people write them: "755", "u=rwX,go=rX", "+x".
 *
 * What chmod(1) takes: an octal number, or clauses of who ([ugoa]*), operator ([-+=]) and permissions ([rwxXst]* or one
 * of u, g, o), with several operators after one who. Where nobody is named, it is everybody but for the bits of the
 * umask 022 (BuildKit's rule, whatever the caller's umask is: the same Dockerfile means the same everywhere).
 *
 * Pure; any text may be given. Errors: -EINVAL.
 */
#ifndef RL_MODEL_CHMOD_H
#define RL_MODEL_CHMOD_H

#include <stdbool.h>
#include <sys/types.h>

#include "rl/base/err.h"

int chmod_check(const char *text, struct err *e) RL_CHECK;
/* The mode (07777) that an object of mode `old` gets by a text that chmod_check has passed. */
mode_t chmod_apply(const char *text, mode_t old, bool is_dir);

#endif
