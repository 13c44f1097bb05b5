/*
 * cmd_oci_verbs.c - the verbs of `rl-oci` with few flags, and the table of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci_verbs.h"
#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/cmd/out.h"

enum { PS_MAX = 16 << 20 };

static const char options[] = "Options";

struct no_opts {
	bool nothing;
};

static const struct opt_def no_defs[] = {OPT_END};

static int print_doc(json_t *doc, struct err *e)
{
	autostr struct str out = STR_INIT;
	json_print(doc, true, &out);
	str_addc(&out, '\n');
	json_decref(doc);
	return out_flush(&out, e);
}

static int start_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return oci_start(ctx->oci, args->operands.items[0], e);
}

static const struct verb oci_verb_start = {
	.name = "start",
	.usage = "CONTAINER",
	.summary = "have a created container execute its command",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct no_opts),
	.run = start_run,
};

static int state_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	json_t *doc;
	int r = oci_state_doc(ctx->oci, args->operands.items[0], &doc, e);
	return r < 0 ? r : print_doc(doc, e);
}

static const struct verb oci_verb_state = {
	.name = "state",
	.usage = "CONTAINER",
	.summary = "print a container's state as JSON",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct no_opts),
	.run = state_run,
};

struct flag_opts {
	bool on, quiet;
	char *format, *bundle;
	unsigned interval;
};

static void flag_release(void *opts)
{
	struct flag_opts *o = opts;
	free(o->format);
	free(o->bundle);
}

#define F struct flag_opts
static const struct opt_def kill_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, F, on), 0, options, "every process of the container", 0,
	 NULL},
	OPT_END,
};

static int kill_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct flag_opts *o = opts;
	const char *signal = args->operands.count > 1 ? args->operands.items[1] : "SIGTERM";
	return oci_kill(ctx->oci, args->operands.items[0], signal, o->on, e);
}

static const struct verb oci_verb_kill = {
	.name = "kill",
	.usage = "[OPTIONS] CONTAINER [SIGNAL]",
	.summary = "send a signal (SIGTERM) to a container's first process",
	.opts = kill_defs,
	.min_operands = 1,
	.max_operands = 2,
	.opts_size = sizeof(F),
	.release = flag_release,
	.run = kill_run,
};

static const struct opt_def delete_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, F, on), 0, options,
	 "kill it first if it runs; one that does not exist is no error", 0, NULL},
	OPT_END,
};

static int delete_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct flag_opts *o = opts;
	return oci_delete(ctx->oci, args->operands.items[0], o->on, e);
}

static const struct verb oci_verb_delete = {
	.name = "delete",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "remove what is left of a container",
	.opts = delete_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(F),
	.release = flag_release,
	.run = delete_run,
};

static int pause_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return oci_pause(ctx->oci, args->operands.items[0], str_eq(ctx->verb->name, "pause"), e);
}

static const struct verb oci_verb_pause = {
	.name = "pause",
	.usage = "CONTAINER",
	.summary = "let every process of a container stand still",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct no_opts),
	.run = pause_run,
};

static const struct verb oci_verb_resume = {
	.name = "resume",
	.usage = "CONTAINER",
	.summary = "let them go on",
	.opts = no_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct no_opts),
	.run = pause_run,
};

/* ---- list, ps ---- */

static const struct opt_def list_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, F, format), 0, options, "table or json",
	 COMPLETE_CHOICES, "table json"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, F, quiet), 0, options, "names only", 0, NULL},
	OPT_END,
};

static bool wants_json(const char *format, struct err *e, int *ret)
{
	bool json = format && str_eq(format, "json");
	*ret = !format || json || str_eq(format, "table") ? 0 : err_set(e, EINVAL, "invalid format option");
	return json;
}

static int list_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)args;
	const struct flag_opts *o = opts;
	static const struct out_column columns[] = {{"id", "ID", false},
						    {"pid", "PID", false},
						    {"status", "STATUS", false},
						    {"bundle", "BUNDLE", false},
						    {"created", "CREATED", false},
						    {"owner", "OWNER", false},
						    OUT_COLUMN_END};
	autojson json_t *rows = NULL;
	autostr struct str out = STR_INIT;
	int r;
	bool json = wants_json(o->format, e, &r);
	if (r == 0)
		r = oci_list(ctx->oci, &rows, e);
	if (r < 0)
		return r;
	if (o->quiet) {
		for (size_t i = 0; i < json_array_size(rows); i++)
			str_addf(&out, "%s\n", json_str_or_null(json_array_get(rows, i), "id"));
	} else if (json) {
		json_print(rows, false, &out);
		str_addc(&out, '\n');
	} else {
		const struct out_style style = {.columns = columns};
		r = out_rows(&style, rows, &out, e);
	}
	return r < 0 ? r : out_flush(&out, e);
}

