/*
 * cgroup.c - control groups by directory: which there are, and what can be done with one that exists.
 *
 * Files of cgroupfs are read and written whole, by one call each: the kernel gives a consistent answer per read. A
 * directory may go away at any time (its last process ended and somebody removed it); readers then say so, and
 * removing it is success.
 *
 * operation     v2                        v1
 * join          cgroup.procs              cgroup.procs of every hierarchy
 * freeze        cgroup.freeze, .events    freezer.state
 * kill          cgroup.kill (5.14)        signals until cgroup.procs is empty
 * oom           memory.events             memory.oom_control
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_int.h"
#include "rl/base/event.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mountinfo.h"

enum { WAIT_MS = 5000, ROUNDS_MAX = 1000 };

const char *const cgroup_v2_names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory", [CGROUP_PIDS] = "pids", [CGROUP_CPU] = "cpu",
	[CGROUP_CPUSET] = "cpuset", [CGROUP_IO] = "io",
};
const char *const cgroup_v1_names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory", [CGROUP_PIDS] = "pids", [CGROUP_CPU] = "cpu",
	[CGROUP_CPUSET] = "cpuset", [CGROUP_IO] = "blkio",
};

/* ---- files ---- */

int cgroup_read(const char *dir, const char *file, struct str *out)
{
	autofree char *path = xasprintf("%s/%s", dir, file);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return io_read_rest(fd, CGROUP_FILE_MAX, path, out, NULL);
}

int cgroup_write(const char *dir, const char *file, const char *value)
{
	autofree char *path = xasprintf("%s/%s", dir, file);
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, value, strlen(value));
	log_debug(LOG_RUN, "cgroup: %s = %s%s", path, value, n < 0 ? " refused" : "");
	return n < 0 ? -errno : 0;
}

bool cgroup_has_file(const char *dir, const char *file)
{
	autofree char *path = xasprintf("%s/%s", dir, file);
	return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0;
}

uint64_t cgroup_read_u64(const char *dir, const char *file, uint64_t missing)
{
	autostr struct str text = STR_INIT;
	if (cgroup_read(dir, file, &text) < 0)
		return missing;
	if (str_after(text.buf, "max"))
		return UINT64_MAX;
	char *end;
	unsigned long long value = strtoull(text.buf, &end, 10);
	return end == text.buf ? missing : value;
}

uint64_t cgroup_read_key(const char *dir, const char *file, const char *key, uint64_t missing)
{
	autostr struct str text = STR_INIT;
	if (cgroup_read(dir, file, &text) < 0)
		return missing;
	for (const char *line = text.buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *value = str_after(line, key);
		if (value && *value == ' ')
			return strtoull(value + 1, NULL, 10);
	}
	return missing;
}

bool cgroup_has_word(const char *text, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = text; (p = strstr(p, word)); p += n) {
		bool starts = p == text || p[-1] == ' ' || p[-1] == ',';
		bool ends = !p[n] || p[n] == ' ' || p[n] == ',' || p[n] == '\n';
		if (starts && ends)
			return true;
	}
	return false;
}

const char *cgroup_dir_of(const struct strv *dirs, const char *v1_controller)
{
	size_t n = strlen(v1_controller);
	for (size_t i = 0; i < dirs->count; i++)
		if (strncmp(dirs->items[i], v1_controller, n) == 0 && dirs->items[i][n] == ':')
			return dirs->items[i] + n + 1;
	return NULL;
}

const char *cgroup_v2_dir(const struct strv *dirs)
{
	return cgroup_dir_of(dirs, "");
}

static const char *path_of(const char *dir)
{
	const char *colon = strchr(dir, ':');
	return colon ? colon + 1 : dir;
}

/* ---- what there is ---- */

/* Where `path`, as /proc/self/cgroup gives it, is below a mount of that hierarchy whose root is `root`; NULL if the
 * mount does not show it. */
static char *locate(const char *mount, const char *root, const char *path)
{
	if (strstr(path, "/.."))
		return NULL;
	const char *rest = str_eq(root, "/") ? path : str_after(path, root);
	if (!rest || (*rest && *rest != '/'))
		return NULL;
	return str_eq(rest, "/") || !*rest ? xstrdup(mount) : xasprintf("%s%s", mount, rest);
}

