/*
 * join_clone.h - a child of ours inside namespaces that exist.
 *
 * A pid namespace takes effect in children only, and a user namespace cannot be left again: so a helper, the joiner,
 * enters and clones with CLONE_PARENT. It is reaped before join_clone returns.
 */
#ifndef RL_RUNTIME_JOIN_CLONE_H
#define RL_RUNTIME_JOIN_CLONE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/model/rtspec.h"

struct join_entry {
	int fd;		     /* a pidfd, or a namespace if `namespaces` is one */
	unsigned namespaces; /* 1 << enum rt_ns_kind */
};

struct join_clone {
	struct join_entry entries[RT_NS_COUNT]; /* entered in order: whoever brings the user namespace first */
	size_t nentries;
	uint64_t clone_flags;			 /* new namespaces of the child */
	int sync;				 /* the child's end: carries the joiner's errors too */
	int (*before)(void *arg, struct err *e); /* in the joiner, still in the caller's namespaces; or NULL */
	void (*child)(void *arg);		 /* in the child; does not return */
	void *arg;
};

/* The kernel's flag for a kind. */
int join_ns_flag(enum rt_ns_kind kind);

/* For `before`: what has to be done while the caller's /proc is in sight (oom_score_adj), then out of sight of the
 * container: not dumpable, without a command line. */
int join_prepare(const struct rtspec *spec, struct err *e) RL_CHECK;
/* After -ECHILD, from the caller's end: the joiner's own error. Never 0. */
int join_explain(int sync, struct err *e) RL_CHECK;

/* `ret_pidfd` is the child's. When the joiner fails it has sent its error through `sync` (-ECHILD here, without text:
 * the caller takes the text from its own end). */
int join_clone(const struct join_clone *j, pid_t *ret_pid, int *ret_pidfd, struct err *e) RL_CHECK;

#endif
