/*
 * apply.c - runs a plan's operations in order; decides nothing.
 */
#include "apply.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/join.h"
#include "rl/engine/notifyd.h"
#include "rl/kern/keyring.h"
#include "rl/kern/landlock.h"
#include "rl/kern/mnt.h"
#include "rl/kern/seccomp.h"
#include "steps.h"

static int join_ns(struct apply *a, enum rt_ns_kind kind, struct err *e)
{
	if (setns(a->plan->spec->ns[kind].fd, 0) < 0)
		return err_sys(e, errno, "join %s namespace", rt_ns_name(kind));
	return 0;
}

static int setup_network(struct apply *a, struct err *e)
{
	if (!a->start->net_setup)
		return 0;
	autofd int fd = -1;
	int kind = 0;
	int r = a->start->net_setup(a->start->net_arg, &fd, &kind, e);
	if (r < 0)
		return err_ctx(e, "network");
	if (fd < 0)
		return 0;
	return sync_send(a->sync, STEP_NET_DEVICE, &kind, sizeof(kind), &fd, 1, e);
}

/* In a namespace of our own only a filter of an outer container says EPERM (podman's does). A container works without. */
static int set_name(struct apply *a, int result, const char *what, const char *name, struct err *e)
{
	if (result == 0)
		return 0;
	if (errno != EPERM)
		return err_sys(e, errno, "set the %s %s", what, name);
	autofree char *text = xasprintf(
		"a filter of an outer container refuses to set the %s: it stays that of outside", what);
	return apply_say(a, text, e);
}

static int receive_only(struct err *e)
{
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "open /");
	return mnt_propagation(root, true, MS_SLAVE, e);
}

static int root_read_only(struct err *e)
{
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "open /");
	return mnt_setattr(root, false, MNT_RDONLY, 0, e);
}

static int no_new_privs(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "set no_new_privs");
	return 0;
}

static int death_signal(struct apply *a, struct err *e)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(e, errno, "set the parent death signal");
	/* It counts from now on; rl may have died before. */
	struct pollfd p = {.fd = a->sync, .events = 0};
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
		return err_set(e, EPIPE, "rl has died");
	return 0;
}

/* A user has 200 keys; where they are used up, a container that may call keyctl is refused rather than given the
 * caller's keys, and one that may not is started. */
static int new_keyring(struct apply *a, struct err *e)
{
	int r = keyring_new_session(e);
	if (r == -EDQUOT && a->plan->filter)
		return 0;
	return r < 0 ? r : 0;
}

