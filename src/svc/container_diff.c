/*
 * container_diff.c - what a container's own layers change in its image; see rl/svc/container_copy.h and
 * rl/engine/changes.h.
 *
 * The looking is done by a child that is root in the container's map, because a payload may have made directories that
 * nobody else can read; it writes "KIND PATH" with a NUL after each into a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "container_copied.h"
#include "container_snapshot.h"
#include "container_stack.h"
#include "host_changes.h"
#include "host_image.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/changes.h"
#include "rl/svc/container_copy.h"

enum { LIST_MAX = 1 << 30 };

struct diff {
	struct changes_req req;
	bool compares;
	int outfd;
};

int container_changes_write(const struct change_list *l, int fd, struct err *e)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < l->count; i++) {
		str_addc(&out, l->items[i].kind);
		str_add(&out, l->items[i].path, strlen(l->items[i].path) + 1);
	}
	return io_write_all(fd, out.buf, out.len, e);
}

static int write_changes(void *arg, struct err *e)
{
	const struct diff *d = arg;
	struct change_list l;
	int r = d->compares ? changes_compare(&d->req, &l, e) : changes_find(&d->req, &l, e);
	if (r < 0)
		return r;
	r = container_changes_write(&l, d->outfd, e);
	change_list_free(&l);
	return r;
}

static json_t *to_json(const struct str *text)
{
	json_t *list = json_array();
	for (size_t at = 0; at < text->len; at += strlen(text->buf + at) + 1) {
		const char kind[] = {text->buf[at], '\0'};
		json_t *item = json_object();
		json_put_str(item, "kind", kind);
		json_put_str(item, "path", text->buf + at + 1);
		json_array_append_new(list, item);
	}
	return list;
}

int container_changes_read(const struct inside *in, int ends[2], json_t **ret_changes, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofd int from = ends[0];
	struct inside_job job = INSIDE_JOB_NONE;
	int r = inside_start(in, &job, e);
	close(ends[1]);
	if (r < 0)
		return r;
	struct err why = ERR_INIT;
	int read = io_read_rest(from, LIST_MAX, "the list of changes", &text, &why);
	r = inside_finish(&job, e);
	if (r >= 0 && read < 0) {
		if (e)
			*e = why;
		return read;
	}
	if (r >= 0)
		*ret_changes = to_json(&text);
	return r;
}

int container_stack_diff(const struct container_stack *k, bool compares, size_t ntop, const int *fds, size_t nfds,
			 json_t **ret_changes, struct err *e)
{
	autostrv struct strv hidden = STRV_INIT;
	container_stack_mount_points(k, &hidden);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	struct diff d = {
		.req = {.top = fds, .ntop = ntop, .below = fds + ntop, .nbelow = nfds - ntop, .hidden = &hidden},
		.compares = compares,
		.outfd = ends[1],
	};
	const struct inside in = {
		.map = k->has_map ? &k->map : NULL, .fn = write_changes, .arg = &d, .what = "the comparison of layers"};
	return container_changes_read(&in, ends, ret_changes, e);
}

/* Without a layer of it, where the store cannot hold one: what the copy shows and the layers below do not. */
static int diff_copied(const struct container_stack *k, int *fds, json_t **ret_changes, struct err *e)
{
	autofree char *path = xasprintf("%s/" CONTAINER_COPIED_ROOT, k->rec.dir);
	int copy = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (copy < 0)
		return err_sys(e, errno, "%s", path);
	close(fds[0]);
	fds[0] = copy;
	return container_stack_diff(k, true, 1, fds, k->mine.count + k->image.count, ret_changes, e);
}

static int diff_stack(const struct container_stack *k, json_t **ret_changes, struct err *e)
{
	int *fds = NULL;
	struct err why = ERR_INIT;
	int settled = container_stack_need_layers(k, "diff", &why);
	bool compare = settled == -EOPNOTSUPP && container_is_copied(k->rec.dirfd);
	if (settled < 0 && !compare) {
		if (e)
			*e = why;
		return settled;
	}
	int r = container_stack_open_fds(k, &fds, e);
	if (r >= 0)
		r = compare ? diff_copied(k, fds, ret_changes, e)
			    : container_stack_diff(k, false, k->mine.count, fds, k->mine.count + k->image.count,
						   ret_changes, e);
	container_stack_close_fds(k, fds);
	return r;
}

int container_diff(const char *root, const char *name, json_t **ret_changes, struct err *e)
{
	struct container_stack k;
	int r = container_stack_open(root, name, STACK_READ, &k, e);
	if (r < 0)
		return r;
	r = host_image_is(&k.rec.config.o) ? host_diff(&k, ret_changes, e) : diff_stack(&k, ret_changes, e);
	container_stack_close(&k);
	return r < 0 ? r : 0;
}
