/*
 * cmd_working.c - `rl from`, `rl copy`, `rl add` and `rl config`: images made by commands.
 */
#include <errno.h>
#include <string.h>

#include "image_progress.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/model/dockerfile.h"
#include "rl/svc/working.h"
#include "verbs_int.h"

/* ---- from ---- */

struct from_opts {
	char *name;
	struct run_opts o; /* pull */
	bool quiet;
};

static int set_from_pull(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	struct from_opts *o = target;
	(void)def;
	if (str_eq(value, "true"))
		value = "always";
	if (str_eq(value, "false"))
		value = "missing";
	return run_opts_pull(&o->o, value, e);
}

static const struct opt_def from_defs[] = {
	{"name", NULL, 0, "NAME", OPT_GENERIC(opt_set_string, struct from_opts, name), 0, "Options",
	 "name of the working container (default: IMAGE-working-container)", 0, NULL},
	{"pull", NULL, 0, NULL, .set = set_from_pull, 0, OPT_WORDS, "Options",
	 "ask the registry for a newer image; --pull=missing|newer|never|always", 0, NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct from_opts, quiet), 0, "Options",
	 "show no progress of a pull", 0, NULL},
	OPT_END,
};

static void from_init(void *opts)
{
	run_opts_init(&((struct from_opts *)opts)->o);
}

static void from_release(void *opts)
{
	struct from_opts *o = opts;
	free(o->name);
	run_opts_free(&o->o);
}

static int from_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct from_opts *o = opts;
	autostr struct str name = STR_INIT;
	struct image_progress_line line;
	struct image_ui ui;
	o->o.image = xstrdup(args->operands.items[0]);
	o->o.name = take_ptr(&o->name);
	image_progress_begin(&line, o->quiet, &ui);
	o->o.progress = ui.progress;
	o->o.progress_arg = ui.arg;
	int r = working_from(ctx->store_root, &o->o, &name, e);
	image_progress_end(&line);
	if (r < 0)
		return r;
	str_addc(&name, '\n');
	return out_flush(&name, e);
}

const struct verb verb_from = {
	.name = "from",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE",
	.summary = "make a working container: an image by commands instead of a Dockerfile",
	.example = "  rl from --name w debian\n"
		   "  rl run w apt-get update\n"
		   "  rl copy w app /srv/app\n"
		   "  rl config --cmd /srv/app w\n"
		   "  rl commit w app",
	.opts = from_defs,
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct from_opts),
	.init = from_init,
	.release = from_release,
	.run = from_run,
};

/* ---- copy, add ---- */

#define C struct working_copy_opts
#define COPY_ROWS                                                                                                      \
	{"chown",                                                                                                      \
	 NULL,                                                                                                         \
	 0,                                                                                                            \
	 "USER[:GROUP]",                                                                                               \
	 OPT_GENERIC(opt_set_string, C, chown),                                                                        \
	 0,                                                                                                            \
	 "Options",                                                                                                    \
	 "owner of what is copied (default: root)",                                                                    \
	 0,                                                                                                            \
	 NULL},                                                                                                        \
		{"chmod",                                                                                              \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "MODE",                                                                                               \
		 OPT_GENERIC(opt_set_string, C, chmod),                                                                \
		 0,                                                                                                    \
		 "Options",                                                                                            \
		 "its mode: 755, u=rwX,go=rX",                                                                         \
		 0,                                                                                                    \
		 NULL},                                                                                                \
		{"contextdir",                                                                                         \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "DIR",                                                                                                \
		 OPT_GENERIC(opt_set_string, C, contextdir),                                                           \
		 0,                                                                                                    \
		 "Options",                                                                                            \
		 "what sources are relative to, and cannot lead out of",                                               \
		 COMPLETE_DIR,                                                                                         \
		 NULL},                                                                                                \
		{"ignorefile",                                                                                         \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "FILE",                                                                                               \
		 OPT_GENERIC(opt_set_string, C, ignorefile),                                                           \
		 0,                                                                                                    \
		 "Options",                                                                                            \
		 "leave out what this ignore file says",                                                               \
		 COMPLETE_FILE,                                                                                        \
		 NULL},                                                                                                \
		{"exclude",                                                                                            \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 "PATTERN",                                                                                            \
		 OPT_GENERIC(opt_set_list, C, exclude),                                                                \
		 OPT_REPEAT,                                                                                           \
		 "Options",                                                                                            \
		 "leave out what matches",                                                                             \
		 0,                                                                                                    \
		 NULL},                                                                                                \
	{                                                                                                              \
		"parents", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, C, parents), 0, "Options",                         \
			"keep the directories of the sources' paths", 0, NULL                                          \
	}

