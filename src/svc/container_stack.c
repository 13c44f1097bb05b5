/*
 * container_stack.c - see container_stack.h.
 */
#include "container_stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_copied.h"
#include "container_int.h"
#include "container_snapshot.h"
#include "host_image.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/ovl.h"

static int take_locks(struct container_stack *k, enum container_stack_lock lock, struct err *e)
{
	k->op = container_rec_lock(&k->rec, e);
	if (k->op < 0)
		return k->op;
	/* A restack that was interrupted is put right before anybody looks; whoever runs has done so at its start. */
	bool unsettled = container_restack_is_pending(&k->rec);
	if (container_rec_is_alive(&k->rec) || (lock != STACK_OWN && !unsettled))
		return 0;
	int r = container_rec_try_own(&k->rec, &k->own, e);
	if (r == 0)
		r = container_rec_wait_free(&k->rec, &k->own, e);
	if (r < 0)
		return r;
	r = container_rec_reload(&k->rec, e);
	if (r >= 0)
		r = container_restack_recover(&k->rec, e);
	if (r >= 0 && lock != STACK_OWN)
		close_fd(&k->own);
	return r;
}

static void list_layers(struct container_stack *k)
{
	const struct record_config *rc = &k->rec.config;
	autofree char *snapshots = xasprintf("%s/snapshots/", k->store.root);
	size_t i = 0;
	strv_add_owned(&k->mine, path_join(k->rec.dir, "upper"));
	for (; i < rc->layers.count && str_after(rc->layers.items[i], snapshots); i++)
		strv_add(&k->mine, rc->layers.items[i]);
	for (; i < rc->layers.count; i++)
		strv_add(&k->image, rc->layers.items[i]);
	if (rc->o.rootfs && rc->o.rootfs_overlay)
		strv_add(&k->image, rc->o.rootfs);
}

int container_stack_open(const char *root, const char *name, enum container_stack_lock lock,
			 struct container_stack *ret, struct err *e)
{
	struct container_stack k = CONTAINER_STACK_INIT;
	*ret = k;
	int r = store_open(root, true, &ret->store, e);
	if (r < 0)
		return r;
	r = container_store_find(&ret->store, name, &ret->rec, e);
	if (r >= 0)
		r = take_locks(ret, lock, e);
	if (r < 0) {
		container_stack_close(ret);
		return r;
	}
	ret->has_map = container_rec_map(&ret->rec, &ret->map);
	list_layers(ret);
	return 0;
}

void container_stack_close(struct container_stack *k)
{
	container_rec_free(&k->rec);
	close_fd(&k->own);
	close_fd(&k->op);
	strv_free(&k->mine);
	strv_free(&k->image);
	store_close(&k->store);
}

static int settle(const struct container_stack *k, struct err *e)
{
	autostrv struct strv below = STRV_INIT;
	for (size_t i = 1; i < k->mine.count; i++)
		strv_add(&below, k->mine.items[i]);
	strv_add_all(&below, &k->image);
	return container_copied_settle(k->rec.dirfd, &below, k->has_map ? &k->map : NULL, e);
}

int container_stack_need_layers(const struct container_stack *k, const char *verb, struct err *e)
{
	const struct run_opts *o = &k->rec.config.o;
	if (host_image_is(o)) {
		err_set(e, EOPNOTSUPP, "%s: the files of container %s are this machine's", verb, k->rec.config.name);
		return err_hint(e, "`rl diff` and `rl apply` show and take over what it changed");
	}
	if (!o->rootfs || o->rootfs_overlay)
		return settle(k, e);
	err_set(e, EOPNOTSUPP, "%s: container %s runs on the directory %s itself", verb, k->rec.config.name, o->rootfs);
	return err_hint(e, "with --rootfs DIR:O it would have a writable layer of its own");
}

int container_stack_open_fds(const struct container_stack *k, int **ret_fds, struct err *e)
{
	size_t n = k->mine.count + k->image.count;
	int *fds = xcalloc(n + 1, sizeof(int));
	for (size_t i = 0; i < n; i++) {
		const char *path = i < k->mine.count ? k->mine.items[i] : k->image.items[i - k->mine.count];
		/* O_PATH: a payload may have taken its root directory from us */
		fds[i] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[i] < 0) {
			int errnum = errno;
			while (i-- > 0)
				close(fds[i]);
			free(fds);
			return err_sys(e, errnum, "a layer of container %s: %s", k->rec.config.name, path);
		}
	}
	*ret_fds = fds;
	return 0;
}

