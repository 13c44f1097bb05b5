/* network.c - records of networks: made, listed, removed. */
#include "rl/svc/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "network_int.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/model/endpoint.h"
#include "rl/svc/container.h"

enum {
	CANDIDATE_FIRST = 0x0a590000,
	CANDIDATES = 166
}; /* 10.89.0.0/24 to 10.254.0.0/24, by 2^16 after the first 256 */

struct nets {
	struct store store;
	int dirfd;
	struct network_rec *items;
	size_t count;
};

static void nets_close(struct nets *n)
{
	for (size_t i = 0; i < n->count; i++)
		network_rec_free(&n->items[i]);
	free(n->items);
	close_fd(&n->dirfd);
	store_close(&n->store);
}

static int read_one(int dirfd, const char *file, struct network_rec *ret, struct err *e)
{
	json_t *doc = NULL;
	int r = json_parse_file(dirfd, file, NETWORK_FILE_MAX, &doc, e);
	autojson json_t *owned = doc;
	return r < 0 ? r : network_rec_from_json(owned, ret, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct network_rec *)a)->name, ((const struct network_rec *)b)->name);
}

/* All of them, by name. One that cannot be read is left out, which is said. */
static int nets_open(const char *root, struct nets *ret, struct err *e)
{
	struct nets n = {.dirfd = -1};
	int r = store_open(root, true, &n.store, e);
	if (r < 0)
		return r;
	n.dirfd = store_dir(&n.store, "networks", e);
	int scan = n.dirfd < 0 ? n.dirfd : openat(n.dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	if (!d) {
		r = n.dirfd < 0 ? n.dirfd : err_sys(e, errno, "networks");
		nets_close(&n);
		return r;
	}
	struct dirent *entry;
	while ((entry = readdir(d))) {
		struct network_rec rec;
		struct err why = ERR_INIT;
		if (*entry->d_name == '.' || !str_ends(entry->d_name, ".json"))
			continue;
		if (read_one(n.dirfd, entry->d_name, &rec, &why) < 0) {
			log_warn("network %s cannot be read: %s", entry->d_name, why.text);
			continue;
		}
		n.items = xreallocarray(n.items, n.count + 1, sizeof(*n.items));
		n.items[n.count++] = rec;
	}
	if (n.count)
		qsort(n.items, n.count, sizeof(*n.items), by_name);
	*ret = n;
	return 0;
}

static struct network_rec *find(const struct nets *n, const char *name)
{
	struct network_rec *by_id = NULL;
	size_t len = strlen(name);
	for (size_t i = 0; i < n->count; i++) {
		if (str_eq(n->items[i].name, name))
			return &n->items[i];
		if (len >= 3 && strncmp(n->items[i].id, name, len) == 0)
			by_id = &n->items[i];
	}
	return by_id;
}

static int no_such(const char *name, struct err *e)
{
	return err_set(e, ENOENT, "there is no network '%s'", name);
}

/* ---- subnets ---- */

struct clash {
	uint32_t network;
	unsigned prefix;
	bool found;
};

static bool overlap(uint32_t a, unsigned a_prefix, uint32_t b, unsigned b_prefix)
{
	uint32_t mask = (uint32_t)(0xffffffffull << (32 - RL_MIN(a_prefix, b_prefix)));
	return (a & mask) == (b & mask);
}

static int on_route(const struct nl_route *route, void *arg)
{
	struct clash *c = arg;
	uint32_t dst;
	if (route->family != AF_INET || !route->prefix)
		return 0;
	memcpy(&dst, route->dst, sizeof(dst));
	c->found |= overlap(ntohl(dst), route->prefix, c->network, c->prefix);
	return 0;
}

static int host_uses(struct clash *c, struct err *e)
{
	struct nl nl = NL_NONE;
	c->found = false;
	int r = nl_open(&nl, e);
	if (r >= 0)
		r = nl_routes(&nl, AF_INET, on_route, c, e);
	nl_close(&nl);
	return r < 0 ? r : c->found;
}

static const char *network_uses(const struct nets *n, const struct clash *c)
{
	for (size_t i = 0; i < n->count; i++) {
		uint32_t network;
		unsigned prefix;
		if (network_parse_cidr(n->items[i].subnet, &network, &prefix, NULL) >= 0 &&
		    overlap(network, prefix, c->network, c->prefix))
			return n->items[i].name;
	}
	return NULL;
}

static int pick_subnet(const struct nets *n, struct network_rec *rec, struct err *e)
{
	for (uint32_t i = 0; i < 256 + CANDIDATES; i++) {
		struct clash c = {.network = i < 256 ? CANDIDATE_FIRST + (i << 8) : CANDIDATE_FIRST + ((i - 255) << 16),
				  .prefix = 24};
		int r = network_uses(n, &c) ? 1 : host_uses(&c, e);
		if (r < 0)
			return r;
		if (r)
			continue;
		struct in_addr a = {htonl(c.network)};
		char text[INET_ADDRSTRLEN];
		net_addr4_text(a, text);
		rec->subnet = xasprintf("%s/24", text);
		return 0;
	}
	err_set(e, EADDRNOTAVAIL, "no free subnet was found");
	return err_hint(e, "give one with --subnet");
}

/* `direct`: where the host routes is where the network is. */
static int check_subnet(const struct nets *n, const struct network_rec *rec, const struct network_addrs *a, bool direct,
			struct err *e)
{
	struct clash c = {.network = a->network, .prefix = a->prefix};
	const char *other = network_uses(n, &c);
	if (other)
		return err_set(e, EEXIST, "subnet %s is used by network %s", rec->subnet, other);
	int r = direct ? 0 : host_uses(&c, e);
	if (r <= 0)
		return r;
	err_set(e, EEXIST, "subnet %s is where the host routes something: containers could not reach it", rec->subnet);
	return err_hint(e, "leave --subnet out and a free one is taken");
}

/* A subnet of the range for local use, at random as it is meant to be. */
static char *pick_subnet6(void)
{
	struct in6_addr a = {.s6_addr = {0xfd}};
	char text[INET6_ADDRSTRLEN];
	io_random(a.s6_addr + 1, 7);
	net_addr6_text(&a, text);
	return xasprintf("%s/64", text);
}

/* ---- create ---- */

static int write_record(const struct nets *n, const struct network_rec *rec, struct err *e)
{
	autofree char *file = xasprintf("%s.json", rec->name);
	autojson json_t *doc = network_rec_to_json(rec);
	autofree char *text = json_dumps(doc, JSON_INDENT(2));
	return io_replace_file(n->dirfd, file, text, strlen(text), 0600, true, e);
}

/* A network on a link of the host's has the addresses that are in use there. */
static int check_direct(const struct network_rec *rec, const struct network_create_opts *o, struct err *e)
{
	struct net_place place = {.on_host = true};
	int r = net_direct_init(rec->driver, &rec->options, &place, e);
	if (r < 0)
		return r;
	if (!place.direct)
		return err_set(e, EINVAL, "--driver %s: bridge, macvlan and ipvlan exist", rec->driver);
	if (!network_is_hosts()) {
		err_set(e, EPERM,
			"--driver %s puts containers on the host's own link, which root of the machine only may",
			rec->driver);
		return err_hint(e, "the default driver needs no privileges");
	}
	if (!rec->subnet || (o->ipv6 && !rec->subnet6)) {
		err_set(e, EINVAL, "--driver %s needs --subnet%s: that of the link", rec->driver,
			rec->subnet ? " for IPv6" : "");
		return err_hint(e, "and --gateway, its router, and --ip-range, what no other machine there uses");
	}
	return net_direct_probe(&place, e);
}

static int create(struct nets *n, struct network_create_opts *o, struct err *e)
{
	struct network_rec *rec = &o->rec;
	struct network_addrs addrs;
	int r = 0;
	bool direct = rec->driver && !str_eq(rec->driver, "bridge");
	if (find(n, rec->name))
		return o->ignore ? 0 : err_set(e, EEXIST, "there is a network '%s' already", rec->name);
	bool given = rec->subnet;
	if (!given && (rec->gateway || rec->ip_range))
		return err_set(e, EINVAL, "--gateway and --ip-range need --subnet");
	if (direct)
		r = check_direct(rec, o, e);
	else if (!given)
		r = pick_subnet(n, rec, e);
	if (r >= 0 && o->ipv6 && !rec->subnet6)
		rec->subnet6 = pick_subnet6();
	if (r >= 0)
		r = network_rec_addrs(rec, &addrs, e);
	if (r >= 0 && given)
		r = check_subnet(n, rec, &addrs, direct, e);
	if (r < 0)
		return r;
	io_random_hex(32, rec->id);
	rec->created = container_now();
	rec->driver = rec->driver ? rec->driver : xstrdup("bridge");
	return write_record(n, rec, e);
}

int network_create(const char *root, struct network_create_opts *o, struct err *e)
{
	struct nets n;
	int r = network_rec_check_name(o->rec.name, e);
	if (r < 0)
		return r;
	/* One at a time: two of them must not take the same subnet. */
	r = nets_open(root, &n, e);
	if (r < 0)
		return r;
	autofd int lock = openat(n.dirfd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	r = lock < 0 ? err_sys(e, errno, "networks") : io_lock(lock, true, e);
	nets_close(&n);
	if (r >= 0)
		r = nets_open(root, &n, e);
	if (r < 0)
		return r;
	r = create(&n, o, e);
	nets_close(&n);
	return r;
}

/* ---- who wants it ---- */

static int users(const struct nets *n, const char *name, struct strv *ret_ids, struct err *e)
{
	struct container_list l = {0};
	int r = container_store_list(&n->store, &l, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l.count; i++)
		if (!l.items[i].broken && run_opts_wants_network(&l.items[i].config.o, name))
			strv_add(ret_ids, l.items[i].config.id);
	container_list_free(&l);
	return 0;
}

/* docker's "Containers" object: those that run. */
static json_t *containers_object(const struct nets *n, const char *name)
{
	struct container_list l = {0};
	json_t *out = json_object();
	if (container_store_list(&n->store, &l, NULL) < 0)
		return out;
	for (size_t i = 0; i < l.count; i++) {
		const struct container_rec *c = &l.items[i];
		for (size_t k = 0; !c->broken && container_rec_is_running(c) && k < c->state.networks.count; k++) {
			struct endpoint p;
			if (!endpoint_parse(c->state.networks.items[k], &p) || !str_eq(p.network, name))
				continue;
			json_t *one = json_object();
			autofree char *v4 = xasprintf("%s/%u", p.address, p.prefix);
			autofree char *v6 = *p.address6 ? xasprintf("%s/%u", p.address6, p.prefix6) : xstrdup("");
			json_put_str(one, "Name", c->config.name);
			json_put_str(one, "MacAddress", p.mac);
			json_put_str(one, "IPv4Address", v4);
			json_put_str(one, "IPv6Address", v6);
			json_put(out, c->config.id, one);
		}
	}
	container_list_free(&l);
	return out;
}

/* ---- looking ---- */

static json_t *pairs(const struct strv *v)
{
	json_t *out = json_object();
	for (size_t i = 0; i < v->count; i++) {
		const char *eq = strchr(v->items[i], '=');
		autofree char *key = eq ? xstrndup(v->items[i], (size_t)(eq - v->items[i])) : xstrdup(v->items[i]);
		json_put_str(out, key, eq ? eq + 1 : "");
	}
	return out;
}

static void put_created(json_t *out, int64_t ns)
{
	char text[40] = "";
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;
	if (gmtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_put_str(out, "Created", text);
}

static void put_subnet(json_t *list, const char *subnet, const char *gateway, const char *range)
{
	if (!subnet || !*subnet)
		return;
	json_t *one = json_object();
	json_put_str(one, "Subnet", subnet);
	json_put_str(one, "Gateway", gateway ? gateway : "");
	if (range && *range)
		json_put_str(one, "IPRange", range);
	json_array_append_new(list, one);
}

static json_t *document(const struct nets *n, const struct network_rec *rec)
{
	json_t *out = json_object();
	json_t *ipam = json_object();
	json_t *config = json_array();
	json_put_str(out, "Name", rec->name);
	json_put_str(out, "Id", rec->id);
	put_created(out, rec->created);
	json_put_str(out, "Scope", "local");
	json_put_str(out, "Driver", rec->driver);
	json_put_bool(out, "EnableIPv6", rec->subnet6 && *rec->subnet6);
	put_subnet(config, rec->subnet, rec->gateway, rec->ip_range);
	put_subnet(config, rec->subnet6, rec->gateway6, NULL);
	json_put_str(ipam, "Driver", "default");
	json_put(ipam, "Config", config);
	json_put(out, "IPAM", ipam);
	json_put_bool(out, "Internal", rec->internal);
	json_put_bool(out, "DNSEnabled", !rec->disable_dns && str_eq(rec->driver, "bridge"));
	json_put(out, "Containers", containers_object(n, rec->name));
	json_put(out, "Options", pairs(&rec->options));
	json_put(out, "Labels", pairs(&rec->labels));
	return out;
}

int network_inspect(const char *root, const char *name, json_t **ret_doc, struct err *e)
{
	struct nets n;
	int r = nets_open(root, &n, e);
	if (r < 0)
		return r;
	const struct network_rec *rec = find(&n, name);
	if (rec)
		*ret_doc = document(&n, rec);
	else
		r = no_such(name, e);
	nets_close(&n);
	return r;
}

/* 1 it passes, 0 it does not, -EINVAL. */
static bool has_label(const struct network_rec *rec, const char *want)
{
	for (size_t i = 0; i < rec->labels.count; i++) {
		const char *rest = str_after(rec->labels.items[i], want);
		if (rest && (!*rest || *rest == '='))
			return true;
	}
	return false;
}

/* Made before a time, or longer ago than a duration. */
static bool is_older(const struct network_rec *rec, const char *when)
{
	int64_t ns;
	return fmt_parse_when(when, "until", container_now(), &ns, NULL) == 0 && rec->created < ns;
}

static int passes(const struct network_rec *rec, const struct strv *filters, struct err *e)
{
	for (size_t i = 0; filters && i < filters->count; i++) {
		const char *f = filters->items[i];
		const char *v;
		bool ok = false;
		if ((v = str_after(f, "name=")))
			ok = strstr(rec->name, v);
		else if ((v = str_after(f, "id=")))
			ok = strncmp(rec->id, v, strlen(v)) == 0;
		else if ((v = str_after(f, "driver=")))
			ok = str_eq(rec->driver, v);
		else if ((v = str_after(f, "until=")))
			ok = is_older(rec, v);
		else if ((v = str_after(f, "label!=")) || (v = str_after(f, "label=")))
			ok = has_label(rec, v) == (f[strlen("label")] == '=');
		else
			return err_set(e, EINVAL, "filter '%s': name=, id=, driver=, label=, label!= and until= exist",
				       f);
		if (!ok)
			return 0;
	}
	return 1;
}

int network_rows(const char *root, const struct strv *filters, json_t **ret_rows, struct err *e)
{
	struct nets n;
	int r = nets_open(root, &n, e);
	if (r < 0)
		return r;
	json_t *rows = json_array();
	for (size_t i = 0; i < n.count && r >= 0; i++) {
		const struct network_rec *rec = &n.items[i];
		r = passes(rec, filters, e);
		if (r <= 0)
			continue;
		json_t *row = json_object();
		autofree char *id = xstrndup(rec->id, 12);
		json_put_str(row, "ID", id);
		json_put_str(row, "Name", rec->name);
		json_put_str(row, "Driver", rec->driver);
		json_put_str(row, "Scope", "local");
		json_put_str(row, "Subnet", rec->subnet);
		json_put_bool(row, "IPv6", rec->subnet6 && *rec->subnet6);
		json_put_bool(row, "Internal", rec->internal);
		put_created(row, rec->created);
		json_array_append_new(rows, row);
	}
	nets_close(&n);
	if (r < 0) {
		json_decref(rows);
		return r;
	}
	*ret_rows = rows;
	return 0;
}

int network_exists(const char *root, const char *name, struct err *e)
{
	struct nets n;
	int r = nets_open(root, &n, e);
	if (r < 0)
		return r;
	r = find(&n, name) != NULL;
	nets_close(&n);
	return r;
}

/* ---- removing ---- */

static int remove_files(const struct nets *n, const char *name, struct err *e)
{
	static const char *const suffixes[] = {"json", "sock", "lock"};
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		autofree char *file = xasprintf("%s.%s", name, suffixes[i]);
		if (unlinkat(n->dirfd, file, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "network %s", name);
	}
	return 0;
}

/* With what the holder left on the host, if it was killed. */
static int remove_all(const struct nets *n, const struct network_rec *rec, struct err *e)
{
	struct net_place place;
	network_place(rec, &place);
	if (place.on_host && str_eq(rec->driver, "bridge")) {
		net_forward_release(n->dirfd, NETWORK_LEDGER, rec->name);
		net_place_clear(&place);
	}
	return remove_files(n, rec->name, e);
}

int network_remove(const char *root, const char *name, bool force, struct err *e)
{
	struct nets n;
	autostrv struct strv ids = STRV_INIT;
	int r = nets_open(root, &n, e);
	if (r < 0)
		return r;
	const struct network_rec *rec = find(&n, name);
	r = rec ? users(&n, rec->name, &ids, e) : no_such(name, e);
	if (r >= 0 && ids.count && !force) {
		err_set(e, EBUSY, "network %s is wanted by container %.12s%s", rec->name, ids.items[0],
			ids.count > 1 ? " and others" : "");
		r = err_hint(e, "remove it first, or give -f");
	}
	for (size_t i = 0; r >= 0 && i < ids.count; i++)
		r = container_remove(root, ids.items[i], true, false, e);
	if (r >= 0)
		r = remove_all(&n, rec, e);
	nets_close(&n);
	return r < 0 ? r : 0;
}

int network_prune(const char *root, const struct strv *filters, struct strv *ret_removed, struct err *e)
{
	struct nets n;
	int r = nets_open(root, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n.count && r >= 0; i++) {
		autostrv struct strv ids = STRV_INIT;
		const struct network_rec *rec = &n.items[i];
		r = passes(rec, filters, e);
		if (r <= 0)
			continue;
		r = users(&n, rec->name, &ids, e);
		if (r < 0 || ids.count)
			continue;
		r = remove_all(&n, rec, e);
		if (r >= 0)
			strv_add(ret_removed, rec->name);
	}
	nets_close(&n);
	return r < 0 ? r : 0;
}
