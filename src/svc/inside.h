/*
 * inside.h - a piece of our own code run in a child: as root of an id map's user namespace, in the namespaces of a
 * running container, or as ourselves.
 *
 * Model: the child is a plain fork: it has all of the caller's memory and descriptors, executes nothing and loads
 * nothing (the container's files are never run or dlopen'ed, CVE-2019-14271). It is not dumpable, so that a payload
 * which shares its user and pid namespaces can neither trace it nor look at its descriptors. Its failure travels as a
 * struct err. It is killed when the caller dies.
 *
 *     struct inside_job job;
 *     inside_start(&(struct inside){.map = &map, .fn = work, .arg = &w, .what = "the copy"}, &job, e);
 *     ... close what only the child needs, read what it writes ...
 *     inside_finish(&job, e);
 * The caller must have one thread only.
 */
#ifndef RL_SVC_INSIDE_H
#define RL_SVC_INSIDE_H

#include "rl/base/err.h"
#include "rl/base/proc.h"
#include "rl/kern/idmap.h"

struct inside {
	const struct idmap *map; /* run as root of a new user namespace with this map; NULL: in ours */
	int clone_flags;	 /* with map: further namespaces (CLONE_NEWNS) */
	int pidfd;	/* > 0: join the namespaces of this process instead; map and clone_flags are not used */
	bool join_user; /* with pidfd: its user namespace too, and be root there */
	int (*fn)(void *arg, struct err *e); /* 0 or -errno */
	void *arg;
	const char *what; /* for messages: "the copy" */
};

struct inside_job {
	struct proc_child child;
	int sock;
	const char *what;
};
#define INSIDE_JOB_NONE                                                                                                \
	{                                                                                                              \
		.child = PROC_CHILD_NONE, .sock = -1                                                                   \
	}

int inside_start(const struct inside *i, struct inside_job *ret_job, struct err *e) RL_CHECK;
/* Waits; the child's error is ours. */
int inside_finish(struct inside_job *job, struct err *e) RL_CHECK;
/* Kill and reap; harmless when it is over. */
void inside_cancel(struct inside_job *job);
/* Both; nothing is passed but by memory mapped shared or descriptors. */
int inside_run(const struct inside *i, struct err *e) RL_CHECK;

#endif
