/*
 * cmd_run.c - `rl run`.
 */
#include <errno.h>
#include <unistd.h>

#include "image_progress.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "run_table.h"
#include "verbs_int.h"

/* What the terminal we were started from does not give. */
static int check_terminal(const struct run_opts *o, struct err *e)
{
	if (o->tty && o->interactive && !o->detach && !o->explain && !isatty(STDIN_FILENO)) {
		err_set(e, ENOTTY, "-t with -i needs a terminal, and standard input is none");
		return err_hint(e, "leave out -t to feed the command from a pipe or file");
	}
	return 0;
}

/* A pull is shown to a person only: what a script runs should print what the command prints. The state is let go of
 * when the image is there or will not be, before the container starts. */
static void show_pull(struct run_opts *o, struct image_progress_line *line)
{
	struct image_ui ui;
	image_progress_begin(line, o->quiet || !isatty(STDERR_FILENO), &ui);
	o->progress = ui.progress;
	o->progress_arg = ui.arg;
}

static int run_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct run_target *t = opts;
	int r = run_target_finish(t, ctx->verb->name, args, e);
	if (r < 0)
		return r;
	r = check_terminal(&t->o, e);
	if (r < 0)
		return r;
	if (t->o.explain) {
		autostr struct str text = STR_INIT;
		r = container_explain(&t->o, ctx->store_root, &text, e);
		return r < 0 ? r : out_flush(&text, e);
	}
	int status = 0;
	autostr struct str id = STR_INIT;
	bool detach = t->o.detach;
	struct image_progress_line line;
	show_pull(&t->o, &line);
	r = container_run(&t->o, ctx->store_root, &id, &status, e);
	if (r < 0)
		return r;
	if (detach && id.len) {
		str_addc(&id, '\n');
		r = out_flush(&id, e);
	}
	return r < 0 ? r : status;
}

static int create_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct run_target *t = opts;
	autostr struct str id = STR_INIT;
	int r = run_target_finish(t, ctx->verb->name, args, e);
	if (r < 0)
		return r;
	if (t->o.explain || t->o.detach)
		return err_set(e, EINVAL, "create: --%s belongs to run", t->o.explain ? "explain" : "detach");
	struct image_progress_line line;
	show_pull(&t->o, &line);
	r = container_create(&t->o, ctx->store_root, &id, e);
	if (r < 0)
		return r;
	str_addc(&id, '\n');
	return out_flush(&id, e);
}

const struct verb verb_run = {
	.name = "run",
	.aliases = "container run",
	.group = "Containers",
	.usage = "[OPTIONS] IMAGE [COMMAND [ARG...]]",
	.summary = "run a command in a new container",
	.example = "  rl run -it --rm busybox sh\n"
		   "  rl run --rm -v .:/src -w /src debian make\n"
		   "  rl run host make    # a copy of this machine; files of others are read-only",
	.opts = run_defs,
	.rules = run_rules,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.starts_containers = true,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct run_target),
	.init = run_target_init,
	.release = run_target_release,
	.run = run_run,
};

const struct verb verb_create = {
	.name = "create",
	.aliases = "container create",
	.group = "Containers",
	.usage = "[OPTIONS] IMAGE [COMMAND [ARG...]]",
	.summary = "make a container without starting it",
	.example = "  rl create --name web -v web:/srv httpd\n"
		   "  rl start web",
	.opts = run_defs,
	.rules = run_rules,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct run_target),
	.init = run_target_init,
	.release = run_target_release,
	.run = create_run,
};
