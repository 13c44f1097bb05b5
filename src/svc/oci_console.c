/*
 * oci_console.c - what the engine above gets of a process: its terminal over a socket, its pid in a file; and standing
 * in front of a command ourselves.
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

#include "oci_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/stdio.h"

/* sun_path is short; a path below a descriptor of its directory is shorter. */
int oci_connect(const char *path, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	autofree char *dir = path_dir(path);
	autofd int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "socket %s", path);
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dirfd, path_base(path));
	if (n >= (int)sizeof(addr.sun_path))
		return err_set(e, ENAMETOOLONG, "socket %s: the name is too long", path);
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(e, errno, "connect to socket %s", path);
	return take_fd(&fd);
}

int oci_send_fd_on(int sock, const void *data, size_t len, int fd, struct err *e)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	ssize_t n;
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "send a descriptor");
	return (size_t)n < len ? io_write_all(sock, (const char *)data + n, len - (size_t)n, e) : 0;
}

int oci_send_fd(const char *path, const void *data, size_t len, int fd, struct err *e)
{
	autofd int sock = oci_connect(path, e);
	return sock < 0 ? sock : oci_send_fd_on(sock, data, len, fd, e);
}

int oci_check_console(bool terminal, bool detached, const char *socket, struct err *e)
{
	if (socket && *socket && !terminal)
		return err_set(e, EINVAL, "cannot use console socket if runc will not detach or allocate tty");
	if (terminal && detached && (!socket || !*socket))
		return err_set(e, EINVAL, "cannot allocate tty if runc will detach without setting console socket");
	return 0;
}

int oci_write_pid_file(const char *path, pid_t pid, struct err *e)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid);
	return path ? io_replace_file(AT_FDCWD, path, text, (size_t)n, 0644, false, e) : 0;
}

/* ---- in front ---- */

static int open_signals(struct err *e)
{
	sigset_t set;
	sigfillset(&set);
	sigdelset(&set, SIGCHLD);
	sigdelset(&set, SIGTTIN);
	sigdelset(&set, SIGTTOU);
	sigdelset(&set, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(e, errno, "signalfd") : fd;
}

static void pass_signals(int fd, const struct runtime_container *c, struct tty_relay *tty)
{
	struct signalfd_siginfo info;
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH && tty)
			tty_relay_resize(tty);
		else if (info.ssi_signo != SIGPIPE && info.ssi_signo != SIGWINCH)
			(void)!proc_pidfd_signal(c->pidfd, (int)info.ssi_signo, NULL);
	}
}

static int relay(struct runtime_container *c, int signals, struct tty_relay *tty, struct err *e)
{
	bool tty_open = tty != NULL;
	for (;;) {
		struct pollfd p[] = {
			{.fd = c->pidfd, .events = POLLIN},
			{.fd = signals, .events = POLLIN},
			{.fd = tty_open && tty_relay_events(tty) ? tty->master : -1,
			 .events = tty_open ? tty_relay_events(tty) : (short)0},
			{.fd = tty_open && tty_relay_wants_input(tty) ? tty->in : -1, .events = POLLIN},
			{.fd = tty ? tty_relay_out(tty) : -1, .events = POLLOUT},
		};
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		pass_signals(signals, c, tty);
		int r = 0;
		if (p[2].revents & POLLOUT)
			r = tty_relay_flush(tty, e);
		if (r >= 0 && p[3].revents)
			r = tty_relay_input(tty, -1, e);
		if (r >= 0 && p[4].revents)
			r = tty_relay_show(tty, e);
		if (r >= 0 && (p[2].revents & (POLLIN | POLLHUP))) {
			r = tty_relay_output(tty, e);
			tty_open = tty_open && r != 0;
		}
		if (r < 0)
			return r;
		if (!p[0].revents)
			continue;
		/* What it has written before its end comes out first. */
		if (tty)
			tty_relay_drain(tty);
		return 0;
	}
}

int oci_foreground(struct runtime_container *c, struct err *e)
{
	struct tty_relay tty;
	autofd int signals = open_signals(e);
	if (signals < 0)
		return signals;
	bool has_tty = c->pty >= 0;
	int r = 0;
	if (has_tty) {
		tty_relay_init(&tty, c->pty, STDIN_FILENO, STDOUT_FILENO);
		r = tty_relay_start(&tty, e);
	}
	if (r >= 0)
		r = relay(c, signals, has_tty ? &tty : NULL, e);
	if (has_tty)
		tty_relay_stop(&tty);
	return r < 0 ? r : runtime_reap(c, e);
}
