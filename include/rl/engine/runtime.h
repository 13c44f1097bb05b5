/*
 * runtime.h - one container's processes: planned, started, kept.
 *
 * Model: `runtime_plan` turns a spec into a list of typed operations (all decisions are made there, in the caller's
 * identity; it can be printed: `rl run --explain`). `runtime_start` clones the child with all new namespaces at once,
 * has its id maps written, lets the child apply the plan, and runs the caller's `prepare` and `record` where it would
 * otherwise wait: for newuidmap and newgidmap, and while the child mounts. The child becomes the payload (or PID 1 of it,
 * with spec->init) by exec; its failure to get there arrives as its own struct err.
 *
 * Calling sequence:
 *     runtime_plan(&spec, &map, &plan, e);
 *     runtime_start(&start, &c, e);       // returns when the child may run
 *     runtime_wait_exec(&c, e);           // or poll c.sync and call runtime_on_message until it returns 0
 *     ... relay until c.pidfd is readable ...
 *     status = runtime_reap(&c, e);
 *
 * Ownership: struct runtime_container owns its descriptors and the unreaped child; runtime_container_close kills and
 * reaps what is still there.
 * Roles: everything here but the child's side runs in the caller (rl or its monitor), as the ordinary user.
 * Steps of the handshake: src/engine/runtime/steps.h.
 */
#ifndef RL_ENGINE_RUNTIME_H
#define RL_ENGINE_RUNTIME_H

#include <stdbool.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/kern/idmap.h"
#include "rl/kern/seccomp.h"
#include "rl/model/rtspec.h"

struct plan;

/* Decide everything. `map` is NULL when the caller's user namespace is kept. `filter` is the compiled seccomp program
 * or NULL for none; it and `spec` must live as long as the plan. */
int runtime_plan(const struct rtspec *spec, const struct idmap *map, const struct seccomp_filter *filter,
		 struct plan **ret_plan, struct err *e) RL_CHECK;
void runtime_plan_free(struct plan *p);
/* One line per operation, in the order of execution. */
void runtime_plan_print(const struct plan *p, struct str *out);

/* What the network engine does inside the new network namespace, as seen from here: make a device and say which kind
 * (the value is the engine's), or none (ret_fd -1). Runs in the child, before its ids are mapped. */
typedef int runtime_net_setup(void *arg, int *ret_fd, int *ret_kind, struct err *e);

/* Where the child calls the caller's function, with spec->meets_caller. */
enum runtime_point {
	RUNTIME_BEFORE_PIVOT, /* everything is mounted, the host is still in sight; root of the container */
	RUNTIME_BEFORE_EXEC,  /* the last moment with privileges; not dumpable. Returning goes on. */
};

struct runtime_start {
	const struct plan *plan;
	runtime_net_setup *net_setup; /* NULL: nothing to do */
	void *net_arg;
	/* Host side work, each NULL or called once, in this order: `prepare` is what the child's mounts need, `record` what
	 * must be done before the payload is executed. */
	int (*prepare)(void *arg, struct err *e);
	int (*record)(void *arg, struct err *e);
	void *prepare_arg;
	pid_t *pid; /* for them: the child as the caller numbers it, as soon as there is one; or NULL */
	bool keep; /* runtime_keep in the same time; without it the container only loses a safeguard, so it is a warning */
	int (*meet)(void *arg, enum runtime_point point, struct err *e);
	/* The child failed after RUNTIME_BEFORE_EXEC, when the caller may be gone; or NULL. */
	void (*meet_failed)(void *arg, const struct err *e);
	/* Takes what the filter's load gave, with SECCOMP_FILTER_FLAG_NEW_LISTENER; closed afterwards. */
	int (*meet_listener)(void *arg, int fd, struct err *e);
	void *meet_arg;
	int meet_fds[4]; /* needed by it at RUNTIME_BEFORE_EXEC, when all others are closed; 0: none */
	int *cgroup_fd;	 /* clone the child into this cgroup v2 directory; NULL: none */
	/* Put the child into its cgroups, where clone could not (v1, an outer filter without clone3); or NULL. */
	int (*place)(void *arg, pid_t pid, struct err *e);
	void *place_arg;
};

struct runtime_container {
	pid_t pid;
	int pidfd;
	int sync;	/* -1 once the payload was executed */
	int pty;	/* master, with spec->terminal, once it came */
	int net_device; /* of net_setup, until the caller takes it; -1 */
	int net_kind;
	int layer;	   /* the writable layer, with spec->layer_in_memory and where it is in memory; else -1 */
	char mount_ns[64]; /* the kernel's name of it, where the pid namespace is not the container's own; else "" */
	struct proc_child keeper, notifyd;
	int keeper_pipe;
};

#define RUNTIME_CONTAINER_NONE                                                                                         \
	{                                                                                                              \
		.pid = -1, .pidfd = -1, .sync = -1, .pty = -1, .net_device = -1, .layer = -1,                          \
		.keeper = PROC_CHILD_NONE, .notifyd = PROC_CHILD_NONE, .keeper_pipe = -1                               \
	}

int runtime_start(const struct runtime_start *s, struct runtime_container *ret_c, struct err *e) RL_CHECK;

/* Take one message from c->sync. Returns 1 while the child is still setting up, 0 when the payload runs. */
int runtime_on_message(struct runtime_container *c, struct err *e) RL_CHECK;
int runtime_wait_exec(struct runtime_container *c, struct err *e) RL_CHECK;

/* Make sure that the container dies with this process, however this process dies (decision 20). For a process that was
 * joined, which may be over before that pays; runtime_start does it by itself where `keep` asks for it. */
int runtime_keep(struct runtime_container *c, struct err *e) RL_CHECK;

/* Reap PID 1; returns rl's exit status for it. Everything else in the pid namespace is dead by then. */
int runtime_reap(struct runtime_container *c, struct err *e) RL_CHECK;
/* No process of the container is left after this; the keeper, which has nothing of it, ends meanwhile. */
void runtime_container_kill(struct runtime_container *c);
/* The same, and everything else of *c. */
void runtime_container_close(struct runtime_container *c);

/* True if the process neither catches nor ignores `sig`: the kernel then drops it for a pid namespace's init
 * (pid_namespaces(7)), and whoever wants the default action must kill. */
bool runtime_signal_is_lost(pid_t pid, int sig);

/* Stop (SIGSTOP) or continue every process of the container's pid namespace; in passes, until none runs. */
int runtime_stop_all(pid_t init_pid, struct err *e) RL_CHECK;
int runtime_continue_all(pid_t init_pid, struct err *e) RL_CHECK;

#endif
