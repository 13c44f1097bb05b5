/*
 * cmd_diff.c - `rl diff`: what a container changed in its image.
 */
#include <errno.h>

#include "diff_print.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "rl/svc/container_copy.h"
#include "rl/svc/host.h"
#include "verbs_int.h"

struct diff_opts {
	char *format;
	bool latest;
};

static const struct opt_def diff_defs[] = {
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct diff_opts, format), OPT_ONCE, "Options",
	 "json", COMPLETE_CHOICES, "json"},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, struct diff_opts, latest), 0, "Options",
	 "the container made last", 0, NULL},
	OPT_END,
};

void diff_print(const json_t *changes, struct str *out)
{
	size_t i;
	json_t *item;
	json_array_foreach ((json_t *)(uintptr_t)changes, i, item)
		str_addf(out, "%s %s\n", json_str_or_null(item, "kind"), json_str_or_null(item, "path"));
}

/* podman's document: one list per kind. */
void diff_print_json(const json_t *changes, struct str *out)
{
	static const struct {
		const char *kind, *member;
	} kinds[] = {{"C", "changed"}, {"A", "added"}, {"D", "deleted"}};
	autojson json_t *doc = json_object();
	size_t i;
	json_t *item;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		json_t *list = json_array();
		json_array_foreach ((json_t *)(uintptr_t)changes, i, item)
			if (str_eq(json_str_or_null(item, "kind"), kinds[k].kind))
				json_array_append(list, json_object_get(item, "path"));
		if (json_array_size(list))
			json_put(doc, kinds[k].member, list);
		else
			json_decref(list);
	}
	json_print(doc, true, out);
	str_addc(out, '\n');
}

int container_operand(const struct cmd_ctx *ctx, bool latest, const struct opt_args *args, struct strv *out,
		      struct err *e)
{
	const char *verb = ctx->verb->name;
	if (latest && args->operands.count)
		return err_set(e, EINVAL, "%s: a name and --latest exclude each other", verb);
	if (!latest && !args->operands.count) {
		err_set(e, EINVAL, "%s: the name of a container is missing", verb);
		return err_hint(e, "usage: rl %s %s", verb, ctx->verb->usage);
	}
	if (!latest) {
		strv_add(out, args->operands.items[0]);
		return 0;
	}
	return container_select(ctx->store_root, &(struct container_selection){.latest = true}, out, e);
}

static int diff_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct diff_opts *o = opts;
	autostrv struct strv names = STRV_INIT;
	autostr struct str out = STR_INIT;
	json_t *found = NULL;
	if (o->format && !str_eq(o->format, "json"))
		return err_set(e, EINVAL, "diff: '%s' is no format: json", o->format);
	/* Without a name: what the last `rl run host` did, if there is one. */
	autofree char *host = NULL;
	bool is_host = !o->latest && !args->operands.count && host_latest(ctx->store_root, &host, NULL) == 0;
	if (is_host)
		strv_add(&names, host);
	int r = is_host ? 0 : container_operand(ctx, o->latest, args, &names, e);
	if (r >= 0)
		r = container_diff(ctx->store_root, names.items[0], &found, e);
	autojson json_t *changes = found;
	if (r < 0)
		return r;
	if (o->format)
		diff_print_json(changes, &out);
	else
		diff_print(changes, &out);
	return out_flush(&out, e);
}

static void diff_release(void *opts)
{
	free(((struct diff_opts *)opts)->format);
}

const struct verb verb_diff = {
	.name = "diff",
	.aliases = "container diff",
	.group = "Containers",
	.usage = "[OPTIONS] [CONTAINER]",
	.summary = "list the files a container added, changed or deleted",
	.example = "  rl diff web",
	.opts = diff_defs,
	.max_operands = 1,
	.opts_size = sizeof(struct diff_opts),
	.release = diff_release,
	.run = diff_run,
};
