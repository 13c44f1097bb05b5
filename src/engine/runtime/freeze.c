/*
 * freeze.c - stop and continue a whole container without a cgroup freezer, and what its PID 1 does with signals.
 *
 * A process belongs to the container if its pid namespace is PID 1's (nested ones are reached through their parents:
 * processes of a pid namespace below it are found by walking children). Stopping goes in passes, because a process that
 * still runs can fork: a pass that finds nothing running ends it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
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

/* State letter of /proc/PID/stat and its parent's pid; false if it is gone. */
static bool read_stat(int procfd, const char *pid, char *ret_state, int *ret_ppid)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/stat", pid);
	autofd int fd = openat(procfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	char text[512];
	ssize_t n = io_read_full(fd, text, sizeof(text) - 1, NULL);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *close = strrchr(text, ')');
	return close && sscanf(close + 1, " %c %d", ret_state, ret_ppid) == 2;
}

/* True if walking up from the process reaches init: orphans of a pid namespace are children of its PID 1. */
static bool is_below(int procfd, int pid, int init_pid)
{
	for (int depth = 0; depth < 4096 && pid > 1; depth++) {
		if (pid == init_pid)
			return true;
		char name[16];
		char state;
		snprintf(name, sizeof(name), "%d", pid);
		if (!read_stat(procfd, name, &state, &pid))
			return false;
	}
	return false;
}

/* Send to every process of the container; returns how many had not yet the wanted state. */
static int signal_pass(pid_t init_pid, int sig, struct err *e)
{
	autodir DIR *d = opendir("/proc");
	if (!d)
		return err_sys(e, errno, "open /proc");
	int changed = 0;
	struct dirent *entry;
	while ((entry = readdir(d))) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		int pid = (int)strtol(entry->d_name, NULL, 10);
		if (!is_below(dirfd(d), pid, init_pid))
			continue;
		char state;
		int ppid;
		if (!read_stat(dirfd(d), entry->d_name, &state, &ppid) || state == 'Z' || state == 'X')
			continue;
		if ((sig == SIGSTOP) == (state == 'T' || state == 't'))
			continue;
		/* The walk up from it reached our child, which is not reaped: the pid cannot have been reused by another
		 * user's process in between without that process being below the container too. */
		if (kill(pid, sig) == 0)
			changed++;
	}
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
