/*
 * place_path_set.c - a set of paths that remembers which came first; part of place_int.h.
 *
 * Open addressing with tombstones (items[i] == the mark). Bounded: an archive that omits more
 * parents than PATH_SET_BYTES holds is not self-contained for certain, and nothing more needs to be remembered.
 */
#include <string.h>

#include "place_int.h"
#include "rl/base/mem.h"

enum { PATH_SET_MAX = 65536, PATH_LENGTH_SHORT = 1024 };

/* Marks slots whose path was taken out; only its address matters. */
static char *removed_mark(void)
{
	static const char mark[1];
	return (char *)(uintptr_t)mark;
}

static size_t hash(const char *path)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3u;
	return (size_t)(h ^ (h >> 29));
}

void path_set_free(struct path_set *s)
{
	for (size_t i = 0; i < s->size; i++)
		if (s->items[i] && s->items[i] != removed_mark())
			free(s->items[i]);
	free(s->items);
	free(s->order);
	*s = (struct path_set){.overflow = s->overflow};
}

static void insert(struct path_set *s, char *path, uint64_t order)
{
	size_t i = hash(path) & (s->size - 1);
	while (s->items[i])
		i = (i + 1) & (s->size - 1);
	s->items[i] = path;
	s->order[i] = order;
	s->used++;
}

static void grow(struct path_set *s)
{
	struct path_set old = *s;
	s->size = old.count * 4 < 64 ? 64 : old.size * (old.count * 2 > old.size / 2 ? 2 : 1);
	s->items = xcalloc(s->size, sizeof(*s->items));
	s->order = xcalloc(s->size, sizeof(*s->order));
	s->used = 0;
	for (size_t i = 0; i < old.size; i++)
		if (old.items[i] && old.items[i] != removed_mark())
			insert(s, old.items[i], old.order[i]);
	free(old.items);
	free(old.order);
}

void path_set_add(struct path_set *s, const char *path)
{
	if (s->overflow)
		return;
	if (s->count >= PATH_SET_MAX || strlen(path) > PATH_LENGTH_SHORT) {
		path_set_free(s);
		s->overflow = true;
		return;
	}
	if (s->used * 4 >= s->size * 3)
		grow(s);
	insert(s, xstrdup(path), s->next++);
	s->count++;
}

void path_set_remove(struct path_set *s, const char *path)
{
	if (!s->count)
		return;
	for (size_t i = hash(path) & (s->size - 1); s->items[i]; i = (i + 1) & (s->size - 1)) {
		if (s->items[i] == removed_mark() || !str_eq(s->items[i], path))
			continue;
		free(s->items[i]);
		s->items[i] = removed_mark();
		s->count--;
		return;
	}
}

const char *path_set_first(const struct path_set *s)
{
	const char *first = NULL;
	uint64_t best = UINT64_MAX;
	for (size_t i = 0; i < s->size; i++) {
		if (s->items[i] && s->items[i] != removed_mark() && s->order[i] < best) {
			best = s->order[i];
			first = s->items[i];
		}
	}
	return first;
}
