/*
 * build_copy.c - COPY, ADD and WORKDIR: files written through an overlay of the layers so far into a new upper directory.
 *
 * The kernel does what a layer needs: directories on the way are copied up with owner and mode, what is replaced gets
 * whiteouts. A process that is root in the id map's user namespace and has its own mount namespace writes; the overlay
 * is mounted there only, so nothing is left mounted however it ends.
 *
 * Paths: sources are resolved beneath the descriptor of their context or stage, destinations beneath the overlay's root
 * (rl/kern/safepath.h): no symlink of a context or of an image leads out. Inside a directory that is copied nothing is
 * followed; the last component of a destination file is never followed either, but replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_copy_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/sync.h"
#include "rl/engine/root_copy.h"
#include "rl/kern/mnt.h"
#include "rl/kern/safepath.h"
#include "rl/kern/tree.h"
#include "rl/model/user_spec.h"

enum { STEP_COPIED = 1 };

/* ---- destinations ---- */

/* The directory `path` of the overlay, made where it is missing; what is made belongs to whom the copy belongs. */
static int open_dest(struct copy *c, const char *path, bool *ret_made, struct err *e)
{
	size_t len = strlen(path);
	*ret_made = false;
	int reached = build_copy_reach(c, path, true, e);
	if (reached < 0)
		return reached;
	for (size_t at = 1; at <= len; at++) {
		if (path[at] != '/' && path[at] != '\0')
			continue;
		autofree char *prefix = xstrndup(path, at);
		autofd int there = safepath_locate(c->rootfd, prefix, NULL);
		struct stat st;
		if (there >= 0 && fstat(there, &st) == 0) {
			if (!S_ISDIR(st.st_mode))
				return err_set(e, ENOTDIR, "%s is not a directory", prefix);
			continue;
		}
		autofd int made = safepath_mkdirs(c->rootfd, prefix, 0755, e);
		int r = made < 0 ? made : c->chown ? build_copy_set_owner(c, made, "", c->uid, c->gid, e) : 0;
		if (r < 0)
			return r;
		*ret_made = true;
	}
	autofd int dir = safepath_open(c->rootfd, path, O_RDONLY | O_DIRECTORY, 0, e);
	return dir < 0 ? err_ctx(e, "%s", path) : take_fd(&dir);
}

