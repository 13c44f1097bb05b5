/*
 * direct.c - networks on a link of the host's own: macvlan and ipvlan, as root.
 *
 * Every container gets a device of its own that is stacked on the link (the "parent"), and is a host among the others
 * there. Nothing of ours is between them: no bridge, no rules, no rl-netd and so no resolver, no policy and no way to the
 * host, whose own packets the kernel does not turn round to devices stacked on its link.
 *
 * The device is made in the container's namespace and goes with it. Whether this kernel has the kind, and whether the
 * parent takes it, is found out by making one in a namespace that is thrown away.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_named.h"

enum { STEP_PROBED = 1 };

struct kind {
	const char *driver, *option, *default_mode;
	struct {
		const char *name;
		unsigned value;
	} modes[4];
};

static const struct kind kinds[] = {
	[NET_DIRECT_MACVLAN] = {"macvlan",
				"macvlan_mode=",
				"bridge",
				{{"bridge", MACVLAN_MODE_BRIDGE},
				 {"private", MACVLAN_MODE_PRIVATE},
				 {"vepa", MACVLAN_MODE_VEPA}}},
	[NET_DIRECT_IPVLAN] = {"ipvlan", "ipvlan_mode=", "l2", {{"l2", IPVLAN_MODE_L2}}},
};

static int set_mode(const struct kind *k, const char *mode, struct net_place *p, struct err *e)
{
	autostr struct str names = STR_INIT;
	for (size_t i = 0; i < ARRAY_SIZE(k->modes) && k->modes[i].name; i++) {
		if (str_eq(k->modes[i].name, mode)) {
			p->mode = k->modes[i].value;
			return 0;
		}
		str_addf(&names, " %s", k->modes[i].name);
	}
	return err_set(e, EINVAL, "-o mode=%s: the modes of %s are:%s", mode, k->driver, names.buf);
}

int net_direct_init(const char *driver, const struct strv *options, struct net_place *p, struct err *e)
{
	const char *parent = NULL;
	const char *mode = NULL;
	for (size_t i = NET_DIRECT_MACVLAN; i < ARRAY_SIZE(kinds); i++)
		if (driver && str_eq(driver, kinds[i].driver))
			p->direct = (enum net_direct)i;
	if (!p->direct)
		return 0;
	const struct kind *k = &kinds[p->direct];
	for (size_t i = 0; i < options->count; i++) {
		const char *text = options->items[i];
		const char *value = str_after(text, "parent=");
		parent = value ? value : parent;
		value = str_after(text, "mode=");
		value = value ? value : str_after(text, k->option);
		mode = value ? value : mode;
	}
	if (!parent || !*parent) {
		err_set(e, EINVAL, "--driver %s needs the link of the host that it is on", driver);
		return err_hint(e, "-o parent=INTERFACE names it; 'ip link' lists them");
	}
	if (strlen(parent) >= sizeof(p->parent) || strchr(parent, '/'))
		return err_set(e, EINVAL, "-o parent=%s: this is no name of an interface", parent);
	snprintf(p->parent, sizeof(p->parent), "%s", parent);
	return set_mode(k, mode ? mode : k->default_mode, p, e);
}

/* One stacked device, made where netns leads. */
static int add(struct nl *nl, const struct net_place *p, const struct nl_stacked *device, struct err *e)
{
	struct nl_stacked d = *device;
	const char *driver = kinds[p->direct].driver;
	d.kind = driver;
	d.mode = p->mode;
	d.mode_is_short = p->direct == NET_DIRECT_IPVLAN;
	d.parent = nl_link_index(nl, p->parent, NULL);
	if (d.parent < 0)
		return err_set(e, ENODEV, "the host has no interface %s", p->parent);
	if (p->direct == NET_DIRECT_IPVLAN)
		d.mac = NULL; /* the parent's, of which there is one */
	nl_stacked_add(nl, &d);
	int r = nl_flush(nl, e);
	if (r == -EOPNOTSUPP)
		return err_set(e, EOPNOTSUPP, "this kernel has no %s", driver);
	if (r == -EBUSY)
		return err_set(e, EBUSY, "%s is in use in a way that %s does not go with", p->parent, driver);
	return r < 0 ? err_ctx(e, "%s on %s", driver, p->parent) : 0;
}

static int probe(const void *arg, int sock, struct err *e)
{
	const struct net_place *p = arg;
	struct nl host = NL_NONE;
	struct nl own = NL_NONE;
	int r = nl_open(&host, e);
	if (r >= 0 && unshare(CLONE_NEWNET) < 0)
		r = err_sys(e, errno, "make a network namespace");
	if (r >= 0)
		r = nl_open(&own, e);
	int netns = r < 0 ? r : nl_netns_fd(&own, e);
	r = netns < 0 ? netns : add(&host, p, &(struct nl_stacked){.name = "probe", .netns_fd = netns}, e);
	return r < 0 ? r : sync_send(sock, STEP_PROBED, NULL, 0, NULL, 0, e);
}

int net_direct_probe(const struct net_place *p, struct err *e)
{
	return sync_ask_fork(probe, p, "who tries the link", STEP_PROBED, NULL, e);
}

int net_direct_open(const struct net_place *p, struct net_named *ret, struct err *e)
{
	struct net_named n = NET_NAMED_NONE;
	n.place = *p;
	int r = nl_open(&n.nl, e);
	if (r >= 0 && nl_link_index(&n.nl, p->parent, NULL) < 0)
		r = err_set(e, ENODEV, "the host has no interface %s", p->parent);
	if (r < 0) {
		nl_close(&n.nl);
		return r;
	}
	*ret = n;
	return 0;
}

int net_direct_plug(struct net_named *n, const struct net_lease *lease, int netns, struct err *e)
{
	int r = add(&n->nl, &n->place,
		    &(struct nl_stacked){
			    .name = lease->interface, .netns_fd = netns, .mac = lease->host.mac, .mtu = lease->mtu},
		    e);
	return r < 0 ? err_ctx(e, "network %s", lease->network) : 0;
}

int net_direct_unplug(const struct net_lease *lease, int pidfd, struct err *e)
{
	struct nl nl = NL_NONE;
	int r = net_live_open(pidfd, &nl, e);
	int index = r < 0 ? r : nl_link_index(&nl, lease->interface, e);
	if (index > 0)
		nl_link_del(&nl, index);
	r = index < 0 ? index : nl_flush(&nl, e);
	nl_close(&nl);
	return r;
}
