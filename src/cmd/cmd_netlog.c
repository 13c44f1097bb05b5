/*
 * cmd_netlog.c - `rl netlog`: what a container with an egress policy tried to reach.
 */
#include <inttypes.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container_netlog.h"
#include "verbs_int.h"

struct netlog_opts {
	bool all, no_heading;
	char *format;
};

#define S struct netlog_opts
static const char options[] = "Options";
static const struct opt_def netlog_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "what was allowed, too", 0, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Address}}'", COMPLETE_CHOICES, "json table"},
	{"noheading", "no-heading", 'n', NULL, OPT_GENERIC(opt_set_bool, S, no_heading), 0, options,
	 "leave out the heading", 0, NULL},
	OPT_END,
};
#undef S

static void netlog_release(void *opts)
{
	struct netlog_opts *o = opts;
	free(o->format);
}

static const struct out_column columns[] = {
	{"Time", "TIME", false},   {"Protocol", "PROTOCOL", false}, {"Address", "ADDRESS", false},
	{"Port", "PORT", false},   {"Name", "NAME", false},	    {"Verdict", "VERDICT", false},
	{"Count", "TRIES", false}, {"First", "FIRST", true},	    OUT_COLUMN_END,
};

static int netlog_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct netlog_opts *o = opts;
	json_t *rows = NULL;
	uint64_t lost = 0;
	int r = container_netlog(ctx->store_root, args->operands.items[0], o->all, &rows, &lost, e);
	autojson json_t *owned = rows;
	autostr struct str out = STR_INIT;
	if (r < 0)
		return r;
	const struct out_style style = {
		.columns = columns, .format = o->format, .no_heading = o->no_heading, .flavour = ctx->flavour};
	r = out_rows(&style, owned, &out, e);
	if (r >= 0)
		r = out_flush(&out, e);
	if (r >= 0 && lost)
		log_warn("%" PRIu64 " older lines had to make room", lost);
	return r;
}

const struct verb verb_netlog = {
	.name = "netlog",
	.aliases = "container netlog",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "show which connections of a container were refused",
	.example = "  rl netlog --format '{{.Name}} {{.Port}}' agent",
	.opts = netlog_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct netlog_opts),
	.release = netlog_release,
	.run = netlog_run,
};
