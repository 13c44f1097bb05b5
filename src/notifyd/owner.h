/*
 * owner.h - owners and identity in a container with one id: everything may be chown'ed, everybody setuid'ed, and what was
 * said is kept; private to src/notifyd.
 *
 *   owner.c         the modules: which calls;  owner_filter.c  what this process needs itself
 *   owner_creds.c   whose ids a process has;  owner_ids.c  the calls on them
 *   owner_file.c    calls on files: to the right root, to the right function
 *   owner_path.c    a path or descriptor of the caller as a path of ours
 *   owner_record.c  true owners of files, kept and found;  owner_special.c  those of fifos and sockets
 *   owner_stat.c, owner_change.c, owner_make.c, owner_link.c, owner_xattr.c  the calls themselves
 *
 * Files. The true owner is the control record of rl/kern/xattr.h, in the same places where unpacking leaves it, so that
 * commit and export give back what was set here. A file without record belongs to whom the kernel says. Most files have
 * none: then the call goes on in the kernel, which does the rest.
 *
 * Identity. Each process has real, effective, saved and file system ids and groups, as credentials(7) has them; the
 * kernel knows nothing of it, for it all are root of the container. It is no access control (decision 4): a process that
 * has become somebody else still may what root may. But it cannot become root again, as programs check.
 *
 * Where the ids are kept. Children must have those their parent had at the fork, and the supervisor does not see forks.
 * The kernel hands down a limit that nothing uses: RLIMIT_LOCKS, without effect since Linux 2.4.25 (getrlimit(2)). Its soft
 * value names a set of ids (struct creds); any other value means those the first process began with. The payload sees
 * that limit as unlimited, whatever it sets it to (pam_limits sets all of them).
 */
#ifndef RL_NOTIFYD_OWNER_H
#define RL_NOTIFYD_OWNER_H

#include <limits.h>
#include <sys/stat.h>

#include "notifyd.h"
#include "rl/kern/xattr.h"

enum { ID_REAL, ID_EFFECTIVE, ID_SAVED, ID_FS, ID_COUNT };
enum { OWN_USER, OWN_GROUP, OWN_COUNT };

enum {
	CREDS_MAX = 4096,	 /* different ones in one container */
	CREDS_GROUPS_MAX = 1024, /* supplementary groups of one process */
	OWNER_PREFIX_MAX = 64,	 /* room in front of a path for "PID/fd/N/" */
};

struct creds {
	uint32_t ids[OWN_COUNT][ID_COUNT];
	uint64_t permitted, effective; /* capabilities, as far as they are asked about here */
	bool keeps;		       /* PR_SET_KEEPCAPS */
	bool other_root; /* has called chroot or something like it: paths do not begin at the container's root */
	uint32_t ngroups;
	uint32_t groups[];
};

/* A file of the caller, as a path for our own system calls: absolute below the container's root, or relative to the
 * host's /proc, "PID/cwd/NAME" and "PID/fd/N/NAME". The kernel resolves it where the caller stands. */
struct owner_path {
	char *text;  /* in one of owner->paths */
	bool follow; /* a symlink at the end is followed */
	bool by_fd;  /* names a descriptor, not an entry of a directory */
};

/* What is known of a file beyond what the kernel says. */
struct owner_record {
	bool found;
	struct xattr_stat st;
	size_t xattrs; /* where they begin in owner->record */
	size_t len;    /* and where they end */
};

/* Files that can hold no xattr (fifos, sockets, file systems without): by what the kernel knows them as. For the life of
 * this process; the oldest makes room. Fifos and sockets have a record in their directory as well (owner_special.c). */
enum { OWNER_TABLE_SIZE = 4096 };
struct owner_entry {
	uint64_t dev, ino;
	int64_t born_s, born_ns;
	struct xattr_stat st;
};
struct owner_table {
	size_t count, oldest;
	struct owner_entry entries[OWNER_TABLE_SIZE];
};

struct owner {
	struct notifyd *d;
	uint64_t base; /* RLIMIT_LOCKS of set n is base + n */
	struct creds *creds[CREDS_MAX];
	size_t ncreds;
	bool any_other_root;   /* one of them has */
	bool any_special;      /* directories may hold records of fifos and sockets */
	int64_t special_asked; /* when that was last looked up, in seconds */
	struct owner_table table;
	char paths[2][PATH_MAX + OWNER_PREFIX_MAX];
	char record[XATTR_VALUE_MAX + 1]; /* the last one read */
	char value[XATTR_VALUE_MAX + 1];  /* of the caller */
	struct str out;			  /* the one to be written */
};

