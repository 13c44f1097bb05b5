/* links: svc engine/runtime engine/store engine/copy engine/net engine/stdio kern model base; libs: -lcap-ng -lseccomp -ljansson */
/* What is refused before anything is mounted; mounts themselves are for tests/cli/48-mount.t. */
#include "rl/svc/mount.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "src/svc/stack_mount.h"
#include "tap.h"

int main(void)
{
	struct err e = ERR_INIT;
	autofree char *path = NULL;
	autostrv struct strv dirs = STRV_INIT;
	tap_plan_later();
	if (geteuid() != 0) {
		tap_is_int(mount_show(NULL, "busybox", &path, &e), -EPERM, "who is not root mounts nothing");
		tap_ok(strstr(e.hint, "rl unshare") != NULL, "and is told where he would be");
	} else {
		tap_skip("run by root", "who is not root mounts nothing");
	}
	strv_add(&dirs, "/nonexistent/layer");
	err_clear(&e);
	tap_is_int(stack_mount(&dirs, "/tmp", &e), -ENOENT, "a layer that is not there");
	tap_ok(strstr(e.text, "/nonexistent/layer") != NULL, "is named");
	return tap_done();
}
