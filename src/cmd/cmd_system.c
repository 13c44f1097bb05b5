/*
 * cmd_system.c - `rl system df`, `prune` and `reset`, and `rl unshare`.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "image_text.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/imgref.h"
#include "rl/svc/system.h"
#include "verbs_int.h"

/* ---- df ---- */

struct df_opts {
	bool verbose;
	char *format;
};

static const struct opt_def df_defs[] = {
	{"verbose", NULL, 'v', NULL, OPT_GENERIC(opt_set_bool, struct df_opts, verbose), 0, "Options",
	 "every image and container", 0, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct df_opts, format), OPT_ONCE, "Options",
	 "json, or a template such as '{{.Type}} {{.Size}}'", COMPLETE_CHOICES, "json table"},
	OPT_END,
};

static const struct out_column summary_columns[] = {
	{"Type", "TYPE", false},
	{"Total", "TOTAL", false},
	{"Active", "ACTIVE", false},
	{"Size", "SIZE", false},
	{"Reclaimable", "RECLAIMABLE", false},
	{"TotalCount", "TOTAL", true},
	{"RawSize", "BYTES", true},
	{"RawReclaimable", "RECLAIMABLE", true},
	OUT_COLUMN_END,
};

static const struct out_column image_columns[] = {
	{"Repository", "REPOSITORY", false},
	{"Tag", "TAG", false},
	{"ID", "IMAGE ID", false},
	{"CreatedSince", "CREATED", false},
	{"Size", "SIZE", false},
	{"SharedSize", "SHARED SIZE", false},
	{"UniqueSize", "UNIQUE SIZE", false},
	{"Containers", "CONTAINERS", false},
	OUT_COLUMN_END,
};

static const struct out_column volume_columns[] = {
	{"Name", "VOLUME NAME", false},
	{"InUse", "IN USE", false},
	{"Size", "SIZE", false},
	OUT_COLUMN_END,
};

static const struct out_column container_columns[] = {
	{"ID", "CONTAINER ID", false},
	{"Image", "IMAGE", false},
	{"Command", "COMMAND", false},
	{"Size", "SIZE", false},
	{"Status", "STATUS", false},
	{"Names", "NAMES", false},
	OUT_COLUMN_END,
};

/* Names and ids as `rl images` shows them. */
static void dress_images(json_t *rows, enum cmd_flavour flavour)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		struct image_text_name name;
		const char *created = json_str_or_null(row, "Created");
		autofree char *id = image_text_id(json_str_or_null(row, "ID"), false);
		autofree char *ago = image_text_ago(created ? created : "", time(NULL));
		image_text_name(json_str_or_null(row, "Name"), flavour, &name);
		json_put_str(row, "Repository", name.repository);
		json_put_str(row, "Tag", name.tag);
		json_put_str(row, "ID", id);
		json_put_str(row, "CreatedSince", ago);
		image_text_name_free(&name);
	}
}

static int add_section(const struct cmd_ctx *ctx, const char *title, const struct out_column *columns,
		       const json_t *rows, struct str *out, struct err *e)
{
	const struct out_style style = {.columns = columns, .flavour = ctx->flavour};
	str_addf(out, "\n%s:\n\n", title);
	return out_rows(&style, rows, out, e);
}

static int df_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct df_opts *o = opts;
	json_t *report = NULL;
	(void)args;
	int r = system_df(ctx->store_root, &report, e);
	if (r < 0)
		return r;
	autojson json_t *owned = report;
	autostr struct str out = STR_INIT;
	const struct out_style style = {.columns = summary_columns, .format = o->format, .flavour = ctx->flavour};
	dress_images(json_object_get(owned, "Images"), ctx->flavour);
	if (o->verbose && o->format && str_eq(o->format, "json")) {
		json_print(owned, true, &out);
		str_addc(&out, '\n');
		return out_flush(&out, e);
	}
	r = out_rows(&style, json_object_get(owned, "Summary"), &out, e);
	if (r >= 0 && o->verbose && !o->format)
		r = add_section(ctx, "Images space usage", image_columns, json_object_get(owned, "Images"), &out, e);
	if (r >= 0 && o->verbose && !o->format)
		r = add_section(ctx, "Containers space usage", container_columns, json_object_get(owned, "Containers"),
				&out, e);
	if (r >= 0 && o->verbose && !o->format)
		r = add_section(ctx, "Local Volumes space usage", volume_columns, json_object_get(owned, "Volumes"),
				&out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static void df_release(void *opts)
{
	free(((struct df_opts *)opts)->format);
}

const struct verb verb_system_df = {
	.name = "system df",
	.group = "System",
	.usage = "[OPTIONS]",
	.summary = "show what needs how much room",
	.example = "  rl system df -v",
	.opts = df_defs,
	.opts_size = sizeof(struct df_opts),
	.release = df_release,
	.run = df_run,
};

/* ---- prune ---- */

struct prune_opts {
	bool all, force, volumes;
	struct strv filters;
};

static const struct opt_def prune_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct prune_opts, all), 0, "Options",
	 "also images with a name that no container uses", 0, NULL},
	{"filter", NULL, 0, "NAME=VALUE", OPT_GENERIC(opt_set_list, struct prune_opts, filters), OPT_REPEAT, "Options",
	 "label=, label!=, until=", COMPLETE_CHOICES, "label= label!= until="},
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, struct prune_opts, force), 0, "Options", "do not ask", 0,
	 NULL},
	{"volumes", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct prune_opts, volumes), 0, "Options",
	 "also anonymous volumes that no container uses", 0, NULL},
	OPT_END,
};

