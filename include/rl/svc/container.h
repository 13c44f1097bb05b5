/*
 * container.h - containers as a whole: run, create, start, attach, stop, remove, logs, and what is shown of them.
 *
 * Model: cmd parses argv into the arguments below and prints what comes back. `root` is --root or NULL. Containers are
 * named by name, id or unique prefix of an id; container_select turns the several ways to mean containers (--all,
 * --latest, --filter) into ids first. A failure of ours is a negative return with *e filled; its exit_status tells 125,
 * 126 and 127 apart.
 *
 * Records, status and locks: rl/svc/container_store.h. The process that owns a detached container: src/svc/monitor.c.
 */
#ifndef RL_SVC_CONTAINER_H
#define RL_SVC_CONTAINER_H

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"

/* ---- making and running; all take over what `o` holds and leave it empty ---- */

/* Foreground: returns when the container has ended or the person detached; *ret_status is the exit status for the shell
 * (the command's own, or 128 + signal). With o->detach: returns when the command was executed. *ret_id gets the id
 * where it is to be printed (detached), else stays as it is. */
int container_run(struct run_opts *o, const char *root, struct str *ret_id, int *ret_status, struct err *e) RL_CHECK;
int container_create(struct run_opts *o, const char *root, struct str *ret_id, struct err *e) RL_CHECK;
/* What container_run would do, one operation a line; nothing is started. */
int container_explain(struct run_opts *o, const char *root, struct str *ret_text, struct err *e) RL_CHECK;

/* First thing in a verb that starts or enters containers: where a container could write the rl binary, go on in a
 * sealed copy of it (rl/kern/selfexe.h). argv is main's. */
int container_protect_binary(char **argv, struct err *e) RL_CHECK;

struct container_attach_opts {
	bool attach;	  /* show its output and wait for its end (container_attach: implied) */
	bool interactive; /* give it our standard input */
	bool sig_proxy;
	const char *detach_keys; /* NULL: as it was created */
};

/* Start a container that does not run; one that does is success. Attached: as container_run in the foreground. */
int container_start(const char *root, const char *name, const struct container_attach_opts *o, int *ret_status,
		    struct err *e) RL_CHECK;
int container_attach(const char *root, const char *name, const struct container_attach_opts *o, int *ret_status,
		     struct err *e) RL_CHECK;

struct container_exec_opts {
	struct strv args;
	struct run_opts
		o; /* env, workdir, user, interactive, tty, detach, privileged, detach_keys; the rest is not used */
	unsigned preserve_fds;
};
/* Another command in a container that runs, in its namespaces and with its restrictions. Returns when the command has
 * ended or the person detached, with o->o.detach when it was executed; *ret_status as for container_run. If we are
 * killed, so is the command, unless detached. */
int container_exec(const char *root, const char *name, const struct container_exec_opts *o, int *ret_status,
		   struct err *e) RL_CHECK;

/* A command of the host in namespaces ("net", "mnt", "pid", ...) of a running container, unconfined. */
int container_nsenter(const char *root, const char *name, const struct strv *namespaces, char *const *argv,
		      int *ret_status, struct err *e) RL_CHECK;

/* Run its health check now and count it. *ret_code: 0 healthy, else not; *ret_output: what the check said. */
int container_healthcheck(const char *root, const char *name, int *ret_code, struct str *ret_output,
			  struct err *e) RL_CHECK;

/* ---- ending ---- */

enum { CONTAINER_TIMEOUT_OWN = -1 };

/* Its stop signal (or `sig`), and SIGKILL after `timeout` seconds (0: at once). Returns when it has ended; 1 if it did
 * not run. It is not restarted, whatever its policy. */
