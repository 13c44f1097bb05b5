#include "rl/engine/join.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

static struct idmap map;

/* A process in namespaces of its own, with a host name to recognise them by. */
static pid_t start_target(void)
{
	int ready[2];
	char byte = 0;
	char text[64];
	unsigned uid = getuid();
	unsigned gid = getgid();
	(void)!pipe(ready);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS) < 0)
			_exit(1);
		(void)!io_write_file(AT_FDCWD, "/proc/self/setgroups", "deny", 4, 0, NULL);
		int n = snprintf(text, sizeof(text), "0 %u 1", uid);
		(void)!io_write_file(AT_FDCWD, "/proc/self/uid_map", text, (size_t)n, 0, NULL);
		n = snprintf(text, sizeof(text), "0 %u 1", gid);
		(void)!io_write_file(AT_FDCWD, "/proc/self/gid_map", text, (size_t)n, 0, NULL);
		(void)!sethostname("joined-host", 11);
		(void)!write(ready[1], "r", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
	close(ready[0]);
	return byte == 'r' ? pid : -1;
}

static int run(int pidfd, const char *script, int out, struct rtspec *s, struct err *e)
{
	struct runtime_container c = RUNTIME_CONTAINER_NONE;
	strv_add(&s->args, "/bin/sh");
	strv_add(&s->args, "-c");
	strv_add(&s->args, script);
	strv_add(&s->env, "PATH=/usr/bin:/bin");
	s->cwd = xstrdup("/");
	s->user_text = xstrdup("0");
	s->no_new_privs = true;
	struct runtime_join j = {
		.pidfd = pidfd,
		.namespaces = 1U << RT_NS_USER | 1U << RT_NS_MOUNT | 1U << RT_NS_UTS,
		.spec = s,
		.map = &map,
		.stdio = {-1, out, -1},
	};
	int r = runtime_join(&j, &c, e);
	if (r == 0)
		r = runtime_wait_exec(&c, e);
	if (r == 0)
		r = runtime_reap(&c, e);
	runtime_container_close(&c);
	rtspec_free(s);
	return r;
}

int main(void)
{
	struct err e = ERR_INIT;
	struct rtspec s;
	char text[128] = "";
	int out[2];
	tap_plan_later();
	map = (struct idmap){.form = IDMAP_SINGLE, .nuid = 1, .ngid = 1};
	map.uid[0] = (struct idmap_extent){0, getuid(), 1};
	map.gid[0] = (struct idmap_extent){0, getgid(), 1};
	pid_t pid = start_target();
	int pidfd = pid > 0 ? proc_pidfd_open(pid, &e) : -1;
	if (pidfd < 0) {
		tap_skip("user namespaces are not to be had", "a process joins namespaces");
		return tap_done();
	}
	(void)!pipe(out);
	rtspec_init(&s);
	s.umask = 027;
	tap_is_int(run(pidfd, "exit 5", -1, &s, &e), 5,
		   "a joined command runs, is our child and its status is ours to take");
	rtspec_init(&s);
	tap_is_int(run(pidfd, "hostname; id -u; umask; grep -c . /proc/self/uid_map", out[1], &s, &e), 0,
		   "it has our pipe");
	ssize_t n = read(out[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	tap_ok(strncmp(text, "joined-host\n0\n", 14) == 0, "it is in the namespaces, as root of them (%s)", text);
	rtspec_init(&s);
	tap_is_int(run(pidfd, "exec /no/such/file", -1, &s, &e), 127, "the shell's own failure is a status");
	struct runtime_container host = RUNTIME_CONTAINER_NONE;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, "/bin/sh|-c|test $(hostname) = joined-host && exit 8", '|');
	struct runtime_enter enter = {
		.pidfd = pidfd,
		.namespaces = 1U << RT_NS_USER | 1U << RT_NS_UTS,
		.argv = strv_argv(&words),
	};
	int entered = runtime_enter(&enter, &host, &e);
	tap_is_int(entered == 0 ? runtime_reap(&host, &e) : entered, 8, "a command of the host enters what is chosen");
	runtime_container_close(&host);
	rtspec_init(&s);
	s.cwd = NULL;
	struct runtime_container c = RUNTIME_CONTAINER_NONE;
	tap_ok(runtime_join(&(struct runtime_join){.pidfd = pidfd, .spec = &s, .stdio = {-1, -1, -1}}, &c, &e) ==
		       -EINVAL,
	       "without a command nothing is started");
	rtspec_free(&s);
	err_clear(&e);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	rtspec_init(&s);
	tap_ok(run(pidfd, "exit 0", -1, &s, &e) == -ESRCH, "a process that is gone cannot be joined");
	tap_ok(strstr(e.text, "namespaces") != NULL, "and the error is the joiner's own: %s", e.text);
	err_clear(&e);
	int own = proc_pidfd_open(getpid(), &e);
	tap_ok(runtime_open_member(getpid(), own, &e) == -ESRCH, "a process without children has no member to join");
	tap_ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no child of the attempts is left");
	return tap_done();
}
