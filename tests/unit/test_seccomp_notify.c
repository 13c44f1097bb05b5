/* A process's calls answered by another: every way to answer, its memory, and how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/probe.h"
#include "rl/kern/seccomp_notify.h"
#include "tap.h"

#define NOTIFY(call)                                                                                                   \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_USER_NOTIF                                                         \
	}

static const struct seccomp_rule rules[] = {
	NOTIFY("getppid"),
	NOTIFY("chdir"),
	{.name = "mkdir",
	 .action = SECCOMP_RET_USER_NOTIF,
	 .nconds = 1,
	 .conds = {{.arg = 1, .op = SECCOMP_OP_MASKED_EQ, .value = 0777, .value2 = 0700}}},
	{.name = "uname", .action = SECCOMP_RET_ERRNO | EPERM},
};

/* ---- the filter ---- */

static uint32_t action_of(const struct seccomp_filter *f, enum seccomp_arch arch, const char *name, uint64_t arg1)
{
	uint32_t nr = 0;
	if (!seccomp_syscall_number(arch, name, &nr))
		return 0;
	const struct seccomp_data data = {.nr = (int)nr, .arch = seccomp_arch_audit(arch), .args = {0, arg1}};
	return seccomp_filter_simulate(f, &data);
}

static void filter_for_all(void)
{
	autoprogram struct seccomp_program p = SECCOMP_PROGRAM_NONE;
	struct err e = ERR_INIT;
	tap_must(seccomp_notify_filter(rules, ARRAY_SIZE(rules), &p, &e) == 0);
	const struct seccomp_filter f = {.insns = p.insns, .count = p.count};
	uint32_t family = seccomp_arch_family(seccomp_native_arch());
	bool same = true;
	for (enum seccomp_arch a = 0; a < SECCOMP_ARCH_N; a++) {
		if (!(family & SECCOMP_ARCH_BIT(a)))
			continue;
		same &= action_of(&f, a, "getppid", 0) == SECCOMP_RET_USER_NOTIF;
		same &= action_of(&f, a, "uname", 0) == (SECCOMP_RET_ERRNO | EPERM);
		same &= action_of(&f, a, "getpid", 0) == SECCOMP_RET_ALLOW;
	}
	tap_ok(same, "what is trapped, refused and let through is so for every architecture of this kernel");
	enum seccomp_arch native = seccomp_native_arch();
	tap_is_int(action_of(&f, native, "mkdir", 0700), SECCOMP_RET_USER_NOTIF, "a condition that holds traps");
	tap_is_int(action_of(&f, native, "mkdir", 0755), SECCOMP_RET_ALLOW, "one that does not costs nothing");
}

/* ---- a client ---- */

static int client_main(int sock, int (*body)(void))
{
	struct err e = ERR_INIT;
	autoprogram struct seccomp_program p = SECCOMP_PROGRAM_NONE;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_notify_filter(rules, ARRAY_SIZE(rules), &p, &e) < 0)
		return 100;
	int fd = seccomp_notify_load(&(struct seccomp_filter){.insns = p.insns, .count = p.count}, true, &e);
	if (fd < 0 || sync_send(sock, 1, NULL, 0, &fd, 1, &e) < 0)
		return 101;
	close(fd);
	close(sock);
	return body();
}

static pid_t start_client(int (*body)(void), struct seccomp_notify *n)
{
	struct err e = ERR_INIT;
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int pair[2];
	tap_must(sync_pair(pair, &e) == 0);
	pid_t pid = fork();
	tap_must(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		_exit(client_main(pair[1], body));
	}
	close(pair[1]);
	tap_must(sync_expect(pair[0], "client", 1, msg, &e) == 0 && msg->nfds == 1);
	close(pair[0]);
	int procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	tap_must(procfd >= 0 && seccomp_notify_open(n, &msg->fds[0], procfd, &e) == 0);
	return pid;
}

