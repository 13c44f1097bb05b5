/*
 * network_hold.c - the process that holds a network while containers are on it. How they come to it: network_lease.c.
 *
 * A holder whose last container has gone takes the lock networks/NAME.lock, which whoever connects holds, before it stops
 * listening, and does not go when it cannot have it: nobody is ever connected to a holder that ends.
 *
 * A lease lives as long as the connection it was given on, until the container's child has plugged in; from then on as
 * long as that process. The child's interface goes with its namespace, and its port with the interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hold_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/nft.h"
#include "rl/svc/network.h"

enum { STARTER_FD = 3, FIRST_WAIT_S = 30 };

#define SECOND UINT64_C(1000000000)

/* ---- the holder's leases ---- */

static int maybe_end(void *arg, struct err *e)
{
	struct hold *h = arg;
	struct sockaddr_un a;
	(void)e;
	if (h->entries)
		return 0;
	autofd int lock = network_open_lock(h->dirfd, h->rec.name, NULL);
	if (lock >= 0 && io_try_lock(lock, true, NULL) != 1) {
		/* Somebody is on the way here. */
		event_timer_set(&h->loop, &h->look_again, SECOND / 10, maybe_end, h);
		return 0;
	}
	network_socket_address(h->dirfd, h->rec.name, &a);
	(void)unlink(a.sun_path);
	event_quit(&h->loop, 0);
	return 0;
}

/* ---- published ports, which on the host are in rules too ---- */

static void withdraw(struct entry *x)
{
	for (size_t i = 0; i < x->npublished; i++) {
		struct err why = ERR_INIT;
		if (net_named_publish(&x->h->net, &x->lease, &x->published[i], false, &why) < 0)
			log_debug(LOG_NET, "%s", why.text);
	}
	free(x->published);
	x->published = NULL;
	x->npublished = 0;
}

/* What cannot be entered, because another container has the same port of another address, stays with rl-portd. */
static void publish(struct entry *x, const struct net_hold_ports *p)
{
	withdraw(x);
	if (x->lease.by_netd)
		return; /* its answers would go to rl-netd */
	x->published = xcalloc(p->count + 1, sizeof(*x->published));
	for (size_t i = 0; i < p->count; i++) {
		struct err why = ERR_INIT;
		if (net_named_publish(&x->h->net, &x->lease, &p->items[i], true, &why) < 0)
			log_debug(LOG_NET, "%s", why.text);
		else
			x->published[x->npublished++] = p->items[i];
	}
}

static void entry_end(struct entry *x)
{
	struct hold *h = x->h;
	int fds[2] = {x->conn.fd, x->process.fd};
	withdraw(x);
	if (x->plugged) {
		net_named_forget(&h->net, x->port, &x->lease);
	}
	if (x->plugged && !h->place.direct) {
		(void)!net_slirp_host(&h->slirp, &x->lease.host, false, NULL);
	}
	event_del(&h->loop, &x->conn);
	event_del(&h->loop, &x->process);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	close_fd(&x->log_fd);
	free(x->rights);
	for (struct entry **at = &h->entries; *at; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			break;
		}
	free(x);
	(void)maybe_end(h, NULL);
}

static int on_process(void *arg, uint32_t events, struct err *e)
{
	(void)events;
	(void)e;
	entry_end(arg);
	return 0;
}

static int on_rights(struct entry *x, struct sync_msg *msg, struct err *e)
{
	if (x->h->place.direct)
		return err_set(
			e, ENOTSUP,
			"--allow-net, --deny-net and --host-access: nothing of rl is between containers and a %s "
			"network",
			x->h->rec.driver);
	if (msg->len != sizeof(*x->rights) || msg->nfds > 1 || !x->leased || x->plugged || x->rights)
		return err_set(e, EPROTO, "malformed request");
	x->rights = xmemdup(msg->data, sizeof(*x->rights));
	memcpy(x->rights->mac, x->lease.host.mac, NET_MAC_LEN);
	x->log_fd = msg->nfds ? msg->fds[0] : -1;
	msg->nfds = 0;
	return sync_send(x->conn.fd, NET_HOLD_RIGHTS, NULL, 0, NULL, 0, e);
}

/* rl-netd knows what the container may before it hears of it, and so before the first frame. */
static int tell_netd(struct entry *x, struct err *e)
{
	struct hold *h = x->h;
	if (h->place.direct)
		return 0;
	int r = x->rights ? net_slirp_rights(&h->slirp, x->rights, x->log_fd, e) : 0;
	close_fd(&x->log_fd);
	return r < 0 ? r : net_slirp_host(&h->slirp, &x->lease.host, true, e);
}

