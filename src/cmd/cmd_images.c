/*
 * cmd_images.c - `rl images`: the images of the store.
 *
 * Filters are read into one struct before anything is listed, so that a mistyped one is an error also in an empty
 * store.
 */
#include <errno.h>
#include <time.h>

#include "image_text.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "verbs_int.h"

struct images_opts {
	bool all, quiet, no_trunc, digests, no_heading;
	char *format;
	char *sort;
	struct strv filters;
};

static const struct opt_def images_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, struct images_opts, all), 0, "Options",
	 "accepted for scripts: there are no hidden images", 0, NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, struct images_opts, quiet), 0, "Options", "print ids only",
	 0, NULL},
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, struct images_opts, filters), OPT_REPEAT,
	 "Options", "reference=, dangling=, label=, before=, since=, until=", COMPLETE_CHOICES,
	 "reference= dangling=true label= before= since= until="},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, struct images_opts, format), 0, "Options",
	 "json, or a template such as '{{.ID}} {{.Repository}}'", COMPLETE_CHOICES, "json table"},
	{"digests", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, struct images_opts, digests), 0, "Options",
	 "show manifest digests", 0, NULL},
	{"no-trunc", "notruncate", 0, NULL, OPT_GENERIC(opt_set_bool, struct images_opts, no_trunc), 0, "Options",
	 "print whole ids", 0, NULL},
	{"noheading", "no-heading", 'n', NULL, OPT_GENERIC(opt_set_bool, struct images_opts, no_heading), 0, "Options",
	 "leave out the heading", 0, NULL},
	{"sort", NULL, 0, "FIELD", OPT_GENERIC(opt_set_string, struct images_opts, sort), 0, "Options",
	 "created (newest first), id, repository, size or tag", COMPLETE_CHOICES, "created id repository size tag"},
	OPT_END,
};

#define COLUMNS(digest_is_extra)                                                                                       \
	{"Repository", "REPOSITORY", false}, {"Tag", "TAG", false}, {"Digest", "DIGEST", digest_is_extra},             \
		{"ID", "IMAGE ID", false}, {"CreatedSince", "CREATED", false}, {"Size", "SIZE", false},                \
		{"CreatedAt", "CREATED AT", true}, {"Created", "CREATED", true}, {"Bytes", "BYTES", true},             \
		{"Broken", "BROKEN", true}, {"BuiltIn", "BUILT IN", true}, {"ReadOnly", "R/O", true}, OUT_COLUMN_END
static const struct out_column plain_columns[] = {COLUMNS(true)};
static const struct out_column digest_columns[] = {COLUMNS(false)};

enum { DANGLING_ANY = -1 };

struct image_filter {
	const char *reference;
	int dangling;
	struct strv labels; /* "key" or "key=value" */
	int64_t before;	    /* created strictly before */
	int64_t since;	    /* created strictly after */
};

/* "before=IMAGE": the time that image was made. */
static int created_of(const char *root, const char *ref, int64_t *ret, struct err *e)
{
	json_t *doc = NULL;
	int r = image_inspect(root, ref, &doc, e);
	autojson json_t *owned = doc;
	if (r < 0)
		return r;
	const char *created = json_str_or_null(owned, "Created");
	return fmt_parse_time(created ? created : "", "created", ret, e);
}

static int time_of(const char *text, int64_t now, int64_t *ret, struct err *e)
{
	int64_t ns;
	int r = fmt_parse_when(text, "--filter until", now * 1000000000, &ns, e);
	if (r == 0)
		*ret = ns / 1000000000;
	return r;
}

static int read_filter(const char *root, const char *text, int64_t now, struct image_filter *f, struct err *e)
{
	static const char *const names[] = {"reference", "dangling", "label", "before",
					    "since",	 "until",    "after", NULL};
	const char *eq = strchr(text, '=');
	if (!eq)
		return err_set(e, EINVAL, "--filter '%s': NAME=VALUE is expected", text);
	autofree char *name = xstrndup(text, (size_t)(eq - text));
	const char *value = eq + 1;
	int64_t when = 0;
	int r;
	if (str_eq(name, "reference")) {
		f->reference = value;
		return 0;
	}
	if (str_eq(name, "dangling")) {
		if (!str_eq(value, "true") && !str_eq(value, "false"))
			return err_set(e, EINVAL, "--filter '%s': true or false is expected", text);
		f->dangling = str_eq(value, "true");
		return 0;
	}
	if (str_eq(name, "label")) {
		strv_add(&f->labels, value);
		return 0;
	}
	if (str_eq(name, "before") || str_eq(name, "until")) {
		r = str_eq(name, "until") ? time_of(value, now, &when, e) : created_of(root, value, &when, e);
		f->before = RL_MIN(f->before, when);
		return r;
	}
	if (str_eq(name, "since") || str_eq(name, "after")) {
		r = created_of(root, value, &when, e);
		f->since = RL_MAX(f->since, when);
		return r;
	}
	const char *near = str_nearest(name, names);
	err_set(e, EINVAL, "--filter '%s': there is no filter '%s'", text, name);
	return near ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
}

static bool has_labels(const char *root, const struct store_entry *i, const struct strv *wanted)
{
	json_t *doc = NULL;
	if (image_inspect(root, i->config_digest, &doc, NULL) < 0)
		return false;
	autojson json_t *owned = doc;
	const json_t *labels = json_object_get(json_object_get(owned, "Config"), "Labels");
	for (size_t k = 0; k < wanted->count; k++) {
		const char *eq = strchr(wanted->items[k], '=');
		autofree char *key = eq ? xstrndup(wanted->items[k], (size_t)(eq - wanted->items[k]))
					: xstrdup(wanted->items[k]);
		const char *value = json_string_value(json_object_get(labels, key));
		if (!value || (eq && !str_eq(value, eq + 1)))
			return false;
	}
	return true;
}

