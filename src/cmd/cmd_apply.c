/*
 * cmd_apply.c - `rl apply` and `rl discard`: what became of a command that ran in a copy of this machine.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/cmd/out.h"
#include "rl/svc/host.h"
#include "verbs_int.h"

struct apply_opts {
	char *container, *format;
	bool dry_run, force, quiet;
};

static const struct opt_def apply_defs[] = {
	{"container", NULL, 'c', "CONTAINER", OPT_GENERIC(opt_set_string, struct apply_opts, container), OPT_ONCE,
	 "Options", "whose changes (default: the latest of `rl run host`)", 0, NULL},
	{"dry-run", NULL, 'n', NULL, OPT_GENERIC(opt_set_bool, struct apply_opts, dry_run), 0, "Options",
	 "say what would be done, and do nothing", 0, NULL},
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, struct apply_opts, force), 0, "Options",
	 "replace also what was changed here meanwhile", 0, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct apply_opts, format), OPT_ONCE, "Options",
	 "json", COMPLETE_CHOICES, "json"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct apply_opts, quiet), 0, "Options", "print no list",
	 0, NULL},
	OPT_END,
};

static int absolute_paths(const struct opt_args *args, struct strv *out, struct err *e)
{
	autofree char *cwd = getcwd(NULL, 0);
	for (size_t i = 0; i < args->operands.count; i++) {
		const char *path = args->operands.items[i];
		if (*path != '/' && !cwd)
			return err_sys(e, errno, "current directory");
		autofree char *joined = *path == '/' ? xstrdup(path) : path_join(cwd, path);
		strv_add_owned(out, path_clean(joined));
	}
	return 0;
}

/* What is done on standard output, what is not on standard error. */
static int print_rows(const json_t *rows, const struct apply_opts *o, size_t refused, struct err *e)
{
	autostr struct str out = STR_INIT;
	size_t i;
	json_t *row;
	json_array_foreach ((json_t *)(uintptr_t)rows, i, row) {
		const char *reason = json_str_or_null(row, "reason");
		if (*reason)
			fprintf(stderr, "%s: %s\n", json_str_or_null(row, "verdict"), reason);
		else if (!refused && !o->quiet && !o->format)
			str_addf(&out, "%s %s\n", json_str_or_null(row, "kind"), json_str_or_null(row, "path"));
	}
	if (o->format) {
		json_print(rows, true, &out);
		str_addc(&out, '\n');
	}
	return out_flush(&out, e);
}

static int apply_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct apply_opts *o = opts;
	autostrv struct strv paths = STRV_INIT;
	json_t *found = NULL;
	size_t refused = 0;
	if (o->format && !str_eq(o->format, "json"))
		return err_set(e, EINVAL, "apply: '%s' is no format: json", o->format);
	int r = absolute_paths(args, &paths, e);
	if (r == 0)
		r = host_apply(&(struct host_apply_opts){.root = ctx->store_root,
							 .container = o->container,
							 .paths = &paths,
							 .dry_run = o->dry_run,
							 .force = o->force},
			       &found, &refused, e);
	autojson json_t *rows = found;
	if (r < 0)
		return r;
	if (paths.count && !json_array_size(rows))
		return err_set(e, ENOENT, "apply: nothing was changed at or below %s", paths.items[0]);
	r = print_rows(rows, o, refused, e);
	if (r < 0 || !refused)
		return r;
	err_set(e, EBUSY, "apply: %zu of %zu changes cannot be made, so none was", refused, json_array_size(rows));
	return err_hint(e, "name the paths you want; --force replaces what was changed meanwhile");
}

static void apply_release(void *opts)
{
	struct apply_opts *o = opts;
	free(o->container);
	free(o->format);
}

const struct verb verb_apply = {
	.name = "apply",
	.group = "Containers",
	.usage = "[OPTIONS] [PATH...]",
	.summary = "take over what a container of `rl run host` changed",
	.example = "  rl run host make install PREFIX=~/.local\n"
		   "  rl diff && rl apply ~/.local",
	.opts = apply_defs,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_FILE,
	.opts_size = sizeof(struct apply_opts),
	.release = apply_release,
	.run = apply_run,
};

struct discard_opts {
	bool force;
};

static const struct opt_def discard_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, struct discard_opts, force), 0, "Options",
	 "also one that runs: it is ended first", 0, NULL},
	OPT_END,
};

static int discard_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct discard_opts *o = opts;
	return host_discard(ctx->store_root, &args->operands, o->force, e);
}

const struct verb verb_discard = {
	.name = "discard",
	.group = "Containers",
	.usage = "[OPTIONS] [CONTAINER...]",
	.summary = "throw away what a container of `rl run host` changed",
	.example = "  rl discard",
	.opts = discard_defs,
	.max_operands = OPERANDS_ANY,
	.opts_size = sizeof(struct discard_opts),
	.run = discard_run,
};
