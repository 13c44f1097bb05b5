/* links: engine/store kern model base */
/* Additional stores: found, searched after our own, never taken for it. */
#include <errno.h>

#include "src/engine/store/store_int.h"
#include "store_fixture.h"

static struct fixture own, other;

static void test_found(void)
{
	struct err e = ERR_INIT;
	struct store_image image;
	struct store_list list = {0};
	fixture_image(&other, "docker.io/library/there:1", 0x10, 0x100, 2);
	setenv("RL_ADDITIONAL_STORES", "", 1);
	tap_is_int(store_find_image(&own.s, "there:1", &image, &e), -ENOENT, "nothing is shared unless it is said");
	autofree char *listed = xasprintf("/nonexistent:relative:%s:%s", own.s.root, other.s.root);
	setenv("RL_ADDITIONAL_STORES", listed, 1);
	err_clear(&e);
	if (!tap_ok(store_find_image(&own.s, "there:1", &image, &e) == 0, "an image of an additional store is found")) {
		tap_diag("%s", e.text);
		return;
	}
	tap_ok(image.shared && image.builtin && image.keys_known, "as one that is not ours");
	autostrv struct strv dirs = STRV_INIT;
	size_t missing;
	autofree char *top = xasprintf("%s/layers/map/%064x/diff", other.s.root, 0x101);
	tap_ok(store_layer_dirs(&own.s, &image, "map", &dirs, &missing, &e) == 0 && dirs.count == 2,
	       "its layers are used");
	tap_is_str(dirs.count ? dirs.items[0] : "", top, "where they are, top first");
	tap_is_int(store_layer_dirs(&own.s, &image, "another", &dirs, &missing, &e), 1,
		   "those of another id map are not there");
	autofd int blob = store_open_blob(&own.s, image.config_digest, -1, &e);
	tap_ok(blob >= 0, "its blobs can be read");
	autofd int direct = store_shared_blob(&own.s, image.config_digest, -1);
	tap_ok(direct >= 0, "from there");
	store_image_free(&image);
	tap_ok(store_list(&own.s, &list, &e) == 0 && list.count == 1 && list.items[0].shared, "it is listed");
	store_list_free(&list);
}

static void test_own_first(void)
{
	struct err e = ERR_INIT;
	struct store_image image;
	struct store_list list = {0};
	fixture_image(&own, "docker.io/library/there:1", 0x30, 0x300, 1);
	tap_ok(store_find_image(&own.s, "there:1", &image, &e) == 0 && !image.shared, "an own image of the name wins");
	store_image_free(&image);
	tap_ok(store_list(&own.s, &list, &e) == 0 && list.count == 1 && !list.items[0].shared, "in the list, too");
	store_list_free(&list);
}

static void test_removal(void)
{
	struct err e = ERR_INIT;
	struct store_gc_result gc = {0};
	tap_ok(store_gc(&own.s, &gc, &e) == 0 && fixture_has(&other, FIXTURE_LAYER, 0x100) &&
		       fixture_has(&other, FIXTURE_BLOB, 0x100),
	       "a collection does not touch it");
	store_gc_result_free(&gc);
	tap_is_int(store_can_remove(&own.s, &e), 0, "a store with locks can be removed from");
}

static void test_conf(void)
{
	struct err e = ERR_INIT;
	struct store_image image;
	autofree char *path = xasprintf("%s/storage.conf", own.dir);
	autofree char *text = xasprintf("[storage.options]\nadditionalimagestores = [ \"%s\" ]\n", other.s.root);
	fixture_must(io_write_file(AT_FDCWD, path, text, strlen(text), 0600, &e), &e);
	unsetenv("RL_ADDITIONAL_STORES");
	setenv("CONTAINERS_STORAGE_CONF", path, 1);
	fixture_image(&other, "docker.io/library/conf:1", 0x50, 0x500, 1);
	tap_ok(store_find_image(&own.s, "conf:1", &image, &e) == 0 && image.shared, "storage.conf names them");
	store_image_free(&image);
	fixture_must(io_write_file(AT_FDCWD, path, "x = [", 5, 0600, &e), &e);
	err_clear(&e);
	tap_is_int(store_find_image(&own.s, "conf:1", &image, &e), -ENOENT, "one that cannot be read names none");
}

int main(void)
{
	tap_plan_later();
	fixture_open(&own);
	fixture_open(&other);
	test_found();
	test_own_first();
	test_removal();
	test_conf();
	fixture_close(&other);
	fixture_close(&own);
	return tap_done();
}
