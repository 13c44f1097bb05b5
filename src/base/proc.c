/*
 * proc.c - see proc.h.
 *
 * The child of proc_spawn is made with CLONE_VM | CLONE_VFORK: no page tables are copied, and the parent sleeps until
 * the exec has succeeded or failed, so that the exec error can simply be left in a variable both see.
 */
#include "rl/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"

#ifndef RL_LIBEXECDIR
#define RL_LIBEXECDIR "/usr/local/libexec/rl"
#endif
#ifndef RL_SHAREDIR
#define RL_SHAREDIR "/usr/local/share/rl"
#endif

enum { SPAWN_STACK_SIZE = 64 * 1024, SPAWN_FD_SAFE = 32 };

struct spawn_args {
	const struct proc_spawn *s;
	sigset_t old_mask;
	int error; /* errno of what failed in the child, 0 when the exec succeeded */
};

static int lift_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_FD_SAFE);
}

static int place_fds(const struct proc_spawn *s)
{
	int high[PROC_SPAWN_FDS_MAX];
	int stdio[3] = {s->stdin_fd, s->stdout_fd, s->stderr_fd};
	/* First lift everything out of the target range, then put it down: no order of dup2 calls can clobber, also
	 * not where stdout and stderr are exchanged. */
	for (size_t i = 0; i < s->nfds; i++) {
		high[i] = lift_fd(s->fds[i]);
		if (high[i] < 0)
			return -1;
	}
	for (int i = 0; i < 3; i++)
		if (stdio[i] > 0 && (stdio[i] = lift_fd(stdio[i])) < 0)
			return -1;
	if (!stdio[0] && !s->inherit_stdin) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (null < 0 || (stdio[0] = lift_fd(null)) < 0)
			return -1;
	}
	for (int i = 0; i < 3; i++)
		if (stdio[i] > 0 && dup2(stdio[i], i) < 0)
			return -1;
	for (size_t i = 0; i < s->nfds; i++)
		if (dup2(high[i], 3 + (int)i) < 0)
			return -1;
	/* Ours are close-on-exec; those that whoever started us left open (a lock, a pipe) must not live on in a
	 * helper. Linux before 5.9 keeps them. */
	syscall(SYS_close_range, 3 + (unsigned)s->nfds, ~0U, 0);
	return 0;
}

static int spawn_child(void *arg)
{
	struct spawn_args *a = arg;
	const struct proc_spawn *s = a->s;
	/* The kernel's struct sigaction, all zero: SIG_DFL. libc's own call leaves out the two signals it keeps for
	 * itself, which some programs (make) hand on ignored. */
	const unsigned long dfl[8] = {0};
	sigset_t none;
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, (size_t)8);
	sigemptyset(&none);
	if (place_fds(s) < 0)
		goto failed;
	if (s->new_session && setsid() < 0)
		goto failed;
	if (s->parent_death_signal && prctl(PR_SET_PDEATHSIG, s->parent_death_signal) < 0)
		goto failed;
	sigprocmask(SIG_SETMASK, &none, NULL);
	char *const *envp = s->envp ? s->envp : environ;
	if (s->path)
		execve(s->path, s->argv, envp);
	else
		execvpe(s->argv[0], s->argv, envp);
failed:
	a->error = errno ? errno : EIO;
	_exit(127);
}

int proc_spawn(const struct proc_spawn *s, struct proc_child *ret_child, struct err *e)
{
	const char *name = s->path ? s->path : s->argv[0];
	if (s->nfds > PROC_SPAWN_FDS_MAX)
		return err_set(e, EINVAL, "start %s: too many descriptors", name);
	autofree char *stack = xmalloc(SPAWN_STACK_SIZE);
	struct spawn_args a = {.s = s};
	sigset_t all;
	sigfillset(&all);
	/* A handler of ours running in the child would run on shared memory. */
	sigprocmask(SIG_SETMASK, &all, &a.old_mask);
	int pidfd = -1;
	char *top = (char *)((uintptr_t)(stack + SPAWN_STACK_SIZE) & ~(uintptr_t)15);
	pid_t pid = clone(spawn_child, top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &a, &pidfd);
	int clone_errno = errno;
	sigprocmask(SIG_SETMASK, &a.old_mask, NULL);
	if (pid < 0)
		return err_sys(e, clone_errno, "start %s", name);
	if (a.error) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		close(pidfd);
		return err_sys(e, a.error, "start %s", name);
	}
	ret_child->pid = pid;
	ret_child->pidfd = pidfd;
	return 0;
}

