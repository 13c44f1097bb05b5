/*
 * netlink.c - see netlink.h.
 *
 * request                 message        attributes
 * ----------------------  -------------  ----------------------------------------------------------------
 * nl_link_up, nl_link_set RTM_NEWLINK    IFLA_ADDRESS, IFLA_MTU, IFLA_AF_SPEC{AF_INET6{ADDR_GEN_MODE}}
 * nl_veth_add             RTM_NEWLINK    IFLA_LINKINFO{veth{VETH_INFO_PEER{ifinfomsg, name, netns, mac}}}
 * nl_stacked_add          RTM_NEWLINK    IFLA_LINK, IFLA_NET_NS_FD, IFLA_LINKINFO{kind{mode, attribute 1 of both kinds}}
 * nl_bridge_port_lock     RTM_NEWNEIGH   NTF_MASTER, NDA_LLADDR;  RTM_SETLINK  IFLA_PROTINFO{LEARNING off, LOCKED on}
 * nl_addr_add             RTM_NEWADDR    IFA_LOCAL, IFA_ADDRESS, IFA_FLAGS nodad
 * nl_route_default        RTM_NEWROUTE   RTA_GATEWAY, RTA_OIF
 * nl_neigh_add            RTM_NEWNEIGH   NDA_DST, NDA_LLADDR, permanent
 * nl_rule_add             RTM_NEWRULE    FRA_PRIORITY, FRA_TABLE, FRA_IP_PROTO, FRA_SPORT_RANGE
 * nl_route_local_*        RTM_*ROUTE     RTA_TABLE, RTA_DST, RTA_PREFSRC, RTA_OIF lo, type local
 * nl_routes               RTM_GETROUTE   dump
 *
 * All messages are built in struct nl's own buffer by three helpers (begin, put, nest) that refuse to run past its
 * end; a message that did not fit sets `overflow`, which nl_flush reports.
 */
#include "rl/kern/netlink.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "rl/base/mem.h"

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

enum { NL_DUMP_BYTES = 16 * 1024, LO_INDEX = 1 };

int nl_open(struct nl *ret, struct err *e)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return err_sys(e, errno, "netlink socket");
	ret->fd = fd;
	ret->seq = ret->base_seq = 0;
	ret->len = ret->count = 0;
	ret->overflow = false;
	return 0;
}

void nl_close(struct nl *nl)
{
	close_fd(&nl->fd);
}

/* ---- building ---- */

static void *reserve(struct nl *nl, size_t len)
{
	size_t aligned = NLMSG_ALIGN(len);
	if (nl->overflow || sizeof(nl->batch) - nl->len < aligned) {
		nl->overflow = true;
		return NULL;
	}
	void *p = nl->batch + nl->len;
	memset(p, 0, aligned);
	nl->len += (uint32_t)aligned;
	return p;
}

/* Start a message; its length is set by end(). Returns the place of the header. */
static struct nlmsghdr *begin(struct nl *nl, int type, int flags, const char *what, const void *family, size_t len)
{
	if (nl->count == NL_BATCH_MAX)
		nl->overflow = true;
	struct nlmsghdr *h = reserve(nl, NLMSG_LENGTH(len));
	if (!h)
		return NULL;
	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++nl->seq;
	memcpy(NLMSG_DATA(h), family, len);
	nl->what[nl->count++] = what;
	return h;
}

static void end(struct nl *nl, struct nlmsghdr *h)
{
	if (h)
		h->nlmsg_len = (uint32_t)(nl->batch + nl->len - (unsigned char *)h);
}

static struct rtattr *put(struct nl *nl, int type, const void *data, size_t len)
{
	struct rtattr *a = reserve(nl, RTA_LENGTH(len));
	if (!a)
		return NULL;
	a->rta_type = (uint16_t)type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	return a;
}

static void put_u32(struct nl *nl, int type, uint32_t value)
{
	(void)put(nl, type, &value, sizeof(value));
}

static void put_str(struct nl *nl, int type, const char *text)
{
	(void)put(nl, type, text, strlen(text) + 1);
}

static struct rtattr *nest(struct nl *nl, int type)
{
	return put(nl, type, NULL, 0);
}