static int on_plug(struct entry *x, struct sync_msg *msg, struct err *e)
{
	struct hold *h = x->h;
	if (msg->nfds != 2 || !x->leased || x->plugged)
		return err_set(e, EPROTO, "malformed request");
	bool locked = x->rights && !net_policy_is_empty(&x->rights->policy);
	int r = h->place.direct ? net_direct_plug(&h->net, &x->lease, msg->fds[0], e)
				: net_named_plug(&h->net, &x->lease, locked, msg->fds[0], e);
	x->port = r;
	if (r >= 0)
		r = event_add(&h->loop, &x->process, msg->fds[1], EPOLLIN, on_process, x, e);
	if (r < 0)
		return r;
	close(msg->fds[0]);
	msg->nfds = 0;
	x->plugged = true;
	r = tell_netd(x, e);
	return r < 0 ? r : sync_send(x->conn.fd, NET_HOLD_PLUG, NULL, 0, NULL, 0, e);
}

/* Which container is meant is said by its MAC address, of which there is one each. */
static struct entry *find_plugged(struct hold *h, const uint8_t mac[NET_MAC_LEN], struct err *e)
{
	for (struct entry *x = h->entries; x; x = x->next)
		if (x->plugged && memcmp(x->lease.host.mac, mac, NET_MAC_LEN) == 0)
			return x;
	err_set(e, ENOENT, "the container is not on the network");
	return NULL;
}

static int on_unplug(struct entry *asking, const struct sync_msg *msg, struct err *e)
{
	struct hold *h = asking->h;
	struct net_lease l;
	if (msg->len != sizeof(l))
		return err_set(e, EPROTO, "malformed request");
	memcpy(&l, msg->data, sizeof(l));
	struct entry *x = find_plugged(h, l.host.mac, e);
	int r = !x		  ? -ENOENT
		: h->place.direct ? net_direct_unplug(&x->lease, x->process.fd, e)
				  : net_named_unplug(&h->net, x->port, e);
	if (r < 0)
		return r;
	entry_end(x);
	return sync_send(asking->conn.fd, NET_HOLD_UNPLUG, NULL, 0, NULL, 0, e);
}

static int on_ports(struct entry *asking, const struct sync_msg *msg, struct err *e)
{
	autofree struct net_hold_ports *p = xcalloc(1, sizeof(*p));
	if (msg->len != sizeof(*p))
		return err_set(e, EPROTO, "malformed request");
	memcpy(p, msg->data, sizeof(*p));
	if (p->count > NET_HOLD_PORTS_MAX)
		return err_set(e, EPROTO, "malformed request");
	struct entry *x = find_plugged(asking->h, p->mac, e);
	if (!x)
		return -ENOENT;
	publish(x, p);
	return sync_send(asking->conn.fd, NET_HOLD_PORTS, NULL, 0, NULL, 0, e);
}

static int on_conn(void *arg, uint32_t events, struct err *e)
{
	struct entry *x = arg;
	struct err why = ERR_INIT;
	(void)events;
	(void)e;
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	int r = sync_recv(x->conn.fd, "rl", msg, &why);
	if (r < 0) {
		int fd = x->conn.fd;
		event_del(&x->h->loop, &x->conn);
		close_fd(&fd);
		if (!x->plugged)
			entry_end(x);
		return 0;
	}
	if (msg->step == NET_HOLD_LEASE)
		r = hold_on_lease(x, msg, &why);
	else if (msg->step == NET_HOLD_RIGHTS)
		r = on_rights(x, msg, &why);
	else if (msg->step == NET_HOLD_PLUG)
		r = on_plug(x, msg, &why);
	else if (msg->step == NET_HOLD_UNPLUG)
		r = on_unplug(x, msg, &why);
	else if (msg->step == NET_HOLD_PORTS)
		r = on_ports(x, msg, &why);
	else
		r = err_set(&why, EPROTO, "unexpected message %u", msg->step);
	sync_close_fds(msg);
	if (r < 0)
		sync_send_err(x->conn.fd, &why);
	return 0;
}

