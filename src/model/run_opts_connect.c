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

size_t run_opts_find_network(const struct run_opts *o, const char *name)
{
	size_t i = 0;
	while (i < o->networks.count && !is_about(o->networks.items[i], name))
		i++;
	return i;
}

bool run_opts_wants_network(const struct run_opts *o, const char *name)
{
	return run_opts_find_network(o, name) < o->networks.count;
}

int run_opts_connect(struct run_opts *o, const char *text, struct err *e)
{
	size_t len = strcspn(text, ":");
	autofree char *name = xstrndup(text, len);
	if (run_opts_wants_network(o, name))
		return err_set(e, EEXIST, "it is on network %s already", name);
	switch (o->network.kind) {
	case NETWORK_NONE:
		o->network.kind = NETWORK_NAMED;
		strv_add(&o->networks, text);
		return 0;
	case NETWORK_SLIRP:
	case NETWORK_NAMED:
		strv_add(&o->networks, text);
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

int run_opts_disconnect(struct run_opts *o, const char *name, struct err *e)
{
	size_t i = run_opts_find_network(o, name);
	if (i == o->networks.count)
		return err_set(e, ENOENT, "it is not on network %s", name);
	strv_remove(&o->networks, i);
	if (!o->networks.count && o->network.kind == NETWORK_NAMED)
		o->network.kind = NETWORK_NONE;
	return 0;
}
