/*
 * cmd_network.c - `rl network create|ls|inspect|rm|prune|connect|disconnect|exists`, and `hold`, which rl starts itself.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/network.h"
#include "verbs_int.h"

struct network_opts {
	struct network_create_opts create;
	bool quiet, no_trunc, no_heading, force;
	char *format;
	struct strv filters, gateways;
	char *ip, *ip6, *mac; /* connect */
};

#define S struct network_opts
static const char options[] = "Options";

static const struct opt_def create_defs[] = {
	{"driver", NULL, 'd', "NAME", OPT_GENERIC(opt_set_string, S, create.rec.driver), 0, options,
	 "bridge (the default), or as root macvlan, ipvlan", COMPLETE_CHOICES, "bridge macvlan ipvlan"},
	{"subnet", NULL, 0, "CIDR", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "addresses of the network; one of IPv4, one of IPv6", 0, NULL},
	{"gateway", NULL, 0, "ADDRESS", OPT_GENERIC(opt_set_list, S, gateways), OPT_REPEAT, options,
	 "address of the way out (default: the first); one of each family", 0, NULL},
	{"ip-range", NULL, 0, "CIDR", OPT_GENERIC(opt_set_string, S, create.rec.ip_range), 0, options,
	 "give containers addresses of this part", 0, NULL},
	{"ipv6", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, create.ipv6), 0, options, "IPv6 too", 0, NULL},
	{"internal", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, create.rec.internal), 0, options,
	 "no way out, and no names but the network's own", 0, NULL},
	{"disable-dns", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, create.rec.disable_dns), 0, options,
	 "containers do not find each other by name", 0, NULL},
	{"label", NULL, 0, "NAME=VALUE", OPT_GENERIC(opt_set_list, S, create.rec.labels), OPT_REPEAT, options,
	 "attach a label", 0, NULL},
	{"opt", NULL, 'o', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, create.rec.options), OPT_REPEAT, options,
	 "mtu=N, bridge=NAME, parent=NAME, mode=NAME", COMPLETE_CHOICES, "mtu= bridge= parent= mode="},
	{"ignore", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, create.ignore), 0, options,
	 "one of this name that exists is no error", 0, NULL},
	OPT_END,
};

static const struct opt_def ls_defs[] = {
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, S, quiet), 0, options, "print names only", 0, NULL},
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "name=, id=, driver=, label=", COMPLETE_CHOICES, "name= id= driver= label="},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Name}}'", COMPLETE_CHOICES, "json table"},
	{"no-trunc", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_trunc), OPT_HIDDEN, options, "accepted for scripts",
	 0, NULL},
	{"noheading", "no-heading", 'n', NULL, OPT_GENERIC(opt_set_bool, S, no_heading), 0, options,
	 "leave out the heading", 0, NULL},
	OPT_END,
};

static const struct opt_def inspect_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Name}}'", COMPLETE_CHOICES, "json"},
	OPT_END,
};

static const struct opt_def rm_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "with the containers that want it",
	 0, NULL},
	OPT_END,
};

static const struct opt_def prune_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "do not ask", 0, NULL},
	{"filter", NULL, 0, "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "name=, id=, driver=, label=", COMPLETE_CHOICES, "name= id= driver= label="},
	OPT_END,
};

static const struct opt_def connect_defs[] = {
	{"ip", NULL, 0, "ADDRESS", OPT_GENERIC(opt_set_string, S, ip), 0, options, "this address", 0, NULL},
	{"ip6", NULL, 0, "ADDRESS", OPT_GENERIC(opt_set_string, S, ip6), 0, options, "this IPv6 address", 0, NULL},
	{"mac-address", NULL, 0, "MAC", OPT_GENERIC(opt_set_string, S, mac), 0, options, "this hardware address", 0,
	 NULL},
	{"alias", "network-alias", 0, "NAME", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "another name of the container on this network", 0, NULL},
	OPT_END,
};

