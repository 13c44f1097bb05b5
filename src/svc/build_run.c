/*
 * build_run.c - a RUN step: a container on the layers so far, whose upper directory becomes the next layer.
 *
 * Runs in a child of the build, forked for this step; its standard output and error are pipes to the build. The
 * container is that of `rl run` in every respect (same sandbox, same record), so it can be looked at while it runs
 * and kept when it fails.
 *
 * Mount points: below all layers lies a directory with an empty entry for each (skeleton), so that none has to be made in
 * the upper directory and nothing of the runtime gets into an image.
 *
 * Secrets: their text lies in a memory file of this process and in a tmpfs of the container's mount namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "container_copied.h"
#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/sync.h"
#include "rl/kern/mnt.h"
#include "rl/kern/ovl.h"
#include "rl/kern/safepath.h"
#include "rl/kern/tree.h"

enum { SECRET_MAX = 500 << 10, CACHE_COPIES_MAX = 64 };

/* ---- skeleton ---- */

static int add_stub(int dirfd, const char *target, bool is_dir, struct err *e)
{
	autofd int fd = safepath_mountpoint(dirfd, target, is_dir, 0755, e);
	return fd < 0 ? fd : 0;
}

/* A secret or an agent that is not required may be missing: then nothing is mounted. */
static bool is_given(const struct build *b, const struct build_mount *m)
{
	const struct build_secret *list = m->kind == BUILD_MOUNT_SECRET ? b->secrets : b->ssh;
	size_t n = m->kind == BUILD_MOUNT_SECRET ? b->nsecrets : b->nssh;
	if (m->kind != BUILD_MOUNT_SECRET && m->kind != BUILD_MOUNT_SSH)
		return true;
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i].id, m->id))
			return true;
	return false;
}

static bool is_file_in(int rootfd, const char *path, bool *ret_found)
{
	struct stat st;
	autofd int fd = safepath_locate(rootfd, path, NULL);
	*ret_found = fd >= 0 && fstat(fd, &st) == 0;
	return *ret_found && !S_ISDIR(st.st_mode);
}

/* Is a file going to be mounted there? Of a stack the topmost layer that has the path is asked. */
static bool mounts_file(const struct build *b, const struct build_mount *m)
{
	bool found = false;
	if (m->kind == BUILD_MOUNT_SECRET || m->kind == BUILD_MOUNT_SSH)
		return true;
	if (m->kind != BUILD_MOUNT_BIND || !m->source)
		return false;
	const struct build_stage *s = m->stage >= 0 ? &b->stages[m->stage] : NULL;
	const struct build_extra *x = m->extra >= 0 ? &b->extras[m->extra] : NULL;
	if (!s && !(x && x->is_image))
		return is_file_in(x ? x->rootfd : b->context.rootfd, m->source, &found);
	const size_t *layers = s ? s->layers : x->layers;
	for (size_t i = s ? s->nlayers : x->nlayers; i-- > 0;) {
		bool is_file = is_file_in(b->layers[layers[i]].dirfd, m->source, &found);
		if (found)
			return is_file;
	}
	return false;
}

int build_make_skeleton(struct container *c, int *ret_fd, struct err *e)
{
	static const char *const dirs[] = {"/proc", "/sys", "/dev"};
	static const char *const files[] = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
	if (mkdirat(c->dirfd, BUILD_SKELETON, 0755) < 0)
		return err_sys(e, errno, "make the skeleton");
	autofd int fd = openat(c->dirfd, BUILD_SKELETON, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open the skeleton");
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(dirs) && r >= 0; i++)
		r = add_stub(fd, dirs[i], true, e);
	for (size_t i = 0; i < ARRAY_SIZE(files) && r >= 0; i++)
		r = add_stub(fd, files[i], false, e);
	for (size_t i = 0; i < c->o->nmounts && r >= 0; i++) {
		const struct mount_opt *m = &c->o->mounts[i];
		struct stat sb;
		bool is_file = m->kind == MOUNT_KIND_BIND && m->source && stat(m->source, &sb) == 0 &&
			       !S_ISDIR(sb.st_mode);
		if (!str_after(m->target, "/dev/"))
			r = add_stub(fd, m->target, !is_file, e);
	}
	if (r >= 0)
		*ret_fd = take_fd(&fd);
	return r < 0 ? r : 0;
}