static void nest_end(struct nl *nl, struct rtattr *a)
{
	if (a)
		a->rta_len = (uint16_t)(nl->batch + nl->len - (unsigned char *)a);
}

/* ---- queued requests ---- */

void nl_link_up(struct nl *nl, int index)
{
	nl_link_set(nl, index, &(struct nl_link_set){.up = true});
}

void nl_link_set(struct nl *nl, int index, const struct nl_link_set *s)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	if (s->up) {
		info.ifi_flags |= IFF_UP;
		info.ifi_change |= IFF_UP;
	}
	if (s->no_arp) {
		info.ifi_flags |= IFF_NOARP;
		info.ifi_change |= IFF_NOARP;
	}
	struct nlmsghdr *h = begin(nl, RTM_NEWLINK, 0, "set up the interface", &info, sizeof(info));
	if (s->mac)
		(void)put(nl, IFLA_ADDRESS, s->mac, 6);
	if (s->mtu)
		put_u32(nl, IFLA_MTU, s->mtu);
	if (s->master)
		put_u32(nl, IFLA_MASTER, (uint32_t)s->master);
	if (s->no_addrgen) {
		uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
		struct rtattr *spec = nest(nl, IFLA_AF_SPEC);
		struct rtattr *inet6 = nest(nl, AF_INET6);
		(void)put(nl, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
		nest_end(nl, inet6);
		nest_end(nl, spec);
	}
	end(nl, h);
}

void nl_link_del(struct nl *nl, int index)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	end(nl, begin(nl, RTM_DELLINK, 0, "remove the interface", &info, sizeof(info)));
}

void nl_bridge_add(struct nl *nl, const char *name, const uint8_t *mac)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct nlmsghdr *h = begin(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make a bridge", &info, sizeof(info));
	put_str(nl, IFLA_IFNAME, name);
	if (mac)
		(void)put(nl, IFLA_ADDRESS, mac, 6);
	struct rtattr *linkinfo = nest(nl, IFLA_LINKINFO);
	put_str(nl, IFLA_INFO_KIND, "bridge");
	nest_end(nl, linkinfo);
	end(nl, h);
}

/* A locked port takes a frame only if the bridge's table has its source address at this very port. */
void nl_bridge_port_lock(struct nl *nl, int index, const uint8_t mac[6])
{
	const uint8_t on = 1, off = 0;
	struct ifinfomsg info = {.ifi_family = AF_BRIDGE, .ifi_index = index};
	struct ndmsg entry = {
		.ndm_family = AF_BRIDGE, .ndm_ifindex = index, .ndm_flags = NTF_MASTER, .ndm_state = NUD_NOARP};
	struct nlmsghdr *h = begin(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "enter the port's address", &entry,
				   sizeof(entry));
	(void)put(nl, NDA_LLADDR, mac, 6);
	end(nl, h);
	h = begin(nl, RTM_SETLINK, 0, "lock the port", &info, sizeof(info));
	struct rtattr *port = nest(nl, IFLA_PROTINFO | NLA_F_NESTED);
	(void)put(nl, IFLA_BRPORT_LEARNING, &off, sizeof(off));
	(void)put(nl, IFLA_BRPORT_LOCKED, &on, sizeof(on));
	nest_end(nl, port);
	end(nl, h);
}

void nl_veth_add(struct nl *nl, const struct nl_veth *v)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct nlmsghdr *h = begin(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make a veth pair", &info, sizeof(info));
	put_str(nl, IFLA_IFNAME, v->name);
	if (v->mtu)
		put_u32(nl, IFLA_MTU, v->mtu);
	struct rtattr *linkinfo = nest(nl, IFLA_LINKINFO);
	put_str(nl, IFLA_INFO_KIND, "veth");
	struct rtattr *data = nest(nl, IFLA_INFO_DATA);
	struct rtattr *peer = nest(nl, VETH_INFO_PEER);
	(void)reserve(nl, sizeof(struct ifinfomsg));
	put_str(nl, IFLA_IFNAME, v->peer_name);
	if (v->mtu)
		put_u32(nl, IFLA_MTU, v->mtu);
	if (v->peer_mac)
		(void)put(nl, IFLA_ADDRESS, v->peer_mac, 6);
	put_u32(nl, IFLA_NET_NS_FD, (uint32_t)v->peer_netns_fd);
	nest_end(nl, peer);
	nest_end(nl, data);
	nest_end(nl, linkinfo);
	end(nl, h);
}

