/*
 * host_apply.c - see rl/svc/host.h.
 *
 * All of the looking and making is done by one child in the user namespace of the container's map, which may read what a
 * payload has made unreadable and has no other privilege: whether something may be written here is decided by the kernel
 * against the caller's own ids. It writes "VERDICT KIND PATH NUL REASON NUL" for each change into a pipe.
 */
#include "rl/svc/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host_changes.h"
#include "host_image.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/patch.h"
#include "rl/kern/caps.h"
#include "rl/svc/container.h"

enum { LIST_MAX = 1 << 30, CAP_READ = 2 /* CAP_DAC_READ_SEARCH */ };

static const char *const verdict_names[] = {
	[PATCH_FINE] = "apply", [PATCH_CONFLICT] = "conflict", [PATCH_DENIED] = "denied", [PATCH_SKIPPED] = "skipped"};

struct item {
	struct change change; /* path is owned by the list of its part */
	struct patch_target *target;
	enum patch_verdict verdict;
	char *reason;
};

struct work {
	const struct host_apply_opts *o;
	const struct host_layers *layers;
	const struct strv *hidden;
	int64_t since_ns;
	bool is_root; /* the caller, outside */
	int outfd;
	struct change_list *lists; /* one per part */
	struct patch_target *targets;
	struct item *items;
	size_t count;
};

/* ---- in the child ---- */

static int drop_privileges(struct err *e)
{
	const uint64_t read = UINT64_C(1) << CAP_READ;
	const struct caps_sets sets = {.bounding = read, .permitted = read, .effective = read};
	return caps_after_setid(&sets, e);
}

/* What was asked for, and the new directories it lies in. */
static bool is_wanted(const struct work *w, const struct change *c)
{
	const struct strv *paths = w->o->paths;
	for (size_t i = 0; i < paths->count; i++)
		if (path_is_below(c->path, paths->items[i]) ||
		    (c->kind == CHANGE_ADDED && path_is_below(paths->items[i], c->path)))
			return true;
	return paths->count == 0;
}

static int open_target(const struct work *w, const struct host_layer *l, struct patch_target *t, struct err *e)
{
	*t = (struct patch_target){.path = l->path, .upper = -1, .host = -1};
	t->since_ns = w->o->force ? INT64_MAX : w->since_ns;
	t->upper = openat(l->upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->host = openat(l->host, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->upper < 0 || t->host < 0 ? err_sys(e, errno, "open %s", l->path) : 0;
}

static int collect(struct work *w, struct err *e)
{
	w->lists = xcalloc(w->layers->count + 1, sizeof(*w->lists));
	w->targets = xcalloc(w->layers->count + 1, sizeof(*w->targets));
	for (size_t i = 0; i < w->layers->count; i++) {
		int r = host_layer_changes(&w->layers->items[i], w->hidden, &w->lists[i], e);
		if (r == 0 && w->lists[i].count)
			r = open_target(w, &w->layers->items[i], &w->targets[i], e);
		if (r < 0)
			return r;
		w->items = xreallocarray(w->items, w->count + w->lists[i].count + 1, sizeof(*w->items));
		for (size_t k = 0; k < w->lists[i].count; k++)
			if (is_wanted(w, &w->lists[i].items[k]))
				w->items[w->count++] = (struct item){.change = w->lists[i].items[k],
								     .target = &w->targets[i]};
	}
	return 0;
}

/* How many may not be done. */
static size_t check(struct work *w)
{
	size_t refused = 0;
	for (size_t i = 0; i < w->count; i++) {
		struct item *it = &w->items[i];
		struct err why = ERR_INIT;
		it->verdict = patch_check(it->target, it->change.kind, it->change.path, &why);
		it->reason = it->verdict == PATCH_FINE ? NULL : xstrdup(why.text);
		refused += it->verdict == PATCH_CONFLICT || it->verdict == PATCH_DENIED;
	}
	return refused;
}

static int change_all(struct work *w, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < w->count && r == 0; i++)
		if (w->items[i].verdict == PATCH_FINE)
			r = patch_change(w->items[i].target, w->items[i].change.kind, w->items[i].change.path, e);
	for (size_t i = w->count; i-- > 0 && r == 0;)
		if (w->items[i].verdict == PATCH_FINE)
			r = patch_finish(w->items[i].target, w->items[i].change.kind, w->items[i].change.path, e);
	return r < 0 ? err_hint(e, "what came before it is done; the rest is done by the same command again") : 0;
}

static int tell(const struct work *w, struct err *e)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < w->count; i++) {
		const struct item *it = &w->items[i];
		const char *reason = it->reason ? it->reason : "";
		str_addc(&out, (char)('0' + it->verdict));
		str_addc(&out, it->change.kind);
		str_add(&out, it->change.path, strlen(it->change.path) + 1);
		str_add(&out, reason, strlen(reason) + 1);
	}
	return io_write_all(w->outfd, out.buf, out.len, e);
}