static int make_skeleton(const struct build *b, struct container *c, const struct build_step *st, struct err *e)
{
	autofd int fd = -1;
	int r = build_make_skeleton(c, &fd, e);
	for (size_t i = 0; i < st->nmounts && r >= 0; i++) {
		const struct build_mount *m = &st->mounts[i];
		bool is_file = mounts_file(b, m);
		if (m->target && !str_after(m->target, "/dev/") && is_given(b, m))
			r = add_stub(fd, m->target, !is_file, e);
	}
	return r < 0 ? r : 0;
}

/* ---- mounts ---- */

/* The path of what we hold open. The container's first process opens it again in its own mount namespace: the kernel
 * refuses to stack or bind mounts of another one. Nothing moves while steps run (build_pack.c publishes afterwards). */
static char *fd_path(int fd)
{
	char self[32];
	char path[4097];
	safepath_fd_path(fd, self);
	ssize_t n = readlink(self, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return xstrdup(path);
}

/* An empty directory of the container's own, for what is mounted on the host side first. */
static int stage_dir(struct container *c, size_t n, char **ret_path, struct err *e)
{
	autofree char *name = xasprintf("stage-%zu", n);
	if (mkdirat(c->dirfd, name, 0700) < 0)
		return err_sys(e, errno, "make %s", name);
	*ret_path = path_join(c->dir, name);
	return 0;
}

static int add_file(struct container *c, size_t n, const char *target, int fd, uint32_t mode, uint32_t uid,
		    uint32_t gid, struct err *e)
{
	autofree char *stage = NULL;
	int r = stage_dir(c, n, &stage, e);
	if (r < 0)
		return r;
	struct rt_mount *m = rtspec_add_mount(&c->spec, RT_FILE, stage, target, MNT_RDONLY | MNT_NODEV | MNT_NOSUID);
	m->fd = fd;
	m->mode = mode;
	m->uid = uid;
	m->gid = gid;
	return 0;
}

static int memory_file(const char *text, size_t len, struct err *e)
{
	autofd int fd = io_memory_file("rl", e);
	if (fd < 0)
		return fd;
	int r = io_write_all(fd, text, len, e);
	return r < 0 ? r : take_fd(&fd);
}

static int read_secret(const struct build_secret *s, struct str *out, struct err *e)
{
	if (s->env) {
		const char *value = getenv(s->env);
		if (!value)
			return err_set(e, ENOENT, "--secret id=%s: the variable %s is not set", s->id, s->env);
		str_adds(out, value);
		return 0;
	}
	autofd int fd = open(s->source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "--secret id=%s: open %s", s->id, s->source);
	int r = io_read_rest(fd, SECRET_MAX, s->source, out, e);
	return r < 0 ? err_ctx(e, "--secret id=%s", s->id) : 0;
}

static int add_secret(struct build_job *j, struct container *c, size_t n, const struct build_mount *m, struct err *e)
{
	const struct build_secret *found = NULL;
	autostr struct str text = STR_INIT;
	for (size_t i = 0; i < j->b->nsecrets; i++)
		if (str_eq(j->b->secrets[i].id, m->id))
			found = &j->b->secrets[i];
	if (!found && !m->required)
		return 0;
	if (!found) {
		err_set(e, ENOENT, "the secret %s is required", m->id);
		return err_hint(e, "rl build --secret id=%s,src=FILE gives it", m->id);
	}
	int r = read_secret(found, &text, e);
	if (r >= 0 && m->env)
		strv_addf(&c->spec.secret_env, "%s=%s", m->env, text.buf);
	if (r >= 0 && m->target) {
		int fd = memory_file(text.buf, text.len, e);
		/* the descriptor lives as long as this process */
		r = fd < 0 ? fd
			   : add_file(c, n, m->target, fd, m->mode == UINT32_MAX ? 0400 : m->mode, m->uid, m->gid, e);
	}
	explicit_bzero(text.buf, text.len);
	return r < 0 ? r : 0;
}

static int add_ssh(struct build_job *j, struct container *c, const struct build_mount *m, struct err *e)
{
	const struct build_secret *found = NULL;
	for (size_t i = 0; i < j->b->nssh; i++)
		if (str_eq(j->b->ssh[i].id, m->id))
			found = &j->b->ssh[i];
	if (!found && !m->required)
		return 0;
	if (!found) {
		err_set(e, ENOENT, "the ssh agent %s is required", m->id);
		return err_hint(e, "rl build --ssh %s gives it", m->id);
	}
	autofree char *real = realpath(found->source, NULL);
	struct stat st;
	if (!real || stat(real, &st) < 0)
		return err_sys(e, errno, "--ssh %s: %s", m->id, found->source);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ENOTSOCK, "--ssh %s: %s is no socket of an agent", m->id, found->source);
	rtspec_add_mount(&c->spec, RT_BIND, real, m->target, 0);
	strv_addf(&c->spec.secret_env, "SSH_AUTH_SOCK=%s", m->target);
	return 0;
}

