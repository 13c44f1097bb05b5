/*
 * cmd_secret.c - `rl secret create|ls|inspect|rm|exists`.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "container_verb.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/secret.h"
#include "verbs_int.h"

struct secret_opts {
	struct strv labels, filters;
	char *driver, *format;
	bool env, replace, quiet, no_heading, show, ignore, all;
};

#define S struct secret_opts
static const char options[] = "Options";

static void secret_opts_release(void *opts)
{
	S *o = opts;
	strv_free(&o->labels);
	strv_free(&o->filters);
	free(o->driver);
	free(o->format);
}

#define VERB_COMMON .group = "Secrets", .opts_size = sizeof(S), .release = secret_opts_release

/* ---- create ---- */

static int set_label(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!*value || *value == '=')
		return err_set(e, EINVAL, "--label '%s': NAME[=VALUE] is expected", value);
	return opt_set_list(def, target, value, e);
}

static int set_driver(const struct opt_def *def, void *target, const char *value, struct err *e)
{
	if (!str_eq(value, "file"))
		return err_set(e, EOPNOTSUPP,
			       "--driver '%s': secrets are files of the store (file); there are no other "
			       "drivers",
			       value);
	return opt_set_string(def, target, value, e);
}

static const struct opt_def create_defs[] = {
	{"env", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, env), 0, options, "FILE is the name of a variable", 0,
	 NULL},
	{"label", NULL, 'l', "NAME[=VALUE]", set_label, offsetof(S, labels), OPT_REPEAT, options, "attach a label", 0,
	 NULL},
	{"replace", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, replace), 0, options,
	 "give one that exists the new value", 0, NULL},
	{"driver", NULL, 'd', "NAME", set_driver, offsetof(S, driver), 0, options, "file, which is the only one",
	 COMPLETE_CHOICES, "file"},
	OPT_END,
};

static int read_data(const S *o, const char *source, struct str *data, struct err *e)
{
	if (o->env) {
		const char *value = getenv(source);
		if (!value)
			return err_set(e, ENOENT, "--env: there is no variable %s", source);
		str_adds(data, value);
		return 0;
	}
	autofd int fd = str_eq(source, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					    : open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "open %s", source);
	if (isatty(fd))
		return err_hint((err_set(e, EINVAL, "the secret would be read from the terminal"), e),
				"name a file, or pipe it in");
	return io_read_rest(fd, SECRET_MAX, source, data, e);
}

static int create_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	struct str data = STR_INIT;
	autostr struct str id = STR_INIT;
	const struct secret_create_opts c = {
		.name = args->operands.items[0],
		.labels = &o->labels,
		.replace = o->replace,
	};
	int r = read_data(o, args->operands.count > 1 ? args->operands.items[1] : "-", &data, e);
	if (r == 0)
		r = secret_create(ctx->store_root, &c, &data, &id, e);
	if (data.len)
		explicit_bzero(data.buf, data.len);
	str_free(&data);
	if (r < 0)
		return r;
	str_addc(&id, '\n');
	return out_flush(&id, e);
}

const struct verb verb_secret_create = {
	VERB_COMMON,
	.name = "secret create",
	.usage = "[OPTIONS] NAME [FILE]",
	.summary = "keep a secret for containers",
	.example = "  rl secret create db-password password.txt\n"
		   "  rl run --secret db-password postgres",
	.opts = create_defs,
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_FILE,
	.run = create_run,
};

/* ---- ls, inspect ---- */

static const struct opt_def ls_defs[] = {
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "name=, id=", COMPLETE_CHOICES, "name= id="},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Name}}'", COMPLETE_CHOICES, "json table"},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, S, quiet), 0, options, "print ids only", 0, NULL},
	{"noheading", NULL, 'n', NULL, OPT_GENERIC(opt_set_bool, S, no_heading), 0, options, "no line of headings", 0,
	 NULL},
	OPT_END,
};

static const struct out_column ls_columns[] = {
	{"ID", "ID", false},
	{"Name", "NAME", false},
	{"Driver", "DRIVER", false},
	{"CreatedAt", "CREATED", false},
	{"UpdatedAt", "UPDATED", false},
	OUT_COLUMN_END,
};

