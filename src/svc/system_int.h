/*
 * system_int.h - what the files of svc/system share.
 *
 * system_check.c  the store checked and mended          system_usage.c  df and prune
 * system_reset.c  the store removed; unshare
 */
#ifndef RL_SVC_SYSTEM_INT_H
#define RL_SVC_SYSTEM_INT_H

#include "image_int.h"
#include "rl/svc/system.h"

/* Mend one image that a run met broken: from what is here, and unless `local` from where it came. 1: something was
 * mended, 0: there was nothing to mend. Says what was done. */
int system_mend_image(const struct store *s, const char *ref, const struct idmap *map, bool local,
		      struct err *e) RL_CHECK;

#endif
