/* network_rec.c - see network_rec.h. */
#include "rl/model/network_rec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fields_int.h"
#include "rl/base/mem.h"

#define N struct network_rec
static const struct field rec_fields[] = {
	FIELD(N, FIELD_STR, name),	   FIELD_TEXT(N, id),
	FIELD(N, FIELD_I64, created),	   FIELD(N, FIELD_STR, driver),
	FIELD(N, FIELD_STR, subnet),	   FIELD(N, FIELD_STR, gateway),
	FIELD(N, FIELD_STR, ip_range),	   FIELD(N, FIELD_STR, subnet6),
	FIELD(N, FIELD_STR, gateway6),	   FIELD(N, FIELD_BOOL, internal),
	FIELD(N, FIELD_BOOL, disable_dns), FIELD(N, FIELD_STRV, labels),
	FIELD(N, FIELD_STRV, options),
};
#undef N

void network_rec_free(struct network_rec *n)
{
	free(n->name);
	free(n->driver);
	free(n->subnet);
	free(n->gateway);
	free(n->ip_range);
	free(n->subnet6);
	free(n->gateway6);
	strv_free(&n->labels);
	strv_free(&n->options);
	*n = (struct network_rec){0};
}

json_t *network_rec_to_json(const struct network_rec *n)
{
	json_t *doc = json_object();
	json_put_int(doc, "version", 1);
	fields_to_json(rec_fields, ARRAY_SIZE(rec_fields), n, doc);
	return doc;
}

int network_rec_from_json(const json_t *doc, struct network_rec *ret, struct err *e)
{
	struct network_rec n = {0};
	int r = fields_from_json(rec_fields, ARRAY_SIZE(rec_fields), doc, &n, e);
	if (r >= 0 && json_int_or(doc, "version", 0) != 1)
		r = err_set(e, EPROTONOSUPPORT, "written by another version of rl");
	if (r >= 0 && (!n.name || !n.subnet))
		r = err_set(e, EBADMSG, "no name or no subnet");
	if (r < 0) {
		network_rec_free(&n);
		return r;
	}
	*ret = n;
	return 0;
}

int network_rec_check_name(const char *name, struct err *e)
{
	static const char *const words[] = {"none",    "host",	    "slirp", "slirp4netns", "private", "bridge",
					    "default", "container", "ns",    "pasta",	    "pod"};
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(name);
	if (!len || len > NETWORK_NAME_MAX || name[strspn(name, good)] || strchr("_.-", *name))
		return err_set(e, EINVAL,
			       "network '%s': a name is up to %d letters, digits, '_', '.' and '-', and begins with a "
			       "letter or digit",
			       name, NETWORK_NAME_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(name, words[i]))
			return err_set(e, EINVAL, "network '%s': this word means something else to --network", name);
	return 0;
}

int network_parse_cidr(const char *text, uint32_t *ret_network, unsigned *ret_prefix, struct err *e)
{
	autofree char *copy = xstrdup(text);
	char *slash = strchr(copy, '/');
	struct in_addr a;
	uint64_t prefix;
	if (slash)
		*slash++ = '\0';
	if (!slash || inet_pton(AF_INET, copy, &a) != 1 || str_to_u64(slash, 32, "", &prefix, NULL) < 0 || prefix < 8)
		return err_set(e, EINVAL, "'%s': ADDRESS/PREFIX is expected (example: 10.89.0.0/24)", text);
	*ret_prefix = (unsigned)prefix;
	*ret_network = ntohl(a.s_addr) & (uint32_t)(0xffffffffull << (32 - prefix));
	return 0;
}

static int parse_range(const struct network_rec *n, struct network_addrs *a, struct err *e)
{
	uint32_t low;
	unsigned prefix;
	int r = network_parse_cidr(n->ip_range, &low, &prefix, e);
	if (r < 0)
		return err_ctx(e, "ip range");
	uint32_t high = low | (uint32_t)(0xffffffffull >> prefix);
	if (prefix < a->prefix || low < a->network || high > (a->network | (uint32_t)(0xffffffffull >> a->prefix)))
		return err_set(e, EINVAL, "ip range %s is not in the subnet %s", n->ip_range, n->subnet);
	a->first = RL_MAX(a->first, low);
	a->last = RL_MIN(a->last, high);
	return 0;
}

static int parse_gateway(struct network_rec *n, struct network_addrs *a, uint32_t last, struct err *e)
{
	struct in_addr g;
	char text[INET_ADDRSTRLEN];
	a->gateway = a->network + 1;
	if (n->gateway && *n->gateway) {
		if (inet_pton(AF_INET, n->gateway, &g) != 1 || ntohl(g.s_addr) <= a->network || ntohl(g.s_addr) >= last)
			return err_set(e, EINVAL, "gateway %s is no address in the subnet %s", n->gateway, n->subnet);
		a->gateway = ntohl(g.s_addr);
		return 0;
	}
	g.s_addr = htonl(a->gateway);
	free(n->gateway);
	n->gateway = xstrdup(inet_ntop(AF_INET, &g, text, sizeof(text)));
	return 0;
}

static int parse_six(struct network_rec *n, struct network_addrs *a, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	autofree char *copy = xstrdup(n->subnet6);
	char *slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (!slash || inet_pton(AF_INET6, copy, &a->network6) != 1 || !str_eq(slash, "64"))
		return err_set(e, EINVAL, "'%s': an IPv6 subnet is ADDRESS/64", n->subnet6);
	memset(a->network6.s6_addr + 8, 0, 8);
	if ((a->network6.s6_addr[0] & 0xe0) != 0x20 && (a->network6.s6_addr[0] & 0xfe) != 0xfc)
		return err_set(e, EINVAL, "'%s': not a subnet hosts can use", n->subnet6);
	a->ipv6 = true;
	a->gateway6 = a->network6;
	a->gateway6.s6_addr[15] = 1;
	if (n->gateway6 && *n->gateway6) {
		if (inet_pton(AF_INET6, n->gateway6, &a->gateway6) != 1 || memcmp(&a->gateway6, &a->network6, 8) != 0)
			return err_set(e, EINVAL, "gateway %s is no address in the subnet %s", n->gateway6, n->subnet6);
		return 0;
	}
	free(n->gateway6);
	n->gateway6 = xstrdup(inet_ntop(AF_INET6, &a->gateway6, text, sizeof(text)));
	return 0;
}

/* Not "this network", loopback, link-local (where clouds have their metadata) or multicast. */
bool network_has_hosts(uint32_t network)
{
	return network >> 24 != 0 && network >> 24 != 127 && network >> 16 != 0xa9fe && network >> 28 < 14;
}

int network_rec_addrs(struct network_rec *n, struct network_addrs *ret, struct err *e)
{
	struct network_addrs a = {0};
	int r = network_parse_cidr(n->subnet, &a.network, &a.prefix, e);
	if (r < 0)
		return err_ctx(e, "subnet");
	uint32_t last = a.network | (uint32_t)(0xffffffffull >> a.prefix);
	if (a.prefix > 29 || !network_has_hosts(a.network))
		return err_set(e, EINVAL, "subnet %s: not a subnet containers can use", n->subnet);
	a.first = a.network + 1;
	a.last = last - 1;
	r = parse_gateway(n, &a, last, e);
	if (r >= 0 && n->ip_range && *n->ip_range)
		r = parse_range(n, &a, e);
	if (r >= 0 && n->subnet6 && *n->subnet6)
		r = parse_six(n, &a, e);
	if (r >= 0)
		*ret = a;
	return r;
}
