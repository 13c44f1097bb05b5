/*
 * container_pause.c - a container stands still, and goes on.
 *
 * Its control group is frozen where it has one with a freezer; else every process is stopped (decision 36), in passes
 * until none runs. The mark in the container's directory says that this was wanted; it counts only for the PID 1 it was
 * made for.
 */
#include <errno.h>

#include "container_int.h"
#include "rl/base/mem.h"
#include "rl/kern/cgroup.h"
#include "rl/svc/container.h"
#include "rl/svc/events.h"

int container_rec_halt(const struct container_rec *rec, bool still, struct err *e)
{
	int r = rec->state.cgroups.count ? cgroup_freeze(&rec->state.cgroups, still, e) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	return still ? runtime_stop_all(rec->state.init.pid, e) : runtime_continue_all(rec->state.init.pid, e);
}

static int pause_rec(struct container_rec *rec, bool on, struct err *e)
{
	autofd int op = container_rec_lock(rec, e);
	if (op < 0)
		return op;
	if (!container_rec_is_running(rec))
		return err_set(e, EINVAL, "container %s is not running", rec->config.name);
	if (on == (rec->status == RECORD_PAUSED))
		return err_set(e, EALREADY, "container %s is %s paused", rec->config.name, on ? "already" : "not");
	/* The mark is there while anything stands still: who dies in between leaves a container that unpause takes. */
	int r = on ? container_rec_mark_paused(rec, true, e) : 0;
	if (r == 0)
		r = container_rec_halt(rec, on, e);
	if (r < 0 && on) {
		(void)!container_rec_halt(rec, false, NULL);
		(void)!container_rec_mark_paused(rec, false, NULL);
	}
	return r == 0 && !on ? container_rec_mark_paused(rec, false, e) : r;
}

static int change(const char *root, const char *name, bool on, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0)
		r = pause_rec(&rec, on, e);
	if (r == 0)
		events_container(&rec, on ? "pause" : "unpause", NULL);
	store_close(&s);
	return r;
}

int container_pause(const char *root, const char *name, struct err *e)
{
	return change(root, name, true, e);
}

int container_unpause(const char *root, const char *name, struct err *e)
{
	return change(root, name, false, e);
}
