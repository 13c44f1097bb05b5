/*
 * fuzz_frame.c - frames of a hostile container, through everything rl-netd does with them: the check, reassembly, the
 * resolver's message checks, libslirp itself, and the shaping of what libslirp answers.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude tests/fuzz/fuzz_frame.c src/base/{mem,err,str,log,io}.c
 *           src/engine/net/{frame,frag,shape,dns,addr,opts}.c src/kern/netlink.c -lslirp -o fuzz_frame
 *
 * Input: frames, each with two bytes of length and one of flags before it. Random bytes do not get far, so the flags
 * ask for repairs: 1 own MAC, 2 own source address and IP checksum, 4 TCP, UDP or ICMP checksum. libslirp's system calls
 * are refused here, so that nothing leaves the machine and nothing is remembered between runs but its tables.
 *
 * Checked besides what the sanitizers see: whatever passes has the container's source and no closed destination, and a
 * frame put together from fragments is never a fragment.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "rl/engine/net_dns.h"
#include "rl/engine/net_frag.h"
#include "rl/engine/net_frame.h"
#include "rl/engine/net_shape.h"

static struct frame_policy policy;
static struct frag_table *frags;
static Slirp *slirp;
static int64_t now_ms;
static struct shape last_shape;

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)fd;
	(void)addr;
	(void)len;
	errno = ENETUNREACH;
	return -1;
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
	(void)fd;
	(void)data;
	(void)flags;
	(void)addr;
	(void)len;
	return (ssize_t)n;
}

static ssize_t on_send(const void *buf, size_t len, void *opaque)
{
	struct shape s;
	(void)opaque;
	shape_frame(buf, len, &s);
	(void)shape_supersedes(&s, &last_shape);
	last_shape = s;
	return (ssize_t)len;
}

static int64_t on_clock(void *opaque)
{
	(void)opaque;
	return now_ms * 1000000;
}

static void on_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static void *on_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	(void)id;
	(void)cb_opaque;
	(void)opaque;
	return &slirp;
}

static void on_timer_mod(void *timer, int64_t at, void *opaque)
{
	(void)timer;
	(void)at;
	(void)opaque;
}

static void on_pointer(void *timer, void *opaque)
{
	(void)timer;
	(void)opaque;
}

static void on_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void on_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {.send_packet = on_send,
				  .guest_error = on_error,
				  .clock_get_ns = on_clock,
				  .timer_new_opaque = on_timer_new,
				  .timer_free = on_pointer,
				  .timer_mod = on_timer_mod,
				  .register_poll_fd = on_fd,
				  .unregister_poll_fd = on_fd,
				  .notify = on_notify};

static void set_up(void)
{
	struct net_slirp_opts o;
	net_slirp_opts_init(&o);
	memcpy(o.mac, "\x02\1\2\3\4\5", 6);
	frame_policy_init(&o, &policy);
	frags = frag_new();
	SlirpConfig cfg = {.version = 4,
			   .in_enabled = true,
			   .vnetwork = o.network,
			   .vnetmask = policy.netmask,
			   .vhost = o.gateway,
			   .in6_enabled = true,
			   .vprefix_addr6 = o.network6,
			   .vprefix_len = 64,
			   .vhost6 = o.gateway6,
			   .if_mtu = o.mtu,
			   .if_mru = o.mtu,
			   .disable_host_loopback = true,
			   .disable_dns = true,
			   .disable_dhcp = true};
	slirp = slirp_new(&cfg, &callbacks, NULL);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void repair_l4(uint8_t *f, size_t l4, size_t len, int family, uint8_t proto)
{
	size_t at = proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
	if (l4 + at + 2 > len)
		return;
	if (proto == IPPROTO_UDP && l4 + 8 <= len)
		put16(f + l4 + 4, len - l4);
	put16(f + l4 + at, 0);
	const uint8_t *ip = f + 14;
	put16(f + l4 + at, proto == IPPROTO_ICMP
				   ? frame_checksum(f + l4, len - l4, 0)
				   : frame_l4_checksum(family, ip + (family == AF_INET ? 12 : 8),
						       ip + (family == AF_INET ? 16 : 24), proto, f + l4, len - l4));
}

static void repair(uint8_t *f, size_t len, uint8_t flags)
{
	if (flags & 1 && len >= 12)
		memcpy(f + 6, policy.mac, 6);
	if (flags & 8 && len >= 34) {
		put16(f + 12, 0x0800);
		f[14] = 0x45;
	}
	if (flags & 16 && len >= 54) {
		put16(f + 12, 0x86dd);
		f[14] = 0x60;
	}
	if (len >= 34 && f[12] == 8 && f[13] == 0) {
		if (flags & 2) {
			memcpy(f + 26, &policy.address, 4);
			put16(f + 16, len - 14);
		}
		if (flags & 4)
			repair_l4(f, 34, len, AF_INET, f[23]);
		if (flags & 2) {
			put16(f + 24, 0);
			put16(f + 24, frame_checksum(f + 14, 20, 0));
		}
	} else if (len >= 54 && f[12] == 0x86) {
		if (flags & 2) {
			memcpy(f + 22, &policy.address6, 16);
			put16(f + 18, len - 54);
		}
		if (flags & 4)
			repair_l4(f, 54, len, AF_INET6, f[20]);
	}
}

static void must(bool cond)
{
	if (!cond)
		abort();
}

static void check_passed(const uint8_t *f, const struct frame_info *i)
{
	struct in_addr a4;
	struct in6_addr a6;
	if (i->family == AF_INET) {
		memcpy(&a4, f + 30, 4);
		must(!frame_addr4_closed(a4) && memcmp(f + 26, &policy.address, 4) == 0);
	} else if (i->family == AF_INET6 && f[38] != 0xff) {
		memcpy(&a6, f + 38, 16);
		must(!frame_addr6_closed(&a6) && memcmp(f + 22, &policy.address6, 16) == 0);
	}
}

static void one_frame(const uint8_t *f, size_t len)
{
	static uint8_t whole[FRAME_MAX];
	uint8_t out[FRAME_REFUSAL_MAX], dns[DNS_QUERY_MAX];
	struct frame_info i;
	enum frame_verdict v = frame_check(&policy, f, len, &i);
	if (v == FRAME_PASS) {
		check_passed(f, &i);
		slirp_input(slirp, f, (int)len);
	} else if (v == FRAME_REFUSE || v == FRAME_PING) {
		must(frame_build_refusal(f, &i, FRAME_REASON_PORT, out) <= sizeof(out));
	} else if (v == FRAME_DNS) {
		const uint8_t *msg = f + i.l4 + 8;
		size_t n = i.end - i.l4 - 8;
		if (dns_check_query(msg, n)) {
			must(dns_build_error(msg, n, 2, dns) > 0 &&
			     dns_reply_matches(msg, n, dns, dns_build_error(msg, n, 2, dns)));
			(void)dns_reply_matches(msg, n, msg, n);
		}
	} else if (v == FRAME_FRAGMENT) {
		int n = frag_add(frags, f, &i, now_ms, whole);
		if (n > 0) {
			v = frame_check(&policy, whole, (size_t)n, &i);
			must(v != FRAME_FRAGMENT);
			if (v == FRAME_PASS)
				slirp_input(slirp, whole, n);
		}
	}
}

static int add_poll(int fd, int events, void *opaque)
{
	(void)fd;
	(void)events;
	(void)opaque;
	return 0;
}

static int no_events(int index, void *opaque)
{
	(void)index;
	(void)opaque;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!slirp)
		set_up();
	while (size > 3) {
		size_t len = ((size_t)data[0] << 8 | data[1]) % 2048;
		uint8_t flags = data[2];
		data += 3;
		size -= 3;
		len = len < size ? len : size;
		/* A copy of exact size: the sanitizer sees one byte too many. */
		uint8_t *f = malloc(len ? len : 1);
		memcpy(f, data, len);
		repair(f, len, flags);
		one_frame(f, len);
		free(f);
		data += len;
		size -= len;
		now_ms += 10;
	}
	uint32_t timeout = UINT32_MAX;
	slirp_pollfds_fill(slirp, &timeout, add_poll, NULL);
	slirp_pollfds_poll(slirp, 0, no_events, NULL);
	now_ms += 600; /* connections and datagrams of the past run out of time */
	return 0;
}
