/*
 * cmd_build.c - `rl build` and `rl builder prune`.
 */
#include <errno.h>

#include "limit_rows.h"
#include "registry_opts.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/build.h"
#include "verbs_int.h"

/* An option whose value goes to run_opts_NAME: what every RUN gets. */
#define RUN_SETTER(name)                                                                                               \
	static int set_##name(const struct opt_def *def, void *target, const char *value, struct err *e)               \
	{                                                                                                              \
		struct build_opts *o = target;                                                                         \
		(void)def;                                                                                             \
		return run_opts_##name(&o->run, value, e);                                                             \
	}

RUN_SETTER(volume)
RUN_SETTER(network)
RUN_SETTER(add_host)
RUN_SETTER(dns)
RUN_SETTER(dns_search)
RUN_SETTER(dns_option)
RUN_SETTER(ulimit)
RUN_SETTER(shm_size)
RUN_SETTER(cap_add)
RUN_SETTER(cap_drop)
RUN_SETTER(security_opt)
RUN_SETTER(device)
RUN_SETTER(emulate)
RUN_SETTER(host_access)
RUN_SETTER(allow_net)
RUN_SETTER(deny_net)

static int set_no_hosts(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	struct build_opts *o = target;
	(void)def;
	(void)e;
	o->run.no_hosts = str_eq(value, "true");
	return 0;
}

static int set_rewrite_timestamp(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	struct build_opts *o = target;
	(void)def;
	if (!str_eq(value, "true") && !str_eq(value, "false"))
		return err_set(e, EINVAL, "--rewrite-timestamp=%s: it is true or false", value);
	o->rewrite_timestamp = str_eq(value, "true") ? YES : NO;
	return 0;
}

/* The owners of an image's files are those of the user namespace the store's layers have. */
static int set_userns(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	struct build_opts *o = target;
	(void)def;
	int r = run_opts_userns(&o->run, value, e);
	if (r < 0 || o->run.userns == USERNS_DEFAULT)
		return r;
	(void)!err_set(e, EOPNOTSUPP, "--userns=%s: steps of a build run in the user namespace of the store's layers",
		       value);
	return err_hint(e, "leave the option out; 'rl run --userns' is for containers of the finished image");
}

/* --pull alone means always, as docker's and podman's do. */
static int set_pull(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	struct build_opts *o = target;
	(void)def;
	if (str_eq(value, "true"))
		value = "always";
	if (str_eq(value, "false"))
		value = "missing";
	int r = run_opts_pull(&o->run, value, e);
	o->pull = o->run.pull;
	o->run.pull = PULL_MISSING;
	return r;
}

#define MEMBER(setter, member) OPT_GENERIC(setter, struct build_opts, member)
#define WHAT		       "What is built"
#define HOW		       "How"
#define RESULT		       "Result"
#define STEPS		       "Every RUN"

/* build_opts first, so that rows and setters for it take the same pointer. */
struct build_cli {
	struct build_opts build;
	struct registry_cli registry;
	char *creds;
};

