/*
 * cmd_pod.c - `rl pod create|ps|inspect|start|stop|restart|kill|rm|prune|exists`.
 *
 * The options of create are those of run that belong to what a pod shares, read by the same grammar.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "container_verb.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/pod.h"
#include "verbs_int.h"

struct pod_opts {
	struct run_opts o; /* create; first, because its grammar functions take the same pointer */
	struct strv filters;
	char *format;
	unsigned time;
	int sig;
	bool quiet, no_trunc, no_heading, all, latest, force, ignore;
};

#define S struct pod_opts
static const char options[] = "Options";
static const char network[] = "Network";

static void pod_opts_init(void *opts)
{
	S *o = opts;
	run_opts_init(&o->o);
	o->o.pod_share = RUN_OPTS_POD_SHARE;
}

static void pod_opts_release(void *opts)
{
	S *o = opts;
	run_opts_free(&o->o);
	strv_free(&o->filters);
	free(o->format);
}

#define VERB_COMMON .group = "Pods", .opts_size = sizeof(S), .init = pod_opts_init, .release = pod_opts_release

/* ---- create ---- */

#define SETTER(name)                                                                                                   \
	static int set_##name(const struct opt_def *def, void *target, const char *value, struct err *e)               \
	{                                                                                                              \
		(void)def;                                                                                             \
		return run_opts_##name(target, value, e);                                                              \
	}
SETTER(name)
SETTER(label)
SETTER(hostname)
SETTER(userns)
SETTER(sysctl)
SETTER(network)
SETTER(publish)
SETTER(dns)
SETTER(dns_search)
SETTER(dns_option)
SETTER(add_host)
SETTER(hosts_file)
SETTER(mac_address)
SETTER(ip)
SETTER(ip6)
SETTER(network_alias)
SETTER(host_access)
SETTER(allow_net)
SETTER(deny_net)

static int set_share(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {
		{"net", RUN_OPTS_POD_NET}, {"ipc", RUN_OPTS_POD_IPC}, {"uts", RUN_OPTS_POD_UTS}, {"none", 0}, {"", 0}};
	autostrv struct strv words = STRV_INIT;
	unsigned sum = 0;
	(void)def;
	strv_split(&words, value, ',');
	if (strv_has(&words, "pid"))
		return err_set(e, EOPNOTSUPP,
			       "--share pid: the holder's processes are not to be seen; use "
			       "--pid container:NAME between containers");
	for (size_t w = 0; w < words.count; w++) {
		size_t i = 0;
		while (i < ARRAY_SIZE(names) && !str_eq(words.items[w], names[i].name))
			i++;
		if (i == ARRAY_SIZE(names))
			return err_set(e, EINVAL, "--share '%s': net, ipc and uts can be shared", value);
		sum |= names[i].bit;
	}
	((S *)target)->o.pod_share = sum;
	return 0;
}

static int set_infra(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	(void)target;
	if (str_eq(value, "true"))
		return 0;
	return err_set(e, EINVAL, "--infra=false: without a holder there is nothing to share");
}

#define VALUE(long_name, short_letter, meta, setter, how, heading, text)                                               \
	{                                                                                                              \
		.name = long_name, .letter = short_letter, .metavar = meta, .set = setter, .flags = how,               \
		.group = heading, .help = text                                                                         \
	}
