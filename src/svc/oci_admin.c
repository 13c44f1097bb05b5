/*
 * oci_admin.c - kill, delete, pause, the processes, and what is left to do when a container has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/procs.h"
#include "rl/kern/cgroup.h"
#include "rl/kern/cgroup_tree.h"

enum { KILL_WAIT_MS = 10000 };

static int signal_number(const char *text, struct err *e)
{
	uint64_t number;
	if (*text >= '0' && *text <= '9' && str_to_u64(text, (uint64_t)SIGRTMAX, "signal", &number, NULL) == 0)
		return (int)number;
	const char *name = str_after(text, "SIG");
	name = name ? name : text;
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);
		if (known && strcasecmp(known, name) == 0)
			return i;
	}
	const char *offset = str_after(name, "RTMIN+");
	if (offset && str_to_u64(offset, (uint64_t)(SIGRTMAX - SIGRTMIN), "signal", &number, NULL) == 0)
		return SIGRTMIN + (int)number;
	return err_set(e, EINVAL, "unknown signal \"%s\"", text);
}

/* ---- processes ---- */

/* Those of the cgroup; without one, those /proc shows to be the container's. */
static int list_pids(const struct oci_container *c, struct strv *out, struct err *e)
{
	if (c->rec.cgroups.count)
		return cgroup_tree_pids(&c->rec.cgroups, out, e);
	struct procs_list list = {.items = NULL};
	if (c->status == OCI_STOPPED)
		return 0;
	int r = procs_of(c->rec.pid, &list, e);
	for (size_t i = 0; r == 0 && i < list.count; i++)
		strv_addf(out, "%d", (int)list.items[i].pid);
	procs_free(&list);
	return r;
}

int oci_pids(const struct oci_runtime *rt, const char *id, json_t **ret_pids, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	autostrv struct strv pids = STRV_INIT;
	int r = oci_container_open(rt, id, false, &c, e);
	if (r == 0)
		r = list_pids(&c, &pids, e);
	if (r < 0)
		return r;
	json_t *doc = json_array();
	for (size_t i = 0; i < pids.count; i++)
		json_array_append_new(doc, json_integer(strtoll(pids.items[i], NULL, 10)));
	*ret_pids = doc;
	return 0;
}

/* ---- kill ---- */

static int set_frozen(const struct oci_container *c, bool frozen, struct err *e)
{
	int r = c->rec.cgroups.count ? cgroup_freeze(&c->rec.cgroups, frozen, e) : 0;
	if (r != 0)
		return RL_MIN(r, 0);
	/* No freezer: every process is stopped, and the mark says that this was wanted. */
	r = frozen ? runtime_stop_all(c->rec.pid, e) : runtime_continue_all(c->rec.pid, e);
	if (r == 0 && frozen)
		r = io_write_file(c->dirfd, OCI_PAUSED_FILE, "", 0, 0600, e);
	else if (r == 0 && unlinkat(c->dirfd, OCI_PAUSED_FILE, 0) < 0 && errno != ENOENT)
		r = err_sys(e, errno, "remove %s", OCI_PAUSED_FILE);
	return r;
}

static int kill_all(const struct oci_container *c, int sig, struct err *e)
{
	autostrv struct strv pids = STRV_INIT;
	if (sig == SIGKILL && c->rec.cgroups.count)
		return cgroup_kill(&c->rec.cgroups, e);
	int r = list_pids(c, &pids, e);
	for (size_t i = 0; i < pids.count && r == 0; i++)
		if (kill((pid_t)strtol(pids.items[i], NULL, 10), sig) < 0 && errno != ESRCH)
			r = err_sys(e, errno, "signal process %s", pids.items[i]);
	return r;
}

