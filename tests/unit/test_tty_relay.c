/* links: engine/stdio kern base */
/* The relay between two real pseudo terminals: a person's and a container's. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>

#include "rl/base/mem.h"
#include "rl/engine/stdio.h"
#include "tap.h"

/* What can be read within a second, as text. */
static char *take(int fd, char *buf, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = poll(&p, 1, 1000) == 1 ? read(fd, buf, size - 1) : 0;
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static tcflag_t local_modes(int fd)
{
	struct termios t = {0};
	tcgetattr(fd, &t);
	return t.c_lflag;
}

static void person(struct pty_pair *theirs)
{
	struct err e = ERR_INIT;
	struct pty_pair ours;
	struct tty_relay t;
	char buf[256];
	tap_must(pty_open(-1, &ours, &e) == 0);
	tap_must(pty_set_size(ours.slavefd, 33, 101, &e) == 0);
	tcflag_t before = local_modes(ours.slavefd);

	tty_relay_init(&t, theirs->masterfd, ours.slavefd, ours.slavefd);
	tap_is_int(tty_relay_start(&t, &e), 0, "a relay starts on a terminal");
	tap_ok(!(local_modes(ours.slavefd) & (ICANON | ECHO | ISIG)), "which is raw then");
	tap_ok(fcntl(theirs->masterfd, F_GETFL) & O_NONBLOCK, "the container's end cannot block it");

	tty_relay_resize(&t);
	unsigned short rows = 0;
	unsigned short columns = 0;
	tap_must(pty_get_size(theirs->slavefd, &rows, &columns, &e) == 0);
	tap_ok(rows == 33 && columns == 101, "the container's terminal gets the size of the person's");

	tap_must(write(ours.masterfd, "hello\r", 6) == 6);
	tap_must(poll(&(struct pollfd){.fd = ours.slavefd, .events = POLLIN}, 1, 1000) == 1);
	tap_is_int(tty_relay_input(&t, 1, &e), 0, "typed text is taken");
	tap_is_str(take(theirs->slavefd, buf, sizeof(buf)), "hello\n", "and arrives as a line in the container");

	tap_must(write(theirs->slavefd, "out", 3) == 3);
	tap_must(poll(&(struct pollfd){.fd = theirs->masterfd, .events = POLLIN}, 1, 1000) == 1);
	tap_is_int(tty_relay_output(&t, &e), 1, "output is taken");
	tap_has(take(ours.masterfd, buf, sizeof(buf)), "out", "and shown to the person");

	tty_relay_stop(&t);
	tap_ok(local_modes(ours.slavefd) == before, "the person's terminal is as it was");
	tty_relay_stop(&t);
	tap_ok(local_modes(ours.slavefd) == before, "also when it is stopped twice");
	close(ours.masterfd);
	close(ours.slavefd);
}

static void pipe_input(struct pty_pair *theirs)
{
	struct err e = ERR_INIT;
	struct tty_relay t;
	int in[2];
	char buf[64];
	tap_must(pipe2(in, O_CLOEXEC) == 0);
	tty_relay_init(&t, theirs->masterfd, in[0], STDOUT_FILENO);
	tap_is_int(tty_relay_start(&t, &e), 0, "a relay starts on a pipe");
	tap_ok(!t.raw, "and makes nothing raw");
	tap_ok(tty_relay_wants_input(&t), "it wants input");
	tap_must(write(in[1], "line\n", 5) == 5);
	tap_is_int(tty_relay_input(&t, 1, &e), 0, "which is passed on");
	tap_is_str(take(theirs->slavefd, buf, sizeof(buf)), "line\n", "as it is");
	close(in[1]);
	tap_is_int(tty_relay_input(&t, 1, &e), 0, "the end of the pipe is no error");
	tap_ok(!tty_relay_wants_input(&t), "after it no more is wanted");
	/* ^D on an empty line makes read(2) return 0, which poll reports as readable. */
	struct pollfd p = {.fd = theirs->slavefd, .events = POLLIN};
	tap_ok(poll(&p, 1, 1000) == 1 && read(theirs->slavefd, buf, sizeof(buf)) == 0,
	       "and a reader in the container sees the end too");
	tty_relay_stop(&t);
	close(in[0]);
}

/* Somebody who never reads: input waits in the relay and none is lost. */
static void full(struct pty_pair *theirs)
{
	struct err e = ERR_INIT;
	struct tty_relay t;
	int in[2];
	char block[512];
	memset(block, 'x', sizeof(block));
	struct termios raw;
	tap_must(tcgetattr(theirs->slavefd, &raw) == 0);
	cfmakeraw(&raw);
	tap_must(tcsetattr(theirs->slavefd, TCSANOW, &raw) == 0);
	tap_must(pipe2(in, O_CLOEXEC | O_NONBLOCK) == 0);
	tty_relay_init(&t, theirs->masterfd, in[0], STDOUT_FILENO);
	tap_must(tty_relay_start(&t, &e) == 0);
	size_t sent = 0;
	int r = 0;
	while (r == 0 && tty_relay_wants_input(&t) && sent < (1u << 20)) {
		ssize_t n = write(in[1], block, sizeof(block));
		tap_must(n > 0);
		sent += (size_t)n;
		r = tty_relay_input(&t, 1, &e);
	}
	tap_is_int(r, 0, "a full terminal is no error");
	tap_ok(sent < (1u << 20), "the relay stops wanting input when nobody reads");
	size_t got = 0;
	char buf[4096];
	struct pollfd p = {.fd = theirs->slavefd, .events = POLLIN};
	while (got < sent && poll(&p, 1, 1000) == 1) {
		ssize_t n = read(theirs->slavefd, buf, sizeof(buf));
		if (n <= 0 || tty_relay_flush(&t, &e) < 0)
			break;
		got += (size_t)n;
		if (t.pending_len == 0 && tty_relay_wants_input(&t))
			while (tty_relay_input(&t, 1, &e) == 0 &&
			       poll(&(struct pollfd){.fd = in[0], .events = POLLIN}, 1, 0) == 1)
				;
	}
	tap_is_int((long long)got, (long long)sent, "and nothing is lost when somebody does");
	tty_relay_stop(&t);
	close(in[0]);
	close(in[1]);
}

int main(void)
{
	struct err e = ERR_INIT;
	struct pty_pair theirs;
	tap_plan_later();
	if (pty_open(-1, &theirs, &e) < 0)
		return tap_skip_all("no pseudo terminals here");
	/* Echo would come back as output; the properties are about one direction at a time. */
	struct termios quiet;
	tap_must(tcgetattr(theirs.slavefd, &quiet) == 0);
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tap_must(tcsetattr(theirs.slavefd, TCSANOW, &quiet) == 0);

	tap_is_int(tty_typed_signal(theirs.masterfd, "a\x03", 2, getpid()), 0,
		   "an interrupt key is the line discipline's when PID 1 is not the foreground");
	tap_is_int(tty_typed_signal(theirs.masterfd, "abc", 3, 0), 0, "letters are no signals");
	person(&theirs);
	pipe_input(&theirs);
	full(&theirs);
	close(theirs.masterfd);
	close(theirs.slavefd);
	return tap_done();
}
