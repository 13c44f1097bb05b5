/*
 * cmd_oci.c - `rl-oci` and `rl oci`: the global flags, the log, and finding the verb.
 *
 * Errors go to standard error and to the log; callers read the last line of level "error" there. Exit status 1, as runc's,
 * unless the error asks for another.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci_verbs.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "verbs_int.h"

/* ---- global flags ---- */

struct global_opts {
	char *root, *log, *log_format, *rootless, *criu, *manager;
	bool debug, systemd_cgroup, version;
};

static int set_rootless(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!str_eq(value, "auto") && !str_eq(value, "true") && !str_eq(value, "false"))
		return err_set(e, EINVAL, "--rootless is not true, false or auto");
	return opt_set_string(def, target, value, e);
}

static int set_log_format(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!str_eq(value, "json") && !str_eq(value, "text"))
		return err_set(e, EINVAL, "unknown log-format \"%s\"", value);
	return opt_set_string(def, target, value, e);
}

static int set_manager(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!str_eq(value, "cgroupfs") && !str_eq(value, "systemd") && !str_eq(value, "disabled"))
		return err_set(e, EINVAL, "unknown cgroup manager '%s'", value);
	return opt_set_string(def, target, value, e);
}

#define G struct global_opts
static const char options[] = "Options";
const struct opt_def oci_global_opts[] = {
	{"root", NULL, 0, "DIR", OPT_GENERIC(opt_set_string, G, root), 0, options, "where containers are recorded",
	 COMPLETE_DIR, NULL},
	{"log", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, G, log), 0, options, "append errors and warnings to FILE",
	 COMPLETE_FILE, NULL},
	{"log-format", NULL, 0, "FORMAT", .set = set_log_format, .offset = offsetof(G, log_format), .group = options,
	 .help = "text or json", .complete = COMPLETE_CHOICES, .choices = "text json"},
	{"debug", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, G, debug), 0, options, "say what happens, with times", 0,
	 NULL},
	{"systemd-cgroup", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, G, systemd_cgroup), 0, options,
	 "cgroupsPath is slice:prefix:name, and systemd makes the control group", 0, NULL},
	{"rootless", NULL, 0, "WHEN", .set = set_rootless, .offset = offsetof(G, rootless), .group = options,
	 .help = "what cannot be limited is a warning: true, false or auto", .complete = COMPLETE_CHOICES,
	 .choices = "true false auto"},
	{"cgroup-manager", NULL, 0, "WHAT", .set = set_manager, .offset = offsetof(G, manager), .group = options,
	 .help = "crun's name for it: cgroupfs, systemd, or disabled: no control group at all",
	 .complete = COMPLETE_CHOICES, .choices = "cgroupfs systemd disabled"},
	{"criu", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, G, criu), 0, options, "taken and not used", COMPLETE_FILE,
	 NULL},
	{"version", NULL, 'v', NULL, OPT_GENERIC(opt_set_bool, G, version), 0, options, "print the version", 0, NULL},
	OPT_END,
};
#undef G

static void global_release(struct global_opts *g)
{
	free(g->root);
	free(g->log);
	free(g->log_format);
	free(g->rootless);
	free(g->criu);
	free(g->manager);
}
#define autooci __attribute__((cleanup(global_release)))

static int open_log(const struct global_opts *g, struct err *e)
{
	if (!g->log)
		return 0;
	/* Non-blocking, so that a fifo without a reader is an error and not the end of us. */
	int fd = open(g->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
	if (fd < 0)
		return err_sys(e, errno, "open log %s", g->log);
	log_set_file(fd, g->log_format && str_eq(g->log_format, "json"));
	return 0;
}

static const struct verb *find_verb(const char *name, struct err *e)
{
	const char *names[OCI_VERBS_MAX + 1] = {NULL};
	for (size_t i = 0; i < OCI_VERBS_MAX && oci_verb_table[i]; i++) {
		names[i] = oci_verb_table[i]->name;
		if (str_eq(names[i], name))
			return oci_verb_table[i];
	}
	const char *near = str_nearest(name, names);
	err_set(e, EINVAL, "there is no verb '%s'", name);
	(void)!(near ? err_hint(e, "did you mean 'rl-oci %s'?", near) : err_hint(e, "'rl-oci --help' lists the verbs"));
	return NULL;
}

static int overview(struct err *e)
{
	autostr struct str out = STR_INIT;
	str_adds(&out, "Usage: rl oci [OPTIONS] VERB ...\n       rl-oci [OPTIONS] VERB ...\n\n"
		       "The OCI runtime of rl: runs bundles for containerd, podman and others.\n\nExample:\n");
	str_addf(&out, "%s\n\nVerbs:\n", verb_oci.example);
	for (size_t i = 0; oci_verb_table[i]; i++)
		str_addf(&out, "  %-12s %s\n", oci_verb_table[i]->name, oci_verb_table[i]->summary);
	str_addc(&out, '\n');
	opt_help(oci_global_opts, false, &out);
	return out_flush(&out, e);
}

static int version(struct err *e)
{
	autostr struct str out = STR_INIT;
	str_addf(&out, "rl-oci version %s\nspec: 1.2.1\n", RL_VERSION);
	return out_flush(&out, e);
}

static int oci_dispatch(char **main_argv, char *const *argv, struct err *e)
{
	autooci struct global_opts g = {.root = NULL};
	struct opt_args args = OPT_ARGS_INIT;
	int r = opt_parse(oci_global_opts, OPT_STOP_AT_OPERAND, argv, &g, &args, e);
	autostrv struct strv words = args.operands;
	strv_free(&args.typed);
	if (r == 0)
		r = open_log(&g, e);
	if (r < 0)
		return r;
	if (g.debug)
		log_set_debug("all");
	if (g.version)
		return version(e);
	if (args.help || !words.count)
		return overview(e);
	const struct oci_runtime runtime = {
		.root = g.root,
		.systemd_cgroup = g.systemd_cgroup || (g.manager && str_eq(g.manager, "systemd")),
		.no_cgroup = g.manager && str_eq(g.manager, "disabled"),
		.rootless = !g.rootless || str_eq(g.rootless, "auto") ? -1 : str_eq(g.rootless, "true"),
	};
	struct cmd_ctx ctx = {.oci = &runtime, .flavour = CMD_DOCKER, .verb = find_verb(words.items[0], e)};
	if (!ctx.verb)
		return -EINVAL;
	if (ctx.verb->starts_containers) {
		r = container_protect_binary(main_argv, e);
		if (r < 0)
			return r;
	}
	return verb_run_parsed(&ctx, words.items + 1, e);
}

int oci_main(char **main_argv, char *const *argv, struct err *e)
{
	log_init("rl-oci");
	int r = oci_dispatch(main_argv, argv, e);
	if (r < 0 && !e->exit_status)
		return err_status(e, EXIT_FAILURE);
	return r;
}

/* Found by main before it would run. */
static int oci_run_verb(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)ctx;
	(void)opts;
	return args->operands.count ? err_set(e, EINVAL, "rl oci is run by main") : 0;
}

const struct verb verb_oci = {
	.group = "System",
	.name = "oci",
	.usage = "[OPTIONS] VERB ...",
	.summary = "be an OCI runtime: create, start, run, kill, delete bundles",
	.example = "  rl oci run -b BUNDLE web",
	.opts = oci_global_opts,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct global_opts),
	.run = oci_run_verb,
};
