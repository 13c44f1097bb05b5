/*
 * network.h - networks with a name: made, listed, removed; and the process that holds one while containers use it.
 *
 * A network is a record, networks/NAME.json. While a container is on it, its holder (`rl network hold`, started by the
 * first one, rl/engine/net_named.h) listens on networks/NAME.sock; without one there is nothing but the record.
 */
#ifndef RL_SVC_NETWORK_H
#define RL_SVC_NETWORK_H

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/engine/net_named.h"
#include "rl/engine/store.h"
#include "rl/model/network_rec.h"

struct network_create_opts {
	struct network_rec rec; /* what was asked for; network_create fills in and frees */
	bool ipv6;		/* a subnet of IPv6 too, if none is given */
	bool ignore;		/* one of this name that exists is success */
};

/* Free subnets are those no route of the host and no other network uses. -EEXIST: the name is taken. */
int network_create(const char *root, struct network_create_opts *o, struct err *e) RL_CHECK;
/* One object per network with the members docker's and podman's templates use; filters name=, label=, driver=, id=. */
int network_rows(const char *root, const struct strv *filters, json_t **ret_rows, struct err *e) RL_CHECK;
int network_inspect(const char *root, const char *name, json_t **ret_doc, struct err *e) RL_CHECK;
/* -EBUSY while containers that exist want it; `force` removes them first. */
int network_remove(const char *root, const char *name, bool force, struct err *e) RL_CHECK;
/* Those that no container wants. */
int network_prune(const char *root, const struct strv *filters, struct strv *ret_removed, struct err *e) RL_CHECK;
/* 1, 0 */
int network_exists(const char *root, const char *name, struct err *e) RL_CHECK;

struct network_connect_opts {
	const char *ip, *ip6, *mac; /* or NULL: any */
	const struct strv *aliases;
};
/* A container gets one more network, at once if it runs and at every start from then on. */
int network_connect(const char *root, const char *network, const char *container, const struct network_connect_opts *o,
		    struct err *e) RL_CHECK;
int network_disconnect(const char *root, const char *network, const char *container, struct err *e) RL_CHECK;

/* As root: /run/netns/NAME for the network namespace of a running container, as ip-netns(8) looks for them; or take it
 * away. It goes with the container's end. */
int network_ns(const char *root, const char *container, bool remove, struct str *ret_path, struct err *e) RL_CHECK;

/* Addresses on a network for a container that is about to start, and the connection that keeps them. Starts the holder
 * if there is none. */
int network_lease(const struct store *s, struct net_lease *lease, int *ret_conn, struct err *e) RL_CHECK;
/* The container with this address leaves: its interface goes. -ENOENT: it is not on the network. */
int network_unplug(const struct store *s, const char *name, const uint8_t mac[NET_MAC_LEN], struct err *e) RL_CHECK;
/* What the container of this connection may, before it is plugged in; `log_fd` (rl/engine/net_log.h) may be -1. */
int network_rights(int conn, const struct net_rights *rights, int log_fd, struct err *e) RL_CHECK;
/* All published ports of that container, for the rules of root's networks. Nothing where these are not used. */
int network_publish(const struct store *s, const char *name, const uint8_t mac[NET_MAC_LEN],
		    const struct net_ports *ports, struct err *e) RL_CHECK;
/* The holder; descriptor 3 leads to who started it. Returns when the last container has gone. */
int network_hold(const char *root, const char *name, struct err *e) RL_CHECK;

#endif
