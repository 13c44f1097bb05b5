/* run_opts_connect.c - networks added to and taken from the options of a container that exists. */
#include <errno.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "run_opts_int.h"

/* True if `text`, NAME[:OPTIONS], is about `name`. */
static bool is_about(const char *text, const char *name)
{
	const char *rest = str_after(text, name);
	return rest && (!*rest || *rest == ':');
}

bool run_opts_wants_network(const struct run_opts *o, const char *name)
{
	if (o->network.kind == NETWORK_NAMED && str_eq(o->network.name, name))
		return true;
	for (size_t i = 0; i < o->more_networks.count; i++)
		if (is_about(o->more_networks.items[i], name))
			return true;
	return false;
}

static void set_first(struct run_opts *o, const char *text)
{
	size_t len = strcspn(text, ":");
	free(o->network.name);
	free(o->network.options);
	o->network.kind = NETWORK_NAMED;
	o->network.name = xstrndup(text, len);
	o->network.options = text[len] && text[len + 1] ? xstrdup(text + len + 1) : NULL;
}

int run_opts_connect(struct run_opts *o, const char *text, struct err *e)
{
	size_t len = strcspn(text, ":");
	autofree char *name = xstrndup(text, len);
	if (run_opts_wants_network(o, name))
		return err_set(e, EEXIST, "it is on network %s already", name);
	switch (o->network.kind) {
	case NETWORK_NONE:
		set_first(o, text);
		return 0;
	case NETWORK_SLIRP:
	case NETWORK_NAMED:
		strv_add(&o->more_networks, text);
		return 0;
	case NETWORK_HOST:
		return err_set(e, EINVAL, "it has the host's network (--network host)");
	case NETWORK_CONTAINER:
	case NETWORK_NS:
		return err_set(e, EINVAL, "its network is not its own (--network %s:%s)",
			       o->network.kind == NETWORK_NS ? "ns" : "container", o->network.name);
	}
	return 0;
}

static void forget(char **text)
{
	free(*text);
	*text = NULL;
}

/* The first one goes: the second takes its place. */
static void drop_first(struct run_opts *o)
{
	forget(&o->ip);
	forget(&o->ip6);
	forget(&o->mac_address);
	strv_free(&o->network_aliases);
	if (o->more_networks.count) {
		set_first(o, o->more_networks.items[0]);
		strv_remove(&o->more_networks, 0);
		return;
	}
	forget(&o->network.name);
	forget(&o->network.options);
	o->network.kind = NETWORK_NONE;
}

int run_opts_disconnect(struct run_opts *o, const char *name, struct err *e)
{
	if (o->network.kind == NETWORK_NAMED && str_eq(o->network.name, name)) {
		drop_first(o);
		return 0;
	}
	for (size_t i = 0; i < o->more_networks.count; i++)
		if (is_about(o->more_networks.items[i], name)) {
			strv_remove(&o->more_networks, i);
			return 0;
		}
	return err_set(e, ENOENT, "it is not on network %s", name);
}
