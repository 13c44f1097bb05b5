/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include "src/engine/archive/tar_int.h"

#include <errno.h>

#include "archive_tar.h"
#include "rl/base/mem.h"
#include "tap.h"

struct feeder {
	struct ring *ring;
	const struct str *tar;
	size_t piece;
	pthread_t thread;
};

static void *feed(void *arg)
{
	const struct feeder *f = arg;
	for (size_t at = 0; at < f->tar->len; at += f->piece) {
		unsigned char *slot = ring_get(f->ring);
		size_t n = RL_MIN(f->piece, f->tar->len - at);
		if (!slot)
			return NULL;
		memcpy(slot, f->tar->buf + at, n);
		ring_put(f->ring, n);
	}
	ring_end(f->ring);
	return NULL;
}

/* Read a whole tar, handed over in pieces of `piece` bytes; the entries as "type name mode uid size data;" text. */
static int read_all(const struct str *tar, size_t piece, struct str *out, struct err *e)
{
	struct ring ring;
	struct feeder f = {.ring = &ring, .tar = tar, .piece = piece};
	struct tar *t = NULL;
	ring_init(&ring, 1);
	pthread_create(&f.thread, NULL, feed, &f);
	int r = tar_open(&ring, 0, &t, e);
	struct entry en;
	while (r >= 0 && (r = tar_next(t, &en, e)) > 0) {
		str_addf(out, "%d %s %o %u %llu ", (int)en.type, en.path, en.mode, en.uid, (unsigned long long)en.size);
		const void *data;
		size_t len;
		uint64_t offset;
		while (en.type == ENTRY_FILE && (r = tar_data(t, &data, &len, &offset, e)) > 0)
			str_add(out, data, len);
		str_adds(out, *en.target ? en.target : "");
		str_addc(out, ';');
	}
	if (r == 0)
		r = tar_drain(t, e);
	struct err stop = ERR_INIT;
	err_set(&stop, ECANCELED, "enough");
	ring_fail(&ring, &stop);
	pthread_join(f.thread, NULL);
	tar_close(t);
	ring_free(&ring);
	return r;
}

int main(void)
{
	tap_plan_later();
	struct err e = ERR_INIT;
	autostr struct str tar = STR_INIT;
	tar_add(&tar, &(struct tar_item){.name = "d/", .type = '5', .mode = 0755});
	tar_add(&tar, &(struct tar_item){.name = "d/f", .mode = 04755, .uid = 12, .data = "hello"});
	tar_add(&tar, &(struct tar_item){.name = "s", .type = '2', .link = "d/f"});
	tar_add(&tar, &(struct tar_item){.name = "h", .type = '1', .link = "d/f"});
	tar_end(&tar);
	static const char want[] = "1 d/ 755 0 0 ;0 d/f 4755 12 5 hello;2 s 644 0 0 d/f;3 h 644 0 0 d/f;";
	static const size_t pieces[] = {512, 1, 1000, 100000};
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		autostr struct str got = STR_INIT;
		tap_is_int(read_all(&tar, pieces[i], &got, &e), 0, "a tar is read");
		tap_is_str(got.buf, want, "whatever the pieces it comes in");
	}
	autostr struct str trailing = STR_INIT;
	autostr struct str got = STR_INIT;
	str_add(&trailing, tar.buf, tar.len);
	str_adds(&trailing, "garbage behind the end");
	tap_is_int(read_all(&trailing, 4096, &got, &e), 0, "bytes behind the end are drained");
	tap_is_str(got.buf, want, "and are not entries");
	autofree char *zeros = xcalloc(1, 1 << 20);
	for (int i = 0; i < 17; i++)
		str_add(&trailing, zeros, 1 << 20);
	str_cut(&got, 0);
	tap_is_int(read_all(&trailing, RING_SLOT_SIZE, &got, &e), -EBADMSG, "but not for ever");

	bool clean = true;
	for (size_t cut = 1; cut < tar.len - 1024; cut += 37) {
		autostr struct str text = STR_INIT;
		struct str part = {.buf = tar.buf, .len = cut, .size = 0};
		int r = read_all(&part, 300, &text, &e);
		clean &= r == -EBADMSG || (r == 0 && cut % 512 == 0);
	}
	tap_ok(clean, "a tar cut anywhere is malformed, or ends between two entries");
	return tap_done();
}
