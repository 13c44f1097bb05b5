/*
 * place.c - see place_int.h.
 *
 * Theory: everything happens as "parent directory descriptor + one name", never through a path, and objects are made
 * with O_EXCL semantics: what exists is only looked at when making fails with EEXIST. A regular file thus costs openat,
 * writes, utimensat and close; ownership and mode calls are made only where the result would differ without them.
 *
 * Whiteouts (image-spec, layer.md) say something about the layers below, never about entries of the same layer, in
 * whatever order they come:
 *     .wh.NAME, nothing here yet    character device 0:0 named NAME
 *     .wh.NAME, directory here      the directory becomes opaque
 *     NAME arrives later            the whiteout is replaced; a directory becomes opaque
 *     .wh..wh..opq                  the directory it is in becomes opaque
 *     .wh..wh.ANYTHING              leftovers of aufs: skipped, with everything below
 *     ".wh.", ".wh..", ".wh..."     would delete the directory itself or its parent: refused
 *
 * Ownership: an id that the map holds is set, any other is kept in a control record and the file belongs to the map's
 * root. Devices become empty files with a record (a user namespace may not make them).
 */
#include "place_int.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/xattr.h"

#define WH_PREFIX ".wh."
#define WH_META	  ".wh..wh."
#define WH_OPAQUE ".wh..wh..opq"

/* ---- names ---- */

int place_clean_path(const char *path, char *ret, struct err *e)
{
	if (!*path)
		return err_set(e, EBADMSG, "an entry has an empty name");
	size_t out = 0;
	unsigned depth = 0;
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, EBADMSG, "%.200s: names with '..' are refused", path);
		if (n && !(n == 1 && p[0] == '.')) {
			if (n > NAME_MAX || out + n + 1 > ARCHIVE_PATH_MAX || ++depth > ARCHIVE_DEPTH_MAX)
				return err_set(e, EBADMSG, "%.64s...: the name is too long or too deep", path);
			if (out)
				ret[out++] = '/';
			memcpy(ret + out, p, n);
			out += n;
		}
		p += n;
		p += strspn(p, "/");
	}
	ret[out] = '\0';
	return 0;
}

enum name_kind { NAME_PLAIN, NAME_WHITEOUT, NAME_OPAQUE, NAME_SKIP };

/* What the name of an entry means; *ret_name is the name that a whiteout hides. */
static int classify(const char *path, const char *name, enum name_kind *ret, const char **ret_name, struct err *e)
{
	*ret = NAME_PLAIN;
	*ret_name = name;
	for (const char *p = path; p != name;) {
		if (str_after(p, WH_META)) {
			*ret = NAME_SKIP;
			return 0;
		}
		if (str_after(p, WH_PREFIX))
			return err_set(e, EBADMSG, "%.200s: an entry below a whiteout", path);
		p = strchr(p, '/') + 1;
	}
	const char *hidden = str_after(name, WH_PREFIX);
	if (!hidden)
		return 0;
	if (str_eq(name, WH_OPAQUE)) {
		*ret = NAME_OPAQUE;
	} else if (str_after(name, WH_META)) {
		*ret = NAME_SKIP;
	} else if (!*hidden || str_eq(hidden, ".") || str_eq(hidden, "..")) {
		return err_set(e, EBADMSG, "%.200s: a whiteout without a name", path);
	} else {
		*ret = NAME_WHITEOUT;
		*ret_name = hidden;
	}
	return 0;
}

/* ---- metadata ---- */

static bool has_uid(const struct place *p, uint32_t uid)
{
	return idmap_uid_to_host(p->map, uid) != IDMAP_UNMAPPED;
}

static bool has_gid(const struct place *p, uint32_t gid)
{
	return idmap_gid_to_host(p->map, gid) != IDMAP_UNMAPPED;
}

