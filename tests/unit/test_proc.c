#include "rl/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

#define SH(script) ((char *const[]){(char *)"sh", (char *)"-c", (char *)(script), NULL})

static int run(const struct proc_spawn *s)
{
	struct err e = ERR_INIT;
	struct proc_child c = PROC_CHILD_NONE;
	int r = proc_spawn(s, &c, &e);
	if (r < 0) {
		tap_diag("%s", e.text);
		return r;
	}
	return proc_wait(&c, "the test program", &e);
}

/* What the child writes to its standard output. */
static char *output_of(struct proc_spawn s, int *ret_status)
{
	int fds[2];
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	tap_must(pipe2(fds, O_CLOEXEC) == 0);
	struct proc_child c = PROC_CHILD_NONE;
	s.stdout_fd = fds[1];
	*ret_status = proc_spawn(&s, &c, &e);
	close(fds[1]);
	if (*ret_status == 0) {
		tap_must(io_read_rest(fds[0], 1 << 20, "output", &out, &e) == 0);
		*ret_status = proc_wait(&c, "the test program", &e);
	}
	close(fds[0]);
	return str_take(&out);
}

static bool child_outputs(struct proc_spawn s, const char *want, const char *sentence)
{
	int status = 0;
	autofree char *got = output_of(s, &status);
	return tap_is_str(got, want, sentence) && status == 0;
}

static void test_status(void)
{
	struct err e = ERR_INIT;
	struct proc_child c = PROC_CHILD_NONE;
	tap_is_int(run(&(struct proc_spawn){.argv = SH("exit 0")}), 0, "success is 0");
	tap_is_int(run(&(struct proc_spawn){.argv = SH("exit 42")}), 42, "the exit status comes back");
	tap_is_int(run(&(struct proc_spawn){.argv = SH("kill -KILL $$")}), 137, "a signal comes back as 128 + n");
	tap_is_int(proc_spawn(&(struct proc_spawn){.argv = (char *const[]){(char *)"no-such-program", NULL}}, &c, &e),
		   -ENOENT, "a missing program is an error of the spawn, not a status");
	tap_has(e.text, "no-such-program", "the error names it");
	tap_is_int(c.pid, -1, "the output is untouched then");
	tap_ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "and no zombie is left");
	tap_is_int(proc_spawn(&(struct proc_spawn){.path = "/etc/passwd", .argv = SH("")}, &c, &e), -EACCES,
		   "a file that is no program is -EACCES");
	tap_is_int(run(&(struct proc_spawn){.path = "/bin/true", .argv = (char *const[]){(char *)"x", NULL}}), 0,
		   "a path is not looked up");

	tap_is_int(proc_spawn(&(struct proc_spawn){.argv = SH("exit 3")}, &c, &e), 0, "another child");
	tap_is_int(proc_wait_ok(&c, "helper", &e), -ECHILD, "proc_wait_ok takes a status for an error");
	tap_is_str(e.text, "helper failed with status 3", "which says who and what");
	tap_ok(c.pid == -1 && c.pidfd == -1, "a reaped child is an empty one");
	tap_is_int(proc_spawn(&(struct proc_spawn){.argv = SH("kill -TERM $$")}, &c, &e), 0,
		   "a child that kills itself");
	tap_is_int(proc_wait_ok(&c, "helper", &e), -ECHILD, "proc_wait_ok takes a signal for an error");
	tap_is_str(e.text, "helper was ended by signal 15", "which names the signal");
}

