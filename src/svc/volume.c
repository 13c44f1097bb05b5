/*
 * volume.c - volumes made, found, locked and removed; see volume.h for the layout and the locks.
 */
#include "rl/svc/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/tree.h"
#include "volume_int.h"

static const char record_name[] = "volume.json";

enum { ENSURE_ATTEMPTS = 50 };

int volume_make(const struct store *s, const struct volume_record *r, struct err *e)
{
	char hex[17];
	autofd int parent = store_dir(s, "volumes", e);
	if (parent < 0)
		return parent;
	io_random_hex(8, hex);
	autofree char *temporary = xasprintf(".new-%s", hex);
	if (mkdirat(parent, temporary, 0700) < 0)
		return err_sys(e, errno, "make volume %s", r->name);
	autofd int fd = io_open_dir(parent, temporary, false, 0, e);
	int done = fd < 0 ? fd : io_lock(fd, true, e); /* so that nobody sweeps it */
	autojson json_t *doc = volume_record_to_json(r);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	str_addc(&text, '\n');
	if (done == 0)
		done = io_replace_file(fd, record_name, text.buf, text.len, 0600, true, e);
	/* What the payload's users see as the volume's root directory; docker's mode. */
	if (done == 0 && (mkdirat(fd, VOLUME_DATA, 0755) < 0 || fchmodat(fd, VOLUME_DATA, 0755, 0) < 0))
		done = err_sys(e, errno, "make volume %s", r->name);
	if (done == 0 && io_rename_new(parent, temporary, parent, r->name) < 0)
		done = errno == EEXIST ? err_set(e, EEXIST, "volume %s exists", r->name)
				       : err_sys(e, errno, "make volume %s", r->name);
	if (done < 0)
		(void)!io_remove_tree(parent, temporary, NULL);
	return done;
}

int volume_names(const struct store *s, struct strv *ret_names, struct err *e)
{
	autofd int parent = store_dir(s, "volumes", e);
	if (parent < 0)
		return parent;
	autostrv struct strv all = STRV_INIT;
	int r = io_list_dir(parent, &all, e);
	if (r < 0)
		return err_ctx(e, "list the volumes");
	for (size_t i = 0; i < all.count; i++)
		if (path_is_plain_name(all.items[i]))
			strv_add(ret_names, all.items[i]);
	strv_sort(ret_names);
	return 0;
}

static int not_found(const struct store *s, const char *name, struct err *e)
{
	autostrv struct strv known = STRV_INIT;
	(void)!volume_names(s, &known, NULL);
	err_set(e, ENOENT, "there is no volume '%s'", name);
	const char *near = str_nearest(name, (const char *const *)strv_argv(&known));
	return near ? err_hint(e, "did you mean '%s'?", near) : -ENOENT;
}

static int read_record(int dirfd, const char *name, struct volume_record *ret_record, struct err *e)
{
	json_t *doc = NULL;
	struct volume_record r = VOLUME_RECORD_INIT;
	int done = json_parse_file(dirfd, record_name, VOLUME_RECORD_MAX, &doc, e);
	autojson json_t *owned = doc;
	if (done == 0)
		done = volume_record_from_json(owned, &r, e);
	if (done == 0 && !str_eq(r.name, name)) {
		volume_record_free(&r);
		done = err_set(e, EBADMSG, "the record is another volume's");
	}
	if (done < 0)
		return err_ctx(e, "record of volume %s", name);
	*ret_record = r;
	return 0;
}

int volume_read(const struct store *s, const char *name, struct volume_record *ret_record, struct err *e)
{
	autofd int parent = store_dir(s, "volumes", e);
	if (parent < 0)
		return parent;
	autofd int fd = path_is_plain_name(name) ? io_open_dir(parent, name, false, 0, NULL) : -ENOENT;
	if (fd < 0)
		return not_found(s, name, e);
	return read_record(fd, name, ret_record, e);
}

