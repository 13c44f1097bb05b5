/*
 * url.c - URLs a registry hands us, and where they may lead.
 *
 * libcurl's own URL parser is used for everything, so that what is checked here is what will be connected to. A server
 * on the public internet has no business sending us to addresses only we can reach (metadata services on link-local
 * addresses, daemons on loopback, machines of the local network): addr_may_lead_to is that rule. It is applied to
 * literal hosts before a request and to every resolved address in the moment of connecting (http.c), so that names that
 * resolve to such addresses do not get around it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rl/base/mem.h"

#include "registry_int.h"

void url_free(struct url *u)
{
	free(u->text);
	free(u->scheme);
	free(u->host);
	free(u->port);
	memset(u, 0, sizeof(*u));
}

static char *part(CURLU *h, CURLUPart what, unsigned flags)
{
	char *s = NULL;
	if (curl_url_get(h, what, &s, flags) != CURLUE_OK)
		return NULL;
	char *copy = xstrdup(s);
	curl_free(s);
	return copy;
}

static int fill(CURLU *h, const char *ref, struct url *u, struct err *e)
{
	u->text = part(h, CURLUPART_URL, 0);
	u->scheme = part(h, CURLUPART_SCHEME, 0);
	u->host = part(h, CURLUPART_HOST, 0);
	u->port = part(h, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	if (!u->text || !u->scheme || !u->host || !u->port ||
	    (!str_eq(u->scheme, "http") && !str_eq(u->scheme, "https"))) {
		autofree char *shown = http_quote(ref, strlen(ref));
		return err_set(e, EPROTO, "not an http or https URL: \"%s\"", shown);
	}
	for (char *p = u->host; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	return 0;
}

int url_resolve(const char *base, const char *ref, struct url *ret_url, struct err *e)
{
	struct url u = {.text = NULL};
	const unsigned flags = CURLU_DISALLOW_USER | CURLU_URLENCODE | CURLU_ALLOW_SPACE;
	if (strlen(ref) > HTTP_URL_MAX)
		return err_set(e, EPROTO, "URL longer than %d bytes", HTTP_URL_MAX);
	CURLU *h = curl_url();
	CURLUcode c = !h ? CURLUE_OUT_OF_MEMORY : base ? curl_url_set(h, CURLUPART_URL, base, flags) : CURLUE_OK;
	if (c == CURLUE_OK)
		c = curl_url_set(h, CURLUPART_URL, ref, flags);
	if (c == CURLUE_OK)
		curl_url_set(h, CURLUPART_FRAGMENT, NULL, 0);
	int r = 0;
	if (c != CURLUE_OK) {
		autofree char *shown = http_quote(ref, strlen(ref));
		r = err_set(e, EPROTO, "bad URL \"%s\": %s", shown, curl_url_strerror(c));
	} else {
		r = fill(h, ref, &u, e);
	}
	curl_url_cleanup(h);
	if (r < 0) {
		url_free(&u);
		return r;
	}
	*ret_url = u;
	return 0;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
	return str_eq(a->scheme, b->scheme) && str_eq(a->host, b->host) && str_eq(a->port, b->port);
}

void url_escape(struct str *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
		    strchr("-._~", *p))
			str_addc(out, (char)*p);
		else
			str_addf(out, "%%%02X", *p);
	}
}

static enum addr_class class_of_v4(uint32_t a)
{
	static const struct {
		uint32_t net, mask;
		enum addr_class class;
	} nets[] = {
		{0x7f000000, 0xff000000, ADDR_LOOPBACK},
		{0x00000000, 0xff000000, ADDR_LOOPBACK},
		{0xa9fe0000, 0xffff0000, ADDR_LINK_LOCAL},
		{0xe0000000, 0xf0000000, ADDR_LINK_LOCAL},
		{0xf0000000, 0xf0000000, ADDR_LINK_LOCAL},
		{0x0a000000, 0xff000000, ADDR_PRIVATE},
		{0xac100000, 0xfff00000, ADDR_PRIVATE},
		{0xc0a80000, 0xffff0000, ADDR_PRIVATE},
		{0x64400000, 0xffc00000, ADDR_PRIVATE},
		{0xc6120000, 0xfffe0000, ADDR_PRIVATE},
		/* IETF protocol assignments; clouds put a metadata service there, too (192.0.0.192). */
		{0xc0000000, 0xffffff00, ADDR_LINK_LOCAL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(nets); i++)
		if ((a & nets[i].mask) == nets[i].net)
			return nets[i].class;
	return ADDR_PUBLIC;
}

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum addr_class class_of_v6(const unsigned char a[16])
{
	static const unsigned char zero[16];
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const unsigned char nat64_local[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}; /* RFC 8215 */
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const unsigned char translated[12] = {[8] = 0xff, [9] = 0xff}; /* RFC 2765 */
	/* Addresses that carry an IPv4 address are what that address is. */
	if (memcmp(a, zero, 15) == 0 && a[15] <= 1)
		return ADDR_LOOPBACK;
	if (memcmp(a, zero, 12) == 0 || memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0 ||
	    memcmp(a, translated, 12) == 0)
		return class_of_v4(be32(a + 12));
	/* Where the IPv4 address is in it, is decided in the network that has such a prefix. */
	if (memcmp(a, nat64_local, sizeof(nat64_local)) == 0)
		return ADDR_LINK_LOCAL;
	if (a[0] == 0x20 && a[1] == 0x02)
		return class_of_v4(be32(a + 2));
	if ((a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || a[0] == 0xff)
		return ADDR_LINK_LOCAL;
	if ((a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0))
		return ADDR_PRIVATE;
	return ADDR_PUBLIC;
}

enum addr_class addr_class_of(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		return class_of_v4(ntohl(in.sin_addr.s_addr));
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		return class_of_v6(in6.sin6_addr.s6_addr);
	}
	/* Nothing else is an address a URL can mean. */
	return ADDR_LINK_LOCAL;
}

