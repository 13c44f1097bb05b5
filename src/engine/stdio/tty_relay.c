#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/engine/stdio.h"

void tty_relay_init(struct tty_relay *t, int master, int in, int out)
{
	*t = (struct tty_relay){.master = master, .in = in, .out = out};
}

int tty_relay_start(struct tty_relay *t, struct err *e)
{
	/* The master must never block us: a payload that does not read would stop output and signals too. */
	int r = io_set_nonblock(t->master, true, e);
	if (r < 0)
		return r;
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
		if (n < 0 && (errno == EAGAIN || errno == EIO))
			return 0;
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

int tty_relay_output(struct tty_relay *t, struct err *e)
{
	char buf[TTY_RELAY_BUFFER * 4];
	ssize_t n = read(t->master, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n <= 0)
		return 0; /* EIO: every slave is closed */
	struct err lost = ERR_INIT;
	int r = io_write_all(t->out, buf, (size_t)n, &lost);
	if (r == -EAGAIN) {
		/* Our output is somebody's non-blocking descriptor: wait for it, bytes must not be lost. */
		struct pollfd p = {.fd = t->out, .events = POLLOUT};
		(void)poll(&p, 1, 1000);
		return 1;
	}
	if (r < 0) {
		if (e)
			*e = lost;
		return r;
	}
	return 1;
}

void tty_relay_drain(struct tty_relay *t)
{
	struct pollfd p = {.fd = t->master, .events = POLLIN};
	while (poll(&p, 1, 0) == 1 && (p.revents & POLLIN))
		if (tty_relay_output(t, NULL) <= 0)
			return;
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
}
