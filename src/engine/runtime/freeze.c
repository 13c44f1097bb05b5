/*
 * freeze.c - stop and continue a whole container without a cgroup freezer, and what its PID 1 does with signals.
 *
 * Which processes are the container's: rl/engine/procs.h. Stopping goes in passes, because a process that still runs can
 * fork: a pass that finds nothing running ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/engine/procs.h"
#include "rl/engine/runtime.h"

enum { PASSES_MAX = 100 };

bool runtime_signal_is_lost(pid_t pid, int sig)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, path, 64 * 1024, &text, NULL) < 0)
		return false;
	/* Blocked counts too: a blocked signal stays pending for an init that waits for it (sigwaitinfo, signalfd). */
	static const char *const fields[] = {"\nSigBlk:", "\nSigIgn:", "\nSigCgt:"};
	unsigned long long taken = 0;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *p = strstr(text.buf, fields[i]);
		if (p)
			taken |= strtoull(p + strlen(fields[i]), NULL, 16);
	}
	return !(taken & (1ULL << (sig - 1)));
}

/* Send to every process of the container; returns how many had not yet the wanted state. */
static int signal_pass(pid_t init_pid, int sig, struct err *e)
{
	struct procs_list l;
	int r = procs_of(init_pid, &l, e);
	if (r < 0)
		return r;
	int changed = 0;
	for (size_t i = 0; i < l.count; i++) {
		const struct procs_entry *p = &l.items[i];
		bool stopped = p->state == 'T' || p->state == 't';
		if (p->state == 'Z' || p->state == 'X' || (sig == SIGSTOP) == stopped)
			continue;
		uint64_t start = 0;
		autofd int pidfd = proc_pidfd_open(p->pid, NULL);
		/* Held, then compared with what was listed: the number may have become another's. */
		if (pidfd < 0 || proc_start_time(p->pid, &start, NULL) < 0 || start != p->start_ticks)
			continue;
		if (proc_pidfd_signal(pidfd, sig, NULL) == 0)
			changed++;
	}
	procs_free(&l);
	return changed;
}

int runtime_stop_all(pid_t init_pid, struct err *e)
{
	for (int pass = 0; pass < PASSES_MAX; pass++) {
		int n = signal_pass(init_pid, SIGSTOP, e);
		if (n <= 0)
			return n;
	}
	return err_set(e, EBUSY, "the container forks faster than it can be stopped");
}

int runtime_continue_all(pid_t init_pid, struct err *e)
{
	int n = signal_pass(init_pid, SIGCONT, e);
	return n < 0 ? n : 0;
}
