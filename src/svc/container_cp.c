/*
 * container_cp.c - `rl cp`: two processes, each in the place where its files are, with a pipe between them.
 *
 *     this machine        we ourselves, as the caller
 *     running container   a child that has joined the user and mount namespaces of its PID 1 through a pidfd, so volumes,
 *                         tmpfs and everything else is there as the container's processes see it
 *     stopped container   a child that is root of its id map in a mount namespace of its own, where the layers are stacked
 *                         and the container's volumes and bind mounts are made; its locks are held, so it cannot start
 *                         meanwhile
 *     "-"                 rl-image, which makes a tar of the tree or a tree of the tar
 * No program of the container is executed and no file of it is interpreted: the child is a fork of ours (inside.h).
 *
 * Owners: ids in the stream are those of the side they come from. With --archive a container's side keeps them, translated
 * by its id map if they came from this machine; this machine's side keeps them where it can be root of the same map.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "container_stack.h"
#include "host_image.h"
#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/copy.h"
#include "rl/engine/root_copy.h"
#include "rl/kern/mnt.h"
#include "rl/kern/safepath.h"
#include "rl/svc/container_copy.h"

enum { BETWEEN_MS = 1000, ATTEMPTS = 10 };

enum side_kind { SIDE_LOCAL, SIDE_CONTAINER, SIDE_STREAM };

struct side {
	enum side_kind kind;
	char *container;
	char *path; /* absolute */
	struct container_stack k;
	bool is_open;
	int pidfd; /* of the running container, -1 */
};

struct cp {
	const struct container_cp_opts *o;
	struct side from, to;
	int in, out; /* ends of the pipe */
	char *name;  /* the source's */
};

/* ---- arguments ---- */

/* docker: what begins with "/" or "." is of this machine, whatever colons it has. */
static int parse_side(const char *text, struct side *s, struct err *e)
{
	const char *colon = strchr(text, ':');
	s->pidfd = -1;
	if (str_eq(text, "-")) {
		s->kind = SIDE_STREAM;
		return 0;
	}
	if (*text == '/' || *text == '.' || !colon || colon == text) {
		autofree char *cwd = *text == '/' ? NULL : getcwd(NULL, 0);
		if (!*text)
			return err_set(e, EINVAL, "cp: an empty path");
		if (*text != '/' && !cwd)
			return err_sys(e, errno, "current directory");
		s->kind = SIDE_LOCAL;
		s->path = cwd ? path_join(cwd, text) : xstrdup(text);
		return 0;
	}
	s->kind = SIDE_CONTAINER;
	s->container = xstrndup(text, (size_t)(colon - text));
	s->path = colon[1] == '/' ? xstrdup(colon + 1) : path_join("/", colon + 1);
	return 0;
}

static void close_side(struct side *s)
{
	if (s->is_open)
		container_stack_close(&s->k);
	s->is_open = false;
	close_fd(&s->pidfd);
}

static void free_side(struct side *s)
{
	close_side(s);
	free(s->container);
	free(s->path);
}

/* PID 1 has ended and the monitor not yet, or waits to start it again: -EAGAIN after something happened. */
static int between(struct side *s, struct err *e)
{
	struct container_watch w;
	close_fd(&s->k.op);
	int r = container_watch_open(&s->k.rec, &w, e);
	if (r < 0)
		return r;
	r = container_watch_wait(&w, BETWEEN_MS, e);
	container_watch_close(&w);
	return r < 0 ? r : err_set(e, EAGAIN, "container %s is about to end or to start again", s->k.rec.config.name);
}

static int open_side(const struct cp *c, struct side *s, struct err *e)
{
	if (s->kind != SIDE_CONTAINER)
		return 0;
	int r = container_stack_open(c->o->root, s->container, STACK_OWN, &s->k, e);
	if (r < 0)
		return r;
	s->is_open = true;
	if (!container_rec_is_running(&s->k.rec))
		return container_rec_is_alive(&s->k.rec) ? between(s, e) : 0;
	s->pidfd = container_rec_open_init(&s->k.rec, e);
	/* A copy may take long, and a running container may be stopped or removed meanwhile. */
	close_fd(&s->k.op);
	return s->pidfd < 0 ? s->pidfd : 0;
}

