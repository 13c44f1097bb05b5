/*
 * cgroup_make.c - making the cgroups of one container, on the first rung that holds.
 *
 * scope, then a v2 directory, then v1 (cgroup.h). A rung that fails says why in one clause, and all clauses together are
 * what the person reads when none holds. A rung that can give only some of the controllers is taken: what is missing is
 * found out by cgroup_set_limits.
 *
 * cgroup v2 allows no processes beside child cgroups with controllers. Our own directory normally has processes: the
 * shell, and rl. Others' processes are left where they are, with one exception: when our directory is the root of a
 * cgroup namespace (a container's own /sys/fs/cgroup, writable) its processes are moved into a leaf `rl-init`, as
 * every container manager inside a container must.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

static const char supervisor_name[] = "supervisor";

enum { ID_CHARS = 12, EVACUATE_ROUNDS = 20 };

static void say(struct str *why, const char *fmt, const char *a, const char *b)
{
	if (why->len)
		str_adds(why, "; ");
	autofree char *text = xasprintf(fmt, a, b);
	str_adds(why, text);
}

unsigned cgroup_enable(const char *dir, unsigned wanted, int *ret_errno)
{
	autostr struct str available = STR_INIT;
	autostr struct str enabled = STR_INIT;
	unsigned done = 0;
	*ret_errno = 0;
	int r = cgroup_read(dir, "cgroup.controllers", &available);
	if (r == 0)
		r = cgroup_read(dir, "cgroup.subtree_control", &enabled);
	if (r < 0) {
		*ret_errno = -r;
		return 0;
	}
	for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++) {
		if (!(wanted & 1u << i) || !cgroup_has_word(available.buf, cgroup_v2_names[i]))
			continue;
		autofree char *plus = xasprintf("+%s", cgroup_v2_names[i]);
		r = cgroup_has_word(enabled.buf, cgroup_v2_names[i])
			    ? 0
			    : cgroup_write(dir, "cgroup.subtree_control", plus);
		if (r == 0)
			done |= 1u << i;
		else if (!*ret_errno)
			*ret_errno = -r;
	}
	return done;
}

/* Everything in `dir` into a leaf of it, so that controllers may be given to its children. */
static void evacuate(const char *dir)
{
	autofree char *leaf = xasprintf("%s/rl-init", dir);
	if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
		return;
	for (int round = 0; round < EVACUATE_ROUNDS; round++) {
		autostr struct str procs = STR_INIT;
		if (cgroup_read(dir, "cgroup.procs", &procs) < 0 || !procs.len)
			return;
		for (char *p = procs.buf, *line; (line = strsep(&p, "\n"));)
			if (*line)
				(void)!cgroup_write(leaf, "cgroup.procs", line);
	}
}

static char *dir_name(const struct cgroup_ask *a, const char *base)
{
	return xasprintf("%s/rl-%.*s", base, ID_CHARS, a->id);
}