static int ls_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	json_t *rows = NULL;
	(void)args;
	int r = secret_rows(ctx->store_root, &o->filters, &rows, e);
	autojson json_t *owned = rows;
	if (r < 0)
		return r;
	const struct out_style style = {
		.columns = ls_columns,
		.format = o->quiet ? "{{.ID}}" : o->format,
		.no_heading = o->no_heading,
		.flavour = ctx->flavour,
	};
	autostr struct str out = STR_INIT;
	r = out_rows(&style, owned, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

const struct verb verb_secret_ls = {
	VERB_COMMON,
	.name = "secret ls",
	.aliases = "secret list",
	.usage = "[OPTIONS]",
	.summary = "list secrets",
	.example = "  rl secret ls",
	.opts = ls_defs,
	.run = ls_run,
};

static const struct opt_def inspect_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Spec.Name}}'", COMPLETE_CHOICES, "json"},
	{"showsecret", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, show), 0, options, "with the secret itself", 0,
	 NULL},
	OPT_END,
};

static int inspect_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	autojson json_t *docs = json_array();
	for (size_t i = 0; i < args->operands.count; i++) {
		json_t *doc = NULL;
		int r = secret_inspect(ctx->store_root, args->operands.items[i], o->show, &doc, e);
		if (r < 0)
			return r;
		json_array_append_new(docs, doc);
	}
	autostr struct str out = STR_INIT;
	int r = out_docs(docs, o->format, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

const struct verb verb_secret_inspect = {
	VERB_COMMON,
	.name = "secret inspect",
	.usage = "[OPTIONS] SECRET...",
	.summary = "print what is known about secrets",
	.example = "  rl secret inspect db-password",
	.opts = inspect_defs,
	.min_operands = 1,
	.max_operands = OPERANDS_ANY,
	.run = inspect_run,
};

/* ---- rm, exists ---- */

static const struct opt_def rm_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "every secret", 0, NULL},
	{"ignore", NULL, 'i', NULL, OPT_GENERIC(opt_set_bool, S, ignore), 0, options,
	 "a secret that does not exist is no error", 0, NULL},
	OPT_END,
};

static int rm_one(const struct cmd_ctx *ctx, const char *name, void *arg, struct err *e)
{
	(void)arg;
	return secret_remove(ctx->store_root, name, e);
}

static int rm_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const S *o = opts;
	autostrv struct strv names = STRV_INIT;
	json_t *rows = NULL;
	size_t i;
	json_t *row;
	const struct strv none = STRV_INIT;
	if (o->all == (args->operands.count > 0))
		return err_set(e, EINVAL, "secret rm: either names or --all");
	int r = o->all ? secret_rows(ctx->store_root, &none, &rows, e) : 0;
	autojson json_t *owned = rows;
	if (r < 0)
		return r;
	strv_add_all(&names, &args->operands);
	json_array_foreach (owned, i, row)
		strv_add(&names, json_str_or_null(row, "Name"));
	return container_verb_each(ctx, &names, o->ignore, false, rm_one, NULL, e);
}

const struct verb verb_secret_rm = {
	VERB_COMMON,
	.name = "secret rm",
	.aliases = "secret remove",
	.usage = "[OPTIONS] SECRET...",
	.summary = "remove secrets",
	.example = "  rl secret rm db-password",
	.opts = rm_defs,
	.max_operands = OPERANDS_ANY,
	.run = rm_run,
};

static const struct opt_def exists_defs[] = {OPT_END};

static int exists_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)opts;
	int r = secret_exists(ctx->store_root, args->operands.items[0], e);
	return r < 0 ? r : !r;
}

const struct verb verb_secret_exists = {
	.group = "Secrets",
	.name = "secret exists",
	.usage = "SECRET",
	.summary = "succeed if the secret is there",
	.example = "  rl secret exists db-password && echo yes",
	.opts = exists_defs,
	.min_operands = 1,
	.max_operands = 1,
	.run = exists_run,
};