static const struct opt_def create_defs[] = {
	VALUE("name", 'n', "NAME", set_name, 0, options, "name of the pod"),
	VALUE("label", 'l', "NAME=VALUE", set_label, OPT_REPEAT, options, "attach a label"),
	VALUE("share", 0, "LIST", set_share, 0, options, "what its containers share (default ipc,net,uts)"),
	VALUE("hostname", 0, "NAME", set_hostname, 0, options, "host name (default: the pod's name)"),
	VALUE("userns", 0, "MODE", set_userns, 0, options, "user namespace of all, as in run"),
	VALUE("sysctl", 0, "NAME=VALUE", set_sysctl, OPT_REPEAT, options, "kernel setting of what is shared"),
	{.name = "replace",
	 .set = opt_set_bool,
	 .offset = offsetof(S, o.replace),
	 .group = options,
	 .help = "remove another pod of this name first, with its containers"},
	{.name = "infra", .set = set_infra, .flags = OPT_HIDDEN, .group = options, .help = "accepted for scripts"},
	VALUE("network", 0, "MODE", set_network, OPT_REPEAT, network, "as in run"),
	VALUE("publish", 'p', "IP:HOST:PORT", set_publish, OPT_REPEAT, network,
	      "lead a port of the host in, as in run"),
	VALUE("dns", 0, "ADDRESS", set_dns, OPT_REPEAT, network, "name server"),
	VALUE("dns-search", 0, "DOMAIN", set_dns_search, OPT_REPEAT, network, "search domain"),
	VALUE("dns-option", 0, "OPTION", set_dns_option, OPT_REPEAT, network, "option of resolv.conf"),
	VALUE("add-host", 0, "NAME:ADDRESS", set_add_host, OPT_REPEAT, network, "line of /etc/hosts"),
	VALUE("hosts-file", 0, "FILE", set_hosts_file, 0, network, "begin /etc/hosts with the lines of FILE"),
	{.name = "no-hosts",
	 .set = opt_set_bool,
	 .offset = offsetof(S, o.no_hosts),
	 .group = network,
	 .help = "leave /etc/hosts of the images alone"},
	VALUE("mac-address", 0, "MAC", set_mac_address, 0, network, "hardware address of the interface"),
	VALUE("ip", 0, "ADDRESS", set_ip, 0, network, "address on the first named network"),
	VALUE("ip6", 0, "ADDRESS", set_ip6, 0, network, "IPv6 address on it"),
	VALUE("network-alias", 0, "NAME", set_network_alias, OPT_REPEAT, network, "another name on it"),
	VALUE("host-access", 0, "WHAT", set_host_access, 0, network,
	      "open ports of the host itself: none, all or a list"),
	VALUE("allow-net", 0, "LIST", set_allow_net, OPT_REPEAT, network,
	      "connect only to these: NAME, *.NAME or CIDR, each with [:PORT]"),
	VALUE("deny-net", 0, "LIST", set_deny_net, OPT_REPEAT, network,
	      "never connect to these; metadata: clouds' credentials"),
	{.name = "infra-image", .flags = OPT_REFUSED, .help = "a pod needs no image"},
	{.name = "infra-command", .flags = OPT_REFUSED, .help = "a pod's first process executes nothing"},
	{.name = "infra-name", .flags = OPT_REFUSED, .help = "the pod has the name"},
	{.name = "exit-policy", .flags = OPT_REFUSED, .help = "a pod ends when it is stopped"},
	{.name = "volume", .letter = 'v', .flags = OPT_REFUSED, .help = "give it to the containers"},
	OPT_END,
};

static int create_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	S *o = opts;
	autostr struct str id = STR_INIT;
	if (args->operands.count) {
		if (o->o.name)
			return err_set(e, EINVAL, "pod create: the name is given twice");
		int r = run_opts_name(&o->o, args->operands.items[0], e);
		if (r < 0)
			return r;
	}
	int r = 0;
	if (o->o.replace && !o->o.name)
		return err_set(e, EINVAL, "--replace: it is the pod of the same name that is replaced; give a name");
	if (o->o.replace && pod_exists(ctx->store_root, o->o.name, NULL) == 1)
		r = pod_remove(ctx->store_root, o->o.name, true, e);
	o->o.replace = false;
	if (r == 0)
		r = run_opts_check(&o->o, e);
	if (r == 0)
		r = pod_create(ctx->store_root, &o->o, &id, e);
	if (r < 0)
		return r;
	str_addc(&id, '\n');
	return out_flush(&id, e);
}

const struct verb verb_pod_create = {
	VERB_COMMON,
	.name = "pod create",
	.usage = "[OPTIONS] [NAME]",
	.summary = "make a pod: containers that share their network",
	.example = "  rl pod create -p 8080:80 web\n"
		   "  rl run -d --pod web nginx",
	.opts = create_defs,
	.max_operands = 1,
	.run = create_run,
};

/* ---- ps, inspect, exists ---- */

