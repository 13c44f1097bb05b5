/*
 * share.c - how many descriptors each published port may have.
 *
 * Whoever reaches one port from outside can make connections that say nothing, or datagrams from as many sources as there
 * are, until no descriptor is left. So every port can count on OWN of them, or on its part of a half where there are too
 * many ports for that: another port gets no more as soon as only those that are still owed are left. The rest is for who comes
 * first, which with one port is nearly all.
 *
 * Pipes and what the control socket needs are taken off before.
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "portd.h"
#include "rl/base/mem.h"

enum {
	OWN = 64,
	RESERVE = 64, /* control messages, and what is open anyway */
};

static size_t own(const struct portd *d)
{
	return RL_MIN((size_t)OWN, d->files_max / (2 * RL_MAX(d->nports, (size_t)1)));
}

static size_t owed_to(const struct portd *d, const struct port *p)
{
	size_t o = own(d);
	return p->files < o && !p->is_withdrawn ? o - p->files : 0;
}

void share_init(struct portd *d)
{
	struct rlimit files;
	size_t most = INT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		most = RL_MIN(files.rlim_cur, (rlim_t)INT_MAX);
	d->files_limit = most - RL_MIN((size_t)RESERVE, most / 2);
	d->pipes_max = RL_MIN((size_t)PORTD_PIPES_MAX, d->files_limit / 16);
	d->files_limit -= 2 * d->pipes_max;
	share_ports(d);
}

void share_ports(struct portd *d)
{
	d->files_max = d->files_limit - RL_MIN(d->nports, d->files_limit / 2);
	d->owed = 0;
	for (const struct port *p = d->ports; p; p = p->next)
		d->owed += owed_to(d, p);
}

bool share_take(struct port *p, size_t n)
{
	struct portd *d = p->d;
	size_t others = d->owed - owed_to(d, p);
	if (d->files + n + others > d->files_max)
		return false;
	d->files += n;
	p->files += n;
	d->owed = others + owed_to(d, p);
	return true;
}

void share_return(struct port *p, size_t n)
{
	struct portd *d = p->d;
	d->owed -= owed_to(d, p);
	d->files -= n;
	p->files -= n;
	d->owed += owed_to(d, p);
	if (p->is_withdrawn && !p->files)
		free(p);
}

void share_withdraw(struct port *p)
{
	p->is_withdrawn = true;
	share_ports(p->d);
	if (!p->files)
		free(p);
}
