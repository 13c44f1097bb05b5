/*
 * system_usage.c - what the store needs room for, and making room: `system df` and `system prune`; see rl/svc/system.h.
 *
 * Theory: images share blobs and layers, so sizes of images cannot be added. Every image is taken apart into objects
 * (a blob; a layer, once for each id map it is unpacked for), the objects are sorted by name, and each group of equal
 * ones counts once for the store, as shared for its images if it belongs to more than one, as needed if one of them has
 * a container. Sizes are those of blobs and of the files in layers, not of directories and block rounding.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/engine/store_check.h"
#include "rl/kern/tree.h"
#include "rl/model/imgref.h"
#include "rl/svc/container.h"
#include "rl/svc/network.h"
#include "rl/svc/volume.h"
#include "system_int.h"

struct object {
	const char *id; /* borrowed from the records */
	int64_t size;
	size_t image;
};

struct usage_image {
	char *name; /* canonical, "" if it has none */
	struct store_record record;
	int64_t size, shared, unique;
	size_t containers;
};

struct usage {
	struct store s;
	struct usage_image *images; /* one per manifest */
	size_t nimages;
	struct object *objects;
	size_t nobjects;
	struct strv layers; /* hex of every unpacked layer, once per map, sorted */
	int64_t total, needed;
};

static void usage_free(struct usage *u)
{
	for (size_t i = 0; i < u->nimages; i++) {
		free(u->images[i].name);
		store_record_free(&u->images[i].record);
	}
	free(u->images);
	free(u->objects);
	strv_free(&u->layers);
	store_close(&u->s);
}

/* Of every unpacked layer, sorted. */
static int read_layers(struct usage *u, struct err *e)
{
	autostrv struct strv paths = STRV_INIT;
	int r = store_check_layers(&u->s, &paths, e);
	for (size_t i = 0; r >= 0 && i < paths.count; i++)
		strv_add(&u->layers, strchr(paths.items[i], '/') + 1);
	strv_sort(&u->layers);
	return r;
}

/* For how many maps is the layer unpacked? */
static size_t count_maps(const struct usage *u, const char *hex)
{
	char **found = strv_find_sorted(&u->layers, hex);
	size_t n = 0;
	if (!found)
		return 0;
	char **first = found;
	while (first > u->layers.items && str_eq(first[-1], hex))
		first--;
	while (first + n < u->layers.items + u->layers.count && str_eq(first[n], hex))
		n++;
	return n;
}

static void add_object(struct usage *u, const char *id, int64_t size, size_t image)
{
	if ((u->nobjects & (u->nobjects + 1)) == 0)
		u->objects = xreallocarray(u->objects, 2 * u->nobjects + 2, sizeof(*u->objects));
	u->objects[u->nobjects++] = (struct object){id, size > 0 ? size : 0, image};
}

static void add_objects(struct usage *u, size_t image)
{
	const struct store_record *r = &u->images[image].record;
	if (!r->builtin) {
		add_object(u, r->manifest, r->manifest_size, image);
		add_object(u, r->config, r->config_size, image);
	}
	for (size_t i = 0; i < r->nlayers; i++) {
		size_t maps = count_maps(u, r->layers[i].key);
		if (!r->builtin)
			add_object(u, r->layers[i].blob, r->layers[i].blob_size, image);
		if (maps)
			add_object(u, r->layers[i].key, r->layers[i].unpacked_size * (int64_t)maps, image);
	}
}

static int by_object(const void *a, const void *b)
{
	const struct object *x = a;
	const struct object *y = b;
	int order = strcmp(x->id, y->id);
	return order ? order : (x->image > y->image) - (x->image < y->image);
}

/* One group of equal objects: [from, to). An image may have the same layer twice. */
static void count_group(struct usage *u, size_t from, size_t to)
{
	bool needed = false;
	bool shared = u->objects[to - 1].image != u->objects[from].image;
	int64_t size = u->objects[from].size;
	for (size_t i = from; i < to; i++) {
		struct usage_image *image = &u->images[u->objects[i].image];
		/* Room for a built-in image cannot be had back by removing it. */
		needed = needed || image->containers || image->record.builtin;
		if (i > from && u->objects[i - 1].image == u->objects[i].image)
			continue;
		image->size += size;
		*(shared ? &image->shared : &image->unique) += size;
	}
	u->total += size;
	u->needed += needed ? size : 0;
}