static const struct opt_def ps_defs[] = {
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "name=, id=, status=, label=", COMPLETE_CHOICES, "name= id= status= label="},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Name}} {{.Status}}'", COMPLETE_CHOICES, "json table"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, S, quiet), 0, options, "print ids only", 0, NULL},
	{"no-trunc", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_trunc), 0, options, "print whole ids", 0, NULL},
	{"noheading", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_heading), 0, options, "no line of headings", 0,
	 NULL},
	OPT_END,
};

static const struct out_column ps_columns[] = {
	{"ID", "POD ID", false},
	{"Name", "NAME", false},
	{"Status", "STATUS", false},
	{"Created", "CREATED", false},
	{"NumberOfContainers", "# OF CONTAINERS", false},
	{"InfraID", "INFRA ID", true},
	{"ContainerNames", "NAMES", true},
	{"Labels", "LABELS", true},
	OUT_COLUMN_END,
};

static int ps_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	json_t *rows = NULL;
	(void)args;
	int r = pod_rows(ctx->store_root, &o->filters, o->no_trunc, &rows, e);
	autojson json_t *owned = rows;
	if (r < 0)
		return r;
	const struct out_style style = {
		.columns = ps_columns,
		.format = o->quiet ? "{{.ID}}" : o->format,
		.no_heading = o->no_heading,
		.flavour = ctx->flavour,
	};
	autostr struct str out = STR_INIT;
	r = out_rows(&style, owned, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

const struct verb verb_pod_ps = {
	VERB_COMMON,	      .name = "pod ps",	      .aliases = "pod ls,pod list",
	.usage = "[OPTIONS]", .summary = "list pods", .example = "  rl pod ps --format '{{.Name}} {{.Status}}'",
	.opts = ps_defs,      .run = ps_run,
};

static const struct opt_def inspect_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.State}}'", COMPLETE_CHOICES, "json"},
	OPT_END,
};

static int inspect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	autojson json_t *docs = json_array();
	for (size_t i = 0; i < args->operands.count; i++) {
		json_t *doc = NULL;
		int r = pod_inspect(ctx->store_root, args->operands.items[i], &doc, e);
		if (r < 0)
			return r;
		json_array_append_new(docs, doc);
	}
	autostr struct str out = STR_INIT;
	int r = out_docs(docs, o->format, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

const struct verb verb_pod_inspect = {
	VERB_COMMON,
	.name = "pod inspect",
	.usage = "[OPTIONS] POD...",
	.summary = "print everything known about pods",
	.example = "  rl pod inspect -f '{{.State}}' web",
	.opts = inspect_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.run = inspect_run,
};

static const struct opt_def exists_defs[] = {OPT_END};

static int exists_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = pod_exists(ctx->store_root, args->operands.items[0], e);
	return r < 0 ? r : !r;
}

const struct verb verb_pod_exists = {
	.group = "Pods",
	.name = "pod exists",
	.usage = "POD",
	.summary = "succeed if the pod is there",
	.example = "  rl pod exists web || rl pod create web",
	.opts = exists_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = exists_run,
};

/* ---- verbs on several pods ---- */

#define ALL_AND_LATEST                                                                                                 \
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "every pod", 0, NULL},                 \
	{                                                                                                              \
		"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, latest), 0, options, "the pod made last", 0,   \
			NULL                                                                                           \
	}

static int set_signal(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return run_opts_parse_signal(value, "--signal", &((S *)target)->sig, e);
}

static const struct opt_def start_defs[] = {ALL_AND_LATEST, OPT_END};
static const struct opt_def stop_defs[] = {
	{"time", "timeout", 't', "SECONDS", OPT_GENERIC(opt_set_uint, S, time), 0, options,
	 "how long each container may take to end before it is killed", 0, NULL},
	{"ignore", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, S, ignore), 0, options,
	 "a pod that does not exist is no error", 0, NULL},
	ALL_AND_LATEST,
	OPT_END,
};
static const struct opt_def kill_defs[] = {
	{"signal", NULL, 's', "SIGNAL", set_signal, 0, 0, options, "signal to send (default KILL)", 0, NULL},
	ALL_AND_LATEST,
	OPT_END,
};
static const struct opt_def rm_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "also while containers of it run",
	 0, NULL},
	{"ignore", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, S, ignore), 0, options,
	 "a pod that does not exist is no error", 0, NULL},
	ALL_AND_LATEST,
	OPT_END,
};
static const struct opt_def prune_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "do not ask", 0, NULL},
	OPT_END,
};

