/*
 * cmd_snapshot.c - `rl snapshot create|ls|diff|rollback|branch|merge|rm`.
 */
#include <errno.h>
#include <time.h>

#include "diff_print.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "rl/svc/snapshot.h"
#include "verbs_int.h"

struct snapshot_opts {
	char *comment, *format;
	bool allow_unfrozen, quiet, no_start;
};

#define S struct snapshot_opts
static const char options[] = "Options";

static void snapshot_release(void *opts)
{
	S *o = opts;
	free(o->comment);
	free(o->format);
}

#define VERB_COMMON .group = "Snapshots", .opts_size = sizeof(S), .release = snapshot_release

static int say(const char *line, struct err *e)
{
	autostr struct str out = STR_INIT;
	str_addf(&out, "%s\n", line);
	return out_flush(&out, e);
}

/* ---- create ---- */

static const struct opt_def create_defs[] = {
	{"message", NULL, 'm', "TEXT", OPT_GENERIC(opt_set_string, S, comment), OPT_ONCE, options,
	 "what it is for, shown in the list", 0, NULL},
	{"allow-unfrozen", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, allow_unfrozen), 0, options,
	 "of a running container also where its processes can be stopped one by one only", 0, NULL},
	OPT_END,
};

static int create_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	autostr struct str name = STR_INIT;
	const struct snapshot_create_opts c = {
		.root = ctx->store_root,
		.container = args->operands.items[0],
		.name = args->operands.count > 1 ? args->operands.items[1] : NULL,
		.comment = o->comment,
		.allow_unfrozen = o->allow_unfrozen,
	};
	int r = snapshot_create(&c, &name, e);
	return r < 0 ? r : say(name.buf, e);
}

const struct verb verb_snapshot_create = {
	VERB_COMMON,
	.name = "snapshot create",
	.usage = "[OPTIONS] CONTAINER [NAME]",
	.summary = "freeze a container's files as they are now, under a name",
	.example = "  rl snapshot create -m 'before the upgrade' web before",
	.opts = create_defs,
	.min_operands = 1,
	.max_operands = 2,
	.run = create_run,
};

/* ---- ls ---- */

static const struct opt_def ls_defs[] = {
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), OPT_ONCE, options,
	 "json, or a Go template", 0, NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, S, quiet), 0, options, "names only", 0, NULL},
	OPT_END,
};

static const struct out_column ls_columns[] = {
	{"Name", "NAME", false},
	{"CreatedAt", "CREATED", false},
	{"Parent", "PARENT", false},
	{"Branched", "BRANCHES", false},
	{"Comment", "COMMENT", false},
	{"ID", "SNAPSHOT ID", true},
	{"Created", "CREATED", true},
	{"Current", "CURRENT", true},
	{"Branches", "BRANCHES", true},
	OUT_COLUMN_END,
};

/* What people read beside what programs read. */
static void add_texts(json_t *rows)
{
	size_t i;
	size_t k;
	json_t *row;
	json_t *branch;
	json_array_foreach (rows, i, row) {
		time_t at = (time_t)(json_int_or(row, "Created", 0) / 1000000000);
		struct tm tm;
		char text[40] = "";
		if (localtime_r(&at, &tm))
			strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
		autostr struct str names = STR_INIT;
		json_array_foreach (json_object_get(row, "Branches"), k, branch)
			str_addf(&names, "%s%s", names.len ? "," : "", json_string_value(branch));
		json_put_str(row, "CreatedAt", text);
		json_put_str(row, "Branched", names.buf);
	}
}

static int ls_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	json_t *found = NULL;
	autostr struct str out = STR_INIT;
	int r = snapshot_list(ctx->store_root, args->operands.items[0], &found, e);
	autojson json_t *rows = found;
	if (r < 0)
		return r;
	add_texts(rows);
	const struct out_style style = {.columns = ls_columns,
					.format = o->quiet ? "{{.Name}}" : o->format,
					.flavour = ctx->flavour};
	r = out_rows(&style, rows, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

const struct verb verb_snapshot_ls = {
	VERB_COMMON,
	.name = "snapshot ls",
	.aliases = "snapshot list",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "list the snapshots of a container",
	.example = "  rl snapshot ls web",
	.opts = ls_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = ls_run,
};

/* ---- diff ---- */

static const struct opt_def diff_defs[] = {
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), OPT_ONCE, options, "json",
	 COMPLETE_CHOICES, "json"},
	OPT_END,
};

