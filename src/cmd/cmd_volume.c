/*
 * cmd_volume.c - `rl volume create|ls|inspect|rm|prune|exists|export|import`.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/volume.h"
#include "verbs_int.h"

struct volume_opts {
	struct strv labels, options, filters;
	char *driver, *name, *format, *output;
	bool ignore, quiet, no_heading, all, force;
};

#define S struct volume_opts
static const char options[] = "Options";

static void volume_opts_release(void *opts)
{
	S *o = opts;
	strv_free(&o->labels);
	strv_free(&o->options);
	strv_free(&o->filters);
	free(o->driver);
	free(o->name);
	free(o->format);
	free(o->output);
}

#define VERB_COMMON .group = "Volumes", .opts_size = sizeof(S), .release = volume_opts_release

/* ---- create ---- */

static int set_pair(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!strchr(value, '=') || *value == '=')
		return err_set(e, EINVAL, "--%s '%s': NAME=VALUE is expected", def->name, value);
	return opt_set_list(def, target, value, e);
}

static int set_label(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!*value || *value == '=')
		return err_set(e, EINVAL, "--label '%s': NAME[=VALUE] is expected", value);
	if (strchr(value, '='))
		return opt_set_list(def, target, value, e);
	autofree char *pair = xasprintf("%s=", value);
	return opt_set_list(def, target, pair, e);
}

static int set_driver(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!str_eq(value, "local"))
		return err_set(e, EOPNOTSUPP,
			       "--driver '%s': volumes are directories of the store (local); there are "
			       "no other drivers",
			       value);
	return opt_set_string(def, target, value, e);
}

static const struct opt_def create_defs[] = {
	{"driver", NULL, 'd', "NAME", set_driver, offsetof(S, driver), 0, options, "local, which is the only one",
	 COMPLETE_CHOICES, "local"},
	{"label", NULL, 'l', "NAME[=VALUE]", set_label, offsetof(S, labels), OPT_REPEAT, options, "attach a label", 0,
	 NULL},
	{"opt", NULL, 'o', "NAME=VALUE", set_pair, offsetof(S, options), OPT_REPEAT, options,
	 "type=, device= and o= of docker's local driver: a tmpfs or a bind", COMPLETE_CHOICES,
	 "type=tmpfs type=none device= o=bind o=size="},
	{"name", NULL, 0, "NAME", OPT_GENERIC(opt_set_string, S, name), OPT_HIDDEN, options,
	 "the name, as older dockers wanted it", 0, NULL},
	{"ignore", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, ignore), 0, options,
	 "one that exists is no error, whatever its options", 0, NULL},
	{"availability", NULL, 0, NULL, NULL, 0, OPT_REFUSED, NULL, "it belongs to clusters", 0, NULL},
	{"group", NULL, 0, NULL, NULL, 0, OPT_REFUSED, NULL, "it belongs to clusters", 0, NULL},
	{"scope", NULL, 0, NULL, NULL, 0, OPT_REFUSED, NULL, "it belongs to clusters", 0, NULL},
	{"sharing", NULL, 0, NULL, NULL, 0, OPT_REFUSED, NULL, "it belongs to clusters", 0, NULL},
	OPT_END,
};

static int create_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	autostr struct str name = STR_INIT;
	if (o->name && args->operands.count)
		return err_set(e, EINVAL, "volume create: the name is given twice");
	const struct volume_create_opts c = {
		.name = args->operands.count ? args->operands.items[0] : o->name,
		.labels = &o->labels,
		.options = &o->options,
		.ignore = o->ignore,
	};
	int r = volume_create(ctx->store_root, &c, &name, e);
	if (r < 0)
		return r;
	str_addc(&name, '\n');
	return out_flush(&name, e);
}

const struct verb verb_volume_create = {
	VERB_COMMON,
	.name = "volume create",
	.usage = "[OPTIONS] [VOLUME]",
	.summary = "make a volume",
	.example = "  rl volume create data\n"
		   "  rl volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch",
	.opts = create_defs,
	.max_operands = 1,
	.run = create_run,
};

/* ---- ls ---- */

