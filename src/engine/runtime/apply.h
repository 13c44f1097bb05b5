/*
 * apply.h - the executor of a plan, in the container's child.
 *
 * State lives in struct apply: descriptors that later operations need. Every function takes it first, returns as err.h
 * says, and leaves the state usable for nothing but exit when it fails.
 */
#ifndef RL_RUNTIME_APPLY_H
#define RL_RUNTIME_APPLY_H

#include "plan.h"
#include "rl/base/err.h"
#include "rl/engine/runtime.h"
#include "rl/kern/mnt.h"
#include "rl/model/user_spec.h"

/* The host's side of one mount, opened with the caller's identity; -1 where there is none. */
struct apply_source {
	int fd, upper, work;
	int *lowers; /* one per item of the mount's list */
};

struct apply {
	const struct plan *plan;
	const struct runtime_start *start; /* NULL: of a process that joins, which `join` describes */
	const struct runtime_join *join;
	int sync;
	int rootfd;    /* root of the container; "/" after the pivot */
	int procfd;    /* procfs for writes of ours, mounted nowhere; -1 until it is needed */
	int nullfd;    /* the host's /dev/null, verified, for masks */
	int mountfd;   /* the directory the root is mounted over */
	int *layerfds; /* one per layer of the spec */
	int upperfd, workfd;
	int rootfs;		      /* spec->rootfs */
	struct apply_source *sources; /* one per mount of the spec */
	int emptyfd; /* an empty read-only tmpfs, cloned over masked directories; -1 until the first one */
	int pty_master, pty_slave;
	int notifyd;		      /* socket of rl-notifyd until it has the listener */
	bool said_memory, said_bound; /* of a rung: once is enough */
	struct user_ids ids;
	struct strv env;
};

#define APPLY_INIT                                                                                                     \
	{                                                                                                              \
		.sync = -1, .rootfd = -1, .procfd = -1, .nullfd = -1, .mountfd = -1, .upperfd = -1, .workfd = -1,      \
		.rootfs = -1, .emptyfd = -1, .pty_master = -1, .pty_slave = -1, .notifyd = -1                          \
	}

/* apply.c: run the operations of stages first..last. */
int apply_stages(struct apply *a, enum op_stage first, enum op_stage last, struct err *e) RL_CHECK;

/* apply_overlay.c */
/* The overlay `o` at targetfd with upper and work in a tmpfs, which is mounted on `place`. Returns the descriptor. */
/* ret_upper: NULL, or gets the writable layer, open for reading. */
int apply_overlay_in_memory(const struct mnt_overlay *o, unsigned attrs, int place, int targetfd, int *ret_upper,
			    struct err *e) RL_CHECK;
int apply_say(struct apply *a, const char *text, struct err *e) RL_CHECK;
int apply_root_overlay(struct apply *a, struct err *e) RL_CHECK;
/* apply_root.c */
int apply_root_bind(struct apply *a, const char *dir, struct err *e) RL_CHECK;
int apply_root_memory(struct apply *a, struct err *e) RL_CHECK;
int apply_root_propagation(const struct apply *a, struct err *e) RL_CHECK;
int apply_pivot(struct apply *a, struct err *e) RL_CHECK;
int apply_open_host(struct apply *a, struct err *e) RL_CHECK;

/* apply_mount.c */
int apply_mount(struct apply *a, const struct rt_mount *m, struct err *e) RL_CHECK;
/* A mount point of ours (/proc, /sys, /dev) is a real directory, or is not there yet: -ENOTDIR. */
int apply_check_target(const struct apply *a, const char *target, struct err *e) RL_CHECK;
/* Attributes of what is mounted at the target. */
int apply_attrs(struct apply *a, const struct rt_mount *m, unsigned set, struct err *e) RL_CHECK;
/* :U, once the user is known. */
int apply_chown(struct apply *a, const struct rt_mount *m, struct err *e) RL_CHECK;
int apply_mask(struct apply *a, const char *path, struct err *e) RL_CHECK;
int apply_read_only(struct apply *a, const char *path, struct err *e) RL_CHECK;

/* apply_staged.c: RT_LAYERS and RT_FILE */
int apply_staged(struct apply *a, const struct rt_mount *m, const struct apply_source *source, struct err *e) RL_CHECK;

/* apply_dev.c */
int apply_dev(struct apply *a, const struct rt_mount *m, struct err *e) RL_CHECK;
int apply_standard_dev(struct apply *a, struct err *e) RL_CHECK;
int apply_device(struct apply *a, const struct rt_device *d, struct err *e) RL_CHECK;
int apply_terminal(struct apply *a, struct err *e) RL_CHECK;

/* apply_secret.c: all of the spec's, after every other mount. */
int apply_secrets(struct apply *a, struct err *e) RL_CHECK;

/* apply_accounts.c */
int apply_accounts(struct apply *a, struct err *e) RL_CHECK;

/* apply_sched.c */
int apply_time(const struct rt_time *t, struct err *e) RL_CHECK;
int apply_scheduler(const struct rt_scheduler *s, struct err *e) RL_CHECK;
int apply_ioprio(int ioprio, struct err *e) RL_CHECK;

/* apply_process.c */
int apply_sysctl(struct apply *a, const char *assignment, struct err *e) RL_CHECK;
int apply_exec_label(struct apply *a, struct err *e) RL_CHECK;
int apply_oom_score(struct apply *a, struct err *e) RL_CHECK;
int apply_user(struct apply *a, struct err *e) RL_CHECK;
int apply_cwd(struct apply *a, struct err *e) RL_CHECK;
int apply_rlimit(const struct rt_rlimit *l, struct err *e) RL_CHECK;
int apply_session(struct apply *a, struct err *e) RL_CHECK;
int apply_identity(struct apply *a, struct err *e) RL_CHECK;
int apply_exec(struct apply *a, struct err *e) RL_CHECK;

/* role_init.c: fork; returns in the child only. The parent becomes the reaper and never returns. */
int role_init_fork(struct apply *a, struct err *e) RL_CHECK;

/* role_hold.c: in place of the exec; returns only failures. */
int role_hold(struct err *e) RL_CHECK;

/* role_child.c: what the cloned process does; never returns. `namespaces` are CLONE_NEW flags that the clone left to it. */
RL_NORETURN void role_child_main(const struct runtime_start *start, uint64_t namespaces, int sync, int notifyd);
/* Its steps that a joined process takes too. */
int role_child_close_on_exec_from(int first, struct err *e) RL_CHECK;
int role_child_become_root(const struct plan *p, struct err *e) RL_CHECK;
void role_child_reset_signals(void);
void role_child_wipe_command_line(void);

#endif
