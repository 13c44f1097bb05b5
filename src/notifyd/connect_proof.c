/*
 * connect_proof.c - nothing but the caller's one descriptor refers to a socket.
 *
 * A descriptor number is replaced in one process only. Whatever else refers to the socket would keep the old one: a
 * duplicate, a descriptor that a child has inherited, an epoll set. So every descriptor of every process in the
 * container's /proc is looked at: "socket:[INODE]" must come up once, and no epoll set may list that inode.
 * Finding it at all shows that this /proc has the caller in it.
 *
 * Not seen: a socket that is under way to another process in a message; threads with a table of their own. Both would
 * keep a socket that works, the slow way. More than PROOF_FILES descriptors are not looked at: not proven.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connect.h"
#include "rl/base/mem.h"

enum { PROOF_FILES = 4096, ENTRY_MAX = 300 };

struct proof {
	int proc_fd;
	unsigned found, files;
	bool failed;
	char link[40]; /* "socket:[INODE]" */
	char tag[40];  /* "ino:HEX " as an epoll set's fdinfo has it */
};

static int open_at(int dirfd, const char *dir, const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "%.20s/%.30s", dir, name);
	return openat(dirfd, path, flags | O_CLOEXEC);
}

/* Also true when it cannot be read. */
static bool epoll_has(const struct proof *p, const char *pid, const char *fd)
{
	char name[40];
	char text[4096];
	size_t kept = 0;
	snprintf(name, sizeof(name), "fdinfo/%.20s", fd);
	autofd int file = open_at(p->proc_fd, pid, name, O_RDONLY);
	if (file < 0)
		return true;
	for (;;) {
		ssize_t n = read(file, text + kept, sizeof(text) - 1 - kept);
		if (n < 0)
			return true;
		text[kept + (size_t)n] = '\0';
		if (strstr(text, p->tag))
			return true;
		if (n == 0)
			return false;
		/* A tag over the border of two reads. */
		size_t have = kept + (size_t)n;
		kept = RL_MIN(have, sizeof(p->tag));
		memmove(text, text + have - kept, kept);
	}
}

static void look_at_file(struct proof *p, int dirfd, const char *pid, const char *fd)
{
	char target[48];
	ssize_t n = readlinkat(dirfd, fd, target, sizeof(target) - 1);
	p->failed |= ++p->files > PROOF_FILES;
	if (n < 0)
		return; /* closed just now */
	target[n] = '\0';
	if (strcmp(target, p->link) == 0)
		p->found++;
	else if (strcmp(target, "anon_inode:[eventpoll]") == 0 && epoll_has(p, pid, fd))
		p->failed = true;
}

/* getdents64 itself: readdir would cost a third more calls, and this is done for every connection. */
static void look_at_names(struct proof *p, int dirfd, const char *pid,
			  void (*each)(struct proof *, int, const char *, const char *))
{
	_Alignas(struct dirent64) char buf[4096];
	long n = sizeof(buf);
	/* A list that leaves so much room was the last. */
	while (n > (long)sizeof(buf) - ENTRY_MAX && !p->failed && p->found < 2 &&
	       (n = syscall(SYS_getdents64, dirfd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n && !p->failed && p->found < 2;) {
			const struct dirent64 *entry = (const void *)(buf + at);
			at += entry->d_reclen;
			if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
				each(p, dirfd, pid, entry->d_name);
		}
}

static void look_at_process(struct proof *p, int dirfd, const char *unused, const char *pid)
{
	(void)dirfd;
	(void)unused;
	autofd int fd = open_at(p->proc_fd, pid, "fd", O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		p->failed |= errno != ENOENT && errno != ESRCH;
	else
		look_at_names(p, fd, pid, look_at_file);
}

bool connect_is_unshared(const struct connect *c, const struct connect_call *k)
{
	struct proof p = {.proc_fd = c->proc_fd};
	struct stat st;
	if (fstat(k->sock, &st) < 0)
		return false;
	snprintf(p.link, sizeof(p.link), "socket:[%lu]", (unsigned long)st.st_ino);
	snprintf(p.tag, sizeof(p.tag), "ino:%lx ", (unsigned long)st.st_ino);
	if (lseek(c->list_fd, 0, SEEK_SET) < 0)
		return false;
	look_at_names(&p, c->list_fd, NULL, look_at_process);
	return !p.failed && p.found == 1;
}
