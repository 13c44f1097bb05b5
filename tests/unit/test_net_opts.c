/* links: engine/net kern model base */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/net.h"
#include "tap.h"

static struct net_slirp_opts o;

static int parse(const char *text)
{
	struct err e = ERR_INIT;
	net_slirp_opts_init(&o);
	return net_slirp_parse(text, &o, &e);
}

static const char *address(struct in_addr a)
{
	static char text[INET_ADDRSTRLEN];
	net_addr4_text(a, text);
	return text;
}

static void test_defaults(void)
{
	struct net_slirp_opts other;
	parse(NULL);
	tap_is_int(o.mtu, 65520, "the default MTU is 65520");
	tap_is_str(address(o.address), "10.0.2.100", "the container is 10.0.2.100");
	tap_is_str(address(o.gateway), "10.0.2.2", "the gateway is 10.0.2.2");
	tap_is_str(address(o.dns), "10.0.2.3", "the resolver is 10.0.2.3");
	tap_ok(o.ipv6 && o.host_access == NET_HOST_NONE, "IPv6 is on and host loopback closed");
	net_slirp_opts_init(&other);
	tap_ok((o.mac[0] & 3) == 2 && memcmp(o.mac, other.mac, 6) != 0, "each container has a random local MAC");
}

static void test_text(void)
{
	tap_ok(parse("mtu=1500,cidr=192.168.50.0/"
		     "26,enable_ipv6=false,allow_host_loopback=true,port_handler=slirp4netns,"
		     "outbound_addr=eth0,outbound_addr6=2001:db8::5") == 0,
	       "every option podman users type is accepted");
	tap_ok(o.mtu == 1500 && !o.ipv6 && o.host_access == NET_HOST_ALL && o.cidr_given, "and takes effect");
	tap_is_str(address(o.address), "192.168.50.10", "in a small subnet the container gets a low address");
	tap_is_str(o.outbound, "eth0", "the outbound address may be an interface");
	tap_is_int(parse(""), 0, "an empty text changes nothing");
	static const char *const bad[] = {
		"mtu",
		"mtu=",
		"mtu=x",
		"mtu=65521",
		"mtu=500",
		"mtu=1000",
		"cidr=10.0.0.0",
		"cidr=10.0.0.0/33",
		"cidr=10.0.0.0/30",
		"cidr=127.0.0.0/8",
		"cidr=x/24",
		"cidr=224.0.0.0/8",
		"enable_ipv6=maybe",
		"outbound_addr=",
		"port_handler=x",
		"nonsense=1",
		"mtu=1500,,",
		"mtu=-1",
		"cidr=0.0.0.0/8",
		"cidr=169.254.0.0/16",
		"mtu=4294968816",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(parse(bad[i]) < 0, "\"%s\" is refused", bad[i]);
	tap_ok(parse("mtu=1000,enable_ipv6=false") == 0, "an MTU below 1280 is accepted without IPv6");
	struct err e = ERR_INIT;
	net_slirp_parse("mtuu=1500", &o, &e);
	tap_is_str(e.hint, "did you mean mtu?", "a mistyped option suggests the right one");
}

static void test_lists(void)
{
	struct err e = ERR_INIT;
	autostrv struct strv list = STRV_INIT;
	net_slirp_opts_init(&o);
	strv_add(&list, "5432");
	strv_add(&list, "8080");
	tap_ok(net_slirp_set_host_access(&list, &o, &e) == 0 && o.host_access == NET_HOST_PORTS &&
		       o.host_ports[1] == 8080,
	       "ports of the host can be opened");
	strv_add(&list, "none");
	tap_ok(net_slirp_set_host_access(&list, &o, &e) == 0 && o.host_access == NET_HOST_NONE,
	       "a later none closes them");
	strv_add(&list, "70000");
	tap_ok(net_slirp_set_host_access(&list, &o, &e) < 0, "a port above 65535 is refused");
	autostrv struct strv dns = STRV_INIT;
	strv_add(&dns, "192.0.2.53");
	strv_add(&dns, "2001:db8::53");
	tap_ok(net_slirp_set_dns(&dns, &o, &e) == 0 && o.dns_servers.count == 2 &&
		       o.dns_servers.items[1].family == AF_INET6,
	       "name servers of both families are accepted");
	strv_add(&dns, "example.org");
	tap_ok(net_slirp_set_dns(&dns, &o, &e) < 0 && o.dns_servers.count == 2, "a name server must be an address");
}

/* A network namespace with these routes; mapped to root, or the exec of sh would lose the right to make them. */
static void make_host(const char *commands)
{
	char map[32];
	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	tap_must(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
	tap_must(io_write_file(AT_FDCWD, "/proc/self/uid_map", map, strlen(map), 0, NULL) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", commands, NULL);
		_exit(1);
	}
	int status;
	tap_must(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Exit status: third byte of the subnet chosen, 100 for 10.0.2.0. */
static int chosen(void *arg)
{
	struct err e = ERR_INIT;
	make_host(arg);
	net_slirp_opts_init(&o);
	if (net_slirp_choose_subnet(&o, &e) < 0)
		return 255;
	uint32_t net = ntohl(o.network.s_addr);
	return net == 0x0a000200 ? 100 : (net >> 24) == 10 ? (int)((net >> 8) & 0xff) : (int)(net >> 24);
}

static int chosen6(void *arg)
{
	struct err e = ERR_INIT;
	make_host(arg);
	net_slirp_opts_init(&o);
	return net_slirp_choose_subnet(&o, &e) < 0 ? 255 : o.network6.s6_addr[7] * 10 + o.address6.s6_addr[14];
}

static int with_host(int (*fn)(void *), const char *commands)
{
	return tap_child_status(fn, (void *)(uintptr_t)commands);
}

static void test_subnet(void)
{
	const char *up = "ip link set lo up";
	tap_is_int(with_host(chosen, up), 100, "without clashes the subnet is 10.0.2.0/24");
	tap_is_int(with_host(chosen, "ip link set lo up; ip route add 10.0.2.0/24 dev lo"), 3,
		   "a route to it moves the subnet to the next");
	tap_is_int(with_host(chosen, "ip link set lo up; ip address add 10.0.2.15/23 dev lo"), 4,
		   "a shorter prefix that covers two moves past both");
	tap_is_int(with_host(chosen, "ip link set lo up; ip route add 10.0.0.0/8 dev lo"), 172,
		   "where 10/8 is taken another private range is used");
	tap_is_int(with_host(chosen, "ip link set lo up; ip route add default dev lo"), 100,
		   "a default route is no clash");
	tap_is_int(with_host(chosen, "ip link set lo up; ip route add unreachable 10.0.2.77/32"), 100,
		   "an unreachable route is no clash");
	tap_is_int(with_host(chosen6, "ip link set lo up; ip -6 route add fd00::/64 dev lo"), 11,
		   "the IPv6 subnet moves too");
}

int main(void)
{
	tap_plan_later();
	test_defaults();
	test_text();
	test_lists();
	test_subnet();
	return tap_done();
}
