/* network_int.h - what the files of svc/network share: a network's files, and the holder's first word. */
#ifndef RL_SVC_NETWORK_INT_H
#define RL_SVC_NETWORK_INT_H

#include <sys/un.h>

#include "rl/base/err.h"
#include "rl/svc/container_store.h"

/* From the holder to whoever started it: it listens. */
enum { NETWORK_STEP_READY = 1 };

/* "NAME.SUFFIX"; the caller's to free. */
char *network_file(const char *name, const char *suffix);
/* The holder's socket; dirfd is networks/. */
void network_socket_address(int dirfd, const char *name, struct sockaddr_un *ret);
int network_open_lock(int dirfd, const char *name, struct err *e) RL_CHECK;

/* The file in networks/ that says which interfaces forward because of us. */
#define NETWORK_LEDGER "forwarding"

/* True for root of the machine: networks are in the host's namespace. */
bool network_is_hosts(void);
struct network_rec;
struct network_addrs;
struct net_place;
void network_place(const struct network_rec *rec, struct net_place *ret);
/* The rest of *p: addresses of the host, and whether it takes packets out, which it does if it can and no firewall would
 * drop them. What a holder that was killed has left is cleared. -EEXIST: the bridge's name is somebody else's. */
int network_choose_routes(const struct network_rec *rec, const struct network_addrs *a, struct net_place *p,
			  struct err *e) RL_CHECK;

/* network_ns.c: the container is ending; dirfd is its directory. */
void network_ns_end(int dirfd);

/* network_connect.c: endpoints that were changed while it runs replace those of the state that was read. */
void container_network_reread(struct container_rec *rec);

#endif