struct each_arg {
	const S *o;
	bool has_time;
};

static int each(const struct cmd_ctx *ctx, const S *o, const struct opt_args *args, container_verb_fn *fn,
		struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	const struct each_arg arg = {o, o->time || opt_given(ctx->verb->opts, args, "time")};
	if ((o->all || o->latest) == (args->operands.count > 0))
		return err_set(e, EINVAL, "%s: either names, --all or --latest", ctx->verb->name);
	strv_add_all(&names, &args->operands);
	int r = o->all || o->latest ? pod_names(ctx->store_root, o->latest, &names, e) : 0;
	return r < 0 ? r
		     : container_verb_each(ctx, &names, o->ignore || o->force, false, fn, (void *)(uintptr_t)&arg, e);
}

static int start_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	(void)arg;
	return pod_start(ctx->store_root, name, e);
}

static int restart_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	(void)arg;
	return pod_restart(ctx->store_root, name, e);
}

static int stop_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct each_arg *a = arg;
	int time = a->has_time ? (int)RL_MIN(a->o->time, 1000000U) : CONTAINER_TIMEOUT_OWN;
	return pod_stop(ctx->store_root, name, time, e);
}

static int kill_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct each_arg *a = arg;
	return pod_kill(ctx->store_root, name, a->o->sig ? a->o->sig : SIGKILL, e);
}

static int rm_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	const struct each_arg *a = arg;
	return pod_remove(ctx->store_root, name, a->o->force, e);
}

static int start_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	return each(ctx, opts, args, start_one, e);
}

static int restart_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	return each(ctx, opts, args, restart_one, e);
}

static int stop_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	return each(ctx, opts, args, stop_one, e);
}

static int kill_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	return each(ctx, opts, args, kill_one, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	return each(ctx, opts, args, rm_one, e);
}

static int prune_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	autostrv struct strv removed = STRV_INIT;
	autostr struct str out = STR_INIT;
	const S *o = opts;
	(void)args;
	int r = out_confirm("pod prune", "Remove all pods in which nothing runs, with their containers?", o->force, e);
	if (r <= 0)
		return r;
	r = pod_prune(ctx->store_root, &removed, e);
	for (size_t i = 0; i < removed.count; i++)
		str_addf(&out, "%s\n", removed.items[i]);
	int flushed = out_flush(&out, r < 0 ? NULL : e);
	return r < 0 ? r : flushed;
}

#define POD_VERB(id, word, table, text, sample, runner)                                                                \
	const struct verb verb_pod_##id = {                                                                            \
		VERB_COMMON,	   .name = "pod " word, .usage = "[OPTIONS] POD...",  .summary = text,                 \
		.example = sample, .opts = table,	.max_operands = OPERANDS_ANY, .run = runner,                   \
	}

const struct verb verb_pod_start = {
	VERB_COMMON,
	.name = "pod start",
	.usage = "[OPTIONS] POD...",
	.summary = "start pods and their containers",
	.example = "  rl pod start web",
	.opts = start_defs,
	.max_operands = OPERANDS_ANY,
	.starts_containers = true,
	.run = start_run,
};

const struct verb verb_pod_restart = {
	VERB_COMMON,
	.name = "pod restart",
	.usage = "[OPTIONS] POD...",
	.summary = "stop pods and start them again",
	.example = "  rl pod restart web",
	.opts = start_defs,
	.max_operands = OPERANDS_ANY,
	.starts_containers = true,
	.run = restart_run,
};

POD_VERB(stop, "stop", stop_defs, "stop the containers of pods, and the pods", "  rl pod stop web", stop_run);
POD_VERB(kill, "kill", kill_defs, "send a signal to everything in pods", "  rl pod kill -s HUP web", kill_run);
POD_VERB(rm, "rm", rm_defs, "remove pods with their containers", "  rl pod rm -f web", rm_run);

const struct verb verb_pod_prune = {
	VERB_COMMON,
	.name = "pod prune",
	.usage = "[OPTIONS]",
	.summary = "remove pods in which nothing runs",
	.example = "  rl pod prune",
	.opts = prune_defs,
	.run = prune_run,
};
