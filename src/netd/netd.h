/*
 * netd.h - the parts of rl-netd, private to src/netd.
 *
 *   main.c      launcher: configuration, namespaces, the worker
 *   sandbox.c   the worker locks itself in: empty root, no capabilities, limits
 *   filter.c    its seccomp filter
 *   loop.c      worker: poll loop, control messages, frames in and out, libslirp's callbacks
 *   buffers.c   libslirp's memory
 *   device.c    reading and writing frames
 *   resolver.c  UDP name queries;  resolver_tcp.c  the same over TCP
 *   ping.c      echo requests to outside
 *   hosts.c     who is on a shared network, and what they are called
 *   rights.c    what each container may: its egress policy and its share of the host
 *   timewait.c  finished connections are bounded
 *   guard.c     the address policy at the system calls libslirp makes
 *
 * One struct netd holds everything; it is made once and never grows with traffic except for what libslirp allocates
 * per connection.
 */
#ifndef RL_NETD_NETD_H
#define RL_NETD_NETD_H

#include <poll.h>
#include <slirp/libslirp.h>
#include <stdint.h>

#include "rl/engine/net.h"
#include "rl/engine/net_egress.h"
#include "rl/engine/net_frag.h"
#include "rl/engine/net_frame.h"
#include "rl/engine/net_shape.h"

enum {
	NETD_FILES_MAX = 16384,
	NETD_HEADROOM = 64, /* before a frame that is read: the virtio header */
	NETD_BUFFER = (NETD_HEADROOM + FRAME_MAX + 4095) / 4096 * 4096,
	NETD_BATCH = 32,       /* frames read before the sockets get their turn */
	NETD_SERVERS_MS = 100, /* how long the owner may take to say which name servers there are */
	NETD_DNS_BACKLOG = 64, /* above NETD_BATCH: a batch cannot fill the resolver's listener */
};

#define NETD_DNS_PATH "/dns" /* in the empty root: libslirp connects here for TCP to the resolver's port 53 */

/* The set of descriptors of one round of poll. */
struct poll_set {
	struct pollfd *items;
	size_t count, size;
	int64_t deadline_ms; /* monotonic; INT64_MAX: none */
};

int poll_set_add(struct poll_set *s, int fd, short events);
void poll_set_deadline(struct poll_set *s, int64_t at_ms);
int64_t netd_now_ms(void);

/* Whom an answer is for: what is sent later must not go to whoever spoke last. */
struct sender {
	uint8_t mac[NET_MAC_LEN];
	struct in_addr address;
	struct in6_addr address6;
};

struct hosts;
struct rights;
struct resolver;
struct resolver_tcp;
struct ping;
struct timewait;

struct netd {
	struct net_slirp_opts opts;
	struct frame_policy policy;
	struct net_slirp_stats stats;
	struct net_servers servers;
	struct sockaddr_in outbound4;
	struct sockaddr_in6 outbound6;
	int control_fd;
	struct net_device device;
	Slirp *slirp;
	struct resolver *resolver;
	struct resolver_tcp *resolver_tcp;
	struct ping *ping;
	struct timewait *timewait;
	struct frag_table *frags;
	struct hosts *hosts; /* NULL unless the network is shared */
	struct rights *rights;
	struct egress *egress; /* of the container that policy names; NULL: everything is allowed */
	struct poll_set polls;
	struct shape shapes[2], *held; /* device.c: an acknowledgement kept back */
	bool holding;
	void *buffers;	/* the three below, page-aligned, NETD_BUFFER bytes each */
	uint8_t *frame; /* FRAME_MAX bytes: what is being read */
	uint8_t *reply; /* FRAME_MAX bytes: what is being built */
	uint8_t *whole; /* FRAME_MAX bytes: a datagram put together from fragments */
};

/* main.c passes: configuration read, namespaces made, worker forked. */
int sandbox_unshare(struct err *e) RL_CHECK;
/* Empty root; nothing of the host's file systems is reachable afterwards. Stays writable until sandbox_close. */
int sandbox_root(struct err *e) RL_CHECK;
/* Read-only root, limits, no capabilities, not dumpable, seccomp. */
int sandbox_close(struct err *e) RL_CHECK;
int filter_load(struct err *e) RL_CHECK;

void buffers_init(void);
int loop_init(struct netd *n, struct err *e) RL_CHECK;
/* Until the owner or the device is gone. */
int loop_run(struct netd *n, struct err *e) RL_CHECK;
/* A finished frame to the container; lost ones are counted. */
void netd_send_frame(struct netd *n, const void *frame, size_t len);
/* One of libslirp's: shaped on the way. */
void netd_send_slirp(struct netd *n, const void *frame, size_t len);
void device_hold(struct netd *n);
void device_release(struct netd *n);
/* The next frame, at n->frame: its length, 0 when there is none now, -errno when the device is gone. */
ssize_t device_read(struct netd *n);

