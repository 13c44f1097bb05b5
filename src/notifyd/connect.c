/*
 * connect.c - connect(2) and bind(2) of a container with the fast path; connect.h says why both.
 *
 * connect, on a TCP socket:
 *   of the container    target outside, socket untouched and proven unshared: a socket of the host takes its place
 *                       else on this very socket: to the container itself, to neighbours, or out the slow way
 *   of the host         (switched before) target outside: on it, with all the kernel says about a second connect; a
 *                       disconnected one finds no port (connect_switch.c)
 *                       else: no route; there is no way back into the container
 * In doubt it is always the slow way, which looks at every frame itself.
 */
#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

enum { PROTO_MPTCP = 262, SOCK_TYPE_MASK = 0xf };

/* ---- the caller's descriptors ---- */

/* The process a thread belongs to, or 0. */
static uint32_t leader_of(const struct connect *c, uint32_t pid)
{
	char path[32], text[1024];
	unsigned tgid = 0;
	snprintf(path, sizeof(path), "%u/status", pid);
	autofd int fd = openat(c->d->procfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	const char *line = strstr(text, "\nTgid:");
	return line && sscanf(line, "\nTgid: %u", &tgid) == 1 ? tgid : 0;
}

static int open_pidfd(uint32_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

/* Kept only under the number of a leader: as long as the process lives that number is nobody else's. */
static int pidfd_of(struct connect *c, uint32_t pid)
{
	int at = (int)(pid % CONNECT_PIDFDS);
	if (c->pidfds[at].pid == pid)
		return c->pidfds[at].pidfd;
	int fd = open_pidfd(pid);
	if (fd < 0)
		return fd;
	if (c->pidfds[at].pid)
		close_fd(&c->pidfds[at].pidfd);
	c->pidfds[at].pid = pid;
	c->pidfds[at].pidfd = fd;
	return fd;
}

static int try_get_fd(struct connect *c, uint32_t pid, int fd)
{
	int pidfd = pidfd_of(c, pid);
	int got = pidfd < 0 ? pidfd : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (pidfd < 0)
		return pidfd;
	if (got >= 0)
		return got;
	int errnum = errno;
	if (errnum == ESRCH) { /* that process has ended; the number may be another's now */
		close_fd(&c->pidfds[pid % CONNECT_PIDFDS].pidfd);
		c->pidfds[pid % CONNECT_PIDFDS].pid = 0;
	}
	return -errnum;
}

int connect_get_fd(struct connect *c, uint32_t pid, int fd)
{
	int r = try_get_fd(c, pid, fd);
	if (r == -ESRCH)
		r = try_get_fd(c, pid, fd);
	if (r == -EINVAL || r == -ENOENT) { /* a thread that is not the leader */
		uint32_t leader = leader_of(c, pid);
		r = leader && leader != pid ? try_get_fd(c, leader, fd) : -ESRCH;
		if (r == -ESRCH && leader)
			r = try_get_fd(c, leader, fd);
	}
	return r;
}

static int get_int(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

static uint64_t get_u64(int fd, int name)
{
	uint64_t value = 0;
	socklen_t len = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : value;
}

/* 1: a TCP socket, in *k; 0: something else; -errno */
static int take_socket(struct connect *c, const struct seccomp_notif *req, struct connect_call *k)
{
	k->id = req->id;
	k->pid = req->pid;
	k->fd = (int)req->data.args[0];
	k->sock = connect_get_fd(c, req->pid, k->fd);
	if (k->sock < 0)
		return k->sock;
	k->domain = get_int(k->sock, SOL_SOCKET, SO_DOMAIN);
	if (k->domain == -ENOTSOCK)
		return -ENOTSOCK;
	if ((k->domain != AF_INET && k->domain != AF_INET6) ||
	    get_int(k->sock, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
	    get_int(k->sock, SOL_SOCKET, SO_TYPE) != SOCK_STREAM)
		return 0;
	k->netns = get_u64(k->sock, SO_NETNS_COOKIE);
	k->flags = fcntl(k->sock, F_GETFL);
	return k->flags < 0 ? -EBADF : 1;
}

static int take_address(struct connect *c, const struct seccomp_notif *req, struct connect_call *k)
{
	int len = (int)req->data.args[2];
	memset(&k->address, 0, sizeof(k->address));
	if (len < 0 || (size_t)len > sizeof(k->address))
		return -EINVAL;
	k->len = (socklen_t)len;
	if (len && seccomp_notify_read(&c->d->notify, req->pid, req->data.args[1], &k->address, (size_t)len) != len)
		return -EFAULT;
	/* What was found under this number was the caller's only if it still waits. */
	return seccomp_notify_is_valid(&c->d->notify, req->id) ? 0 : -ESRCH;
}

/* ---- the calls ---- */

static int64_t connect_own(struct connect *c, struct connect_call *k)
{
	struct net_target t;
	if (k->netns != c->own_netns || !connect_target(k, &t) || !connect_leads_outside(c, &t) ||
	    !connect_is_fresh(k) || !connect_is_unshared(c, k))
		return connect_do(c, k);
	k->host = connect_host_socket(c, k);
	if (k->host < 0)
		log_debug(LOG_NET, "no socket of the host: %s", strerrorname_np(-k->host));
	return connect_do(c, k);
}

static int64_t connect_host(struct connect *c, struct connect_call *k)
{
	struct net_target t;
	bool disconnects = k->len >= sizeof(sa_family_t) && k->address.ss_family == AF_UNSPEC;
	if (!disconnects && !(connect_target(k, &t) && connect_leads_outside(c, &t)))
		return -ENETUNREACH;
	return connect_do(c, k);
}

static int64_t on_connect(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	struct connect *c = d->connect;
	struct connect_call k = {.sock = -1, .host = -1, .fd_flags = -1};
	(void)arg;
	connect_forget(c, req->pid);
	int r = take_socket(c, req, &k);
	int64_t value = r < 0 ? r : NOTIFYD_CONTINUE;
	if (r > 0)
		value = take_address(c, req, &k);
	if (r > 0 && value == 0)
		value = k.netns == c->host_netns ? connect_host(c, &k) : connect_own(c, &k);
	/* The end of the old socket is nothing to wait for. */
	if (k.host >= 0 && value == 0) {
		(void)!seccomp_notify_answer(&d->notify, req->id, 0);
		value = NOTIFYD_ANSWERED;
	}
	close_fd(&k.host);
	close_fd(&k.sock);
	return value;
}

static int64_t on_bind(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	struct connect *c = d->connect;
	struct connect_call k = {.sock = -1};
	(void)arg;
	int r = take_socket(c, req, &k);
	int64_t value = r < 0 ? r : NOTIFYD_CONTINUE;
	if (r > 0)
		value = take_address(c, req, &k);
	if (r > 0 && value == 0 && k.netns == c->host_netns)
		value = -EINVAL; /* as of any socket that has an address */
	else if (r > 0 && value == 0 && bind(k.sock, (struct sockaddr *)&k.address, k.len) < 0)
		value = -errno;
	close_fd(&k.sock);
	return value;
}

/* ---- the module ---- */

#define IS(index, want)                                                                                                \
	{                                                                                                              \
		.arg = (index), .op = SECCOMP_OP_MASKED_EQ, .value = 0xffffffff, .value2 = (want)                      \
	}
#define HAS(index, bits)                                                                                               \
	{                                                                                                              \
		.arg = (index), .op = SECCOMP_OP_MASKED_EQ, .value = (bits), .value2 = (bits)                          \
	}
#define REFUSE(call, error, ...)                                                                                       \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ERRNO | (error), .conds = {__VA_ARGS__},                           \
		.nconds = sizeof((struct seccomp_cond[]){__VA_ARGS__}) / sizeof(struct seccomp_cond)                   \
	}
#define ABSENT(call)                                                                                                   \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ERRNO | ENOSYS                                                     \
	}

/* What connects without connect(2), by argument value, and what hides its arguments from filters. */
static const struct seccomp_rule refused[] = {
	REFUSE("sendto", EOPNOTSUPP, HAS(3, MSG_FASTOPEN)),
	REFUSE("sendmsg", EOPNOTSUPP, HAS(2, MSG_FASTOPEN)),
	REFUSE("sendmmsg", EOPNOTSUPP, HAS(3, MSG_FASTOPEN)),
	REFUSE("setsockopt", ENOPROTOOPT, IS(1, IPPROTO_TCP), IS(2, 30)), /* TCP_FASTOPEN_CONNECT */
	REFUSE("setsockopt", ENOPROTOOPT, IS(1, IPPROTO_IP), IS(2, CONNECT_PORT_RANGE)),
	REFUSE("socket", EPROTONOSUPPORT, IS(2, PROTO_MPTCP)),
	REFUSE("socket", EPERM, IS(0, AF_INET),
	       {.arg = 1, .op = SECCOMP_OP_MASKED_EQ, .value = SOCK_TYPE_MASK, .value2 = SOCK_RAW}),
	REFUSE("socket", EPERM, IS(0, AF_INET6),
	       {.arg = 1, .op = SECCOMP_OP_MASKED_EQ, .value = SOCK_TYPE_MASK, .value2 = SOCK_RAW}),
	ABSENT("io_uring_setup"),
	ABSENT("io_uring_enter"),
	ABSENT("io_uring_register"),
	ABSENT("socketcall"),
};

static const struct notifyd_call calls[] = {
	{.name = "connect", .handler = on_connect},
	{.name = "bind", .handler = on_bind},
};

static bool is_wanted(const struct notifyd_config *cfg)
{
	return cfg->connect.on;
}

static const struct notifyd_call *list_calls(const struct notifyd_config *cfg, size_t *ret_count)
{
	(void)cfg;
	*ret_count = ARRAY_SIZE(calls);
	return calls;
}

/* A denied port of a name is known to the resolver only: then no address is allowed by its number. */
static bool do_names_matter(const struct net_policy *p)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->items[i].deny && !p->items[i].family && p->items[i].first)
			return true;
	return false;
}

