/*
 * layer_merge.h - two frozen layers that lie on each other become one, by hard links.
 *
 * Model: `out` shows over any stack what `upper` on `lower` showed over it. Files are not copied but linked, so neither
 * of the two may be written to any more; directories are made anew with owner, mode, times and xattrs of the upper one.
 * Whiteouts stay, since something may lie under both; a directory that hid what was under it in either goes on hiding.
 *
 * Context: root of a user namespace that has the layers' ids. Descriptors of directories; `out` is empty.
 */
#ifndef RL_ENGINE_LAYER_MERGE_H
#define RL_ENGINE_LAYER_MERGE_H

#include "rl/base/err.h"

int layer_merge(int upper, int lower, int out, struct err *e) RL_CHECK;

#endif
