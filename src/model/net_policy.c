/*
 * net_policy.c - see net_policy.h. The grammar first, then the judge.
 */
#include "rl/model/net_policy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "rl/base/mem.h"

enum { PORT_DNS = 53, PORT_DNS_TLS = 853, PORT_LAST = 65535 };

static const char metadata_word[] = "metadata";

/* AWS, GCP, Azure and others; AWS's for tasks and pods; the same over IPv6; Alibaba; Azure's wire server; Oracle. */
static const char *const metadata_addresses[] = {
	"169.254.169.254", "169.254.170.2",   "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23",
	"fd20:ce::254",	   "100.100.100.200", "168.63.129.16",	"192.0.0.192",
};
static const char *const metadata_names[] = {"metadata.google.internal", "instance-data.ec2.internal",
					     "metadata.tencentyun.com"};

/* ---- grammar ---- */

static int bad(const char *item, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "'%s': %s", item, why);
}

static size_t address_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* Do the first `prefix` bits agree? */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned prefix)
{
	unsigned bytes = prefix / 8;
	return memcmp(a, b, bytes) == 0 && (prefix % 8 == 0 || (a[bytes] ^ b[bytes]) >> (8 - prefix % 8) == 0);
}

static int parse_ports(const char *item, char *ports, struct net_policy_item *ret, struct err *e)
{
	char *dash = strchr(ports, '-');
	uint64_t first, last;
	if (dash)
		*dash++ = '\0';
	if (str_to_u64(ports, PORT_LAST, "", &first, NULL) < 0 ||
	    str_to_u64(dash ? dash : ports, PORT_LAST, "", &last, NULL) < 0 || !first || !last)
		return bad(item, "a port is a number from 1 to 65535", e);
	if (last < first)
		return bad(item, "the range of ports ends before it begins", e);
	ret->first = (uint16_t)first;
	ret->last = (uint16_t)last;
	return 0;
}

/* Cuts the ports off and takes the brackets away: what is left is the target. */
static int split_ports(const char *item, char *text, char **ret_target, struct net_policy_item *ret, struct err *e)
{
	char *colon = strchr(text, ':');
	ret->first = 0;
	ret->last = PORT_LAST;
	*ret_target = text;
	if (*text == '[') {
		char *end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return bad(item, "an IPv6 address with a port is written [ADDRESS]:PORT", e);
		*ret_target = text + 1;
		*end = '\0';
		if (!strchr(text + 1, ':'))
			return bad(item, "only IPv6 addresses stand in brackets", e);
		colon = end[1] ? end + 1 : NULL;
	} else if (colon && strchr(colon + 1, ':')) {
		return 0; /* an IPv6 address, all of it */
	}
	if (!colon)
		return 0;
	*colon = '\0';
	return parse_ports(item, colon + 1, ret, e);
}

static bool is_name(const char *name)
{
	size_t label = 0;
	bool digits = true; /* the label so far */
	if (!*name || strlen(name) > NET_POLICY_NAME_MAX)
		return false;
	for (const char *p = name; *p; p++) {
		if (*p == '.') {
			if (label == 0)
				return false;
			label = 0;
			digits = true;
			continue;
		}
		if (!isalnum((unsigned char)*p) && *p != '_' && (*p != '-' || label == 0))
			return false;
		digits &= isdigit((unsigned char)*p) != 0;
		if (++label > 63)
			return false;
	}
	return label && !digits;
}

static int put_name(struct net_policy *p, const char *name, struct net_policy_item *ret, struct err *e)
{
	size_t len = strlen(name);
	if (p->names_len + len + 1 > NET_POLICY_NAMES)
		return err_set(e, E2BIG, "the names of the list are longer than %d characters", NET_POLICY_NAMES);
	ret->family = 0;
	ret->name = p->names_len;
	for (size_t i = 0; i <= len; i++)
		p->names[p->names_len++] = (char)tolower((unsigned char)name[i]);
	return 0;
}