static const struct opt_def build_defs[] = {
	{"file", NULL, 'f', "FILE", MEMBER(opt_set_string, file), OPT_COMMON, WHAT,
	 "the Dockerfile; '-' is standard input", COMPLETE_FILE, NULL},
	{"tag", NULL, 't', "NAME[:TAG]", MEMBER(opt_set_list, tags), OPT_REPEAT | OPT_COMMON, RESULT, "name the image",
	 0, NULL},
	{"target", NULL, 0, "STAGE", MEMBER(opt_set_string, target), OPT_COMMON, WHAT, "the stage to build", 0, NULL},
	{"build-arg", NULL, 0, "KEY[=VALUE]", MEMBER(opt_set_list, build_args), OPT_REPEAT | OPT_COMMON, WHAT,
	 "value of an ARG; KEY alone takes the caller's variable", 0, NULL},
	{"build-arg-file", NULL, 0, "FILE", MEMBER(opt_set_list, build_arg_files), OPT_REPEAT, WHAT,
	 "values of ARGs, one KEY=VALUE a line", COMPLETE_FILE, NULL},
	{"build-context", NULL, 0, "NAME=WHERE", MEMBER(opt_set_list, build_contexts), OPT_REPEAT, WHAT,
	 "another context for --from=NAME: a directory, an archive, a repository, docker-image://IMAGE", 0, NULL},
	{"ignorefile", NULL, 0, "FILE", MEMBER(opt_set_string, ignorefile), 0, WHAT,
	 "ignore file in place of the context's", COMPLETE_FILE, NULL},
	{"platform", NULL, 0, "OS/ARCH", MEMBER(opt_set_string, platform), 0, WHAT, "this machine's own is possible", 0,
	 NULL},
	{"secret", NULL, 0, "ID,SRC", MEMBER(opt_set_list, secrets), OPT_REPEAT | OPT_COMMON, STEPS,
	 "id=ID,src=FILE or id=ID,env=NAME: a secret for RUN --mount=type=secret", 0, NULL},
	{"ssh", NULL, 0, "ID[=SOCKET]", MEMBER(opt_set_list, ssh), OPT_REPEAT, STEPS,
	 "an ssh agent for RUN --mount=type=ssh", 0, NULL},
	{"network", "net", 0, "NETWORK", .set = set_network, 0, OPT_COMMON, STEPS, "network of RUN: slirp, none, host",
	 0, NULL},
	{"volume", NULL, 'v', "SOURCE:TARGET", .set = set_volume, 0, OPT_REPEAT, STEPS,
	 "mount a directory of this machine", COMPLETE_DIR, NULL},
	{"add-host", NULL, 0, "NAME:IP", .set = set_add_host, 0, OPT_REPEAT, STEPS, "a line more in /etc/hosts", 0,
	 NULL},
	{"no-hosts", NULL, 0, NULL, .set = set_no_hosts, 0, 0, STEPS, "leave the image's /etc/hosts alone", 0, NULL},
	{"dns", NULL, 0, "IP", .set = set_dns, 0, OPT_REPEAT, STEPS, "name server", 0, NULL},
	{"dns-search", NULL, 0, "DOMAIN", .set = set_dns_search, 0, OPT_REPEAT, STEPS, "search domain", 0, NULL},
	{"dns-option", NULL, 0, "OPTION", .set = set_dns_option, 0, OPT_REPEAT, STEPS, "option of resolv.conf", 0,
	 NULL},
	{"host-access", NULL, 0, "PORTS", .set = set_host_access, 0, OPT_REPEAT, STEPS,
	 "what of this machine's loopback can be reached", 0, NULL},
	{"allow-net", NULL, 0, "LIST", .set = set_allow_net, 0, OPT_REPEAT, STEPS,
	 "connect only to these: NAME, *.NAME or CIDR, each with [:PORT]", 0, NULL},
	{"deny-net", NULL, 0, "LIST", .set = set_deny_net, 0, OPT_REPEAT, STEPS,
	 "never connect to these; metadata: clouds' credentials", COMPLETE_CHOICES, "metadata"},
	{"ulimit", NULL, 0, "NAME=SOFT[:HARD]", .set = set_ulimit, 0, OPT_REPEAT, STEPS, "resource limit", 0, NULL},
	{"shm-size", NULL, 0, "SIZE", .set = set_shm_size, 0, 0, STEPS, "size of /dev/shm", 0, NULL},
	{"cap-add", NULL, 0, "CAP", .set = set_cap_add, 0, OPT_REPEAT, STEPS, "add a capability", 0, NULL},
	{"cap-drop", NULL, 0, "CAP", .set = set_cap_drop, 0, OPT_REPEAT, STEPS, "take one away", 0, NULL},
	{"security-opt", NULL, 0, "OPTION", .set = set_security_opt, 0, OPT_REPEAT, STEPS,
	 "seccomp=FILE, no-new-privileges and so on", 0, NULL},
	{"emulate", NULL, 0, "KIND", .set = set_emulate, 0, 0, STEPS,
	 "with one id only: answer calls on owners and ids; off, write or full", COMPLETE_CHOICES, "off write full"},
	{"userns", NULL, 0, "MODE", .set = set_userns, 0, 0, STEPS, "\"\" and private are what there is", 0, NULL},
	LIMIT_ROWS(struct build_opts, run.limits, STEPS),
	{"device", NULL, 0, "PATH", .set = set_device, 0, OPT_REPEAT, STEPS, "a device of this machine", COMPLETE_FILE,
	 NULL},
	{"no-cache", NULL, 0, NULL, MEMBER(opt_set_bool, no_cache), OPT_COMMON, HOW, "do every step", 0, NULL},
	{"pull", NULL, 0, NULL, .set = set_pull, 0, OPT_COMMON | OPT_WORDS, HOW,
	 "ask the registries for newer bases; --pull=missing|newer|never|always", 0, NULL},
	{"jobs", NULL, 'j', "N", MEMBER(opt_set_uint, jobs), 0, HOW, "stages done at once", 0, NULL},
	{"progress", NULL, 0, "KIND", MEMBER(opt_set_string, progress), 0, HOW, "auto, plain or tty", COMPLETE_CHOICES,
	 "auto plain tty"},
	{"quiet", NULL, 'q', NULL, MEMBER(opt_set_bool, quiet), OPT_COMMON, HOW, "print the image's id only", 0, NULL},
	{"logfile", NULL, 0, "FILE", MEMBER(opt_set_string, logfile), 0, HOW, "progress goes there", COMPLETE_FILE,
	 NULL},
	{"keep-failed", NULL, 0, NULL, MEMBER(opt_set_bool, keep_failed), 0, HOW,
	 "keep the container of a RUN that fails", 0, NULL},
	{"explain", NULL, 0, NULL, MEMBER(opt_set_bool, explain), 0, HOW,
	 "print the steps and what the cache knows of them; do nothing", 0, NULL},
	{"verify", NULL, 0, NULL, MEMBER(opt_set_bool, verify), 0, HOW, "build twice without the cache and compare", 0,
	 NULL},
	{"cache-from", NULL, 0, "WHERE", MEMBER(opt_set_list, cache_from), OPT_REPEAT, HOW,
	 "steps done elsewhere: type=local,src=DIR, type=registry,ref=NAME, or an image's name", 0, NULL},
	{"cache-to", NULL, 0, "WHERE", MEMBER(opt_set_list, cache_to), OPT_REPEAT, HOW,
	 "give the steps away: type=local,dest=DIR, type=registry,ref=NAME, type=inline", 0, NULL},
	{"squash", NULL, 0, NULL, MEMBER(opt_set_bool, squash), 0, RESULT,
	 "one layer on top of the base image in place of one a step", 0, NULL},
	{"rewrite-timestamp", NULL, 0, NULL, .set = set_rewrite_timestamp, 0, OPT_WORDS, RESULT,
	 "times in layers follow --source-date-epoch (they do anyway; =false leaves them alone)", 0, NULL},
	{"timestamp", NULL, 0, "SECONDS", MEMBER(opt_set_string, timestamp), 0, RESULT,
	 "every time in new layers and the config is this", 0, NULL},
	{"source-date-epoch", NULL, 0, "SECONDS", MEMBER(opt_set_string, source_date_epoch), 0, RESULT,
	 "later times become this (default: SOURCE_DATE_EPOCH)", 0, NULL},
	{"label", NULL, 0, "KEY=VALUE", MEMBER(opt_set_list, labels), OPT_REPEAT, RESULT, "label of the image", 0,
	 NULL},
	{"annotation", NULL, 0, "KEY=VALUE", MEMBER(opt_set_list, annotations), OPT_REPEAT, RESULT,
	 "annotation of the manifest", 0, NULL},
	{"unsetenv", NULL, 0, "NAME", MEMBER(opt_set_list, unset_env), OPT_REPEAT, RESULT,
	 "leave a variable of the base out of the image", 0, NULL},
	{"omit-history", NULL, 0, NULL, MEMBER(opt_set_bool, omit_history), 0, RESULT, "no history in the config", 0,
	 NULL},
	{"output", NULL, 'o', "TYPE", MEMBER(opt_set_list, outputs), OPT_REPEAT, RESULT,
	 "type=local|tar|oci|docker|image,dest=WHERE; DIR alone is local, - is tar", 0, NULL},
	{"iidfile", NULL, 0, "FILE", MEMBER(opt_set_string, iidfile), 0, RESULT, "write the image's id", COMPLETE_FILE,
	 NULL},
	{"metadata-file", NULL, 0, "FILE", MEMBER(opt_set_string, metadata_file), 0, RESULT,
	 "write ids and names as JSON", COMPLETE_FILE, NULL},
	{"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct build_cli, creds), OPT_ONCE,
	 "Registry", "credentials, instead of those of rl login", 0, NULL},
	REGISTRY_OPT_ROWS(struct build_cli),
	OPT_END,
};

