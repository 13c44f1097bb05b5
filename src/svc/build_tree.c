/*
 * build_tree.c - the files a COPY takes: found by pattern, and digested for the step's key.
 *
 * The digest is over what the copy will be: names, types, permission bits, contents, targets of symlinks, in the byte
 * order of the names; not times, not owners (the copy belongs to root or to --chown), not what is ignored. So the same
 * files have the same key on every machine and after every checkout.
 *
 * Everything is reached beneath the context's descriptor (rl/kern/safepath.h): a context may be full of symlinks that
 * lead out of it. Inside a directory nothing is followed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "build_tree_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/safepath.h"

enum { READ_SIZE = 256 << 10 };

int build_list_dir(int dirfd, struct strv *ret_names, struct err *e)
{
	int r = io_list_dir(dirfd, ret_names, e);
	if (r < 0)
		return r;
	strv_sort(ret_names);
	return 0;
}

/* ---- patterns ---- */

/* "a" + "b" -> "a/b", "" + "b" -> "b". */
static char *below(const char *dir, const char *name)
{
	return *dir ? xasprintf("%s/%s", dir, name) : xstrdup(name);
}

static int glob_level(int rootfd, const struct ignore *g, const char *dir, const struct strv *parts, size_t at,
		      struct strv *out, struct err *e);

static bool is_out(const struct ignore *g, const char *path)
{
	return g && ignore_match(g, path) && !ignore_may_reenter(g, path);
}

/* Names of a directory, none where it is no directory. */
static int names_below(int rootfd, const char *dir, struct strv *ret, struct err *e)
{
	autofd int fd = safepath_open(rootfd, *dir ? dir : ".", O_RDONLY | O_DIRECTORY, 0, NULL);
	return fd < 0 ? 0 : build_list_dir(fd, ret, e);
}

static bool is_real_dir(int rootfd, const char *path)
{
	autofd int fd = safepath_open(rootfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
	return fd >= 0;
}

/* "**": the rest of the pattern here, and in every directory below; symlinks are not followed. */
static int glob_any(int rootfd, const struct ignore *g, const char *dir, const struct strv *parts, size_t at,
		    unsigned depth, struct strv *out, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	if (depth > BUILD_DEPTH_MAX)
		return err_set(e, ELOOP, "directories more than %d deep", BUILD_DEPTH_MAX);
	int r = at + 1 < parts->count ? glob_level(rootfd, g, dir, parts, at + 1, out, e) : 0;
	if (r >= 0)
		r = names_below(rootfd, dir, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		autofree char *path = below(dir, names.items[i]);
		bool is_dir = is_real_dir(rootfd, path);
		if (is_out(g, path))
			continue;
		if (at + 1 == parts->count && !is_dir)
			strv_add(out, path);
		if (is_dir)
			r = glob_any(rootfd, g, path, parts, at, depth + 1, out, e);
	}
	return r;
}

static int glob_level(int rootfd, const struct ignore *g, const char *dir, const struct strv *parts, size_t at,
		      struct strv *out, struct err *e)
{
	if (at == parts->count) {
		strv_add(out, *dir ? dir : ".");
		return 0;
	}
	if (!ignore_is_glob(parts->items[at])) {
		autofree char *path = below(dir, parts->items[at]);
		autofd int fd = safepath_locate(rootfd, path, NULL);
		return fd < 0 ? 0 : glob_level(rootfd, g, path, parts, at + 1, out, e);
	}
	if (str_eq(parts->items[at], "**"))
		return glob_any(rootfd, g, dir, parts, at, 0, out, e);
	autostrv struct strv names = STRV_INIT;
	int r = names_below(rootfd, dir, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		autofree char *path = below(dir, names.items[i]);
		if (!ignore_glob(parts->items[at], names.items[i]) || is_out(g, path))
			continue;
		r = glob_level(rootfd, g, path, parts, at + 1, out, e);
	}
	return r;
}

/* Several "**" may lead to the same file by several ways. */
static void drop_doubles(struct strv *v, size_t from)
{
	size_t kept = from;
	for (size_t i = from; i < v->count; i++) {
		if (kept > from && str_eq(v->items[kept - 1], v->items[i]))
			free(v->items[i]);
		else
			v->items[kept++] = v->items[i];
	}
	v->count = kept;
}

static int order_of_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *build_kept_path(const struct build_source *src, const char *path)
{
	for (size_t i = 0; i < src->pivot && strchr(path, '/'); i++)
		path = strchr(path, '/') + 1;
	return path;
}

int build_glob(int rootfd, const struct ignore *g, const char *pattern, struct strv *out, struct err *e)
{
	/* ".." above the top disappears, as with docker; what is left lies beneath the root. */
	autofree char *rooted = path_join("/", pattern);
	autofree char *clean = path_clean(rooted);
	autostrv struct strv parts = STRV_INIT;
	size_t before = out->count;
	if (clean[1])
		strv_split(&parts, clean + 1, '/');
	int r = glob_level(rootfd, g, "", &parts, 0, out, e);
	if (strv_has(&parts, "**") && out->count > before) {
		qsort(out->items + before, out->count - before, sizeof(*out->items), order_of_paths);
		drop_doubles(out, before);
	}
	if (r >= 0 && out->count == before)
		return err_set(e, ENOENT, "%s: no such file or directory", pattern);
	return r;
}

/* ---- digest ---- */

struct walk {
	struct build_hash *hash;
	const struct ignore *ignore;
	const struct ignore *exclude;
	unsigned char *buffer;
	unsigned depth;
	uint64_t taken;
	bool named; /* the error says which file */
};

static int add_file(struct walk *w, int dirfd, const char *name, struct err *e)
{
	autofd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "read");
	for (;;) {
		ssize_t n = read(fd, w->buffer, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read");
		if (n == 0)
			return 0;
		build_hash_add(w->hash, w->buffer, (size_t)n);
	}
}

static int add_entry(struct walk *w, int dirfd, const char *name, const char *path, const char *shown, struct err *e);

static int add_dir(struct walk *w, int dirfd, const char *name, const char *path, const char *shown, struct err *e)
{
	autofd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "open");
	if (++w->depth > BUILD_DEPTH_MAX)
		return err_set(e, ELOOP, "directories more than %d deep", BUILD_DEPTH_MAX);
	autostrv struct strv names = STRV_INIT;
	int r = build_list_dir(fd, &names, e);
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		autofree char *inner = str_eq(path, ".") ? xstrdup(names.items[i]) : below(path, names.items[i]);
		autofree char *inner_shown = below(shown, names.items[i]);
		r = add_entry(w, fd, names.items[i], inner, inner_shown, e);
		if (r < 0 && !w->named) {
			w->named = true;
			err_ctx(e, "%s", inner);
		}
	}
	w->depth--;
	return r;
}