static bool is_directory(int rootfd, const char *path)
{
	autofd int fd = safepath_locate(rootfd, path, NULL);
	struct stat st;
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where a single file goes: directory and name. */
static int split_dest(struct copy *c, const char *dest, const char *file, int *ret_dir, char **ret_name, struct err *e)
{
	bool made;
	size_t n = strlen(dest);
	int r = build_copy_reach(c, dest, false, e);
	if (r < 0)
		return r;
	bool into = dest[n - 1] == '/' || is_directory(c->rootfd, dest);
	autofree char *clean = path_clean(dest);
	autofree char *dir = into ? xstrdup(clean) : path_dir(clean);
	int fd = open_dest(c, dir, &made, e);
	if (fd < 0)
		return fd;
	*ret_dir = fd;
	*ret_name = xstrdup(into ? file : path_base(clean));
	return 0;
}

static char *reopen_path(int fd)
{
	char path[32];
	safepath_fd_path(fd, path);
	return xstrdup(path);
}

/* One thing that was named, from `rootfd`. kept: what of its path it keeps (--parents), or NULL. */
static int copy_named(struct copy *c, int rootfd, const char *path, const char *dest, const char *kept, struct err *e)
{
	autofd int found = safepath_locate(rootfd, path, e);
	struct stat st;
	if (found < 0)
		return found;
	if (fstat(found, &st) < 0)
		return err_sys(e, errno, "stat %s", path);
	autofree char *self = reopen_path(found);
	autofree char *to = NULL;
	if (kept) {
		autofree char *up = path_dir(kept);
		bool has = !str_eq(up, ".") && !S_ISDIR(st.st_mode);
		to = S_ISDIR(st.st_mode) ? xasprintf("%s/%s", dest, kept)
		     : has		 ? xasprintf("%s/%s/", dest, up)
					 : xasprintf("%s/", dest);
	} else {
		to = xstrdup(dest);
	}
	if (S_ISDIR(st.st_mode)) {
		autofree char *clean = path_clean(to);
		bool made = false;
		autofd int from = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (from < 0)
			return err_sys(e, errno, "open %s", path);
		autofd int dir = open_dest(c, clean, &made, e);
		/* What is in it goes there; the directory itself is ours, as with docker and buildah. */
		int r = dir < 0 ? dir : build_copy_contents(c, from, path, "", dir, e);
		return r;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is neither file nor directory", path);
	autofd int from = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (from < 0)
		return err_sys(e, errno, "read %s", path);
	autofd int dir = -1;
	autofree char *name = NULL;
	int r = split_dest(c, to, path_base(path), &dir, &name, e);
	if (r >= 0)
		r = build_copy_file(c, from, &st, dir, name, e);
	return r < 0 ? err_ctx(e, "%s", path) : 0;
}

static int copy_text(struct copy *c, const struct build_source *src, const char *dest, struct err *e)
{
	autofd int dir = -1;
	autofree char *name = NULL;
	int r = split_dest(c, dest, src->path, &dir, &name, e);
	if (r >= 0)
		r = build_copy_make_room(c, dir, name, e);
	if (r < 0)
		return r;
	autofd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, errno, "create %s", name);
	r = io_write_all(fd, src->text, strlen(src->text), e);
	if (r >= 0 && c->chmod && fchmod(fd, build_copy_mode(c, S_IFREG | 0644)) < 0)
		r = err_sys(e, errno, "mode");
	return r < 0 ? r : build_copy_give(c, fd, "", NULL, e);
}

/* Fetched or unpacked: `src->fd` is a file, or a directory with what an archive held. */
static int copy_fetched(struct copy *c, const struct build_source *src, const char *dest, struct err *e)
{
	struct stat st;
	if (fstat(src->fd, &st) < 0)
		return err_sys(e, errno, "stat");
	autofree char *self = reopen_path(src->fd);
	if (S_ISDIR(st.st_mode)) {
		bool made = false;
		autofree char *clean = path_clean(dest);
		autofd int from = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (from < 0)
			return err_sys(e, errno, "open what was fetched");
		autofd int dir = open_dest(c, clean, &made, e);
		/* The ignore file is about the context, not about what an archive of it holds. */
		bool keep = c->keep_owner;
		const struct ignore *ignore = c->ignore;
		c->keep_owner = src->archive;
		c->ignore = NULL;
		int r = dir < 0 ? dir : build_copy_contents(c, from, "", "", dir, e);
		c->keep_owner = keep;
		c->ignore = ignore;
		return r;
	}
	autofree char *plain = xstrndup(src->path, strcspn(src->path, "?#"));
	autofd int from = open(self, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return err_sys(e, errno, "open what was fetched");
	autofd int dir = -1;
	autofree char *name = NULL;
	int r = split_dest(c, dest, path_base(plain), &dir, &name, e);
	if (r >= 0 && (!*name || strchr(name, '/')))
		r = err_set(e, EINVAL, "the address names no file; give the destination a name");
	st.st_mode = S_IFREG | 0600;
	return r < 0 ? r : build_copy_file(c, from, &st, dir, name, e);
}

/* ---- the step ---- */

static int copy_source(struct copy *c, struct build_source *src, struct err *e)
{
	const struct build_step *st = c->j->step;
	int r = 0;
	if (src->kind == BUILD_FROM_HEREDOC)
		return copy_text(c, src, st->dest, e);
	if (src->fd >= 0)
		return copy_fetched(c, src, st->dest, e);
	if (src->kind == BUILD_FROM_LAYERS)
		r = build_glob(c->sourcefd, NULL, src->path, &src->found, e);
	size_t n = strlen(st->dest);
	if (r >= 0 && src->found.count > 1 && st->dest[n - 1] != '/' && !st->parents)
		return err_set(e, EINVAL, "%s stands for %zu files: the destination must be a directory: \"%s/\"",
			       src->path, src->found.count, st->dest);
	for (size_t i = 0; i < src->found.count && r >= 0; i++)
		r = copy_named(c, c->sourcefd, src->found.items[i], st->dest,
			       st->parents ? build_kept_path(src, src->found.items[i]) : NULL, e);
	return r;
}

static int parse_owner(struct copy *c, const char *text, struct err *e)
{
	struct user_spec spec;
	struct user_ids ids;
	autostr struct str passwd = STR_INIT;
	autostr struct str group = STR_INIT;
	int r = user_spec_parse(text, &spec, e);
	if (r < 0)
		return err_ctx(e, "--chown");
	build_copy_read_below(c, "/etc/passwd", USER_SPEC_FILE_MAX, &passwd);
	build_copy_read_below(c, "/etc/group", USER_SPEC_FILE_MAX, &group);
	r = user_spec_resolve(&spec, passwd.buf, passwd.len, group.buf, group.len, &ids, e);
	if (r < 0)
		return err_ctx(e, "--chown");
	c->chown = true;
	c->uid = ids.uid;
	/* docker's rule: a number alone is the group's too */
	c->gid = spec.group.kind == USER_PART_NONE && spec.user.kind == USER_PART_ID ? ids.uid : ids.gid;
	user_ids_free(&ids);
	return 0;
}

/* The same directory as a descriptor of this mount namespace: the kernel stacks no mounts of another one. */
static int reopen_here(int fd, struct err *e)
{
	char self[32];
	char path[4097];
	safepath_fd_path(fd, self);
	ssize_t n = readlink(self, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	int here = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return here < 0 ? err_sys(e, errno, "open %s", path) : here;
}

/* kept: the upper directory will be mounted again, which the kernel refuses after a mount without syncs. */
static int mount_stack(const struct build *b, const int *fds, size_t n, int upper, int work, int target, bool kept,
		       struct err *e)
{
	autofree int *lower = xcalloc(n + 2, sizeof(*lower));
	autofree int *mine = xcalloc(n + 2, sizeof(*mine));
	memcpy(mine, fds, n * sizeof(*fds));
	mine[n++] = b->emptyfd;
	if (n == 1 && upper < 0)
		mine[n++] = b->skeletonfd; /* a read-only overlay has at least two */
	size_t opened = 0;
	int r = 0;
	for (; opened < n && r >= 0; opened++)
		r = lower[opened] = reopen_here(mine[opened], e);
	const struct mnt_overlay o = {
		.lower = lower, .nlower = n, .upper = upper, .work = work, .is_volatile = upper >= 0 && !kept};
	if (r >= 0)
		r = mnt_overlay(&o, MNT_NODEV | MNT_NOSUID | (upper < 0 ? MNT_RDONLY : 0), target, e);
	for (size_t i = 0; i < opened; i++)
		close_fd(&lower[i]);
	return r;
}

static int open_sub(int dirfd, const char *name, struct err *e)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open %s", name) : fd;
}

/* The new layer on a tmpfs over its work directory, for now. */
static int mount_in_memory(struct copy *c, size_t nlower, int upper, int work, int target)
{
	const struct build_job *j = c->j;
	struct stat st;
	autofd int memory = mnt_new("tmpfs", "size=50%,mode=755", 0, work, NULL);
	if (memory < 0 || fstat(upper, &st) < 0 || mkdirat(memory, "upper", 0700) < 0 ||
	    fchmodat(memory, "upper", st.st_mode & 07777, 0) < 0 || mkdirat(memory, "work", 0700) < 0)
		return -1;
	c->memoryfd = open_sub(memory, "upper", NULL);
	autofd int memory_work = open_sub(memory, "work", NULL);
	if (c->memoryfd < 0 || memory_work < 0)
		return -1;
	c->rootfd = mount_stack(j->b, j->lowers, nlower, c->memoryfd, memory_work, target, false, NULL);
	return c->rootfd < 0 ? -1 : 0;
}

static int mount_target(struct copy *c, struct err *e)
{
	const struct build_job *j = c->j;
	bool is_container = j->containerfd >= 0;
	autofd int in = is_container ? reopen_here(j->containerfd, e) : fcntl(c->workfd, F_DUPFD_CLOEXEC, 3);
	if (in < 0)
		return is_container ? in : err_sys(e, errno, "dup");
	autofd int upper = open_sub(in, is_container ? "upper" : "diff", e);
	autofd int work = upper < 0 ? upper : open_sub(in, "work", e);
	autofd int target = work < 0 ? work : open_sub(c->workfd, "root", e);
	if (target < 0)
		return target;
	struct err first = ERR_INIT;
	size_t nlower = j->step->link ? 0 : j->nlowers;
	c->lowers = j->lowers;
	c->nlowers = nlower;
	if (!c->plain)
		c->rootfd = mount_stack(j->b, j->lowers, nlower, upper, work, target, is_container, &first);
	/* A store on an overlay, on NFS: what is written goes through a tmpfs. */
	if (c->rootfd < 0 && !is_container && !c->plain && mount_in_memory(c, nlower, upper, work, target) == 0)
		return 0;
	if (c->rootfd < 0 && !is_container) {
		log_debug(LOG_BUILD, "no overlay (%s): written into the layer by hand", first.text);
		c->bare = true;
		c->rootfd = take_fd(&upper);
		return 0;
	}
	if (c->rootfd < 0 && mnt_overlay_is_refused(first.code)) {
		/* The container's root is a copy then; working_settle takes the layer from it. */
		c->rootfd = root_copy_make(work, upper, c->lowers, nlower, e);
		return RL_MIN(c->rootfd, 0);
	}
	if (c->rootfd < 0 && e)
		*e = first;
	return c->rootfd < 0 ? -first.code : 0;
}

/* From the tmpfs to where the layer belongs. */
static int settle_memory(const struct copy *c, struct err *e)
{
	struct tree_stats stats;
	autofd int upper = open_sub(c->workfd, "diff", e);
	if (upper < 0)
		return upper;
	return tree_copy(c->memoryfd, upper, TREE_REPLACE | TREE_LAYER, &stats, e);
}

/* Layers to copy from. */
static int stack_source(struct copy *c, const int *fds, size_t n, int target, struct err *e)
{
	struct err first = ERR_INIT;
	if (!c->plain)
		c->sourcefd = mount_stack(c->j->b, fds, n, -1, -1, target, false, &first);
	if (c->sourcefd < 0)
		c->sourcefd = build_copy_merge(c, fds, n, target, e);
	return c->sourcefd < 0 ? c->sourcefd : 0;
}

static int mount_source(struct copy *c, struct err *e)
{
	const struct build_job *j = c->j;
	const struct build_step *st = j->step;
	const size_t *layers = NULL;
	size_t n = 0;
	if (st->from_stage >= 0) {
		layers = j->b->stages[st->from_stage].layers;
		n = j->b->stages[st->from_stage].nlayers;
	} else if (st->from_extra >= 0 && j->b->extras[st->from_extra].is_image) {
		layers = j->b->extras[st->from_extra].layers;
		n = j->b->extras[st->from_extra].nlayers;
	} else {
		c->sourcefd = build_source_root(j->b, st, &c->ignore);
		return 0;
	}
	autofree int *fds = xcalloc(n + 1, sizeof(*fds));
	for (size_t i = 0; i < n; i++)
		fds[i] = j->b->layers[layers[n - 1 - i]].dirfd;
	autofd int target = open_sub(c->workfd, "source", e);
	if (target < 0)
		return target;
	c->keep_owner = true;
	return stack_source(c, fds, n, target, e);
}

static int copy_all(struct copy *c, struct err *e)
{
	struct build_step *st = c->j->step;
	bool made;
	c->exclude = &st->exclude;
	umask(0);
	c->workfd = reopen_here(c->workfd, e);
	int r = c->workfd < 0 ? c->workfd : mount_target(c, e);
	if (r == 0 && st->kind == BUILD_STEP_WORKDIR) {
		autofd int dir = open_dest(c, st->dest, &made, e);
		return dir < 0 ? dir : 0;
	}
	if (r == 0)
		r = mount_source(c, e);
	if (r == 0 && st->chown)
		r = parse_owner(c, st->chown, e);
	c->chmod = st->chmod;
	for (size_t i = 0; i < st->nsources && r >= 0; i++)
		r = copy_source(c, &st->sources[i], e);
	return r;
}

/* The whole of the target stage into a directory outside. */
static int copy_out(struct copy *c, struct err *e)
{
	const struct build *b = c->j->b;
	const struct build_stage *s = c->j->stage;
	autofree int *fds = xcalloc(s->nlayers + 1, sizeof(*fds));
	size_t n = 0;
	c->workfd = reopen_here(c->workfd, e);
	if (c->workfd < 0)
		return c->workfd;
	for (size_t i = s->nlayers; i-- > 0;)
		fds[n++] = b->layers[s->layers[i]].dirfd;
	autofd int target = open_sub(c->workfd, "source", e);
	if (target < 0)
		return target;
	umask(022);
	int r = stack_source(c, fds, n, target, e);
	if (r < 0)
		return r;
	char self[32];
	safepath_fd_path(c->sourcefd, self);
	autofd int from = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_sys(e, errno, "open the image's root");
	return build_copy_contents(c, from, "", "", c->rootfd, e);
}

/* Root of the map's user namespace, own mount namespace. */
static int copy_main(void *arg)
{
	struct copy *c = arg;
	struct err e = ERR_INIT;
	log_set_role("copy");
	c->buffer = xmalloc(BUILD_COPY_BUFFER);
	int r = c->out ? copy_out(c, &e) : copy_all(c, &e);
	if (r >= 0)
		r = build_copy_settle(c, &e);
	if (r >= 0 && c->memoryfd >= 0)
		r = settle_memory(c, &e);
	if (r >= 0)
		r = sync_send(c->sock, STEP_COPIED, NULL, 0, NULL, 0, &e);
	if (r < 0)
		sync_send_err(c->sock, &e);
	return r < 0;
}

static int spawn_copy(struct copy *c, struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	struct proc_child child = PROC_CHILD_NONE;
	c->sock = theirs;
	r = userns_spawn_or_plain(&c->j->b->map, CLONE_NEWNS, copy_main, c, &c->plain, &child, e);
	if (r < 0)
		return r;
	close_fd(&theirs);
	r = sync_expect(ours, "the copying process", STEP_COPIED, NULL, e);
	struct err ignored = ERR_INIT;
	int status = proc_wait(&child, "the copying process", r < 0 ? &ignored : e);
	if (r == 0 && status)
		r = status < 0 ? status : err_set(e, ECHILD, "the copying process failed");
	return r;
}

int build_copy_out(struct build *b, int dirfd, struct err *e)
{
	struct build_job job = {.b = b, .stage = &b->stages[b->target], .work = "out", .containerfd = -1};
	struct copy c = {.j = &job, .rootfd = dirfd, .memoryfd = -1, .sourcefd = -1, .out = true};
	if (mkdirat(b->work.dirfd, "out", 0700) < 0 || mkdirat(b->work.dirfd, "out/source", 0700) < 0)
		return err_sys(e, errno, "make a directory");
	autofd int workfd = open_sub(b->work.dirfd, "out", e);
	c.workfd = workfd;
	return workfd < 0 ? workfd : spawn_copy(&c, e);
}

int build_copy_child(struct build_job *j, struct err *e)
{
	static const char *const dirs[] = {"diff", "work", "root", "source"};
	struct copy c = {.j = j, .rootfd = -1, .memoryfd = -1, .sourcefd = -1};
	if (mkdirat(j->b->work.dirfd, j->work, 0700) < 0)
		return err_sys(e, errno, "make %s", j->work);
	autofd int workfd = open_sub(j->b->work.dirfd, j->work, e);
	if (workfd < 0)
		return workfd;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdirat(workfd, dirs[i], i ? 0700 : 0755) < 0)
			return err_sys(e, errno, "make %s", dirs[i]);
	if (fchmodat(workfd, "diff", build_root_mode(j), 0) < 0)
		return err_sys(e, errno, "mode of the new layer");
	c.workfd = workfd;
	int r = spawn_copy(&c, e);
	if (r == 0)
		build_job_done(j);
	for (size_t i = 1; i < ARRAY_SIZE(dirs) && r == 0; i++)
		r = store_remove_tree(workfd, dirs[i], e);
	return r;
}
