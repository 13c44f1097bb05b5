/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
#include <errno.h>
#include <unistd.h>

#include "archive_role_test.h"
#include "archive_tar.h"

static int extract(const char *top, const char *name, const struct str *blob, uint32_t max, struct archive_members *ret,
		   struct err *e)
{
	struct idmap map;
	int r = idmap_detect(true, &map, e);
	if (r < 0)
		return r;
	autofd int blobfd = role_test_blob(blob);
	autofd int target = role_test_dir(top, name);
	return archive_extract(
		&(struct archive_extract){
			.program = ROLE_PROGRAM, .map = &map, .blobfd = blobfd, .targetfd = target, .max_members = max},
		ret, e);
}

static const char *name_of(const struct archive_members *m, const char *name)
{
	const struct archive_member *x = archive_members_find(m, name);
	return x ? x->name : NULL;
}

static unsigned entries_in(const char *top, const char *name)
{
	autofree char *path = xasprintf("%s/%s", top, name);
	autodir DIR *d = opendir(path);
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	return n - 2;
}

static void test_good(const char *top)
{
	struct err e = ERR_INIT;
	struct archive_members m = {.items = NULL};
	autostr struct str tar = STR_INIT;
	tar_add(&tar, &(struct tar_item){.name = "abc/", .type = '5', .mode = 0755});
	tar_add(&tar, &(struct tar_item){.name = "./abc/layer.tar", .data = "abc"});
	tar_add(&tar, &(struct tar_item){.name = "def/layer.tar", .type = '2', .link = "../abc/layer.tar"});
	tar_add(&tar, &(struct tar_item){.name = "ghi/layer.tar", .type = '2', .link = "../def/layer.tar"});
	tar_add(&tar, &(struct tar_item){.name = "hard", .type = '1', .link = "abc/layer.tar"});
	tar_add(&tar, &(struct tar_item){.name = "out", .type = '2', .link = "../../etc/passwd"});
	tar_add(&tar, &(struct tar_item){.name = "abs", .type = '2', .link = "/etc/passwd"});
	tar_add(&tar, &(struct tar_item){.name = "loop", .type = '2', .link = "loop"});
	tar_add(&tar, &(struct tar_item){.name = "dev", .type = '3', .mode = 0666});
	tar_add(&tar, &(struct tar_item){.name = "manifest.json", .data = "first"});
	tar_add(&tar, &(struct tar_item){.name = "/manifest.json", .data = "second one"});
	tar_end(&tar);
	tap_is_int(extract(top, "good", &tar, 0, &m, &e), 0, "an image archive is taken apart");
	const struct archive_member *x = archive_members_find(&m, "abc/layer.tar");
	tap_ok(x && x->type == ARCHIVE_MEMBER_FILE && x->size == 3 &&
		       str_eq(x->digest, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
	       "a member has its size and digest");
	tap_is_str(name_of(&m, "def/layer.tar"), "abc/layer.tar", "a symlink is an alias");
	tap_is_str(name_of(&m, "ghi/layer.tar"), "abc/layer.tar", "also through another one");
	tap_is_str(name_of(&m, "hard"), "abc/layer.tar", "so is a hard link");
	tap_ok(!archive_members_find(&m, "out") && !archive_members_find(&m, "abs"),
	       "links out of the archive are nothing");
	tap_ok(!archive_members_find(&m, "loop") && !archive_members_find(&m, "dev"), "nor are loops and devices");
	x = archive_members_find(&m, "manifest.json");
	autostr struct str text = STR_INIT;
	autofree char *path = xasprintf("%s/good/%s", top, x ? x->file : "");
	tap_ok(x && io_read_file(AT_FDCWD, path, 100, &text, &e) == 0 && str_eq(text.buf, "second one"),
	       "of two members with one name the last one counts");
	tap_is_int(entries_in(top, "good"), 4, "three files and the list were made, and nothing else");
	archive_members_free(&m);
	tap_ok(m.count == 0 && m.items == NULL, "the list is freed");
}

static void test_refused(const char *top)
{
	struct archive_members m = {.items = NULL};
	static const char *const names[] = {"../evil", "a/../../evil", ""};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct err e = ERR_INIT;
		autostr struct str tar = STR_INIT;
		tar_add(&tar, &(struct tar_item){.name = names[i], .data = "x"});
		tar_end(&tar);
		tap_is_int(extract(top, "refused", &tar, 0, &m, &e), -EBADMSG, "a member with such a name is refused");
	}
	struct err e = ERR_INIT;
	autostr struct str tar = STR_INIT;
	for (int i = 0; i < 20; i++) {
		autofree char *name = xasprintf("member%d", i);
		tar_add(&tar, &(struct tar_item){.name = name, .data = "x"});
	}
	tar_end(&tar);
	tap_is_int(extract(top, "many", &tar, 10, &m, &e), -EFBIG, "there is a limit to their number");
	err_clear(&e);
	str_cut(&tar, 5000);
	tap_is_int(extract(top, "cut", &tar, 0, &m, &e), -EBADMSG, "a cut archive is malformed");
	tap_ok(m.items == NULL, "a failure gives no list");
}

int main(int argc, char **argv)
{
	if (role_test_main(argc, argv))
		return 125;
	tap_plan_later();
	struct err e = ERR_INIT;
	autofree char *top = tap_tmpdir();
	test_good(top);
	test_refused(top);
	tap_is_int(io_remove_tree(AT_FDCWD, top, &e), 0, "cleaned up");
	return tap_done();
}
