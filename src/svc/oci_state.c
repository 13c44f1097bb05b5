/*
 * oci_state.c - the directory of a container: found, locked, read, written, removed; and its status.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "oci_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/proc.h"
#include "rl/kern/cgroup_tree.h"

enum { TAKE_TRIES = 100 };

const char *oci_status_name(enum oci_status s)
{
	static const char *const names[] = {
		[OCI_CREATING] = "creating", [OCI_CREATED] = "created", [OCI_RUNNING] = "running",
		[OCI_PAUSED] = "paused",     [OCI_STOPPED] = "stopped",
	};
	return names[s];
}

int oci_check_id(const char *id, struct err *e)
{
	size_t n = strlen(id);
	bool plain = n > 0 && n <= OCI_ID_MAX;
	for (size_t i = 0; i < n && plain; i++)
		plain = (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z') ||
			(id[i] >= '0' && id[i] <= '9') || strchr("_+-.", id[i]);
	if (!plain || str_eq(id, ".") || str_eq(id, ".."))
		return err_set(e, EINVAL, "invalid container ID format: '%.100s%s'", id, n > 100 ? "..." : "");
	if (n > NAME_MAX)
		return err_set(e, ENAMETOOLONG, "invalid container ID format: longer than %d characters", NAME_MAX);
	return 0;
}

static bool in_initial_userns(void)
{
	autostr struct str text = STR_INIT;
	unsigned inside;
	unsigned outside;
	unsigned count;
	if (io_read_file(AT_FDCWD, "/proc/self/uid_map", 4096, &text, NULL) < 0)
		return true;
	return sscanf(text.buf, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
	       count == UINT32_MAX;
}

bool oci_is_rootless(const struct oci_runtime *rt)
{
	return rt->rootless >= 0 ? rt->rootless : geteuid() != 0 || !in_initial_userns();
}

static char *default_root(void)
{
	const char *runtime_dir = getenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0 && in_initial_userns())
		return xstrdup("/run/rl-oci");
	if (runtime_dir && *runtime_dir == '/')
		return path_join(runtime_dir, "rl/oci");
	autofree char *session = xasprintf("/run/user/%u", (unsigned)geteuid());
	struct stat st;
	if (stat(session, &st) == 0 && st.st_uid == geteuid())
		return path_join(session, "rl/oci");
	return xasprintf("/tmp/rl-oci-%u", (unsigned)geteuid());
}

int oci_open_root(const struct oci_runtime *rt, bool create, char **ret_path, struct err *e)
{
	autofree char *path = rt->root ? xstrdup(rt->root) : default_root();
	struct stat st;
	int r = create ? io_mkdirs(AT_FDCWD, path, 0700, e) : 0;
	if (r < 0)
		return err_ctx(e, "state directory");
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "state directory %s", path);
	/* What stands there decides which processes are killed. */
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, EPERM, "state directory %s belongs to somebody else", path);
	*ret_path = take_ptr(&path);
	return take_fd(&fd);
}

/* ---- the record ---- */

static void record_free(struct oci_record *r)
{
	char *owned[] = {r->id,	     r->bundle,	 r->rootfs, r->oci_version, r->owner,
			 r->created, r->boot_id, r->scope,  r->mount_ns};
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
		free(owned[i]);
	strv_free(&r->cgroups);
	json_decref(r->annotations);
	*r = (struct oci_record){.pid = 0};
}

static char *copy_member(const json_t *doc, const char *key)
{
	const char *text = json_str_or_null(doc, key);
	return text ? xstrdup(text) : NULL;
}

static int record_read(int dirfd, struct oci_record *ret, struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse_file(dirfd, OCI_STATE_FILE, OCI_FILE_MAX, &doc, e);
	if (r < 0)
		return r;
	struct oci_record rec = {
		.id = copy_member(doc, "id"),
		.bundle = copy_member(doc, "bundle"),
		.rootfs = copy_member(doc, "rootfs"),
		.oci_version = copy_member(doc, "ociVersion"),
		.owner = copy_member(doc, "owner"),
		.created = copy_member(doc, "created"),
		.boot_id = copy_member(doc, "bootId"),
		.scope = copy_member(doc, "scope"),
		.mount_ns = copy_member(doc, "mountNamespace"),
		.pid = (pid_t)json_int_or(doc, "pid", 0),
		.start = (uint64_t)json_int_or(doc, "startTime", 0),
		.namespaces = (unsigned)json_int_or(doc, "namespaces", 0),
		.rootless = json_bool_or(doc, "rootless", false),
		.ready = json_bool_or(doc, "ready", false),
		.annotations = json_incref(json_object_get(doc, "annotations")),
	};
	r = json_get_strv(doc, "cgroups", &rec.cgroups, e);
	if (r >= 0 && (!rec.id || !rec.bundle))
		r = err_set(e, EBADMSG, "%s is incomplete", OCI_STATE_FILE);
	if (r < 0)
		record_free(&rec);
	else
		*ret = rec;
	return r < 0 ? r : 0;
}

