/*
 * receive.c - the end that writes; see copy.h.
 *
 * First the target is found: a directory that is held, and the name in it that the source's root gets ("" when the
 * source's contents go into the directory itself). Everything after that is done by single names in directories that
 * were opened without following, from the held one down; the directory of the last object is kept open, since the next
 * is mostly in the same. Paths in the stream are checked component by component: they may come from a hostile tar.
 *
 * Owner, mode and time of directories are set at the end, innermost first, so that a read-only directory can be filled
 * and keeps its time.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "copy_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/tree_wire.h"
#include "rl/kern/safepath.h"

enum { LINKS_MAX = 40 };

struct made_dir {
	char *path; /* in the stream */
	struct tree_node meta;
};

struct receiver {
	const struct copy_receive *c;
	struct tree_in in;
	int dirfd;  /* the directory the target is in, or is */
	char *name; /* of the stream's root in it; "": it is the directory itself */
	int rootfd; /* the directory of the stream's root, once there is one; -1 */
	char *near; /* path of nearfd in the stream */
	int nearfd;
	struct made_dir *dirs;
	size_t ndirs;
	unsigned devices; /* that could not be made */
};

/* ---- the target ---- */

static bool is_dir_fd(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The directory a path's last component is in, and that component, with symlinks at the end followed. *ret_fd: what is
 * there, -1 if nothing. */
static int find_end(const struct copy_place *place, const char *path, int *ret_dirfd, char **ret_name, int *ret_fd,
		    struct err *e)
{
	autofree char *at = xstrdup(path);
	for (int links = 0; links < LINKS_MAX; links++) {
		size_t n = strlen(at);
		while (n > 1 && at[n - 1] == '/')
			at[--n] = '\0';
		char *slash = strrchr(at, '/');
		autofree char *name = xstrdup(slash + 1);
		slash[slash == at ? 1 : 0] = '\0';
		autofd int dirfd = copy_open(place, at, O_PATH | O_DIRECTORY, e);
		if (dirfd < 0)
			return dirfd;
		if (!*name || str_eq(name, ".") || str_eq(name, "..")) {
			/* A directory by its own nature. */
			if (!*name || str_eq(name, ".")) {
				*ret_fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
			} else {
				autofree char *up = path_join(at, name);
				*ret_fd = copy_open(place, up, O_PATH | O_DIRECTORY, e);
			}
			if (*ret_fd < 0)
				return err_sys(e, errno, "open %s", path);
			*ret_dirfd = take_fd(&dirfd);
			*ret_name = xstrdup("");
			return 0;
		}
		char target[PATH_MAX];
		ssize_t len = readlinkat(dirfd, name, target, sizeof(target) - 1);
		if (len < 0) {
			*ret_fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
			if (*ret_fd < 0 && errno != ENOENT)
				return err_sys(e, errno, "open %s", path);
			*ret_dirfd = take_fd(&dirfd);
			*ret_name = take_ptr(&name);
			return 0;
		}
		target[len] = '\0';
		char *next = *target == '/' ? xstrdup(target) : path_join(at, target);
		free(at);
		at = next;
	}
	return err_sys(e, ELOOP, "%s", path);
}

/* Decide where the stream's root goes. `first`: the root node, or NULL for a tar stream. */
static int find_target(struct receiver *r, const struct tree_node *first, struct err *e)
{
	const struct copy_receive *c = r->c;
	bool source_is_dir = first && S_ISDIR(first->mode);
	autofd int dirfd = -1;
	autofd int fd = -1;
	autofree char *name = NULL;
	autofree char *clean = xstrdup(c->path);
	if (str_ends(clean, "/."))
		clean[strlen(clean) - 1] = '\0';
	int rc = find_end(&c->place, clean, &dirfd, &name, &fd, e);
	if (rc < 0)
		return rc;
	if (fd >= 0 && is_dir_fd(fd)) {
		/* An O_PATH descriptor will do to reach names in it. */
		r->dirfd = take_fd(&fd);
		bool into = c->archive || (source_is_dir && c->contents);
		r->name = xstrdup(into ? "" : c->name);
		return 0;
	}
	if (c->archive)
		return err_sys(e, fd >= 0 ? ENOTDIR : ENOENT, "%s", c->path);
	if (fd >= 0 && source_is_dir && !c->overwrite)
		return err_set(e, ENOTDIR, "a directory cannot be copied onto %s, which is none", c->path);
	if (!source_is_dir && copy_path_is_dir(c->path))
		return fd >= 0 ? err_sys(e, ENOTDIR, "%s", c->path)
			       : err_set(e, ENOENT, "there is no directory %s to copy a file into", c->path);
	r->dirfd = take_fd(&dirfd);
	r->name = take_ptr(&name);
	return 0;
}

/* ---- names in the stream ---- */

static bool is_name(const char *name)
{
	return *name && !str_eq(name, ".") && !str_eq(name, "..") && !strchr(name, '/');
}

static int open_child(int dirfd, const char *name, struct err *e)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno == EACCES) /* reached, if not read */
		fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "%s", name) : fd;
}

