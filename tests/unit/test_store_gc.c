/* links: engine/store kern model base */
/* What stays and what goes: records, living writers, containers; and what a collection beside a writer does. */
#include <errno.h>

#include "store_fixture.h"

static struct fixture f;

static void collect(struct store_gc_result *ret)
{
	struct err e = ERR_INIT;
	store_gc_result_free(ret);
	if (!tap_ok(store_gc(&f.s, ret, &e) == 0, "a collection runs"))
		tap_diag("%s", e.text);
}

static void test_images(void)
{
	struct err e = ERR_INIT;
	struct store_gc_result gc = {0};
	char m[STORE_DIGEST_SIZE];
	fixture_image(&f, "docker.io/library/a:1", 0x10, 0x100, 3);
	fixture_image(&f, "docker.io/library/b:1", 0x20, 0x102, 2); /* shares 0x102 with a */
	fixture_image(&f, NULL, 0x30, 0x300, 1);
	collect(&gc);
	tap_is_int(gc.blobs.count + gc.layers.count, 0, "images keep everything, with and without a name");
	fixture_digest(0x10, m);
	tap_ok(store_remove_image(&f.s, m, &e) == -EBUSY && fixture_has(&f, FIXTURE_META, 0x10),
	       "a named image is not removed");
	tap_ok(store_untag(&f.s, "docker.io/library/a:1", &e) == 1 && store_remove_image(&f.s, m, &e) == 0,
	       "without its name it is");
	collect(&gc);
	tap_is_int(gc.blobs.count, 4, "its blobs go, but the one it shared");
	tap_is_int(gc.layers.count, 2, "and its layers");
	tap_ok(fixture_has(&f, FIXTURE_BLOB, 0x102) && fixture_has(&f, FIXTURE_LAYER, 0x102),
	       "what another image needs stays");
	tap_ok(!fixture_has(&f, FIXTURE_BLOB, 0x100) && !fixture_has(&f, FIXTURE_LAYER, 0x100),
	       "what nobody needs is gone");
	struct stat st;
	tap_ok(fstatat(f.s.rootfd, "tmp", &st, 0) == 0 && st.st_nlink == 2, "nothing is left in tmp/");
	store_gc_result_free(&gc);
}

static void test_prune(void)
{
	struct err e = ERR_INIT;
	struct store_work w;
	char m[STORE_DIGEST_SIZE];
	fixture_image(&f, NULL, 0x60, 0x600, 1);
	fixture_digest(0x60, m);
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	fixture_must(store_pin_blob(&w, m, -1, &e), &e);
	tap_is_int(store_prune_image(&f.s, m, &e), 0, "an image a living writer has to do with is not pruned");
	store_work_end(&w);
	fixture_must(store_tag(&f.s, "docker.io/library/p:1", m, &e), &e);
	tap_is_int(store_prune_image(&f.s, m, &e), 0, "nor one that has a name");
	fixture_must(store_untag(&f.s, "docker.io/library/p:1", &e), &e);
	tap_is_int(store_prune_image(&f.s, m, &e), 1, "any other is");
	tap_ok(!fixture_has(&f, FIXTURE_META, 0x60), "and its record gone");
}

