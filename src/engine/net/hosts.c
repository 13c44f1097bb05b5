/*
 * hosts.c - the text of the container's /etc/hosts.
 *
 * Order: --hosts-file, localhost, the container itself, --add-host, then the names under which people look for the
 * host. A name the user has set with --add-host is not given a second meaning by us.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/engine/net.h"

static const char *const host_names[] = {"host.containers.internal", "host.docker.internal"};

static bool is_host_name(const char *name)
{
	if (!*name || strlen(name) > 255)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	return true;
}

static bool is_address(const char *text)
{
	struct in6_addr any;
	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

/* "a;b:IP" into names and address. The address may be [bracketed] or "host-gateway". */
static int split_add_host(const char *text, struct strv *names, char **ret_address, struct err *e)
{
	const char *colon = strchr(text, ':');
	const char *equals = strchr(text, '='); /* docker's newer spelling */
	if (equals && (!colon || equals < colon))
		colon = equals;
	if (!colon)
		return err_set(e, EINVAL, "--add-host %s: NAME:ADDRESS is expected", text);
	autofree char *left = xstrndup(text, (size_t)(colon - text));
	autofree char *address = xstrdup(colon + 1);
	size_t n = strlen(address);
	if (n > 2 && address[0] == '[' && address[n - 1] == ']') {
		memmove(address, address + 1, n - 2);
		address[n - 2] = '\0';
	}
	if (!str_eq(address, "host-gateway") && !is_address(address))
		return err_set(e, EINVAL, "--add-host %s: %s is not an IP address", text, address);
	strv_split(names, left, ';');
	for (size_t i = 0; i < names->count; i++)
		if (!is_host_name(names->items[i]))
			return err_set(e, EINVAL, "--add-host %s: \"%s\" is not a host name", text, names->items[i]);
	*ret_address = take_ptr(&address);
	return 0;
}

int net_check_add_host(const char *text, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	autofree char *address = NULL;
	return split_add_host(text, &names, &address, e);
}

static int add_given(const struct net_hosts_opts *o, struct strv *seen, struct str *out, struct err *e)
{
	for (size_t i = 0; o->add_hosts && i < o->add_hosts->count; i++) {
		autostrv struct strv names = STRV_INIT;
		autofree char *address = NULL;
		int r = split_add_host(o->add_hosts->items[i], &names, &address, e);
		if (r < 0)
			return r;
		const char *resolved = str_eq(address, "host-gateway") ? o->gateway : address;
		if (!resolved)
			return err_set(e, EINVAL, "--add-host %s: this network has no gateway to the host",
				       o->add_hosts->items[i]);
		str_adds(out, resolved);
		for (size_t k = 0; k < names.count; k++)
			str_addf(out, "%c%s", k ? ' ' : '\t', names.items[k]);
		str_addc(out, '\n');
		strv_add_all(seen, &names);
	}
	return 0;
}

static void add_own_name(const struct net_hosts_opts *o, const char *address, struct str *out)
{
	str_addf(out, "%s\t%s", address, o->hostname);
	if (o->domainname && *o->domainname)
		str_addf(out, ".%s %s", o->domainname, o->hostname);
	str_addc(out, '\n');
}

static void add_host_names(const struct net_hosts_opts *o, const struct strv *seen, struct str *out)
{
	bool any = false;
	for (size_t i = 0; o->gateway && i < ARRAY_SIZE(host_names); i++) {
		if (strv_has(seen, host_names[i]))
			continue;
		if (!any)
			str_adds(out, o->gateway);
		str_addf(out, "%c%s", any ? ' ' : '\t', host_names[i]);
		any = true;
	}
	if (any)
		str_addc(out, '\n');
}

int net_hosts_file(const struct net_hosts_opts *o, struct str *out, struct err *e)
{
	autostr struct str text = STR_INIT;
	autostrv struct strv seen = STRV_INIT;
	if (o->base_text && *o->base_text) {
		str_adds(&text, o->base_text);
		if (!str_ends(o->base_text, "\n"))
			str_addc(&text, '\n');
	}
	str_adds(&text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
	if (o->hostname && *o->hostname) {
		add_own_name(o, o->address ? o->address : "127.0.0.1", &text);
		if (o->address6)
			add_own_name(o, o->address6, &text);
	}
	int r = add_given(o, &seen, &text, e);
	if (r < 0)
		return r;
	add_host_names(o, &seen, &text);
	str_add(out, text.buf, text.len);
	return 0;
}
