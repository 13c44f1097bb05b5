/*
 * timewait.c - at most so many finished connections stay with libslirp.
 *
 * Where the host's side closed first, libslirp keeps a connection with its two buffers for ten seconds after its end
 * (TIME_WAIT), and looks at every one in every round: ten thousand short connections in ten seconds took 600 MB, and a
 * third of the speed was left. The kernel bounds the same with tcp_max_tw_buckets. libslirp has no such bound and no call
 * to end a connection, but a reset from the container ends one in that state at once. So the last frames of connections
 * are watched here, and when more than KEPT are waiting, the oldest gets a reset that the container never sent and never
 * sees.
 *
 * A connection waits when libslirp has sent its FIN, the container has acknowledged that with a FIN of its own, and
 * libslirp has acknowledged this one: nothing is on the way any more. What the container sent last may still have to be
 * written to a host that reads slowly, and would be lost with the connection, as it is after ten seconds; so one with a
 * window that is not full is left alone, and others wait for a second unless there are KEPT_AT_MOST. What is remembered of a connection that is closing
 * is in a table in which a newer one may push an older one out; then that one waits its ten seconds.
 *
 * The reset is given to libslirp between its calls, never from within one: it frees what the call works on.
 */
#include <arpa/inet.h>
#include <string.h>

#include "netd.h"
#include "rl/base/mem.h"

