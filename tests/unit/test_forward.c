#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "rl/kern/idmap.h"
#include "tap.h"

static const char ledger[] = "forwarding";

/* '0', '1', or '?' */
static char forwarding(const char *interface)
{
	autofree char *path = xasprintf("/proc/sys/net/ipv4/conf/%s/forwarding", interface);
	autostr struct str text = STR_INIT;
	return io_read_file(AT_FDCWD, path, 16, &text, NULL) < 0 ? '?' : text.buf[0];
}

static int add_interface(const char *name, uint32_t address)
{
	struct err e = ERR_INIT;
	struct nl nl = NL_NONE;
	struct in_addr a = {htonl(address)};
	int r = nl_open(&nl, &e);
	nl_bridge_add(&nl, name, NULL);
	if (r >= 0)
		r = nl_flush(&nl, &e);
	int index = (int)if_nametoindex(name);
	nl_link_up(&nl, index);
	nl_addr_add(&nl, index, AF_INET, &a, 24);
	if (r >= 0)
		r = nl_flush(&nl, &e);
	nl_close(&nl);
	return r;
}

static int network(const char *bridge, struct net_named *ret)
{
	*ret = (struct net_named)NET_NAMED_NONE;
	snprintf(ret->place.bridge, sizeof(ret->place.bridge), "%s", bridge);
	return 0;
}

static int in_own_namespace(void *arg)
{
	const int dir = *(const int *)arg;
	struct err e = ERR_INIT;
	struct net_named a, b;
	/* A new namespace begins as the machine is. */
	if (io_write_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1", 1, 0, &e) < 0 ||
	    io_write_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "0", 1, 0, &e) < 0)
		return 12;
	network("rl-a", &a);
	network("rl-b", &b);
	if (add_interface("up0", 0x0a080001) < 0 || add_interface("up1", 0x0a060001) < 0)
		return 1;
	if (io_write_file(AT_FDCWD, "/proc/sys/net/ipv4/conf/up1/forwarding", "1", 1, 0, &e) < 0)
		return 2;
	if (net_forward_claim(dir, ledger, "a", "rl-a", &e) < 0 ||
	    net_forward_claim(dir, ledger, "b", "rl-b", &e) < 0 || add_interface("rl-a", 0x0a590001) < 0 ||
	    add_interface("rl-b", 0x0a5a0001) < 0)
		return 3;
	if (net_forward_acquire(dir, ledger, "a", &a, &e) < 0)
		return 4;
	if (forwarding("up0") != '1' || forwarding("rl-a") != '1' || forwarding("rl-b") != '0' ||
	    forwarding("all") != '0')
		return 5;
	if (net_forward_acquire(dir, ledger, "b", &b, &e) < 0 || net_forward_acquire(dir, ledger, "a", &a, &e) < 0)
		return 6;
	net_forward_release(dir, ledger, "a");
	if (forwarding("up0") != '1')
		return 7; /* the other needs it */
	net_forward_release(dir, ledger, "b");
	if (forwarding("up0") != '0' || forwarding("up1") != '1')
		return 8;
	if (faccessat(dir, ledger, F_OK, 0) == 0)
		return 9;
	if (net_forward_acquire(dir, ledger, "a", &a, &e) < 0 ||
	    io_write_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1", 1, 0, &e) < 0)
		return 10;
	net_forward_release(dir, ledger, "a");
	return forwarding("up0") == '1' ? 0 : 11; /* somebody else has switched it on since */
}

int main(void)
{
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child c;
	char path[] = "/tmp/rl-forward.XXXXXX";
	tap_plan_later();
	if (!mkdtemp(path))
		return 1;
	autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = idmap_detect(true, &map, &e);
	if (r == 0)
		r = userns_spawn(&map, CLONE_NEWNET, in_own_namespace, &dir, &c, &e);
	if (r == 0)
		r = proc_wait(&c, "child", &e);
	if (!tap_ok(r == 0, "interfaces forward while a network needs them, and are left as they were"))
		tap_diag("failed at %d %s", r, e.text);
	(void)unlinkat(dir, "forwarding.lock", 0);
	(void)unlinkat(dir, ledger, 0);
	(void)rmdir(path);
	return tap_done();
}
