/* links: engine/net kern model base */
#include "rl/engine/net_frag.h"

#include <errno.h>

#include "frames.h"
#include "tap.h"

static struct frame_policy policy;
static struct frag_table *table;
static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

/* A piece of a datagram whose payload byte at offset k is k * 7. */
static int add(unsigned id, size_t offset, size_t len, bool more, int64_t now)
{
	struct frame_info info;
	struct frames_spec s = {.dst = "192.0.2.1",
				.proto = IPPROTO_UDP,
				.payload = len - 8,
				.offset_field = (uint16_t)(offset / 8 | (more ? 0x2000 : 0))};
	size_t n = frames_build(&policy, &s, frame);
	uint8_t *ip = frame + 14;
	frames_put16(ip + 4, id);
	frames_put16(ip + 10, 0);
	frames_put16(ip + 10, frame_checksum(ip, 20, 0));
	for (size_t i = 0; i < len; i++)
		ip[20 + i] = (uint8_t)((offset + i) * 7);
	tap_must(frame_check(&policy, frame, n, &info) == FRAME_FRAGMENT);
	return frag_add(table, frame, &info, now, out);
}

static bool is_whole(int n, size_t payload)
{
	bool same = n == (int)(34 + payload) && frame_checksum(out + 14, 20, 0) == 0 && out[14 + 6] == 0 &&
		    out[14 + 7] == 0;
	for (size_t i = 0; same && i < payload; i++)
		same = out[34 + i] == (uint8_t)(i * 7);
	return same;
}

static void test_orders(void)
{
	tap_is_int(add(1, 0, 1480, true, 0), 0, "a first fragment waits");
	tap_is_int(add(1, 1480, 1480, true, 0), 0, "a second one too");
	tap_ok(is_whole(add(1, 2960, 41, false, 0), 3001), "with the last the datagram is whole");
	tap_ok(frag_deadline(table) == INT64_MAX, "and nothing of it is kept");
	add(2, 2960, 41, false, 0);
	add(2, 0, 1480, true, 0);
	tap_ok(is_whole(add(2, 1480, 1480, true, 0), 3001), "the order does not matter");
	add(3, 0, 16, true, 0);
	add(4, 0, 24, true, 0);
	tap_ok(is_whole(add(3, 16, 9, false, 0), 25) && is_whole(add(4, 24, 10, false, 0), 34),
	       "two datagrams do not mix");
	add(5, 0, 65504, true, 0);
	tap_ok(is_whole(add(5, 65504, 11, false, 0), 65515), "the longest datagram is put together");
}

static void test_attacks(void)
{
	add(6, 0, 1480, true, 0);
	tap_is_int(add(6, 1472, 1480, true, 0), -EINVAL, "overlapping fragments end the datagram (teardrop)");
	tap_is_int(add(6, 1480, 41, false, 0), 0, "what comes after is a new datagram that never gets whole");
	add(7, 0, 1480, true, 0);
	tap_is_int(add(7, 0, 1480, true, 0), -EINVAL, "a repeated fragment ends the datagram");
	add(8, 800, 80, false, 0);
	tap_is_int(add(8, 880, 80, true, 0), -EINVAL, "a fragment behind the last ends the datagram");
	add(9, 1600, 80, true, 0);
	tap_is_int(add(9, 800, 80, false, 0), -EINVAL, "a last fragment before others ends the datagram");
	add(10, 800, 80, false, 0);
	tap_is_int(add(10, 1600, 80, false, 0), -EINVAL, "two last fragments end the datagram");
}

static void test_bounds(void)
{
	for (unsigned id = 100; id < 10000; id++)
		tap_must(add(id, 0, 80, true, 1000 + id) == 0);
	int whole = 0;
	for (unsigned id = 100; id < 10000; id++)
		whole += add(id, 80, 9, false, 9999) > 0;
	tap_ok(whole <= FRAG_ENTRIES, "of a flood of first fragments only the last few are kept");
	add(20000, 0, 80, true, 50000);
	frag_expire(table, 50000 + FRAG_TIMEOUT_MS);
	tap_ok(frag_deadline(table) == INT64_MAX, "when the time is up nothing is kept");
	tap_is_int(add(20000, 80, 9, false, 60000), 0, "a late last fragment finds nothing to complete");
}

int main(void)
{
	struct net_slirp_opts o;
	tap_plan_later();
	net_slirp_opts_init(&o);
	frame_policy_init(&o, &policy);
	table = frag_new();
	test_orders();
	test_attacks();
	test_bounds();
	frag_free(table);
	return tap_done();
}
