/*
 * cmd_help.c - `rl help [VERB]`.
 */
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct help_opts {
	bool all;
};

static const struct opt_def help_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct help_opts, all), 0, "Options",
	 "describe every option of a big verb", 0, NULL},
	OPT_END,
};

static int help_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)ctx;
	const struct help_opts *o = opts;
	autostr struct str out = STR_INIT;
	if (!args->operands.count) {
		verb_help_overview(&out);
		return out_flush(&out, e);
	}
	size_t used = 0;
	const struct verb *v = verb_find(args->operands.items, &used);
	if (!v && args->operands.count == 1 && verb_help_family(args->operands.items[0], &out))
		return out_flush(&out, e);
	if (!v)
		return verb_unknown(args->operands.items, e);
	verb_help(v, o->all, &out);
	return out_flush(&out, e);
}

const struct verb verb_help_cmd = {
	.name = "help",
	.group = "Other",
	.usage = "[OPTIONS] [VERB]",
	.summary = "describe a verb",
	.example = "  rl help run",
	.opts = help_defs,
	.max_operands = 2,
	.complete = COMPLETE_VERB,
	.opts_size = sizeof(struct help_opts),
	.run = help_run,
};