/* Does the directory we hold still have the name? */
static bool is_named(int parent, const char *name, int fd)
{
	struct stat ours;
	struct stat there;
	return fstat(fd, &ours) == 0 && fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

bool volume_may_be_empty(int dirfd)
{
	autofd int fd = io_open_dir(dirfd, VOLUME_DATA, false, 0, NULL);
	return fd >= 0 && tree_is_empty(fd, NULL) == 1;
}

int volume_lock_fill(int dirfd, struct err *e)
{
	autofd int fd = openat(dirfd, record_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "%s", record_name);
	int r = io_lock(fd, true, e);
	return r < 0 ? r : take_fd(&fd);
}

/* 1 with the lease's locks, 0 when there is none, or it was removed while we waited. */
static int lock_named(int parent, const char *name, enum volume_want want, struct volume_lease *l, struct err *e)
{
	autofd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "volume %s", name);
	autofd int fillfd = -1;
	int r = 0;
	/* What has content has had its copy, for good: the rename that brought it was the last of the filling. */
	if (want == VOLUME_FILL && volume_may_be_empty(fd)) {
		fillfd = volume_lock_fill(fd, e);
		r = RL_MIN(fillfd, 0);
	}
	if (r == 0)
		r = io_lock(fd, false, e);
	if (!is_named(parent, name, fd)) {
		if (e)
			err_clear(e);
		return 0;
	}
	if (r < 0)
		return err_ctx(e, "volume %s", name);
	l->fd = take_fd(&fd);
	l->fillfd = take_fd(&fillfd);
	return 1;
}

static int make_missing(const struct store *s, const char *name, bool anonymous, struct err *e)
{
	struct volume_record r = VOLUME_RECORD_INIT;
	r.name = xstrdup(name);
	r.created = container_now();
	r.anonymous = anonymous;
	int done = volume_make(s, &r, e);
	volume_record_free(&r);
	return done;
}

int volume_ensure(const struct store *s, const char *name, enum volume_want want, struct volume_lease *ret_lease,
		  struct err *e)
{
	char hex[65];
	struct volume_lease l = VOLUME_LEASE_NONE;
	if (!name)
		io_random_hex(32, hex);
	const char *wanted = name ? name : hex;
	autofd int parent = store_dir(s, "volumes", e);
	if (parent < 0)
		return parent;
	if (!path_is_plain_name(wanted))
		return err_set(e, EINVAL,
			       "'%s' is no volume name: letters, digits, '_', '.' and '-', beginning with a "
			       "letter or digit",
			       wanted);
	int r = lock_named(parent, wanted, want, &l, e);
	for (int attempt = 0; r == 0 && attempt < ENSURE_ATTEMPTS; attempt++) {
		if (want == VOLUME_FIND)
			return not_found(s, wanted, e);
		r = make_missing(s, wanted, !name, e);
		l.is_made = r == 0;
		if (r == -EEXIST && e)
			err_clear(e);
		if (r == 0 || r == -EEXIST)
			r = lock_named(parent, wanted, want, &l, e);
	}
	if (r == 0)
		r = err_set(e, EAGAIN, "volume %s is removed as fast as it is made", wanted);
	if (r == 1)
		r = read_record(l.fd, wanted, &l.record, e);
	if (r < 0) {
		volume_release(&l);
		return r;
	}
	l.data = xasprintf("%s/volumes/%s/" VOLUME_DATA, s->root, wanted);
	*ret_lease = l;
	return 0;
}

void volume_release(struct volume_lease *lease)
{
	volume_record_free(&lease->record);
	free(lease->data);
	lease->data = NULL;
	close_fd(&lease->fd);
	close_fd(&lease->fillfd);
}

/* flock gives the old lock up before it has the new one (flock(2)). */
static int check_after_relock(const struct store *s, const struct volume_lease *lease, struct err *e)
{
	autofd int parent = store_dir(s, "volumes", e);
	if (parent < 0)
		return parent;
	return is_named(parent, lease->record.name, lease->fd)
		       ? 0
		       : err_set(e, EAGAIN, "volume %s was removed meanwhile", lease->record.name);
}

int volume_try_exclusive(const struct store *s, struct volume_lease *lease, struct err *e)
{
	int got = io_try_lock(lease->fd, true, e);
	int r = got == 0 ? io_lock(lease->fd, false, e) : 0;
	if (got < 0 || r < 0)
		return got < 0 ? got : r;
	r = check_after_relock(s, lease, e);
	return r < 0 ? r : got;
}

