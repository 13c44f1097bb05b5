/* links: engine/copy kern base; libs: -lcap-ng -ljansson */
/* Changes of a layer made in the directory below it: one by one, and what is refused. */
#include "rl/engine/patch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

static struct patch_target t = {.path = "/p"};

static void put(int fd, const char *path, const char *text)
{
	tap_must(io_write_file(fd, path, text, strlen(text), 0644, NULL) == 0);
}

static bool host_has(const char *path, const char *text)
{
	autostr struct str got = STR_INIT;
	return io_read_file(t.host, path, 1000, &got, NULL) >= 0 && str_eq(got.buf, text);
}

static bool host_lacks(const char *path)
{
	return faccessat(t.host, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static int64_t now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool change(char kind, const char *path)
{
	struct err e = ERR_INIT;
	int r = patch_check(&t, kind, path, &e) == PATCH_FINE ? patch_change(&t, kind, path, &e) : -EPERM;
	if (r == 0)
		r = patch_finish(&t, kind, path, &e);
	if (r < 0)
		tap_diag("%s", e.text);
	return r == 0;
}

static void test_files(void)
{
	put(t.upper, "f", "new");
	put(t.host, "f", "old");
	tap_ok(fchmodat(t.upper, "f", 0751, 0) == 0 && change('C', "/p/f") && host_has("f", "new"),
	       "a file is replaced");
	struct stat st;
	tap_ok(fstatat(t.host, "f", &st, 0) == 0 && (st.st_mode & 07777) == 0751, "its mode is the layer's");
	put(t.host, "gone", "x");
	tap_ok(change('D', "/p/gone") && host_lacks("gone"), "a file is deleted");
	tap_ok(io_mkdirs(t.upper, "d/e", 0755, NULL) == 0 && change('A', "/p/d") && change('A', "/p/d/e"),
	       "directories are made");
	put(t.upper, "one", "1");
	tap_must(linkat(t.upper, "one", t.upper, "d/two", 0) == 0);
	tap_ok(change('A', "/p/one") && change('A', "/p/d/two") && fstatat(t.host, "d/two", &st, 0) == 0 &&
		       st.st_nlink == 2,
	       "names of one file stay so");
	tap_must(symlinkat("f", t.upper, "l") == 0);
	char text[8] = "";
	tap_ok(change('A', "/p/l") && readlinkat(t.host, "l", text, sizeof(text)) == 1 && *text == 'f', "a symlink");
	put(t.host, "was-file", "x");
	tap_must(mkdirat(t.upper, "was-file", 0755) == 0);
	tap_ok(change('C', "/p/was-file") && fstatat(t.host, "was-file", &st, 0) == 0 && S_ISDIR(st.st_mode),
	       "a directory in the place of a file");
	tap_must(io_mkdirs(t.host, "was-dir/in", 0755, NULL) == 0);
	put(t.upper, "was-dir", "f");
	tap_ok(change('C', "/p/was-dir") && host_has("was-dir", "f"), "a file in the place of a directory");
}

static void test_conflicts(void)
{
	struct err e = ERR_INIT;
	t.since_ns = now() - 1000000000LL * 3600;
	put(t.host, "c", "theirs");
	put(t.upper, "c", "mine");
	tap_ok(patch_check(&t, 'C', "/p/c", &e) == PATCH_CONFLICT, "changed since: a conflict");
	tap_ok(patch_change(&t, 'C', "/p/c", &e) == -EBUSY && host_has("c", "theirs"), "found again when it is done");
	tap_must(io_mkdirs(t.host, "tree/in", 0755, NULL) == 0);
	put(t.host, "tree/in/x", "1");
	tap_ok(patch_change(&t, 'D', "/p/tree", &e) == -EBUSY && host_has("tree/in/x", "1"),
	       "a directory in which something was changed comes back");
	t.since_ns = INT64_MAX;
	tap_ok(change('C', "/p/c") && host_has("c", "mine"), "without a time nothing is a conflict");
	tap_ok(change('D', "/p/tree") && host_lacks("tree"), "nor in a directory");
	put(t.upper, "late", "mine");
	tap_ok(patch_check(&t, 'A', "/p/late", &e) == PATCH_FINE, "a new file");
}

static void test_refused(void)
{
	struct err e = ERR_INIT;
	tap_must(symlinkat("d", t.host, "way") == 0);
	tap_must(io_mkdirs(t.upper, "way", 0755, NULL) == 0);
	put(t.upper, "way/f", "x");
	tap_ok(patch_change(&t, 'A', "/p/way/f", &e) < 0 && host_lacks("d/f"), "a symlink on the way is not followed");
	tap_must(mkfifoat(t.upper, "fifo", 0600) == 0);
	tap_ok(change('A', "/p/fifo"), "a fifo is made");
	put(t.upper, "../f", "x");
	tap_ok(patch_change(&t, 'A', "/p/../f", &e) == -EINVAL, "a path with dots leads nowhere");
	tap_ok(patch_check(&t, 'A', "/p/missing", &e) != PATCH_FINE, "what the layer does not have");
	autostrv struct strv names = STRV_INIT;
	tap_must(io_list_dir(t.host, &names, NULL) == 0);
	bool left = false;
	for (size_t i = 0; i < names.count; i++)
		left |= str_after(names.items[i], ".rl-") != NULL;
	tap_ok(!left, "nothing of ours is left");
}

int main(void)
{
	autofree char *top = tap_tmpdir();
	autofd int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	umask(022);
	t.upper = io_open_dir(dir, "upper", true, 0755, NULL);
	t.host = io_open_dir(dir, "host", true, 0755, NULL);
	t.since_ns = INT64_MAX;
	tap_must(t.upper >= 0 && t.host >= 0);
	test_files();
	test_conflicts();
	test_refused();
	patch_close(&t);
	close(t.upper);
	close(t.host);
	return tap_done();
}
