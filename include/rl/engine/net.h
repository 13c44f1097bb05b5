/*
 * net.h - the user-mode network of one container, seen from `rl`: start the helper, make the interface, hand it over.
 *
 * Model: `rl-netd` (libexec/rl) is the router, the resolver and the only process that parses the container's packets.
 * It stays in the host's network namespace and holds the far end of the container's one interface. Nobody waits for
 * it: frames that arrive before it is ready wait in the device's queue.
 *
 *     host side (rl)                                container's child, own namespaces, CAP_NET_ADMIN there
 *     --------------------------------------------  -------------------------------------------------------------
 *     net_slirp_opts_init, net_slirp_parse
 *     net_slirp_start           (before clone)
 *                                                   net_slirp_child     lo up, eth0 made and configured
 *     net_slirp_attach(device)  <- fd by handshake  net_sysctl_child    once a procfs is at hand
 *       (or the child calls net_slirp_attach itself on its inherited copy: one hop less)
 *     ... the command runs ...
 *     net_slirp_watch           one fd for the caller's poll loop; costs nothing
 *     net_slirp_on_watch        (whenever it is readable): tells rl-netd the host's name servers, notices its death
 *     net_slirp_stop
 *
 * Lifetime: rl-netd ends when the last copy of the control socket is closed, so it cannot outlive its owner, SIGKILL
 * included. Everything here is close-on-exec; a process forked for another purpose (a keeper) must close
 * net_slirp_control_fd() or it becomes an owner too.
 *
 * Address policy: the container reaches what the host's routing reaches, except the host's loopback (127/8, ::1, the
 * unspecified addresses and their v4-mapped forms), which is closed unless host_access opens it; then the gateway
 * address is the host's 127.0.0.1 and ::1. Addresses of the host on real interfaces stay reachable in every mode: a
 * service bound to them or to 0.0.0.0 is offered to the local network anyway. That is decided here and nowhere else.
 *
 * Errors: as err.h. -ENOENT from net_slirp_start: rl-netd is not installed;
 * -EADDRNOTAVAIL: the outbound address is not ours. -ENODEV from net_slirp_child: neither a
 * TAP nor a veth pair can be had; the hint says what is missing.
 */
#ifndef RL_ENGINE_NET_H
#define RL_ENGINE_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/proc.h"
#include "rl/base/str.h"
#include "rl/model/net_policy.h"

enum {
	NET_MTU_DEFAULT = 65520,
	NET_MTU_MIN = 576, /* 1280 with IPv6 */
	NET_MTU_MAX = 65520,
	NET_SERVERS_MAX = 8,
	NET_HOST_PORTS_MAX = 64,
	NET_MAC_LEN = 6,
	NET_IFNAME_SIZE = 16,
	NET_PATH_SIZE = 256,
};

enum net_host_access {
	NET_HOST_NONE,	/* the host's loopback is closed */
	NET_HOST_PORTS, /* gateway:PORT reaches 127.0.0.1:PORT for the listed ports */
	NET_HOST_ALL,
	NET_HOST_ACCESS_N
};

/* A name server as rl-netd asks it. */
struct net_server {
	int family; /* AF_INET or AF_INET6 */
	uint16_t port;
	uint32_t scope; /* interface index of a link-local IPv6 address, else 0 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} addr;
};

struct net_servers {
	size_t count;
	struct net_server items[NET_SERVERS_MAX];
};

/* Flat: it is copied by clone into the child and sent to rl-netd as it is. */
struct net_slirp_opts {
	unsigned mtu;
	char ifname[NET_IFNAME_SIZE]; /* eth0 */
	uint8_t mac[NET_MAC_LEN];     /* the container's; random, locally administered */

	bool cidr_given; /* the subnet was named by the user and is not moved out of the way of the host's routes */
	bool chosen;	 /* net_slirp_choose_subnet has been here; it does nothing a second time */
	unsigned prefix;
	struct in_addr network, address, gateway, dns; /* .0, .100, .2, .3 */

	bool fast; /* for svc: rl-netd does nothing else for it */

	bool ipv6;
	struct in6_addr network6, address6, gateway6; /* /64; ::100, ::2 */

	enum net_host_access host_access;
	size_t host_ports_count;
	uint16_t host_ports[NET_HOST_PORTS_MAX];

	char outbound[64], outbound6[64]; /* address or interface name connections leave from; "" as routed */
	struct in_addr outbound_addr;	  /* the same as addresses, set by net_slirp_find_outbound */
	struct in6_addr outbound_addr6;

	struct net_servers dns_servers;	 /* --dns; none: follow the host's resolv.conf */
	char resolv_path[NET_PATH_SIZE]; /* /etc/resolv.conf */

