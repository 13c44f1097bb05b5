/*
 * container_update.c - change what a container was created with, while it runs too.
 *
 * The record first, so that the next start has it whatever happens then; then the cgroups of the container that runs.
 * Its monitor is told to read the record again, for the watch that stands in for a memory limit.
 */
#include <errno.h>
#include <signal.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/svc/container.h"

static int change_record(struct container_rec *rec, const char *policy, const struct limit_opts *limits, struct err *e)
{
	struct run_opts *o = &rec->config.o;
	int r = policy ? run_opts_restart(o, policy, e) : 0;
	if (r == 0 && o->rm && o->restart != RESTART_NO)
		r = err_set(e, EINVAL, "container %s is removed when it ends (--rm): it cannot be restarted",
			    rec->config.name);
	if (r < 0)
		return r;
	limit_opts_merge(&o->limits, limits);
	r = limit_opts_check(&o->limits, e);
	return r < 0 ? r : container_rec_write_config(rec, e);
}

/* Limits of the container that runs. What is not there to be set is an error: nobody would notice otherwise. */
static int change_running(const struct container_rec *rec, const struct limit_opts *changes, struct err *e)
{
	autofree struct cgroup_io *io = NULL;
	autostrv struct strv missing = STRV_INIT;
	struct cgroup_limits l;
	int r = container_limits_translate(changes, &l, &io, e);
	if (r < 0)
		return r;
	/* Swap is given with memory: the kernel's figure follows from both. */
	if (l.memory_swap && !l.memory)
		l.memory = rec->config.o.limits.memory;
	r = cgroup_set_limits(&rec->state.cgroups, &l, &missing, e);
	if (r < 0)
		return r;
	bool watched = !rec->state.foreground && rec->config.o.limits.memory > 0;
	if (missing.count == 1 && str_eq(missing.items[0], "--memory") && watched)
		return 0;
	if (missing.count)
		log_warn("container %s: %s%s cannot be changed while it runs and holds from its next start on",
			 rec->config.name, missing.items[0], missing.count > 1 ? " and others" : "");
	return 0;
}

int container_update(const char *root, const char *name, const char *policy, const struct limit_opts *limits,
		     struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	autofd int op = r == 0 ? container_rec_lock(&rec, e) : -1;
	if (r == 0 && op < 0)
		r = op;
	if (r == 0)
		r = change_record(&rec, policy, limits, e);
	if (r == 0 && limit_opts_any(limits) && container_rec_is_alive(&rec))
		r = change_running(&rec, limits, e);
	autofd int monitor = r == 0 && !rec.state.foreground ? container_rec_open_monitor(&rec, NULL) : -1;
	if (monitor >= 0)
		(void)!proc_pidfd_signal(monitor, SIGUSR1, NULL);
	store_close(&s);
	return r;
}
