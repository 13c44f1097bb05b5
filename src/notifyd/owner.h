/*
 * owner.h - owners and identity in a container with one id: everything may be chown'ed, everybody setuid'ed, and what was
 * said is kept; private to src/notifyd.
 *
 *   owner.c         the module: which calls
 *   owner_creds.c   whose ids a process has;  owner_ids.c  the calls on them
 *   owner_path.c    what a call means: a path or descriptor of the caller as a path of ours
 *   owner_record.c  true owners of files, kept and found;  owner_table.c  those that no xattr can hold
 *   owner_stat.c, owner_change.c, owner_make.c, owner_xattr.c  the calls on files
 *
 * Files. The true owner is the control record of rl/kern/xattr.h, in the same places where unpacking leaves it, so that
 * commit and export give back what was set here. A file without record belongs to whom the kernel says. Most files have
 * none: then the call goes on in the kernel, which does the rest.
 *
 * Identity. Each process has real, effective, saved and file system ids and groups, as credentials(7) has them; the
 * kernel knows nothing of it, for it all are root of the container. It is no access control (DECISIONS 4): a process that
 * has become somebody else still may what root may. It cannot become root again, unless it writes its own RLIMIT_LOCKS.
 *
 * Where the ids are kept. Children must have those their parent had at the fork, and the supervisor does not see forks.
 * The kernel hands down a limit that nothing uses: RLIMIT_LOCKS, without effect since Linux 2.4.25 (getrlimit(2)). Its soft
 * value names a set of ids (struct creds); any other value means those the first process began with.
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
	CREDS_GROUPS_MAX = 4096, /* supplementary groups of one process */
};

struct creds {
	uint32_t ids[OWN_COUNT][ID_COUNT];
	bool other_root; /* has called chroot or something like it: paths do not begin at the container's root */
	uint32_t ngroups;
	uint32_t groups[];
};

struct owner_table;

struct owner {
	struct notifyd *d;
	uint64_t base; /* RLIMIT_LOCKS of set n is base + n */
	struct creds *creds[CREDS_MAX];
	size_t ncreds;
	struct owner_table *table;
	/* Room in front, so that "PID/cwd/" can be put before what was read. */
	char paths[2][PATH_MAX + 64];
	char value[XATTR_VALUE_MAX + 1];
	char record[XATTR_VALUE_MAX + 1];
};

extern const struct notifyd_module owner_module;

/* ---- owner_creds.c ---- */
int creds_init(struct owner *o, struct err *e) RL_CHECK;
/* Those of the process now; borrowed, constant. */
const struct creds *creds_of(const struct owner *o, uint32_t pid);
/* 0 or -errno: -EAGAIN when there are too many different ones. */
int creds_set(struct owner *o, uint32_t pid, const struct creds *c);
/* A copy to change, with room for `ngroups`; free it. */
struct creds *creds_copy(const struct creds *c, size_t ngroups);
static inline bool creds_is_root(const struct creds *c)
{
	return c->ids[OWN_USER][ID_EFFECTIVE] == 0;
}
bool creds_in_group(const struct creds *c, uint32_t gid);

/* ---- owner_ids.c: getuid ... setgroups ---- */
enum { CALL_OLD_16BIT = 1 << 16 }; /* of `arg`: on 32-bit architectures the ids have 16 bits: refused there */
bool owner_is_old(const struct seccomp_notif *req, unsigned arg);
notifyd_handler owner_get_id;  /* arg: OWN_* << 4 | ID_* */
notifyd_handler owner_get_ids; /* arg: OWN_* << 4 */
notifyd_handler owner_get_groups;
notifyd_handler owner_set_id, owner_set_re, owner_set_res, owner_set_fs; /* arg: OWN_* << 4 */
notifyd_handler owner_set_groups;
notifyd_handler owner_change_root; /* chroot, pivot_root, setns, unshare, clone */

#endif