static int on_listen(void *arg, uint32_t events, struct err *e)
{
	struct hold *h = arg;
	(void)events;
	autofd int fd = accept4(h->listen.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return 0;
	struct entry *x = xcalloc(1, sizeof(*x));
	*x = (struct entry){.h = h, .log_fd = -1, .conn = EVENT_SOURCE_INIT, .process = EVENT_SOURCE_INIT};
	int r = event_add(&h->loop, &x->conn, fd, EPOLLIN, on_conn, x, e);
	if (r < 0) {
		free(x);
		return r;
	}
	(void)take_fd(&fd);
	x->next = h->entries;
	h->entries = x;
	return 0;
}

static int on_netd(void *arg, uint32_t events, struct err *e)
{
	struct hold *h = arg;
	struct err why = ERR_INIT;
	(void)events;
	(void)e;
	if (net_slirp_on_watch(&h->slirp, &why) < 0) {
		log_debug(LOG_NET, "%s", why.text);
		event_del(&h->loop, &h->netd); /* the bridge still works */
	}
	return 0;
}

/* ---- the holder's start ---- */

static const char *option(const struct hold *h, const char *key, const char *their_key)
{
	const char *found = NULL;
	for (size_t i = 0; i < h->rec.options.count; i++) {
		const char *value = str_after(h->rec.options.items[i], key);
		value = value ? value : str_after(h->rec.options.items[i], their_key);
		found = value ? value : found;
	}
	return found;
}

static unsigned set_mtu(const struct hold *h, unsigned otherwise)
{
	uint64_t mtu;
	const char *value = option(h, "mtu=", "com.docker.network.driver.mtu=");
	bool good = value && str_to_u64(value, NET_MTU_MAX, "mtu", &mtu, NULL) == 0 && mtu >= 1280;
	return good ? (unsigned)mtu : otherwise;
}

static void set_opts(struct hold *h)
{
	struct net_slirp_opts *o = &h->opts;
	const struct network_addrs *a = &h->addrs;
	struct in6_addr gateway6 = a->gateway6;
	net_slirp_opts_init(o);
	net_slirp_set_shared(o, (struct in_addr){htonl(a->network)}, a->prefix, (struct in_addr){htonl(a->gateway)});
	if (h->place.on_host ||
	    h->place.linked) { /* the gateway's address is the host's; rl-netd has those beside its resolver's */
		uint32_t beside = ntohl(o->dns.s_addr) - 1;
		o->gateway.s_addr = htonl(beside == a->gateway ? beside - 1 : beside);
		gateway6.s6_addr[14] ^= 1;
	}
	if (a->ipv6)
		net_slirp_set_shared6(o, &a->network6, &gateway6);
	o->internal = h->rec.internal;
	o->mtu = set_mtu(h, o->mtu);
}

static int on_routes(void *arg, uint32_t events, struct err *e)
{
	struct hold *h = arg;
	struct err why = ERR_INIT;
	char buf[4096];
	(void)events;
	(void)e;
	while (recv(h->routes.fd, buf, sizeof(buf), 0) > 0)
		;
	if (net_forward_acquire(h->dirfd, NETWORK_LEDGER, h->rec.name, &h->net, &why) < 0)
		log_debug(LOG_NET, "%s", why.text);
	return 0;
}

static int start_forwarding(struct hold *h, struct err *e)
{
	autofd int fd = nl_route_events(e);
	int r = fd < 0 ? fd : net_forward_acquire(h->dirfd, NETWORK_LEDGER, h->rec.name, &h->net, e);
	if (r >= 0)
		r = event_add(&h->loop, &h->routes, fd, EPOLLIN, on_routes, h, e);
	if (r >= 0)
		(void)take_fd(&fd);
	return r;
}

static int start_netd(struct hold *h, struct err *e)
{
	struct net_device dev = NET_DEVICE_NONE;
	int r = net_named_make(&h->opts, &h->place, &h->net, &dev, e);
	if (r >= 0 && h->place.routes4)
		r = start_forwarding(h, e);
	if (r >= 0)
		r = net_slirp_start(&h->opts, &h->slirp, e);
	if (r >= 0)
		r = net_slirp_attach(&h->slirp, &dev, e);
	close_fd(&dev.fd);
	int fd = r < 0 ? r : net_slirp_watch(&h->slirp, &h->opts, e);
	return fd < 0 ? fd : event_add(&h->loop, &h->netd, fd, EPOLLIN, on_netd, h, e);
}

static void stop(struct hold *h)
{
	net_slirp_stop(&h->slirp);
	if ((h->place.on_host || h->place.linked) && !h->place.direct)
		net_forward_release(h->dirfd, NETWORK_LEDGER, h->rec.name);
	if (h->place.on_host && !h->place.direct) {
		h->net.place = h->place;
		net_named_close(&h->net);
	}
}

static int start_listening(struct hold *h, struct err *e)
{
	struct sockaddr_un a;
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	network_socket_address(h->dirfd, h->rec.name, &a);
	(void)unlink(a.sun_path); /* of a holder that was killed; the starter has the lock */
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0)
		return err_sys(e, errno, "network %s: socket", h->rec.name);
	int r = event_add(&h->loop, &h->listen, fd, EPOLLIN, on_listen, h, e);
	if (r >= 0)
		(void)take_fd(&fd);
	return r;
}