void nl_stacked_add(struct nl *nl, const struct nl_stacked *s)
{
	enum { MODE = 1 }; /* IFLA_MACVLAN_MODE and IFLA_IPVLAN_MODE */
	_Static_assert((int)IFLA_MACVLAN_MODE == 1 && (int)IFLA_IPVLAN_MODE == 1, "both kinds have it there");
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	uint16_t short_mode = (uint16_t)s->mode;
	struct nlmsghdr *h = begin(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make the interface", &info,
				   sizeof(info));
	put_str(nl, IFLA_IFNAME, s->name);
	put_u32(nl, IFLA_LINK, (uint32_t)s->parent);
	if (s->mtu)
		put_u32(nl, IFLA_MTU, s->mtu);
	if (s->mac)
		(void)put(nl, IFLA_ADDRESS, s->mac, 6);
	put_u32(nl, IFLA_NET_NS_FD, (uint32_t)s->netns_fd);
	struct rtattr *linkinfo = nest(nl, IFLA_LINKINFO);
	put_str(nl, IFLA_INFO_KIND, s->kind);
	struct rtattr *data = nest(nl, IFLA_INFO_DATA);
	if (s->mode_is_short)
		(void)put(nl, MODE, &short_mode, sizeof(short_mode));
	else
		put_u32(nl, MODE, s->mode);
	nest_end(nl, data);
	nest_end(nl, linkinfo);
	end(nl, h);
}

static size_t addr_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

void nl_addr_add(struct nl *nl, int index, int family, const void *addr, unsigned prefix)
{
	struct ifaddrmsg msg = {
		.ifa_family = (uint8_t)family, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = (uint32_t)index};
	struct nlmsghdr *h = begin(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "add the address", &msg, sizeof(msg));
	(void)put(nl, IFA_LOCAL, addr, addr_len(family));
	(void)put(nl, IFA_ADDRESS, addr, addr_len(family));
	if (family == AF_INET6)
		put_u32(nl, IFA_FLAGS, IFA_F_NODAD);
	end(nl, h);
}

