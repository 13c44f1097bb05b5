/*
 * loop.c - the worker's loop.
 *
 * One round: collect descriptors (control socket, device, resolver, libslirp's sockets), poll, then control messages,
 * up to NETD_BATCH frames from the device, the resolver, libslirp's sockets. Reading several frames per round is what
 * saves system calls against one poll per frame; the bound keeps a container that only sends from starving its own
 * sockets.
 *
 * Time: libslirp asks to be woken once a second even when it has nothing to time. A round without a descriptor of its
 * own and without a shorter wish of its has nothing to wait for, so an idle container costs no wake-ups.
 *
 * A frame goes through frame_check first, always; what is not FRAME_PASS never reaches libslirp. Router
 * advertisements of libslirp's are not sent on: the container is configured completely by its own side.
 *
 * Memory: when nothing has happened for a while after traffic, what the traffic touched and nobody needs is given back:
 * free heap pages, the frame buffers, and the part of the stack that libslirp's 64 KiB frame copy used.
 *
 * Ends: end of file on the control socket, or the device's namespace being gone (0); anything else is an error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "netd.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_proto.h"

enum {
	IDLE_WISH_MS = 1000, /* libslirp's answer when it wants nothing */
	ICMP6_ROUTER_ADVERTISEMENT = 134,
	QUIET_MS = 1000, /* so long without an event before memory is given back */
};

/* ---- descriptors and time ---- */

int poll_set_add(struct poll_set *s, int fd, short events)
{
	if (s->count == s->size) {
		s->size = s->size ? s->size * 2 : 64;
		s->items = xreallocarray(s->items, s->size, sizeof(*s->items));
	}
	s->items[s->count] = (struct pollfd){.fd = fd, .events = events};
	return (int)s->count++;
}

void poll_set_deadline(struct poll_set *s, int64_t at_ms)
{
	s->deadline_ms = RL_MIN(s->deadline_ms, at_ms);
}

int64_t netd_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- libslirp's callbacks ---- */

static ssize_t on_send_packet(const void *buf, size_t len, void *opaque)
{
	const uint8_t *frame = buf;
	if (len > 54 && frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == IPPROTO_ICMPV6 &&
	    frame[54] == ICMP6_ROUTER_ADVERTISEMENT)
		return (ssize_t)len;
	timewait_from_slirp(opaque, buf, len);
	netd_send_slirp(opaque, buf, len);
	return (ssize_t)len; /* a lost frame is retransmitted by TCP */
}

static void on_guest_error(const char *msg, void *opaque)
{
	(void)opaque;
	log_debug(LOG_NET, "guest error: %s", msg);
}

static int64_t on_clock_get_ns(void *opaque)
{
	struct timespec now;
	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The only timer is the one for router advertisements, which are not wanted: it is never armed. */
static void *on_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	(void)id;
	(void)cb_opaque;
	return opaque;
}

static void on_timer_free(void *timer, void *opaque)
{
	(void)timer;
	(void)opaque;
}

static void on_timer_mod(void *timer, int64_t expire_time, void *opaque)
{
	(void)timer;
	(void)expire_time;
	(void)opaque;
}

static void on_poll_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void on_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = on_send_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock_get_ns,
	.timer_new_opaque = on_timer_new,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_poll_fd,
	.unregister_poll_fd = on_poll_fd,
	.notify = on_notify,
};

static int on_add_poll(int fd, int events, void *opaque)
{
	struct netd *n = opaque;
	short p = 0;
	if (events & SLIRP_POLL_IN)
		p |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		p |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		p |= POLLPRI;
	return poll_set_add(&n->polls, fd, p);
}

