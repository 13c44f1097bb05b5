/*
 * main.c - rl-notifyd: system calls of one container answered in user space. How it is asked: rl/engine/notifyd_proto.h.
 *
 * Start: read the configuration from descriptor 3, build the filter and send it, receive the listener, go where the
 * modules need to be, answer. It ends when the last process with the filter does.
 *
 *              at start       while it serves (owner module)       (others)
 * user ns      the caller's   the container's                      the caller's
 * root         the caller's   the container's                      the caller's
 * mount ns     the caller's   its own: the caller's /proc alone,   the caller's
 *                             which is the directory too
 * other ns     the caller's   the caller's: the payload cannot     the caller's
 *                             name it
 * capabilities none           those of `kept_caps`, in the         none
 *                             container's user namespace
 *
 * In the container's user namespace it may do to the container's files what root of the container may, and nothing to
 * anything else: whatever path or magic link a hostile payload makes it follow, the payload could have followed itself,
 * but for those of /proc/self. They lead to the container's root, to a tree with nothing but /proc, and to our program's
 * file, which owner_change.c and owner_xattr.c leave alone.
 *
 * It is not dumpable and its memory belongs to the caller's user namespace: root of the container cannot trace it, also
 * where it can see it (--pid=host).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "notifyd.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/base/sync.h"
#include "rl/kern/emptyroot.h"
#include "rl/kern/mnt.h"

static const char owner[] = "rl";

/* Files as root of the container has them, another root for callers that have one, their memory and limits. */
static const unsigned long long kept_caps = (1ull << CAP_DAC_OVERRIDE) | (1ull << CAP_DAC_READ_SEARCH) |
					    (1ull << CAP_FOWNER) | (1ull << CAP_FSETID) | (1ull << CAP_CHOWN) |
					    (1ull << CAP_MKNOD) | (1ull << CAP_SYS_CHROOT) | (1ull << CAP_SYS_PTRACE) |
					    (1ull << CAP_SYS_RESOURCE);

static int read_config(struct notifyd *d, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_expect(NOTIFYD_SOCKET_FD, owner, NOTIFYD_STEP_CONFIG, msg, e);
	if (r < 0)
		return r;
	d->user_ns = msg->nfds ? msg->fds[0] : -1;
	if (msg->len != sizeof(d->cfg) || msg->nfds > 1)
		return err_set(e, EPROTO, "rl and rl-notifyd are of different versions");
	memcpy(&d->cfg, msg->data, sizeof(d->cfg));
	return 0;
}

static int take_listener(struct notifyd *d, int *ret_listener, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_expect(NOTIFYD_SOCKET_FD, "the container's process", NOTIFYD_STEP_LISTENER, msg, e);
	if (r < 0)
		return r;
	int extra = d->cfg.connect.on ? NOTIFYD_FD_COUNT : 0;
	if (msg->nfds != 3 + extra || msg->len != sizeof(d->who)) {
		sync_close_fds(msg);
		return err_set(e, EPROTO, "malformed listener message");
	}
	*ret_listener = msg->fds[0];
	d->client = msg->fds[1];
	memcpy(&d->who, msg->data, sizeof(d->who));
	d->rootfd = msg->fds[2];
	for (int i = 0; i < extra; i++)
		d->container_fds[i] = msg->fds[3 + i];
	return 0;
}

/* A tree of mounts with the host's /proc and nothing else, in which "/.." is "/". Where the payload's /proc shows us
 * (--pid=host, or the outer procfs of a nested container), /proc/self and our own number are magic links that we may
 * follow, to our directory for one; what they lead to must be no way to the host's files. */
static int leave_host(struct notifyd *d, struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "make a mount namespace");
	/* Anew: those opened before are of the host's namespace. */
	close_fd(&d->procfd);
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || proc < 0)
		return err_sys(e, errno, "open /proc");
	int r = mnt_propagation(root, true, MS_PRIVATE, e);
	if (r < 0)
		return r;
	d->procfd = mnt_bind(proc, "", true, 0, 0, proc, e);
	if (d->procfd < 0)
		return err_ctx(e, "/proc");
	d->notify.procfd = d->procfd;
	return mnt_pivot(d->procfd, e);
}

