/*
 * container_admin.c - ending, removing, waiting, renaming.
 *
 * To end a container: say in `want` that it shall not come back, then signal PID 1 through a pidfd that was verified
 * against the record, then wait for the monitor, who records how it ended. No lock is held while waiting, so that a kill
 * or an rm -f is never behind a patient stop. If nobody is left to record the end (the monitor was killed), the verb
 * does it with the directory's own lock: ended, nobody knows how.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/procs.h"
#include "rl/svc/container.h"
#include "rl/svc/events.h"

enum { KILL_PATIENCE_S = 10, WAKE_AFTER_MS = 300 };

#define SECOND INT64_C(1000000000)

/* Deadlines are on the clock that nobody sets. */
static int64_t steady_now(void)
{
	return (int64_t)event_now_ns();
}

struct target {
	struct store s;
	struct container_rec rec;
};

static int open_target(const char *root, const char *name, struct target *t, struct err *e)
{
	*t = (struct target){.rec = CONTAINER_REC_INIT};
	int r = store_open(root, true, &t->s, e);
	if (r < 0)
		return r;
	r = container_store_find(&t->s, name, &t->rec, e);
	if (r < 0)
		store_close(&t->s);
	return r;
}

static void close_target(struct target *t)
{
	container_rec_free(&t->rec);
	store_close(&t->s);
}

/* Let a monitor that waits to restart look at `want`. */
static void poke(const struct container_rec *rec)
{
	autofd int fd = rec->state.foreground ? -1 : container_rec_open_monitor(rec, NULL);
	if (fd >= 0)
		(void)!proc_pidfd_signal(fd, SIGUSR1, NULL);
}

static void signal_init(const struct container_rec *rec, int sig)
{
	autofd int fd = container_rec_open_init(rec, NULL);
	if (fd < 0)
		return;
	/* A default action is not carried out for a PID 1; a paused process takes nothing but SIGKILL. */
	if (sig != SIGKILL && runtime_signal_is_lost(rec->state.init.pid, sig))
		sig = SIGKILL;
	(void)!proc_pidfd_signal(fd, sig, NULL);
}

/* Nobody recorded the end: PID 1 and the monitor are gone. */
static void record_unknown_end(const struct container_rec *rec)
{
	autofd int own = -1;
	autorec struct container_rec now = CONTAINER_REC_INIT;
	if (container_rec_try_own(rec, &own, NULL) != 1)
		return;
	if (container_store_find(rec->store, rec->config.id, &now, NULL) < 0 || container_rec_is_alive(&now) ||
	    now.state.status != RECORD_RUNNING)
		return;
	now.state.status = RECORD_EXITED;
	now.state.exit_code = RECORD_EXIT_UNKNOWN;
	now.state.finished = container_now();
	(void)!container_rec_write_state(&now, NULL);
	events_ended(&now, RECORD_EXIT_UNKNOWN);
}

/* Until the container is not alive and nobody looks after it any more: 1; 0 when `deadline` passes first. */
static int wait_ended(struct container_rec *rec, int64_t deadline, struct err *e)
{
	for (;;) {
		struct container_watch w;
		container_watch_open_ends(rec, &w);
		int r = container_rec_reload(rec, e);
		if (r < 0)
			container_watch_close(&w);
		if (r == -ENOENT) {
			/* Removed (--rm): that is an end too. */
			if (e)
				err_clear(e);
			return 1;
		}
		if (r < 0)
			return r;
		if (!container_rec_is_alive(rec) && !container_rec_monitor_lives(rec)) {
			container_watch_close(&w);
			return 1;
		}
		int64_t left = (deadline - steady_now()) / 1000000;
		/* Neither opened, yet the record says alive: it is newer than what was tried. Look again soon. */
		int64_t longest = w.pids[0] < 0 && w.pids[1] < 0 ? 5 : 1000000;
		r = left > 0 ? container_watch_wait(&w, (int)RL_MIN(left + 1, longest), e) : 0;
		container_watch_close(&w);
		if (r < 0)
			return r;
		if (r == 0 && steady_now() >= deadline)
			return 0;
	}
}

