/*
 * notifyd.h - the parts of rl-notifyd, and how a feature adds its handlers; private to src/notifyd.
 *
 *   main.c       start: configuration, filter, handshake, confinement
 *   loop.c       the loop: one call, its handler, the answer
 *   confine.c    the filter on this process itself
 *   modules.c    the list of modules
 *   connect*.c   the fast path of TCP connections (connect.h)
 *   owner*.c     owners and identity in single-uid containers (owner.h)
 *
 * To add a feature: a struct notifyd_module in files of its own, a line in modules.c, a member of struct
 * notifyd_config (rl/engine/notifyd_proto.h), and what fills it in notifyd_config_from_spec. Nothing else of this
 * program needs to know it.
 *
 * A module lists the calls it answers by name; each may have conditions on its arguments (seccomp.h), and only calls for
 * which they hold come here, so that others cost nothing. A call may be listed several times with different
 * conditions and the same handler. Of two modules only one may answer a call. Calls that are to be refused outright, and
 * never come here, are `refused`.
 *
 * The same names are trapped for every architecture of the kernel. A handler that reads or writes structs of the
 * caller's, or whose arguments differ, looks at notifyd_arch() and returns -ENOSYS for what it does not know: x86 has
 * 32-bit pointers and layouts, and 16-bit ids under some of the names; x32 has x86_64's layouts with few exceptions.
 *
 * A handler returns
 *     a value >= 0        the call's result
 *     -errno              its error
 *     NOTIFYD_CONTINUE    the kernel does the call as if we were not there. Only for calls that are harmless whatever
 *                         the caller puts into its memory meanwhile (seccomp_notify.h)
 *     NOTIFYD_ANSWERED    the handler has answered (seccomp_notify_addfd, for one)
 *     NOTIFYD_LATER       the handler has kept req->id, and the module answers from a callback of d->loop. Only in
 *                         modules with `uses_loop`
 * It may not block on what the caller controls, and allocates nothing in the common case. *req is valid until it returns.
 *
 * The program blocks in RECV and answers, one call after the other. A module that `uses_loop` may have sources and timers in
 * d->loop (base/event.h), which is not open otherwise; as long as there are any, said with notifyd_pending, the loop runs
 * with the listener as one more source.
 */
#ifndef RL_NOTIFYD_NOTIFYD_H
#define RL_NOTIFYD_NOTIFYD_H

#include <limits.h>

#include "rl/base/event.h"
#include "rl/engine/notifyd_proto.h"
#include "rl/kern/seccomp_notify.h"

#define NOTIFYD_CONTINUE INT64_MIN
#define NOTIFYD_ANSWERED (INT64_MIN + 1)
#define NOTIFYD_LATER	 (INT64_MIN + 2)

enum { NOTIFYD_CALLS_MAX = 512, NOTIFYD_NUMBERS_MAX = 560, NOTIFYD_CALL_CONDS = 2 };

struct notifyd;
struct connect;
struct owner;

/* `arg` is that of the table's line. */
typedef int64_t notifyd_handler(struct notifyd *d, const struct seccomp_notif *req, unsigned arg);

struct notifyd_call {
	const char *name;
	notifyd_handler *handler;
	unsigned arg;
	size_t nconds;
	struct seccomp_cond conds[NOTIFYD_CALL_CONDS];
};

struct notifyd_module {
	const char *name;
	bool (*is_wanted)(const struct notifyd_config *c);
	/* Lines for this configuration; called once, before the process is confined. */
	const struct notifyd_call *(*calls)(const struct notifyd_config *c, size_t *ret_count);
	const struct seccomp_rule *refused;
	size_t nrefused;
	/* Where the process stands: with the module that asks for the most. */
	bool enters_container; /* its user namespace and root; the directory is then the host's /proc */
	bool uses_loop;
	/* The listener is there, the process stands where it will: get ready. Or NULL. */
	int (*open)(struct notifyd *d, struct err *e);
	/* The system calls it needs from then on. Where all modules that are wanted say it, others end the process. NULL: not
	 * known. */
	const char *const *(*needed)(size_t *ret_count);
};

struct notifyd {
	struct notifyd_config cfg;
	struct notifyd_identity who;
	struct seccomp_notify notify;
	int procfd;	   /* the host's /proc: "<req->pid>/..." is the caller */
	dev_t program_dev; /* our own file */
	ino_t program_ino;
	int rootfd;			     /* the root of the process we serve */
	int user_ns;			     /* a process in its user namespace, or -1: that one itself */
	int client;			     /* pidfd of the process we serve */
	int container_fds[NOTIFYD_FD_COUNT]; /* with `connect` */
	bool in_container;
	bool uses_loop;
	unsigned pending; /* what modules wait for in the loop */
	struct event_loop loop;
	struct event_source listener_src;
	/* What the modules keep, one pointer each. */
	struct owner *owner;
	struct connect *connect;
	/* By architecture and number: index into calls, plus one. */
	uint16_t index[SECCOMP_ARCH_N][NOTIFYD_NUMBERS_MAX];
	const struct notifyd_call *calls[NOTIFYD_CALLS_MAX];
	size_t ncalls;
};

/* modules.c: ends with NULL. */
extern const struct notifyd_module *const notifyd_modules[];

/* main.c: it cannot go on; the process it serves is killed. */
RL_NORETURN void notifyd_fail(struct notifyd *d, const char *what);

/* confine.c: once everything is open. */
int notifyd_confine(const struct notifyd *d, struct err *e) RL_CHECK;

/* loop.c */
enum seccomp_arch notifyd_arch(const struct seccomp_notif *req);
/* The filter of all wanted modules, and the table behind it. */
int notifyd_prepare(struct notifyd *d, struct seccomp_program *ret_filter, struct err *e) RL_CHECK;
/* So many sources or timers of modules more (or fewer, negative) are in d->loop. */
void notifyd_pending(struct notifyd *d, int change);
/* Until no process is left (0), or -errno. */
int notifyd_serve(struct notifyd *d, struct err *e) RL_CHECK;

#endif
