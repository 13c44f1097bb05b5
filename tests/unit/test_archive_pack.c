/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "archive_role_test.h"
#include "archive_tar.h"
#include "rl/kern/xattr.h"
#include "src/engine/archive/pack_int.h"

static int pack(const int *dirs, size_t n, enum archive_pack_kind kind, struct str *out, struct archive_packed *ret,
		struct err *e)
{
	struct idmap map;
	int r = idmap_detect(true, &map, e);
	if (r < 0)
		return r;
	autofd int outfd = memfd_create("out", MFD_CLOEXEC);
	static const char *const exclude[] = {"excluded", "d/excluded", NULL};
	r = archive_pack(&(struct archive_pack){.map = &map,
						.kind = kind,
						.dirfds = dirs,
						.ndirs = n,
						.outfd = outfd,
						.clamp_mtime = true,
						.source_date_epoch = 1000000000,
						.exclude = exclude},
			 ret, e);
	if (r < 0)
		return r;
	lseek(outfd, 0, SEEK_SET);
	return io_read_rest(outfd, 1 << 28, "archive", out, e);
}

/* A tar made elsewhere with the same content must be the same bytes. */
static void test_bytes(const char *top)
{
	struct err e = ERR_INIT;
	struct archive_packed p;
	autofd int dir = role_test_dir(top, "bytes");
	autostr struct str want = STR_INIT;
	autostr struct str got = STR_INIT;
	if (fchmod(dir, 0755) < 0 || mkdirat(dir, "d", 0750) < 0 || mkdirat(dir, "excluded", 0755) < 0 ||
	    io_write_file(dir, "d/f", "hello", 5, 0640, &e) < 0 ||
	    io_write_file(dir, "d/excluded", "no", 2, 0640, &e) < 0 || symlinkat("d/f", dir, "s") < 0 ||
	    linkat(dir, "d/f", dir, "z", 0) < 0 || mknodat(dir, "p", S_IFIFO | 0600, 0) < 0)
		exit(1);
	tar_add(&want, &(struct tar_item){.name = "./", .type = '5', .mode = 0755});
	tar_add(&want, &(struct tar_item){.name = "d/", .type = '5', .mode = 0750});
	tar_add(&want, &(struct tar_item){.name = "d/f", .mode = 0640, .data = "hello"});
	tar_add(&want, &(struct tar_item){.name = "p", .type = '6', .mode = 0600});
	tar_add(&want, &(struct tar_item){.name = "s", .type = '2', .mode = 0777, .link = "d/f"});
	tar_add(&want, &(struct tar_item){.name = "z", .type = '1', .mode = 0640, .link = "d/f"});
	tar_end(&want);
	tap_is_int(pack(&dir, 1, ARCHIVE_PACK_LAYER, &got, &p, &e), 0, "a directory is packed");
	/* Our own headers carry device numbers 0 and a checksum over them; everything else is the same. */
	bool same = got.len == want.len;
	for (size_t at = 0; same && at < got.len; at += 512)
		same = memcmp(got.buf + at, want.buf + at, 148) == 0 && got.buf[at + 156] == want.buf[at + 156] &&
		       memcmp(got.buf + at + 157, want.buf + at + 157, 100) == 0;
	tap_ok(same, "header by header as expected");
	tap_ok(p.entries == 6 && p.tar_size == got.len && p.blob_size == got.len && p.skipped == 0, "and counted");
	tap_is_str(p.blob_digest, p.diffid, "a plain blob is the tar");
}