/* SIGKILL to PID 1; to a monitor that does not go in spite of that, too. */
static int kill_all(struct container_rec *rec, struct err *e)
{
	for (int round = 0; round < 2; round++) {
		signal_init(rec, SIGKILL);
		/* A frozen group of cgroup v1 takes not even that. */
		if (rec->status == RECORD_PAUSED && rec->state.cgroups.count)
			(void)!container_rec_halt(rec, false, NULL);
		poke(rec);
		int r = wait_ended(rec, steady_now() + WAKE_AFTER_MS * SECOND / 1000, e);
		if (r == 0) {
			/* A pid namespace ends when all of it was reaped, and a joined process is reaped by its rl. */
			procs_wake_reapers(rec->state.init.pid);
			r = wait_ended(rec, steady_now() + KILL_PATIENCE_S * SECOND, e);
		}
		if (r != 0)
			return r < 0 ? r : 0;
		autofd int fd = rec->state.foreground ? -1 : container_rec_open_monitor(rec, NULL);
		if (fd >= 0)
			(void)!proc_pidfd_signal(fd, SIGKILL, NULL);
	}
	return err_set(e, EBUSY, "container %s does not end", rec->config.name);
}

static int stop_rec(struct container_rec *rec, int timeout, int sig, struct err *e)
{
	if (!container_rec_is_alive(rec))
		return 1;
	int r = container_want_set(rec->dirfd, WANT_STOP, e);
	if (r < 0)
		return r;
	if (timeout < 0)
		timeout = (int)RL_MIN(rec->config.o.stop_timeout, 1000000U);
	r = 0;
	if (timeout > 0) {
		signal_init(rec, sig ? sig : rec->config.stop_signal);
		/* A container that stands still sees the signal only when it goes on. */
		if (rec->status == RECORD_PAUSED)
			(void)!container_rec_halt(rec, false, NULL);
		poke(rec);
		r = wait_ended(rec, steady_now() + timeout * SECOND, e);
	}
	if (r == 0)
		r = kill_all(rec, e);
	if (r < 0)
		return r;
	record_unknown_end(rec);
	return 0;
}

int container_stop(const char *root, const char *name, int timeout, int sig, struct err *e)
{
	struct target t;
	int r = open_target(root, name, &t, e);
	if (r < 0)
		return r;
	r = stop_rec(&t.rec, timeout, sig, e);
	if (r == 0)
		events_container(&t.rec, "stop", NULL);
	close_target(&t);
	return r;
}

int container_kill(const char *root, const char *name, int sig, struct err *e)
{
	struct target t;
	int r = open_target(root, name, &t, e);
	if (r < 0)
		return r;
	autofd int fd = -1;
	if (!container_rec_is_running(&t.rec)) {
		err_set(e, ESRCH, "container %s is not running", t.rec.config.name);
		r = -ESRCH;
	} else if (sig == SIGKILL) {
		/* As in docker: killed by hand is stopped by hand. Its end is waited for, as people expect of -9. */
		r = container_want_set(t.rec.dirfd, WANT_STOP, e);
		if (r == 0)
			r = kill_all(&t.rec, e);
		if (r == 0)
			record_unknown_end(&t.rec);
	} else {
		fd = container_rec_open_init(&t.rec, e);
		r = fd < 0 ? fd : proc_pidfd_signal(fd, sig, e);
		if (r == 0 && runtime_signal_is_lost(t.rec.state.init.pid, sig))
			log_debug(LOG_RUN, "PID 1 has the default action for signal %d: the kernel drops it", sig);
	}
	if (r >= 0) {
		char number[16];
		snprintf(number, sizeof(number), "%d", sig);
		events_container(&t.rec, "kill", "signal", number, NULL);
	}
	close_target(&t);
	return r < 0 ? r : 0;
}

