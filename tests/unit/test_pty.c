#include "rl/kern/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/kern/idmap.h"
#include "tap.h"

static void test_pair(void)
{
	struct err e = ERR_INIT;
	struct pty_pair p = {-1, -1};
	int r = pty_open(-1, &p, &e);
	if (r < 0) {
		tap_skip(e.text, "a pair of the host's devpts");
		return;
	}
	char buffer[16] = "";
	tap_ok(isatty(p.masterfd) && isatty(p.slavefd), "both ends of a pair are terminals");
	tap_ok((fcntl(p.masterfd, F_GETFD) & fcntl(p.slavefd, F_GETFD) & FD_CLOEXEC) != 0, "and close-on-exec");
	struct pty_saved saved = {0};
	struct termios before;
	struct termios now;
	tcgetattr(p.slavefd, &before);
	tap_is_int(pty_make_raw(p.slavefd, &saved, &e), 0, "a terminal is set to raw mode");
	tcgetattr(p.slavefd, &now);
	tap_ok(!(now.c_lflag & (ICANON | ECHO | ISIG)) && !(now.c_oflag & OPOST),
	       "without echo, lines, signals and output changes");
	tap_ok(write(p.slavefd, "a\nb\n", 4) == 4 && read(p.masterfd, buffer, 16) == 4 &&
		       memcmp(buffer, "a\nb\n", 4) == 0,
	       "bytes pass unchanged");
	pty_restore(&saved);
	tcgetattr(p.slavefd, &now);
	tap_ok(memcmp(&before.c_lflag, &now.c_lflag, sizeof(now.c_lflag)) == 0 && now.c_oflag == before.c_oflag &&
		       now.c_iflag == before.c_iflag,
	       "the modes are restored");
	now.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(p.slavefd, TCSANOW, &now);
	pty_restore(&saved);
	struct termios after;
	tcgetattr(p.slavefd, &after);
	tap_ok(!(after.c_lflag & ECHO), "once only: a second restore changes nothing");

	unsigned short rows = 0;
	unsigned short cols = 0;
	tap_ok(pty_set_size(p.masterfd, 33, 121, &e) == 0 && pty_get_size(p.slavefd, &rows, &cols, &e) == 0 &&
		       rows == 33 && cols == 121,
	       "the size set on one end is seen on the other");
	struct pty_pair q = {-1, -1};
	tap_ok(pty_open(-1, &q, &e) == 0 && pty_copy_size(p.slavefd, q.masterfd, &e) == 0 &&
		       pty_get_size(q.slavefd, &rows, &cols, &e) == 0 && rows == 33 && cols == 121,
	       "a size is copied from one terminal to another");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	tap_is_int(pty_get_size(null, &rows, &cols, &e), -ENOTTY, "what is no terminal has no size");
	saved = (struct pty_saved){0};
	tap_is_int(pty_make_raw(null, &saved, &e), -ENOTTY, "nor modes");
	pty_restore(&saved);
	close(null);
	close(p.masterfd);
	close(p.slavefd);
	close(q.masterfd);
	close(q.slavefd);
}

/* A member of a background process group restores the modes without being stopped. */
static int restore_in_background(void *arg)
{
	struct err e = ERR_INIT;
	struct pty_pair p;
	(void)arg;
	if (setsid() < 0 || pty_open(-1, &p, &e) < 0 || pty_set_controlling(p.slavefd, &e) < 0)
		return 1;
	struct pty_saved saved = {0};
	if (pty_make_raw(p.slavefd, &saved, &e) < 0)
		return 2;
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		pty_restore(&saved);
		_exit(0);
	}
	int status;
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFEXITED(status))
		return 3;
	struct termios now;
	tcgetattr(p.slavefd, &now);
	return now.c_lflag & ECHO ? 0 : 4;
}

static int own_devpts(void *arg)
{
	struct err e = ERR_INIT;
	struct pty_pair p;
	(void)arg;
	if (mount("none", "/mnt", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") < 0)
		return 77;
	autofd int devpts = open("/mnt", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pty_open(devpts, &p, &e) < 0)
		return 1;
	struct stat named;
	struct stat held;
	if (stat("/mnt/0", &named) < 0 || fstat(p.slavefd, &held) < 0 || named.st_ino != held.st_ino)
		return 2;
	autofd int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pty_open(tmp, &p, &e) != -EINVAL)
		return 3;
	if (mount("/dev/null", "/mnt/ptmx", NULL, MS_BIND, NULL) < 0)
		return 77;
	return pty_open(devpts, &p, &e) == -EINVAL ? 0 : 4;
}

int main(void)
{
	tap_plan_later();
	test_pair();
	tap_is_int(tap_child_status(restore_in_background, NULL), 0, "the modes are restored from the background too");
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child c;
	int r = idmap_detect(true, &map, &e);
	if (r == 0)
		r = userns_spawn(&map, CLONE_NEWNS, own_devpts, NULL, &c, &e);
	int status = r < 0 ? r : proc_wait(&c, "child", &e);
	if (status == 77)
		tap_skip("devpts cannot be mounted here", "a pair is made in a devpts of our own, and in nothing else");
	else
		tap_is_int(status, 0, "a pair is made in a devpts of our own, and in nothing else");
	return tap_done();
}
