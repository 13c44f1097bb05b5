/*
 * child.c - the container's side of its network: make the interface and configure it.
 *
 * This runs between clone and exec, so it is on the critical path of every start: two netlink calls on one socket, no
 * waiting, no other program. Which device:
 *
 *   TAP       /dev/net/tun can be opened: the interface eth0 is the TAP itself.
 *   packet    otherwise: a veth pair. eth0 is one end; the other lies in a network namespace of its own with nothing
 *             else in it (no address, no ARP, no IPv6 chatter: the namespace is made for it) and an AF_PACKET socket
 *             there is the device. The socket keeps that namespace alive; no process is in it.
 *
 * The container's end of the pair gets its transmit offloads off before it is up, so that what the socket receives is
 * a complete frame with checksums and not a promise to compute them.
 *
 * Neighbours: the gateway's and the resolver's link addresses are entered as permanent, and rl-netd knows the
 * container's from the options, so that the first packet of a short-lived container leaves without an ARP round trip.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/net.h"
#include "rl/engine/net_frame.h"
#include "rl/kern/netlink.h"
#include "rl/kern/tap.h"

enum { LO_INDEX = 1 };

static const char peer_name[] = "rl-peer";

/* In the helper namespace: make the pair with one end in the container's, and the packet socket on the other. */
static int make_pair(const struct net_slirp_opts *o, int container_netns, struct err *e)
{
	struct nl nl = NL_NONE;
	int r = nl_open(&nl, e);
	if (r < 0)
		return r;
	struct nl_veth pair = {.name = peer_name,
			       .peer_name = o->ifname,
			       .peer_netns_fd = container_netns,
			       .peer_mac = o->mac,
			       .mtu = o->mtu};
	nl_veth_add(&nl, &pair);
	r = nl_flush(&nl, e);
	int index = r < 0 ? r : nl_link_index(&nl, peer_name, e);
	if (index >= 0) {
		nl_link_set(&nl, index, &(struct nl_link_set){.no_addrgen = true, .no_arp = true});
		nl_link_up(&nl, index);
		r = nl_flush(&nl, e);
		index = r < 0 ? r : packet_open(index, true, e);
	}
	nl_close(&nl);
	return index;
}

/* `nl` was opened in the container's namespace and stays there; so does this process, in the end. */
static int packet_device(const struct net_slirp_opts *o, const struct nl *nl, struct err *e)
{
	autofd int container = nl_netns_fd(nl, e);
	if (container < 0)
		return container;
	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(e, errno, "make a network namespace for the far end of the veth pair");
	autofd int fd = make_pair(o, container, e);
	if (setns(container, CLONE_NEWNET) < 0)
		return err_sys(e, errno, "return to the container's network namespace");
	if (fd < 0)
		return fd;
	int r = nl_link_no_offload(nl, o->ifname, e);
	return r < 0 ? r : take_fd(&fd);
}

int net_device_make(const struct net_slirp_opts *o, const struct nl *nl, struct net_device *ret, struct err *e)
{
	struct err tap_error = ERR_INIT;
	struct err veth_error = ERR_INIT;
	ret->kind = NET_DEVICE_TAP;
	ret->fd = tap_open(o->ifname, true, &tap_error);
	if (ret->fd >= 0)
		return 0;
	if (!tap_is_absent(ret->fd)) {
		if (e)
			*e = tap_error;
		return -tap_error.code;
	}
	log_debug(LOG_NET, "no TAP (%s): a veth pair instead", tap_error.text);
	ret->kind = NET_DEVICE_PACKET;
	ret->fd = packet_device(o, nl, &veth_error);
	if (ret->fd >= 0)
		return 0;
	err_set(e, ENODEV, "neither a TAP (%.200s) nor a veth pair (%.200s)", tap_error.text, veth_error.text);
	return err_hint(e, "make /dev/net/tun accessible (load the tun module) or use --network none or host");
}

