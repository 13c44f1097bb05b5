/*
 * pty.h - pseudo terminals of a given devpts, and the mode of our own terminal.
 *
 * The slave is obtained from the master (TIOCGPTPEER, Linux 4.13), never by a path in /dev/pts that somebody in the
 * container could replace (CVE-2025-52565). Sources: pts(4), ioctl_tty(2), termios(3).
 * Ownership: descriptors are the caller's and close-on-exec. pty_restore is async-signal-safe.
 */
#ifndef RL_KERN_PTY_H
#define RL_KERN_PTY_H

#include <termios.h>

#include "rl/base/err.h"

/* ptsfd: descriptor (O_PATH allowed) of the root of a devpts mount. */
int pty_open_pair(int ptsfd, int *ret_master, int *ret_slave, struct err *e) RL_CHECK;

int pty_set_size(int fd, unsigned short rows, unsigned short columns, struct err *e) RL_CHECK;
int pty_get_size(int fd, unsigned short *ret_rows, unsigned short *ret_columns, struct err *e) RL_CHECK;

struct pty_saved {
	int fd;
	struct termios mode;
};

/* Raw mode for the terminal `fd`; what it was is in *ret_saved. */
int pty_raw(int fd, struct pty_saved *ret_saved, struct err *e) RL_CHECK;
void pty_restore(const struct pty_saved *saved);

#endif
