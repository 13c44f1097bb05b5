/* links: engine/store kern model base */
/* Multi-platform indexes: what their files are called, what they keep, and those that are damaged. */
#include <errno.h>

#include "rl/base/json.h"
#include "store_fixture.h"

static struct fixture f;

static void write_list(const char *file, const char *text)
{
	struct err e = ERR_INIT;
	autofd int dirfd = store_dir(&f.s, "lists", &e);
	fixture_must(dirfd, &e);
	fixture_must(io_write_file(dirfd, file, text, strlen(text), 0600, &e), &e);
}

static void write_index(const char *name, unsigned a, unsigned b)
{
	char first[STORE_DIGEST_SIZE], second[STORE_DIGEST_SIZE];
	autofree char *file = store_list_file(name);
	fixture_digest(a, first);
	fixture_digest(b, second);
	autofree char *text = xasprintf(
		"{\"manifests\":[{\"digest\":\"%s\"},{\"digest\":\"%s\"},{\"digest\":\"md5:1\"},7]}", first, second);
	write_list(file, text);
}

static void test_names(void)
{
	autofree char *file = store_list_file("localhost:5000/a_b/c:1");
	tap_is_str(file, "localhost%3A5000%2Fa_b%2Fc%3A1.json", "a file is named after its index");
}

static int note(const char *index, const char *digest, void *arg)
{
	strv_addf(arg, "%s %c", index, digest[strlen(digest) - 1]);
	return 0;
}

static void is_list(struct strv *v, const char *want, const char *what)
{
	autostr struct str all = STR_INIT;
	strv_sort(v);
	for (size_t i = 0; i < v->count; i++)
		str_addf(&all, "%s%s", i ? ", " : "", v->items[i]);
	tap_is_str(all.buf, want, what);
}

static void test_each(void)
{
	struct err e = ERR_INIT;
	autostrv struct strv seen = STRV_INIT;
	autostrv struct strv damaged = STRV_INIT;
	tap_is_int(store_lists_each(&f.s, note, &seen, &damaged, &e), 0, "a store without indexes has none");
	write_index("localhost/one:1", 1, 2);
	write_index("localhost/two:1", 3, 2);
	write_list("localhost%2Fbad%3A1.json", "{");
	write_list("localhost%2Fempty%3A1.json", "{\"manifests\":{}}");
	write_list("localhost%2Fodd%3a1.json", "{\"manifests\":[]}"); /* not how we write it */
	write_list("readme", "x");
	tap_is_int(store_lists_each(&f.s, note, &seen, &damaged, &e), 0, "all indexes are read");
	is_list(&seen, "localhost/one:1 1, localhost/one:1 2, localhost/two:1 2, localhost/two:1 3",
		"with every entry that names an image");
	is_list(&damaged, "localhost/bad:1, localhost/empty:1", "and those that are none are named");
}

static void test_kept(void)
{
	struct err e = ERR_INIT;
	char digest[STORE_DIGEST_SIZE];
	autofree char *index = NULL;
	fixture_image(&f, NULL, 3, 0x100, 1);
	fixture_image(&f, NULL, 9, 0x200, 1);
	fixture_digest(3, digest);
	tap_is_int(store_list_of(&f.s, digest, &index, &e), 1, "an image is part of an index");
	tap_is_str(index, "localhost/two:1", "of that one");
	tap_ok(store_prune_image(&f.s, digest, &e) == 0 && fixture_has(&f, FIXTURE_META, 3),
	       "who tidies up leaves it, though it has no name");
	fixture_digest(9, digest);
	tap_ok(store_prune_image(&f.s, digest, &e) == 1 && !fixture_has(&f, FIXTURE_META, 9),
	       "and removes one that no index has");
}

int main(void)
{
	tap_plan_later();
	fixture_open(&f);
	test_names();
	test_each();
	test_kept();
	fixture_close(&f);
	return tap_done();
}
