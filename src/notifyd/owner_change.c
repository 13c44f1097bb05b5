/*
 * owner_change.c - chown and its kin.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owner.h"

enum { UNCHANGED = 0xffffffffu };

static int find(struct owner_job *j, struct owner_path *p, uint32_t ids[2])
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	unsigned first = j->call == OWNER_FCHOWNAT ? 2 : 1;
	ids[OWN_USER] = (uint32_t)a[first];
	ids[OWN_GROUP] = (uint32_t)a[first + 1];
	if (j->call == OWNER_FCHOWNAT)
		return owner_path_at(j, 0, a[0], a[1], (unsigned)a[4], p);
	if (j->call == OWNER_FCHOWN)
		return owner_path_fd(j, 0, a[0], p);
	return owner_path_at(j, 0, (uint64_t)AT_FDCWD, a[0], j->call == OWNER_LCHOWN ? AT_SYMLINK_NOFOLLOW : 0, p);
}

/* chown(2): who is not root may give files of his own to groups of his own. */
static bool may_chown(const struct owner_job *j, const struct xattr_stat *old, const struct xattr_stat *want)
{
	const struct creds *c = owner_creds(j);
	if (creds_has_cap(c, CAP_CHOWN))
		return true;
	return old->uid == c->ids[OWN_USER][ID_FS] && want->uid == old->uid &&
	       (want->gid == old->gid || creds_in_group(c, want->gid));
}

/* The kernel takes set-id bits and file capabilities away from what changes its owner; let it. */
static int drop_privileges(const struct owner_path *p, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return 0;
	return (p->follow ? chown(p->text, 0, (gid_t)-1) : lchown(p->text, 0, (gid_t)-1)) < 0 ? -errno : 0;
}

int64_t owner_do_chown(struct owner_job *j)
{
	struct owner_path p;
	struct owner_record old;
	struct stat st;
	uint32_t ids[2];
	if (j->is_old)
		return -ENOSYS;
	if (find(j, &p, ids) < 0 || owner_record_get(j->o, &p, NULL, &old) < 0)
		return NOTIFYD_CONTINUE;
	bool to_root = (ids[OWN_USER] == 0 || ids[OWN_USER] == UNCHANGED) &&
		       (ids[OWN_GROUP] == 0 || ids[OWN_GROUP] == UNCHANGED);
	/* The kernel can do that, and says what it thinks of the path and the file system. */
	if (to_root && !old.found && creds_has_cap(owner_creds(j), CAP_CHOWN))
		return NOTIFYD_CONTINUE;
	if (owner_stat(&p, &st) < 0)
		return NOTIFYD_CONTINUE;
	/* A file of the host's that belongs to somebody else; or ours. */
	if (st.st_uid != 0 || owner_is_program(j->o, &st))
		return -EPERM;
	if (!old.found)
		old.st = (struct xattr_stat){.mode = st.st_mode};
	struct xattr_stat want = old.st;
	if (ids[OWN_USER] != UNCHANGED)
		want.uid = ids[OWN_USER];
	if (ids[OWN_GROUP] != UNCHANGED)
		want.gid = ids[OWN_GROUP];
	if (!may_chown(j, &old.st, &want))
		return -EPERM;
	if (!owner_is_valid(j))
		return -ESRCH;
	int r = drop_privileges(&p, &st);
	bool stands_in = (old.st.mode & S_IFMT) != (st.st_mode & S_IFMT);
	if (r == 0 && want.uid == 0 && want.gid == 0 && !stands_in && old.len <= old.xattrs)
		r = owner_record_drop(j->o, &p, &st);
	else if (r == 0)
		r = owner_record_set(j->o, &p, &st, &want, j->o->record + old.xattrs, old.len - old.xattrs);
	return r;
}