bool build_is_left_out(const struct ignore *g, const char *path, bool is_dir)
{
	return g && g->count && ignore_match(g, path) && !(is_dir && ignore_may_reenter(g, path));
}

/* path: from the root, for the ignore file; shown: from what was asked for, which is what the copy will be called. */
static int add_entry(struct walk *w, int dirfd, const char *name, const char *path, const char *shown, struct err *e)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "stat");
	bool is_dir = S_ISDIR(st.st_mode);
	if (build_is_left_out(w->ignore, path, is_dir) || build_is_left_out(w->exclude, shown, is_dir))
		return 0;
	char head[64];
	int n = snprintf(head, sizeof(head), "%o:%lld:", (unsigned)st.st_mode,
			 S_ISREG(st.st_mode) ? (long long)st.st_size : 0LL);
	if (S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return 0; /* is not copied either */
	build_hash_text(w->hash, shown);
	build_hash_add(w->hash, head, (size_t)n);
	w->taken++;
	if (is_dir)
		return add_dir(w, dirfd, name, path, shown, e);
	if (S_ISREG(st.st_mode))
		return add_file(w, dirfd, name, e);
	if (S_ISLNK(st.st_mode)) {
		char target[4097];
		ssize_t len = readlinkat(dirfd, name, target, sizeof(target) - 1);
		if (len < 0)
			return err_sys(e, errno, "readlink");
		target[len] = '\0';
		build_hash_text(w->hash, target);
	}
	return 0;
}

