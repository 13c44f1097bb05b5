/*
 * owner_make.c - device nodes that the kernel does not make for us, and new files of processes that are not root.
 *
 * A device is an empty regular file with a record, as the unpacker leaves it. What root makes is root's without a
 * record, so those calls go on in the kernel. For anybody else, and in a set-group-id directory of another group, the file
 * is made here, given its record, and handed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "owner.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

struct making {
	struct owner_path path;
	mode_t mode; /* with type */
	uint64_t dev;
	int flags; /* of open */
	const struct creds *creds;
	bool inherits; /* the directory's group */
	uint32_t gid;
};

static int find(struct owner_job *j, struct making *m)
{
	const uint64_t *a = (const uint64_t *)j->req->data.args;
	bool at = j->call == OWNER_MKNODAT || j->call == OWNER_MKDIRAT || j->call == OWNER_OPENAT;
	uint64_t dirfd = at ? a[0] : (uint64_t)AT_FDCWD;
	const uint64_t *rest = at ? a + 2 : a + 1;
	switch ((int)j->call) {
	case OWNER_MKNOD:
	case OWNER_MKNODAT:
		m->mode = (mode_t)rest[0];
		m->dev = rest[1];
		if (!(m->mode & S_IFMT))
			m->mode |= S_IFREG;
		break;
	case OWNER_MKDIR:
	case OWNER_MKDIRAT:
		m->mode = S_IFDIR | ((mode_t)rest[0] & 01777);
		break;
	case OWNER_CREAT:
		m->flags = O_CREAT | O_WRONLY | O_TRUNC;
		m->mode = S_IFREG | ((mode_t)rest[0] & 07777);
		break;
	default:
		m->flags = (int)rest[0];
		m->mode = S_IFREG | ((mode_t)rest[1] & 07777);
	}
	/* No making of new names follows a link. */
	return owner_path_at(j, 0, dirfd, rest[-1], AT_SYMLINK_NOFOLLOW, &m->path);
}

static bool is_device(mode_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode);
}

/* The kernel's encoding of a device number in 32 bits (new_encode_dev). */
static void decode_dev(uint64_t dev, struct xattr_stat *ret)
{
	ret->major = (uint32_t)(dev >> 8) & 0xfff;
	ret->minor = (uint32_t)((dev & 0xff) | ((dev >> 12) & 0xfff00));
}

static int record_of(struct owner_job *j, struct making *m)
{
	struct stat st;
	struct xattr_stat want = {
		.uid = m->creds->ids[OWN_USER][ID_FS],
		.gid = m->inherits ? m->gid : m->creds->ids[OWN_GROUP][ID_FS],
		.mode = m->mode,
	};
	if (is_device(m->mode))
		decode_dev(m->dev, &want);
	int r = owner_stat(&m->path, &st);
	return r < 0 ? r : owner_record_set(j->o, &m->path, &st, &want, NULL, 0);
}

/* Made, and not there before: 0 or -errno. */
static int make_node(struct owner_job *j, struct making *m)
{
	const char *path = m->path.text;
	m->mode &= ~owner_umask(j);
	if (!owner_is_valid(j))
		return -ESRCH;
	if (S_ISDIR(m->mode))
		return mkdir(path, m->mode & 07777) < 0 ? -errno : 0;
	mode_t kernel_type = is_device(m->mode) ? S_IFREG : m->mode & S_IFMT;
	return mknod(path, kernel_type | (m->mode & 07777), 0) < 0 ? -errno : 0;
}

static int64_t do_node(struct owner_job *j, struct making *m)
{
	if (is_device(m->mode) && !creds_has_cap(m->creds, CAP_MKNOD))
		return -EPERM;
	int r = make_node(j, m);
	return r < 0 ? r : record_of(j, m);
}

/* open with O_CREAT: only a file that is not there yet is ours to make. */
static int64_t do_open(struct owner_job *j, struct making *m)
{
	m->mode &= ~owner_umask(j);
	if (!owner_is_valid(j))
		return -ESRCH;
	autofd int fd = open(m->path.text, m->flags | O_EXCL | O_NOCTTY | O_CLOEXEC, m->mode & 07777);
	if (fd < 0)
		return errno == EEXIST && (m->flags & O_EXCL) ? -EEXIST : NOTIFYD_CONTINUE;
	int r = record_of(j, m);
	if (r < 0)
		return r;
	r = seccomp_notify_addfd(&j->o->d->notify, j->req->id, fd, m->flags & O_CLOEXEC);
	return r < 0 ? r : NOTIFYD_ANSWERED;
}

int64_t owner_do_make(struct owner_job *j)
{
	struct making m = {.creds = owner_creds(j)};
	bool opens = j->call == OWNER_OPEN || j->call == OWNER_OPENAT || j->call == OWNER_CREAT;
	if (find(j, &m) < 0)
		return NOTIFYD_CONTINUE;
	if (opens && (!(m.flags & O_CREAT) || (m.flags & (O_PATH | O_DIRECTORY))))
		return NOTIFYD_CONTINUE;
	m.inherits = owner_inherits(j->o, &m.path, creds_makes_as_root(m.creds), &m.gid);
	/* The common case: what root makes is root's, and the kernel makes it so. */
	if (creds_makes_as_root(m.creds) && !is_device(m.mode) && !m.inherits)
		return NOTIFYD_CONTINUE;
	return opens ? do_open(j, &m) : do_node(j, &m);
}
