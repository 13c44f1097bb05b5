/* egress.c - see net_egress.h. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rl/base/mem.h"
#include "rl/engine/net_dns.h"
#include "rl/engine/net_egress.h"

/* An address the resolver gave. */
struct known {
	uint8_t family; /* 0: a free place */
	uint8_t address[16];
	int64_t until;
	char name[DNS_NAME_TEXT];
};

struct flow {
	struct net_target target;
	uint16_t sport;
	int64_t until;
};

struct egress {
	struct net_policy policy;
	struct net_log *log;
	struct known *known; /* EGRESS_KNOWN, made when the first answer comes */
	struct flow flows[EGRESS_FLOWS];
};

struct egress *egress_new(const struct net_policy *p, struct net_log *log)
{
	struct egress *g = xcalloc(1, sizeof(*g));
	g->policy = *p;
	g->log = log;
	return g;
}

void egress_free(struct egress *g)
{
	if (!g)
		return;
	net_log_unmap(g->log);
	free(g->known);
	free(g);
}

/* ---- names ---- */

static void note_name(const struct egress *g, const char *name)
{
	struct net_log_event event = {.kind = NET_LOG_DNS};
	snprintf(event.name, sizeof(event.name), "%s", name);
	if (g->log)
		net_log_note(g->log, &event);
}

bool egress_may_ask(struct egress *g, const uint8_t *query)
{
	char name[DNS_NAME_TEXT];
	size_t end;
	bool plain = dns_question_name(query, name, &end);
	bool may = plain && net_policy_may_ask(&g->policy, name);
	if (!may)
		note_name(g, name);
	return may;
}

struct learning {
	struct egress *g;
	const char *name;
	int64_t now_ms;
};

static bool on_alias(void *arg, const char *alias)
{
	const struct learning *l = arg;
	bool may = net_policy_may_alias(&l->g->policy, alias);
	if (!may)
		note_name(l->g, alias);
	return may;
}

static size_t address_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

static bool has_address(const struct known *k, int family, const void *address)
{
	return k->family == family && memcmp(k->address, address, address_len(family)) == 0;
}

static void on_address(void *arg, int family, const void *address, uint32_t ttl)
{
	const struct learning *l = arg;
	struct egress *g = l->g;
	int64_t until = l->now_ms + (int64_t)RL_MIN(ttl, (uint32_t)EGRESS_TTL_MAX_S) * 1000 + EGRESS_GRACE_MS;
	if (!g->known)
		g->known = xcalloc(EGRESS_KNOWN, sizeof(*g->known));
	struct known *choice = &g->known[0];
	for (size_t i = 0; i < EGRESS_KNOWN; i++) {
		struct known *k = &g->known[i];
		if (!k->family) {
			choice = k;
			break;
		}
		if (has_address(k, family, address) && strcasecmp(k->name, l->name) == 0) {
			k->until = RL_MAX(k->until, until);
			return;
		}
		if (k->until < choice->until)
			choice = k;
	}
	*choice = (struct known){.family = (uint8_t)family, .until = until};
	memcpy(choice->address, address, address_len(family));
	snprintf(choice->name, sizeof(choice->name), "%s", l->name);
}

bool egress_learn(struct egress *g, const uint8_t *answer, size_t len, int64_t now_ms)
{
	char name[DNS_NAME_TEXT];
	size_t end;
	struct learning l = {.g = g, .name = name, .now_ms = now_ms};
	const struct dns_found found = {.arg = &l, .alias = on_alias, .address = on_address};
	if (!dns_check_answer(answer, len))
		return true; /* an error without its question: nothing to learn from */
	(void)dns_question_name(answer, name, &end);
	return dns_walk_answer(answer, len, &found);
}

/* ---- connections ---- */

static struct flow *flow_of(struct egress *g, const struct net_target *t, uint16_t sport)
{
	uint32_t hash = 2166136261u;
	uint8_t ports[4] = {(uint8_t)(t->port >> 8), (uint8_t)t->port, (uint8_t)(sport >> 8), (uint8_t)sport};
	for (size_t i = 0; i < sizeof(t->address); i++)
		hash = (hash ^ t->address[i]) * 16777619u;
	for (size_t i = 0; i < sizeof(ports); i++)
		hash = (hash ^ ports[i]) * 16777619u;
	return &g->flows[hash % EGRESS_FLOWS];
}

static bool is_flow(const struct flow *f, const struct net_target *t, uint16_t sport)
{
	return f->sport == sport && f->target.port == t->port && f->target.family == t->family &&
	       memcmp(f->target.address, t->address, sizeof(t->address)) == 0;
}

/* By the addresses and by what names have opened; *ret_name: the name it has, "" without one. */
static bool judge(const struct egress *g, const struct net_target *t, int64_t now_ms, const char **ret_name)
{
	enum net_verdict verdict = net_policy_judge(&g->policy, t);
	*ret_name = "";
	for (size_t i = 0; g->known && i < EGRESS_KNOWN && g->known[i].family; i++) {
		const struct known *k = &g->known[i];
		if (!has_address(k, t->family, t->address))
			continue;
		enum net_verdict named = net_policy_judge_name(&g->policy, k->name, t);
		if (!**ret_name || named == NET_DENIED)
			*ret_name = k->name;
		if (named == NET_DENIED)
			return false;
		if (named == NET_ALLOWED && k->until > now_ms && verdict == NET_UNLISTED) {
			verdict = NET_ALLOWED;
			*ret_name = k->name;
		}
	}
	return verdict == NET_ALLOWED;
}

static void note(const struct egress *g, const struct net_target *t, bool allowed, const char *name)
{
	struct net_log_event event = {.kind = t->proto == IPPROTO_TCP	? NET_LOG_TCP
					      : t->proto == IPPROTO_UDP ? NET_LOG_UDP
									: NET_LOG_ICMP,
				      .allowed = allowed,
				      .family = t->family,
				      .port = t->port};
	memcpy(event.address, t->address, address_len(t->family));
	snprintf(event.name, sizeof(event.name), "%s", name);
	if (g->log)
		net_log_note(g->log, &event);
}

bool egress_allows(struct egress *g, const struct net_target *t, uint16_t sport, int64_t now_ms)
{
	struct flow *flow = t->proto == IPPROTO_UDP ? flow_of(g, t, sport) : NULL;
	const char *name;
	if (flow && flow->until > now_ms && is_flow(flow, t, sport)) {
		flow->until = now_ms + EGRESS_FLOW_MS;
		return true;
	}
	bool allowed = judge(g, t, now_ms, &name);
	note(g, t, allowed, name);
	if (allowed && flow)
		*flow = (struct flow){.target = *t, .sport = sport, .until = now_ms + EGRESS_FLOW_MS};
	return allowed;
}
