/*
 * cmd_exec.c - `rl exec`.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "verbs_int.h"

extern char **environ;

struct exec_target {
	struct container_exec_opts x;
	struct container_targets t;
};

#define S struct exec_target
static const char options[] = "Options";

static int set_env(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return run_opts_env(&((S *)target)->x.o, value, environ, e);
}

static int set_env_file(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofd int fd = open(value, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "--%s: cannot open %s", def->name, value);
	int r = io_read_rest(fd, RUN_OPTS_FILE_MAX, value, &text, e);
	return r < 0 ? err_ctx(e, "--%s", def->name)
		     : run_opts_env_file(&((S *)target)->x.o, text.buf, text.len, value, e);
}

static int set_workdir(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return run_opts_workdir(&((S *)target)->x.o, value, e);
}

static int set_user(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return run_opts_user(&((S *)target)->x.o, value, e);
}

static int set_detach_keys(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	(void)def;
	return run_opts_detach_keys(&((S *)target)->x.o, value, e);
}

static const struct opt_def exec_defs[] = {
	{"interactive", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, S, x.o.interactive), 0, options,
	 "keep standard input open", 0, NULL},
	{"tty", NULL, 't', NULL, OPT_GENERIC(opt_set_bool, S, x.o.tty), 0, options, "give the command a terminal", 0,
	 NULL},
	{"detach", NULL, 'd', NULL, OPT_GENERIC(opt_set_bool, S, x.o.detach), 0, options,
	 "return when the command was started", 0, NULL},
	{"env", NULL, 'e', "NAME[=VALUE]", set_env, 0, OPT_REPEAT, options, "set a variable; NAME or PRE* takes yours",
	 0, NULL},
	{"env-file", NULL, 0, "FILE", set_env_file, 0, OPT_REPEAT, options, "set variables from FILE, one per line",
	 COMPLETE_FILE, NULL},
	{"workdir", NULL, 'w', "DIR", set_workdir, 0, 0, options, "directory to start in (default the container's)", 0,
	 NULL},
	{"user", NULL, 'u', "USER[:GROUP]", set_user, 0, 0, options, "user and group (default the container's)", 0,
	 NULL},
	{"privileged", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, x.o.privileged), 0, options,
	 "with all capabilities, without the system call filter", 0, NULL},
	{"detach-keys", NULL, 0, "KEYS", set_detach_keys, 0, 0, options,
	 "keys that leave a terminal (default ctrl-p,ctrl-q)", 0, NULL},
	{"preserve-fds", NULL, 0, "N", OPT_GENERIC(opt_set_uint, S, x.preserve_fds), 0, options,
	 "hand on descriptors 3 to 2 + N", 0, NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, t.latest), 0, options, "in the container made last", 0,
	 NULL},
	{"cidfile", NULL, 0, "FILE", OPT_GENERIC(opt_set_list, S, t.cidfiles), 0, options,
	 "in the container whose id is in FILE", COMPLETE_FILE, NULL},
	OPT_END,
};
#undef S

static void exec_init(void *opts)
{
	struct exec_target *t = opts;
	run_opts_init(&t->x.o);
}

static void exec_release(void *opts)
{
	struct exec_target *t = opts;
	run_opts_free(&t->x.o);
	strv_free(&t->x.args);
	container_targets_release(&t->t);
}

/* Before anything of ours is opened at one of these numbers. */
static int check_preserved(unsigned n, struct err *e)
{
	if (n > 1000)
		return err_set(e, EINVAL, "--preserve-fds %u: 1000 is the most", n);
	for (int fd = 3; fd < 3 + (int)n; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags < 0 || (flags & FD_CLOEXEC))
			return err_set(e, EBADF, "--preserve-fds %u: descriptor %d is not open", n, fd);
	}
	return 0;
}

static int exec_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct exec_target *t = opts;
	struct run_opts *o = &t->x.o;
	int r = check_preserved(t->x.preserve_fds, e);
	if (r < 0)
		return r;
	size_t first = t->t.latest || t->t.cidfiles.count ? 0 : 1;
	if (args->operands.count <= first) {
		err_set(e, EINVAL, "exec: %s is missing",
			args->operands.count < first ? "the container" : "the command");
		return err_hint(e, "usage: rl exec %s", ctx->verb->usage);
	}
	for (size_t i = first; i < args->operands.count; i++)
		strv_add(&t->x.args, args->operands.items[i]);
	if (o->tty && o->interactive && !o->detach && !isatty(STDIN_FILENO)) {
		err_set(e, ENOTTY, "-t with -i needs a terminal, and standard input is none");
		return err_hint(e, "leave out -t to feed the command from a pipe or file");
	}
	autostrv struct strv ids = STRV_INIT;
	struct opt_args named = {.operands = STRV_INIT};
	if (first)
		strv_add(&named.operands, args->operands.items[0]);
	r = container_targets_resolve(ctx, &t->t, &named, &ids, e);
	strv_free(&named.operands);
	if (r < 0)
		return r;
	int status = 0;
	r = container_exec(ctx->store_root, ids.items[0], &t->x, &status, e);
	return r < 0 ? r : status;
}

const struct verb verb_exec = {
	.group = "Containers",
	.name = "exec",
	.aliases = "container exec",
	.usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
	.summary = "run another command in a running container",
	.example = "  rl exec -it web sh\n  rl exec -u 1000 -w /srv web ls",
	.opts = exec_defs,
	.parse_flags = OPT_STOP_AT_OPERAND,
	.max_operands = OPERANDS_ANY,
	.starts_containers = true,
	.opts_size = sizeof(struct exec_target),
	.init = exec_init,
	.release = exec_release,
	.run = exec_run,
};
