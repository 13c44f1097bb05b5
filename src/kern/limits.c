#include "rl/kern/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/str.h"

int limits_set(int resource, uint64_t soft, uint64_t hard, bool lower_to_hard, struct err *e)
{
	struct rlimit now;
	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return err_sys(e, errno, "read limit %d", resource);
	if (hard > now.rlim_max) {
		struct rlimit raised = {.rlim_cur = soft, .rlim_max = hard};
		if (setrlimit((__rlimit_resource_t)resource, &raised) == 0)
			return 0;
		if (!lower_to_hard)
			return err_set(e, EPERM, "limit %d: %llu is above the hard limit of the caller, %llu", resource,
				       (unsigned long long)hard, (unsigned long long)now.rlim_max);
		hard = now.rlim_max;
	}
	struct rlimit wanted = {.rlim_cur = RL_MIN(soft, hard), .rlim_max = hard};
	if (setrlimit((__rlimit_resource_t)resource, &wanted) < 0)
		return err_sys(e, errno, "set limit %d", resource);
	return 0;
}

static int open_proc_file(int procfd, const char *path, struct err *e)
{
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	autofd int fd = (int)syscall(SYS_openat2, procfd, path, &how, sizeof(how));
	if (fd < 0 && errno == ENOSYS)
		fd = openat(procfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "open /proc/%s", path);
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return err_sys(e, errno, "statfs /proc/%s", path);
	if (fs.f_type != PROC_SUPER_MAGIC)
		return err_set(e, EXDEV, "/proc/%s is not a file of procfs", path);
	return take_fd(&fd);
}

int limits_check_sysctl(const char *key, struct err *e)
{
	static const char *const allowed[] = {"net.", "net/", "kernel.shm", "kernel/shm", "kernel.msg", "kernel/msg",
					      "fs.mqueue.", "fs/mqueue/"};
	if (str_eq(key, "kernel.sem") || str_eq(key, "kernel/sem"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (str_after(key, allowed[i]) && !strstr(key, "..") && !path_has_dotdot(key))
			return 0;
	err_set(e, EPERM, "sysctl %s does not belong to a namespace of the container", key);
	return err_hint(e, "net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.* can be set");
}

int limits_sysctl(int procfd, const char *key, const char *value, struct err *e)
{
	int r = limits_check_sysctl(key, e);
	if (r < 0)
		return r;
	autofree char *path = xasprintf("sys/%s", key);
	/* With a slash first in the key the dots are literal (sysctl(8)): net/ipv4/conf/eth0.1/... */
	const char *slash = strchr(key, '/');
	const char *dot = strchr(key, '.');
	if (!slash || (dot && dot < slash))
		for (char *p = path; *p; p++)
			*p = *p == '.' ? '/' : *p == '/' && p > path + 3 ? '.' : *p;
	autofd int fd = open_proc_file(procfd, path, e);
	if (fd < 0)
		return err_ctx(e, "sysctl %s", key);
	if (write(fd, value, strlen(value)) < 0)
		return err_sys(e, errno, "sysctl %s=%s", key, value);
	return 0;
}

int limits_oom_score_adj(int procfd, int value, struct err *e)
{
	/* "self" is a symlink, so the directory is named by number; the pid is the one this procfs shows us under. */
	char link[32] = "";
	if (readlinkat(procfd, "self", link, sizeof(link) - 1) <= 0)
		return err_sys(e, errno, "read /proc/self");
	char path[64];
	char text[16];
	snprintf(path, sizeof(path), "%.20s/oom_score_adj", link);
	int n = snprintf(text, sizeof(text), "%d", value);
	autofd int fd = open_proc_file(procfd, path, e);
	if (fd < 0)
		return fd;
	if (write(fd, text, (size_t)n) >= 0)
		return 0;
	int r = err_sys(e, errno, "oom_score_adj %d", value);
	if (r == -EACCES || r == -EPERM)
		err_hint(e, "without privileges the score can only be raised above the present one");
	return r;
}