/* ---- a container's root ---- */

/* Where an overlay was refused to the container or is to us, its root is a copy (rl/engine/root_copy.h). */
static int copied_root(int workfd, int upperfd, const int *lower, size_t n, struct err *e)
{
	autofd int root = root_copy_make(workfd, upperfd, lower, n, e);
	return root < 0 ? root : mnt_bind(root, "", false, MNT_NODEV | MNT_NOSUID, 0, upperfd, e);
}

static int stack_layers(const struct container_stack *k, struct err *e)
{
	size_t n = k->mine.count - 1 + k->image.count;
	autofree int *lower = xcalloc(n + 1, sizeof(int));
	autofree char *work = path_join(k->rec.dir, "work");
	autofd int upperfd = open(k->mine.items[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofd int workfd = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (upperfd < 0 || workfd < 0)
		return err_sys(e, errno, "the writable layer of container %s", k->rec.config.name);
	for (size_t i = 0; i < n; i++) {
		const char *path = i + 1 < k->mine.count ? k->mine.items[i + 1] : k->image.items[i + 1 - k->mine.count];
		/* Closed with the process, which does nothing else. */
		lower[i] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (lower[i] < 0)
			return err_sys(e, errno, "a layer of container %s: %s", k->rec.config.name, path);
	}
	const struct mnt_overlay o = {.lower = lower, .nlower = n, .upper = upperfd, .work = workfd};
	struct err why = ERR_INIT;
	int fd = root_copy_is_there(workfd) ? -EPERM : mnt_overlay(&o, MNT_NODEV | MNT_NOSUID, upperfd, &why);
	if (fd < 0 && mnt_overlay_is_refused(-fd))
		return copied_root(workfd, upperfd, lower, n, e);
	if (fd < 0 && e)
		*e = why;
	return fd;
}

static int bind_mounts(const struct container_stack *k, int rootfd, struct err *e)
{
	const struct run_opts *o = &k->rec.config.o;
	for (size_t i = 0; i < o->nmounts; i++) {
		const struct mount_opt *m = &o->mounts[i];
		struct stat st;
		bool is_volume = m->kind == MOUNT_KIND_VOLUME && m->source;
		if ((m->kind != MOUNT_KIND_BIND && !is_volume) || m->overlay || m->subpath)
			continue;
		autofree char *path = is_volume ? xasprintf("%s/volumes/%s/_data", k->store.root, m->source)
						: xstrdup(m->source);
		autofd int source = open(path, O_PATH | O_CLOEXEC);
		if (source < 0 || fstat(source, &st) < 0)
			return err_sys(e, errno, "mount %s on %s", path, m->target);
		autofd int target = safepath_mountpoint(rootfd, m->target, S_ISDIR(st.st_mode), 0755, e);
		if (target < 0)
			return target;
		autofd int fd = mnt_bind(source, "", m->recursive_bind, m->read_only ? MNT_RDONLY : 0, 0, target, e);
		if (fd < 0)
			return err_ctx(e, "mount %s on %s", path, m->target);
	}
	return 0;
}

/* In the child that is to be there: a descriptor of the root directory. */
static int enter_root(const struct side *s, struct err *e)
{
	if (s->pidfd >= 0) {
		/* setns made the mount namespace's root ours. */
		int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_sys(e, errno, "open the container's root") : fd;
	}
	const struct run_opts *o = &s->k.rec.config.o;
	if (!s->k.has_map && unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "make a mount namespace");
	int r = mnt_make_all_private(e);
	if (r < 0)
		return r;
	autofd int rootfd = -1;
	if (host_image_is(o))
		return container_stack_need_layers(&s->k, "cp", e);
	if (o->rootfs && !o->rootfs_overlay) {
		rootfd = open(o->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (rootfd < 0)
			return err_sys(e, errno, "--rootfs %s", o->rootfs);
	} else {
		rootfd = stack_layers(&s->k, e);
		if (rootfd < 0)
			return rootfd;
	}
	r = bind_mounts(&s->k, rootfd, e);
	return r < 0 ? r : take_fd(&rootfd);
}

/* ---- the two ends ---- */

static int send_end(void *arg, struct err *e)
{
	struct cp *c = arg;
	struct copy_send s = {.place = {.rootfd = -1, .host = c->from.kind == SIDE_LOCAL},
			      .path = c->from.path,
			      .follow = c->o->follow,
			      .outfd = c->out};
	close_fd(&c->in);
	if (!s.place.host) {
		s.place.rootfd = enter_root(&c->from, e);
		if (s.place.rootfd < 0)
			return s.place.rootfd;
	}
	return copy_send(&s, e);
}

static int receive_end(void *arg, struct err *e)
{
	struct cp *c = arg;
	bool host = c->to.kind == SIDE_LOCAL;
	const struct container_stack *k = &c->to.k;
	struct copy_receive r = {.place = {.rootfd = -1, .host = host},
				 .path = c->to.path,
				 .name = c->name,
				 .contents = c->from.kind != SIDE_STREAM && copy_path_is_contents(c->from.path),
				 .archive = c->from.kind == SIDE_STREAM,
				 .keep_owner = c->o->archive,
				 .overwrite = c->o->overwrite,
				 .drop_setid = host && !c->o->archive,
				 .infd = c->in};
	close_fd(&c->out);
	if (host) {
		/* What is made with given permissions is made with the caller's umask as long as it is only being made. */
		r.keep_owner = c->o->archive && (geteuid() == 0);
		return copy_receive(&r, e);
	}
	if (c->from.kind == SIDE_LOCAL && k->has_map)
		r.from_host = &k->map;
	r.place.rootfd = enter_root(&c->to, e);
	return r.place.rootfd < 0 ? r.place.rootfd : copy_receive(&r, e);
}

static int start_end(const struct side *s, const struct idmap *host_map, int (*fn)(void *arg, struct err *e),
		     struct cp *c, struct inside_job *job, struct err *e)
{
	struct inside i = {.fn = fn, .arg = c, .what = "the copy"};
	if (s->kind == SIDE_LOCAL) {
		i.map = host_map;
	} else if (s->pidfd >= 0) {
		i.pidfd = s->pidfd;
		i.join_user = s->k.has_map;
	} else {
		i.map = s->k.has_map ? &s->k.map : NULL;
		i.clone_flags = CLONE_NEWNS;
	}
	return inside_start(&i, job, e);
}

/* ---- tar streams ---- */

static int stream(struct cp *c, bool out, struct err *e)
{
	static const struct idmap none = {.form = IDMAP_IDENTITY, .key = "identity"};
	const struct container_stack *k = out ? &c->from.k : &c->to.k;
	autostrv struct strv verb = STRV_INIT;
	int fds[2] = {out ? c->in : STDIN_FILENO, out ? STDOUT_FILENO : c->out};
	strv_add(&verb, out ? "tree-to-tar" : "tar-to-tree");
	if (out)
		strv_addf(&verb, "--name=%s", copy_path_is_contents(c->from.path) ? "." : c->name);
	return image_program_feed(&k->store, &none, &verb, fds, 2, NULL, NULL, e);
}

/* ---- all of it ---- */

/* This machine's side keeps a container's owners as root of the container's map, which can be the caller only in a map
 * where the caller is container root. */
static const struct idmap *map_for_owners(const struct cp *c)
{
	const struct container_stack *k = &c->from.k;
	if (!c->o->archive || c->to.kind != SIDE_LOCAL || c->from.kind != SIDE_CONTAINER || geteuid() == 0)
		return NULL;
	if (k->has_map && k->map.form == IDMAP_RANGED)
		return &k->map;
	log_debug(LOG_RUN, "owners are not kept: the container's ids do not exist on this machine");
	return NULL;
}

/* Which of two failures is the cause: a broken pipe is what the other end's death looks like. */
static int choose(int sent, const struct err *why_sent, int received, const struct err *why_received, struct err *e)
{
	bool second = sent >= 0 || (sent == -EPIPE && received < 0 && received != -EPIPE);
	const struct err *why = second ? why_received : why_sent;
	int r = second ? received : sent;
	if (r < 0 && e)
		*e = *why;
	return r < 0 ? r : 0;
}

static int copy(struct cp *c, struct err *e)
{
	struct inside_job sender = INSIDE_JOB_NONE;
	struct inside_job receiver = INSIDE_JOB_NONE;
	struct err why_sent = ERR_INIT;
	struct err why_received = ERR_INIT;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	c->in = ends[0];
	c->out = ends[1];
	int sent = c->from.kind == SIDE_STREAM ? 0 : start_end(&c->from, NULL, send_end, c, &sender, &why_sent);
	if (c->from.kind != SIDE_STREAM)
		close_fd(&c->out);
	int received = 0;
	if (sent >= 0 && c->to.kind != SIDE_STREAM) {
		received = start_end(&c->to, map_for_owners(c), receive_end, c, &receiver, &why_received);
		close_fd(&c->in);
	}
	if (sent >= 0 && received >= 0 && c->from.kind == SIDE_STREAM)
		sent = stream(c, false, &why_sent);
	else if (sent >= 0 && c->to.kind == SIDE_STREAM)
		received = stream(c, true, &why_received);
	close_fd(&c->in);
	close_fd(&c->out);
	if (sender.sock >= 0) {
		sent = inside_finish(&sender, &why_sent);
	}
	if (receiver.sock >= 0)
		received = inside_finish(&receiver, &why_received);
	return choose(sent, &why_sent, received, &why_received, e);
}

static int check_sides(const struct cp *c, struct err *e)
{
	const enum side_kind from = c->from.kind;
	const enum side_kind to = c->to.kind;
	if (from == SIDE_STREAM && to == SIDE_STREAM)
		return err_set(e, EINVAL, "cp: a tar from standard input to standard output is not a copy");
	if (from != SIDE_CONTAINER && to != SIDE_CONTAINER) {
		err_set(e, EINVAL, "cp: neither '%s' nor '%s' is in a container", c->o->source, c->o->dest);
		return err_hint(e, "paths in containers are CONTAINER:PATH");
	}
	if (to == SIDE_STREAM && isatty(STDOUT_FILENO)) {
		err_set(e, EINVAL, "cp: a tar archive would be written to the terminal");
		return err_hint(e, "redirect it: rl cp %s - > files.tar", c->o->source);
	}
	if (from == SIDE_STREAM && isatty(STDIN_FILENO))
		return err_set(e, EINVAL, "cp: a tar archive would be read from the terminal");
	return 0;
}

static char *source_name(const char *path)
{
	autofree char *clean = path_clean(path);
	return xstrdup(path_base(clean));
}

int container_cp(const struct container_cp_opts *o, struct err *e)
{
	struct cp c = {.o = o, .from = {.pidfd = -1}, .to = {.pidfd = -1}, .in = -1, .out = -1};
	int r = parse_side(o->source, &c.from, e);
	if (r >= 0)
		r = parse_side(o->dest, &c.to, e);
	if (r >= 0)
		r = check_sides(&c, e);
	if (r >= 0)
		c.name = source_name(c.from.path ? c.from.path : "/");
	bool same = r >= 0 && c.from.kind == SIDE_CONTAINER && c.to.kind == SIDE_CONTAINER &&
		    str_eq(c.from.container, c.to.container);
	if (same)
		r = err_set(e, EINVAL, "cp: both paths are in container %s; 'rl exec' can copy there",
			    c.from.container);
	for (int attempt = 0; r >= 0; attempt++) {
		struct err why = ERR_INIT;
		r = open_side(&c, &c.from, &why);
		if (r >= 0)
			r = open_side(&c, &c.to, &why);
		if (r >= 0)
			r = copy(&c, &why);
		if (r >= 0)
			break;
		/* It ended, or ends, between the look and the leap. What came from a stream is gone, though. */
		bool again = (r == -EAGAIN || (r == -ESRCH && c.from.kind != SIDE_STREAM)) && attempt < ATTEMPTS;
		close_side(&c.from);
		close_side(&c.to);
		if (again)
			r = 0;
		else if (e)
			*e = why;
	}
	free_side(&c.from);
	free_side(&c.to);
	free(c.name);
	return r;
}