static const struct opt_def disconnect_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), OPT_HIDDEN, options, "accepted for scripts", 0,
	 NULL},
	OPT_END,
};

static const struct opt_def ns_defs[] = {
	{"delete", NULL, 'd', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "take it away again", 0, NULL},
	OPT_END,
};

static const struct opt_def none_defs[] = {OPT_END};
#undef S

static void network_release(void *opts)
{
	struct network_opts *o = opts;
	network_rec_free(&o->create.rec);
	strv_free(&o->filters);
	strv_free(&o->gateways);
	free(o->format);
	free(o->ip);
	free(o->ip6);
	free(o->mac);
}

/* A value says itself which family it is of; one of each. */
static int by_family(const char *option, const struct strv *values, char **ret4, char **ret6, struct err *e)
{
	for (size_t i = 0; i < values->count; i++) {
		char **to = strchr(values->items[i], ':') ? ret6 : ret4;
		if (*to)
			return err_set(e, EINVAL, "%s %s: there is one of this family already", option,
				       values->items[i]);
		*to = xstrdup(values->items[i]);
	}
	return 0;
}

static int create_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct network_opts *o = opts;
	struct network_rec *rec = &o->create.rec;
	autostr struct str out = STR_INIT;
	int r = by_family("--subnet", &o->filters, &rec->subnet, &rec->subnet6, e);
	if (r >= 0)
		r = by_family("--gateway", &o->gateways, &rec->gateway, &rec->gateway6, e);
	if (r < 0)
		return r;
	if (rec->gateway6 && !rec->subnet6)
		return err_set(e, EINVAL, "--gateway %s needs a --subnet of IPv6", rec->gateway6);
	rec->name = xstrdup(args->operands.items[0]);
	r = network_create(ctx->store_root, &o->create, e);
	if (r < 0)
		return r;
	str_addf(&out, "%s\n", rec->name);
	return out_flush(&out, e);
}

static const struct out_column columns[] = {
	{"ID", "NETWORK ID", false}, {"Name", "NAME", false},	      {"Driver", "DRIVER", false},
	{"Subnet", "SUBNET", false}, {"Internal", "INTERNAL", false}, {"Scope", "SCOPE", true},
	{"IPv6", "IPV6", true},	     {"Created", "CREATED", true},    OUT_COLUMN_END,
};

static int ls_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct network_opts *o = opts;
	json_t *rows = NULL;
	(void)args;
	int r = network_rows(ctx->store_root, &o->filters, &rows, e);
	autojson json_t *owned = rows;
	autostr struct str out = STR_INIT;
	if (r < 0)
		return r;
	const struct out_style style = {.columns = columns,
					.format = o->quiet ? "{{.Name}}" : o->format,
					.no_heading = o->no_heading,
					.flavour = ctx->flavour};
	r = out_rows(&style, owned, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static int inspect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct network_opts *o = opts;
	autojson json_t *docs = json_array();
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < args->operands.count; i++) {
		json_t *doc = NULL;
		int r = network_inspect(ctx->store_root, args->operands.items[i], &doc, e);
		if (r < 0)
			return r;
		json_array_append_new(docs, doc);
	}
	int r = out_docs(docs, o->format, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static int rm_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	return network_remove(ctx->store_root, name, *(const bool *)arg, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct network_opts *o = opts;
	return container_verb_each(ctx, &args->operands, false, false, rm_one, &o->force, e);
}

static int prune_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct network_opts *o = opts;
	autostrv struct strv removed = STRV_INIT;
	autostr struct str out = STR_INIT;
	(void)args;
	int r = out_confirm("network prune", "Remove all networks that no container wants?", o->force, e);
	if (r > 0)
		r = network_prune(ctx->store_root, &o->filters, &removed, e);
	for (size_t i = 0; i < removed.count; i++)
		str_addf(&out, "%s\n", removed.items[i]);
	return r < 0 ? r : out_flush(&out, e);
}

