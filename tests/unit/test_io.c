#include "rl/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

static bool has_file(int dir, const char *path)
{
	struct stat st;
	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static unsigned entries(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fdopendir(fd);
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	return n - 2;
}

static void ignore_signal(int sig)
{
	(void)sig;
}

/* A timer that interrupts system calls all the time: whole reads and writes must not notice. memcheck, on a busy machine,
 * has not yet left the handler of one signal when the next one comes, and gets nowhere: it is given more time. */
static void interrupt_often(bool on)
{
	struct sigaction sa = {.sa_handler = ignore_signal};
	sigaction(SIGALRM, &sa, NULL);
	const int us = !on ? 0 : getenv("RL_TEST_MEMCHECK") ? 50000 : 500;
	struct itimerval every = {.it_interval.tv_usec = us, .it_value.tv_usec = us};
	setitimer(ITIMER_REAL, &every, NULL);
}

static void test_read_write(int dir)
{
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	tap_is_int(io_write_file(dir, "f", "hello\0x", 7, 0600, &e), 0, "a file is written");
	tap_is_int(io_read_file(dir, "f", 7, &out, &e), 0, "a file of exactly the largest size is read");
	tap_ok(out.len == 7 && memcmp(out.buf, "hello\0x", 8) == 0, "what is read is what was written, NULs included");
	tap_is_int(io_read_file(dir, "f", 6, &out, &e), -EFBIG, "a file above the largest size is refused");
	str_cut(&out, 0);
	tap_is_int(io_read_file(dir, "none", 10, &out, &e), -ENOENT, "a missing file is -ENOENT");
	tap_has(e.text, "none", "the error names the file");
	tap_is_int(io_read_file(dir, ".", 10, &out, &e), -EISDIR, "a directory is not read");
	tap_must(mkfifoat(dir, "fifo", 0600) == 0);
	tap_is_int(io_read_file(dir, "fifo", 10, &out, &e), -EINVAL, "a fifo is refused and does not hang");
	tap_is_int(io_read_file(AT_FDCWD, "/proc/self/stat", 4096, &out, &e), 0,
		   "a file that claims to be empty is read");
	tap_ok(out.len > 10, "all of it");
	tap_must(symlinkat("f", dir, "link") == 0);
	tap_is_int(io_write_file(dir, "link", "x", 1, 0600, &e), -ELOOP, "writing through a symlink is refused");

	int fds[2];
	char buf[100];
	tap_must(pipe2(fds, O_CLOEXEC) == 0);
	tap_is_int(io_write_all(fds[1], "abc", 3, &e), 0, "a pipe is written");
	close(fds[1]);
	tap_is_int(io_read_full(fds[0], buf, sizeof(buf), &e), 3, "a short read is only the end of the file");
	tap_is_int(io_read_full(fds[0], buf, sizeof(buf), &e), 0, "after the end there is nothing");
	close(fds[0]);
	tap_is_int(io_read_full(fds[0], buf, sizeof(buf), &e), -EBADF, "a read that fails is an error");
	signal(SIGPIPE, SIG_IGN);
	tap_must(pipe2(fds, O_CLOEXEC) == 0);
	close(fds[0]);
	tap_is_int(io_write_all(fds[1], "abc", 3, &e), -EPIPE, "a write that fails is an error");
	close(fds[1]);
}

struct pump {
	int fd;
	size_t len;
};

static int write_slowly(void *arg)
{
	struct pump *p = arg;
	autofree char *data = xcalloc(1, p->len);
	memset(data, 'q', p->len);
	interrupt_often(true);
	return io_write_all(p->fd, data, p->len, NULL) < 0;
}

static void test_interrupted(void)
{
	enum { SIZE = 4 << 20 };
	int fds[2];
	struct err e = ERR_INIT;
	tap_must(pipe2(fds, O_CLOEXEC) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		_exit(write_slowly(&(struct pump){fds[1], SIZE}));
	}
	close(fds[1]);
	interrupt_often(true);
	autostr struct str out = STR_INIT;
	int r = io_read_rest(fds[0], SIZE, "the pipe", &out, &e);
	interrupt_often(false);
	close(fds[0]);
	int status = 1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	tap_ok(r == 0 && out.len == SIZE, "interrupted reads are continued");
	tap_is_int(status, 0, "interrupted writes are continued");
}

static int file_size_limit(void *arg)
{
	/* Fails in the middle of writing, as a full disk would. */
	int dir = *(int *)arg;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000});
	char data[5000] = "";
	return io_replace_file(dir, "replaced", data, sizeof(data), 0600, false, NULL) == -EFBIG ? 0 : 1;
}

