/*
 * main.c - the program: options before the verb, finding the verb, running it, and saying once what went wrong.
 *
 * Everything below returns its error; this file prints it and turns it into the exit status (125 unless the error asks
 * for another). The status of the container's own command passes through.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "oci_verbs.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/cmd/out.h"
#include "rl/cmd/verb.h"
#include "rl/svc/container.h"
#include "verbs_global.h"
#include "verbs_int.h"

static void global_opts_release(struct global_opts *g)
{
	free(g->root);
	free(g->list_options);
}
#define autoglobal __attribute__((cleanup(global_opts_release)))

static int list_options(const char *name, struct err *e)
{
	autostr struct str out = STR_INIT;
	autostrv struct strv words = STRV_INIT;
	size_t used = 0;
	strv_split(&words, name, ' ');
	const struct verb *v = verb_find(strv_argv(&words), &used);
	if (*name && !v)
		return verb_unknown(strv_argv(&words), e);
	opt_list(v ? v->opts : verb_global_opts, &out);
	return out_flush(&out, e);
}

static int list_verbs(struct err *e)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; verb_table[i]; i++)
		if (!verb_table[i]->hidden)
			str_addf(&out, "%s\n", verb_table[i]->name);
	return out_flush(&out, e);
}

static int dispatch(char **main_argv, struct err *e)
{
	const char *program = path_base(main_argv[0]);
	char *const *argv = main_argv + 1;
	if (str_eq(program, "rl-oci"))
		return oci_main(main_argv, argv, e);
	autoglobal struct global_opts g = {.root = NULL};
	struct opt_args args = OPT_ARGS_INIT;
	int r = opt_parse(verb_global_opts, OPT_STOP_AT_OPERAND, argv, &g, &args, e);
	autostrv struct strv words = args.operands;
	strv_free(&args.typed);
	if (r < 0)
		return r;
	if (g.debug) {
		log_set_debug("all");
		log_export();
	}
	autostr struct str out = STR_INIT;
	if (g.version) {
		str_addf(&out, "rl version %s\n", RL_VERSION);
		return out_flush(&out, e);
	}
	if (g.list_verbs)
		return list_verbs(e);
	if (g.list_options)
		return list_options(g.list_options, e);
	if (args.help || !words.count) {
		verb_help_overview(&out);
		return out_flush(&out, e);
	}
	struct cmd_ctx ctx = {
		.flavour = str_eq(program, "docker")   ? CMD_DOCKER
			   : str_eq(program, "podman") ? CMD_PODMAN
						       : CMD_RL,
		.store_root = g.root,
	};
	size_t used = 0;
	ctx.verb = verb_find(words.items, &used);
	const char *after = ctx.verb || words.count < 2 ? NULL : words.items[1];
	if (after && (str_eq(after, "--help") || str_eq(after, "-h")) && verb_help_family(words.items[0], &out))
		return out_flush(&out, e);
	if (!ctx.verb)
		return verb_unknown(words.items, e);
	log_debug(LOG_CMD, "verb %s", ctx.verb->name);
	if (ctx.verb == &verb_oci)
		return oci_main(main_argv, words.items + used, e);
	if (ctx.verb->starts_containers) {
		r = container_protect_binary(main_argv, e);
		if (r < 0)
			return r;
	}
	return verb_run_parsed(&ctx, words.items + used, e);
}

/* A program that starts us with descriptor 0, 1 or 2 closed must not have our first open land there. They are opened
 * the wrong way round, so that using one fails as it would have failed. */
static void fill_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_NOCTTY);
}

/* Any write may be the one that finds no room. */
static void explain_full(struct err *e)
{
	if ((e->code == ENOSPC || e->code == EDQUOT) && !*e->hint)
		err_hint(e, "if it is the store that is full: rl system df shows what takes room, rl system prune "
			    "frees it, "
			    "and --root DIR keeps the store elsewhere");
}

int main(int argc, char **argv)
{
	fill_stdio();
	log_init("rl");
	if (argc < 1)
		return EXIT_RL_FAILED;
	struct err e = ERR_INIT;
	int r = dispatch(argv, &e);
	if (r >= 0)
		return r;
	explain_full(&e);
	err_print(&e);
	return err_exit_status(&e);
}