static void build_init(void *opts)
{
	struct build_cli *cli = opts;
	build_opts_init(&cli->build);
}

static void build_release(void *opts)
{
	struct build_cli *cli = opts;
	build_opts_free(&cli->build);
	registry_cli_free(&cli->registry);
	free(cli->creds);
}

static bool to_stdout(const struct build_opts *o)
{
	for (size_t i = 0; i < o->outputs.count; i++)
		if (str_eq(o->outputs.items[i], "-") || str_ends(o->outputs.items[i], "dest=-"))
			return true;
	return false;
}

static int build_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct build_cli *cli = opts;
	struct build_opts *o = opts;
	autostr struct str id = STR_INIT;
	o->registry = registry_cli_get(&cli->registry, cli->creds);
	o->context = xstrdup(args->operands.count ? args->operands.items[0] : ".");
	int r = build_image(o, ctx->store_root, &id, e);
	if (r < 0)
		return r;
	if (to_stdout(o))
		return 0;
	if (!o->explain)
		str_addc(&id, '\n');
	return out_flush(&id, e);
}

const struct verb verb_build = {
	.name = "build",
	.aliases = "image build,buildx build,builder build",
	.group = "Images",
	.usage = "[OPTIONS] [CONTEXT]",
	.summary = "build an image from a Dockerfile",
	.example = "  rl build -t web .\n"
		   "  rl build -f Dockerfile.test --target test --build-arg V=1 src",
	.opts = build_defs,
	.max_operands = 1,
	.starts_containers = true,
	.complete = COMPLETE_DIR,
	.opts_size = sizeof(struct build_cli),
	.init = build_init,
	.release = build_release,
	.run = build_run,
};

