/*
 * portd.h - the parts of rl-portd, private to src/portd.
 *
 *   main.c     configuration, namespaces, lock-in, control messages, listening sockets
 *   route.c    which client addresses are local in the container's network namespace
 *   tcp.c      connections;  pipes.c  the pipes they borrow
 *   udp.c      flows of datagrams
 *   filter.c   the seccomp filter
 */
#ifndef RL_PORTD_PORTD_H
#define RL_PORTD_PORTD_H

#include "rl/base/event.h"
#include "rl/engine/net_ports_proto.h"
#include "rl/kern/netlink.h"

enum {
	PORTD_PORTS_MAX = 16384, /* listening sockets */
	PORTD_TABLE = 0x726c,	 /* of the routes to clients; "rl" */
	PORTD_RULE_PRIORITY = 100,
};

/* A client's address while it has connections or flows: a local route. */
struct client;

/* An address and port of either family. */
union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

struct portd;

struct port {
	struct portd *d;
	struct net_port p;
	struct event_source src;
	struct port *next;
};

struct conn;
struct flow;
struct clients;
struct pipes;

struct portd {
	struct net_portd_config cfg;
	struct event_loop loop;
	struct nl nl;
	struct port *ports;
	size_t nports;
	struct clients *clients;
	struct pipes *pipes;
	/* tcp.c */
	struct conn *busy; /* used up their turn with data left */
	struct event_timer busy_timer;
	int reserve_fd; /* given up to take and refuse a connection when there are no descriptors left */
	/* udp.c */
	struct flow *flows[1024], *oldest, *newest;
	size_t nflows;
	struct event_timer flow_timer;
	uint8_t *datagram; /* 64 KiB */
	/* main.c */
	struct event_source parent_src, init_src, control_src;
	int control_fd;
};

/* filter.c */
int filter_load(struct err *e) RL_CHECK;

/* route.c */
void clients_init(struct portd *d);
/* Packets of this port of the container may be for a client of ours. */
int clients_add_port(struct portd *d, const struct net_port *p, struct err *e) RL_CHECK;
/* Count one more use of the address; NULL when no route can be made. */
struct client *client_use(struct portd *d, const union addr *a);
void client_release(struct portd *d, struct client *c);
/* As whom `client` appears inside, and where to: both of the family the container has. */
void client_inside(const struct portd *d, const union addr *client, uint16_t port, union addr *ret_src,
		   union addr *ret_dst);
socklen_t addr_size(const union addr *a);
/* A socket in the container's network namespace from `src` to `dst`, connecting or connected. -errno. */
int inside_socket(int type, const union addr *src, const union addr *dst);

/* tcp.c */
/* What is set on a listening socket, its connections have from the start. */
void tcp_prepare(int listen_fd);
int tcp_on_listen(void *port, uint32_t events, struct err *e);

/* udp.c */
int udp_on_datagram(void *port, uint32_t events, struct err *e);
/* The port is being withdrawn. */
void udp_forget_port(struct portd *d, const struct port *p);

/* pipes.c: -1 when all are in use. */
struct pipe {
	int fd[2]; /* read, write */
	struct pipe *next;
};
struct pipes *pipes_new(void);
struct pipe *pipe_borrow(struct pipes *all);
/* Empty pipes are kept for the next one, others closed. */
void pipe_return(struct pipes *all, struct pipe *p, bool is_empty);

#endif
