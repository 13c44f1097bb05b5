/*
 * resolv.c - resolv.conf: the host's read, the container's written. Text only, no I/O.
 *
 * Inside there is one name server: ours, which asks whatever the host uses at that moment. Search list and options
 * come from the host's file unless given, because short names should mean inside what they mean outside. The file the
 * container gets is written from parsed words, never copied through, so that a strange host file cannot put lines of
 * its own making there.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/engine/net.h"

enum { DNS_PORT = 53 };

/* One line of resolv.conf cut into words; comments give none. */
static void split_words(const char *line, size_t len, struct strv *words)
{
	size_t i = 0;
	while (i < len) {
		while (i < len && isspace((unsigned char)line[i]))
			i++;
		size_t start = i;
		while (i < len && !isspace((unsigned char)line[i]))
			i++;
		if (i == start || line[start] == '#' || line[start] == ';')
			return;
		strv_add_owned(words, xstrndup(line + start, i - start));
	}
}

/* Call `each` with the words of every line that has some. */
static void each_line(const char *text, void (*each)(const struct strv *, void *), void *arg)
{
	while (text && *text) {
		const char *newline = strchr(text, '\n');
		size_t len = newline ? (size_t)(newline - text) : strlen(text);
		autostrv struct strv words = STRV_INIT;
		split_words(text, len, &words);
		if (words.count >= 1)
			each(&words, arg);
		text = newline ? newline + 1 : NULL;
	}
}

static bool parse_server(const char *text, struct net_server *ret)
{
	struct net_server s = {.port = DNS_PORT};
	if (inet_pton(AF_INET, text, &s.addr.v4) == 1) {
		s.family = AF_INET;
		*ret = s;
		return true;
	}
	const char *percent = strchr(text, '%');
	autofree char *address = xstrndup(text, percent ? (size_t)(percent - text) : strlen(text));
	if (inet_pton(AF_INET6, address, &s.addr.v6) != 1)
		return false;
	s.family = AF_INET6;
	if (percent) {
		uint64_t number;
		s.scope = if_nametoindex(percent + 1);
		if (!s.scope && str_to_u64(percent + 1, UINT32_MAX, "scope", &number, NULL) >= 0)
			s.scope = (uint32_t)number;
	}
	*ret = s;
	return true;
}

static void take_server(const struct strv *words, void *arg)
{
	struct net_servers *servers = arg;
	if (!str_eq(words->items[0], "nameserver") || words->count < 2 || servers->count == NET_SERVERS_MAX)
		return;
	if (parse_server(words->items[1], &servers->items[servers->count]))
		servers->count++;
}

void net_resolv_servers(const char *text, struct net_servers *ret)
{
	struct net_servers servers = {0};
	each_line(text, take_server, &servers);
	if (servers.count == 0) {
		servers.items[0] = (struct net_server){
			.family = AF_INET, .port = DNS_PORT, .addr.v4.s_addr = htonl(INADDR_LOOPBACK)};
		servers.count = 1;
	}
	*ret = servers;
}

/* ---- writing ---- */

struct host_words {
	struct strv servers, search, options;
};

static void take_host_line(const struct strv *words, void *arg)
{
	struct host_words *w = arg;
	const char *key = words->items[0];
	struct net_server ignored;
	/* As in libc, the last search or domain line counts. */
	if (str_eq(key, "search") || str_eq(key, "domain")) {
		strv_free(&w->search);
		w->search = (struct strv)STRV_INIT;
	}
	for (size_t i = 1; i < words->count; i++) {
		if (str_eq(key, "search") || (str_eq(key, "domain") && i == 1))
			strv_add(&w->search, words->items[i]);
		else if (str_eq(key, "options"))
			strv_add(&w->options, words->items[i]);
		else if (str_eq(key, "nameserver") && i == 1 && parse_server(words->items[i], &ignored))
			strv_add(&w->servers, words->items[i]);
	}
}

static bool is_word(const char *text)
{
	if (!*text || strlen(text) > 255)
		return false;
	for (; *text; text++)
		if (!isgraph((unsigned char)*text) || *text == '#' || *text == ';')
			return false;
	return true;
}

/* Words that cannot stand in the file: an error when the user gave them, left out when they are the host's. */
static int add_words(struct str *out, const char *key, const struct strv *words, const char *given, struct err *e)
{
	bool any = false;
	for (size_t i = 0; i < words->count; i++) {
		if (!is_word(words->items[i])) {
			if (given)
				return err_set(e, EINVAL, "%s: \"%s\" is not one word", given, words->items[i]);
			continue;
		}
		str_addf(out, "%s%s", any ? " " : key, any ? "" : " ");
		str_adds(out, words->items[i]);
		any = true;
	}
	if (any)
		str_addc(out, '\n');
	return 0;
}

static bool is_loopback(const struct net_server *s)
{
	return s->family == AF_INET ? ntohl(s->addr.v4.s_addr) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&s->addr.v6);
}

static int add_servers(struct str *out, const struct net_resolv_opts *o, const struct host_words *host, struct err *e)
{
	if (o->nameserver) {
		str_addf(out, "nameserver %s\n", o->nameserver);
		for (size_t i = 0; o->further && i < o->further->count; i++)
			str_addf(out, "nameserver %s\n", o->further->items[i]);
		return 0;
	}
	bool given = o->servers && o->servers->count;
	const struct strv *servers = given ? o->servers : &host->servers;
	for (size_t i = 0; i < servers->count; i++) {
		struct net_server parsed;
		if (!parse_server(servers->items[i], &parsed))
			return err_set(e, EINVAL, "--dns %s: not an IP address", servers->items[i]);
		if (!given && o->beyond && is_loopback(&parsed))
			continue;
		str_addf(out, "nameserver %s\n", servers->items[i]);
	}
	return 0;
}

static int write_conf(const struct net_resolv_opts *o, const struct host_words *host, struct str *text, struct err *e)
{
	static const struct strv none = STRV_INIT;
	bool search_given = o->search && o->search->count;
	bool options_given = o->options && o->options->count;
	const struct strv *search = search_given ? o->search : &host->search;
	if (search_given && search->count == 1 && str_eq(search->items[0], "."))
		search = &none;
	int r = add_words(text, "search", search, search_given ? "--dns-search" : NULL, e);
	if (r >= 0)
		r = add_servers(text, o, host, e);
	if (r >= 0)
		r = add_words(text, "options", options_given ? o->options : &host->options,
			      options_given ? "--dns-option" : NULL, e);
	return r;
}

int net_resolv_conf(const struct net_resolv_opts *o, struct str *out, struct err *e)
{
	struct host_words host = {STRV_INIT, STRV_INIT, STRV_INIT};
	autostr struct str text = STR_INIT;
	if (o->host_text)
		each_line(o->host_text, take_host_line, &host);
	int r = write_conf(o, &host, &text, e);
	strv_free(&host.servers);
	strv_free(&host.search);
	strv_free(&host.options);
	if (r < 0)
		return r;
	str_add(out, text.buf, text.len);
	return 0;
}