static int diff_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	json_t *found = NULL;
	autostr struct str out = STR_INIT;
	if (o->format && !str_eq(o->format, "json"))
		return err_set(e, EINVAL, "snapshot diff: '%s' is no format: json", o->format);
	int r = snapshot_diff(ctx->store_root, args->operands.items[0], args->operands.items[1], &found, e);
	autojson json_t *changes = found;
	if (r < 0)
		return r;
	if (o->format)
		diff_print_json(changes, &out);
	else
		diff_print(changes, &out);
	return out_flush(&out, e);
}

const struct verb verb_snapshot_diff = {
	VERB_COMMON,
	.name = "snapshot diff",
	.usage = "[OPTIONS] CONTAINER NAME",
	.summary = "list what a container changed since a snapshot",
	.example = "  rl snapshot diff web before",
	.opts = diff_defs,
	.min_operands = 2,
	.max_operands = 2,
	.run = diff_run,
};

/* ---- rollback, merge, rm ---- */

static const struct opt_def no_defs[] = {
	OPT_END,
};

static int change(const struct cmd_ctx *ctx, const struct opt_args *args,
		  int (*fn)(const char *root, const char *container, const char *name, struct err *e), struct err *e)
{
	const char *name = args->operands.items[1];
	int r = fn(ctx->store_root, args->operands.items[0], name, e);
	return r < 0 ? r : say(name, e);
}

static int rollback_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return change(ctx, args, snapshot_rollback, e);
}

static int merge_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return change(ctx, args, snapshot_merge, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	for (size_t i = 1; i < args->operands.count; i++) {
		int r = snapshot_remove(ctx->store_root, args->operands.items[0], args->operands.items[i], e);
		if (r >= 0)
			r = say(args->operands.items[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

const struct verb verb_snapshot_rollback = {
	VERB_COMMON,
	.name = "snapshot rollback",
	.usage = "CONTAINER NAME",
	.summary = "give a container the files of a snapshot; what it wrote since is lost",
	.example = "  rl stop web && rl snapshot rollback web before && rl start web",
	.opts = no_defs,
	.min_operands = 2,
	.max_operands = 2,
	.run = rollback_run,
};

const struct verb verb_snapshot_merge = {
	VERB_COMMON,
	.name = "snapshot merge",
	.usage = "CONTAINER NAME",
	.summary = "fold a snapshot into the one it stands on",
	.example = "  rl snapshot merge web after",
	.opts = no_defs,
	.min_operands = 2,
	.max_operands = 2,
	.run = merge_run,
};

const struct verb verb_snapshot_rm = {
	VERB_COMMON,
	.name = "snapshot rm",
	.usage = "CONTAINER NAME...",
	.summary = "remove snapshots",
	.example = "  rl snapshot rm web before",
	.opts = no_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.run = rm_run,
};

/* ---- branch ---- */

static const struct opt_def branch_defs[] = {
	{"no-start", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, no_start), 0, options, "make it, but do not start it", 0,
	 NULL},
	OPT_END,
};

static int branch_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	const struct strv *a = &args->operands;
	autostr struct str id = STR_INIT;
	int status = 0;
	int r = snapshot_branch(ctx->store_root, a->items[0], a->items[1], a->count > 2 ? a->items[2] : NULL, &id, e);
	if (r < 0)
		return r;
	r = say(id.buf, e);
	if (r < 0 || o->no_start)
		return r;
	r = container_start(ctx->store_root, id.buf, &(struct container_attach_opts){.attach = false}, &status, e);
	return r < 0 ? err_ctx(e, "the new container cannot be started") : 0;
}

const struct verb verb_snapshot_branch = {
	VERB_COMMON,
	.name = "snapshot branch",
	.usage = "[OPTIONS] CONTAINER NAME [NEW-CONTAINER]",
	.summary = "start a new container on the files of a snapshot, sharing all of them",
	.example = "  rl snapshot branch web before web-test",
	.opts = branch_defs,
	.starts_containers = true,
	.min_operands = 2,
	.max_operands = 3,
	.run = branch_run,
};
