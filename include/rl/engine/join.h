/*
 * join.h - another process in a container that runs: exec, health checks, the OCI runtime's exec.
 *
 * Model: the caller forks a *joiner*, which enters the namespaces of a process of the container in one setns(2) through
 * a pidfd (so it is that very process, and either all namespaces or none), and clones the *joined* process with
 * CLONE_PARENT: it is a child of the caller, inside the pid namespace, and the joiner is gone. The joined process
 * applies the same process and security stages as a container's first process (user, directory, limits, keyring,
 * session, capabilities, no_new_privs, filter last) and executes.
 *
 * What the container can see of it before the exec: a process that is not dumpable, whose memory belongs to the caller's
 * user namespace, so that not even root of the container with CAP_SYS_PTRACE can trace it, read its memory, follow its
 * exe, cwd, root or fd links (CVE-2016-9962, CVE-2019-5736, CVE-2024-21626); its command line is wiped; the working
 * directory is opened below the container's root without magic links.
 *
 * `spec` says what to run, with the nouns of the runtime specification; only its process part counts: args, env, cwd,
 * user_text, group_add, keep_groups, umask, terminal and its size, outlives_parent, caps, no_new_privs, seccomp_flags,
 * oom_score_adj, rlimits, and ns[RT_NS_NET].mode (RT_NS_HOST: the host's abstract sockets are closed). A terminal is
 * made in the container's /dev/pts.
 *
 * Calling sequence:
 *     int pidfd = runtime_open_member(init_pid, init_pidfd, e);          // where PID 1 is our own reaper; else its pidfd
 *     runtime_join(&(struct runtime_join){ .pidfd = pidfd, ... }, &c, e);
 *     runtime_wait_exec(&c, e);                                          // 125, 126, 127 as for a container's command
 *     ... relay until c.pidfd is readable, runtime_keep after a while ...
 *     status = runtime_reap(&c, e);                                      // or runtime_container_close: kills
 * Ownership: as in runtime.h; *ret_c is a struct runtime_container whose pid is the joined process.
 * Role: the caller (rl or a monitor), as the ordinary user that started the container, with one thread.
 * Control groups: the joined process is in those of `cgroups`, and so never outside of the container's limits; in the
 * caller's where that is NULL. -EACCES or -EPERM where the caller may not move it there.
 * Sources: setns(2) (pidfd since Linux 5.8), pid_namespaces(7), ptrace(2) "access mode checking".
 */
#ifndef RL_ENGINE_JOIN_H
#define RL_ENGINE_JOIN_H

#include "rl/engine/runtime.h"

struct runtime_join {
	int pidfd;	     /* of a process of the container, verified by the caller */
	unsigned namespaces; /* 1 << enum rt_ns_kind of those to enter, RT_NS_TIME_BIT; the others are the caller's */
	const struct rtspec *spec;
	const struct idmap *map;	     /* of the container, or NULL: the caller's user namespace */
	const struct seccomp_filter *filter; /* NULL: none */
	int stdio[3];			     /* become 0 to 2; -1: the caller's stay */
	unsigned preserve_fds;		     /* so many from 3 up stay open */
	const struct strv *cgroups;	     /* of the container (rl/kern/cgroup.h), or NULL */
	/* Takes what the filter's load gave, with SECCOMP_FILTER_FLAG_NEW_LISTENER; closed afterwards. Runs in the joined
	 * process, which still has copies of the caller's descriptors; or NULL. */
	int (*take_listener)(void *arg, int fd, struct err *e);
	void *listener_arg;
};

int runtime_join(const struct runtime_join *j, struct runtime_container *ret_c, struct err *e) RL_CHECK;

/* A command of the host in namespaces of a container: nothing else of the container is applied to it. It keeps the
 * caller's ids and environment, and has every capability in the user namespace it enters (ambient, so that they pass
 * the exec). With the mount namespace, root and working directory are the container's. It dies with the caller. */
struct runtime_enter {
	int pidfd;
	unsigned namespaces;
	char *const *argv;
};
int runtime_enter(const struct runtime_enter *n, struct runtime_container *ret_c, struct err *e) RL_CHECK;

/* A pidfd of the oldest child of PID 1, for containers whose PID 1 is our reaper (spec->init): that one never executed
 * anything, so the kernel protects it even from us. `init_pidfd` is PID 1's, verified. -ESRCH if there is none. */
int runtime_open_member(pid_t init_pid, int init_pidfd, struct err *e) RL_CHECK;
/* Its number alone, for looking at. */
int runtime_find_member(pid_t init_pid, pid_t *ret_pid, struct err *e) RL_CHECK;

#endif
