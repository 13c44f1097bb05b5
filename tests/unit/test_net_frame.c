/* links: engine/net kern model base */
#include "frames.h"
#include "tap.h"

static struct frame_policy policy;
static uint8_t frame[FRAME_MAX];

static enum frame_verdict judge(const struct frames_spec *s)
{
	struct frame_info info;
	return frame_check(&policy, frame, frames_build(&policy, s, frame), &info);
}

static void set_policy(enum net_host_access access, uint16_t port)
{
	struct net_slirp_opts o;
	net_slirp_opts_init(&o);
	o.host_access = access;
	o.host_ports_count = port ? 1 : 0;
	o.host_ports[0] = port;
	frame_policy_init(&o, &policy);
}

static void test_passes(void)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
		const char *name = protos[i] == IPPROTO_TCP ? "TCP" : "UDP";
		tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = protos[i]}) == FRAME_PASS,
		       "%s to a host outside passes", name);
		tap_ok(judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = protos[i]}) == FRAME_PASS,
		       "%s over IPv6 to a host outside passes", name);
	}
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_ICMP}) == FRAME_PING,
	       "an echo request to outside is handed to ping");
	tap_ok(judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = IPPROTO_ICMPV6}) == FRAME_PING,
	       "an IPv6 echo request to outside is handed to ping");
	tap_ok(judge(&(struct frames_spec){.dst = "10.0.2.2", .proto = IPPROTO_ICMP}) == FRAME_PASS,
	       "the gateway may be pinged");
	tap_ok(judge(&(struct frames_spec){.dst = "fd00::2", .proto = IPPROTO_ICMPV6}) == FRAME_PASS,
	       "the IPv6 gateway may be pinged");
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_UDP, .payload = 65000}) == FRAME_PASS,
	       "a large datagram passes");
}

static void test_closed_destinations(void)
{
	static const char *const closed[] = {
		"127.0.0.1",
		"127.0.0.53",
		"127.255.255.255",
		"0.0.0.0",
		"0.1.2.3",
		"224.0.0.251",
		"239.255.255.250",
		"240.0.0.1",
		"255.255.255.255",
		"10.0.2.255",
		"10.0.2.77",
		"10.0.2.100",
		"::",
		"::1",
		"::2",
		"::7f00:1",
		"::ffff:127.0.0.1",
		"::ffff:8.8.8.8",
		"::ffff:0.0.0.0",
		"ff02::1",
		"ff05::2",
		"fe80::1",
		"febf::1",
		"fd00::77",
		"fd00::100",
		"64:ff9b::7f00:1",
		"64:ff9b::0.0.0.0",
		"2002:7f00:1::1",
		"2002:0:1::",
	};
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		bool dropped = true;
		for (size_t k = 0; k < ARRAY_SIZE(protos); k++)
			dropped &= judge(&(struct frames_spec){.dst = closed[i], .proto = protos[k]}) ==
				   FRAME_DROP_DEST;
		tap_ok(dropped, "destination %s is dropped", closed[i]);
	}
	set_policy(NET_HOST_ALL, 0);
	tap_ok(judge(&(struct frames_spec){.dst = "127.0.0.1", .proto = IPPROTO_TCP}) == FRAME_DROP_DEST &&
		       judge(&(struct frames_spec){.dst = "::1", .proto = IPPROTO_TCP}) == FRAME_DROP_DEST,
	       "loopback addresses are dropped even where host loopback is open: it has the gateway's address");
	set_policy(NET_HOST_NONE, 0);
	tap_ok(judge(&(struct frames_spec){.dst = "64:ff9b::8.8.8.8", .proto = IPPROTO_TCP}) == FRAME_PASS,
	       "a translated public address passes");
}

