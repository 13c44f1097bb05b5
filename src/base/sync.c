/*
 * sync.c - see sync.h.
 *
 * Theory: SOCK_SEQPACKET keeps messages whole and in order, and its end of file is the peer's death, as long as nobody
 * else holds the peer's end: so ends are close-on-exec, and each side closes the other's. What comes is judged before it
 * is believed, the descriptors too: a peer may be a process that hostile data has taken over.
 */
#include "rl/base/sync.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/mem.h"

struct wire_header {
	uint32_t step;
	uint32_t len;
};

int sync_pair(int ret_fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return err_sys(e, errno, "socketpair");
	return 0;
}

int sync_send(int sock, uint32_t step, const void *data, size_t len, const int *fds, int nfds, struct err *e)
{
	if (len > SYNC_DATA_MAX || nfds > SYNC_FDS_MAX)
		return err_set(e, EMSGSIZE, "message of step %u is too large", step);
	struct wire_header header = {.step = step, .len = (uint32_t)len};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)data, len}};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * SYNC_FDS_MAX)] = {0};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	if (nfds) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	while (sendmsg(sock, &mh, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		return err_sys(e, errno, "send step %u", step);
	}
	return 0;
}

void sync_send_err(int sock, const struct err *cause)
{
	(void)!sync_send(sock, SYNC_STEP_ERROR, cause, sizeof(*cause), NULL, 0, NULL);
}

void sync_close_fds(struct sync_msg *msg)
{
	for (int i = 0; i < msg->nfds; i++)
		close(msg->fds[i]);
	msg->nfds = 0;
}

static void collect_fds(struct msghdr *mh, struct sync_msg *msg)
{
	msg->nfds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int *fds = (int *)(void *)CMSG_DATA(c);
		for (size_t i = 0; i < n; i++) {
			if (msg->nfds < SYNC_FDS_MAX)
				msg->fds[msg->nfds++] = fds[i];
			else
				close(fds[i]);
		}
	}
}

int sync_next(int sock, const char *peer, struct sync_msg *msg, struct err *e)
{
	struct wire_header header;
	struct iovec iov[2] = {{&header, sizeof(header)}, {msg->data, sizeof(msg->data)}};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * SYNC_FDS_MAX)];
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n;
	/* A peer that ended with a message of ours unread: the kernel says so once, before what the peer had sent. */
	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return err_sys(e, errno, "receive from %s", peer);
	if (n <= 0)
		return 0;
	collect_fds(&mh, msg);
	if ((mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t)n < sizeof(header) ||
	    (size_t)n - sizeof(header) != header.len) {
		sync_close_fds(msg);
		return err_set(e, EPROTO, "malformed message from %s", peer);
	}
	msg->step = header.step;
	msg->len = header.len;
	if (msg->step != SYNC_STEP_ERROR)
		return 1;
	sync_close_fds(msg);
	if (msg->len != sizeof(struct err))
		return err_set(e, EPROTO, "malformed error from %s", peer);
	struct err received;
	memcpy(&received, msg->data, sizeof(received));
	received.text[sizeof(received.text) - 1] = '\0';
	received.hint[sizeof(received.hint) - 1] = '\0';
	if (received.code <= 0)
		received.code = EIO;
	if (e)
		*e = received;
	return -received.code;
}

int sync_recv(int sock, const char *peer, struct sync_msg *ret_msg, struct err *e)
{
	int r = sync_next(sock, peer, ret_msg, e);
	if (r == 0)
		return err_set(e, EPIPE, "%s died", peer);
	return r < 0 ? r : 0;
}

int sync_expect(int sock, const char *peer, uint32_t step, struct sync_msg *ret_msg, struct err *e)
{
	autofree struct sync_msg *own = ret_msg ? NULL : xmalloc(sizeof(*own));
	struct sync_msg *msg = own ? own : ret_msg;
	int r = sync_recv(sock, peer, msg, e);
	if (r < 0)
		return r;
	bool wrong = msg->step != step;
	if (own || wrong)
		sync_close_fds(msg);
	if (wrong)
		return err_set(e, EPROTO, "%s sent step %u where %u was due", peer, msg->step, step);
	return 0;
}

int sync_expect_fd(int sock, const char *peer, uint32_t step, struct err *e)
{
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	int r = sync_expect(sock, peer, step, m, e);
	if (r < 0)
		return r;
	if (m->nfds == 1)
		return m->fds[0];
	sync_close_fds(m);
	return err_set(e, EPROTO, "%s sent no descriptor", peer);
}

int sync_ask_fork(int (*fn)(const void *arg, int sock, struct err *e), const void *arg, const char *peer, uint32_t step,
		  struct sync_msg *ret_msg, struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	pid_t pid = fork();
	if (pid == 0) {
		struct err why = ERR_INIT;
		r = fn(arg, pair[1], &why);
		if (r < 0)
			sync_send_err(pair[1], &why);
		_exit(r < 0);
	}
	int errnum = errno;
	close(pair[1]); /* or a dead child would not be noticed */
	r = pid < 0 ? err_sys(e, errnum, "fork") : sync_expect(pair[0], peer, step, ret_msg, e);
	close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