static void print_pruned(const struct system_pruned *p, struct str *out)
{
	char size[FMT_SIZE];
	if (p->containers.count)
		str_adds(out, "Deleted Containers:\n");
	for (size_t i = 0; i < p->containers.count; i++)
		str_addf(out, "%s\n", p->containers.items[i]);
	if (p->networks.count)
		str_addf(out, "%sDeleted Networks:\n", out->len ? "\n" : "");
	for (size_t i = 0; i < p->networks.count; i++)
		str_addf(out, "%s\n", p->networks.items[i]);
	if (p->images.untagged.count || p->images.deleted.count)
		str_addf(out, "%sDeleted Images:\n", out->len ? "\n" : "");
	for (size_t i = 0; i < p->images.untagged.count; i++)
		str_addf(out, "untagged: %s\n", imgref_familiar(p->images.untagged.items[i]));
	for (size_t i = 0; i < p->images.deleted.count; i++)
		str_addf(out, "deleted: %s\n", p->images.deleted.items[i]);
	if (p->volumes.count)
		str_addf(out, "%sDeleted Volumes:\n", out->len ? "\n" : "");
	for (size_t i = 0; i < p->volumes.count; i++)
		str_addf(out, "%s\n", p->volumes.items[i]);
	fmt_size((uint64_t)p->bytes, size);
	str_addf(out, "%sTotal reclaimed space: %s\n", out->len ? "\n" : "", size);
}

static int prune_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct prune_opts *o = opts;
	struct system_pruned pruned = {.bytes = 0};
	(void)args;
	int r = out_confirm(
		"system prune",
		o->all ? "Remove all stopped containers, all networks without one, and all images without one?"
		       : "Remove all stopped containers, all networks without one, and all images without a name?",
		o->force, e);
	if (r <= 0)
		return r;
	r = system_prune(
		&(struct system_prune_opts){
			.root = ctx->store_root, .all = o->all, .volumes = o->volumes, .filters = o->filters},
		&pruned, e);
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	print_pruned(&pruned, &out);
	system_pruned_free(&pruned);
	return out_flush(&out, e);
}

static void prune_release(void *opts)
{
	strv_free(&((struct prune_opts *)opts)->filters);
}

const struct verb verb_system_prune = {
	.name = "system prune",
	.group = "System",
	.usage = "[OPTIONS]",
	.summary = "remove stopped containers, networks and images that nothing needs",
	.example = "  rl system prune -f",
	.opts = prune_defs,
	.opts_size = sizeof(struct prune_opts),
	.release = prune_release,
	.run = prune_run,
};

/* ---- reset ---- */

struct reset_opts {
	bool force;
};

static const struct opt_def reset_defs[] = {
	{"force", NULL, 'f', NULL, OPT_GENERIC(opt_set_bool, struct reset_opts, force), 0, "Options",
	 "do not ask, and end running containers", 0, NULL},
	OPT_END,
};

static int reset_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct reset_opts *o = opts;
	char *root = NULL;
	(void)args;
	int r = out_confirm("system reset", "Remove ALL images, containers and volumes?", o->force, e);
	if (r <= 0)
		return r;
	r = system_reset(ctx->store_root, o->force, &root, e);
	autofree char *owned = root;
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	if (owned)
		str_addf(&out, "removed: %s\n", owned);
	return out_flush(&out, e);
}

const struct verb verb_system_reset = {
	.name = "system reset",
	.group = "System",
	.usage = "[OPTIONS]",
	.summary = "remove the whole store",
	.example = "  rl system reset -f",
	.opts = reset_defs,
	.opts_size = sizeof(struct reset_opts),
	.run = reset_run,
};

/* ---- unshare ---- */

static const struct opt_def unshare_defs[] = {OPT_END};

static int unshare_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	return system_unshare(ctx->store_root, strv_argv(&args->operands), e);
}

const struct verb verb_unshare = {
	.name = "unshare",
	.group = "System",
	.usage = "[COMMAND [ARG...]]",
	.summary = "run a command as root of the user's namespace",
	.example = "  rl unshare ls -ln ~/.local/share/rl/layers",
	.opts = unshare_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.run = unshare_run,
};
