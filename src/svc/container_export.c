/*
 * container_export.c - `rl export`: a container's or an image's whole file system; see rl/svc/container_copy.h.
 *
 *     tar        rl-image packs the stack of layers as it is; nothing is mounted, true owners come from the records
 *     squashfs   the same tar into mksquashfs
 *     ext4, erofs  mkfs reads a tree, so the layers are stacked, read-only, in a mount namespace of its own in the id
 *                map's user namespace: what stat says there are the container's ids. Owners that are only recorded (maps
 *                with one id) are not in such an image, which is said
 *
 * The output is a file without a name until it is whole. Its programs get it as a descriptor, since they may not be the
 * user to whom its directory belongs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_copied.h"
#include "container_stack.h"
#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/mnt.h"
#include "rl/svc/container_copy.h"

enum { DEPTH_MAX = 512, BLOCK = 4096, EXT4_SPARE = 32 << 20 };

enum export_format { EXPORT_TAR, EXPORT_SQUASHFS, EXPORT_EXT4, EXPORT_EROFS, EXPORT_FORMAT_N };

static const struct {
	const char *name, *program, *package;
} formats[] = {
	[EXPORT_TAR] = {"tar", NULL, NULL},
	[EXPORT_SQUASHFS] = {"squashfs", "mksquashfs", "squashfs-tools"},
	[EXPORT_EXT4] = {"ext4", "mkfs.ext4", "e2fsprogs"},
	[EXPORT_EROFS] = {"erofs", "mkfs.erofs", "erofs-utils"},
};
_Static_assert(ARRAY_SIZE(formats) == EXPORT_FORMAT_N, "a row for every format");

struct export
{
	enum export_format format;
	char *program;
	struct container_stack k; /* of a container; else only its store is open */
	bool is_container;
	struct image_run image;
	struct strv dirs; /* TOP first */
	struct idmap map;
	bool has_map;
	int outfd;
	char *temp; /* a name the file has while it is made, where it cannot be without one */
};

/* ---- what ---- */

static char *find_program(const char *name)
{
	autostrv struct strv dirs = STRV_INIT;
	const char *path = getenv("PATH");
	strv_split(&dirs, path ? path : "", ':');
	strv_add(&dirs, "/usr/sbin");
	strv_add(&dirs, "/sbin");
	for (size_t i = 0; i < dirs.count; i++) {
		autofree char *file = path_join(dirs.items[i], name);
		if (*dirs.items[i] == '/' && faccessat(AT_FDCWD, file, X_OK, 0) == 0)
			return take_ptr(&file);
	}
	return NULL;
}

static int parse_format(struct export *x, const char *name, struct err *e)
{
	x->format = EXPORT_TAR;
	while (name && x->format < EXPORT_FORMAT_N && !str_eq(formats[x->format].name, name))
		x->format++;
	if (x->format == EXPORT_FORMAT_N) {
		x->format = EXPORT_TAR;
		return err_set(e, EINVAL, "export: '%s' is no format: tar, squashfs, ext4, erofs", name);
	}
	if (!formats[x->format].program)
		return 0;
	x->program = find_program(formats[x->format].program);
	if (x->program)
		return 0;
	err_set(e, ENOENT, "export: %s is made by %s, which is not installed", name, formats[x->format].program);
	return err_hint(e, "the package is %s", formats[x->format].package);
}

static int open_image(struct export *x, const char *name, struct err *e)
{
	/* A name may be a container's that is gone: nothing is fetched for it unless it says that it is an image's. */
	enum pull_policy policy = str_after(name, "docker://") ? PULL_MISSING : PULL_NEVER;
	int r = idmap_detect(false, &x->map, e);
	if (r >= 0)
		r = image_ensure(&x->k.store, name, policy, &x->map, NULL, &x->image, e);
	if (r < 0)
		return r;
	x->has_map = true;
	strv_add_all(&x->dirs, &x->image.lowers);
	return 0;
}