static const struct opt_def copy_defs[] = {
	COPY_ROWS,
	{"from", NULL, 0, "IMAGE", OPT_GENERIC(opt_set_string, C, from), 0, "Options", "sources are files of an image",
	 COMPLETE_IMAGE, NULL},
	OPT_END,
};

static const struct opt_def add_defs[] = {
	COPY_ROWS,
	{"checksum", NULL, 0, "DIGEST", OPT_GENERIC(opt_set_string, C, checksum), 0, "Options",
	 "of an address, sha256:HEX: refuse anything else", 0, NULL},
	OPT_END,
};
#undef C

static void copy_release(void *opts)
{
	struct working_copy_opts *o = opts;
	char *texts[] = {o->chown, o->chmod, o->checksum, o->from, o->contextdir, o->ignorefile};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	strv_free(&o->exclude);
}

static int copy_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	struct working_copy_opts *o = opts;
	const struct strv *words = &args->operands;
	autostrv struct strv sources = STRV_INIT;
	size_t n = words->count;
	o->is_add = str_eq(ctx->verb->name, "add");
	/* CONTAINER SOURCE... DEST, or CONTAINER SOURCE */
	for (size_t i = 1; i < n && (i + 1 < n || n == 2); i++)
		strv_add(&sources, words->items[i]);
	return working_copy(ctx->store_root, words->items[0], o, &sources, n > 2 ? words->items[n - 1] : NULL, e);
}

const struct verb verb_copy = {
	.name = "copy",
	.group = "Images",
	.usage = "[OPTIONS] CONTAINER SOURCE... [DEST]",
	.summary = "copy files into a working container, as COPY does",
	.example = "  rl copy --chown web:web $c site /srv/www/",
	.opts = copy_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_FILE,
	.opts_size = sizeof(struct working_copy_opts),
	.release = copy_release,
	.run = copy_run,
};

const struct verb verb_add = {
	.name = "add",
	.group = "Images",
	.usage = "[OPTIONS] CONTAINER SOURCE... [DEST]",
	.summary = "the same as ADD does: archives are unpacked, addresses fetched",
	.example = "  rl add $c root.tar.gz /",
	.opts = add_defs,
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.complete = COMPLETE_FILE,
	.opts_size = sizeof(struct working_copy_opts),
	.release = copy_release,
	.run = copy_run,
};

/* ---- config ---- */

struct config_opts {
	struct strv env, label, port, volume, onbuild, change;
	struct strv unsetenv, unsetlabel;
	char *cmd, *entrypoint, *user, *workingdir, *stop_signal, *shell, *healthcheck, *author;
};

