/*
 * ping.c - echo requests of the container to addresses outside, over the host's ICMP datagram sockets.
 *
 * libslirp has none of this for IPv6 and, where the host does not let us have such a socket, sends UDP to the echo
 * port in the hope of an answer. Here the container is told: "administratively prohibited" when the host's
 * net.ipv4.ping_group_range excludes us, "network unreachable" when there is no way. Replies are never made up.
 *
 * One socket per (address, identifier), connected, so that the kernel sorts the replies; the kernel puts its own
 * identifier into the request and we put the container's back into the reply. Bounded: the oldest makes room.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/mem.h"

enum {
	SESSIONS_MAX = 32,
	IDLE_MS = 30000,
	ICMP_HEADER = 8,
};

struct session {
	int fd; /* -1: a free entry */
	int poll_index;
	int family;
	uint16_t id;
	uint8_t ttl;
	uint8_t address[16];
	int64_t deadline;
	struct sender sender;
};

struct ping {
	struct netd *n;
	unsigned open;
	struct session sessions[SESSIONS_MAX];
};

struct ping *ping_new(struct netd *n)
{
	struct ping *p = xcalloc(1, sizeof(*p));
	p->n = n;
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		p->sessions[i].fd = -1;
	return p;
}

static void finish(struct ping *p, struct session *s)
{
	close_fd(&s->fd);
	p->open--;
}

/* 0, or -errno. */
static int open_socket(struct session *s)
{
	bool is4 = s->family == AF_INET;
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	memcpy(&a4.sin_addr, s->address, 4);
	memcpy(&a6.sin6_addr, s->address, 16);
	autofd int fd = (int)syscall(SYS_socket, s->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
				     is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (fd < 0 || connect(fd, is4 ? (void *)&a4 : (void *)&a6, is4 ? sizeof(a4) : sizeof(a6)) < 0)
		return -errno;
	s->fd = take_fd(&fd);
	return 0;
}

/* The session of this request, made if there is none. NULL with errno when there can be none. */
static struct session *find(struct ping *p, const struct session *want)
{
	struct session *choice = &p->sessions[0];
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &p->sessions[i];
		if (s->fd >= 0 && s->family == want->family && s->id == want->id &&
		    memcmp(s->address, want->address, 16) == 0 &&
		    memcmp(s->sender.mac, want->sender.mac, NET_MAC_LEN) == 0)
			return s;
		if (s->fd < 0 ? choice->fd >= 0 : choice->fd >= 0 && s->deadline < choice->deadline)
			choice = s;
	}
	if (choice->fd >= 0)
		finish(p, choice);
	*choice = *want;
	int r = open_socket(choice);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	p->open++;
	return choice;
}

static void set_ttl(struct session *s, int ttl)
{
	if (s->ttl == ttl)
		return;
	if (s->family == AF_INET)
		(void)setsockopt(s->fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	else
		(void)setsockopt(s->fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof(ttl));
	s->ttl = (uint8_t)ttl;
}

static void refuse(struct ping *p, const uint8_t *frame, const struct frame_info *i, int error)
{
	uint8_t out[FRAME_REFUSAL_MAX];
	bool forbidden = error == EACCES || error == EPERM;
	size_t len = frame_build_refusal(frame, i, forbidden ? FRAME_REASON_PROHIBITED : FRAME_REASON_NETWORK, out);
	netd_send_frame(p->n, out, len);
}

void ping_request(struct ping *p, const uint8_t *frame, const struct frame_info *i)
{
	const uint8_t *ip = frame + i->l3;
	const uint8_t *icmp = frame + i->l4;
	bool is4 = i->family == AF_INET;
	struct session want = {
		.fd = -1, .poll_index = -1, .family = i->family, .id = (uint16_t)(icmp[4] << 8 | icmp[5])};
	netd_sender(p->n, &want.sender);
	int ttl = ip[is4 ? 8 : 7] - 1; /* we are a hop */
	if (ttl <= 0)
		return;
	memcpy(want.address, ip + (is4 ? 16 : 24), is4 ? 4 : 16);
	struct session *s = find(p, &want);
	if (!s) {
		refuse(p, frame, i, errno);
		return;
	}
	set_ttl(s, ttl);
	s->deadline = netd_now_ms() + IDLE_MS;
	if (send(s->fd, icmp, i->end - i->l4, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		refuse(p, frame, i, errno);
}

static void read_reply(struct ping *p, struct session *s)
{
	struct netd *n = p->n;
	bool is4 = s->family == AF_INET;
	size_t head = FRAME_ETH_LEN + (is4 ? 20 : 40);
	uint8_t *icmp = n->reply + head;
	ssize_t len = recv(s->fd, icmp, FRAME_MAX - head, 0);
	if (len < ICMP_HEADER || icmp[0] != (is4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY))
		return; /* an error from the way: the request just stays unanswered */
	if ((size_t)len > n->opts.mtu - (head - FRAME_ETH_LEN))
		return;
	icmp[4] = (uint8_t)(s->id >> 8);
	icmp[5] = (uint8_t)s->id;
	struct frame_icmp f = {.family = s->family,
			       .dst_mac = s->sender.mac,
			       .src = s->address,
			       .dst = is4 ? (const void *)&s->sender.address : (const void *)&s->sender.address6};
	netd_send_frame(n, n->reply, frame_build_icmp(n->reply, &f, (size_t)len));
}

void ping_fill(struct ping *p, struct poll_set *set)
{
	for (size_t i = 0; p->open && i < SESSIONS_MAX; i++) {
		struct session *s = &p->sessions[i];
		if (s->fd < 0)
			continue;
		s->poll_index = poll_set_add(set, s->fd, POLLIN);
		poll_set_deadline(set, s->deadline);
	}
}

void ping_poll(struct ping *p, const struct poll_set *set)
{
	int64_t now = p->open ? netd_now_ms() : 0;
	for (size_t i = 0; p->open && i < SESSIONS_MAX; i++) {
		struct session *s = &p->sessions[i];
		if (s->fd < 0 || s->poll_index < 0)
			continue;
		bool ready = set->items[s->poll_index].revents;
		s->poll_index = -1;
		if (ready)
			read_reply(p, s);
		else if (now >= s->deadline)
			finish(p, s);
	}
}
