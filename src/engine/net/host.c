/*
 * host.c - the host side of rl-netd: start it, configure it, hand it the device, stop it.
 *
 * Two processes stand behind `struct net_slirp`: the program as started (the launcher, our child), which makes its
 * namespaces and a worker in a pid namespace of its own, sends us the worker's pidfd and exits; and the worker, which is
 * made with CLONE_PARENT and so is our child as well. What ends the worker in all other cases is end of file on the
 * control socket.
 *
 * The end of the worker takes 20 to 60 ms on an idle machine: it holds the last reference to the interface, and the
 * kernel removes a network interface only after RCU grace periods, in the process that closes it. So net_slirp_stop
 * kills it and leaves; whoever adopts it when we exit reaps it, and callers that live on use net_slirp_stop_wait.
 *
 * The host's name servers are read when rl-netd asks, which it does when a name is looked up. Watching the file with
 * inotify instead was tried: closing an inotify descriptor waits for RCU too (10 to 40 ms at every exit), each user has
 * only 128 of them, and following symlinks and replaced directories took 250 lines.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net.h"
#include "rl/engine/net_proto.h"

enum { RESOLV_CONF_MAX = 64 * 1024 };

static const char peer[] = "rl-netd";

/* The first address of the named interface that can be used beyond its link. */
static bool interface_address(const char *name, int family, void *ret_addr)
{
	struct ifaddrs *all;
	bool found = false;
	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != family || !str_eq(i->ifa_name, name))
			continue;
		if (family == AF_INET)
			memcpy(ret_addr, &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, 4);
		else
			memcpy(ret_addr, &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, 16);
		found = family == AF_INET || !IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)ret_addr);
	}
	freeifaddrs(all);
	return found;
}

/* Found out here and not by rl-netd, for which nobody waits: a wrong one is an error before anything starts. */
static int find_outbound(const char *text, int family, void *ret_addr, struct err *e)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	void *addr = family == AF_INET ? (void *)&a4.sin_addr : (void *)&a6.sin6_addr;
	if (!*text)
		return 0;
	if (inet_pton(family, text, addr) != 1 && !interface_address(text, family, addr))
		return err_set(e, EADDRNOTAVAIL, "outbound address %s: no such address or interface", text);
	autofd int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    bind(fd, family == AF_INET ? (void *)&a4 : (void *)&a6, family == AF_INET ? sizeof(a4) : sizeof(a6)) < 0)
		return err_sys(e, errno, "outbound address %s", text);
	memcpy(ret_addr, addr, family == AF_INET ? 4 : 16);
	return 0;
}

int net_slirp_find_outbound(struct net_slirp_opts *o, struct err *e)
{
	int r = find_outbound(o->outbound, AF_INET, &o->outbound_addr, e);
	return r < 0 ? r : find_outbound(o->outbound6, AF_INET6, &o->outbound_addr6, e);
}

int net_slirp_start(struct net_slirp_opts *o, struct net_slirp *ret, struct err *e)
{
	struct net_slirp s = NET_SLIRP_NONE;
	int pair[2];
	int r = net_slirp_find_outbound(o, e);
	if (r >= 0)
		r = net_slirp_choose_subnet(o, e);
	if (r >= 0)
		r = sync_pair(pair, e);
	if (r < 0)
		return r;
	log_export();
	autofree char *path = xasprintf("%s/rl-netd", proc_libexec_dir());
	char *argv[] = {(char *)(uintptr_t)peer, NULL};
	/* The configuration is in the socket before the program runs: it never waits for us either. */
	r = sync_send(pair[0], NETD_STEP_CONFIG, o, sizeof(*o), NULL, 0, e);
	if (r >= 0)
		r = proc_spawn(
			&(struct proc_spawn){
				.path = path, .argv = argv, .fds = &pair[1], .nfds = 1, .new_session = true},
			&s.child, e);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return err_ctx(e, "network helper");
	}
	s.control_fd = pair[0];
	*ret = s;
	return 0;
}

