/*
 * svc/image on a store with made-up images: list, tag, remove, inspect, history, the way to a run; and what happens when
 * rl-image is missing, dies, or talks nonsense (a shell script stands in for it).
 */
#include "rl/svc/image.h"

#include <errno.h>

#include "rl/kern/idmap.h"
#include "store_fixture.h"

static struct fixture f;

static size_t count(const char *pattern)
{
	struct err e = ERR_INIT;
	struct store_list list = {0};
	size_t n = 0;
	if (image_entries(f.s.root, pattern, &list, &e) < 0)
		return 999;
	n = list.count;
	store_list_free(&list);
	return n;
}

static void test_list(void)
{
	tap_is_int(count(NULL), 4, "every name and every image without one is listed");
	tap_is_int(count("a"), 1, "a pattern finds a repository");
	tap_is_int(count("a:1"), 1, "with its tag");
	tap_is_int(count("*"), 3, "a lone * finds every name");
	tap_is_int(count("quay.io/*/c"), 1, "wildcards stand for a part of a name");
	tap_is_int(count("docker.io/library/b"), 1, "the full name will do");
	tap_is_int(count("nosuch"), 0, "what is not there is not found");
}

static void test_names(void)
{
	struct err e = ERR_INIT;
	const char *root = f.s.root;
	tap_ok(image_tag(root, "a:1", "second", &e) == 0 && image_exists(root, "second", &e) == 1, "a name is given");
	tap_ok(image_tag(root, "a:1", "x@sha256:0000000000000000000000000000000000000000000000000000000000000001",
			 &e) == -EINVAL,
	       "not with a digest");
	tap_ok(image_tag(root, "nosuch", "x", &e) == -ENOENT, "nor to what is not there");
	tap_ok(image_untag(root, "second", &e) == 0 && image_exists(root, "second", &e) == 0, "and taken");
	tap_ok(image_untag(root, "second", &e) == -ENOENT, "once");
	tap_ok(image_exists(root, "UPPER", &e) == -EINVAL, "a text that is no name is an error, not an absence");
}

static void test_show(void)
{
	struct err e = ERR_INIT;
	struct image_history h = {0};
	autojson json_t *doc = NULL;
	if (tap_ok(image_inspect(f.s.root, "a:1", &doc, &e) == 0, "an image is inspected")) {
		char id[STORE_DIGEST_SIZE];
		fixture_digest(0x11, id);
		tap_is_str(json_str_or_null(doc, "Id"), id, "its id is the digest of its config");
		tap_is_str(json_string_value(json_array_get(json_object_get(doc, "RepoTags"), 0)), "a:1",
			   "its names are docker's");
		tap_is_int(json_int_or(doc, "Size", -1), 300, "its size is that of the unpacked layers");
		tap_is_int(json_array_size(json_object_get(json_object_get(doc, "RootFS"), "Layers")), 3,
			   "its layers are there");
	}
	if (tap_ok(image_history(f.s.root, "a:1", &h, &e) == 0 && h.count == 3, "its history has its steps")) {
		tap_ok(str_after(h.items[0].id, "sha256:") && str_eq(h.items[1].id, "<missing>"),
		       "the newest has the id");
		tap_is_int(h.items[2].size, 100, "every step has the size of its layer");
	}
	image_history_free(&h);
}

static void test_run(void)
{
	struct err e = ERR_INIT;
	struct idmap map = {.form = IDMAP_IDENTITY, .key = "map"};
	struct image_run run = IMAGE_RUN_INIT;
	if (tap_ok(image_ensure(&f.s, "a:1", PULL_MISSING, &map, NULL, &run, &e) == 0, "a whole image is ready")) {
		tap_is_int(run.lowers.count, 3, "with its directories");
		tap_ok(run.leasefd >= 0, "and a lease");
		image_run_release_lease(&run);
		tap_is_int(run.leasefd, -1, "which can be given back");
	} else {
		tap_diag("%s", e.text);
	}
	image_run_free(&run);
	tap_ok(image_ensure(&f.s, "nosuch", PULL_NEVER, &map, NULL, &run, &e) == -ENOENT && *e.hint,
	       "a missing one is -ENOENT");
	tap_ok(image_ensure(&f.s, "a:1", PULL_NEVER, &(struct idmap){.key = "other"}, NULL, &run, &e) < 0 &&
		       strstr(e.text, "ended by signal 9"),
	       "when rl-image dies that is the error (%s)", e.text);
	struct image_added added;
	const struct image_import_opts import = {.root = f.s.root, .source = "/dev/null", .name = "x"};
	tap_ok(image_import(&import, NULL, &added, &e) < 0 && strstr(e.text, "rl-image"),
	       "a nonsense answer is an error");
}