static int read_record(struct hold *h, const char *name, struct err *e)
{
	autofree char *file = network_file(name, "json");
	json_t *doc = NULL;
	int r = json_parse_file(h->dirfd, file, NETWORK_FILE_MAX, &doc, e);
	autojson json_t *owned = doc;
	if (r >= 0)
		r = network_rec_from_json(owned, &h->rec, e);
	if (r >= 0)
		r = network_rec_addrs(&h->rec, &h->addrs, e);
	return r < 0 ? err_ctx(e, "network %s", name) : 0;
}

/* Addresses are all there is to keep. */
static int start_direct(struct hold *h, struct err *e)
{
	if (!h->place.on_host)
		return err_set(e, EPERM, "network %s: %s is for root of the machine", h->rec.name, h->rec.driver);
	h->opts.mtu = set_mtu(h, 0);
	int r = net_direct_open(&h->place, &h->net, e);
	return r < 0 ? err_ctx(e, "network %s", h->rec.name) : start_listening(h, e);
}

/* Changes are heard from before the first look, so that none is missed. */
static int choose_routes(struct hold *h, struct err *e)
{
	h->rules_fd = nft_watch(NULL);
	int r = network_choose_routes(&h->rec, &h->addrs, &h->place, e);
	if (!h->place.on_host)
		close_fd(&h->rules_fd);
	return r;
}

static int start(struct hold *h, const char *root, const char *name, struct err *e)
{
	int r = store_open(root, false, &h->store, e);
	h->dirfd = r < 0 ? r : store_dir(&h->store, "networks", e);
	if (h->dirfd < 0)
		return h->dirfd;
	r = read_record(h, name, e);
	if (r >= 0)
		r = event_open(&h->loop, e);
	if (r < 0)
		return r;
	network_place(&h->rec, &h->place);
	r = net_direct_init(h->rec.driver, &h->rec.options, &h->place, e);
	if (r >= 0 && h->place.direct)
		return start_direct(h, e);
	if (r >= 0 && h->place.on_host)
		r = choose_routes(h, e);
	if (r >= 0 && h->place.mac[0])
		r = net_forward_claim(h->dirfd, NETWORK_LEDGER, h->rec.name,
				      h->place.linked ? h->place.host_end : h->place.bridge, e);
	if (r < 0)
		return r;
	set_opts(h);
	r = start_netd(h, e);
	return r < 0 ? r : start_listening(h, e);
}

static void leave_starter(void)
{
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	(void)!chdir("/");
	prctl(PR_SET_NAME, "rl-network");
	for (int i = 0; null >= 0 && i < 3; i++)
		if (i < 2 || !log_on(LOG_NET))
			(void)dup2(null, i);
}

int network_hold(const char *root, const char *name, struct err *e)
{
	struct hold *h = xcalloc(1, sizeof(*h));
	*h = (struct hold){.dirfd = -1,
			   .rules_fd = -1,
			   .slirp = NET_SLIRP_NONE,
			   .net = NET_NAMED_NONE,
			   .loop = EVENT_LOOP_INIT,
			   .listen = EVENT_SOURCE_INIT,
			   .netd = EVENT_SOURCE_INIT,
			   .routes = EVENT_SOURCE_INIT};
	struct err why = ERR_INIT;
	if (fcntl(STARTER_FD, F_GETFD) < 0)
		return err_set(e, EINVAL, "this verb is for rl itself");
	/* Not the starter's child: it may live long and would not reap us. */
	pid_t pid = fork();
	if (pid != 0)
		_exit(pid < 0);
	int r = io_set_cloexec(STARTER_FD, true, &why);
	leave_starter();
	if (r >= 0)
		r = start(h, root, name, &why);
	if (r < 0) {
		stop(h);
		sync_send_err(STARTER_FD, &why);
		_exit(EXIT_RL_FAILED);
	}
	r = sync_send(STARTER_FD, NETWORK_STEP_READY, NULL, 0, NULL, 0, &why);
	close(STARTER_FD);
	h->loop.gives_back = true;
	event_timer_set(&h->loop, &h->first, FIRST_WAIT_S * SECOND, maybe_end, h);
	if (r >= 0)
		r = event_run(&h->loop, &why);
	stop(h);
	_exit(r < 0 ? EXIT_RL_FAILED : 0);
}
