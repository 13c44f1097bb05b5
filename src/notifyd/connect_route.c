/*
 * connect_route.c - where a target lies, as the container's own routing table has it at this moment.
 *
 * The kernel is asked with one netlink request (RTM_GETROUTE) on a socket the container's first process opened in its
 * network namespace. What would go through the way out, the gateway of rl-netd, is outside; everything else (the
 * container itself, neighbours on any network it is or will be connected to, what has no route) is not our business.
 * A container that changes its routes can only send targets the slow way, or have targets judged that it could
 * have reached that way too.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "rl/base/mem.h"
#include "rl/engine/net_frame.h"

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
	ssize_t n = recv(c->route_fd, buf, sizeof(buf), MSG_DONTWAIT);
	const struct nlmsghdr *h = (const void *)buf;
	if (n < 0 || !NLMSG_OK(h, (size_t)n) || h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_seq != c->route_seq)
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

bool connect_leads_outside(struct connect *c, const struct net_target *t)
{
	const struct notifyd_connect *cfg = c->cfg;
	uint8_t gateway[16] = {0};
	bool is4 = t->family == AF_INET;
	if (is_closed(t))
		return false;
	if (cfg->has_policy && (c->names_matter || net_policy_judge(&cfg->policy, t) != NET_ALLOWED))
		return false; /* rl-netd knows the names, refuses and notes */
	return ask_gateway(c, t, gateway) &&
	       memcmp(gateway, is4 ? (const void *)&cfg->gateway : (const void *)&cfg->gateway6, is4 ? 4 : 16) == 0;
}
