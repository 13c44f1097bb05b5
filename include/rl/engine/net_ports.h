/*
 * net_ports.h - published ports: sockets of the host that lead into a container.
 *
 * Model: `rl` binds the host's sockets before the container exists, in its own network namespace and with its own
 * rights, so that a port that cannot be had is an error before anything starts. When the payload runs, the program
 * rl-portd (libexec/rl) gets them, enters the container's user and network namespace and forwards: each connection is
 * met by a socket inside that carries the client's own address and port (IP_TRANSPARENT), so that the payload sees who
 * called. Nothing of it goes through rl-netd or libslirp.
 *
 *     net_ports_bind            (before clone; -EADDRINUSE and friends here)
 *     ... the payload runs ...
 *     net_portd_start           hands the sockets over; the caller's copies may be closed
 *     net_portd_stop
 *     net_portd_add, net_portd_remove      live, from any process of the user, over the control socket
 *
 * Addresses: a client of the host's loopback, of the container's own address or of a link-local one appears as the
 * container's gateway; all others appear as themselves. No client ever appears as loopback (CVE-2021-20199). Where the
 * container lacks the client's family (IPv6 into a network without it) the gateway's address of the other family stands
 * for it.
 *
 * Lifetime: rl-portd ends with the container's PID 1, whoever started it; net_portd_stop only hurries it on.
 */
#ifndef RL_ENGINE_NET_PORTS_H
#define RL_ENGINE_NET_PORTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/proc.h"

enum net_port_proto { NET_PORT_TCP, NET_PORT_UDP, NET_PORT_PROTO_N };

/* One socket of the host. Flat. */
struct net_port {
	enum net_port_proto proto;
	int family;	       /* AF_INET or AF_INET6 */
	struct in6_addr addr;  /* of the host; an IPv4 address in the first four bytes */
	uint16_t host, inside; /* ports */
	int fd;		       /* -1: not bound by this process */
};

struct net_ports {
	struct net_port *items;
	size_t count;
};

/* What is asked for: one port of the container. */
struct net_port_want {
	enum net_port_proto proto;
	const char *address;		/* NULL: every address of both families */
	uint16_t host_first, host_last; /* the first free one is taken; 0: the kernel chooses */
	uint16_t inside;
};

/* Append the sockets of `w` (two, where no address is given and the host has IPv6). -EADDRINUSE, -EACCES (below
 * ip_unprivileged_port_start) and -EADDRNOTAVAIL come with a remedy. */
int net_ports_bind(const struct net_port_want *w, struct net_ports *p, struct err *e) RL_CHECK;
/* Closes what is bound. */
void net_ports_free(struct net_ports *p);
const char *net_port_proto_name(enum net_port_proto p);
/* "0.0.0.0", "::1" into a buffer of INET6_ADDRSTRLEN. */
void net_port_address(const struct net_port *p, char ret[INET6_ADDRSTRLEN]);

/* Where in the container ports lead. Flat; sent to rl-portd as it is. */
struct net_portd_config {
	bool has4, has6;
	struct in_addr address, gateway;
	struct in6_addr address6, gateway6;
};

/* Start rl-portd for the process behind init_pidfd. control_fd is a listening SOCK_SEQPACKET socket for net_portd_add,
 * or -1. Returns when it serves. */
int net_portd_start(const struct net_portd_config *c, const struct net_ports *p, int init_pidfd, int control_fd,
		    struct proc_child *ret_child, struct err *e) RL_CHECK;
void net_portd_stop(struct proc_child *child);

/* `conn` is connected to its control socket. */
int net_portd_add(int conn, const struct net_port *p, struct err *e) RL_CHECK;
/* -ENOENT: not published. Connections that exist go on. */
int net_portd_remove(int conn, const struct net_port *p, struct err *e) RL_CHECK;
/* The container has other addresses now. Without any, clients are refused. Connections that exist stay as they are. */
int net_portd_move(int conn, const struct net_portd_config *c, struct err *e) RL_CHECK;

#endif