int proc_status_code(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return EXIT_SIGNAL_BASE + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

int proc_wait(struct proc_child *c, const char *what, struct err *e)
{
	int status;
	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "wait for %s", what);
	close_fd(&c->pidfd);
	c->pid = -1;
	return proc_status_code(status);
}

int proc_wait_ok(struct proc_child *c, const char *what, struct err *e)
{
	int status = proc_wait(c, what, e);
	if (status < 0)
		return status;
	if (status > EXIT_SIGNAL_BASE)
		return err_set(e, ECHILD, "%s was ended by signal %d", what, status - EXIT_SIGNAL_BASE);
	if (status)
		return err_set(e, ECHILD, "%s failed with status %d", what, status);
	return 0;
}

void proc_kill_wait(struct proc_child *c)
{
	if (c->pid <= 0)
		return;
	kill(c->pid, SIGKILL); /* our own unreaped child: the pid cannot have been reused */
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close_fd(&c->pidfd);
	c->pid = -1;
}

int proc_pidfd_open(pid_t pid, struct err *e)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return err_sys(e, errno, "pidfd_open %d", (int)pid);
	return fd;
}

int proc_pidfd_signal(int pidfd, int sig, struct err *e)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0)
		return err_sys(e, errno, "send signal %d", sig);
	return 0;
}

int proc_start_time(pid_t pid, uint64_t *ret_ticks, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	char text[1024];
	ssize_t n = io_read_full(fd, text, sizeof(text) - 1, e);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	/* The command name (field 2) may contain anything; the last ')' ends it. */
	char *p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return err_set(e, EBADMSG, "%s: not understood", path);
	*ret_ticks = strtoull(p + 1, NULL, 10);
	return 0;
}

int proc_boot_id(char ret_id[37], struct err *e)
{
	/* A process does not live to see another one. */
	static char known[37];
	if (known[0]) {
		memcpy(ret_id, known, sizeof(known));
		return 0;
	}
	autofd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open boot_id");
	char text[37] = "";
	ssize_t n = io_read_full(fd, text, 36, e);
	if (n < 0)
		return (int)n;
	if (n != 36)
		return err_set(e, EBADMSG, "boot_id is too short");
	memcpy(known, text, sizeof(known));
	memcpy(ret_id, text, sizeof(text));
	return 0;
}

/* "<dir of our binary>/../<tail>" when that exists: a tree unpacked anywhere works without configuration. */
static char *beside_binary(const char *tail)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	char *slash = strrchr(exe, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	char *dir = xasprintf("%s/../%s", exe, tail);
	if (access(dir, X_OK) == 0)
		return dir;
	free(dir);
	return NULL;
}

static const char *find_dir(char **cache, const char *env, const char *tail, const char *compiled_in)
{
	if (*cache)
		return *cache;
	const char *set = getenv(env);
	if (set && *set)
		*cache = xstrdup(set);
	else
		*cache = beside_binary(tail);
	if (!*cache)
		*cache = xstrdup(compiled_in);
	return *cache;
}

const char *proc_libexec_dir(void)
{
	static char *dir;
	return find_dir(&dir, "RL_LIBEXEC", "libexec/rl", RL_LIBEXECDIR);
}

const char *proc_share_dir(void)
{
	static char *dir;
	return find_dir(&dir, "RL_SHARE", "share/rl", RL_SHAREDIR);
}
