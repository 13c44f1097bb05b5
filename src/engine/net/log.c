/* log.c - see net_log.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/net_log.h"

enum { ENTRIES = NET_LOG_REFUSED + NET_LOG_ALLOWED, TRIES = 100 };

struct entry {
	_Atomic uint32_t sequence; /* odd: being written */
	uint32_t used;
	struct net_log_event event;
};

struct net_log {
	char magic[8];
	uint64_t entry_size; /* a file of another build is not read */
	_Atomic uint64_t lost;
	struct entry entries[ENTRIES];
};

static const char magic[8] = "rlnetlg1";

enum { HEAD = offsetof(struct net_log, entries) };

static bool is_ours(const struct net_log *head)
{
	return memcmp(head->magic, magic, sizeof(magic)) == 0 && head->entry_size == sizeof(struct entry);
}

static bool read_head(int fd, struct net_log *ret)
{
	return pread(fd, ret, HEAD, 0) == (ssize_t)HEAD && is_ours(ret);
}

int net_log_open(int dirfd, const char *name, struct err *e)
{
	autofree struct net_log *head = xcalloc(1, sizeof(*head));
	struct stat st;
	autofd int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "%s", name);
	if (st.st_size == (off_t)sizeof(*head) && read_head(fd, head))
		return take_fd(&fd);
	memset(head, 0, sizeof(*head));
	memcpy(head->magic, magic, sizeof(magic));
	head->entry_size = sizeof(struct entry);
	int failed = ftruncate(fd, 0) < 0 ? errno : posix_fallocate(fd, 0, sizeof(*head));
	if (failed)
		return err_sys(e, failed, "%s", name);
	int r = io_write_all(fd, head, HEAD, e);
	return r < 0 ? err_ctx(e, "%s", name) : take_fd(&fd);
}

int net_log_map(int fd, struct net_log **ret, struct err *e)
{
	struct net_log *log = mmap(NULL, sizeof(*log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (log == MAP_FAILED)
		return err_sys(e, errno, "map the record of connections");
	*ret = log;
	return 0;
}

void net_log_unmap(struct net_log *log)
{
	if (log)
		(void)munmap(log, sizeof(*log));
}

static bool is_same(const struct net_log_event *a, const struct net_log_event *b)
{
	return a->port == b->port && a->kind == b->kind && a->family == b->family && a->allowed == b->allowed &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0 && strncmp(a->name, b->name, NET_LOG_NAME) == 0;
}

/* The entry of this event, or a free one, or the one that was quiet longest. */
static struct entry *choose(struct net_log *log, const struct net_log_event *event)
{
	size_t first = event->allowed ? NET_LOG_REFUSED : 0;
	size_t end = event->allowed ? ENTRIES : NET_LOG_REFUSED;
	struct entry *choice = &log->entries[first];
	for (size_t i = first; i < end; i++) {
		struct entry *x = &log->entries[i];
		if (!x->used)
			return x;
		if (is_same(&x->event, event))
			return x;
		if (x->event.last_ns < choice->event.last_ns)
			choice = x;
	}
	return choice;
}

void net_log_note(struct net_log *log, const struct net_log_event *event)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	struct entry *x = choose(log, event);
	bool known = x->used && is_same(&x->event, event);
	uint32_t sequence = atomic_load_explicit(&x->sequence, memory_order_relaxed);
	if (x->used && !known)
		atomic_fetch_add_explicit(&log->lost, 1, memory_order_relaxed);
	atomic_store_explicit(&x->sequence, sequence | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	if (!known) {
		x->event = *event;
		x->event.first_ns = ns;
		x->event.count = 0;
		x->used = 1;
	}
	x->event.last_ns = ns;
	x->event.count++;
	atomic_store_explicit(&x->sequence, (sequence | 1) + 1, memory_order_release);
}

/* ---- reading ---- */

/* 1: an entry; 0: a free place, or one that never held still. */
static int read_entry(int fd, size_t index, struct net_log_event *ret)
{
	struct entry x;
	const off_t at = (off_t)(offsetof(struct net_log, entries) + index * sizeof(x));
	for (int i = 0; i < TRIES; i++) {
		uint32_t again;
		if (pread(fd, &x, sizeof(x), at) != (ssize_t)sizeof(x) ||
		    pread(fd, &again, sizeof(again), at) != (ssize_t)sizeof(again))
			return 0;
		uint32_t sequence = atomic_load_explicit(&x.sequence, memory_order_relaxed);
		if (sequence & 1 || sequence != again)
			continue;
		*ret = x.event;
		ret->name[NET_LOG_NAME - 1] = '\0';
		return x.used && ret->kind < NET_LOG_KIND_N &&
		       (ret->family == AF_INET || ret->family == AF_INET6 || ret->family == 0);
	}
	return 0;
}

int net_log_read(int dirfd, const char *name, struct net_log_event **ret, size_t *ret_count, uint64_t *ret_lost,
		 struct err *e)
{
	autofree struct net_log *head = xcalloc(1, sizeof(*head));
	*ret = NULL;
	*ret_count = 0;
	*ret_lost = 0;
	autofd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "%s", name);
	if (!read_head(fd, head))
		return err_set(e, EBADMSG, "%s is not a record of connections that this rl can read", name);
	struct net_log_event *events = xcalloc(ENTRIES, sizeof(*events));
	size_t count = 0;
	for (size_t i = 0; i < ENTRIES; i++)
		count += (size_t)read_entry(fd, i, &events[count]);
	*ret = events;
	*ret_count = count;
	*ret_lost = atomic_load_explicit(&head->lost, memory_order_relaxed);
	return 0;
}

const char *net_log_kind_name(enum net_log_kind kind)
{
	static const char *const names[NET_LOG_KIND_N] = {"tcp", "udp", "icmp", "dns"};
	return names[kind];
}