static void test_gateway(void)
{
	struct frames_spec web = {.dst = "10.0.2.2", .proto = IPPROTO_TCP, .dport = 8080};
	struct frames_spec web6 = {.dst = "fd00::2", .proto = IPPROTO_TCP, .dport = 8080};
	struct frames_spec other = {.dst = "10.0.2.2", .proto = IPPROTO_UDP, .dport = 8081};
	struct frames_spec tftp = {.dst = "10.0.2.2", .proto = IPPROTO_UDP, .dport = 69};
	struct frames_spec dhcp6 = {.dst = "fd00::2", .proto = IPPROTO_UDP, .dport = 547};
	tap_ok(judge(&web) == FRAME_REFUSE && judge(&web6) == FRAME_REFUSE && judge(&other) == FRAME_REFUSE,
	       "every port of the gateway is refused by default");
	set_policy(NET_HOST_PORTS, 8080);
	tap_ok(judge(&web) == FRAME_PASS && judge(&web6) == FRAME_PASS, "a port that was opened passes");
	tap_ok(judge(&other) == FRAME_REFUSE, "beside an opened port the others stay refused");
	set_policy(NET_HOST_ALL, 0);
	tap_ok(judge(&web) == FRAME_PASS && judge(&other) == FRAME_PASS, "with all access every port passes");
	tap_ok(judge(&tftp) == FRAME_REFUSE && judge(&dhcp6) == FRAME_REFUSE,
	       "the services libslirp would offer itself are refused whatever is open");
	set_policy(NET_HOST_NONE, 0);
}

static void test_resolver(void)
{
	tap_ok(judge(&(struct frames_spec){.dst = "10.0.2.3", .proto = IPPROTO_UDP, .dport = 53}) == FRAME_DNS,
	       "UDP to the resolver's port 53 is a query");
	tap_ok(judge(&(struct frames_spec){.dst = "10.0.2.3", .proto = IPPROTO_TCP, .dport = 53}) == FRAME_PASS,
	       "TCP to the resolver's port 53 passes");
	tap_ok(judge(&(struct frames_spec){.dst = "10.0.2.3", .proto = IPPROTO_UDP, .dport = 54}) == FRAME_REFUSE,
	       "another port of the resolver's address is refused");
	tap_ok(judge(&(struct frames_spec){.dst = "10.0.2.3", .proto = IPPROTO_ICMP}) == FRAME_DROP_DEST,
	       "the resolver's address is not pinged on the host's network");
}

static void test_sources(void)
{
	static const uint8_t other_mac[6] = {2, 1, 1, 1, 1, 1};
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_TCP, .src = "10.0.2.101"}) ==
		       FRAME_DROP_SOURCE,
	       "another source address is dropped");
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_TCP, .src = "127.0.0.1"}) ==
		       FRAME_DROP_SOURCE,
	       "a loopback source address is dropped");
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_UDP, .src = "0.0.0.0"}) ==
		       FRAME_DROP_SOURCE,
	       "an unspecified source address is dropped");
	tap_ok(judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = IPPROTO_TCP, .src = "fd00::101"}) ==
		       FRAME_DROP_SOURCE,
	       "another IPv6 source address is dropped");
	tap_ok(judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = IPPROTO_TCP, .src = "fe80::1"}) ==
		       FRAME_DROP_SOURCE,
	       "a link-local source address is dropped");
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_TCP, .src_mac = other_mac}) ==
		       FRAME_DROP_SOURCE,
	       "another MAC is dropped");
}

static void test_malformed(void)
{
	struct frame_info info;
	struct frames_spec tcp = {.dst = "192.0.2.1", .proto = IPPROTO_TCP, .payload = 40};
	struct frames_spec udp6 = {.dst = "2001:db8::1", .proto = IPPROTO_UDP, .payload = 40};
	size_t n = frames_build(&policy, &tcp, frame);
	bool all = true;
	for (size_t len = 12; len < n; len++)
		all &= frame_check(&policy, frame, len, &info) == FRAME_DROP_MALFORMED;
	tap_ok(all, "an IPv4 frame cut anywhere is malformed");
	n = frames_build(&policy, &udp6, frame);
	all = true;
	for (size_t len = 14; len < n; len++)
		all &= frame_check(&policy, frame, len, &info) == FRAME_DROP_MALFORMED;
	tap_ok(all, "an IPv6 frame cut anywhere is malformed");
	tap_ok(frame_check(&policy, frame, FRAME_MAX + 1, &info) == FRAME_DROP_MALFORMED,
	       "a frame that is too long is malformed");
	tcp.bad_checksum = true;
	tap_ok(judge(&tcp) == FRAME_DROP_MALFORMED, "a wrong header checksum is malformed");
	tcp.bad_checksum = false;
	n = frames_build(&policy, &tcp, frame);
	frame[14 + 20 + 12] = 0xf0;
	frame[14 + 3] = 20 + 20;
	frames_put16(frame + 24, 0);
	frames_put16(frame + 24, frame_checksum(frame + 14, 20, 0));
	tap_ok(frame_check(&policy, frame, n, &info) == FRAME_DROP_MALFORMED,
	       "a TCP header longer than the packet is malformed");
	n = frames_build(&policy, &tcp, frame);
	frame[14] = 0x46;
	tap_ok(frame_check(&policy, frame, n, &info) == FRAME_DROP_MALFORMED, "IPv4 options are not accepted");
	n = frames_build(&policy, &udp6, frame);
	frame[14 + 40 + 5] += 1;
	tap_ok(frame_check(&policy, frame, n, &info) == FRAME_DROP_MALFORMED,
	       "a UDP length that contradicts IP's is malformed");
	n = frames_build(&policy, &tcp, frame);
	memset(frame + n, 0, 100);
	tap_ok(frame_check(&policy, frame, n + 100, &info) == FRAME_PASS && info.end == n,
	       "padding behind the packet is ignored");
}