static int parse_address(const char *item, char *target, struct net_policy_item *ret, struct err *e)
{
	char *slash = strchr(target, '/');
	uint64_t prefix;
	if (slash)
		*slash++ = '\0';
	ret->family = strchr(target, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(ret->family, target, ret->address) != 1)
		return bad(item, "this is no address", e);
	unsigned bits = (unsigned)address_len(ret->family) * 8;
	prefix = bits;
	if (slash && str_to_u64(slash, bits, "", &prefix, NULL) < 0)
		return bad(item, "the prefix is longer than the address", e);
	ret->prefix = (uint8_t)prefix;
	for (unsigned i = ret->prefix; i < bits; i++)
		if (ret->address[i / 8] & (0x80 >> i % 8))
			return bad(item, "the address has bits beyond the prefix of its network", e);
	return 0;
}

static int put(struct net_policy *p, const struct net_policy_item *item, struct err *e)
{
	if (p->count == NET_POLICY_ITEMS)
		return err_set(e, E2BIG, "more than %d items on the lists", NET_POLICY_ITEMS);
	p->items[p->count++] = *item;
	p->has_allow |= !item->deny;
	return 0;
}

static int put_metadata(struct net_policy *p, const struct net_policy_item *like, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(metadata_addresses) && r >= 0; i++) {
		struct net_policy_item item = *like;
		autofree char *text = xstrdup(metadata_addresses[i]);
		r = parse_address(text, text, &item, e);
		if (r >= 0)
			r = put(p, &item, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(metadata_names) && r >= 0; i++) {
		struct net_policy_item item = *like;
		r = put_name(p, metadata_names[i], &item, e);
		if (r >= 0)
			r = put(p, &item, e);
	}
	return r;
}

static int add_item(struct net_policy *p, const char *item, bool deny, struct err *e)
{
	struct net_policy_item out = {.deny = deny};
	autofree char *text = xstrdup(item);
	char *target;
	int r = split_ports(item, text, &target, &out, e);
	if (r < 0)
		return r;
	if (str_eq(target, metadata_word))
		return put_metadata(p, &out, e);
	size_t len = strlen(target);
	if (len > 1 && target[len - 1] == '.' && !strchr(target, '/'))
		target[len - 1] = '\0';
	out.below = str_after(target, "*.") != NULL;
	const char *name = target + (out.below ? 2 : 0);
	if (is_name(name)) {
		r = put_name(p, name, &out, e);
		p->closes_dns |= deny;
	} else if (!out.below && (strpbrk(target, ":/") || isdigit((unsigned char)*target))) {
		r = parse_address(item, target, &out, e);
	} else {
		r = bad(item, "a name, *.NAME, an address, ADDRESS/PREFIX or 'metadata' is expected", e);
	}
	return r < 0 ? r : put(p, &out, e);
}

int net_policy_add(struct net_policy *p, const char *list, bool deny, struct err *e)
{
	autofree struct net_policy *made = xmemdup(p, sizeof(*p));
	autostrv struct strv items = STRV_INIT;
	strv_split(&items, list, ',');
	for (size_t i = 0; i < items.count; i++) {
		int r = add_item(made, items.items[i], deny, e);
		if (r < 0)
			return r;
	}
	*p = *made;
	return 0;
}

/* ---- judging ---- */

static bool name_is(const char *name, size_t len, const char *want)
{
	return strlen(want) == len && strncasecmp(name, want, len) == 0;
}

static bool item_has_name(const struct net_policy *p, const struct net_policy_item *item, const char *name)
{
	size_t len = strlen(name);
	const char *want = p->names + item->name;
	size_t want_len = strlen(want);
	if (item->family)
		return false;
	if (len && name[len - 1] == '.')
		len--;
	if (!item->below)
		return name_is(name, len, want);
	return len > want_len + 1 && name[len - want_len - 1] == '.' && name_is(name + len - want_len, want_len, want);
}

static bool item_has_port(const struct net_policy_item *item, const struct net_target *t)
{
	bool any = item->first == 0;
	if (t->proto != IPPROTO_TCP && t->proto != IPPROTO_UDP)
		return any;
	return any || (t->port >= item->first && t->port <= item->last);
}

