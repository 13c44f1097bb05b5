/*
 * cmd_port.c - `rl port`, `rl port add` and `rl port rm`: published ports of a container that runs.
 */
#include <errno.h>

#include "container_verb.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container_ports.h"
#include "verbs_int.h"

struct port_opts {
	bool all, latest;
};

#define S struct port_opts
static const char options[] = "Options";
static const struct opt_def port_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "of every running container", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, latest), 0, options, "the container made last", 0,
	 NULL},
	OPT_END,
};
#undef S

static const struct opt_def change_defs[] = {OPT_END};

static void add_lines(const char *port, const json_t *hosts, bool arrow, struct str *out)
{
	size_t k;
	json_t *host;
	json_array_foreach (hosts, k, host) {
		const char *ip = json_str_or_null(host, "HostIp");
		bool six = ip && strchr(ip, ':');
		str_addf(out, "%s%s%s%s%s:%s\n", arrow ? port : "", arrow ? " -> " : "", six ? "[" : "", ip ? ip : "",
			 six ? "]" : "", json_str_or_null(host, "HostPort"));
	}
}

static int show(const struct cmd_ctx *ctx, const char *name, const char *wanted, struct str *out, struct err *e)
{
	json_t *doc = NULL;
	int r = container_inspect(ctx->store_root, name, false, &doc, e);
	autojson json_t *owned = doc;
	if (r < 0)
		return r;
	const json_t *ports = json_object_get(json_object_get(owned, "NetworkSettings"), "Ports");
	const char *port;
	json_t *hosts;
	if (!wanted) {
		json_object_foreach ((json_t *)(uintptr_t)ports, port, hosts)
			add_lines(port, hosts, true, out);
		return 0;
	}
	autofree char *key = strchr(wanted, '/') ? xstrdup(wanted) : xasprintf("%s/tcp", wanted);
	hosts = json_object_get(ports, key);
	if (!hosts)
		return err_set(e, ENOENT, "container %s does not publish port %s", name, wanted);
	add_lines(key, hosts, false, out);
	return 0;
}

static int port_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct port_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	autostr struct str out = STR_INIT;
	struct container_targets t = {.latest = o->latest, .all = o->all, .running_only = true};
	struct opt_args first = *args;
	first.operands = (struct strv){.items = args->operands.items, .count = RL_MIN(args->operands.count, (size_t)1)};
	int r = container_targets_resolve(ctx, &t, &first, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++)
		r = show(ctx, names.items[i], args->operands.count == 2 ? args->operands.items[1] : NULL, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static int change(const struct cmd_ctx *ctx, const struct opt_args *args,
		  int (*one)(const char *, const char *, const char *, struct err *), struct err *e)
{
	for (size_t i = 1; i < args->operands.count; i++) {
		int r = one(ctx->store_root, args->operands.items[0], args->operands.items[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return change(ctx, args, container_port_add, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return change(ctx, args, container_port_remove, e);
}

const struct verb verb_port = {
	.name = "port",
	.aliases = "container port",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER [PORT]",
	.summary = "show the published ports of a container",
	.example = "  rl port web 80",
	.opts = port_defs,
	.max_operands = 2,
	.opts_size = sizeof(struct port_opts),
	.run = port_run,
};

const struct verb verb_port_add = {
	.name = "port add",
	.aliases = "container port add",
	.group = "Containers",
	.usage = "CONTAINER [IP:][HOST:]PORT[/udp]...",
	.summary = "publish ports of a running container",
	.example = "  rl port add web 8081:80",
	.opts = change_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.run = add_run,
};

const struct verb verb_port_rm = {
	.name = "port rm",
	.aliases = "port remove,container port rm",
	.group = "Containers",
	.usage = "CONTAINER [IP:][HOST:]PORT[/udp]...",
	.summary = "withdraw published ports of a running container",
	.example = "  rl port rm web 8081:80",
	.opts = change_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.run = rm_run,
};
