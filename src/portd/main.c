/*
 * main.c - rl-portd: published ports of one container. What it is for and how it is asked: rl/engine/net_ports.h.
 *
 * Start: read the configuration from descriptor 3 while still an ordinary program of the user's, enter the container's
 * user and network namespace (the listening sockets stay sockets of the host's, wherever their owner is), make rules
 * and lock in: a mount namespace with an empty root, CAP_NET_ADMIN over the container's network as the only
 * capability, not dumpable (the payload may be root of the same user namespace), a seccomp filter.
 *
 *              at start              while it serves
 * user ns      the caller's          the container's
 * network ns   the caller's          the container's
 * mount ns     the caller's          its own, empty
 * pid ns       the caller's          the caller's: the payload cannot name it
 *
 * It ends when PID 1 of the container does. A client on the control socket is a process of the same user.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "portd.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/emptyroot.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 }; /* its calls are not through the filter */
#else
enum { SANITIZED = 0 };
#endif

enum { CLIENT_PATIENCE_S = 5, FILES_MAX = 1 << 20 };

static const char owner[] = "rl";

/* ---- ports ---- */

static bool same_port(const struct net_port *a, const struct net_port *b)
{
	return a->proto == b->proto && a->family == b->family && a->host == b->host && a->inside == b->inside &&
	       IN6_ARE_ADDR_EQUAL(&a->addr, &b->addr);
}

static int add_port(struct portd *d, const struct net_port *p, int *fd, struct err *e)
{
	if (d->nports == PORTD_PORTS_MAX)
		return err_set(e, EMFILE, "more than %d published ports", PORTD_PORTS_MAX);
	int r = clients_add_port(d, p, e);
	if (r < 0)
		return r;
	if (p->proto == NET_PORT_TCP)
		tcp_prepare(*fd);
	struct port *port = xcalloc(1, sizeof(*port));
	*port = (struct port){.d = d, .p = *p, .src = EVENT_SOURCE_INIT};
	r = event_add(&d->loop, &port->src, *fd, EPOLLIN, p->proto == NET_PORT_TCP ? tcp_on_listen : udp_on_datagram,
		      port, e);
	if (r < 0) {
		free(port);
		return r;
	}
	(void)take_fd(fd);
	port->next = d->ports;
	d->ports = port;
	d->nports++;
	share_ports(d);
	return 0;
}

static int remove_port(struct portd *d, const struct net_port *p, struct err *e)
{
	for (struct port **at = &d->ports; *at; at = &(*at)->next) {
		struct port *port = *at;
		int fd = port->src.fd;
		if (!same_port(&port->p, p))
			continue;
		udp_forget_port(port);
		*at = port->next;
		event_del(&d->loop, &port->src);
		close(fd);
		d->nports--;
		share_withdraw(port);
		return 0;
	}
	return err_set(e, ENOENT, "port %u is not published", p->host);
}

/* ---- control ---- */

/* Other addresses from here on: every port needs its rule in the families there are now. */
static int move(struct portd *d, const struct sync_msg *msg, struct err *e)
{
	if (msg->len != sizeof(d->cfg))
		return err_set(e, EPROTO, "rl and rl-portd are of different versions");
	memcpy(&d->cfg, msg->data, sizeof(d->cfg));
	int r = 0;
	for (const struct port *p = d->ports; p && r >= 0; p = p->next) {
		udp_forget_port(p);
		r = clients_add_port(d, &p->p, e);
	}
	return r;
}

/* One request; -EPIPE when the client is gone. */
static int answer(struct portd *d, int sock)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	struct err why = ERR_INIT;
	struct net_port p;
	int r = sync_recv(sock, owner, msg, &why);
	if (r < 0)
		return r;
	if (msg->step == PORTD_STEP_CONFIG) {
		r = move(d, msg, &why);
	} else if (msg->len != sizeof(p)) {
		r = err_set(&why, EPROTO, "rl and rl-portd are of different versions");
	} else {
		memcpy(&p, msg->data, sizeof(p));
		if (p.proto != NET_PORT_TCP && p.proto != NET_PORT_UDP)
			r = err_set(&why, EPROTO, "unknown protocol");
		else if (msg->step == PORTD_STEP_ADD && msg->nfds == 1)
			r = add_port(d, &p, &msg->fds[0], &why);
		else if (msg->step == PORTD_STEP_REMOVE)
			r = remove_port(d, &p, &why);
		else
			r = err_set(&why, EPROTO, "unexpected message %u", msg->step);
	}
	for (int i = 0; i < msg->nfds; i++)
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
	if (r < 0)
		sync_send_err(sock, &why);
	else
		(void)!sync_send(sock, PORTD_STEP_DONE, NULL, 0, NULL, 0, NULL);
	return 0;
}

static int on_parent(void *arg, uint32_t events, struct err *e)
{
	struct portd *d = arg;
	(void)events;
	(void)e;
	if (answer(d, PORTD_SOCKET_FD) < 0) {
		event_del(&d->loop, &d->parent_src);
		close(PORTD_SOCKET_FD);
	}
	return 0;
}