/* A container by this name, else an image. */
static int open_source(struct export *x, const struct container_export_opts *o, struct err *e)
{
	struct err why = ERR_INIT;
	int r = container_stack_open(o->root, o->name, STACK_READ, &x->k, &why);
	if (r >= 0) {
		x->is_container = true;
		x->map = x->k.map;
		x->has_map = x->k.has_map;
		if (container_is_copied(x->k.rec.dirfd)) {
			strv_addf(&x->dirs, "%s/" CONTAINER_COPIED_ROOT, x->k.rec.dir);
			return 0;
		}
		strv_add_all(&x->dirs, &x->k.mine);
		strv_add_all(&x->dirs, &x->k.image);
		return container_stack_need_layers(&x->k, "export", e);
	}
	x->k = (struct container_stack)CONTAINER_STACK_INIT;
	if (r != -ENOENT) {
		if (e)
			*e = why;
		return r;
	}
	struct err why_image = ERR_INIT;
	r = store_open(o->root, true, &x->k.store, e);
	if (r < 0)
		return r;
	r = open_image(x, o->name, &why_image);
	if (r >= 0)
		return 0;
	if (e)
		*e = why_image;
	if (r == -ENOENT || r == -EINVAL) {
		err_set(e, ENOENT, "there is no container and no image '%s'", o->name);
		return *why.hint ? err_hint(e, "%s", why.hint) : -ENOENT;
	}
	return r;
}

/* ---- where to ---- */