int oci_kill(const struct oci_runtime *rt, const char *id, const char *signal, bool all, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	int sig = signal_number(signal, e);
	if (sig < 0)
		return sig;
	int r = oci_container_open(rt, id, false, &c, e);
	if (r < 0)
		return r;
	if (all)
		return kill_all(&c, sig, e);
	if (c.status == OCI_STOPPED || c.status == OCI_CREATING)
		return err_set(e, ESRCH, "container not running");
	autofd int pidfd = oci_container_pidfd(&c, e);
	if (pidfd < 0)
		return pidfd;
	struct err why = ERR_INIT;
	r = proc_pidfd_signal(pidfd, sig, &why);
	if (r == -ESRCH)
		return err_set(e, ESRCH, "container not running");
	if (r < 0)
		*e = why;
	/* What is frozen by v1 or stopped does not die before it goes on. */
	if (r == 0 && sig == SIGKILL && c.status == OCI_PAUSED)
		(void)!set_frozen(&c, false, NULL);
	return r;
}

int oci_pause(const struct oci_runtime *rt, const char *id, bool paused, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	int r = oci_container_open(rt, id, true, &c, e);
	if (r < 0)
		return r;
	if (paused && c.status != OCI_RUNNING && c.status != OCI_CREATED)
		return err_set(e, EINVAL, "container not running: %s", oci_status_name(c.status));
	if (!paused && c.status != OCI_PAUSED)
		return err_set(e, EINVAL, "container not paused");
	return set_frozen(&c, paused, e);
}

/* ---- delete ---- */

static int stop_first(const struct oci_container *c, struct err *e)
{
	autofd int pidfd = oci_container_pidfd(c, NULL);
	if (pidfd < 0)
		return 0;
	int r = proc_pidfd_signal(pidfd, SIGKILL, e);
	/* Whatever the status was: a freezer of version 1 that waits for one process is neither frozen nor thawed. */
	if (r == 0)
		(void)!set_frozen(c, false, NULL);
	/* Readable when it has ended, a zombie or not: reaping is its parent's. */
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	if (r == 0 && poll(&p, 1, KILL_WAIT_MS) != 1)
		return err_set(e, ETIMEDOUT, "container %s does not end", c->rec.id);
	return r == -ESRCH ? 0 : r;
}

int oci_destroy(struct oci_container *c, struct err *e)
{
	autoconfig struct oci_config config = OCI_CONFIG_INIT;
	int r = 0;
	/* Read before it goes. A create that failed early has none. */
	bool has_config = c->rec.id && oci_container_config(c, &config, NULL) == 0;
	if (c->rec.mount_ns && *c->rec.mount_ns)
		r = procs_kill_rest(c->rec.mount_ns, e);
	if (r == 0 && c->rec.cgroups.count)
		r = cgroup_kill(&c->rec.cgroups, e);
	if (r == 0)
		r = cgroup_tree_remove(&c->rec.cgroups, e);
	if (r == 0)
		r = oci_container_remove(c, e);
	if (r == 0 && has_config)
		oci_hooks_run_all(&config, OCI_HOOK_POSTSTOP, &c->rec, OCI_STOPPED);
	return r;
}

/* What a create that died before its first record has left. */
static int remove_remains(const struct oci_runtime *rt, const char *id, struct err *e)
{
	autofree char *root = NULL;
	autofd int rootfd = oci_open_root(rt, false, &root, NULL);
	if (rootfd < 0)
		return 0;
	autofree char *path = path_join(root, id);
	autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return 0;
	int r = io_lock(dir, true, e);
	if (r < 0 || faccessat(dir, OCI_STATE_FILE, F_OK, 0) == 0 || !oci_is_in_place(dir, path))
		return r;
	return io_remove_tree(AT_FDCWD, path, e);
}

int oci_delete(const struct oci_runtime *rt, const char *id, bool force, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	struct err why = ERR_INIT;
	int r = oci_container_open(rt, id, true, &c, &why);
	if (r == -ENOENT && force)
		return remove_remains(rt, id, e);
	if (r < 0) {
		*e = why;
		return r;
	}
	if (!force && (c.status == OCI_RUNNING || c.status == OCI_PAUSED))
		return err_set(e, EBUSY, "cannot delete container %s that is not stopped: %s", id,
			       oci_status_name(c.status));
	r = stop_first(&c, e);
	c.status = OCI_STOPPED;
	return r < 0 ? r : oci_destroy(&c, e);
}