static bool item_has_address(const struct net_policy_item *item, int family, const uint8_t *address)
{
	return item->family == family && same_prefix(item->address, address, item->prefix);
}

/* The IPv4 address a translator on the way would make of it. */
static bool embedded4(const struct net_target *t, uint8_t ret[4])
{
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	if (t->family != AF_INET6)
		return false;
	if (memcmp(t->address, nat64, sizeof(nat64)) == 0)
		memcpy(ret, t->address + 12, 4);
	else if (t->address[0] == 0x20 && t->address[1] == 0x02)
		memcpy(ret, t->address + 2, 4);
	else
		return false;
	return true;
}

enum net_verdict net_policy_judge(const struct net_policy *p, const struct net_target *t)
{
	uint8_t v4[4];
	bool translated = embedded4(t, v4);
	enum net_verdict verdict = p->has_allow ? NET_UNLISTED : NET_ALLOWED;
	bool has_ports = t->proto == IPPROTO_TCP || t->proto == IPPROTO_UDP;
	if (p->closes_dns && !p->has_allow && has_ports && (t->port == PORT_DNS || t->port == PORT_DNS_TLS))
		return NET_DENIED;
	for (unsigned i = 0; i < p->count; i++) {
		const struct net_policy_item *item = &p->items[i];
		if (!item->family || !item_has_port(item, t))
			continue;
		bool is_it = item_has_address(item, t->family, t->address);
		if (item->deny && (is_it || (translated && item_has_address(item, AF_INET, v4))))
			return NET_DENIED;
		if (is_it)
			verdict = NET_ALLOWED;
	}
	return verdict;
}

bool net_policy_may_ask(const struct net_policy *p, const char *name)
{
	bool listed = !p->has_allow;
	for (unsigned i = 0; i < p->count; i++) {
		const struct net_policy_item *item = &p->items[i];
		if (!item_has_name(p, item, name))
			continue;
		if (item->deny && item->first == 0)
			return false;
		listed |= !item->deny;
	}
	return listed;
}

bool net_policy_may_alias(const struct net_policy *p, const char *name)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->items[i].deny && p->items[i].first == 0 && item_has_name(p, &p->items[i], name))
			return false;
	return true;
}

bool net_target_is_metadata(const struct net_target *t)
{
	uint8_t v4[4];
	bool translated = embedded4(t, v4);
	for (size_t i = 0; i < ARRAY_SIZE(metadata_addresses); i++) {
		uint8_t a[16];
		int family = strchr(metadata_addresses[i], ':') ? AF_INET6 : AF_INET;
		if (inet_pton(family, metadata_addresses[i], a) != 1)
			continue;
		if ((family == t->family && memcmp(a, t->address, address_len(family)) == 0) ||
		    (translated && family == AF_INET && memcmp(a, v4, 4) == 0))
			return true;
	}
	return false;
}

enum net_verdict net_policy_judge_name(const struct net_policy *p, const char *name, const struct net_target *t)
{
	enum net_verdict verdict = NET_UNLISTED;
	for (unsigned i = 0; i < p->count; i++) {
		const struct net_policy_item *item = &p->items[i];
		if (!item_has_name(p, item, name) || !item_has_port(item, t))
			continue;
		if (item->deny)
			return NET_DENIED;
		if (!net_target_is_metadata(t))
			verdict = NET_ALLOWED;
	}
	return verdict;
}

int net_policy_add_alias(struct net_policy *p, const char *name, const char *address, struct err *e)
{
	unsigned count = p->count;
	for (unsigned i = 0; i < count; i++) {
		if (p->items[i].deny || !item_has_name(p, &p->items[i], name))
			continue;
		struct net_policy_item item = {.first = p->items[i].first, .last = p->items[i].last};
		autofree char *text = xstrdup(address);
		int r = parse_address(address, text, &item, e);
		if (r >= 0)
			r = put(p, &item, e);
		if (r < 0)
			return r;
	}
	return 0;
}