/* ---- builder prune ---- */

struct prune_opts {
	struct strv filters;
	bool all, force;
};

static const struct opt_def prune_defs[] = {
	{"filter", NULL, 0, "FILTER", OPT_GENERIC(opt_set_list, struct prune_opts, filters), OPT_REPEAT, "Options",
	 "only what was last used longer ago, for example until=24h", 0, NULL},
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct prune_opts, all), 0, "Options",
	 "everything is removed anyway", 0, NULL},
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, struct prune_opts, force), 0, "Options",
	 "there is no question to be answered anyway", 0, NULL},
	OPT_END,
};

static void prune_release(void *opts)
{
	struct prune_opts *o = opts;
	strv_free(&o->filters);
}

static int prune_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct prune_opts *o = opts;
	uint64_t ns = 0;
	int64_t bytes = 0;
	(void)args;
	for (size_t i = 0; i < o->filters.count; i++) {
		const char *until = str_after(o->filters.items[i], "until=");
		if (!until)
			return err_set(e, EINVAL, "--filter %s: until=TIME is the one there is", o->filters.items[i]);
		int r = fmt_parse_duration(until, "--filter until", &ns, e);
		if (r < 0)
			return r;
	}
	int n = build_cache_prune(ctx->store_root, (int64_t)(ns / 1000000000), &bytes, e);
	if (n < 0)
		return n;
	char size[FMT_SIZE];
	autostr struct str out = STR_INIT;
	fmt_size((uint64_t)bytes, size);
	str_addf(&out, "%d steps forgotten\nTotal reclaimed space: %s\n", n, size);
	return out_flush(&out, e);
}

const struct verb verb_builder_prune = {
	.name = "builder prune",
	.aliases = "buildx prune",
	.group = "Images",
	.usage = "[OPTIONS]",
	.summary = "forget the steps of the build cache",
	.example = "  rl builder prune --filter until=24h",
	.opts = prune_defs,
	.opts_size = sizeof(struct prune_opts),
	.release = prune_release,
	.run = prune_run,
};