static void reap(int *pidfd)
{
	siginfo_t info;
	/* ECHILD where a monitor stops what its parent started: whoever adopted it reaps it then. */
	while (*pidfd >= 0 && waitid(P_PIDFD, (id_t)*pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	close_fd(pidfd);
}

static void take_worker(struct net_slirp *s, struct sync_msg *msg)
{
	if (msg->step != NETD_STEP_WORKER || msg->nfds != 1 || s->worker_pidfd >= 0)
		return;
	s->worker_pidfd = msg->fds[0];
	msg->nfds = 0;
	reap(&s->child.pidfd); /* sending this was its last act */
}

/* The message rl-netd left when it gave up, if it left one. It stands behind the reset that the kernel reports first
 * when rl-netd has not read everything we sent. */
static int last_words(struct net_slirp *s, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	struct pollfd p = {.fd = s->control_fd, .events = POLLIN};
	while (poll(&p, 1, 0) > 0) {
		int r = sync_recv(s->control_fd, peer, msg, e);
		if (r < 0)
			return r;
		take_worker(s, msg);
		sync_close_fds(msg);
	}
	return err_set(e, EPIPE, "rl-netd died");
}

static bool is_gone(int r)
{
	return r == -EPIPE || r == -ECONNRESET;
}

int net_slirp_attach(struct net_slirp *s, const struct net_device *dev, struct err *e)
{
	uint32_t kind = (uint32_t)dev->kind;
	int r = sync_send(s->control_fd, NETD_STEP_DEVICE, &kind, sizeof(kind), &dev->fd, 1, e);
	if (is_gone(r)) {
		err_clear(e);
		r = last_words(s, e);
	}
	return r;
}

int net_slirp_watch(struct net_slirp *s, const struct net_slirp_opts *o, struct err *e)
{
	if (s->control_fd < 0)
		return err_set(e, EBADF, "no network helper");
	memcpy(s->resolv_path, o->resolv_path, sizeof(s->resolv_path));
	s->resolv_path[sizeof(s->resolv_path) - 1] = '\0';
	return s->control_fd;
}

/* The file is read anew each time: that follows symlinks, replaced directories and mounts as they are now, and is
 * cheaper than it looks beside a name query. */
static int answer_servers(struct net_slirp *s, struct err *e)
{
	struct net_servers now;
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, s->resolv_path, RESOLV_CONF_MAX, &text, NULL) < 0)
		str_cut(&text, 0); /* gone for a moment, or for good: the default server, as libc does */
	net_resolv_servers(text.buf, &now);
	return sync_send(s->control_fd, NETD_STEP_SERVERS, &now, sizeof(now), NULL, 0, e);
}

int net_slirp_on_watch(struct net_slirp *s, struct err *e)
{
	struct pollfd p = {.fd = s->control_fd, .events = POLLIN};
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	if (poll(&p, 1, 0) <= 0)
		return 0;
	int r = sync_recv(s->control_fd, peer, msg, e);
	if (r >= 0) {
		take_worker(s, msg);
		sync_close_fds(msg);
		if (msg->step == NETD_STEP_SERVERS)
			r = answer_servers(s, e);
	}
	if (is_gone(r)) {
		err_clear(e);
		r = last_words(s, e);
	}
	return r < 0 ? err_ctx(e, "the network is gone") : 0;
}

int net_slirp_stats(struct net_slirp *s, struct net_slirp_stats *ret, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_send(s->control_fd, NETD_STEP_STATS, NULL, 0, NULL, 0, e);
	while (r >= 0) {
		r = sync_recv(s->control_fd, peer, msg, e);
		if (r < 0)
			break;
		if (msg->step == NETD_STEP_STATS && msg->len == sizeof(*ret)) {
			memcpy(ret, msg->data, sizeof(*ret));
			sync_close_fds(msg);
			return 0;
		}
		take_worker(s, msg);
		sync_close_fds(msg);
		if (msg->step == NETD_STEP_SERVERS)
			r = answer_servers(s, e);
	}
	return err_ctx(e, "network counters");
}

int net_slirp_host(struct net_slirp *s, const struct net_host *h, bool present, struct err *e)
{
	int r = sync_send(s->control_fd, present ? NETD_STEP_HOST : NETD_STEP_HOST_GONE, h, sizeof(*h), NULL, 0, e);
	return r < 0 ? err_ctx(e, "network helper") : 0;
}

int net_slirp_rights(struct net_slirp *s, const struct net_rights *rights, int log_fd, struct err *e)
{
	int r = sync_send(s->control_fd, NETD_STEP_RIGHTS, rights, sizeof(*rights), &log_fd, log_fd >= 0, e);
	return r < 0 ? err_ctx(e, "network helper") : 0;
}

int net_slirp_control_fd(const struct net_slirp *s)
{
	return s->control_fd;
}

/* Take the WORKER message if it is there, without waiting. */
static void find_worker(struct net_slirp *s)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	struct pollfd p = {.fd = s->control_fd, .events = POLLIN};
	while (s->worker_pidfd < 0 && poll(&p, 1, 0) > 0) {
		if (sync_recv(s->control_fd, peer, msg, NULL) < 0)
			return;
		take_worker(s, msg);
		sync_close_fds(msg);
	}
}

static void stop(struct net_slirp *s, bool wait)
{
	if (s->control_fd < 0)
		return;
	/* The launcher blocks SIGTERM from just before it makes the worker until it has told us: once it is gone,
	 * either the message is in our queue or there is no worker. */
	if (s->child.pidfd >= 0) {
		(void)!proc_pidfd_signal(s->child.pidfd, SIGTERM, NULL);
		reap(&s->child.pidfd);
	}
	find_worker(s);
	if (s->worker_pidfd >= 0) {
		(void)!proc_pidfd_signal(s->worker_pidfd, SIGKILL, NULL);
		if (wait)
			reap(&s->worker_pidfd);
	}
	net_slirp_forget(s);
}

void net_slirp_stop(struct net_slirp *s)
{
	stop(s, false);
}

void net_slirp_stop_wait(struct net_slirp *s)
{
	stop(s, true);
}

void net_slirp_forget(struct net_slirp *s)
{
	close_fd(&s->control_fd);
	close_fd(&s->worker_pidfd);
	close_fd(&s->child.pidfd);
}