static void test_replace(int dir)
{
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	umask(022);
	tap_is_int(io_replace_file(dir, "replaced", "one", 3, 0640, false, &e), 0, "a file is made");
	struct stat st;
	fstatat(dir, "replaced", &st, 0);
	tap_is_int(st.st_mode & 0777, 0640, "with the mode asked for");
	ino_t old = st.st_ino;
	tap_is_int(io_replace_file(dir, "replaced", "two", 3, 0640, true, &e), 0, "and replaced, durably");
	fstatat(dir, "replaced", &st, 0);
	tap_ok(st.st_ino != old, "by another inode, so that readers see one or the other");
	tap_ok(io_read_file(dir, "replaced", 10, &out, &e) == 0 && str_eq(out.buf, "two"), "which has the new content");

	unsigned before = entries(dir);
	tap_is_int(tap_child_status(file_size_limit, &dir), 0, "a write that fails half way is reported");
	str_cut(&out, 0);
	tap_ok(io_read_file(dir, "replaced", 10, &out, &e) == 0 && str_eq(out.buf, "two"), "the old file is untouched");
	tap_is_int(entries(dir), before, "and no temporary file is left");

	tap_must(mkdirat(dir, "d", 0700) == 0);
	tap_ok(io_replace_file(dir, "d", "x", 1, 0600, false, &e) < 0, "a directory is not replaced");
	before = entries(dir);
	tap_must(symlinkat("replaced", dir, "s") == 0);
	tap_is_int(io_replace_file(dir, "s", "three", 5, 0600, false, &e), 0, "a symlink is replaced");
	str_cut(&out, 0);
	tap_ok(io_read_file(dir, "replaced", 10, &out, &e) == 0 && str_eq(out.buf, "two"), "what it pointed to is not");
	tap_is_int(entries(dir), before + 1, "nothing else was made");
	tap_is_int(io_replace_file(dir, "no/such/x", "x", 1, 0600, false, &e), -ENOENT,
		   "a missing directory is an error");
}

static void test_directories(int dir)
{
	struct err e = ERR_INIT;
	tap_is_int(io_mkdirs(dir, "a/b/c", 0700, &e), 0, "directories and their parents are made");
	tap_is_int(io_mkdirs(dir, "a/b/c", 0700, &e), 0, "directories that are there are fine");
	tap_is_int(io_mkdirs(dir, "a//b/x/", 0700, &e), 0, "extra slashes do not matter");
	tap_ok(has_file(dir, "a/b/x"), "the last directory is there");
	tap_must(io_write_file(dir, "file", "", 0, 0600, &e) == 0);
	tap_is_int(io_mkdirs(dir, "file", 0700, &e), -ENOTDIR, "a file where a directory is wanted is an error");
	tap_is_int(io_mkdirs(dir, "file/sub", 0700, &e), -ENOTDIR, "a file where a parent is wanted is an error");
	tap_must(symlinkat("a", dir, "to-a") == 0);
	tap_is_int(io_mkdirs(dir, "to-a/b", 0700, &e), 0, "a symlink to a directory of ours is a directory");
	int fd = io_open_dir(dir, "new/one", false, 0700, &e);
	tap_is_int(fd, -ENOENT, "opening does not make directories unless asked");
	fd = io_open_dir(dir, "new/one", true, 0700, &e);
	tap_ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "asked, it makes and opens them, close-on-exec");
	close_fd(&fd);
}

