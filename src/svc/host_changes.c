/*
 * host_changes.c - see host_changes.h.
 */
#include "host_changes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "container_snapshot.h"
#include "host_image.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

static int open_layer(int host, const char *name, struct host_layers *l, struct err *e)
{
	autofree char *upper = path_join(name, "upper");
	autofree char *work = path_join(name, "work");
	struct host_layer one = {.path = host_image_part_path(name), .upper = -1, .host = -1};
	int r = 0;
	one.upper = openat(host, upper, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	one.overlay = faccessat(host, work, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (one.upper < 0 && errno != ENOENT)
		r = err_sys(e, errno, "changes of %s", one.path);
	if (one.upper >= 0)
		one.host = open(one.path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (one.upper >= 0 && one.host < 0)
		log_warn("%s is not there any more: what the container changed in it is left out", one.path);
	if (one.host >= 0) {
		l->items = xreallocarray(l->items, l->count + 1, sizeof(*l->items));
		l->items[l->count++] = one;
		return 0;
	}
	close_fd(&one.upper);
	free(one.path);
	return r;
}

int host_layers_open(const struct container_stack *k, struct host_layers *ret, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	*ret = (struct host_layers){.items = NULL};
	autofd int host = openat(k->rec.dirfd, "host", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (host < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "changes of container %s", k->rec.config.name);
	int r = io_list_dir(host, &names, e);
	strv_sort(&names);
	for (size_t i = 0; i < names.count && r == 0; i++)
		r = open_layer(host, names.items[i], ret, e);
	if (r < 0)
		host_layers_close(ret);
	return r;
}

void host_layers_close(struct host_layers *l)
{
	for (size_t i = 0; i < l->count; i++) {
		close_fd(&l->items[i].upper);
		close_fd(&l->items[i].host);
		free(l->items[i].path);
	}
	free(l->items);
	*l = (struct host_layers){.items = NULL};
}

void host_hidden(const struct container_stack *k, struct strv *out)
{
	autostr struct str text = STR_INIT;
	container_stack_mount_points(k, out);
	if (io_read_file(k->rec.dirfd, HOST_IMAGE_PLACES, HOST_IMAGE_PLACES_MAX, &text, NULL) < 0)
		return;
	for (size_t at = 0; at < text.len; at += strlen(text.buf + at) + 1)
		strv_add(out, text.buf + at);
}

int host_layer_changes(const struct host_layer *l, const struct strv *hidden, struct change_list *ret, struct err *e)
{
	const struct changes_req req = {
		.top = &l->upper,
		.ntop = 1,
		.below = &l->host,
		.nbelow = 1,
		.hidden = hidden,
		.prefix = l->path,
		.by_content = true,
		/* What the machine has in a directory that was taken apart stands there as mount points and copies of
		 * links. */
		.new_only = !l->overlay,
	};
	*ret = (struct change_list){.items = NULL};
	/* Closed to the caller here, and so it was inside. */
	autofd int probe = openat(l->host, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return probe < 0 && errno == EACCES ? 0 : changes_find(&req, ret, e);
}

struct diff {
	const struct host_layers *layers;
	const struct strv *hidden;
	int outfd;
};

static int write_changes(void *arg, struct err *e)
{
	const struct diff *d = arg;
	int r = 0;
	for (size_t i = 0; i < d->layers->count && r == 0; i++) {
		struct change_list l;
		r = host_layer_changes(&d->layers->items[i], d->hidden, &l, e);
		if (r < 0)
			return r;
		r = container_changes_write(&l, d->outfd, e);
		change_list_free(&l);
	}
	return r;
}

int host_diff(const struct container_stack *k, json_t **ret_changes, struct err *e)
{
	struct host_layers layers;
	autostrv struct strv hidden = STRV_INIT;
	int ends[2];
	int r = host_layers_open(k, &layers, e);
	if (r < 0)
		return r;
	host_hidden(k, &hidden);
	if (pipe2(ends, O_CLOEXEC) < 0) {
		host_layers_close(&layers);
		return err_sys(e, errno, "pipe");
	}
	struct diff d = {.layers = &layers, .hidden = &hidden, .outfd = ends[1]};
	const struct inside in = {
		.map = k->has_map ? &k->map : NULL, .fn = write_changes, .arg = &d, .what = "the comparison"};
	r = container_changes_read(&in, ends, ret_changes, e);
	host_layers_close(&layers);
	return r;
}
