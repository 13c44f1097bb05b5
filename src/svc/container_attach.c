/*
 * container_attach.c - the person's side of an attached container: rl while somebody else, the monitor, owns it.
 *
 * One poll loop over the connection, standard input and signals. With a terminal on both sides our own is raw
 * meanwhile; the keys that detach are taken out of the input, and a prefix of them that goes on otherwise is passed on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/notify.h"
#include "rl/engine/stdio.h"
#include "rl/kern/pty.h"

_Static_assert((int)TTY_KEYS_MAX == (int)RUN_OPTS_DETACH_MAX, "the keys fit");

struct attached {
	int conn;
	const struct attach_opts *o;
	struct tty_keys keys;
	bool detached;
	bool input_ended;
	bool raw_terminal;
	struct pty_saved saved;
	int signalfd;
};

int container_attach_send(int conn, char type, const void *data, size_t len, struct err *e)
{
	char msg[1 + ATTACH_DATA_MAX];
	msg[0] = type;
	if (len)
		memcpy(msg + 1, data, len);
	while (send(conn, msg, 1 + len, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "the container's monitor");
	return 0;
}

int container_attach_connect(const struct container_rec *rec, unsigned flags, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/attach", rec->dirfd);
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		err_sys(e, errno, "attach to container %s", rec->config.name);
		return err_hint(e, rec->state.foreground ? "it runs in the foreground of another rl"
							 : "its monitor is gone; 'rl stop' and 'rl rm' still work");
	}
	char hello = (char)flags;
	int r = container_attach_send(fd, ATTACH_HELLO, &hello, 1, e);
	return r < 0 ? r : take_fd(&fd);
}

/* Types and data of one message. 1, or 0 at the end of the connection. */
int container_attach_receive(int conn, char *msg, size_t size, size_t *ret_len, struct err *e)
{
	for (;;) {
		ssize_t n = recv(conn, msg, size, 0);
		/* A monitor that ended with something of ours unread: told once, and what it sent before is still to come. */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n < 0)
			return err_sys(e, errno, "the container's monitor");
		if (n <= 0)
			return 0;
		*ret_len = (size_t)n;
		return 1;
	}
}

int container_attach_started(int conn, pid_t *ret_pid, struct err *e)
{
	char msg[1 + ATTACH_DATA_MAX];
	size_t len = 0;
	struct err theirs = ERR_INIT;
	int r = container_attach_receive(conn, msg, sizeof(msg), &len, e);
	if (r < 0)
		return r;
	if (r == 1 && msg[0] == ATTACH_STARTED && len == 1 + sizeof(int)) {
		int pid;
		memcpy(&pid, msg + 1, sizeof(pid));
		*ret_pid = pid;
		return 0;
	}
	if (r == 1 && msg[0] == ATTACH_FAILED && len == 1 + sizeof(theirs)) {
		memcpy(&theirs, msg + 1, sizeof(theirs));
		if (e)
			*e = theirs;
		return theirs.code < 0 ? theirs.code : -(theirs.code ? theirs.code : EIO);
	}
	return err_set(e, EPIPE, "the container's monitor died");
}

static void send_size(struct attached *a)
{
	unsigned short size[2];
	int terminal = isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO;
	if (pty_get_size(terminal, &size[0], &size[1], NULL) == 0)
		(void)!container_attach_send(a->conn, ATTACH_RESIZE, size, sizeof(size), NULL);
}

