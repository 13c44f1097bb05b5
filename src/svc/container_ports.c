/*
 * container_ports.c - published ports of a container: bound before it starts, forwarded while it runs, listed, changed.
 *
 * What is asked for is in the options (-p, -P); what was got is in ports.json, one object per socket of the host. Only
 * the process that starts the container writes it, and afterwards `rl port add` and `rl port rm`, with the lock of
 * operations. The sockets themselves belong to rl-portd, which listens for changes on the socket `ports` beside it; where
 * none was started with the container, `rl port add` starts one.
 */
#include "rl/svc/container_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/endpoint.h"
#include "rl/model/port_opt.h"
#include "rl/svc/network.h"

enum { PORTS_JSON_MAX = 4 << 20 };

static const char ports_file[] = "ports.json";
static const char ports_socket[] = "ports";

/* ---- binding ---- */

static int bind_opt(const struct port_opt *p, struct net_ports *ports, struct err *e)
{
	struct net_port_want w = {.proto = p->udp ? NET_PORT_UDP : NET_PORT_TCP,
				  .address = *p->address ? p->address : NULL};
	bool choice = p->first == p->last;
	for (unsigned i = 0; i <= (unsigned)(p->last - p->first); i++) {
		w.inside = (uint16_t)(p->first + i);
		w.host_first = p->host_first ? (uint16_t)(p->host_first + i) : 0;
		w.host_last = choice ? p->host_last : w.host_first;
		int r = net_ports_bind(&w, ports, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool leads_to(const struct net_ports *ports, const struct port_opt *p)
{
	bool found = false;
	for (size_t k = 0; k < ports->count; k++)
		found |= ports->items[k].inside == p->first && (ports->items[k].proto == NET_PORT_UDP) == p->udp;
	return found;
}

/* -P: what is exposed and not published by a -p already. */
static int bind_exposed(const struct run_opts *o, struct net_ports *ports, struct err *e)
{
	for (size_t i = 0; i < o->expose.count; i++) {
		struct port_opt p;
		int r = port_opt_parse_expose(o->expose.items[i], &p, e);
		for (unsigned inside = p.first; r >= 0 && inside <= p.last; inside++) {
			const struct port_opt one = {.first = (uint16_t)inside, .last = (uint16_t)inside, .udp = p.udp};
			r = leads_to(ports, &one) ? 0 : bind_opt(&one, ports, e);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* What leaves a choice comes after what does not, lest it takes the very port another one names. */
static int bind_published(const struct strv *publish, struct net_ports *ports, struct err *e)
{
	for (int choices = 0; choices < 2; choices++)
		for (size_t i = 0; i < publish->count; i++) {
			struct port_opt p;
			int r = port_opt_parse(publish->items[i], &p, e);
			if (r >= 0 && port_opt_is_choice(&p) == (choices == 1))
				r = bind_opt(&p, ports, e);
			if (r < 0)
				return r;
		}
	return 0;
}

static bool is_loopback(const struct net_port *p)
{
	char text[INET6_ADDRSTRLEN];
	net_port_address(p, text);
	return str_after(text, "127.") || str_eq(text, "::1");
}

/* Rules of somebody else's decide who gets as far as our socket. `chain` is "FAMILY TABLE CHAIN". */
static void say_firewall(const char *chain, const struct net_ports *ports)
{
	for (size_t i = 0; i < ports->count; i++) {
		const struct net_port *p = &ports->items[i];
		const char *proto = net_port_proto_name(p->proto);
		if (is_loopback(p))
			continue;
		autofree char *rule =
			str_eq(chain, "ip filter INPUT")
				? xasprintf("iptables -I INPUT -p %s --dport %u -j ACCEPT", proto, p->host)
			: str_eq(chain, "inet firewalld filter_INPUT")
				? xasprintf("firewall-cmd --add-port=%u/%s", p->host, proto)
				: xasprintf("nft insert rule %s %s dport %u accept", chain, proto, p->host);
		log_warn("published ports: the host's firewall (%s) decides who reaches them; this opens the first: %s",
			 chain, rule);
		return;
	}
}

int container_ports_bind(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	if (c->is_recorded)
		(void)unlinkat(c->dirfd, ports_file, 0); /* of the last run */
	if (!o->publish.count && !o->publish_all)
		return 0;
	if (o->network.kind == NETWORK_HOST || o->network.kind == NETWORK_NONE) {
		log_warn("published ports have no effect with --network %s",
			 o->network.kind == NETWORK_HOST ? "host: the command uses the host's ports itself" : "none");
		return 0;
	}
	int r = bind_published(&o->publish, &c->ports, e);
	if (r >= 0 && o->publish_all)
		r = bind_exposed(o, &c->ports, e);
	for (size_t i = 0; r >= 0 && i < c->nleases; i++)
		if (*c->leases[i].firewall) {
			say_firewall(c->leases[i].firewall, &c->ports);
			break;
		}
	return r;
}

/* ---- the list ---- */

static json_t *port_to_json(const struct net_port *p)
{
	char address[INET6_ADDRSTRLEN];
	json_t *out = json_object();
	net_port_address(p, address);
	json_put_str(out, "address", address);
	json_put_str(out, "protocol", net_port_proto_name(p->proto));
	json_put_int(out, "host", p->host);
	json_put_int(out, "inside", p->inside);
	return out;
}

static bool port_from_json(const json_t *item, struct net_port *ret)
{
	const char *address = json_str_or_null(item, "address");
	const char *proto = json_str_or_null(item, "protocol");
	int64_t host = json_int_or(item, "host", 0);
	int64_t inside = json_int_or(item, "inside", 0);
	struct net_port p = {.fd = -1, .host = (uint16_t)host, .inside = (uint16_t)inside};
	if (!address || !proto || host < 1 || host > 65535 || inside < 1 || inside > 65535)
		return false;
	p.proto = str_eq(proto, "udp") ? NET_PORT_UDP : NET_PORT_TCP;
	p.family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(p.family, address, &p.addr) != 1)
		return false;
	*ret = p;
	return true;
}

static int write_list(int dirfd, const struct net_ports *ports, struct err *e)
{
	autojson json_t *list = json_array();
	for (size_t i = 0; i < ports->count; i++)
		json_array_append_new(list, port_to_json(&ports->items[i]));
	autofree char *text = json_dumps(list, JSON_COMPACT);
	return io_replace_file(dirfd, ports_file, text, strlen(text), 0600, false, e);
}

static void read_list(int dirfd, struct net_ports *ret)
{
	json_t *doc = NULL;
	size_t i;
	json_t *item;
	*ret = (struct net_ports){0};
	if (faccessat(dirfd, ports_file, F_OK, 0) < 0 ||
	    json_parse_file(dirfd, ports_file, PORTS_JSON_MAX, &doc, NULL) < 0)
		return;
	autojson json_t *owned = doc;
	ret->items = xcalloc(json_array_size(owned) + 1, sizeof(*ret->items));
	json_array_foreach (owned, i, item)
		ret->count += port_from_json(item, &ret->items[ret->count]);
}

/* Lists of containers come without a descriptor of their directory. */
static void read_list_of(const struct container_rec *rec, struct net_ports *ret)
{
	autofd int dir = -1;
	*ret = (struct net_ports){0};
	if (rec->broken || !container_rec_is_running(rec))
		return;
	if (rec->dirfd < 0 && rec->dir)
		dir = open(rec->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	read_list(rec->dirfd >= 0 ? rec->dirfd : dir, ret);
}

json_t *container_ports_object(const struct container_rec *rec)
{
	struct net_ports ports;
	json_t *out = json_object();
	read_list_of(rec, &ports);
	for (size_t i = 0; i < ports.count; i++) {
		const struct net_port *p = &ports.items[i];
		char key[32], port[8], address[INET6_ADDRSTRLEN];
		snprintf(key, sizeof(key), "%u/%s", p->inside, net_port_proto_name(p->proto));
		snprintf(port, sizeof(port), "%u", p->host);
		net_port_address(p, address);
		json_t *hosts = json_object_get(out, key);
		if (!hosts) {
			hosts = json_array();
			json_put(out, key, hosts);
		}
		json_t *host = json_object();
		json_put_str(host, "HostIp", address);
		json_put_str(host, "HostPort", port);
		json_array_append_new(hosts, host);
	}
	net_ports_free(&ports);
	return out;
}

void container_ports_text(const struct container_rec *rec, struct str *out)
{
	struct net_ports ports;
	read_list_of(rec, &ports);
	for (size_t i = 0; i < ports.count; i++) {
		const struct net_port *p = &ports.items[i];
		bool six = p->family == AF_INET6;
		char address[INET6_ADDRSTRLEN];
		net_port_address(p, address);
		str_addf(out, "%s%s%s%s:%u->%u/%s", i ? ", " : "", six ? "[" : "", address, six ? "]" : "", p->host,
			 p->inside, net_port_proto_name(p->proto));
	}
	net_ports_free(&ports);
}

/* ---- rl-portd ---- */

static void socket_address(int dirfd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, ports_socket);
}

static int open_control(int dirfd, struct err *e)
{
	struct sockaddr_un a;
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	socket_address(dirfd, &a);
	(void)unlinkat(dirfd, ports_socket, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
		return err_sys(e, errno, "socket for changes of ports");
	return take_fd(&fd);
}

static bool is_dead(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

/* From what the start recorded. */
static int find_addresses(const struct strv *networks, struct net_portd_config *ret, struct err *e)
{
	struct net_portd_config cfg = {0};
	for (size_t i = 0; i < networks->count; i++) {
		struct endpoint p;
		if (!endpoint_parse(networks->items[i], &p))
			continue;
		if (!cfg.has4 && inet_pton(AF_INET, p.address, &cfg.address) == 1 &&
		    inet_pton(AF_INET, p.gateway, &cfg.gateway) == 1)
			cfg.has4 = true;
		if (!cfg.has6 && inet_pton(AF_INET6, p.address6, &cfg.address6) == 1 &&
		    inet_pton(AF_INET6, p.gateway6, &cfg.gateway6) == 1)
			cfg.has6 = true;
	}
	if (!cfg.has4 && !cfg.has6)
		return err_set(e, ENOTSUP, "the container has no network of its own to publish ports of");
	*ret = cfg;
	return 0;
}

static int start_portd(int dirfd, const struct strv *networks, const struct net_ports *ports, int init_pidfd,
		       struct proc_child *ret_child, struct err *e)
{
	struct net_portd_config cfg;
	int r = find_addresses(networks, &cfg, e);
	if (r < 0)
		return r;
	autofd int control = open_control(dirfd, e);
	if (control < 0)
		return control;
	r = net_portd_start(&cfg, ports, init_pidfd, control, ret_child, e);
	return r < 0 ? r : write_list(dirfd, ports, e);
}

/* The first network's own rules take them too, where it has some. */
static void tell_network(const struct store *s, const struct strv *networks, const struct net_ports *ports)
{
	struct err why = ERR_INIT;
	struct endpoint p;
	uint8_t mac[NET_MAC_LEN];
	if (!networks->count || !endpoint_parse(networks->items[0], &p) || str_eq(p.network, "slirp") ||
	    !endpoint_mac(&p, mac))
		return;
	if (network_publish(s, p.network, mac, ports, &why) < 0)
		log_debug(LOG_NET, "published ports: %s", why.text);
}

int container_ports_start(struct container *c, struct err *e)
{
	if (!c->ports.count)
		return 0;
	autostrv struct strv networks = STRV_INIT;
	container_network_describe(c, &networks);
	struct err why = ERR_INIT;
	int r = start_portd(c->dirfd, &networks, &c->ports, c->run.pidfd, &c->portd, &why);
	if (r == 0)
		tell_network(&c->store, &networks, &c->ports);
	net_ports_free(&c->ports);
	/* The command was quicker. A process that ends leaves its namespaces (ESRCH) some time before its pidfd says so. */
	if (r == -ESRCH || (r < 0 && is_dead(c->run.pidfd)))
		return 0;
	if (r < 0 && e)
		*e = why;
	return r;
}

void container_ports_stop(struct container *c)
{
	net_ports_free(&c->ports);
	net_portd_stop(&c->portd);
}

/* ---- live changes ---- */

struct live {
	struct store s;
	struct container_rec rec;
	int op;
	struct net_ports now;
};

static void live_close(struct live *l)
{
	net_ports_free(&l->now);
	close_fd(&l->op);
	container_rec_free(&l->rec);
	store_close(&l->s);
}

static int live_open(const char *root, const char *name, struct live *l, struct err *e)
{
	*l = (struct live){.rec = CONTAINER_REC_INIT, .op = -1};
	int r = store_open(root, true, &l->s, e);
	if (r < 0)
		return r;
	r = container_store_find(&l->s, name, &l->rec, e);
	if (r == 0)
		l->op = container_rec_lock(&l->rec, e);
	if (r == 0 && l->op < 0)
		r = l->op;
	if (r == 0 && !container_rec_is_running(&l->rec))
		r = err_set(e, EINVAL, "container %s is not running", name);
	if (r == 0)
		read_list(l->rec.dirfd, &l->now);
	if (r < 0)
		live_close(l);
	return r;
}

/* A connection to the container's rl-portd, which is started if there is none. */
static int live_connect(struct live *l, struct err *e)
{
	struct sockaddr_un a;
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	socket_address(l->rec.dirfd, &a);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return take_fd(&fd);
	if (errno != ENOENT && errno != ECONNREFUSED)
		return err_sys(e, errno, "the port forwarder of container %s", l->rec.config.name);
	autofd int init = container_rec_open_init(&l->rec, e);
	struct proc_child child = PROC_CHILD_NONE;
	if (init < 0)
		return init;
	net_ports_free(&l->now);
	int r = start_portd(l->rec.dirfd, &l->rec.state.networks, &l->now, init, &child, e);
	if (r < 0)
		return r;
	close_fd(&child.pidfd); /* it ends with the container; whoever adopts it reaps it */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, errno, "the port forwarder of container %s", l->rec.config.name);
	return take_fd(&fd);
}

static int publish_live(struct live *l, const struct port_opt *p, struct err *e)
{
	struct net_ports fresh = {0};
	autofd int conn = live_connect(l, e);
	int r = conn < 0 ? conn : bind_opt(p, &fresh, e);
	size_t done = 0;
	for (; r >= 0 && done < fresh.count; done++)
		r = net_portd_add(conn, &fresh.items[done], e);
	for (size_t i = 0; r < 0 && i < done; i++)
		(void)!net_portd_remove(conn, &fresh.items[i], NULL);
	if (r >= 0) {
		l->now.items = xreallocarray(l->now.items, l->now.count + fresh.count + 1, sizeof(*l->now.items));
		for (size_t i = 0; i < fresh.count; i++) {
			l->now.items[l->now.count] = fresh.items[i];
			l->now.items[l->now.count++].fd = -1;
		}
		r = write_list(l->rec.dirfd, &l->now, e);
		tell_network(&l->s, &l->rec.state.networks, &l->now);
	}
	net_ports_free(&fresh);
	return r;
}

int container_ports_moved(const struct container_rec *rec, struct err *e)
{
	struct sockaddr_un a;
	struct net_portd_config cfg = {0};
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	socket_address(rec->dirfd, &a);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 0; /* nothing is published */
	/* Without any address left, clients are refused. */
	(void)!find_addresses(&rec->state.networks, &cfg, NULL);
	int r = net_portd_move(fd, &cfg, e);
	if (r < 0)
		return r;
	struct net_ports now;
	read_list(rec->dirfd, &now);
	tell_network(rec->store, &rec->state.networks, &now);
	net_ports_free(&now);
	return 0;
}

int container_port_add(const char *root, const char *name, const char *spec, struct err *e)
{
	struct port_opt p;
	struct live l;
	int r = port_opt_parse(spec, &p, e);
	if (r >= 0)
		r = live_open(root, name, &l, e);
	if (r < 0)
		return r;
	r = publish_live(&l, &p, e);
	live_close(&l);
	return r;
}

static bool is_meant(const struct net_port *p, const struct port_opt *want)
{
	char address[INET6_ADDRSTRLEN];
	net_port_address(p, address);
	if ((p->proto == NET_PORT_UDP) != want->udp || p->inside < want->first || p->inside > want->last)
		return false;
	if (want->host_first && (p->host < want->host_first || p->host > want->host_last))
		return false;
	return !*want->address || str_eq(address, want->address);
}

static int withdraw_live(struct live *l, const char *spec, const struct port_opt *want, struct err *e)
{
	size_t kept = 0;
	size_t before = l->now.count;
	struct net_ports left = {.items = xcalloc(before + 1, sizeof(*left.items))};
	autofd int conn = -1;
	int r = 0;
	for (size_t i = 0; i < before && r >= 0; i++) {
		if (!is_meant(&l->now.items[i], want)) {
			left.items[kept++] = l->now.items[i];
			continue;
		}
		if (conn < 0)
			conn = live_connect(l, e);
		r = conn < 0 ? conn : net_portd_remove(conn, &l->now.items[i], e);
	}
	left.count = kept;
	if (r >= 0 && kept == before)
		r = err_set(e, ENOENT, "container %s does not publish %s", l->rec.config.name, spec);
	if (r >= 0)
		r = write_list(l->rec.dirfd, &left, e);
	if (r >= 0)
		tell_network(&l->s, &l->rec.state.networks, &left);
	net_ports_free(&left);
	return r;
}

int container_port_remove(const char *root, const char *name, const char *spec, struct err *e)
{
	struct port_opt want;
	struct live l;
	int r = port_opt_parse(spec, &want, e);
	if (r >= 0)
		r = live_open(root, name, &l, e);
	if (r < 0)
		return r;
	r = withdraw_live(&l, spec, &want, e);
	live_close(&l);
	return r;
}