void container_stack_close_fds(const struct container_stack *k, int *fds)
{
	for (size_t i = 0; fds && i < k->mine.count + k->image.count; i++)
		close(fds[i]);
	free(fds);
}

void container_stack_mount_points(const struct container_stack *k, struct strv *out)
{
	static const char *const standard[] = {
		"/proc",      "/dev",	      "/sys",	   "/etc/resolv.conf",	"/etc/hostname",
		"/etc/hosts", "/run/secrets", "/etc/mtab", "/run/.containerenv"};
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
		strv_add(out, standard[i]);
	const struct run_opts *o = &k->rec.config.o;
	for (size_t i = 0; i < o->nmounts; i++)
		if (o->mounts[i].target)
			strv_add_owned(out, path_clean(o->mounts[i].target));
}

struct placeholders {
	const struct container_stack *k;
	int *fds;
	const struct strv *points;

	int outfd;
};

static bool is_empty_place(int dirfd, const char *name, const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return st->st_size == 0;
	/* A directory that can be removed is empty; look instead of trying. */
	if (!S_ISDIR(st->st_mode))
		return false;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	while (d && (entry = readdir(d)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			return false;
	return d != NULL;
}

static int find_placeholders(void *arg, struct err *e)
{
	struct placeholders *p = arg;
	size_t nmine = p->k->mine.count;
	for (size_t i = 0; i < p->points->count; i++) {
		const char *path = p->points->items[i] + 1;
		autofree char *dir = path_dir(path);
		const char *name = path_base(path);
		const char *in = str_eq(dir, ".") ? "" : dir;
		struct ovl_hit hit;
		if (!*name)
			continue;
		int r = ovl_find(p->fds, nmine, in, name, &hit, e);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		bool empty = is_empty_place(hit.dirfd, name, &hit.st);
		close(hit.dirfd);
		r = empty ? ovl_find(p->fds + nmine, p->k->image.count, in, name, &hit, e) : 1;
		if (r < 0)
			return r;
		if (r == 1) {
			if (empty)
				close(hit.dirfd);
			continue;
		}
		char byte = (char)i;
		r = io_write_all(p->outfd, &byte, 1, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int container_stack_placeholders(const struct container_stack *k, struct strv *out, struct err *e)
{
	autostrv struct strv points = STRV_INIT;
	container_stack_mount_points(k, &points);
	while (points.count > 127)
		strv_remove(&points, points.count - 1);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int from = ends[0];
	autofd int to = ends[1];
	struct placeholders p = {.k = k, .points = &points, .outfd = to};
	autostr struct str found = STR_INIT;
	int r = container_stack_open_fds(k, &p.fds, e);
	if (r < 0)
		return r;
	r = container_stack_run(k, 0, find_placeholders, &p, "the look for mount points", e);
	container_stack_close_fds(k, p.fds);
	close_fd(&to);
	if (r >= 0)
		r = io_read_rest(from, 256, "the list of mount points", &found, e);
	for (size_t i = 0; r >= 0 && i < found.len; i++)
		if ((size_t)found.buf[i] < points.count)
			strv_add(out, points.items[(size_t)found.buf[i]] + 1);
	return r < 0 ? r : 0;
}

int container_stack_run(const struct container_stack *k, int clone_flags, int (*fn)(void *arg, struct err *e),
			void *arg, const char *what, struct err *e)
{
	return inside_run(&(struct inside){.map = k->has_map ? &k->map : NULL,
					   .clone_flags = clone_flags,
					   .fn = fn,
					   .arg = arg,
					   .what = what},
			  e);
}

json_t *container_stack_describe(const struct container_rec *c)
{
	json_t *doc = json_object();
	json_t *data = json_object();
	autostr struct str lower = STR_INIT;
	autofree char *upper = xasprintf("%s/upper", c->dir);
	autofree char *work = xasprintf("%s/work", c->dir);
	for (size_t i = 0; i < c->config.layers.count; i++)
		str_addf(&lower, "%s%s", i ? ":" : "", c->config.layers.items[i]);
	json_put_str(data, "LowerDir", lower.buf);
	json_put_str(data, "UpperDir", upper);
	json_put_str(data, "WorkDir", work);
	json_put_str(doc, "Name", "overlay");
	json_put(doc, "Data", data);
	return doc;
}