/* One of the same name is what a killed rl has left of this very container: numbers and limits in it are old. */
static int make_dir(const char *path)
{
	if (mkdir(path, 0755) == 0)
		return 0;
	return errno == EEXIST && rmdir(path) == 0 ? mkdir(path, 0755) : -1;
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* One candidate of the directory rung: 1 made, 0 with a clause in `why`. */
static int try_v2_dir(const struct cgroup_ask *a, const struct cgroup_host *h, const char *base, struct cgroup_made *m)
{
	unsigned wanted = cgroup_wanted(a->limits);
	autofree char *path = dir_name(a, base);
	if (make_dir(path) < 0) {
		say(&m->why, "%s: %s", base, strerrordesc_np(errno));
		return 0;
	}
	int errnum = 0;
	unsigned enabled = cgroup_enable(base, wanted, &errnum);
	if (errnum == EBUSY && h->is_root_of_namespace && str_eq(base, h->v2_own)) {
		evacuate(base);
		enabled = cgroup_enable(base, wanted, &errnum);
	}
	if (wanted && !enabled) {
		rmdir(path);
		if (errnum == EBUSY)
			say(&m->why, "%s has processes of its own, so its children get no controllers%s", base, "");
		else
			say(&m->why, "%s: %s", base,
			    errnum ? strerrordesc_np(errnum) : "the controllers are not delegated to it");
		return 0;
	}
	m->rung = CGROUP_RUNG_DIRECTORY;
	m->fd = open_dir(path);
	strv_addf(&m->dirs, ":%s", path);
	return 1;
}

/* --cgroup-parent in the file system: below the mount, made where it is missing. */
static char *parent_dir(const char *mount, const char *parent)
{
	/* Cleaned on its own: ".." ends at the mount. */
	autofree char *rooted = xasprintf("/%s", parent);
	autofree char *inside = path_clean(rooted);
	char *dir = xasprintf("%s%s", mount, inside);
	for (char *p = dir + strlen(mount); (p = strchr(p + 1, '/'));) {
		*p = '\0';
		(void)!mkdir(dir, 0755);
		*p = '/';
	}
	(void)!mkdir(dir, 0755);
	return dir;
}

static int try_directory(const struct cgroup_ask *a, const struct cgroup_host *h, struct cgroup_made *m)
{
	if (!h->v2_mount) {
		say(&m->why, "%scgroup v2 is not mounted%s", "", "");
		return 0;
	}
	if (a->parent) {
		autofree char *base = parent_dir(h->v2_mount, a->parent);
		int errnum;
		/* Down the way from the root, as far as we may: the parent can only hand on what it has. */
		char *p = base + strlen(h->v2_mount);
		do {
			*p = '\0';
			(void)cgroup_enable(base, cgroup_wanted(a->limits), &errnum);
			*p = '/';
		} while ((p = strchr(p + 1, '/')));
		return try_v2_dir(a, h, base, m);
	}
	if (try_v2_dir(a, h, h->v2_own, m))
		return 1;
	autofree char *above = path_dir(h->v2_own);
	if (strlen(above) < strlen(h->v2_mount))
		return 0;
	return try_v2_dir(a, h, above, m);
}

/* A new cpuset of v1 is empty, and a process cannot be put into an empty one. */
static void fill_cpuset(const char *base, const char *path)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		autostr struct str text = STR_INIT;
		if (cgroup_read(base, files[i], &text) == 0)
			(void)!cgroup_write(path, files[i], text.buf);
	}
}

static bool make_v1_dir(const struct cgroup_ask *a, const char *hierarchy, const char *base, bool say_why,
			struct cgroup_made *m)
{
	autofree char *path = dir_name(a, base);
	for (size_t i = 0; i < m->dirs.count; i++)
		if (str_eq(strchr(m->dirs.items[i], ':') + 1, path)) {
			/* Two controllers mounted together, as cpu and cpuacct often are. */
			strv_addf(&m->dirs, "%s:%s", hierarchy, path);
			return true;
		}
	if (make_dir(path) < 0) {
		if (say_why)
			say(&m->why, "%s: %s", base, strerrordesc_np(errno));
		return false;
	}
	if (str_eq(hierarchy, "cpuset"))
		fill_cpuset(base, path);
	strv_addf(&m->dirs, "%s:%s", hierarchy, path);
	return true;
}

static int try_v1(const struct cgroup_ask *a, const struct cgroup_host *h, struct cgroup_made *m)
{
	unsigned wanted = cgroup_wanted(a->limits);
	bool any = false;
	if (!h->v1.count)
		return 0;
	for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++) {
		const char *own = wanted & 1u << i ? cgroup_dir_of(&h->v1, cgroup_v1_names[i]) : NULL;
		if (!own)
			continue;
		autofree char *base = a->parent ? parent_dir(own, a->parent) : xstrdup(own);
		any |= make_v1_dir(a, cgroup_v1_names[i], base, true, m);
	}
	if (!any)
		return 0;
	/* What costs nothing and makes pause exact, numbers complete and the end certain. */
	static const char *const extra[] = {"freezer", "cpuacct"};
	for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
		const char *own = cgroup_dir_of(&h->v1, extra[i]);
		if (own)
			(void)make_v1_dir(a, extra[i], own, false, m);
	}
	if (h->v2_own && h->v2_writable)
		(void)make_v1_dir(a, "", h->v2_own, false, m);
	m->rung = CGROUP_RUNG_V1;
	return 1;
}

