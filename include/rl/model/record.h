/*
 * record.h - what is stored of a container, bytes to structs and back.
 *
 * Model: two documents in containers/ID/. `config.json` is written when the container is created and says what was
 * asked for (all of struct run_opts) and what was found then (image, layers, id map); only rename and update replace it,
 * whole. `state.json` says what became of it; it is replaced, whole, by the one process that holds the directory's lock:
 * the monitor, a foreground rl, or a verb that found nobody holding it. What is stored in state.json is a claim: whether
 * the container runs is derived from the processes named in it (rl/svc/container_store.h).
 *
 * Versioned and tolerant: members a reader does not know are ignored, members that are missing get the default of the
 * struct; a document of a newer major version is -EPROTONOSUPPORT. Numbers out of range and wrong types are -EBADMSG
 * and name the member, so a damaged record is reported, never half believed.
 *
 * Processes are named by boot id, pid and start time (proc.h), never by pid alone.
 * Times are nanoseconds since 1970 (CLOCK_REALTIME), 0: never.
 * Ownership: every struct owns what it points to; *_init before use, *_free after. No I/O here.
 */
#ifndef RL_MODEL_RECORD_H
#define RL_MODEL_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"

enum {
	RECORD_VERSION = 1,
	RECORD_ID_SIZE = 65,
	RECORD_EXTENTS_MAX = 120,
	RECORD_FILE_MAX = 8 << 20, /* readers refuse larger documents */
	RECORD_HEALTH_LOG = 5,
	RECORD_EXIT_UNKNOWN = -1, /* nobody saw how it ended */
};

/* ---- config.json ---- */

struct record_extent {
	uint32_t inside, outside, count;
};

/* The id map the container was created with; `form` is the number of enum idmap_form. */
struct record_map {
	bool present; /* false: the caller's user namespace is kept */
	int form;
	char key[64];
	struct record_extent uid[RECORD_EXTENTS_MAX], gid[RECORD_EXTENTS_MAX];
	size_t nuid, ngid;
};

/* A health check as decided at create: options first, then the image. */
struct record_health_check {
	struct strv test;     /* argv; empty: none */
	uint64_t interval_ns; /* 0: only when it is asked for */
	uint64_t timeout_ns, start_period_ns;
	uint64_t start_interval_ns; /* in the start period; 0: interval_ns */
	unsigned retries;
	/* What has to succeed first (podman's startup check). */
	struct strv startup_test; /* empty: none */
	uint64_t startup_interval_ns, startup_timeout_ns;
	unsigned startup_retries; /* failures after which it is started again; 0: never */
	unsigned startup_success; /* at least 1 */
};

struct record_config {
	char id[RECORD_ID_SIZE];
	char *name;
	int64_t created;
	char *image;	/* reference as it was found, "" with --rootfs */
	char *image_id; /* "sha256:..." of the config */
	char *image_manifest;
	struct strv layers; /* absolute directories, top first */
	struct record_map map;
	struct strv labels; /* image's, then the options': "key=value" */
	struct strv args;   /* the command as resolved: entrypoint and command */
	struct strv env;    /* as resolved, HOME left out */
	char *cwd;
	char *user; /* as resolved: "" is root */
	char *hostname;
	int stop_signal; /* resolved: options, image, SIGTERM */
	struct record_health_check health;
	struct run_opts o; /* everything asked for; names and paths made absolute, variables taken from the caller */
};

void record_config_init(struct record_config *c);
void record_config_free(struct record_config *c);
json_t *record_config_to_json(const struct record_config *c);
int record_config_from_json(const json_t *doc, struct record_config *ret_config, struct err *e) RL_CHECK;

/* What a list of containers looks at, for json_parse_parts: the documents with these members only are read as above,
 * everything else in the structs is then as record_*_init leaves it. */
extern const struct json_part record_config_listed[];
extern const struct json_part record_state_listed[];

/* The member "options" of config.json by itself. run_opts_from_json wants an initialised struct and frees nothing of
 * it; members missing keep what run_opts_init set. `explain` is not stored. */
json_t *run_opts_to_json(const struct run_opts *o);
int run_opts_from_json(const json_t *doc, struct run_opts *o, struct err *e) RL_CHECK;

/* ---- state.json ---- */

enum record_status {
	RECORD_CREATED, /* never started */
	RECORD_RUNNING,
	RECORD_PAUSED,	   /* only as a derived status */
	RECORD_RESTARTING, /* ended, the monitor waits to start it again */
	RECORD_STOPPING,   /* only derived: PID 1 has ended and the monitor has not yet said how */
	RECORD_EXITED,
	RECORD_DEAD, /* half removed */
};

struct record_process {
	pid_t pid;	/* 0: none */
	uint64_t start; /* field 22 of /proc/PID/stat */
};

/* What a process that joins the container needs (exec, cp, health checks): the sandbox as it was started. */
struct record_join {
	unsigned namespaces; /* 1 << enum rt_ns_kind for each that is not the caller's: join these through init */
	uint64_t caps;	     /* bounding set; effective for uid 0 */
	bool no_new_privs;
	char *seccomp; /* "default", "unconfined" or the absolute name of the profile */
	bool privileged;
	bool terminal;
	bool init; /* PID 1 is a reaper of ours */
	bool keep_groups;
	int umask;
	struct strv env; /* of the payload, HOME left out */
	char *cwd;
	char *user;
	struct strv group_add;
	bool root_read_only;
};

struct record_health_entry {
	int64_t start, end;
	int exit_code;
	char *output;
};

struct record_health {
	char *status; /* NULL: no check; "starting", "healthy", "unhealthy" */
	unsigned failing_streak;
	struct record_health_entry log[RECORD_HEALTH_LOG]; /* oldest first */
	size_t nlog;
};

struct record_state {
	enum record_status status;
	char boot_id[37];
	struct record_process init;    /* PID 1, as the host numbers it */
	struct record_process monitor; /* who holds the directory's lock */
	bool foreground;	       /* the monitor is an `rl run` in the foreground: it passes signals on */
	int64_t started, finished;
	int exit_code; /* of the last run; RECORD_EXIT_UNKNOWN */
	bool oom_killed;
	char *error; /* why it could not be started, "" */
	unsigned restarts;
	bool stopped_by_user;
	struct strv cgroups; /* directories of the running container (rl/kern/cgroup.h) */
	char *limits_rung;   /* what enforces its limits: "systemd scope", ...; NULL: nothing was asked for */
	struct record_health health;
	struct record_join join;
	struct strv networks; /* of this run (rl/model/endpoint.h), the default route's first */
};

void record_state_init(struct record_state *s);
void record_state_free(struct record_state *s);
json_t *record_state_to_json(const struct record_state *s);
int record_state_from_json(const json_t *doc, struct record_state *ret_state, struct err *e) RL_CHECK;

/* "created", "running", ... */
const char *record_status_name(enum record_status s);
int record_status_parse(const char *name, enum record_status *ret_status, struct err *e) RL_CHECK;

#endif