extern const struct notifyd_module owner_change_module, owner_show_module;

/* owner_filter.c */
const char *const *owner_needed(size_t *ret_count);

/* ---- owner_creds.c ---- */
int creds_init(struct owner *o, struct err *e) RL_CHECK;
/* Those of the process now; borrowed, constant. */
const struct creds *creds_of(const struct owner *o, uint32_t pid);
/* 0 or -errno: -EAGAIN when there are too many different ones. */
int creds_set(struct owner *o, uint32_t pid, const struct creds *c);
/* A copy to change, with room for `ngroups`; free it. */
struct creds *creds_copy(const struct creds *c, size_t ngroups);
/* CAP_* */
static inline bool creds_has_cap(const struct creds *c, unsigned cap)
{
	return c->effective >> cap & 1;
}
/* Files it makes are root's, as the kernel has them. */
static inline bool creds_makes_as_root(const struct creds *c)
{
	return c->ids[OWN_USER][ID_FS] == 0 && c->ids[OWN_GROUP][ID_FS] == 0;
}
bool creds_in_group(const struct creds *c, uint32_t gid);

/* ---- owner_ids.c: getuid ... setgroups ---- */
/* Of `arg`: on 32-bit architectures a call of this name is an old one, with ids of 16 bits or another struct. */
enum { CALL_OLD_16BIT = 1 << 16 };
bool owner_is_old(const struct seccomp_notif *req, unsigned arg);
notifyd_handler owner_get_id;  /* arg: OWN_* << 4 | ID_* */
notifyd_handler owner_get_ids; /* arg: OWN_* << 4 */
notifyd_handler owner_get_groups;
notifyd_handler owner_set_id, owner_set_re, owner_set_res, owner_set_fs; /* arg: OWN_* << 4 */
notifyd_handler owner_set_groups;
notifyd_handler owner_keep_caps; /* prctl(PR_SET_KEEPCAPS) */
notifyd_handler owner_cap_set, owner_exec;
notifyd_handler owner_limit; /* RLIMIT_LOCKS; arg: OWNER_LIMIT_* */
enum { OWNER_LIMIT_GET, OWNER_LIMIT_SET, OWNER_LIMIT_BOTH };
notifyd_handler owner_change_root; /* chroot, pivot_root, setns, unshare, clone */

/* ---- owner_file.c: the calls on files ---- */
enum owner_file_call {
	OWNER_STAT,	 /* path, struct; follows */
	OWNER_LSTAT,	 /* path, struct */
	OWNER_FSTAT,	 /* fd, struct */
	OWNER_FSTATAT,	 /* dirfd, path, struct, flags */
	OWNER_STATX,	 /* dirfd, path, flags, mask, struct */
	OWNER_CHOWN,	 /* path, uid, gid; follows */
	OWNER_LCHOWN,	 /* path, uid, gid */
	OWNER_FCHOWN,	 /* fd, uid, gid */
	OWNER_FCHOWNAT,	 /* dirfd, path, uid, gid, flags */
	OWNER_MKNOD,	 /* path, mode, dev */
	OWNER_MKNODAT,	 /* dirfd, path, mode, dev */
	OWNER_MKDIR,	 /* path, mode */
	OWNER_MKDIRAT,	 /* dirfd, path, mode */
	OWNER_SYMLINK,	 /* target, path */
	OWNER_SYMLINKAT, /* target, dirfd, path */
	OWNER_RENAME,	 /* path, path */
	OWNER_RENAMEAT,	 /* dirfd, path, dirfd, path */
	OWNER_RENAMEAT2, /* and flags */
	OWNER_LINK,	 /* path, path */
	OWNER_LINKAT,	 /* dirfd, path, dirfd, path, flags */
	OWNER_OPEN,	 /* path, flags, mode */
	OWNER_OPENAT,	 /* dirfd, path, flags, mode */
	OWNER_CREAT,	 /* path, mode */
	OWNER_SETXATTR,
	OWNER_LSETXATTR,
	OWNER_FSETXATTR, /* file, name, value, size, flags */
	OWNER_LISTXATTR,
	OWNER_LLISTXATTR,
	OWNER_FLISTXATTR, /* file, list, size */
	OWNER_REMOVEXATTR,
	OWNER_LREMOVEXATTR,
	OWNER_FREMOVEXATTR, /* file, name */
	OWNER_FILE_CALL_COUNT,
};

