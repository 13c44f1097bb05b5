/*
 * hosts.c - a shared network: which containers are on it, and their names.
 *
 * The frame check and everything that builds frames know one container, the one in n->policy. On a shared network that
 * is whoever sent the frame in hand: hosts_select looks its MAC up and puts its addresses there, so that a container
 * can speak for itself only. What is answered later keeps a struct sender of its own.
 *
 * Names are answered here before anybody outside is asked: A, AAAA and PTR, without regard to case. A name may have
 * several containers (an alias), then all addresses are given. A name of ours without an address of the kind asked for
 * has no such record, rather than one somewhere else. Every other name is refused on an internal network, and every other
 * name without a dot on all: a container that is on another network too then asks the resolver there.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "netd.h"
#include "rl/base/mem.h"
#include "rl/engine/net_dns.h"

enum {
	TYPE_A = 1,
	TYPE_PTR = 12,
	TYPE_AAAA = 28,
	TYPE_ANY = 255,
	CLASS_IN = 1,
	RCODE_NXDOMAIN = 3,
	TTL_S = 5,
	ANSWERS_MAX = 16,
};

struct hosts {
	struct net_host *items;
	size_t count;
};

struct hosts *hosts_new(void)
{
	return xcalloc(1, sizeof(struct hosts));
}

static struct net_host *find(const struct hosts *all, const uint8_t *mac)
{
	for (size_t i = 0; i < all->count; i++)
		if (memcmp(all->items[i].mac, mac, NET_MAC_LEN) == 0)
			return &all->items[i];
	return NULL;
}

static void speak_as(struct netd *n, const struct net_host *h)
{
	memcpy(n->policy.mac, h->mac, NET_MAC_LEN);
	n->policy.address = h->address;
	n->policy.address6 = h->address6;
	rights_select(n, h->mac);
}

void hosts_add(struct netd *n, const struct net_host *h)
{
	struct hosts *all = n->hosts;
	hosts_remove(n, h);
	if (all->count == NET_HOSTS_MAX)
		return;
	all->items = xreallocarray(all->items, all->count + 1, sizeof(*all->items));
	struct net_host *added = &all->items[all->count++];
	*added = *h;
	added->names[sizeof(added->names) - 2] = added->names[sizeof(added->names) - 1] = '\0';
	speak_as(n, added);
	netd_introduce(n);
}

void hosts_remove(struct netd *n, const struct net_host *h)
{
	struct hosts *all = n->hosts;
	struct net_host *old = find(all, h->mac);
	if (old)
		*old = all->items[--all->count];
}

bool hosts_select(struct netd *n, const uint8_t *frame, size_t len)
{
	const struct net_host *h = len < FRAME_ETH_LEN ? NULL : find(n->hosts, frame + NET_MAC_LEN);
	if (h)
		speak_as(n, h);
	return h;
}

bool hosts_is_outward(const struct netd *n, const uint8_t *frame, const struct frame_info *i)
{
	const uint8_t *ip = frame + i->l3;
	struct in_addr dst;
	if (i->family == AF_INET) {
		memcpy(&dst, ip + 16, sizeof(dst));
		return (dst.s_addr & n->policy.netmask.s_addr) != n->policy.network.s_addr;
	}
	const uint8_t *dst6 = ip + 24;
	bool near = dst6[0] == 0xff || (dst6[0] == 0xfe && (dst6[1] & 0xc0) == 0x80);
	return i->family == AF_INET6 && !near && memcmp(dst6, &n->policy.network6, 8) != 0;
}

/* ---- names ---- */