static int on_get_revents(int index, void *opaque)
{
	const struct netd *n = opaque;
	short p = n->polls.items[index].revents;
	int events = 0;
	if (p & POLLIN)
		events |= SLIRP_POLL_IN;
	if (p & POLLOUT)
		events |= SLIRP_POLL_OUT;
	if (p & POLLPRI)
		events |= SLIRP_POLL_PRI;
	if (p & POLLERR)
		events |= SLIRP_POLL_ERR;
	if (p & POLLHUP)
		events |= SLIRP_POLL_HUP;
	return events;
}

/* ---- set-up ---- */

static int check_version(struct err *e)
{
	unsigned major = 0, minor = 0;
	const char *text = slirp_version_string();
	if (sscanf(text, "%u.%u", &major, &minor) != 2 || major < 4 || (major == 4 && minor < 7))
		return err_set(e, ENOTSUP, "libslirp %s is too old: 4.7 or newer is needed", text);
	return 0;
}

/* What a bridge would have learned: libslirp can send to the container before it has heard from it. */
void netd_introduce(struct netd *n)
{
	uint8_t frame[128];
	size_t len = frame_build_arp(&n->policy, frame);
	slirp_input(n->slirp, frame, (int)len);
	if (!n->policy.ipv6)
		return;
	len = frame_build_na(&n->policy, frame);
	slirp_input(n->slirp, frame, (int)len);
}

int loop_init(struct netd *n, struct err *e)
{
	const struct net_slirp_opts *o = &n->opts;
	int r = check_version(e);
	if (r < 0)
		return r;
	buffers_init();
	guard_init(&n->policy);
	n->outbound4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = o->outbound_addr};
	n->outbound6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = o->outbound_addr6};
	SlirpConfig cfg = {
		.version = 4,
		.in_enabled = true,
		.vnetwork = o->network,
		.vnetmask = n->policy.netmask,
		.vhost = o->gateway,
		.in6_enabled = o->ipv6,
		.vprefix_addr6 = o->network6,
		.vprefix_len = 64,
		.vhost6 = o->gateway6,
		.if_mtu = o->mtu,
		.if_mru = o->mtu,
		/* On a shared network that is each container's own: the frame check and guard.c see to it. */
		.disable_host_loopback = o->host_access == NET_HOST_NONE && !o->shared,
		.outbound_addr = *o->outbound ? &n->outbound4 : NULL,
		.outbound_addr6 = *o->outbound6 ? &n->outbound6 : NULL,
		.disable_dns = true,
		.disable_dhcp = true,
	};
	n->slirp = slirp_new(&cfg, &callbacks, n);
	if (!n->slirp)
		return err_set(e, EINVAL, "libslirp refuses the configuration");
	struct in_addr dns = o->dns;
	if (slirp_add_unix(n->slirp, NETD_DNS_PATH, &dns, 53) < 0)
		return err_set(e, EINVAL, "libslirp refuses the resolver's address");
	n->buffers = mmap(NULL, 3 * (size_t)NETD_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (n->buffers == MAP_FAILED)
		return err_sys(e, errno, "memory for frames");
	n->frame = (uint8_t *)n->buffers + NETD_HEADROOM;
	n->reply = (uint8_t *)n->buffers + NETD_BUFFER;
	n->whole = n->reply + NETD_BUFFER;
	n->resolver = resolver_new(n);
	n->ping = ping_new(n);
	n->timewait = timewait_new();
	n->frags = frag_new();
	n->rights = rights_new();
	if (o->shared) {
		n->hosts = hosts_new();
		guard_share();
	} else
		netd_introduce(n);
	return 0;
}

/* ---- one round ---- */

void netd_sender(const struct netd *n, struct sender *ret)
{
	memcpy(ret->mac, n->policy.mac, NET_MAC_LEN);
	ret->address = n->policy.address;
	ret->address6 = n->policy.address6;
}

static void count_drop(struct netd *n, enum frame_verdict v)
{
	if (v == FRAME_DROP_MALFORMED)
		n->stats.dropped_malformed++;
	else if (v == FRAME_DROP_SOURCE)
		n->stats.dropped_source++;
	else if (v == FRAME_DROP_DEST)
		n->stats.dropped_dest++;
	else
		n->stats.dropped_other++;
}