int oci_container_save(const struct oci_container *c, struct err *e)
{
	const struct oci_record *rec = &c->rec;
	autojson json_t *doc = json_object();
	autostr struct str text = STR_INIT;
	json_put_str(doc, "ociVersion", rec->oci_version);
	json_put_str(doc, "id", rec->id);
	json_put_int(doc, "pid", rec->pid);
	json_put_int(doc, "startTime", (int64_t)rec->start);
	json_put_str(doc, "bootId", rec->boot_id);
	json_put_str(doc, "bundle", rec->bundle);
	json_put_str(doc, "rootfs", rec->rootfs);
	json_put_str(doc, "created", rec->created);
	json_put_str(doc, "owner", rec->owner);
	json_put_strv(doc, "cgroups", &rec->cgroups);
	json_put_str(doc, "scope", rec->scope);
	json_put_str(doc, "mountNamespace", rec->mount_ns);
	json_put_int(doc, "namespaces", rec->namespaces);
	json_put_bool(doc, "rootless", rec->rootless);
	json_put_bool(doc, "ready", rec->ready);
	if (rec->annotations)
		json_put(doc, "annotations", json_incref(rec->annotations));
	json_print(doc, false, &text);
	return io_replace_file(c->dirfd, OCI_STATE_FILE, text.buf, text.len, 0600, false, e);
}

json_t *oci_record_state(const struct oci_record *r, enum oci_status status)
{
	json_t *doc = json_object();
	json_put_str(doc, "ociVersion", r->oci_version);
	json_put_str(doc, "id", r->id);
	json_put_str(doc, "status", oci_status_name(status));
	json_put_int(doc, "pid", status == OCI_STOPPED ? 0 : r->pid);
	json_put_str(doc, "bundle", r->bundle);
	json_put_str(doc, "rootfs", r->rootfs);
	json_put_str(doc, "created", r->created);
	if (r->annotations)
		json_put(doc, "annotations", json_incref(r->annotations));
	json_put_str(doc, "owner", r->owner ? r->owner : "");
	return doc;
}

/* ---- status ---- */

