/* container_copied.c - see container_copied.h. */
#include "container_copied.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "inside.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/root_copy.h"

struct job {
	int work, upper;
	int *layers;
	size_t nlayers;
};

static int settle(void *arg, struct err *e)
{
	const struct job *j = arg;
	return root_copy_settle(j->work, j->upper, j->layers, j->nlayers, e);
}

static int drop(void *arg, struct err *e)
{
	const struct job *j = arg;
	return root_copy_remove(j->work, e);
}

/* O_PATH: only root of the map may read some of them. */
static int open_path(int dirfd, const char *path, struct err *e)
{
	int fd = openat(dirfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open %s", path) : fd;
}

bool container_is_copied(int dirfd)
{
	autofd int work = openat(dirfd, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root_copy_is_there(work);
}

int container_copied_settle(int dirfd, const struct strv *layers, const struct idmap *map, struct err *e)
{
	if (!container_is_copied(dirfd))
		return 0;
	autofd int work = open_path(dirfd, "work", e);
	autofd int upper = work < 0 ? work : open_path(dirfd, "upper", e);
	int r = upper < 0 ? upper : 0;
	autofree int *fds = xcalloc(layers->count + 1, sizeof(int));
	struct job j = {.work = work, .upper = upper, .layers = fds};
	while (r >= 0 && j.nlayers < layers->count) {
		r = open_path(AT_FDCWD, layers->items[j.nlayers], e);
		if (r >= 0)
			fds[j.nlayers++] = r;
	}
	if (r >= 0)
		r = inside_run(&(struct inside){.map = map, .fn = settle, .arg = &j, .what = "the look for changes"},
			       e);
	for (size_t i = 0; i < j.nlayers; i++)
		close_fd(&fds[i]);
	return r < 0 ? r : 0;
}

int container_copied_drop(int dirfd, const struct idmap *map, struct err *e)
{
	if (!container_is_copied(dirfd))
		return 0;
	autofd int work = open_path(dirfd, "work", e);
	struct job j = {.work = work};
	return work < 0 ? work
			: inside_run(&(struct inside){.map = map, .fn = drop, .arg = &j, .what = "the removal"}, e);
}
