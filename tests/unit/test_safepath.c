#include "rl/kern/safepath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "tap.h"

/* Make openat2 answer `errnum` from now on; of several filters the last installed one decides. */
static bool filter_openat2(unsigned errnum)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static char *make_tree(void)
{
	char *top = tap_tmpdir();
	struct err e = ERR_INIT;
	int fd = open(top, O_DIRECTORY | O_CLOEXEC);
	static const char *const dirs[] = {"root/etc", "root/run", "root/a/b/c", "root/var", "outside"};
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		(void)!io_mkdirs(fd, dirs[i], 0755, &e);
	static const char *const files[] = {"root/etc/passwd", "root/a/file", "outside/secret", "secret"};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)!io_write_file(fd, files[i], files[i], strlen(files[i]), 0644, &e);
	static const struct {
		const char *path;
		const char *text;
	} links[] = {
		{"root/var/run", "/run"},
		{"root/up", "../../../../etc/passwd"},
		{"root/abs", "/etc/passwd"},
		{"root/dangling", "nowhere/at/all"},
		{"root/gone", "/gone-dir"},
		{"root/loop", "loop"},
		{"root/a/parent", ".."},
		{"root/ping", "pong"},
		{"root/pong", "ping"},
		{"root/a/b/out", "../../../outside"},
		{"root/slash", "/"},
		{"root/dir", "a/b/"},
		{"root/outfile", "../outside/secret"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].text, fd, links[i].path) < 0)
			tap_diag("symlink %s: %s", links[i].path, strerror(errno));
	mkfifoat(fd, "root/fifo", 0600);
	close(fd);
	return top;
}

