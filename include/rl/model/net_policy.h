/*
 * net_policy.h - where a container may connect to: the lists behind --allow-net and --deny-net, as data and as judge.
 *
 * Grammar of one item, items separated by commas:
 *     ITEM    = TARGET | TARGET ":" PORT | TARGET ":" PORT "-" PORT
 *     TARGET  = ADDRESS | ADDRESS "/" PREFIX | NAME | "*." NAME | "metadata"
 * An IPv6 address or network with a port stands in brackets: [2001:db8::/32]:443. Addresses are read with inet_pton, a
 * network must not have bits beyond its prefix, a name's last label is not a number. "metadata" stands for the
 * addresses and names under which clouds serve credentials to a machine.
 *
 * Model: with an allow list everything that is not on it is refused, without one everything is allowed; what is on the
 * deny list is refused in any case. A name that is denied closes the other name servers (ports 53 and 853) where there is no allow
 * list, because the resolver could be gone round. A port belongs to TCP and UDP: an item with one says nothing about ICMP. "*.a.b" is
 * every name below a.b and not a.b itself. A name opens the addresses the resolver gave for it (rl/engine/net_egress.h);
 * it never opens the metadata addresses. An IPv6 address that a translator would turn into an IPv4 address (64:ff9b::/96,
 * 2002::/16) is refused where the deny list refuses that.
 *
 * struct net_policy is flat: it is copied into other processes as it is.
 */
#ifndef RL_MODEL_NET_POLICY_H
#define RL_MODEL_NET_POLICY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum {
	NET_POLICY_ITEMS = 192, /* after "metadata" has been replaced by what it stands for */
	NET_POLICY_NAMES = 4096,
	NET_POLICY_NAME_MAX = 253,
};

struct net_policy_item {
	uint8_t family; /* AF_INET, AF_INET6; 0: a name */
	uint8_t prefix;
	bool deny;
	bool below; /* "*.NAME": the names below it */
	uint8_t address[16];
	uint16_t name;	      /* where it begins in `names`; lower case, no dot at the end */
	uint16_t first, last; /* ports; 0 and 65535: any, and ICMP too */
};

struct net_policy {
	uint16_t count, names_len;
	bool has_allow;	 /* there is an allow list */
	bool closes_dns; /* a name is denied: without an allow list no other name server may be asked for it */
	struct net_policy_item items[NET_POLICY_ITEMS];
	char names[NET_POLICY_NAMES];
};

/* Where somebody wants to go. `proto` is IPPROTO_TCP, IPPROTO_UDP, or anything else for "no ports". */
struct net_target {
	int family;
	uint8_t proto;
	uint16_t port; /* host order */
	uint8_t address[16];
};

enum net_verdict {
	NET_ALLOWED,
	NET_DENIED,
	NET_UNLISTED, /* there is an allow list and no address on it says yes; a name may */
	NET_VERDICT_N
};

/* Append one value of --allow-net (deny: --deny-net) as typed. On failure `p` is as before. */
int net_policy_add(struct net_policy *p, const char *list, bool deny, struct err *e) RL_CHECK;
/* As if "ADDRESS" stood on the allow list with the ports of every allowed item that matches `name`: for names that are
 * resolved without asking (--add-host). Nothing happens when none does. */
int net_policy_add_alias(struct net_policy *p, const char *name, const char *address, struct err *e) RL_CHECK;
static inline bool net_policy_is_empty(const struct net_policy *p)
{
	return p->count == 0;
}

/* By the addresses alone. */
enum net_verdict net_policy_judge(const struct net_policy *p, const struct net_target *t);
/* What `name` says about `t`, an address the resolver gave for it; NET_UNLISTED: nothing. */
enum net_verdict net_policy_judge_name(const struct net_policy *p, const char *name, const struct net_target *t);
/* May this name be looked up? */
bool net_policy_may_ask(const struct net_policy *p, const char *name);
/* May it be an alias on the way to an answer? Only what is denied may not. */
bool net_policy_may_alias(const struct net_policy *p, const char *name);
bool net_target_is_metadata(const struct net_target *t);

#endif
