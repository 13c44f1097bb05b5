/*
 * cmd_ps.c - `rl ps`: the containers of the store.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/cmd/out.h"
#include "rl/svc/container.h"
#include "verbs_int.h"

struct ps_opts {
	bool all, quiet, no_trunc, size, latest, no_heading, ns, external, pod;
	unsigned last, watch;
	char *format;
	char *sort;
	struct strv filters;
};

#define S struct ps_opts
static const char options[] = "Options";
static const struct opt_def ps_defs[] = {
	{"all", NULL, 'a', NULL, OPT_GENERIC(opt_set_bool, S, all), 0, options, "also those that do not run", 0, NULL},
	{"quiet", NULL, 'q', NULL, OPT_GENERIC(opt_set_bool, S, quiet), 0, options, "print ids only", 0, NULL},
	{"filter", NULL, 'f', "NAME=VALUE", OPT_GENERIC(opt_set_list, S, filters), OPT_REPEAT, options,
	 "name=, id=, status=, label=, ancestor=, exited=, health= and more", COMPLETE_CHOICES,
	 "name= id= status= label= ancestor= exited= before= since= until= health= restart-policy= network= volume= "
	 "pod= publish= expose= should-start-on-boot="},
	{"format", NULL, 0, "FORMAT", OPT_GENERIC(opt_set_string, S, format), 0, options,
	 "json, or a template such as '{{.Names}} {{.Status}}'", COMPLETE_CHOICES, "json table"},
	{"last", NULL, 'n', "N", OPT_GENERIC(opt_set_uint, S, last), 0, options, "the N made last, in any state", 0,
	 NULL},
	{"latest", NULL, 'l', NULL, OPT_GENERIC(opt_set_bool, S, latest), 0, options, "the one made last, in any state",
	 0, NULL},
	{"no-trunc", "notruncate", 0, NULL, OPT_GENERIC(opt_set_bool, S, no_trunc), 0, options,
	 "print whole ids and commands", 0, NULL},
	{"noheading", "no-heading", 0, NULL, OPT_GENERIC(opt_set_bool, S, no_heading), 0, options,
	 "leave out the heading", 0, NULL},
	{"ns", "namespace", 0, NULL, OPT_GENERIC(opt_set_bool, S, ns), 0, options,
	 "show process id and namespaces instead", 0, NULL},
	{"size", NULL, 's', NULL, OPT_GENERIC(opt_set_bool, S, size), 0, options, "show the size of what was written",
	 0, NULL},
	{"sort", NULL, 0, "FIELD", OPT_GENERIC(opt_set_string, S, sort), 0, options,
	 "created (newest first), id, image, names, pod, size, status or command", COMPLETE_CHOICES,
	 "created id image names pod size status command"},
	{"pod", NULL, 'p', NULL, OPT_GENERIC(opt_set_bool, S, pod), 0, options, "show the pod, too", 0, NULL},
	{"watch", NULL, 'w', "SECONDS", OPT_GENERIC(opt_set_uint, S, watch), 0, options,
	 "show it again every SECONDS until interrupted", 0, NULL},
	{"sync", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, external), OPT_HIDDEN, options,
	 "accepted for scripts: what is shown is always true", 0, NULL},
	{"external", NULL, 0, NULL, OPT_GENERIC(opt_set_bool, S, external), OPT_HIDDEN, options,
	 "accepted for scripts: there are no others", 0, NULL},
	OPT_END,
};
#undef S

#define EXTRAS                                                                                                         \
	{"ImageID", "IMAGE ID", true}, {"CreatedAt", "CREATED AT", true}, {"Created", "CREATED", true},                \
		{"RunningFor", "CREATED", true}, {"State", "STATE", true}, {"Labels", "LABELS", true},                 \
		{"Mounts", "MOUNTS", true}, {"Networks", "NETWORKS", true}, {"LocalVolumes", "LOCAL VOLUMES", true},   \
		{"Pid", "PID", true}, {"ExitCode", "EXIT CODE", true}, {"Restarts", "RESTARTS", true},                 \
		{"Exited", "EXITED", true}, {"StartedAt", "STARTED AT", true}, {"ExitedAt", "EXITED AT", true},        \
	{                                                                                                              \
		"Namespaces", "NAMESPACES", true                                                                       \
	}

#define STANDARD                                                                                                       \
	{"ID", "CONTAINER ID", false}, {"Image", "IMAGE", false}, {"Command", "COMMAND", false},                       \
		{"CreatedSince", "CREATED", false}, {"Status", "STATUS", false}, {"Ports", "PORTS", false},            \
	{                                                                                                              \
		"Names", "NAMES", false                                                                                \
	}

static const struct out_column plain_columns[] = {STANDARD, {"Size", "SIZE", true}, EXTRAS, OUT_COLUMN_END};
static const struct out_column size_columns[] = {STANDARD, {"Size", "SIZE", false}, EXTRAS, OUT_COLUMN_END};
static const struct out_column pod_columns[] = {
	STANDARD, {"Pod", "POD ID", false}, {"Size", "SIZE", true}, EXTRAS, OUT_COLUMN_END};
static const struct out_column ns_columns[] = {
	{"ID", "CONTAINER ID", false}, {"Names", "NAMES", false}, {"Pid", "PID", false}, {"cgroup", "CGROUPNS", false},
	{"ipc", "IPC", false},	       {"mnt", "MNT", false},	  {"net", "NET", false}, {"pid", "PIDNS", false},
	{"user", "USERNS", false},     {"uts", "UTS", false},	  OUT_COLUMN_END,
};

/* "pid:[4026531836]" of each kind as a member of the row itself: the number alone. */
static void flatten_namespaces(json_t *rows)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"};
		const json_t *spaces = json_object_get(row, "Namespaces");
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			const char *text = json_str_or_null(spaces, kinds[k]);
			const char *open = text ? strchr(text, '[') : NULL;
			autofree char *number = open ? xstrndup(open + 1, strcspn(open + 1, "]")) : xstrdup("");
			json_put_str(row, kinds[k], number);
		}
	}
}

