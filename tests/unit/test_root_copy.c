/* links: engine/runtime kern model base; libs: -lcap-ng -lseccomp -ljansson */
#include "rl/engine/root_copy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/ovl.h"
#include "tap.h"

static int make_dir(const char *top, const char *name)
{
	struct err e = ERR_INIT;
	autofree char *path = xasprintf("%s/%s", top, name);
	int fd = io_open_dir(AT_FDCWD, path, true, 0755, &e);
	return fd < 0 ? (exit(1), -1) : fd;
}

static void put(int dir, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	if (io_write_file(dir, name, text, strlen(text), 0644, &e) < 0)
		exit(1);
}

static bool has(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int main(void)
{
	tap_plan_later();
	struct err e = ERR_INIT;
	struct stat st;
	autofree char *top = tap_tmpdir();
	int work = make_dir(top, "work");
	int upper = make_dir(top, "upper");
	int layer = make_dir(top, "layer");
	put(layer, "same", "1");
	put(layer, "changed", "1");
	put(layer, "gone", "1");
	put(upper, "kept", "1");
	tap_ok(!root_copy_is_there(work), "there is no copy before one is made");
	int root = root_copy_make(work, upper, &layer, 1, &e);
	tap_ok(root >= 0, "a copy is made");
	tap_ok(root_copy_is_there(work), "and is there then");
	tap_ok(has(root, "same") && has(root, "kept"), "it has what the layers have, and what the writable layer has");
	put(root, "changed", "2");
	put(root, "new", "1");
	if (unlinkat(root, "gone", 0) < 0)
		exit(1);
	tap_is_int(root_copy_settle(work, upper, &layer, 1, &e), 0, "it is settled");
	tap_ok(has(upper, "new") && has(upper, "changed") && has(upper, "kept"), "the layer has what is not below");
	tap_ok(!has(upper, "same"), "and nothing that is");
	tap_ok(fstatat(upper, "gone", &st, AT_SYMLINK_NOFOLLOW) == 0 && ovl_is_whiteout(&st),
	       "what was removed is a whiteout");
	tap_is_int(root_copy_remove(work, &e), 0, "the copy is removed");
	tap_ok(!root_copy_is_there(work) && has(upper, "new"), "and the layer stays");
	return tap_done();
}
