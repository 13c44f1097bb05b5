/*
 * pty.h - pseudo terminals of a container, and the terminal of the person in front of us.
 *
 * Model: a pair is made from a given devpts instance and both ends are descriptors: the slave is never opened by name
 * (TIOCGPTPEER), since names belong to the container. The person's terminal is put into raw mode with a
 * struct pty_saved, which restores exactly once however often it is asked to, also from a signal handler.
 *
 * Calling sequence: pty_open -> pty_copy_size -> send the master out, make the slave stdio, pty_set_controlling
 *                   pty_make_raw -> relay, pty_copy_size on SIGWINCH -> pty_restore
 */
#ifndef RL_KERN_PTY_H
#define RL_KERN_PTY_H

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

#include "rl/base/err.h"

struct pty_pair {
	int masterfd;
	int slavefd;
};

/* A new pair from the devpts mounted at `devptsfd` (a descriptor of its directory; checked to be devpts), or from the
 * host's /dev/ptmx if it is -1. Both are close-on-exec and nobody's controlling terminal. */
int pty_open(int devptsfd, struct pty_pair *ret_pair, struct err *e) RL_CHECK;

/* Make the slave the controlling terminal of the caller, who must be a session leader without one. */
int pty_set_controlling(int slavefd, struct err *e) RL_CHECK;

/* Size in characters. A terminal that does not know its size says 0 0. */
int pty_get_size(int fd, unsigned short *ret_rows, unsigned short *ret_cols, struct err *e) RL_CHECK;
int pty_set_size(int fd, unsigned short rows, unsigned short cols, struct err *e) RL_CHECK;
/* Set the size of `to` to that of `from`, pixels included. */
int pty_copy_size(int from, int to, struct err *e) RL_CHECK;

/* The modes of a terminal as we found it. Zero-initialise. */
struct pty_saved {
	volatile sig_atomic_t active;
	int fd;
	struct termios modes;
};

/* Raw mode: bytes pass both ways unchanged, keys make no signals. `fd` must stay open until pty_restore. */
int pty_make_raw(int fd, struct pty_saved *saved, struct err *e) RL_CHECK;
/* Back to what it was; harmless if nothing is saved. Async-signal-safe, keeps errno, works from the background too. */
void pty_restore(struct pty_saved *saved);

#endif
