/*
 * owner.c - the calls of the owner module, and what is refused because it would go around them.
 *
 * "write" traps what changes owners and identity, "full" what shows them as well.
 */
#include <errno.h>
#include <linux/sched.h>

#include "owner.h"
#include "rl/base/mem.h"
#include "rl/model/rtspec.h"

#define USER(which)  ((unsigned)(OWN_USER << 4 | (which)))
#define GROUP(which) ((unsigned)(OWN_GROUP << 4 | (which)))
/* On 32-bit architectures two names: the first had 16-bit ids. */
#define BOTH(call, function, value)                                                                                    \
	{.name = call, .handler = (function), .arg = (value) | CALL_OLD_16BIT},                                        \
	{                                                                                                              \
		.name = call "32", .handler = (function), .arg = (value)                                               \
	}
#define CALL(call, function, value)                                                                                    \
	{                                                                                                              \
		.name = call, .handler = (function), .arg = (value)                                                    \
	}

/* Those of RT_EMULATE_WRITE first. */
static const struct notifyd_call calls[] = {
	BOTH("setuid", owner_set_id, USER(0)),
	BOTH("setgid", owner_set_id, GROUP(0)),
	BOTH("setreuid", owner_set_re, USER(0)),
	BOTH("setregid", owner_set_re, GROUP(0)),
	BOTH("setresuid", owner_set_res, USER(0)),
	BOTH("setresgid", owner_set_res, GROUP(0)),
	BOTH("setfsuid", owner_set_fs, USER(0)),
	BOTH("setfsgid", owner_set_fs, GROUP(0)),
	BOTH("setgroups", owner_set_groups, 0),
	CALL("chroot", owner_change_root, 0),
	CALL("pivot_root", owner_change_root, 0),
	CALL("setns", owner_change_root, 0),
	CALL("unshare", owner_change_root, 0),
	{.name = "clone",
	 .handler = owner_change_root,
	 .nconds = 1,
	 .conds = {{.arg = 0, .op = SECCOMP_OP_MASKED_EQ, .value = CLONE_NEWNS, .value2 = CLONE_NEWNS}}},
	/* "full" */
	BOTH("getuid", owner_get_id, USER(ID_REAL)),
	BOTH("geteuid", owner_get_id, USER(ID_EFFECTIVE)),
	BOTH("getgid", owner_get_id, GROUP(ID_REAL)),
	BOTH("getegid", owner_get_id, GROUP(ID_EFFECTIVE)),
	BOTH("getresuid", owner_get_ids, USER(0)),
	BOTH("getresgid", owner_get_ids, GROUP(0)),
	BOTH("getgroups", owner_get_groups, 0),
};

enum { WRITE_CALLS = 9 * 2 + 5 };

static bool is_wanted(const struct notifyd_config *c)
{
	return c->emulate != RT_EMULATE_OFF;
}

static const struct notifyd_call *list_calls(const struct notifyd_config *c, size_t *ret_count)
{
	*ret_count = c->emulate == RT_EMULATE_FULL ? ARRAY_SIZE(calls) : (size_t)WRITE_CALLS;
	return calls;
}

static int open_owner(struct notifyd *d, struct err *e)
{
	d->owner = xcalloc(1, sizeof(*d->owner));
	d->owner->d = d;
	return creds_init(d->owner, e);
}

const struct notifyd_module owner_module = {
	.name = "owner",
	.is_wanted = is_wanted,
	.calls = list_calls,
	.enters_container = true,
	.open = open_owner,
};