static bool same_file(int fd, const char *top, const char *path)
{
	struct stat a;
	struct stat b;
	autofree char *full = xasprintf("%s/%s", top, path);
	return fd >= 0 && fstat(fd, &a) == 0 && lstat(full, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool is_there(const char *top, const char *path)
{
	struct stat st;
	autofree char *full = xasprintf("%s/%s", top, path);
	return lstat(full, &st) == 0;
}

static void test_resolution(int rootfd, const char *top, const char *how)
{
	static const struct {
		const char *path;
		const char *is;
		int error;
		const char *sentence;
	} cases[] = {
		{"/", "root", 0, "/ is the root"},
		{"..", "root", 0, ".. at the root is the root"},
		{"a/../../../..", "root", 0, "many .. end at the root"},
		{"/etc/passwd", "root/etc/passwd", 0, "an absolute path starts at the root"},
		{"etc//.//passwd", "root/etc/passwd", 0, "double slashes and dots are nothing"},
		{"abs", "root/etc/passwd", 0, "an absolute symlink starts at the root"},
		{"up", "root/etc/passwd", 0, "a symlink with .. stays in the root"},
		{"var/run", "root/run", 0, "a symlinked directory is followed"},
		{"a/parent/etc/passwd", "root/etc/passwd", 0, "a symlink to .. is followed"},
		{"slash/slash/a", "root/a", 0, "a symlink to / is the root"},
		{"dir/c", "root/a/b/c", 0, "a symlink with a slash at its end is followed"},
		{"dir/..", "root/a", 0, ".. behind a symlink is the parent of what it names"},
		{"a/b/out/secret", NULL, -ENOENT, "a symlink out of the root leads nowhere"},
		{"outfile", NULL, -ENOENT, "a symlink to a file outside leads nowhere"},
		{"dangling", NULL, -ENOENT, "a dangling symlink leads nowhere"},
		{"loop", NULL, -ELOOP, "a symlink to itself is an error"},
		{"ping", NULL, -ELOOP, "a circle of symlinks is an error"},
		{"a/file/", NULL, -ENOTDIR, "a file with a slash behind it is an error"},
		{"a/file/..", NULL, -ENOTDIR, ".. below a file is an error"},
		{"a/file/x", NULL, -ENOTDIR, "a component below a file is an error"},
		{"", NULL, -ENOENT, "an empty path is an error"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		autofd int fd = safepath_locate(rootfd, cases[i].path, &e);
		bool ok = cases[i].is ? same_file(fd, top, cases[i].is) : fd == cases[i].error;
		if (!tap_ok(ok, "%s: %s", how, cases[i].sentence))
			tap_diag("%s: %d %s", cases[i].path, fd, e.text);
	}
	struct err e = ERR_INIT;
	autofree char *longname = xmalloc(PATH_MAX + 2);
	memset(longname, 'x', 300);
	longname[300] = '\0';
	tap_is_int(safepath_locate(rootfd, longname, &e), -ENAMETOOLONG, "a component of 300 bytes is an error");
	for (size_t i = 0; i < PATH_MAX; i += 2)
		memcpy(longname + i, "./", 3);
	tap_is_int(safepath_locate(rootfd, longname, &e), -ENAMETOOLONG, "a path of 4096 bytes is an error");
}

static void test_magic(const char *how)
{
	struct err e = ERR_INIT;
	autofd int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	static const char *const magic[] = {"proc/self/root/etc", "proc/self/exe", "proc/self/cwd", "proc/self/fd/0",
					    "proc/self/ns/user"};
	if (!is_there("", "proc/self/ns/user")) {
		tap_skip("no /proc", "magic links are refused");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(magic); i++)
		tap_ok(safepath_locate(host, magic[i], &e) == -ELOOP, "%s: the magic link %s is refused", how,
		       magic[i]);
	autofd int fd = safepath_locate(host, "proc/mounts", &e);
	tap_ok(fd >= 0, "%s: ordinary links of procfs are followed", how);
}

static void test_creation(int rootfd, const char *top, const char *how)
{
	struct err e = ERR_INIT;
	int fd = safepath_open(rootfd, "etc/new", O_CREAT | O_WRONLY, 0600, &e);
	tap_ok(same_file(fd, top, "root/etc/new"), "%s: O_CREAT makes the last component", how);
	close(fd);
	tap_is_int(safepath_open(rootfd, "no/new", O_CREAT | O_WRONLY, 0600, &e), -ENOENT, "but no parents");
	tap_is_int(safepath_open(rootfd, "dangling", O_CREAT | O_WRONLY, 0600, &e), -ELOOP,
		   "nor through a dangling symlink");
	tap_is_int(safepath_open(rootfd, "abs", O_CREAT | O_WRONLY, 0600, &e), -ELOOP,
		   "nor through one that leads somewhere");
	tap_is_int(safepath_open(rootfd, "outfile", O_CREAT | O_WRONLY | O_TRUNC, 0600, &e), -ELOOP,
		   "nor one that leads out");
	fd = safepath_open(rootfd, "var/run/pidfile", O_CREAT | O_EXCL | O_RDWR, 0600, &e);
	tap_ok(same_file(fd, top, "root/run/pidfile"), "%s: parents may be symlinks", how);
	close(fd);

	fd = safepath_mkdirs(rootfd, "x/y/z", 0750, &e);
	struct stat st;
	tap_ok(same_file(fd, top, "root/x/y/z") && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0750,
	       "%s: mkdirs makes the whole path with the mode", how);
	close(fd);
	fd = safepath_mkdirs(rootfd, "var/run/lock/k", 0755, &e);
	tap_ok(same_file(fd, top, "root/run/lock/k"), "%s: mkdirs goes through a symlinked parent", how);
	close(fd);
	fd = safepath_mkdirs(rootfd, "gone/sub", 0755, &e);
	tap_ok(same_file(fd, top, "root/gone-dir/sub"),
	       "%s: a parent that is a dangling symlink is made inside the root", how);
	close(fd);
	(void)!io_remove_tree(rootfd, "gone-dir", &e);
	tap_is_int(safepath_mkdirs(rootfd, "dangling", 0755, &e), -ELOOP,
		   "mkdirs makes nothing through a dangling symlink at the end");
	tap_ok(!is_there(top, "root/nowhere"), "and no part of it");
	tap_is_int(safepath_mkdirs(rootfd, "a/file", 0755, &e), -ENOTDIR, "mkdirs on a file is an error");
	tap_is_int(safepath_mkdirs(rootfd, "a/file/x", 0755, &e), -ENOTDIR, "and below one too");
	fd = safepath_mkdirs(rootfd, "a/b/out/evil", 0755, &e);
	tap_ok(same_file(fd, top, "root/outside/evil") && !is_there(top, "outside/evil"),
	       "%s: mkdirs through a symlink that leads out makes its directories inside", how);
	close(fd);
	(void)!io_remove_tree(rootfd, "outside", &e);
	fd = safepath_mkdirs(rootfd, "n/../m/./k/", 0755, &e);
	tap_ok(same_file(fd, top, "root/m/k"), "%s: mkdirs understands .., . and a slash at the end", how);
	close(fd);
	fd = safepath_mkdirs(rootfd, "/", 0755, &e);
	tap_ok(same_file(fd, top, "root"), "%s: mkdirs of / is the root", how);
	close(fd);
	static const char *const made[] = {"x", "n", "m", "etc/new", "run/pidfile", "run/lock"};
	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		(void)!io_remove_tree(rootfd, made[i], &e);
}

static void test_mountpoints(int rootfd, const char *top, const char *how)
{
	struct err e = ERR_INIT;
	int fd = safepath_mountpoint(rootfd, "mnt/deep/dir", true, 0700, &e);
	struct stat st;
	tap_ok(same_file(fd, top, "root/mnt/deep/dir") && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0700,
	       "%s: a mount point directory is made with its parents", how);
	close(fd);
	fd = safepath_mountpoint(rootfd, "mnt/deep/file", false, 0644, &e);
	tap_ok(same_file(fd, top, "root/mnt/deep/file") && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		       st.st_size == 0,
	       "%s: a mount point file is made empty", how);
	close(fd);
	fd = safepath_mountpoint(rootfd, "abs", false, 0644, &e);
	tap_ok(same_file(fd, top, "root/etc/passwd"), "%s: a symlink to a file is followed inside the root", how);
	close(fd);
	fd = safepath_mountpoint(rootfd, "fifo", false, 0644, &e);
	tap_ok(same_file(fd, top, "root/fifo"), "%s: what is there may be of another kind than regular", how);
	close(fd);
	fd = safepath_mountpoint(rootfd, "mnt/slash/", true, 0755, &e);
	tap_ok(same_file(fd, top, "root/mnt/slash"), "%s: a slash at the end of a directory is nothing", how);
	close(fd);
	tap_is_int(safepath_mountpoint(rootfd, "a/file", true, 0755, &e), -ENOTDIR, "a file where a directory is due");
	tap_is_int(safepath_mountpoint(rootfd, "a/b", false, 0755, &e), -EISDIR, "a directory where a file is due");
	tap_is_int(safepath_mountpoint(rootfd, "dangling", false, 0644, &e), -ELOOP,
		   "a dangling symlink is refused for a file");
	tap_is_int(safepath_mountpoint(rootfd, "dangling", true, 0755, &e), -ELOOP, "and for a directory");
	tap_is_int(safepath_mountpoint(rootfd, "outfile", false, 0755, &e), -ELOOP, "and one that points outside too");
	tap_is_int(safepath_mountpoint(rootfd, "a/file/x", true, 0755, &e), -ENOTDIR, "nothing is made below a file");
	(void)!io_remove_tree(rootfd, "mnt", &e);
}

static void test_files(int rootfd, const char *top, const char *how)
{
	struct err e = ERR_INIT;
	autostr struct str text = STR_INIT;
	struct stat st;
	autofree char *secret = xasprintf("%s/outside/secret", top);
	tap_is_int(safepath_write_file(rootfd, "new/dir/hostname", "box\n", 4, 0640, &e), 0,
		   "a file is written, with parents");
	autofree char *path = xasprintf("%s/root/new/dir/hostname", top);
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_size == 4, "%s: with mode and content",
	       how);
	tap_is_int(safepath_write_file(rootfd, "outfile", "x", 1, 0644, &e), 0, "a symlink is replaced");
	autofree char *link = xasprintf("%s/root/outfile", top);
	tap_ok(lstat(link, &st) == 0 && S_ISREG(st.st_mode) && stat(secret, &st) == 0 && st.st_size == 14,
	       "%s: and not written through", how);
	unlink(link);
	(void)!symlink("../outside/secret", link);
	tap_is_int(safepath_write_file(rootfd, "fifo", "x", 1, 0644, &e), 0, "a fifo is replaced and does not block");
	unlinkat(rootfd, "fifo", 0);
	mkfifoat(rootfd, "fifo", 0600);
	tap_ok(safepath_write_file(rootfd, "a/b", "x", 1, 0644, &e) < 0, "%s: a directory is not", how);
	tap_is_int(safepath_write_file(rootfd, "a/b/", "x", 1, 0644, &e), -EINVAL,
		   "nor a name with a slash at its end");

	tap_ok(safepath_read_file(rootfd, "up", 100, &text, &e) == 0 && strcmp(text.buf, "root/etc/passwd") == 0,
	       "%s: a file is read through symlinks inside the root", how);
	tap_is_int(safepath_read_file(rootfd, "outfile", 100, &text, &e), -ENOENT,
		   "and not through one that leads out");
	tap_is_int(safepath_read_file(rootfd, "fifo", 100, &text, &e), -EINVAL, "a fifo is refused without blocking");
	tap_is_int(safepath_read_file(rootfd, "a", 100, &text, &e), -EISDIR, "a directory is refused");
	tap_is_int(safepath_read_file(rootfd, "etc/passwd", 5, &text, &e), -EFBIG,
		   "a file larger than the limit is refused");
	tap_is_int(safepath_read_file(rootfd, "etc/nothing", 5, &text, &e), -ENOENT, "a missing file is -ENOENT");

	tap_is_int(safepath_symlink(rootfd, "/proc/self/fd", "a/b/fd", &e), 0, "a symlink is made");
	tap_is_int(safepath_symlink(rootfd, "/proc/self/fd", "a/b/fd", &e), -EEXIST, "but not over something");
	(void)!io_remove_tree(rootfd, "new", &e);
	(void)!io_remove_tree(rootfd, "a/b/fd", &e);
}

/* The same random paths through both ways of resolution. */
enum { PATHS = 4000 };

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void random_path(uint32_t *seed, char *out, size_t size)
{
	static const char *const parts[] = {"a",     "b",    "c",   "..",     ".",    "",     "dir",
					    "slash", "var",  "run", "parent", "out",  "up",   "abs",
					    "gone",  "file", "etc", "passwd", "loop", "fifo", "outfile"};
	size_t len = 0;
	unsigned n = 1 + next_random(seed) % 7;
	out[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i || next_random(seed) % 2 ? "/" : "",
					parts[next_random(seed) % ARRAY_SIZE(parts)]);
}

/* Which object it is, in words that survive the tree being made anew: its path. */
static uint64_t identity(int fd)
{
	char link[64];
	char path[PATH_MAX];
	uint64_t hash = 0xcbf29ce484222325u;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path));
	for (ssize_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)path[i]) * 0x100000001b3u;
	return n > 0 ? hash >> 1 : 0; /* positive as a signed number: failures are negative */
}

