/*
 * doctor.h - what works here, found by doing it: `rl doctor`.
 *
 * Model: one row for each thing a container may need. A row says whether it works, which rung of the ladder is used
 * where it does not (rl-restricted(7)), and the exact remedy. Every probe is made in a child of its own namespaces or
 * is undone at once, so nothing is left behind; together they take well under a second.
 *
 * Result: a JSON array of objects, in a fixed order:
 *     Name     "user namespaces"
 *     State    "works", "rung" (something lesser is used in its place), "missing" (and nothing stands in)
 *     Finding  what was found, one clause
 *     Remedy   what to do about it, "" where nothing needs to be done
 *     Root     true if the remedy is a command for root
 *     Command  that command by itself, "" where the remedy is not a command
 * Context: host side, ordinary user. Nothing in it is an error: what fails is a row.
 */
#ifndef RL_SVC_DOCTOR_H
#define RL_SVC_DOCTOR_H

#include "rl/base/err.h"
#include "rl/base/json.h"

/* *ret_can_run: containers can be started at all. `root`: --root or NULL. */
int doctor_collect(const char *root, json_t **ret_rows, bool *ret_can_run, struct err *e) RL_CHECK;

#endif
