/*
 * seccomp_notify.h - system calls of another process answered by us: the filter, the listener, the caller's memory.
 *
 * Model: a process loads a filter that answers SECCOMP_RET_USER_NOTIF for some calls; loading gives it a *listener*,
 * which it hands to a supervisor. Each such call of the process, and of every process it makes, then waits in the kernel
 * until the supervisor has answered: with a value or an errno, with "do it yourself" (CONTINUE), or by putting a
 * descriptor into the caller (ADDFD). One chain of filters has one listener at most (-EBUSY), so all that is answered
 * in one container is in one filter.
 *
 * Filters stack: of all filters' results the strictest holds, and ERRNO or KILL are stricter than USER_NOTIF. What the
 * container's main filter denies never reaches the supervisor.
 *
 * CONTINUE and memory: between our look at the caller's memory and the kernel's own, another thread may have changed it.
 * A check made here therefore protects nothing if the call then continues. CONTINUE is for calls that the caller may
 * make anyway.
 *
 * Who is who: `req->pid` is a thread id in the supervisor's pid namespace. It is valid as long as the call waits;
 * whatever was found by that number (memory, /proc/PID/...) is the caller's only if seccomp_notify_is_valid() says so
 * afterwards.
 *
 * Calling sequence, supervisor:
 *     seccomp_notify_open(&n, &listener, procfd, e);
 *     while ((r = seccomp_notify_next(&n, e)) > 0) {
 *             ... n.req ...
 *             seccomp_notify_answer(&n, n.req->id, value);     // or _continue, or _addfd
 *     }
 *     seccomp_notify_close(&n);
 * One round is one RECV and one answer; nothing is allocated after open.
 *
 * Ownership: struct seccomp_notify owns listener and buffers; procfd is borrowed.
 * Role: filter and load: the container's child; the rest: the supervisor, which needs CAP_SYS_PTRACE over the caller
 * for its memory (the owner of the caller's user namespace has it).
 * Sources: seccomp_unotify(2); kernel/seccomp.c (FD_SYNC_WAKE_UP since 6.6, WAIT_KILLABLE_RECV since 5.19, RECV that
 * ends with the last process since 6.11).
 */
#ifndef RL_KERN_SECCOMP_NOTIFY_H
#define RL_KERN_SECCOMP_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/kern/seccomp.h"

struct seccomp_notify {
	int fd;
	int procfd;		   /* /proc of the supervisor's pid namespace */
	struct seccomp_notif *req; /* the present call */
	struct seccomp_notif_resp *resp;
	size_t req_size;
	bool recv_ends; /* RECV returns when no process is left: poll need not be asked first */
	bool by_file;	/* process_vm_readv is not to be had: through /proc/PID/mem */
};

#define SECCOMP_NOTIFY_NONE                                                                                            \
	{                                                                                                              \
		.fd = -1, .procfd = -1                                                                                 \
	}

/* The filter: what `rules` say (USER_NOTIF, or ERRNO for what is to be refused), everything else allowed, for all
 * architectures this kernel runs. Rules as in seccomp.h; a call that i386 can also make through socketcall or ipc needs
 * a rule for that too (-EOPNOTSUPP otherwise). */
int seccomp_notify_filter(const struct seccomp_rule *rules, size_t count, struct seccomp_program *ret_program,
			  struct err *e) RL_CHECK;

/* Load it on the calling thread: the listener (close-on-exec). `killable`: once the supervisor has a call, only a fatal
 * signal ends the wait; without, any signal does, and the call is made again (a second notification) or fails with
 * EINTR. Ignored before Linux 5.19. -EBUSY: a listener exists already, ours or of an outer container. */
int seccomp_notify_load(const struct seccomp_filter *filter, bool killable, struct err *e) RL_CHECK;

/* Takes *fd over. */
int seccomp_notify_open(struct seccomp_notify *n, int *fd, int procfd, struct err *e) RL_CHECK;
void seccomp_notify_close(struct seccomp_notify *n);

/* Wait for a call. 1: it is in n->req; 0: no process with the filter is left; -errno. */
int seccomp_notify_next(struct seccomp_notify *n, struct err *e) RL_CHECK;
/* The same without waiting, after poll or epoll said that the listener is readable: -EAGAIN (no text) if the caller
 * has gone in the meantime. */
int seccomp_notify_take(struct seccomp_notify *n, struct err *e) RL_CHECK;

/* The call `id` still waits. */
bool seccomp_notify_is_valid(const struct seccomp_notify *n, uint64_t id);

/* Answer it: value >= 0 is its result, a negative one its -errno. False if it waits no longer. */
bool seccomp_notify_answer(struct seccomp_notify *n, uint64_t id, int64_t value);
bool seccomp_notify_continue(struct seccomp_notify *n, uint64_t id);
/* Put `fd` into the caller and answer with its number, in one step. Returns that number, or -errno (-ENOENT: it waits no
 * longer; -EMFILE: the caller has no room), in which case the call is not answered. */
int seccomp_notify_addfd(const struct seccomp_notify *n, uint64_t id, int fd, bool cloexec);
/* Put it in without answering; `at` >= 0: under that number, closing what was there. */
int seccomp_notify_setfd(const struct seccomp_notify *n, uint64_t id, int fd, int at, bool cloexec);

/* The caller's memory. Number of bytes read (fewer at the end of what is mapped), or -errno: -EFAULT, -ESRCH. */
ssize_t seccomp_notify_read(struct seccomp_notify *n, uint32_t pid, uint64_t addr, void *buf, size_t len);
/* A string with its NUL, at most `size` bytes: its length; -ENAMETOOLONG without NUL in that. */
ssize_t seccomp_notify_read_string(struct seccomp_notify *n, uint32_t pid, uint64_t addr, char *buf, size_t size);
/* All or -errno. Write only while the call is valid, that is: check, write, answer. */
int seccomp_notify_write(struct seccomp_notify *n, uint32_t pid, uint64_t addr, const void *buf, size_t len);

#endif
