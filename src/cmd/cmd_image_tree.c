/*
 * cmd_image_tree.c - `rl image tree`: the layers of an image.
 */
#include "image_text.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/imgref.h"
#include "rl/svc/image_tree.h"
#include "verbs_int.h"

struct tree_opts {
	bool no_trunc;
};

static const struct opt_def tree_defs[] = {
	{"no-trunc", "notruncate", 0, NULL, OPT_GENERIC(opt_set_bool, struct tree_opts, no_trunc), 0, "Options",
	 "print whole ids", 0, NULL},
	OPT_END,
};

static void add_names(const json_t *names, struct str *out)
{
	str_addc(out, '[');
	for (size_t i = 0; i < json_array_size(names); i++)
		str_addf(out, "%s%s", i ? " " : "", imgref_familiar(json_string_value(json_array_get(names, i))));
	str_addc(out, ']');
}

static void print_size(int64_t bytes, struct str *out)
{
	char text[FMT_SIZE];
	fmt_size(bytes > 0 ? (uint64_t)bytes : 0, text);
	str_adds(out, text);
}

static void print_tree(const json_t *doc, bool whole, struct str *out)
{
	const json_t *layers = json_object_get(doc, "Layers");
	autofree char *id = image_text_id(json_str_or_null(doc, "ID"), whole);
	str_addf(out, "Image ID: %s\nTags:     ", id);
	add_names(json_object_get(doc, "Tags"), out);
	str_adds(out, "\nSize:     ");
	print_size(json_int_or(doc, "Size", 0), out);
	str_adds(out, "\nImage Layers\n");
	for (size_t i = 0; i < json_array_size(layers); i++) {
		const json_t *layer = json_array_get(layers, i);
		const json_t *top = json_object_get(layer, "TopLayerOf");
		autofree char *layer_id = image_text_id(json_str_or_null(layer, "ID"), whole);
		str_addf(out, "%s ID: %s Size: ", i + 1 < json_array_size(layers) ? "├──" : "└──", layer_id);
		print_size(json_int_or(layer, "Size", 0), out);
		if (json_array_size(top)) {
			str_adds(out, " Top Layer of: ");
			add_names(top, out);
		}
		str_addc(out, '\n');
	}
}

static int tree_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct tree_opts *o = opts;
	json_t *doc = NULL;
	autostr struct str out = STR_INIT;
	int r = image_tree(ctx->store_root, args->operands.items[0], &doc, e);
	autojson json_t *owned = doc;
	if (r < 0)
		return r;
	print_tree(owned, o->no_trunc, &out);
	return out_flush(&out, e);
}

const struct verb verb_image_tree = {
	.name = "image tree",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE",
	.summary = "show the layers of an image",
	.example = "  rl image tree busybox",
	.opts = tree_defs,
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct tree_opts),
	.run = tree_run,
};
