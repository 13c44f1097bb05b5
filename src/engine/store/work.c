/*
 * work.c - writers: a directory of their own below tmp/, pins, publishing; see store.h.
 *
 * The directory's lock says that its owner lives. It is made and locked while the store lock is held shared, so that a
 * sweep, which takes it exclusively, never sees one that is not locked yet. A pin is a line in the file `pins` of the
 * directory, "blob HEX" or "layer KEY HEX", written and followed by the look at the store under one shared lock:
 * whatever pin_* reported as present stays present, because collection holds the lock exclusively while it decides.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/imgref.h"
#include "store_int.h"

int store_work_begin(const struct store *s, struct store_work *ret_work, struct err *e)
{
	autofd int lockfd = -1;
	autofd int tmpfd = store_dir(s, "tmp", e);
	if (tmpfd < 0)
		return tmpfd;
	int r = store_lock(s, false, true, &lockfd, e);
	if (r < 0)
		return r;
	char random[17];
	io_random_hex(8, random);
	autofree char *name = xasprintf("work-%s", random);
	if (mkdirat(tmpfd, name, 0700) < 0)
		return err_sys(e, errno, "make %s/tmp/%s", s->root, name);
	struct store_work w = {.store = s, .dirfd = -1, .pinsfd = -1};
	w.dirfd = openat(tmpfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = w.dirfd < 0 ? err_sys(e, errno, "open %s/tmp/%s", s->root, name) : io_try_lock(w.dirfd, true, e);
	if (r >= 0) {
		w.pinsfd = openat(w.dirfd, "pins", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (w.pinsfd < 0)
			r = err_sys(e, errno, "create %s/tmp/%s/pins", s->root, name);
	}
	if (r < 0) {
		close_fd(&w.dirfd);
		(void)!io_remove_tree(tmpfd, name, NULL);
		return r;
	}
	w.name = take_ptr(&name);
	*ret_work = w;
	return 0;
}

int store_work_begin_reading(const struct store *s, struct store_work *ret_work, struct err *e)
{
	struct err why = ERR_INIT;
	int r = store_work_begin(s, ret_work, &why);
	if (r == -EROFS || r == -EACCES) {
		*ret_work = (struct store_work){.store = s, .dirfd = -1, .pinsfd = -1};
		return 0;
	}
	if (r < 0 && e)
		*e = why;
	return r;
}

void store_work_end(struct store_work *w)
{
	if (!w->store || !w->name)
		return;
	struct err cause = ERR_INIT;
	autofree char *path = xasprintf("tmp/%s", w->name);
	close_fd(&w->pinsfd);
	/* Removed while still locked: nobody else tries the same. */
	if (store_remove_tree(w->store->rootfd, path, &cause) < 0)
		log_debug(LOG_STORE, "%s stays for the next sweep: %s", path, cause.text);
	close_fd(&w->dirfd);
	free(w->name);
	*w = (struct store_work){.dirfd = -1, .pinsfd = -1};
}

/* ---- pins ---- */

static int write_pin(struct store_work *w, const char *line, int *ret_lockfd, struct err *e)
{
	int r = store_lock(w->store, false, true, ret_lockfd, e);
	if (r < 0)
		return r;
	return w->pinsfd < 0 ? 0 : io_write_all(w->pinsfd, line, strlen(line), e);
}

