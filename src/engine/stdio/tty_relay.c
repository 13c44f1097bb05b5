/*
 * tty_relay.c - bytes between our terminal and a container's; see stdio.h.
 *
 * Neither end may block us: the pty is non-blocking because only we have its master, and our own terminal or pipe is
 * opened once more, because O_NONBLOCK belongs to a description that others have, too. What one end does not take yet
 * waits in the struct, and nothing more is read for that end meanwhile: the container then waits in its write(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/stdio.h"

void tty_relay_init(struct tty_relay *t, int master, int in, int out)
{
	*t = (struct tty_relay){.master = master, .in = in, .out = out, .shown_fd = -1};
}

/* O_NONBLOCK belongs to a description that the shell has, too; files, whose position would be another, never block. */
static int open_again(int fd)
{
	struct stat st;
	char path[32];
	if (fstat(fd, &st) < 0 || (!S_ISFIFO(st.st_mode) && !isatty(fd)))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int tty_relay_start(struct tty_relay *t, struct err *e)
{
	/* The master must never block us: a payload that does not read would stop output and signals too. */
	int r = io_set_nonblock(t->master, true, e);
	if (r < 0)
		return r;
	t->shown_fd = open_again(t->out);
	if (t->in < 0 || !isatty(t->in))
		return 0;
	r = pty_make_raw(t->in, &t->saved, e);
	if (r < 0)
		return r;
	t->raw = true;
	return 0;
}

bool tty_relay_wants_input(const struct tty_relay *t)
{
	return t->in >= 0 && !t->input_ended && t->pending_len < sizeof(t->pending) - TTY_KEYS_MAX;
}

void tty_relay_keys(struct tty_relay *t, const unsigned char *keys, size_t n)
{
	t->keys = (struct tty_keys){.nkeys = isatty(t->in) ? n : 0};
	memcpy(t->keys.keys, keys, n);
}

int tty_typed_signal(int master, const char *data, size_t len, pid_t init_pid)
{
	struct termios mode;
	pid_t group;
	if (tcgetattr(master, &mode) < 0 || !(mode.c_lflag & ISIG))
		return 0;
	const struct {
		cc_t key;
		int sig;
	} keys[] = {{mode.c_cc[VINTR], SIGINT}, {mode.c_cc[VQUIT], SIGQUIT}};
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		if (keys[k].key == _POSIX_VDISABLE || !memchr(data, keys[k].key, len))
			continue;
		if (ioctl(master, TIOCGPGRP, &group) == 0 && group == init_pid)
			return keys[k].sig;
	}
	return 0;
}

int tty_relay_flush(struct tty_relay *t, struct err *e)
{
	while (t->pending_len) {
		ssize_t n = write(t->master, t->pending, t->pending_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == EIO) {
			t->pending_len = 0; /* every slave is closed: nobody is there to read it */
			return 0;
		}
		if (n < 0)
			return err_sys(e, errno, "write to the container's terminal");
		t->pending_len -= (size_t)n;
		memmove(t->pending, t->pending + n, t->pending_len);
	}
	return 0;
}

int tty_relay_input(struct tty_relay *t, pid_t init_pid, struct err *e)
{
	char typed[TTY_RELAY_BUFFER];
	char *free_part = t->pending + t->pending_len;
	ssize_t n = read(t->in, typed, sizeof(t->pending) - TTY_KEYS_MAX - t->pending_len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		t->input_ended = true;
		if (isatty(t->in))
			return 0; /* our terminal hung up: SIGHUP follows */
		/* The end of a piped input is ^D for whoever reads lines from the pty. */
		if (t->pending_len < sizeof(t->pending))
			t->pending[t->pending_len++] = 4;
		return tty_relay_flush(t, e);
	}
	size_t taken = tty_keys_filter(&t->keys, typed, (size_t)n, free_part, &t->detached);
	int sig = tty_typed_signal(t->master, free_part, taken, init_pid);
	t->pending_len += taken;
	int r = tty_relay_flush(t, e);
	return r < 0 ? r : sig;
}

static int shown_fd(const struct tty_relay *t)
{
	return t->shown_fd >= 0 ? t->shown_fd : t->out;
}

short tty_relay_events(const struct tty_relay *t)
{
	return (short)((t->shown_len ? 0 : POLLIN) | (t->pending_len ? POLLOUT : 0));
}

int tty_relay_out(const struct tty_relay *t)
{
	return t->shown_len ? shown_fd(t) : -1;
}

int tty_relay_show(struct tty_relay *t, struct err *e)
{
	while (t->shown_len) {
		ssize_t n = write(shown_fd(t), t->shown + t->shown_at, t->shown_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return err_sys(e, errno, "write");
		t->shown_at += (size_t)n;
		t->shown_len -= (size_t)n;
	}
	t->shown_at = 0;
	return 0;
}

int tty_relay_output(struct tty_relay *t, struct err *e)
{
	/* A hang-up is reported also while there is something to show first. */
	if (t->shown_len)
		return 1;
	ssize_t n = read(t->master, t->shown, sizeof(t->shown));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n <= 0)
		return 0; /* EIO: every slave is closed */
	t->shown_len = (size_t)n;
	int r = tty_relay_show(t, e);
	return r < 0 ? r : 1;
}

void tty_relay_drain(struct tty_relay *t)
{
	struct pollfd master = {.fd = t->master, .events = POLLIN};
	for (;;) {
		struct pollfd out = {.fd = tty_relay_out(t), .events = POLLOUT};
		if (out.fd >= 0) {
			if ((poll(&out, 1, -1) < 0 && errno != EINTR) || tty_relay_show(t, NULL) < 0)
				return;
			continue;
		}
		if (poll(&master, 1, 0) != 1 || !(master.revents & POLLIN) || tty_relay_output(t, NULL) <= 0)
			return;
	}
}

void tty_relay_resize(struct tty_relay *t)
{
	unsigned short rows;
	unsigned short columns;
	struct err why = ERR_INIT;
	int terminal = t->in >= 0 && isatty(t->in) ? t->in : t->out;
	if (pty_get_size(terminal, &rows, &columns, &why) < 0 || pty_set_size(t->master, rows, columns, &why) < 0)
		log_debug(LOG_STDIO, "size of the terminal: %s", why.text);
}

void tty_relay_stop(struct tty_relay *t)
{
	if (t->raw)
		pty_restore(&t->saved);
	t->raw = false;
	close_fd(&t->shown_fd);
}
