/*
 * changes.c - see changes.h.
 *
 * Theory: one recursion over two *sets* of directories of the same path, that of the layers asked about and that of
 * those below, each topmost first and as far down as overlayfs merges. A directory's own line is decided after its
 * names: it is put into the list first and taken back if nothing about it differs.
 */
#include "rl/engine/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/ovl.h"

enum { DEPTH_MAX = 512 };

struct walk {
	const struct changes_req *req;
	struct change_list list;
	size_t size;
};

void change_list_free(struct change_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].path);
	free(l->items);
	*l = (struct change_list){.count = 0};
}

static size_t add(struct walk *w, enum change_kind kind, const char *path)
{
	if (w->list.count == w->size) {
		w->size = w->size ? 2 * w->size : 64;
		w->list.items = xreallocarray(w->list.items, w->size, sizeof(*w->list.items));
	}
	w->list.items[w->list.count] = (struct change){.kind = (char)kind, .path = xstrdup(path)};
	return w->list.count++;
}

/* The last line, which nothing was added after. */
static void take_back(struct walk *w)
{
	free(w->list.items[--w->list.count].path);
}

static bool is_hidden(const struct walk *w, const char *path)
{
	return w->req->hidden && strv_has(w->req->hidden, path);
}

/* What is made where something is going to be shown; a link only in a directory that was taken apart. */
static bool is_place(const struct walk *w, const struct stat *st)
{
	return (S_ISREG(st->st_mode) && st->st_size == 0) || (S_ISLNK(st->st_mode) && w->req->new_only);
}

static bool differs(const struct stat *a, const struct stat *b)
{
	return a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid;
}

static bool same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The text of a symlink in the topmost directory that has the name. */
static ssize_t link_text(const struct ovl_dirs *s, const char *name, char *buf, size_t size)
{
	ssize_t n = -1;
	for (size_t i = 0; i < s->n && n < 0; i++)
		n = readlinkat(s->fds[i], name, buf, size);
	return n;
}

