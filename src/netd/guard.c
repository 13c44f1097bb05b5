/*
 * guard.c - the address policy once more, at the system calls; and how much libslirp reads at a time.
 *
 * frame_check judges what the container wrote. Between that and the kernel lies libslirp, which rewrites addresses
 * (gateway to loopback, broadcast to loopback) by rules of its own. connect and sendto are therefore ours: the dynamic
 * linker binds libslirp's calls to the definitions in the program, and here the very bytes the kernel will read are
 * looked at. A mistake in the frame check or a surprise in libslirp ends in EPERM instead of a connection.
 *
 * Our own resolver asks 127.0.0.53 on purpose; it uses the raw calls (resolver_socket).
 *
 * recv is ours for a different reason. libslirp reads as much as its buffer takes and sends it on in halves of the
 * container's window (32768 and 32767 bytes), so that most reads end in a frame of a few bytes. Reading whole windows
 * leaves none over: 15 % fewer frames for the same bytes.
 *
 * socket is ours so that a container which opens everything it can leaves descriptors for its resolver, and on a shared
 * network for its neighbours: when half of them are taken, who has an eighth gets no more. close is ours to count.
 *
 * There is one state: whose share of the host's loopback counts now, and, while a frame of a container with a policy of
 * its own is with libslirp, the one target that frame was judged for: what libslirp makes of it must go there. An
 * interposed function has no other way to be given it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "netd.h"

enum {
	WINDOW = 65535,
	OWNERS = 1024, /* containers of a shared network, by MAC; two of the same number share what they may have */
	RESERVE = 512, /* descriptors kept for the resolver and ping, which use the raw call */
};

static struct {
	const struct frame_policy *policy;
	struct net_target only; /* family 0: none */
	unsigned resolver_count;
	int fd_limit; /* the first descriptor number libslirp may not have */
	bool shared;
	uint16_t owner[NETD_FILES_MAX]; /* of a descriptor libslirp has: number + 1 */
	uint16_t count[OWNERS];
} opened;

void guard_init(const struct frame_policy *p)
{
	struct rlimit files;
	opened.fd_limit = INT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max < INT_MAX)
		opened.fd_limit = (int)RL_MIN(files.rlim_max, (rlim_t)NETD_FILES_MAX);
	opened.fd_limit -= RL_MIN((int)RESERVE, opened.fd_limit / 2);
	opened.policy = p;
}

void guard_share(void)
{
	opened.shared = true;
}

void guard_only(const struct net_target *t)
{
	opened.only = t ? *t : (struct net_target){.family = 0};
}

unsigned guard_resolver_count(void)
{
	return opened.resolver_count;
}

static bool is_expected(int family, const void *address, in_port_t port)
{
	const struct net_target *t = &opened.only;
	return !t->family || (t->family == family && t->port == ntohs(port) &&
			      memcmp(t->address, address, family == AF_INET ? 4 : 16) == 0);
}

static bool is_allowed(const struct sockaddr *addr, socklen_t len)
{
	if (!addr || len < sizeof(sa_family_t))
		return true; /* no address to judge: a connected socket */
	if (addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in a;
		memcpy(&a, addr, sizeof(a));
		if (a.sin_addr.s_addr == htonl(INADDR_LOOPBACK))
			return !opened.only.family && frame_host_port_open(opened.policy, ntohs(a.sin_port));
		return !frame_addr4_closed(a.sin_addr) && is_expected(AF_INET, &a.sin_addr, a.sin_port);
	}
	if (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 a;
		memcpy(&a, addr, sizeof(a));
		if (IN6_IS_ADDR_LOOPBACK(&a.sin6_addr))
			return !opened.only.family && frame_host_port_open(opened.policy, ntohs(a.sin6_port));
		return !frame_addr6_closed(&a.sin6_addr) && is_expected(AF_INET6, &a.sin6_addr, a.sin6_port);
	}
	if (addr->sa_family == AF_UNIX && len > sizeof(sa_family_t))
		return strncmp(((const struct sockaddr_un *)(const void *)addr)->sun_path, NETD_DNS_PATH,
			       len - sizeof(sa_family_t)) == 0;
	return false;
}

/* Of the container whose frame libslirp has. */
static unsigned owner_now(void)
{
	unsigned hash = 0;
	for (size_t i = 0; i < NET_MAC_LEN; i++)
		hash = (hash ^ opened.policy->mac[i]) * 2654435761u;
	return (hash >> 16) % OWNERS;
}

static bool has_its_share(int fd)
{
	return opened.shared && fd >= opened.fd_limit / 2 && opened.count[owner_now()] >= opened.fd_limit / 8;
}

static void forget_owner(int fd)
{
	if (fd < 0 || fd >= NETD_FILES_MAX || !opened.owner[fd])
		return;
	opened.count[opened.owner[fd] - 1]--;
	opened.owner[fd] = 0;
}

int close(int fd)
{
	forget_owner(fd);
	return (int)syscall(SYS_close, fd);
}

int socket(int domain, int type, int protocol)
{
	int fd = (int)syscall(SYS_socket, domain, type, protocol);
	/* The kernel gives the lowest free number: a high one means that nearly all are taken. */
	if (opened.fd_limit && (fd >= opened.fd_limit || has_its_share(fd))) {
		close(fd);
		errno = EMFILE;
		return -1;
	}
	if (fd >= 0 && fd < NETD_FILES_MAX && opened.shared) {
		forget_owner(fd);
		opened.owner[fd] = (uint16_t)(owner_now() + 1);
		opened.count[opened.owner[fd] - 1]++;
	}
	return fd;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (!is_allowed(addr, len)) {
		errno = EPERM;
		return -1;
	}
	bool is_resolver = addr && len >= sizeof(sa_family_t) && addr->sa_family == AF_UNIX;
	/* A connect to our own listener must not be able to wait for ourselves. */
	if (is_resolver)
		(void)fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	int r = (int)syscall(SYS_connect, fd, addr, len);
	opened.resolver_count += is_resolver && r == 0;
	return r;
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
	if (!is_allowed(addr, len)) {
		errno = EPERM;
		return -1;
	}
	return syscall(SYS_sendto, fd, data, n, flags | MSG_NOSIGNAL, addr, len);
}

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	if (n > WINDOW)
		n -= n % WINDOW;
	return syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL);
}
