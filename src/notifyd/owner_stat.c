/*
 * owner_stat.c - stat and its kin: what the kernel says, with owner, type and device of the record.
 *
 * Without a record, which is the common case by far, the kernel does the whole call.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "owner.h"

/* struct stat64 of i386 (asm/stat.h); 64-bit members are aligned to 4 bytes there. */
struct i386_stat {
	uint64_t dev;
	uint32_t pad0, old_ino, mode, nlink, uid, gid;
	uint64_t rdev;
	uint32_t pad1;
	int64_t size;
	uint32_t blksize;
	uint64_t blocks;
	uint32_t atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
	uint64_t ino;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct i386_stat) == 96, "as the kernel has it");

static int find(struct owner_job *j, struct owner_path *ret)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	switch ((int)j->call) {
	case OWNER_STAT:
		return owner_path_at(j, 0, (uint64_t)AT_FDCWD, a[0], 0, ret);
	case OWNER_LSTAT:
		return owner_path_at(j, 0, (uint64_t)AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, ret);
	case OWNER_FSTAT:
		return owner_path_fd(j, 0, a[0], ret);
	case OWNER_FSTATAT:
		return owner_path_at(j, 0, a[0], a[1], (unsigned)a[3], ret);
	default:
		return owner_path_at(j, 0, a[0], a[1], (unsigned)a[2], ret);
	}
}

/* An empty regular file may stand in for something else. */
static mode_t true_mode(mode_t mode, uint64_t size, const struct xattr_stat *st)
{
	bool stands_in = S_ISREG(mode) && !size && (S_ISCHR(st->mode) || S_ISBLK(st->mode) || S_ISFIFO(st->mode));
	return stands_in ? (st->mode & S_IFMT) | (mode & 07777) : mode;
}

static int64_t put(struct owner_job *j, uint64_t addr, const void *data, size_t len)
{
	if (!owner_is_valid(j))
		return -ESRCH;
	return seccomp_notify_write(&j->o->d->notify, j->req->pid, addr, data, len) < 0 ? -EFAULT : 0;
}

static int64_t put_statx(struct owner_job *j, const struct owner_path *p, const struct xattr_stat *st)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	int sync = (int)a[2] & AT_STATX_SYNC_TYPE;
	struct statx sx;
	if (statx(AT_FDCWD, p->text, sync | (p->follow ? 0 : AT_SYMLINK_NOFOLLOW), (unsigned)a[3], &sx) < 0)
		return -errno;
	mode_t mode = true_mode(sx.stx_mode, sx.stx_size, st);
	if ((mode & S_IFMT) != (sx.stx_mode & S_IFMT)) {
		sx.stx_rdev_major = st->major;
		sx.stx_rdev_minor = st->minor;
		sx.stx_size = sx.stx_blocks = 0;
	}
	sx.stx_mode = (uint16_t)mode;
	sx.stx_uid = st->uid;
	sx.stx_gid = st->gid;
	return put(j, a[4], &sx, sizeof(sx));
}

static void to_i386(const struct stat *s, struct i386_stat *ret)
{
	*ret = (struct i386_stat){
		.dev = s->st_dev,
		.old_ino = (uint32_t)s->st_ino,
		.mode = s->st_mode,
		.nlink = (uint32_t)s->st_nlink,
		.uid = s->st_uid,
		.gid = s->st_gid,
		.rdev = s->st_rdev,
		.size = s->st_size,
		.blksize = (uint32_t)s->st_blksize,
		.blocks = (uint64_t)s->st_blocks,
		.atime = (uint32_t)s->st_atim.tv_sec,
		.atime_ns = (uint32_t)s->st_atim.tv_nsec,
		.mtime = (uint32_t)s->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)s->st_mtim.tv_nsec,
		.ctime = (uint32_t)s->st_ctim.tv_sec,
		.ctime_ns = (uint32_t)s->st_ctim.tv_nsec,
		.ino = s->st_ino,
	};
}

static int64_t put_stat(struct owner_job *j, const struct owner_path *p, const struct xattr_stat *st)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	uint64_t addr = j->call == OWNER_FSTATAT ? a[2] : a[1];
	enum seccomp_arch arch = notifyd_arch(j->req);
	struct stat s;
	int r = owner_stat(p, &s);
	if (r < 0)
		return r;
	mode_t mode = true_mode(s.st_mode, (uint64_t)s.st_size, st);
	if ((mode & S_IFMT) != (s.st_mode & S_IFMT)) {
		s.st_rdev = makedev(st->major, st->minor);
		s.st_size = s.st_blocks = 0;
	}
	s.st_mode = mode;
	s.st_uid = st->uid;
	s.st_gid = st->gid;
	if (arch != SECCOMP_ARCH_X86)
		return put(j, addr, &s, sizeof(s));
	struct i386_stat compat;
	to_i386(&s, &compat);
	return put(j, addr, &compat, sizeof(compat));
}

int64_t owner_do_stat(struct owner_job *j)
{
	struct owner_path p;
	struct owner_record record;
	/* Of 32-bit ARM only statx is known here. */
	if (j->is_old || (notifyd_arch(j->req) == SECCOMP_ARCH_ARM && j->call != OWNER_STATX))
		return NOTIFYD_CONTINUE;
	if (find(j, &p) < 0 || owner_record_get(j->o, &p, NULL, &record) < 0 || !record.found)
		return NOTIFYD_CONTINUE;
	int64_t r = j->call == OWNER_STATX ? put_statx(j, &p, &record.st) : put_stat(j, &p, &record.st);
	/* Gone in the meantime, or a bad pointer: the kernel says it best. */
	return r < 0 ? NOTIFYD_CONTINUE : r;
}