void nl_route_default(struct nl *nl, int index, int family, const void *gateway)
{
	struct rtmsg msg = {
		.rtm_family = (uint8_t)family,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	struct nlmsghdr *h = begin(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "add the default route", &msg,
				   sizeof(msg));
	(void)put(nl, RTA_GATEWAY, gateway, addr_len(family));
	put_u32(nl, RTA_OIF, (uint32_t)index);
	end(nl, h);
}

void nl_neigh_add(struct nl *nl, int index, int family, const void *addr, const uint8_t mac[6])
{
	struct ndmsg msg = {.ndm_family = (uint8_t)family, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
	struct nlmsghdr *h = begin(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "add a neighbour", &msg,
				   sizeof(msg));
	(void)put(nl, NDA_DST, addr, addr_len(family));
	(void)put(nl, NDA_LLADDR, mac, 6);
	end(nl, h);
}

void nl_rule_add(struct nl *nl, const struct nl_rule *rule)
{
	struct fib_rule_hdr msg = {.family = (uint8_t)rule->family, .action = FR_ACT_TO_TBL};
	struct fib_rule_port_range ports = {.start = rule->sport_first, .end = rule->sport_last};
	struct nlmsghdr *h = begin(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, "add a routing rule", &msg, sizeof(msg));
	put_u32(nl, FRA_PRIORITY, rule->priority);
	put_u32(nl, FRA_TABLE, rule->table);
	(void)put(nl, FRA_IP_PROTO, &rule->proto, sizeof(rule->proto));
	(void)put(nl, FRA_SPORT_RANGE, &ports, sizeof(ports));
	end(nl, h);
}

static void route_local(struct nl *nl, int type, int flags, const char *what, uint32_t table, int family,
			const void *addr, const void *source)
{
	struct rtmsg msg = {
		.rtm_family = (uint8_t)family,
		.rtm_dst_len = (uint8_t)(addr_len(family) * 8),
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_HOST,
		.rtm_type = RTN_LOCAL,
	};
	struct nlmsghdr *h = begin(nl, type, flags, what, &msg, sizeof(msg));
	put_u32(nl, RTA_TABLE, table);
	(void)put(nl, RTA_DST, addr, addr_len(family));
	put_u32(nl, RTA_OIF, LO_INDEX);
	if (source)
		(void)put(nl, RTA_PREFSRC, source, addr_len(family));
	end(nl, h);
}

void nl_route_local_add(struct nl *nl, uint32_t table, int family, const void *addr, const void *source)
{
	route_local(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "add a local route", table, family, addr, source);
}

void nl_route_local_del(struct nl *nl, uint32_t table, int family, const void *addr)
{
	route_local(nl, RTM_DELROUTE, 0, "remove a local route", table, family, addr, NULL);
}

/* ---- sending and acknowledgements ---- */

static int send_batch(struct nl *nl, struct err *e)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t n;
	do
		n = sendto(nl->fd, nl->batch, nl->len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "send to netlink");
	return 0;
}

static ssize_t receive(struct nl *nl, void *buf, size_t size, struct err *e)
{
	ssize_t n;
	do
		n = recv(nl->fd, buf, size, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "receive from netlink");
	if ((size_t)n > size)
		return err_set(e, EMSGSIZE, "netlink message of %zd bytes is too long", n);
	return n;
}

/* Look at every answer in one datagram. Returns 1 when the last request has been acknowledged, 0 when not yet. */
static int read_acks(struct nl *nl, const unsigned char *buf, size_t n, struct err *e)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		uint32_t index = h->nlmsg_seq - nl->base_seq - 1;
		if (h->nlmsg_type != NLMSG_ERROR || index >= nl->count)
			continue;
		const struct nlmsgerr *report = NLMSG_DATA(h);
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*report)))
			return err_set(e, EBADMSG, "netlink answer is too short");
		if (report->error)
			return err_sys(e, -report->error, "%s", nl->what[index]);
		if (index == nl->count - 1)
			return 1;
	}
	return 0;
}

static int flush_inner(struct nl *nl, struct err *e)
{
	if (nl->overflow)
		return err_set(e, E2BIG, "netlink batch is too long");
	struct nlmsghdr *last = (void *)nl->batch;
	for (unsigned i = 1; i < nl->count; i++)
		last = (void *)((unsigned char *)last + NLMSG_ALIGN(last->nlmsg_len));
	last->nlmsg_flags |= NLM_F_ACK;
	int r = send_batch(nl, e);
	while (r == 0) {
		_Alignas(8) unsigned char buf[4096];
		ssize_t n = receive(nl, buf, sizeof(buf), e);
		if (n < 0)
			return (int)n;
		r = read_acks(nl, buf, (size_t)n, e);
	}
	return r < 0 ? r : 0;
}

int nl_flush(struct nl *nl, struct err *e)
{
	int r = nl->count || nl->overflow ? flush_inner(nl, e) : 0;
	nl->base_seq = nl->seq;
	nl->len = nl->count = 0;
	nl->overflow = false;
	return r;
}

/* ---- asked at once ---- */

int nl_link_index(const struct nl *nl, const char *name, struct err *e)
{
	struct ifreq ifr = {0};
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(nl->fd, SIOCGIFINDEX, &ifr) < 0)
		return err_sys(e, errno, "interface %s", name);
	return ifr.ifr_ifindex;
}

