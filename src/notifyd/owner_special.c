/*
 * owner_special.c - records of fifos and sockets, which can hold no attribute.
 *
 * Theory: as with symlinks, the directory holds the record, keyed by name (rl/kern/xattr.h). But no call on the way to a
 * new socket (bind) or to the end of an old name (unlink) comes here, so a name alone proves nothing: the record says,
 * where that of a device has its numbers, which file it is about (inode number and time of birth; both are the same
 * below an overlay and in it, and stay over a restart and a rename). One that is about another file is none.
 *
 * Looking for such a record takes two calls more for every stat of anything, so it is done only where there are any: the
 * root directory of the container has a mark then. It is looked for anew every second, since somebody else (another
 * rl-notifyd of this container) may have set it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "owner.h"
#include "rl/base/mem.h"

#define XATTR_SPECIAL "user.rl.special"

enum { FIRST_RECORD = 256 };

bool owner_any_special(struct owner *o)
{
	struct timespec now;
	if (o->any_special || clock_gettime(CLOCK_MONOTONIC_COARSE, &now) < 0 || now.tv_sec == o->special_asked)
		return o->any_special;
	o->special_asked = now.tv_sec;
	o->any_special = getxattr("/", XATTR_SPECIAL, NULL, 0) >= 0;
	return o->any_special;
}

/* What a path leads to, by its own name: directory and entry. */
static bool own_name(const struct owner *o, const struct owner_path *p, char path[PATH_MAX], char **ret_name)
{
	char link[32];
	autofd int fd = open(p->text, O_PATH | O_CLOEXEC | (p->follow ? 0 : O_NOFOLLOW));
	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "self/fd/%d", fd);
	ssize_t n = readlinkat(o->d->procfd, link, path, PATH_MAX - 1);
	if (n <= 1 || path[0] != '/')
		return false;
	path[n] = '\0';
	char *slash = strrchr(path, '/');
	*slash = '\0';
	*ret_name = slash + 1;
	return true;
}

int owner_special_get(struct owner *o, const struct owner_path *p, const struct stat *st, struct owner_record *ret)
{
	char path[PATH_MAX];
	char at_name[256];
	char value[FIRST_RECORD];
	char *name;
	uint32_t ino;
	uint32_t born;
	struct xattr_stat found;
	if (!own_name(o, p, path, &name) || !xattr_at_name(name, at_name))
		return 0;
	ssize_t n = getxattr(*path ? path : "/", at_name, value, sizeof(value));
	if (n < 0 || xattr_record_parse(value, (size_t)n, &found, NULL) < 0)
		return 0;
	if ((found.mode & S_IFMT) != (st->st_mode & S_IFMT) ||
	    !xattr_identity(AT_FDCWD, p->text, p->follow, &ino, &born) || found.major != ino || found.minor != born)
		return 0;
	*ret = (struct owner_record){.found = true, .st = found};
	return 1;
}

int owner_special_set(struct owner *o, const struct owner_path *p, const struct stat *st, const struct xattr_stat *want)
{
	char path[PATH_MAX];
	char at_name[256];
	char *name;
	struct xattr_stat record = *want;
	record.mode = st->st_mode;
	if (!xattr_identity(AT_FDCWD, p->text, p->follow, &record.major, &record.minor) ||
	    !own_name(o, p, path, &name) || !xattr_at_name(name, at_name))
		return -ENOTSUP;
	autostr struct str text = STR_INIT;
	xattr_record_start(&record, &text);
	if (setxattr(*path ? path : "/", at_name, text.buf, text.len, 0) < 0)
		return -errno;
	if (!o->any_special && setxattr("/", XATTR_SPECIAL, "1", 1, 0) == 0)
		o->any_special = true;
	return 0;
}

bool owner_inherits(struct owner *o, struct owner_path *p, bool as_root, uint32_t *ret_gid)
{
	struct owner_record record = {.found = false};
	struct stat st;
	char *dir;
	const char *name = owner_path_split(p, &dir);
	if (!name)
		return false;
	struct owner_path up = {.text = dir, .follow = true};
	/* Its record first: most have none, and then it is root's, whose group what root makes has anyway. */
	int r = owner_record_get(o, &up, NULL, &record);
	bool matters = r == 0 && (!as_root || (record.found && record.st.gid));
	bool inherits = matters && owner_stat(&up, &st) == 0 && (st.st_mode & S_ISGID);
	owner_path_join(p, name);
	*ret_gid = record.found ? record.st.gid : 0;
	return inherits;
}