static void make_deep(int dir, const char *name, int depth, mode_t mode)
{
	autofd int fd = dup(dir);
	for (int i = 0; i < depth; i++) {
		tap_must(mkdirat(fd, i ? "d" : name, 0700) == 0);
		int next = openat(fd, i ? "d" : name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (i)
			fchmod(fd, mode);
		close(fd);
		fd = next;
	}
}

static void test_remove(int dir)
{
	struct err e = ERR_INIT;
	tap_is_int(io_remove_tree(dir, "nothing", &e), 0, "removing what is not there is success");
	make_deep(dir, "deep", 3000, 0700);
	tap_is_int(io_remove_tree(dir, "deep", &e), 0, "a tree 3000 levels deep is removed");
	make_deep(dir, "deep", 300, 0500);
	tap_is_int(io_remove_tree(dir, "deep", &e), 0, "also when none of its directories is writable");
	tap_ok(!has_file(dir, "deep"), "and is gone");

	tap_must(io_mkdirs(dir, "t/x/y", 0700, &e) == 0);
	for (int i = 0; i < 2000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "t/x/%d", i);
		close(openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	tap_must(mkfifoat(dir, "t/x/fifo", 0600) == 0);
	tap_must(symlinkat("../..", dir, "t/x/up") == 0);
	tap_must(mkdirat(dir, "outside", 0700) == 0);
	close(openat(dir, "outside/kept", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	tap_must(symlinkat("../outside", dir, "t/out") == 0);
	tap_must(fchmodat(dir, "t/x", 0, 0) == 0);
	tap_must(fchmodat(dir, "t", 0500, 0) == 0);
	tap_is_int(io_remove_tree(dir, "t", &e), 0, "directories without permissions are widened and removed");
	tap_ok(has_file(dir, "outside/kept"), "symlinks are removed, not followed");
	tap_must(symlinkat("outside", dir, "sl") == 0);
	tap_is_int(io_remove_tree(dir, "sl", &e), 0, "a symlink itself can be named");
	tap_ok(has_file(dir, "outside/kept") && !has_file(dir, "sl"), "and only it is removed");
	close(openat(dir, "single", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	tap_is_int(io_remove_tree(dir, "single", &e), 0, "a single file is removed");
}

/* Below a deep chain of our own lies a directory that is not ours and not empty: the removal must give up at once. */
static void test_remove_refused(int dir)
{
	struct err e = ERR_INIT;
	if (geteuid() != 0) {
		tap_skip("only root can make files of somebody else", "a foreign directory deep inside fails at once");
		return;
	}
	make_deep(dir, "mine", 40, 0700);
	autofd int fd = openat(dir, "mine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 1; i < 40; i++) {
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		tap_must(fchown(fd, 65534, 65534) == 0);
		close(fd);
		fd = next;
	}
	tap_must(mkdirat(fd, "foreign", 0755) == 0);
	tap_must(mkdirat(fd, "foreign/entry", 0755) == 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(10);
		if (fchmod(dir, 0777) < 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(3);
		_exit(io_remove_tree(dir, "mine", &e) == -EACCES ? 0 : 1);
	}
	int status = 1;
	waitpid(pid, &status, 0);
	tap_is_int(status, 0, "a foreign directory deep inside fails at once");
	tap_is_int(io_remove_tree(dir, "mine", &e), 0, "root removes it");
}

static int try_lock_elsewhere(void *arg)
{
	const char *path = arg;
	struct err e = ERR_INIT;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int exclusive = io_try_lock(fd, true, &e);
	int shared = io_try_lock(fd, false, &e);
	return (exclusive == 1 ? 1 : 0) | (shared == 1 ? 2 : 0);
}

static void test_locks(int dir, const char *dirname)
{
	struct err e = ERR_INIT;
	autofree char *path = xasprintf("%s/lock", dirname);
	autofd int fd = openat(dir, "lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	tap_is_int(io_lock(fd, true, &e), 0, "a lock is taken");
	tap_is_int(tap_child_status(try_lock_elsewhere, path), 0, "an exclusive lock keeps everybody out");
	tap_is_int(io_lock(fd, false, &e), 0, "and can become a shared one");
	tap_is_int(tap_child_status(try_lock_elsewhere, path), 2, "which lets other shared ones in");
	close_fd(&fd);
	tap_is_int(tap_child_status(try_lock_elsewhere, path), 3, "closing the descriptor gives it back");
}

static int close_from(void *arg)
{
	(void)arg;
	int fd = fcntl(0, F_DUPFD, 200);
	int low = fcntl(0, F_DUPFD, 50);
	if (io_close_from(51, NULL) < 0 || fcntl(fd, F_GETFD) >= 0)
		return 1;
	return low == 50 && fcntl(50, F_GETFD) < 0 ? 2 : 0;
}

static int move_high(void *arg)
{
	(void)arg;
	close(1);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int high = io_move_high(fd, NULL);
	return fd == 1 && high >= 3 && (fcntl(high, F_GETFD) & FD_CLOEXEC) && fcntl(1, F_GETFD) < 0 ? 0 : 1;
}

static void test_descriptors(void)
{
	struct err e = ERR_INIT;
	tap_is_int(tap_child_status(close_from, NULL), 0, "io_close_from closes from its number up and nothing below");
	tap_is_int(tap_child_status(move_high, NULL), 0, "a descriptor among stdio is moved away, close-on-exec");
	autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	tap_is_int(io_move_high(fd, &e), fd, "one that is high stays");
	tap_ok(io_set_cloexec(fd, false, &e) == 0 && fcntl(fd, F_GETFD) == 0, "close-on-exec is cleared");
	tap_ok(io_set_cloexec(fd, true, &e) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "and set");
	tap_ok(io_set_nonblock(fd, true, &e) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK), "O_NONBLOCK is set");
	tap_ok(io_set_nonblock(fd, false, &e) == 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK), "and cleared");
	tap_is_int(io_set_nonblock(-1, true, &e), -EBADF, "a bad descriptor is an error");
}

static void test_hex(void)
{
	char hex[33];
	io_hex("\x00\xff\x1a", 3, hex);
	tap_is_str(hex, "00ff1a", "bytes become lower-case hex");
	char other[33];
	io_random_hex(16, hex);
	io_random_hex(16, other);
	tap_ok(strlen(hex) == 32 && strspn(hex, "0123456789abcdef") == 32 && strcmp(hex, other) != 0,
	       "random hex is hex, has its length and is not the same twice");
}

static void test_rename_new(const char *top)
{
	autofd int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tap_must(dir >= 0 && io_write_file(dir, "one", "1", 1, 0644, NULL) == 0 &&
		 io_write_file(dir, "two", "2", 1, 0644, NULL) == 0);
	tap_ok(io_rename_new(dir, "one", dir, "two") < 0 && errno == EEXIST, "a name that is taken is not taken over");
	tap_ok(io_rename_new(dir, "one", dir, "three") == 0 && faccessat(dir, "one", F_OK, 0) < 0, "a free one is");
	tap_must(mkdirat(dir, "d1", 0755) == 0 && mkdirat(dir, "d2", 0755) == 0 &&
		 io_write_file(dir, "d2/in", "", 0, 0644, NULL) == 0);
	tap_ok(io_rename_new(dir, "d1", dir, "d2") < 0 && errno == EEXIST, "nor is a directory's");
}

/* What NFS and FUSE leave of a file that is still open. */
static void test_remove_silly(const char *top)
{
	autofd int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tap_must(dir >= 0 && mkdirat(dir, "silly", 0755) == 0 &&
		 io_write_file(dir, "silly/.nfs0000001", "", 0, 0644, NULL) == 0 &&
		 io_write_file(dir, "silly/f", "", 0, 0644, NULL) == 0);
	tap_ok(io_remove_tree(dir, "silly", NULL) == 0 && faccessat(dir, "silly/f", F_OK, 0) < 0 &&
		       faccessat(dir, "silly/.nfs0000001", F_OK, 0) == 0,
	       "a file that is open elsewhere on NFS stays, and its directory with it");
}

int main(void)
{
	tap_plan_later();
	autofree char *name = tap_tmpdir();
	autofd int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_read_write(dir);
	test_interrupted();
	test_replace(dir);
	test_directories(dir);
	test_remove(dir);
	test_remove_refused(dir);
	test_locks(dir, name);
	test_descriptors();
	test_hex();
	test_rename_new(name);
	test_remove_silly(name);
	tap_must(unlinkat(dir, "silly/.nfs0000001", 0) == 0);
	struct err e = ERR_INIT;
	tap_is_int(io_remove_tree(AT_FDCWD, name, &e), 0, "the directory of the test is removed");
	return tap_done();
}
