/*
 * fuzz_frame.c - frames of a hostile container, through everything rl-netd does with them: the check, reassembly, the
 * resolver's message checks, libslirp itself, and the shaping of what libslirp answers.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude tests/fuzz/fuzz_frame.c src/base/{mem,err,str,log,io}.c
 *           src/engine/net/{frame,frag,shape,dns,addr,opts}.c src/kern/netlink.c -lslirp -o fuzz_frame
 *
 * Input: as frames.h has it. libslirp's system calls are refused here, so that nothing leaves the machine and nothing is
 * remembered between runs but its tables.
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

#include "frames.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!slirp)
		set_up();
	const struct frame_origin who = {policy.mac, policy.address, policy.address6};
	size_t len;
	uint8_t flags;
	for (uint8_t *f; (f = frame_take(&data, &size, &len, &flags)); free(f)) {
		frame_repair(&who, f, len, flags);
		one_frame(f, len);
		now_ms += 10;
	}
	uint32_t timeout = UINT32_MAX;
	slirp_pollfds_fill(slirp, &timeout, frame_add_poll, NULL);
	slirp_pollfds_poll(slirp, 0, frame_no_events, NULL);
	now_ms += 600; /* connections and datagrams of the past run out of time */
	return 0;
}
