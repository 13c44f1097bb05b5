/* links: engine/store kern model base */
/* The store's root: where it is, who may own it, its directories, its lock, its blobs. */
#include <errno.h>

#include "store_fixture.h"

static void test_open(void)
{
	struct err e = ERR_INIT;
	struct store s;
	char dir[] = "/tmp/rl-test-open-XXXXXX";
	if (!mkdtemp(dir))
		return;
	autofree char *root = xasprintf("%s/a/b", dir);
	tap_ok(store_open(root, false, &s, &e) == -ENOENT && *e.hint,
	       "a store that is not there is an error with a hint");
	if (tap_ok(store_open(root, true, &s, &e) == 0, "or it is made")) {
		struct stat st;
		tap_ok(stat(root, &st) == 0 && (st.st_mode & 07777) == 0700, "with mode 0700");
		tap_is_str(s.root, root, "its path is absolute");
		int fd = store_dir(&s, "containers", &e);
		tap_ok(fd >= 0, "directories are made when asked for");
		close(fd);
		store_close(&s);
	}
	setenv("RL_ROOT", root, 1);
	tap_ok(store_open(NULL, false, &s, &e) == 0 && str_eq(s.root, root), "RL_ROOT says where it is");
	store_close(&s);
	unsetenv("RL_ROOT");
	autofree char *messy = xasprintf("%s//a/./x/../b/", dir);
	tap_ok(store_open(messy, false, &s, &e) == 0 && str_eq(s.root, root), "an untidy path is tidied");
	store_close(&s);
	tap_ok(chdir(dir) == 0 && store_open("a/b", false, &s, &e) == 0 && *s.root == '/',
	       "a relative path is made absolute");
	store_close(&s);
	tap_ok(chmod(root, 0707) == 0 && store_open(root, false, &s, &e) == -EPERM && *e.hint,
	       "a directory others may write to is refused");
	if (geteuid() == 0) {
		tap_ok(chmod(root, 0700) == 0 && chown(root, 12345, 12345) == 0 &&
			       store_open(root, false, &s, &e) == -EPERM,
		       "a directory that belongs to somebody else is refused");
	} else {
		tap_skip("only root can give files away", "a directory that belongs to somebody else is refused");
	}
	(void)!io_remove_tree(AT_FDCWD, dir, &e);
}

static void test_lock(void)
{
	struct fixture f;
	struct err e = ERR_INIT;
	fixture_open(&f);
	int a = store_lease(&f.s, &e);
	int b = store_lease(&f.s, &e);
	tap_ok(a >= 0 && b >= 0, "many may hold a lease");
	struct store_gc_result gc = {0};
	pid_t pid = fork();
	if (pid == 0) {
		close(a); /* a fork shares the lock */
		close(b);
		_exit(store_gc(&f.s, &gc, NULL) < 0);
	}
	int status = 0;
	usleep(50000);
	tap_ok(waitpid(pid, &status, WNOHANG) == 0, "collection waits for them");
	close(a);
	close(b);
	tap_ok(waitpid(pid, &status, 0) == pid && status == 0, "and goes on when they are gone");
	fixture_close(&f);
}

static void test_blobs(void)
{
	struct fixture f;
	struct err e = ERR_INIT;
	struct store_work w;
	char digest[STORE_DIGEST_SIZE];
	fixture_open(&f);
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	fixture_put(&w, 1, "hello");
	store_work_end(&w);
	fixture_digest(1, digest);
	autostr struct str text = STR_INIT;
	tap_ok(store_read_blob(&f.s, digest, 100, &text, &e) == 0 && str_eq(text.buf, "hello"), "a blob is read back");
	tap_ok(store_read_blob(&f.s, digest, 4, &text, &e) == -EFBIG, "but not past the bound");
	int fd = store_open_blob(&f.s, digest, 5, &e);
	tap_ok(fd >= 0, "a blob of the right size is opened");
	close(fd);
	tap_ok(store_open_blob(&f.s, digest, 6, &e) == -EBADMSG, "one of another size is not");
	fixture_digest(2, digest);
	tap_ok(store_open_blob(&f.s, digest, -1, &e) == -ENOENT && strstr(e.text, digest), "a missing one is named");
	tap_ok(store_open_blob(&f.s, "sha256:../../x", -1, &e) == -EBADMSG, "a path is not a digest");
	fixture_builtin(&f, "docker.io/library/b:latest", 7, 9);
	fixture_digest(7, digest);
	fd = store_open_blob(&f.s, digest, -1, &e);
	tap_ok(fd >= 0, "blobs of the built-in layout are found too");
	close(fd);
	autofree char *blob = xasprintf("images/blobs/sha256/%064x", 1);
	fixture_digest(1, digest);
	tap_ok(unlinkat(f.s.rootfd, blob, 0) == 0 && mkfifoat(f.s.rootfd, blob, 0600) == 0 &&
		       store_open_blob(&f.s, digest, -1, &e) == -EBADMSG,
	       "a fifo in the place of a blob neither hangs nor passes");
	fixture_close(&f);
}

int main(void)
{
	tap_plan_later();
	test_open();
	test_lock();
	test_blobs();
	return tap_done();
}
