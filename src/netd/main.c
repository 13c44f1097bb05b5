/*
 * main.c - rl-netd's start: from a program with the user's rights to a worker with none.
 *
 * The launcher does what needs the host's file system (the first list of name servers), makes user, mount, pid, ipc, uts and cgroup namespaces, and forks the worker into the
 * pid namespace. The worker is made with CLONE_PARENT: it becomes a child of whoever started us, so that nothing is
 * left for init to reap, and the launcher's memory goes with the launcher.
 *
 *   launcher   user's namespaces, then new user namespace; uid self-mapped; control socket 3
 *   worker     host's network namespace; all other namespaces its own; pid 1 there; control socket and device only
 *
 * Standard input, output and error are /dev/null (error is kept under RL_DEBUG=net): holding the caller's would keep
 * the far ends of its pipes open, and what libslirp says about a misbehaving guest is nothing for the user's terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_proto.h"

static const char owner[] = "rl";

static int read_config(struct netd *n, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_expect(n->control_fd, owner, NETD_STEP_CONFIG, msg, e);
	if (r < 0)
		return r;
	sync_close_fds(msg);
	if (msg->len != sizeof(n->opts))
		return err_set(e, EPROTO, "rl and rl-netd are of different versions");
	memcpy(&n->opts, msg->data, sizeof(n->opts));
	frame_policy_init(&n->opts, &n->policy);
	return 0;
}

static void first_servers(struct netd *n)
{
	autostr struct str text = STR_INIT;
	if (n->opts.dns_servers.count) {
		n->servers = n->opts.dns_servers;
		return;
	}
	if (io_read_file(AT_FDCWD, n->opts.resolv_path, 64 * 1024, &text, NULL) < 0)
		str_cut(&text, 0);
	net_resolv_servers(text.buf, &n->servers);
}

static int worker(struct netd *n, struct err *e)
{
	log_set_role("worker");
	/* libslirp seeds its random numbers from /dev/urandom, so it is made while there still is one. */
	int r = loop_init(n, e);
	if (r >= 0)
		r = sandbox_root(e);
	if (r >= 0)
		r = resolver_tcp_new(n, &n->resolver_tcp, e);
	if (r >= 0)
		r = sandbox_close(e);
	if (r >= 0)
		r = loop_run(n, e);
	return r;
}

/* Fork into the new pid namespace as our own parent's child. SIGTERM is held back until the owner knows of the worker
 * (net_slirp_stop relies on it). Returns 0 in the worker; the launcher does not return unless it failed. */
static int fork_worker(struct netd *n, struct err *e)
{
	sigset_t term;
	int pidfd = -1;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	long pid = syscall(SYS_clone, CLONE_PARENT | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL);
	if (pid < 0)
		return err_sys(e, errno, "start the worker");
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &term, NULL);
		return 0;
	}
	int r = sync_send(n->control_fd, NETD_STEP_WORKER, NULL, 0, &pidfd, 1, NULL);
	_exit(r < 0 ? 1 : 0);
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct netd *n = xcalloc(1, sizeof(*n));
	(void)argc;
	(void)argv;
	log_init("rl-netd");
	if (fcntl(NETD_CONTROL_FD, F_GETFD) < 0) {
		log_line("this program is started by rl");
		return EXIT_RL_FAILED;
	}
	signal(SIGPIPE, SIG_IGN); /* libslirp sends without MSG_NOSIGNAL: a peer must not be able to end us */
	log_detach_stdio(LOG_NET);
	(void)!io_close_from(NETD_CONTROL_FD + 1, NULL);
	n->control_fd = NETD_CONTROL_FD;
	n->device.fd = -1;
	int r = io_set_cloexec(n->control_fd, true, &e);
	if (r >= 0)
		r = read_config(n, &e);
	if (r >= 0) {
		first_servers(n);
		r = sandbox_unshare(&e);
	}
	if (r >= 0)
		r = fork_worker(n, &e);
	if (r >= 0)
		r = worker(n, &e);
	if (r < 0 && r != -EPIPE) {
		log_debug(LOG_NET, "ends: %s", e.text);
		sync_send_err(n->control_fd, &e);
	}
	/* No exit handlers: libraries would want system calls that are no longer allowed. */
	_exit(r < 0 ? EXIT_RL_FAILED : 0);
}
