/* links: engine/store kern model base */
/* Looking at a store for damage: what is told, what is not, and that only the repairs change anything. */
#include <errno.h>

#include "rl/engine/store_check.h"
#include "store_fixture.h"

static struct fixture f;

static void write_file(const char *path, const char *text)
{
	struct err e = ERR_INIT;
	fixture_must(io_write_file(f.s.rootfd, path, text, strlen(text), 0600, &e), &e);
}

static void test_names(void)
{
	struct err e = ERR_INIT;
	struct store_check_names names = {0};
	char manifest[STORE_DIGEST_SIZE] = "";
	char want[STORE_DIGEST_SIZE];
	fixture_image(&f, "docker.io/library/a:1", 0x10, 0x100, 2);
	tap_ok(store_check_names(&f.s, &names, &e) == 0 && names.count == 1, "every name is listed");
	fixture_digest(0x10, want);
	tap_is_str(names.count ? names.items[0].manifest : "", want, "with the manifest it leads to");
	store_check_names_free(&names);
	write_file("images/refs/docker.io+library+b:1", "{\"name\":");
	write_file("images/refs/x.0123.tmp", "");
	fixture_must(store_check_names(&f.s, &names, &e), &e);
	size_t damaged = 0;
	for (size_t i = 0; i < names.count; i++)
		if (!*names.items[i].manifest && str_eq(names.items[i].name, "docker.io/library/b:1"))
			damaged++;
	tap_ok(names.count == 2 && damaged == 1, "a damaged one by the name of its file, a temporary one not at all");
	store_check_names_free(&names);
	fixture_must(store_rebuild_index(&f.s, &e), &e);
	tap_ok(store_index_lookup(&f.s, "docker.io/library/a:1", manifest, &e) == 1 && str_eq(manifest, want),
	       "the index knows what a name stood for");
	tap_is_int(store_index_lookup(&f.s, "docker.io/library/c:1", manifest, &e), 0, "and what it does not know");
	tap_ok(store_remove_name_file(&f.s, "../meta", &e) == -EINVAL, "a path is not the file of a name");
	tap_is_int(store_remove_name_file(&f.s, "docker.io+library+b:1", &e), 0, "a damaged name is removed");
	tap_is_int(store_index_is_current(&f.s, &e), 1, "an index just written is current");
	write_file("images/index.json", "{}");
	tap_is_int(store_index_is_current(&f.s, &e), 0, "one that says nothing is not");
	fixture_must(store_rebuild_index(&f.s, &e), &e);
}

static void test_records(void)
{
	struct err e = ERR_INIT;
	struct store_record r = {0};
	char digest[STORE_DIGEST_SIZE];
	autofree char *path = xasprintf(FIXTURE_META, 0x10);
	autostrv struct strv digests = STRV_INIT;
	fixture_digest(0x10, digest);
	tap_ok(store_record_read_file(&f.s, digest, &r, &e) == 0 && r.nlayers == 2, "a record is read as it is");
	store_record_free(&r);
	write_file(path, "{\"version\":1");
	tap_is_int(store_record_read_file(&f.s, digest, &r, &e), -EBADMSG, "a torn one is damaged");
	tap_ok(store_record_remake(&f.s, digest, &r, &e) == 0 && r.nlayers == 2, "the documents have it all");
	store_record_free(&r);
	tap_ok(store_check_records(&f.s, &digests, &e) == 0 && digests.count == 1, "a torn record is listed too");
}

static void test_record_fields(void)
{
	struct err e = ERR_INIT;
	struct store_record r = {0};
	struct store_work w;
	char digest[STORE_DIGEST_SIZE];
	fixture_digest(0x10, digest);
	fixture_must(store_record_remake(&f.s, digest, &r, &e), &e);
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	r.origin = xstrdup("example.org/team/app");
	tap_ok(store_record_note_map(&r, "single") && !store_record_note_map(&r, "single"), "a map is noted once");
	fixture_must(store_publish_image(&w, &r, &e), &e);
	store_record_free(&r);
	store_work_end(&w);
	fixture_must(store_record_read_file(&f.s, digest, &r, &e), &e);
	tap_is_str(r.origin, "example.org/team/app", "where an image came from is kept");
	tap_ok(r.maps.count == 1 && str_eq(r.maps.items[0], "single"), "and for which maps it was unpacked");
	store_record_free(&r);
}

static void make_container(const char *id, unsigned layer)
{
	struct err e = ERR_INIT;
	autofree char *dir = xasprintf("containers/%s", id);
	autofree char *file = xasprintf("%s/layers", dir);
	autofree char *text = xasprintf("%s/layers/map/%064x/diff\n", f.s.root, layer);
	fixture_must(io_mkdirs(f.s.rootfd, dir, 0700, &e), &e);
	write_file(file, text);
}