enum {
	KEPT = 256,
	KEPT_AT_MOST = 1024,
	QUEUED = KEPT_AT_MOST + 2 * NETD_BATCH, /* and those of one round */
	CLOSING = 1024,				/* slots */
	YOUNG_MS = 1000,
	WAIT_MS = 9000, /* a little less than libslirp's */
	WINDOW_FULL = 65535,
	TCP_LEN = 20,
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/* As the container sees it. */
struct connection {
	uint8_t mac[2 * NET_MAC_LEN]; /* to libslirp's, from the container's */
	bool six;
	uint8_t addrs[32]; /* the container's, the peer's; 4 or 16 bytes each */
	uint8_t ports[4];  /* in network order, the same way round */
};

enum phase { NONE, PEER_CLOSED, BOTH_CLOSED };

struct closing {
	struct connection c;
	enum phase phase;
	uint32_t peer_end;  /* what acknowledges libslirp's FIN */
	uint32_t guest_end; /* what acknowledges the container's */
};

struct waiting {
	struct connection c;
	uint32_t seq;
	int64_t since_ms;
	bool gone; /* its ports are used again */
};

struct timewait {
	struct closing closing[CLOSING];
	struct waiting queue[QUEUED];
	size_t first, count;
};

/* Where the parts of a TCP frame are. */
struct segment {
	struct connection c;
	uint32_t seq, ack, len;
	unsigned window;
	uint8_t flags;
};

struct timewait *timewait_new(void)
{
	return xcalloc(1, sizeof(struct timewait));
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, sizeof(v));
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Frames of either side without extension headers; false for all others. */
static bool read_segment(const uint8_t *frame, size_t len, bool from_guest, struct segment *ret)
{
	const uint8_t *ip = frame + FRAME_ETH_LEN;
	if (len < FRAME_ETH_LEN + 20 + TCP_LEN)
		return false;
	bool six = get16(frame + 12) == 0x86dd;
	if (!six && get16(frame + 12) != 0x0800)
		return false;
	size_t header = six ? 40 : (size_t)(ip[0] & 0x0f) * 4;
	size_t total = six ? 40 + get16(ip + 4) : get16(ip + 2);
	size_t n = six ? 16 : 4;
	if ((six ? ip[6] : ip[9]) != IPPROTO_TCP || header < 20 || total > len - FRAME_ETH_LEN ||
	    total < header + TCP_LEN)
		return false;
	const uint8_t *tcp = ip + header;
	size_t tcp_len = (size_t)(tcp[12] >> 4) * 4;
	if (tcp_len < TCP_LEN || tcp_len > total - header)
		return false;
	*ret = (struct segment){.c.six = six,
				.seq = get32(tcp + 4),
				.ack = get32(tcp + 8),
				.len = (uint32_t)(total - header - tcp_len),
				.window = get16(tcp + 14),
				.flags = tcp[13]};
	const uint8_t *source = ip + (six ? 8 : 12);
	memcpy(ret->c.addrs, source + (from_guest ? 0 : n), n);
	memcpy(ret->c.addrs + n, source + (from_guest ? n : 0), n);
	memcpy(ret->c.ports, tcp + (from_guest ? 0 : 2), 2);
	memcpy(ret->c.ports + 2, tcp + (from_guest ? 2 : 0), 2);
	memcpy(ret->c.mac, frame + (from_guest ? 0 : NET_MAC_LEN), NET_MAC_LEN);
	memcpy(ret->c.mac + NET_MAC_LEN, frame + (from_guest ? NET_MAC_LEN : 0), NET_MAC_LEN);
	return true;
}

static bool is_same(const struct connection *a, const struct connection *b)
{
	return memcmp(a->ports, b->ports, sizeof(a->ports)) == 0 && a->six == b->six &&
	       memcmp(a->addrs, b->addrs, sizeof(a->addrs)) == 0;
}

static struct closing *slot_of(struct timewait *t, const struct connection *c)
{
	uint32_t hash = get32(c->ports) * 2654435761u;
	for (size_t i = 0; i < sizeof(c->addrs); i += 4)
		hash = (hash ^ get32(c->addrs + i)) * 2654435761u;
	return &t->closing[(hash >> 16) % CLOSING];
}

static void forget_waiting(struct timewait *t, const struct connection *c)
{
	for (size_t i = 0; i < t->count; i++) {
		struct waiting *w = &t->queue[(t->first + i) % QUEUED];
		w->gone |= is_same(&w->c, c);
	}
}

void timewait_from_guest(struct netd *n, const uint8_t *frame, size_t len)
{
	struct timewait *t = n->timewait;
	struct segment s;
	if (!read_segment(frame, len, true, &s))
		return;
	if ((s.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		forget_waiting(t, &s.c);
	if (!(s.flags & TCP_FIN) || !(s.flags & TCP_ACK))
		return;
	struct closing *x = slot_of(t, &s.c);
	if (x->phase == NONE || !is_same(&x->c, &s.c) || s.ack != x->peer_end)
		return;
	x->phase = BOTH_CLOSED;
	x->guest_end = s.seq + s.len + 1;
}

void timewait_from_slirp(struct netd *n, const uint8_t *frame, size_t len)
{
	struct timewait *t = n->timewait;
	struct segment s;
	if (!read_segment(frame, len, false, &s))
		return;
	struct closing *x = slot_of(t, &s.c);
	if (s.flags & TCP_FIN) {
		*x = (struct closing){.c = s.c, .phase = PEER_CLOSED, .peer_end = s.seq + s.len + 1};
		return;
	}
	if (x->phase != BOTH_CLOSED || !is_same(&x->c, &s.c) || s.ack != x->guest_end || (s.flags & TCP_RST))
		return;
	x->phase = NONE;
	if (t->count == QUEUED || s.window < WINDOW_FULL)
		return;
	t->queue[(t->first + t->count++) % QUEUED] = (struct waiting){
		.c = s.c, .seq = s.ack, .since_ms = netd_now_ms()};
}

static size_t build_reset(const struct waiting *w, uint8_t *frame)
{
	const struct connection *c = &w->c;
	size_t n = c->six ? 16 : 4;
	size_t header = c->six ? 40 : 20;
	uint8_t *ip = frame + FRAME_ETH_LEN;
	uint8_t *tcp = ip + header;
	memset(frame, 0, FRAME_ETH_LEN + header + TCP_LEN);
	memcpy(frame, c->mac, sizeof(c->mac));
	memcpy(tcp, c->ports, sizeof(c->ports));
	put32(tcp + 4, w->seq);
	tcp[12] = TCP_LEN / 4 << 4;
	tcp[13] = TCP_RST;
	memcpy(ip + (c->six ? 8 : 12), c->addrs, 2 * n);
	if (c->six) {
		memcpy(frame + 12, "\x86\xdd", 2);
		ip[0] = 0x60;
		ip[5] = TCP_LEN;
		ip[6] = IPPROTO_TCP;
		ip[7] = 64;
	} else {
		memcpy(frame + 12, "\x08\x00", 2);
		ip[0] = 0x45;
		ip[3] = 20 + TCP_LEN;
		ip[8] = 64;
		ip[9] = IPPROTO_TCP;
		uint16_t sum = frame_checksum(ip, 20, 0);
		ip[10] = (uint8_t)(sum >> 8);
		ip[11] = (uint8_t)sum;
	}
	uint16_t sum = frame_l4_checksum(c->six ? AF_INET6 : AF_INET, c->addrs, c->addrs + n, IPPROTO_TCP, tcp,
					 TCP_LEN);
	tcp[16] = (uint8_t)(sum >> 8);
	tcp[17] = (uint8_t)sum;
	return FRAME_ETH_LEN + header + TCP_LEN;
}

void timewait_flush(struct netd *n)
{
	struct timewait *t = n->timewait;
	uint8_t frame[FRAME_ETH_LEN + 40 + TCP_LEN];
	while (t->count > KEPT) {
		const struct waiting *w = &t->queue[t->first];
		int64_t age = netd_now_ms() - w->since_ms;
		if (age < YOUNG_MS && t->count <= KEPT_AT_MOST)
			return;
		/* libslirp would answer a reset for what it does not have any more. */
		if (!w->gone && age < WAIT_MS)
			slirp_input(n->slirp, frame, (int)build_reset(w, frame));
		t->first = (t->first + 1) % QUEUED;
		t->count--;
	}
}