static void count_objects(struct usage *u)
{
	if (u->nobjects)
		qsort(u->objects, u->nobjects, sizeof(*u->objects), by_object);
	for (size_t from = 0, to; from < u->nobjects; from = to) {
		for (to = from; to < u->nobjects && str_eq(u->objects[to].id, u->objects[from].id); to++)
			;
		count_group(u, from, to);
	}
}

/* Every image once, under the first of its names. */
static int read_images(struct usage *u, struct err *e)
{
	struct store_list list = {0};
	int r = store_list(&u->s, &list, e);
	u->images = xcalloc(list.count + 1, sizeof(*u->images));
	for (size_t i = 0; r >= 0 && i < list.count; i++) {
		const struct store_entry *entry = &list.items[i];
		bool twin = entry->broken;
		for (size_t k = 0; k < u->nimages && !twin; k++)
			twin = str_eq(u->images[k].record.manifest, entry->manifest_digest);
		struct usage_image image = {.name = NULL};
		/* A built-in image that was never unpacked has no record, and needs no room. */
		if (twin || store_record_read(&u->s, entry->manifest_digest, &image.record, NULL) < 0)
			continue;
		autostrv struct strv ids = STRV_INIT;
		if (store_image_users(&u->s, &image.record, &ids, NULL) >= 0)
			image.containers = ids.count;
		image.name = xstrdup(entry->name);
		u->images[u->nimages++] = image;
	}
	store_list_free(&list);
	return r;
}

static int usage_read(const char *root, struct usage *u, struct err *e)
{
	*u = (struct usage){.nimages = 0};
	int r = store_open(root, true, &u->s, e);
	if (r < 0)
		return r;
	r = read_images(u, e);
	if (r >= 0)
		r = read_layers(u, e);
	for (size_t i = 0; r >= 0 && i < u->nimages; i++)
		add_objects(u, i);
	count_objects(u);
	return r;
}

/* ---- documents ---- */

static void put_size(json_t *row, const char *field, int64_t bytes)
{
	char text[FMT_SIZE];
	autofree char *raw = xasprintf("Raw%s", field);
	fmt_size(bytes > 0 ? (uint64_t)bytes : 0, text);
	json_put_str(row, field, text);
	json_put_int(row, raw, bytes);
}

static void add_summary(json_t *rows, const char *type, size_t total, size_t active, int64_t size, int64_t reclaimable)
{
	char text[FMT_SIZE];
	json_t *row = json_object();
	json_put_str(row, "Type", type);
	json_put_int(row, "Total", (int64_t)total);
	json_put_int(row, "TotalCount", (int64_t)total);
	json_put_int(row, "Active", (int64_t)active);
	put_size(row, "Size", size);
	fmt_size(reclaimable > 0 ? (uint64_t)reclaimable : 0, text);
	autofree char *share = xasprintf("%s (%lld%%)", text, size > 0 ? (long long)(reclaimable * 100 / size) : 0LL);
	json_put_str(row, "Reclaimable", share);
	json_put_int(row, "RawReclaimable", reclaimable);
	json_array_append_new(rows, row);
}

static json_t *image_rows(const struct usage *u, json_t *summary)
{
	json_t *rows = json_array();
	size_t active = 0;
	for (size_t i = 0; i < u->nimages; i++) {
		const struct usage_image *image = &u->images[i];
		json_t *row = json_object();
		json_put_str(row, "Name", image->name);
		json_put_str(row, "ID", image->record.config);
		json_put_str(row, "Created", image->record.created);
		put_size(row, "Size", image->size);
		put_size(row, "SharedSize", image->shared);
		put_size(row, "UniqueSize", image->unique);
		json_put_int(row, "Containers", (int64_t)image->containers);
		json_array_append_new(rows, row);
		active += image->containers > 0;
	}
	add_summary(summary, "Images", u->nimages, active, u->total, u->total - u->needed);
	return rows;
}