#define C struct config_opts
static const struct opt_def config_defs[] = {
	{"env", NULL, 'e', "KEY=VALUE", OPT_GENERIC(opt_set_list, C, env), OPT_REPEAT, "Options",
	 "variable; $NAME in the value stands for what the image has", 0, NULL},
	{"unsetenv", NULL, 0, "NAME", OPT_GENERIC(opt_set_list, C, unsetenv), OPT_REPEAT, "Options",
	 "take a variable out", 0, NULL},
	{"label", NULL, 'l', "KEY=VALUE", OPT_GENERIC(opt_set_list, C, label), OPT_REPEAT, "Options", "label", 0, NULL},
	{"unsetlabel", NULL, 0, "KEY", OPT_GENERIC(opt_set_list, C, unsetlabel), OPT_REPEAT, "Options",
	 "take a label out", 0, NULL},
	{"cmd", NULL, 0, "COMMAND", OPT_GENERIC(opt_set_string, C, cmd), 0, "Options",
	 "default command: words, or a JSON array", 0, NULL},
	{"entrypoint", NULL, 0, "COMMAND", OPT_GENERIC(opt_set_string, C, entrypoint), 0, "Options",
	 "program that gets the command: a line for the shell, or a JSON array", 0, NULL},
	{"user", NULL, 'u', "USER[:GROUP]", OPT_GENERIC(opt_set_string, C, user), 0, "Options", "default user", 0,
	 NULL},
	{"workingdir", "workdir", 0, "DIR", OPT_GENERIC(opt_set_string, C, workingdir), 0, "Options",
	 "default directory", 0, NULL},
	{"port", NULL, 'p', "PORT[/PROTOCOL]", OPT_GENERIC(opt_set_list, C, port), OPT_REPEAT, "Options",
	 "port that is served", 0, NULL},
	{"volume", NULL, 'v', "PATH", OPT_GENERIC(opt_set_list, C, volume), OPT_REPEAT, "Options", "place for a volume",
	 0, NULL},
	{"stop-signal", NULL, 0, "SIGNAL", OPT_GENERIC(opt_set_string, C, stop_signal), 0, "Options",
	 "signal that ends it", 0, NULL},
	{"shell", NULL, 0, "COMMAND", OPT_GENERIC(opt_set_string, C, shell), 0, "Options",
	 "shell of commands that are lines", 0, NULL},
	{"healthcheck", NULL, 0, "TEXT", OPT_GENERIC(opt_set_string, C, healthcheck), 0, "Options",
	 "what follows HEALTHCHECK in a Dockerfile", 0, NULL},
	{"onbuild", NULL, 0, "INSTRUCTION", OPT_GENERIC(opt_set_list, C, onbuild), OPT_REPEAT, "Options",
	 "instruction for builds on the image", 0, NULL},
	{"author", NULL, 0, "TEXT", OPT_GENERIC(opt_set_string, C, author), 0, "Options", "who made it", 0, NULL},
	{"change", NULL, 'c', "INSTRUCTION", OPT_GENERIC(opt_set_list, C, change), OPT_REPEAT, "Options",
	 "any of these as a line of a Dockerfile", 0, NULL},
	OPT_END,
};
#undef C

/* KEY="VALUE" for a Dockerfile. */
static int add_pair(struct strv *out, const char *instruction, const char *pair, bool expands, struct err *e)
{
	autostr struct str text = STR_INIT;
	const char *equals = strchr(pair, '=');
	if (!equals || equals == pair)
		return err_set(e, EINVAL, "'%s': KEY=VALUE is expected", pair);
	str_addf(&text, "%s %.*s=\"", instruction, (int)(equals - pair), pair);
	for (const char *p = equals + 1; *p; p++) {
		if (*p == '"' || *p == '\\' || (*p == '$' && !expands))
			str_addc(&text, '\\');
		str_addc(&text, *p);
	}
	str_addc(&text, '"');
	strv_add(out, text.buf);
	return 0;
}

static const char *get_nothing(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return NULL;
}

/* Words as a shell would split them, or a JSON array as it is. */
static int add_command(struct strv *out, const char *instruction, const char *value, struct err *e)
{
	autostr struct str text = STR_INIT;
	autostrv struct strv words = STRV_INIT;
	str_addf(&text, "%s ", instruction);
	if (*value == '[') {
		str_adds(&text, value);
		strv_add(out, text.buf);
		return 0;
	}
	const struct dockerfile_vars none = {.get = get_nothing, .escape = '\\'};
	autostr struct str literal = STR_INIT;
	for (const char *p = value; *p; p++)
		str_addf(&literal, "%s%c", *p == '$' ? "\\" : "", *p);
	int r = dockerfile_expand_words(literal.buf, &none, &words, e);
	if (r < 0)
		return r;
	autojson json_t *array = json_array();
	for (size_t i = 0; i < words.count; i++)
		json_array_append_new(array, json_string_lossy(words.items[i], strlen(words.items[i])));
	json_print(array, false, &text);
	strv_add(out, text.buf);
	return 0;
}