static bool has_name(const struct net_host *h, const char *name)
{
	for (const char *p = h->names; *p; p += strlen(p) + 1)
		if (strcasecmp(p, name) == 0)
			return true;
	return false;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Append a record for the question's name. */
static size_t put_record(uint8_t *out, size_t at, unsigned type, const void *data, size_t len)
{
	put16(out + at, 0xc000 | DNS_HEADER);
	put16(out + at + 2, type);
	put16(out + at + 4, CLASS_IN);
	put16(out + at + 6, 0);
	put16(out + at + 8, TTL_S);
	put16(out + at + 10, (unsigned)len);
	memcpy(out + at + 12, data, len);
	return at + 12 + len;
}

static size_t put_ptr(uint8_t *out, size_t at, const char *name)
{
	uint8_t wire[DNS_NAME_TEXT + 2];
	size_t n = 0;
	while (*name && n + strlen(name) + 2 < sizeof(wire)) {
		size_t label = strcspn(name, ".");
		if (label == 0 || label > 63)
			break;
		wire[n++] = (uint8_t)label;
		memcpy(wire + n, name, label);
		n += label;
		name += label + (name[label] == '.');
	}
	wire[n++] = 0;
	return put_record(out, at, TYPE_PTR, wire, n);
}

/* "4.3.2.1.in-addr.arpa" or the nibbles of ip6.arpa: 4, 6, or 0. */
static int reverse_name(const char *name, struct in_addr *ret4, struct in6_addr *ret6)
{
	static const char tail4[] = ".in-addr.arpa", tail6[] = ".ip6.arpa";
	size_t len = strlen(name);
	if (len > sizeof(tail4) && strcasecmp(name + len - (sizeof(tail4) - 1), tail4) == 0) {
		unsigned b[4];
		int used = 0;
		if (sscanf(name, "%3u.%3u.%3u.%3u%n", &b[0], &b[1], &b[2], &b[3], &used) != 4 ||
		    (size_t)used != len - (sizeof(tail4) - 1) || b[0] > 255 || b[1] > 255 || b[2] > 255 || b[3] > 255)
			return 0;
		ret4->s_addr = htonl(b[3] << 24 | b[2] << 16 | b[1] << 8 | b[0]);
		return 4;
	}
	if (len != 63 + sizeof(tail6) - 1 || strcasecmp(name + 63, tail6) != 0)
		return 0;
	for (int i = 0; i < 32; i++) {
		int c = tolower((unsigned char)name[2 * i]);
		if (!isxdigit(c) || (i < 31 && name[2 * i + 1] != '.'))
			return 0;
		int v = c <= '9' ? c - '0' : c - 'a' + 10;
		uint8_t *byte = &ret6->s6_addr[15 - i / 2];
		*byte = (uint8_t)(i % 2 ? (*byte & 0x0f) | v << 4 : v);
	}
	return 6;
}

struct reply {
	uint8_t *out;
	size_t at;
	unsigned count;
	bool known; /* the name is ours */
};

static void answer_reverse(const struct netd *n, const char *name, unsigned type, struct reply *r)
{
	struct in_addr a4 = {0};
	struct in6_addr a6 = {0};
	int family = reverse_name(name, &a4, &a6);
	const struct frame_policy *p = &n->policy;
	if (family == 4)
		r->known = (a4.s_addr & p->netmask.s_addr) == p->network.s_addr;
	else if (family == 6)
		r->known = p->ipv6 && memcmp(&a6, &p->network6, 8) == 0;
	for (size_t i = 0; r->known && i < n->hosts->count && (type == TYPE_PTR || type == TYPE_ANY); i++) {
		const struct net_host *h = &n->hosts->items[i];
		bool same = family == 4 ? h->address.s_addr == a4.s_addr : IN6_ARE_ADDR_EQUAL(&h->address6, &a6);
		if (same && *h->names && !r->count) {
			r->at = put_ptr(r->out, r->at, h->names);
			r->count++;
		}
	}
}

static void answer_forward(const struct netd *n, const char *name, unsigned type, struct reply *r)
{
	for (size_t i = 0; i < n->hosts->count && r->count < ANSWERS_MAX; i++) {
		const struct net_host *h = &n->hosts->items[i];
		if (!has_name(h, name))
			continue;
		r->known = true;
		if (type == TYPE_A || type == TYPE_ANY) {
			r->at = put_record(r->out, r->at, TYPE_A, &h->address, sizeof(h->address));
			r->count++;
		}
		if (n->policy.ipv6 && (type == TYPE_AAAA || type == TYPE_ANY)) {
			r->at = put_record(r->out, r->at, TYPE_AAAA, &h->address6, sizeof(h->address6));
			r->count++;
		}
	}
}

size_t hosts_answer(const struct netd *n, const uint8_t *query, size_t len, uint8_t *out)
{
	char name[DNS_NAME_TEXT] = "";
	size_t end;
	if (!n->hosts)
		return 0;
	bool plain = dns_question_name(query, name, &end);
	unsigned type = (unsigned)query[end] << 8 | query[end + 1];
	unsigned class = (unsigned)query[end + 2] << 8 | query[end + 3];
	struct reply r = {.out = out, .at = dns_build_error(query, len, 0, out)};
	if (plain && class == CLASS_IN) {
		answer_forward(n, name, type, &r);
		if (!r.known)
			answer_reverse(n, name, type, &r);
	}
	/* A name without a dot may be that of a container on another network of who asks: its resolver is asked next. It
	 * would be no use to ask it of the world, where search domains have made it a longer one. */
	if (!r.known)
		return n->opts.internal || !strchr(name, '.') ? dns_build_error(query, len, DNS_RCODE_REFUSED, out) : 0;
	if (!r.count && reverse_name(name, &(struct in_addr){0}, &(struct in6_addr){0}))
		return dns_build_error(query, len, RCODE_NXDOMAIN, out);
	put16(out + 6, r.count);
	return r.at;
}
