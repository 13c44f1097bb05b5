/* links: engine/store kern model base */
/* The record of an image: written and read back, checked when read, made again from the documents when damaged. */
#include <errno.h>

#include "store_fixture.h"

static void damage(const struct fixture *f, unsigned n, const char *text)
{
	struct err e = ERR_INIT;
	char path[256];
	snprintf(path, sizeof(path), FIXTURE_META, n);
	fixture_must(io_write_file(f->s.rootfd, path, text, strlen(text), 0600, &e), &e);
}

int main(void)
{
	tap_plan_later();
	struct fixture f;
	struct err e = ERR_INIT;
	struct store_record r = {0};
	char digest[STORE_DIGEST_SIZE];
	fixture_open(&f);
	fixture_image(&f, NULL, 10, 20, 2);
	fixture_digest(10, digest);
	if (tap_ok(store_record_read(&f.s, digest, &r, &e) == 0, "a record is read back")) {
		char want[STORE_DIGEST_SIZE];
		fixture_digest(11, want);
		tap_is_str(r.config, want, "with its config");
		tap_is_int(r.nlayers, 2, "its layers");
		tap_ok(r.layers[1].unpacked_size == 100 && r.layers[1].blob_size == 5, "their sizes");
		tap_is_str(r.layers[1].key, "0000000000000000000000000000000000000000000000000000000000000015",
			   "their keys");
		tap_is_str(r.created, "2020-01-01T00:00:00Z", "and its time");
	}
	struct store_work w;
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	fixture_digest(99, r.layers[1].key);
	memmove(r.layers[1].key, r.layers[1].key + 7, 65);
	fixture_digest(55, digest);
	strv_add(&r.extra, digest);
	tap_ok(store_publish_image(&w, &r, &e) == 0, "a record can be rewritten");
	store_work_end(&w);
	store_record_free(&r);
	fixture_digest(10, digest);
	if (tap_ok(store_record_read(&f.s, digest, &r, &e) == 0, "and read again")) {
		tap_ok(str_ends(r.layers[1].key, "63"), "a layer's key may differ from its DiffID");
		tap_ok(r.extra.count == 1, "further blobs are kept");
	}
	store_record_free(&r);

	fixture_digest(77, digest);
	tap_ok(store_record_read(&f.s, digest, &r, &e) == -ENOENT, "an image that is not there is -ENOENT");
	static const char *const bad[] = {
		"", "{", "[]", "{\"version\":2}",
		"{\"version\":1,\"mediaType\":\"x\",\"manifest\":\"../../x\",\"config\":\"y\"}"};
	fixture_digest(10, digest);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		damage(&f, 10, bad[i]);
		tap_ok(store_record_read(&f.s, digest, &r, &e) == 0 && r.nlayers == 2 &&
			       r.layers[0].unpacked_size == -1,
		       "a damaged record (%zu bytes) is made again from the documents", strlen(bad[i]));
		store_record_free(&r);
	}
	autofree char *blob = xasprintf(FIXTURE_BLOB, 10);
	unlinkat(f.s.rootfd, blob, 0);
	tap_ok(store_record_read(&f.s, digest, &r, &e) < 0 && strstr(e.text, "broken"),
	       "without the manifest too the image is broken");
	fixture_image(&f, NULL, 30, 40, 1);
	char other[STORE_DIGEST_SIZE];
	fixture_digest(30, other);
	autofree char *from = xasprintf(FIXTURE_META, 30);
	autofree char *to = xasprintf(FIXTURE_META, 31);
	fixture_digest(31, other);
	tap_ok(linkat(f.s.rootfd, from, f.s.rootfd, to, 0) == 0 && store_record_read(&f.s, other, &r, &e) < 0,
	       "the record of another image is not taken");
	fixture_close(&f);
	return tap_done();
}