/* A client of the user's own says one thing and waits for the answer. */
static int on_control(void *arg, uint32_t events, struct err *e)
{
	struct portd *d = arg;
	struct timeval patience = {.tv_sec = CLIENT_PATIENCE_S};
	(void)events;
	(void)e;
	autofd int conn = accept4(d->control_fd, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0 || setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return 0;
	while (answer(d, conn) >= 0)
		;
	return 0;
}

static int on_init(void *arg, uint32_t events, struct err *e)
{
	struct portd *d = arg;
	(void)events;
	(void)e;
	event_quit(&d->loop, 0);
	return 0;
}

/* ---- start ---- */

static int read_config(struct portd *d, int *ret_init, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_expect(PORTD_SOCKET_FD, owner, PORTD_STEP_CONFIG, msg, e);
	if (r < 0)
		return r;
	if (msg->len != sizeof(d->cfg) || msg->nfds < 1 || msg->nfds > 2) {
		sync_close_fds(msg);
		return err_set(e, EPROTO, "rl and rl-portd are of different versions");
	}
	memcpy(&d->cfg, msg->data, sizeof(d->cfg));
	*ret_init = msg->fds[0];
	d->control_fd = msg->nfds > 1 ? msg->fds[1] : -1;
	return 0;
}

static int enter(int init_pidfd, struct err *e)
{
	if (setns(init_pidfd, CLONE_NEWUSER | CLONE_NEWNET) == 0)
		return 0;
	/* EINVAL: it has no user namespace of its own. */
	if (errno == EINVAL && setns(init_pidfd, CLONE_NEWNET) == 0)
		return 0;
	return err_sys(e, errno, "enter the container's network");
}

static int lock_in(struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "make a mount namespace");
	int r = emptyroot_enter(e);
	if (r >= 0)
		r = emptyroot_close(e);
	if (r >= 0)
		r = emptyroot_limit(RLIMIT_CORE, 0, e);
	if (r >= 0)
		r = emptyroot_limit(RLIMIT_NPROC, 0, e);
	if (r >= 0)
		r = emptyroot_keep_caps(1ull << CAP_NET_ADMIN, e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "no_new_privs");
	return SANITIZED ? 0 : filter_load(e);
}

static int open_loop(struct portd *d, int init_pidfd, struct err *e)
{
	int r = event_open(&d->loop, e);
	if (r >= 0)
		r = event_add(&d->loop, &d->parent_src, PORTD_SOCKET_FD, EPOLLIN, on_parent, d, e);
	if (r >= 0)
		r = event_add(&d->loop, &d->init_src, init_pidfd, EPOLLIN, on_init, d, e);
	if (r >= 0 && d->control_fd >= 0)
		r = event_add(&d->loop, &d->control_src, d->control_fd, EPOLLIN, on_control, d, e);
	return r;
}

static int start(struct portd *d, struct err *e)
{
	int init_pidfd = -1;
	int r = io_set_cloexec(PORTD_SOCKET_FD, true, e);
	if (r >= 0)
		r = read_config(d, &init_pidfd, e);
	if (r >= 0)
		r = enter(init_pidfd, e);
	if (r >= 0)
		r = nl_open(&d->nl, e);
	if (r >= 0)
		r = open_loop(d, init_pidfd, e);
	if (r < 0)
		return r;
	d->datagram = xmalloc(65536);
	d->reserve_fd = fcntl(d->loop.epollfd, F_DUPFD_CLOEXEC, 3);
	clients_init(d);
	r = emptyroot_limit(RLIMIT_NOFILE, FILES_MAX, e); /* as many as it may have */
	share_init(d);
	d->pipes = pipes_new(d->pipes_max);
	return r < 0 ? r : lock_in(e);
}

int main(int argc, char **argv)
{
	static const struct event_source unused = EVENT_SOURCE_INIT;
	struct err e = ERR_INIT;
	struct portd *d = xcalloc(1, sizeof(*d));
	(void)argc;
	(void)argv;
	log_init("rl-portd");
	if (fcntl(PORTD_SOCKET_FD, F_GETFD) < 0) {
		log_line("this program is started by rl");
		return EXIT_RL_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	log_detach_stdio(LOG_NET);
	(void)!io_close_from(PORTD_SOCKET_FD + 1, NULL);
	d->loop = (struct event_loop)EVENT_LOOP_INIT;
	d->parent_src = d->init_src = d->control_src = unused;
	int r = start(d, &e);
	if (r < 0) {
		sync_send_err(PORTD_SOCKET_FD, &e);
		_exit(EXIT_RL_FAILED);
	}
	(void)!sync_send(PORTD_SOCKET_FD, PORTD_STEP_DONE, NULL, 0, NULL, 0, NULL);
	r = event_run(&d->loop, &e);
	if (r < 0)
		log_debug(LOG_NET, "ends: %s", e.text);
	/* No exit handlers: libraries would want system calls that are no longer allowed. */
	_exit(r < 0 ? EXIT_RL_FAILED : 0);
}