struct own_job {
	int dirfd;
	uint32_t uid, gid, mode;
};

static int own_dir(void *arg)
{
	const struct own_job *o = arg;
	return fchown(o->dirfd, o->uid, o->gid) == 0 && fchmod(o->dirfd, o->mode) == 0 ? 0 : 1;
}

/* cache/mounts/KEY[-N]/data; the lock of the directory is held by this process until the step ends. */
static int open_cache(struct build_job *j, const struct build_mount *m, char **ret_path, struct err *e)
{
	struct build *b = j->b;
	struct build_hash h;
	char key[BUILD_KEY_SIZE];
	build_hash_begin(&h, &b->crypto);
	build_hash_text(&h, b->map.key);
	build_hash_text(&h, m->id);
	build_hash_end(&h, key);
	for (int copy = 0; copy < CACHE_COPIES_MAX; copy++) {
		autofree char *path = xasprintf("cache/mounts/%s-%d", key, copy);
		autofree char *data = xasprintf("%s/data", path);
		autofd int lock = io_open_dir(b->store.rootfd, path, true, 0700, e);
		if (lock < 0)
			return lock;
		int r = m->sharing == BUILD_PRIVATE ? io_try_lock(lock, true, e)
						    : io_lock(lock, m->sharing == BUILD_LOCKED, e);
		if (r < 0)
			return r;
		if (m->sharing == BUILD_PRIVATE && r == 0)
			continue; /* somebody else's for now: another one */
		if (mkdirat(b->store.rootfd, data, 0755) == 0) {
			struct proc_child child = PROC_CHILD_NONE;
			autofd int fd = openat(b->store.rootfd, data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			struct own_job own = {fd, m->uid, m->gid, m->mode == UINT32_MAX ? 0755 : m->mode};
			r = m->owner_given || m->mode != UINT32_MAX ? userns_spawn(&b->map, 0, own_dir, &own, &child, e)
								    : 0;
			if (r >= 0 && child.pid > 0)
				r = proc_wait_ok(&child, "set the owner of the cache", e);
			if (r < 0)
				return r;
		} else if (errno != EEXIST) {
			return err_sys(e, errno, "make %s", data);
		}
		*ret_path = xasprintf("%s/%s", b->store.root, data);
		(void)take_fd(&lock); /* released when this process ends */
		return 0;
	}
	return err_set(e, EBUSY, "--mount=type=cache,id=%s: more than %d at once", m->id, (int)CACHE_COPIES_MAX);
}

static int add_cache(struct build_job *j, struct container *c, const struct build_mount *m, struct err *e)
{
	autofree char *path = NULL;
	int r = open_cache(j, m, &path, e);
	if (r < 0)
		return r;
	struct rt_mount *rm = rtspec_add_mount(&c->spec, RT_BIND, path, m->target, m->read_only ? MNT_RDONLY : 0);
	if (m->source) {
		autofd int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		autofd int part = root < 0 ? err_sys(e, errno, "open the cache")
					   : safepath_mkdirs(root, m->source, 0755, e);
		/* Another build may write there: what is mounted is resolved again, beneath the cache. */
		rm->subpath = xstrdup(m->source);
		return part < 0 ? part : 0;
	}
	return 0;
}

static void stack_of(const struct build *b, const size_t *layers, size_t n, struct strv *out)
{
	for (size_t i = n; i-- > 0;)
		strv_add_owned(out, fd_path(b->layers[layers[i]].dirfd));
	/* Overlayfs wants two of them at least. */
	strv_add_owned(out, fd_path(b->emptyfd));
	if (n == 0)
		strv_add_owned(out, fd_path(b->skeletonfd));
}

static int add_bind(struct build_job *j, struct container *c, size_t n, const struct build_mount *m, struct err *e)
{
	const struct build *b = j->b;
	const struct build_extra *x = m->extra >= 0 ? &b->extras[m->extra] : NULL;
	autofree char *stage = NULL;
	int r = stage_dir(c, n, &stage, e);
	if (r < 0)
		return r;
	if (m->stage >= 0 || (x && x->is_image)) {
		struct rt_mount *rm = rtspec_add_mount(&c->spec, RT_LAYERS, stage, m->target, MNT_RDONLY);
		if (m->stage >= 0)
			stack_of(b, b->stages[m->stage].layers, b->stages[m->stage].nlayers, &rm->lowers);
		else if (x)
			stack_of(b, x->layers, x->nlayers, &rm->lowers);
		rm->subpath = xstrdup(m->source ? m->source : "/");
		return 0;
	}
	int rootfd = x ? x->rootfd : b->context.rootfd;
	if (rootfd < 0)
		return err_set(e, ENOENT, "--mount: this build has no context");
	autofd int part = safepath_locate(rootfd, m->source ? m->source : "/", e);
	struct stat st;
	if (part < 0 || fstat(part, &st) < 0)
		return part < 0 ? err_ctx(e, "--mount: source") : err_sys(e, errno, "stat");
	autofree char *source = fd_path(rootfd);
	if (m->read_only || !S_ISDIR(st.st_mode)) {
		struct rt_mount *bind = rtspec_add_mount(&c->spec, RT_BIND, source, m->target, MNT_RDONLY);
		bind->subpath = m->source ? xstrdup(m->source) : NULL;
		return 0;
	}
	/* What is written there is thrown away. */
	autofree char *upper = xasprintf("stage-%zu/upper", n);
	autofree char *work = xasprintf("stage-%zu/work", n);
	if (mkdirat(c->dirfd, upper, 0755) < 0 || mkdirat(c->dirfd, work, 0700) < 0)
		return err_sys(e, errno, "make %s", upper);
	struct rt_mount *rm = rtspec_add_mount(&c->spec, RT_OVERLAY, source, m->target, 0);
	rm->subpath = m->source ? xstrdup(m->source) : NULL;
	rm->upper = path_join(c->dir, upper);
	rm->work = path_join(c->dir, work);
	return 0;
}

static int add_mount(struct build_job *j, struct container *c, size_t n, struct err *e)
{
	const struct build_mount *m = &j->step->mounts[n];
	switch (m->kind) {
	case BUILD_MOUNT_BIND:
		return add_bind(j, c, n, m, e);
	case BUILD_MOUNT_CACHE:
		return add_cache(j, c, m, e);
	case BUILD_MOUNT_SECRET:
		return add_secret(j, c, n, m, e);
	case BUILD_MOUNT_SSH:
		return add_ssh(j, c, m, e);
	case BUILD_MOUNT_TMPFS:
		break;
	}
	struct rt_mount *rm = rtspec_add_mount(&c->spec, RT_TMPFS, NULL, m->target, MNT_NOSUID | MNT_NODEV);
	rm->options = m->size ? xasprintf("mode=1777,size=%lld", (long long)m->size) : xstrdup("mode=1777");
	return 0;
}

static int add_mounts(struct build_job *j, struct container *c, struct err *e)
{
	int r = 0;
	for (size_t n = 0; n < j->step->nmounts && r >= 0; n++)
		r = add_mount(j, c, n, e);
	if (r >= 0 && j->step->script) {
		int fd = memory_file(j->step->script, strlen(j->step->script), e);
		r = fd < 0 ? fd : add_file(c, j->step->nmounts, BUILD_SCRIPT, fd, 0555, 0, 0, e);
	}
	if (r >= 0)
		container_sort_mounts(c);
	return r;
}

/* ---- the container ---- */

static void fill_record(struct build_job *j, struct container *c)
{
	struct record_config *rc = &c->rec.config;
	const struct build_step *st = j->step;
	memcpy(rc->id, c->id, sizeof(rc->id));
	rc->created = container_now();
	container_map_to_record(&c->map, &rc->map);
	rc->image = xstrdup("");
	rc->image_id = xstrdup("");
	rc->image_manifest = xstrdup("");
	rc->hostname = xstrdup("build");
	rc->cwd = xstrdup(st->cwd);
	rc->user = xstrdup(st->user);
	rc->stop_signal = SIGTERM;
	strv_add_all(&rc->args, &st->args);
	strv_add_all(&rc->env, &st->env);
	for (size_t i = 0; i < j->nlowers; i++)
		strv_add_owned(&rc->layers, fd_path(j->lowers[i]));
	strv_addf(&rc->layers, "%s/" BUILD_SKELETON, c->dir);
	strv_add(&rc->labels, CONTAINER_BUILD_LABEL);
}

static int prepare(struct build_job *j, struct container *c, struct err *e)
{
	struct build *b = j->b;
	c->rec.config.o = b->o->run;
	struct run_opts *o = &c->rec.config.o;
	o->rm = !b->o->keep_failed;
	container_limits_request(c);
	if (j->step->network)
		o->network.kind = str_eq(j->step->network, "none") ? NETWORK_NONE : NETWORK_HOST;
	memcpy(c->id, j->id, sizeof(c->id));
	c->store = b->store;
	c->map = b->map;
	c->has_map = true;
	c->dir = xasprintf("%s/containers/%s", b->store.root, c->id);
	int r = container_dir_make(c, e);
	if (r < 0)
		return r;
	if (fchmodat(c->dirfd, "upper", build_root_mode(j), 0) < 0)
		return err_sys(e, errno, "mode of the new layer");
	c->rec.store = &c->store;
	c->rec.dirfd = c->dirfd;
	c->rec.dir = c->dir;
	if (b->o->keep_failed) {
		r = container_name_generate(&c->store, c->id, &c->rec.config.name, e);
		c->is_named = r == 0;
	} else {
		c->rec.config.name = xstrndup(c->id, 12);
	}
	if (r < 0)
		return r;
	fill_record(j, c);
	container_emulate_resolve(c);
	r = make_skeleton(b, c, j->step, e);
	if (r == 0)
		r = container_build_spec(c, e);
	if (r == 0)
		r = add_mounts(j, c, e);
	strv_add_all(&c->spec.secret_env, &j->step->secret_env);
	return r;
}

struct settle {
	int from, to, sock;
};

/* What a step has removed is in marks that not every file system takes; without one of them it would come back. */
static int check_marks(int from, int to, unsigned depth, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ELOOP, "directories more than %d deep", TREE_DEPTH_MAX);
	int r = io_list_dir(from, &names, e);
	bool lost = depth && ovl_is_opaque(from) && !ovl_is_opaque(to);
	for (size_t i = 0; i < names.count && r == 0 && !lost; i++) {
		const char *name = names.items[i];
		const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
		struct stat st;
		struct stat copy;
		if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, errno, "%s", name);
		if (ovl_is_whiteout(&st))
			lost = fstatat(to, name, &copy, AT_SYMLINK_NOFOLLOW) < 0 || !ovl_is_whiteout(&copy);
		if (!S_ISDIR(st.st_mode))
			continue;
		autofd int a = openat(from, name, flags);
		autofd int b = openat(to, name, flags);
		r = a < 0 || b < 0 ? err_sys(e, errno, "%s", name) : check_marks(a, b, depth + 1, e);
	}
	if (lost)
		return err_set(e, EOPNOTSUPP, "the store's file system cannot hold that something was removed");
	return r;
}

