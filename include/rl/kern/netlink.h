/*
 * netlink.h - the few rtnetlink requests that making a container's interface takes.
 *
 * Ours instead of libmnl, because Debian carries no static libmnl and one more shared library on the path of `rl run`
 * costs more start time than all of these requests together.
 *
 * Model: requests are queued in a batch and sent by one system call; only the last one asks for an acknowledgement,
 * and the kernel reports a failed request of a batch in any case, so that the whole configuration of an interface is
 * two system calls. The kernel works a batch off in order and does not stop at a failure: after an error the
 * interface is in an undefined state and is to be thrown away.
 *
 * Calling sequence:
 *     struct nl nl = NL_NONE;
 *     r = nl_open(&nl, e);                     in the network namespace meant; it stays there whatever setns does later
 *     nl_link_up(&nl, 1);                      queue; text for errors is kept as a pointer to static storage
 *     nl_addr_add(&nl, 2, AF_INET, &addr, 24);
 *     r = nl_flush(&nl, e);                    "add address: Operation not permitted"
 *     nl_close(&nl);
 * Context: any role. No allocation. Ownership: struct nl owns its socket.
 */
#ifndef RL_KERN_NETLINK_H
#define RL_KERN_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"

enum {
	NL_BATCH_BYTES = 2048, /* overflow is an error at flush, never a silent loss */
	NL_BATCH_MAX = 24,
};

struct nl {
	int fd;
	uint32_t seq;	   /* of the last request ever queued */
	uint32_t base_seq; /* of the last request before this batch */
	uint32_t len;
	unsigned count;
	bool overflow;
	const char *what[NL_BATCH_MAX];
	_Alignas(8) unsigned char batch[NL_BATCH_BYTES];
};

#define NL_NONE                                                                                                        \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

int nl_open(struct nl *ret, struct err *e) RL_CHECK;
void nl_close(struct nl *nl);
int nl_flush(struct nl *nl, struct err *e) RL_CHECK;

/* Interface index by name in the socket's namespace: -ENODEV. */
int nl_link_index(const struct nl *nl, const char *name, struct err *e) RL_CHECK;
/* Is this port locked? Kernels before 5.18 ignore the request. */
bool nl_bridge_port_is_locked(struct nl *nl, int index);
/* A descriptor of the socket's network namespace: needs no /proc, needs CAP_NET_ADMIN there. */
int nl_netns_fd(const struct nl *nl, struct err *e) RL_CHECK;
/* Switch transmit checksums off (and with them, by the kernel's own rules, scatter-gather and segmentation), so that
 * every frame that leaves `name` is complete. Before the interface is up. */
int nl_link_no_offload(const struct nl *nl, const char *name, struct err *e) RL_CHECK;

/* ---- queued ---- */

void nl_link_up(struct nl *nl, int index);
/* mac NULL: as it is; mtu 0: as it is. no_addrgen: no automatic IPv6 link-local address, thus no DAD and no router
 * solicitation delays. */
struct nl_link_set {
	const uint8_t *mac;
	unsigned mtu;
	bool up;
	bool no_addrgen;
	bool no_arp;
	int master; /* index of a bridge, 0: as it is */
};
void nl_link_set(struct nl *nl, int index, const struct nl_link_set *s);
/* With a veth, the other end goes too, wherever it is. */
void nl_link_del(struct nl *nl, int index);
/* mac NULL: the kernel's choice, which changes with the ports. */
void nl_bridge_add(struct nl *nl, const char *name, const uint8_t *mac);
/* From this port of a bridge only frames with this source address are taken: it learns no others. */
void nl_bridge_port_lock(struct nl *nl, int index, const uint8_t mac[6]);
/* A veth pair: `name` in the socket's namespace and peer_name in the namespace behind peer_netns_fd. */
struct nl_veth {
	const char *name;
	const char *peer_name;
	int peer_netns_fd;
	const uint8_t *peer_mac;
	unsigned mtu; /* of both ends */
};
void nl_veth_add(struct nl *nl, const struct nl_veth *v);
/* A device on top of `parent`, a link of the socket's namespace: `name` in the namespace behind netns_fd. */
struct nl_stacked {
	const char *kind; /* "macvlan", "ipvlan" */
	const char *name;
	int parent; /* index */
	int netns_fd;
	unsigned mode;
	bool mode_is_short; /* 16 bits, as ipvlan has it */
	const uint8_t *mac; /* NULL: the kernel's choice */
	unsigned mtu;	    /* 0: the parent's */
};
void nl_stacked_add(struct nl *nl, const struct nl_stacked *s);
/* addr: struct in_addr or struct in6_addr. IPv6 addresses get nodad, so that they can be used at once. */
void nl_addr_add(struct nl *nl, int index, int family, const void *addr, unsigned prefix);
/* Default route through `gateway` on the interface. */
void nl_route_default(struct nl *nl, int index, int family, const void *gateway);
/* Permanent neighbour entry: no ARP or neighbour discovery for it. */
void nl_neigh_add(struct nl *nl, int index, int family, const void *addr, const uint8_t mac[6]);

/* Policy routing: packets of this protocol with a source port in the range look into `table` first. */
struct nl_rule {
	int family;
	uint32_t priority, table;
	uint8_t proto;
	uint16_t sport_first, sport_last;
};
void nl_rule_add(struct nl *nl, const struct nl_rule *rule);
/* In `table`: this address is local, that is, packets for it are delivered here; what a socket without an address of its
 * own sends to it comes from `source`. */
void nl_route_local_add(struct nl *nl, uint32_t table, int family, const void *addr, const void *source);
void nl_route_local_del(struct nl *nl, uint32_t table, int family, const void *addr);

/* ---- asked ---- */

/* A socket that is readable when routes of IPv4 have changed; what is read from it does not matter. */
int nl_route_events(struct err *e) RL_CHECK;

struct nl_route {
	int family;
	unsigned prefix; /* 0: a default route */
	int oif;	 /* index of the interface it goes out by; 0: none or several */
	bool local;	 /* an address of this machine */
	unsigned char dst[16];
};
/* Call `each` for every unicast or local route of `family` (AF_UNSPEC: both) until it returns nonzero; that value is
 * returned. The socket is used up by an early end: close it. */
int nl_routes(struct nl *nl, int family, int (*each)(const struct nl_route *, void *), void *arg,
	      struct err *e) RL_CHECK;

#endif
