/*
 * slirp_opt.c - see slirp_opt.h.
 */
#include "rl/model/slirp_opt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/model/network_rec.h"

static int parse_bool(const char *key, const char *value, int *ret, struct err *e)
{
	if (str_eq(value, "true") || str_eq(value, "1"))
		*ret = 1;
	else if (str_eq(value, "false") || str_eq(value, "0"))
		*ret = 0;
	else
		return err_set(e, EINVAL, "%s=%s: true or false is expected", key, value);
	return 0;
}

static int parse_mtu(struct slirp_opt *o, const char *key, const char *value, struct err *e)
{
	uint64_t mtu;
	int r = str_to_u64(value, UINT32_MAX, key, &mtu, e);
	if (r < 0)
		return r;
	if (mtu && (mtu < SLIRP_OPT_MTU_MIN || mtu > SLIRP_OPT_MTU_MAX))
		return err_set(e, EINVAL, "mtu=%s: must be between %d and %d", value, SLIRP_OPT_MTU_MIN,
			       SLIRP_OPT_MTU_MAX);
	o->mtu = (unsigned)mtu;
	return 0;
}

static int parse_cidr(struct slirp_opt *o, const char *key, const char *value, struct err *e)
{
	autofree char *text = xstrdup(value);
	char *slash = strchr(text, '/');
	struct in_addr a;
	uint64_t prefix;
	if (!slash)
		return err_set(e, EINVAL, "cidr=%s: ADDRESS/PREFIX is expected", value);
	*slash = '\0';
	int r = str_to_u64(slash + 1, 32, key, &prefix, e);
	if (r < 0)
		return r;
	if (inet_pton(AF_INET, text, &a) != 1)
		return err_set(e, EINVAL, "cidr=%s: %s is not an IPv4 address", value, text);
	if (prefix < 8 || prefix > 29)
		return err_set(e, EINVAL, "cidr=%s: the prefix must be between 8 and 29", value);
	uint32_t network = ntohl(a.s_addr) & (uint32_t)(0xffffffffu << (32 - prefix));
	if (!network_has_hosts(network))
		return err_set(e, EINVAL, "cidr=%s: not a subnet hosts can use", value);
	o->network = network;
	o->prefix = (unsigned)prefix;
	o->cidr_given = true;
	return 0;
}

static int parse_ipv6(struct slirp_opt *o, const char *key, const char *value, struct err *e)
{
	return parse_bool(key, value, &o->enable_ipv6, e);
}

static int parse_host_loopback(struct slirp_opt *o, const char *key, const char *value, struct err *e)
{
	return parse_bool(key, value, &o->allow_host_loopback, e);
}

static int parse_outbound(struct slirp_opt *o, const char *key, const char *value, struct err *e)
{
	char *to = str_eq(key, "outbound_addr") ? o->outbound_addr : o->outbound_addr6;
	unsigned char addr[sizeof(struct in6_addr)];
	bool is_address = inet_pton(str_eq(key, "outbound_addr") ? AF_INET : AF_INET6, value, addr) == 1;
	bool is_interface = *value && strlen(value) < IF_NAMESIZE && !strpbrk(value, "/ \t:") && !str_eq(value, ".") &&
			    !str_eq(value, "..");
	if (!is_address && !is_interface)
		return err_set(e, EINVAL, "%s=%s: an address or an interface name is expected", key, value);
	memcpy(to, value, strlen(value) + 1);
	return 0;
}

/* Accepted for compatibility: the source of a connection is always kept. */
static int parse_port_handler(struct slirp_opt *o, const char *key, const char *value, struct err *e)
{
	(void)o;
	if (!str_eq(value, "rootlesskit") && !str_eq(value, "slirp4netns"))
		return err_set(e, EINVAL, "%s=%s: rootlesskit or slirp4netns is expected", key, value);
	return 0;
}

static int parse_fast(struct slirp_opt *o, const char *key, const char *value, struct err *e)
{
	int fast = 0;
	int r = parse_bool(key, value, &fast, e);
	o->fast = fast;
	return r;
}

static const struct {
	const char *key;
	int (*parse)(struct slirp_opt *, const char *, const char *, struct err *);
} keys[] = {
	{"mtu", parse_mtu},
	{"cidr", parse_cidr},
	{"enable_ipv6", parse_ipv6},
	{"allow_host_loopback", parse_host_loopback},
	{"outbound_addr", parse_outbound},
	{"outbound_addr6", parse_outbound},
	{"port_handler", parse_port_handler},
	{"fast", parse_fast},
};

static int parse_one(const char *item, struct slirp_opt *o, struct err *e)
{
	const char *names[ARRAY_SIZE(keys) + 1] = {NULL};
	const char *equals = strchr(item, '=');
	autofree char *key = xstrndup(item, equals ? (size_t)(equals - item) : strlen(item));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (str_eq(key, keys[i].key)) {
			if (!equals && str_eq(key, "fast"))
				return parse_fast(o, key, "true", e);
			if (!equals)
				return err_set(e, EINVAL, "network option %s needs a value", key);
			return keys[i].parse(o, key, equals + 1, e);
		}
		names[i] = keys[i].key;
	}
	err_set(e, EINVAL, "unknown network option %s", key);
	const char *near = str_nearest(key, names);
	return near ? err_hint(e, "did you mean %s?", near) : -EINVAL;
}

int slirp_opt_parse(const char *text, struct slirp_opt *ret, struct err *e)
{
	struct slirp_opt o = {.enable_ipv6 = -1, .allow_host_loopback = -1};
	autostrv struct strv items = STRV_INIT;
	if (text && *text)
		strv_split(&items, text, ',');
	for (size_t i = 0; i < items.count; i++) {
		int r = parse_one(items.items[i], &o, e);
		if (r < 0)
			return r;
	}
	if (o.mtu && o.mtu < SLIRP_OPT_MTU_MIN6 && o.enable_ipv6 != 0)
		return err_hint(
			(err_set(e, EINVAL, "mtu=%u is too small for IPv6, which needs %d", o.mtu, SLIRP_OPT_MTU_MIN6),
			 e),
			"add enable_ipv6=false");
	*ret = o;
	return 0;
}
