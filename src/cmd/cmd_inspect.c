/*
 * cmd_inspect.c - `rl inspect`: documents about images.
 *
 * What was found is printed also when something else was not, as scripts that inspect several names expect.
 */
#include <errno.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/image.h"
#include "verbs_int.h"

struct inspect_opts {
	char *format;
	char *type;
};

static const struct opt_def inspect_defs[] = {
        {"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, struct inspect_opts, format), 0, "Options",
         "json, or a template such as '{{.Config.Env}}'", COMPLETE_CHOICES, "json"},
        {"type", NULL, 0, "TYPE", OPT_GENERIC(opt_set_string, struct inspect_opts, type), 0, "Options",
         "only look for this kind of object (image)", COMPLETE_CHOICES, "image"},
        OPT_END,
};

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
		int r = image_inspect(ctx->store_root, args->operands.items[i], &doc, &one);
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
}

const struct verb verb_inspect = {
        .name = "inspect",
        .aliases = "image inspect",
        .group = "Images",
        .usage = "[OPTIONS] IMAGE...",
        .summary = "print everything known about images, as JSON",
        .example = "  rl inspect -f '{{json .Config.Env}}' busybox",
        .opts = inspect_defs,
        .min_operands = 1,
        .max_operands = OPERANDS_ANY,
        .complete = COMPLETE_IMAGE,
        .opts_size = sizeof(struct inspect_opts),
        .release = inspect_release,
        .run = inspect_run,
};
