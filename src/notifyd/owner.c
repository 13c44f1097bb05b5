/*
 * owner.c - the calls of the owner modules, and what is refused because it would go around them.
 *
 * Two modules of one supervisor's state: what changes owners and identity ("write" and "full"), and what shows them or
 * makes files for somebody ("full").
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "owner.h"
#include "rl/base/mem.h"
#include "rl/model/rtspec.h"

#define USER(which)  ((unsigned)(OWN_USER << 4 | (which)))
#define GROUP(which) ((unsigned)(OWN_GROUP << 4 | (which)))
#define CALL(call, function, number)                                                                                   \
	{                                                                                                              \
		.name = (call), .handler = (function), .arg = (number)                                                 \
	}
/* Only with these bits in that argument. */
#define CALL_IF(call, function, number, index, bits)                                                                   \
	{                                                                                                              \
		.name = (call), .handler = (function), .arg = (number), .nconds = 1, .conds = {                        \
			{(index), SECCOMP_OP_MASKED_EQ, (bits), (bits)}                                                \
		}                                                                                                      \
	}
#define CALL_IS(call, function, number, index, is)                                                                     \
	{                                                                                                              \
		.name = (call), .handler = (function), .arg = (number), .nconds = 1, .conds = {                        \
			{(index), SECCOMP_OP_MASKED_EQ, 0xffffffff, (is)}                                              \
		}                                                                                                      \
	}
/* On 32-bit architectures two names: the first had 16-bit ids. */
#define BOTH(call, function, value) CALL(call, function, (value) | CALL_OLD_16BIT), CALL(call "32", function, value)
#define FILE_CALL(call, value)	    CALL(call, owner_file, value)
#define XATTR_CALLS(call, CALLS)                                                                                       \
	FILE_CALL(call, OWNER_##CALLS), FILE_CALL("l" call, OWNER_L##CALLS), FILE_CALL("f" call, OWNER_F##CALLS)

static const struct notifyd_call changing[] = {
	BOTH("setuid", owner_set_id, USER(0)),
	BOTH("setgid", owner_set_id, GROUP(0)),
	BOTH("setreuid", owner_set_re, USER(0)),
	BOTH("setregid", owner_set_re, GROUP(0)),
	BOTH("setresuid", owner_set_res, USER(0)),
	BOTH("setresgid", owner_set_res, GROUP(0)),
	BOTH("setfsuid", owner_set_fs, USER(0)),
	BOTH("setfsgid", owner_set_fs, GROUP(0)),
	BOTH("setgroups", owner_set_groups, 0),
	CALL_IS("prctl", owner_keep_caps, 0, 0, PR_SET_KEEPCAPS),
	CALL("capset", owner_cap_set, 0),
	CALL("execve", owner_exec, 0),
	CALL("execveat", owner_exec, 0),
	CALL_IS("getrlimit", owner_limit, OWNER_LIMIT_GET, 0, RLIMIT_LOCKS),
	CALL_IS("ugetrlimit", owner_limit, OWNER_LIMIT_GET, 0, RLIMIT_LOCKS),
	CALL_IS("setrlimit", owner_limit, OWNER_LIMIT_SET, 0, RLIMIT_LOCKS),
	CALL_IS("prlimit64", owner_limit, OWNER_LIMIT_BOTH, 1, RLIMIT_LOCKS),
	CALL("chroot", owner_change_root, 0),
	CALL("pivot_root", owner_change_root, 0),
	CALL("setns", owner_change_root, 0),
	CALL("unshare", owner_change_root, 0),
	CALL_IF("clone", owner_change_root, 0, 0, CLONE_NEWNS),
	BOTH("chown", owner_file, OWNER_CHOWN),
	BOTH("lchown", owner_file, OWNER_LCHOWN),
	BOTH("fchown", owner_file, OWNER_FCHOWN),
	FILE_CALL("fchownat", OWNER_FCHOWNAT),
	FILE_CALL("mknod", OWNER_MKNOD),
	FILE_CALL("mknodat", OWNER_MKNODAT),
	FILE_CALL("symlink", OWNER_SYMLINK),
	FILE_CALL("symlinkat", OWNER_SYMLINKAT),
	FILE_CALL("rename", OWNER_RENAME),
	FILE_CALL("renameat", OWNER_RENAMEAT),
	FILE_CALL("renameat2", OWNER_RENAMEAT2),
	FILE_CALL("link", OWNER_LINK),
	FILE_CALL("linkat", OWNER_LINKAT),
	XATTR_CALLS("setxattr", SETXATTR),
	XATTR_CALLS("removexattr", REMOVEXATTR),
};

static const struct notifyd_call showing[] = {
	BOTH("getuid", owner_get_id, USER(ID_REAL)),
	BOTH("geteuid", owner_get_id, USER(ID_EFFECTIVE)),
	BOTH("getgid", owner_get_id, GROUP(ID_REAL)),
	BOTH("getegid", owner_get_id, GROUP(ID_EFFECTIVE)),
	BOTH("getresuid", owner_get_ids, USER(0)),
	BOTH("getresgid", owner_get_ids, GROUP(0)),
	BOTH("getgroups", owner_get_groups, 0),
	FILE_CALL("stat", OWNER_STAT | CALL_OLD_16BIT),
	FILE_CALL("lstat", OWNER_LSTAT | CALL_OLD_16BIT),
	FILE_CALL("fstat", OWNER_FSTAT | CALL_OLD_16BIT),
	FILE_CALL("stat64", OWNER_STAT),
	FILE_CALL("lstat64", OWNER_LSTAT),
	FILE_CALL("fstat64", OWNER_FSTAT),
	FILE_CALL("newfstatat", OWNER_FSTATAT),
	FILE_CALL("fstatat64", OWNER_FSTATAT),
	FILE_CALL("statx", OWNER_STATX),
	FILE_CALL("mkdir", OWNER_MKDIR),
	FILE_CALL("mkdirat", OWNER_MKDIRAT),
	FILE_CALL("creat", OWNER_CREAT),
	CALL_IF("open", owner_file, OWNER_OPEN, 1, O_CREAT),
	CALL_IF("openat", owner_file, OWNER_OPENAT, 2, O_CREAT),
	XATTR_CALLS("listxattr", LISTXATTR),
};

#define REFUSE(call)                                                                                                   \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ERRNO | ENOSYS                                                     \
	}

