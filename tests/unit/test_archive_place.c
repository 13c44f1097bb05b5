/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * Placing entries without the confined program around it: as root, or as root of a user namespace with a single id, and
 * with a map in which only id 0 exists.
 */
#include "src/engine/archive/place_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"
#include "rl/kern/xattr.h"
#include "tap.h"

struct fixture {
	char *top;
	int root;
	int sidecar;
	struct idmap map;
	struct place *p;
	bool has_xattrs;
};

static void begin(struct fixture *f, const int *lowers, size_t nlower)
{
	struct err e = ERR_INIT;
	f->top = tap_tmpdir();
	f->root = open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->sidecar = open(f->top, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	f->has_xattrs = xattr_has_user(f->root);
	f->map = (struct idmap){.form = IDMAP_SINGLE, .nuid = 1, .ngid = 1};
	f->map.uid[0] = (struct idmap_extent){0, geteuid(), 1};
	f->map.gid[0] = (struct idmap_extent){0, getegid(), 1};
	f->p = xcalloc(1, sizeof(*f->p));
	*f->p = (struct place){.sidecarfd = f->sidecar, .map = &f->map, .lowerfds = lowers, .nlower = nlower};
	if (place_init(f->p, f->root, &e) < 0) {
		err_print(&e);
		exit(1);
	}
}

static void end(struct fixture *f)
{
	struct err e = ERR_INIT;
	close(f->root);
	close(f->sidecar);
	if (io_remove_tree(AT_FDCWD, f->top, &e) < 0)
		err_print(&e);
	free(f->top);
	free(f->p);
}

/* What a failed unpacking leaves to the end of its process. */
static void finish_anyway(struct fixture *f)
{
	free(take_ptr(&f->p->file_path));
	close_fd(&f->p->filefd);
	(void)!place_finish(f->p, NULL);
}

static int add(struct fixture *f, const struct entry *en, const char *data)
{
	struct err e = ERR_INIT;
	int r = place_entry(f->p, en, &e);
	if (r == 1 && data)
		r = place_data(f->p, 0, data, strlen(data), &e) < 0 ? -1 : 1;
	return r == 1 ? place_file_end(f->p, &e) : r;
}

static int add_file(struct fixture *f, const char *path, const char *data)
{
	return add(f, &(struct entry){.type = ENTRY_FILE, .path = path, .mode = 0644, .size = strlen(data)}, data);
}

static int add_dir(struct fixture *f, const char *path, uint32_t mode)
{
	return add(f, &(struct entry){.type = ENTRY_DIR, .path = path, .mode = mode, .mtime = {.tv_sec = 7}}, NULL);
}

static int add_link(struct fixture *f, enum entry_type type, const char *path, const char *target)
{
	return add(f, &(struct entry){.type = type, .path = path, .target = target, .mode = 0777}, NULL);
}

static char kind(struct fixture *f, const char *path)
{
	struct stat st;
	if (fstatat(f->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return '-';
	if (S_ISCHR(st.st_mode))
		return st.st_rdev == makedev(0, 0) ? 'w' : 'c';
	return S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : S_ISFIFO(st.st_mode) ? 'p' : 'f';
}

static bool is_opaque(struct fixture *f, const char *path)
{
	autofd int fd = openat(f->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autostr struct str value = STR_INIT;
	return fd >= 0 && xattr_get(fd, XATTR_OVL_OPAQUE, &value, NULL) == 1 && str_eq(value.buf, "y");
}

static void test_names(void)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: refused */
	} cases[] = {
		{"a", "a"},	    {"/a", "a"},      {"./a", "a"},   {"a/", "a"},	  {"//a///b//", "a/b"},
		{"./", ""},	    {"/", ""},	      {".", ""},      {"a/./b", "a/b"},	  {"...", "..."},
		{"a/..b", "a/..b"}, {"", NULL},	      {"..", NULL},   {"a/..", NULL},	  {"../a", NULL},
		{"/../a", NULL},    {"a/../b", NULL}, {"./..", NULL}, {"a//..//b", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char out[ARCHIVE_PATH_MAX + 1];
		int r = place_clean_path(cases[i].in, out, NULL);
		tap_ok(cases[i].out ? r == 0 && str_eq(out, cases[i].out) : r == -EBADMSG, "'%s' %s%s", cases[i].in,
		       cases[i].out ? "is " : "is refused", cases[i].out ? cases[i].out : "");
	}
}

static void test_whiteouts(void)
{
	struct fixture f;
	begin(&f, NULL, 0);
	static const char *const refused[] = {".wh.", "d/.wh.", ".wh..", "d/.wh...", ".wh.x/y", "a/.wh.b/.wh.c"};
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		tap_is_int(add_file(&f, refused[i], ""), -EBADMSG, refused[i]);
	tap_ok(add_dir(&f, "d", 0755) == 0 && add_file(&f, "d/.wh.gone", "") == 0 && kind(&f, "d/gone") == 'w',
	       "a whiteout is a character device 0:0");
	tap_ok(add_file(&f, "d/.wh.gone", "") == 0 && kind(&f, "d/gone") == 'w', "twice is once");
	tap_ok(add_file(&f, "d/gone", "back") == 0 && kind(&f, "d/gone") == 'f', "a file of this layer replaces it");
	tap_ok(add_file(&f, "d/.wh.gone", "") == 0 && kind(&f, "d/gone") == 'f',
	       "and is not removed by one that follows");
	tap_ok(add_file(&f, "d/.wh..wh.plnk", "") == 0 && add_file(&f, "d/.wh..wh.plnk/x", "") == 0 &&
		       kind(&f, "d/.wh..wh.plnk") == '-',
	       "leftovers of aufs are skipped");
	if (f.has_xattrs) {
		tap_ok(add_file(&f, "d/.wh..wh..opq", "") == 0 && is_opaque(&f, "d"),
		       "a marker makes a directory opaque");
		tap_ok(add_file(&f, ".wh.sub", "") == 0 && add_dir(&f, "sub", 0755) == 0 && is_opaque(&f, "sub"),
		       "and so does a whiteout that a directory replaces");
		tap_ok(add_file(&f, ".wh.par", "") == 0 && add_file(&f, "par/x", "") == 0 && is_opaque(&f, "par"),
		       "also as the parent of something");
		tap_ok(add_dir(&f, "late", 0755) == 0 && add_file(&f, ".wh.late", "") == 0 && is_opaque(&f, "late"),
		       "or a whiteout of a directory that is there");
	} else {
		tap_skip("no user xattrs here", "opaque directories");
	}
	tap_is_int(add_file(&f, ".wh..wh..opq", ""), 0, "an opaque root");
	tap_ok(f.p->result.needs_lower, "cannot be marked and needs the layers below");
	finish_anyway(&f);
	end(&f);
}

static void test_missing(void)
{
	struct fixture f;
	begin(&f, NULL, 0);
	tap_ok(add_file(&f, "p/q/file", "x") == 0 && add_dir(&f, "p", 0755) == 0 && add_dir(&f, "p/q", 0750) == 0,
	       "children before their parents");
	finish_anyway(&f);
	tap_ok(!f.p->result.needs_lower, "are no reason to look below");
	struct stat st;
	tap_ok(fstatat(f.root, "p/q", &st, 0) == 0 && (st.st_mode & 07777) == 0750 && st.st_mtim.tv_sec == 7,
	       "when the parents follow, with mode and time");
	end(&f);

	begin(&f, NULL, 0);
	tap_is_int(add_file(&f, "one/two/file", "x") + add_dir(&f, "one", 0755), 0, "a parent that never comes");
	finish_anyway(&f);
	tap_ok(f.p->result.needs_lower && str_eq(f.p->result.missing, "one/two"), "is reported by name");
	end(&f);

	begin(&f, NULL, 0);
	tap_ok(add_link(&f, ENTRY_HARDLINK, "l", "not/here") == 0 && f.p->result.needs_lower &&
		       str_eq(f.p->result.missing, "not/here") && kind(&f, "l") == '-',
	       "so is the target of a hard link");
	finish_anyway(&f);
	end(&f);

	struct path_set set = {.items = NULL};
	bool ok = true;
	for (int i = 0; i < 70000; i++) {
		autofree char *path = xasprintf("dir/%d", i);
		path_set_add(&set, path);
		if (i < 60000)
			path_set_remove(&set, path);
	}
	ok = set.count == 10000 && str_eq(path_set_first(&set), "dir/60000");
	tap_ok(ok, "many parents can come late");
	for (int i = 0; i < 70000; i++) {
		autofree char *path = xasprintf("more/%d", i);
		path_set_add(&set, path);
	}
	tap_ok(set.overflow && set.count == 0, "and memory for those that do not is bounded");
	path_set_free(&set);
}

static void test_replacing(void)
{
	struct fixture f;
	begin(&f, NULL, 0);
	tap_ok(add_dir(&f, "a", 0755) == 0 && add_file(&f, "a/b/c", "x") == 0 && add_file(&f, "a", "file") == 0 &&
		       kind(&f, "a") == 'f',
	       "a file replaces a directory with all in it");
	tap_ok(add_dir(&f, "a", 0755) == 0 && kind(&f, "a") == 'd', "a directory replaces a file");
	tap_ok(add_link(&f, ENTRY_SYMLINK, "s", "/nowhere") == 0 && add_dir(&f, "s", 0755) == 0 && kind(&f, "s") == 'd',
	       "a directory replaces a symlink");
	tap_ok(add_link(&f, ENTRY_SYMLINK, "t", "a") == 0 && add_file(&f, "t/through", "x") == 0 &&
		       kind(&f, "a/through") == 'f',
	       "entries go through symlinks of the layer");
	tap_ok(add_dir(&f, "t", 0755) == 0 && add_file(&f, "t/own", "x") == 0 && kind(&f, "a/own") == '-' &&
		       kind(&f, "t/own") == 'f',
	       "until something else replaces them");
	tap_is_int(add_link(&f, ENTRY_SYMLINK, "/", "a"), -EBADMSG, "the root is never replaced");
	tap_is_int(add_file(&f, ".", "x"), -EBADMSG, "by anything");
	finish_anyway(&f);
	end(&f);
}

static void test_records(void)
{
	struct fixture f;
	begin(&f, NULL, 0);
	const struct entry_xattr forged[] = {{"user.rl.stat", "1 0 0 104755 0 0\n", 17}, {"trusted.secret", "t", 1}};
	struct entry en = {
		.type = ENTRY_FILE, .path = "f", .mode = 0640, .uid = 5, .gid = 6, .xattrs = forged, .nxattrs = 2};
	tap_is_int(add(&f, &en, NULL), 0, "a file of another owner");
	en = (struct entry){.type = ENTRY_CHR, .path = "dev", .mode = 0666, .major = 1, .minor = 3};
	tap_ok(add(&f, &en, NULL) == 0 && kind(&f, "dev") == 'f', "a device is an empty file");
	en = (struct entry){.type = ENTRY_CHR, .path = "zero", .mode = 0666};
	tap_ok(add(&f, &en, NULL) == 0 && kind(&f, "zero") == 'f', "also device 0:0, which would be a whiteout");
	en = (struct entry){.type = ENTRY_FIFO, .path = "fifo", .mode = 0600};
	tap_ok(add(&f, &en, NULL) == 0 && kind(&f, "fifo") == 'p', "a fifo is a fifo");
	en = (struct entry){.type = ENTRY_FIFO, .path = "fifo5", .mode = 0600, .uid = 5};
	tap_ok(add(&f, &en, NULL) == 0 && kind(&f, "fifo5") == 'f', "unless its owner has to be recorded");
	en = (struct entry){.type = ENTRY_SYMLINK, .path = "link", .target = "f", .uid = 5};
	tap_is_int(add(&f, &en, NULL), 0, "a symlink of another owner");
	tap_is_int(f.p->result.records, 5, "five records");
	if (!f.has_xattrs) {
		tap_ok(f.p->result.sidecar_size > 0, "are in the sidecar where there are no xattrs");
	} else {
		autofd int fd = openat(f.root, "f", O_RDONLY | O_CLOEXEC);
		autostr struct str record = STR_INIT;
		autostr struct str at = STR_INIT;
		struct err e = ERR_INIT;
		tap_ok(xattr_get(fd, XATTR_STAT, &record, &e) == 1, "are in xattrs");
		const char *want = "1 5 6 100640 0 0\n14 1\ntrusted.secrett";
		tap_is_str(record.buf, geteuid() ? want : record.buf,
			   "with what could not be set; forged ones are not");
		tap_ok(xattr_get(f.root, XATTR_STAT_AT "link", &at, &e) == 1 && str_eq(at.buf, "1 5 0 120000 0 0\n"),
		       "of the parent for symlinks");
		tap_ok(add_file(&f, "link", "x") == 0 && xattr_get(f.root, XATTR_STAT_AT "link", &at, &e) == 0,
		       "and go with them");
	}
	finish_anyway(&f);
	end(&f);
}

static void test_sidecar(void)
{
	struct fixture f;
	struct err e = ERR_INIT;
	begin(&f, NULL, 0);
	autofree char *value = xcalloc(1, XATTR_VALUE_MAX);
	memset(value, 'v', XATTR_VALUE_MAX);
	const struct entry_xattr huge[] = {{"trusted.huge", value, XATTR_VALUE_MAX}};
	struct entry en = {.type = ENTRY_FIFO, .path = "dir/huge", .mode = 0644, .xattrs = huge, .nxattrs = 1};
	tap_ok(add_dir(&f, "dir", 0755) == 0 && add(&f, &en, NULL) == 0 && f.p->result.sidecar_size > XATTR_VALUE_MAX,
	       "a record too large for an xattr goes to the sidecar");
	tap_is_int(add_file(&f, "dir/huge", "small"), 0, "and is revoked when the entry is replaced");
	autostr struct str text = STR_INIT;
	lseek(f.sidecar, 0, SEEK_SET);
	if (io_read_rest(f.sidecar, 1 << 20, "sidecar", &text, &e) < 0)
		exit(1);
	tap_ok(str_after(text.buf, "rl-stat 1\n8 ") && str_ends(text.buf, "8 0\ndir/huge"),
	       "in the sidecar's own words");
	f.p->sidecarfd = -1;
	en.path = "dir/again";
	tap_is_int(add(&f, &en, NULL), -EOPNOTSUPP, "without a sidecar it is an error, not a loss");
	finish_anyway(&f);
	end(&f);
}

static void test_lower(void)
{
	struct fixture low;
	struct fixture f;
	begin(&low, NULL, 0);
	add_dir(&low, "tmp", 01777);
	add_dir(&low, "usr", 0711);
	add_dir(&low, "usr/lib", 0750);
	add_link(&low, ENTRY_SYMLINK, "lib", "usr/lib");
	add_file(&low, "usr/lib/target", "content");
	add_file(&low, "hidden/x", "x");
	finish_anyway(&low);
	begin(&f, &low.root, 1);
	struct stat st;
	tap_ok(add_file(&f, "tmp/mine", "x") == 0 && fstatat(f.root, "tmp", &st, 0) == 0 &&
		       (st.st_mode & 07777) == 01777,
	       "a missing parent is like the one below");
	tap_ok(add_file(&f, "lib/mine", "x") == 0 && kind(&f, "lib") == 'l' && kind(&f, "usr/lib/mine") == 'f' &&
		       fstatat(f.root, "usr/lib", &st, 0) == 0 && (st.st_mode & 07777) == 0750,
	       "also through a symlink that only the layer below has");
	tap_ok(add_link(&f, ENTRY_HARDLINK, "copy", "usr/lib/target") == 0 && fstatat(f.root, "copy", &st, 0) == 0 &&
		       st.st_nlink == 2 && st.st_size == 7,
	       "a hard link's target is copied up");
	tap_is_int(add_link(&f, ENTRY_HARDLINK, "bad", "usr/lib/nothing"), -EBADMSG, "or is an error");
	tap_ok(add_file(&f, ".wh.hidden", "") == 0 && add_link(&f, ENTRY_HARDLINK, "h", "hidden/x") == -EBADMSG,
	       "what this layer hides is not taken");
	tap_ok(add_file(&f, ".wh..wh..opq", "") == 0 && kind(&f, "tmp") == 'd' && kind(&f, "hidden") == 'd',
	       "an opaque root keeps its own");
	tap_ok(f.has_xattrs ? is_opaque(&f, "tmp") : kind(&f, "tmp") == 'd', "and hides the rest one by one");
	finish_anyway(&f);
	tap_ok(!f.p->result.needs_lower, "nothing is missing then");
	end(&f);
	end(&low);
}

static mode_t mode_at(const struct fixture *f, const char *path)
{
	struct stat st;
	return fstatat(f->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? (mode_t)-1 : st.st_mode & 07777;
}

/* Who has no CAP_DAC_OVERRIDE is kept out by modes like anybody else. */
static void test_weak(void)
{
	struct fixture f;
	struct err e = ERR_INIT;
	begin(&f, NULL, 0);
	f.p->weak = true;
	const struct entry_xattr mark = {"user.mark", "x", 1};
	struct entry dir = {.type = ENTRY_DIR, .path = "shut", .mode = 0555};
	struct entry file = {
		.type = ENTRY_FILE, .path = "shut/f", .mode = 0400, .size = 1, .xattrs = &mark, .nxattrs = 1};
	struct entry again = {.type = ENTRY_DIR, .path = "open", .mode = 0500};
	tap_ok(add(&f, &dir, NULL) == 0 && add(&f, &file, "x") == 0, "weak: a file goes into a directory of mode 0555");
	tap_ok(mode_at(&f, "shut") == 0755, "weak: the directory can be written to until the end");
	tap_ok(mode_at(&f, "shut/f") == 0400, "weak: the file has its mode at once");
	int r = add(&f, &again, NULL);
	again.mode = 0755;
	tap_ok(r == 0 && add(&f, &again, NULL) == 0, "weak: a directory's second entry changes its mode");
	autofd int fd = openat(f.root, "shut/f", O_RDONLY | O_CLOEXEC);
	tap_ok(fd >= 0 && file_mode_last(f.p, fd, 0000, "f", &e) == 0 && mode_at(&f, "shut/f") == 0,
	       "weak: a mode without rights for its owner comes last");
	tap_ok(place_finish(f.p, &e) == 0 && mode_at(&f, "shut") == 0555, "weak: at the end it has its mode");
	tap_ok(mode_at(&f, "open") == 0755, "weak: and so has the other one");
	end(&f);
}

static int run_tests(void *arg)
{
	(void)arg;
	tap_plan_later();
	umask(0);
	test_names();
	test_whiteouts();
	test_missing();
	test_replacing();
	test_records();
	test_sidecar();
	test_lower();
	test_weak();
	/* Through exit handlers: a sanitizer looks for leaks there. */
	exit(tap_done());
}

int main(void)
{
	if (geteuid() == 0)
		return run_tests(NULL);
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child child;
	if (idmap_detect(true, &map, &e) < 0 || userns_spawn(&map, 0, run_tests, NULL, &child, &e) < 0) {
		err_print(&e);
		return 1;
	}
	return proc_wait(&child, "the tests", &e);
}