static void test_writer(void)
{
	struct err e = ERR_INIT;
	struct store_gc_result gc = {0};
	struct store_work w;
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	fixture_put(&w, 0x500, "x");
	fixture_layer_dir(&w, "l");
	char d[STORE_DIGEST_SIZE];
	fixture_digest(0x501, d);
	fixture_must(store_publish_layer(&w, "l", "map", d + 7, &e), &e);
	collect(&gc);
	tap_ok(fixture_has(&f, FIXTURE_BLOB, 0x500) && fixture_has(&f, FIXTURE_LAYER, 0x501),
	       "what a living writer has published stays without an image");
	store_work_end(&w);
	collect(&gc);
	tap_ok(!fixture_has(&f, FIXTURE_BLOB, 0x500) && !fixture_has(&f, FIXTURE_LAYER, 0x501),
	       "and goes when it ended");
	pid_t pid = fork();
	if (pid == 0) {
		fixture_must(store_work_begin(&f.s, &w, &e), &e);
		fixture_put(&w, 0x600, "x");
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	collect(&gc);
	tap_ok(!fixture_has(&f, FIXTURE_BLOB, 0x600), "or when it was killed");
	store_gc_result_free(&gc);
}

static void test_containers(void)
{
	struct err e = ERR_INIT;
	struct store_gc_result gc = {0};
	char m[STORE_DIGEST_SIZE];
	autostrv struct strv ids = STRV_INIT;
	struct store_record r;
	fixture_image(&f, NULL, 0x70, 0x700, 2);
	fixture_digest(0x70, m);
	fixture_must(io_mkdirs(f.s.rootfd, "containers/c1", 0700, &e), &e);
	fixture_must(io_mkdirs(f.s.rootfd, "containers/c2", 0700, &e), &e);
	autofree char *text = xasprintf("%s/layers/map/%064x/diff\n%s/layers/map/%064x/diff\n", f.s.root, 0x701,
					f.s.root, 0x700);
	fixture_must(io_write_file(f.s.rootfd, "containers/c1/layers", text, strlen(text), 0600, &e), &e);
	fixture_must(store_record_read(&f.s, m, &r, &e), &e);
	tap_ok(store_image_users(&f.s, &r, &ids, &e) == 0 && ids.count == 1 && str_eq(ids.items[0], "c1"),
	       "the container that runs on an image is known");
	store_record_free(&r);
	fixture_must(store_remove_image(&f.s, m, &e), &e);
	collect(&gc);
	tap_ok(fixture_has(&f, FIXTURE_LAYER, 0x700) && fixture_has(&f, FIXTURE_LAYER, 0x701),
	       "its layers stay while it does");
	tap_ok(!fixture_has(&f, FIXTURE_BLOB, 0x700), "the blobs of its image do not");
	fixture_must(io_remove_tree(f.s.rootfd, "containers/c1", &e), &e);
	collect(&gc);
	tap_ok(!fixture_has(&f, FIXTURE_LAYER, 0x700), "and go with it");
	store_gc_result_free(&gc);
}

static void test_damage(void)
{
	struct err e = ERR_INIT;
	struct store_gc_result gc = {0};
	fixture_image(&f, NULL, 0x80, 0x800, 1);
	fixture_image(&f, NULL, 0x90, 0x900, 1);
	autofree char *meta = xasprintf(FIXTURE_META, 0x80);
	fixture_must(io_write_file(f.s.rootfd, meta, "{", 1, 0600, &e), &e);
	collect(&gc);
	tap_ok(fixture_has(&f, FIXTURE_BLOB, 0x800),
	       "an image whose record is damaged keeps its blobs through its manifest");
	autofree char *manifest = xasprintf(FIXTURE_BLOB, 0x80);
	unlinkat(f.s.rootfd, manifest, 0);
	collect(&gc);
	tap_ok(fixture_has(&f, FIXTURE_BLOB, 0x900), "one that is beyond repair harms no other");
	fixture_must(io_write_file(f.s.rootfd, "images/blobs/sha256/README", "x", 1, 0600, &e), &e);
	fixture_must(io_mkdirs(f.s.rootfd, "layers/old/not-hex", 0700, &e), &e);
	collect(&gc);
	tap_ok(fixture_has(&f, "images/blobs/sha256/README", 0) && fixture_has(&f, "layers/old/not-hex", 0),
	       "files that are not ours are left alone");
	store_gc_result_free(&gc);
}

/* One process makes and removes images, another collects: nothing that was reported as present may vanish. */
static void test_race(void)
{
	struct err e = ERR_INIT;
	pid_t collector = fork();
	if (collector == 0) {
		for (;;) {
			struct store_gc_result gc = {0};
			if (store_gc(&f.s, &gc, NULL) < 0)
				_exit(1);
			store_gc_result_free(&gc);
		}
	}
	unsigned lost = 0;
	for (unsigned n = 0; n < 60; n++) {
		char m[STORE_DIGEST_SIZE];
		unsigned base = 0x10000 + n * 16;
		fixture_image(&f, NULL, base, 0xf000, 2); /* the same layers again and again */
		lost += !fixture_has(&f, FIXTURE_BLOB, base) || !fixture_has(&f, FIXTURE_BLOB, 0xf000) ||
			!fixture_has(&f, FIXTURE_LAYER, 0xf001);
		fixture_digest(base, m);
		fixture_must(store_remove_image(&f.s, m, &e), &e);
	}
	kill(collector, SIGKILL);
	int status = 0;
	waitpid(collector, &status, 0);
	tap_ok(WIFSIGNALED(status), "the collector ran to the end");
	tap_is_int(lost, 0, "images made beside a collection are whole");
}

int main(void)
{
	tap_plan_later();
	fixture_open(&f);
	test_images();
	test_prune();
	test_writer();
	test_containers();
	test_damage();
	test_race();
	fixture_close(&f);
	return tap_done();
}
