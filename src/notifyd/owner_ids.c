/*
 * owner_ids.c - the calls on a process's own ids, by the rules of credentials(7), setresuid(2) and their kin.
 *
 * What a process may do with them is decided by capabilities that follow its user ids as the kernel's would
 * (capabilities(7), "Effect of user ID changes on capabilities"); those the kernel knows stay what they were. Ids belong
 * to the process: a single thread cannot have others, which only programs that make the raw calls could tell.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "owner.h"
#include "rl/base/mem.h"

enum { UNCHANGED = 0xffffffffu };

bool owner_is_old(const struct seccomp_notif *req, unsigned arg)
{
	enum seccomp_arch a = notifyd_arch(req);
	return (arg & CALL_OLD_16BIT) && (a == SECCOMP_ARCH_X86 || a == SECCOMP_ARCH_ARM);
}

static unsigned which_of(unsigned arg)
{
	return (arg >> 4) & 1;
}

static bool may_set(const struct creds *c, unsigned arg)
{
	return creds_has_cap(c, which_of(arg) == OWN_USER ? CAP_SETUID : CAP_SETGID);
}

int64_t owner_get_id(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	if (owner_is_old(req, arg))
		return -ENOSYS;
	return creds_of(d->owner, req->pid)->ids[which_of(arg)][arg & 3];
}

int64_t owner_get_ids(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	if (owner_is_old(req, arg))
		return -ENOSYS;
	const uint32_t *ids = creds_of(d->owner, req->pid)->ids[which_of(arg)];
	if (!seccomp_notify_is_valid(&d->notify, req->id))
		return -ESRCH;
	for (int i = 0; i < 3; i++)
		if (seccomp_notify_write(&d->notify, req->pid, req->data.args[i], &ids[i], sizeof(*ids)) < 0)
			return -EFAULT;
	return 0;
}

int64_t owner_get_groups(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	int room = (int)req->data.args[0];
	const struct creds *c = creds_of(d->owner, req->pid);
	if (owner_is_old(req, arg))
		return -ENOSYS;
	if (room < 0 || (room && (uint32_t)room < c->ngroups))
		return -EINVAL;
	if (room && c->ngroups &&
	    (!seccomp_notify_is_valid(&d->notify, req->id) ||
	     seccomp_notify_write(&d->notify, req->pid, req->data.args[1], c->groups, c->ngroups * sizeof(*c->groups)) <
		     0))
		return -EFAULT;
	return c->ngroups;
}

static bool has_zero(const uint32_t ids[ID_COUNT])
{
	return ids[ID_REAL] == 0 || ids[ID_EFFECTIVE] == 0 || ids[ID_SAVED] == 0;
}

static void follow_ids(const struct creds *old, struct creds *c)
{
	const uint32_t *before = old->ids[OWN_USER];
	const uint32_t *after = c->ids[OWN_USER];
	if (has_zero(before) && !has_zero(after)) {
		c->effective = 0;
		if (!c->keeps)
			c->permitted = 0;
	} else if (before[ID_EFFECTIVE] == 0 && after[ID_EFFECTIVE] != 0) {
		c->effective = 0;
	} else if (before[ID_EFFECTIVE] != 0 && after[ID_EFFECTIVE] == 0) {
		c->effective = c->permitted;
	}
}

/* Give the process these ids; `c` is freed. */
static int64_t change(struct notifyd *d, const struct seccomp_notif *req, struct creds *c)
{
	autofree struct creds *owned = c;
	if (!seccomp_notify_is_valid(&d->notify, req->id))
		return -ESRCH;
	follow_ids(creds_of(d->owner, req->pid), owned);
	return creds_set(d->owner, req->pid, owned);
}

