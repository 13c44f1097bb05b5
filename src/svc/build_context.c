/*
 * build_context.c - where the files of a build come from: a directory, an archive, standard input, a git repository; the
 * Dockerfile and the ignore file in it; and what ADD fetches.
 *
 * Archives and what is fetched are unpacked or written into the build's work directory by rl-image, confined; git is the
 * person's own program. From there on they are directories like any other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_int.h"
#include "build_tree_int.h"
#include "image_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/safepath.h"

enum { MAGIC_SIZE = 512, IGNORE_MAX = 16 << 20 };

/* ---- kinds of things ---- */

static bool is_git(const char *text)
{
	autofree char *plain = xstrndup(text, strcspn(text, "#?"));
	return str_after(text, "git://") || str_after(text, "git@") || str_after(text, "ssh://") ||
	       str_after(text, "github.com/") || str_ends(plain, ".git");
}

/* Compressed, or a tar as it is? */
static bool is_archive(const unsigned char *magic, size_t n)
{
	static const struct {
		const char *bytes;
		size_t len, at;
	} known[] = {{"\x1f\x8b", 2, 0},
		     {"BZh", 3, 0},
		     {"\xfd"
		      "7zXZ",
		      5, 0},
		     {"\x28\xb5\x2f\xfd", 4, 0},
		     {"ustar", 5, 257}};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (n >= known[i].at + known[i].len && memcmp(magic + known[i].at, known[i].bytes, known[i].len) == 0)
			return true;
	return false;
}

/* ---- work ---- */

static char *work_path(struct build *b, const char *kind)
{
	return xasprintf("%s/tmp/%s/%s-%u", b->store.root, b->work.name, kind, b->counter++);
}

static int open_directory(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open %s", path) : fd;
}

static int read_magic(int fd, unsigned char *magic, struct err *e)
{
	ssize_t n = io_read_full(fd, magic, MAGIC_SIZE, e);
	return (int)n;
}

/* What rl-image does not inflate itself is inflated by the program that everybody uses for it; NULL for all else. */
static const char *inflater_of(const unsigned char *magic, size_t n)
{
	if (n >= 5 && memcmp(magic,
			     "\xfd"
			     "7zXZ",
			     5) == 0)
		return "xz";
	return n >= 3 && memcmp(magic, "BZh", 3) == 0 ? "bzip2" : NULL;
}

/* The verb's operand is what `program` makes of the file. */
static int unpack_through(struct build *b, const char *program, int file, struct strv *verb, struct err *e)
{
	char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "-dc", NULL};
	struct proc_child child = PROC_CHILD_NONE;
	struct err why = ERR_INIT;
	int pipes[2];
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	autofd int from = pipes[0];
	autofd int to = pipes[1];
	int r = proc_spawn(
		&(struct proc_spawn){.argv = argv, .stdin_fd = file, .stdout_fd = to, .parent_death_signal = SIGKILL},
		&child, e);
	if (r == -ENOENT)
		return err_hint(e, "such archives are unpacked by the program %s: apt-get install %s", program,
				str_eq(program, "xz") ? "xz-utils" : program);
	if (r < 0)
		return r;
	close_fd(&to);
	strv_add(verb, "/proc/self/fd/4");
	r = image_program_feed(&b->store, &b->map, verb, &from, 1, NULL, NULL, &why);
	close_fd(&from);
	/* Half an archive: the one that reads the compressed form knows why. */
	int inflated = proc_wait_ok(&child, program, e);
	if (inflated < 0)
		return err_set(e, EBADMSG, "%s cannot read it to the end", program);
	if (r < 0 && e)
		*e = why;
	return r;
}

