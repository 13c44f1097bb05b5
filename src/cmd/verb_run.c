/*
 * verb_run.c - one verb, from its words to its exit status.
 */
#include <errno.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/cmd/verb.h"

static int check_operands(const struct verb *v, const struct opt_args *args, struct err *e)
{
	size_t n = args->operands.count;
	if (n >= v->min_operands && n <= v->max_operands)
		return 0;
	if (n > v->max_operands)
		err_set(e, EINVAL, "%s: '%s' is one argument too many", v->name, args->operands.items[v->max_operands]);
	else
		err_set(e, EINVAL, "%s: %s", v->name, n ? "an argument is missing" : "the argument is missing");
	autostr struct str usage = STR_INIT;
	verb_usage(v, &usage);
	return err_hint(e, "usage: %s", usage.buf);
}

int verb_run_parsed(const struct cmd_ctx *ctx, char *const *argv, struct err *e)
{
	const struct verb *v = ctx->verb;
	/* Freed by hand, since `release` has to run before it. */
	void *opts = xcalloc(1, RL_MAX(v->opts_size, (size_t)1));
	struct opt_args args = OPT_ARGS_INIT;
	if (v->init)
		v->init(opts);
	int r = opt_parse(v->opts, v->parse_flags, argv, opts, &args, e);
	if (r >= 0 && args.help) {
		autostr struct str out = STR_INIT;
		verb_help(v, false, &out);
		r = out_flush(&out, e);
	} else {
		if (r >= 0 && v->rules)
			r = opt_check_rules(v->opts, v->rules, &args, e);
		if (r >= 0)
			r = check_operands(v, &args, e);
		if (r >= 0)
			r = v->run(ctx, opts, &args, e);
	}
	if (v->release)
		v->release(opts);
	opt_args_free(&args);
	free(opts);
	return r;
}