static int compare_rows(const void *a, const void *b, void *field)
{
	int64_t m = json_int_or(*(json_t *const *)a, field, 0);
	int64_t n = json_int_or(*(json_t *const *)b, field, 0);
	const char *x = json_str_or_null(*(json_t *const *)a, field);
	const char *y = json_str_or_null(*(json_t *const *)b, field);
	return m != n ? (m < n ? -1 : 1) : strcmp(x ? x : "", y ? y : "");
}

static int sort_rows(json_t *rows, const char *sort, struct err *e)
{
	static const struct {
		const char *name, *field;
	} orders[] = {{"id", "ID"},	    {"image", "Image"}, {"names", "Names"},	{"name", "Names"},
		      {"status", "Status"}, {"pod", "Pod"},	{"command", "Command"}, {"size", "SizeRw"}};
	if (!sort || str_eq(sort, "created") || str_eq(sort, "runningfor"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		if (!str_eq(sort, orders[i].name))
			continue;
		size_t n = json_array_size(rows);
		autofree json_t **items = xcalloc(n + 1, sizeof(json_t *));
		autofree char *field = xstrdup(orders[i].field);
		for (size_t k = 0; k < n; k++)
			items[k] = json_incref(json_array_get(rows, k));
		qsort_r(items, n, sizeof(json_t *), compare_rows, field);
		json_array_clear(rows);
		for (size_t k = 0; k < n; k++)
			json_array_append_new(rows, items[k]);
		return 0;
	}
	return err_set(e, EINVAL, "--sort '%s': created, id, image, names, pod, size, status or command is expected",
		       sort);
}

static int show(const struct cmd_ctx *ctx, const struct ps_opts *o, const char *before, struct err *e)
{
	const struct container_selection sel = {
		.all = true,
		.running_only = !o->all,
		.latest = o->latest,
		.last = (int)RL_MIN(o->last, 1000000U),
		.filters = &o->filters,
	};
	const struct container_rows_opts ro = {
		.no_trunc = o->no_trunc,
		.sizes = o->size || (o->sort && str_eq(o->sort, "size")) ||
			 (o->format && !o->quiet && strstr(o->format, ".Size")),
		.all = o->ns || o->pod || (o->sort && str_eq(o->sort, "pod")) || (o->format && !o->quiet),
	};
	json_t *rows = NULL;
	int r = container_rows(ctx->store_root, &sel, &ro, &rows, e);
	autojson json_t *owned = rows;
	if (r >= 0)
		r = sort_rows(owned, o->sort, e);
	if (r < 0)
		return r;
	if (o->ns)
		flatten_namespaces(owned);
	const struct out_style style = {
		.columns = o->ns     ? ns_columns
			   : o->pod  ? pod_columns
			   : o->size ? size_columns
				     : plain_columns,
		.format = o->quiet ? "{{.ID}}" : o->format,
		.no_heading = o->no_heading,
		.flavour = ctx->flavour,
	};
	autostr struct str out = STR_INIT;
	str_adds(&out, before);
	r = out_rows(&style, owned, &out, e);
	return r < 0 ? r : out_flush(&out, e);
}

static int ps_run(const struct cmd_ctx *ctx, void *opts, const struct opt_args *args, struct err *e)
{
	static const char clear[] = "\033[H\033[2J";
	const struct ps_opts *o = opts;
	(void)args;
	int r = show(ctx, o, o->watch && isatty(STDOUT_FILENO) ? clear : "", e);
	while (r >= 0 && o->watch) {
		poll(NULL, 0, (int)RL_MIN(o->watch, 1000000U) * 1000);
		r = show(ctx, o, isatty(STDOUT_FILENO) ? clear : "", e);
	}
	return r;
}

static void ps_release(void *opts)
{
	struct ps_opts *o = opts;
	free(o->format);
	free(o->sort);
	strv_free(&o->filters);
}

const struct verb verb_ps = {
	.name = "ps",
	.aliases = "container ls,container list,container ps",
	.group = "Containers",
	.usage = "[OPTIONS]",
	.summary = "list containers",
	.example = "  rl ps -a --format '{{.Names}} {{.Status}}'",
	.opts = ps_defs,
	.opts_size = sizeof(struct ps_opts),
	.release = ps_release,
	.run = ps_run,
};