static void to_slirp(struct netd *n, const uint8_t *frame, size_t len)
{
	unsigned before = guard_resolver_count();
	timewait_from_guest(n, frame, len);
	slirp_input(n->slirp, frame, (int)len);
	if (guard_resolver_count() != before)
		resolver_tcp_expect(n->resolver_tcp, n->policy.mac);
}

static void take_frame(struct netd *n, const uint8_t *frame, size_t len)
{
	struct frame_info info;
	if (n->hosts && !hosts_select(n, frame, len)) {
		count_drop(n, FRAME_DROP_SOURCE);
		return;
	}
	enum frame_verdict v = frame_check(&n->policy, frame, len, &info);
	int whole;
	bool leaves = v == FRAME_PASS || v == FRAME_PING || v == FRAME_FRAGMENT;
	if (n->opts.internal && leaves && hosts_is_outward(n, frame, &info)) {
		len = v == FRAME_FRAGMENT ? 0 : frame_build_refusal(frame, &info, FRAME_REASON_NETWORK, n->reply);
		if (len)
			netd_send_frame(n, n->reply, len);
		count_drop(n, FRAME_DROP_DEST);
		return;
	}
	if (n->egress && leaves && v != FRAME_FRAGMENT && hosts_is_outward(n, frame, &info) &&
	    !rights_check(n, frame, &info))
		return;
	switch (v) {
	case FRAME_PASS:
		to_slirp(n, frame, len);
		break;
	case FRAME_DNS:
		resolver_query(n->resolver, frame + info.l4 + 8, info.end - info.l4 - 8, info.sport);
		break;
	case FRAME_PING:
		ping_request(n->ping, frame, &info);
		break;
	case FRAME_REFUSE:
		len = frame_build_refusal(frame, &info, FRAME_REASON_PORT, n->reply);
		if (len)
			netd_send_frame(n, n->reply, len);
		break;
	case FRAME_FRAGMENT:
		whole = frag_add(n->frags, frame, &info, netd_now_ms(), n->whole);
		if (whole > 0)
			take_frame(n, n->whole, (size_t)whole); /* no fragment any more: one level deep */
		else if (whole < 0)
			count_drop(n, FRAME_DROP_MALFORMED);
		break;
	case FRAME_DROP_MALFORMED:
	case FRAME_DROP_SOURCE:
	case FRAME_DROP_DEST:
	case FRAME_DROP_OTHER:
	case FRAME_VERDICT_N:
		count_drop(n, v);
		break;
	}
	guard_only(NULL);
}

/* 0, or -ENODEV when the interface is gone with its namespace. */
static int read_frames(struct netd *n)
{
	ssize_t len = 1;
	device_hold(n);
	for (int i = 0; i < NETD_BATCH && (len = device_read(n)) > 0; i++) {
		n->stats.frames_in++;
		n->stats.bytes_in += (size_t)len;
		take_frame(n, n->frame, (size_t)len);
	}
	timewait_flush(n);
	device_release(n);
	return len < 0 ? -ENODEV : 0;
}