/* Ended and started again by its own monitor: the log and those attached stay. */
static int restart_by_monitor(struct container_rec *rec, int timeout, struct err *e)
{
	uint64_t old = rec->state.init.start;
	pid_t old_pid = rec->state.init.pid;
	int r = container_want_set(rec->dirfd, WANT_RESTART, e);
	if (r < 0)
		return r;
	int64_t kill_at = steady_now() + timeout * SECOND;
	int64_t give_up_at = kill_at + KILL_PATIENCE_S * SECOND;
	bool killed = timeout == 0;
	signal_init(rec, killed ? SIGKILL : rec->config.stop_signal);
	if (rec->status == RECORD_PAUSED)
		(void)!container_rec_halt(rec, false, NULL);
	poke(rec);
	for (;;) {
		struct container_watch w;
		r = container_watch_open(rec, &w, e);
		if (r == 0)
			r = container_rec_reload(rec, e);
		if (r < 0)
			return r;
		bool again = rec->state.status == RECORD_RUNNING &&
			     (rec->state.init.start != old || rec->state.init.pid != old_pid);
		if (again || !container_rec_monitor_lives(rec) || steady_now() > give_up_at) {
			container_watch_close(&w);
			return again ? 1 : 0;
		}
		if (!killed && steady_now() >= kill_at) {
			signal_init(rec, SIGKILL);
			killed = true;
		}
		int64_t left = ((killed ? give_up_at : kill_at) - steady_now()) / 1000000;
		r = container_watch_wait(&w, (int)RL_MAX(RL_MIN(left + 1, INT64_C(1000000)), INT64_C(0)), e);
		container_watch_close(&w);
		if (r < 0)
			return r;
	}
}

int container_restart(const char *root, const char *name, int timeout, struct err *e)
{
	struct target t;
	int r = open_target(root, name, &t, e);
	if (r < 0)
		return r;
	autofree char *id = xstrdup(t.rec.config.id);
	if (timeout < 0)
		timeout = (int)RL_MIN(t.rec.config.o.stop_timeout, 1000000U);
	int done = 0;
	if (container_rec_is_alive(&t.rec) && t.rec.state.foreground) {
		err_set(e, EBUSY, "container %s runs in the foreground of another rl", t.rec.config.name);
		done = err_hint(e, "stop it there, or use 'rl stop' and 'rl start'");
	} else if (container_rec_is_alive(&t.rec) && container_rec_monitor_lives(&t.rec)) {
		done = restart_by_monitor(&t.rec, timeout, e);
	}
	if (done == 0)
		done = stop_rec(&t.rec, timeout, 0, e) < 0 ? -e->code : 0;
	close_target(&t);
	if (done != 0)
		return done < 0 ? done : 0;
	int status = 0;
	return container_start(root, id, &(struct container_attach_opts){.attach = false}, &status, e);
}

/* What a damaged record says about processes may be nothing. The monitor is found by its socket, and told to kill; what
 * it writes about the end replaces the damaged state. */