/* Descriptor (borrowed) of a directory of the stream, from its root down. */
static int reach(struct receiver *r, const char *path, bool make, struct err *e)
{
	if (r->nearfd >= 0 && str_eq(path, r->near))
		return r->nearfd;
	autofd int fd = -1;
	autofree char *rest = xstrdup(path);
	int at = r->rootfd;
	for (char *p = rest; *p;) {
		char *slash = strchr(p, '/');
		if (slash)
			*slash = '\0';
		if (!is_name(p))
			return err_set(e, EBADMSG, "%s is no path of a copy", path);
		if (make && mkdirat(at, p, 0755) < 0 && errno != EEXIST)
			return err_sys(e, errno, "make directory %s", path);
		int next = open_child(at, p, e);
		if (next < 0)
			return next;
		close_fd(&fd);
		fd = next;
		at = fd;
		p += strlen(p) + (slash != NULL);
	}
	if (fd < 0)
		return r->rootfd;
	close_fd(&r->nearfd);
	r->nearfd = take_fd(&fd);
	free(r->near);
	r->near = xstrdup(path);
	return r->nearfd;
}

/* The directory of a path and its last name (borrowed); the stream's root is in the target's directory. */
static int locate(struct receiver *r, const char *path, const char **ret_name, struct err *e)
{
	if (!*path && !r->c->archive) {
		*ret_name = r->name;
		return r->dirfd;
	}
	if (r->rootfd < 0)
		return err_set(e, EBADMSG, "%s is in nothing that was copied", path);
	const char *slash = strrchr(path, '/');
	autofree char *dir = xstrndup(path, slash ? (size_t)(slash - path) : 0);
	*ret_name = slash ? slash + 1 : path;
	if (!is_name(*ret_name))
		return err_set(e, EBADMSG, "%s is no path of a copy", path);
	return reach(r, dir, r->c->archive, e);
}

/* ---- objects ---- */

static uint32_t inside_id(const struct idmap *map, bool group, uint32_t id)
{
	if (!map)
		return id;
	uint32_t in = group ? idmap_gid_from_host(map, id) : idmap_uid_from_host(map, id);
	return in == IDMAP_UNMAPPED ? 0 : in;
}

static bool sets_owner(const struct receiver *r)
{
	return r->c->keep_owner || !r->c->place.host;
}

static uint32_t owner(const struct receiver *r, const struct tree_node *n, bool group)
{
	return r->c->keep_owner ? inside_id(r->c->from_host, group, group ? n->gid : n->uid) : 0;
}

static mode_t permissions(const struct receiver *r, const struct tree_node *n)
{
	return n->mode & (r->c->drop_setid ? 01777u : 07777u);
}

static int set_metadata(const struct receiver *r, int fd, const struct tree_node *n, const char *what, struct err *e)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = n->mtime, .tv_nsec = n->mtime_ns}};
	if (sets_owner(r) && fchown(fd, owner(r, n, false), owner(r, n, true)) < 0)
		return err_sys(e, errno, "chown %s", what);
	if (fchmod(fd, permissions(r, n)) < 0)
		return err_sys(e, errno, "chmod %s", what);
	return futimens(fd, times) < 0 ? err_sys(e, errno, "set the time of %s", what) : 0;
}

