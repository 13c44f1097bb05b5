/*
 * log.h - what a process says on standard error, and the debug trace.
 *
 * Model: only the edges speak. `log_line` prints one finished line ("rl: ..."), `log_warn` one warning that is not an
 * error; everything below cmd and the role mains returns a struct err instead. Debug lines may be written anywhere:
 * they cost one load and a branch when off. They are switched by `--debug` or by RL_DEBUG=all or a comma list of the
 * names in enum log_mask, and each carries the microseconds since the process (or the process it was forked from)
 * started, the pid, the role and the module, so that the trace is a latency profile too.
 *
 * Calling sequence: log_init(program) first thing in main; log_set_role("child") after a fork that changes role.
 * Ownership: none. State: one mask, the start time, the program and the role name; written only by these functions.
 * Context: any role; not async-signal-safe. Each line is one write(2), control characters escaped as \xNN.
 */
#ifndef RL_BASE_LOG_H
#define RL_BASE_LOG_H

#include <stdbool.h>

#include "rl/base/compiler.h"

enum log_mask {
	LOG_CMD = 1 << 0,
	LOG_RUN = 1 << 1, /* roles, handshake, plan */
	LOG_MNT = 1 << 2,
	LOG_IDMAP = 1 << 3,
	LOG_NET = 1 << 4,
	LOG_STORE = 1 << 5,
	LOG_ARCHIVE = 1 << 6,
	LOG_SECURITY = 1 << 7,
	LOG_REGISTRY = 1 << 8,
	LOG_STDIO = 1 << 9,
	LOG_CGROUP = 1 << 10,
	LOG_BUILD = 1 << 11,
	LOG_ALL = (1 << 12) - 1,
};

extern unsigned log_active_mask; /* read through log_on(); written by log_init and log_set_debug */

/* program: "rl", "rl-image", "rl-netd": the prefix of every line. Reads RL_DEBUG; unknown names in it are ignored. */
void log_init(const char *program);

/* names: as RL_DEBUG. Returns false if a name is unknown (the known ones take effect). Also exported to children by
 * log_export. */
bool log_set_debug(const char *names);

/* Put the mask and the start time into the environment, for programs we start. */
void log_export(void);

/* For the mains of programs that outlive the terminal they were started from: 0 and 1 become /dev/null, 2 as well unless
 * debug lines of `mask` are on. Without /dev/null they stay. */
void log_detach_stdio(enum log_mask mask);

/* role: static string, shown in debug lines. */
void log_set_role(const char *role);

/* Lines go to this descriptor as well, in the form of the OCI runtimes' --log: {"level","msg","time"} or the same as
 * key=value text. Only errors go to standard error then, too: that may be a container's. A full disk loses lines and nothing else. -1: no file. */
void log_set_file(int fd, bool json);

/* After this, log_warn says nothing (-q). */
void log_set_quiet(bool quiet);

static inline bool log_on(enum log_mask mask)
{
	return (log_active_mask & mask) != 0;
}

void log_line(const char *fmt, ...) RL_PRINTF(1, 2);
void log_warn(const char *fmt, ...) RL_PRINTF(1, 2);
void log_debug_line(enum log_mask mask, const char *module, const char *fmt, ...) RL_PRINTF(3, 4);

/* Microseconds since log_init of the first of our programs in this chain. */
long log_elapsed_us(void);

#define log_debug(mask, ...)                                                                                           \
	do {                                                                                                           \
		if (log_on(mask))                                                                                      \
			log_debug_line((mask), __FILE__, __VA_ARGS__);                                                 \
	} while (0)

#endif