static int connect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct network_opts *o = opts;
	const struct network_connect_opts c = {.ip = o->ip, .ip6 = o->ip6, .mac = o->mac, .aliases = &o->filters};
	return network_connect(ctx->store_root, args->operands.items[0], args->operands.items[1], &c, e);
}

static int disconnect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return network_disconnect(ctx->store_root, args->operands.items[0], args->operands.items[1], e);
}

static int ns_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct network_opts *o = opts;
	autostr struct str out = STR_INIT;
	int r = network_ns(ctx->store_root, args->operands.items[0], o->force, &out, e);
	if (r < 0)
		return r;
	if (out.len)
		str_addc(&out, '\n');
	return out_flush(&out, e);
}

static int exists_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = network_exists(ctx->store_root, args->operands.items[0], e);
	return r < 0 ? r : !r;
}

static int hold_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return network_hold(ctx->store_root, args->operands.items[0], e);
}

#define COMMON .group = "Networks", .opts_size = sizeof(struct network_opts), .release = network_release

const struct verb verb_network_create = {
	COMMON,
	.name = "network create",
	.usage = "[OPTIONS] NAME",
	.summary = "make a network for containers to reach each other on",
	.example = "  rl network create app",
	.opts = create_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = create_run,
};

const struct verb verb_network_ls = {
	COMMON,
	.name = "network ls",
	.aliases = "network list",
	.usage = "[OPTIONS]",
	.summary = "list the networks",
	.example = "  rl network ls",
	.opts = ls_defs,
	.run = ls_run,
};

const struct verb verb_network_inspect = {
	COMMON,
	.name = "network inspect",
	.usage = "[OPTIONS] NETWORK...",
	.summary = "show everything about networks",
	.example = "  rl network inspect app",
	.opts = inspect_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.run = inspect_run,
};

const struct verb verb_network_rm = {
	COMMON,
	.name = "network rm",
	.aliases = "network remove",
	.usage = "[OPTIONS] NETWORK...",
	.summary = "remove networks",
	.example = "  rl network rm app",
	.opts = rm_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.run = rm_run,
};

const struct verb verb_network_prune = {
	COMMON,
	.name = "network prune",
	.usage = "[OPTIONS]",
	.summary = "remove networks that no container wants",
	.example = "  rl network prune -f",
	.opts = prune_defs,
	.run = prune_run,
};

const struct verb verb_network_connect = {
	COMMON,
	.name = "network connect",
	.usage = "[OPTIONS] NETWORK CONTAINER",
	.summary = "put a container on one more network",
	.example = "  rl network connect --alias db app postgres",
	.opts = connect_defs,
	.min_operands = 2,
	.max_operands = 2,
	.run = connect_run,
};

const struct verb verb_network_disconnect = {
	COMMON,
	.name = "network disconnect",
	.usage = "NETWORK CONTAINER",
	.summary = "take a container off a network",
	.example = "  rl network disconnect app postgres",
	.opts = disconnect_defs,
	.min_operands = 2,
	.max_operands = 2,
	.run = disconnect_run,
};

const struct verb verb_network_ns = {
	COMMON,
	.name = "network ns",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "as root: show a container's network namespace to 'ip netns'",
	.example = "  rl network ns web && ip netns exec web ip address",
	.opts = ns_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = ns_run,
};

const struct verb verb_network_exists = {
	COMMON,
	.name = "network exists",
	.usage = "NETWORK",
	.summary = "tell by the exit status whether a network exists",
	.example = "  rl network exists app || rl network create app",
	.opts = none_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = exists_run,
};

/* Started by rl itself (rl/svc/network.h). */
const struct verb verb_network_hold = {
	COMMON,
	.name = "network hold",
	.usage = "NETWORK",
	.summary = "keep a network while containers are on it",
	.example = "  rl network hold app",
	.opts = none_defs,
	.min_operands = 1,
	.max_operands = 1,
	.hidden = true,
	.run = hold_run,
};
