/*
 * host_walk.c - see host_walk.h.
 */
#include "host_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mountinfo.h"

/* Each entry of a directory that is taken apart is a mount; the kernel allows 100,000 in a namespace, and a start should
 * stay one that nobody waits for. */
enum { ENTRIES_MAX = 1000, DEPTH_MAX = 64 };

struct walk {
	struct mountinfo mounts;
	struct host_parts parts;
	size_t size;
};

static struct host_part *add(struct walk *w, enum host_part_kind kind, const char *path, const struct stat *st)
{
	if (w->parts.count == w->size) {
		w->size = w->size ? 2 * w->size : 32;
		w->parts.items = xreallocarray(w->parts.items, w->size, sizeof(*w->parts.items));
	}
	struct host_part *p = &w->parts.items[w->parts.count++];
	*p = (struct host_part){.kind = kind, .path = xstrdup(path), .st = *st};
	return p;
}

void host_parts_free(struct host_parts *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i].path);
	free(p->items);
	*p = (struct host_parts){.items = NULL};
}

bool host_is_fresh(const char *path)
{
	return str_eq(path, "/proc") || str_eq(path, "/sys") || str_eq(path, "/dev") || str_eq(path, "/run");
}

mode_t host_mode(const char *path, const struct stat *st)
{
	mode_t mode = st->st_mode & 07777;
	if (st->st_uid == geteuid())
		return mode;
	mode &= ~(mode_t)S_IRWXU;
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0)
		mode |= S_IRUSR;
	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
		mode |= S_IWUSR;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
		mode |= S_IXUSR;
	return mode;
}

/* File systems whose content is the kernel's state, or a door to it: only the mount point is shown. */
static bool is_pseudo(const char *type)
{
	static const char *const types[] = {
		"proc",	   "sysfs", "devtmpfs",	  "devpts",	"cgroup",      "cgroup2",  "mqueue",	"debugfs",
		"tracefs", "bpf",   "pstore",	  "securityfs", "configfs",    "efivarfs", "hugetlbfs", "fusectl",
		"autofs",  "nsfs",  "rpc_pipefs", "selinuxfs",	"binfmt_misc", "resctrl",  "fuse.lxcfs"};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(type, types[i]))
			return true;
	return false;
}

/* Services put sockets into /tmp and /var: through a bind mount they could be spoken to, through an overlay they are
 * nobody's. In /etc files of the container's own are mounted, which must be there or be made. */
static bool needs_overlay(const char *path)
{
	return path_is_below(path, "/tmp") || path_is_below(path, "/var") ||
	       (str_eq(path, "/etc") && (access("/etc/resolv.conf", F_OK) < 0 || access("/etc/hosts", F_OK) < 0 ||
					 access("/etc/hostname", F_OK) < 0));
}

/* Could the caller change anything in an overlay of it? What overlayfs copies up needs directories above it that can be
 * copied up, too, so only the directory's own entries count. A mount less is a millisecond less. */
static bool is_changeable(const char *path)
{
	autostrv struct strv names = STRV_INIT;
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 || (fd >= 0 && io_list_dir(fd, &names, NULL) < 0))
		return true;
	bool mine = false;
	for (size_t i = 0; i < names.count && !mine; i++) {
		struct stat st;
		mine = fstatat(fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == geteuid();
	}
	return mine;
}

static int take_apart(struct walk *w, const char *path, unsigned depth, struct err *e);

static int place_dir(struct walk *w, const char *path, const struct stat *st, unsigned depth, struct err *e)
{
	const struct mountinfo_entry *m = mountinfo_at(&w->mounts, path);
	bool open = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
	if (host_is_fresh(path))
		return 0;
	if (!open || (m && is_pseudo(m->type))) {
		add(w, HOST_DIR, path, st);
		return 0;
	}
	if (mountinfo_has_below(&w->mounts, path))
		return take_apart(w, path, depth + 1, e);
	add(w, needs_overlay(path) || is_changeable(path) ? HOST_OVERLAY : HOST_TREE, path, st);
	return 0;
}

static int place(struct walk *w, const char *path, unsigned depth, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0; /* gone, or a mount whose server does not answer */
	if (S_ISDIR(st.st_mode))
		return place_dir(w, path, &st, depth, e);
	/* A socket or a device would be the host's own, whatever it is mounted through. */
	if (S_ISLNK(st.st_mode))
		add(w, HOST_LINK, path, &st);
	else if (S_ISREG(st.st_mode))
		add(w, HOST_FILE, path, &st);
	return 0;
}

static int take_apart(struct walk *w, const char *path, unsigned depth, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	struct stat st;
	if (depth > DEPTH_MAX)
		return err_sys(e, ELOOP, "%s", path);
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (lstat(path, &st) < 0)
		return 0; /* gone meanwhile */
	if (fd < 0) {
		add(w, HOST_DIR, path, &st);
		return 0;
	}
	int r = io_list_dir(fd, &names, e);
	if (r < 0)
		return err_ctx(e, "%s", path);
	if (names.count > ENTRIES_MAX && !str_eq(path, "/")) {
		log_warn("%s has mounts below it and too many entries to show them one by one: it is read-only", path);
		add(w, HOST_TREE, path, &st);
		return 0;
	}
	add(w, HOST_DIR, path, &st);
	strv_sort(&names);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		autofree char *entry = path_join(path, names.items[i]);
		r = place(w, entry, depth, e);
	}
	return r;
}

static const struct host_part *part_around(const struct walk *w, const char *path)
{
	const struct host_part *found = NULL;
	for (size_t i = 0; i < w->parts.count; i++) {
		const struct host_part *p = &w->parts.items[i];
		if ((p->kind == HOST_OVERLAY || p->kind == HOST_TREE) && path_is_below(path, p->path) &&
		    (!found || strlen(p->path) > strlen(found->path)))
			found = p;
	}
	return found;
}

/* What is copied up needs directories above it that can be: of an owner and a group that exist inside. */
static void split_at_own(struct walk *w, const char *path)
{
	const struct host_part *around = part_around(w, path);
	if (!around || str_eq(around->path, path))
		return;
	bool reachable = around->kind == HOST_OVERLAY;
	for (size_t n = strlen(around->path) + 1;; n++) {
		n += strcspn(path + n, "/");
		autofree char *dir = xstrndup(path, n);
		struct stat st;
		if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
			return;
		bool mine = st.st_uid == geteuid() && st.st_gid == getegid();
		bool last = path[n] == '\0';
		if ((mine && !reachable) || (last && !mine && faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) == 0)) {
			add(w, HOST_OVERLAY, dir, &st);
			reachable = true;
		} else if (!mine) {
			reachable = false;
		}
		if (last)
			return;
	}
}

int host_walk(const struct strv *own, struct host_parts *ret, struct err *e)
{
	struct walk w = {.size = 0};
	int r = mountinfo_read(&w.mounts, e);
	if (r < 0)
		return r;
	r = take_apart(&w, "/", 0, e);
	for (size_t i = 0; r == 0 && geteuid() != 0 && i < own->count; i++)
		split_at_own(&w, own->items[i]);
	mountinfo_free(&w.mounts);
	if (r < 0)
		host_parts_free(&w.parts);
	else
		*ret = w.parts;
	return r;
}
