/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include "src/engine/archive/source_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

struct outcome {
	int result;
	struct err error;
	struct str tar;
	struct str tee;
	struct source source;
};

static int memory_file(const void *data, size_t len)
{
	int fd = memfd_create("blob", MFD_CLOEXEC);
	struct err e = ERR_INIT;
	if (fd < 0 || io_write_all(fd, data, len, &e) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		exit(1);
	return fd;
}

static void drop(struct outcome *o)
{
	str_free(&o->tar);
	str_free(&o->tee);
}

/* Run a source over these bytes and collect what comes out. */
static void feed(const struct str *blob, bool zlib, uint64_t max_tar, uint64_t max_ratio, struct outcome *o)
{
	struct ring ring;
	autofd int fd = memory_file(blob->buf, blob->len);
	autofd int tee = memfd_create("tee", MFD_CLOEXEC);
	ring_init(&ring, 1);
	*o = (struct outcome){.tar = STR_INIT, .tee = STR_INIT};
	o->source = (struct source){.blobfd = fd,
				    .teefd = tee,
				    .feedfd = -1,
				    .max_tar = max_tar,
				    .max_ratio = max_ratio,
				    .ring = &ring,
				    .use_zlib = zlib};
	const unsigned char *data;
	size_t len;
	if (source_start(&o->source, &o->error) < 0)
		exit(1);
	while ((o->result = ring_next(&ring, 0, &data, &len, &o->error)) > 0)
		str_add(&o->tar, data, len);
	source_join(&o->source);
	lseek(tee, 0, SEEK_SET);
	struct err e = ERR_INIT;
	if (io_read_rest(tee, 1 << 30, "tee", &o->tee, &e) < 0)
		exit(1);
	ring_free(&ring);
}

static void add_gzip(struct str *out, const void *data, size_t len)
{
	z_stream z = {.next_in = NULL};
	deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	size_t bound = deflateBound(&z, len) + 64;
	str_reserve(out, bound);
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = (unsigned char *)out->buf + out->len;
	z.avail_out = (uInt)bound;
	deflate(&z, Z_FINISH);
	out->len += z.total_out;
	deflateEnd(&z);
}

static void add_zstd(struct str *out, const void *data, size_t len)
{
	size_t bound = ZSTD_compressBound(len);
	str_reserve(out, bound);
	out->len += ZSTD_compress(out->buf + out->len, bound, data, len, 3);
}

static bool same(const struct str *a, const struct str *b)
{
	return a->len == b->len && memcmp(a->buf, b->buf, a->len) == 0;
}

static void make_content(struct str *s, size_t len)
{
	uint32_t x = 1;
	for (size_t i = 0; s->len < len; i++) {
		x = x * 1664525 + 1013904223;
		str_addf(s, "line %zu of something %zu\n", i, i % 7 ? i % 100 : (size_t)x);
	}
	str_cut(s, len);
}

static void test_good(const struct str *content)
{
	static const char *const names[] = {"plain", "gzip", "gzip of many members", "zstd", "zstd of many frames"};
	for (int kind = 0; kind < 5; kind++) {
		autostr struct str blob = STR_INIT;
		if (kind == 0)
			str_add(&blob, content->buf, content->len);
		if (kind == 1)
			add_gzip(&blob, content->buf, content->len);
		if (kind == 3)
			add_zstd(&blob, content->buf, content->len);
		for (size_t at = 0; kind % 2 == 0 && kind && at < content->len; at += 100003) {
			size_t n = RL_MIN((size_t)100003, content->len - at);
			if (kind == 2)
				add_gzip(&blob, content->buf + at, n);
			else
				add_zstd(&blob, content->buf + at, n);
		}
		if (kind == 4)
			str_add(&blob, "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
		for (int zlib = 0; zlib < (kind == 1 || kind == 2 ? 2 : 1); zlib++) {
			struct outcome o;
			char digest[ARCHIVE_DIGEST_SIZE];
			feed(&blob, zlib, 0, 0, &o);
			tap_ok(o.result == 0 && same(&o.tar, content), "%s%s comes out as it went in", names[kind],
			       zlib ? " (zlib)" : "");
			tap_ok(same(&o.tee, &blob), "%s: the copy is the blob", names[kind]);
			digest_of(blob.buf, blob.len, digest);
			tap_is_str(o.source.blob_digest, kind ? digest : "", "its digest is right");
			tap_ok(o.source.blob_size == blob.len && o.source.tar_size == content->len,
			       "and so are the sizes");
			drop(&o);
		}
	}
}

static void test_truncated(void)
{
	autostr struct str content = STR_INIT;
	autostr struct str gz = STR_INIT;
	autostr struct str zst = STR_INIT;
	make_content(&content, 5000);
	add_gzip(&gz, content.buf, content.len);
	add_zstd(&zst, content.buf, content.len);
	bool all = true;
	for (size_t cut = 2; cut < gz.len; cut += 3) {
		struct str part = {.buf = gz.buf, .len = cut, .size = 0};
		for (int zlib = 0; zlib < 2; zlib++) {
			struct outcome o;
			feed(&part, zlib, 0, 0, &o);
			all &= o.result == -EBADMSG;
			drop(&o);
		}
	}
	tap_ok(all, "a gzip cut anywhere is malformed, with both inflaters");
	all = true;
	for (size_t cut = 4; cut < zst.len; cut += 3) {
		struct str part = {.buf = zst.buf, .len = cut, .size = 0};
		struct outcome o;
		feed(&part, false, 0, 0, &o);
		all &= o.result == -EBADMSG;
		drop(&o);
	}
	tap_ok(all, "a zstd cut anywhere is malformed");
	int refused = 0;
	int tried = 0;
	for (size_t i = 12; i < gz.len; i += 2, tried++) {
		autostr struct str bad = STR_INIT;
		str_add(&bad, gz.buf, gz.len);
		bad.buf[i] = (char)(bad.buf[i] ^ 0x10);
		struct outcome o;
		feed(&bad, false, 0, 0, &o);
		/* One of them may lie in the padding behind the last block. */
		refused += o.result == -EBADMSG || same(&o.tar, &content);
		drop(&o);
	}
	tap_is_int(refused, tried, "a flipped bit in a gzip is found, or changes nothing");
}

static void test_refused(void)
{
	static const struct {
		const char *name;
		const char *bytes;
		size_t len;
		int code;
	} cases[] = {
		{"nothing", "", 0, -EBADMSG},
		{"xz",
		 "\xfd"
		 "7zXZ\0aaaa",
		 10, -EOPNOTSUPP},
		{"bzip2", "BZh9aaaaaa", 10, -EOPNOTSUPP},
		{"lz4",
		 "\x04\x22\x4d\x18"
		 "aaaa",
		 8, -EOPNOTSUPP},
		{"compress",
		 "\x1f\x9d"
		 "aaaaaaa",
		 9, -EOPNOTSUPP},
		{"zip",
		 "PK\x03\x04"
		 "aaaa",
		 8, -EOPNOTSUPP},
		{"a gzip of another method", "\x1f\x8b\x07\0\0\0\0\0\0\0aaaaaaaaaaa", 20, -EBADMSG},
		{"a gzip with a wrong block", "\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff", 17, -EBADMSG},
		{"a zstd without anything", "\x28\xb5\x2f\xfd", 4, -EBADMSG},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		autostr struct str blob = STR_INIT;
		struct outcome o;
		str_add(&blob, cases[i].bytes, cases[i].len);
		feed(&blob, false, 0, 0, &o);
		tap_is_int(o.result, cases[i].code, cases[i].name);
		drop(&o);
	}
}

static void test_limits(void)
{
	autostr struct str zeros = STR_INIT;
	autostr struct str gz = STR_INIT;
	autofree char *block = xcalloc(1, 1 << 20);
	for (int i = 0; i < 20; i++)
		str_add(&zeros, block, 1 << 20);
	add_gzip(&gz, zeros.buf, zeros.len);
	struct outcome o;
	feed(&gz, false, 10 << 20, 0, &o);
	tap_ok(o.result == -EFBIG && o.tar.len <= (11u << 20), "a limit on the size is kept");
	drop(&o);
	feed(&gz, false, 20 << 20, 1, &o);
	tap_is_int(o.result, 0, "exactly the limit is allowed, and small archives have no ratio");
	drop(&o);
	/* 400 MiB in one zstd of a few kilobytes: many frames of the same. */
	autostr struct str bomb = STR_INIT;
	for (int i = 0; i < 20; i++)
		add_zstd(&bomb, zeros.buf, zeros.len);
	feed(&bomb, false, 0, 4000, &o);
	tap_ok(o.result == -EFBIG && o.error.hint[0], "a bomb is found by its ratio");
	drop(&o);
}

int main(void)
{
	tap_plan_later();
	autostr struct str content = STR_INIT;
	make_content(&content, 3 << 20);
	test_good(&content);
	test_truncated();
	test_refused();
	test_limits();
	return tap_done();
}