static int add_values(struct strv *out, const struct config_opts *o, struct err *e)
{
	const struct {
		const char *instruction, *value;
	} lines[] = {{"ENTRYPOINT", o->entrypoint},   {"USER", o->user},
		     {"WORKDIR", o->workingdir},      {"STOPSIGNAL", o->stop_signal},
		     {"HEALTHCHECK", o->healthcheck}, {"MAINTAINER", o->author}};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (lines[i].value)
			strv_addf(out, "%s %s", lines[i].instruction, lines[i].value);
	for (size_t i = 0; i < o->port.count; i++)
		strv_addf(out, "EXPOSE %s", o->port.items[i]);
	for (size_t i = 0; i < o->onbuild.count; i++)
		strv_addf(out, "ONBUILD %s", o->onbuild.items[i]);
	for (size_t i = 0; i < o->volume.count && r >= 0; i++) {
		autojson json_t *array = json_array();
		autostr struct str text = STR_INIT;
		json_array_append_new(array, json_string_lossy(o->volume.items[i], strlen(o->volume.items[i])));
		json_print(array, false, &text);
		strv_addf(out, "VOLUME %s", text.buf);
	}
	return r < 0 || !o->cmd ? r : add_command(out, "CMD", o->cmd, e);
}

static int config_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct config_opts *o = opts;
	const char *name = args->operands.items[0];
	autostrv struct strv lines = STRV_INIT;
	int r = 0;
	for (size_t i = 0; i < o->env.count && r >= 0; i++)
		r = add_pair(&lines, "ENV", o->env.items[i], true, e);
	for (size_t i = 0; i < o->label.count && r >= 0; i++)
		r = add_pair(&lines, "LABEL", o->label.items[i], false, e);
	/* The shell first: it is that of the lines that follow. */
	if (r >= 0 && o->shell)
		r = add_command(&lines, "SHELL", o->shell, e);
	if (r >= 0)
		r = add_values(&lines, o, e);
	strv_add_all(&lines, &o->change);
	if (r >= 0 && !lines.count && !o->unsetenv.count && !o->unsetlabel.count)
		r = err_set(e, EINVAL, "config %s: what is to be changed?", name);
	if (r >= 0 && o->unsetenv.count)
		r = working_drop(ctx->store_root, name, "Env", &o->unsetenv, e);
	if (r >= 0 && o->unsetlabel.count)
		r = working_drop(ctx->store_root, name, "Labels", &o->unsetlabel, e);
	return r < 0 || !lines.count ? r : working_change(ctx->store_root, name, &lines, e);
}

static void config_release(void *opts)
{
	struct config_opts *o = opts;
	struct strv *lists[] = {&o->env,     &o->label,	 &o->port,     &o->volume,
				&o->onbuild, &o->change, &o->unsetenv, &o->unsetlabel};
	char *texts[] = {o->cmd,	 o->entrypoint, o->user,	o->workingdir,
			 o->stop_signal, o->shell,	o->healthcheck, o->author};
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_free(lists[i]);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
}

const struct verb verb_config = {
	.name = "config",
	.group = "Images",
	.usage = "[OPTIONS] CONTAINER",
	.summary = "change the configuration that a working container's image will have",
	.example = "  rl config --env 'PATH=$PATH:/opt/bin' --user web --port 80 $c",
	.opts = config_defs,
	.min_operands = 1,
	.max_operands = 1,
	.opts_size = sizeof(struct config_opts),
	.release = config_release,
	.run = config_run,
};
