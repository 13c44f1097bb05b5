/*
 * cmd_inspect.c - `rl inspect`: documents about containers and images, and (docker://) about a registry's images.
 *
 * What was found is printed also when something else was not, as scripts that inspect several names expect.
 */
#include <errno.h>

#include "registry_opts.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "rl/svc/image.h"
#include "verbs_int.h"

struct inspect_opts {
	struct registry_cli registry;
	char *format;
	char *type;
	char *creds;
	bool size, latest;
};

static const struct opt_def inspect_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, struct inspect_opts, format), 0, "Options",
	 "json, or a template such as '{{.Config.Env}}'", COMPLETE_CHOICES, "json"},
	{"type", NULL, 0, "TYPE", OPT_GENERIC(opt_set_string, struct inspect_opts, type), 0, "Options",
	 "only look for this kind of object: container or image", COMPLETE_CHOICES, "container image"},
	{"size", NULL, 's', NULL, OPT_GENERIC(opt_set_bool, struct inspect_opts, size), 0, "Options",
	 "with the size of what a container has written", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, struct inspect_opts, latest), 0, "Options",
	 "the container made last", 0, NULL},
	{"creds", NULL, 0, "USER[:PASSWORD]", OPT_GENERIC(opt_set_string, struct inspect_opts, creds), OPT_ONCE,
	 "Registry", "credentials, instead of those of rl login", 0, NULL},
	REGISTRY_OPT_ROWS(struct inspect_opts),
	OPT_END,
};

static int inspect_remote(const struct cmd_ctx *ctx, const struct inspect_opts *o, const char *name, json_t **ret_doc,
			  struct err *e)
{
	const struct image_registry registry = registry_cli_get(&o->registry, o->creds);
	return image_inspect_remote(ctx->store_root, name, &registry, ret_doc, e);
}

/* A container of that name, else an image, as docker looks. */
static int inspect_one(const struct cmd_ctx *ctx, const struct inspect_opts *o, const char *name, json_t **ret_doc,
		       struct err *e)
{
	bool any = !o->type || str_eq(o->type, "all");
	struct err why = ERR_INIT;
	int r = -ENOENT;
	if (str_after(name, "docker://"))
		return inspect_remote(ctx, o, name, ret_doc, e);
	if (any || str_eq(o->type, "container"))
		r = container_inspect(ctx->store_root, name, o->size, ret_doc, &why);
	if (r == -ENOENT && (any || str_eq(o->type, "image"))) {
		err_clear(&why);
		r = image_inspect(ctx->store_root, name, ret_doc, &why);
		if (r == -ENOENT && any) {
			err_set(&why, ENOENT, "there is no container and no image '%s'", name);
			err_hint(&why,
				 "rl ps -a and rl images list what is here; docker://NAME is an image of a registry");
		}
	}
	if (r < 0)
		*e = why;
	return r;
}

static int inspect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct inspect_opts *o = opts;
	if (o->type && !str_eq(o->type, "image") && !str_eq(o->type, "all") && !str_eq(o->type, "container"))
		return err_set(e, EINVAL, "inspect: --type '%s': container or image is expected", o->type);
	autostrv struct strv names = STRV_INIT;
	strv_add_all(&names, &args->operands);
	if (o->latest) {
		const struct container_selection sel = {.latest = true};
		if (container_select(ctx->store_root, &sel, &names, e) < 0)
			return -e->code;
	}
	if (!names.count)
		return err_set(e, EINVAL, "inspect: the name of a container or image is missing");
	autojson json_t *docs = json_array();
	int result = 0;
	for (size_t i = 0; i < names.count; i++) {
		struct err one = ERR_INIT;
		json_t *doc = NULL;
		int r = inspect_one(ctx, o, names.items[i], &doc, &one);
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
	.aliases = "image inspect,container inspect",
	.group = "Containers",
	.usage = "[OPTIONS] NAME...",
	.summary = "print everything known about containers and images",
	.example = "  rl inspect -f '{{json .Config.Env}}' busybox\n"
		   "  rl inspect docker://quay.io/x/y:1",
	.opts = inspect_defs,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct inspect_opts),
	.release = inspect_release,
	.run = inspect_run,
};
