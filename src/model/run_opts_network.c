/*
 * run_opts_network.c - the grammars of the network, names and resolver options.
 *
 * Addresses are read with inet_pton, so that "0177.1", "1.2.3" and friends, which other readers expand to something
 * nobody meant, are refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

enum { HOST_NAME_LONGEST = 64, DOMAIN_LONGEST = 253 };

static int bad_network(const char *value, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "--network '%s': %s", value, why);
}

static bool copy_text(char *dst, size_t size, const char *text)
{
	if (!*text || strlen(text) >= size)
		return false;
	memcpy(dst, text, strlen(text) + 1);
	return true;
}

static bool is_cidr4(const char *text)
{
	const char *slash = strchr(text, '/');
	char addr[INET_ADDRSTRLEN];
	struct in_addr in;
	uint64_t bits;
	if (!slash || (size_t)(slash - text) >= sizeof(addr))
		return false;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	/* The helper needs room for gateway, resolver and the container. */
	return inet_pton(AF_INET, addr, &in) == 1 && str_to_u64(slash + 1, 25, "", &bits, NULL) == 0 && bits >= 1;
}

static bool is_interface(const char *text)
{
	return *text && strlen(text) < IF_NAMESIZE && !strpbrk(text, "/ \t:") && !str_eq(text, ".") &&
	       !str_eq(text, "..");
}

static bool slirp_bool(const char *text, int *ret)
{
	bool on;
	if (!run_opts_read_bool(text, &on))
		return false;
	*ret = on;
	return true;
}

static bool slirp_mtu(const char *text, unsigned *ret)
{
	uint64_t mtu;
	if (str_to_u64(text, 65521, "", &mtu, NULL) < 0 || mtu < 1280)
		return false;
	*ret = (unsigned)mtu;
	return true;
}

static bool slirp_outbound(int family, const char *text, char dst[48])
{
	unsigned char buf[sizeof(struct in6_addr)];
	return (inet_pton(family, text, buf) == 1 || is_interface(text)) && copy_text(dst, 48, text);
}

/* Returns 1 when the key is not known, 0 when the value is bad. */
static int slirp_value(struct slirp_opt *s, const char *key, const char *value, bool *ret_ok)
{
	bool ok;
	if (str_eq(key, "mtu"))
		ok = slirp_mtu(value, &s->mtu);
	else if (str_eq(key, "cidr"))
		ok = is_cidr4(value) && copy_text(s->cidr, sizeof(s->cidr), value);
	else if (str_eq(key, "enable_ipv6"))
		ok = slirp_bool(value, &s->enable_ipv6);
	else if (str_eq(key, "allow_host_loopback"))
		ok = slirp_bool(value, &s->allow_host_loopback);
	else if (str_eq(key, "outbound_addr"))
		ok = slirp_outbound(AF_INET, value, s->outbound_addr);
	else if (str_eq(key, "outbound_addr6"))
		ok = slirp_outbound(AF_INET6, value, s->outbound_addr6);
	else if (str_eq(key, "port_handler"))
		ok = str_eq(value, "rootlesskit") || str_eq(value, "slirp4netns");
	else
		return 1;
	*ret_ok = ok;
	return 0;
}

int run_opts_parse_slirp(const char *options, struct slirp_opt *ret_slirp, struct err *e)
{
	static const char *const keys[] = {"mtu",           "cidr",           "enable_ipv6",  "allow_host_loopback",
	                                   "outbound_addr", "outbound_addr6", "port_handler", NULL};
	struct slirp_opt s = {.enable_ipv6 = -1, .allow_host_loopback = -1};
	autostrv struct strv words = STRV_INIT;
	if (options && *options)
		strv_split(&words, options, ',');
	for (size_t i = 0; i < words.count; i++) {
		char *eq = strchr(words.items[i], '=');
		if (!eq)
			return err_set(e, EINVAL, "--network slirp: '%s' is not NAME=VALUE", words.items[i]);
		*eq = '\0';
		bool ok;
		if (slirp_value(&s, words.items[i], eq + 1, &ok)) {
			const char *near = str_nearest(words.items[i], keys);
			err_set(e, EINVAL, "--network slirp: there is no option '%s'", words.items[i]);
			return near ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
		}
		if (!ok)
			return err_set(e, EINVAL, "--network slirp: %s=%s is not valid", words.items[i], eq + 1);
	}
	*ret_slirp = s;
	return 0;
}

static void set_network(struct run_opts *o, enum network_kind kind, const char *name, const char *options)
{
	free(o->network.name);
	free(o->network.options);
	o->network.kind = kind;
	o->network.name = name ? xstrdup(name) : NULL;
	o->network.options = options && *options ? xstrdup(options) : NULL;
}

int run_opts_network(struct run_opts *o, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		enum network_kind kind;
		bool options;
	} words[] = {
	        {"none", NETWORK_NONE, false},     {"host", NETWORK_HOST, false},
	        {"slirp", NETWORK_SLIRP, true},    {"slirp4netns", NETWORK_SLIRP, true},
	        {"private", NETWORK_SLIRP, false}, {"bridge", NETWORK_SLIRP, false},
	        {"default", NETWORK_SLIRP, false},
	};
	size_t n = strcspn(value, ":");
	autofree char *head = xstrndup(value, n);
	const char *rest = value[n] ? value + n + 1 : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!str_eq(head, words[i].name))
			continue;
		if (rest && !words[i].options)
			return bad_network(value, "this kind of network takes no options", e);
		struct slirp_opt unused;
		int r = run_opts_parse_slirp(rest, &unused, e);
		if (r < 0)
			return r;
		set_network(o, words[i].kind, NULL, rest);
		return 0;
	}
	if (str_eq(head, "container")) {
		if (!rest || !path_is_plain_name(rest))
			return bad_network(value, "container:NAME or container:ID is expected", e);
		set_network(o, NETWORK_CONTAINER, rest, NULL);
		return 0;
	}
	if (str_eq(head, "ns")) {
		if (!rest || *rest != '/')
			return bad_network(value, "ns:PATH with an absolute path is expected", e);
		set_network(o, NETWORK_NS, rest, NULL);
		return 0;
	}
	if (str_eq(head, "pasta")) {
		bad_network(value, "pasta is not part of rl", e);
		return err_hint(e, "leave --network out: the default network of rl needs no privileges either");
	}
	if (!path_is_plain_name(head))
		return bad_network(
		        value, "none, host, slirp[:OPTIONS], container:NAME, ns:PATH or a network name is expected", e);
	set_network(o, NETWORK_NAMED, head, rest);
	return 0;
}