static const struct opt_def ls_defs[] = {
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "name=, label=, dangling=, anonymous=, driver=, opt=, since=, until=", COMPLETE_CHOICES,
	 "name= label= dangling=true anonymous= driver= opt= since= until="},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Name}} {{.Mountpoint}}'", COMPLETE_CHOICES, "json table"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, S, quiet), 0, options, "print names only", 0, NULL},
	{"noheading", NULL, 'n', NULL, OPT_GENERIC(opt_set_bool, S, no_heading), 0, options, "no line of headings", 0,
	 NULL},
	OPT_END,
};

static const struct out_column ls_columns[] = {
	{"Driver", "DRIVER", false},	{"Name", "VOLUME NAME", false},	  {"Mountpoint", "MOUNTPOINT", true},
	{"Scope", "SCOPE", true},	{"Labels", "LABELS", true},	  {"Options", "OPTIONS", true},
	{"CreatedAt", "CREATED", true}, {"Anonymous", "ANONYMOUS", true}, OUT_COLUMN_END,
};

static int ls_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	json_t *rows = NULL;
	(void)args;
	int r = volume_rows(ctx->store_root, &o->filters, &rows, e);
	autojson json_t *owned = rows;
	if (r < 0)
		return r;
	const struct out_style style = {
		.columns = ls_columns,
		.format = o->quiet ? "{{.Name}}" : o->format,
		.no_heading = o->no_heading,
		.flavour = ctx->flavour,
	};
	autostr struct str out = STR_INIT;
	r = out_rows(&style, owned, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

const struct verb verb_volume_ls = {
	VERB_COMMON,
	.name = "volume ls",
	.aliases = "volume list",
	.usage = "[OPTIONS]",
	.summary = "list volumes",
	.example = "  rl volume ls --filter dangling=true",
	.opts = ls_defs,
	.run = ls_run,
};

/* ---- inspect ---- */

static const struct opt_def inspect_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Mountpoint}}'", COMPLETE_CHOICES, "json"},
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "every volume", 0, NULL},
	OPT_END,
};

static int all_names(const struct cmd_ctx *ctx, struct strv *names, struct err *e)
{
	json_t *rows = NULL;
	size_t i;
	json_t *row;
	const struct strv none = STRV_INIT;
	int r = volume_rows(ctx->store_root, &none, &rows, e);
	autojson json_t *owned = rows;
	json_array_foreach (owned, i, row)
		strv_add(names, json_str_or_null(row, "Name"));
	return r;
}

static int inspect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	autojson json_t *docs = json_array();
	autostrv struct strv names = STRV_INIT;
	struct err kept = ERR_INIT;
	strv_add_all(&names, &args->operands);
	if (o->all && names.count)
		return err_set(e, EINVAL, "volume inspect: names and --all exclude each other");
	int r = o->all ? all_names(ctx, &names, e) : 0;
	if (r < 0)
		return r;
	if (!o->all && !names.count)
		return err_set(e, EINVAL, "volume inspect: the name of a volume is missing");
	for (size_t i = 0; i < names.count; i++) {
		json_t *doc = NULL;
		struct err why = ERR_INIT;
		if (volume_inspect(ctx->store_root, names.items[i], &doc, &why) == 0) {
			json_array_append_new(docs, doc);
			continue;
		}
		if (kept.code)
			err_print(&kept);
		kept = why;
	}
	autostr struct str out = STR_INIT;
	r = out_docs(docs, o->format, &out, e);
	if (r == 0)
		r = out_flush(&out, e);
	if (!kept.code)
		return r;
	*e = kept;
	return -kept.code;
}

const struct verb verb_volume_inspect = {
	VERB_COMMON,
	.name = "volume inspect",
	.usage = "[OPTIONS] VOLUME...",
	.summary = "print everything known about volumes",
	.example = "  rl volume inspect -f '{{.Mountpoint}}' data",
	.opts = inspect_defs,
	.max_operands = OPERANDS_ANY,
	.run = inspect_run,
};

/* ---- rm, prune, exists ---- */

static const struct opt_def rm_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "every volume that no container uses",
	 0, NULL},
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options,
	 "a volume that does not exist is no error", 0, NULL},
	OPT_END,
};

static int rm_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	(void)arg;
	return volume_remove(ctx->store_root, name, e);
}

