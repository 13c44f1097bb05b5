/*
 * container_hold.h - a running container stands still for a moment, whatever becomes of us.
 *
 * Model: its cgroup is frozen where it has one (all processes at one moment), otherwise its processes are stopped (SIGSTOP
 * in passes; rl/engine/runtime.h), and a guard process of its own session
 * waits for the end of a pipe from us: closed by container_hold_end or by our death, it lets them go on. A container that
 * was paused before is left as it was.
 */
#ifndef RL_SVC_CONTAINER_HOLD_H
#define RL_SVC_CONTAINER_HOLD_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/proc.h"
#include "rl/svc/container_store.h"

struct container_hold {
	struct proc_child guard;
	int pipefd;
	bool is_frozen; /* by its cgroup: everything at the same moment */
};
#define CONTAINER_HOLD_NONE                                                                                            \
	{                                                                                                              \
		.guard = PROC_CHILD_NONE, .pipefd = -1                                                                 \
	}

/* Nothing to do, and success, where it does not run or is paused already. */
int container_hold_begin(const struct container_rec *rec, struct container_hold *ret, struct err *e) RL_CHECK;
void container_hold_end(struct container_hold *h);

#endif