static void resolve_all(int rootfd, uint64_t *results)
{
	static const int flags[] = {O_PATH,
				    O_PATH | O_NOFOLLOW,
				    O_PATH | O_DIRECTORY,
				    O_RDONLY | O_NONBLOCK,
				    O_RDONLY | O_NONBLOCK | O_NOFOLLOW,
				    O_WRONLY | O_NONBLOCK};
	uint32_t seed = 1;
	for (size_t i = 0; i < PATHS; i++) {
		char path[256];
		random_path(&seed, path, sizeof(path));
		autofd int fd = safepath_open(rootfd, path, flags[next_random(&seed) % ARRAY_SIZE(flags)], 0, NULL);
		results[i] = fd < 0 ? (uint64_t)(int64_t)fd : identity(fd);
	}
}

static void test_same_results(int rootfd, const uint64_t *want)
{
	autofree uint64_t *got = xcalloc(PATHS, sizeof(*got));
	resolve_all(rootfd, got);
	size_t different = 0;
	size_t found = 0;
	uint32_t seed = 1;
	for (size_t i = 0; i < PATHS; i++) {
		char path[256];
		random_path(&seed, path, sizeof(path));
		next_random(&seed);
		found += (int64_t)want[i] > 0;
		if (got[i] != want[i] && different++ < 10)
			tap_diag("%s: kernel %lld, walk %lld", path, (long long)want[i], (long long)got[i]);
	}
	tap_ok(different == 0 && found > PATHS / 20,
	       "the walk gives the kernel's answer for %d random paths (%zu exist)", PATHS, found);
}