static int on_signals(struct attached *a, struct err *e)
{
	struct signalfd_siginfo info;
	while (read(a->signalfd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;
		if (sig == SIGWINCH) {
			if (a->o->tty)
				send_size(a);
		} else if (sig == SIGTSTP) {
			/* Only we stand still; the container is not ours to stop. */
			pty_restore(&a->saved);
			raise(SIGSTOP);
			if (a->raw_terminal && pty_make_raw(STDIN_FILENO, &a->saved, NULL) < 0)
				log_debug(LOG_STDIO, "the terminal could not be made raw again");
		} else if (sig != SIGCONT && sig != SIGTTIN && sig != SIGTTOU && sig != SIGPIPE) {
			int r = 0;
			if (a->o->sig_proxy)
				r = container_attach_send(a->conn, ATTACH_SIGNAL, &sig, sizeof(sig), e);
			else if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT)
				a->detached = true;
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int on_input(struct attached *a, struct err *e)
{
	char in[ATTACH_DATA_MAX - TTY_KEYS_MAX];
	char out[ATTACH_DATA_MAX];
	ssize_t n = read(STDIN_FILENO, in, sizeof(in));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		a->input_ended = true;
		/* Our terminal hung up: SIGHUP follows. */
		return isatty(STDIN_FILENO) && a->raw_terminal ? 0
							       : container_attach_send(a->conn, ATTACH_EOF, NULL, 0, e);
	}
	size_t len = tty_keys_filter(&a->keys, in, (size_t)n, out, &a->detached);
	return len ? container_attach_send(a->conn, ATTACH_INPUT, out, len, e) : 0;
}

static int write_out(int fd, const char *data, size_t len, struct err *e)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};
			(void)poll(&p, 1, 1000);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "write the container's output");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* 1 go on, 0 the end with its status, -errno. */
static int on_message(struct attached *a, int *ret_status, struct err *e)
{
	char msg[1 + ATTACH_DATA_MAX];
	size_t len = 0;
	int r = container_attach_receive(a->conn, msg, sizeof(msg), &len, e);
	if (r < 0)
		return r;
	if (r == 0) {
		err_set(e, EPIPE, "the container's monitor died");
		return err_hint(e, "'rl ps -a' shows what became of the container");
	}
	if (msg[0] == ATTACH_EXIT && len == 1 + sizeof(int)) {
		memcpy(ret_status, msg + 1, sizeof(int));
		return 0;
	}
	if (msg[0] == ATTACH_NOTIFY) {
		autofree char *text = xstrndup(msg + 1, len - 1);
		notify_send(text);
		return 1;
	}
	int fd = msg[0] == ATTACH_ERR ? STDERR_FILENO : STDOUT_FILENO;
	if (a->o->output && (msg[0] == ATTACH_OUT || msg[0] == ATTACH_ERR) && !(a->o->hidden & (1U << fd)))
		r = write_out(fd, msg + 1, len - 1, e);
	return r < 0 ? r : 1;
}

static int serve(struct attached *a, struct err *e)
{
	int status = 0;
	for (;;) {
		struct pollfd p[] = {
			{.fd = a->conn, .events = POLLIN},
			{.fd = a->signalfd, .events = POLLIN},
			{.fd = a->o->input && !a->input_ended ? STDIN_FILENO : -1, .events = POLLIN},
		};
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		int r = 1;
		if (p[1].revents && on_signals(a, e) < 0)
			r = -EPIPE;
		/* What cannot be sent any more is no loss: the end is what is to be read then. */
		if (p[2].revents && !a->detached && on_input(a, NULL) < 0)
			a->input_ended = true;
		if (a->detached) {
			(void)!container_attach_send(a->conn, ATTACH_DETACH, NULL, 0, NULL);
			return 0;
		}
		if (p[0].revents)
			r = on_message(a, &status, e);
		else if (r < 0)
			r = 1;
		if (r <= 0)
			return r < 0 ? r : status;
	}
}

int container_attach_serve(int conn, const struct attach_opts *o, bool *ret_detached, struct err *e)
{
	static const int taken[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,  SIGALRM, SIGTERM,
				    SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGPIPE};
	struct attached a = {.conn = conn, .o = o};
	sigset_t set;
	sigset_t old;
	int r = run_opts_parse_detach_keys(o->detach_keys ? o->detach_keys : "ctrl-p,ctrl-q", a.keys.keys,
					   &a.keys.nkeys, e);
	if (r < 0)
		return r;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	autofd int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(e, errno, "signalfd");
	a.signalfd = signals;
	a.raw_terminal = o->tty && o->input && isatty(STDIN_FILENO);
	if (!a.raw_terminal)
		a.keys.nkeys = 0; /* bytes of a pipe are data */
	else
		r = pty_make_raw(STDIN_FILENO, &a.saved, e);
	if (r == 0 && o->tty)
		send_size(&a);
	if (r == 0)
		r = serve(&a, e);
	pty_restore(&a.saved);
	*ret_detached = a.detached;
	return r;
}