static void test_descriptors(void)
{
	int a[2];
	int b[2];
	tap_must(pipe2(a, O_CLOEXEC) == 0 && pipe2(b, O_CLOEXEC) == 0);
	int leaked = fcntl(a[0], F_DUPFD, 100); /* as if whoever started us had left it open */
	child_outputs((struct proc_spawn){.argv = SH("ls /proc/self/fd | tr '\\n' ' '")}, "0 1 2 3 ",
		      "a child has stdio only (3 is the directory ls reads)");
	child_outputs((struct proc_spawn){.argv = SH("readlink /proc/self/fd/0")}, "/dev/null\n",
		      "its standard input is /dev/null unless asked otherwise");

	/* The numbers asked for overlap the targets crosswise. */
	int low = fcntl(a[1], F_DUPFD_CLOEXEC, 3);
	int fds[3] = {b[1], a[1], low};
	child_outputs(
		(struct proc_spawn){.argv = SH("echo one >&3; echo two >&4; echo three >&5; test ! -e /proc/self/fd/6"),
				    .fds = fds,
				    .nfds = 3},
		"", "descriptors are passed from 3 upwards and no more");
	char text[64] = "";
	tap_ok(read(b[0], text, sizeof(text)) == 4 && !memcmp(text, "one\n", 4), "the first one is 3");
	tap_ok(read(a[0], text, sizeof(text)) == 10 && !memcmp(text, "two\nthree\n", 10),
	       "the second and third follow");
	int swapped[8];
	for (int i = 0; i < 8; i++)
		swapped[i] = 10 - i;
	for (int i = 0; i < 8; i++)
		tap_must(dup3(i % 2 ? a[1] : b[1], 20 + i, O_CLOEXEC) >= 0);
	int saved[8];
	for (int i = 0; i < 8; i++) {
		/* Descriptors 3..10 hold pipes in turn, handed over in reverse. */
		saved[i] = fcntl(3 + i, F_DUPFD_CLOEXEC, 40);
		tap_must(dup3(20 + i, 3 + i, O_CLOEXEC) >= 0);
	}
	int r = run(
		&(struct proc_spawn){.argv = SH("printf a >&3; printf b >&4; printf a >&5; printf b >&8; printf a >&9"),
				     .fds = swapped,
				     .nfds = 8});
	for (int i = 0; i < 8; i++)
		if (saved[i] >= 0) {
			dup3(saved[i], 3 + i, O_CLOEXEC);
			close(saved[i]);
		} else {
			close(3 + i);
		}
	for (int i = 0; i < 8; i++)
		close(20 + i);
	memset(text, 0, sizeof(text));
	ssize_t n = read(a[0], text, sizeof(text) - 1);
	char other[64] = "";
	ssize_t m = read(b[0], other, sizeof(other) - 1);
	tap_ok(r == 0 && n == 3 && m == 2 && str_eq(text, "aaa") && str_eq(other, "bb"),
	       "eight descriptors in reverse order reach their places");

	child_outputs((struct proc_spawn){.argv = SH("echo err >&2; echo out"), .stderr_fd = 0}, "out\n",
		      "standard output alone can be redirected");
	close(leaked);
	close(low);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

static int swap_stdio(void *arg)
{
	/* Our 1 is a, our 2 is b; the child's 1 shall be b and its 2 a. */
	int(*p)[2] = arg;
	dup2(p[0][1], 1);
	dup2(p[1][1], 2);
	return run(&(struct proc_spawn){.argv = SH("echo to-1; echo to-2 >&2"), .stdout_fd = 2, .stderr_fd = 1});
}

static int without_stdio(void *arg)
{
	(void)arg;
	close(0);
	close(1);
	close(2);
	return run(&(struct proc_spawn){.argv = SH("test -e /proc/self/fd/0 && read x; test -c /proc/self/fd/0")});
}

static void test_stdio(void)
{
	int p[2][2];
	char a[32] = "";
	char b[32] = "";
	tap_must(pipe2(p[0], O_CLOEXEC) == 0 && pipe2(p[1], O_CLOEXEC) == 0);
	int status = tap_child_status(swap_stdio, p);
	close(p[0][1]);
	close(p[1][1]);
	tap_must(read(p[0][0], a, sizeof(a) - 1) >= 0 && read(p[1][0], b, sizeof(b) - 1) >= 0);
	tap_ok(status == 0 && str_eq(a, "to-2\n") && str_eq(b, "to-1\n"), "standard output and error can be exchanged");
	close(p[0][0]);
	close(p[1][0]);
	tap_is_int(tap_child_status(without_stdio, NULL), 0, "a child gets an input even when we have no stdio at all");
}

static void test_signals(void)
{
	struct err e = ERR_INIT;
	sigset_t set;
	sigset_t old;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	child_outputs(
		(struct proc_spawn){.argv = SH("sed -n 's/^Sig[BIC][lg][knt]:.//p' /proc/self/status | tr '\\n' ' '")},
		"0000000000000000 0000000000000000 0000000000000000 ",
		"a child has no blocked, ignored or caught signals of ours");
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	tap_ok(sigismember(&now, SIGTERM) && !sigismember(&now, SIGINT), "our own mask is as it was");
	sigprocmask(SIG_SETMASK, &old, NULL);

	struct proc_child c = PROC_CHILD_NONE;
	tap_must(proc_spawn(&(struct proc_spawn){.argv = SH("exec sleep 100")}, &c, &e) == 0);
	tap_ok(fcntl(c.pidfd, F_GETFD) & FD_CLOEXEC, "the pidfd is close-on-exec");
	struct pollfd pfd = {.fd = c.pidfd, .events = POLLIN};
	tap_is_int(poll(&pfd, 1, 0), 0, "it is not readable while the child runs");
	tap_is_int(proc_pidfd_signal(c.pidfd, SIGTERM, &e), 0, "a signal is sent through it");
	tap_is_int(poll(&pfd, 1, 10000), 1, "it becomes readable when the child ends");
	tap_is_int(proc_wait(&c, "sleep", &e), 143, "the signal was the one sent");

	tap_must(proc_spawn(&(struct proc_spawn){.argv = SH("trap '' TERM INT; exec sleep 100")}, &c, &e) == 0);
	proc_kill_wait(&c);
	tap_ok(c.pid == -1 && c.pidfd == -1, "a child that ignores signals is killed and reaped");
	proc_kill_wait(&c);
	tap_ok(true, "killing an empty child is harmless");

	pid_t gone = fork();
	if (gone == 0)
		_exit(0);
	waitpid(gone, NULL, 0);
	tap_is_int(proc_pidfd_open(gone, &e), -ESRCH, "a process that is gone cannot be opened");
}

static int parent_that_dies(void *arg)
{
	int fd = *(int *)arg;
	struct proc_child c = PROC_CHILD_NONE;
	return proc_spawn(
		       &(struct proc_spawn){
			       .argv = SH("exec sleep 100"), .fds = &fd, .nfds = 1, .parent_death_signal = SIGKILL},
		       &c, NULL) < 0;
}

static void test_options(void)
{
	int fds[2];
	tap_must(pipe2(fds, O_CLOEXEC) == 0);
	tap_is_int(tap_child_status(parent_that_dies, &fds[1]), 0, "a parent starts a child and dies");
	close(fds[1]);
	struct pollfd pfd = {.fd = fds[0], .events = POLLIN};
	tap_ok(poll(&pfd, 1, 10000) == 1 && (pfd.revents & POLLHUP), "the child dies with it when asked to");
	close(fds[0]);
	child_outputs(
		(struct proc_spawn){
			.argv = SH("set -- $(sed 's/.*) //' /proc/self/stat); test $4 = $$ || test $4 = $2 && echo ok"),
			.new_session = true},
		"ok\n", "a child can have a session of its own");
	char *const envp[] = {(char *)"PATH=/usr/bin:/bin", (char *)"ONLY=this", NULL};
	child_outputs(
		(struct proc_spawn){
			.argv = SH("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort | tr '\\n' ' '"),
			.envp = envp},
		"ONLY=this PATH=/usr/bin:/bin ", "an environment is handed over whole");
	struct err e = ERR_INIT;
	struct proc_child c;
	int many[PROC_SPAWN_FDS_MAX + 1] = {0};
	tap_is_int(
		proc_spawn(&(struct proc_spawn){.argv = SH(""), .fds = many, .nfds = PROC_SPAWN_FDS_MAX + 1}, &c, &e),
		-EINVAL, "too many descriptors are refused");
}

static int odd_name(void *arg)
{
	(void)arg;
	uint64_t before;
	uint64_t after;
	if (proc_start_time(getpid(), &before, NULL) < 0)
		return 1;
	autofd int fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);
	if (write(fd, ") R 1 (x", 8) != 8)
		return 2;
	return proc_start_time(getpid(), &after, NULL) == 0 && before == after ? 0 : 3;
}

