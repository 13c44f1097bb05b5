/* enter.c - a command of the host in namespaces of a container; see join.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "apply.h"
#include "join_clone.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/join.h"
#include "rl/kern/caps.h"

struct entering {
	const struct runtime_enter *n;
	int sync, other_end;
};

static int before_entry(void *arg, struct err *e)
{
	struct entering *g = arg;
	close_fd(&g->other_end);
	/* Until the exec it is a copy of the caller. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, errno, "hide from the container");
	return role_child_close_on_exec_from(3, e);
}

static int execute(const struct runtime_enter *n, struct err *e)
{
	/* root of the container without change of ids: the caller is mapped there, or has the capabilities alone. */
	uint64_t all = caps_all_kernel();
	const struct caps_sets sets = {all, all, all, all, all};
	int r = n->namespaces & (1U << RT_NS_USER) ? caps_after_setid(&sets, e) : 0;
	if (r < 0)
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(e, errno, "set the parent death signal");
	role_child_reset_signals();
	execvp(n->argv[0], n->argv);
	int errnum = errno;
	err_sys(e, errnum, "execute %s", n->argv[0]);
	err_status(e, errnum == ENOENT || errnum == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_INVOKE);
	return -errnum;
}

static void entered(void *arg)
{
	const struct entering *g = arg;
	struct err e = ERR_INIT;
	log_set_role("entered");
	(void)!execute(g->n, &e);
	sync_send_err(g->sync, &e);
	_exit(err_exit_status(&e));
}

int runtime_enter(const struct runtime_enter *n, struct runtime_container *ret_c, struct err *e)
{
	struct runtime_container c = RUNTIME_CONTAINER_NONE;
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	struct entering g = {.n = n, .sync = pair[1], .other_end = pair[0]};
	const struct join_clone j = {
		.entries = {{.fd = n->pidfd, .namespaces = n->namespaces}},
		.nentries = 1,
		.sync = pair[1],
		.before = before_entry,
		.child = entered,
		.arg = &g,
	};
	r = join_clone(&j, &c.pid, &c.pidfd, e);
	close(pair[1]);
	c.sync = pair[0];
	if (r == -ECHILD)
		r = join_explain(c.sync, e);
	if (r == 0)
		r = runtime_wait_exec(&c, e);
	if (r < 0) {
		runtime_container_close(&c);
		return r;
	}
	*ret_c = c;
	return 0;
}
