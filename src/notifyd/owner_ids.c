/*
 * owner_ids.c - the calls on a process's own ids, by the rules of credentials(7), setresuid(2) and their kin.
 *
 * "Privileged" is an effective user id of 0: who gives that up has given up CAP_SETUID and CAP_SETGID with it. (A process
 * that kept them by PR_SET_KEEPCAPS is refused here.) Ids belong to the process: a single thread cannot have others,
 * which only programs that make the raw calls could tell.
 */
#include <errno.h>
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

/* Give the process these ids; `c` is freed. */
static int64_t change(struct notifyd *d, const struct seccomp_notif *req, struct creds *c)
{
	autofree struct creds *owned = c;
	if (!seccomp_notify_is_valid(&d->notify, req->id))
		return -ESRCH;
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
	if (!creds_is_root(now) && id != old[ID_REAL] && id != old[ID_SAVED])
		return -EPERM;
	struct creds *c = creds_copy(now, 0);
	uint32_t *ids = c->ids[which_of(arg)];
	if (creds_is_root(now))
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
	if (!creds_is_root(now) && ((real != UNCHANGED && !is_one_of(old, real, 2)) ||
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
		if (id != UNCHANGED && !creds_is_root(now) && !is_one_of(now->ids[which_of(arg)], id, 3))
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
	if (id == UNCHANGED || id == old[ID_FS] || (!creds_is_root(now) && !is_one_of(old, id, ID_COUNT)))
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
	if (!creds_is_root(now))
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
