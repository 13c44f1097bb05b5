/*
 * cmd_search.c - `rl search --list-tags`: the tags of a repository.
 *
 * Searching by words is refused: the registries of today have no interface for it (OCI distribution), and docker.io's
 * is none of a registry.
 */
#include <errno.h>

#include "registry_opts.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct search_opts {
	struct registry_cli registry;
	char *creds, *format;
	unsigned limit;
	bool list_tags, no_heading;
};

static const struct opt_def search_defs[] = {
	{"list-tags", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct search_opts, list_tags), 0, "Options",
	 "the tags of the repository; this is the only kind of search there is", 0, NULL},
	{"limit", NULL, 0, "N", OPT_GENERIC(opt_set_uint, struct search_opts, limit), OPT_ONCE, "Options",
	 "at most so many tags (0, the default: all)", 0, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct search_opts, format), OPT_ONCE, "Options",
	 "json, or a template such as '{{.Tag}}'", COMPLETE_CHOICES, "json table"},
	{"noheading", "no-heading", 0, NULL, OPT_GENERIC(opt_set_bool, struct search_opts, no_heading), 0, "Options",
	 "no heading above the table", 0, NULL},
	{"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct search_opts, creds), OPT_ONCE,
	 "Registry", "credentials, instead of those of rl login", 0, NULL},
	REGISTRY_OPT_ROWS(struct search_opts),
	OPT_END,
};

static const struct out_column columns[] = {{"Name", "NAME", false}, {"Tag", "TAG", false}, OUT_COLUMN_END};

static int search_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct search_opts *o = opts;
	const struct image_registry registry = registry_cli_get(&o->registry, o->creds);
	autofree char *name = NULL;
	autostrv struct strv tags = STRV_INIT;
	if (!o->list_tags) {
		err_set(e, EOPNOTSUPP, "search: registries cannot be searched by words");
		return err_hint(e, "rl search --list-tags REPOSITORY lists the tags of a repository");
	}
	int r = image_remote_tags(ctx->store_root, args->operands.items[0], &registry, &name, &tags, e);
	if (r < 0)
		return r;
	autojson json_t *rows = json_array();
	for (size_t i = 0; i < tags.count && (!o->limit || i < o->limit); i++) {
		json_t *row = json_object();
		json_put_str(row, "Name", name);
		json_put_str(row, "Tag", tags.items[i]);
		json_array_append_new(rows, row);
	}
	const struct out_style style = {
		.columns = columns, .format = o->format, .no_heading = o->no_heading, .flavour = ctx->flavour};
	autostr struct str out = STR_INIT;
	r = out_rows(&style, rows, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static void search_release(void *opts)
{
	struct search_opts *o = opts;
	registry_cli_free(&o->registry);
	free(o->creds);
	free(o->format);
}

const struct verb verb_search = {
	.name = "search",
	.aliases = "image search",
	.group = "Images",
	.usage = "--list-tags [OPTIONS] REPOSITORY",
	.summary = "list the tags of a repository of a registry",
	.example = "  rl search --list-tags quay.io/team/app",
	.opts = search_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct search_opts),
	.release = search_release,
	.run = search_run,
};
