/*
 * connect_switch.c - a socket of the host that looks like the container's.
 *
 * Options: those that differ from what an untouched socket of the container's namespace has (model_fd) were set by the
 * program and are set again; so the host's own defaults, congestion control for one, stay in force where nobody asked.
 *
 * A socket that was disconnected can listen, on a port the kernel picks. So its choice is narrowed to one port that is
 * taken (IP_LOCAL_PORT_RANGE, and a socket of ours that is bound there without SO_REUSEADDR), as soon as it has connected
 * and before the payload has it; the filter refuses the payload that option. A socket filter against SYN would do as
 * well, but kernels of 2026 want CAP_NET_ADMIN for one on a TCP socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "connect.h"
#include "rl/base/mem.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

enum { TCP_STATE_CLOSE = 7, OPTION_MAX = 64 };

bool connect_is_fresh(const struct connect_call *k)
{
	struct sockaddr_in6 own = {.sin6_family = AF_UNSPEC}; /* sin_port and sin6_port are in the same place */
	struct tcp_info info = {0};
	char device[16];
	socklen_t len = sizeof(own), info_len = sizeof(info), device_len = sizeof(device);
	if ((k->flags & O_ASYNC) || getsockname(k->sock, (struct sockaddr *)&own, &len) < 0)
		return false;
	if (own.sin6_port != 0)
		return false;
	if (getsockopt(k->sock, IPPROTO_TCP, TCP_INFO, &info, &info_len) < 0 || info.tcpi_state != TCP_STATE_CLOSE)
		return false;
	return getsockopt(k->sock, SOL_SOCKET, SO_BINDTODEVICE, device, &device_len) == 0 && device_len == 0;
}

static const struct {
	int level, name;
} options[] = {
	{SOL_SOCKET, SO_KEEPALIVE},
	{SOL_SOCKET, SO_OOBINLINE},
	{SOL_SOCKET, SO_REUSEADDR},
	{SOL_SOCKET, SO_PRIORITY},
	{SOL_SOCKET, SO_RCVLOWAT},
	{SOL_SOCKET, SO_LINGER},
	{SOL_SOCKET, SO_RCVTIMEO},
	{SOL_SOCKET, SO_SNDTIMEO},
	{SOL_SOCKET, SO_ZEROCOPY},
	{SOL_SOCKET, SO_MAX_PACING_RATE},
	{IPPROTO_TCP, TCP_NODELAY},
	{IPPROTO_TCP, TCP_CORK},
	{IPPROTO_TCP, TCP_KEEPIDLE},
	{IPPROTO_TCP, TCP_KEEPINTVL},
	{IPPROTO_TCP, TCP_KEEPCNT},
	{IPPROTO_TCP, TCP_SYNCNT},
	{IPPROTO_TCP, TCP_USER_TIMEOUT},
	{IPPROTO_TCP, TCP_MAXSEG},
	{IPPROTO_TCP, TCP_CONGESTION},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT},
	{IPPROTO_IP, IP_TOS},
	{IPPROTO_IP, IP_TTL},
	{IPPROTO_IP, IP_RECVERR},
	{IPPROTO_IPV6, IPV6_V6ONLY},
	{IPPROTO_IPV6, IPV6_TCLASS},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{IPPROTO_IPV6, IPV6_RECVERR},
};

struct connect_default {
	char value[OPTION_MAX];
	socklen_t len; /* 0: not known */
};

void connect_learn_defaults(struct connect *c)
{
	c->defaults = xcalloc(ARRAY_SIZE(options), sizeof(*c->defaults));
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct connect_default *d = &c->defaults[i];
		d->len = sizeof(d->value);
		if (getsockopt(c->model_fd, options[i].level, options[i].name, d->value, &d->len) < 0)
			d->len = 0;
	}
}

static void copy_options(const struct connect *c, const struct connect_call *k, int host)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct connect_default *usual = &c->defaults[i];
		char set[OPTION_MAX] = {0};
		socklen_t len = sizeof(set);
		int level = options[i].level, name = options[i].name;
		if ((level == IPPROTO_IPV6 && k->domain != AF_INET6) || getsockopt(k->sock, level, name, set, &len) < 0)
			continue;
		if (len != usual->len || memcmp(set, usual->value, len) != 0)
			(void)setsockopt(host, level, name, set, len);
	}
}

