/*
 * place_mode.c - modes, set so that a reader of archives without CAP_DAC_OVERRIDE does not lock itself out; part of
 * place_int.h.
 *
 * Theory: in a user namespace of our own a mode keeps us out of nothing. Without one (place.weak) a directory of mode 0555
 * takes no children and a file of mode 0444 no extended attributes. So a directory has u+rwx until the layer is complete
 * and gets its true mode then, the deepest first; a file has u+rw until its attributes are set. Setting a mode changes no
 * mtime. A directory that was replaced meanwhile by something else is told by its inode number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place_int.h"
#include "rl/base/mem.h"

static int remember(struct place *p, const struct stat *st, mode_t mode, const char *path)
{
	struct late_modes *l = &p->late;
	for (size_t i = 0; i < l->count; i++) {
		if (l->items[i].dev == st->st_dev && l->items[i].ino == st->st_ino) {
			l->items[i].mode = mode;
			return 0;
		}
	}
	l->items = xreallocarray(l->items, l->count + 1, sizeof(*l->items));
	l->items[l->count++] = (struct late_mode){
		.path = xstrdup(path), .dev = st->st_dev, .ino = st->st_ino, .mode = mode};
	return 0;
}

static void forget(struct place *p, const struct stat *st)
{
	struct late_modes *l = &p->late;
	for (size_t i = 0; i < l->count; i++) {
		if (l->items[i].dev != st->st_dev || l->items[i].ino != st->st_ino)
			continue;
		free(l->items[i].path);
		l->items[i] = l->items[--l->count];
		return;
	}
}

int mode_set(struct place *p, int fd, mode_t mode, const char *path, struct err *e)
{
	struct stat st;
	mode_t now = mode;
	if (p->weak) {
		if (fstat(fd, &st) < 0)
			return err_sys(e, errno, "stat %s", path);
		now |= S_ISDIR(st.st_mode) ? 0700 : 0600;
		if (S_ISDIR(st.st_mode) && now != mode)
			remember(p, &st, mode, path);
		else if (S_ISDIR(st.st_mode))
			forget(p, &st);
	}
	return fchmod(fd, now) < 0 ? err_sys(e, errno, "set the mode of %s", path) : 0;
}

int file_mode_last(struct place *p, int fd, mode_t mode, const char *path, struct err *e)
{
	if (!p->weak || (mode & 0600) == 0600)
		return 0;
	return fchmod(fd, mode) < 0 ? err_sys(e, errno, "set the mode of %s", path) : 0;
}

static int deepest_first(const void *a, const void *b)
{
	size_t x = strlen(((const struct late_mode *)a)->path);
	size_t y = strlen(((const struct late_mode *)b)->path);
	return x < y ? 1 : x > y ? -1 : 0;
}

int late_modes_set(struct place *p, struct err *e)
{
	struct late_modes *l = &p->late;
	int r = 0;
	if (l->count)
		qsort(l->items, l->count, sizeof(*l->items), deepest_first);
	for (size_t i = 0; i < l->count; i++) {
		struct dir *dir;
		/* The way to it is open still: what lies above it has a shorter path. */
		int found = r < 0 ? 0 : dirs_find(&p->dirs, l->items[i].path, &dir, e);
		if (found > 0 && dir->dev == l->items[i].dev && dir->ino == l->items[i].ino &&
		    fchmod(dir->fd, l->items[i].mode) < 0)
			found = err_sys(e, errno, "set the mode of %s", l->items[i].path);
		if (found < 0)
			r = found;
		free(l->items[i].path);
	}
	free(take_ptr(&l->items));
	l->count = 0;
	return r;
}
