/*
 * forward.c - the host forwards IPv4 for its containers: where it must, and no longer than it must.
 *
 * The switch for the whole machine (ip_forward) is never touched: it would make a router of it. Forwarding is asked of the
 * interface a packet comes in by, so the bridge has it, which goes away anyway, and so have the interfaces that have
 * routes, because answers come in by them. Which ones are ours is in the ledger, a line "INTERFACE NETWORK" for each user;
 * "INTERFACE =NETWORK" is a network's bridge, which is not one of them.
 * What already forwards is not ours and not in it. When the last line of an interface goes it is switched off, unless the
 * whole machine forwards by then: somebody else needs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "rl/kern/netlink.h"

enum { LEDGER_MAX = 1 << 16 };

struct ledger {
	int lock;
	struct strv lines;
};

static char *sysctl_of(const char *interface)
{
	return xasprintf("/proc/sys/net/ipv4/conf/%s/forwarding", interface);
}

static bool forwards(const char *interface)
{
	autofree char *path = sysctl_of(interface);
	autostr struct str text = STR_INIT;
	return io_read_file(AT_FDCWD, path, 16, &text, NULL) < 0 || text.buf[0] != '0';
}

static int set_forwarding(const char *interface, bool on, struct err *e)
{
	autofree char *path = sysctl_of(interface);
	return io_write_file(AT_FDCWD, path, on ? "1" : "0", 1, 0, e);
}

static int ledger_open(int dirfd, const char *name, struct ledger *ret, struct err *e)
{
	struct ledger l = {.lock = -1};
	autofree char *lock = xasprintf("%s.lock", name);
	autostr struct str text = STR_INIT;
	l.lock = openat(dirfd, lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l.lock < 0)
		return err_sys(e, errno, "%s", lock);
	int r = io_lock(l.lock, true, e);
	if (r < 0) {
		close_fd(&l.lock);
		return r;
	}
	if (io_read_file(dirfd, name, LEDGER_MAX, &text, NULL) >= 0)
		strv_split(&l.lines, text.buf, '\n');
	*ret = l;
	return 0;
}

static int ledger_write(int dirfd, const char *name, const struct ledger *l, struct err *e)
{
	autostr struct str text = STR_INIT;
	for (size_t i = 0; i < l->lines.count; i++)
		if (*l->lines.items[i])
			str_addf(&text, "%s\n", l->lines.items[i]);
	if (!text.len)
		return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? err_sys(e, errno, "%s", name) : 0;
	return io_replace_file(dirfd, name, text.buf, text.len, 0600, false, e);
}

static void ledger_close(struct ledger *l)
{
	strv_free(&l->lines);
	close_fd(&l->lock);
}

static bool has_line(const struct ledger *l, const char *interface, bool bridge)
{
	for (size_t i = 0; i < l->lines.count; i++) {
		const char *rest = str_after(l->lines.items[i], interface);
		if (rest && *rest == ' ' && (rest[1] == '=') == bridge)
			return true;
	}
	return false;
}

static bool has_user(const struct ledger *l, const char *interface)
{
	return has_line(l, interface, false);
}

static int on_route(const struct nl_route *route, void *arg)
{
	struct strv *names = arg;
	char name[IFNAMSIZ];
	if (!route->local && route->oif && if_indextoname((unsigned)route->oif, name) && !str_eq(name, "lo") &&
	    !strv_has(names, name))
		strv_add(names, name);
	return 0;
}

static int list_interfaces(struct strv *names, struct err *e)
{
	struct nl nl = NL_NONE;
	int r = nl_open(&nl, e);
	if (r >= 0)
		r = nl_routes(&nl, AF_INET, on_route, names, e);
	nl_close(&nl);
	return r;
}

static int use(struct ledger *l, const char *interface, const char *network, struct net_named *n, struct err *e)
{
	autofree char *line = xasprintf("%s %s", interface, network);
	bool is_ours = strv_has(&l->lines, line); /* since routes changed, or of a holder that was killed */
	if (!has_user(l, interface) && forwards(interface))
		return 0;
	/* The rule that keeps it from being a router for others is there before it forwards. */
	int r = n->nft < 0 ? 0 : net_place_uplink(&n->place, n->nft, interface, e);
	if (r < 0)
		return r;
	if (!is_ours)
		strv_add(&l->lines, line);
	return 0;
}

int net_forward_claim(int dirfd, const char *ledger, const char *network, const char *bridge, struct err *e)
{
	struct ledger l;
	int r = ledger_open(dirfd, ledger, &l, e);
	if (r < 0)
		return r;
	autofree char *line = xasprintf("%s =%s", bridge, network);
	if (!strv_has(&l.lines, line))
		strv_add(&l.lines, line);
	r = ledger_write(dirfd, ledger, &l, e);
	ledger_close(&l);
	return r;
}

int net_forward_acquire(int dirfd, const char *ledger, const char *network, struct net_named *n, struct err *e)
{
	struct ledger l;
	autostrv struct strv names = STRV_INIT;
	int r = set_forwarding(n->place.bridge, true, e);
	if (r >= 0)
		r = list_interfaces(&names, e);
	if (r >= 0)
		r = ledger_open(dirfd, ledger, &l, e);
	if (r < 0)
		return err_ctx(e, "forwarding");
	for (size_t i = 0; i < names.count && r >= 0; i++)
		if (!has_line(&l, names.items[i], true))
			r = use(&l, names.items[i], network, n, e);
	/* Written down first: what a crash leaves switched on is known. */
	if (r >= 0)
		r = ledger_write(dirfd, ledger, &l, e);
	for (size_t i = 0; i < names.count && r >= 0; i++)
		if (has_user(&l, names.items[i]))
			r = set_forwarding(names.items[i], true, e);
	ledger_close(&l);
	return r < 0 ? err_ctx(e, "forwarding") : 0;
}

static bool machine_forwards(void)
{
	autostr struct str text = STR_INIT;
	return io_read_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16, &text, NULL) < 0 || text.buf[0] != '0';
}

void net_forward_release(int dirfd, const char *ledger, const char *network)
{
	struct ledger l;
	struct err why = ERR_INIT;
	autofree char *user = xasprintf(" %s", network);
	autofree char *bridge = xasprintf(" =%s", network);
	if (ledger_open(dirfd, ledger, &l, &why) < 0) {
		log_debug(LOG_NET, "%s", why.text);
		return;
	}
	bool stays = machine_forwards();
	for (size_t i = 0; i < l.lines.count;) {
		bool is_bridge = str_ends(l.lines.items[i], bridge);
		if (!is_bridge && !str_ends(l.lines.items[i], user)) {
			i++;
			continue;
		}
		autofree char *name = xstrndup(l.lines.items[i], strcspn(l.lines.items[i], " "));
		strv_remove(&l.lines, i);
		if (!is_bridge && !stays && !has_user(&l, name) && set_forwarding(name, false, &why) < 0)
			log_debug(LOG_NET, "%s", why.text); /* the interface is gone */
	}
	if (ledger_write(dirfd, ledger, &l, &why) < 0)
		log_debug(LOG_NET, "%s", why.text);
	ledger_close(&l);
}
