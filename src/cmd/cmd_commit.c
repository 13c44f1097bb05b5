/*
 * cmd_commit.c - `rl commit`: an image of a container.
 */
#include <errno.h>
#include <fcntl.h>

#include "image_progress.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "rl/svc/container_copy.h"
#include "verbs_int.h"

struct commit_opts {
	struct strv changes;
	char *message, *author, *format, *iidfile;
	bool pause, squash, quiet, rm;
};

#define C struct commit_opts
static const struct opt_def commit_defs[] = {
	{"change", NULL, 'c', "INSTRUCTION", OPT_GENERIC(opt_set_list, C, changes), OPT_REPEAT, "Options",
	 "change the image's configuration, as a line of a Dockerfile does", 0, NULL},
	{"message", NULL, 'm', "TEXT", OPT_GENERIC(opt_set_string, C, message), OPT_ONCE, "Options",
	 "comment in the image's history", 0, NULL},
	{"author", NULL, 'a', "TEXT", OPT_GENERIC(opt_set_string, C, author), OPT_ONCE, "Options",
	 "author of the image", 0, NULL},
	{"pause", NULL, 'p', NULL, OPT_GENERIC(opt_set_bool, C, pause), 0, "Options",
	 "stop the container's processes meanwhile (the default; =false lets them run)", 0, NULL},
	{"squash", NULL, 's', NULL, OPT_GENERIC(opt_set_bool, C, squash), 0, "Options",
	 "one layer with everything the container shows", 0, NULL},
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, C, format), OPT_ONCE, "Options",
	 "oci (default) or docker", COMPLETE_CHOICES, "oci docker"},
	{"iidfile", NULL, 0, "FILE", OPT_GENERIC(opt_set_string, C, iidfile), OPT_ONCE, "Options",
	 "write the image's id to FILE", COMPLETE_FILE, NULL},
	{"rm", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, C, rm), 0, "Options", "remove the container afterwards", 0,
	 NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, C, quiet), 0, "Options", "show no progress", 0, NULL},
	OPT_END,
};
#undef C

static int commit_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct commit_opts *o = opts;
	const struct container_commit_opts c = {
		.root = ctx->store_root,
		.container = args->operands.items[0],
		.image = args->operands.count > 1 ? args->operands.items[1] : NULL,
		.changes = &o->changes,
		.message = o->message,
		.author = o->author,
		.format = o->format,
		.pause = o->pause,
		.squash = o->squash,
	};
	if (o->format && !str_eq(o->format, "oci") && !str_eq(o->format, "docker"))
		return err_set(e, EINVAL, "commit: '%s' is no format: oci, docker", o->format);
	struct image_progress_line line;
	struct image_ui ui;
	struct image_added added;
	image_progress_begin(&line, o->quiet, &ui);
	int r = container_commit(&c, &ui, &added, e);
	image_progress_end(&line);
	if (r < 0)
		return err_ctx(e, "commit %s", c.container);
	if (o->iidfile) {
		r = io_write_file(AT_FDCWD, o->iidfile, added.id, strlen(added.id), 0644, e);
		if (r < 0)
			return err_ctx(e, "--iidfile");
	}
	if (o->rm) {
		r = container_remove(ctx->store_root, c.container, false, true, e);
		if (r < 0)
			return err_ctx(e, "--rm");
	}
	autostr struct str out = STR_INIT;
	str_addf(&out, "%s\n", added.id);
	return out_flush(&out, e);
}

static void commit_init(void *opts)
{
	((struct commit_opts *)opts)->pause = true;
}

static void commit_release(void *opts)
{
	struct commit_opts *o = opts;
	strv_free(&o->changes);
	free(o->message);
	free(o->author);
	free(o->format);
	free(o->iidfile);
}

const struct verb verb_commit = {
	.name = "commit",
	.aliases = "container commit",
	.group = "Containers",
	.usage = "[OPTIONS] CONTAINER [IMAGE]",
	.summary = "make an image of what a container changed",
	.example = "  rl commit -c 'CMD [\"/start\"]' web localhost/web:v2",
	.opts = commit_defs,
	.min_operands = 1,
	.max_operands = 2,
	.opts_size = sizeof(struct commit_opts),
	.init = commit_init,
	.release = commit_release,
	.run = commit_run,
};
