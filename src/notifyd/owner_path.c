/*
 * owner_path.c - where a path of the caller leads, without looking at it as text.
 *
 * This process has the container's root as its root and the host's /proc as its directory. So an absolute path is the
 * same for both, and for a relative one the kernel is sent through the magic link /proc/PID/cwd or /proc/PID/fd/N to the
 * very directory the caller means, whatever its name has become. Symlinks on the way are resolved by the kernel, below
 * that root. Only what /proc/self means differs, for it is us: those paths are written anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "owner.h"
#include "rl/base/mem.h"

/* What leads through /proc/self, in one way or another, and where that is below /proc/PID. */
static const struct {
	const char *prefix, *there;
} own_links[] = {
	{"/proc/self", ""},	 {"/proc/thread-self", ""}, {"/dev/fd", "/fd"},
	{"/dev/stdin", "/fd/0"}, {"/dev/stdout", "/fd/1"},  {"/dev/stderr", "/fd/2"},
};

/* ".." would lead from the caller's directory in the host's /proc to those of others. */
static bool goes_up(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return true;
	return false;
}

/* `text` has OWNER_PREFIX_MAX bytes of room in front. */
static char *put_before(char *text, const char *prefix)
{
	size_t n = strlen(prefix);
	return memcpy(text - n, prefix, n);
}

static int absolute(const struct owner_job *j, char *text, struct owner_path *ret)
{
	char prefix[OWNER_PREFIX_MAX];
	ret->text = text;
	for (size_t i = 0; i < ARRAY_SIZE(own_links); i++) {
		const char *rest = str_after(text, own_links[i].prefix);
		if (!rest || (*rest && *rest != '/') || goes_up(rest) || (!ret->follow && !*rest))
			continue;
		snprintf(prefix, sizeof(prefix), "%u%s", j->req->pid, own_links[i].there);
		ret->text = put_before(text + (rest - text), prefix);
		ret->by_fd = !*rest;
		return 0;
	}
	return 0;
}

int owner_path_at(const struct owner_job *j, unsigned slot, uint64_t dirfd, uint64_t addr, unsigned flags,
		  struct owner_path *ret)
{
	char prefix[OWNER_PREFIX_MAX];
	char *text = j->o->paths[slot] + OWNER_PREFIX_MAX;
	struct notifyd *d = j->o->d;
	/* Since Linux 6.11 a missing path means an empty one. */
	ssize_t n = addr || !(flags & AT_EMPTY_PATH)
			    ? seccomp_notify_read_string(&d->notify, j->req->pid, addr, text, PATH_MAX)
			    : 0;
	if (n < 0)
		return (int)n;
	*ret = (struct owner_path){.follow = !(flags & AT_SYMLINK_NOFOLLOW)};
	if (n == 0 && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	if (n > 0 && *text == '/')
		return absolute(j, text, ret);
	if (n == 0 && (int)dirfd != AT_FDCWD)
		return owner_path_fd(j, slot, dirfd, ret);
	const char *slash = n > 0 ? "/" : "";
	if ((int)dirfd == AT_FDCWD)
		snprintf(prefix, sizeof(prefix), "%u/cwd%s", j->req->pid, slash);
	else if ((int)dirfd >= 0)
		snprintf(prefix, sizeof(prefix), "%u/fd/%d%s", j->req->pid, (int)dirfd, slash);
	else
		return -EBADF;
	text[n] = '\0';
	ret->text = put_before(text, prefix);
	if (n == 0)
		ret->follow = ret->by_fd = true;
	return 0;
}

int owner_path_fd(const struct owner_job *j, unsigned slot, uint64_t fd, struct owner_path *ret)
{
	char *text = j->o->paths[slot];
	if ((int)fd < 0)
		return -EBADF;
	snprintf(text, OWNER_PREFIX_MAX, "%u/fd/%d", j->req->pid, (int)fd);
	*ret = (struct owner_path){.text = text, .follow = true, .by_fd = true};
	return 0;
}

const char *owner_path_split(struct owner_path *p, char **ret_dir)
{
	char *slash = p->by_fd ? NULL : strrchr(p->text, '/');
	if (!slash || !slash[1] || str_eq(slash + 1, ".") || str_eq(slash + 1, ".."))
		return NULL;
	*slash = '\0';
	*ret_dir = slash == p->text ? (char *)(uintptr_t) "/" : p->text;
	return slash + 1;
}

void owner_path_join(struct owner_path *p, const char *name)
{
	((char *)(uintptr_t)name)[-1] = '/';
	(void)p;
}

mode_t owner_umask(const struct owner_job *j)
{
	char path[OWNER_PREFIX_MAX];
	char text[512];
	snprintf(path, sizeof(path), "%u/status", j->req->pid);
	autofd int fd = openat(j->o->d->procfd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0022;
	text[n] = '\0';
	/* The first line is a name that anybody may have chosen; a newline in it is escaped. */
	const char *line = strstr(text, "\nUmask:");
	return line ? (mode_t)strtoul(line + 7, NULL, 8) & 0777 : 0022;
}
