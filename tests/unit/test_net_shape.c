/* links: engine/net kern model base */
#include "rl/engine/net_shape.h"

#include "frames.h"
#include "tap.h"

static struct frame_policy policy;
static uint8_t frame[FRAME_MAX];

/* A frame of TCP as libslirp would send it, with window, acknowledgement and flags. */
static size_t tcp_frame(const char *dst, unsigned window, uint32_t ack, uint8_t flags, size_t payload)
{
	struct frames_spec s = {.dst = dst, .proto = IPPROTO_TCP, .tcp_flags = flags, .payload = payload};
	size_t n = frames_build(&policy, &s, frame);
	bool is4 = frame[12] == 8;
	uint8_t *tcp = frame + (is4 ? 34 : 54);
	frames_put16(tcp + 14, window);
	frames_put16(tcp + 8, ack >> 16);
	frames_put16(tcp + 10, ack & 0xffff);
	frames_put16(tcp + 16, 0);
	frames_checksum(&s, is4 ? AF_INET : AF_INET6, frame + (is4 ? 26 : 22), frame + (is4 ? 30 : 38), tcp,
			n - (size_t)(tcp - frame));
	return n;
}

static struct shape shaped(size_t len)
{
	struct shape s;
	shape_frame(frame, len, &s);
	return s;
}

/* What the kernel does with a frame marked "to be completed": is the checksum right then? */
static bool completes(const struct shape *s, size_t len)
{
	uint16_t start, offset;
	memcpy(&start, s->vnet + 6, 2);
	memcpy(&offset, s->vnet + 8, 2);
	memcpy(frame, s->head, s->head_len);
	uint16_t sum = frame_checksum(frame + start, len - start, 0);
	frames_put16(frame + start + offset, sum);
	bool is4 = frame[12] == 8;
	return s->vnet[0] == 1 &&
	       frame_l4_checksum(is4 ? AF_INET : AF_INET6, frame + (is4 ? 26 : 22), frame + (is4 ? 30 : 38),
				 IPPROTO_TCP, frame + start, len - start) == 0;
}

static void test_frames(void)
{
	static const char *const dsts[] = {"192.0.2.1", "2001:db8::1"};
	for (size_t i = 0; i < ARRAY_SIZE(dsts); i++) {
		size_t len = tcp_frame(dsts[i], 65535, 1000, 16, 3333);
		struct shape s = shaped(len);
		const uint8_t *tcp = s.head + (i ? 54 : 34);
		tap_ok(tcp[14] == 0xff && tcp[15] == 0xfe, "a full window is made even (%s)", dsts[i]);
		tap_ok(completes(&s, len), "and the checksum is right when the kernel completes it (%s)", dsts[i]);
		len = tcp_frame(dsts[i], 12345, 1000, 16, 0);
		s = shaped(len);
		tap_ok(tcp[14] == 12345 >> 8 && tcp[15] == (12345 & 0xff) && completes(&s, len),
		       "another window stays (%s)", dsts[i]);
	}
	size_t len = frames_build(
		&policy, &(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_UDP, .payload = 5000}, frame);
	struct shape s = shaped(len);
	tap_ok(s.vnet[0] == 0 && !s.is_ack && memcmp(s.head, frame, s.head_len) == 0, "UDP is left alone");
	len = frame_build_arp(&policy, frame);
	s = shaped(len);
	tap_ok(s.vnet[0] == 0 && s.head_len == len && memcmp(s.head, frame, len) == 0, "ARP is left alone");
	len = tcp_frame("192.0.2.1", 65535, 1000, 16, 100);
	bool alone = true;
	for (size_t cut = 0; cut < len; cut++) {
		s = shaped(cut);
		alone &= s.vnet[0] == 0 && !s.is_ack;
	}
	tap_ok(alone, "a frame cut anywhere is left alone");
}

static void test_acks(void)
{
	struct shape first = shaped(tcp_frame("192.0.2.1", 65535, 1000, 16, 0));
	struct shape second = shaped(tcp_frame("192.0.2.1", 65535, 2000, 16, 0));
	struct shape other = shaped(tcp_frame("192.0.2.2", 65535, 3000, 16, 0));
	struct shape data = shaped(tcp_frame("192.0.2.1", 65535, 3000, 16, 1));
	struct shape fin = shaped(tcp_frame("192.0.2.1", 65535, 3000, 17, 0));
	struct shape old = shaped(tcp_frame("192.0.2.1", 65535, 0xfffffff0u, 16, 0));
	tap_ok(first.is_ack && !data.is_ack && !fin.is_ack, "an acknowledgement without data or other flags is known");
	tap_ok(shape_supersedes(&second, &first), "a later acknowledgement supersedes an earlier one");
	tap_ok(!shape_supersedes(&first, &second), "not the other way round");
	tap_ok(!shape_supersedes(&first, &first), "a repeated acknowledgement is a message of its own");
	tap_ok(!shape_supersedes(&other, &first), "another connection's does not");
	tap_ok(!shape_supersedes(&data, &first) && !shape_supersedes(&second, &fin),
	       "frames with data or flags take no part");
	tap_ok(shape_supersedes(&first, &old), "numbers wrap around");
	struct shape six = shaped(tcp_frame("2001:db8::1", 65535, 1000, 16, 0));
	struct shape six_more = shaped(tcp_frame("2001:db8::1", 65535, 1001, 16, 0));
	tap_ok(shape_supersedes(&six_more, &six) && !shape_supersedes(&six, &first), "IPv6 is the same");
}

int main(void)
{
	struct net_slirp_opts o;
	tap_plan_later();
	net_slirp_opts_init(&o);
	frame_policy_init(&o, &policy);
	test_frames();
	test_acks();
	return tap_done();
}