/* A size that was asked for is shown doubled. */
static void copy_buffers(const struct connect_call *k, int host)
{
	int locked = 0, size = 0;
	socklen_t len = sizeof(locked);
	if (getsockopt(k->sock, SOL_SOCKET, SO_BUF_LOCK, &locked, &len) < 0)
		return;
	const int names[2] = {SO_SNDBUF, SO_RCVBUF}; /* in the order of the bits */
	for (int i = 0; i < 2; i++) {
		len = sizeof(size);
		if (!(locked & 1 << i) || getsockopt(k->sock, SOL_SOCKET, names[i], &size, &len) < 0)
			continue;
		size /= 2;
		(void)setsockopt(host, SOL_SOCKET, names[i], &size, sizeof(size));
	}
}

int connect_take_port(struct connect *c, struct err *e)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_in6 got = {.sin6_family = AF_UNSPEC}; /* sin_port and sin6_port are in the same place */
	socklen_t len = sizeof(got);
	autofd int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool v6 = fd >= 0 && bind(fd, (struct sockaddr *)&a6, sizeof(a6)) == 0;
	if (!v6) { /* a kernel without IPv6 */
		close_fd(&fd);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || bind(fd, (struct sockaddr *)&a4, sizeof(a4)) < 0)
			return err_sys(e, errno, "take a port");
	}
	if (getsockname(fd, (struct sockaddr *)&got, &len) < 0)
		return err_sys(e, errno, "take a port");
	uint32_t port = ntohs(got.sin6_port);
	c->port_range = port << 16 | port;
	c->port_fd = take_fd(&fd);
	return connect_deafen(c, c->model_fd) < 0 ? err_sys(e, errno, "IP_LOCAL_PORT_RANGE (Linux 6.3)") : 0;
}

int connect_deafen(const struct connect *c, int host)
{
	return setsockopt(host, IPPROTO_IP, CONNECT_PORT_RANGE, &c->port_range, sizeof(c->port_range)) < 0 ? -errno : 0;
}

/* The address connections leave from, where one was asked for. */
static int bind_outbound(const struct connect *c, const struct connect_call *k, int host)
{
	const struct notifyd_connect *cfg = c->cfg;
	const int on = 1;
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr = cfg->outbound};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = cfg->outbound6};
	struct net_target t;
	bool is4 = connect_target(k, &t) && t.family == AF_INET;
	if (is4 ? cfg->outbound.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&cfg->outbound6))
		return 0;
	if (is4 && k->domain == AF_INET6) {
		a6.sin6_addr = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
		memcpy(a6.sin6_addr.s6_addr + 12, &cfg->outbound, 4);
	}
	(void)setsockopt(host, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	bool use4 = k->domain == AF_INET;
	return bind(host, use4 ? (void *)&a4 : (void *)&a6, use4 ? sizeof(a4) : sizeof(a6)) < 0 ? -errno : 0;
}

int connect_host_socket(const struct connect *c, const struct connect_call *k)
{
	autofd int host = socket(k->domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (host < 0)
		return -errno;
	copy_options(c, k, host);
	copy_buffers(k, host);
	int r = bind_outbound(c, k, host);
	return r < 0 ? r : take_fd(&host);
}

/* The close-on-exec flag belongs to the descriptor: it is in fdinfo only, "flags:\tOCTAL" on the second line. */
static bool is_cloexec(const struct connect *c, const struct connect_call *k)
{
	char path[48], text[256];
	if (k->fd_flags >= 0)
		return k->fd_flags & O_CLOEXEC;
	snprintf(path, sizeof(path), "%u/fdinfo/%d", k->pid, k->fd);
	autofd int fd = openat(c->d->procfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	const char *line = strstr(text, "flags:");
	return line && (strtoul(line + strlen("flags:"), NULL, 8) & O_CLOEXEC);
}

bool connect_is_still(struct connect *c, const struct connect_call *k)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	autofd int now = connect_get_fd(c, k->pid, k->fd);
	return now >= 0 && getsockopt(now, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 && cookie == k->cookie;
}

int connect_replace(const struct connect *c, const struct connect_call *k, int host)
{
	/* What the program had: not all flags of the new socket are its. */
	if (fcntl(host, F_SETFL, k->flags) < 0)
		return -errno;
	int r = seccomp_notify_setfd(&c->d->notify, k->id, host, k->fd, is_cloexec(c, k));
	return r < 0 ? r : 0;
}