static void queue_config(struct nl *nl, const struct net_slirp_opts *o, int index, bool is_tap)
{
	uint8_t mac[NET_MAC_LEN];
	nl_link_up(nl, LO_INDEX);
	/* The address generation mode must be set before the interface comes up: a request of its own. */
	nl_link_set(
		nl, index,
		&(struct nl_link_set){.mac = is_tap ? o->mac : NULL, .mtu = is_tap ? o->mtu : 0, .no_addrgen = true});
	nl_link_up(nl, index);
	nl_addr_add(nl, index, AF_INET, &o->address, o->prefix);
	nl_route_default(nl, index, AF_INET, &o->gateway);
	frame_slirp_mac4(o->gateway, mac);
	nl_neigh_add(nl, index, AF_INET, &o->gateway, mac);
	frame_slirp_mac4(o->dns, mac);
	nl_neigh_add(nl, index, AF_INET, &o->dns, mac);
	if (!o->ipv6)
		return;
	nl_addr_add(nl, index, AF_INET6, &o->address6, 64);
	nl_route_default(nl, index, AF_INET6, &o->gateway6);
	frame_slirp_mac6(&o->gateway6, mac);
	nl_neigh_add(nl, index, AF_INET6, &o->gateway6, mac);
}

int net_slirp_child(const struct net_slirp_opts *o, struct net_device *ret, struct err *e)
{
	struct nl nl = NL_NONE;
	struct net_device dev = NET_DEVICE_NONE;
	int r = nl_open(&nl, e);
	if (r < 0)
		return err_ctx(e, "network");
	r = net_device_make(o, &nl, &dev, e);
	if (r >= 0)
		r = nl_link_index(&nl, o->ifname, e);
	if (r >= 0) {
		queue_config(&nl, o, r, dev.kind == NET_DEVICE_TAP);
		r = nl_flush(&nl, e);
	}
	nl_close(&nl);
	if (r < 0) {
		close_fd(&dev.fd);
		return err_ctx(e, "network");
	}
	*ret = dev;
	return 0;
}

int net_lo_up_child(struct err *e)
{
	struct nl nl = NL_NONE;
	int r = nl_open(&nl, e);
	if (r < 0)
		return r;
	nl_link_up(&nl, LO_INDEX);
	r = nl_flush(&nl, e);
	nl_close(&nl);
	return r < 0 ? err_ctx(e, "loopback interface") : 0;
}

/* ---- sysctls ---- */

static int write_at(int dirfd, const char *path, const char *text, struct err *e)
{
	autofd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "open /proc/%s", path);
	if (write(fd, text, strlen(text)) < 0)
		return err_sys(e, errno, "write /proc/%s", path);
	return 0;
}

/* The kernel compares group ids as the initial namespace sees them, so the widest range runs from the container's
 * group with the lowest outer id to the one with the highest. It refuses a range that is reversed on either side; then
 * the extent that holds group 0 must do. */
static void widest_range(const char *map, unsigned long ret[2])
{
	unsigned long inside, outside, count;
	unsigned long low_out = ~0ul, high_out = 0;
	ret[0] = ret[1] = 0;
	unsigned long first[2] = {0, 0};
	int used;
	while (sscanf(map, " %lu %lu %lu%n", &inside, &outside, &count, &used) == 3 && count) {
		map += used;
		if (outside < low_out) {
			low_out = outside;
			ret[0] = inside;
		}
		if (outside + count - 1 >= high_out) {
			high_out = outside + count - 1;
			ret[1] = inside + count - 1;
		}
		if (inside == 0)
			first[1] = count - 1;
	}
	if (ret[0] > ret[1])
		memcpy(ret, first, sizeof(first));
	/* 2^31-1 is the greatest group number the sysctl's parser takes. */
	ret[1] = RL_MIN(ret[1], 2147483647ul);
}

int net_sysctl_child(int procfd, struct err *e)
{
	int r = write_at(procfd, "sys/net/ipv4/ip_unprivileged_port_start", "0", e);
	if (r < 0)
		return r;
	autofd int fd = openat(procfd, "self/gid_map", O_RDONLY | O_CLOEXEC);
	char map[4096];
	ssize_t n = fd < 0 ? -1 : read(fd, map, sizeof(map) - 1);
	if (n < 0)
		return err_sys(e, errno, "read /proc/self/gid_map");
	map[n] = '\0';
	unsigned long range[2];
	widest_range(map, range);
	char text[64];
	snprintf(text, sizeof(text), "%lu %lu", range[0], range[1]);
	struct err refused = ERR_INIT;
	if (write_at(procfd, "sys/net/ipv4/ping_group_range", text, &refused) < 0)
		log_debug(LOG_NET, "ping without privileges will not work: %s", refused.text);
	return 0;
}