/* The attribute of this type among `len` bytes of attributes. */
static const struct rtattr *find_attr(const struct rtattr *first, size_t len, unsigned short type)
{
	for (const struct rtattr *a = first; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static const struct rtattr *find_inside(const struct rtattr *outer, unsigned short type)
{
	return outer ? find_attr(RTA_DATA(outer), RTA_PAYLOAD(outer), type) : NULL;
}

bool nl_bridge_port_is_locked(struct nl *nl, int index)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg msg;
	} request = {
		.h = {.nlmsg_len = sizeof(request),
		      .nlmsg_type = RTM_GETLINK,
		      .nlmsg_flags = NLM_F_REQUEST,
		      .nlmsg_seq = ++nl->seq},
		.msg = {.ifi_family = AF_UNSPEC, .ifi_index = index},
	};
	autofree unsigned char *buf = xmalloc(NL_DUMP_BYTES);
	nl->base_seq = nl->seq;
	if (send(nl->fd, &request, sizeof(request), 0) < 0)
		return false;
	ssize_t n = receive(nl, buf, NL_DUMP_BYTES, NULL);
	const struct nlmsghdr *h = (const void *)buf;
	if (n < 0 || !NLMSG_OK(h, (size_t)n) || h->nlmsg_seq != nl->seq || h->nlmsg_type != RTM_NEWLINK)
		return false;
	const struct rtattr *info = find_attr(IFLA_RTA(NLMSG_DATA(h)), IFLA_PAYLOAD(h), IFLA_LINKINFO);
	const struct rtattr *locked = find_inside(find_inside(info, IFLA_INFO_SLAVE_DATA), IFLA_BRPORT_LOCKED);
	return locked && RTA_PAYLOAD(locked) == 1 && *(const uint8_t *)RTA_DATA(locked) == 1;
}

int nl_netns_fd(const struct nl *nl, struct err *e)
{
	int fd = ioctl(nl->fd, SIOCGSKNS);
	if (fd < 0)
		return err_sys(e, errno, "descriptor of the network namespace");
	return fd;
}

int nl_link_no_offload(const struct nl *nl, const char *name, struct err *e)
{
	struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM};
	struct ifreq ifr = {.ifr_data = (void *)&off};
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(nl->fd, SIOCETHTOOL, &ifr) < 0)
		return err_sys(e, errno, "switch off checksum offload of %s", name);
	return 0;
}

int nl_route_events(struct err *e)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_ROUTE};
	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, errno, "listen for changes of routes");
	return take_fd(&fd);
}

static bool parse_route(const struct nlmsghdr *h, struct nl_route *ret)
{
	const struct rtmsg *msg = NLMSG_DATA(h);
	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return false;
	if (msg->rtm_type != RTN_UNICAST && msg->rtm_type != RTN_LOCAL)
		return false;
	if (msg->rtm_family != AF_INET && msg->rtm_family != AF_INET6)
		return false;
	*ret = (struct nl_route){
		.family = msg->rtm_family, .prefix = msg->rtm_dst_len, .local = msg->rtm_type == RTN_LOCAL};
	size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof(*msg));
	for (const struct rtattr *a = RTM_RTA(msg); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) == addr_len(msg->rtm_family))
			memcpy(ret->dst, RTA_DATA(a), RTA_PAYLOAD(a));
		else if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(ret->oif))
			memcpy(&ret->oif, RTA_DATA(a), sizeof(ret->oif));
	return true;
}

int nl_routes(struct nl *nl, int family, int (*each)(const struct nl_route *, void *), void *arg, struct err *e)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg msg;
	} request = {
		.h = {.nlmsg_len = sizeof(request),
		      .nlmsg_type = RTM_GETROUTE,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		      .nlmsg_seq = ++nl->seq},
		.msg = {.rtm_family = (uint8_t)family},
	};
	nl->base_seq = nl->seq;
	if (send(nl->fd, &request, sizeof(request), 0) < 0)
		return err_sys(e, errno, "ask for the routes");
	autofree unsigned char *buf = xmalloc(NL_DUMP_BYTES);
	for (;;) {
		ssize_t n = receive(nl, buf, NL_DUMP_BYTES, e);
		if (n < 0)
			return (int)n;
		size_t left = (size_t)n;
		for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			struct nl_route route;
			if (h->nlmsg_seq != nl->seq)
				continue;
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *report = NLMSG_DATA(h);
				return err_sys(e, report->error ? -report->error : EIO, "list the routes");
			}
			int r = parse_route(h, &route) ? each(&route, arg) : 0;
			if (r)
				return r;
		}
	}
}
