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
 *
 * What is remembered from one proof to the next (directories and files that are open, where in /proc the processes begin,
 * which of them the caller is) saves calls; everything it leads to is looked at anew.
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

enum { PROOF_FILES = 4096, ENTRY_MAX = 300, GAPS = 4 };

struct proof {
	struct connect *c;
	struct connect_call *k;
	struct connect_name *own; /* of the caller, if known */
	struct connect_dir *dir;  /* of the process that is looked at */
	int proc_fd;
	unsigned found, files;
	bool failed, seen;
	long first; /* where the processes begin */
	unsigned long ino;
	char fd[12];   /* the caller's */
	char link[40]; /* "socket:[INODE]" */
	char tag[40];  /* "ino:HEX " as an epoll set's fdinfo has it */
};

static int open_at(int dirfd, const char *dir, const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "%.20s/%.30s", dir, name);
	return openat(dirfd, path, flags | O_CLOEXEC);
}

static int open_fdinfo(const struct proof *p, const char *fd)
{
	return openat(p->dir->info, fd, O_RDONLY | O_CLOEXEC);
}

/* "flags:\tOCTAL" and "ino:\tNUMBER"; the flags have that of the descriptor. */
static bool parse_fdinfo(const char *text, unsigned long *ret_ino, int *ret_flags)
{
	const char *flags = strstr(text, "flags:");
	const char *ino = strstr(text, "ino:");
	if (!flags || !ino)
		return false;
	*ret_flags = (int)strtoul(flags + strlen("flags:"), NULL, 8);
	*ret_ino = strtoul(ino + strlen("ino:"), NULL, 10);
	return true;
}

/* The caller's: kept open, as programs like to connect on one number again. What is read is made at the reading, of what
 * that process has under the number now; when it has ended there is nothing to read. */
static bool read_own_fdinfo(const struct proof *p, unsigned long *ret_ino, int *ret_flags)
{
	const struct connect_call *k = p->k;
	struct connect_info *i = &p->c->infos[k->pid % CONNECT_PIDFDS];
	char text[256];
	ssize_t n = -1;
	if (i->pid == k->pid && i->fd == k->fd)
		n = pread(i->file, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		if (i->pid)
			close_fd(&i->file);
		*i = (struct connect_info){.fd = k->fd, .file = open_fdinfo(p, p->fd)};
		n = i->file < 0 ? -1 : pread(i->file, text, sizeof(text) - 1, 0);
		i->pid = i->file < 0 ? 0 : k->pid;
	}
	text[n > 0 ? n : 0] = '\0';
	return parse_fdinfo(text, ret_ino, ret_flags);
}