/* The process ends with it: nothing is released. */
static int work(void *arg, struct err *e)
{
	struct work *w = arg;
	/* Root of the machine may write everything, and give it to everybody. */
	int r = w->is_root ? 0 : drop_privileges(e);
	if (r == 0)
		r = collect(w, e);
	if (r < 0)
		return r;
	size_t refused = check(w);
	if (!refused && !w->o->dry_run)
		r = change_all(w, e);
	return r < 0 ? r : tell(w, e);
}

/* ---- in the caller ---- */

static json_t *to_rows(const struct str *text, size_t *ret_refused)
{
	json_t *rows = json_array();
	for (size_t at = 0; at < text->len;) {
		const char *line = text->buf + at;
		const char *reason = line + strlen(line) + 1;
		const char kind[] = {line[1], '\0'};
		enum patch_verdict v = (enum patch_verdict)(line[0] - '0');
		json_t *row = json_object();
		json_put_str(row, "kind", kind);
		json_put_str(row, "path", line + 2);
		json_put_str(row, "verdict", verdict_names[v]);
		json_put_str(row, "reason", reason);
		json_array_append_new(rows, row);
		*ret_refused += v == PATCH_CONFLICT || v == PATCH_DENIED;
		at += strlen(line) + 1 + strlen(reason) + 1;
	}
	return rows;
}

static int run_child(const struct container_stack *k, struct work *w, json_t **ret_rows, size_t *ret_refused,
		     struct err *e)
{
	int ends[2];
	autostr struct str text = STR_INIT;
	struct inside_job job = INSIDE_JOB_NONE;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int from = ends[0];
	w->outfd = ends[1];
	int r = inside_start(
		&(struct inside){
			.map = k->has_map ? &k->map : NULL, .fn = work, .arg = w, .what = "the taking over of changes"},
		&job, e);
	close(ends[1]);
	if (r < 0)
		return r;
	struct err why = ERR_INIT;
	int read = io_read_rest(from, LIST_MAX, "the list of changes", &text, &why);
	r = inside_finish(&job, e);
	if (r == 0 && read < 0) {
		if (e)
			*e = why;
		return read;
	}
	if (r == 0)
		*ret_rows = to_rows(&text, ret_refused);
	return r;
}

static int apply_stack(const struct container_stack *k, const struct host_apply_opts *o, json_t **ret_rows,
		       size_t *ret_refused, struct err *e)
{
	struct host_layers layers;
	autostrv struct strv hidden = STRV_INIT;
	if (!host_image_is(&k->rec.config.o))
		return err_set(e, EINVAL, "container %s has an image: it changed nothing of this machine",
			       k->rec.config.name);
	if (k->own < 0) {
		err_set(e, EBUSY, "container %s runs: what it changes is not finished", k->rec.config.name);
		return err_hint(e, "rl stop %s", k->rec.config.name);
	}
	int r = host_layers_open(k, &layers, e);
	if (r < 0)
		return r;
	host_hidden(k, &hidden);
	struct work w = {.o = o,
			 .layers = &layers,
			 .hidden = &hidden,
			 .since_ns = k->rec.config.created,
			 .is_root = geteuid() == 0};
	r = run_child(k, &w, ret_rows, ret_refused, e);
	host_layers_close(&layers);
	return r;
}

int host_apply(const struct host_apply_opts *o, json_t **ret_rows, size_t *ret_refused, struct err *e)
{
	struct container_stack k;
	autofree char *latest = NULL;
	*ret_refused = 0;
	int r = o->container ? 0 : host_latest(o->root, &latest, e);
	if (r == 0)
		r = container_stack_open(o->root, o->container ? o->container : latest, STACK_OWN, &k, e);
	if (r < 0)
		return r;
	r = apply_stack(&k, o, ret_rows, ret_refused, e);
	container_stack_close(&k);
	return r;
}

int host_latest(const char *root, char **ret_id, struct err *e)
{
	struct store s;
	struct container_list l = {.items = NULL};
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = container_store_list(&s, &l, e);
	for (size_t i = 0; r == 0 && i < l.count && !*ret_id; i++)
		if (!l.items[i].broken && host_image_is(&l.items[i].config.o))
			*ret_id = xstrdup(l.items[i].config.id);
	container_list_free(&l);
	store_close(&s);
	if (r == 0 && !*ret_id) {
		err_set(e, ENOENT, "there is no container of `rl run host`");
		return err_hint(e, "rl run host COMMAND makes one");
	}
	return r;
}

static int discard_one(const char *root, const char *name, bool force, struct err *e)
{
	struct store s;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0 && !host_image_is(&rec.config.o)) {
		err_set(e, EINVAL, "container %s has an image: it changed nothing of this machine", rec.config.name);
		err_hint(e, "rl rm %s removes it", rec.config.name);
		r = -EINVAL;
	}
	store_close(&s);
	return r < 0 ? r : container_remove(root, name, force, true, e);
}

int host_discard(const char *root, const struct strv *names, bool force, struct err *e)
{
	autofree char *latest = NULL;
	int r = names->count ? 0 : host_latest(root, &latest, e);
	if (r == 0 && latest)
		return discard_one(root, latest, force, e);
	for (size_t i = 0; r == 0 && i < names->count; i++)
		r = discard_one(root, names->items[i], force, e);
	return r;
}
