/*
 * proc.h - the one way to start another program, and the identity of a process.
 *
 * Model: a process is named by a pidfd while somebody holds one, and by (boot id, pid, start time) in records; never by
 * pid alone. proc_spawn starts a program with exactly the descriptors asked for: everything else is closed and the
 * child gets default signal dispositions and an empty signal mask.
 *
 * Calling sequence:
 *     struct proc_child c;
 *     r = proc_spawn(&(struct proc_spawn){ .argv = argv, .fds = fds, .nfds = 1 }, &c, e);
 *     r = proc_wait(&c, "newuidmap", e);
 * Ownership: struct proc_child owns the pidfd and the duty to reap; proc_wait or proc_kill_wait end both.
 * Context: any role of the host side; vfork semantics, no allocation in the child.
 */
#ifndef RL_BASE_PROC_H
#define RL_BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"

enum { PROC_SPAWN_FDS_MAX = 8 };

struct proc_spawn {
	const char *path;	 /* program file, absolute or with a slash; NULL: argv[0] is looked up in PATH */
	char *const *argv;	 /* NULL-terminated */
	char *const *envp;	 /* NULL: ours */
	const int *fds;		 /* fds[i] becomes descriptor 3 + i of the child */
	size_t nfds;		 /* at most PROC_SPAWN_FDS_MAX */
	int stdin_fd;		 /* 0: /dev/null unless inherit_stdio; else becomes descriptor 0 */
	int stdout_fd;		 /* 0: inherited; else becomes descriptor 1 */
	int stderr_fd;		 /* 0: inherited; else becomes descriptor 2 */
	bool inherit_stdin;	 /* keep our descriptor 0 */
	bool new_session;	 /* setsid: out of reach of the terminal's signals */
	int parent_death_signal; /* 0: none */
};

struct proc_child {
	pid_t pid;
	int pidfd;
};

#define PROC_CHILD_NONE                                                                                                \
	{                                                                                                              \
		.pid = -1, .pidfd = -1                                                                                 \
	}

/* Errors: -ENOENT the program is not there; the exec error is reported here, not as an exit status. */
int proc_spawn(const struct proc_spawn *s, struct proc_child *ret_child, struct err *e) RL_CHECK;

/* Reap. Returns the exit status 0..255, or 128 + signal. Closes the pidfd. */
int proc_wait(struct proc_child *c, const char *what, struct err *e) RL_CHECK;
/* Like proc_wait, and any status but 0 is an error (-ECHILD) that names `what` and the status. */
int proc_wait_ok(struct proc_child *c, const char *what, struct err *e) RL_CHECK;
/* SIGKILL and reap; harmless on an empty child. */
void proc_kill_wait(struct proc_child *c);

/* Turn a wait status into rl's: exit code, or 128 + signal. */
int proc_status_code(int wait_status);

int proc_pidfd_open(pid_t pid, struct err *e) RL_CHECK;
int proc_pidfd_signal(int pidfd, int sig, struct err *e) RL_CHECK;

/* Field 22 of /proc/PID/stat, in clock ticks since boot: with the boot id it names one process for ever. */
int proc_start_time(pid_t pid, uint64_t *ret_ticks, struct err *e) RL_CHECK;
/* The boot id as text (36 characters). */
int proc_boot_id(char ret_id[37], struct err *e) RL_CHECK;

/* The directory our helper programs are in: RL_LIBEXEC if set, else found relative to /proc/self/exe (../libexec/rl),
 * else the directory compiled in. Returned string is static. */
const char *proc_libexec_dir(void);
/* Same for share/rl. */
const char *proc_share_dir(void);

#endif
