/* Networking of an ordinary user's namespaces (decisions 2, 27). */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "platform.h"
#include "rl/kern/netlink.h"

static const char ping[] = "/proc/sys/net/ipv4/ping_group_range";

static int ping_single(void *arg)
{
	(void)arg;
	/* It reads "65534 65534", or "65534 0" for root: ids 1 and 0 of the host, an empty range. */
	if (socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP) >= 0)
		return 1;
	if (put(ping, "0 2147483647") >= 0)
		return 2;
	if (put(ping, "0 0") < 0)
		return 3;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	return fd >= 0 ? 0 : 4;
}

static int ping_ranged(void *arg)
{
	(void)arg;
	autofree char *map = get("/proc/self/gid_map");
	if (strstr(map, "4294967295"))
		return LACKS; /* root: everything is mapped */
	if (put(ping, "0 2147483647") >= 0)
		return 1;
	return put(ping, "0 65535") == 0 ? 0 : 2;
}

static int low_ports(void *arg)
{
	(void)arg;
	return put("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0") == 0 ? 0 : 1;
}

static int open_self_netns(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int add_veth(int peer_netns, struct err *e)
{
	struct nl nl = NL_NONE;
	int r = nl_open(&nl, e);
	if (r < 0)
		return r;
	nl_veth_add(&nl, &(struct nl_veth){.name = "v0", .peer_name = "v1", .peer_netns_fd = peer_netns, .mtu = 1500});
	r = nl_flush(&nl, e);
	nl_close(&nl);
	return r;
}

static int up(const char *name)
{
	struct err e = ERR_INIT;
	struct nl nl = NL_NONE;
	if (nl_open(&nl, &e) < 0)
		return -1;
	nl_link_set(&nl, (int)if_nametoindex(name), &(struct nl_link_set){.up = true, .no_addrgen = true});
	int r = nl_flush(&nl, &e);
	nl_close(&nl);
	return r;
}

static int packet_socket(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
	return fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? fd : -1;
}

/* A veth pair over two namespaces made by an ordinary user, a packet socket at each end: frames flow. */
static int frames_flow(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	int first = open_self_netns();
	if (unshare(CLONE_NEWNET) < 0)
		return 1;
	if (add_veth(first, &e) < 0)
		return 2;
	/* A packet socket bound to an interface that is down keeps ENETDOWN for the first write. */
	int here = up("v0") < 0 ? -1 : packet_socket("v0");
	if (here < 0)
		return 3;
	if (setns(first, CLONE_NEWNET) < 0)
		return 4;
	int there = up("v1") < 0 ? -1 : packet_socket("v1");
	if (there < 0)
		return 5;
	static const char frame[60] = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5rl was here";
	char got[2048];
	struct pollfd p = {.fd = there, .events = POLLIN};
	/* v0 was up before its peer: its queue is attached by linkwatch, from a work queue, some time after the carrier came, and
	 * frames written before that are dropped without an error. So a frame is sent again until one arrives. */
	for (int tries = 0; tries < 500; tries++) {
		if (write(here, frame, sizeof(frame)) != sizeof(frame))
			return 6;
		while (poll(&p, 1, 20) == 1) {
			ssize_t n = read(there, got, sizeof(got));
			if (n >= (ssize_t)sizeof(frame) && memcmp(got, frame, sizeof(frame)) == 0)
				return 0;
		}
	}
	return 7;
}

struct pair {
	int to_parent[2];
	int from_parent[2];
};

static int holds_netns(void *arg)
{
	struct pair *p = arg;
	char byte;
	if (write(p->to_parent[1], "r", 1) != 1)
		return 1;
	close(p->from_parent[1]);
	return read(p->from_parent[0], &byte, 1) < 0;
}

/* Start a child with user and network namespaces of its own and return a descriptor of its network namespace. */
static int child_netns(struct pair *p, struct proc_child *c, struct err *e)
{
	struct idmap map;
	char path[64];
	char byte;
	if (pipe2(p->to_parent, O_CLOEXEC) < 0 || pipe2(p->from_parent, O_CLOEXEC) < 0 ||
	    idmap_detect(true, &map, e) < 0 || userns_spawn(&map, CLONE_NEWNET, holds_netns, p, c, e) < 0 ||
	    read(p->to_parent[0], &byte, 1) != 1)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c->pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int veth_to_nested(void *arg)
{
	struct err e = ERR_INIT;
	struct pair p;
	struct proc_child c;
	(void)arg;
	int netns = child_netns(&p, &c, &e);
	if (netns < 0)
		return 1;
	int r = add_veth(netns, &e);
	close(p.from_parent[1]);
	proc_kill_wait(&c);
	return r == 0 ? 0 : 2;
}

static int veth_to_sibling(void *arg)
{
	struct err e = ERR_INIT;
	int netns = *(int *)arg;
	int r = add_veth(netns, &e);
	/* Kernels before 2026 do not ask for CAP_NET_ADMIN where the peer goes (rtnl_get_peer_net). */
	return r == -EPERM ? 0 : r == 0 ? LACKS : 1;
}

static void test_sibling(void)
{
	static const char sentence[] = "a veth into the network namespace of a sibling user namespace is refused";
	struct err e = ERR_INIT;
	struct pair p;
	struct proc_child c;
	int netns = child_netns(&p, &c, &e);
	if (netns < 0) {
		tap_ok(false, "%s: %s", sentence, e.text);
		return;
	}
	single(CLONE_NEWNET, veth_to_sibling, &netns, sentence);
	close(p.from_parent[1]);
	proc_kill_wait(&c);
}

int main(void)
{
	tap_plan_later();
	single(CLONE_NEWNET, ping_single, NULL,
	       "ping_group_range: nobody at first, no range past the mapped ids, `0 0` opens ping");
	ranged(CLONE_NEWNET, ping_ranged, NULL, "ping_group_range: the widest mapped range is taken");
	single(CLONE_NEWNET, low_ports, NULL, "ip_unprivileged_port_start may be set to 0");
	single(CLONE_NEWNET, frames_flow, NULL,
	       "frames flow over a veth pair between packet sockets of an ordinary user");
	single(CLONE_NEWNET, veth_to_nested, NULL,
	       "a veth into the network namespace of a nested user namespace is made");
	test_sibling();
	return tap_done();
}