static int open_output(struct export *x, const char *output, struct err *e)
{
	struct stat st;
	if (str_eq(output, "-")) {
		if (x->format != EXPORT_TAR)
			return err_set(e, EINVAL, "export: %s needs a file: -o FILE", formats[x->format].name);
		if (isatty(STDOUT_FILENO)) {
			err_set(e, EINVAL, "export: a tar archive would be written to the terminal");
			return err_hint(e, "redirect it, or use -o FILE");
		}
		x->outfd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return x->outfd < 0 ? err_sys(e, errno, "dup") : 0;
	}
	if (stat(output, &st) == 0 && !S_ISREG(st.st_mode)) {
		if (S_ISDIR(st.st_mode))
			return err_sys(e, EISDIR, "%s", output);
		x->outfd = open(output, O_WRONLY | O_NOCTTY | O_CLOEXEC);
		return x->outfd < 0 ? err_sys(e, errno, "%s", output) : 0;
	}
	autofree char *dir = path_dir(output);
	x->outfd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
	if (x->outfd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return err_sys(e, errno, "%s", output);
	char random[17];
	io_random_hex(8, random);
	x->temp = xasprintf("%s.%s", output, random);
	x->outfd = open(x->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return x->outfd < 0 ? err_sys(e, errno, "%s", output) : 0;
}

static int name_output(struct export *x, const char *output, struct err *e)
{
	struct stat st;
	if (fstat(x->outfd, &st) < 0)
		return err_sys(e, errno, "stat %s", output);
	if (!x->temp && !(S_ISREG(st.st_mode) && st.st_nlink == 0))
		return 0;
	if (fsync(x->outfd) < 0)
		return err_sys(e, errno, "write %s", output);
	if (!x->temp) {
		char from[40];
		char random[17];
		io_random_hex(8, random);
		snprintf(from, sizeof(from), "/proc/self/fd/%d", x->outfd);
		x->temp = xasprintf("%s.%s", output, random);
		if (linkat(AT_FDCWD, from, AT_FDCWD, x->temp, AT_SYMLINK_FOLLOW) < 0) {
			int errnum = errno;
			free(take_ptr(&x->temp));
			return err_sys(e, errnum, "name %s", output);
		}
	}
	if (rename(x->temp, output) < 0)
		return err_sys(e, errno, "name %s", output);
	free(take_ptr(&x->temp));
	return 0;
}

/* ---- tar ---- */

static int write_tar(const struct export *x, int fd, struct err *e)
{
	static const struct idmap identity = {.form = IDMAP_IDENTITY, .key = "identity"};
	autojson json_t *request = json_object();
	json_put_strv(request, "dirs", &x->dirs);
	json_put_bool(request, "trust_records", !x->is_container || x->k.rec.config.o.emulate > 0);
	autofd int requestfd = image_request_fd(request, e);
	if (requestfd < 0)
		return requestfd;
	autostrv struct strv verb = STRV_INIT;
	strv_add(&verb, "export");
	const int fds[] = {requestfd, fd};
	return image_program_feed(&x->k.store, x->has_map ? &x->map : &identity, &verb, fds, ARRAY_SIZE(fds), NULL,
				  NULL, e);
}

/* A program of the machine at work; what it says is heard only if it fails. */
struct maker {
	struct proc_child child;
	int said;
};

static int maker_start(const struct export *x, const struct strv *argv, int stdin_fd, struct maker *m, struct err *e)
{
	*m = (struct maker){.child = PROC_CHILD_NONE, .said = io_memory_file("said", e)};
	if (m->said < 0)
		return m->said;
	int r = proc_spawn(&(struct proc_spawn){.path = x->program,
						.argv = strv_argv(argv),
						.fds = &x->outfd,
						.nfds = 1,
						.stdin_fd = stdin_fd,
						.stdout_fd = m->said,
						.stderr_fd = m->said,
						.parent_death_signal = SIGKILL},
			   &m->child, e);
	if (r < 0)
		close_fd(&m->said);
	return r;
}

static int maker_end(const struct export *x, struct maker *m, struct err *e)
{
	char tail[200] = "";
	int r = proc_wait_ok(&m->child, formats[x->format].program, e);
	off_t size = lseek(m->said, 0, SEEK_END);
	if (r < 0 && size > 0) {
		ssize_t n = pread(m->said, tail, sizeof(tail) - 1, RL_MAX(size - (off_t)sizeof(tail) + 1, (off_t)0));
		tail[RL_MAX(n, (ssize_t)0)] = '\0';
		while (n > 0 && tail[n - 1] == '\n')
			tail[--n] = '\0';
		const char *line = strrchr(tail, '\n');
		r = err_hint(e, "it said: %s", line ? line + 1 : tail);
	}
	close_fd(&m->said);
	return r;
}

struct squashfs {
	const struct export *x;
	int from, to; /* ends of the pipe the tar comes through */
};

/* As root of the map, because the program gives the root directory to whoever it is; the tar does not tell it. */
static int run_squashfs(void *arg, struct err *e)
{
	const struct squashfs *q = arg;
	static const char *const words[] = {"-",      "/proc/self/fd/3", "-tar",      "-noappend",
					    "-quiet", "-no-progress",	 "-root-mode"};
	autostrv struct strv argv = STRV_INIT;
	struct stat st;
	struct maker m;
	close(q->to);
	strv_add(&argv, q->x->program);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(&argv, words[i]);
	strv_addf(&argv, "%o", stat(q->x->dirs.items[0], &st) == 0 ? (unsigned)st.st_mode & 07777u : 0755u);
	int r = maker_start(q->x, &argv, q->from, &m, e);
	return r < 0 ? r : maker_end(q->x, &m, e);
}

static int write_squashfs(const struct export *x, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	struct squashfs q = {.x = x, .from = ends[0], .to = ends[1]};
	struct inside_job job = INSIDE_JOB_NONE;
	int r = inside_start(
		&(struct inside){
			.map = x->has_map ? &x->map : NULL, .fn = run_squashfs, .arg = &q, .what = "the export"},
		&job, e);
	close(ends[0]);
	if (r < 0) {
		close(ends[1]);
		return r;
	}
	struct err why = ERR_INIT;
	int written = write_tar(x, ends[1], &why);
	close(ends[1]);
	/* If it ended early the packer saw a broken pipe; then its status is the cause. */
	r = inside_finish(&job, e);
	if (r >= 0 && written < 0) {
		if (e)
			*e = why;
		return written;
	}
	return r;
}

/* ---- file systems made from a tree ---- */

struct tally {
	uint64_t bytes, inodes;
};

static int count(int dirfd, struct tally *t, unsigned depth, struct err *e)
{
	int own = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	if (!d)
		return err_sys(e, errno, "read directory");
	t->inodes++;
	t->bytes += 2 * BLOCK;
	while ((entry = readdir(d))) {
		struct stat st;
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			autofd int fd = openat(dirfd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			int r = fd < 0 ? 0 : count(fd, t, depth + 1, e);
			if (r < 0)
				return r;
			continue;
		}
		t->inodes++;
		t->bytes += S_ISREG(st.st_mode) ? ((uint64_t)st.st_size + BLOCK - 1) / BLOCK * BLOCK : BLOCK;
	}
	return 0;
}

/* In a mount namespace of its own: the stack, read-only, over its topmost directory. */
static int stack_read_only(const struct export *x, struct err *e)
{
	size_t n = x->dirs.count;
	autofree int *lower = xcalloc(n + 1, sizeof(int));
	if (!x->has_map && unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "make a mount namespace");
	int r = mnt_make_all_private(e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		lower[i] = open(x->dirs.items[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (lower[i] < 0)
			return err_sys(e, errno, "%s", x->dirs.items[i]);
	}
	if (n == 1) {
		/* One layer is what it shows. */
		int fd = open(x->dirs.items[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_sys(e, errno, "%s", x->dirs.items[0]) : fd;
	}
	const struct mnt_overlay o = {.lower = lower, .nlower = n, .upper = -1, .work = -1};
	return mnt_overlay(&o, MNT_RDONLY | MNT_NODEV | MNT_NOSUID, lower[0], e);
}

static int run_maker(const struct export *x, const struct strv *argv, struct err *e)
{
	struct maker m;
	int r = maker_start(x, argv, 0, &m, e);
	return r < 0 ? r : maker_end(x, &m, e);
}

static int make_from_tree(void *arg, struct err *e)
{
	const struct export *x = arg;
	autostrv struct strv argv = STRV_INIT;
	autofd int rootfd = stack_read_only(x, e);
	if (rootfd < 0)
		return rootfd;
	strv_add(&argv, x->program);
	if (x->format == EXPORT_EROFS) {
		strv_add(&argv, "--quiet");
		strv_add(&argv, "/proc/self/fd/3");
		strv_add(&argv, x->dirs.items[0]);
		return run_maker(x, &argv, e);
	}
	struct tally t = {.bytes = 0};
	int r = count(rootfd, &t, 0, e);
	if (r < 0)
		return r;
	uint64_t inodes = t.inodes + t.inodes / 8 + 64;
	uint64_t size = (t.bytes + t.bytes / 12 + inodes * 256 + EXT4_SPARE) / BLOCK * BLOCK;
	if (ftruncate(x->outfd, (off_t)size) < 0)
		return err_sys(e, errno, "make a file of %llu bytes", (unsigned long long)size);
	strv_add(&argv, "-q");
	strv_add(&argv, "-F");
	strv_addf(&argv, "-N%llu", (unsigned long long)inodes);
	strv_add(&argv, "-m0");
	strv_addf(&argv, "-d%s", x->dirs.items[0]);
	strv_add(&argv, "/proc/self/fd/3");
	return run_maker(x, &argv, e);
}

static int write_from_tree(struct export *x, struct err *e)
{
	if (x->has_map && x->map.form == IDMAP_SINGLE)
		log_warn("there is one user id: in %s all files are root's; tar and squashfs keep recorded owners",
			 formats[x->format].name);
	return inside_run(&(struct inside){.map = x->has_map ? &x->map : NULL,
					   .clone_flags = CLONE_NEWNS,
					   .fn = make_from_tree,
					   .arg = x,
					   .what = "the export"},
			  e);
}

/* The programs open their output anew, maybe as another user. It has no name yet that others know. */
static int write_by_program(struct export *x, struct err *e)
{
	struct stat st;
	bool regular = fstat(x->outfd, &st) == 0 && S_ISREG(st.st_mode);
	if (regular && fchmod(x->outfd, 0666) < 0)
		return err_sys(e, errno, "chmod");
	int r = x->format == EXPORT_SQUASHFS ? write_squashfs(x, e) : write_from_tree(x, e);
	if (r >= 0 && regular && fchmod(x->outfd, 0644) < 0)
		r = err_sys(e, errno, "chmod");
	return r;
}

int container_export(const struct container_export_opts *o, struct err *e)
{
	struct export x = {.k = CONTAINER_STACK_INIT, .image = IMAGE_RUN_INIT, .outfd = -1};
	int r = parse_format(&x, o->format, e);
	if (r >= 0)
		r = open_source(&x, o, e);
	if (r >= 0)
		r = open_output(&x, o->output, e);
	if (r >= 0 && x.format == EXPORT_TAR)
		r = write_tar(&x, x.outfd, e);
	else if (r >= 0)
		r = write_by_program(&x, e);
	if (r >= 0)
		r = name_output(&x, o->output, e);
	if (x.temp)
		unlink(x.temp);
	free(x.temp);
	free(x.program);
	close_fd(&x.outfd);
	strv_free(&x.dirs);
	image_run_free(&x.image);
	container_stack_close(&x.k);
	return r;
}
