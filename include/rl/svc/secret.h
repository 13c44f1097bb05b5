/*
 * secret.h - small pieces of data that containers get and images, logs, records and commits do not.
 *
 * On disk: secrets/NAME below the store's root, mode 0600: one line of JSON (name, id, times, labels), then the bytes.
 * Written whole by rename. A secret exists exactly if its name does.
 *
 * A container's record has the names of its secrets only. The bytes are read at each start into the runtime spec, which
 * is wiped when the container runs, and the child writes them to a tmpfs of the container (read-only afterwards), or
 * puts them into the environment of the command. Commands of `exec` and of health checks get the variables, too, as
 * they are then. Replacing a secret therefore reaches a container's own command at its next start, and a secret that a
 * container names is not removed.
 *
 * Context: host side, ordinary user. Errors worth telling apart: -ENOENT (with a suggestion), -EEXIST, -EBUSY, -EFBIG.
 */
#ifndef RL_SVC_SECRET_H
#define RL_SVC_SECRET_H

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/engine/store.h"
#include "rl/model/rtspec.h"
#include "rl/model/run_opts.h"

enum { SECRET_MAX = 512000 }; /* podman's limit */

struct secret_create_opts {
	const char *name;
	const struct strv *labels; /* "key=value" */
	bool replace;		   /* one that exists gets the new bytes */
};
/* `data` is any bytes, 1 to SECRET_MAX. *ret_id gets the id. */
int secret_create(const char *root, const struct secret_create_opts *o, const struct str *data, struct str *ret_id,
		  struct err *e) RL_CHECK;
/* Names may be ids or unique prefixes of ids of at least 4 characters. */
int secret_remove(const char *root, const char *name, struct err *e) RL_CHECK;
/* 1 it exists, 0 it does not. */
int secret_exists(const char *root, const char *name, struct err *e) RL_CHECK;
/* Sorted by name. filters: name=, id=. */
int secret_rows(const char *root, const struct strv *filters, json_t **ret_rows, struct err *e) RL_CHECK;
/* podman's document; `show`: with the bytes. */
int secret_inspect(const char *root, const char *name, bool show, json_t **ret_doc, struct err *e) RL_CHECK;

/* The secrets of the options into the spec. */
int secret_add_to_spec(const struct store *s, const struct run_opts *o, struct rtspec *spec, struct err *e) RL_CHECK;
/* Those that are variables, for a command that joins the container; `now` is what was asked for with it, or NULL: its
 * variables come first. */
int secret_add_env(const struct store *s, const struct run_opts *o, const struct run_opts *now, struct rtspec *spec,
		   struct err *e) RL_CHECK;

#endif
