/*
 * cmd_doctor.c - `rl doctor`: what works here, which rung is used, and the remedy.
 */
#include <unistd.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/doctor.h"
#include "verbs_int.h"

struct doctor_opts {
	bool json, fix;
};

static const struct opt_def doctor_defs[] = {
	{"json", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct doctor_opts, json), 0, "Options",
	 "print the rows as JSON", 0, NULL},
	{"fix", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct doctor_opts, fix), 0, "Options",
	 "print the remedies as a script for root: rl doctor --fix | sudo sh", 0, NULL},
	OPT_END,
};

static const char *text(const json_t *row, const char *member)
{
	return json_string_value(json_object_get(row, member));
}

/* Only commands; what has to be done by hand stands behind a '#'. */
static void print_script(const json_t *rows, struct str *out)
{
	size_t i;
	json_t *row;
	str_adds(out, "#!/bin/sh\n# Remedies found by rl doctor, for root. Read them first.\n");
	json_array_foreach (rows, i, row) {
		if (str_eq(text(row, "State"), "works") || !*text(row, "Remedy"))
			continue;
		str_addf(out, "# %s: %s\n", text(row, "Name"), text(row, "Finding"));
		if (*text(row, "Command"))
			str_addf(out, "%s\n", text(row, "Command"));
		else
			str_addf(out, "# by hand: %s\n", text(row, "Remedy"));
	}
}

static void print_rows(const json_t *rows, bool can_run, struct str *out)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		autostr struct str line = STR_INIT;
		str_addf(out, "%-8s %-20s ", text(row, "State"), text(row, "Name"));
		fmt_wrap(out, text(row, "Finding"), 30, 30, 110);
		str_addc(out, '\n');
		if (!*text(row, "Remedy"))
			continue;
		str_addf(out, "%-29s ", "");
		str_addf(&line, "-> %s", text(row, "Remedy"));
		fmt_wrap(out, line.buf, 30, 33, 110);
		str_addc(out, '\n');
	}
	str_adds(out, can_run ? "Containers can run here.\n" : "Containers cannot run here.\n");
}

static int doctor_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct doctor_opts *o = opts;
	json_t *found = NULL;
	bool can_run = false;
	(void)args;
	int r = doctor_collect(ctx->store_root, &found, &can_run, e);
	autojson json_t *rows = found;
	if (r < 0)
		return r;
	autostr struct str out = STR_INIT;
	if (o->fix)
		print_script(rows, &out);
	else if (o->json) {
		json_print(rows, true, &out);
		str_addc(&out, '\n');
	} else
		print_rows(rows, can_run, &out);
	r = out_flush(&out, e);
	return r < 0 ? r : can_run ? 0 : 1;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.group = "Other",
	.usage = "[OPTIONS]",
	.summary = "say what works here, what stands in for what does not, and the remedy",
	.example = "  rl doctor\n  rl doctor --fix | sudo sh",
	.opts = doctor_defs,
	.opts_size = sizeof(struct doctor_opts),
	.run = doctor_run,
};