/* Returns the directory with what the file held. */
static int unpack(struct build *b, const char *source, struct err *e)
{
	unsigned char magic[MAGIC_SIZE];
	autofree char *dir = work_path(b, "unpacked");
	autostrv struct strv verb = STRV_INIT;
	autofd int file = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (file < 0)
		return err_sys(e, errno, "open %s", source);
	if (mkdir(dir, 0755) < 0)
		return err_sys(e, errno, "make %s", dir);
	int n = read_magic(file, magic, e);
	if (n < 0)
		return n;
	const char *program = inflater_of(magic, (size_t)n);
	if (program && lseek(file, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "seek %s", source);
	strv_add(&verb, "unpack-tar");
	strv_addf(&verb, "--output=%s", dir);
	if (!program)
		strv_add(&verb, source);
	int r = program ? unpack_through(b, program, file, &verb, e)
			: image_program_run(&b->store, &b->map, &verb, false, NULL, NULL, e);
	return r < 0 ? r : open_directory(dir, e);
}

static int fetch(struct build *b, const char *url, char **ret_path, struct err *e)
{
	autofree char *path = work_path(b, "fetched");
	autostrv struct strv verb = STRV_INIT;
	strv_add(&verb, "fetch");
	strv_addf(&verb, "--output=%s", path);
	strv_add(&verb, url);
	int r = image_program_run(&b->store, &b->map, &verb, false, NULL, NULL, e);
	if (r >= 0)
		*ret_path = take_ptr(&path);
	return r < 0 ? r : 0;
}

/* quiet: an attempt, which another one follows. */
static int run_git(const char *const *args, const char *dir, bool quiet, struct err *e)
{
	autostrv struct strv argv = STRV_INIT;
	strv_add(&argv, "git");
	if (dir) {
		strv_add(&argv, "-C");
		strv_add(&argv, dir);
	}
	for (; *args; args++)
		strv_add(&argv, *args);
	struct proc_child child = PROC_CHILD_NONE;
	autofd int null = quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	int r = proc_spawn(&(struct proc_spawn){.argv = strv_argv(&argv),
						.stdout_fd = STDERR_FILENO,
						.stderr_fd = null < 0 ? 0 : null,
						.parent_death_signal = SIGKILL},
			   &child, e);
	if (r == -ENOENT)
		return err_hint(e, "git repositories are fetched by git: apt-get install git");
	return r < 0 ? r : proc_wait_ok(&child, "git", e);
}

/* URL#REF:DIR. Returns the directory, and its path. */
static int clone_git(struct build *b, const char *url, char **ret_dir, struct err *e)
{
	autofree char *repo = xstrndup(url, strcspn(url, "#"));
	autofree char *fragment = xstrdup(url[strlen(repo)] == '#' ? url + strlen(repo) + 1 : "");
	char *sub = strchr(fragment, ':');
	if (sub)
		*sub++ = '\0';
	if (str_after(repo, "github.com/")) {
		char *with = xasprintf("https://%s", repo);
		free(repo);
		repo = with;
	}
	if (*fragment == '-' || *repo == '-')
		return err_set(e, EINVAL, "%s: a name that begins with '-'", url);
	autofree char *dir = work_path(b, "git");
	const char *init[] = {"init", "-q", dir, NULL};
	const char *fetch_args[] = {"fetch", "-q", "--depth=1", repo, *fragment ? fragment : "HEAD", NULL};
	const char *fetch_deep[] = {"fetch", "-q", repo, *fragment ? fragment : "HEAD", NULL};
	const char *fetch_all[] = {"fetch", "-q", "--tags", repo, "+refs/heads/*:refs/remotes/origin/*", NULL};
	const char *checkout[] = {"checkout", "-q", "--detach", "FETCH_HEAD", NULL};
	const char *checkout_ref[] = {"checkout", "-q", "--detach", fragment, NULL};
	const char *modules[] = {"submodule", "-q", "update", "--init", "--recursive", "--depth=1", NULL};
	struct err why = ERR_INIT;
	int r = run_git(init, NULL, false, e);
	/* Not every server gives one commit without its history, or a commit by its number alone. */
	if (r >= 0 && (run_git(fetch_args, dir, true, &why) >= 0 || run_git(fetch_deep, dir, true, &why) >= 0)) {
		r = run_git(checkout, dir, false, e);
	} else if (r >= 0) {
		r = run_git(fetch_all, dir, false, e);
		if (r >= 0)
			r = run_git(checkout_ref, dir, false, e);
	}
	if (r >= 0)
		r = run_git(modules, dir, false, e);
	if (r < 0)
		return err_ctx(e, "%s", url);
	autofd int root = open_directory(dir, e);
	if (root < 0)
		return root;
	int fd = sub && *sub ? safepath_open(root, sub, O_RDONLY | O_DIRECTORY, 0, e) : take_fd(&root);
	if (fd >= 0 && ret_dir)
		*ret_dir = take_ptr(&dir);
	return fd < 0 ? err_ctx(e, "%s", url) : fd;
}

/* ---- the context ---- */

/* Standard input: an archive, or a Dockerfile with no context. */
static int context_stdin(struct build *b, struct build_context *ret, struct err *e)
{
	unsigned char magic[MAGIC_SIZE];
	autofree char *path = work_path(b, "stdin");
	if (isatty(STDIN_FILENO))
		return err_set(e, EINVAL, "the context would be read from the terminal");
	autofd int copy = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (copy < 0)
		return err_sys(e, errno, "create %s", path);
	int n = read_magic(STDIN_FILENO, magic, e);
	if (n < 0)
		return n;
	int r = io_write_all(copy, magic, (size_t)n, e);
	char buffer[65536];
	while (r >= 0) {
		ssize_t got = read(STDIN_FILENO, buffer, sizeof(buffer));
		if (got < 0 && errno != EINTR)
			return err_sys(e, errno, "read standard input");
		if (got == 0)
			break;
		if (got > 0)
			r = io_write_all(copy, buffer, (size_t)got, e);
	}
	if (r < 0)
		return r;
	if (is_archive(magic, (size_t)n)) {
		ret->rootfd = unpack(b, path, e);
		return ret->rootfd < 0 ? ret->rootfd : 0;
	}
	if (b->o->file)
		return err_set(e, EINVAL, "standard input is no archive, and -f names another Dockerfile");
	b->o->file = take_ptr(&path);
	b->from_stdin = true;
	ret->rootfd = -1;
	return 0;
}

int build_context_of(struct build *b, const char *where, struct build_context *ret, struct err *e)
{
	struct stat st;
	ret->rootfd = -1;
	ret->dir = NULL;
	if (is_git(where) && stat(where, &st) < 0) {
		ret->rootfd = clone_git(b, where, NULL, e);
	} else if (path_is_address(where)) {
		autofree char *path = NULL;
		int r = fetch(b, where, &path, e);
		if (r < 0)
			return r;
		ret->rootfd = unpack(b, path, e);
	} else if (stat(where, &st) == 0 && S_ISREG(st.st_mode)) {
		ret->rootfd = unpack(b, where, e);
	} else {
		ret->rootfd = open_directory(where, e);
		ret->dir = xstrdup(where);
	}
	return ret->rootfd < 0 ? err_ctx(e, "context") : 0;
}

void build_context_close(struct build_context *c)
{
	close_fd(&c->rootfd);
	ignore_free(&c->ignore);
	free(c->dir);
	c->dir = NULL;
}

static int read_ignore(struct build *b, int dirfd, const char *name, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = safepath_read_file(dirfd, name, IGNORE_MAX, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : err_sys(e, -r, "read %s", name);
	r = ignore_parse(&b->context.ignore, text.buf, text.len, name, e);
	return r < 0 ? r : 1;
}

int build_find_ignore(struct build *b, const char *dockerfile, struct err *e)
{
	static const char *const names[] = {".containerignore", ".dockerignore"};
	if (b->o->ignorefile) {
		autostr struct str text = STR_INIT;
		int r = io_read_file(AT_FDCWD, b->o->ignorefile, IGNORE_MAX, &text, e);
		return r < 0 ? err_ctx(e, "--ignorefile")
			     : ignore_parse(&b->context.ignore, text.buf, text.len, b->o->ignorefile, e);
	}
	static const char *const suffixes[] = {".containerignore", ".dockerignore"};
	for (size_t i = 0; i < ARRAY_SIZE(suffixes) && dockerfile; i++) {
		autofree char *beside = xasprintf("%s%s", dockerfile, suffixes[i]);
		autostr struct str text = STR_INIT;
		if (io_read_file(AT_FDCWD, beside, IGNORE_MAX, &text, NULL) >= 0)
			return ignore_parse(&b->context.ignore, text.buf, text.len, beside, e);
	}
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0 && b->context.rootfd >= 0; i++)
		r = read_ignore(b, b->context.rootfd, names[i], e);
	return r < 0 ? r : 0;
}

int build_context_open(struct build *b, struct err *e)
{
	b->context.rootfd = -1;
	return str_eq(b->o->context, "-") ? context_stdin(b, &b->context, e)
					  : build_context_of(b, b->o->context, &b->context, e);
}

/* ---- the Dockerfile ---- */

static int read_named(struct build *b, struct str *out, char **ret_path, struct err *e)
{
	const char *file = b->o->file;
	if (str_eq(file, "-")) {
		b->file_name = xstrdup("Dockerfile");
		return io_read_rest(STDIN_FILENO, DOCKERFILE_MAX, "the Dockerfile", out, e);
	}
	b->file_name = xstrdup(b->from_stdin ? "Dockerfile" : path_base(file));
	struct err why = ERR_INIT;
	int r = io_read_file(AT_FDCWD, file, DOCKERFILE_MAX, out, &why);
	if (r >= 0) {
		*ret_path = xstrdup(file);
		return r;
	}
	/* podman looks in the context too */
	if (r == -ENOENT && b->context.rootfd >= 0 &&
	    safepath_read_file(b->context.rootfd, file, DOCKERFILE_MAX, out, NULL) >= 0) {
		if (b->context.dir)
			*ret_path = path_join(b->context.dir, file);
		return 0;
	}
	if (e)
		*e = why;
	return err_ctx(e, "-f");
}

static int read_default(struct build *b, struct str *out, char **ret_path, struct err *e)
{
	static const char *const names[] = {"Containerfile", "Dockerfile", "dockerfile"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int r = safepath_read_file(b->context.rootfd, names[i], DOCKERFILE_MAX, out, e);
		if (r >= 0) {
			b->file_name = xstrdup(names[i]);
			if (b->context.dir)
				*ret_path = path_join(b->context.dir, names[i]);
			return 0;
		}
		if (r != -ENOENT)
			return err_ctx(e, "%s", names[i]);
	}
	err_set(e, ENOENT, "%s holds neither Containerfile nor Dockerfile", b->o->context);
	return err_hint(e, "-f FILE names another one");
}

int build_read_dockerfile(struct build *b, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofree char *path = NULL;
	int r = b->o->file ? read_named(b, &text, &path, e) : read_default(b, &text, &path, e);
	if (r < 0)
		return r;
	r = dockerfile_parse(text.buf, text.len, &b->file, &b->where, e);
	if (r < 0)
		return err_ctx(e, "%s", b->file_name);
	return build_find_ignore(b, path, e);
}

/* ---- what ADD needs ---- */

static int hash_file(struct build *b, const char *path, char ret_hex[BUILD_KEY_SIZE], struct err *e)
{
	struct build_hash h;
	char buffer[65536];
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	build_hash_begin(&h, &b->crypto);
	ssize_t n;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		build_hash_add(&h, buffer, (size_t)n);
	build_hash_end(&h, ret_hex);
	return n < 0 ? err_sys(e, errno, "read %s", path) : 0;
}

int build_fetch_source(struct build *b, struct build_step *st, struct build_source *src, struct build_hash *h,
		       struct err *e)
{
	char hex[BUILD_KEY_SIZE];
	if (src->kind == BUILD_FROM_GIT) {
		autofree char *dir = NULL;
		src->fd = clone_git(b, src->path, &dir, e);
		if (src->fd < 0)
			return src->fd;
		/* The commit says what is in it. */
		autostr struct str head = STR_INIT;
		autofree char *file = xasprintf("%s/.git/HEAD", dir);
		int r = io_read_file(AT_FDCWD, file, 4096, &head, e);
		build_hash_text(h, head.buf);
		autofree char *git = xasprintf("%s/.git", dir);
		return r < 0 || st->keep_git ? r : io_remove_tree(AT_FDCWD, git, e);
	}
	autofree char *path = NULL;
	int r = fetch(b, src->path, &path, e);
	if (r >= 0)
		r = hash_file(b, path, hex, e);
	if (r < 0)
		return r;
	if (st->checksum && !str_eq(st->checksum + 7, hex))
		return err_set(e, EBADMSG, "%s: the checksum is sha256:%s and not the one given", src->path, hex);
	build_hash_text(h, hex);
	src->fd = open(path, O_RDONLY | O_CLOEXEC);
	return src->fd < 0 ? err_sys(e, errno, "open %s", path) : 0;
}

int build_unpack_source(struct build *b, struct build_step *st, struct build_source *src, struct err *e)
{
	unsigned char magic[MAGIC_SIZE];
	const struct ignore *g;
	int rootfd = build_source_root(b, st, &g);
	autofd int file = -1;
	if (src->kind == BUILD_FROM_URL) {
		file = fcntl(src->fd, F_DUPFD_CLOEXEC, 3);
	} else {
		if (src->found.count != 1)
			return 0;
		file = safepath_open(rootfd, src->found.items[0], O_RDONLY | O_NONBLOCK, 0, NULL);
	}
	struct stat sb;
	if (file < 0 || fstat(file, &sb) < 0 || !S_ISREG(sb.st_mode))
		return 0;
	ssize_t n = pread(file, magic, sizeof(magic), 0);
	if (n <= 0 || !is_archive(magic, (size_t)n))
		return 0;
	autofree char *path = xasprintf("/proc/%d/fd/%d", (int)getpid(), file);
	struct err why = ERR_INIT;
	int fd = unpack(b, path, &why);
	/* Compressed and no tar inside: it is a file like any other, as with docker. */
	if (fd == -EBADMSG && !str_eq(path_base(src->path), "") && !strstr(src->path, ".tar") &&
	    !str_ends(src->path, ".tgz"))
		return 0;
	if (fd < 0) {
		if (e)
			*e = why;
		return err_ctx(e, "%s", src->path);
	}
	close_fd(&src->fd);
	src->fd = fd;
	src->archive = true;
	return 0;
}
