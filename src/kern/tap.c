#include "rl/kern/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "rl/base/mem.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

int tap_open(const char *name, bool vnet_hdr, struct err *e)
{
	autofd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "open /dev/net/tun");
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	if (vnet_hdr)
		ifr.ifr_flags |= IFF_VNET_HDR;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return err_sys(e, errno, "make the TAP interface %s", name);
	return take_fd(&fd);
}

bool tap_is_absent(int error)
{
	return error == -ENOENT || error == -EACCES || error == -EPERM || error == -ENODEV || error == -ENXIO;
}

int packet_open(int ifindex, bool vnet_hdr, struct err *e)
{
	/* Protocol 0 first: nothing is queued before the socket is bound to its one interface. */
	autofd int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "packet socket");
	int one = 1;
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0)
		return err_sys(e, errno, "packet socket: ignore outgoing frames");
	if (vnet_hdr && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0)
		return err_sys(e, errno, "packet socket: virtio headers");
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(e, errno, "bind the packet socket");
	/* The interface's queue would only add a lock and a copy of the queue length problem; best effort. */
	(void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	int bytes = 4 * 1024 * 1024; /* cut to net.core.{r,w}mem_max by the kernel */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return take_fd(&fd);
}