static void test_identity(void)
{
	struct err e = ERR_INIT;
	uint64_t ours;
	uint64_t init;
	tap_is_int(proc_start_time(getpid(), &ours, &e), 0, "our start time is known");
	tap_is_int(proc_start_time(1, &init, &e), 0, "and that of another process");
	tap_ok(ours > init, "we started after it");
	tap_is_int(tap_child_status(odd_name, NULL), 0,
		   "a command name with parentheses and spaces does not confuse it");
	tap_is_int(proc_start_time(0x3fffffff, &ours, &e), -ENOENT, "a process that is not there has none");
	char id[37] = "";
	tap_ok(proc_boot_id(id, &e) == 0 && strlen(id) == 36 && strspn(id, "0123456789abcdef-") == 36,
	       "a boot id is read");
	char again[37] = "";
	tap_ok(proc_boot_id(again, &e) == 0 && str_eq(id, again), "and is the same twice");
	tap_is_int(proc_status_code(0x0300), 3, "an exit status is itself");
	tap_is_int(proc_status_code(9), 137, "a signal is 128 + n");
	tap_is_int(proc_status_code(0x8b), 139, "a core dump does not matter");
}

static int libexec_by_env(void *arg)
{
	(void)arg;
	setenv("RL_LIBEXEC", "/some/where", 1);
	setenv("RL_SHARE", "/else/where", 1);
	return str_eq(proc_libexec_dir(), "/some/where") && str_eq(proc_share_dir(), "/else/where") ? 0 : 1;
}

static void test_directories(void)
{
	tap_is_int(tap_child_status(libexec_by_env, NULL), 0, "RL_LIBEXEC and RL_SHARE say where our files are");
	tap_ok(*proc_libexec_dir() == '/' && proc_libexec_dir() == proc_libexec_dir(),
	       "else there is a default, found once");
}

int main(void)
{
	tap_plan_later();
	test_status();
	test_descriptors();
	test_stdio();
	test_signals();
	test_options();
	test_identity();
	test_directories();
	return tap_done();
}