int run_opts_hostname(struct run_opts *o, const char *value, struct err *e)
{
	if (!run_opts_is_host_name(value, HOST_NAME_LONGEST))
		return err_set(e, EINVAL,
		               "--hostname '%s': not a host name (letters, digits, '-' and '.', at most %d characters)",
		               value, HOST_NAME_LONGEST);
	run_opts_set_str(&o->hostname, value);
	return 0;
}

int run_opts_domainname(struct run_opts *o, const char *value, struct err *e)
{
	if (!run_opts_is_host_name(value, HOST_NAME_LONGEST))
		return err_set(e, EINVAL, "--domainname '%s': not a domain name of at most %d characters", value,
		               HOST_NAME_LONGEST);
	run_opts_set_str(&o->domainname, value);
	return 0;
}

int run_opts_dns(struct run_opts *o, const char *value, struct err *e)
{
	if (!run_opts_is_ip(value))
		return err_set(e, EINVAL, "--dns '%s': not an IP address", value);
	strv_add(&o->dns, value);
	return 0;
}

int run_opts_dns_search(struct run_opts *o, const char *value, struct err *e)
{
	/* "." stands for "no search list at all". */
	if (!str_eq(value, ".") && !run_opts_is_host_name(value, DOMAIN_LONGEST))
		return err_set(e, EINVAL, "--dns-search '%s': not a domain name", value);
	strv_add(&o->dns_search, value);
	return 0;
}

int run_opts_dns_option(struct run_opts *o, const char *value, struct err *e)
{
	/* One word of resolv.conf(5); a blank or newline would write lines of its own. */
	if (!*value || value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-:")])
		return err_set(e, EINVAL, "--dns-option '%s': not an option of resolv.conf (example: ndots:2)", value);
	strv_add(&o->dns_options, value);
	return 0;
}

int run_opts_add_host(struct run_opts *o, const char *value, struct err *e)
{
	size_t n = strcspn(value, ":=");
	if (n == 0 || !value[n])
		return err_set(e, EINVAL, "--add-host '%s': NAME:ADDRESS is expected", value);
	autofree char *address = xstrdup(value + n + 1);
	size_t len = strlen(address);
	if (len > 2 && address[0] == '[' && address[len - 1] == ']') {
		memmove(address, address + 1, len - 2);
		address[len - 2] = '\0';
	}
	if (!str_eq(address, "host-gateway") && !run_opts_is_ip(address))
		return err_set(e, EINVAL, "--add-host '%s': '%s' is not an IP address or 'host-gateway'", value,
		               address);
	autofree char *head = xstrndup(value, n);
	autostrv struct strv names = STRV_INIT;
	strv_split(&names, head, ';');
	for (size_t i = 0; i < names.count; i++)
		if (!run_opts_is_host_name(names.items[i], DOMAIN_LONGEST))
			return err_set(e, EINVAL, "--add-host '%s': '%s' is not a host name", value, names.items[i]);
	for (size_t i = 0; i < names.count; i++)
		strv_addf(&o->add_hosts, "%s:%s", names.items[i], address);
	return 0;
}

int run_opts_mac_address(struct run_opts *o, const char *value, struct err *e)
{
	unsigned byte[6];
	int used = 0;
	bool ok = strlen(value) == 17 && value[strspn(value, "0123456789abcdefABCDEF:-")] == '\0' &&
	          sscanf(value, "%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%n", &byte[0], &byte[1], &byte[2],
	                 &byte[3], &byte[4], &byte[5], &used) == 6 &&
	          used == 17;
	if (!ok)
		return err_set(e, EINVAL, "--mac-address '%s': six hexadecimal bytes are expected (02:42:ac:11:00:02)",
		               value);
	if (byte[0] & 1)
		return err_set(e, EINVAL, "--mac-address '%s': this is a multicast address", value);
	if (!(byte[0] | byte[1] | byte[2] | byte[3] | byte[4] | byte[5]))
		return err_set(e, EINVAL, "--mac-address '%s': all zero is no address", value);
	free(o->mac_address);
	o->mac_address = xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", byte[0], byte[1], byte[2], byte[3], byte[4],
	                           byte[5]);
	return 0;
}

int run_opts_host_access(struct run_opts *o, const char *value, struct err *e)
{
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, value, ',');
	for (size_t i = 0; i < words.count; i++) {
		const char *w = words.items[i];
		uint64_t port;
		bool alone = str_eq(w, "none") || str_eq(w, "all");
		if (alone && words.count == 1)
			break;
		if (alone || str_to_u64(w, 65535, "", &port, NULL) < 0 || port == 0)
			return err_set(e, EINVAL, "--host-access '%s': none, all or a list of ports is expected",
			               value);
	}
	strv_free(&o->host_access);
	o->host_access = words;
	words = (struct strv)STRV_INIT;
	return 0;
}
