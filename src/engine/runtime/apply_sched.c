/*
 * apply_sched.c - clocks, scheduling, priority of input and output: what only a config.json asks for.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

static int write_self(const char *path, const char *text, struct err *e)
{
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	return write(fd, text, strlen(text)) < 0 ? err_sys(e, errno, "write '%s' to %s", text, path) : 0;
}

static int set_offset(const char *clock, const struct rt_clock_offset *o, struct err *e)
{
	char text[80];
	if (!o->given)
		return 0;
	snprintf(text, sizeof(text), "%s %" PRId64 " %" PRIu32, clock, o->seconds, o->nanoseconds);
	return write_self("/proc/self/timens_offsets", text, e);
}

/* Offsets can be set only while nobody is in the namespace, and a clone would be: so it is made for children, given its
 * offsets, and entered (time_namespaces(7)). */
int apply_time(const struct rt_time *t, struct err *e)
{
	if (t->fd >= 0)
		return setns(t->fd, CLONE_NEWTIME) < 0 ? err_sys(e, errno, "join time namespace") : 0;
	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(e, errno, "new time namespace");
	int r = set_offset("monotonic", &t->monotonic, e);
	if (r == 0)
		r = set_offset("boottime", &t->boottime, e);
	if (r < 0)
		return r;
	autofd int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
		return err_sys(e, errno, "enter the new time namespace");
	return 0;
}

int apply_scheduler(const struct rt_scheduler *s, struct err *e)
{
	/* sched_setattr(2), which libc has no declaration of. */
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {
		.size = sizeof(attr),
		.policy = s->policy,
		.flags = s->flags,
		.nice = s->nice,
		.priority = s->priority,
		.runtime = s->runtime,
		.deadline = s->deadline,
		.period = s->period,
	};
	_Static_assert(sizeof(attr) == 48, "the kernel's SCHED_ATTR_SIZE_VER0");
	return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? err_sys(e, errno, "scheduler") : 0;
}

int apply_ioprio(int ioprio, struct err *e)
{
	return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, ioprio) < 0 ? err_sys(e, errno, "ioPriority") : 0;
}