static bool passes(const char *root, const struct store_entry *i, const struct image_filter *f)
{
	if (f->dangling != DANGLING_ANY && (*i->name == '\0') != f->dangling)
		return false;
	if (f->before != INT64_MAX || f->since != INT64_MIN) {
		int64_t created;
		if (fmt_parse_time(i->created, "created", &created, NULL) < 0)
			return false;
		if (created >= f->before || created <= f->since)
			return false;
	}
	return !f->labels.count || has_labels(root, i, &f->labels);
}

static json_t *make_row(const struct store_entry *i, const struct cmd_ctx *ctx, const struct images_opts *o,
			int64_t now)
{
	struct image_text_name name;
	char text[FMT_SIZE];
	int64_t created = 0;
	bool known = fmt_parse_time(i->created, "created", &created, NULL) == 0;
	json_t *row = json_object();
	image_text_name(i->name, ctx->flavour, &name);
	autofree char *id = image_text_id(i->config_digest, o->no_trunc);
	autofree char *ago = i->broken ? xstrdup("broken") : image_text_ago(i->created, now);
	json_put_str(row, "Repository", name.repository);
	json_put_str(row, "Tag", name.tag);
	json_put_str(row, "Digest", *i->manifest_digest ? i->manifest_digest : "<none>");
	json_put_str(row, "ID", id);
	json_put_str(row, "CreatedSince", ago);
	fmt_time_long(created, text);
	json_put_str(row, "CreatedAt", known ? text : "N/A");
	json_put_int(row, "Created", created);
	fmt_size(i->size > 0 ? (uint64_t)i->size : 0, text);
	json_put_str(row, "Size", text);
	json_put_int(row, "Bytes", i->size);
	json_put_bool(row, "Broken", i->broken);
	json_put_bool(row, "BuiltIn", i->builtin && !i->shared);
	json_put_bool(row, "ReadOnly", i->builtin);
	image_text_name_free(&name);
	return row;
}

struct sort_key {
	const char *field;
	int direction;
};

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct sort_key *key = arg;
	const json_t *x = json_object_get(*(json_t *const *)a, key->field);
	const json_t *y = json_object_get(*(json_t *const *)b, key->field);
	if (json_is_integer(x)) {
		json_int_t i = json_integer_value(x);
		json_int_t k = json_integer_value(y);
		return key->direction * ((i > k) - (i < k));
	}
	return key->direction * strcmp(json_string_value(x), json_string_value(y));
}

static int sort_rows(json_t *rows, const char *sort, struct err *e)
{
	static const struct {
		const char *name;
		struct sort_key key;
	} orders[] = {
		{"created", {"Created", -1}}, {"id", {"ID", 1}},   {"repository", {"Repository", 1}},
		{"size", {"Bytes", 1}},	      {"tag", {"Tag", 1}},
	};
	size_t n = json_array_size(rows);
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		if (!str_eq(sort, orders[i].name))
			continue;
		autofree json_t **items = xcalloc(n + 1, sizeof(json_t *));
		for (size_t k = 0; k < n; k++)
			items[k] = json_incref(json_array_get(rows, k));
		struct sort_key key = orders[i].key;
		qsort_r(items, n, sizeof(json_t *), compare_rows, &key);
		json_array_clear(rows);
		for (size_t k = 0; k < n; k++)
			json_array_append_new(rows, items[k]);
		return 0;
	}
	return err_set(e, EINVAL, "--sort '%s': created, id, repository, size or tag is expected", sort);
}

static int collect(const struct cmd_ctx *ctx, const struct images_opts *o, const struct image_filter *f, json_t *rows,
		   int64_t now, struct err *e)
{
	struct store_list list = {.items = NULL};
	int r = image_entries(ctx->store_root, f->reference, &list, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < list.count; i++)
		if (passes(ctx->store_root, &list.items[i], f))
			json_array_append_new(rows, make_row(&list.items[i], ctx, o, now));
	store_list_free(&list);
	return sort_rows(rows, o->sort ? o->sort : "created", e);
}

static int images_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	const struct images_opts *o = opts;
	struct image_filter f = {.dangling = DANGLING_ANY, .before = INT64_MAX, .since = INT64_MIN};
	int64_t now = time(NULL);
	int r = 0;
	for (size_t i = 0; i < o->filters.count && r >= 0; i++)
		r = read_filter(ctx->store_root, o->filters.items[i], now, &f, e);
	if (args->operands.count)
		f.reference = args->operands.items[0];
	autojson json_t *rows = json_array();
	if (r >= 0)
		r = collect(ctx, o, &f, rows, now, e);
	strv_free(&f.labels);
	if (r < 0)
		return r;
	const struct out_style style = {
		.columns = o->digests ? digest_columns : plain_columns,
		.format = o->quiet ? "{{.ID}}" : o->format,
		.no_heading = o->no_heading,
		.flavour = ctx->flavour,
	};
	autostr struct str out = STR_INIT;
	r = out_rows(&style, rows, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static void images_release(void *opts)
{
	struct images_opts *o = opts;
	free(o->format);
	free(o->sort);
	strv_free(&o->filters);
}

const struct verb verb_images = {
	.name = "images",
	.aliases = "image ls,image list",
	.group = "Images",
	.usage = "[OPTIONS] [REFERENCE]",
	.summary = "list images",
	.example = "  rl images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
	.opts = images_defs,
	.max_operands = 1,
	.complete = COMPLETE_IMAGE,
	.opts_size = sizeof(struct images_opts),
	.release = images_release,
	.run = images_run,
};
