/*
 * seccomp_notify.c - see seccomp_notify.h.
 *
 * Memory is read by process_vm_readv, one system call, and through /proc/PID/mem where an outer filter refuses that. The
 * kernel checks the same in both (PTRACE_MODE_ATTACH_REALCREDS).
 */
#include "rl/kern/seccomp_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"

/* Newer than Debian 12's headers. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS	   SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum { STRING_CHUNK = 256, PAGE = 4096 };

int seccomp_notify_filter(const struct seccomp_rule *rules, size_t count, struct seccomp_program *ret_program,
			  struct err *e)
{
	const struct seccomp_rules list = {
		.default_action = SECCOMP_RET_ALLOW,
		.archs = seccomp_arch_family(seccomp_native_arch()),
		.rules = rules,
		.count = count,
	};
	return seccomp_filter_tree(&list, ret_program, e);
}

int seccomp_notify_load(const struct seccomp_filter *filter, bool killable, struct err *e)
{
	struct err why = ERR_INIT;
	unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	int r = seccomp_filter_load(filter, flags | (killable ? SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0), &why);
	if (r == -EINVAL && killable) {
		err_clear(&why);
		r = seccomp_filter_load(filter, flags, &why);
	}
	if (r < 0 && e)
		*e = why;
	return r;
}

/* Where RECV does not return by itself, poll says first whether anybody is left. */
static bool recv_ends_itself(void)
{
	struct utsname u;
	unsigned major = 0;
	unsigned minor = 0;
	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 11);
}