static int end_broken(struct container_rec *rec, int *ret_own, struct err *e)
{
	const int sig = SIGKILL;
	if (rec->dirfd < 0)
		rec->dirfd = open(rec->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (rec->dirfd < 0)
		return err_sys(e, errno, "open %s", rec->dir);
	int r = container_rec_try_own(rec, ret_own, e);
	if (r > 0)
		signal_init(rec, SIGKILL); /* if the state is the whole document of the two */
	if (r != 0)
		return r < 0 ? r : 0;
	r = container_want_set(rec->dirfd, WANT_STOP, e);
	if (r < 0)
		return r;
	signal_init(rec, SIGKILL);
	autofd int conn = container_attach_connect(rec, ATTACH_WAITS, NULL);
	if (conn >= 0)
		(void)!container_attach_send(conn, ATTACH_SIGNAL, &sig, sizeof(sig), NULL);
	r = container_rec_wait_free(rec, ret_own, e);
	return r < 0 ? r : 0;
}

int container_remove_rec(struct container_rec *rec, bool force, bool volumes, struct err *e)
{
	autofd int op = container_rec_lock(rec, e);
	if (op < 0)
		return op;
	if (container_rec_is_alive(rec) && !force) {
		err_set(e, EBUSY, "container %s is %s", rec->config.name, record_status_name(rec->status));
		return err_hint(e, "stop it first, or use 'rl rm -f'");
	}
	autofree char *id = xstrdup(rec->config.id);
	autofree char *name = xstrdup(rec->config.name ? rec->config.name : "");
	if (container_rec_is_alive(rec)) {
		int r = stop_rec(rec, 0, 0, e);
		if (r < 0)
			return r;
	}
	autofd int own = -1;
	int r = container_rec_try_own(rec, &own, NULL);
	/* Held: by a monitor on its way out, or by one whose state somebody took away. */
	if (r == 0)
		r = force ? end_broken(rec, &own, e) : container_rec_wait_free(rec, &own, e);
	if (r < 0 && r != -ENOENT)
		return r;
	/* Of an rl or a monitor that was killed; else it is gone already. */
	if (rec->state.cgroups.count && cgroup_kill(&rec->state.cgroups, NULL) == 0)
		(void)!cgroup_remove(&rec->state.cgroups, NULL);
	if (r >= 0 && (volumes || rec->config.o.rm))
		container_volumes_drop(rec);
	return container_dir_unmake(rec->store, id, name, e);
}

/* With the monitor dead nobody ends what still runs but us. */
static int remove_broken_rec(struct container_rec *rec, bool volumes, struct err *e)
{
	autofd int own = -1;
	autofree char *id = xstrdup(rec->config.id);
	int r = end_broken(rec, &own, e);
	if (r < 0)
		return r;
	r = container_leftover_end(rec, e);
	if (r < 0)
		return r;
	/* Whichever of the two documents is whole. */
	if (rec->state.cgroups.count && cgroup_kill(&rec->state.cgroups, NULL) == 0)
		(void)!cgroup_remove(&rec->state.cgroups, NULL);
	if (rec->config.name && (volumes || rec->config.o.rm))
		container_volumes_drop(rec);
	return container_dir_unmake(rec->store, id, NULL, e);
}

/* A record that cannot be read: by id, exactly or by prefix of the directory's name, or by the name that leads to it.
 * -ENOENT if there is no such one. */
static int remove_broken(const struct store *s, const char *name, bool volumes, struct err *e)
{
	struct container_list l;
	int r = container_store_list(s, &l, e);
	if (r < 0)
		return r;
	char id[RECORD_ID_SIZE] = "";
	if (path_is_plain_name(name) && container_store_id_of(s, name, id) < 0)
		id[0] = '\0';
	r = -ENOENT;
	for (size_t i = 0; i < l.count && r == -ENOENT; i++)
		if (l.items[i].broken &&
		    (str_eq(l.items[i].config.id, id) || (str_after(l.items[i].config.id, name) && strlen(name) >= 4)))
			r = remove_broken_rec(&l.items[i], volumes, e);
	container_list_free(&l);
	return r;
}

int container_remove(const char *root, const char *name, bool force, bool volumes, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	struct err why = ERR_INIT;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, &why);
	if (r == 0 && rec.config.o.holder) {
		err_set(&why, EINVAL, "%s is a pod", rec.config.name);
		r = err_hint(&why, "'rl pod rm %s' removes it", rec.config.name);
	}
	if (r == 0)
		r = container_remove_rec(&rec, force, volumes, &why);
	else if (force && r != -EEXIST) {
		struct err broken = ERR_INIT;
		int removed = remove_broken(&s, name, volumes, &broken);
		if (removed != -ENOENT) {
			r = removed;
			why = broken;
		}
	}
	store_close(&s);
	if (r < 0 && e)
		*e = why;
	return r;
}

void container_tidy(const char *root)
{
	struct store s;
	if (store_open(root, true, &s, NULL) < 0)
		return;
	container_sweep(&s);
	store_close(&s);
}

