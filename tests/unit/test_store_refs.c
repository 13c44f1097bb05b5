/* links: engine/store kern model base */
/* Names: set, read, moved, removed; index.json follows; odd names and left-over files. */
#include <errno.h>

#include "store_fixture.h"

static size_t index_entries(const struct fixture *f, const char *name)
{
	struct err e = ERR_INIT;
	autojson json_t *doc = NULL;
	size_t n = 0;
	size_t i;
	json_t *entry;
	if (json_parse_file(f->s.rootfd, "images/index.json", 1 << 20, &doc, &e) < 0)
		return 0;
	json_array_foreach (json_object_get(doc, "manifests"), i, entry) {
		const char *said = json_str_or_null(json_object_get(entry, "annotations"),
						    "org.opencontainers.image.ref.name");
		n += name ? said && str_eq(said, name) : !said;
	}
	return n;
}

static void test_long(struct fixture *f, const char *manifest)
{
	struct err e = ERR_INIT;
	autostr struct str path = STR_INIT;
	str_adds(&path, "docker.io/x/");
	while (path.len < IMGREF_REPO_MAX)
		str_addc(&path, 'a');
	autofree char *a = xasprintf("%s:%0128d", path.buf, 1);
	autofree char *b = xasprintf("%s:%0128d", path.buf, 2);
	struct store_image image = {0};
	tap_ok(store_tag(&f->s, a, manifest, &e) == 0, "the longest name there can be is kept");
	tap_ok(store_find_image(&f->s, a, &image, &e) == 0 && str_eq(image.name, a), "and found");
	store_image_free(&image);
	tap_ok(store_find_image(&f->s, b, &image, &e) == -ENOENT, "a sibling of it is not taken for it");
	tap_ok(store_tag(&f->s, b, manifest, &e) == 0 && store_untag(&f->s, a, &e) == 1 &&
		       store_find_image(&f->s, b, &image, &e) == 0,
	       "both can be kept and removed for themselves");
	store_image_free(&image);
	tap_is_int(store_untag(&f->s, b, &e), 1, "the other goes too");
}

int main(void)
{
	tap_plan_later();
	struct fixture f;
	struct err e = ERR_INIT;
	char m10[STORE_DIGEST_SIZE];
	char m30[STORE_DIGEST_SIZE];
	static const char name[] = "docker.io/library/a:1";
	static const char odd[] = "[::1]:5000/x/y__z:A_b.c-d";
	fixture_open(&f);
	fixture_digest(10, m10);
	fixture_digest(30, m30);
	fixture_image(&f, name, 10, 20, 2);
	fixture_image(&f, NULL, 30, 40, 1);
	tap_is_int(index_entries(&f, name), 1, "index.json names a named image");
	tap_is_int(index_entries(&f, NULL), 1, "and has the one without a name");
	tap_ok(fixture_has(&f, "images/oci-layout", 0), "the layout says that it is one");
	tap_ok(store_tag(&f.s, odd, m10, &e) == 0 && index_entries(&f, odd) == 1,
	       "a name with every odd character is kept");
	autostrv struct strv names = STRV_INIT;
	tap_ok(store_names(&f.s, m10, &names, &e) == 0 && names.count == 2, "an image knows all its names");
	tap_ok(store_tag(&f.s, name, m30, &e) == 0, "a name can be moved to another image");
	struct store_image image = {0};
	tap_ok(store_find_image(&f.s, "a:1", &image, &e) == 0 && str_eq(image.manifest_digest, m30),
	       "and then means that one");
	store_image_free(&image);
	tap_is_int(index_entries(&f, NULL), 0, "index.json follows");
	tap_is_int(store_untag(&f.s, name, &e), 1, "a name is removed");
	tap_is_int(store_untag(&f.s, name, &e), 0, "once");
	tap_is_int(index_entries(&f, name), 0, "index.json follows again");
	struct store_record record = {0};
	tap_ok(store_record_read(&f.s, m30, &record, &e) == 0, "the image stays");
	store_record_free(&record);
	char missing[STORE_DIGEST_SIZE];
	fixture_digest(99, missing);
	tap_ok(store_tag(&f.s, name, missing, &e) == -ENOENT, "what is not there cannot be named");
	test_long(&f, m10);
	autofree char *with_digest = xasprintf("docker.io/library/d:tag@%s", missing);
	tap_ok(store_tag(&f.s, with_digest, m10, &e) == 0, "a name may have the digest of an index it came from");
	tap_ok(store_find_image(&f.s, with_digest, &image, &e) == 0 && str_eq(image.manifest_digest, m10),
	       "and is found by it");
	store_image_free(&image);

	static const char half[] = "{\"name\":\"docker.io/library/z:1\"";
	fixture_must(
		io_write_file(f.s.rootfd, "images/refs/docker.io+library+z:1.0123456789abcdef.tmp", half, 10, 0600, &e),
		&e);
	autofree char *stale = xasprintf("{\"name\":\"docker.io/library/q:1\",\"manifest\":\"%s\",\"config\":\"%s\"}",
					 m10, m10);
	fixture_must(io_write_file(f.s.rootfd, "images/refs/docker.io+library+q:1.0123456789abcdef.tmp", stale,
				   strlen(stale), 0600, &e),
		     &e);
	fixture_must(io_write_file(f.s.rootfd, "images/refs/docker.io+library+broken:1", "{", 1, 0600, &e), &e);
	struct store_list list = {0};
	tap_ok(store_list(&f.s, &list, &e) == 0, "damaged files do not keep the list from being made");
	size_t broken = 0;
	size_t strange = 0;
	for (size_t i = 0; i < list.count; i++) {
		broken += list.items[i].broken && str_eq(list.items[i].name, "docker.io/library/broken:1");
		strange += strstr(list.items[i].name, "z:1") || strstr(list.items[i].name, "q:1");
	}
	tap_is_int(broken, 1, "a damaged name is listed as broken");
	tap_is_int(strange, 0, "left-over temporary files are not names");
	store_list_free(&list);
	tap_is_int(store_untag(&f.s, "docker.io/library/broken:1", &e), 1, "a damaged name can be removed");
	unlinkat(f.s.rootfd, "images/index.json", 0);
	tap_ok(store_rebuild_index(&f.s, &e) == 0 && index_entries(&f, odd) == 1,
	       "index.json can be made again at any time");
	fixture_close(&f);
	return tap_done();
}
