/*
 * cmd_history.c - `rl history`: the steps an image was made with.
 */
#include <time.h>

#include "image_text.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct history_opts {
	bool quiet, no_trunc, human;
	char *format;
};

static const struct opt_def history_defs[] = {
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct history_opts, quiet), 0, "Options",
	 "print ids only", 0, NULL},
	{"no-trunc", "notruncate", 0, NULL, OPT_GENERIC(opt_set_bool, struct history_opts, no_trunc), 0, "Options",
	 "print whole ids and commands", 0, NULL},
	{"human", NULL, 'H', NULL, OPT_GENERIC(opt_set_bool, struct history_opts, human), 0, "Options",
	 "sizes and times for people (default true)", 0, NULL},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct history_opts, format), 0, "Options",
	 "json, or a template such as '{{.CreatedBy}}'", COMPLETE_CHOICES, "json table"},
	OPT_END,
};

static const struct out_column columns[] = {
	{"ID", "IMAGE", false},	      {"CreatedSince", "CREATED", false}, {"CreatedBy", "CREATED BY", false},
	{"Size", "SIZE", false},      {"Comment", "COMMENT", false},	  {"CreatedAt", "CREATED AT", true},
	{"Created", "CREATED", true}, {"Bytes", "BYTES", true},		  OUT_COLUMN_END,
};

static json_t *make_row(const struct image_step_history *h, const struct history_opts *o, int64_t now)
{
	enum { COMMAND_SHOWN = 45 };
	char text[FMT_SIZE];
	int64_t created = 0;
	bool known = fmt_parse_time(h->created ? h->created : "", "created", &created, NULL) == 0;
	json_t *row = json_object();
	autofree char *id = image_text_id(h->id, o->no_trunc);
	autofree char *ago = image_text_ago(h->created ? h->created : "", now);
	const char *command = h->created_by ? h->created_by : "";
	autofree char *shown = !o->no_trunc && strlen(command) > COMMAND_SHOWN
				       ? xasprintf("%.*s...", COMMAND_SHOWN - 3, command)
				       : xstrdup(command);
	json_put_str(row, "ID", id);
	json_put_str(row, "CreatedSince", o->human ? ago : known ? h->created : "N/A");
	json_put_str(row, "CreatedBy", shown);
	uint64_t bytes = h->size > 0 ? (uint64_t)h->size : 0;
	if (o->human)
		fmt_size(bytes, text);
	else
		snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	json_put_str(row, "Size", text);
	json_put_str(row, "Comment", h->comment ? h->comment : "");
	json_put_str(row, "CreatedAt", known ? h->created : "N/A");
	json_put_int(row, "Created", created);
	json_put_int(row, "Bytes", h->size);
	return row;
}

static int history_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct history_opts *o = opts;
	struct image_history history = {.items = NULL};
	int64_t now = time(NULL);
	int r = image_history(ctx->store_root, args->operands.items[0], &history, e);
	if (r < 0)
		return r;
	autojson json_t *rows = json_array();
	for (size_t i = 0; i < history.count; i++)
		json_array_append_new(rows, make_row(&history.items[i], o, now));
	image_history_free(&history);
	const struct out_style style = {
		.columns = columns,
		.format = o->quiet ? "{{.ID}}" : o->format,
		.flavour = ctx->flavour,
	};
	autostr struct str out = STR_INIT;
	r = out_rows(&style, rows, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static void history_init(void *opts)
{
	((struct history_opts *)opts)->human = true;
}

static void history_release(void *opts)
{
	free(((struct history_opts *)opts)->format);
}

const struct verb verb_history = {
	.name = "history",
	.aliases = "image history",
	.group = "Images",
	.usage = "[OPTIONS] IMAGE",
	.summary = "show the steps an image was made with",
	.example = "  rl history --no-trunc busybox",
	.opts = history_defs,
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct history_opts),
	.init = history_init,
	.release = history_release,
	.run = history_run,
};
