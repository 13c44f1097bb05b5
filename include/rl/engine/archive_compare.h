/*
 * archive_compare.h - are two unpacked layers the same?
 *
 * Model: both trees lie in the store and were made by archive_unpack for the same id map. They are read in a forked
 * child inside that map's user namespace, where files of subordinate ids can be read; compared are names, types,
 * permissions, owners, device numbers, link counts, times of modification, link targets, extended attributes and
 * content. Access and change times are not.
 *
 * Context: rl-image's main process with one thread. Errors: -errno when something cannot be read (the text names it).
 */
#ifndef RL_ENGINE_ARCHIVE_COMPARE_H
#define RL_ENGINE_ARCHIVE_COMPARE_H

#include <stddef.h>

#include "rl/base/err.h"
#include "rl/kern/idmap.h"

enum { ARCHIVE_DIFFERENCE_SIZE = 256 };

/* 0: the same; 1: not, and ret_difference says where and in what ("usr/bin/env: mode"). */
int archive_compare(const struct idmap *map, int have_fd, int want_fd, char ret_difference[ARCHIVE_DIFFERENCE_SIZE],
		    struct err *e) RL_CHECK;

#endif