/* payload and monitor below the scope; the scope itself must hold no process before controllers can be given. */
static int fill_scope(const struct cgroup_ask *a, const char *scope, struct cgroup_made *m)
{
	autofree char *payload = xasprintf("%s/payload", scope);
	autofree char *monitor = xasprintf("%s/monitor", scope);
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (mkdir(monitor, 0755) < 0 || mkdir(payload, 0755) < 0) {
		say(&m->why, "%s: %s", scope, strerrordesc_np(errno));
		return 0;
	}
	int r = cgroup_write(monitor, "cgroup.procs", pid);
	int errnum = -r;
	unsigned wanted = cgroup_wanted(a->limits);
	if (r < 0 || (wanted && !cgroup_enable(scope, wanted, &errnum))) {
		say(&m->why, "%s: %s", scope,
		    errnum ? strerrordesc_np(errnum) : "systemd does not delegate the controllers");
		return 0;
	}
	m->rung = CGROUP_RUNG_SCOPE;
	m->fd = open_dir(payload);
	strv_addf(&m->dirs, ":%s", payload);
	return 1;
}

/* A service with Delegate=yes gives us its cgroup: nothing but what runs the container is in it. The leaf stays, since we
 * are in it as long as we live; systemd removes it with the service. */
static int try_split(const struct cgroup_ask *a, const struct cgroup_host *h, struct cgroup_made *m)
{
	char pid[16];
	if (!h->v2_own) {
		say(&m->why, "%scgroup v2 is not mounted%s", "", "");
		return 0;
	}
	/* Another container of the same service has put us there. */
	bool is_split = str_eq(path_base(h->v2_own), supervisor_name);
	autofree char *base = is_split ? path_dir(h->v2_own) : xstrdup(h->v2_own);
	autofree char *supervisor = xasprintf("%s/%s", base, supervisor_name);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	int r = mkdir(supervisor, 0755) < 0 && errno != EEXIST ? -errno : cgroup_write(supervisor, "cgroup.procs", pid);
	if (r < 0) {
		say(&m->why, "%s: %s", base, strerrordesc_np(-r));
		return 0;
	}
	return try_v2_dir(a, h, base, m);
}

void cgroup_request(const struct cgroup_ask *a, struct cgroup_job *ret_job)
{
	struct cgroup_job job = CGROUP_JOB_NONE;
	autostr struct str why = STR_INIT;
	/* A path is a place in the file system; only systemd knows slices. */
	if (!a->split && (!a->parent || str_ends(a->parent, ".slice")))
		cgroup_scope_request(a, &job, &why);
	if (why.len)
		log_debug(LOG_RUN, "no scope: %s", why.buf);
	*ret_job = job;
}

int cgroup_make(const struct cgroup_ask *a, struct cgroup_job *job, struct cgroup_made *ret_made, struct err *e)
{
	struct cgroup_made m = CGROUP_MADE_NONE;
	struct cgroup_host h;
	int r = cgroup_host_read(&h, e);
	if (r < 0) {
		cgroup_cancel(job);
		return r;
	}
	autofree char *scope = NULL;
	int made = job->bus ? cgroup_scope_wait(job, &h, &scope, &m.why) : 0;
	if (a->split)
		made = try_split(a, &h, &m);
	else if (!job->bus && made == 0 && !m.why.len && !a->parent)
		say(&m.why, "%sno systemd to ask for a scope%s", "", "");
	if (made && !a->split)
		made = fill_scope(a, scope, &m);
	if (!made && !a->split)
		made = try_directory(a, &h, &m);
	if (!made && !a->split)
		made = try_v1(a, &h, &m);
	cgroup_cancel(job);
	cgroup_host_free(&h);
	if (!made && (a->parent || a->split)) {
		err_set(e, EACCES, "%s%s: %s", a->split ? "--cgroups=split" : "--cgroup-parent ",
			a->split ? "" : a->parent, m.why.buf);
		cgroup_made_free(&m);
		return -EACCES;
	}
	*ret_made = m;
	return made;
}

void cgroup_made_free(struct cgroup_made *m)
{
	strv_free(&m->dirs);
	str_free(&m->why);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct cgroup_made)CGROUP_MADE_NONE;
}
