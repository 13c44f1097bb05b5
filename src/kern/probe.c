#include "rl/kern/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/idmap.h"
#include "rl/kern/mountinfo.h"
#include "rl/kern/seccomp.h"

enum { PROC_FILE_MAX = 64 * 1024 };

static bool read_proc(const char *path, struct str *out)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && io_read_rest(fd, PROC_FILE_MAX, path, out, NULL) == 0;
}

long probe_sysctl(const char *name, long missing)
{
	autofree char *path = xasprintf("/proc/sys/%s", name);
	autostr struct str text = STR_INIT;
	if (!read_proc(path, &text))
		return missing;
	char *end;
	errno = 0;
	long value = strtol(text.buf, &end, 10);
	return errno || end == text.buf ? missing : value;
}

long long probe_status(const char *field)
{
	autostr struct str text = STR_INIT;
	if (!read_proc("/proc/self/status", &text))
		return -1;
	size_t n = strlen(field);
	/* The first line is the command name, chosen by anybody; the kernel escapes newlines in it. */
	for (const char *line = text.buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, field, n) == 0 && line[n] == ':')
			return (long long)strtoull(line + n + 1, NULL, str_after(field, "Cap") ? 16 : 10);
	}
	return -1;
}

/* With the one line that everybody may write; some policies refuse only that. */
static int enter_userns(void)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
	if (unshare(CLONE_NEWUSER) < 0)
		return errno;
	autofd int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, line, (size_t)n) != n ? errno : 0;
}

int probe_userns(void)
{
	unsigned tries = 0;
	int status = 0;
	do {
		pid_t pid = fork();
		if (pid < 0)
			return errno;
		if (pid == 0)
			_exit(enter_userns());
		if (waitpid(pid, &status, 0) < 0)
			return errno;
	} while (idmap_try_again(WEXITSTATUS(status), &tries));
	return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

static int load_listener(void)
{
	static const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct seccomp_filter filter = {.insns = &allow, .count = 1};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno;
	struct err why = ERR_INIT;
	int r = seccomp_filter_load(&filter, SECCOMP_FILTER_FLAG_NEW_LISTENER, &why);
	return r < 0 ? -r : 0;
}

int probe_seccomp_notify(void)
{
	int status = 0;
	pid_t pid = fork();
	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(load_listener());
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

bool probe_is_chrooted(void)
{
	struct mountinfo mounts;
	if (mountinfo_read(&mounts, NULL) < 0)
		return false;
	/* What is mounted on the root of the namespace lies outside of a root that is below it. */
	bool chrooted = !mountinfo_at(&mounts, "/");
	mountinfo_free(&mounts);
	return chrooted;
}
