#include "rl/engine/notifyd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
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
	*ret = (struct notifyd_config){.emulate = (uint32_t)s->emulate, .caps = s->caps};
	return s->emulate != RT_EMULATE_OFF;
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

static int load(const struct sync_msg *msg, struct err *e)
{
	const struct seccomp_filter filter = {
		.insns = (const struct sock_filter *)(const void *)msg->data,
		.count = msg->len / sizeof(struct sock_filter),
	};
	int fd = seccomp_notify_load(&filter, true, e);
	if (fd == -EBUSY && e) {
		e->hint[0] = '\0';
		err_hint(e, "rl runs inside a container whose system calls are answered already: use --emulate=off");
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

int notifyd_hand_over(int *sock, const struct user_ids *ids, struct err *e)
{
	struct notifyd_identity who;
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = fill_identity(ids, &who, e);
	if (r >= 0)
		r = sync_expect(*sock, peer, NOTIFYD_STEP_FILTER, msg, e);
	autofd int listener = r < 0 ? -1 : load(msg, e);
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
		r = sync_send(*sock, NOTIFYD_STEP_LISTENER, &who, sizeof(who), fds, 3, e);
	/* A copy of ours would keep the calls waiting for ever when rl-notifyd dies. */
	close_fd(&listener);
	if (r >= 0)
		r = sync_expect(*sock, peer, NOTIFYD_STEP_READY, NULL, e);
	close_fd(sock);
	return r < 0 ? err_ctx(e, "answering system calls") : 0;
}