int store_pin_blob(struct store_work *w, const char *digest, int64_t size, struct err *e)
{
	if (!imgref_is_digest(digest))
		return err_set(e, EBADMSG, "\"%.80s\" is not a digest", digest);
	char line[STORE_PATH_SIZE];
	snprintf(line, sizeof(line), "blob %s\n", store_hex(digest));
	autofd int lockfd = -1;
	int r = write_pin(w, line, &lockfd, e);
	if (r < 0)
		return r;
	struct stat st;
	snprintf(line, sizeof(line), STORE_BLOBS "/%s", store_hex(digest));
	if (fstatat(w->store->rootfd, line, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "stat %s", line);
	return S_ISREG(st.st_mode) && (size < 0 || st.st_size == size);
}

static int layer_path(const char *key, const char *hex, const char *tail, char ret[STORE_PATH_SIZE], struct err *e)
{
	if (!path_is_plain_name(key) || !imgref_is_hex(hex))
		return err_set(e, EINVAL, "\"%.80s/%.80s\" does not name a layer", key, hex);
	snprintf(ret, STORE_PATH_SIZE, "layers/%s/%s%s", key, hex, tail);
	return 0;
}

int store_pin_layer(struct store_work *w, const char *key, const char *hex, struct err *e)
{
	char path[STORE_PATH_SIZE];
	int r = layer_path(key, hex, "/diff", path, e);
	if (r < 0)
		return r;
	char line[STORE_PATH_SIZE];
	snprintf(line, sizeof(line), "layer %s %s\n", key, hex);
	autofd int lockfd = -1;
	r = write_pin(w, line, &lockfd, e);
	if (r < 0)
		return r;
	struct stat st;
	if (fstatat(w->store->rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISDIR(st.st_mode);
	return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, errno, "stat %s", path);
}

/* ---- publishing ---- */

int store_publish_blob(struct store_work *w, const char *name, const char *digest, struct err *e)
{
	int r = store_pin_blob(w, digest, -1, e);
	if (r >= 0)
		r = io_mkdirs(w->store->rootfd, STORE_BLOBS, 0700, e);
	if (r < 0)
		return r;
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), STORE_BLOBS "/%s", store_hex(digest));
	/* The same bytes may be there already; replacing them mends a damaged blob and changes nothing otherwise. */
	if (renameat(w->dirfd, name, w->store->rootfd, path) < 0)
		return err_sys(e, errno, "publish blob %s", digest);
	return 0;
}

int store_put_blob(struct store_work *w, const void *data, size_t len, const char *digest, struct err *e)
{
	int r = store_pin_blob(w, digest, (int64_t)len, e);
	if (r)
		return r < 0 ? r : 0;
	const char *name = store_hex(digest);
	autofd int fd = openat(w->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "create blob %s", digest);
	r = io_write_all(fd, data, len, e);
	if (r >= 0 && !w->synced && fsync(fd) < 0)
		r = err_sys(e, errno, "sync");
	if (r < 0)
		return err_ctx(e, "blob %s", digest);
	return store_publish_blob(w, name, digest, e);
}

/* A directory in the place of a layer that is no layer (its `diff` is gone): out of the way, into our rubbish. */
static int displace(struct store_work *w, const char *path, struct err *e)
{
	autofree char *diff = xasprintf("%s/diff", path);
	struct stat st;
	if (fstatat(w->store->rootfd, diff, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return 0;
	char random[17];
	io_random_hex(8, random);
	if (renameat(w->store->rootfd, path, w->dirfd, random) < 0 && errno != ENOENT)
		return err_sys(e, errno, "move the damaged %s away", path);
	return 1;
}

int store_publish_layer(struct store_work *w, const char *name, const char *key, const char *hex, struct err *e)
{
	char path[STORE_PATH_SIZE];
	int r = store_pin_layer(w, key, hex, e);
	if (r)
		return r < 0 ? r : 0;
	(void)!layer_path(key, hex, "", path, NULL);
	autofree char *parent = xasprintf("layers/%s", key);
	r = io_mkdirs(w->store->rootfd, parent, 0700, e);
	if (r < 0)
		return r;
	for (int attempt = 0; attempt < 3; attempt++) {
		if (io_rename_new(w->dirfd, name, w->store->rootfd, path) == 0) {
			autofd int fd = openat(w->store->rootfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (fd >= 0 && !w->synced && fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS)
				return err_sys(e, errno, "sync %s", parent);
			return 0;
		}
		if (errno != EEXIST)
			return err_sys(e, errno, "publish layer %s", path);
		r = displace(w, path, e);
		if (r <= 0)
			return r; /* somebody else's whole layer is there */
	}
	return err_set(e, EBUSY, "publish layer %s: its place is taken again and again", path);
}
