/*
 * pack_walk.c - the tree that is packed; part of pack_int.h.
 *
 * Theory: one recursion serves both kinds. A directory is a *set*: the same directory in one or more layers, topmost
 * first, as far down as overlayfs would merge it. The names of all of them are sorted together; of each name the
 * topmost one counts. layer    the set has one member; a whiteout becomes ".wh.NAME", an opaque directory contains
 * ".wh..wh..opq" merged   a whiteout hides the name; directories of one name form the next set, down to the first that
 * is opaque or no directory
 *
 * What an object truly is comes from its control record where it has one that may be believed. In a payload's writable
 * layer (ARCHIVE_TRUST_LOWER) that is the case only if the layers below have the very same record at the same path:
 * overlayfs copies user xattrs up, so an untouched owner survives, and anything the payload wrote itself differs.
 *
 * Order, and with it the digest, depends on names alone: parents first, then names in byte order.
 *
 * Everything is reached by descriptor and name without following symlinks; a tree that changes meanwhile gives an odd
 * archive, never a file from elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "pack_int.h"
#include "rl/base/mem.h"
#include "rl/kern/ovl.h"
#include "rl/kern/xattr.h"

struct dirset {
	int *fds;
	size_t *layers; /* index into req->dirfds */
	size_t n;
};

struct name {
	char *text;
	size_t pos; /* which member of the set */
};

struct names {
	struct name *items;
	size_t count;
	size_t size;
};

static void cleanup_dirset(struct dirset *s)
{
	for (size_t i = 0; i < s->n; i++)
		close(s->fds[i]);
	free(s->fds);
	free(s->layers);
}
#define autodirset __attribute__((cleanup(cleanup_dirset)))

static void cleanup_names(struct names *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i].text);
	free(v->items);
}
#define autonames __attribute__((cleanup(cleanup_names)))

static void dirset_add(struct dirset *s, int fd, size_t layer)
{
	s->fds = xreallocarray(s->fds, s->n + 1, sizeof(*s->fds));
	s->layers = xreallocarray(s->layers, s->n + 1, sizeof(*s->layers));
	s->fds[s->n] = fd;
	s->layers[s->n++] = layer;
}

/* Whoever packs owns what is packed, or is root in a user namespace. */
static int cannot_open(const char *path, int errnum, struct err *e)
{
	int r = err_sys(e, errnum, "open %s", path);
	return errnum != EACCES
		       ? r
		       : err_hint(e, "its mode closes it to its owner, which only a user namespace overrides, and "
				     "there is none here (rl doctor says why); rl save takes the layers of an "
				     "image as they are packed");
}

static int open_dir_at(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
	const struct name *x = a;
	const struct name *y = b;
	int c = strcmp(x->text, y->text);
	return c ? c : x->pos < y->pos ? -1 : x->pos > y->pos;
}

static int read_names(int dirfd, size_t pos, struct names *out, struct err *e)
{
	int own = open_dir_at(dirfd, ".");
	autodir DIR *d = own >= 0 ? fdopendir(own) : NULL;
	if (!d)
		return err_sys(e, errno, "read directory");
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(d);
		if (!entry)
			return errno ? err_sys(e, errno, "read directory") : 0;
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (out->count == out->size) {
			out->size = out->size ? 2 * out->size : 64;
			out->items = xreallocarray(out->items, out->size, sizeof(*out->items));
		}
		out->items[out->count++] = (struct name){xstrdup(entry->d_name), pos};
	}
}

/* ---- records and xattrs ---- */

