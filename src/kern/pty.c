#include "rl/kern/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rl/base/mem.h"

int pty_open_pair(int ptsfd, int *ret_master, int *ret_slave, struct err *e)
{
	autofd int master = openat(ptsfd, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	if (master < 0)
		return err_sys(e, errno, "open /dev/pts/ptmx");
	int unlocked = 0;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_sys(e, errno, "unlock the terminal");
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(e, errno, "open the terminal's other side");
	*ret_master = take_fd(&master);
	*ret_slave = slave;
	return 0;
}

int pty_set_size(int fd, unsigned short rows, unsigned short columns, struct err *e)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};
	if (ioctl(fd, TIOCSWINSZ, &size) < 0)
		return err_sys(e, errno, "set the size of the terminal");
	return 0;
}

int pty_get_size(int fd, unsigned short *ret_rows, unsigned short *ret_columns, struct err *e)
{
	struct winsize size;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return err_sys(e, errno, "read the size of the terminal");
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return 0;
}

int pty_raw(int fd, struct pty_saved *ret_saved, struct err *e)
{
	struct pty_saved saved = {.fd = fd};
	if (tcgetattr(fd, &saved.mode) < 0)
		return err_sys(e, errno, "read the mode of the terminal");
	struct termios raw = saved.mode;
	cfmakeraw(&raw);
	/* In a background process group this stops us with SIGTTOU, as it should: the person brings us forward. */
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return err_sys(e, errno, "set the terminal to raw mode");
	*ret_saved = saved;
	return 0;
}

void pty_restore(const struct pty_saved *saved)
{
	int errnum = errno;
	tcsetattr(saved->fd, TCSADRAIN, &saved->mode);
	errno = errnum;
}