/* What was named itself: a symlink there is followed, inside the root. */
static int add_top(struct walk *w, int rootfd, const char *path, const char *shown, struct err *e)
{
	autofd int fd = safepath_locate(rootfd, path, e);
	struct stat st;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	build_hash_text(w->hash, shown);
	/* The size keeps the bytes of one file and the names and bytes of several apart. */
	char head[64];
	int n = snprintf(head, sizeof(head), "%o:%lld:", (unsigned)st.st_mode,
			 S_ISREG(st.st_mode) ? (long long)st.st_size : 0LL);
	build_hash_add(w->hash, head, (size_t)n);
	if (S_ISDIR(st.st_mode)) {
		char self[32];
		safepath_fd_path(fd, self);
		autofd int dir = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_sys(e, errno, "open %s", path);
		w->depth = 0;
		return add_dir(w, dir, ".", path, "", e);
	}
	if (!S_ISREG(st.st_mode))
		return S_ISFIFO(st.st_mode)
			       ? 0
			       : err_set(e, EINVAL, "%s is a device or a socket: it cannot be copied", path);
	char self[32];
	safepath_fd_path(fd, self);
	autofd int file = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (file < 0)
		return err_sys(e, errno, "read %s", path);
	w->taken++;
	for (;;) {
		ssize_t got = read(file, w->buffer, READ_SIZE);
		if (got < 0 && errno != EINTR)
			return err_sys(e, errno, "read %s", path);
		if (got == 0)
			return 0;
		if (got > 0)
			build_hash_add(w->hash, w->buffer, (size_t)got);
	}
}

int build_source_root(const struct build *b, const struct build_step *st, const struct ignore **ret_ignore)
{
	*ret_ignore = NULL;
	if (st->from_extra >= 0)
		return b->extras[st->from_extra].rootfd;
	*ret_ignore = &b->context.ignore;
	return b->context.rootfd;
}

static int digest_context(struct build *b, struct build_step *st, struct build_source *src, struct build_hash *h,
			  struct err *e)
{
	const struct ignore *g;
	int rootfd = build_source_root(b, st, &g);
	if (st->whole)
		g = NULL;
	if (rootfd < 0)
		return err_set(e, ENOENT, "%s: this build has no context (the Dockerfile came from standard input)",
			       src->path);
	strv_free(&src->found);
	int r = build_glob(rootfd, g, src->path, &src->found, e);
	autofree unsigned char *buffer = xmalloc(READ_SIZE);
	struct walk w = {.hash = h, .ignore = g, .exclude = &st->exclude, .buffer = buffer};
	size_t kept = 0;
	for (size_t i = 0; i < src->found.count && r >= 0; i++) {
		char *path = src->found.items[i];
		if (g && ignore_match(g, path) && !ignore_may_reenter(g, path)) {
			free(path);
			continue;
		}
		src->found.items[kept++] = path;
		r = add_top(&w, rootfd, path, st->parents ? build_kept_path(src, path) : path_base(path), e);
	}
	if (r < 0)
		return r;
	src->found.count = kept;
	if (!kept) {
		err_set(e, ENOENT, "%s: the ignore file leaves it out", src->path);
		return err_hint(e, "a line \"!%s\" at the end of the ignore file takes it back in", src->path);
	}
	return 0;
}

/* The key of the file system files are taken from. */
static const char *layers_key(const struct build *b, const struct build_step *st, struct str *text)
{
	if (st->from_stage >= 0)
		return b->stages[st->from_stage].key;
	const struct build_extra *x = &b->extras[st->from_extra];
	for (size_t k = 0; k < x->nlayers; k++)
		str_addf(text, "%s ", b->layers[x->layers[k]].diff_id);
	return text->buf;
}

int build_tree_digest(struct build *b, struct build_stage *s, struct build_step *st, struct build_hash *h,
		      struct err *e)
{
	(void)s;
	for (size_t k = 0; k < st->nsources; k++) {
		struct build_source *src = &st->sources[k];
		autostr struct str text = STR_INIT;
		int r = 0;
		build_hash_text(h, src->kind == BUILD_FROM_CONTEXT ? "context" : src->path);
		switch (src->kind) {
		case BUILD_FROM_CONTEXT:
			r = digest_context(b, st, src, h, e);
			break;
		case BUILD_FROM_LAYERS:
			build_hash_text(h, layers_key(b, st, &text));
			break;
		case BUILD_FROM_HEREDOC:
			build_hash_text(h, src->text);
			break;
		case BUILD_FROM_URL:
		case BUILD_FROM_GIT:
			r = build_fetch_source(b, st, src, h, e);
			break;
		}
		if (r < 0)
			return build_at(b, st->instr, src->line, src->column, (unsigned)strlen(src->path), e);
	}
	return 0;
}