static bool is_zombie(pid_t pid)
{
	char path[40];
	autostr struct str text = STR_INIT;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (io_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return true;
	const char *end = strrchr(text.buf, ')');
	return !end || end[1] != ' ' || end[2] == 'Z' || end[2] == 'X';
}

static bool is_alive(const struct oci_record *r)
{
	char boot[37];
	uint64_t start;
	if (r->pid <= 0 || proc_start_time(r->pid, &start, NULL) < 0 || start != r->start || is_zombie(r->pid))
		return false;
	return proc_boot_id(boot, NULL) < 0 || !r->boot_id || str_eq(boot, r->boot_id);
}

/* Somebody holds the gate's lock: the first process, which has not executed yet. */
static bool is_waiting(int dirfd)
{
	autofd int fd = openat(dirfd, OCI_GATE_FILE, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool is_frozen(const struct oci_container *c)
{
	autostr struct str text = STR_INIT;
	const char *v1 = cgroup_tree_dir(&c->rec.cgroups, "freezer");
	const char *v2 = cgroup_tree_dir(&c->rec.cgroups, NULL);
	if (v1)
		return cgroup_tree_get(v1, "freezer.state", &text) == 0 && !str_after(text.buf, "THAWED");
	if (v2 && cgroup_tree_get(v2, "cgroup.freeze", &text) == 0)
		return text.buf[0] == '1';
	return faccessat(c->dirfd, OCI_PAUSED_FILE, F_OK, 0) == 0;
}

void oci_container_refresh(struct oci_container *c)
{
	if (!is_alive(&c->rec))
		c->status = OCI_STOPPED;
	else if (!c->rec.ready)
		c->status = OCI_CREATING;
	else if (is_frozen(c))
		c->status = OCI_PAUSED;
	else
		c->status = is_waiting(c->dirfd) ? OCI_CREATED : OCI_RUNNING;
}

/* ---- directories ---- */

static int does_not_exist(struct err *e)
{
	return err_set(e, ENOENT, "container does not exist");
}

bool oci_is_in_place(int dirfd, const char *path)
{
	struct stat held;
	struct stat named;
	return fstat(dirfd, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

/* Ours from now on: a new directory, or one that a create made and did not live to fill: nobody holds its lock, and it has
 * no record. 0 if it went away meanwhile. */
static int take_directory(struct oci_container *c, const char *id, struct err *e)
{
	if (mkdir(c->path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", c->path);
	autofd int fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(e, errno, "container %s", id);
	/* The lock decides between two that come at once: the record of the first is there when the second has it. */
	int locked = io_try_lock(fd, true, e);
	if (locked < 0)
		return locked;
	if (!locked || faccessat(fd, OCI_STATE_FILE, F_OK, 0) == 0)
		return err_set(e, EEXIST, "container with given ID already exists: %s", id);
	if (!oci_is_in_place(fd, c->path))
		return 0;
	c->dirfd = take_fd(&fd);
	return 1;
}

int oci_container_new(const struct oci_runtime *rt, const char *id, struct oci_container *ret_c, struct err *e)
{
	struct oci_container c = OCI_CONTAINER_NONE;
	autofree char *root_path = NULL;
	autofd int root = oci_open_root(rt, true, &root_path, e);
	if (root < 0)
		return root;
	c.path = path_join(root_path, id);
	int r = 0;
	for (int i = 0; i < TAKE_TRIES && r == 0; i++)
		r = take_directory(&c, id, e);
	if (r == 0)
		r = err_set(e, EBUSY, "container %s is made and deleted by others all the time", id);
	if (r < 0) {
		oci_container_close(&c);
		return r;
	}
	*ret_c = c;
	return 0;
}

int oci_container_open(const struct oci_runtime *rt, const char *id, bool lock, struct oci_container *ret_c,
		       struct err *e)
{
	struct oci_container c = OCI_CONTAINER_NONE;
	autofree char *root_path = NULL;
	int r = oci_check_id(id, e);
	if (r < 0)
		return r;
	autofd int root = oci_open_root(rt, false, &root_path, e);
	if (root == -ENOENT)
		return does_not_exist(e);
	if (root < 0)
		return root;
	c.path = path_join(root_path, id);
	c.dirfd = open(c.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (c.dirfd < 0)
		r = errno == ENOENT ? does_not_exist(e) : err_sys(e, errno, "container %s", id);
	if (r == 0 && lock)
		r = io_lock(c.dirfd, true, e);
	if (r == 0)
		r = record_read(c.dirfd, &c.rec, e);
	if (r == -ENOENT && c.dirfd >= 0)
		r = does_not_exist(e);
	if (r < 0) {
		oci_container_close(&c);
		return r;
	}
	oci_container_refresh(&c);
	*ret_c = c;
	return 0;
}

void oci_container_close(struct oci_container *c)
{
	free(c->path);
	c->path = NULL;
	close_fd(&c->dirfd);
	record_free(&c->rec);
}

int oci_container_remove(struct oci_container *c, struct err *e)
{
	/* The record first: without it the container does not exist, whatever else is left. */
	if (unlinkat(c->dirfd, OCI_STATE_FILE, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove %s/%s", c->path, OCI_STATE_FILE);
	return io_remove_tree(AT_FDCWD, c->path, e);
}

int oci_container_pidfd(const struct oci_container *c, struct err *e)
{
	autofd int fd = proc_pidfd_open(c->rec.pid, NULL);
	/* Held first, looked at then: the number cannot change hands any more. */
	if (fd < 0 || !is_alive(&c->rec))
		return err_set(e, ESRCH, "container not running");
	return take_fd(&fd);
}

int oci_container_config(const struct oci_container *c, struct oci_config *ret_config, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = io_read_file(c->dirfd, OCI_CONFIG_FILE, OCI_CONFIG_MAX, &text, e);
	return r < 0 ? r : oci_config_parse(text.buf, text.len, ret_config, e);
}

/* ---- list, state ---- */

int oci_state_doc(const struct oci_runtime *rt, const char *id, json_t **ret_doc, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	int r = oci_container_open(rt, id, false, &c, e);
	if (r == 0)
		*ret_doc = oci_record_state(&c.rec, c.status);
	return r;
}

int oci_list(const struct oci_runtime *rt, json_t **ret_rows, struct err *e)
{
	autofree char *path = NULL;
	autostrv struct strv names = STRV_INIT;
	autojson json_t *rows = json_array();
	struct err missing = ERR_INIT;
	autofd int root = oci_open_root(rt, false, &path, &missing);
	if (root < 0 && root != -ENOENT) {
		*e = missing;
		return root;
	}
	int r = root < 0 ? 0 : io_list_dir(root, &names, e);
	strv_sort(&names);
	for (size_t i = 0; i < names.count && r == 0; i++) {
		json_t *doc;
		/* One that goes away while we look, or that is not ours, is not there. */
		if (oci_state_doc(rt, names.items[i], &doc, NULL) == 0)
			json_array_append_new(rows, doc);
	}
	if (r == 0) {
		*ret_rows = rows;
		rows = NULL;
	}
	return r;
}