static bool is_one_of(const uint32_t ids[ID_COUNT], uint32_t id, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

int64_t owner_set_id(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	const uint32_t *old = now->ids[which_of(arg)];
	uint32_t id = (uint32_t)req->data.args[0];
	if (owner_is_old(req, arg))
		return -ENOSYS;
	if (id == UNCHANGED)
		return -EINVAL;
	if (!may_set(now, arg) && id != old[ID_REAL] && id != old[ID_SAVED])
		return -EPERM;
	struct creds *c = creds_copy(now, 0);
	uint32_t *ids = c->ids[which_of(arg)];
	if (may_set(now, arg))
		ids[ID_REAL] = ids[ID_SAVED] = id;
	ids[ID_EFFECTIVE] = ids[ID_FS] = id;
	return change(d, req, c);
}

int64_t owner_set_re(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	const uint32_t *old = now->ids[which_of(arg)];
	uint32_t real = (uint32_t)req->data.args[0];
	uint32_t effective = (uint32_t)req->data.args[1];
	if (owner_is_old(req, arg))
		return -ENOSYS;
	if (!may_set(now, arg) && ((real != UNCHANGED && !is_one_of(old, real, 2)) ||
				   (effective != UNCHANGED && !is_one_of(old, effective, 3))))
		return -EPERM;
	struct creds *c = creds_copy(now, 0);
	uint32_t *ids = c->ids[which_of(arg)];
	if (real != UNCHANGED)
		ids[ID_REAL] = real;
	if (effective != UNCHANGED)
		ids[ID_EFFECTIVE] = effective;
	if (real != UNCHANGED || (effective != UNCHANGED && effective != old[ID_REAL]))
		ids[ID_SAVED] = ids[ID_EFFECTIVE];
	ids[ID_FS] = ids[ID_EFFECTIVE];
	return change(d, req, c);
}

int64_t owner_set_res(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	if (owner_is_old(req, arg))
		return -ENOSYS;
	for (int i = 0; i < 3; i++) {
		uint32_t id = (uint32_t)req->data.args[i];
		if (id != UNCHANGED && !may_set(now, arg) && !is_one_of(now->ids[which_of(arg)], id, 3))
			return -EPERM;
	}
	struct creds *c = creds_copy(now, 0);
	uint32_t *ids = c->ids[which_of(arg)];
	for (int i = 0; i < 3; i++)
		if ((uint32_t)req->data.args[i] != UNCHANGED)
			ids[i] = (uint32_t)req->data.args[i];
	ids[ID_FS] = ids[ID_EFFECTIVE];
	return change(d, req, c);
}

/* Its result is the old id, whether it changed anything or not. */
int64_t owner_set_fs(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	const uint32_t *old = now->ids[which_of(arg)];
	uint32_t id = (uint32_t)req->data.args[0];
	if (owner_is_old(req, arg))
		return -ENOSYS;
	if (id == UNCHANGED || id == old[ID_FS] || (!may_set(now, arg) && !is_one_of(old, id, ID_COUNT)))
		return old[ID_FS];
	struct creds *c = creds_copy(now, 0);
	c->ids[which_of(arg)][ID_FS] = id;
	(void)!change(d, req, c);
	return old[ID_FS];
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

int64_t owner_set_groups(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	uint64_t count = (uint32_t)req->data.args[0];
	if (owner_is_old(req, arg))
		return -ENOSYS;
	if (!creds_has_cap(now, CAP_SETGID))
		return -EPERM;
	if (count > 65536)
		return -EINVAL;
	if (count > CREDS_GROUPS_MAX)
		return -ENOMEM;
	struct creds *c = creds_copy(now, count);
	size_t size = count * sizeof(*c->groups);
	memset(c->groups, 0, (size_t)RL_MAX(c->ngroups, (uint32_t)count) * sizeof(*c->groups));
	c->ngroups = (uint32_t)count;
	if (size && seccomp_notify_read(&d->notify, req->pid, req->data.args[1], c->groups, size) != (ssize_t)size) {
		free(c);
		return -EFAULT;
	}
	/* As the kernel does; and two orders are one set. */
	qsort(c->groups, count, sizeof(*c->groups), compare_ids);
	return change(d, req, c);
}

/* Noted before the kernel does it: looking at the root of a process that has not changed it does no harm. */
int64_t owner_change_root(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	(void)arg;
	if (!now->other_root) {
		struct creds *c = creds_copy(now, 0);
		c->other_root = true;
		int64_t r = change(d, req, c);
		if (r < 0)
			return r;
	}
	return NOTIFYD_CONTINUE;
}

int64_t owner_keep_caps(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	bool keeps = req->data.args[1] == 1;
	(void)arg;
	if (now->keeps != keeps) {
		struct creds *c = creds_copy(now, 0);
		c->keeps = keeps;
		int64_t r = change(d, req, c);
		if (r < 0)
			return r;
	}
	return NOTIFYD_CONTINUE;
}

/* The kernel does it, too; it grants at least what is noted here. */
int64_t owner_cap_set(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2] = {{0}};
	(void)arg;
	if (seccomp_notify_read(&d->notify, req->pid, req->data.args[0], &header, sizeof(header)) != sizeof(header))
		return NOTIFYD_CONTINUE;
	size_t size = header.version == _LINUX_CAPABILITY_VERSION_1 ? sizeof(data[0]) : sizeof(data);
	if (seccomp_notify_read(&d->notify, req->pid, req->data.args[1], data, size) != (ssize_t)size)
		return NOTIFYD_CONTINUE;
	uint64_t permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	uint64_t effective = data[0].effective | (uint64_t)data[1].effective << 32;
	struct creds *c = creds_copy(now, 0);
	c->permitted &= permitted;
	c->effective = c->permitted & effective;
	int64_t r = change(d, req, c);
	return r < 0 ? r : NOTIFYD_CONTINUE;
}

/* Noted before it happens: of a program that cannot be executed the caller goes on with saved ids like its effective ones,
 * which nobody has missed yet. */
int64_t owner_exec(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	const struct creds *now = creds_of(d->owner, req->pid);
	(void)arg;
	if (now == d->owner->creds[0])
		return NOTIFYD_CONTINUE;
	struct creds *c = creds_copy(now, 0);
	for (int i = 0; i < OWN_COUNT; i++)
		c->ids[i][ID_SAVED] = c->ids[i][ID_FS] = c->ids[i][ID_EFFECTIVE];
	if (c->ids[OWN_USER][ID_REAL] && c->ids[OWN_USER][ID_EFFECTIVE])
		c->permitted = 0;
	c->effective = c->ids[OWN_USER][ID_EFFECTIVE] ? 0 : c->permitted;
	c->keeps = false;
	autofree struct creds *owned = c;
	(void)!creds_set(d->owner, req->pid, owned);
	return NOTIFYD_CONTINUE;
}

/* Where the ids are kept is not for the payload. */
int64_t owner_limit(struct notifyd *d, const struct seccomp_notif *req, unsigned arg)
{
	static const uint64_t unlimited[2] = {UINT64_MAX, UINT64_MAX};
	enum seccomp_arch arch = notifyd_arch(req);
	bool narrow = arg != OWNER_LIMIT_BOTH && (arch == SECCOMP_ARCH_X86 || arch == SECCOMP_ARCH_ARM);
	uint64_t addr = req->data.args[arg == OWNER_LIMIT_BOTH ? 3 : 1];
	if (arg == OWNER_LIMIT_SET || (arg == OWNER_LIMIT_BOTH && !addr))
		return 0;
	if (!seccomp_notify_is_valid(&d->notify, req->id))
		return -ESRCH;
	size_t size = narrow ? sizeof(unlimited) / 2 : sizeof(unlimited);
	return seccomp_notify_write(&d->notify, req->pid, addr, unlimited, size);
}