/* The owner to set, and whether the true one must be recorded. */
static bool resolve_owner(const struct place *p, const struct entry *en, uint32_t *ret_uid, uint32_t *ret_gid)
{
	bool uid_ok = has_uid(p, en->uid);
	bool gid_ok = has_gid(p, en->gid);
	*ret_uid = !uid_ok ? p->base_uid : p->plain ? idmap_uid_to_host(p->map, en->uid) : en->uid;
	*ret_gid = !gid_ok ? p->base_gid : p->plain ? idmap_gid_to_host(p->map, en->gid) : en->gid;
	return !uid_ok || !gid_ok;
}

/* Owner, mode, xattrs, record and times of an open file or directory. `made_mode`: permission bits it has already, or
 * -1 when not known; `inherits`: the parent directory may have imposed a group or an ACL. */
static int set_metadata(struct place *p, const struct entry *en, int fd, int made_mode, struct dir *parent,
			const char *name, bool placeholder, struct err *e)
{
	uint32_t uid;
	uint32_t gid;
	bool record = resolve_owner(p, en, &uid, &gid) || placeholder;
	bool inherits = made_mode < 0 || (parent->mode & S_ISGID) || p->acl_default_seen;
	if ((uid != p->base_uid || gid != p->base_gid || inherits) && fchown(fd, uid, gid) < 0)
		return err_sys(e, errno, "set the owner of %s", en->path);
	if (p->acl_default_seen)
		(void)fremovexattr(fd, "system.posix_acl_access");
	if (p->acl_default_seen && en->type == ENTRY_DIR)
		(void)fremovexattr(fd, "system.posix_acl_default");
	/* After chown and the writes, which clear set-id bits. */
	int r = inherits || p->weak || made_mode != (int)en->mode ? mode_set(p, fd, en->mode, en->path, e) : 0;
	autostr struct str unset = STR_INIT;
	if (r == 0 && en->nxattrs)
		r = keep_xattrs(p, en, placeholder ? -1 : fd, &unset, e);
	if (r == 0 && (record || unset.len))
		r = keep_record(p, en, fd, parent, name, &unset, e);
	return r < 0 || en->type == ENTRY_DIR ? r : file_mode_last(p, fd, en->mode, en->path, e);
}

static int set_times(const struct entry *en, int fd, struct err *e)
{
	const struct timespec times[2] = {en->mtime, en->mtime};
	if (futimens(fd, times) < 0)
		return err_sys(e, errno, "set the times of %s", en->path);
	return 0;
}

