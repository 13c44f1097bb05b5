/*
 * cmd_stats.c - `rl stats`: what containers use, once or again and again.
 *
 * Processor use needs two samples; the first line is printed after the second one.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

enum { FIRST_MS = 250 };

struct stats_opts {
	bool all, no_stream, no_reset, no_trunc, latest;
	unsigned interval;
	char *format;
};

#define S struct stats_opts
static const char options[] = "Options";
static const struct opt_def stats_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "also those that do not run", 0, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Name}} {{.CPUPerc}}'", COMPLETE_CHOICES, "json table"},
	{"interval", NULL, 'i', "SECONDS", OPT_GENERIC(opt_set_uint, S, interval), 0, options,
	 "time between two looks (default 1)", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, latest), 0, options, "the container made last", 0, NULL},
	{"no-reset", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_reset), 0, options,
	 "do not clear the screen in between", 0, NULL},
	{"no-stream", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_stream), 0, options, "only once", 0, NULL},
	{"no-trunc", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_trunc), 0, options, "print whole ids", 0, NULL},
	OPT_END,
};
#undef S

static const struct out_column columns[] = {
	{"ID", "CONTAINER ID", false},	      {"Name", "NAME", false},
	{"CPUPerc", "CPU %", false},	      {"MemUsage", "MEM USAGE / LIMIT", false},
	{"MemPerc", "MEM %", false},	      {"NetIO", "NET I/O", false},
	{"BlockIO", "BLOCK I/O", false},      {"PIDs", "PIDS", false},
	{"Container", "CONTAINER", true},     {"CPUNano", "CPU NANO", true},
	{"MemUsageBytes", "MEM USAGE", true}, OUT_COLUMN_END,
};

static void put_pair(json_t *row, const char *key, uint64_t a, uint64_t b, void (*format)(uint64_t, char[FMT_SIZE]))
{
	char left[FMT_SIZE];
	char right[FMT_SIZE];
	format(a, left);
	format(b, right);
	autofree char *text = xasprintf("%s / %s", left, right);
	json_put_str(row, key, text);
}

static void put_percent(json_t *row, const char *key, double part, double whole)
{
	autofree char *text = xasprintf("%.2f%%", whole > 0 && part > 0 ? 100 * part / whole : 0.0);
	json_put_str(row, key, text);
}

static const struct container_stats_row *row_of(const struct container_stats *st, const char *id)
{
	for (size_t i = 0; i < st->count; i++)
		if (str_eq(st->rows[i].id, id))
			return &st->rows[i];
	return NULL;
}

static json_t *make_row(const struct stats_opts *o, const struct container_stats_row *before,
			const struct container_stats_row *now)
{
	json_t *row = json_object();
	autofree char *id = o->no_trunc ? xstrdup(now->id) : xstrndup(now->id, 12);
	double used = before && now->cpu_ns > before->cpu_ns ? (double)(now->cpu_ns - before->cpu_ns) : 0;
	double passed = before ? (double)(now->at_ns - before->at_ns) : 0;
	json_put_str(row, "ID", id);
	json_put_str(row, "Container", id);
	json_put_str(row, "Name", now->name);
	put_percent(row, "CPUPerc", used, passed);
	put_pair(row, "MemUsage", now->memory, now->limit, fmt_size_binary);
	put_percent(row, "MemPerc", (double)now->memory, (double)now->limit);
	put_pair(row, "NetIO", now->net_in, now->net_out, fmt_size);
	put_pair(row, "BlockIO", now->block_in, now->block_out, fmt_size);
	json_put_int(row, "PIDs", now->pids);
	json_put_int(row, "CPUNano", (int64_t)now->cpu_ns);
	json_put_int(row, "MemUsageBytes", (int64_t)now->memory);
	return row;
}

static int show(const struct cmd_ctx *ctx, const struct stats_opts *o, const struct container_stats *before,
		const struct container_stats *now, struct err *e)
{
	autojson json_t *rows = json_array();
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < now->count; i++)
		json_array_append_new(rows, make_row(o, row_of(before, now->rows[i].id), &now->rows[i]));
	const struct out_style style = {.columns = columns, .format = o->format, .flavour = ctx->flavour};
	if (!o->no_stream && !o->no_reset && isatty(STDOUT_FILENO))
		str_adds(&out, "\033[2J\033[H");
	int r = out_rows(&style, rows, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static int stats_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct stats_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	strv_add_all(&names, &args->operands);
	const struct container_selection sel = {.latest = true};
	int r = o->latest ? container_select(ctx->store_root, &sel, &names, e) : 0;
	struct container_stats before = {.rows = NULL};
	if (r == 0)
		r = container_stats(ctx->store_root, &names, o->all, &before, e);
	int wait = FIRST_MS;
	while (r == 0) {
		struct container_stats now = {.rows = NULL};
		/* The time that passes is what is measured. */
		(void)poll(NULL, 0, wait);
		r = container_stats(ctx->store_root, &names, o->all, &now, e);
		if (r == 0)
			r = show(ctx, o, &before, &now, e);
		container_stats_free(&before);
		before = now;
		wait = (int)RL_MIN(o->interval ? o->interval : 1, 1000000U) * 1000;
		if (o->no_stream)
			break;
	}
	container_stats_free(&before);
	return r;
}

static void stats_release(void *opts)
{
	struct stats_opts *o = opts;
	free(o->format);
}

const struct verb verb_stats = {
	.group = "Containers",
	.name = "stats",
	.aliases = "container stats",
	.usage = "[OPTIONS] [CONTAINER...]",
	.summary = "show what containers use",
	.example = "  rl stats --no-stream\n  rl stats --format '{{.Name}} {{.MemUsage}}' web",
	.opts = stats_defs,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct stats_opts),
	.release = stats_release,
	.run = stats_run,
};
