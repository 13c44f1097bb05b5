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
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net.h"
#include "rl/engine/net_proto.h"
#include "watch.h"

static const char peer[] = "rl-netd";

int net_slirp_start(struct net_slirp_opts *o, struct net_slirp *ret, struct err *e)
{
	struct net_slirp s = NET_SLIRP_NONE;
	int pair[2];
	int r = net_slirp_choose_subnet(o, e);
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
		r = proc_spawn(&(struct proc_spawn){.path = path, .argv = argv, .fds = &pair[1], .nfds = 1, .new_session = true},
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

static void take_worker(struct net_slirp *s, struct sync_msg *msg)
{
	if (msg->step != NETD_STEP_WORKER || msg->nfds != 1 || s->worker_pidfd >= 0)
		return;
	s->worker_pidfd = msg->fds[0];
	msg->nfds = 0;
}

/* The message rl-netd left when it gave up, if it left one. */
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

int net_slirp_attach(struct net_slirp *s, const struct net_device *dev, struct err *e)
{
	uint32_t kind = (uint32_t)dev->kind;
	int r = sync_send(s->control_fd, NETD_STEP_DEVICE, &kind, sizeof(kind), &dev->fd, 1, e);
	if (r == -EPIPE || r == -ECONNRESET) {
		err_clear(e);
		r = last_words(s, e);
	}
	return r;
}

int net_slirp_watch(struct net_slirp *s, const struct net_slirp_opts *o, struct err *e)
{
	if (!s->watch) {
		int r = net_watch_new(s->control_fd, o, &s->watch, e);
		if (r < 0)
			return r;
	}
	return net_watch_fd(s->watch);
}

int net_slirp_on_watch(struct net_slirp *s, struct err *e)
{
	struct pollfd p = {.fd = s->control_fd, .events = POLLIN};
	if (s->watch)
		net_watch_handle(s->watch);
	if (poll(&p, 1, 0) <= 0)
		return 0;
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_recv(s->control_fd, peer, msg, e);
	if (r < 0) {
		if (s->watch)
			net_watch_ignore_control(s->watch);
		return err_ctx(e, "the network is gone");
	}
	take_worker(s, msg);
	sync_close_fds(msg);
	return 0;
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
	}
	return err_ctx(e, "network counters");
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

static void reap(int pidfd)
{
	siginfo_t info;
	/* ECHILD where a monitor stops what its parent started: whoever adopted it reaps it then. */
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
}

static void stop(struct net_slirp *s, bool wait)
{
	if (s->control_fd < 0)
		return;
	/* The launcher blocks SIGTERM from just before it makes the worker until it has told us: once it is gone,
	 * either the message is in our queue or there is no worker. */
	(void)!proc_pidfd_signal(s->child.pidfd, SIGTERM, NULL);
	reap(s->child.pidfd);
	find_worker(s);
	if (s->worker_pidfd >= 0) {
		(void)!proc_pidfd_signal(s->worker_pidfd, SIGKILL, NULL);
		if (wait)
			reap(s->worker_pidfd);
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
	net_watch_free(s->watch);
	s->watch = NULL;
	close_fd(&s->control_fd);
	close_fd(&s->worker_pidfd);
	close_fd(&s->child.pidfd);
}