static int set_link_metadata(const struct receiver *r, int dirfd, const char *name, const struct tree_node *n,
			     const char *what, struct err *e)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = n->mtime, .tv_nsec = n->mtime_ns}};
	if (sets_owner(r) && fchownat(dirfd, name, owner(r, n, false), owner(r, n, true), AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "chown %s", what);
	(void)!utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* Make room for something that is no directory: 0; 1 if what is there cannot go because something is mounted on it. */
static int clear_name(const struct receiver *r, int dirfd, const char *name, const char *what, struct err *e)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR && r->c->overwrite)
		return io_remove_tree(dirfd, name, e);
	if (errno == EISDIR)
		return err_set(e, EISDIR, "%s is a directory and cannot be replaced by something else", what);
	return errno == EBUSY ? 1 : err_sys(e, errno, "replace %s", what);
}

static int open_new(const struct receiver *r, int dirfd, const char *name, const char *what, struct err *e)
{
	int busy = clear_name(r, dirfd, name, what, e);
	if (busy < 0)
		return busy;
	int flags = busy ? O_TRUNC | O_NONBLOCK : O_CREAT | O_EXCL;
	autofd int fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | flags, 0600);
	struct stat st;
	if (fd < 0)
		return err_sys(e, errno, "write %s", what);
	if (busy && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		return err_set(e, EBUSY, "%s is a mount and no file", what);
	return take_fd(&fd);
}

static int make_file(struct receiver *r, int dirfd, const char *name, const struct tree_node *n, const char *what,
		     struct err *e)
{
	const void *data;
	uint64_t len;
	int rc;
	/* The node's own strings go with the next frame. */
	struct tree_node meta = *n;
	autofree char *title = xstrdup(what);
	autofd int fd = open_new(r, dirfd, name, title, e);
	if (fd < 0)
		return fd;
	off_t holes = 0;
	while ((rc = tree_in_data(&r->in, &data, &len, e)) > 0) {
		if (!data) {
			holes = lseek(fd, (off_t)len, SEEK_CUR);
			if (holes < 0)
				return err_sys(e, errno, "seek in %s", title);
			continue;
		}
		rc = io_write_all(fd, data, (size_t)len, e);
		if (rc < 0)
			return err_ctx(e, "write %s", title);
	}
	if (rc >= 0 && holes) {
		struct stat st;
		if (fstat(fd, &st) < 0 || (st.st_size < holes && ftruncate(fd, holes) < 0))
			rc = err_sys(e, errno, "write %s", title);
	}
	return rc < 0 ? rc : set_metadata(r, fd, &meta, title, e);
}

static int make_link(struct receiver *r, int dirfd, const char *name, const struct tree_node *n, const char *what,
		     struct err *e)
{
	const char *first;
	int busy = clear_name(r, dirfd, name, what, e);
	if (busy)
		return busy < 0 ? busy : err_sys(e, EBUSY, "replace %s", what);
	/* dirfd may be the one that reach() keeps. */
	autofd int held = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (held < 0)
		return err_sys(e, errno, "dup");
	int from = locate(r, n->link, &first, e);
	if (from < 0)
		return from;
	return linkat(from, first, held, name, 0) < 0 ? err_sys(e, errno, "link %s to %s", what, n->link) : 0;
}

static int make_other(struct receiver *r, int dirfd, const char *name, const struct tree_node *n, const char *what,
		      struct err *e)
{
	int busy = clear_name(r, dirfd, name, what, e);
	if (busy)
		return busy < 0 ? busy : err_sys(e, EBUSY, "replace %s", what);
	if (S_ISLNK(n->mode)) {
		if (symlinkat(n->link, dirfd, name) < 0)
			return err_sys(e, errno, "make symlink %s", what);
	} else if (!S_ISFIFO(n->mode) && !S_ISCHR(n->mode) && !S_ISBLK(n->mode)) {
		return 0;
	} else if (mknodat(dirfd, name, (n->mode & S_IFMT) | permissions(r, n), makedev(n->major, n->minor)) < 0) {
		if (errno != EPERM || S_ISFIFO(n->mode))
			return err_sys(e, errno, "make the %s %s", S_ISFIFO(n->mode) ? "fifo" : "device", what);
		/* Only root of the machine may make devices; a tree with some is worth having without them. */
		r->devices++;
		return 0;
	}
	return set_link_metadata(r, dirfd, name, n, what, e);
}

