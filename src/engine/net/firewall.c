/*
 * firewall.c - does the host have rules of somebody else's that could drop what a network of root's sends?
 *
 * A packet passes a hook only if every chain there lets it, so that a rule of ours cannot save what another table drops.
 * Whether a rule would meet our packets cannot be told from outside in general; so a chain counts as strict if it drops by
 * policy or if anything it leads to drops, rejects or queues, except for packets whose connection state is invalid, which
 * every careful rule set drops. To be wrong about it costs speed (rl-netd is the way out), not packets.
 *
 * What is looked at is the text `nft -j -t list ruleset` prints, of unbounded size and anybody's making: chains are visited
 * once each, and what cannot be read counts as strict.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "net_int.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "rl/kern/nft.h"

enum { NESTED_MAX = 64 };

struct look {
	const json_t *items;
	const char *family, *table;
	struct strv seen, next; /* chains of the table */
	bool drops;
};

static bool has_verdict(const json_t *expr, struct look *l, int depth);

static bool object_has_verdict(const json_t *expr, struct look *l, int depth)
{
	static const char *const ends[] = {"drop", "reject", "queue"};
	bool found = false;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		found |= json_object_get(expr, ends[i]) != NULL;
	for (int i = 0; i < 2; i++) {
		const char *target = json_str_or_null(json_object_get(expr, i ? "goto" : "jump"), "target");
		if (target && !strv_has(&l->seen, target) && !strv_has(&l->next, target))
			strv_add(&l->next, target);
	}
	/* iptables-nft has some of its own. */
	const char *foreign = json_str_or_null(json_object_get(expr, "xt"), "name");
	found |= foreign && (str_eq(foreign, "REJECT") || str_eq(foreign, "DROP") || str_eq(foreign, "NFQUEUE"));
	/* A map of verdicts elsewhere. */
	const json_t *vmap = json_object_get(expr, "vmap");
	found |= json_is_string(json_object_get(vmap, "data"));
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)(uintptr_t)expr, key, value)
		found |= has_verdict(value, l, depth + 1);
	return found;
}

static bool has_verdict(const json_t *expr, struct look *l, int depth)
{
	size_t i;
	json_t *item;
	bool found = false;
	if (depth > NESTED_MAX)
		return true;
	if (json_is_object(expr))
		return object_has_verdict(expr, l, depth);
	json_array_foreach (expr, i, item)
		found |= has_verdict(item, l, depth + 1);
	return found;
}

/* A rule that begins with: connection state is invalid. */
static bool is_about_invalid(const json_t *expr)
{
	const json_t *match = json_object_get(json_array_get(expr, 0), "match");
	const char *key = json_str_or_null(json_object_get(json_object_get(match, "left"), "ct"), "key");
	const char *op = json_str_or_null(match, "op");
	const char *right = json_str_or_null(match, "right");
	return key && str_eq(key, "state") && op && (str_eq(op, "in") || str_eq(op, "==")) && right &&
	       str_eq(right, "invalid");
}

static bool is_here(const struct look *l, const json_t *object)
{
	const char *family = json_str_or_null(object, "family");
	const char *table = json_str_or_null(object, "table");
	return family && table && str_eq(family, l->family) && str_eq(table, l->table);
}

static void look_into(struct look *l, const char *chain)
{
	size_t i;
	json_t *item;
	json_array_foreach (l->items, i, item) {
		const json_t *rule = json_object_get(item, "rule");
		const char *of = json_str_or_null(rule, "chain");
		const json_t *expr = json_object_get(rule, "expr");
		if (!rule || !of || !is_here(l, rule) || !str_eq(of, chain) || is_about_invalid(expr))
			continue;
		l->drops |= has_verdict(expr, l, 0);
	}
}

static bool drops(const json_t *items, const json_t *chain)
{
	const char *name = json_str_or_null(chain, "name");
	const char *policy = json_str_or_null(chain, "policy");
	struct look l = {.items = items,
			 .family = json_str_or_null(chain, "family"),
			 .table = json_str_or_null(chain, "table"),
			 .drops = policy && str_eq(policy, "drop")};
	if (name)
		strv_add(&l.next, name);
	while (l.next.count && !l.drops) {
		autofree char *at = xstrdup(l.next.items[l.next.count - 1]);
		strv_remove(&l.next, l.next.count - 1);
		strv_add(&l.seen, at);
		look_into(&l, at);
	}
	strv_free(&l.seen);
	strv_free(&l.next);
	return l.drops;
}

/* Chains that a container's packets to anywhere pass. What leaves the host itself passes the others, whoever sends it. */
static bool is_on_the_way(const json_t *chain)
{
	static const char *const hooks[] = {"prerouting", "input", "forward", "postrouting"};
	const char *hook = json_str_or_null(chain, "hook");
	const char *family = json_str_or_null(chain, "family");
	const char *table = json_str_or_null(chain, "table");
	bool found = false;
	if (!hook || !family || !table || str_after(table, "rl-") || str_eq(family, "netdev"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		found |= str_eq(hook, hooks[i]);
	return found;
}

static void put_chain(const json_t *chain, char *ret, size_t size)
{
	snprintf(ret, size, "%s %s %s", json_str_or_null(chain, "family"), json_str_or_null(chain, "table"),
		 json_str_or_null(chain, "name"));
}

void net_firewall_judge(const char *ruleset, struct net_firewall *f)
{
	size_t i;
	json_t *item;
	autojson json_t *doc = json_loads(ruleset, 0, NULL);
	const json_t *items = json_object_get(doc, "nftables");
	if (!json_is_array(items)) {
		f->strict = true;
		snprintf(f->chain, sizeof(f->chain), "rules that cannot be read");
		return;
	}
	json_array_foreach (items, i, item) {
		const json_t *chain = json_object_get(item, "chain");
		if (!chain || !is_on_the_way(chain) || !drops(items, chain))
			continue;
		const char *family = json_str_or_null(chain, "family");
		/* Of IPv6 alone: the host forwards that only where it does so for itself. */
		bool six = str_eq(family, "ip6");
		f->strict6 = true;
		if (six)
			continue;
		f->strict = true;
		if (!*f->chain)
			put_chain(chain, f->chain, sizeof(f->chain));
		if (!*f->input && str_eq(json_str_or_null(chain, "hook"), "input") && !str_eq(family, "bridge") &&
		    !str_eq(family, "arp"))
			put_chain(chain, f->input, sizeof(f->input));
	}
}

/* The older iptables has its rules elsewhere, where nft does not see them. */
static bool has_old_iptables(const char *path)
{
	autostr struct str names = STR_INIT;
	return io_read_file(AT_FDCWD, path, 4096, &names, NULL) >= 0 && strstr(names.buf, "filter");
}

int net_firewall_look(struct net_firewall *ret, struct err *e)
{
	struct net_firewall f = {.strict = has_old_iptables("/proc/net/ip_tables_names")};
	autostr struct str text = STR_INIT;
	if (f.strict)
		snprintf(f.chain, sizeof(f.chain), "iptables-legacy filter");
	f.strict6 = f.strict || has_old_iptables("/proc/net/ip6_tables_names");
	int r = nft_list_rules(&text, e);
	if (r < 0)
		return r;
	net_firewall_judge(text.buf ? text.buf : "", &f);
	*ret = f;
	return 0;
}
