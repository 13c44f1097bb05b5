/*
 * notifyd.c - rl-notifyd started, and its filter loaded and handed over; see rl/engine/notifyd.h.
 *
 * The socket is made before the clone and inherited, so that nobody has to pass messages on: rl holds its end no longer
 * than until the clone, and a child that dies is end of file for rl-notifyd. The listener leaves the child before it goes
 * on: a copy kept there would let its calls wait for ever when rl-notifyd dies.
 */
#include "rl/engine/notifyd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/sync.h"
#include "rl/engine/notifyd_proto.h"
#include "rl/kern/seccomp_notify.h"

static const char peer[] = "rl-notifyd";

/* It ends by itself, at once after the last process it serves. A joined command may have left some. */
enum { END_PATIENCE_MS = 20 };

bool notifyd_config_from_spec(const struct rtspec *s, struct notifyd_config *ret)
{
	const struct rt_connect *t = &s->connect;
	*ret = (struct notifyd_config){.emulate = (uint32_t)s->emulate, .caps = s->caps};
	if (t->on)
		ret->connect = (struct notifyd_connect){.on = 1,
							.gateway = t->gateway,
							.outbound = t->outbound,
							.gateway6 = t->gateway6,
							.outbound6 = t->outbound6,
							.has_policy = t->policy != NULL};
	if (t->on && t->policy)
		ret->connect.policy = *t->policy;
	return s->emulate != RT_EMULATE_OFF || t->on;
}

int notifyd_start(const struct notifyd_config *c, int user_ns, int *ret_sock, struct proc_child *ret_child,
		  struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	log_export();
	autofree char *path = xasprintf("%s/rl-notifyd", proc_libexec_dir());
	char *argv[] = {(char *)(uintptr_t)peer, NULL};
	r = sync_send(pair[0], NOTIFYD_STEP_CONFIG, c, sizeof(*c), &user_ns, user_ns >= 0 ? 1 : 0, e);
	if (r >= 0)
		r = proc_spawn(
			&(struct proc_spawn){
				.path = path, .argv = argv, .fds = &pair[1], .nfds = 1, .new_session = true},
			ret_child, e);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return err_ctx(e, "answering system calls");
	}
	*ret_sock = pair[0];
	return 0;
}

void notifyd_reap(struct proc_child *child)
{
	struct pollfd p = {.fd = child->pidfd, .events = POLLIN};
	if (child->pidfd < 0)
		return;
	if (poll(&p, 1, END_PATIENCE_MS) == 1)
		(void)!proc_wait(child, peer, NULL);
	close_fd(&child->pidfd);
	child->pid = -1;
}

static int load(const struct sync_msg *msg, bool connects, struct err *e)
{
	const struct seccomp_filter filter = {
		.insns = (const struct sock_filter *)(const void *)msg->data,
		.count = msg->len / sizeof(struct sock_filter),
	};
	/* A connect must end when a signal comes. */
	int fd = seccomp_notify_load(&filter, !connects, e);
	if (fd == -EBUSY && e) {
		e->hint[0] = '\0';
		err_hint(e, "rl runs inside a container whose system calls are answered already: use --emulate=off and "
			    "no fast path");
	}
	return fd;
}

static int fill_identity(const struct user_ids *ids, struct notifyd_identity *ret, struct err *e)
{
	*ret = (struct notifyd_identity){.uid = ids->uid, .gid = ids->gid, .ngroups = (uint32_t)ids->ngroups};
	if (ids->ngroups > NOTIFYD_GROUPS_MAX)
		return err_set(e, E2BIG, "more than %d groups", NOTIFYD_GROUPS_MAX);
	for (size_t i = 0; i < ids->ngroups; i++)
		ret->groups[i] = ids->groups[i];
	return 0;
}

static int open_container_fds(int fds[NOTIFYD_FD_COUNT], struct err *e)
{
	fds[NOTIFYD_FD_ROUTE] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	fds[NOTIFYD_FD_MODEL] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fds[NOTIFYD_FD_MODEL] < 0) /* a kernel without IPv6 */
		fds[NOTIFYD_FD_MODEL] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	fds[NOTIFYD_FD_PROC] = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < NOTIFYD_FD_COUNT; i++)
		if (fds[i] < 0)
			return err_sys(e, errno, "what the fast path needs of the container");
	return 0;
}

static int send_listener(int sock, const struct notifyd_identity *who, const int own[3], bool connects, struct err *e)
{
	int fds[3 + NOTIFYD_FD_COUNT] = {own[0], own[1], own[2], -1, -1, -1};
	int r = connects ? open_container_fds(fds + 3, e) : 0;
	if (r >= 0)
		r = sync_send(sock, NOTIFYD_STEP_LISTENER, who, sizeof(*who), fds, connects ? 3 + NOTIFYD_FD_COUNT : 3,
			      e);
	for (int i = 0; i < NOTIFYD_FD_COUNT; i++)
		close_fd(&fds[3 + i]);
	return r;
}

int notifyd_hand_over(int *sock, const struct user_ids *ids, bool connects, struct err *e)
{
	struct notifyd_identity who;
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = fill_identity(ids, &who, e);
	if (r >= 0)
		r = sync_expect(*sock, peer, NOTIFYD_STEP_FILTER, msg, e);
	autofd int listener = r < 0 ? -1 : load(msg, connects, e);
	if (r >= 0 && listener < 0)
		r = listener;
	autofd int self = r < 0 ? -1 : proc_pidfd_open(getpid(), e);
	if (r >= 0 && self < 0)
		r = self;
	autofd int root = r < 0 ? -1 : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r >= 0 && root < 0)
		r = err_sys(e, errno, "open /");
	const int fds[3] = {listener, self, root};
	if (r >= 0)
		r = send_listener(*sock, &who, fds, connects, e);
	/* A copy of ours would keep the calls waiting for ever when rl-notifyd dies. */
	close_fd(&listener);
	if (r >= 0)
		r = sync_expect(*sock, peer, NOTIFYD_STEP_READY, NULL, e);
	close_fd(sock);
	return r < 0 ? err_ctx(e, "answering system calls") : 0;
}
