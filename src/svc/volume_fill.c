/*
 * volume_fill.c - content put into a volume: copy-up from an image, and archives.
 *
 * The copy is made by a forked child as root of a user namespace that maps the caller and all subordinate ids, so that
 * every file keeps the host ids it has in the unpacked layers, whatever id map the container gets, in a mount
 * namespace of its own, where the layers are stacked read-only over the (empty) _data. The image's path is resolved
 * inside that stack (safepath), and nothing in it is followed (tree_copy). The child's error comes back in shared
 * memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/safepath.h"
#include "rl/kern/tree.h"
#include "stack_mount.h"
#include "volume_int.h"

enum { FILL_COPIED = 1 };

struct fill {
	struct err error; /* shared with the child */
	int result;
	unsigned keep;
	bool plain; /* no namespaces: a single layer needs no mount */
	const struct strv *layers;
	const char *path;
	const char *data; /* a mount point for the stack must be looked up in the mount namespace it is for */
	int fill;
	uid_t give_uid; /* an owner for _data itself, where the image has no such directory; (uid_t)-1: as it is */
	gid_t give_gid;
};

/* With one id true owners are in records, and a container that emulates them shows them. */
static unsigned keep_records(const struct idmap *map)
{
	return map->form == IDMAP_SINGLE ? TREE_LAYER : 0;
}