int container_prune(const char *root, const struct strv *filters, struct strv *ret_removed, struct err *e)
{
	const struct container_selection sel = {.all = true, .filters = filters};
	autostrv struct strv ids = STRV_INIT;
	struct store s;
	int r = container_select(root, &sel, &ids, e);
	if (r == 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ids.count; i++) {
		autorec struct container_rec rec = CONTAINER_REC_INIT;
		struct err why = ERR_INIT;
		if (container_store_find(&s, ids.items[i], &rec, &why) < 0 || container_rec_is_alive(&rec))
			continue;
		int one = container_remove_rec(&rec, false, false, &why);
		if (one == 0)
			strv_add(ret_removed, ids.items[i]);
		else if (one != -ENOENT && one != -EBUSY) {
			r = one;
			if (e)
				*e = why;
		}
	}
	container_sweep(&s);
	store_close(&s);
	return r;
}

static bool is_reached(const struct container_rec *rec, enum container_condition until)
{
	const char *health = rec->state.health.status;
	switch (until) {
	case WAIT_RUNNING:
		return rec->status == RECORD_RUNNING;
	case WAIT_HEALTHY:
		return health && str_eq(health, "healthy");
	case WAIT_UNHEALTHY:
		return health && str_eq(health, "unhealthy");
	case WAIT_STOPPED:
		return !container_rec_is_alive(rec);
	case WAIT_REMOVED:
		return false;
	}
	return false;
}

static int wait_rec(struct container_rec *rec, enum container_condition until, int *ret_status, struct err *e)
{
	for (;;) {
		struct container_watch w;
		struct err why = ERR_INIT;
		int r = container_watch_open(rec, &w, &why);
		if (r == 0)
			r = container_rec_reload(rec, &why);
		/* Removed while we waited: its last words were read before. */
		if (r == -ENOENT)
			return until == WAIT_STOPPED || until == WAIT_REMOVED ? 0 : err_set(e, ENOENT, "%s", why.text);
		if (r < 0) {
			*e = why;
			return r;
		}
		*ret_status = rec->state.exit_code;
		if (is_reached(rec, until)) {
			container_watch_close(&w);
			return 0;
		}
		r = container_watch_wait(&w, -1, e);
		container_watch_close(&w);
		if (r < 0)
			return r;
	}
}

int container_wait(const char *root, const char *name, enum container_condition until, int *ret_status, struct err *e)
{
	struct target t;
	int r = open_target(root, name, &t, e);
	if (r < 0)
		return r;
	/* What is removed at its end leaves no record to read: the monitor itself has to tell. */
	int conn = -1;
	if (until == WAIT_STOPPED && t.rec.config.o.rm && container_rec_is_alive(&t.rec) && !t.rec.state.foreground)
		conn = container_attach_connect(&t.rec, ATTACH_WAITS, NULL);
	if (conn >= 0) {
		bool detached = false;
		r = container_attach_serve(conn, &(struct attach_opts){.detach_keys = ""}, &detached, NULL);
		close(conn);
		*ret_status = r < 0 ? RECORD_EXIT_UNKNOWN : r;
		r = detached ? err_set(e, EINTR, "interrupted") : 0;
	} else {
		r = wait_rec(&t.rec, until, ret_status, e);
	}
	close_target(&t);
	return r;
}

int container_rename(const char *root, const char *name, const char *new_name, struct err *e)
{
	struct target t;
	if (!path_is_plain_name(new_name))
		return err_set(e, EINVAL,
			       "'%s' is no container name: letters, digits, '_', '.' and '-', beginning with a "
			       "letter or digit",
			       new_name);
	int r = open_target(root, name, &t, e);
	if (r < 0)
		return r;
	autofd int op = container_rec_lock(&t.rec, e);
	if (op < 0) {
		close_target(&t);
		return op;
	}
	autofree char *old = t.rec.config.name;
	t.rec.config.name = xstrdup(new_name);
	/* New name, record, old name: at every moment at least one name leads here, and the record says which is true. */
	bool changes = !str_eq(old, new_name);
	if (changes)
		r = container_name_claim(&t.s, new_name, t.rec.config.id, e);
	bool claimed = changes && r == 0;
	if (r == 0)
		r = container_rec_write_config(&t.rec, e);
	if (claimed)
		container_name_release(&t.s, r == 0 ? old : new_name, t.rec.config.id);
	if (claimed && r == 0)
		events_container(&t.rec, "rename", "oldName", old, NULL);
	close_target(&t);
	return r;
}
