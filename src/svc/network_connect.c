/*
 * network_connect.c - networks of a container that exists: one more, one less, while it runs too.
 *
 * What is wanted stands in config.json, as `run` would have put it there. What a running container has is in its
 * state.json, whose one writer is the process that started it; so what was changed since is in networks.json beside it,
 * the whole list anew, which counts only for the PID 1 it was made for. All changes are made with the lock of operations.
 *
 * The interface is made and configured from here: a netlink socket that was opened in the container's namespace, and
 * nothing of ours stays inside.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "container_int.h"
#include "network_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/endpoint.h"
#include "rl/svc/events.h"
#include "rl/svc/network.h"

enum { LOOK_AGAIN_MS = 100 };

static const char changes_file[] = "networks.json";

/* ---- the list ---- */

void container_network_reread(struct container_rec *rec)
{
	json_t *doc = NULL;
	json_t *item;
	size_t i;
	if (json_parse_file(rec->dirfd, changes_file, RECORD_FILE_MAX, &doc, NULL) < 0)
		return;
	autojson json_t *owned = doc;
	if (json_int_or(owned, "start", 0) != (int64_t)rec->state.init.start)
		return;
	strv_free(&rec->state.networks);
	json_array_foreach (json_object_get(owned, "networks"), i, item)
		if (json_is_string(item))
			strv_add(&rec->state.networks, json_string_value(item));
}

static int write_list(const struct container_rec *rec, struct err *e)
{
	autojson json_t *doc = json_object();
	json_t *list = json_array();
	for (size_t i = 0; i < rec->state.networks.count; i++)
		json_array_append_new(list, json_string(rec->state.networks.items[i]));
	json_put_int(doc, "start", (int64_t)rec->state.init.start);
	json_put(doc, "networks", list);
	autofree char *text = json_dumps(doc, JSON_COMPACT);
	return io_replace_file(rec->dirfd, changes_file, text, strlen(text), 0600, false, e);
}

/* The file inside is this very file. One that somebody has changed by hand is left as it is. */
static void rewrite_resolv_conf(const struct container_rec *rec, const struct strv *before)
{
	autostr struct str old = STR_INIT;
	autostr struct str now = STR_INIT;
	autostr struct str there = STR_INIT;
	struct err why = ERR_INIT;
	const struct run_opts *o = &rec->config.o;
	int r = container_network_resolv_conf(o, before, &old, &why);
	if (r >= 0)
		r = container_network_resolv_conf(o, &rec->state.networks, &now, &why);
	if (r >= 0)
		r = io_read_file(rec->dirfd, "resolv.conf", 1 << 20, &there, &why);
	if (r >= 0 && !str_eq(there.buf, old.buf))
		log_debug(LOG_NET, "resolv.conf of container %s is not ours any more", rec->config.name);
	else if (r >= 0)
		r = io_write_file(rec->dirfd, "resolv.conf", now.buf, now.len, 0644, &why);
	if (r < 0)
		log_warn("container %s: its resolv.conf could not be changed: %s", rec->config.name, why.text);
}

/* Everything that follows from another list of endpoints. */
static int publish_list(const struct container_rec *rec, const struct strv *before, struct err *e)
{
	int r = write_list(rec, e);
	if (r < 0)
		return r;
	rewrite_resolv_conf(rec, before);
	return container_ports_moved(rec, e);
}

/* The first of them that leads outside has the default route. */
static bool leads_outside(const struct endpoint *p)
{
	return *p->gateway && !p->internal;
}

static bool has_default(const struct strv *endpoints)
{
	bool found = false;
	for (size_t i = 0; i < endpoints->count; i++) {
		struct endpoint p;
		found |= endpoint_parse(endpoints->items[i], &p) && leads_outside(&p);
	}
	return found;
}

static bool has_interface(const struct strv *endpoints, const char *name)
{
	bool found = false;
	for (size_t i = 0; i < endpoints->count; i++) {
		struct endpoint p;
		found |= endpoint_parse(endpoints->items[i], &p) && str_eq(p.interface, name);
	}
	return found;
}

/* ---- connect ---- */

static int open_netlink(const struct container_rec *rec, int *ret_member, struct nl *ret, struct err *e)
{
	autofd int member = container_rec_open_member(rec, e);
	if (member < 0)
		return member;
	int r = net_live_open(member, ret, e);
	if (r >= 0)
		*ret_member = take_fd(&member);
	return r;
}