static void sum_containers(const json_t *rows, json_t *summary)
{
	size_t i;
	json_t *row;
	size_t active = 0;
	int64_t size = 0;
	int64_t reclaimable = 0;
	json_array_foreach (rows, i, row) {
		const char *state = json_str_or_null(row, "State");
		bool alive = state && (str_eq(state, "running") || str_eq(state, "paused") ||
				       str_eq(state, "restarting") || str_eq(state, "stopping"));
		int64_t bytes = json_int_or(row, "SizeRw", 0);
		active += alive;
		size += bytes;
		reclaimable += alive ? 0 : bytes;
	}
	add_summary(summary, "Containers", json_array_size(rows), active, size, reclaimable);
}

static bool has_name(const json_t *rows, const char *name)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row)
		if (str_eq(json_str_or_null(row, "Name"), name))
			return true;
	return false;
}

/* Directories that only the container's ids may read count by themselves. */
static int64_t measure(const char *path)
{
	struct tree_stats stats = {.bytes = 0};
	autofd int fd = io_open_dir(AT_FDCWD, path, false, 0, NULL);
	if (fd >= 0)
		(void)!tree_measure(fd, 0, &stats, NULL);
	return (int64_t)stats.bytes;
}

static int add_volumes(const char *root, json_t *report, json_t *summary, struct err *e)
{
	const struct strv none = STRV_INIT;
	autostrv struct strv unused = STRV_INIT;
	json_t *rows = NULL;
	json_t *dangling = NULL;
	size_t i;
	json_t *row;
	size_t active = 0;
	int64_t size = 0;
	int64_t reclaimable = 0;
	strv_add(&unused, "dangling=true");
	int r = volume_rows(root, &none, &rows, e);
	if (r >= 0)
		json_put(report, "Volumes", rows);
	if (r >= 0)
		r = volume_rows(root, &unused, &dangling, e);
	autojson json_t *owned = dangling;
	if (r < 0)
		return r;
	json_array_foreach (rows, i, row) {
		bool used = !has_name(owned, json_str_or_null(row, "Name"));
		int64_t bytes = measure(json_str_or_null(row, "Mountpoint"));
		put_size(row, "Size", bytes);
		json_put_bool(row, "InUse", used);
		active += used;
		size += bytes;
		reclaimable += used ? 0 : bytes;
	}
	add_summary(summary, "Local Volumes", json_array_size(rows), active, size, reclaimable);
	return 0;
}

int system_df(const char *root, json_t **ret_report, struct err *e)
{
	struct usage u;
	const struct container_selection all = {.all = true};
	json_t *containers = NULL;
	autojson json_t *report = json_object();
	json_t *summary = json_array();
	json_put(report, "Summary", summary);
	int r = usage_read(root, &u, e);
	if (r >= 0)
		json_put(report, "Images", image_rows(&u, summary));
	usage_free(&u);
	if (r >= 0)
		r = container_rows(root, &all, &(struct container_rows_opts){.sizes = true, .all = true}, &containers,
				   e);
	if (r < 0)
		return r;
	sum_containers(containers, summary);
	json_put(report, "Containers", containers);
	r = add_volumes(root, report, summary, e);
	if (r < 0)
		return r;
	*ret_report = take_ptr(&report);
	return 0;
}

/* ---- prune ---- */

void system_pruned_free(struct system_pruned *p)
{
	strv_free(&p->containers);
	strv_free(&p->networks);
	strv_free(&p->volumes);
	image_removed_free(&p->images);
	*p = (struct system_pruned){.bytes = 0};
}

struct prune_filter {
	struct strv labels, not_labels; /* "key" or "key=value", borrowed texts copied */
	int64_t until;			/* created before, INT64_MAX: whenever */
};

static int read_until(const char *text, int64_t *ret, struct err *e)
{
	int64_t ns;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int r = fmt_parse_when(text, "--filter until", (int64_t)now.tv_sec * 1000000000, &ns, e);
	if (r == 0)
		*ret = ns / 1000000000;
	return r;
}

static int read_filters(const struct strv *filters, struct prune_filter *f, struct err *e)
{
	for (size_t i = 0; i < filters->count; i++) {
		const char *text = filters->items[i];
		const char *label = str_after(text, "label=");
		const char *not_label = str_after(text, "label!=");
		const char *until = str_after(text, "until=");
		if (label)
			strv_add(&f->labels, label);
		else if (not_label)
			strv_add(&f->not_labels, not_label);
		else if (!until)
			return err_set(e, EINVAL, "--filter '%s': label=, label!= or until= is expected", text);
		else if (read_until(until, &f->until, e) < 0)
			return -EINVAL;
	}
	return 0;
}