/* Metadata of what cannot be opened: symlinks and fifos. */
static int set_metadata_at(struct place *p, const struct entry *en, struct dir *parent, const char *name, struct err *e)
{
	uint32_t uid;
	uint32_t gid;
	bool record = resolve_owner(p, en, &uid, &gid);
	if ((uid != p->base_uid || gid != p->base_gid || (parent->mode & S_ISGID)) &&
	    fchownat(parent->fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "set the owner of %s", en->path);
	autostr struct str unset = STR_INIT;
	int r = keep_xattrs(p, en, -1, &unset, e);
	if (r == 0 && (record || unset.len))
		r = keep_record(p, en, -1, parent, name, &unset, e);
	if (r < 0)
		return r;
	const struct timespec times[2] = {en->mtime, en->mtime};
	if (utimensat(parent->fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "set the times of %s", en->path);
	return 0;
}

/* ---- opaque directories, whiteouts, replacing ---- */

int place_set_opaque(struct place *p, struct dir *dir, struct err *e)
{
	if (dir->opaque)
		return 0;
	/* overlayfs does not look at the roots of its layers: there, and where the xattr is refused, every single name
	 * of the layers below is hidden instead. */
	int r = dir == &p->dirs.slot[0] ? -ENOTSUP : xattr_set(dir->fd, XATTR_OVL_OPAQUE, "y", 1);
	if (r < 0) {
		if (!p->nlower) {
			p->result.needs_lower = true;
			if (!p->result.missing[0])
				snprintf(p->result.missing, sizeof(p->result.missing), "%.110s (opaque)", dir->path);
		}
		r = lower_hide(p, dir, e);
		if (r < 0)
			return r;
	}
	dir->opaque = true;
	return 0;
}

/* An overlay lets nobody make what would be a mark of its own. */
static int cannot_mark(const char *path, int errnum, struct err *e)
{
	int r = err_sys(e, errnum, "make whiteout %s", path);
	return errnum != EPERM
		       ? r
		       : err_hint(e, "the image removes files of its lower layers, and the store's file system cannot "
				     "hold that (is this a container?): keep the store on another one, a volume or "
				     "a tmpfs, with --root DIR or RL_ROOT");
}

static int place_whiteout(struct place *p, struct dir *parent, const char *name, const char *path, struct err *e)
{
	if (mknodat(parent->fd, name, S_IFCHR, makedev(0, 0)) == 0) {
		dirs_touch(parent);
		return 0;
	}
	if (errno != EEXIST)
		return cannot_mark(path, errno, e);
	struct stat st;
	if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "look up %s", path);
	if (!S_ISDIR(st.st_mode))
		return 0;
	autofree char *dir_path = *parent->path ? xasprintf("%s/%s", parent->path, name) : xstrdup(name);
	struct dir *dir;
	int r = dirs_get(&p->dirs, dir_path, &dir, e);
	return r < 0 ? r : place_set_opaque(p, dir, e);
}

/* Something is at `name` where an entry wants to be: remove it. Returns 1 if it was a whiteout. */
static int clear_way(struct place *p, struct dir **parent, const char *name, const char *parent_path, struct err *e)
{
	struct stat st;
	if (fstatat((*parent)->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "look up %s", name);
	int r = 0;
	if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)) {
		/* Cached paths may go through it. */
		r = dirs_forget(&p->dirs, e);
		if (r == 0)
			r = dirs_get(&p->dirs, parent_path, parent, e);
		if (r < 0)
			return r;
	}
	if (S_ISDIR(st.st_mode))
		r = io_remove_tree((*parent)->fd, name, e);
	else if (unlinkat((*parent)->fd, name, 0) < 0)
		r = err_sys(e, errno, "replace %s", name);
	dirs_touch(*parent);
	if (r == 0)
		r = keep_forget(p, *parent, name, e);
	return r < 0 ? r : S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

/* ---- the kinds of entries; all get the parent opened and the clean path ---- */

struct spot {
	struct dir *parent;
	const char *name;
	const char *path;
	const char *parent_path;
};

/* Open a new regular file, replacing what is there. */
static int create_file(struct place *p, struct spot *s, mode_t mode, struct err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(s->parent->fd, s->name, flags, mode);
	if (fd < 0 && errno == EEXIST) {
		int r = clear_way(p, &s->parent, s->name, s->parent_path, e);
		if (r < 0)
			return r;
		fd = openat(s->parent->fd, s->name, flags, mode);
	}
	if (fd < 0)
		return err_sys(e, errno, "create %s", s->path);
	dirs_touch(s->parent);
	return fd;
}

static int begin_file(struct place *p, const struct entry *en, struct spot *s, struct err *e)
{
	int fd = create_file(p, s, en->mode & 0777, e);
	if (fd < 0)
		return fd;
	p->filefd = fd;
	p->file_end = 0;
	p->file_entry = en;
	p->file_path = xstrdup(s->path);
	return 1;
}

/* A device, or a fifo that cannot be what it should: an empty file with a record. */
static int place_placeholder(struct place *p, const struct entry *en, struct spot *s, struct err *e)
{
	autofd int fd = create_file(p, s, en->mode & 0777, e);
	if (fd < 0)
		return fd;
	int r = set_metadata(p, en, fd, (int)(en->mode & 0777), s->parent, s->name, true, e);
	return r < 0 ? r : set_times(en, fd, e);
}

static int place_fifo(struct place *p, const struct entry *en, struct spot *s, struct err *e)
{
	uint32_t uid;
	uint32_t gid;
	if (resolve_owner(p, en, &uid, &gid) || en->nxattrs || p->acl_default_seen)
		return place_placeholder(p, en, s, e);
	for (int attempt = 0; mknodat(s->parent->fd, s->name, S_IFIFO | (en->mode & 07777), 0) < 0; attempt++) {
		if (errno != EEXIST || attempt)
			return err_sys(e, errno, "create fifo %s", s->path);
		int r = clear_way(p, &s->parent, s->name, s->parent_path, e);
		if (r < 0)
			return r;
	}
	dirs_touch(s->parent);
	return set_metadata_at(p, en, s->parent, s->name, e);
}

static int place_symlink(struct place *p, const struct entry *en, struct spot *s, struct err *e)
{
	if (!*en->target || strlen(en->target) > ARCHIVE_PATH_MAX)
		return err_set(e, EBADMSG, "%s: a symlink with an impossible target", s->path);
	for (int attempt = 0; symlinkat(en->target, s->parent->fd, s->name) < 0; attempt++) {
		if (errno != EEXIST || attempt)
			return err_sys(e, errno, "create symlink %s", s->path);
		int r = clear_way(p, &s->parent, s->name, s->parent_path, e);
		if (r < 0)
			return r;
	}
	dirs_touch(s->parent);
	return set_metadata_at(p, en, s->parent, s->name, e);
}

static int root_metadata(struct place *p, const struct entry *en, struct err *e)
{
	if (en->type != ENTRY_DIR)
		return err_set(e, EBADMSG, "%.64s: the root of a layer must be a directory", en->path);
	struct dir *root = &p->dirs.slot[0];
	int r = set_metadata(p, en, root->fd, -1, root, "", false, e);
	if (r < 0)
		return r;
	root->mode = S_IFDIR | en->mode;
	root->mtime = en->mtime;
	dirs_touch(root);
	p->result.has_root = true;
	return 0;
}

static int place_dir(struct place *p, const struct entry *en, struct spot *s, struct err *e)
{
	bool over_whiteout = false;
	bool made = true;
	int made_mode = (int)(en->mode & 0777);
	while (mkdirat(s->parent->fd, s->name, (en->mode & 0777) | (p->weak ? 0700 : 0)) < 0) {
		struct stat st;
		if (errno != EEXIST || !made || fstatat(s->parent->fd, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, errno, "create directory %s", s->path);
		made = false;
		if (S_ISDIR(st.st_mode)) {
			made_mode = -1;
			break;
		}
		int r = clear_way(p, &s->parent, s->name, s->parent_path, e);
		if (r < 0)
			return r;
		over_whiteout = r > 0;
	}
	dirs_touch(s->parent);
	if (made_mode < 0)
		path_set_remove(&p->missing, s->path);
	struct dir *dir;
	int r = dirs_get(&p->dirs, s->path, &dir, e);
	if (r < 0)
		return r;
	/* Records of an earlier entry of this directory are replaced, not removed: set_metadata writes one or none. */
	if (made_mode < 0 && (p->result.records || p->nlower)) {
		(void)fremovexattr(dir->fd, XATTR_STAT);
		r = p->result.sidecar_size ? keep_forget(p, s->parent, s->name, e) : 0;
	}
	if (r == 0)
		r = set_metadata(p, en, dir->fd, made_mode, s->parent, s->name, false, e);
	if (r == 0 && over_whiteout)
		r = place_set_opaque(p, dir, e);
	if (r < 0)
		return r;
	dir->mode = S_IFDIR | en->mode;
	dir->mtime = en->mtime;
	dirs_touch(dir);
	return 0;
}

/* ---- hard links ---- */

static void note_missing(struct place *p, const char *path)
{
	p->result.needs_lower = true;
	if (!p->result.missing[0])
		snprintf(p->result.missing, sizeof(p->result.missing), "%.127s", path);
}

/* Find the directory of a link's target; 1 when the target itself is there too. */
static int find_target(struct place *p, const char *parent_path, const char *name, struct dir **ret, struct err *e)
{
	int r = dirs_find(&p->dirs, parent_path, ret, e);
	if (r <= 0)
		return r;
	struct stat st;
	if (fstatat((*ret)->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENAMETOOLONG ? 0 : err_sys(e, errno, "look up %s", name);
	return S_ISCHR(st.st_mode) ? 0 : 1;
}

/* The target lies in a layer below: copy it up first. 1 when it is here now. */
static int fetch_target(struct place *p, const char *parent_path, const char *name, struct dir **ret, struct err *e)
{
	if (!p->nlower)
		return 0;
	int r = dirs_get(&p->dirs, parent_path, ret, e);
	return r < 0 ? r : lower_copy_file(p, *ret, name, e);
}

static int place_hardlink(struct place *p, const struct entry *en, struct spot *s, struct err *e)
{
	char target[ARCHIVE_PATH_MAX + 1];
	int r = place_clean_path(en->target, target, e);
	if (r < 0)
		return err_ctx(e, "link target of %s", s->path);
	if (!*target)
		return err_set(e, EBADMSG, "%s: a hard link to the root directory", s->path);
	if (str_eq(target, s->path))
		return err_set(e, EBADMSG, "%s: a hard link to itself", s->path);
	autofree char *target_parent = NULL;
	const char *target_name = dirs_split(target, &target_parent);
	struct dir *dir;
	r = find_target(p, target_parent, target_name, &dir, e);
	if (r == 0)
		r = fetch_target(p, target_parent, target_name, &dir, e);
	if (r < 0)
		return r;
	if (r == 0) {
		if (p->nlower)
			return err_set(e, EBADMSG, "%s: the target %s of this hard link exists nowhere", s->path,
				       target);
		note_missing(p, target);
		return 0;
	}
	r = dirs_get(&p->dirs, s->parent_path, &s->parent, e);
	for (int attempt = 0; r == 0 && linkat(dir->fd, target_name, s->parent->fd, s->name, 0) < 0; attempt++) {
		if (errno != EEXIST || attempt)
			return err_sys(e, errno, "link %s to %s", s->path, target);
		r = clear_way(p, &s->parent, s->name, s->parent_path, e);
		if (r >= 0)
			r = dirs_get(&p->dirs, target_parent, &dir, e);
	}
	if (r < 0)
		return r;
	dirs_touch(s->parent);
	/* A symlink's record is keyed by name: the new name needs its own. */
	uint32_t uid;
	uint32_t gid;
	struct stat st;
	if (resolve_owner(p, en, &uid, &gid) && fstatat(s->parent->fd, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode)) {
		struct entry link = *en;
		link.type = ENTRY_SYMLINK;
		return keep_record(p, &link, -1, s->parent, s->name, NULL, e);
	}
	return 0;
}

/* ---- missing parents (called by dirs.c) ---- */

static int make_missing(void *ctx, struct dir *parent, const char *name, const char *path, bool over_whiteout,
			struct err *e)
{
	struct place *p = ctx;
	dirs_touch(parent);
	if (p->nlower && !over_whiteout && !parent->opaque) {
		int r = lower_make(p, parent, name, e);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	if (mkdirat(parent->fd, name, 0755) < 0)
		return err_sys(e, errno, "create directory %s", path);
	if ((parent->mode & S_ISGID) || p->acl_default_seen) {
		autofd int made = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (made < 0 || fchown(made, p->base_uid, p->base_gid) < 0 || fchmod(made, 0755) < 0)
			return err_sys(e, errno, "set the owner of %s", path);
	}
	const struct timespec epoch[2] = {{0, 0}, {0, 0}};
	if (utimensat(parent->fd, name, epoch, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "set the times of %s", path);
	if (!p->nlower)
		path_set_add(&p->missing, path);
	if (!over_whiteout)
		return 0;
	struct dir *dir;
	int r = dirs_get(&p->dirs, path, &dir, e);
	return r < 0 ? r : place_set_opaque(p, dir, e);
}

/* ---- public ---- */

int place_init(struct place *p, int rootfd, struct err *e)
{
	p->rootfd = rootfd;
	p->base_uid = geteuid();
	p->base_gid = getegid();
	p->filefd = -1;
	capng_get_caps_process();
	p->weak = p->plain && !capng_have_capability(CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE);
	p->dirs.strict = p->plain;
	int r = dirs_init(&p->dirs, rootfd, e);
	if (r < 0)
		return r;
	p->dirs.missing = make_missing;
	p->dirs.ctx = p;
	/* What the caller made it with must not show: root, 0755, the epoch unless the archive says otherwise. */
	struct dir *root = &p->dirs.slot[0];
	if (fchown(rootfd, p->base_uid, p->base_gid) < 0 || fchmod(rootfd, 0755) < 0)
		return err_sys(e, errno, "set the owner of the target directory");
	root->mode = S_IFDIR | 0755;
	root->mtime = (struct timespec){0, 0};
	dirs_touch(root);
	return 0;
}

static int place_plain(struct place *p, const struct entry *en, struct spot *s, struct err *e)
{
	switch (en->type) {
	case ENTRY_FILE:
		return begin_file(p, en, s, e);
	case ENTRY_DIR:
		return place_dir(p, en, s, e);
	case ENTRY_SYMLINK:
		return place_symlink(p, en, s, e);
	case ENTRY_HARDLINK:
		return place_hardlink(p, en, s, e);
	case ENTRY_FIFO:
		return place_fifo(p, en, s, e);
	case ENTRY_CHR:
	case ENTRY_BLK:
		return place_placeholder(p, en, s, e);
	}
	return err_set(e, EINVAL, "entry type %d", (int)en->type);
}

int place_entry(struct place *p, const struct entry *en, struct err *e)
{
	char path[ARCHIVE_PATH_MAX + 1];
	int r = place_clean_path(en->path, path, e);
	if (r < 0)
		return r;
	p->result.entries++;
	p->result.max_uid = RL_MAX(p->result.max_uid, en->uid);
	p->result.max_gid = RL_MAX(p->result.max_gid, en->gid);
	if (!*path)
		return root_metadata(p, en, e);
	autofree char *parent_path = NULL;
	struct spot s = {.name = dirs_split(path, &parent_path), .path = path, .parent_path = parent_path};
	s.name = path + (s.name - path);
	enum name_kind kind;
	const char *name;
	r = classify(path, s.name, &kind, &name, e);
	if (r < 0 || kind == NAME_SKIP)
		return r;
	r = dirs_get(&p->dirs, parent_path, &s.parent, e);
	if (r < 0)
		return r;
	switch (kind) {
	case NAME_WHITEOUT:
		return place_whiteout(p, s.parent, name, path, e);
	case NAME_OPAQUE:
		return place_set_opaque(p, s.parent, e);
	case NAME_PLAIN:
	case NAME_SKIP:
		break;
	}
	return place_plain(p, en, &s, e);
}

int place_file_end(struct place *p, struct err *e)
{
	const struct entry *en = p->file_entry;
	autofd int fd = take_fd(&p->filefd);
	autofree char *path = take_ptr(&p->file_path);
	autofree char *parent_path = NULL;
	const char *name = dirs_split(path, &parent_path);
	if (en->size > p->file_end && ftruncate(fd, (off_t)en->size) < 0)
		return err_sys(e, errno, "extend %s", path);
	struct dir *parent;
	int r = dirs_get(&p->dirs, parent_path, &parent, e);
	if (r == 0)
		r = set_metadata(p, en, fd, (int)(en->mode & 0777), parent, name, false, e);
	return r < 0 ? r : set_times(en, fd, e);
}

int place_finish(struct place *p, struct err *e)
{
	int r = late_modes_set(p, e);
	int closed = dirs_finish(&p->dirs, r < 0 ? NULL : e);
	r = r < 0 ? r : closed;
	const char *first = path_set_first(&p->missing);
	if (first)
		note_missing(p, first);
	else if (p->missing.overflow)
		note_missing(p, "(many)");
	path_set_free(&p->missing);
	return r;
}