/* A line of /proc/self/cgroup, "4:memory:/a" or "0::/a", whose controllers have `word` (v2: ""): the path. */
static char *own_path(const char *text, const char *word)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *names = strchr(line, ':');
		const char *path = names ? strchr(names + 1, ':') : NULL;
		if (!path)
			continue;
		autofree char *list = xstrndup(names + 1, (size_t)(path - names - 1));
		if (*word ? cgroup_has_word(list, word) : !*list)
			return xstrndup(path + 1, strcspn(path + 1, "\n"));
	}
	return NULL;
}

static void add_v1(struct cgroup_host *h, const struct mountinfo_entry *m, const char *own)
{
	static const char *const known[] = {"memory", "pids", "cpu", "cpuacct", "cpuset", "blkio", "freezer"};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!cgroup_has_word(m->options, known[i]) || cgroup_dir_of(&h->v1, known[i]))
			continue;
		autofree char *path = own_path(own, known[i]);
		autofree char *dir = path ? locate(m->point, m->root, path) : NULL;
		if (dir && faccessat(AT_FDCWD, dir, F_OK, AT_EACCESS) == 0)
			strv_addf(&h->v1, "%s:%s", known[i], dir);
	}
}

static void add_v2(struct cgroup_host *h, const struct mountinfo_entry *m, const char *own)
{
	autofree char *path = own_path(own, "");
	char *dir = path ? locate(m->point, m->root, path) : NULL;
	if (h->v2_mount || !dir || faccessat(AT_FDCWD, dir, F_OK, AT_EACCESS) < 0) {
		free(dir);
		return;
	}
	h->v2_mount = xstrdup(m->point);
	h->v2_own = dir;
	h->is_root_of_namespace = str_eq(dir, m->point) && cgroup_has_file(dir, "cgroup.type");
	h->v2_writable = faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) == 0;
	autostr struct str controllers = STR_INIT;
	if (cgroup_read(dir, "cgroup.controllers", &controllers) == 0) {
		str_cut(&controllers, strcspn(controllers.buf, "\n"));
		if (controllers.len)
			strv_split(&h->v2_controllers, controllers.buf, ' ');
	}
}

int cgroup_host_read(struct cgroup_host *ret_host, struct err *e)
{
	struct cgroup_host h = {.v2_mount = NULL};
	autostr struct str own = STR_INIT;
	struct mountinfo mounts;
	int r = io_read_file(AT_FDCWD, "/proc/self/cgroup", CGROUP_FILE_MAX, &own, e);
	if (r < 0)
		return r;
	r = mountinfo_read(&mounts, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < mounts.count; i++) {
		const struct mountinfo_entry *m = &mounts.items[i];
		if (str_eq(m->type, "cgroup2"))
			add_v2(&h, m, own.buf);
		else if (str_eq(m->type, "cgroup"))
			add_v1(&h, m, own.buf);
	}
	mountinfo_free(&mounts);
	*ret_host = h;
	return 0;
}

void cgroup_host_free(struct cgroup_host *h)
{
	free(h->v2_mount);
	free(h->v2_own);
	strv_free(&h->v2_controllers);
	strv_free(&h->v1);
	*h = (struct cgroup_host){.v2_mount = NULL};
}

const char *cgroup_rung_name(enum cgroup_rung r)
{
	static const char *const names[] = {
		[CGROUP_RUNG_NONE] = "none",
		[CGROUP_RUNG_SCOPE] = "systemd scope",
		[CGROUP_RUNG_DIRECTORY] = "cgroup directory",
		[CGROUP_RUNG_V1] = "cgroup v1",
	};
	return names[r];
}

/* ---- one that exists ---- */

int cgroup_join(const struct strv *dirs, pid_t pid, struct err *e)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", (int)pid);
	for (size_t i = 0; i < dirs->count; i++) {
		int r = cgroup_write(path_of(dirs->items[i]), "cgroup.procs", text);
		if (r == -EACCES || r == -EPERM)
			r = cgroup_scope_attach(path_of(dirs->items[i]), pid);
		if (r < 0)
			return err_sys(e, -r, "move process %s into cgroup %s", text, path_of(dirs->items[i]));
	}
	return 0;
}

/* Wait until a key of cgroup.events has the value; the file is polled, nothing sleeps. */
static bool wait_event(const char *dir, const char *key, uint64_t value)
{
	autofree char *path = xasprintf("%s/cgroup.events", dir);
	uint64_t end = event_now_ns() + (uint64_t)WAIT_MS * 1000000;
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0) {
		/* Reading arms the poll: a change between the two is seen. */
		char text[256];
		if (pread(fd, text, sizeof(text), 0) < 0)
			return errno == ENODEV;
		uint64_t now = cgroup_read_key(dir, "cgroup.events", key, value);
		uint64_t t = event_now_ns();
		if (now == value || t >= end)
			return now == value;
		struct pollfd p = {.fd = fd, .events = POLLPRI};
		(void)!poll(&p, 1, (int)((end - t) / 1000000) + 1);
	}
	return true;
}

