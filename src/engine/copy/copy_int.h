/* copy_int.h - shared by both ends of a copy. */
#ifndef RL_ENGINE_COPY_INT_H
#define RL_ENGINE_COPY_INT_H

#include "rl/base/str.h"
#include "rl/engine/copy.h"

/* open(2) flags; resolved in the place. */
int copy_open(const struct copy_place *p, const char *path, int flags, struct err *e) RL_CHECK;

#endif