bool addr_class_of_host(const char *host, enum addr_class *ret_class)
{
	unsigned char raw[16];
	char bare[64];
	size_t n = strlen(host);
	if (strcasecmp(host, "localhost") == 0 || (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0)) {
		*ret_class = ADDR_LOOPBACK;
		return true;
	}
	if (inet_pton(AF_INET, host, raw) == 1) {
		*ret_class = class_of_v4(be32(raw));
		return true;
	}
	if (host[0] != '[' || n >= sizeof(bare))
		return false;
	size_t end = strcspn(host, "]%");
	memcpy(bare, host + 1, end - 1);
	bare[end - 1] = 0;
	if (inet_pton(AF_INET6, bare, raw) != 1)
		return false;
	*ret_class = class_of_v6(raw);
	return true;
}

bool addr_may_lead_to(enum addr_class from, enum addr_class to)
{
	switch (to) {
	case ADDR_PUBLIC:
		return true;
	case ADDR_PRIVATE:
		return from == ADDR_PRIVATE || from == ADDR_LOOPBACK;
	case ADDR_LOOPBACK:
		return from == ADDR_LOOPBACK;
	case ADDR_LINK_LOCAL:
		return from == ADDR_LINK_LOCAL;
	case ADDR_CLASS_N:
		break;
	}
	return false;
}

/* "10.0.0.0/8" against a literal IPv4 host. */
static bool in_cidr(const char *item, size_t len, const char *host)
{
	char net[64];
	unsigned char a[4], b[4];
	const char *slash = memchr(item, '/', len);
	if (!slash || (size_t)(slash - item) >= sizeof(net))
		return false;
	memcpy(net, item, (size_t)(slash - item));
	net[slash - item] = 0;
	unsigned bits = 0;
	for (const char *p = slash + 1; p < item + len; p++) {
		if (*p < '0' || *p > '9' || bits > 32)
			return false;
		bits = bits * 10 + (unsigned)(*p - '0');
	}
	if (bits > 32 || slash + 1 == item + len || inet_pton(AF_INET, net, a) != 1 || inet_pton(AF_INET, host, b) != 1)
		return false;
	uint32_t mask = bits ? 0xffffffffu << (32 - bits) : 0;
	return (be32(a) & mask) == (be32(b) & mask);
}

static bool proxy_item_matches(const char *item, size_t len, const char *host, const char *port)
{
	size_t n = strlen(host);
	const char *colon = host[0] != '[' ? memchr(item, ':', len) : NULL;
	if (len == 1 && *item == '*')
		return true;
	if (in_cidr(item, len, host))
		return true;
	if (colon) {
		const char *p = colon + 1;
		size_t plen = len - (size_t)(p - item);
		if (strlen(port) != plen || memcmp(port, p, plen) != 0)
			return false;
		len = (size_t)(colon - item);
	}
	if (len && *item == '*') {
		item++;
		len--;
	}
	if (len && *item == '.') {
		item++;
		len--;
	}
	if (!len || n < len || strncasecmp(host + n - len, item, len) != 0)
		return false;
	return n == len || host[n - len - 1] == '.';
}

bool proxy_exempt(const char *no_proxy, const char *host, const char *port)
{
	while (no_proxy && *no_proxy) {
		no_proxy += strspn(no_proxy, " ,\t");
		size_t n = strcspn(no_proxy, " ,\t");
		if (n && proxy_item_matches(no_proxy, n, host, port))
			return true;
		no_proxy += n;
	}
	return false;
}