/* The container's mount namespace is not entered: with its root as ours, only what is mounted there can be reached. */
static int enter(struct notifyd *d, struct err *e)
{
	if (setns(d->user_ns >= 0 ? d->user_ns : d->client, CLONE_NEWUSER) < 0)
		return err_sys(e, errno, "enter the container's user namespace");
	int r = leave_host(d, e);
	if (r < 0)
		return r;
	if (fchdir(d->rootfd) < 0 || chroot(".") < 0 || fchdir(d->procfd) < 0)
		return err_sys(e, errno, "change to the container's root");
	umask(0);
	return emptyroot_keep_caps(kept_caps, e);
}

static int confine(struct notifyd *d, struct err *e)
{
	int r = d->in_container ? enter(d, e) : 0;
	if (r >= 0)
		r = emptyroot_limit(RLIMIT_CORE, 0, e);
	if (r >= 0)
		r = emptyroot_limit(RLIMIT_NPROC, 0, e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "no_new_privs");
	return 0;
}

static int open_modules(struct notifyd *d, struct err *e)
{
	int r = d->uses_loop ? event_open(&d->loop, e) : 0;
	for (const struct notifyd_module *const *m = notifyd_modules; *m && r >= 0; m++)
		if ((*m)->is_wanted(&d->cfg) && (*m)->open)
			r = (*m)->open(d, e);
	return r;
}

static int send_filter(struct notifyd *d, struct err *e)
{
	autoprogram struct seccomp_program filter = SECCOMP_PROGRAM_NONE;
	int r = notifyd_prepare(d, &filter, e);
	return r < 0 ? r
		     : sync_send(NOTIFYD_SOCKET_FD, NOTIFYD_STEP_FILTER, filter.insns,
				 filter.count * sizeof(*filter.insns), NULL, 0, e);
}

static int start(struct notifyd *d, struct err *e)
{
	int listener = -1;
	struct stat program = {.st_dev = 0};
	int r = send_filter(d, e);
	if (r >= 0 && stat("/proc/self/exe", &program) < 0)
		r = err_sys(e, errno, "stat /proc/self/exe");
	d->program_dev = program.st_dev;
	d->program_ino = program.st_ino;
	d->procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r >= 0 && d->procfd < 0)
		r = err_sys(e, errno, "open /proc");
	if (r >= 0)
		r = take_listener(d, &listener, e);
	if (r >= 0)
		r = seccomp_notify_open(&d->notify, &listener, d->procfd, e);
	close_fd(&listener);
	if (r >= 0)
		r = confine(d, e);
	if (r >= 0)
		r = open_modules(d, e);
	return r < 0 ? r : notifyd_confine(d, e);
}

void notifyd_fail(struct notifyd *d, const char *what)
{
	log_debug(LOG_RUN, "ends: %s", what);
	(void)!proc_pidfd_signal(d->client, SIGKILL, NULL);
	_exit(EXIT_RL_FAILED);
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct notifyd *d = xcalloc(1, sizeof(*d));
	(void)argc;
	(void)argv;
	log_init("rl-notifyd");
	if (fcntl(NOTIFYD_SOCKET_FD, F_GETFD) < 0) {
		log_line("this program is started by rl");
		return EXIT_RL_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	log_detach_stdio(LOG_RUN);
	(void)!io_close_from(NOTIFYD_SOCKET_FD + 1, NULL);
	d->notify = (struct seccomp_notify)SECCOMP_NOTIFY_NONE;
	d->loop = (struct event_loop)EVENT_LOOP_INIT;
	d->listener_src = (struct event_source)EVENT_SOURCE_INIT;
	d->procfd = d->rootfd = d->client = d->user_ns = -1;
	int r = read_config(d, &e);
	if (r >= 0)
		r = start(d, &e);
	if (r < 0) {
		sync_send_err(NOTIFYD_SOCKET_FD, &e);
		_exit(EXIT_RL_FAILED);
	}
	(void)!sync_send(NOTIFYD_SOCKET_FD, NOTIFYD_STEP_READY, NULL, 0, NULL, 0, NULL);
	close(NOTIFYD_SOCKET_FD);
	if (notifyd_serve(d, &e) < 0)
		notifyd_fail(d, e.text);
	_exit(0);
}