static int read_control(struct netd *n, struct err *e)
{
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_recv(n->control_fd, "rl", msg, e);
	if (r < 0)
		return r;
	if (msg->step == NETD_STEP_DEVICE && msg->nfds == 1 && msg->len == sizeof(uint32_t) && n->device.fd < 0) {
		uint32_t kind;
		memcpy(&kind, msg->data, sizeof(kind));
		n->device = (struct net_device){.kind = kind, .fd = msg->fds[0]};
		msg->nfds = 0;
		log_debug(LOG_NET, "device attached");
	} else if (msg->step == NETD_STEP_SERVERS && msg->len == sizeof(n->servers)) {
		struct net_servers servers;
		memcpy(&servers, msg->data, sizeof(servers));
		servers.count = RL_MIN(servers.count, (size_t)NET_SERVERS_MAX);
		resolver_servers_came(n->resolver, &servers);
		resolver_tcp_servers_came(n->resolver_tcp);
	} else if (msg->step == NETD_STEP_STATS) {
		r = sync_send(n->control_fd, NETD_STEP_STATS, &n->stats, sizeof(n->stats), NULL, 0, e);
	} else if ((msg->step == NETD_STEP_HOST || msg->step == NETD_STEP_HOST_GONE) && n->hosts &&
		   msg->len == sizeof(struct net_host)) {
		struct net_host h;
		memcpy(&h, msg->data, sizeof(h));
		(msg->step == NETD_STEP_HOST ? hosts_add : hosts_remove)(n, &h);
		if (msg->step == NETD_STEP_HOST_GONE)
			rights_drop(n, h.mac);
	} else if (msg->step == NETD_STEP_RIGHTS && msg->len == sizeof(struct net_rights) && msg->nfds <= 1) {
		r = rights_set(n, (const void *)msg->data, msg->nfds ? msg->fds[0] : -1, e);
	} else {
		r = err_set(e, EPROTO, "unexpected message %u from rl", msg->step);
	}
	sync_close_fds(msg);
	return r;
}

static int timeout_ms(const struct netd *n, uint32_t slirp_wish, bool slirp_busy)
{
	int64_t wait = slirp_busy || slirp_wish < IDLE_WISH_MS ? (int64_t)slirp_wish : INT64_MAX;
	if (n->polls.deadline_ms != INT64_MAX) {
		int64_t left = n->polls.deadline_ms - netd_now_ms();
		wait = RL_MIN(wait, RL_MAX(left, (int64_t)0));
	}
	return wait == INT64_MAX ? -1 : (int)wait;
}

static void give_back_memory(struct netd *n)
{
	(void)madvise(n->buffers, 3 * (size_t)NETD_BUFFER, MADV_DONTNEED);
	mem_give_back();
}

int loop_run(struct netd *n, struct err *e)
{
	struct poll_set *s = &n->polls;
	bool used = true; /* since memory was last given back */
	int64_t quiet_ms = 0;
	for (;;) {
		uint32_t wish = UINT32_MAX;
		s->count = 0;
		s->deadline_ms = INT64_MAX;
		(void)poll_set_add(s, n->control_fd, POLLIN);
		(void)poll_set_add(s, n->device.fd, POLLIN); /* -1 is skipped by poll */
		resolver_fill(n->resolver, s);
		resolver_tcp_fill(n->resolver_tcp, s);
		ping_fill(n->ping, s);
		poll_set_deadline(s, frag_deadline(n->frags));
		size_t ours = s->count;
		slirp_pollfds_fill(n->slirp, &wish, on_add_poll, n);
		int wait = timeout_ms(n, wish, s->count > ours);
		int ready = poll(s->items, s->count, used && wait < 0 ? QUIET_MS : wait);
		if (ready < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (ready < 0)
			continue;
		/* An open connection makes libslirp wake us twice a second: rounds without an event count together. */
		quiet_ms = ready ? 0 : quiet_ms + (wait < 0 ? QUIET_MS : wait);
		if (used && quiet_ms >= QUIET_MS)
			give_back_memory(n);
		used = quiet_ms < QUIET_MS;
		if (s->items[0].revents) {
			int r = read_control(n, e);
			if (r < 0)
				return r == -EPIPE ? 0 : r;
		}
		if (s->items[1].revents && read_frames(n) < 0)
			return 0;
		resolver_poll(n->resolver, s);
		resolver_tcp_poll(n->resolver_tcp, s);
		ping_poll(n->ping, s);
		if (s->deadline_ms != INT64_MAX)
			frag_expire(n->frags, netd_now_ms());
		slirp_pollfds_poll(n->slirp, 0, on_get_revents, n);
	}
}