static void test_other(void)
{
	struct frame_info info;
	static const uint16_t types[] = {0x88f8, 0x8100, 0x88cc, 0x0000, 0x0600};
	bool all = true;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t n = frames_build(&policy, &(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_TCP},
					frame);
		frames_put16(frame + 12, types[i]);
		all &= frame_check(&policy, frame, n, &info) == FRAME_DROP_OTHER;
	}
	tap_ok(all, "frames that are not ARP, IPv4 or IPv6 are dropped (VLAN, NCSI, LLDP)");
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = 47}) == FRAME_DROP_OTHER &&
		       judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = 41}) == FRAME_DROP_OTHER,
	       "GRE and IPv6 in IPv4 are dropped");
	tap_ok(judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = 44}) == FRAME_DROP_OTHER &&
		       judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = 43}) == FRAME_DROP_OTHER &&
		       judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = 0}) == FRAME_DROP_OTHER,
	       "IPv6 extension headers are dropped");
	tap_ok(judge(&(struct frames_spec){.dst = "192.0.2.1", .proto = IPPROTO_ICMP, .icmp_type = 5}) ==
		       FRAME_DROP_OTHER,
	       "an ICMP redirect is dropped");
	tap_ok(judge(&(struct frames_spec){
		       .dst = "fd00::2", .proto = IPPROTO_ICMPV6, .icmp_type = 134, .hop_limit = 255}) ==
		       FRAME_DROP_OTHER,
	       "a router advertisement of the container's is dropped");
	policy.ipv6 = false;
	tap_ok(judge(&(struct frames_spec){.dst = "2001:db8::1", .proto = IPPROTO_TCP}) == FRAME_DROP_OTHER,
	       "IPv6 is dropped where it is switched off");
	policy.ipv6 = true;
}

static void test_fragments(void)
{
	struct frames_spec s = {.dst = "192.0.2.1", .proto = IPPROTO_UDP, .payload = 72, .offset_field = 0x2000};
	tap_ok(judge(&s) == FRAME_FRAGMENT, "a first fragment is to be put together");
	s.offset_field = 10;
	tap_ok(judge(&s) == FRAME_FRAGMENT, "a last fragment is to be put together");
	s.offset_field = 0x2000 | 8191;
	tap_ok(judge(&s) == FRAME_DROP_MALFORMED, "a fragment that ends past 65535 bytes is malformed");
	s.offset_field = 0x2001;
	s.payload = 71;
	tap_ok(judge(&s) == FRAME_DROP_MALFORMED, "a middle fragment whose length is no multiple of 8 is malformed");
	s.payload = 72;
	s.dst = "10.0.2.2";
	tap_ok(judge(&s) == FRAME_DROP_DEST, "a fragment to the gateway is dropped");
	s.dst = "127.0.0.1";
	tap_ok(judge(&s) == FRAME_DROP_DEST, "a fragment to loopback is dropped");
	s.dst = "192.0.2.1";
	s.proto = IPPROTO_TCP;
	s.offset_field = 10;
	tap_ok(judge(&s) == FRAME_DROP_OTHER, "a fragment of TCP is dropped");
}

