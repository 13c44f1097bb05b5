/*
 * events.h - what happened to containers and images, kept without a daemon.
 *
 * Model: whoever changes something (a verb, the monitor of a container) appends one line to events/log in the store,
 * right after the change itself has been recorded: a JSON object, written by one write(2) with O_APPEND, so that lines
 * of processes that write at once do not mix. Readers take no lock and follow the file with inotify.
 * Bounded: a log that has grown past 1 MiB becomes log.1 in place of the one before; two files are kept.
 * Crashes: a line is there or not, a torn one (disk full, power loss) is passed over; nothing is synced. A change whose
 * author is killed between record and line has no line. An event that cannot be written is no failure of the verb.
 *
 * Types and actions: container: create start die stop kill remove rename pause unpause exec exec_die health_status oom
 * connect disconnect;
 * image: pull import load tag untag remove. Filters know docker's and podman's other words for them (destroy, died, ...).
 *
 * Context: host side, as the user; events_note from any process of svc.
 */
#ifndef RL_SVC_EVENTS_H
#define RL_SVC_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/engine/store.h"
#include "rl/svc/container_store.h"

enum { EVENTS_LOG_MAX = 1 << 20 };

/* Attributes beyond name and image: pairs of key and value, ended by NULL. */
void events_container(const struct container_rec *rec, const char *action, ...) __attribute__((sentinel));
/* die, with the exit code; RECORD_EXIT_UNKNOWN is -1. */
void events_ended(const struct container_rec *rec, int status);
/* The same where only these are known. */
void events_note(const struct store *s, const char *type, const char *action, const char *id, const char *name);

struct events_opts {
	int64_t since, until; /* ns since 1970; 0: from now on (with `follow`) or from the beginning; without end */
	bool follow;
	const struct strv *filters; /* NAME=VALUE: type, event, container, image, label; as in ps */
};

/* Calls fn with each event, oldest first, as an object with docker's and podman's members. fn returns 0, or -errno with
 * *e filled, which ends it. Returns 0 when `until` has passed or there are no more. */
int events_read(const char *root, const struct events_opts *o, int (*fn)(void *arg, const json_t *event, struct err *e),
		void *arg, struct err *e) RL_CHECK;

#endif