int container_stop(const char *root, const char *name, int timeout, int sig, struct err *e) RL_CHECK;
int container_restart(const char *root, const char *name, int timeout, struct err *e) RL_CHECK;
int container_kill(const char *root, const char *name, int sig, struct err *e) RL_CHECK;
/* `force` ends it first (timeout 0), and removes what cannot be read. `volumes`: and its anonymous volumes. */
int container_remove(const char *root, const char *name, bool force, bool volumes, struct err *e) RL_CHECK;
/* Remove what killed commands have left. */
void container_tidy(const char *root);
/* Every container that is not alive and passes the filters. */
int container_prune(const char *root, const struct strv *filters, struct strv *ret_removed, struct err *e) RL_CHECK;

enum container_condition { WAIT_STOPPED, WAIT_RUNNING, WAIT_REMOVED, WAIT_HEALTHY, WAIT_UNHEALTHY };
/* *ret_status: exit code, -1 where nobody knows it. */
int container_wait(const char *root, const char *name, enum container_condition until, int *ret_status,
		   struct err *e) RL_CHECK;

/* ---- changing ---- */

/* Everything in it stands still, or goes on. -EALREADY if it does. */
int container_pause(const char *root, const char *name, struct err *e) RL_CHECK;
int container_unpause(const char *root, const char *name, struct err *e) RL_CHECK;

int container_rename(const char *root, const char *name, const char *new_name, struct err *e) RL_CHECK;
/* `policy` as --restart takes it, or NULL; `limits` that are set replace the container's, at once if it runs. */
int container_update(const char *root, const char *name, const char *policy, const struct limit_opts *limits,
		     struct err *e) RL_CHECK;
/* Make the container's directory ready without starting it: checks that it could be started. */
int container_init_only(const char *root, const char *name, struct err *e) RL_CHECK;

/* ---- looking ---- */

struct container_selection {
	const struct strv *names; /* or NULL */
	bool all;		  /* every container (with `running_only`: every running one) */
	bool running_only;
	bool latest;
	int last;		    /* the N created last, 0: not asked for */
	const struct strv *filters; /* name=, id=, status=, label=, ancestor=, exited=, before=, since=, ... */
};
/* Ids, newest first; names in the order given. -ENOENT for a name that is none. */
int container_select(const char *root, const struct container_selection *s, struct strv *ret_ids,
		     struct err *e) RL_CHECK;
struct container_rows_opts {
	bool no_trunc;
	bool sizes; /* of what was written */
	bool all;   /* every member docker's and podman's `ps` templates use, not only those of the table */
};
/* One object per container, newest first. */
int container_rows(const char *root, const struct container_selection *s, const struct container_rows_opts *o,
		   json_t **ret_rows, struct err *e) RL_CHECK;
/* docker's document. */
int container_inspect(const char *root, const char *name, bool size, json_t **ret_doc, struct err *e) RL_CHECK;

/* The processes of a running container as a table; `format`: names of columns as rl-top(1) lists them, or what people
 * give to ps(1). */
int container_top(const char *root, const char *name, const struct strv *format, struct str *ret_text,
		  struct err *e) RL_CHECK;

struct container_stats_row {
	char id[65];
	char *name;
	bool running;
	uint64_t at_ns;		/* when it was measured, CLOCK_MONOTONIC */
	uint64_t cpu_ns;	/* of all its processes since their start */
	uint64_t memory, limit; /* bytes */
	uint64_t net_in, net_out, block_in, block_out;
	unsigned pids;
};
struct container_stats {
	struct container_stats_row *rows;
	size_t count;
};
/* What the named containers use now; without names every running one, or every one. */
int container_stats(const char *root, const struct strv *names, bool all, struct container_stats *ret_stats,
		    struct err *e) RL_CHECK;
void container_stats_free(struct container_stats *st);

struct container_logs_opts {
	bool follow;
	bool timestamps;
	bool details;
	bool names;	      /* put the container's name before each line */
	bool color;	      /* the same, in colors */
	int64_t since, until; /* ns since 1970; 0: no limit */
	uint64_t tail;	      /* lines, UINT64_MAX: all */
};
/* Writes to our standard output and error, as the container did. */
int container_logs(const char *root, const struct strv *names, const struct container_logs_opts *o,
		   struct err *e) RL_CHECK;

#endif
