/* links: engine/store kern model base */
/* Writers: their directory, pins, publishing, races and damage. */
#include <errno.h>

#include "store_fixture.h"

static struct fixture f;

static void test_begin_end(void)
{
	struct err e = ERR_INIT;
	struct store_work w = {0};
	store_work_end(&w);
	tap_ok(store_work_begin(&f.s, &w, &e) == 0, "a writer gets a directory");
	autofree char *path = xasprintf("tmp/%s", w.name);
	tap_ok(faccessat(f.s.rootfd, path, F_OK, 0) == 0, "below tmp/");
	tap_ok(store_sweep(&f.s, &e) == 0 && faccessat(f.s.rootfd, path, F_OK, 0) == 0, "a sweep leaves it alone");
	store_work_end(&w);
	tap_ok(faccessat(f.s.rootfd, path, F_OK, 0) < 0, "it is gone when the writer ends");
	store_work_end(&w);
	pid_t pid = fork();
	if (pid == 0) {
		(void)!store_work_begin(&f.s, &w, &e);
		fixture_layer_dir(&w, "half");
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	autofd int tmp = openat(f.s.rootfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	fstat(tmp, &st);
	tap_is_int((int)st.st_nlink, 3, "a killed writer leaves its directory");
	tap_ok(store_sweep(&f.s, &e) == 0 && fstat(tmp, &st) == 0 && st.st_nlink == 2, "which the next sweep removes");
}

static void test_blob(void)
{
	struct err e = ERR_INIT;
	struct store_work w;
	char d[STORE_DIGEST_SIZE];
	fixture_digest(1, d);
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	tap_is_int(store_pin_blob(&w, d, -1, &e), 0, "a blob that is not there is not there");
	fixture_put(&w, 1, "12345");
	tap_is_int(store_pin_blob(&w, d, 5, &e), 1, "and is after it was published");
	tap_is_int(store_pin_blob(&w, d, 6, &e), 0, "but not with another size");
	tap_ok(store_pin_blob(&w, "sha256:../x", -1, &e) == -EBADMSG, "a path is not a digest");
	fixture_must(
		io_write_file(f.s.rootfd,
			      "images/blobs/sha256/0000000000000000000000000000000000000000000000000000000000000001",
			      "1", 1, 0600, &e),
		&e);
	fixture_put(&w, 1, "12345");
	tap_is_int(store_pin_blob(&w, d, 5, &e), 1, "a damaged blob is replaced by a whole one");
	store_work_end(&w);
}

static void test_layer(void)
{
	struct err e = ERR_INIT;
	struct store_work w;
	struct store_work other;
	char d[STORE_DIGEST_SIZE];
	fixture_digest(2, d);
	const char *hex = d + 7;
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	fixture_must(store_work_begin(&f.s, &other, &e), &e);
	tap_is_int(store_pin_layer(&w, "map", hex, &e), 0, "a layer that is not there is not there");
	fixture_layer_dir(&w, "a");
	fixture_layer_dir(&other, "b");
	tap_ok(store_publish_layer(&w, "a", "map", hex, &e) == 0 && fixture_has(&f, FIXTURE_LAYER, 2),
	       "it is published");
	tap_ok(store_publish_layer(&other, "b", "map", hex, &e) == 0, "the second of two writers succeeds too");
	tap_ok(faccessat(other.dirfd, "b", F_OK, 0) == 0, "and its own copy is left for removal");
	autofree char *diff = xasprintf("layers/map/%s/diff", hex);
	fixture_must(io_remove_tree(f.s.rootfd, diff, &e), &e);
	tap_is_int(store_pin_layer(&w, "map", hex, &e), 0, "a layer without its tree is not there");
	tap_ok(store_publish_layer(&other, "b", "map", hex, &e) == 0 && fixture_has(&f, FIXTURE_LAYER, 2),
	       "and is replaced by a whole one");
	tap_ok(store_pin_layer(&w, "../x", hex, &e) == -EINVAL && store_pin_layer(&w, "map", "..", &e) == -EINVAL,
	       "paths are not keys");
	store_work_end(&w);
	store_work_end(&other);
}

int main(void)
{
	tap_plan_later();
	fixture_open(&f);
	test_begin_end();
	test_blob();
	test_layer();
	fixture_close(&f);
	return tap_done();
}