static void note_dir(struct receiver *r, const char *path, const struct tree_node *n)
{
	if ((r->ndirs & (r->ndirs - 1)) == 0)
		r->dirs = xreallocarray(r->dirs, r->ndirs ? 2 * r->ndirs : 1, sizeof(*r->dirs));
	r->dirs[r->ndirs] = (struct made_dir){.path = xstrdup(path), .meta = *n};
	r->dirs[r->ndirs].meta.path = r->dirs[r->ndirs].meta.link = "";
	r->ndirs++;
}

static int make_dir(struct receiver *r, const struct tree_node *n, struct err *e)
{
	const char *name;
	const char *what = *n->path ? n->path : r->c->path;
	if (!*n->path && !*r->name) {
		/* The contents go into a directory that was there before, and stays as it is. */
		r->rootfd = fcntl(r->dirfd, F_DUPFD_CLOEXEC, 3);
		return r->rootfd < 0 ? err_sys(e, errno, "dup") : 0;
	}
	int dirfd = locate(r, n->path, &name, e);
	if (dirfd < 0)
		return dirfd;
	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make directory %s", what);
	autofd int fd = open_child(dirfd, name, NULL);
	if (fd < 0 && r->c->overwrite && unlinkat(dirfd, name, 0) == 0 && mkdirat(dirfd, name, 0700) == 0)
		fd = open_child(dirfd, name, NULL);
	if (fd < 0)
		return err_set(e, ENOTDIR, "%s is there and is no directory", what);
	note_dir(r, n->path, n);
	if (!*n->path)
		r->rootfd = take_fd(&fd);
	return 0;
}

static int make_node(struct receiver *r, const struct tree_node *n, struct err *e)
{
	if (S_ISDIR(n->mode))
		return make_dir(r, n, e);
	const char *name;
	int dirfd = locate(r, n->path, &name, e);
	if (dirfd < 0)
		return dirfd;
	autofree char *what = xstrdup(*n->path ? n->path : r->c->path);
	autofree char *own = xstrdup(name); /* the frame it is in may go */
	if (n->hardlink)
		return make_link(r, dirfd, own, n, what, e);
	if (S_ISREG(n->mode))
		return make_file(r, dirfd, own, n, what, e);
	return make_other(r, dirfd, own, n, what, e);
}

static int finish_dirs(struct receiver *r, struct err *e)
{
	for (size_t i = r->ndirs; i-- > 0;) {
		const char *path = r->dirs[i].path;
		int fd = *path ? reach(r, path, false, e) : r->rootfd;
		int rc = fd < 0 ? fd : set_metadata(r, fd, &r->dirs[i].meta, *path ? path : r->c->path, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int receive(struct receiver *r, struct err *e)
{
	struct tree_node n;
	int rc = tree_in_next(&r->in, &n, e);
	if (rc < 0)
		return rc;
	if (r->c->archive) {
		int found = find_target(r, NULL, e);
		if (found < 0)
			return found;
		r->rootfd = fcntl(r->dirfd, F_DUPFD_CLOEXEC, 3);
	} else if (rc > 0) {
		int found = find_target(r, &n, e);
		if (found < 0)
			return found;
	}
	while (rc > 0) {
		/* "." of a tar: the target itself, which was there before. */
		if (*n.path || !r->c->archive)
			rc = make_node(r, &n, e);
		if (rc >= 0)
			rc = tree_in_next(&r->in, &n, e);
	}
	return rc < 0 ? rc : finish_dirs(r, e);
}

int copy_receive(const struct copy_receive *c, struct err *e)
{
	struct receiver r = {.c = c, .dirfd = -1, .rootfd = -1, .nearfd = -1};
	tree_in_init(&r.in, c->infd);
	int rc = receive(&r, e);
	tree_in_free(&r.in);
	if (r.devices)
		log_warn("%u device files were left out: only root of the machine may make them", r.devices);
	close_fd(&r.dirfd);
	close_fd(&r.rootfd);
	close_fd(&r.nearfd);
	free(r.name);
	free(r.near);
	for (size_t i = 0; i < r.ndirs; i++)
		free(r.dirs[i].path);
	free(r.dirs);
	return rc;
}