static int plug_live(struct container_rec *rec, const char *text, struct net_lease *ret_lease, struct err *e)
{
	struct nl nl = NL_NONE;
	char interface[NET_IFNAME_SIZE] = "eth0";
	autofd int member = -1;
	autofd int conn = -1;
	const struct strv *now = &rec->state.networks;
	for (unsigned i = 1; has_interface(now, interface); i++)
		snprintf(interface, sizeof(interface), "eth%u", i);
	int r = container_lease(rec->store, &rec->config, text, interface, ret_lease, &conn, e);
	if (r >= 0)
		r = container_rights_lease(rec, ret_lease, conn, e);
	if (r >= 0 && has_interface(now, ret_lease->interface))
		r = err_set(e, EEXIST, "it has an interface %s already", ret_lease->interface);
	if (r >= 0)
		r = open_netlink(rec, &member, &nl, e);
	if (r >= 0)
		r = net_live_plug(&nl, ret_lease, conn, member, !ret_lease->internal && !has_default(now), e);
	nl_close(&nl);
	return r;
}

static int connect_running(struct container_rec *rec, const char *text, struct err *e)
{
	struct net_lease lease;
	autostrv struct strv before = STRV_INIT;
	strv_add_all(&before, &rec->state.networks);
	int r = plug_live(rec, text, &lease, e);
	if (r < 0)
		return r;
	container_network_endpoint(&lease, &rec->state.networks);
	r = publish_list(rec, &before, e);
	if (r < 0)
		(void)!network_unplug(rec->store, lease.network, lease.host.mac, NULL);
	return r;
}

static char *option_text(const char *network, const struct network_connect_opts *o)
{
	struct named_opt n = {.name = (char *)(uintptr_t)network,
			      .ip = (char *)(uintptr_t)o->ip,
			      .ip6 = (char *)(uintptr_t)o->ip6,
			      .mac = (char *)(uintptr_t)o->mac};
	if (o->aliases)
		n.aliases = *o->aliases;
	return run_opts_named_text(&n);
}

struct change {
	struct store s;
	struct container_rec rec;
	int op;
};

static void change_close(struct change *c)
{
	close_fd(&c->op);
	container_rec_free(&c->rec);
	store_close(&c->s);
}

static bool is_starting(const struct container_rec *rec)
{
	int own = -1;
	bool held = rec->status == RECORD_CREATED && container_rec_try_own(rec, &own, NULL) == 0;
	close_fd(&own);
	return held;
}

/* A container that is being started for the first time has been recorded and does not run yet: what is changed now would
 * be for its next start only. */
static int await_first_start(struct container_rec *rec, struct err *e)
{
	int r = 0;
	while (r >= 0 && is_starting(rec)) {
		struct container_watch w;
		r = container_watch_open(rec, &w, e);
		if (r < 0)
			return r;
		r = container_rec_reload(rec, e);
		/* One that fails lets go of its lock, of which nothing is told. */
		if (r >= 0 && is_starting(rec))
			r = container_watch_wait(&w, LOOK_AGAIN_MS, e);
		container_watch_close(&w);
		if (r >= 0)
			r = container_rec_reload(rec, e);
	}
	return r < 0 ? r : 0;
}

static int change_open(const char *root, const char *container, struct change *c, struct err *e)
{
	*c = (struct change){.rec = CONTAINER_REC_INIT, .op = -1};
	int r = store_open(root, true, &c->s, e);
	if (r < 0)
		return r;
	r = container_store_find(&c->s, container, &c->rec, e);
	if (r == 0)
		c->op = container_rec_lock(&c->rec, e);
	if (r == 0 && c->op < 0)
		r = c->op;
	if (r == 0)
		r = await_first_start(&c->rec, e);
	if (r < 0)
		change_close(c);
	return r;
}

/* The process that restarts it has to know. */
static void tell_monitor(const struct container_rec *rec)
{
	autofd int monitor = rec->state.foreground ? -1 : container_rec_open_monitor(rec, NULL);
	if (monitor >= 0)
		(void)!proc_pidfd_signal(monitor, SIGUSR1, NULL);
}

