#include "rl/kern/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "rl/base/mem.h"

/* Major and minor of the ptmx device, wherever its node lies. */
enum { PTMX_MAJOR = 5, PTMX_MINOR = 2 };

static int open_ptmx(int devptsfd, struct err *e)
{
	struct statfs fs;
	struct stat st;
	autofd int fd = -1;
	if (devptsfd >= 0) {
		if (fstatfs(devptsfd, &fs) < 0)
			return err_sys(e, errno, "statfs of devpts");
		if (fs.f_type != DEVPTS_SUPER_MAGIC)
			return err_set(e, EINVAL, "what is mounted on /dev/pts is not devpts");
		fd = openat(devptsfd, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	} else {
		fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(e, errno, "open ptmx");
	/* Something else bound over the node would be handed to the person as their terminal. */
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat ptmx");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR))
		return err_set(e, EINVAL, "ptmx is not the pseudo terminal device");
	return take_fd(&fd);
}

int pty_open(int devptsfd, struct pty_pair *ret_pair, struct err *e)
{
	autofd int master = open_ptmx(devptsfd, e);
	if (master < 0)
		return master;
	int unlocked = 0;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_sys(e, errno, "unlock the pseudo terminal");
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(e, errno, "open the pseudo terminal's other end");
	ret_pair->masterfd = take_fd(&master);
	ret_pair->slavefd = slave;
	return 0;
}

int pty_set_controlling(int slavefd, struct err *e)
{
	if (ioctl(slavefd, TIOCSCTTY, 0) < 0)
		return err_sys(e, errno, "make the terminal the controlling one");
	return 0;
}

int pty_get_size(int fd, unsigned short *ret_rows, unsigned short *ret_cols, struct err *e)
{
	struct winsize ws;
	if (ioctl(fd, TIOCGWINSZ, &ws) < 0)
		return err_sys(e, errno, "get the terminal's size");
	*ret_rows = ws.ws_row;
	*ret_cols = ws.ws_col;
	return 0;
}

int pty_set_size(int fd, unsigned short rows, unsigned short cols, struct err *e)
{
	const struct winsize ws = {.ws_row = rows, .ws_col = cols};
	if (ioctl(fd, TIOCSWINSZ, &ws) < 0)
		return err_sys(e, errno, "set the terminal's size");
	return 0;
}

int pty_copy_size(int from, int to, struct err *e)
{
	struct winsize ws;
	if (ioctl(from, TIOCGWINSZ, &ws) < 0)
		return err_sys(e, errno, "get the terminal's size");
	if (ioctl(to, TIOCSWINSZ, &ws) < 0)
		return err_sys(e, errno, "set the terminal's size");
	return 0;
}

/* A background process that changes the modes is stopped by SIGTTOU unless that is blocked. Not TCSADRAIN: a terminal
 * whose other end reads no more would keep us here for ever. */
static int set_modes(int fd, const struct termios *modes)
{
	sigset_t ttou;
	sigset_t old;
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	int r;
	do
		r = tcsetattr(fd, TCSANOW, modes);
	while (r < 0 && errno == EINTR);
	int errnum = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = errnum;
	return r;
}

int pty_make_raw(int fd, struct pty_saved *saved, struct err *e)
{
	struct termios raw;
	if (saved->active)
		return 0;
	if (tcgetattr(fd, &saved->modes) < 0)
		return err_sys(e, errno, "get the terminal's modes");
	saved->fd = fd;
	raw = saved->modes;
	cfmakeraw(&raw);
	/* Set before the change: a signal in between restores what is there, which is harmless. */
	saved->active = 1;
	if (set_modes(fd, &raw) < 0) {
		int errnum = errno;
		saved->active = 0;
		return err_sys(e, errnum, "set the terminal to raw mode");
	}
	return 0;
}

void pty_restore(struct pty_saved *saved)
{
	if (!saved->active)
		return;
	int errnum = errno;
	saved->active = 0;
	set_modes(saved->fd, &saved->modes);
	errno = errnum;
}
