/*
 * pack_scrub.c - a writable layer on its way to be an unpacked layer loses what only overlayfs or a payload put there;
 * part of pack_int.h.
 *
 * An unpacked layer's records are believed, so a record that the payload wrote itself must not get into one; overlayfs's
 * own attributes (origin, impure, ...) name files of this very stack and mean nothing in another one. The mark of an
 * opaque directory is content and stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "pack_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/xattr.h"

/* The record a directory keeps for a symlink in it: is it to be believed, as the one the layers below have? */
static int is_kept_record(const struct pack_walk *w, int fd, const char *dir, const char *name, struct err *e)
{
	const char *entry = str_after(name, XATTR_STAT_AT);
	struct stat st;
	if (!entry)
		return 0;
	/* Of a symlink or fifo that is still there. */
	if (w->req->trust == ARCHIVE_TRUST_UPPER)
		return fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		       (S_ISLNK(st.st_mode) || S_ISFIFO(st.st_mode));
	autofree char *path = *dir ? xasprintf("%s/%s", dir, entry) : xstrdup(entry);
	autostr struct str here = STR_INIT;
	autostr struct str below = STR_INIT;
	int r = xattr_get(fd, name, &here, e);
	if (r >= 0)
		r = pack_lower_record(w, path, &below, e);
	if (r < 0)
		return r;
	return here.len == below.len && memcmp(here.buf, below.buf, here.len) == 0;
}

int pack_scrub_xattrs(const struct pack_walk *w, int fd, const char *path, bool trusted, struct err *e)
{
	autostr struct str names = STR_INIT;
	int r = xattr_list(fd, &names, e);
	for (size_t at = 0; r >= 0 && at < names.len; at += strlen(names.buf + at) + 1) {
		const char *name = names.buf + at;
		if (!xattr_is_control(name) || str_eq(name, XATTR_OVL_OPAQUE) || (trusted && str_eq(name, XATTR_STAT)))
			continue;
		r = is_kept_record(w, fd, path, name, e);
		if (r == 0 && fremovexattr(fd, name) < 0 && errno != ENODATA)
			r = err_sys(e, errno, "remove %s of %s", name, path);
	}
	return r < 0 ? r : 0;
}

int pack_scrub_name(struct pack_walk *w, int dirfd, const char *name, struct err *e)
{
	w->removed = true;
	return io_remove_tree(dirfd, name, e);
}