/* The image's root directory as a container sees it. */
static int open_stack(const struct fill *f, struct err *e)
{
	size_t n = f->layers->count;
	if (n == 1) {
		int fd = open(f->layers->items[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_sys(e, errno, "layer %s", f->layers->items[0]) : fd;
	}
	return stack_mount(f->layers, f->data, e);
}

static int give(const struct fill *f, struct err *e)
{
	if (f->give_uid == (uid_t)-1)
		return 0;
	return lchown(f->data, f->give_uid, f->give_gid) < 0
		       ? err_sys(e, errno, "give the volume to the container's root")
		       : 0;
}

static int copy_up(struct fill *f, struct err *e)
{
	struct tree_stats stats;
	int done = give(f, e);
	if (done < 0)
		return done;
	autofd int root = f->layers->count ? open_stack(f, e) : -ENOENT;
	if (root < 0)
		return root == -ENOENT && !f->layers->count ? 0 : root;
	struct err why = ERR_INIT;
	autofd int from = safepath_open(root, f->path, O_RDONLY | O_DIRECTORY, 0, &why);
	if (from < 0) {
		log_debug(LOG_STORE, "nothing to copy: %s", why.text);
		return 0;
	}
	int r = tree_copy(from, f->fill, f->keep, &stats, e);
	if (r < 0)
		return err_ctx(e, "copy %s of the image", f->path);
	if (stats.skipped)
		log_warn("%llu sockets or devices of the image's %s are not in the volume",
			 (unsigned long long)stats.skipped, f->path);
	return FILL_COPIED;
}

static int fill_child(void *arg)
{
	struct fill *f = arg;
	umask(0);
	f->result = copy_up(f, &f->error);
	return 0;
}

/* The map to copy in: everything the container's map has, by its host ids. */
static int copy_map(const struct idmap *map, struct idmap *ret_map, struct err *e)
{
	if (map->form != IDMAP_KEEPID) {
		*ret_map = *map;
		return 0;
	}
	return idmap_detect(false, ret_map, e);
}

/* A map without the caller: what the caller makes would be nobody's inside. */
static void choose_owner(struct fill *f, const struct idmap *map, const struct idmap *with)
{
	f->give_uid = (uid_t)-1;
	f->give_gid = (gid_t)-1;
	if (idmap_uid_from_host(map, geteuid()) != IDMAP_UNMAPPED)
		return;
	f->give_uid = idmap_uid_from_host(with, idmap_uid_to_host(map, 0));
	f->give_gid = idmap_gid_from_host(with, idmap_gid_to_host(map, 0));
}

static int run_copy(struct fill *f, const struct idmap *map, struct err *e)
{
	static const struct idmap identity = CONTAINER_MAP_IDENTITY;
	struct proc_child child = PROC_CHILD_NONE;
	struct idmap with;
	int r = copy_map(map ? map : &identity, &with, e);
	if (r < 0)
		return r;
	choose_owner(f, map ? map : &identity, &with);
	f->keep = keep_records(&with);
	r = userns_spawn_or_plain(&with, CLONE_NEWNS, fill_child, f, &f->plain, &child, e);
	if (r == 0)
		r = proc_wait_ok(&child, "the copy into the volume", e);
	if (r < 0)
		return r;
	if (f->result < 0 && e)
		*e = f->error;
	return f->result;
}

/* _fill becomes _data, which rename(2) allows only while _data is empty. */
static int publish(struct volume_lease *lease, int fill, struct err *e)
{
	/* Anonymous volumes do not outlive a crash that loses unwritten data anyway. */
	if (!lease->record.anonymous && syncfs(fill) < 0)
		return err_sys(e, errno, "sync");
	if (renameat(lease->fd, VOLUME_FILLING, lease->fd, VOLUME_DATA) == 0)
		return 1;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return err_sys(e, errno, "fill volume %s", lease->record.name);
	log_debug(LOG_STORE, "volume %s is not empty any more", lease->record.name);
	return 0;
}

static int fill_locked(struct volume_lease *lease, const struct idmap *map, const struct strv *layers, const char *path,
		       struct err *e)
{
	struct fill *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f == MAP_FAILED)
		return err_sys(e, errno, "shared memory");
	int r = store_remove_tree(lease->fd, VOLUME_FILLING, e); /* of a crash */
	if (r == 0 && mkdirat(lease->fd, VOLUME_FILLING, 0700) < 0)
		r = err_sys(e, errno, "make " VOLUME_FILLING);
	autofd int fill = r < 0 ? -1 : io_open_dir(lease->fd, VOLUME_FILLING, false, 0, e);
	if (r == 0 && fill < 0)
		r = fill;
	*f = (struct fill){.layers = layers, .path = path, .data = lease->data, .fill = fill};
	if (r == 0)
		r = run_copy(f, map, e);
	munmap(f, sizeof(*f));
	if (r == FILL_COPIED)
		r = publish(lease, fill, e);
	if (r != 1)
		(void)!store_remove_tree(lease->fd, VOLUME_FILLING, NULL);
	return r;
}

static int fill_exclusively(const struct store *s, struct volume_lease *lease, const struct idmap *map,
			    const struct strv *layers, const char *path, struct err *e)
{
	int r = volume_try_exclusive(s, lease, e);
	if (r <= 0)
		return r;
	/* A container whose monitor was killed lives without a lock. */
	int live = lease->is_made ? 0 : volume_is_live(s, lease->record.name, e);
	r = live == 0 ? fill_locked(lease, map, layers, path, e) : RL_MIN(live, 0);
	int unlocked = volume_unlock_exclusive(s, lease, r < 0 ? NULL : e);
	if (r < 0)
		return err_ctx(e, "volume %s", lease->record.name);
	return unlocked < 0 ? unlocked : r;
}

int volume_fill(const struct store *s, struct volume_lease *lease, const struct idmap *map, const struct strv *layers,
		const char *path, struct err *e)
{
	/* Without its lock the volume had content when it was looked up. */
	bool fills = lease->fillfd >= 0 && !lease->record.options.count && volume_may_be_empty(lease->fd);
	int r = fills ? fill_exclusively(s, lease, map, layers, path, e) : 0;
	close_fd(&lease->fillfd);
	return r;
}

/* ---- an archive ---- */

struct merge {
	struct err error; /* shared with the child */
	int result;
	int from, to; /* O_PATH: only the child may be able to read them */
	unsigned keep;
	bool plain;
};

static int merge_child(void *arg)
{
	struct merge *m = arg;
	struct tree_stats stats;
	umask(0);
	autofd int from = openat(m->from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int to = openat(m->to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0 || to < 0)
		m->result = err_sys(&m->error, errno, "open the volume");
	else
		m->result = tree_copy(from, to, TREE_REPLACE | m->keep, &stats, &m->error);
	return 0;
}

static int merge_fill(struct volume_lease *lease, const struct idmap *map, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	autofd int from = openat(lease->fd, VOLUME_FILLING, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofd int to = openat(lease->fd, VOLUME_DATA, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || to < 0)
		return err_sys(e, errno, "open the volume");
	struct merge *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return err_sys(e, errno, "shared memory");
	*m = (struct merge){.from = from, .to = to, .keep = keep_records(map)};
	int r = userns_spawn_or_plain(map, 0, merge_child, m, &m->plain, &child, e);
	if (r == 0)
		r = proc_wait_ok(&child, "the copy into the volume", e);
	if (r == 0 && m->result < 0) {
		r = m->result;
		if (e)
			*e = m->error;
	}
	munmap(m, sizeof(*m));
	return r;
}

/* The archive is unpacked whole beside the content first: one that is damaged or hostile changes nothing. */
static int import_into(const struct store *s, struct volume_lease *lease, const char *file, struct err *e)
{
	struct idmap map;
	autostrv struct strv verb = STRV_INIT;
	int r = idmap_detect(false, &map, e);
	if (r == 0)
		r = store_remove_tree(lease->fd, VOLUME_FILLING, e);
	if (r == 0 && mkdirat(lease->fd, VOLUME_FILLING, 0755) < 0)
		r = err_sys(e, errno, "make " VOLUME_FILLING);
	if (r < 0)
		return r;
	strv_add(&verb, "volume-import");
	strv_add(&verb, "--");
	strv_addf(&verb, "%s%s", file[0] == '-' && file[1] ? "./" : "", file);
	strv_addf(&verb, "%s/volumes/%s/" VOLUME_FILLING, s->root, lease->record.name);
	r = image_program_run(s, &map, &verb, str_eq(file, "-"), NULL, NULL, e);
	if (r == 0)
		r = merge_fill(lease, &map, e);
	(void)!store_remove_tree(lease->fd, VOLUME_FILLING, NULL);
	return r;
}

static int hold_for_archive(const char *root, const char *name, struct store *s, struct volume_lease *l, struct err *e)
{
	int r = store_open(root, true, s, e);
	if (r < 0)
		return r;
	r = volume_ensure(s, name, VOLUME_FIND, l, e);
	if (r == 0 && l->record.options.count) {
		volume_release(l);
		r = err_set(e, EOPNOTSUPP, "volume %s has its content elsewhere (options)", name);
	}
	if (r < 0)
		store_close(s);
	return r;
}

int volume_import(const char *root, const char *name, const char *file, struct err *e)
{
	struct store s;
	struct volume_lease l = VOLUME_LEASE_NONE;
	int r = hold_for_archive(root, name, &s, &l, e);
	if (r < 0)
		return r;
	/* Containers may have the volume mounted: imports exclude each other and who fills it. */
	autofd int fill = volume_lock_fill(l.fd, e);
	r = fill < 0 ? fill : import_into(&s, &l, file, e);
	volume_release(&l);
	store_close(&s);
	return r < 0 ? err_ctx(e, "volume import %s", name) : 0;
}

int volume_export(const char *root, const char *name, const char *file, struct err *e)
{
	struct store s;
	struct idmap map;
	struct volume_lease l = VOLUME_LEASE_NONE;
	autostrv struct strv verb = STRV_INIT;
	int r = hold_for_archive(root, name, &s, &l, e);
	if (r < 0)
		return r;
	strv_add(&verb, "volume-export");
	strv_addf(&verb, "--output=%s", file ? file : "-");
	strv_add(&verb, "--");
	strv_add(&verb, l.data);
	r = idmap_detect(false, &map, e);
	if (r == 0)
		r = image_program_run(&s, &map, &verb, false, NULL, NULL, e);
	volume_release(&l);
	store_close(&s);
	return r < 0 ? err_ctx(e, "volume export %s", name) : 0;
}
