/*
 * connect.h - the fast path: TCP connections out of a container made on sockets of the host; private to src/notifyd.
 *
 *   connect.c          the two calls: which socket, where to, on which socket it is done
 *   connect_route.c    does this target lie behind the way out, and may the container go there
 *   connect_proof.c    is the caller's descriptor the only one of its socket
 *   connect_switch.c   a socket of the host in the place of the container's
 *   connect_wait.c     connections under way for callers that wait
 *
 * The payload itself can neither connect nor bind a TCP socket (Landlock), so every such call is done here: on the
 * payload's own socket, obtained by pidfd_getfd, where the target is inside (then the packets take the usual way), or on a
 * new socket of the host that takes its number. What other kinds of sockets do continues in the kernel: if a thread puts
 * another descriptor or address in their place meanwhile, it has gained a call that Landlock refuses.
 *
 * What a payload could do with a socket of the host that it must not: connect it elsewhere (Landlock, and the calls that
 * connect on the way, refused by `refused`), bind it (Landlock), listen on it after a disconnect (no port is left to it,
 * connect_switch.c).
 */
#ifndef RL_NOTIFYD_CONNECT_H
#define RL_NOTIFYD_CONNECT_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "notifyd.h"
#include "rl/model/net_policy.h"

enum { CONNECT_PORT_RANGE = 51 }; /* IP_LOCAL_PORT_RANGE, newer than the headers of the build */

enum {
	CONNECT_PIDFDS = 16,
	CONNECT_DIRS = 64,
	CONNECT_ROUTES = 64,
	CONNECT_WAITING_MAX = 400, /* two descriptors each */
};

struct connect_waiting;
struct connect_default;

struct connect {
	struct notifyd *d;
	const struct notifyd_connect *cfg;
	int route_fd;	/* netlink, in the container's network namespace */
	int model_fd;	/* a TCP socket of it that nobody has touched: what its options are when not set */
	int proc_fd;	/* the container's /proc */
	int list_fd;	/* the same, to be listed */
	long list_from; /* from here on; 0: from the beginning */
	struct connect_dir {
		int fd, info; /* PID/fd and PID/fdinfo in it, or -1 */
		char pid[12];
	} dirs[CONNECT_DIRS];
	struct connect_name {
		uint32_t pid;
		char name[12];
	} names[CONNECT_DIRS]; /* under which number a caller is in it; a guess, looked at before it is used */
	struct connect_info {
		uint32_t pid; /* or 0 */
		int fd, file;
	} infos[CONNECT_PIDFDS];	/* fdinfo of what a caller connected last, open */
	uint64_t host_netns, own_netns; /* SO_NETNS_COOKIE */
	bool names_matter;		/* addresses alone do not say what is refused */
	uint32_t route_seq, route_port;
	bool routes_watched;
	struct connect_route {
		int family; /* 0: none */
		uint8_t address[16];
		bool outside;
	} routes[CONNECT_ROUTES]; /* that are known, by a hash of the address */
	struct connect_default *defaults;
	int port_fd;	     /* keeps the one port that is left to sockets of the host */
	uint32_t port_range; /* it, as an option */
	struct {
		uint32_t pid; /* of a thread group's leader, or 0 */
		int pidfd;
	} pidfds[CONNECT_PIDFDS];
	struct connect_waiting *waiting;
	size_t nwaiting;
};

/* One call. */
struct connect_call {
	uint64_t id;
	uint32_t pid;
	int fd;	  /* the caller's */
	int sock; /* our copy of it */
	int host; /* a socket of the host that is to take its place, or -1 */
	uint64_t netns;
	uint64_t cookie; /* of the socket, once somebody waits for it */
	int domain;
	int flags;    /* F_GETFL */
	int fd_flags; /* of the descriptor, O_CLOEXEC among them; -1: not known yet */
	struct sockaddr_storage address;
	socklen_t len;
};

/* Once. */
void connect_watch_routes(struct connect *c);
/* The target of the address, an IPv4 one in its IPv6 form included; false: it is no address of a TCP peer. */
bool connect_target(const struct connect_call *k, struct net_target *ret);
/* It is outside, behind the way out of the fast path, and by addresses alone the container may go there. */
bool connect_leads_outside(struct connect *c, const struct net_target *t);
/* No other descriptor and no epoll set of any process of the container refers to it, as far as can be told. */
bool connect_is_unshared(struct connect *c, struct connect_call *k);
/* Is it as socket(2) made it, but for options? */
bool connect_is_fresh(const struct connect_call *k);
/* Once: the port, with port_fd; then, on every socket of the host that has connected, before the payload has it. */
int connect_take_port(struct connect *c, struct err *e) RL_CHECK;
int connect_deafen(const struct connect *c, int host);
/* Once, from model_fd. */
void connect_learn_defaults(struct connect *c);
/* A socket of the host like this one, non-blocking; -errno. */
int connect_host_socket(const struct connect *c, const struct connect_call *k);
/* After a wait: the caller's number is still that of the same socket. (Another thread may have closed it meanwhile, and
 * opened something else.) */
bool connect_is_still(struct connect *c, const struct connect_call *k);
/* It takes the number of the caller's socket. 0, or -errno: the call is gone. */
int connect_replace(const struct connect *c, const struct connect_call *k, int host);
/* A descriptor of the caller's, or -errno. */
int connect_get_fd(struct connect *c, uint32_t pid, int fd);

/* Connect the host's socket, or the caller's own where there is none, and answer when that is done. */
int64_t connect_do(struct connect *c, struct connect_call *k);
/* Calls of this thread that it no longer waits for. */
void connect_forget(struct connect *c, uint32_t pid);

extern const struct notifyd_module connect_module;

#endif