static const struct verb oci_verb_list = {
	.name = "list",
	.usage = "[OPTIONS]",
	.summary = "list the containers of the state directory",
	.opts = list_defs,
	.opts_size = sizeof(F),
	.release = flag_release,
	.run = list_run,
};

static const struct opt_def ps_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, F, format), 0, options, "table or json",
	 COMPLETE_CHOICES, "table json"},
	OPT_END,
};

static int run_ps(const struct opt_args *args, struct str *out, struct err *e)
{
	autostrv struct strv argv = STRV_INIT;
	struct proc_child child = PROC_CHILD_NONE;
	int fds[2];
	strv_add(&argv, "ps");
	for (size_t i = 1; i < args->operands.count; i++)
		strv_add(&argv, args->operands.items[i]);
	if (argv.count == 1)
		strv_add(&argv, "-ef");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	const struct proc_spawn spawn = {.argv = argv.items, .stdout_fd = fds[1]};
	int r = proc_spawn(&spawn, &child, e);
	close(fds[1]);
	if (r == 0)
		r = io_read_rest(fds[0], PS_MAX, "ps", out, e);
	close(fds[0]);
	if (r < 0) {
		proc_kill_wait(&child);
		return r;
	}
	return proc_wait_ok(&child, "ps", e);
}

/* Which word of the heading is PID. */
static size_t pid_column(char *heading)
{
	size_t n = 0;
	for (char *save = NULL, *word = strtok_r(heading, " \t", &save); word; word = strtok_r(NULL, " \t", &save), n++)
		if (str_eq(word, "PID"))
			return n;
	return SIZE_MAX;
}

static bool is_among(const char *line, size_t column, const json_t *pids)
{
	autofree char *copy = xstrdup(line);
	char *save = NULL;
	char *word = strtok_r(copy, " \t", &save);
	for (size_t n = 0; word && n < column; n++)
		word = strtok_r(NULL, " \t", &save);
	for (size_t i = 0; word && i < json_array_size(pids); i++)
		if (json_integer_value(json_array_get(pids, i)) == strtoll(word, NULL, 10))
			return true;
	return false;
}

static int ps_table(const struct opt_args *args, const json_t *pids, struct str *out, struct err *e)
{
	autostr struct str text = STR_INIT;
	autostrv struct strv lines = STRV_INIT;
	int r = run_ps(args, &text, e);
	if (r < 0)
		return r;
	strv_split(&lines, text.buf, '\n');
	autofree char *heading = xstrdup(lines.items[0]);
	size_t column = pid_column(heading);
	if (column == SIZE_MAX)
		return err_set(e, EINVAL, "couldn't find PID field in ps output");
	str_addf(out, "%s\n", lines.items[0]);
	for (size_t i = 1; i < lines.count; i++)
		if (is_among(lines.items[i], column, pids))
			str_addf(out, "%s\n", lines.items[i]);
	return 0;
}

static int ps_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct flag_opts *o = opts;
	autojson json_t *pids = NULL;
	autostr struct str out = STR_INIT;
	int r;
	bool json = wants_json(o->format, e, &r);
	if (r == 0)
		r = oci_pids(ctx->oci, args->operands.items[0], &pids, e);
	if (r < 0)
		return r;
	if (json) {
		json_print(pids, false, &out);
		str_addc(&out, '\n');
	} else {
		r = ps_table(args, pids, &out, e);
	}
	return r < 0 ? r : out_flush(&out, e);
}

static const struct verb oci_verb_ps = {
	.name = "ps",
	.usage = "[OPTIONS] CONTAINER [PS-OPTION...]",
	.summary = "list a container's processes",
	.opts = ps_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(F),
	.release = flag_release,
	.run = ps_run,
};

/* ---- events, features, spec ---- */