static int open_connect(struct notifyd *d, struct err *e)
{
	struct connect *c = xcalloc(1, sizeof(*c));
	c->d = d;
	c->cfg = &d->cfg.connect;
	c->route_fd = d->container_fds[NOTIFYD_FD_ROUTE];
	c->model_fd = d->container_fds[NOTIFYD_FD_MODEL];
	c->proc_fd = d->container_fds[NOTIFYD_FD_PROC];
	c->list_fd = openat(c->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->list_fd < 0)
		return err_sys(e, errno, "the container's /proc");
	c->names_matter = do_names_matter(&c->cfg->policy);
	autofd int host = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (host < 0)
		return err_sys(e, errno, "socket");
	c->host_netns = get_u64(host, SO_NETNS_COOKIE);
	c->own_netns = get_u64(c->model_fd, SO_NETNS_COOKIE);
	if (!c->host_netns || !c->own_netns || c->host_netns == c->own_netns)
		return err_set(e, ENOTSUP, "the container's network namespace cannot be told from the host's");
	for (int i = 0; i < CONNECT_DIRS; i++)
		c->dirs[i].fd = c->dirs[i].info = -1;
	connect_watch_routes(c);
	connect_learn_defaults(c);
	d->connect = c;
	return connect_take_port(c, e);
}

const struct notifyd_module connect_module = {
	.name = "connect",
	.is_wanted = is_wanted,
	.calls = list_calls,
	.refused = refused,
	.nrefused = ARRAY_SIZE(refused),
	.uses_loop = true,
	.open = open_connect,
};
