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
#include "rl/model/net_policy.h"
#include "rl/model/network_rec.h"
#include "rl/model/port_opt.h"
#include "rl/model/slirp_opt.h"
#include "run_opts_int.h"

enum { HOST_NAME_LONGEST = 64, DOMAIN_LONGEST = 253 };

static int bad_network(const char *value, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "--network '%s': %s", value, why);
}

static void set_network(struct run_opts *o, enum network_kind kind, const char *name, const char *options)
{
	free(o->network.name);
	free(o->network.options);
	o->network.kind = kind;
	o->network_given = true;
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
		{"none", NETWORK_NONE, false},	   {"host", NETWORK_HOST, false},
		{"slirp", NETWORK_SLIRP, true},	   {"slirp4netns", NETWORK_SLIRP, true},
		{"private", NETWORK_SLIRP, false}, {"bridge", NETWORK_SLIRP, false},
		{"default", NETWORK_SLIRP, false},
	};
	size_t n = strcspn(value, ":,"); /* "slirp,fast", "NAME,fast" */
	autofree char *head = xstrndup(value, n);
	const char *rest = value[n] ? value + n + 1 : NULL;
	bool is_word = false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		is_word |= str_eq(head, words[i].name);
	bool is_name = !is_word && !str_eq(head, "container") && !str_eq(head, "ns");
	if (o->network_given && (o->network.kind != NETWORK_NAMED || !is_name))
		return bad_network(value, "given twice; only networks with a name can be combined", e);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!str_eq(head, words[i].name))
			continue;
		if (rest && !words[i].options)
			return bad_network(value, "this kind of network takes no options", e);
		struct slirp_opt unused;
		int r = slirp_opt_parse(rest, &unused, e);
		if (r < 0)
			return err_ctx(e, "--network slirp");
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
	struct named_opt named;
	autofree char *text = rest ? xasprintf("%s:%s", head, rest) : xstrdup(head);
	int r = run_opts_parse_named(text, &named, e);
	if (r < 0)
		return r;
	run_opts_free_named(&named);
	if (run_opts_find_network(o, head) < o->networks.count)
		return bad_network(value, "this network is given twice", e);
	set_network(o, NETWORK_NAMED, NULL, NULL);
	strv_add(&o->networks, text);
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

