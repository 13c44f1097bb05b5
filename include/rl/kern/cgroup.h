/*
 * cgroup.h - control groups of one container: where they can be made, limits, numbers, freeze, kill, remove.
 *
 * Model: a container's cgroups are a vector of texts "CONTROLLERS:PATH", one for each directory: "" as CONTROLLERS for
 * the unified hierarchy (cgroup v2), a name like "pids" for one of v1. The record keeps that vector, so whoever has
 * it (the monitor, `rl stats`, `rl pause`, a later `rl rm`) can use every function below that takes `dirs`.
 * An empty vector means that the container has no cgroup of its own: it was started without a limit, or nothing lets
 * us make one (numbers then come from cgroup_stats_of_tree).
 *
 * Where they are made, tried in this order (decision 26):
 *   scope      a transient scope asked of systemd over D-Bus, delegated to us, with two leaves: `payload` (limits, root
 *              of the container's cgroup namespace) and `monitor` (the process that watches; it keeps scope and
 *              memory.events alive after the payload). The asking process itself is moved into the scope.
 *   directory  a cgroup v2 directory we may write: --cgroup-parent, our own or the one above it.
 *   v1         one directory per controller asked for, below our own in each hierarchy; and, where the unified
 *              hierarchy is mounted beside them and writable, one there for kill.
 *
 * Calling sequence (svc/container_limits.c):
 *     struct cgroup_job job = CGROUP_JOB_NONE;
 *     cgroup_request(&ask, &job);                 // early: sends the D-Bus request, waits for nothing
 *     cgroup_make(&ask, &job, &made, e);          // 0: nothing can be made, made.why says why
 *     cgroup_set_limits(&made.dirs, &limits, &missing, e);
 *     ... clone with made.fd (CLONE_INTO_CGROUP), or cgroup_join(&made.dirs, pid, e) ...
 *     cgroup_oom_kills(&made.dirs); cgroup_kill(&made.dirs); cgroup_remove(&made.dirs);
 *
 * Ownership: vectors are the caller's. struct cgroup_made owns dirs, why and fd (cgroup_made_free).
 * Context: host side (rl or its monitor), as the user who owns the container. Paths come from our own record and from
 * /proc/self/cgroup and mountinfo, never from the container.
 * Units: bytes, microseconds, processes. Errors: err.h; -ENOENT from readers when the cgroup is gone.
 */
#ifndef RL_KERN_CGROUP_H
#define RL_KERN_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

/* ---- limits ---- */

enum { CGROUP_UNLIMITED = -1 };

enum cgroup_io_kind { CGROUP_IO_RBPS, CGROUP_IO_WBPS, CGROUP_IO_RIOPS, CGROUP_IO_WIOPS, CGROUP_IO_WEIGHT };

struct cgroup_io {
	enum cgroup_io_kind kind;
	unsigned major, minor;
	uint64_t value; /* per second; weight: 10 to 1000 */
};

/* 0 or NULL: not asked for. Strings and arrays are borrowed. */
struct cgroup_limits {
	int64_t memory;		    /* bytes */
	int64_t memory_swap;	    /* memory and swap together, docker's meaning; CGROUP_UNLIMITED */
	int64_t memory_reservation; /* bytes, a soft limit */
	int64_t pids;		    /* CGROUP_UNLIMITED */
	int64_t cpu_quota;	    /* us of each period; CGROUP_UNLIMITED */
	uint64_t cpu_period;	    /* us, 100000 where only the quota is given */
	uint64_t cpu_shares;	    /* v1 scale, 2 to 262144, 1024 is the default */
	const char *cpuset_cpus;    /* "0-2,7" */
	const char *cpuset_mems;
	unsigned blkio_weight; /* v1 scale, 10 to 1000 */
	const struct cgroup_io *io;
	size_t nio;
	const struct strv *conf; /* "FILE=VALUE" of cgroup v2, written as they are */
};

/* True if anything is asked for. */
bool cgroup_limits_any(const struct cgroup_limits *l);

/* Write them, all or those in the struct (update: the others stay as they are). What has no controller here is
 * not an error: its option's name ("--memory") is added to `missing`. A value the kernel refuses is an error. */
int cgroup_set_limits(const struct strv *dirs, const struct cgroup_limits *l, struct strv *missing,
		      struct err *e) RL_CHECK;

/* ---- making ---- */

enum cgroup_rung { CGROUP_RUNG_NONE, CGROUP_RUNG_SCOPE, CGROUP_RUNG_DIRECTORY, CGROUP_RUNG_V1 };

struct cgroup_ask {
	const char *id;			    /* of the container: names scope and directory */
	const char *parent;		    /* --cgroup-parent: a slice, or a path below the hierarchy's root; NULL */
	const struct cgroup_limits *limits; /* which controllers are wanted */
	const char *unit;		    /* the scope's name; NULL: from the id */
	pid_t pid;			    /* the process to put into the scope; 0: ourselves */
	bool split; /* in the cgroup we are in and nowhere else: we go into a leaf of it, the container into another */
};

