/*
 * store.c - the root of the store: where it is, its directories, its lock; see store.h.
 *
 * Opening is on the path of every `rl run` and therefore lazy: one open of the root. Directories are made by whoever
 * needs them first. The lock is the file `lock` in the root; a store that cannot be written (read-only, shared) is
 * locked through its directory, and file systems without locks are treated as if there were one user (see io_lock).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/proc.h"
#include "rl/model/imgref.h"
#include "store_int.h"

enum { PASSWD_MAX = 16 << 20 };

/* Asked only when HOME is missing, and the file only: the network databases behind getpwuid may hang or be gone. */
static char *home_from_passwd(void)
{
	autostr struct str text = STR_INIT;
	autostrv struct strv lines = STRV_INIT;
	char id[16];
	snprintf(id, sizeof(id), "%u", (unsigned)geteuid());
	if (io_read_file(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &text, NULL) < 0)
		return NULL;
	strv_split(&lines, text.buf, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		autostrv struct strv fields = STRV_INIT;
		strv_split(&fields, lines.items[i], ':');
		if (fields.count >= 6 && str_eq(fields.items[2], id))
			return fields.items[5][0] == '/' && fields.items[5][1] ? xstrdup(fields.items[5]) : NULL;
	}
	return NULL;
}

static char *home_directory(void)
{
	const char *home = getenv("HOME");
	return home && *home == '/' ? xstrdup(home) : home_from_passwd();
}

static char *default_root(void)
{
	if (geteuid() == 0)
		return xstrdup("/var/lib/rl");
	const char *data = getenv("XDG_DATA_HOME");
	if (data && *data == '/')
		return path_join(data, "rl");
	autofree char *home = home_directory();
	if (home)
		return path_join(home, ".local/share/rl");
	/* No home at all (an arbitrary uid in a CI job): ours alone by ownership, checked when it is opened. */
	return xasprintf("/var/tmp/rl-%u", (unsigned)geteuid());
}

static char *choose_root(const char *root)
{
	const char *from_env = getenv("RL_ROOT");
	if (!root && from_env && *from_env)
		root = from_env;
	autofree char *path = root ? NULL : default_root();
	if (!root)
		root = path;
	if (*root == '/')
		return path_clean(root);
	autofree char *cwd = getcwd(NULL, 0);
	autofree char *joined = path_join(cwd ? cwd : "/", root);
	return path_clean(joined);
}

int store_open(const char *root, bool create, struct store *ret_store, struct err *e)
{
	autofree char *path = choose_root(root);
	autofd int fd = io_open_dir(AT_FDCWD, path, create, 0700, e);
	if (fd < 0) {
		err_hint(e, "--root DIR or RL_ROOT chooses another place for the store");
		return err_ctx(e, "store");
	}
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	/* Somebody else's directory in a world-writable place could feed us layers. */
	if ((st.st_mode & S_IWOTH) || (st.st_uid != geteuid() && st.st_uid != 0)) {
		int r = err_set(e, EPERM, "store %s: others may write to it", path);
		err_hint(e, "make the directory yours and mode 0700, or choose another with --root");
		return r;
	}
	*ret_store = (struct store){.rootfd = -1};
	autofree char *builtin = xasprintf("%s/images", proc_share_dir());
	if (access(builtin, X_OK) == 0)
		ret_store->builtin = take_ptr(&builtin);
	ret_store->root = take_ptr(&path);
	ret_store->rootfd = take_fd(&fd);
	return 0;
}

void store_close(struct store *s)
{
	free(s->root);
	free(s->builtin);
	close_fd(&s->rootfd);
	*s = (struct store){.rootfd = -1};
}

int store_dir(const struct store *s, const char *name, struct err *e)
{
	int fd = io_open_dir(s->rootfd, name, true, 0700, e);
	return fd < 0 ? err_ctx(e, "store %s", s->root) : fd;
}

static int open_lock(const struct store *s, struct err *e)
{
	int fd = openat(s->rootfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM))
		fd = openat(s->rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open the lock of store %s", s->root) : fd;
}

static int no_locks(const struct store *s, struct err *e)
{
	err_set(e, ENOLCK, "the file system of store %s has no locks, so nothing can be removed safely", s->root);
	err_hint(e, "put the store on a local file system with --root, or mount this one with locks");
	return -ENOLCK;
}

int store_can_remove(const struct store *s, struct err *e)
{
	autofd int fd = open_lock(s, e);
	return fd < 0 ? fd : io_can_lock(fd) ? 0 : no_locks(s, e);
}

int store_lock(const struct store *s, bool exclusive, bool wait, int *ret_fd, struct err *e)
{
	autofd int fd = open_lock(s, e);
	if (fd < 0)
		return fd;
	/* Adding works without locks for one user at a time. Removing does not. */
	if (exclusive && !io_can_lock(fd))
		return no_locks(s, e);
	if (!wait) {
		int r = io_try_lock(fd, exclusive, e);
		if (r <= 0)
			return r < 0 ? r : 1;
	} else {
		int r = io_lock(fd, exclusive, e);
		if (r < 0)
			return err_ctx(e, "store %s", s->root);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int store_lease(const struct store *s, struct err *e)
{
	int fd = -1;
	int r = store_lock(s, false, true, &fd, e);
	return r < 0 ? r : fd;
}

char *store_layer_path(const char *key, const char *hex)
{
	return xasprintf("layers/%s/%s", key, hex);
}

int store_builtin_open(const struct store *s)
{
	return s->builtin ? open(s->builtin, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static int blob_open_at(int layout_dirfd, const char *digest)
{
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), "blobs/sha256/%s", store_hex(digest));
	return openat(layout_dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
}

int store_open_blob(const struct store *s, const char *digest, int64_t size, struct err *e)
{
	if (!imgref_is_digest(digest))
		return err_set(e, EBADMSG, "\"%.80s\" is not a digest", digest);
	char path[STORE_PATH_SIZE];
	snprintf(path, sizeof(path), STORE_BLOBS "/%s", store_hex(digest));
	autofd int fd = openat(s->rootfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT && !s->alone) {
		fd = store_shared_blob(s, digest, size);
		errno = ENOENT;
	}
	if (fd < 0 && errno == ENOENT && s->builtin) {
		autofd int dirfd = store_builtin_open(s);
		if (dirfd >= 0)
			fd = blob_open_at(dirfd, digest);
		if (fd < 0)
			errno = ENOENT;
	}
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "blob %s is missing from the store", digest);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open blob %s", digest);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EBADMSG, "blob %s is not a file", digest);
	if (size >= 0 && st.st_size != size)
		return err_set(e, EBADMSG, "blob %s has %lld bytes and should have %lld", digest, (long long)st.st_size,
			       (long long)size);
	return take_fd(&fd);
}

int store_read_blob(const struct store *s, const char *digest, size_t max, struct str *out, struct err *e)
{
	autofd int fd = store_open_blob(s, digest, -1, e);
	if (fd < 0)
		return fd;
	return io_read_rest(fd, max, digest, out, e);
}

int store_blob_read_at(int layout_dirfd, const char *digest, size_t max, struct str *out, struct err *e)
{
	autofd int fd = blob_open_at(layout_dirfd, digest);
	if (fd < 0)
		return err_sys(e, errno, "open blob %s", digest);
	return io_read_rest(fd, max, digest, out, e);
}
