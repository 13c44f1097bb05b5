/*
 * owner_link.c - symlinks, fifos and sockets under new names: their records lie in the directory and have to follow.
 *
 * A record that was left behind when its symlink was removed is about nothing, until there is a symlink of that name
 * again; every way to make one comes through here and removes it. So unlink need not be trapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owner.h"

static int find_two(struct owner_job *j, struct owner_path *from, struct owner_path *to, unsigned *flags)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	bool at = j->call == OWNER_RENAMEAT || j->call == OWNER_RENAMEAT2 || j->call == OWNER_LINKAT;
	unsigned follow = AT_SYMLINK_NOFOLLOW;
	*flags = at && j->call != OWNER_RENAMEAT ? (unsigned)a[4] : 0;
	if (j->call == OWNER_LINKAT)
		follow = (*flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) | (*flags & AT_EMPTY_PATH);
	int r = owner_path_at(j, 0, at ? a[0] : (uint64_t)AT_FDCWD, at ? a[1] : a[0], follow, from);
	return r < 0 ? r
		     : owner_path_at(j, 1, at ? a[2] : (uint64_t)AT_FDCWD, at ? a[3] : a[1], AT_SYMLINK_NOFOLLOW, to);
}

/* Symlinks, and where there are records of such, fifos and sockets. */
static bool has_record_by_name(struct owner *o, const struct owner_path *p)
{
	struct stat st;
	if (!owner_any_special(o))
		return owner_is_symlink(p);
	return !p->follow && owner_stat(p, &st) == 0 && (S_ISLNK(st.st_mode) || owner_is_special(st.st_mode));
}

int64_t owner_do_rename(struct owner_job *j)
{
	struct owner_path from;
	struct owner_path to;
	unsigned flags;
	bool link_call = j->call == OWNER_LINK || j->call == OWNER_LINKAT;
	if (find_two(j, &from, &to, &flags) < 0)
		return NOTIFYD_CONTINUE;
	bool swaps = !link_call && (flags & RENAME_EXCHANGE);
	if (!has_record_by_name(j->o, &from) && !(swaps && has_record_by_name(j->o, &to)))
		return NOTIFYD_CONTINUE;
	if (!owner_is_valid(j))
		return -ESRCH;
	int r = link_call ? linkat(AT_FDCWD, from.text, AT_FDCWD, to.text, 0)
			  : renameat2(AT_FDCWD, from.text, AT_FDCWD, to.text, flags);
	if (r < 0)
		return -errno;
	owner_record_move(j->o, &from, &to, link_call ? OWNER_COPY : swaps ? OWNER_SWAP : OWNER_MOVE);
	return 0;
}

int64_t owner_do_symlink(struct owner_job *j)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	bool at = j->call == OWNER_SYMLINKAT;
	struct owner_path p;
	const struct stat st = {.st_mode = S_IFLNK | 0777};
	const struct creds *c = owner_creds(j);
	struct xattr_stat want = {
		.uid = c->ids[OWN_USER][ID_FS],
		.gid = c->ids[OWN_GROUP][ID_FS],
		.mode = S_IFLNK | 0777,
	};
	if (owner_path_at(j, 0, at ? a[1] : (uint64_t)AT_FDCWD, at ? a[2] : a[1], AT_SYMLINK_NOFOLLOW, &p) < 0 ||
	    seccomp_notify_read_string(&j->o->d->notify, j->req->pid, a[0], j->o->value, PATH_MAX) <= 0)
		return NOTIFYD_CONTINUE;
	if (!owner_is_valid(j))
		return -ESRCH;
	if (symlink(j->o->value, p.text) < 0)
		return -errno;
	uint32_t gid;
	if (owner_inherits(j->o, &p, creds_makes_as_root(c), &gid))
		want.gid = gid;
	if (want.uid == 0 && want.gid == 0)
		return owner_record_drop(j->o, &p, &st);
	return owner_record_set(j->o, &p, &st, &want, NULL, 0);
}