	/* A network with several containers (net_named.h): `address` and `mac` are nobody's, who is there is told by
	 * net_slirp_host. internal: nothing but the network itself and its names can be reached. */
	bool shared, internal;
};

/* One container of a shared network, as rl-netd has to know it. Flat. */
enum { NET_HOST_NAMES = 1024, NET_HOSTS_MAX = 1024 };
struct net_host {
	uint8_t mac[NET_MAC_LEN];
	struct in_addr address;
	struct in6_addr address6;
	char names[NET_HOST_NAMES]; /* one behind the other, each with its NUL; an empty one ends the list */
};

/* What one container may, beside what everybody on its network may. Flat. */
struct net_rights {
	uint8_t mac[NET_MAC_LEN];
	enum net_host_access host_access; /* shared networks; else that of the options counts */
	size_t host_ports_count;
	uint16_t host_ports[NET_HOST_PORTS_MAX];
	struct net_policy policy; /* empty: everything */
};

enum net_device_kind {
	NET_DEVICE_TAP,
	NET_DEVICE_PACKET, /* AF_PACKET on the far end of a veth pair, in a network namespace of its own */
	NET_DEVICE_N
};

struct net_device {
	enum net_device_kind kind;
	int fd;
};

#define NET_DEVICE_NONE                                                                                                \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

struct net_slirp {
	struct proc_child child; /* the program as started: makes the worker and exits */
	int worker_pidfd;	 /* the worker, once its message has been read */
	int control_fd;
	char resolv_path[NET_PATH_SIZE]; /* of net_slirp_watch */
};

#define NET_SLIRP_NONE                                                                                                 \
	{                                                                                                              \
		.child = PROC_CHILD_NONE, .worker_pidfd = -1, .control_fd = -1                                         \
	}

/* Frames dropped, by reason: see net_frame.h for what each means. */
struct net_slirp_stats {
	uint64_t frames_in, bytes_in;	/* from the container */
	uint64_t frames_out, bytes_out; /* to it */
	uint64_t dropped_malformed, dropped_source, dropped_dest, dropped_other;
	uint64_t out_lost; /* to the container: the device's queue was full */
	uint64_t dns_queries, dns_failed;
	uint64_t refused; /* connections, datagrams, pings and queries, by the container's policy */
};

/* ---- options ---- */

/* Defaults, with a fresh random MAC. */
void net_slirp_opts_init(struct net_slirp_opts *o);
/* The text after "slirp4netns:" or "slirp:" (grammar: rl/model/slirp_opt.h). NULL or "" changes nothing. */
int net_slirp_parse(const char *text, struct net_slirp_opts *o, struct err *e) RL_CHECK;
/* --host-access: items are "none", "all" or port numbers; none in the vector changes nothing. */
int net_slirp_set_host_access(const struct strv *items, struct net_slirp_opts *o, struct err *e) RL_CHECK;
/* --dns: each an IPv4 or IPv6 address. */
int net_slirp_set_dns(const struct strv *addresses, struct net_slirp_opts *o, struct err *e) RL_CHECK;
/* The subnet of a shared network: gateway as given, the resolver at the last usable address. */
void net_slirp_set_shared(struct net_slirp_opts *o, struct in_addr network, unsigned prefix, struct in_addr gateway);
void net_slirp_set_shared6(struct net_slirp_opts *o, const struct in6_addr *network, const struct in6_addr *gateway);
/* Move a default subnet that clashes with the host's routes (reads the routing table of the calling process's network
 * namespace, about 30 us). net_slirp_start calls it; separate for those who want to know the addresses earlier, and done once. */
int net_slirp_choose_subnet(struct net_slirp_opts *o, struct err *e) RL_CHECK;

/* The addresses behind outbound and outbound6, as net_slirp_start finds them; -EADDRNOTAVAIL. */
int net_slirp_find_outbound(struct net_slirp_opts *o, struct err *e) RL_CHECK;

/* ---- host side ---- */

/* Start rl-netd and send it its configuration. `o` may get another subnet (choose_subnet) and is final afterwards.
 * Costs one vfork and exec; returns before rl-netd has initialised itself. */
int net_slirp_start(struct net_slirp_opts *o, struct net_slirp *ret, struct err *e) RL_CHECK;
/* Give rl-netd its end of the interface; the fd stays the caller's to close. May be called by the child on its own
 * copy of `s`. If rl-netd has failed in the meantime, its error is returned. */
int net_slirp_attach(struct net_slirp *s, const struct net_device *dev, struct err *e) RL_CHECK;
/* Take over the duty of a host side: rl-netd, which sees no files, asks for the host's name servers when the container
 * looks up a name. Returns the fd to poll for POLLIN (the control socket itself; not to be closed). Where nobody serves
 * it the servers of the start are used. */
int net_slirp_watch(struct net_slirp *s, const struct net_slirp_opts *o, struct err *e) RL_CHECK;
/* That fd is readable. -EPIPE (or rl-netd's own error): the network is gone; stop polling. */
int net_slirp_on_watch(struct net_slirp *s, struct err *e) RL_CHECK;
/* Shared networks: this container is there now, or (matched by its MAC) no more. */
int net_slirp_host(struct net_slirp *s, const struct net_host *h, bool present, struct err *e) RL_CHECK;
/* The rights of a container, before its device is attached or net_slirp_host names it. `log_fd` (net_log.h) is -1 or stays
 * the caller's. */
int net_slirp_rights(struct net_slirp *s, const struct net_rights *rights, int log_fd, struct err *e) RL_CHECK;
/* Counters, asked of rl-netd; waits for its answer. Not while another process uses the control socket. */
int net_slirp_stats(struct net_slirp *s, struct net_slirp_stats *ret, struct err *e) RL_CHECK;
int net_slirp_control_fd(const struct net_slirp *s);
/* Close everything and kill rl-netd. Harmless on NET_SLIRP_NONE and when repeated. The kernel takes tens of
 * milliseconds to remove a network interface, in the dying rl-netd: stop does not wait for that, which is right for a
 * process that exits next (its parent or init reaps); stop_wait does, for processes that live on. */
void net_slirp_stop(struct net_slirp *s);
void net_slirp_stop_wait(struct net_slirp *s);
/* Only close this process's copies (the child before exec, a parent that handed the duty to a monitor). */
void net_slirp_forget(struct net_slirp *s);

/* ---- container side ---- */

/* Should: run in the container's network namespace, with CAP_NET_ADMIN and CAP_SYS_ADMIN over it, before pivot_root
 * (/dev/net/tun of the host). Mustn't: be called with other threads. Leaves the process in the same namespace. */
int net_slirp_child(const struct net_slirp_opts *o, struct net_device *ret, struct err *e) RL_CHECK;
/* --network none: bring lo up. Same place. */
int net_lo_up_child(struct err *e) RL_CHECK;
/* ip_unprivileged_port_start=0 and ping_group_range as wide as the id map allows. procfd: the root of a procfs that is
 * writable and shows the container's network namespace; needs root in the namespace that owns it. */
int net_sysctl_child(int procfd, struct err *e) RL_CHECK;

/* ---- /etc/resolv.conf and /etc/hosts as text; no I/O ---- */

struct net_resolv_opts {
	const char *host_text;	    /* the host's resolv.conf, or NULL */
	const char *nameserver;	    /* our resolver inside; NULL: the host's own lines (or `servers`) are kept */
	const struct strv *further; /* with `nameserver`: asked when it refuses (networks); may be NULL */
	const struct strv *servers; /* --dns where there is no resolver of ours (--network host); may be NULL */
	bool beyond;		    /* no servers on loopback: it is not the host's */
	const struct strv *search;  /* --dns-search; "." alone: none; NULL or empty: the host's */
	const struct strv *options; /* --dns-option; NULL or empty: the host's */
};
int net_resolv_conf(const struct net_resolv_opts *o, struct str *out, struct err *e) RL_CHECK;
/* The name servers of a resolv.conf; 127.0.0.1 when it names none, as libc does. Lines not understood are skipped. */
void net_resolv_servers(const char *text, struct net_servers *ret);

struct net_hosts_opts {
	const char *base_text;		/* --hosts-file, or NULL */
	const char *hostname;		/* may be NULL */
	const char *domainname;		/* may be NULL */
	const char *address, *address6; /* the container's, for its own name; NULL: 127.0.0.1, none */
	const char *gateway; /* host.containers.internal, host.docker.internal and "host-gateway"; NULL: absent */
	const struct strv *add_hosts; /* "name[;name...]:ip", ip may be "host-gateway" */
};
int net_hosts_file(const struct net_hosts_opts *o, struct str *out, struct err *e) RL_CHECK;
/* One --add-host value, for the option parser: name valid, address valid. */
int net_check_add_host(const char *text, struct err *e) RL_CHECK;

/* "10.0.2.100" and so on; the buffers hold any address. */
void net_addr4_text(struct in_addr a, char ret[INET_ADDRSTRLEN]);
void net_addr6_text(const struct in6_addr *a, char ret[INET6_ADDRSTRLEN]);

#endif