static bool has_label(const json_t *labels, const char *wanted)
{
	const char *eq = strchr(wanted, '=');
	autofree char *key = eq ? xstrndup(wanted, (size_t)(eq - wanted)) : xstrdup(wanted);
	const char *value = json_string_value(json_object_get(labels, key));
	return value && (!eq || str_eq(value, eq + 1));
}

static bool passes(const char *root, const struct store_entry *entry, const struct prune_filter *f)
{
	int64_t created = INT64_MIN;
	json_t *doc = NULL;
	if (f->until != INT64_MAX &&
	    (fmt_parse_time(entry->created, "created", &created, NULL) < 0 || created >= f->until))
		return false;
	if (!f->labels.count && !f->not_labels.count)
		return true;
	if (image_inspect(root, entry->config_digest, &doc, NULL) < 0)
		return false;
	autojson json_t *owned = doc;
	const json_t *labels = json_object_get(json_object_get(owned, "Config"), "Labels");
	for (size_t i = 0; i < f->labels.count; i++)
		if (!has_label(labels, f->labels.items[i]))
			return false;
	for (size_t i = 0; i < f->not_labels.count; i++)
		if (has_label(labels, f->not_labels.items[i]))
			return false;
	return true;
}

struct prune_arg {
	const char *root;
	const struct prune_filter *filter;
};

static bool is_prunable(const struct store_entry *entry, void *arg)
{
	const struct prune_arg *a = arg;
	return passes(a->root, entry, a->filter);
}

int image_prune(const char *root, bool all, const struct strv *filters, struct image_removed *ret_removed,
		struct err *e)
{
	struct prune_filter f = {.until = INT64_MAX};
	struct prune_arg arg = {root, &f};
	int r = read_filters(filters, &f, e);
	if (r >= 0)
		r = image_prune_filtered(root, all, is_prunable, &arg, ret_removed, e);
	strv_free(&f.labels);
	strv_free(&f.not_labels);
	return r;
}

/* What is there before and after says more than adding up what went: layers are shared. */
static int64_t room(const char *root)
{
	struct usage u;
	struct err ignored = ERR_INIT;
	int64_t total = usage_read(root, &u, &ignored) < 0 ? 0 : u.total;
	usage_free(&u);
	return total;
}

static int prune_all(const struct system_prune_opts *o, const struct prune_filter *f, struct system_pruned *p,
		     struct err *e)
{
	struct store s;
	struct store_gc_result result = {0};
	int64_t before = room(o->root);
	uint64_t volume_bytes = 0;
	struct prune_arg arg = {o->root, f};
	int r = container_prune(o->root, &o->filters, &p->containers, e);
	if (r >= 0)
		r = network_prune(o->root, &o->filters, &p->networks, e);
	if (r >= 0 && o->volumes)
		r = volume_prune(o->root, false, &o->filters, &p->volumes, &volume_bytes, e);
	if (r >= 0)
		r = image_prune_filtered(o->root, o->all, is_prunable, &arg, &p->images, e);
	if (r >= 0)
		r = store_open(o->root, true, &s, e);
	if (r < 0)
		return r;
	/* Also what crashes left, which no image tells of. */
	int64_t partial = 0;
	r = store_gc(&s, &result, e);
	if (r >= 0)
		r = store_drop_partials(&s, 0, &partial, e);
	r = r < 0 ? r : 0;
	store_gc_result_free(&result);
	store_close(&s);
	p->bytes = RL_MAX((int64_t)0, before - room(o->root)) + (int64_t)volume_bytes;
	return r;
}

int system_prune(const struct system_prune_opts *o, struct system_pruned *ret_pruned, struct err *e)
{
	struct prune_filter f = {.until = INT64_MAX};
	struct system_pruned p = {.bytes = 0};
	int r = read_filters(&o->filters, &f, e);
	if (r >= 0)
		r = prune_all(o, &f, &p, e);
	strv_free(&f.labels);
	strv_free(&f.not_labels);
	if (r < 0)
		system_pruned_free(&p);
	else
		*ret_pruned = p;
	return r;
}
