/*
 * cmd_inspect.c - `rl inspect`: documents about images, of the store or (docker://) of a registry, where they stay.
 *
 * What was found is printed also when something else was not, as scripts that inspect several names expect.
 */
#include <errno.h>

#include "registry_opts.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/image.h"
#include "verbs_int.h"

struct inspect_opts {
	struct registry_cli registry;
	char *format;
	char *type;
	char *creds;
};

static const struct opt_def inspect_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, struct inspect_opts, format), 0, "Options",
	 "json, or a template such as '{{.Config.Env}}'", COMPLETE_CHOICES, "json"},
	{"type", NULL, 0, "TYPE", OPT_GENERIC(opt_set_string, struct inspect_opts, type), 0, "Options",
	 "only look for this kind of object (image)", COMPLETE_CHOICES, "image"},
	{"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct inspect_opts, creds), OPT_ONCE,
	 "Registry", "credentials, instead of those of rl login", 0, NULL},
	REGISTRY_OPT_ROWS(struct inspect_opts),
	OPT_END,
};

static int inspect_one(const struct cmd_ctx *ctx, const struct inspect_opts *o, const char *name, json_t **ret_doc,
		       struct err *e)
{
	struct image_registry registry;
	int r = registry_cli_get(&o->registry, o->creds, &registry, e);
	if (r < 0)
		return r;
	if (str_after(name, "docker://"))
		return image_inspect_remote(ctx->store_root, name, &registry, ret_doc, e);
	return image_inspect(ctx->store_root, name, ret_doc, e);
}

static int inspect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct inspect_opts *o = opts;
	if (o->type && !str_eq(o->type, "image") && !str_eq(o->type, "all"))
		return err_set(e, EINVAL, "inspect: --type '%s': only images can be inspected", o->type);
	autojson json_t *docs = json_array();
	int result = 0;
	for (size_t i = 0; i < args->operands.count; i++) {
		struct err one = ERR_INIT;
		json_t *doc = NULL;
		int r = inspect_one(ctx, o, args->operands.items[i], &doc, &one);
		if (r >= 0) {
			json_array_append_new(docs, doc);
			continue;
		}
		if (result < 0)
			err_print(&one);
		else
			*e = one;
		result = r;
	}
	autostr struct str out = STR_INIT;
	struct err late = ERR_INIT;
	int r = out_docs(docs, o->format, &out, &late);
	if (r >= 0)
		r = out_flush(&out, &late);
	if (result < 0)
		return result;
	if (r < 0)
		*e = late;
	return r;
}

static void inspect_release(void *opts)
{
	struct inspect_opts *o = opts;
	free(o->format);
	free(o->type);
	free(o->creds);
	registry_cli_free(&o->registry);
}

const struct verb verb_inspect = {
	.name = "inspect",
	.aliases = "image inspect",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE...",
	.summary = "print everything known about images, as JSON",
	.example = "  rl inspect -f '{{json .Config.Env}}' busybox\n"
		   "  rl inspect docker://quay.io/x/y:1",
	.opts = inspect_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct inspect_opts),
	.release = inspect_release,
	.run = inspect_run,
};