static void test_layer(const char *top)
{
	struct err e = ERR_INIT;
	struct archive_packed p;
	autofd int dir = role_test_dir(top, "layer");
	autostr struct str got = STR_INIT;
	if (mkdirat(dir, "opq", 0755) < 0 || mknodat(dir, "gone", S_IFCHR, makedev(0, 0)) < 0)
		exit(1);
	autofd int opq = openat(dir, "opq", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool has = xattr_set(opq, XATTR_OVL_OPAQUE, "y", 1) == 0;
	tap_is_int(pack(&dir, 1, ARCHIVE_PACK_LAYER, &got, &p, &e), 0, "a layer with whiteouts");
	tap_ok(!strcmp(got.buf + 512, ".wh.gone"), "has them under their names");
	if (has)
		tap_ok(!strcmp(got.buf + 1024, "opq/") && !strcmp(got.buf + 1536, "opq/.wh..wh..opq"),
		       "and the opaque marker first in its directory");
	else
		tap_skip("no user xattrs here", "opaque marker");
	str_cut(&got, 0);
	tap_ok(pack(&dir, 1, ARCHIVE_PACK_MERGED, &got, &p, &e) == 0 && p.entries == 2, "a merged tree has neither");
	if (io_write_file(dir, ".wh.trick", "", 0, 0644, &e) < 0)
		exit(1);
	tap_is_int(pack(&dir, 1, ARCHIVE_PACK_LAYER, &got, &p, &e), -EBADMSG,
		   "a file called like a whiteout is refused");
}

/* A writable layer that will itself be an unpacked layer loses what a payload must not bring into one. */
static void test_scrub(const char *top)
{
	struct err e = ERR_INIT;
	struct idmap map;
	struct archive_packed p;
	autofd int dir = role_test_dir(top, "scrub");
	autofd int below = role_test_dir(top, "scrub-below");
	static const char *const exclude[] = {"excluded", NULL};
	const int dirs[] = {dir, below};
	if (idmap_detect(true, &map, &e) < 0 || mkdirat(dir, "d", 0755) < 0 || mkdirat(dir, "excluded", 0755) < 0 ||
	    io_write_file(dir, "excluded/x", "no", 2, 0640, &e) < 0 || mknodat(dir, "sock", S_IFSOCK | 0600, 0) < 0 ||
	    io_write_file(dir, "f", "hello", 5, 0640, &e) < 0 || io_write_file(dir, "old", "x", 1, 0640, &e) < 0 ||
	    io_write_file(below, "old", "y", 1, 0640, &e) < 0)
		exit(1);
	static const char forged[] = "1 0 0 104755 0 0\n";
	autofd int d = openat(dir, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int f = openat(dir, "f", O_RDWR | O_CLOEXEC);
	autofd int old = openat(dir, "old", O_RDWR | O_CLOEXEC);
	autofd int old_below = openat(below, "old", O_RDWR | O_CLOEXEC);
	if (xattr_set(f, XATTR_STAT, forged, strlen(forged)) != 0) {
		tap_skip("no user xattrs here", "scrubbing");
		return;
	}
	const struct timespec then[] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	if (xattr_set(old, XATTR_STAT, forged, strlen(forged)) != 0 ||
	    xattr_set(old_below, XATTR_STAT, forged, strlen(forged)) != 0 ||
	    xattr_set(d, XATTR_STAT_AT "link", forged, strlen(forged)) != 0 ||
	    xattr_set(d, "user.overlay.impure", "y", 1) != 0 || xattr_set(d, XATTR_OVL_OPAQUE, "y", 1) != 0 ||
	    xattr_set(f, "user.mine", "kept", 4) != 0 || futimens(dir, then) < 0)
		exit(1);
	autofd int outfd = memfd_create("out", MFD_CLOEXEC);
	const struct archive_pack req = {.map = &map,
					 .kind = ARCHIVE_PACK_LAYER,
					 .trust = ARCHIVE_TRUST_LOWER,
					 .dirfds = dirs,
					 .ndirs = 2,
					 .outfd = outfd,
					 .exclude = exclude,
					 .scrub = true};
	tap_ok(archive_pack(&req, &p, &e) == 0 && p.skipped == 1 && p.content == 6, "a writable layer is scrubbed");
	autostr struct str names = STR_INIT;
	tap_ok(faccessat(dir, "excluded", F_OK, 0) < 0 && faccessat(dir, "sock", F_OK, AT_SYMLINK_NOFOLLOW) < 0,
	       "excluded paths and sockets are gone");
	tap_ok(xattr_list(f, &names, &e) >= 0 && names.len == sizeof("user.mine"),
	       "a forged record is gone, other xattrs stay");
	str_cut(&names, 0);
	tap_ok(xattr_list(old, &names, &e) >= 0 && names.len == sizeof(XATTR_STAT),
	       "a record that is below as well stays");
	str_cut(&names, 0);
	tap_ok(xattr_list(d, &names, &e) >= 0 && names.len == sizeof(XATTR_OVL_OPAQUE),
	       "of a directory only the opaque mark stays");
	struct stat st;
	tap_ok(fstat(dir, &st) == 0 && st.st_mtim.tv_sec == 1000, "and its time is as it was");
	struct archive_pack merged = req;
	merged.kind = ARCHIVE_PACK_MERGED;
	tap_is_int(archive_pack(&merged, &p, &e), -EINVAL, "nothing else can be scrubbed");
}

static void test_numbers(void)
{
	struct ring ring;
	struct err e = ERR_INIT;
	ring_init(&ring, 1);
	struct pack_tar t = {.ring = &ring};
	autofree char *longer = xcalloc(1, 301);
	memset(longer, 'n', 300);
	longer[150] = '/';
	const struct pack_node n = {.path = longer,
				    .mode = S_IFLNK | 0777,
				    .uid = 4000000000u,
				    .gid = 07777777,
				    .mtime = {.tv_sec = 1, .tv_nsec = 500000000},
				    .target = longer,
				    .fd = -1};
	tap_is_int(pack_tar_node(&t, &n, &e), 0, "an entry that ustar cannot hold");
	const unsigned char *data;
	size_t len;
	tap_ok(pack_tar_end(&t, &e) == 0 && ring_next(&ring, 0, &data, &len, &e) == 1, "is written all the same");
	autofree char *text = xcalloc(1, len + 1);
	memcpy(text, data, len);
	tap_ok(text[156] == 'x', "with a pax header in front");
	tap_ok(strstr(text + 512, " path=nnn") && strstr(text + 512, " linkpath=nnn") &&
		       strstr(text + 512, "18 uid=4000000000\n") && strstr(text + 512, "13 mtime=1.5\n") &&
		       !strstr(text + 512, " gid="),
	       "that holds what does not fit, and only that");
	ring_free(&ring);
}

static void test_sparse(const char *top)
{
	struct err e = ERR_INIT;
	struct archive_packed p;
	autofd int dir = role_test_dir(top, "sparse");
	autofd int fd = openat(dir, "s", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	autostr struct str got = STR_INIT;
	if (pwrite(fd, "end", 3, 100 << 20) != 3)
		exit(1);
	tap_is_int(pack(&dir, 1, ARCHIVE_PACK_LAYER, &got, &p, &e), 0, "a sparse file of 100 MiB");
	tap_ok(p.tar_size < 1 << 20, "stays small");
	tap_ok(!strcmp(got.buf + 512, "PaxHeaders"), "as GNU sparse 1.0");
}

static void test_side(const char *top)
{
	struct err e = ERR_INIT;
	struct pack_side *s = NULL;
	autofd int dir = role_test_dir(top, "side");
	autofd int file = openat(dir, "a", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	autofd int fd = memfd_create("side", MFD_CLOEXEC);
	if (file < 0 || linkat(dir, "a", dir, "b", 0) < 0)
		exit(1);
	static const char text[] = "rl-stat 1\n1 3\na0001 3\na1113 2\nx/yzz3 0\nx/y";
	struct stat st;
	const char *record;
	size_t len;
	if (write(fd, text, sizeof(text) - 1) < 0 || lseek(fd, 0, SEEK_SET) < 0 || fstat(file, &st) < 0)
		exit(1);
	tap_is_int(pack_side_load(fd, dir, &s, &e), 0, "a sidecar file is read");
	tap_ok(pack_side_find(s, "a", &st, &record, &len) == 1 && len == 3 && !memcmp(record, "111", 3),
	       "the last record of a path counts");
	tap_ok(pack_side_find(s, "b", &st, &record, &len) == 1, "also for another name of the file");
	tap_is_int(pack_side_find(s, "x/y", &st, &record, &len), 1, "hard links are found by inode");
	struct stat other = {.st_nlink = 1};
	tap_is_int(pack_side_find(s, "x/y", &other, &record, &len), 0, "a revoked record is none");
	pack_side_free(s);
	static const char *const bad[] = {"x", "rl-stat 1\n5", "rl-stat 1\n5 1\nab", "rl-stat 1\n1 99999999999\na",
					  "rl-stat 1\n-1 0\n"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (ftruncate(fd, 0) < 0 || pwrite(fd, bad[i], strlen(bad[i]), 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
			exit(1);
		tap_is_int(pack_side_load(fd, dir, &s, NULL), -EBADMSG, "a malformed sidecar is refused");
	}
	tap_ok(pack_side_load(0, dir, &s, &e) == 0 && !s && pack_side_find(NULL, "a", &st, &record, &len) == 0,
	       "none is nothing to find");
}

static void test_names(void)
{
	enum archive_compression c = ARCHIVE_PLAIN;
	for (unsigned i = 0; i < ARCHIVE_COMPRESSION_N; i++)
		tap_ok(archive_compressor_parse(archive_compressor_name((enum archive_compression)i), &c, NULL) == 0 &&
			       c == i,
		       "%s is understood", archive_compressor_name((enum archive_compression)i));
	struct err e = ERR_INIT;
	tap_ok(archive_compressor_parse("xz", &c, &e) == -EINVAL && e.hint[0], "xz is not, and the remedy is named");
}

int main(int argc, char **argv)
{
	if (role_test_main(argc, argv))
		return 125;
	tap_plan_later();
	umask(022);
	struct err e = ERR_INIT;
	autofree char *top = tap_tmpdir();
	test_names();
	test_bytes(top);
	test_layer(top);
	test_scrub(top);
	test_numbers();
	test_sparse(top);
	test_side(top);
	tap_is_int(io_remove_tree(AT_FDCWD, top, &e), 0, "cleaned up");
	return tap_done();
}
