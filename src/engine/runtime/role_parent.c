/*
 * role_parent.c - rl's side of a start: clone, id maps, handshake.
 *
 * namespaces: the caller's. ids: the caller's. The child is a direct child of this process; it is named by pid and pidfd
 * from the same clone3 call, so there is no moment at which the pid could be somebody else's.
 */
#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apply.h"
#include "join_clone.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/notifyd.h"
#include "steps.h"

static const char first_process[] = "the container's first process";

static uint64_t clone_flags(const struct rtspec *s)
{
	uint64_t sum = 0;
	for (int i = 0; i < RT_NS_COUNT; i++)
		if (s->ns[i].mode == RT_NS_NEW)
			sum |= (unsigned)join_ns_flag((enum rt_ns_kind)i);
	return sum;
}

/* What the child makes itself. A network namespace alone takes the kernel half a millisecond: meanwhile the caller writes
 * the maps and the container's files. The pid namespace counts from a clone on only, and the user namespace comes first. */
static uint64_t later_flags(uint64_t flags)
{
	return flags & (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP);
}

/* clone3 gives pid and pidfd at once; outer seccomp filters that cannot look into its struct answer ENOSYS, and then
 * the old call with the same flags does. Both are fork-like: the child returns here with 0. */
static pid_t clone_child(uint64_t flags, const int *cgroup_fd, int *ret_pidfd, bool *ret_placed)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
	};
	*ret_placed = cgroup_fd != NULL;
	if (cgroup_fd) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)*cgroup_fd;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0 && cgroup_fd && errno != ENOSYS) {
		/* Refused for the cgroup's sake, or for that of the namespaces: trying without tells. */
		log_debug(LOG_RUN, "clone into the cgroup: %s", strerrordesc_np(errno));
		args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		args.cgroup = 0;
		*ret_placed = false;
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	}
	if (pid >= 0 || errno != ENOSYS)
		return pid;
	*ret_placed = false;
	return (pid_t)syscall(SYS_clone, (unsigned long)flags | CLONE_PIDFD | SIGCHLD, NULL, ret_pidfd, NULL, 0UL);
}

static int explain_clone(int errnum, struct err *e)
{
	(void)!idmap_explain_clone(errnum, e);
	return -errnum;
}

/* What the payload needs and the child's mounts do not. */
static int record(const struct runtime_start *s, struct runtime_container *c, struct err *e)
{
	struct err why = ERR_INIT;
	int r = s->record ? s->record(s->prepare_arg, e) : 0;
	if (r == 0 && s->keep && runtime_keep(c, &why) < 0)
		log_warn("the container will outlive rl if rl is killed: %s", why.text);
	return r;
}

/* Maps, with the caller's preparations in the time the two helper programs take. Where there are none, `record` is left
 * for the time in which the child mounts. */
static int map_ids(const struct runtime_start *s, struct runtime_container *c, bool *ret_recorded, struct err *e)
{
	struct idmap_job job = {.newuidmap = PROC_CHILD_NONE, .newgidmap = PROC_CHILD_NONE};
	bool new_ns = s->plan->spec->ns[RT_NS_USER].mode == RT_NS_NEW;
	const struct idmap *map = new_ns ? s->plan->map : NULL;
	int r = map ? idmap_start(map, c->pid, &job, e) : 0;
	if (r < 0)
		return r;
	*ret_recorded = job.newuidmap.pid > 0;
	if (s->prepare)
		r = s->prepare(s->prepare_arg, e);
	if (r == 0 && *ret_recorded)
		r = record(s, c, e);
	if (r < 0) {
		idmap_cancel(&job);
		return r;
	}
	return map ? idmap_finish(&job, e) : 0;
}

/* From the clone to where the child needs nothing of us any more. */
static int let_child_go(const struct runtime_start *s, struct runtime_container *c, bool place, struct err *e)
{
	bool recorded = false;
	int r = place ? s->place(s->place_arg, c->pid, e) : 0;
	if (r == 0)
		r = map_ids(s, c, &recorded, e);
	if (r == 0)
		r = sync_send(c->sync, STEP_MAPPED, &place, sizeof(place), NULL, 0, e);
	if (r == 0 && !recorded)
		r = record(s, c, e);
	return r < 0 ? r : sync_send(c->sync, STEP_RECORDED, NULL, 0, NULL, 0, e);
}

/* The child failed or died while we prepared: its own error says more than ours does. */
static int prefer_child_error(struct runtime_container *c, struct err *e)
{
	struct pollfd p = {.fd = c->sync, .events = POLLIN};
	struct err theirs = ERR_INIT;
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	while (poll(&p, 1, 0) == 1) {
		int r = sync_next(c->sync, first_process, m, &theirs);
		if (r == 0)
			break;
		if (r < 0) {
			if (e)
				*e = theirs;
			return r;
		}
		sync_close_fds(m);
	}
	return e ? -e->code : -EIO;
}

struct joined_start {
	const struct runtime_start *s;
	int sync, other_end, notifyd;
};

static int before_entry(void *arg, struct err *e)
{
	struct joined_start *g = arg;
	close_fd(&g->other_end);
	return join_prepare(g->s->plan->spec, e);
}

static void joined_child(void *arg)
{
	const struct joined_start *g = arg;
	role_child_main(g->s, 0, g->sync, g->notifyd);
}