/* Attributes that say something about this machine, not about the file. */
static bool is_local_xattr(const char *name)
{
	static const char *const names[] = {"security.selinux", "security.ima", "security.evm", "security.apparmor",
					    "system.nfs4_acl"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return str_after(name, "btrfs.") != NULL;
}

static int add_xattr(int fd, const char *name, struct str *out, struct err *e)
{
	autostr struct str value = STR_INIT;
	int r = xattr_get(fd, name, &value, e);
	if (r > 0)
		xattr_record_add(out, name, value.buf, value.len);
	return r < 0 ? r : 0;
}

/* The xattrs of an open object, sorted by name; its own record, if there is one, into `record`. */
static int collect_xattrs(int fd, struct str *out, struct str *record, struct err *e)
{
	autostr struct str names = STR_INIT;
	autostrv struct strv sorted = STRV_INIT;
	int r = xattr_list(fd, &names, e);
	if (r < 0)
		return r;
	for (size_t at = 0; at < names.len; at += strlen(names.buf + at) + 1) {
		const char *name = names.buf + at;
		if (str_eq(name, XATTR_STAT)) {
			r = xattr_get(fd, name, record, e);
			if (r < 0)
				return r;
		}
		if (!xattr_is_control(name) && !is_local_xattr(name))
			strv_add(&sorted, name);
	}
	strv_sort(&sorted);
	for (size_t i = 0; i < sorted.count; i++) {
		r = add_xattr(fd, sorted.items[i], out, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The record that the layers below have for this path, wherever they keep it. */
int pack_lower_record(const struct pack_walk *w, const char *path, struct str *out, struct err *e)
{
	const char *name = last_name(path);
	autofree char *dir = xstrndup(path, name == path ? 0 : (size_t)(name - path - 1));
	struct ovl_hit h;
	if (!*path)
		return 0;
	int r = ovl_find(w->req->dirfds + 1, w->req->ndirs - 1, dir, name, &h, e);
	if (r <= 0)
		return r;
	autofd int dirfd = h.dirfd;
	const char *record;
	size_t len;
	if (pack_side_find(w->sides[h.layer + 1], path, &h.st, &record, &len)) {
		str_add(out, record, len);
		return 0;
	}
	char at_name[256];
	if (S_ISLNK(h.st.st_mode))
		r = xattr_at_name(name, at_name) ? xattr_get(dirfd, at_name, out, e) : 0;
	if (!S_ISREG(h.st.st_mode) && !S_ISDIR(h.st.st_mode))
		return r < 0 ? r : 0;
	autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s in a lower layer", path);
	r = xattr_get(fd, XATTR_STAT, out, e);
	return r < 0 ? r : 0;
}

/* May this record be believed? */
static int is_trusted(const struct pack_walk *w, size_t layer, const char *path, const struct str *record,
		      struct err *e)
{
	if (w->req->trust != ARCHIVE_TRUST_LOWER || layer != 0)
		return 1;
	autostr struct str below = STR_INIT;
	int r = pack_lower_record(w, path, &below, e);
	if (r < 0)
		return r;
	return below.len == record->len && memcmp(below.buf, record->buf, record->len) == 0;
}

struct attribute {
	const char *name;
	size_t name_len;
	const char *value;
	size_t len;
	size_t order;
};

static int by_attribute(const void *a, const void *b)
{
	const struct attribute *x = a;
	const struct attribute *y = b;
	int c = memcmp(x->name, y->name, RL_MIN(x->name_len, y->name_len));
	if (c)
		return c;
	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

/* Sort by name, so that it does not show which of them the file system could hold; of two the first one counts. */
static int sort_xattrs(struct str *xattrs, struct err *e)
{
	autofree struct attribute *items = NULL;
	size_t count = 0;
	struct attribute a = {.order = 0};
	int r;
	for (size_t pos = 0;
	     (r = xattr_record_next(xattrs->buf, xattrs->len, &pos, &a.name, &a.name_len, &a.value, &a.len, e)) > 0;
	     a.order++) {
		if ((count & (count - 1)) == 0)
			items = xreallocarray(items, count ? 2 * count : 1, sizeof(*items));
		items[count++] = a;
	}
	if (r < 0 || !count)
		return r;
	qsort(items, count, sizeof(*items), by_attribute);
	autostr struct str sorted = STR_INIT;
	for (size_t i = 0; i < count; i++) {
		const struct attribute *x = &items[i];
		if (i && x->name_len == x[-1].name_len && memcmp(x->name, x[-1].name, x->name_len) == 0)
			continue;
		autofree char *name = xstrndup(x->name, x->name_len);
		xattr_record_add(&sorted, name, x->value, x->len);
	}
	str_cut(xattrs, 0);
	str_add(xattrs, sorted.buf, sorted.len);
	return 0;
}

/* Put what the record says over what stat says, and its xattrs to the others. */
static int apply_record(struct pack_node *n, const struct str *record, const struct stat *st, bool only_owner,
			struct str *xattrs, struct err *e)
{
	struct xattr_stat s;
	int pos = xattr_record_parse(record->buf, record->len, &s, e);
	if (pos < 0)
		return pos;
	n->uid = s.uid;
	n->gid = s.gid;
	if (only_owner)
		return 0;
	if ((s.mode & S_IFMT) != (st->st_mode & S_IFMT)) {
		/* Only an empty file stands for something else; anything but that was a lie or was overwritten. */
		bool stands_for = S_ISCHR(s.mode) || S_ISBLK(s.mode) || S_ISFIFO(s.mode);
		if (S_ISREG(st->st_mode) && st->st_size == 0 && stands_for) {
			n->mode = (s.mode & S_IFMT) | (st->st_mode & 07777);
			n->major = s.major;
			n->minor = s.minor;
			n->size = 0;
		}
	}
	if ((size_t)pos == record->len)
		return 0;
	str_add(xattrs, record->buf + pos, record->len - (size_t)pos);
	return sort_xattrs(xattrs, e);
}

/* A fifo's record may be left over from another one of its name. */
static bool is_about(int dirfd, const char *name, const struct str *record)
{
	struct xattr_stat s;
	uint32_t id[2];
	return xattr_record_parse(record->buf, record->len, &s, NULL) >= 0 && S_ISFIFO(s.mode) &&
	       xattr_identity(dirfd, name, false, &id[0], &id[1]) && s.major == id[0] && s.minor == id[1];
}

/* Fill xattrs and what the record changes. fd: the object, or -1; dirfd holds the records of symlinks. */
static int read_metadata(const struct pack_walk *w, size_t layer, int dirfd, int fd, const struct stat *st,
			 struct pack_node *n, struct str *xattrs, struct err *e)
{
	autostr struct str record = STR_INIT;
	char at_name[256];
	int r = 0;
	if (fd >= 0)
		r = collect_xattrs(fd, xattrs, &record, e);
	else if ((S_ISLNK(st->st_mode) || S_ISFIFO(st->st_mode)) && xattr_at_name(last_name(n->path), at_name))
		r = xattr_get(dirfd, at_name, &record, e);
	if (r > 0 && S_ISFIFO(st->st_mode) && !is_about(dirfd, last_name(n->path), &record))
		str_cut(&record, 0);
	if (r < 0)
		return r;
	const char *side;
	size_t len;
	if (pack_side_find(w->sides[layer], n->path, st, &side, &len)) {
		str_cut(&record, 0);
		str_add(&record, side, len);
	}
	r = record.len ? is_trusted(w, layer, n->path, &record, e) : 0;
	if (w->req->scrub && layer == 0 && fd >= 0 && r >= 0) {
		int scrubbed = pack_scrub_xattrs(w, fd, n->path, r > 0, e);
		r = scrubbed < 0 ? scrubbed : r;
	}
	if (r > 0)
		r = apply_record(n, &record, st, w->req->trust == ARCHIVE_TRUST_OWNERS, xattrs, e);
	if (r < 0)
		return err_ctx(e, "%s", n->path);
	n->xattrs = xattrs;
	return 0;
}

static void node_from_stat(const struct pack_walk *w, struct pack_node *n, const struct stat *st)
{
	n->mode = st->st_mode;
	n->uid = w->req->host_ids ? idmap_uid_from_host(w->req->map, st->st_uid) : st->st_uid;
	n->gid = w->req->host_ids ? idmap_gid_from_host(w->req->map, st->st_gid) : st->st_gid;
	n->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	n->mtime = st->st_mtim;
	n->major = major(st->st_rdev);
	n->minor = minor(st->st_rdev);
	if (w->req->clamp_mtime && n->mtime.tv_sec >= w->req->source_date_epoch)
		n->mtime = (struct timespec){.tv_sec = (time_t)w->req->source_date_epoch};
}

/* ---- hard links ---- */

static size_t link_slot(const struct pack_link *links, size_t size, const struct stat *st)
{
	uint64_t h = ((uint64_t)st->st_ino ^ ((uint64_t)st->st_dev << 40)) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 20) & (size - 1);
	while (links[i].path && (links[i].ino != st->st_ino || links[i].dev != st->st_dev))
		i = (i + 1) & (size - 1);
	return i;
}

static void links_grow(struct pack_walk *w)
{
	size_t size = w->links_size ? 2 * w->links_size : 1024;
	struct pack_link *links = xcalloc(size, sizeof(*links));
	for (size_t i = 0; i < w->links_size; i++) {
		const struct pack_link *l = &w->links[i];
		struct stat st = {.st_dev = l->dev, .st_ino = l->ino};
		if (l->path)
			links[link_slot(links, size, &st)] = *l;
	}
	free(w->links);
	w->links = links;
	w->links_size = size;
}

/* How this inode was packed before, or NULL (and it is remembered, with what note_link says of it). */
static struct pack_link *earlier_link(struct pack_walk *w, const struct stat *st, const char *path)
{
	if (w->links_count * 2 >= w->links_size)
		links_grow(w);
	struct pack_link *l = &w->links[link_slot(w->links, w->links_size, st)];
	if (l->path)
		return l;
	*l = (struct pack_link){.dev = st->st_dev, .ino = st->st_ino, .path = xstrdup(path)};
	w->links_count++;
	return NULL;
}

/* Some readers give a file the owner and mode of every header that names it, so all of its headers say the same. */
static void note_link(struct pack_walk *w, const struct stat *st, const struct pack_node *n)
{
	struct pack_link *l = &w->links[link_slot(w->links, w->links_size, st)];
	l->uid = n->uid;
	l->gid = n->gid;
	l->mode = n->mode;
}

/* ---- objects ---- */

static int pack_marker(struct pack_walk *w, const char *dir, const char *name, struct err *e)
{
	autofree char *path = *dir ? xasprintf("%s/%s", dir, name) : xstrdup(name);
	return pack_tar_node(w->tar, &(struct pack_node){.path = path, .mode = S_IFREG, .fd = -1}, e);
}

static int put_node(struct pack_walk *w, const struct pack_node *n, struct err *e)
{
	w->content += n->size;
	w->max_uid = RL_MAX(w->max_uid, n->uid);
	w->max_gid = RL_MAX(w->max_gid, n->gid);
	return pack_tar_node(w->tar, n, e);
}

/* Anything but a directory. */
static int pack_object(struct pack_walk *w, size_t layer, int dirfd, const char *path, const struct stat *st,
		       struct err *e)
{
	const char *name = last_name(path);
	struct pack_node n = {.path = path, .fd = -1};
	node_from_stat(w, &n, st);
	if (S_ISSOCK(st->st_mode)) {
		w->skipped++;
		return w->req->scrub ? pack_scrub_name(w, dirfd, name, e) : 0;
	}
	const struct pack_link *first = st->st_nlink > 1 ? earlier_link(w, st, path) : NULL;
	if (first) {
		n.hardlink = true;
		n.target = first->path;
		n.uid = first->uid;
		n.gid = first->gid;
		n.mode = first->mode;
		return pack_tar_node(w->tar, &n, e);
	}
	autofd int fd = -1;
	char target[PATH_MAX];
	if (S_ISREG(st->st_mode)) {
		fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
		if (fd < 0 && errno == EPERM)
			fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return cannot_open(path, errno, e);
		n.fd = fd;
	} else if (S_ISLNK(st->st_mode)) {
		ssize_t len = readlinkat(dirfd, name, target, sizeof(target) - 1);
		if (len < 0)
			return err_sys(e, errno, "read symlink %s", path);
		target[len] = '\0';
		n.target = target;
	}
	autostr struct str xattrs = STR_INIT;
	int r = read_metadata(w, layer, dirfd, fd, st, &n, &xattrs, e);
	if (r >= 0 && st->st_nlink > 1)
		note_link(w, st, &n);
	return r < 0 ? r : put_node(w, &n, e);
}

/* Would the layers below show something in this directory? Only then an opaque marker says anything. */
static bool shows_below(const struct pack_walk *w, const char *path)
{
	if (w->req->ndirs < 2)
		return true;
	for (size_t i = 1; i < w->req->ndirs; i++) {
		bool stop;
		int fd = ovl_walk(w->req->dirfds[i], path, &stop);
		if (fd >= 0)
			close(fd);
		if (fd >= 0 || stop)
			return fd >= 0;
	}
	return false;
}

static int pack_dir(struct pack_walk *w, const struct dirset *set, const char *path, unsigned depth, struct err *e);

/* The directories of one name in a set, as far as they are merged. group: sorted by position, the first is a
 * directory. */
static int collect_set(const struct pack_walk *w, const struct dirset *set, const struct name *group, size_t count,
		       struct dirset *ret, struct err *e)
{
	size_t most = w->req->kind == ARCHIVE_PACK_MERGED ? count : 1;
	for (size_t i = 0; i < most; i++) {
		size_t pos = group[i].pos;
		int fd = open_dir_at(set->fds[pos], group[i].text);
		if (fd < 0 && i > 0 && errno != EACCES)
			return 0; /* a file or a whiteout covers what lies below */
		if (fd < 0)
			return cannot_open(group[i].text, errno, e);
		dirset_add(ret, fd, set->layers[pos]);
		if (ovl_is_opaque(fd))
			return 0;
	}
	return 0;
}

static bool is_excluded(const struct pack_walk *w, const char *path)
{
	for (const char *const *p = w->req->exclude; p && *p; p++)
		if (str_eq(*p, path))
			return true;
	return false;
}

static int pack_name(struct pack_walk *w, const struct dirset *set, const char *dir, const struct name *group,
		     size_t count, unsigned depth, struct err *e)
{
	const char *name = group->text;
	int dirfd = set->fds[group->pos];
	bool as_layer = w->req->kind == ARCHIVE_PACK_LAYER;
	autofree char *path = *dir ? xasprintf("%s/%s", dir, name) : xstrdup(name);
	struct stat st;
	if (is_excluded(w, path))
		return w->req->scrub ? pack_scrub_name(w, dirfd, name, e) : 0;
	if (strlen(path) > ARCHIVE_PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "%.64s...", path);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "look up %s", path);
	if (as_layer && str_after(name, ".wh."))
		return err_set(e, EBADMSG, "%s cannot be put into a layer: its name means a whiteout there", path);
	if (ovl_is_whiteout(&st)) {
		autofree char *marker = xasprintf(".wh.%s", name);
		return as_layer ? pack_marker(w, dir, marker, e) : 0;
	}
	if (!S_ISDIR(st.st_mode))
		return pack_object(w, set->layers[group->pos], dirfd, path, &st, e);
	if (depth >= ARCHIVE_DEPTH_MAX)
		return err_sys(e, ELOOP, "%.64s...: too deep", path);
	autodirset struct dirset next = {.n = 0};
	int r = collect_set(w, set, group, count, &next, e);
	return r < 0 ? r : pack_dir(w, &next, path, depth + 1, e);
}

static int pack_dir(struct pack_walk *w, const struct dirset *set, const char *path, unsigned depth, struct err *e)
{
	struct pack_node n = {.path = path, .fd = -1};
	autostr struct str xattrs = STR_INIT;
	struct stat st;
	if (fstat(set->fds[0], &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	node_from_stat(w, &n, &st);
	int r = read_metadata(w, set->layers[0], -1, set->fds[0], &st, &n, &xattrs, e);
	if (r == 0)
		r = put_node(w, &n, e);
	if (r == 0 && w->req->kind == ARCHIVE_PACK_LAYER && *path && ovl_is_opaque(set->fds[0]) && shows_below(w, path))
		r = pack_marker(w, path, ".wh..wh..opq", e);
	autonames struct names names = {.count = 0};
	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = read_names(set->fds[i], i, &names, e);
	if (r < 0)
		return err_ctx(e, "%s", *path ? path : "/");
	if (names.count)
		qsort(names.items, names.count, sizeof(*names.items), by_name);
	bool removed = false;
	for (size_t i = 0; i < names.count;) {
		size_t same = 1;
		while (i + same < names.count && str_eq(names.items[i].text, names.items[i + same].text))
			same++;
		r = pack_name(w, set, path, &names.items[i], same, depth, e);
		if (r < 0)
			return r;
		removed |= w->removed;
		w->removed = false;
		i += same;
	}
	/* What was taken out must not show in the directory's time: the tar says the old one. */
	if (removed)
		(void)!futimens(set->fds[0], (const struct timespec[]){st.st_atim, st.st_mtim});
	return 0;
}

int pack_walk_all(struct pack_walk *w, struct err *e)
{
	const struct archive_pack *req = w->req;
	autodirset struct dirset root = {.n = 0};
	if (req->ndirs == 0)
		return err_set(e, EINVAL, "no directory to pack");
	for (size_t i = 0; i < req->ndirs; i++) {
		int r = pack_side_load(req->sidecarfds ? req->sidecarfds[i] : 0, req->dirfds[i], &w->sides[i], e);
		if (r < 0)
			return r;
		if (i > 0 && req->kind == ARCHIVE_PACK_LAYER)
			continue;
		int fd = open_dir_at(req->dirfds[i], ".");
		if (fd < 0)
			return err_sys(e, errno, "open the directory to pack");
		dirset_add(&root, fd, i);
	}
	return pack_dir(w, &root, "", 0, e);
}

void pack_walk_free(struct pack_walk *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->sides); i++)
		pack_side_free(w->sides[i]);
	for (size_t i = 0; i < w->links_size; i++)
		free(w->links[i].path);
	free(w->links);
}
