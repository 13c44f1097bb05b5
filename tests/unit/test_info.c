/* links: svc engine/runtime engine/store engine/copy engine/net engine/stdio kern model base; libs: -lcap-ng -lseccomp -ljansson */
/* What `rl info` knows. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/svc/info.h"

int main(void)
{
	tap_plan_later();
	autofree char *dir = tap_tmpdir();
	autofree char *missing = xasprintf("%s/nosuch", dir);
	struct err e = ERR_INIT;
	json_t *doc = NULL;
	int r = info_collect(missing, &doc, &e);
	tap_ok(r == 0 && json_is_integer(json_object_get(doc, "Images")) && access(missing, F_OK) < 0,
	       "a store that is not there has no images and is not made: %s", e.text);
	json_decref(doc);
	doc = NULL;
	r = info_collect(dir, &doc, &e);
	tap_is_str(json_str_or_null(doc, "DockerRootDir"), dir, "the directory of the store is named");
	tap_is_str(json_str_or_null(doc, "Driver"), "overlay", "the driver is overlay");
	tap_ok(json_str_or_null(json_object_get(doc, "IDMap"), "Form") != NULL, "the form of the id map is named");
	tap_ok(json_is_boolean(json_object_get(doc, "Rootless")), "it is said whether this is root");
	tap_ok(r == 0 && json_int_or(doc, "NCPU", 0) > 0 && json_int_or(doc, "MemTotal", 0) > 0,
	       "processors and memory are counted");
	json_decref(doc);
	(void)!io_remove_tree(AT_FDCWD, dir, NULL);
	return tap_done();
}
