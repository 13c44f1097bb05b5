#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "owner.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

static int64_t (*const calls[OWNER_FILE_CALL_COUNT])(struct owner_job *j) = {
	[OWNER_STAT] = owner_do_stat,
	[OWNER_LSTAT] = owner_do_stat,
	[OWNER_FSTAT] = owner_do_stat,
	[OWNER_FSTATAT] = owner_do_stat,
	[OWNER_STATX] = owner_do_stat,
	[OWNER_CHOWN] = owner_do_chown,
	[OWNER_LCHOWN] = owner_do_chown,
	[OWNER_FCHOWN] = owner_do_chown,
	[OWNER_FCHOWNAT] = owner_do_chown,
	[OWNER_MKNOD] = owner_do_make,
	[OWNER_MKNODAT] = owner_do_make,
	[OWNER_MKDIR] = owner_do_make,
	[OWNER_MKDIRAT] = owner_do_make,
	[OWNER_OPEN] = owner_do_make,
	[OWNER_OPENAT] = owner_do_make,
	[OWNER_CREAT] = owner_do_make,
	[OWNER_SYMLINK] = owner_do_symlink,
	[OWNER_SYMLINKAT] = owner_do_symlink,
	[OWNER_RENAME] = owner_do_rename,
	[OWNER_RENAMEAT] = owner_do_rename,
	[OWNER_RENAMEAT2] = owner_do_rename,
	[OWNER_LINK] = owner_do_rename,
	[OWNER_LINKAT] = owner_do_rename,
	[OWNER_SETXATTR] = owner_do_set_xattr,
	[OWNER_LSETXATTR] = owner_do_set_xattr,
	[OWNER_FSETXATTR] = owner_do_set_xattr,
	[OWNER_REMOVEXATTR] = owner_do_set_xattr,
	[OWNER_LREMOVEXATTR] = owner_do_set_xattr,
	[OWNER_FREMOVEXATTR] = owner_do_set_xattr,
	[OWNER_LISTXATTR] = owner_do_list_xattr,
	[OWNER_LLISTXATTR] = owner_do_list_xattr,
	[OWNER_FLISTXATTR] = owner_do_list_xattr,
};

static int change_root(const struct owner *o, int rootfd)
{
	if (fchdir(rootfd) < 0 || chroot(".") < 0 || fchdir(o->d->procfd) < 0)
		return -errno;
	return 0;
}

static int64_t with_other_root(struct owner_job *j)
{
	struct owner *o = j->o;
	char path[OWNER_PREFIX_MAX];
	snprintf(path, sizeof(path), "%u/root", j->req->pid);
	autofd int root = openat(o->d->procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || !owner_is_valid(j))
		return NOTIFYD_CONTINUE;
	int64_t value = change_root(o, root) == 0 ? calls[j->call](j) : -EIO;
	/* With a wrong root nothing more may be answered. */
	if (change_root(o, o->d->rootfd) < 0)
		notifyd_fail(o->d, "change back to the container's root");
	return value;
}

int64_t owner_file(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	struct owner_job j = {
		.o = d->owner,
		.req = req,
		.call = (enum owner_file_call)(arg & 0xff),
		.is_old = owner_is_old(req, arg),
	};
	return d->owner->any_other_root && owner_creds(&j)->other_root ? with_other_root(&j) : calls[j.call](&j);
}

bool owner_is_valid(const struct owner_job *j)
{
	return seccomp_notify_is_valid(&j->o->d->notify, j->req->id);
}