/* Also true when it cannot be read. */
static bool epoll_has(const struct proof *p, const char *fd)
{
	char text[4096];
	size_t kept = 0;
	autofd int file = open_fdinfo(p, fd);
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

/* The very descriptor of the call, where the process is known: its fdinfo says which file it is, and whether it is
 * closed on exec. False: not known. */
static bool is_own(struct proof *p, const char *fd)
{
	unsigned long ino = 0;
	int flags = -1;
	if (p->own->pid != p->k->pid || !str_eq(p->own->name, p->dir->pid) || !str_eq(p->fd, fd) ||
	    !read_own_fdinfo(p, &ino, &flags) || ino != p->ino)
		return false;
	p->k->fd_flags = flags;
	return true;
}

/* Is there one with this number? */
static bool look_at_file(struct proof *p, const char *fd)
{
	char target[48];
	if (is_own(p, fd)) {
		p->files++;
		p->found++;
		return true;
	}
	ssize_t n = readlinkat(p->dir->fd, fd, target, sizeof(target) - 1);
	if (n < 0) {
		p->failed |= errno != ENOENT && errno != ESRCH; /* closed just now */
		return false;
	}
	p->failed |= ++p->files > PROOF_FILES;
	target[n] = '\0';
	if (str_eq(target, p->link)) {
		p->found++;
		if (str_eq(p->fd, fd)) {
			p->own->pid = p->k->pid;
			snprintf(p->own->name, sizeof(p->own->name), "%s", p->dir->pid);
		}
	} else if (str_eq(target, "anon_inode:[eventpoll]") && epoll_has(p, fd)) {
		p->failed = true;
	}
	return true;
}

/* getdents64 itself: readdir would cost a third more calls, and this is done for every connection. -errno. */
static int look_at_names(struct proof *p, int dirfd, long from, void (*each)(struct proof *, const struct dirent64 *))
{
	_Alignas(struct dirent64) char buf[4096];
	long n = sizeof(buf);
	if (lseek(dirfd, from, SEEK_SET) < 0)
		return -errno;
	/* A list that leaves so much room was the last. */
	while (n > (long)sizeof(buf) - ENTRY_MAX && !p->failed && p->found < 2 &&
	       (n = syscall(SYS_getdents64, dirfd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n && !p->failed && p->found < 2;) {
			const struct dirent64 *entry = (const void *)(buf + at);
			at += entry->d_reclen;
			each(p, entry);
		}
	return n < 0 ? -errno : 0;
}

static void look_at_entry(struct proof *p, const struct dirent64 *entry)
{
	if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
		(void)look_at_file(p, entry->d_name);
}

/* snprintf would take as long as a system call. The name is at the end of ret (12 bytes). */
static const char *number_name(long number, char *ret)
{
	char *at = ret + 11;
	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) && at > ret);
	return at;
}

/* The directory says how many there are (Linux 6.2). They are numbered from 0 without many gaps as a rule, and then
 * trying is faster than listing. 0 where that does not find them all. */
static int look_at_first(struct proof *p)
{
	struct stat st;
	if (fstat(p->dir->fd, &st) < 0)
		return -errno;
	long left = st.st_size;
	for (long i = 0; left > 0 && i < st.st_size + GAPS && !p->failed && p->found < 2; i++) {
		char name[12];
		left -= look_at_file(p, number_name(i, name));
	}
	return st.st_size && (left == 0 || p->failed || p->found > 1);
}

static int look_at_files(struct proof *p)
{
	unsigned found = p->found, files = p->files;
	int r = look_at_first(p);
	if (r)
		return r;
	p->found = found;
	p->files = files;
	return look_at_names(p, p->dir->fd, 0, look_at_entry);
}

static void close_dir(struct connect_dir *dir)
{
	close_fd(&dir->fd);
	close_fd(&dir->info);
}

/* Kept open: it goes on belonging to that process, and says ENOENT when it has ended and its number may be another's. */
static int open_dir(const struct proof *p, const char *pid)
{
	close_dir(p->dir);
	snprintf(p->dir->pid, sizeof(p->dir->pid), "%.10s", pid);
	p->dir->fd = open_at(p->proc_fd, pid, "fd", O_RDONLY | O_DIRECTORY);
	if (p->dir->fd >= 0)
		p->dir->info = open_at(p->proc_fd, pid, "fdinfo", O_PATH | O_DIRECTORY);
	return p->dir->fd < 0 || p->dir->info < 0 ? -errno : 0;
}

static void look_at_process(struct proof *p, const struct dirent64 *entry)
{
	const char *pid = entry->d_name;
	if (pid[0] < '0' || pid[0] > '9') {
		p->first = p->seen ? 0 : entry->d_off;
		return;
	}
	p->seen = true;
	p->dir = &p->c->dirs[strtoul(pid, NULL, 10) % CONNECT_DIRS];
	bool kept = p->dir->fd >= 0 && p->dir->info >= 0 && str_eq(p->dir->pid, pid);
	int r = kept ? look_at_files(p) : -ENOENT;
	if (r < 0) {
		r = open_dir(p, pid);
		r = r < 0 ? r : look_at_files(p);
	}
	p->failed |= r < 0 && r != -ENOENT && r != -ESRCH;
}

/* The first sixty names in /proc are no processes. Where the first process comes is learnt once. */
static bool look_at_processes(struct proof *p)
{
	struct connect *c = p->c;
	if (look_at_names(p, c->list_fd, c->list_from, look_at_process) < 0)
		return false;
	if (!c->list_from)
		c->list_from = p->first;
	return !p->failed && p->found == 1;
}

bool connect_is_unshared(struct connect *c, struct connect_call *k)
{
	struct proof p = {.c = c, .k = k, .proc_fd = c->proc_fd};
	struct stat st;
	if (fstat(k->sock, &st) < 0)
		return false;
	p.ino = st.st_ino;
	snprintf(p.link, sizeof(p.link), "socket:[%lu]", (unsigned long)st.st_ino);
	snprintf(p.tag, sizeof(p.tag), "ino:%lx ", (unsigned long)st.st_ino);
	snprintf(p.fd, sizeof(p.fd), "%d", k->fd);
	p.own = &c->names[k->pid % CONNECT_DIRS];
	return look_at_processes(&p);
}
