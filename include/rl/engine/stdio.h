/*
 * stdio.h - the terminal between a person and a container.
 *
 * Model: with a terminal (-t) the container has its own pty; rl copies bytes both ways between its own terminal and the
 * pty's master, with its own terminal in raw mode meanwhile. Without -t nothing is copied: the payload has rl's own
 * descriptors.
 *
 * Calling sequence:
 *     tty_relay_init(&t, master, in, out); tty_relay_start(&t, e);       // raw mode, if `in` is a terminal
 *     poll: t.in for POLLIN while tty_relay_wants_input(&t); t.master for tty_relay_events(&t); tty_relay_out(&t) for
 *           POLLOUT, which is -1 while there is nothing to show
 *     tty_relay_input / tty_relay_output / tty_relay_show on events
 *     tty_relay_resize on SIGWINCH
 *     tty_relay_drain at the end, tty_relay_stop always (restores the terminal)
 * A terminal or pipe that is not read never blocks rl, which has signals to pass on and a process to reap: it is written
 * through a description of its own that does not wait, and nothing more is read from the container meanwhile.
 * Ownership: the master stays the caller's. Buffers are inside the struct; nothing is allocated.
 *
 * Detach keys are taken out of what is typed: struct tty_keys, by itself or as a part of the relay (tty_relay_keys).
 */
#ifndef RL_ENGINE_STDIO_H
#define RL_ENGINE_STDIO_H

#include <stdbool.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/kern/pty.h"

enum { TTY_RELAY_BUFFER = 4096, TTY_KEYS_MAX = 16 };

/* A sequence of keys that is looked for in what is typed, also over several reads. Zero: none. */
struct tty_keys {
	unsigned char keys[TTY_KEYS_MAX];
	size_t nkeys, matched;
};

/* Copy `in` to `out` (room for n + TTY_KEYS_MAX) without the sequence; a beginning of it that goes on otherwise is
 * passed on. Returns how much was copied; *ret_found when the sequence was complete (what follows it is dropped). */
size_t tty_keys_filter(struct tty_keys *k, const char *in, size_t n, char *out, bool *ret_found);

struct tty_relay {
	int master;
	int in, out; /* rl's own; in is -1 without -i */
	bool raw;    /* the saved mode has to be restored */
	bool input_ended;
	struct pty_saved saved;
	struct tty_keys keys;
	bool detached;			/* the keys were typed */
	char pending[TTY_RELAY_BUFFER]; /* typed, not yet taken by the pty */
	size_t pending_len;
	int shown_fd;			  /* a non-blocking description of `out`, or -1: `out` itself */
	char shown[4 * TTY_RELAY_BUFFER]; /* read from the pty, not yet taken by our own terminal */
	size_t shown_at, shown_len;
};

void tty_relay_init(struct tty_relay *t, int master, int in, int out);
int tty_relay_start(struct tty_relay *t, struct err *e) RL_CHECK;
bool tty_relay_wants_input(const struct tty_relay *t);
/* Look for these keys from now on; t->detached says that they came. Only where `in` is a terminal. */
void tty_relay_keys(struct tty_relay *t, const unsigned char *keys, size_t n);

/* `in` is readable: take what was typed. Returns the signal that a typed character would send to the foreground group
 * of the pty (SIGINT, SIGQUIT, SIGTSTP) if that group is `init_pid` alone, 0 otherwise: PID 1 of a pid namespace does
 * not get default actions, so the caller must act for it (decision 19). */
int tty_relay_input(struct tty_relay *t, pid_t init_pid, struct err *e) RL_CHECK;
/* The master takes bytes again. */
int tty_relay_flush(struct tty_relay *t, struct err *e) RL_CHECK;
/* What to poll the master for. */
short tty_relay_events(const struct tty_relay *t);
/* The master is readable. Returns 1, or 0 when the last slave was closed. */
int tty_relay_output(struct tty_relay *t, struct err *e) RL_CHECK;
/* The descriptor that takes what was read, or -1; and it takes bytes again. */
int tty_relay_out(const struct tty_relay *t);
int tty_relay_show(struct tty_relay *t, struct err *e) RL_CHECK;
/* Everything there is, waiting for our own terminal as long as it takes. */
void tty_relay_drain(struct tty_relay *t);
void tty_relay_resize(struct tty_relay *t);
void tty_relay_stop(struct tty_relay *t);

/* The signal that the line discipline of the pty would send for one of these bytes, if PID 1 is the whole foreground
 * group (see tty_relay_input); 0 otherwise. */
int tty_typed_signal(int master, const char *data, size_t len, pid_t init_pid);

#endif