static int print_removed(const struct strv *removed, struct err *e)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < removed->count; i++)
		str_addf(&out, "%s\n", removed->items[i]);
	return out_flush(&out, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	if (o->all && args->operands.count)
		return err_set(e, EINVAL, "volume rm: names and --all exclude each other");
	if (o->all) {
		const struct strv none = STRV_INIT;
		autostrv struct strv removed = STRV_INIT;
		uint64_t bytes;
		int r = volume_prune(ctx->store_root, true, &none, &removed, &bytes, e);
		int printed = print_removed(&removed, r < 0 ? NULL : e);
		return r < 0 ? r : printed;
	}
	if (!args->operands.count)
		return err_set(e, EINVAL, "volume rm: the name of a volume is missing");
	return container_verb_each(ctx, &args->operands, o->force, false, rm_one, NULL, e);
}

const struct verb verb_volume_rm = {
	VERB_COMMON,
	.name = "volume rm",
	.aliases = "volume remove",
	.usage = "[OPTIONS] VOLUME...",
	.summary = "remove volumes and what is in them",
	.example = "  rl volume rm data",
	.opts = rm_defs,
	.max_operands = OPERANDS_ANY,
	.run = rm_run,
};

static const struct opt_def prune_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "also those that have a name", 0, NULL},
	{"filter", NULL, 0, "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "label=, label!=, until=, as in volume ls", 0, NULL},
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, S, force), 0, options, "do not ask", 0, NULL},
	OPT_END,
};

static int prune_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	autostrv struct strv removed = STRV_INIT;
	uint64_t bytes = 0;
	char size[FMT_SIZE];
	(void)args;
	int r = out_confirm("volume prune",
			    o->all ? "Remove all volumes that no container uses?"
				   : "Remove all nameless volumes that no container uses?",
			    o->force, e);
	if (r <= 0)
		return r;
	r = volume_prune(ctx->store_root, o->all || ctx->flavour == CMD_PODMAN, &o->filters, &removed, &bytes, e);
	int printed = print_removed(&removed, r < 0 ? NULL : e);
	if (r < 0 || printed < 0)
		return r < 0 ? r : printed;
	fmt_size(bytes, size);
	autostr struct str out = STR_INIT;
	str_addf(&out, "Total reclaimed space: %s\n", size);
	return out_flush(&out, e);
}

const struct verb verb_volume_prune = {
	VERB_COMMON,
	.name = "volume prune",
	.usage = "[OPTIONS]",
	.summary = "remove volumes that no container uses",
	.example = "  rl volume prune -af",
	.opts = prune_defs,
	.run = prune_run,
};

static const struct opt_def exists_defs[] = {OPT_END};

static int exists_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = volume_exists(ctx->store_root, args->operands.items[0], e);
	return r < 0 ? r : !r;
}

const struct verb verb_volume_exists = {
	.group = "Volumes",
	.name = "volume exists",
	.usage = "VOLUME",
	.summary = "succeed if the volume is there",
	.example = "  rl volume exists data || rl volume create data",
	.opts = exists_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = exists_run,
};

/* ---- archives ---- */

static const struct opt_def export_defs[] = {
	{"output", NULL, 'o', "FILE", OPT_GENERIC(opt_set_string, S, output), OPT_ONCE, options,
	 "write the archive to FILE, not to standard output", COMPLETE_FILE, NULL},
	OPT_END,
};

static int export_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	return volume_export(ctx->store_root, args->operands.items[0], o->output, e);
}

const struct verb verb_volume_export = {
	VERB_COMMON,
	.name = "volume export",
	.usage = "[OPTIONS] VOLUME",
	.summary = "write what is in a volume as a tar archive",
	.example = "  rl volume export data | gzip >data.tar.gz",
	.opts = export_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = export_run,
};

static const struct opt_def import_defs[] = {OPT_END};

static int import_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	const char *file = args->operands.count > 1 ? args->operands.items[1] : "-";
	return volume_import(ctx->store_root, args->operands.items[0], file, e);
}

const struct verb verb_volume_import = {
	.group = "Volumes",
	.name = "volume import",
	.usage = "VOLUME [FILE]",
	.summary = "put the content of a tar archive into a volume",
	.example = "  rl volume import data data.tar.gz",
	.opts = import_defs,
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_FILE,
	.run = import_run,
};
