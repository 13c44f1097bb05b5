/*
 * portd.h - the parts of rl-portd, private to src/portd.
 *
 *   main.c     configuration, namespaces, lock-in, control messages, listening sockets
 *   share.c    how many descriptors each port may have
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
	PORTD_PIPES_MAX = 256,	 /* connections beyond that copy: what slow readers can tie up is bounded */
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
struct conn;
struct flow;

/* One that is withdrawn stays until its last connection has ended. */
struct port {
	struct portd *d;
	struct net_port p;
	struct event_source src;
	struct port *next;
	size_t files; /* share.c: of its connections or flows */
	bool is_withdrawn;
	struct flow *oldest, *newest; /* udp.c: by last use */
};

struct clients;
struct pipes;

struct portd {
	struct net_portd_config cfg;
	struct event_loop loop;
	struct nl nl;
	struct port *ports;
	size_t nports;
	/* share.c */
	size_t files_limit, files_max; /* for everything, and without what the ports themselves take */
	size_t files, owed, pipes_max;
	struct clients *clients;
	struct pipes *pipes;
	/* tcp.c */
	struct conn *busy; /* used up their turn with data left */
	struct event_timer busy_timer;
	int reserve_fd; /* given up to take and refuse a connection when there are no descriptors left */
	/* udp.c */
	struct flow *flows[1024];
	size_t nflows;
	struct event_timer flow_timer;
	uint8_t *datagram; /* 64 KiB */
	/* main.c */
	struct event_source parent_src, init_src, control_src;
	int control_fd;
};

/* filter.c */
int filter_load(struct err *e) RL_CHECK;

/* share.c: once, when there are as many descriptors as there will be; and whenever ports come or go. */
void share_init(struct portd *d);
void share_ports(struct portd *d);
/* May `n` more descriptors be had for this port? They count as taken then, until they are returned, after which a port that
 * is withdrawn may be gone. */
bool share_take(struct port *p, size_t n);
void share_return(struct port *p, size_t n);
/* It is not among the ports any more; it goes with its last descriptor. */
void share_withdraw(struct port *p);

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
void udp_forget_port(const struct port *p);

/* pipes.c: NULL when all are in use. */
struct pipe {
	int fd[2]; /* read, write */
	struct pipe *next;
};
struct pipes *pipes_new(size_t most);
struct pipe *pipe_borrow(struct pipes *all);
/* Empty pipes are kept for the next one, others closed. */
void pipe_return(struct pipes *all, struct pipe *p, bool is_empty);

#endif
