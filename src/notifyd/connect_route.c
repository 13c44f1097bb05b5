/*
 * connect_route.c - where a target lies, as the container's own routing table has it at this moment.
 *
 * The kernel is asked with one netlink request (RTM_GETROUTE) on a socket the container's first process opened in its
 * network namespace. What would go through the way out, the gateway of rl-netd, is outside; everything else (the
 * container itself, neighbours on any network it is or will be connected to, what has no route) is not our business.
 * A container that changes its routes can only send targets the slow way, or have targets judged that it could
 * have reached that way too.
 *
 * An answer holds until the kernel says on the same socket that addresses, links, rules or routes have changed: it says so
 * before the change returns to who made it. Looking whether it has costs a tenth of asking.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "rl/base/mem.h"
#include "rl/engine/net_frame.h"

enum { MESSAGES = 64 /* read in one go */ };

bool connect_target(const struct connect_call *k, struct net_target *ret)
{
	struct net_target t = {.proto = IPPROTO_TCP};
	if (k->address.ss_family == AF_INET && k->len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *a = (const void *)&k->address;
		t.family = AF_INET;
		t.port = ntohs(a->sin_port);
		memcpy(t.address, &a->sin_addr, 4);
	} else if (k->address.ss_family == AF_INET6 && k->len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *a = (const void *)&k->address;
		bool is4 = IN6_IS_ADDR_V4MAPPED(&a->sin6_addr);
		t.family = is4 ? AF_INET : AF_INET6;
		t.port = ntohs(a->sin6_port);
		memcpy(t.address, a->sin6_addr.s6_addr + (is4 ? 12 : 0), is4 ? 4 : 16);
	} else {
		return false;
	}
	*ret = t;
	return t.port != 0;
}

static bool is_closed(const struct net_target *t)
{
	struct in_addr a4;
	struct in6_addr a6;
	memcpy(&a4, t->address, sizeof(a4));
	memcpy(&a6, t->address, sizeof(a6));
	return t->family == AF_INET ? frame_addr4_closed(a4) : frame_addr6_closed(&a6);
}

struct request {
	struct nlmsghdr h;
	struct rtmsg msg;
	struct rtattr attr;
	uint8_t address[16];
};

/* What decides a route. */
static const int watched[] = {RTNLGRP_LINK,	   RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,
			      RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE,	RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP};

void connect_watch_routes(struct connect *c)
{
	struct sockaddr_nl own = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(own);
	bool good = bind(c->route_fd, (struct sockaddr *)&own, sizeof(own)) == 0 &&
		    getsockname(c->route_fd, (struct sockaddr *)&own, &len) == 0;
	c->route_port = own.nl_pid;
	for (size_t i = 0; i < ARRAY_SIZE(watched) && good; i++)
		good = setsockopt(c->route_fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &watched[i], sizeof(watched[i])) ==
		       0;
	c->routes_watched = good;
}

/* Whoever changes something all the time is asked about it all the time. */
static void see_changes(struct connect *c)
{
	char unused[16];
	bool changed = !c->routes_watched;
	for (int i = 0; i < MESSAGES; i++) {
		ssize_t n = recv(c->route_fd, unused, sizeof(unused), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == EAGAIN)
			break;
		changed = true;
	}
	if (changed)
		memset(c->routes, 0, sizeof(c->routes));
}

/* The answer to our last question, past changes it knows of already. */
static ssize_t read_answer(struct connect *c, void *buf, size_t size)
{
	for (int i = 0; i < MESSAGES; i++) {
		ssize_t n = recv(c->route_fd, buf, size, MSG_DONTWAIT);
		const struct nlmsghdr *h = buf;
		if (n < 0 && errno != ENOBUFS)
			break;
		if (n >= 0 && NLMSG_OK(h, (size_t)n) && h->nlmsg_pid == c->route_port && h->nlmsg_seq == c->route_seq)
			return n;
		memset(c->routes, 0, sizeof(c->routes));
	}
	return -1;
}

/* The gateway of the route to `t` into ret (16 bytes); false: there is none. */
static bool ask_gateway(struct connect *c, const struct net_target *t, uint8_t ret[16])
{
	size_t len = t->family == AF_INET ? 4 : 16;
	struct request q = {
		.h = {.nlmsg_len = (uint32_t)(offsetof(struct request, address) + len),
		      .nlmsg_type = RTM_GETROUTE,
		      .nlmsg_flags = NLM_F_REQUEST,
		      .nlmsg_seq = ++c->route_seq},
		.msg = {.rtm_family = (uint8_t)t->family, .rtm_dst_len = (uint8_t)(len * 8)},
		.attr = {.rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = RTA_DST},
	};
	_Alignas(struct nlmsghdr) uint8_t buf[2048];
	memcpy(q.address, t->address, len);
	if (send(c->route_fd, &q, q.h.nlmsg_len, MSG_DONTWAIT) < 0)
		return false;
	const struct nlmsghdr *h = (const void *)buf;
	if (read_answer(c, buf, sizeof(buf)) < 0 || h->nlmsg_type != RTM_NEWROUTE)
		return false;
	const struct rtmsg *msg = NLMSG_DATA(h);
	size_t left = RTM_PAYLOAD(h);
	if (msg->rtm_type != RTN_UNICAST)
		return false;
	for (const struct rtattr *a = RTM_RTA(msg); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == RTA_GATEWAY && RTA_PAYLOAD(a) == len) {
			memcpy(ret, RTA_DATA(a), len);
			return true;
		}
	return false;
}

static bool is_behind_gateway(struct connect *c, const struct net_target *t)
{
	const struct notifyd_connect *cfg = c->cfg;
	uint8_t gateway[16] = {0};
	bool is4 = t->family == AF_INET;
	size_t len = is4 ? 4 : 16;
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ t->address[i]) * 16777619u;
	struct connect_route *known = &c->routes[hash % CONNECT_ROUTES];
	see_changes(c);
	if (known->family == t->family && memcmp(known->address, t->address, len) == 0)
		return known->outside;
	bool outside = ask_gateway(c, t, gateway) &&
		       memcmp(gateway, is4 ? (const void *)&cfg->gateway : (const void *)&cfg->gateway6, len) == 0;
	*known = (struct connect_route){.family = t->family, .outside = outside};
	memcpy(known->address, t->address, len);
	return outside;
}

bool connect_leads_outside(struct connect *c, const struct net_target *t)
{
	const struct notifyd_connect *cfg = c->cfg;
	if (is_closed(t))
		return false;
	if (cfg->has_policy && (c->names_matter || net_policy_judge(&cfg->policy, t) != NET_ALLOWED))
		return false; /* rl-netd knows the names, refuses and notes */
	return is_behind_gateway(c, t);
}
