/*
 * cmd_import.c - `rl import`: a root file system archive becomes an image.
 */
#include <errno.h>
#include <unistd.h>

#include "image_progress.h"
#include "registry_opts.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct import_opts {
	struct strv changes;
	char *message;
	struct registry_cli registry;
	bool quiet;
};

static const struct opt_def import_defs[] = {
	{"change", NULL, 'c', "INSTRUCTION", OPT_GENERIC(opt_set_list, struct import_opts, changes), OPT_REPEAT,
	 "Options", "apply an instruction such as 'ENV A=b' or 'WORKDIR /x'", 0, NULL},
	{"message", NULL, 'm', "TEXT", OPT_GENERIC(opt_set_string, struct import_opts, message), 0, "Options",
	 "comment for the image's history", 0, NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct import_opts, quiet), 0, "Options",
	 "show no progress", 0, NULL},
	SERVER_OPT_ROWS(struct import_opts),
	OPT_END,
};

static int import_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct import_opts *o = opts;
	const char *source = args->operands.items[0];
	if (str_eq(source, "-") && isatty(STDIN_FILENO))
		return err_set(e, EINVAL, "import: standard input is a terminal; give a file or a pipe");
	const struct image_import_opts import = {
		.root = ctx->store_root,
		.source = source,
		.name = args->operands.count > 1 ? args->operands.items[1] : NULL,
		.message = o->message,
		.changes = o->changes,
		.registry = registry_cli_get(&o->registry, NULL),
	};
	struct image_progress_line line;
	struct image_ui ui;
	image_progress_begin(&line, o->quiet, &ui);
	struct image_added added;
	int r = image_import(&import, &ui, &added, e);
	image_progress_end(&line);
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	str_addf(&out, "%s\n", added.id);
	return out_flush(&out, e);
}

static void import_release(void *opts)
{
	struct import_opts *o = opts;
	strv_free(&o->changes);
	free(o->message);
	registry_cli_free(&o->registry);
}

const struct verb verb_import = {
	.name = "import",
	.aliases = "image import",
	.group = "Images",
	.usage = "[OPTIONS] FILE|URL|- [NAME[:TAG]]",
	.summary = "make an image from the archive of a root file system",
	.example = "  rl import -c 'CMD [\"bash\"]' debian.tar.gz debian:12\n"
		   "  rl import https://example.org/root.tar.zst root",
	.opts = import_defs,
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_FILE,
	.opts_size = sizeof(struct import_opts),
	.release = import_release,
	.run = import_run,
};