static int scope_abstract(struct err *e)
{
	int r = landlock_restrict(LANDLOCK_WANT_SCOPE_SOCKETS, e);
	if (r == 0)
		log_warn("this kernel cannot close the host's abstract sockets to a container with the host's network");
	return r < 0 ? r : 0;
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What waits may wait for days: a pipe of the caller's caller, a directory or a lock of the host must not be held by it. */
static void close_all_but_meeting(struct apply *a)
{
	int keep[ARRAY_SIZE(a->start->meet_fds) + 2] = {2 + (int)a->plan->spec->preserve_fds, a->sync};
	size_t n = 2;
	for (size_t i = 0; i < ARRAY_SIZE(a->start->meet_fds); i++)
		if (a->start->meet_fds[i] > keep[0])
			keep[n++] = a->start->meet_fds[i];
	qsort(keep, n, sizeof(keep[0]), compare_ints);
	for (size_t i = 0; i < n; i++) {
		unsigned first = (unsigned)keep[i] + 1;
		unsigned last = i + 1 < n ? (unsigned)keep[i + 1] - 1 : ~0U;
		if (first <= last)
			(void)!syscall(SYS_close_range, first, last, 0);
	}
	a->rootfd = -1;
	log_set_file(-1, false);
}

static int meet(struct apply *a, enum runtime_point point, struct err *e)
{
	/* What waits here for long is root of the container with all capabilities, and others may be in its namespaces. */
	if (point == RUNTIME_BEFORE_EXEC && prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, errno, "hide from the container");
	if (point == RUNTIME_BEFORE_EXEC)
		close_all_but_meeting(a);
	return a->start->meet(a->start->meet_arg, point, e);
}

static int load_filter(struct apply *a, struct err *e)
{
	autofd int listener = -1;
	int r = seccomp_filter_load(a->plan->filter, a->plan->spec->seccomp_flags, e);
	if (r <= 0)
		return r;
	listener = r;
	if (a->start && a->start->meet_listener)
		return a->start->meet_listener(a->start->meet_arg, listener, e);
	if (a->join && a->join->take_listener)
		return a->join->take_listener(a->join->listener_arg, listener, e);
	return err_set(e, EINVAL, "nobody listens to the seccomp filter");
}

/* Behind the fast path: whatever the payload does, it cannot connect or bind a TCP socket itself. */
static int deny_tcp(struct err *e)
{
	int r = landlock_restrict(LANDLOCK_WANT_DENY_TCP, e);
	return r == 0 ? err_set(e, ENOTSUP, "the fast path needs Landlock's rules for TCP (Linux 6.7)") : r;
}

static int run_op(struct apply *a, const struct op *op, struct err *e)
{
	switch (op->kind) {
	case OP_JOIN_NS:
		return join_ns(a, op->ns, e);
	case OP_NETWORK:
		return setup_network(a, e);
	case OP_TIME:
		return apply_time(&a->plan->spec->time, e);
	case OP_LATE_ATTRS:
		return apply_attrs(a, op->mount, op->mount->late_set, e);
	case OP_STANDARD_DEV:
		return apply_standard_dev(a, e);
	case OP_MEET_PIVOT:
		return meet(a, RUNTIME_BEFORE_PIVOT, e);
	case OP_MEET_EXEC:
		return meet(a, RUNTIME_BEFORE_EXEC, e);
	case OP_ROOT_PROPAGATION:
		return apply_root_propagation(a, e);
	case OP_SCHEDULER:
		return apply_scheduler(&a->plan->spec->scheduler, e);
	case OP_IOPRIO:
		return apply_ioprio(a->plan->spec->ioprio, e);
	case OP_EXEC_LABEL:
		return apply_exec_label(a, e);
	case OP_HOSTNAME:
		return set_name(a, sethostname(op->text, strlen(op->text)), "host name", op->text, e);
	case OP_DOMAINNAME:
		return set_name(a, setdomainname(op->text, strlen(op->text)), "domain name", op->text, e);
	case OP_PROPAGATION:
		return receive_only(e);
	case OP_OPEN_HOST:
		return apply_open_host(a, e);
	case OP_ROOT_OVERLAY:
		return apply_root_overlay(a, e);
	case OP_ROOT_BIND:
		return apply_root_bind(a, op->text, e);
	case OP_ROOT_MEMORY:
		return apply_root_memory(a, e);
	case OP_MOUNT:
		return apply_mount(a, op->mount, e);
	case OP_SECRETS:
		return apply_secrets(a, e);
	case OP_DEVICE:
		return apply_device(a, op->device, e);
	case OP_SYSCTL:
		return apply_sysctl(a, op->text, e);
	case OP_MASK:
		return apply_mask(a, op->text, e);
	case OP_READ_ONLY:
		return apply_read_only(a, op->text, e);
	case OP_PIVOT:
		return apply_pivot(a, e);
	case OP_ROOT_READ_ONLY:
		return root_read_only(e);
	case OP_OOM_SCORE:
		return apply_oom_score(a, e);
	case OP_TERMINAL:
		return apply_terminal(a, e);
	case OP_SESSION:
		return apply_session(a, e);
	case OP_USER:
		return apply_user(a, e);
	case OP_ACCOUNTS:
		return apply_accounts(a, e);
	case OP_PERSONALITY:
		return personality((unsigned long)a->plan->spec->personality) < 0 ? err_sys(e, errno, "personality")
										  : 0;
	case OP_CHOWN:
		return apply_chown(a, op->mount, e);
	case OP_CWD:
		return apply_cwd(a, e);
	case OP_RLIMIT:
		return apply_rlimit(op->rlimit, e);
	case OP_KEYRING:
		return new_keyring(a, e);
	case OP_ABSTRACT_SCOPE:
		return scope_abstract(e);
	case OP_INIT:
		return role_init_fork(a, e);
	case OP_UMASK:
		umask((mode_t)a->plan->spec->umask);
		return 0;
	case OP_DENY_TCP:
		return deny_tcp(e);
	case OP_NOTIFY:
		return notifyd_hand_over(&a->notifyd, &a->ids, a->plan->spec->connect.on, e);
	case OP_SECCOMP:
		return load_filter(a, e);
	case OP_IDENTITY:
		return apply_identity(a, e);
	case OP_NO_NEW_PRIVS:
		return no_new_privs(e);
	case OP_DEATH_SIGNAL:
		return death_signal(a, e);
	case OP_HOLD:
		return role_hold(e);
	case OP_EXEC:
		return apply_exec(a, e);
	}
	return err_set(e, EINVAL, "unknown operation %d", (int)op->kind);
}

int apply_stages(struct apply *a, enum op_stage first, enum op_stage last, struct err *e)
{
	for (size_t i = 0; i < a->plan->nops; i++) {
		const struct op *op = &a->plan->ops[i];
		if (op->stage < first || op->stage > last)
			continue;
		if (log_on(LOG_RUN)) {
			autostr struct str text = STR_INIT;
			op_print(a->plan, op, &text);
			log_debug(LOG_RUN, "%s", text.buf);
		}
		int r = run_op(a, op, e);
		if (r < 0)
			return r;
	}
	return 0;
}
