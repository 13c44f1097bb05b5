/*
 * cmd_load.c - `rl load`: images out of an archive or an OCI layout.
 */
#include <errno.h>
#include <unistd.h>

#include "image_progress.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/imgref.h"
#include "verbs_int.h"

struct load_opts {
	char *input;
	bool quiet;
};

static const struct opt_def load_defs[] = {
	{"input", NULL, 'i', "FILE", OPT_GENERIC(opt_set_string, struct load_opts, input), OPT_ONCE, "Options",
	 "archive or OCI layout directory (default: standard input)", COMPLETE_FILE, NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct load_opts, quiet), 0, "Options", "show no progress",
	 0, NULL},
	OPT_END,
};

static int load_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct load_opts *o = opts;
	if (o->input && args->operands.count)
		return err_set(e, EINVAL, "load: -i %s and '%s': give one of them", o->input, args->operands.items[0]);
	const char *source = o->input ? o->input : args->operands.count ? args->operands.items[0] : "-";
	if (str_eq(source, "-") && isatty(STDIN_FILENO)) {
		err_set(e, EINVAL, "load: standard input is a terminal");
		return err_hint(e, "usage: rl load -i FILE, or rl load <FILE");
	}
	struct image_progress_line line;
	struct image_ui ui;
	struct image_list list = {.items = NULL};
	image_progress_begin(&line, o->quiet, &ui);
	int r = image_load(ctx->store_root, source, false, &ui, &list, e);
	image_progress_end(&line);
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < list.count; i++) {
		const char *name = list.items[i].name;
		if (*name)
			str_addf(&out, "Loaded image: %s\n", ctx->flavour == CMD_PODMAN ? name : imgref_familiar(name));
		else
			str_addf(&out, "Loaded image ID: %s\n", list.items[i].id);
	}
	image_list_free(&list);
	return out_flush(&out, e);
}

static void load_release(void *opts)
{
	free(((struct load_opts *)opts)->input);
}

const struct verb verb_load = {
	.name = "load",
	.aliases = "image load",
	.group = "Images",
	.usage = "[OPTIONS] [FILE]",
	.summary = "take images from an archive (docker-archive, OCI archive) or an OCI layout",
	.example = "  rl load -i image.tar",
	.opts = load_defs,
	.max_operands = 1,
	.complete = COMPLETE_FILE,
	.opts_size = sizeof(struct load_opts),
	.release = load_release,
	.run = load_run,
};