/* Their arguments are behind pointers, and libc and programs have older calls to fall back on. */
static const struct seccomp_rule refused[] = {
	REFUSE("setxattrat"),	 REFUSE("getxattrat"),	   REFUSE("listxattrat"),
	REFUSE("removexattrat"), REFUSE("io_uring_setup"),
};

static bool wants_change(const struct notifyd_config *c)
{
	return c->emulate != RT_EMULATE_OFF;
}

static bool wants_show(const struct notifyd_config *c)
{
	return c->emulate == RT_EMULATE_FULL;
}

static const struct notifyd_call *list_changing(const struct notifyd_config *c, size_t *ret_count)
{
	(void)c;
	*ret_count = ARRAY_SIZE(changing);
	return changing;
}

static const struct notifyd_call *list_showing(const struct notifyd_config *c, size_t *ret_count)
{
	(void)c;
	*ret_count = ARRAY_SIZE(showing);
	return showing;
}

static int open_owner(struct notifyd *d, struct err *e)
{
	d->owner = xcalloc(1, sizeof(*d->owner));
	d->owner->d = d;
	d->owner->out = (struct str)STR_INIT;
	return creds_init(d->owner, e);
}

const struct notifyd_module owner_change_module = {
	.name = "owner",
	.is_wanted = wants_change,
	.calls = list_changing,
	.refused = refused,
	.nrefused = ARRAY_SIZE(refused),
	.enters_container = true,
	.open = open_owner,
	.needed = owner_needed,
};

const struct notifyd_module owner_show_module = {
	.name = "owner, shown",
	.is_wanted = wants_show,
	.calls = list_showing,
	.enters_container = true,
	.needed = owner_needed,
};
