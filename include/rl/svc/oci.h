/*
 * oci.h - the OCI runtime: create, start, run, kill, delete and their company, on bundles.
 *
 * Model: a container is a directory named by its id below the state root. In it
 *     state.json    what it is (oci_state); replaced, never changed; without it the directory is a create that died
 *     config.json   the bundle's, as it was at create
 *     gate          locked by the container's first process until it executes the command: locked means "created"
 *     start         the socket on which that process waits for `start`
 * The directory is flock()ed by every verb that changes the container, so that callers are serialised. No process of ours
 * stays: the status is computed from the first process (by pid and start time, so that a reused pid is nobody), the gate
 * and the freezer.
 *
 * A create that fails or is killed leaves nothing running: the first process gives up when its parent goes before the
 * record is written; what is left of directories and control groups is taken over by the next create of that id, or
 * removed by delete --force.
 *
 * Callers match on texts; those are runc's: "container does not exist", "container with given ID already exists",
 * "container not running", "cannot start a container that has stopped", "cannot delete container ID that is not
 * stopped: running".
 *
 * Roles: host side, one thread; root, an ordinary user, or root of a user namespace.
 * Calling sequence: fill struct oci_runtime from the global options, then one function a verb. Errors: err.h.
 */
#ifndef RL_SVC_OCI_H
#define RL_SVC_OCI_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

struct oci_runtime {
	const char *root; /* --root, or NULL: the default directory */
	bool systemd_cgroup;
	bool no_cgroup; /* --cgroup-manager disabled */
	int rootless;	/* 1, 0, or -1: found out */
};

struct oci_create_opts {
	const char *id;
	const char *bundle; /* NULL: the working directory */
	const char *console_socket;
	const char *pid_file;
	unsigned preserve_fds; /* those of listen_fds among them */
	unsigned listen_fds;   /* sockets of systemd, from 3 up: the command is told of them as it is by systemd */
	bool no_pivot;
	bool no_new_keyring;
	bool detach;	   /* run only */
	bool keep;	   /* run only: the record stays when the command has ended */
	bool no_subreaper; /* accepted: we are none */
};

int oci_create(const struct oci_runtime *rt, const struct oci_create_opts *o, struct err *e) RL_CHECK;
int oci_start(const struct oci_runtime *rt, const char *id, struct err *e) RL_CHECK;
/* create and start; returns the command's exit status, 0 with `detach`. */
int oci_run(const struct oci_runtime *rt, const struct oci_create_opts *o, struct err *e) RL_CHECK;

/* The document of `state`. */
int oci_state_doc(const struct oci_runtime *rt, const char *id, json_t **ret_doc, struct err *e) RL_CHECK;
/* An array of {ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner}. */
int oci_list(const struct oci_runtime *rt, json_t **ret_rows, struct err *e) RL_CHECK;

/* signal: a name with or without SIG, or a number. */
int oci_kill(const struct oci_runtime *rt, const char *id, const char *signal, bool all, struct err *e) RL_CHECK;
int oci_delete(const struct oci_runtime *rt, const char *id, bool force, struct err *e) RL_CHECK;
int oci_pause(const struct oci_runtime *rt, const char *id, bool paused, struct err *e) RL_CHECK;
/* Host pids, an array of integers. */
int oci_pids(const struct oci_runtime *rt, const char *id, json_t **ret_pids, struct err *e) RL_CHECK;

struct oci_exec_opts {
	const char *id;
	const char *process_file; /* --process, or NULL: from what follows */
	const struct strv *args;
	const struct strv *env;
	const struct strv *caps;
	const struct strv *groups; /* --additional-gids */
	const char *user;	   /* "uid[:gid]" */
	const char *cwd;
	const char *apparmor, *process_label;
	const char *console_socket, *pid_file;
	const char *cgroup;		   /* a directory below the container's, or NULL */
	unsigned preserve_fds, listen_fds; /* as for create */
	bool tty, detach, ignore_paused, no_new_privs;
};

/* Returns the command's exit status, 0 with `detach`. */
int oci_exec(const struct oci_runtime *rt, const struct oci_exec_opts *o, struct err *e) RL_CHECK;

/* Members of linux.resources as JSON. */
int oci_update(const struct oci_runtime *rt, const char *id, const char *text, size_t len, struct err *e) RL_CHECK;

/* One {type: "stats", id, data}. */
int oci_stats(const struct oci_runtime *rt, const char *id, json_t **ret_doc, struct err *e) RL_CHECK;
/* Call fn with a stats document every `interval` seconds and with {type: "oom"} when the OOM killer struck; ends with
 * the container, or when fn returns nonzero. */
typedef int oci_event_fn(void *arg, const json_t *doc, struct err *e);
int oci_events(const struct oci_runtime *rt, const char *id, unsigned interval, oci_event_fn *fn, void *arg,
	       struct err *e) RL_CHECK;

/* The features document (runtime-spec features.md). */
json_t *oci_features(void);
/* Every member of config.json that is known, a line each (model/oci_config.h). */
void oci_fields(struct str *out);
/* A config.json to start from. */
json_t *oci_example_config(bool rootless);

#endif