struct cgroup_job {
	void *bus; /* a request under way, NULL: none */
	char *unit;
	struct str path; /* of systemd's job */
};

#define CGROUP_JOB_NONE                                                                                                \
	{                                                                                                              \
		.bus = NULL, .path = STR_INIT                                                                          \
	}

struct cgroup_made {
	enum cgroup_rung rung;
	struct strv dirs;
	int fd;		/* of the v2 directory, for CLONE_INTO_CGROUP; -1: use cgroup_join after clone */
	struct str why; /* CGROUP_RUNG_NONE: one clause for each rung that was tried */
};

#define CGROUP_MADE_NONE                                                                                               \
	{                                                                                                              \
		.fd = -1, .dirs = STRV_INIT, .why = STR_INIT                                                           \
	}

/* Never fails: what could not be sent is known to cgroup_make. */
void cgroup_request(const struct cgroup_ask *a, struct cgroup_job *ret_job);
/* Returns 1, or 0 with ret_made->why where no rung works. Errors are of --cgroup-parent only: it was asked for by
 * name. Ends the job. */
int cgroup_make(const struct cgroup_ask *a, struct cgroup_job *job, struct cgroup_made *ret_made,
		struct err *e) RL_CHECK;
/* The request is not wanted any more. */
void cgroup_cancel(struct cgroup_job *job);
void cgroup_made_free(struct cgroup_made *m);
const char *cgroup_rung_name(enum cgroup_rung r);

/* Put another process into a new delegated scope of this name in this slice (NULL: the manager's default) and wait until
 * it is there. systemd removes the scope with its last process. */
int cgroup_scope_put(const char *unit, const char *slice, pid_t pid, struct err *e) RL_CHECK;

/* ---- a cgroup that exists ---- */

/* Move a process (and with it all it will fork). Needed again for every process that is not a child of the payload:
 * exec, health checks. */
int cgroup_join(const struct strv *dirs, pid_t pid, struct err *e) RL_CHECK;
/* 1: frozen (or thawed), all of it, when it returns; 0: no freezer among dirs, nothing was done. */
int cgroup_freeze(const struct strv *dirs, bool frozen, struct err *e) RL_CHECK;
/* SIGKILL to everything inside, at once (cgroup.kill) or process by process until none is left. */
int cgroup_kill(const struct strv *dirs, struct err *e) RL_CHECK;
/* How many processes the OOM killer has taken; 0 where that cannot be told. */
uint64_t cgroup_oom_kills(const struct strv *dirs);
/* Remove the directories (and a scope's leaves). Must be empty: after cgroup_kill. Gone already is success. */
int cgroup_remove(const struct strv *dirs, struct err *e) RL_CHECK;

/* ---- numbers ---- */

struct cgroup_stats {
	bool has_memory, has_cpu, has_pids, has_io; /* what could be read; the rest is 0 */
	uint64_t memory;       /* bytes in use, page cache that can be dropped at once left out (as docker) */
	uint64_t memory_peak;  /* 0: the kernel does not say */
	uint64_t memory_limit; /* UINT64_MAX: none */
	uint64_t swap;
	uint64_t cpu_us, cpu_user_us, cpu_system_us;
	uint64_t cpu_throttled_us;
	uint64_t pids;
	uint64_t pids_limit;	      /* UINT64_MAX: none */
	uint64_t io_read, io_written; /* bytes */
};

int cgroup_stats(const struct strv *dirs, struct cgroup_stats *ret_stats, struct err *e) RL_CHECK;
/* The same from /proc, summed over the process `init` and everything below it. Memory is the sum of what each process
 * has for itself plus its share of what it shares with others (PSS); CPU leaves out processes that were not reaped by
 * one of the tree. -ESRCH when init is gone. */
int cgroup_stats_of_tree(pid_t init, struct cgroup_stats *ret_stats, struct err *e) RL_CHECK;
/* Memory only, and cheaper: shared pages are counted once for each process, so it is never too small. */
int cgroup_memory_of_tree(pid_t init, uint64_t *ret_bytes, struct err *e) RL_CHECK;

/* ---- what there is, for `rl doctor` and `rl info` ---- */

struct cgroup_host {
	char *v2_mount;		    /* "/sys/fs/cgroup", or NULL */
	char *v2_own;		    /* our own directory there, absolute */
	struct strv v2_controllers; /* of our own directory */
	struct strv v1;		    /* "CONTROLLER:PATH" of our own directories */
	bool v2_writable;	    /* we may make directories in v2_own */
	bool is_root_of_namespace;  /* our own directory is the top of what we see, and not of the machine */
};

int cgroup_host_read(struct cgroup_host *ret_host, struct err *e) RL_CHECK;
void cgroup_host_free(struct cgroup_host *h);

#endif
