/*
 * cmd_top.c - `rl top`.
 */
#include <errno.h>

#include "container_verb.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct top_opts {
	bool latest;
};

static const struct opt_def top_defs[] = {
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, struct top_opts, latest), 0, "Options",
	 "the container made last", 0, NULL},
	OPT_END,
};

static int top_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct top_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	autostrv struct strv columns = STRV_INIT;
	autostr struct str text = STR_INIT;
	size_t first = o->latest ? 0 : 1;
	if (args->operands.count < first) {
		err_set(e, EINVAL, "top: the name of a container is missing");
		return err_hint(e, "usage: rl top %s", ctx->verb->usage);
	}
	const struct container_selection sel = {.latest = true};
	int r = o->latest ? container_select(ctx->store_root, &sel, &names, e) : 0;
	if (r < 0)
		return r;
	if (!o->latest)
		strv_add(&names, args->operands.items[0]);
	for (size_t i = first; i < args->operands.count; i++)
		strv_add(&columns, args->operands.items[i]);
	r = container_top(ctx->store_root, names.items[0], &columns, &text, e);
	return r < 0 ? r : out_flush(&text, e);
}

const struct verb verb_top = {
	.group = "Containers",
	.name = "top",
	.aliases = "container top",
	.usage = "[OPTIONS] CONTAINER [COLUMN...]",
	.summary = "show the processes of a container",
	.example = "  rl top web\n  rl top web pid,user,rss,args",
	.opts = top_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct top_opts),
	.run = top_run,
};
