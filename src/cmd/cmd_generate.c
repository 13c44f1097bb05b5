/*
 * cmd_generate.c - `rl generate systemd`.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/unit.h"
#include "verbs_int.h"

struct generate_opts {
	bool is_new, files, name, no_header;
	char *restart, *prefix, *separator, *format;
	unsigned stop_timeout, restart_sec, start_timeout;
	struct strv wants, after, requires, env;
};

#define S struct generate_opts
static const char options[] = "Options";
static const char relations[] = "Other units";

static int set_env(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!strchr(value, '=') || *value == '=')
		return err_set(e, EINVAL, "--env '%s': NAME=VALUE is expected", value);
	return opt_set_list(def, target, value, e);
}

/* The name of a unit, in one line of a file. */
static int set_unit(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!*value || strpbrk(value, "\n\r\t/"))
		return err_set(e, EINVAL, "--%s '%s': the name of a unit is expected", def->name, value);
	return opt_set_list(def, target, value, e);
}

static int set_part(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (strpbrk(value, "/\n\r\t "))
		return err_set(e, EINVAL, "--%s '%s': it becomes a part of a file's name", def->name, value);
	return opt_set_string(def, target, value, e);
}

static const struct opt_def systemd_defs[] = {
	{"new", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, is_new), 0, options,
	 "make a new container at every start, remove it at every end", 0, NULL},
	{"files", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, files), 0, options,
	 "write a file in this directory and print its name", 0, NULL},
	{"name", NULL, 'n', NULL, OPT_GENERIC(opt_set_bool, S, name), 0, options,
	 "the container's name, not its id, in the name of the unit", 0, NULL},
	{"restart-policy", NULL, 0, "POLICY", OPT_GENERIC(opt_set_string, S, restart), 0, options,
	 "as in systemd.service(5); default on-failure", COMPLETE_CHOICES,
	 "no on-success on-failure on-abnormal on-watchdog on-abort always"},
	{"restart-sec", NULL, 0, "SECONDS", OPT_GENERIC(opt_set_uint, S, restart_sec), 0, options,
	 "time before a restart", 0, NULL},
	{"stop-timeout", "time", 't', "SECONDS", OPT_GENERIC(opt_set_uint, S, stop_timeout), 0, options,
	 "how long it may take to end (default: the container's)", 0, NULL},
	{"start-timeout", NULL, 0, "SECONDS", OPT_GENERIC(opt_set_uint, S, start_timeout), 0, options,
	 "how long a start may take", 0, NULL},
	{"env", NULL, 'e', "NAME=VALUE", set_env, offsetof(S, env), OPT_REPEAT, options, "a variable of the unit", 0,
	 NULL},
	{"no-header", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_header), 0, options, "no comment at the beginning",
	 0, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json: an object with the unit's name and text", COMPLETE_CHOICES, "json"},
	{"container-prefix", NULL, 0, "TEXT", set_part, offsetof(S, prefix), 0, options,
	 "begin of the unit's name (default container)", 0, NULL},
	{"separator", NULL, 0, "TEXT", set_part, offsetof(S, separator), 0, options, "after the prefix (default -)", 0,
	 NULL},
	{"wants", NULL, 0, "UNIT", set_unit, offsetof(S, wants), OPT_REPEAT, relations, "units to start with it", 0,
	 NULL},
	{"after", NULL, 0, "UNIT", set_unit, offsetof(S, after), OPT_REPEAT, relations, "units to start before it", 0,
	 NULL},
	{"requires", NULL, 0, "UNIT", set_unit, offsetof(S, requires), OPT_REPEAT, relations,
	 "units without which it cannot run", 0, NULL},
	{"pod-prefix", NULL, 0, NULL, NULL, 0, OPT_REFUSED, NULL, "there are units of containers only", 0, NULL},
	{"template", NULL, 0, NULL, NULL, 0, OPT_REFUSED, NULL, "make one unit for each container", 0, NULL},
	OPT_END,
};
#undef S

static void generate_release(void *opts)
{
	struct generate_opts *o = opts;
	free(o->restart);
	free(o->prefix);
	free(o->separator);
	free(o->format);
	strv_free(&o->wants);
	strv_free(&o->after);
	strv_free(&o->requires);
	strv_free(&o->env);
}

static int put_json(const struct str *name, const struct str *text, struct str *out)
{
	autojson json_t *doc = json_object();
	json_put_str(doc, name->buf, text->buf);
	json_print(doc, true, out);
	str_addc(out, '\n');
	return 0;
}

static int put_file(const struct str *name, const struct str *text, struct str *out, struct err *e)
{
	autofree char *cwd = getcwd(NULL, 0);
	int r = io_replace_file(AT_FDCWD, name->buf, text->buf, text->len, 0644, false, e);
	if (r == 0)
		str_addf(out, "%s/%s\n", cwd ? cwd : ".", name->buf);
	return r;
}

static int systemd_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct generate_opts *o = opts;
	autostr struct str name = STR_INIT;
	autostr struct str text = STR_INIT;
	autostr struct str out = STR_INIT;
	const struct unit_opts u = {
		.is_new = o->is_new,
		.by_name = o->name,
		.restart = o->restart,
		.restart_sec = o->restart_sec,
		.has_restart_sec = opt_given(systemd_defs, args, "restart-sec"),
		.stop_timeout = o->stop_timeout,
		.has_stop_timeout = opt_given(systemd_defs, args, "stop-timeout"),
		.start_timeout = o->start_timeout,
		.prefix = o->prefix,
		.separator = o->separator,
		.wants = &o->wants,
		.after = &o->after,
		.requires = &o->requires,
		.env = &o->env,
		.no_header = o->no_header,
	};
	if (o->format && !str_eq(o->format, "json"))
		return err_set(e, EINVAL, "--format '%s': json is expected", o->format);
	int r = unit_generate(ctx->store_root, args->operands.items[0], &u, &name, &text, e);
	if (r == 0 && o->files)
		r = put_file(&name, &text, &out, e);
	else if (r == 0 && o->format)
		r = put_json(&name, &text, &out);
	return r < 0 ? r : out_flush(out.len ? &out : &text, e);
}

const struct verb verb_generate_systemd = {
	.name = "generate systemd",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "print a unit of systemd that runs a container",
	.example = "  rl generate systemd --new --name web >~/.config/systemd/user/web.service\n"
		   "  rl generate systemd --files --name web",
	.opts = systemd_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct generate_opts),
	.release = generate_release,
	.run = systemd_run,
};
