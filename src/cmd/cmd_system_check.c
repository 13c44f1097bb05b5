/*
 * cmd_system_check.c - `rl system check`: what is broken in the store, and its repair.
 *
 * The exit status says whether something is broken when it ends: 0 or 1; 125 if it could not be found out.
 */
#include <stdio.h>
#include <unistd.h>

#include "image_progress.h"
#include "registry_opts.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/system.h"
#include "verbs_int.h"

struct check_opts {
	bool repair, quick, json;
	struct registry_cli registry;
};

static const struct opt_def check_defs[] = {
	{"repair", NULL, 'r', NULL, OPT_GENERIC(opt_set_bool, struct check_opts, repair), 0, "Options",
	 "mend what is broken: fetch, unpack and write it again", 0, NULL},
	{"quick", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct check_opts, quick), 0, "Options",
	 "look at presence and sizes only, not at the content of blobs and layers", 0, NULL},
	{"json", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct check_opts, json), 0, "Options",
	 "print the report as a JSON document", 0, NULL},
	REGISTRY_OPT_ROWS(struct check_opts),
	OPT_END,
};

static void print_problem(const json_t *p, struct str *out)
{
	const json_t *images = json_object_get(p, "Images");
	str_addf(out, "%s: %s: %s: %s", json_str_or_null(p, "State"), json_str_or_null(p, "Kind"),
		 json_str_or_null(p, "What"), json_str_or_null(p, "Why"));
	for (size_t i = 0; i < json_array_size(images); i++)
		str_addf(out, "%s%s", i ? ", " : " (", json_string_value(json_array_get(images, i)));
	str_adds(out, json_array_size(images) ? ")\n" : "\n");
}

static void print_report(const json_t *report, bool repair, struct str *out)
{
	size_t i;
	json_t *p;
	long long broken = json_int_or(report, "Broken", 0);
	long long mended = json_int_or(report, "Mended", 0);
	long long leftovers = json_int_or(report, "Leftovers", 0);
	json_array_foreach (json_object_get(report, "Problems"), i, p)
		print_problem(p, out);
	str_addf(out, "%s: %s", json_str_or_null(report, "Store"), broken ? "" : "sound");
	if (broken)
		str_addf(out, "%lld broken", broken);
	if (mended)
		str_addf(out, ", %lld mended", mended);
	if (leftovers)
		str_addf(out, ", %lld %s", leftovers, repair ? "left-overs removed" : "left-overs");
	str_addc(out, '\n');
}

static int check_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct check_opts *o = opts;
	struct system_check_opts c = {.root = ctx->store_root, .repair = o->repair, .quick = o->quick};
	struct image_progress_line line;
	struct image_ui ui;
	json_t *report = NULL;
	(void)args;
	c.registry = registry_cli_get(&o->registry, NULL);
	image_progress_begin(&line, o->json || !isatty(STDERR_FILENO), &ui);
	int broken = system_check(&c, &ui, &report, e);
	image_progress_end(&line);
	autojson json_t *owned = report;
	if (broken < 0)
		return broken;
	autostr struct str out = STR_INIT;
	if (o->json) {
		json_print(owned, true, &out);
		str_addc(&out, '\n');
	} else {
		print_report(owned, o->repair, &out);
		if (broken && !o->repair)
			str_adds(&out, "rl system check --repair mends what can be mended\n");
	}
	int r = out_flush(&out, e);
	return r < 0 ? r : broken > 0;
}

static void check_release(void *opts)
{
	registry_cli_free(&((struct check_opts *)opts)->registry);
}

const struct verb verb_system_check = {
	.name = "system check",
	.group = "System",
	.usage = "[OPTIONS]",
	.summary = "find what is broken in the store, and mend it",
	.example = "  rl system check --repair",
	.opts = check_defs,
	.opts_size = sizeof(struct check_opts),
	.release = check_release,
	.run = check_run,
};
