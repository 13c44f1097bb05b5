#include "rl/kern/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "rl/base/mem.h"
#include "rl/kern/tap.h"
#include "tap.h"

static struct nl nl = NL_NONE;
static struct err e = ERR_INIT;

static bool output_has(const char *command, const char *text)
{
	char out[4096];
	int fds[2];
	tap_must(pipe(fds) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(1);
	}
	close(fds[1]);
	size_t n = 0;
	for (ssize_t r; n < sizeof(out) - 1 && (r = read(fds[0], out + n, sizeof(out) - 1 - n)) > 0;)
		n += (size_t)r;
	out[n] = '\0';
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return strstr(out, text) != NULL;
}

static void test_veth(void)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 5};
	int own = nl_netns_fd(&nl, &e);
	tap_ok(own >= 0, "a descriptor of the namespace is had without /proc");
	struct nl_veth pair = {
		.name = "left", .peer_name = "right", .peer_netns_fd = own, .peer_mac = mac, .mtu = 9000};
	nl_veth_add(&nl, &pair);
	tap_ok(nl_flush(&nl, &e) == 0, "a veth pair is made");
	tap_ok(output_has("ip link show dev right", "mtu 9000") &&
		       output_has("ip link show dev right", "02:00:00:00:00:05"),
	       "its peer has name, MTU and MAC");
	tap_ok(nl_link_no_offload(&nl, "right", &e) == 0, "offloads can be switched off");
	struct in_addr a, gw;
	struct in6_addr a6, gw6;
	inet_pton(AF_INET, "10.1.2.100", &a);
	inet_pton(AF_INET, "10.1.2.2", &gw);
	inet_pton(AF_INET6, "fd00:1::100", &a6);
	inet_pton(AF_INET6, "fd00:1::2", &gw6);
	int left = nl_link_index(&nl, "left", &e);
	int right = nl_link_index(&nl, "right", &e);
	nl_link_up(&nl, 1);
	nl_link_up(&nl, left);
	nl_link_set(&nl, right, &(struct nl_link_set){.no_addrgen = true});
	nl_link_up(&nl, right);
	nl_addr_add(&nl, right, AF_INET, &a, 24);
	nl_addr_add(&nl, right, AF_INET6, &a6, 64);
	nl_route_default(&nl, right, AF_INET, &gw);
	nl_route_default(&nl, right, AF_INET6, &gw6);
	nl_neigh_add(&nl, right, AF_INET, &gw, mac);
	tap_ok(nl_flush(&nl, &e) == 0, "an interface is configured by one batch");
	tap_ok(output_has("ip -4 route", "default via 10.1.2.2 dev right"), "the default route is there");
	tap_ok(output_has("ip -6 route", "default via fd00:1::2 dev right"), "the IPv6 default route is there");
	tap_ok(output_has("ip -6 addr show dev right", "nodad") &&
		       !output_has("ip -6 addr show dev right", "tentative"),
	       "the IPv6 address can be used at once");
	tap_ok(output_has("ip neigh", "02:00:00:00:00:05 PERMANENT"), "the neighbour is permanent");
	int fd = packet_open(left, false, &e);
	tap_ok(fd >= 0, "a packet socket is opened on one end");
	close(fd);
	close(own);
}

static void test_errors(void)
{
	struct in_addr a;
	inet_pton(AF_INET, "10.1.3.1", &a);
	err_clear(&e);
	nl_addr_add(&nl, 99, AF_INET, &a, 24);
	nl_link_up(&nl, 1);
	tap_is_int(nl_flush(&nl, &e), -ENODEV, "a failure in the middle of a batch is reported");
	tap_ok(strstr(e.text, "add the address") != NULL, "and says which request it was");
	nl_link_up(&nl, 1);
	tap_ok(nl_flush(&nl, &e) == 0, "the next batch works, and is not confused by what was left");
	for (int i = 0; i < NL_BATCH_MAX + 1; i++)
		nl_link_up(&nl, 1);
	tap_is_int(nl_flush(&nl, &e), -E2BIG, "a batch that is too long is refused, not cut");
	tap_ok(nl_flush(&nl, &e) == 0, "an empty batch is nothing");
	tap_is_int(nl_link_index(&nl, "nosuch", &e), -ENODEV, "an unknown interface is an error");
}

static int count_route(const struct nl_route *r, void *arg)
{
	int *seen = arg;
	if (r->family == AF_INET && r->prefix == 24 && memcmp(r->dst, "\x0a\x01\x02", 3) == 0)
		seen[0]++;
	if (r->family == AF_INET6 && r->prefix == 64 && r->dst[0] == 0xfd)
		seen[1]++;
	if (r->prefix == 0)
		seen[2]++;
	return 0;
}

static int first_route(const struct nl_route *r, void *arg)
{
	(void)r;
	(void)arg;
	return 7;
}

static void test_routes(void)
{
	int seen[3] = {0};
	tap_ok(nl_routes(&nl, AF_UNSPEC, count_route, seen, &e) == 0, "the routes are listed");
	tap_ok(seen[0] == 1 && seen[1] == 1 && seen[2] >= 2,
	       "subnets and default routes of both families are among them");
	tap_is_int(nl_routes(&nl, AF_INET, first_route, NULL, &e), 7, "the listing can be ended early");
}

static void test_tap(void)
{
	int fd = tap_open("tap9", false, &e);
	if (fd < 0) {
		tap_ok(tap_is_absent(fd), "without /dev/net/tun the error says that there is no TAP");
		return;
	}
	tap_ok(output_has("ip link show dev tap9", "tap9"), "a TAP is made in the namespace");
	close(fd);
}

int main(void)
{
	tap_plan_later();
	tap_must(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
	tap_must(nl_open(&nl, &e) == 0);
	test_veth();
	test_errors();
	test_routes();
	test_tap();
	nl_close(&nl);
	return tap_done();
}
