#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "owner.h"
#include "rl/base/mem.h"

static size_t creds_size(size_t ngroups)
{
	return sizeof(struct creds) + ngroups * sizeof(uint32_t);
}

struct creds *creds_copy(const struct creds *c, size_t ngroups)
{
	struct creds *copy = xcalloc(1, creds_size(RL_MAX(ngroups, (size_t)c->ngroups)));
	memcpy(copy, c, creds_size(c->ngroups));
	return copy;
}

int creds_init(struct owner *o, struct err *e)
{
	/* What a payload cannot guess: numbers of sets that it was never given. */
	if (getrandom(&o->base, sizeof(o->base), 0) != sizeof(o->base))
		return err_sys(e, errno, "getrandom");
	o->base = (o->base >> 2) & ~UINT64_C(0xfff);
	struct creds *c = xcalloc(1, creds_size(NOTIFYD_GROUPS_MAX));
	for (int i = 0; i < ID_COUNT; i++) {
		c->ids[OWN_USER][i] = o->d->who.uid;
		c->ids[OWN_GROUP][i] = o->d->who.gid;
	}
	if (o->d->who.uid == 0)
		c->permitted = c->effective = o->d->cfg.caps;
	c->ngroups = RL_MIN(o->d->who.ngroups, (uint32_t)NOTIFYD_GROUPS_MAX);
	memcpy(c->groups, o->d->who.groups, c->ngroups * sizeof(*c->groups));
	o->creds[0] = c;
	o->ncreds = 1;
	return 0;
}

const struct creds *creds_of(const struct owner *o, uint32_t pid)
{
	struct rlimit now;
	uint64_t n = 0;
	if (prlimit((pid_t)pid, RLIMIT_LOCKS, NULL, &now) == 0 && now.rlim_cur >= o->base)
		n = now.rlim_cur - o->base;
	return o->creds[n < o->ncreds ? n : 0];
}

static int find(struct owner *o, const struct creds *c)
{
	for (size_t i = 0; i < o->ncreds; i++)
		if (o->creds[i]->ngroups == c->ngroups && memcmp(o->creds[i], c, creds_size(c->ngroups)) == 0)
			return (int)i;
	if (o->ncreds == CREDS_MAX)
		return -EAGAIN;
	o->creds[o->ncreds] = creds_copy(c, c->ngroups);
	o->any_other_root |= c->other_root;
	return (int)o->ncreds++;
}

int creds_set(struct owner *o, uint32_t pid, const struct creds *c)
{
	struct rlimit now;
	int n = find(o, c);
	if (n < 0)
		return n;
	if (prlimit((pid_t)pid, RLIMIT_LOCKS, NULL, &now) < 0)
		return -errno;
	now.rlim_cur = o->base + (uint64_t)n;
	if (now.rlim_cur > now.rlim_max)
		return -EAGAIN;
	return prlimit((pid_t)pid, RLIMIT_LOCKS, &now, NULL) < 0 ? -errno : 0;
}

bool creds_in_group(const struct creds *c, uint32_t gid)
{
	if (c->ids[OWN_GROUP][ID_FS] == gid || c->ids[OWN_GROUP][ID_EFFECTIVE] == gid)
		return true;
	for (uint32_t i = 0; i < c->ngroups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}