/* Same bytes? What cannot be read is taken for different. */
static bool same_bytes(const struct ovl_dirs *a, const struct ovl_dirs *b, const char *name)
{
	enum { CHUNK = 64 * 1024 };
	autofd int one = -1;
	autofd int two = -1;
	for (size_t i = 0; i < a->n && one < 0; i++)
		one = openat(a->fds[i], name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	for (size_t i = 0; i < b->n && two < 0; i++)
		two = openat(b->fds[i], name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	autofree char *x = xmalloc(CHUNK);
	autofree char *y = xmalloc(CHUNK);
	while (one >= 0 && two >= 0) {
		ssize_t n = io_read_full(one, x, CHUNK, NULL);
		if (n < 0 || io_read_full(two, y, CHUNK, NULL) != n || memcmp(x, y, (size_t)n) != 0)
			return false;
		if (n == 0)
			return true;
	}
	return false;
}

static bool is_same_object(const struct walk *w, const struct ovl_dirs *a, const struct ovl_dirs *b, const char *name,
			   const struct stat *x, const struct stat *y)
{
	if (x->st_ino == y->st_ino && x->st_dev == y->st_dev)
		return true;
	if (differs(x, y) || x->st_size != y->st_size || x->st_rdev != y->st_rdev)
		return false;
	if (w->req->by_content && !S_ISREG(x->st_mode) && !S_ISLNK(x->st_mode))
		return true;
	if (!S_ISLNK(x->st_mode))
		return same_time(x, y) && (!w->req->by_content || same_bytes(a, b, name));
	char one[PATH_MAX];
	char two[PATH_MAX];
	ssize_t n = link_text(a, name, one, sizeof(one));
	return n == link_text(b, name, two, sizeof(two)) && n >= 0 && memcmp(one, two, (size_t)n) == 0;
}

/* *ret_placed: a place for a mount was made in it. */
static int walk_dir(struct walk *w, const struct ovl_dirs *top, const struct ovl_dirs *below, const char *path,
		    unsigned depth, bool *ret_placed, struct err *e);

static int visit_dir(struct walk *w, const struct ovl_dirs *top, const struct ovl_dirs *below, const char *name,
		     const char *path, const struct stat *st, unsigned depth, bool *ret_placed, struct err *e)
{
	autoovldirs struct ovl_dirs top_in = {.n = 0};
	autoovldirs struct ovl_dirs below_in = {.n = 0};
	struct stat old;
	bool placed = false;
	if (depth > DEPTH_MAX)
		return err_sys(e, ELOOP, "%.64s...: too deep", path);
	int is_below = ovl_dirs_look(below, name, &old, e);
	int r = is_below < 0 ? is_below : ovl_dirs_descend(top, name, &top_in, e);
	if (r >= 0)
		r = ovl_dirs_descend(below, name, &below_in, e);
	if (r < 0)
		return r;
	size_t mine = add(w, is_below ? CHANGE_MODIFIED : CHANGE_ADDED, path);
	r = walk_dir(w, &top_in, &below_in, path, depth, &placed, e);
	if (r < 0 || w->list.count > mine + 1)
		return r;
	if (!is_below && is_hidden(w, path)) {
		take_back(w);
		*ret_placed = true;
	} else if (!is_below && placed) {
		/* /etc made for /etc/hosts */
		take_back(w);
		*ret_placed = true;
	} else if (is_below && !differs(&old, st) && (placed || w->req->by_content || same_time(&old, st))) {
		take_back(w);
	}
	return 0;
}

static int visit(struct walk *w, const struct ovl_dirs *top, const struct ovl_dirs *below, const char *dir,
		 const char *name, unsigned depth, bool *ret_placed, struct err *e)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	struct stat st;
	struct stat old;
	size_t i = 0;
	while (i < top->n && fstatat(top->fds[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		i++;
	if (i == top->n)
		return 0; /* removed meanwhile */
	if (w->req->new_only) {
		int there = ovl_dirs_look(below, name, &old, e);
		if (there != 0)
			return there < 0 ? there : 0;
	}
	if (S_ISDIR(st.st_mode))
		return visit_dir(w, top, below, name, path, &st, depth + 1, ret_placed, e);
	int is_below = ovl_dirs_look(below, name, &old, e);
	if (is_below < 0)
		return is_below;
	if (ovl_is_whiteout(&st)) {
		if (is_below)
			add(w, CHANGE_DELETED, path);
	} else if (!is_below && is_place(w, &st) && is_hidden(w, path)) {
		*ret_placed = true;
	} else if (is_below && w->req->by_content && is_same_object(w, top, below, name, &st, &old)) {
		return 0;
	} else {
		add(w, is_below ? CHANGE_MODIFIED : CHANGE_ADDED, path);
	}
	return 0;
}

static int walk_dir(struct walk *w, const struct ovl_dirs *top, const struct ovl_dirs *below, const char *path,
		    unsigned depth, bool *ret_placed, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = ovl_dirs_names(top, &names, e);
	/* What is below an opaque directory is gone, except for what was made anew. */
	if (r >= 0 && top->is_opaque)
		r = ovl_dirs_names(below, &names, e);
	if (r < 0)
		return err_ctx(e, "%s", *path ? path : "/");
	strv_sort(&names);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		const char *name = names.items[i];
		struct stat st;
		if (i && str_eq(name, names.items[i - 1]))
			continue;
		bool is_top = false;
		for (size_t k = 0; k < top->n && !is_top; k++)
			is_top = fstatat(top->fds[k], name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (is_top) {
			r = visit(w, top, below, path, name, depth, ret_placed, e);
			continue;
		}
		r = ovl_dirs_look(below, name, &st, e);
		if (r > 0) {
			autofree char *gone = xasprintf("%s/%s", path, name);
			add(w, CHANGE_DELETED, gone);
		}
	}
	return r < 0 ? r : 0;
}

/* ---- two stacks ---- */

static bool same_set(const struct ovl_dirs *a, const struct ovl_dirs *b)
{
	struct stat x;
	struct stat y;
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = fstat(a->fds[i], &x) == 0 && fstat(b->fds[i], &y) == 0 && x.st_ino == y.st_ino &&
		       x.st_dev == y.st_dev;
	return same;
}

static int compare_dir(struct walk *w, const struct ovl_dirs *a, const struct ovl_dirs *b, const char *path,
		       unsigned depth, bool *ret_placed, struct err *e);

static int compare_name(struct walk *w, const struct ovl_dirs *a, const struct ovl_dirs *b, const char *dir,
			const char *name, unsigned depth, bool *ret_placed, struct err *e)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	struct stat x = {.st_mode = 0};
	struct stat y = {.st_mode = 0};
	int in_a = ovl_dirs_look(a, name, &x, e);
	int in_b = in_a < 0 ? in_a : ovl_dirs_look(b, name, &y, e);
	if (in_b < 0)
		return in_b;
	if (!in_a) {
		if (in_b)
			add(w, CHANGE_DELETED, path);
		return 0;
	}
	if (!S_ISDIR(x.st_mode)) {
		if (!in_b && S_ISREG(x.st_mode) && x.st_size == 0 && is_hidden(w, path))
			*ret_placed = true;
		else if (!in_b || !is_same_object(w, a, b, name, &x, &y))
			add(w, in_b ? CHANGE_MODIFIED : CHANGE_ADDED, path);
		return 0;
	}
	autoovldirs struct ovl_dirs a_in = {.n = 0};
	autoovldirs struct ovl_dirs b_in = {.n = 0};
	bool placed = false;
	if (depth >= DEPTH_MAX)
		return err_sys(e, ELOOP, "%.64s...: too deep", path);
	int r = ovl_dirs_descend(a, name, &a_in, e);
	if (r >= 0 && in_b && S_ISDIR(y.st_mode))
		r = ovl_dirs_descend(b, name, &b_in, e);
	if (r < 0 || same_set(&a_in, &b_in))
		return r;
	size_t mine = add(w, in_b ? CHANGE_MODIFIED : CHANGE_ADDED, path);
	r = compare_dir(w, &a_in, &b_in, path, depth + 1, &placed, e);
	if (r < 0 || w->list.count > mine + 1)
		return r;
	if (!in_b && (placed || is_hidden(w, path))) {
		take_back(w);
		*ret_placed = true;
	} else if (in_b && !differs(&x, &y) && (placed || same_time(&x, &y))) {
		take_back(w);
	}
	return 0;
}

static int compare_dir(struct walk *w, const struct ovl_dirs *a, const struct ovl_dirs *b, const char *path,
		       unsigned depth, bool *ret_placed, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	int r = ovl_dirs_names(a, &names, e);
	if (r >= 0)
		r = ovl_dirs_names(b, &names, e);
	if (r < 0)
		return err_ctx(e, "%s", *path ? path : "/");
	strv_sort(&names);
	for (size_t i = 0; i < names.count && r >= 0; i++)
		if (!i || !str_eq(names.items[i], names.items[i - 1]))
			r = compare_name(w, a, b, path, names.items[i], depth, ret_placed, e);
	return r;
}

static int find(const struct changes_req *req, bool compares, struct change_list *ret_list, struct err *e)
{
	struct walk w = {.req = req};
	autoovldirs struct ovl_dirs top = {.n = 0};
	autoovldirs struct ovl_dirs below = {.n = 0};
	bool placed = false;
	int r = ovl_dirs_open(req->top, req->ntop, &top, e);
	if (r >= 0)
		r = ovl_dirs_open(req->below, req->nbelow, &below, e);
	const char *prefix = req->prefix ? req->prefix : "";
	if (r >= 0)
		r = compares ? compare_dir(&w, &top, &below, prefix, 0, &placed, e)
			     : walk_dir(&w, &top, &below, prefix, 0, &placed, e);
	if (r < 0) {
		change_list_free(&w.list);
		return r;
	}
	*ret_list = w.list;
	return 0;
}

int changes_find(const struct changes_req *req, struct change_list *ret_list, struct err *e)
{
	return find(req, false, ret_list, e);
}

int changes_compare(const struct changes_req *req, struct change_list *ret_list, struct err *e)
{
	return find(req, true, ret_list, e);
}