/* One call, while it is handled. */
struct owner_job {
	struct owner *o;
	const struct seccomp_notif *req;
	enum owner_file_call call;
	bool is_old; /* CALL_OLD_16BIT */
};

/* arg: enum owner_file_call. Goes to where the caller's root is first, if it has another one. */
notifyd_handler owner_file;
/* Whose call it is. Asked for only where it matters. */
static inline const struct creds *owner_creds(const struct owner_job *j)
{
	return creds_of(j->o, j->req->pid);
}
/* The caller still waits, so what was read was its. Before anything is changed or written. */
bool owner_is_valid(const struct owner_job *j);

/* ---- owner_path.c: 0 or -errno, on which the kernel is best left to find the error itself ---- */
/* `slot`: which of owner->paths. flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. */
int owner_path_at(const struct owner_job *j, unsigned slot, uint64_t dirfd, uint64_t addr, unsigned flags,
		  struct owner_path *ret);
int owner_path_fd(const struct owner_job *j, unsigned slot, uint64_t fd, struct owner_path *ret);
/* Split into directory (NUL-terminated in place; undo with owner_path_join) and the name of the entry. NULL if it names
 * no entry of a directory. */
const char *owner_path_split(struct owner_path *p, char **ret_dir);
void owner_path_join(struct owner_path *p, const char *name);
/* Bits that the caller's umask takes away. */
mode_t owner_umask(const struct owner_job *j);

/* ---- owner_record.c ---- */
/* Look for the record of a file. `st`: what the kernel says of it, or NULL if that is not known yet. -errno. */
int owner_record_get(struct owner *o, struct owner_path *p, const struct stat *st, struct owner_record *ret);
/* Keep a record with these xattrs (as they stand in a record; `len` may be 0). */
int owner_record_set(struct owner *o, struct owner_path *p, const struct stat *st, const struct xattr_stat *want,
		     const char *xattrs, size_t len);
/* There is nothing to remember. */
int owner_record_drop(struct owner *o, struct owner_path *p, const struct stat *st);
/* The record of a symlink goes from one name to another; where there is none, the other name has none afterwards. */
enum owner_move { OWNER_MOVE, OWNER_COPY, OWNER_SWAP };
void owner_record_move(struct owner *o, struct owner_path *from, struct owner_path *to, enum owner_move how);
/* ---- owner_special.c ---- */
static inline bool owner_is_special(mode_t mode)
{
	return S_ISFIFO(mode) || S_ISSOCK(mode);
}
/* Is there any record of one in this container? */
bool owner_any_special(struct owner *o);
int owner_special_get(struct owner *o, const struct owner_path *p, const struct stat *st, struct owner_record *ret);
int owner_special_set(struct owner *o, const struct owner_path *p, const struct stat *st,
		      const struct xattr_stat *want);
/* The group of what is made at `p`: that of its directory where that has set-group-id. false: its maker's.
 * as_root: its maker has group 0, so only another one matters. */
bool owner_inherits(struct owner *o, struct owner_path *p, bool as_root, uint32_t *ret_gid);
int owner_stat(const struct owner_path *p, struct stat *ret);
bool owner_is_symlink(const struct owner_path *p);
/* Reached through /proc/self/exe, which is us. */
bool owner_is_program(const struct owner *o, const struct stat *st);

/* ---- the calls ---- */
int64_t owner_do_stat(struct owner_job *j);   /* owner_stat.c */
int64_t owner_do_chown(struct owner_job *j);  /* owner_change.c */
int64_t owner_do_make(struct owner_job *j);   /* owner_make.c: mknod, mkdir, open */
int64_t owner_do_rename(struct owner_job *j); /* owner_link.c: rename, link, symlink */
int64_t owner_do_symlink(struct owner_job *j);
int64_t owner_do_set_xattr(struct owner_job *j); /* owner_xattr.c */
int64_t owner_do_list_xattr(struct owner_job *j);

#endif