static void battery(int rootfd, const char *top, const char *how)
{
	test_resolution(rootfd, top, how);
	test_magic(how);
	test_creation(rootfd, top, how);
	test_mountpoints(rootfd, top, how);
	test_files(rootfd, top, how);
}

static size_t count_fds(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int main(void)
{
	tap_plan_later();
	umask(022);
	autofree char *top = make_tree();
	autofree char *root = xasprintf("%s/root", top);
	autofd int rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t fds = count_fds();
	autofree uint64_t *kernel = xcalloc(PATHS, sizeof(*kernel));
	resolve_all(rootfd, kernel);

	battery(rootfd, top, "openat2");
	if (filter_openat2(ENOSYS)) {
		tap_ok(syscall(SYS_openat2, 0, 0, 0, 0) < 0 && errno == ENOSYS, "openat2 is gone");
		test_same_results(rootfd, kernel);
		battery(rootfd, top, "walk");
	} else {
		tap_skip("no seccomp filters", "the walk does the same where openat2 is missing");
	}
	if (filter_openat2(EPERM)) {
		tap_ok(syscall(SYS_openat2, 0, 0, 0, 0) < 0 && errno == EPERM, "openat2 is forbidden");
		test_same_results(rootfd, kernel);
	}
	tap_is_int(count_fds(), fds, "no descriptor is left open");
	struct err e = ERR_INIT;
	(void)!io_remove_tree(AT_FDCWD, top, &e);
	char path[32];
	safepath_fd_path(7, path);
	tap_is_str(path, "/proc/self/fd/7", "the path of a descriptor");
	return tap_done();
}