int volume_unlock_exclusive(const struct store *s, struct volume_lease *lease, struct err *e)
{
	int r = io_lock(lease->fd, false, e);
	return r < 0 ? r : check_after_relock(s, lease, e);
}

static bool names_volume(const struct container_rec *c, const char *name)
{
	for (size_t i = 0; i < c->config.o.nmounts; i++) {
		const struct mount_opt *m = &c->config.o.mounts[i];
		if (m->kind == MOUNT_KIND_VOLUME && m->source && str_eq(m->source, name))
			return true;
	}
	return false;
}

int volume_users(const struct store *s, const char *name, const char *except_id, struct strv *ret_users, struct err *e)
{
	struct container_list l;
	int r = container_store_list(s, &l, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l.count; i++) {
		const struct container_rec *c = &l.items[i];
		if (except_id && str_eq(c->config.id, except_id))
			continue;
		/* One that cannot be read may name any volume: data is not thrown away on a guess. */
		if (c->broken)
			strv_addf(ret_users, "%.12s (its record cannot be read)", c->config.id);
		else if (names_volume(c, name))
			strv_add(ret_users, c->config.name ? c->config.name : c->config.id);
	}
	container_list_free(&l);
	return 0;
}

int volume_is_live(const struct store *s, const char *name, struct err *e)
{
	struct container_list l;
	int r = container_store_list(s, &l, e);
	if (r < 0)
		return r;
	bool live = false;
	for (size_t i = 0; i < l.count && !live; i++)
		live = l.items[i].broken || (names_volume(&l.items[i], name) && container_rec_is_alive(&l.items[i]));
	container_list_free(&l);
	return live;
}

int volume_unmake(const struct store *s, const char *name, struct err *e)
{
	char hex[17];
	autofd int parent = store_dir(s, "volumes", e);
	if (parent < 0)
		return parent;
	io_random_hex(8, hex);
	autofree char *doomed = xasprintf(".del-%s", hex);
	if (renameat(parent, name, parent, doomed) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "remove volume %s", name);
	return store_remove_tree(parent, doomed, e);
}

static void drop_one(const struct store *s, int parent, const char *name, const char *except_id)
{
	struct volume_record record = VOLUME_RECORD_INIT;
	struct err why = ERR_INIT;
	autostrv struct strv users = STRV_INIT;
	autofd int fd = io_open_dir(parent, name, false, 0, NULL);
	if (fd < 0 || read_record(fd, name, &record, &why) < 0)
		return;
	bool anonymous = record.anonymous;
	volume_record_free(&record);
	if (!anonymous || io_try_lock(fd, true, NULL) != 1 || !is_named(parent, name, fd))
		return;
	int r = volume_users(s, name, except_id, &users, &why);
	if (r == 0 && !users.count)
		r = volume_unmake(s, name, &why);
	if (r < 0)
		log_debug(LOG_STORE, "volume %s stays: %s", name, why.text);
}

void volume_drop_anonymous(const struct store *s, const struct strv *names, const char *except_id)
{
	autofd int parent = names->count ? store_dir(s, "volumes", NULL) : -1;
	for (size_t i = 0; parent >= 0 && i < names->count; i++)
		if (path_is_plain_name(names->items[i]))
			drop_one(s, parent, names->items[i], except_id);
}

void volume_sweep(const struct store *s)
{
	autofd int parent = store_dir(s, "volumes", NULL);
	int scan = parent < 0 ? -1 : openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = scan < 0 ? NULL : fdopendir(scan);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		const char *name = entry->d_name;
		if (!str_after(name, ".new-") && !str_after(name, ".del-"))
			continue;
		autofd int fd = io_open_dir(parent, name, false, 0, NULL);
		struct stat st;
		/* The maker's lock comes a moment after its directory. */
		bool young = str_after(name, ".new-") && fd >= 0 && fstat(fd, &st) == 0 &&
			     container_now() / 1000000000 - st.st_mtime < 60;
		if (fd >= 0 && !young && io_try_lock(fd, true, NULL) == 1)
			(void)!store_remove_tree(parent, name, NULL);
	}
}