static enum frame_verdict judge_arp(const uint8_t *mac, const char *ip, unsigned op)
{
	struct frame_info info;
	size_t n = frame_build_arp(&policy, frame);
	memcpy(frame + 14 + 8, mac, 6);
	inet_pton(AF_INET, ip, frame + 14 + 14);
	frames_put16(frame + 14 + 6, op);
	return frame_check(&policy, frame, n, &info);
}

static void test_arp(void)
{
	static const uint8_t other_mac[6] = {2, 1, 1, 1, 1, 1};
	struct frame_info info;
	tap_ok(judge_arp(policy.mac, "10.0.2.100", 1) == FRAME_PASS, "the container's own ARP request passes");
	tap_ok(judge_arp(policy.mac, "10.0.2.2", 2) == FRAME_DROP_SOURCE,
	       "an ARP reply for the gateway's address is dropped");
	tap_ok(judge_arp(other_mac, "10.0.2.100", 2) == FRAME_DROP_SOURCE, "an ARP reply with another MAC is dropped");
	tap_ok(judge_arp(policy.mac, "10.0.2.100", 3) == FRAME_DROP_OTHER, "reverse ARP is dropped");
	size_t n = frame_build_arp(&policy, frame);
	tap_ok(frame_check(&policy, frame, n - 1, &info) == FRAME_DROP_MALFORMED, "a short ARP frame is malformed");
	n = frame_build_na(&policy, frame);
	tap_ok(frame_check(&policy, frame, n, &info) == FRAME_PASS,
	       "the container's own neighbour advertisement passes");
	inet_pton(AF_INET6, "fd00::2", frame + 54 + 8);
	tap_ok(frame_check(&policy, frame, n, &info) == FRAME_DROP_OTHER,
	       "a neighbour advertisement for the gateway is dropped");
}

static void test_refusals(void)
{
	struct frame_info info;
	uint8_t out[FRAME_REFUSAL_MAX];
	size_t n = frames_build(&policy, &(struct frames_spec){.dst = "10.0.2.2", .proto = IPPROTO_TCP, .dport = 22},
				frame);
	frame_check(&policy, frame, n, &info);
	size_t len = frame_build_refusal(frame, &info, FRAME_REASON_PORT, out);
	tap_is_int(len, 54, "a refused TCP segment is answered by a bare reset");
	tap_ok(out[47] == (4 | 16) && out[34] == 0 && out[35] == 22,
	       "the reset acknowledges and comes from the refused port");
	tap_ok(out[42 + 3] == 8, "it acknowledges the SYN");
	tap_ok(frame_checksum(out + 14, 20, 0) == 0 &&
		       frame_l4_checksum(AF_INET, out + 26, out + 30, IPPROTO_TCP, out + 34, 20) == 0,
	       "its checksums are right");
	n = frames_build(&policy, &(struct frames_spec){.dst = "10.0.2.2", .proto = IPPROTO_TCP, .tcp_flags = 4},
			 frame);
	frame_check(&policy, frame, n, &info);
	tap_is_int(frame_build_refusal(frame, &info, FRAME_REASON_PORT, out), 0, "a reset is never answered");
	n = frames_build(&policy, &(struct frames_spec){.dst = "fd00::2", .proto = IPPROTO_UDP, .payload = 5000},
			 frame);
	frame_check(&policy, frame, n, &info);
	len = frame_build_refusal(frame, &info, FRAME_REASON_PORT, out);
	tap_ok(len == FRAME_REFUSAL_MAX - 8 + 8 && out[54] == 1 && out[55] == 4,
	       "a refused datagram is answered by port unreachable");
	tap_ok(frame_l4_checksum(AF_INET6, out + 22, out + 38, IPPROTO_ICMPV6, out + 54, len - 54) == 0,
	       "its checksum is right, and it quotes no more than it may");
}

int main(void)
{
	tap_plan_later();
	set_policy(NET_HOST_NONE, 0);
	test_passes();
	test_closed_destinations();
	test_gateway();
	test_resolver();
	test_sources();
	test_malformed();
	test_other();
	test_fragments();
	test_arp();
	test_refusals();
	return tap_done();
}
