/*
 * build_squash.c - --squash: the layers a build has made on its base image become one, in the steps' place.
 *
 * The merged layer consists of hard links (rl/engine/layer_merge.h), so nothing is copied; the steps' own layers stay in
 * the cache. Halves are merged with halves, so that a name is linked as often as the logarithm of the number of layers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "inside.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/layer_merge.h"

struct squash {
	const struct build *b;
	const size_t *layers; /* bottom first */
	int dirfd;	      /* intermediate results are made here */
	int outfd;
	size_t n;
	unsigned count;
};

static int make_dir(struct squash *q, struct err *e)
{
	char name[16];
	snprintf(name, sizeof(name), "%u", q->count++);
	if (mkdirat(q->dirfd, name, 0700) < 0)
		return err_sys(e, errno, "make a directory");
	int fd = openat(q->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open a directory") : fd;
}

/* Layers lo to lo + n - 1 as one directory: the layer's own, or a merged one in `out` (-1: make one). */
static int merge_range(struct squash *q, size_t lo, size_t n, int out, struct err *e)
{
	if (n == 1) {
		int fd = openat(q->b->layers[q->layers[lo]].dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_sys(e, errno, "open a layer") : fd;
	}
	autofd int lower = merge_range(q, lo, n / 2, -1, e);
	if (lower < 0)
		return lower;
	autofd int upper = merge_range(q, lo + n / 2, n - n / 2, -1, e);
	if (upper < 0)
		return upper;
	autofd int fd = out < 0 ? make_dir(q, e) : fcntl(out, F_DUPFD_CLOEXEC, 3);
	int r = fd < 0 ? fd : layer_merge(upper, lower, fd, e);
	return r < 0 ? r : take_fd(&fd);
}

static int merge_all(void *arg, struct err *e)
{
	struct squash *q = arg;
	int fd = merge_range(q, 0, q->n, q->outfd, e);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int merge_layers(struct build *b, const size_t *layers, size_t n, const char *name, struct err *e)
{
	struct squash q = {.b = b, .layers = layers, .n = n, .dirfd = -1, .outfd = -1};
	struct inside_job job = INSIDE_JOB_NONE;
	autofree char *diff = xasprintf("%s/diff", name);
	autofree char *between = xasprintf("%s/between", name);
	if (mkdirat(b->work.dirfd, name, 0700) < 0 || mkdirat(b->work.dirfd, diff, 0755) < 0 ||
	    mkdirat(b->work.dirfd, between, 0700) < 0)
		return err_sys(e, errno, "make the squashed layer");
	autofd int outfd = openat(b->work.dirfd, diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int dirfd = openat(b->work.dirfd, between, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (outfd < 0 || dirfd < 0)
		return err_sys(e, errno, "open the squashed layer");
	q.outfd = outfd;
	q.dirfd = dirfd;
	struct inside i = {.fn = merge_all, .arg = &q, .what = "squashing", .map = &b->map};
	int r = inside_start(&i, &job, e);
	if (r >= 0)
		r = inside_finish(&job, e);
	return r < 0 ? r : store_remove_tree(b->work.dirfd, between, e);
}

/* How many of the target's layers are its base image's. */
static size_t count_base(const struct build *b)
{
	const struct build_stage *s = &b->stages[b->target];
	while (s->base_stage >= 0)
		s = &b->stages[s->base_stage];
	return s->nbase;
}

/* The layers that hold anything: only those are in an image. */
static size_t take_fresh(const struct build *b, size_t base, size_t *ret)
{
	const struct build_stage *s = &b->stages[b->target];
	size_t n = 0;
	for (size_t i = base; i < s->nlayers; i++)
		if (!b->layers[s->layers[i]].empty)
			ret[n++] = s->layers[i];
	return n;
}

int build_squash(struct build *b, struct err *e)
{
	struct build_stage *s = &b->stages[b->target];
	size_t base = count_base(b);
	/* What may not be in a layer is taken out by the packer. */
	int r = build_pack_wait(b, e);
	if (r < 0)
		return r;
	autofree size_t *fresh = xcalloc(s->nlayers + 1, sizeof(*fresh));
	size_t n = take_fresh(b, base, fresh);
	if (n < 2)
		return 0;
	size_t at = build_new_layer(b);
	snprintf(b->layers[at].work, sizeof(b->layers[at].work), "squash-%u", b->counter++);
	autofree char *name = xstrdup(b->layers[at].work);
	r = merge_layers(b, fresh, n, name, e);
	if (r < 0)
		return err_ctx(e, "--squash");
	autofree char *diff = xasprintf("%s/diff", name);
	b->layers[at].dirfd = openat(b->work.dirfd, diff, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (b->layers[at].dirfd < 0)
		return err_sys(e, errno, "open the squashed layer");
	r = build_pack_layer(b, at, s->layers, base, e);
	s->nlayers = base;
	s->layers[s->nlayers++] = at;
	b->squashed = n;
	return r;
}