static int freeze_v1(const char *dir, bool frozen, struct err *e)
{
	const char *want = frozen ? "FROZEN" : "THAWED";
	/* FREEZING is left by writing again (kernel's cgroups.rst of the freezer). */
	for (int i = 0; i < ROUNDS_MAX; i++) {
		int r = cgroup_write(dir, "freezer.state", want);
		if (r < 0)
			return err_sys(e, -r, "%s/freezer.state", dir);
		autostr struct str text = STR_INIT;
		if (cgroup_read(dir, "freezer.state", &text) == 0 && str_after(text.buf, want))
			return 1;
		(void)!poll(NULL, 0, 1);
	}
	return err_set(e, ETIMEDOUT, "the container does not freeze");
}

int cgroup_freeze(const struct strv *dirs, bool frozen, struct err *e)
{
	const char *dir = cgroup_v2_dir(dirs);
	const char *v1 = cgroup_dir_of(dirs, "freezer");
	if (v1)
		return freeze_v1(v1, frozen, e);
	if (!dir || !cgroup_has_file(dir, "cgroup.freeze"))
		return 0;
	int r = cgroup_write(dir, "cgroup.freeze", frozen ? "1" : "0");
	if (r < 0)
		return err_sys(e, -r, "%s/cgroup.freeze", dir);
	if (!wait_event(dir, "frozen", frozen))
		return err_set(e, ETIMEDOUT, "the container does not freeze");
	return 1;
}

/* What version 1 has frozen dies when it goes on. */
static void thaw_v1(const char *freezer)
{
	if (freezer)
		(void)!cgroup_write(freezer, "freezer.state", "THAWED");
}

/* Signals until none is left: every pass kills what the one before has missed because it forked. */
static int kill_one_by_one(const char *dir, const char *freezer, struct err *e)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		autostr struct str text = STR_INIT;
		int r = cgroup_read(dir, "cgroup.procs", &text);
		if (r < 0 || !text.len)
			return 0;
		for (char *p = text.buf; *p;) {
			long pid = strtol(p, &p, 10);
			if (pid > 0)
				kill((pid_t)pid, SIGKILL);
			p += *p == '\n';
		}
		thaw_v1(freezer);
		/* The dead leave when they are reaped; that is others' work. */
		(void)!poll(NULL, 0, i < 10 ? 1 : 5);
	}
	return err_set(e, ETIMEDOUT, "cgroup %s has processes that do not end", dir);
}

int cgroup_kill(const struct strv *dirs, struct err *e)
{
	const char *v2 = cgroup_v2_dir(dirs);
	const char *freezer = cgroup_dir_of(dirs, "freezer");
	if (v2 && cgroup_write(v2, "cgroup.kill", "1") == 0) {
		thaw_v1(freezer);
		if (wait_event(v2, "populated", 0))
			return 0;
		return err_set(e, ETIMEDOUT, "cgroup %s has processes that do not end", v2);
	}
	/* Every directory holds the same processes. */
	return dirs->count ? kill_one_by_one(path_of(dirs->items[0]), freezer, e) : 0;
}

uint64_t cgroup_oom_kills(const struct strv *dirs)
{
	const char *v2 = cgroup_v2_dir(dirs);
	const char *v1 = cgroup_dir_of(dirs, "memory");
	if (v1)
		return cgroup_read_key(v1, "memory.oom_control", "oom_kill", 0);
	return v2 ? cgroup_read_key(v2, "memory.events", "oom_kill", 0) : 0;
}

/* rmdir fails with EBUSY for a moment after the last process was reaped. */
static int remove_dir(const char *path, struct err *e)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			break;
		if (cgroup_has_file(path, "cgroup.events"))
			(void)!wait_event(path, "populated", 0);
		(void)!poll(NULL, 0, 1);
	}
	return err_sys(e, errno, "remove cgroup %s", path);
}

int cgroup_remove(const struct strv *dirs, struct err *e)
{
	int failed = 0;
	for (size_t i = 0; i < dirs->count; i++) {
		int r = remove_dir(path_of(dirs->items[i]), failed < 0 ? NULL : e);
		if (r < 0)
			failed = r;
	}
	return failed;
}
