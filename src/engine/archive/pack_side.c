/*
 * pack_side.c - reading a layer's sidecar file (format: rl/engine/archive.h); part of pack_int.h.
 *
 * The file is ours, but a crash or a person may have cut it: every length is checked. Paths are looked up in a sorted
 * array; of several entries of one path the last one counts, and an empty record means "none".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pack_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/xattr.h"

enum { SIDE_MAX = 256 << 20 };

struct side_entry {
	char *path;
	const char *record;
	size_t len;
	size_t order;
	dev_t dev; /* of files with several names */
	ino_t ino;
	bool linked;
};

struct pack_side {
	struct str text;
	struct side_entry *items;
	size_t count;
};

void pack_side_free(struct pack_side *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].path);
	free(s->items);
	str_free(&s->text);
	free(s);
}

static int by_path(const void *a, const void *b)
{
	const struct side_entry *x = a;
	const struct side_entry *y = b;
	int c = strcmp(x->path, y->path);
	return c ? c : x->order < y->order ? -1 : 1;
}

static bool take_length(const char **p, const char *end, char terminator, size_t *ret)
{
	size_t value = 0;
	const char *start = *p;
	while (*p < end && **p >= '0' && **p <= '9') {
		value = value * 10 + (size_t)(**p - '0');
		if (value > SIDE_MAX)
			return false;
		(*p)++;
	}
	if (*p == start || *p >= end || **p != terminator)
		return false;
	(*p)++;
	*ret = value;
	return true;
}

static int parse(struct pack_side *s, struct err *e)
{
	const char *p = str_after(s->text.buf, "rl-stat 1\n");
	const char *end = s->text.buf + s->text.len;
	size_t room = 0;
	if (!p)
		return err_set(e, EBADMSG, "malformed sidecar file");
	while (p < end) {
		size_t path_len;
		size_t len;
		if (!take_length(&p, end, ' ', &path_len) || !take_length(&p, end, '\n', &len) ||
		    path_len > ARCHIVE_PATH_MAX || path_len + len > (size_t)(end - p))
			return err_set(e, EBADMSG, "malformed sidecar file");
		if (s->count == room) {
			room = room ? 2 * room : 64;
			s->items = xreallocarray(s->items, room, sizeof(*s->items));
		}
		s->items[s->count] = (struct side_entry){
			.path = xstrndup(p, path_len), .record = p + path_len, .len = len, .order = s->count};
		s->count++;
		p += path_len + len;
	}
	return 0;
}

/* Sort, keep the last of each path, and note the inodes of those that have other names. */
static void index_entries(struct pack_side *s, int rootfd)
{
	size_t kept = 0;
	if (s->count)
		qsort(s->items, s->count, sizeof(*s->items), by_path);
	for (size_t i = 0; i < s->count; i++) {
		struct side_entry *x = &s->items[i];
		bool last = i + 1 == s->count || !str_eq(x->path, s->items[i + 1].path);
		struct stat st;
		if (!last || !x->len) {
			free(x->path);
			continue;
		}
		if (fstatat(rootfd, *x->path ? x->path : ".", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink > 1 &&
		    !S_ISDIR(st.st_mode)) {
			x->linked = true;
			x->dev = st.st_dev;
			x->ino = st.st_ino;
		}
		s->items[kept++] = *x;
	}
	s->count = kept;
}

int pack_side_load(int fd, int rootfd, struct pack_side **ret, struct err *e)
{
	*ret = NULL;
	if (fd <= 0)
		return 0;
	struct pack_side *s = xcalloc(1, sizeof(*s));
	s->text = (struct str)STR_INIT;
	int r = io_read_rest(fd, SIDE_MAX, "sidecar file", &s->text, e);
	if (r == 0 && s->text.len)
		r = parse(s, e);
	if (r < 0) {
		pack_side_free(s);
		return r;
	}
	index_entries(s, rootfd);
	*ret = s;
	return 0;
}

static int compare_key(const void *key, const void *item)
{
	return strcmp(key, ((const struct side_entry *)item)->path);
}

int pack_side_find(const struct pack_side *s, const char *path, const struct stat *st, const char **ret_record,
		   size_t *ret_len)
{
	if (!s || !s->count)
		return 0;
	const struct side_entry *found = bsearch(path, s->items, s->count, sizeof(*s->items), compare_key);
	bool linked = st->st_nlink > 1 && !S_ISDIR(st->st_mode);
	for (size_t i = 0; !found && linked && i < s->count; i++)
		if (s->items[i].linked && s->items[i].ino == st->st_ino && s->items[i].dev == st->st_dev)
			found = &s->items[i];
	if (!found)
		return 0;
	*ret_record = found->record;
	*ret_len = found->len;
	return 1;
}
