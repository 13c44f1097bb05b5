/* A process born in a control group with a cgroup namespace of its own (decision 26): needs a writable cgroup2. */
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "platform.h"

/* Where cgroup2 is mounted ("36 35 0:30 / /sys/fs/cgroup rw - cgroup2 ..."), or NULL. */
static char *find_cgroup2(void)
{
	autofree char *text = get("/proc/self/mountinfo");
	autostrv struct strv lines = STRV_INIT;
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		autostrv struct strv fields = STRV_INIT;
		strv_split(&fields, lines.items[i], ' ');
		if (strstr(lines.items[i], " - cgroup2 ") && fields.count > 5)
			return xstrdup(fields.items[4]);
	}
	return NULL;
}

static int report(int fd)
{
	autofree char *own = get("/proc/self/cgroup");
	const char *line = strstr(own, "0::");
	line = line ? line : "none";
	return write(fd, line, strcspn(line, "\n")) > 0 ? 0 : 1;
}

int main(void)
{
	static const char sentence[] = "clone3 into a control group makes it the root of the new cgroup namespace";
	tap_plan_later();
	autofree char *top = find_cgroup2();
	autofree char *dir = xasprintf("%s/rl-test-%d", top ? top : "/nowhere", (int)getpid());
	if (geteuid() != 0 || !top || mkdir(dir, 0755) < 0) {
		tap_skip("this kernel has no writable cgroup2 here", sentence);
		return tap_done();
	}
	int cgroup = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds[2];
	(void)!pipe(fds);
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_NEWCGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(report(fds[1]));
	close(fds[1]);
	char text[64] = "";
	int status = -1;
	(void)!read(fds[0], text, sizeof(text) - 1);
	if (pid > 0)
		waitpid(pid, &status, 0);
	tap_is_int(status, 0, "clone3 takes a control group and a new cgroup namespace at once");
	tap_is_str(text, "0::/", sentence);
	close(cgroup);
	rmdir(dir);
	return tap_done();
}