static int status_of(pid_t pid)
{
	int status = 0;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int client_calls(void)
{
	static char dir[] = "/some/where";
	if (syscall(SYS_getppid) != 4711)
		return 1;
	if (chdir(dir) != -1 || errno != EBUSY)
		return 2;
	if (chdir("/") != 0)
		return 3;
	if (memcmp(dir, "/SOME", 5) != 0)
		return 4;
	long fd = syscall(SYS_getppid);
	char byte = 0;
	if (fd < 0 || read((int)fd, &byte, 1) != 1 || byte != 'x' || !(fcntl((int)fd, F_GETFD) & FD_CLOEXEC))
		return 5;
	return 0;
}

static void ways_to_answer(bool by_file)
{
	struct err e = ERR_INIT;
	struct seccomp_notify n = SECCOMP_NOTIFY_NONE;
	pid_t pid = start_client(client_calls, &n);
	tap_diag("memory %s, poll %s", by_file ? "through /proc" : "directly", by_file ? "first" : "never");
	char text[64];
	/* The way of older kernels, and of strict outer filters, in the same go. */
	n.by_file = by_file;
	n.recv_ends &= !by_file;
	tap_is_int(seccomp_notify_next(&n, &e), 1, "a call comes");
	tap_is_int(n.req->pid, pid, "from who made it");
	tap_ok(seccomp_notify_is_valid(&n, n.req->id), "it waits");
	tap_ok(seccomp_notify_answer(&n, n.req->id, 4711), "and is answered with a value");
	tap_ok(!seccomp_notify_is_valid(&n, n.req->id), "then it waits no longer");
	tap_ok(!seccomp_notify_answer(&n, n.req->id, 1), "and cannot be answered again");
	tap_must(seccomp_notify_next(&n, &e) == 1);
	tap_is_int(seccomp_notify_read_string(&n, n.req->pid, n.req->data.args[0], text, sizeof(text)), 11,
		   "its string is read");
	tap_is_str(text, "/some/where", "as it is");
	tap_is_int(seccomp_notify_read_string(&n, n.req->pid, n.req->data.args[0], text, 5), -ENAMETOOLONG,
		   "and not beyond the room there is");
	tap_is_int(seccomp_notify_read_string(&n, n.req->pid, 8, text, sizeof(text)), -EFAULT,
		   "a pointer to nothing is EFAULT");
	tap_is_int(seccomp_notify_write(&n, n.req->pid, n.req->data.args[0], "/SOME", 5), 0, "its memory is written");
	tap_is_int(seccomp_notify_write(&n, n.req->pid, 8, "x", 1), -EFAULT, "but not where there is none");
	tap_ok(seccomp_notify_answer(&n, n.req->id, -EBUSY), "an errno is an answer");
	tap_must(seccomp_notify_next(&n, &e) == 1);
	tap_ok(seccomp_notify_continue(&n, n.req->id), "and so is going on in the kernel");
	tap_must(seccomp_notify_next(&n, &e) == 1);
	int pipe_fds[2];
	tap_must(pipe2(pipe_fds, O_CLOEXEC) == 0 && write(pipe_fds[1], "x", 1) == 1);
	tap_ok(seccomp_notify_addfd(&n, n.req->id, pipe_fds[0], true) >= 0, "and a descriptor");
	tap_is_int(seccomp_notify_next(&n, &e), 0, "when the process has ended, so has the listener");
	tap_is_int(status_of(pid), 0, "the process saw all of it");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(n.procfd);
	seccomp_notify_close(&n);
}

static int client_at_page_end(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || munmap(page + 4096, 4096) < 0)
		return 1;
	memcpy(page + 4096 - 4, "abc", 4);
	return chdir(page + 4096 - 4) == 0 ? 0 : 2;
}

static void string_at_page_end(void)
{
	struct err e = ERR_INIT;
	struct seccomp_notify n = SECCOMP_NOTIFY_NONE;
	char text[64];
	pid_t pid = start_client(client_at_page_end, &n);
	tap_must(seccomp_notify_next(&n, &e) == 1);
	tap_is_int(seccomp_notify_read_string(&n, n.req->pid, n.req->data.args[0], text, sizeof(text)), 3,
		   "a string that ends where memory ends is read");
	seccomp_notify_answer(&n, n.req->id, 0);
	tap_is_int(status_of(pid), 0, "its process goes on");
	close(n.procfd);
	seccomp_notify_close(&n);
}

RL_NORETURN static int client_forever(void)
{
	for (;;)
		syscall(SYS_getppid);
}

static void killed_while_waiting(void)
{
	struct err e = ERR_INIT;
	struct seccomp_notify n = SECCOMP_NOTIFY_NONE;
	pid_t pid = start_client(client_forever, &n);
	tap_must(seccomp_notify_next(&n, &e) == 1);
	kill(pid, SIGKILL);
	tap_is_int(status_of(pid), 128 + SIGKILL, "a process that waits for an answer can be killed");
	tap_ok(!seccomp_notify_answer(&n, n.req->id, 1), "the answer finds nobody");
	tap_is_int(seccomp_notify_next(&n, &e), 0, "and the listener ends");
	close(n.procfd);
	seccomp_notify_close(&n);
}

static int client_no_listener(void)
{
	/* the only supervisor has gone */
	while (syscall(SYS_getppid) != -1)
		;
	return errno == ENOSYS ? 0 : 1;
}

static void supervisor_gone(void)
{
	struct seccomp_notify n = SECCOMP_NOTIFY_NONE;
	pid_t pid = start_client(client_no_listener, &n);
	close(n.procfd);
	seccomp_notify_close(&n);
	tap_is_int(status_of(pid), 0, "without a supervisor a call is ENOSYS, not a hang");
}

static int client_second_listener(void)
{
	struct err e = ERR_INIT;
	autoprogram struct seccomp_program p = SECCOMP_PROGRAM_NONE;
	if (seccomp_notify_filter(rules, 1, &p, &e) < 0)
		return 1;
	return seccomp_notify_load(&(struct seccomp_filter){.insns = p.insns, .count = p.count}, false, &e) == -EBUSY
		       ? 0
		       : 2;
}

static int client_probes(void)
{
	return probe_seccomp_notify() == EBUSY ? 0 : 1;
}

static void second_listener(void)
{
	struct seccomp_notify other = SECCOMP_NOTIFY_NONE;
	tap_is_int(probe_seccomp_notify(), 0, "the probe finds that a listener can be had");
	pid_t probing = start_client(client_probes, &other);
	tap_is_int(status_of(probing), 0, "and that it cannot where there is one already");
	close(other.procfd);
	seccomp_notify_close(&other);
	struct seccomp_notify n = SECCOMP_NOTIFY_NONE;
	pid_t pid = start_client(client_second_listener, &n);
	tap_is_int(status_of(pid), 0, "a second listener is EBUSY");
	close(n.procfd);
	seccomp_notify_close(&n);
}

int main(void)
{
	tap_plan_later();
	filter_for_all();
	ways_to_answer(false);
	ways_to_answer(true);
	string_at_page_end();
	killed_while_waiting();
	supervisor_gone();
	second_listener();
	return tap_done();
}
