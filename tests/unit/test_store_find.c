/* links: engine/store kern model base */
/* From a typed text to an image, and from an image to its layer directories. */
#include <errno.h>

#include "store_fixture.h"

static struct fixture f;

static void finds(const char *text, unsigned manifest, const char *what)
{
	struct err e = ERR_INIT;
	struct store_image image = {0};
	char want[STORE_DIGEST_SIZE];
	fixture_digest(manifest, want);
	int r = store_find_image(&f.s, text, &image, &e);
	if (!tap_ok(r == 0 && str_eq(image.manifest_digest, want), "%s finds it", what))
		tap_diag("%s: %s", e.text, r == 0 ? image.manifest_digest : "");
	store_image_free(&image);
}

static void test_names(void)
{
	struct err e = ERR_INIT;
	struct store_image image = {0};
	char text[256];
	finds("a", 0x1000, "a short name");
	finds("a:latest", 0x1000, "a name with its tag");
	finds("docker.io/library/a", 0x1000, "the full name");
	finds("index.docker.io/a", 0x1000, "docker's other domain");
	finds("mine", 0x2000, "a name that is kept under localhost/");
	snprintf(text, sizeof(text), "a@sha256:%064x", 0x1000);
	finds(text, 0x1000, "name and digest");
	snprintf(text, sizeof(text), "a:nosuch@sha256:%064x", 0x1000);
	finds(text, 0x1000, "a wrong tag with a digest (the digest decides)");
	snprintf(text, sizeof(text), "%064x", 0x1001);
	finds(text, 0x1000, "the image id");
	snprintf(text, sizeof(text), "sha256:%064x", 0x1001);
	finds(text, 0x1000, "the image id with its algorithm");
	snprintf(text, sizeof(text), "%063x", 0x100);
	finds(text, 0x1000, "an unambiguous part of the id");
	tap_ok(store_find_image(&f.s, "000", &image, &e) == -EINVAL && *e.hint,
	       "an ambiguous part is refused with a hint");
	tap_ok(store_find_image(&f.s, "dead", &image, &e) == -ENOENT, "hex digits that begin no id are not found");
	finds("beef", 0x3000, "a name that consists of hex digits");
	tap_ok(store_find_image(&f.s, "A:b", &image, &e) == -EINVAL, "a text that is no reference is refused as such");
	tap_ok(store_find_image(&f.s, "min", &image, &e) == -ENOENT && strstr(e.hint, "mean mine?"),
	       "a mistyped name suggests the nearest (%s)", e.hint);
	tap_ok(store_find_image(&f.s, "bee", &image, &e) == -ENOENT && strstr(e.hint, "beef?"), "also a short one");
	finds("builtin", 0x9000, "the name of the built-in image");
	snprintf(text, sizeof(text), "sha256:%064x", 0x9001);
	finds(text, 0x9000, "the id of the built-in image");
	fixture_image(&f, "docker.io/library/builtin:latest", 0xa000, 0xb000, 1);
	finds("builtin", 0xa000, "our own image of the same name");
}

static void test_broken(void)
{
	struct err e = ERR_INIT;
	struct store_image image = {0};
	autofree char *config = xasprintf(FIXTURE_BLOB, 0x2001);
	unlinkat(f.s.rootfd, config, 0);
	tap_ok(store_find_image(&f.s, "mine", &image, &e) == -EBADMSG && strstr(e.text, "broken") && *e.hint,
	       "an image without its config is broken, with a remedy");
	finds("a", 0x1000, "and every other name still");
	fixture_must(io_write_file(f.s.rootfd, config, "{}", 2, 0600, &e), &e);
	tap_ok(store_find_image(&f.s, "mine", &image, &e) == -EBADMSG, "a config of the wrong size is broken too");
	autofree char *meta = xasprintf(FIXTURE_META, 0x2000);
	unlinkat(f.s.rootfd, meta, 0);
	tap_ok(store_find_image(&f.s, "mine", &image, &e) == -EBADMSG, "and so is a name that leads nowhere");
	struct store_list list = {0};
	size_t broken = 0;
	tap_ok(store_list(&f.s, &list, &e) == 0, "the list is made all the same");
	for (size_t i = 0; i < list.count; i++)
		broken += list.items[i].broken;
	tap_is_int(broken, 1, "and shows one broken image");
	store_list_free(&list);
}

static void test_layers(void)
{
	struct err e = ERR_INIT;
	struct store_image image = {0};
	size_t missing = 77;
	autostrv struct strv dirs = STRV_INIT;
	if (store_find_image(&f.s, "a", &image, &e) < 0)
		return;
	tap_ok(store_layer_dirs(&f.s, &image, "map", &dirs, &missing, &e) == 0 && dirs.count == 3,
	       "layer directories are found");
	autofree char *top = xasprintf("%s/layers/map/%064x/diff", f.s.root, 0x1102);
	autofree char *bottom = xasprintf("%s/layers/map/%064x/diff", f.s.root, 0x1100);
	tap_ok(str_eq(dirs.items[0], top) && str_eq(dirs.items[2], bottom), "the top layer is the first of them");
	tap_ok(store_layer_dirs(&f.s, &image, "other", &dirs, &missing, &e) == 1 && missing == 0,
	       "another map has none of them");
	fixture_must(io_remove_tree(AT_FDCWD, dirs.items[1], &e), &e);
	tap_ok(store_layer_dirs(&f.s, &image, "map", &dirs, &missing, &e) == 1 && missing == 1,
	       "a missing one is told");
	tap_is_int(dirs.count, 3, "and the result is untouched then");
	store_image_free(&image);
	if (store_find_image(&f.s, "sha256:0000000000000000000000000000000000000000000000000000000000009001", &image,
			     &e) < 0)
		return;
	tap_ok(!image.keys_known && store_layer_dirs(&f.s, &image, "map", &dirs, &missing, &e) == 1,
	       "an image that was never unpacked has no layers, whatever others have");
	store_image_free(&image);
}

int main(void)
{
	tap_plan_later();
	fixture_open(&f);
	fixture_image(&f, "docker.io/library/a:latest", 0x1000, 0x1100, 3);
	fixture_image(&f, "localhost/mine:latest", 0x2000, 0x1100, 1);
	fixture_image(&f, "docker.io/library/beef:latest", 0x3000, 0x3100, 1);
	fixture_builtin(&f, "builtin", 0x9000, 0x9100);
	test_names();
	test_broken();
	test_layers();
	fixture_close(&f);
	return tap_done();
}