static int do_connect(struct change *c, const char *network, const char *text, struct err *e)
{
	struct container_rec *rec = &c->rec;
	int r = rec->config.o.holder ? err_set(e, EINVAL, "it is a pod, whose containers share its network") : 0;
	if (r >= 0)
		r = run_opts_connect(&rec->config.o, text, e);
	if (r >= 0 && container_rec_is_running(rec))
		r = connect_running(rec, text, e);
	if (r >= 0)
		r = container_rec_write_config(rec, e);
	if (r < 0)
		return err_ctx(e, "container %s", rec->config.name);
	tell_monitor(rec);
	events_container(rec, "connect", "network", network, NULL);
	return 0;
}

int network_connect(const char *root, const char *network, const char *container, const struct network_connect_opts *o,
		    struct err *e)
{
	struct change c;
	struct named_opt checked;
	autofree char *text = option_text(network, o);
	int r = run_opts_parse_named(text, &checked, e);
	if (r < 0)
		return r;
	run_opts_free_named(&checked);
	r = network_exists(root, network, e);
	if (r == 0)
		r = err_set(e, ENOENT, "there is no network '%s'", network);
	if (r > 0)
		r = change_open(root, container, &c, e);
	if (r < 0)
		return r;
	r = do_connect(&c, network, text, e);
	change_close(&c);
	return r;
}

/* ---- disconnect ---- */

/* After the interface with the default route is gone: the next that leads outside gets it. */
static int move_default(const struct container_rec *rec, struct err *e)
{
	struct nl nl = NL_NONE;
	struct endpoint p;
	struct in_addr gateway;
	struct in6_addr gateway6;
	size_t i = 0;
	while (i < rec->state.networks.count &&
	       !(endpoint_parse(rec->state.networks.items[i], &p) && leads_outside(&p)))
		i++;
	if (i == rec->state.networks.count)
		return 0;
	bool has4 = inet_pton(AF_INET, p.gateway, &gateway) == 1;
	bool has6 = inet_pton(AF_INET6, p.gateway6, &gateway6) == 1;
	autofd int member = -1;
	int r = open_netlink(rec, &member, &nl, e);
	if (r >= 0)
		r = net_live_default(&nl, p.interface, has4 ? &gateway : NULL, has6 ? &gateway6 : NULL, e);
	nl_close(&nl);
	return r;
}

static int disconnect_running(struct container_rec *rec, const char *network, struct err *e)
{
	autostrv struct strv before = STRV_INIT;
	struct endpoint p;
	uint8_t mac[NET_MAC_LEN];
	size_t i = 0;
	struct strv *now = &rec->state.networks;
	strv_add_all(&before, now);
	while (i < now->count && !(endpoint_parse(now->items[i], &p) && str_eq(p.network, network)))
		i++;
	if (i == now->count)
		return 0; /* wanted at the next start only */
	if (!endpoint_mac(&p, mac))
		return err_set(e, EBADMSG, "its record has no address on network %s", network);
	int r = network_unplug(rec->store, network, mac, e);
	if (r < 0)
		return r;
	strv_remove(now, i);
	r = leads_outside(&p) ? move_default(rec, e) : 0;
	return r < 0 ? r : publish_list(rec, &before, e);
}

int network_disconnect(const char *root, const char *network, const char *container, struct err *e)
{
	struct change c;
	int r = change_open(root, container, &c, e);
	if (r < 0)
		return r;
	struct container_rec *rec = &c.rec;
	autofree char *fast = run_opts_fast_network(&rec->config.o);
	/* Who makes its connections would go on making them. */
	if (fast && str_eq(fast, network) && container_rec_is_running(rec) && !network_is_hosts()) {
		err_set(e, EBUSY, "it runs, and its connections are made past network %s (fast)", network);
		r = err_hint(e, "stop it first");
	}
	if (r >= 0)
		r = run_opts_disconnect(&rec->config.o, network, e);
	if (r >= 0 && container_rec_is_running(rec))
		r = disconnect_running(rec, network, e);
	if (r >= 0)
		r = container_rec_write_config(rec, e);
	if (r < 0)
		err_ctx(e, "container %s", rec->config.name);
	if (r >= 0) {
		tell_monitor(rec);
		events_container(rec, "disconnect", "network", network, NULL);
	}
	change_close(&c);
	return r;
}
