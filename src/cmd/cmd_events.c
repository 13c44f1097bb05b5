/*
 * cmd_events.c - `rl events`.
 */
#include <errno.h>
#include <time.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/events.h"
#include "verbs_int.h"

struct events_target {
	char *since, *until, *format;
	bool stream, no_stream, no_trunc;
	struct strv filters;
};

#define S struct events_target
static const char options[] = "Options";
static const struct opt_def events_defs[] = {
	{"since", NULL, 0, "TIME", OPT_GENERIC(opt_set_string, S, since), 0, options,
	 "from this time on: 2026-01-02T03:04:05Z, 1767323045, or 10m ago", 0, NULL},
	{"until", NULL, 0, "TIME", OPT_GENERIC(opt_set_string, S, until), 0, options, "up to this time", 0, NULL},
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "type=, event=, container=, image=, label=", COMPLETE_CHOICES, "type= event= container= image= label="},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Action}} {{.Name}}'", COMPLETE_CHOICES, "json"},
	{"stream", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, stream), 0, options,
	 "go on with what happens (default true)", 0, NULL},
	{"no-trunc", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_trunc), OPT_HIDDEN, options,
	 "accepted for scripts: ids are always whole", 0, NULL},
	{"no-stream", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_stream), 0, options, "only what is known already",
	 0, NULL},
	OPT_END,
};
#undef S

static void events_init(void *opts)
{
	struct events_target *t = opts;
	t->stream = true;
}

static void events_release(void *opts)
{
	struct events_target *t = opts;
	free(t->since);
	free(t->until);
	free(t->format);
	strv_free(&t->filters);
}

/* A time, seconds since 1970, or how long ago ("-" in front: in the future, as podman's "until" may be). */
static int parse_time(const char *text, const char *what, int64_t *ret_ns, struct err *e)
{
	struct timespec now;
	uint64_t n;
	if (!text)
		return 0;
	bool ahead = *text == '+';
	if (!ahead && strspn(text, "0123456789") == strlen(text)) {
		int r = str_to_u64(text, INT64_MAX / 1000000000, what, &n, e);
		*ret_ns = r < 0 ? 0 : (int64_t)RL_MAX(n, (uint64_t)1) * 1000000000;
		return r;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (ahead && fmt_parse_duration(text + 1, what, &n, NULL) == 0) {
		*ret_ns = ns + (int64_t)RL_MIN(n, (uint64_t)ns - 1);
		return 0;
	}
	int r = fmt_parse_when(text, what, ns, ret_ns, e);
	/* 0 is no time at all. */
	if (r == 0)
		*ret_ns = RL_MAX(*ret_ns, (int64_t)1);
	return r;
}

/* docker's line: time, what, who, and what else is known. */
static void plain_line(const json_t *event, struct str *out)
{
	const char *key;
	json_t *value;
	const char *separator = " (";
	str_addf(out, "%s %s %s %s", json_str_or_null(event, "Time"), json_str_or_null(event, "Type"),
		 json_str_or_null(event, "Action"), json_str_or_null(event, "ID"));
	json_object_foreach (json_object_get(event, "Attributes"), key, value) {
		str_addf(out, "%s%s=%s", separator, key, json_is_string(value) ? json_string_value(value) : "");
		separator = ", ";
	}
	str_adds(out, *separator == ',' ? ")\n" : "\n");
}

static int print_event(void *arg, const json_t *event, struct err *e)
{
	static const struct out_column columns[] = {OUT_COLUMN_END};
	const struct events_target *t = arg;
	autostr struct str out = STR_INIT;
	int r = 0;
	if (t->format && str_eq(t->format, "json")) {
		json_print(event, false, &out);
		str_addc(&out, '\n');
	} else if (t->format && *t->format) {
		autojson json_t *row = json_array();
		json_array_append_new(row, json_deep_copy(event));
		r = out_rows(&(struct out_style){.columns = columns, .format = t->format, .no_heading = true}, row,
			     &out, e);
	} else {
		plain_line(event, &out);
	}
	return r < 0 ? r : out_flush(&out, e);
}

static int events_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct events_target *t = opts;
	struct events_opts o = {.follow = t->stream && !t->no_stream, .filters = &t->filters};
	(void)args;
	int r = parse_time(t->since, "--since", &o.since, e);
	if (r == 0)
		r = parse_time(t->until, "--until", &o.until, e);
	if (r < 0)
		return r;
	return events_read(ctx->store_root, &o, print_event, t, e);
}

const struct verb verb_events = {
	.group = "Containers",
	.name = "events",
	.aliases = "system events",
	.usage = "[OPTIONS]",
	.summary = "show what happens to containers and images",
	.example = "  rl events --since 10m --no-stream\n  rl events --filter event=die --format '{{.Name}} "
		   "{{.ContainerExitCode}}'",
	.opts = events_defs,
	.opts_size = sizeof(struct events_target),
	.init = events_init,
	.release = events_release,
	.run = events_run,
};