int run_opts_hosts_file(struct run_opts *o, const char *value, struct err *e)
{
	if (!*value)
		return err_set(e, EINVAL, "--hosts-file: the name of a file is expected");
	if (str_eq(value, "image")) {
		err_set(e, EINVAL, "--hosts-file image: the image's own file is not written to");
		return err_hint(e, "--no-hosts leaves it as it is; ./image is a file of this name");
	}
	/* podman's word for an empty one, which it is anyway */
	if (str_eq(value, "none")) {
		free(o->hosts_file);
		o->hosts_file = NULL;
		return 0;
	}
	run_opts_set_str(&o->hosts_file, value);
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

static int add_policy(struct strv *list, const char *option, const char *value, bool deny, struct err *e)
{
	autofree struct net_policy *p = xcalloc(1, sizeof(*p));
	int r = net_policy_add(p, value, deny, e);
	if (r < 0)
		return err_ctx(e, "%s", option);
	strv_add(list, value);
	return 0;
}

int run_opts_allow_net(struct run_opts *o, const char *value, struct err *e)
{
	return add_policy(&o->allow_net, "--allow-net", value, false, e);
}

int run_opts_deny_net(struct run_opts *o, const char *value, struct err *e)
{
	return add_policy(&o->deny_net, "--deny-net", value, true, e);
}

int run_opts_publish(struct run_opts *o, const char *value, struct err *e)
{
	struct port_opt p;
	int r = port_opt_parse(value, &p, e);
	if (r < 0)
		return err_ctx(e, "-p");
	strv_add(&o->publish, value);
	return 0;
}

int run_opts_expose(struct run_opts *o, const char *value, struct err *e)
{
	struct port_opt p;
	int r = port_opt_parse_expose(value, &p, e);
	if (r < 0)
		return err_ctx(e, "--expose");
	strv_add(&o->expose, value);
	return 0;
}

void run_opts_free_named(struct named_opt *n)
{
	free(n->name);
	free(n->ip);
	free(n->ip6);
	free(n->mac);
	free(n->interface);
	strv_free(&n->aliases);
}

/* One that a container can ask for: "any" would mean none. */
static bool is_host_address(int family, const char *text)
{
	static const unsigned char any[sizeof(struct in6_addr)];
	unsigned char buf[sizeof(struct in6_addr)];
	return inet_pton(family, text, buf) == 1 && memcmp(buf, any, family == AF_INET ? 4 : 16) != 0;
}

static int named_value(struct named_opt *n, const char *text, const char *key, const char *value, struct err *e)
{
	if (str_eq(key, "ip") && is_host_address(AF_INET, value)) {
		run_opts_set_str(&n->ip, value);
	} else if (str_eq(key, "ip6") && is_host_address(AF_INET6, value)) {
		run_opts_set_str(&n->ip6, value);
	} else if (str_eq(key, "mac")) {
		struct run_opts o;
		run_opts_init(&o);
		int r = run_opts_mac_address(&o, value, e);
		if (r < 0)
			return r;
		free(n->mac);
		n->mac = take_ptr(&o.mac_address);
	} else if (str_eq(key, "alias") && run_opts_is_host_name(value, DOMAIN_LONGEST)) {
		strv_add(&n->aliases, value);
	} else if (str_eq(key, "interface_name") && *value && strlen(value) < IF_NAMESIZE &&
		   !strpbrk(value, "/ \t:.") && !str_eq(value, "lo")) {
		run_opts_set_str(&n->interface, value);
	} else if (str_eq(key, "fast") && (!*value || str_eq(value, "true") || str_eq(value, "1"))) {
		n->fast = true;
	} else if (str_eq(key, "fast") && (str_eq(value, "false") || str_eq(value, "0"))) {
		n->fast = false;
	} else {
		return err_set(e, EINVAL,
			       "--network '%s': '%s=%s' is none of ip=, ip6=, mac=, alias=, interface_name=, fast",
			       text, key, value);
	}
	return 0;
}

char *run_opts_fast_network(const struct run_opts *o)
{
	char *found = NULL;
	for (size_t i = 0; i < o->networks.count && !found; i++) {
		struct named_opt n;
		if (run_opts_parse_named(o->networks.items[i], &n, NULL) < 0)
			continue;
		if (n.fast)
			found = take_ptr(&n.name);
		run_opts_free_named(&n);
	}
	return found;
}

int run_opts_parse_named(const char *text, struct named_opt *ret, struct err *e)
{
	size_t len = strcspn(text, ":");
	struct named_opt n = {.name = xstrndup(text, len)};
	autostrv struct strv words = STRV_INIT;
	int r = network_rec_check_name(n.name, e);
	if (text[len] && text[len + 1])
		strv_split(&words, text + len + 1, ',');
	for (size_t i = 0; i < words.count && r >= 0; i++) {
		char *eq = strchr(words.items[i], '=');
		if (eq)
			*eq++ = '\0';
		r = named_value(&n, text, words.items[i], eq ? eq : "", e);
	}
	if (r < 0) {
		run_opts_free_named(&n);
		return r;
	}
	*ret = n;
	return 0;
}

char *run_opts_named_text(const struct named_opt *n)
{
	autostr struct str out = STR_INIT;
	const struct {
		const char *key, *value;
	} words[] = {{"ip", n->ip}, {"ip6", n->ip6}, {"mac", n->mac}, {"interface_name", n->interface}};
	char separator = ':';
	str_adds(&out, n->name);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!words[i].value)
			continue;
		str_addf(&out, "%c%s=%s", separator, words[i].key, words[i].value);
		separator = ',';
	}
	for (size_t i = 0; i < n->aliases.count; i++) {
		str_addf(&out, "%calias=%s", separator, n->aliases.items[i]);
		separator = ',';
	}
	if (n->fast)
		str_addf(&out, "%cfast", separator);
	return xstrdup(out.buf);
}

static void override(char **to, char **with)
{
	if (!*with)
		return;
	free(*to);
	*to = take_ptr(with);
}

int run_opts_fold_first(struct run_opts *o, struct err *e)
{
	struct named_opt n;
	if (o->network.kind != NETWORK_NAMED || !(o->ip || o->ip6 || o->mac_address || o->network_aliases.count))
		return 0;
	int r = run_opts_parse_named(o->networks.items[0], &n, e);
	if (r < 0)
		return r;
	override(&n.ip, &o->ip);
	override(&n.ip6, &o->ip6);
	override(&n.mac, &o->mac_address);
	strv_add_all(&n.aliases, &o->network_aliases);
	strv_free(&o->network_aliases);
	o->network_aliases = (struct strv)STRV_INIT;
	free(o->networks.items[0]);
	o->networks.items[0] = run_opts_named_text(&n);
	run_opts_free_named(&n);
	return 0;
}

int run_opts_ip(struct run_opts *o, const char *value, struct err *e)
{
	if (!is_host_address(AF_INET, value))
		return err_set(e, EINVAL, "--ip '%s': not an IPv4 address of a host", value);
	run_opts_set_str(&o->ip, value);
	return 0;
}

int run_opts_ip6(struct run_opts *o, const char *value, struct err *e)
{
	if (!is_host_address(AF_INET6, value))
		return err_set(e, EINVAL, "--ip6 '%s': not an IPv6 address of a host", value);
	run_opts_set_str(&o->ip6, value);
	return 0;
}

int run_opts_network_alias(struct run_opts *o, const char *value, struct err *e)
{
	if (!run_opts_is_host_name(value, DOMAIN_LONGEST))
		return err_set(e, EINVAL, "--network-alias '%s': not a host name", value);
	strv_add(&o->network_aliases, value);
	return 0;
}
