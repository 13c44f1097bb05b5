/*
 * cmd_version.c - `rl version` and `rl info`: about the program and about the machine it runs on.
 *
 * The documents have docker's shape as far as scripts ask for it. There is no server: "Server" describes the same
 * program, so that a script that reads the server's version to see whether containers can run gets its answer.
 */
#include "machine.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/info.h"
#include "verbs_int.h"

struct format_opts {
	char *format;
};

static const struct opt_def format_defs[] = {
	{"format", NULL, 'f', "FORMAT", OPT_GENERIC(opt_set_string, struct format_opts, format), 0, "Options",
	 "json, or a template such as '{{.Version}}'", COMPLETE_CHOICES, "json"},
	OPT_END,
};

static void format_release(void *opts)
{
	free(((struct format_opts *)opts)->format);
}

static json_t *version_doc(void)
{
	char arch[32];
	char kernel[80];
	machine_arch(arch);
	machine_kernel(kernel);
	json_t *part = json_object();
	json_put_str(part, "Version", RL_VERSION);
	json_put_str(part, "Os", "linux");
	json_put_str(part, "Arch", arch);
	json_put_str(part, "KernelVersion", kernel);
	json_t *doc = json_object();
	json_put_str(doc, "Version", RL_VERSION);
	json_put(doc, "Client", part);
	json_put(doc, "Server", json_incref(part));
	return doc;
}

/* One document: through the template or, as JSON, without an array around it. */
static int print_doc(json_t *doc, const char *format, struct err *e)
{
	autostr struct str out = STR_INIT;
	if (str_eq(format, "json")) {
		json_print(doc, true, &out);
		str_addc(&out, '\n');
		return out_flush(&out, e);
	}
	autojson json_t *docs = json_pack("[O]", doc);
	int r = out_docs(docs, format, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static int version_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)ctx;
	(void)args;
	const struct format_opts *o = opts;
	if (o->format && *o->format) {
		autojson json_t *doc = version_doc();
		return print_doc(doc, o->format, e);
	}
	autostr struct str out = STR_INIT;
	str_addf(&out, "rl version %s\n", RL_VERSION);
	return out_flush(&out, e);
}

const struct verb verb_version = {
	.name = "version",
	.group = "Other",
	.usage = "[OPTIONS]",
	.summary = "print the version",
	.example = "  rl version -f '{{.Client.Version}}'",
	.opts = format_defs,
	.opts_size = sizeof(struct format_opts),
	.release = format_release,
	.run = version_run,
};

static void print_member(const char *key, const json_t *value, struct str *out)
{
	if (json_is_object(value)) {
		const char *inner;
		json_t *member;
		str_addf(out, "%s:\n", key);
		json_object_foreach ((json_t *)(uintptr_t)value, inner, member) {
			str_adds(out, "  ");
			print_member(inner, member, out);
		}
		return;
	}
	str_addf(out, "%s:", key);
	for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++)
		str_addf(out, "%s %s", i ? "," : "", json_string_value(json_array_get(value, i)));
	if (json_is_string(value))
		str_addf(out, " %s", json_string_value(value));
	else if (json_is_integer(value))
		str_addf(out, " %lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		str_addf(out, " %s", json_is_true(value) ? "true" : "false");
	str_addc(out, '\n');
}

static int info_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	(void)args;
	const struct format_opts *o = opts;
	json_t *doc = NULL;
	int r = info_collect(ctx->store_root, &doc, e);
	autojson json_t *owned = doc;
	if (r < 0)
		return r;
	json_put_str(owned, "ServerVersion", RL_VERSION);
	if (o->format && *o->format)
		return print_doc(owned, o->format, e);
	autostr struct str out = STR_INIT;
	const char *key;
	json_t *member;
	json_object_foreach (owned, key, member) {
		print_member(key, member, &out);
	}
	return out_flush(&out, e);
}

const struct verb verb_info = {
	.name = "info",
	.aliases = "system info",
	.group = "Other",
	.usage = "[OPTIONS]",
	.summary = "show where things are and what this machine is",
	.example = "  rl info -f '{{.Driver}} {{.IDMap.Form}}'",
	.opts = format_defs,
	.opts_size = sizeof(struct format_opts),
	.release = format_release,
	.run = info_run,
};