static void test_remove(void)
{
	struct err e = ERR_INIT;
	struct image_removed removed = {0};
	autostrv struct strv refs = STRV_INIT;
	const char *root = f.s.root;
	fixture_must(io_mkdirs(f.s.rootfd, "containers/c1", 0700, &e), &e);
	autofree char *layer = xasprintf("%s/layers/map/%064x/diff\n", root, 0x300);
	fixture_must(io_write_file(f.s.rootfd, "containers/c1/layers", layer, strlen(layer), 0600, &e), &e);
	strv_add(&refs, "quay.io/x/c:3");
	tap_ok(image_remove(root, &refs, false, &removed, &e) == -EBUSY && strstr(e.text, "c1") && *e.hint,
	       "an image that a container uses is not removed (%s)", e.text);
	tap_ok(removed.untagged.count == 0, "and keeps its name");
	tap_ok(image_remove(root, &refs, true, &removed, &e) == 0 && removed.deleted.count == 1, "unless it is forced");
	tap_ok(fixture_has(&f, FIXTURE_LAYER, 0x300), "then the layers stay");
	image_removed_free(&removed);
	fixture_must(io_remove_tree(f.s.rootfd, "containers/c1", &e), &e);

	strv_free(&refs);
	strv_add(&refs, "nosuch");
	strv_add(&refs, "b");
	tap_ok(image_remove(root, &refs, false, &removed, &e) == -ENOENT && removed.untagged.count == 1 &&
		       image_exists(root, "b", &e) == 0,
	       "a missing name does not keep the others from being removed");
	tap_ok(!fixture_has(&f, FIXTURE_BLOB, 0x20) && fixture_has(&f, FIXTURE_BLOB, 0x102), "shared layers stay");
	image_removed_free(&removed);
	tap_ok(image_prune(root, false, &(struct strv)STRV_INIT, &removed, &e) == 0 && removed.deleted.count == 1,
	       "a prune removes what has no name");
	image_removed_free(&removed);
	tap_is_int(count(NULL), 1, "and nothing else");
	tap_ok(image_prune(root, true, &(struct strv)STRV_INIT, &removed, &e) == 0 && removed.untagged.count == 1 &&
		       count(NULL) == 0,
	       "with all it removes the rest");
	image_removed_free(&removed);
}

int main(void)
{
	tap_plan_later();
	struct err e = ERR_INIT;
	fixture_open(&f);
	autofree char *libexec = xasprintf("%s/libexec", f.dir);
	autofree char *program = xasprintf("%s/rl-image", libexec);
	static const char script[] = "#!/bin/sh\n[ \"$1\" = import ] && exec printf nonsense >&3\nkill -KILL $$\n";
	setenv("RL_LIBEXEC", libexec, 1);
	fixture_must(io_mkdirs(AT_FDCWD, libexec, 0755, &e), &e);
	fixture_must(io_write_file(AT_FDCWD, program, script, strlen(script), 0755, &e), &e);
	fixture_image(&f, "docker.io/library/a:1", 0x10, 0x100, 3);
	fixture_image(&f, "docker.io/library/b:latest", 0x20, 0x102, 1);
	fixture_image(&f, "quay.io/x/c:3", 0x30, 0x300, 1);
	fixture_image(&f, NULL, 0x40, 0x400, 1);
	test_list();
	test_names();
	test_show();
	test_run();
	test_remove();
	fixture_close(&f);
	return tap_done();
}