void netd_sender(const struct netd *n, struct sender *ret);
/* libslirp and the frame check know the container that n->policy names. */
void netd_introduce(struct netd *n);

/* hosts.c */
struct hosts *hosts_new(void);
void hosts_add(struct netd *n, const struct net_host *h);
void hosts_remove(struct netd *n, const struct net_host *h);
/* Make n->policy the one of the container with this frame's source; false: it is none of ours. */
bool hosts_select(struct netd *n, const uint8_t *frame, size_t len);
/* Does this frame, which frame_check took, leave the network? (Also where there is one container only.) */
bool hosts_is_outward(const struct netd *n, const uint8_t *frame, const struct frame_info *i);
/* Answer a query from the names of the network, into out (DNS_QUERY_MAX + 1024 bytes): the length, 0: not for us. */
size_t hosts_answer(const struct netd *n, const uint8_t *query, size_t len, uint8_t *out);

/* `p` is looked at whenever libslirp opens something: whose share of the host counts changes with the sender. */
void guard_init(const struct frame_policy *p);
/* The network has several containers: none may take the descriptors of all. */
void guard_share(void);
/* Until the next call libslirp may connect or send to this target only; NULL: to whatever is open at all. */
void guard_only(const struct net_target *t);
/* How often a connection to the resolver was made so far. */
unsigned guard_resolver_count(void);

struct rights *rights_new(void);
/* The message RIGHTS; takes the descriptor over, or -1. */
int rights_set(struct netd *n, const struct net_rights *r, int log_fd, struct err *e) RL_CHECK;
void rights_drop(struct netd *n, const uint8_t mac[NET_MAC_LEN]);
/* n->egress and the host's share in n->policy become those of the container with this MAC. */
void rights_select(struct netd *n, const uint8_t mac[NET_MAC_LEN]);
/* NULL: everything is allowed. */
struct egress *rights_egress(const struct netd *n, const uint8_t mac[NET_MAC_LEN]);
/* May this frame (passed by frame_check) go? If not, it has been answered. */
bool rights_check(struct netd *n, const uint8_t *frame, const struct frame_info *i);

struct resolver *resolver_new(struct netd *n);
/* A UDP query of the container's. */
void resolver_query(struct resolver *r, const uint8_t *msg, size_t len, uint16_t client_port);
void resolver_fill(struct resolver *r, struct poll_set *s);
void resolver_poll(struct resolver *r, const struct poll_set *s);
/* May a query go out now? False: the owner has been asked for the host's servers; wait for resolver_servers_came, or
 * NETD_SERVERS_MS at most. */
bool resolver_is_fresh(struct resolver *r);
/* The owner's answer; also called when it took too long. */
void resolver_servers_came(struct resolver *r, const struct net_servers *servers);
/* The n-th server to try (0 first), those that failed lately last; NULL when there are no more. */
const struct net_server *resolver_pick(struct resolver *r, unsigned nth);
void resolver_mark(struct resolver *r, const struct net_server *s, bool good);
/* Non-blocking connected socket to a server. */
int resolver_socket(const struct net_server *s, int type);

/* Queries that wait for the servers go out. */
void resolver_tcp_servers_came(struct resolver_tcp *t);
/* The next connection that is accepted is this container's: they come in the order in which libslirp made them. */
void resolver_tcp_expect(struct resolver_tcp *t, const uint8_t mac[NET_MAC_LEN]);
int resolver_tcp_new(struct netd *n, struct resolver_tcp **ret, struct err *e) RL_CHECK;
void resolver_tcp_fill(struct resolver_tcp *t, struct poll_set *s);
void resolver_tcp_poll(struct resolver_tcp *t, const struct poll_set *s);

/* Frames that go to libslirp and come from it, in this order; and between its calls. */
struct timewait *timewait_new(void);
void timewait_from_guest(struct netd *n, const uint8_t *frame, size_t len);
void timewait_from_slirp(struct netd *n, const uint8_t *frame, size_t len);
void timewait_flush(struct netd *n);

struct ping *ping_new(struct netd *n);
/* A frame that frame_check called FRAME_PING. */
void ping_request(struct ping *p, const uint8_t *frame, const struct frame_info *i);
void ping_fill(struct ping *p, struct poll_set *set);
void ping_poll(struct ping *p, const struct poll_set *set);

#endif