static void test_layers(void)
{
	struct err e = ERR_INIT;
	struct store_work w;
	autostrv struct strv layers = STRV_INIT;
	autostrv struct strv users = STRV_INIT;
	char digest[STORE_DIGEST_SIZE];
	fixture_digest(0x100, digest);
	const char *hex = digest + 7;
	autofree char *mark = xasprintf("layers/map/%s/diff/mark", hex);
	write_file(mark, "old");
	tap_ok(store_check_layers(&f.s, &layers, &e) == 0 && layers.count == 2, "every layer is listed with its map");
	make_container("c1", 0x100);
	tap_ok(store_layer_users(&f.s, "map", hex, false, &users, &e) == 0 && users.count == 1,
	       "containers on a layer are found");
	fixture_must(store_work_begin(&f.s, &w, &e), &e);
	fixture_layer_dir(&w, "fresh");
	autofd int running = openat(f.s.rootfd, "containers/c1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture_must(io_lock(running, true, &e), &e);
	tap_is_int(store_replace_layer(&w, "fresh", "map", hex, &e), -EBUSY, "a layer a container runs on stays");
	close_fd(&running);
	err_clear(&e);
	tap_is_int(store_replace_layer(&w, "fresh", "map", hex, &e), 0, "one of a stopped container is exchanged");
	tap_ok(faccessat(f.s.rootfd, mark, F_OK, 0) < 0 && fixture_has(&f, FIXTURE_LAYER, 0x100),
	       "the new one is in its place");
	tap_ok(faccessat(w.dirfd, "fresh/diff/mark", F_OK, 0) == 0, "the old one is the work directory's");
	tap_is_int(store_remove_layer(&w, "map", hex, &e), -EBUSY, "a layer of a container is not removed");
	fixture_digest(0x101, digest);
	err_clear(&e);
	tap_is_int(store_remove_layer(&w, "map", digest + 7, &e), 0, "one without is");
	tap_ok(!fixture_has(&f, FIXTURE_LAYER, 0x101), "and gone");
	tap_is_int(store_replace_layer(&w, "fresh", "..", digest + 7, &e), -EINVAL, "a path is not a map");
	store_work_end(&w);
}

static void test_leftovers(void)
{
	struct err e = ERR_INIT;
	struct store_work alive;
	struct store_gc_result gc = {0};
	autostrv struct strv paths = STRV_INIT;
	autostrv struct strv blobs = STRV_INIT;
	const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	fixture_must(store_work_begin(&f.s, &alive, &e), &e);
	fixture_must(io_mkdirs(f.s.rootfd, "tmp/work-dead", 0700, &e), &e);
	write_file("images/meta/y.0123.tmp", "");
	write_file("images/index.json.0123.tmp", "");
	tap_ok(store_leftovers(&f.s, &paths, &e) == 0 && paths.count == 3 && strv_has(&paths, "tmp/work-dead") &&
		       strv_has(&paths, "images/refs/x.0123.tmp") && strv_has(&paths, "images/meta/y.0123.tmp"),
	       "work of the dead and temporary records are left over, work of the living and a new index are not");
	utimensat(f.s.rootfd, "images/index.json.0123.tmp", old, 0);
	strv_free(&paths);
	tap_ok(store_leftovers(&f.s, &paths, &e) == 0 && paths.count == 4, "an old index is");
	store_work_end(&alive);
	write_file("images/blobs/sha256/00000000000000000000000000000000000000000000000000000000000000ff", "x");
	fixture_must(store_check_blobs(&f.s, &blobs, &e), &e);
	size_t before = blobs.count;
	tap_ok(store_gc_look(&f.s, &gc, &e) == 0 && gc.blobs.count == 1, "what a collection would take is told");
	strv_free(&blobs);
	fixture_must(store_check_blobs(&f.s, &blobs, &e), &e);
	tap_is_int(blobs.count, before, "and is still there");
	store_gc_result_free(&gc);
	strv_free(&paths);
	tap_ok(store_gc(&f.s, &gc, &e) == 0 && store_leftovers(&f.s, &paths, &e) == 0 && paths.count == 0,
	       "a collection takes all of that away");
	store_gc_result_free(&gc);
}

static void note_owner(const char *path, const char *why, bool mended, void *arg)
{
	struct str *out = arg;
	str_addf(out, "%s: %s%s;", path, why, mended ? " mended" : "");
}

static void test_owners(void)
{
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	fixture_must(store_check_owners(&f.s, false, note_owner, &out, &e), &e);
	tap_is_str(out.buf, "", "a store as it is made is ours");
	fchmodat(f.s.rootfd, "images/meta", 0500, 0);
	fixture_must(store_check_owners(&f.s, false, note_owner, &out, &e), &e);
	tap_is_str(out.buf, "images/meta: its mode is 0500;", "a directory we may not write is found");
	str_cut(&out, 0);
	fixture_must(store_check_owners(&f.s, true, note_owner, &out, &e), &e);
	tap_is_str(out.buf, "images/meta: its mode is 0500 mended;", "and put right when that is asked for");
	str_cut(&out, 0);
	fixture_must(store_check_owners(&f.s, false, note_owner, &out, &e), &e);
	tap_is_str(out.buf, "", "then nothing is wrong");
}

int main(void)
{
	tap_plan_later();
	fixture_open(&f);
	test_names();
	test_records();
	test_record_fields();
	test_layers();
	test_leftovers();
	test_owners();
	fixture_close(&f);
	return tap_done();
}
