/* port_opt.c - see port_opt.h. */
#include "rl/model/port_opt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "rl/base/mem.h"

static int bad(const char *text, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "port '%s': %s", text, why);
}

static int parse_range(const char *text, const char *range, uint16_t *ret_first, uint16_t *ret_last, struct err *e)
{
	autofree char *copy = xstrdup(range);
	char *dash = strchr(copy, '-');
	uint64_t first, last;
	if (dash)
		*dash++ = '\0';
	if (str_to_u64(copy, 65535, "", &first, NULL) < 0 ||
	    str_to_u64(dash ? dash : copy, 65535, "", &last, NULL) < 0 || !first || !last)
		return bad(text, "a port is a number from 1 to 65535", e);
	if (last < first)
		return bad(text, "the range ends before it begins", e);
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
	return 0;
}

/* Cuts "/tcp" off. */
static int parse_proto(const char *text, char *spec, bool *ret_udp, struct err *e)
{
	char *slash = strchr(spec, '/');
	*ret_udp = false;
	if (!slash)
		return 0;
	*slash++ = '\0';
	if (str_eq(slash, "udp"))
		*ret_udp = true;
	else if (!str_eq(slash, "tcp"))
		return bad(text, str_eq(slash, "sctp") ? "sctp is not forwarded" : "the protocol is tcp or udp", e);
	return 0;
}

int port_opt_parse_expose(const char *text, struct port_opt *ret, struct err *e)
{
	struct port_opt p = {0};
	autofree char *spec = xstrdup(text);
	int r = parse_proto(text, spec, &p.udp, e);
	if (r >= 0)
		r = parse_range(text, spec, &p.first, &p.last, e);
	if (r >= 0)
		*ret = p;
	return r;
}

/* "[::1]:REST" or "192.0.2.1:REST". Moves *spec past it; there is none if the first colon ends a port. */
static int parse_address(const char *text, char **spec, struct port_opt *p, struct err *e)
{
	unsigned char buf[sizeof(struct in6_addr)];
	char *s = *spec;
	char *end;
	int family = AF_INET;
	if (*s == '[') {
		s++;
		family = AF_INET6;
		end = strchr(s, ']');
		if (!end || end[1] != ':')
			return bad(text, "an IPv6 address is written [ADDRESS]:", e);
		*end++ = '\0';
	} else {
		char *first = strchr(s, ':');
		end = first ? strchr(first + 1, ':') : NULL;
		if (!end)
			return 0;
		if (strchr(end + 1, ':'))
			return bad(text, "an IPv6 address is written in brackets", e);
		end = first;
	}
	*end++ = '\0';
	if (inet_pton(family, s, buf) != 1 || strlen(s) >= sizeof(p->address))
		return bad(text, family == AF_INET ? "this is not an IPv4 address" : "this is not an IPv6 address", e);
	memcpy(p->address, s, strlen(s) + 1);
	*spec = end;
	return 0;
}

int port_opt_parse(const char *text, struct port_opt *ret, struct err *e)
{
	struct port_opt p = {0};
	autofree char *copy = xstrdup(text);
	char *spec = copy;
	int r = parse_proto(text, spec, &p.udp, e);
	if (r >= 0)
		r = parse_address(text, &spec, &p, e);
	if (r < 0)
		return r;
	char *colon = strchr(spec, ':');
	char *inside = colon ? colon + 1 : spec;
	if (*p.address && !colon && !*spec)
		return bad(text, "the port of the container is missing", e);
	if (colon)
		*colon = '\0';
	r = parse_range(text, inside, &p.first, &p.last, e);
	/* "0:80" and "192.0.2.1:0:80" ask for any port, as "192.0.2.1::80" does. */
	if (r >= 0 && colon && *spec && !str_eq(spec, "0"))
		r = parse_range(text, spec, &p.host_first, &p.host_last, e);
	else if (r >= 0 && colon && !*p.address && !*spec)
		return bad(text, "the port of the host is missing", e);
	if (r < 0)
		return r;
	if (p.host_first && p.last > p.first && p.host_last - p.host_first != p.last - p.first)
		return bad(text, "the two ranges are of different length", e);
	*ret = p;
	return 0;
}

static bool same_address(const struct port_opt *a, const struct port_opt *b)
{
	unsigned char x[2][sizeof(struct in6_addr)] = {{0}};
	if (!*a->address || !*b->address)
		return true;
	int family = strchr(a->address, ':') ? AF_INET6 : AF_INET;
	if (family != (strchr(b->address, ':') ? AF_INET6 : AF_INET))
		return false;
	if (inet_pton(family, a->address, x[0]) != 1 || inet_pton(family, b->address, x[1]) != 1)
		return false;
	static const unsigned char any[sizeof(struct in6_addr)];
	return memcmp(x[0], x[1], sizeof(x[0])) == 0 || memcmp(x[0], any, sizeof(any)) == 0 ||
	       memcmp(x[1], any, sizeof(any)) == 0;
}

bool port_opt_is_choice(const struct port_opt *p)
{
	return !p->host_first || (p->first == p->last && p->host_last > p->host_first);
}

bool port_opt_collide(const struct port_opt *a, const struct port_opt *b)
{
	if (a->udp != b->udp || port_opt_is_choice(a) || port_opt_is_choice(b) || !same_address(a, b))
		return false;
	return a->host_first <= b->host_last && b->host_first <= a->host_last;
}

int port_opt_check_all(const struct strv *publish, struct err *e)
{
	autofree struct port_opt *all = xcalloc(publish->count + 1, sizeof(*all));
	for (size_t i = 0; i < publish->count; i++) {
		int r = port_opt_parse(publish->items[i], &all[i], e);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (port_opt_collide(&all[i], &all[k]))
				return err_set(e, EINVAL, "ports '%s' and '%s' want the same port of the host",
					       publish->items[k], publish->items[i]);
	}
	return 0;
}