static int settle_child(void *arg)
{
	const struct settle *s = arg;
	struct tree_stats stats;
	struct err e = ERR_INIT;
	umask(0);
	int r = tree_copy(s->from, s->to, TREE_REPLACE | TREE_LAYER, &stats, &e);
	if (r >= 0)
		r = check_marks(s->from, s->to, 0, &e);
	if (r >= 0)
		return 0;
	sync_send_err(s->sock, &e);
	return 1;
}

/* What was written in memory goes to where the layer belongs. */
static int settle_memory(const struct build_job *j, const struct container *c, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	autofd int to = openat(c->dirfd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int pair[2];
	if (to < 0)
		return err_sys(e, errno, "open the layer");
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	struct settle s = {.from = c->run.layer, .to = to, .sock = theirs};
	r = userns_spawn(&j->b->map, 0, settle_child, &s, &child, e);
	close_fd(&theirs);
	if (r < 0)
		return r;
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	struct err said = ERR_INIT;
	/* It says nothing unless it fails. */
	r = sync_next(ours, "the copy of the layer", m, &said);
	int status = proc_wait(&child, "the copy of the layer out of memory", r < 0 ? NULL : e);
	if (r < 0 && e) {
		*e = said;
		err_hint(e, "keep the store on another file system (is this a container? on a volume: rl run -v "
			    "NAME:DIR), and "
			    "--root DIR");
	}
	return r < 0 ? r : status ? err_set(e, ECHILD, "the copy of the layer out of memory failed") : 0;
}

/* What the step wrote, wherever it was written, to where the layer belongs. */
static int settle_layer(const struct build_job *j, struct container *c, struct err *e)
{
	int r = c->run.layer >= 0 ? settle_memory(j, c, e)
				  : container_copied_settle(c->dirfd, &c->rec.config.layers, &c->map, e);
	return r < 0 ? r : 0;
}

/* The upper directory becomes WORK/NAME/diff. */
static int take_upper(struct build_job *j, struct container *c, struct err *e)
{
	autofree char *to = xasprintf("%s/diff", j->work);
	if (mkdirat(j->b->work.dirfd, j->work, 0700) < 0)
		return err_sys(e, errno, "make %s", j->work);
	if (renameat(c->dirfd, "upper", j->b->work.dirfd, to) < 0)
		return err_sys(e, errno, "take the layer");
	return 0;
}

int build_run_child(struct build_job *j, struct err *e)
{
	struct container c;
	container_init(&c);
	int r = prepare(j, &c, e);
	c.spec.is_layer = c.spec.layer_in_memory = true;
	if (r == 0)
		r = container_limits_make(&c, e);
	int status = r < 0 ? r : container_start_and_relay(&c, e);
	if (status == 0)
		r = settle_layer(j, &c, e);
	if (status == 0 && r == 0)
		r = take_upper(j, &c, e);
	if (status == 0 && r == 0)
		build_job_done(j);
	bool keep = j->b->o->keep_failed && status > 0;
	container_close(&c, keep);
	return r < 0 ? r : status;
}