/* Namespaces to join, those of one descriptor at once; the one that brings the user namespace first. */
static int clone_joined(const struct runtime_start *s, int pair[2], int notifyd, struct runtime_container *c,
			struct err *e)
{
	const struct rtspec *spec = s->plan->spec;
	struct joined_start g = {.s = s, .sync = pair[1], .other_end = pair[0], .notifyd = notifyd};
	struct join_clone j = {
		.clone_flags = clone_flags(spec),
		.sync = pair[1],
		.before = before_entry,
		.child = joined_child,
		.arg = &g,
	};
	for (int i = 0; i < RT_NS_COUNT; i++) {
		size_t k = 0;
		if (spec->ns[i].mode != RT_NS_JOIN)
			continue;
		while (k < j.nentries && j.entries[k].fd != spec->ns[i].fd)
			k++;
		j.entries[k].fd = spec->ns[i].fd;
		j.entries[k].namespaces |= 1U << i;
		j.nentries = RL_MAX(j.nentries, k + 1);
	}
	return join_clone(&j, &c->pid, &c->pidfd, e);
}

int runtime_start(const struct runtime_start *s, struct runtime_container *ret_c, struct err *e)
{
	const struct rtspec *spec = s->plan->spec;
	struct runtime_container c = RUNTIME_CONTAINER_NONE;
	struct notifyd_config config;
	int pair[2] = {-1, -1};
	autofd int notifyd = -1;
	int user_ns = spec->ns[RT_NS_USER].mode == RT_NS_JOIN ? spec->ns[RT_NS_USER].fd : -1;
	bool answered = notifyd_config_from_spec(spec, &config);
	int r = answered ? notifyd_start(&config, user_ns, &notifyd, &c.notifyd, e) : 0;
	if (r == 0)
		r = sync_pair(pair, e);
	if (r < 0) {
		runtime_container_close(&c);
		return r;
	}
	uint64_t flags = clone_flags(spec);
	uint64_t later = later_flags(flags);
	log_debug(LOG_RUN, "clone with flags 0x%llx", (unsigned long long)flags);
	bool placed = false;
	unsigned tries = 0;
	bool joins = plan_needs_joiner(spec);
	if (joins)
		r = clone_joined(s, pair, notifyd, &c, e);
	else
		do
			c.pid = clone_child(flags & ~later, s->cgroup_fd, &c.pidfd, &placed);
		while (c.pid < 0 && (flags & CLONE_NEWUSER) && idmap_try_again(errno, &tries));
	if (c.pid == 0) {
		close(pair[0]);
		role_child_main(s, later, pair[1], notifyd);
	}
	int clone_errno = errno;
	close(pair[1]);
	close_fd(&notifyd);
	c.sync = pair[0];
	if (joins && r < 0) {
		if (r == -ECHILD)
			r = join_explain(c.sync, e);
		runtime_container_close(&c);
		return r;
	}
	if (c.pid < 0) {
		runtime_container_close(&c);
		return explain_clone(clone_errno, e);
	}
	if (s->pid)
		*s->pid = c.pid;
	r = let_child_go(s, &c, s->place && !placed, e);
	if (r < 0) {
		r = prefer_child_error(&c, e);
		runtime_container_close(&c);
		return r;
	}
	log_debug(LOG_RUN, "ids are mapped, the child goes on");
	*ret_c = c;
	return 0;
}

static int take_device(struct runtime_container *c, struct sync_msg *m, struct err *e)
{
	if (m->nfds != 1 || (m->step == STEP_NET_DEVICE && m->len != sizeof(int))) {
		sync_close_fds(m);
		return err_set(e, EPROTO, "malformed step %u", m->step);
	}
	if (m->step == STEP_PTY) {
		c->pty = m->fds[0];
		return 1;
	}
	if (m->step == STEP_LAYER) {
		c->layer = m->fds[0];
		return 1;
	}
	memcpy(&c->net_kind, m->data, sizeof(int));
	c->net_device = m->fds[0];
	return 1;
}

int runtime_on_message(struct runtime_container *c, struct err *e)
{
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	int r = sync_next(c->sync, first_process, m, e);
	if (r == 0) {
		/* The payload was executed, or the child was killed: the wait status tells which. */
		close_fd(&c->sync);
		log_debug(LOG_RUN, "the payload runs");
	}
	if (r <= 0)
		return r;
	if (m->step == STEP_NET_DEVICE || m->step == STEP_PTY || m->step == STEP_LAYER)
		return take_device(c, m, e);
	sync_close_fds(m);
	if (m->step == STEP_NOTE) {
		log_warn("%.*s", (int)RL_MIN(m->len, (size_t)ERR_TEXT_SIZE), (const char *)m->data);
		return 1;
	}
	if (m->step == STEP_MOUNT_NS && m->len < sizeof(c->mount_ns)) {
		memcpy(c->mount_ns, m->data, m->len);
		c->mount_ns[m->len] = '\0';
		return 1;
	}
	return err_set(e, EPROTO, "%s sent step %u", first_process, m->step);
}

int runtime_wait_exec(struct runtime_container *c, struct err *e)
{
	int r;
	do
		r = runtime_on_message(c, e);
	while (r == 1);
	return r;
}

int runtime_reap(struct runtime_container *c, struct err *e)
{
	struct proc_child child = {.pid = c->pid, .pidfd = c->pidfd};
	int status = proc_wait(&child, "the container", e);
	c->pid = child.pid;
	c->pidfd = child.pidfd;
	return status;
}

void runtime_container_kill(struct runtime_container *c)
{
	struct proc_child child = {.pid = c->pid, .pidfd = c->pidfd};
	proc_kill_wait(&child);
	c->pid = -1;
	c->pidfd = -1;
	if (c->keeper.pid > 0)
		(void)!kill(c->keeper.pid, SIGKILL);
}

void runtime_container_close(struct runtime_container *c)
{
	runtime_container_kill(c);
	close_fd(&c->sync);
	close_fd(&c->pty);
	close_fd(&c->net_device);
	close_fd(&c->layer);
	proc_kill_wait(&c->keeper);
	notifyd_reap(&c->notifyd);
	close_fd(&c->keeper_pipe);
}