int seccomp_notify_open(struct seccomp_notify *n, int *fd, int procfd, struct err *e)
{
	struct seccomp_notif_sizes sizes;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return err_sys(e, errno, "seccomp user notification");
	*n = (struct seccomp_notify){
		.fd = take_fd(fd),
		.procfd = procfd,
		.req_size = RL_MAX(sizeof(*n->req), (size_t)sizes.seccomp_notif),
		.recv_ends = recv_ends_itself(),
	};
	n->req = xcalloc(1, n->req_size);
	n->resp = xcalloc(1, RL_MAX(sizeof(*n->resp), (size_t)sizes.seccomp_notif_resp));
	/* The caller is waiting for us and we then for it: both on one processor is three times as fast. */
	(void)!ioctl(n->fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	return 0;
}

void seccomp_notify_close(struct seccomp_notify *n)
{
	close_fd(&n->fd);
	free(n->req);
	free(n->resp);
	n->req = NULL;
	n->resp = NULL;
}

/* POLLHUP: the last process with the filter is gone. With timeout -1 until there is something. */
static int poll_listener(const struct seccomp_notify *n, int timeout, struct err *e)
{
	struct pollfd p = {.fd = n->fd, .events = POLLIN};
	int r;
	do
		r = poll(&p, 1, timeout);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(e, errno, "poll the listener");
	return p.revents;
}

int seccomp_notify_take(struct seccomp_notify *n, struct err *e)
{
	memset(n->req, 0, n->req_size); /* the kernel insists */
	if (ioctl(n->fd, SECCOMP_IOCTL_NOTIF_RECV, n->req) == 0)
		return 1;
	/* ENOENT: the caller was killed before we came, or nobody is left. */
	if (errno == ENOENT || errno == EINTR || errno == EAGAIN)
		return -EAGAIN;
	return err_sys(e, errno, "receive a system call");
}

int seccomp_notify_next(struct seccomp_notify *n, struct err *e)
{
	int r = -EAGAIN;
	bool ask = !n->recv_ends;
	while (r == -EAGAIN) {
		int events = ask ? poll_listener(n, n->recv_ends ? 0 : -1, e) : POLLIN;
		if (events < 0)
			return events;
		if ((events & (POLLHUP | POLLERR)) && !(events & POLLIN))
			return 0;
		r = seccomp_notify_take(n, e);
		ask = true;
	}
	return r;
}

bool seccomp_notify_is_valid(const struct seccomp_notify *n, uint64_t id)
{
	return ioctl(n->fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static bool respond(struct seccomp_notify *n, uint64_t id, int64_t value, int32_t error, uint32_t flags)
{
	n->resp->id = id;
	n->resp->val = value;
	n->resp->error = error;
	n->resp->flags = flags;
	int r;
	do
		r = ioctl(n->fd, SECCOMP_IOCTL_NOTIF_SEND, n->resp);
	while (r < 0 && errno == EINTR);
	return r == 0;
}

bool seccomp_notify_answer(struct seccomp_notify *n, uint64_t id, int64_t value)
{
	return value < 0 ? respond(n, id, 0, (int32_t)value, 0) : respond(n, id, value, 0, 0);
}

bool seccomp_notify_continue(struct seccomp_notify *n, uint64_t id)
{
	return respond(n, id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

static int addfd(const struct seccomp_notify *n, struct seccomp_notif_addfd *a)
{
	int r;
	do
		r = ioctl(n->fd, SECCOMP_IOCTL_NOTIF_ADDFD, a);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int seccomp_notify_addfd(const struct seccomp_notify *n, uint64_t id, int fd, bool cloexec)
{
	struct seccomp_notif_addfd a = {
		.id = id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	return addfd(n, &a);
}

int seccomp_notify_setfd(const struct seccomp_notify *n, uint64_t id, int fd, int at, bool cloexec)
{
	struct seccomp_notif_addfd a = {
		.id = id,
		.flags = at >= 0 ? SECCOMP_ADDFD_FLAG_SETFD : 0,
		.srcfd = (uint32_t)fd,
		.newfd = at >= 0 ? (uint32_t)at : 0,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	return addfd(n, &a);
}

/* ---- memory ---- */

/* Some outer containers' filters refuse process_vm_readv and process_vm_writev. */
static bool is_refused(int errnum)
{
	return errnum == ENOSYS || errnum == EPERM;
}

static int open_memory(const struct seccomp_notify *n, uint32_t pid, int flags)
{
	char path[32];
	snprintf(path, sizeof(path), "%u/mem", pid);
	int fd = openat(n->procfd, path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int memory_error(int errnum)
{
	return errnum == EIO ? -EFAULT : -errnum;
}

ssize_t seccomp_notify_read(struct seccomp_notify *n, uint32_t pid, uint64_t addr, void *buf, size_t len)
{
	if (!n->by_file) {
		struct iovec local = {buf, len};
		struct iovec remote = {(void *)(uintptr_t)addr, len};
		ssize_t got = process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0);
		if (got >= 0 || !is_refused(errno))
			return got < 0 ? -errno : got;
		n->by_file = true;
	}
	autofd int fd = open_memory(n, pid, O_RDONLY);
	if (fd < 0)
		return fd;
	ssize_t got = pread(fd, buf, len, (off_t)addr);
	return got < 0 ? memory_error(errno) : got == 0 ? -ESRCH : got;
}

ssize_t seccomp_notify_read_string(struct seccomp_notify *n, uint32_t pid, uint64_t addr, char *buf, size_t size)
{
	size_t have = 0;
	while (have < size) {
		/* Not over the end of a page: the next one need not be there. */
		size_t part = RL_MIN(RL_MIN(size - have, (size_t)STRING_CHUNK), PAGE - (size_t)((addr + have) % PAGE));
		ssize_t got = seccomp_notify_read(n, pid, addr + have, buf + have, part);
		if (got <= 0)
			return got < 0 ? got : -EFAULT;
		const char *end = memchr(buf + have, '\0', (size_t)got);
		if (end)
			return end - buf;
		have += (size_t)got;
	}
	return -ENAMETOOLONG;
}

int seccomp_notify_write(struct seccomp_notify *n, uint32_t pid, uint64_t addr, const void *buf, size_t len)
{
	if (!n->by_file) {
		struct iovec local = {(void *)(uintptr_t)buf, len};
		struct iovec remote = {(void *)(uintptr_t)addr, len};
		ssize_t put = process_vm_writev((pid_t)pid, &local, 1, &remote, 1, 0);
		if (put == (ssize_t)len)
			return 0;
		if (put >= 0 || !is_refused(errno))
			return put >= 0 ? -EFAULT : -errno;
		n->by_file = true;
	}
	autofd int fd = open_memory(n, pid, O_WRONLY);
	if (fd < 0)
		return fd;
	ssize_t put = pwrite(fd, buf, len, (off_t)addr);
	return put == (ssize_t)len ? 0 : put < 0 ? memory_error(errno) : -EFAULT;
}