static int set_interval(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	/* runc's is a duration: "5s". */
	autofree char *digits = xstrdup(value);
	size_t n = strlen(digits);
	if (n && digits[n - 1] == 's')
		digits[n - 1] = '\0';
	int r = opt_set_uint(def, target, digits, e);
	struct flag_opts *o = target;
	return r == 0 && (o->interval == 0 || o->interval > 86400)
		       ? err_set(e, EINVAL, "duration interval must be greater than 0")
		       : r;
}

static const struct opt_def events_defs[] = {
	{"interval", NULL, 0, "SECONDS", .set = set_interval, .offset = offsetof(F, interval), .group = options,
	 .help = "how often (5)"},
	{"stats", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, F, on), 0, options, "once, then exit", 0, NULL},
	OPT_END,
};

static void events_init(void *opts)
{
	struct flag_opts *o = opts;
	o->interval = 5;
}

static int print_event(void *arg, const json_t *doc, struct err *e)
{
	(void)arg;
	autostr struct str out = STR_INIT;
	json_print(doc, false, &out);
	str_addc(&out, '\n');
	return out_flush(&out, e);
}

static int events_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct flag_opts *o = opts;
	const char *id = args->operands.items[0];
	if (!o->on)
		return oci_events(ctx->oci, id, o->interval, print_event, NULL, e);
	autojson json_t *doc = NULL;
	int r = oci_stats(ctx->oci, id, &doc, e);
	return r < 0 ? r : print_event(NULL, doc, e);
}

static const struct verb oci_verb_events = {
	.name = "events",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "print statistics and out-of-memory events",
	.opts = events_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(F),
	.init = events_init,
	.release = flag_release,
	.run = events_run,
};

static const struct opt_def features_defs[] = {
	{"fields", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, F, on), 0, options,
	 "the members of config.json instead, and which are refused", 0, NULL},
	OPT_END,
};

static int features_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)ctx;
	(void)args;
	const struct flag_opts *o = opts;
	autostr struct str out = STR_INIT;
	if (!o->on)
		return print_doc(oci_features(), e);
	oci_fields(&out);
	return out_flush(&out, e);
}

static const struct verb oci_verb_features = {
	.name = "features",
	.usage = "[OPTIONS]",
	.summary = "print what this runtime can",
	.opts = features_defs,
	.opts_size = sizeof(F),
	.release = flag_release,
	.run = features_run,
};

static const struct opt_def spec_defs[] = {
	{"bundle", NULL, 'b', "DIR", OPT_GENERIC(opt_set_string, F, bundle), 0, options, "where to write it",
	 COMPLETE_DIR, NULL},
	{"rootless", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, F, on), 0, options, "one for an ordinary user", 0, NULL},
	OPT_END,
};

static int spec_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)ctx;
	(void)args;
	const struct flag_opts *o = opts;
	return cmd_write_spec(o->bundle, o->on, e);
}

static const struct verb oci_verb_spec = {
	.name = "spec",
	.usage = "[OPTIONS]",
	.summary = "write a config.json to start from",
	.opts = spec_defs,
	.opts_size = sizeof(F),
	.release = flag_release,
	.run = spec_run,
};
#undef F

static int refuse_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	(void)args;
	return err_set(e, EOPNOTSUPP, "%s is not supported: this runtime does not use CRIU", ctx->verb->name);
}

static const struct verb oci_verb_checkpoint = {
	.name = "checkpoint",
	.usage = "CONTAINER",
	.summary = "refused: CRIU is not used",
	.opts = no_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct no_opts),
	.run = refuse_run,
};

static const struct verb oci_verb_restore = {
	.name = "restore",
	.usage = "CONTAINER",
	.summary = "refused: CRIU is not used",
	.opts = no_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct no_opts),
	.run = refuse_run,
};

const struct verb *const oci_verb_table[] = {
	&oci_verb_create, &oci_verb_start,    &oci_verb_run,  &oci_verb_exec,	    &oci_verb_kill,    &oci_verb_delete,
	&oci_verb_state,  &oci_verb_list,     &oci_verb_ps,   &oci_verb_pause,	    &oci_verb_resume,  &oci_verb_update,
	&oci_verb_events, &oci_verb_features, &oci_verb_spec, &oci_verb_checkpoint, &oci_verb_restore, NULL,
};
