/*
 * procs.h - the processes of a container, from /proc, without its cooperation.
 *
 * Model: a process is the container's if its mount namespace is that of the container's first process, or if its parent
 * is one of the container's. The first rule finds what joined it (exec: its parent is rl, outside), the second what has
 * made namespaces of its own; the mount namespace is the one that containers never share. Processes of which the kernel
 * shows nothing (about to join) are not there yet.
 *
 * One pass over /proc; what it says may be old a moment later. Numbers are the host's (of the caller's pid namespace)
 * unless said. Role: host side, as the user that runs the container.
 */
#ifndef RL_ENGINE_PROCS_H
#define RL_ENGINE_PROCS_H

#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"

struct procs_entry {
	pid_t pid, ppid, pgid, sid;
	char state; /* as in proc(5) */
	char comm[17];
	int tty; /* device number, 0: none */
	int nice;
	uint64_t user_ticks, system_ticks; /* its own, of sysconf(_SC_CLK_TCK) */
	uint64_t start_ticks;		   /* since boot */
	uint64_t vsize, rss;		   /* bytes */
	unsigned threads;
};

struct procs_list {
	struct procs_entry *items; /* by pid */
	size_t count;
};

/* `first`: the container's first process as the host numbers it. -ESRCH if it is not there. */
int procs_of(pid_t first, struct procs_list *ret_list, struct err *e) RL_CHECK;
void procs_free(struct procs_list *l);

/* SIGKILL to whatever is in this mount namespace ("mnt:[4026532100]", as runtime_container has it), after the first
 * process has ended: where the pid namespace is shared, the kernel does not do it. Nothing is done to our own. -EBUSY if
 * some do not go. */
enum { PROCS_NS_SIZE = 64 };
int procs_kill_rest(const char *mount_ns, struct err *e) RL_CHECK;

/*
 * Dead processes of the pid namespace of `first` that nobody has reaped keep the namespace, and `first` with it, from
 * ending. Those that joined have their parent outside: where that one is stopped (Ctrl-Z at rl exec), it is sent
 * SIGCONT. Returns to how many.
 */
int procs_wake_reapers(pid_t first);

/* What only /proc/PID/status says. */
struct procs_status {
	uint32_t euid, egid, ruid, rgid; /* host ids */
	pid_t inside;			 /* its number in the first process's pid namespace; 0: none there */
	int seccomp;
	uint64_t cap_effective;
};
/* `depth`: how many numbers the container's first process has (procs_depth). -ENOENT when it is gone. */
int procs_status(pid_t pid, int depth, struct procs_status *ret_status, struct err *e) RL_CHECK;
int procs_depth(pid_t first);

/* Bytes read from and written to block devices; 0 0 where that is not to be seen. */
void procs_io(pid_t pid, uint64_t *ret_read, uint64_t *ret_written);

#endif
