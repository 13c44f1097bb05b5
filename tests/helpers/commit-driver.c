/* links: base kern model engine/store engine/archive engine/registry engine/runtime engine/net engine/stdio svc; libs: -lcap-ng -lseccomp -ljansson */
/*
 * commit-driver.c - a directory taken into the store as a layer, as builds do it:
 *     commit-driver BASE DIR NAME [EXCLUDE...]
 * prints the id of the new image. RL_ROOT and RL_LIBEXEC are taken from the environment.
 */
#include <stdio.h>

#include "rl/base/mem.h"
#include "rl/svc/image_commit.h"

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct store s;
	struct idmap map;
	struct image_run run = IMAGE_RUN_INIT;
	struct image_added added;
	autostrv struct strv exclude = STRV_INIT;
	if (argc < 4)
		return 2;
	for (int i = 4; i < argc; i++)
		strv_add(&exclude, argv[i]);
	if (store_open(NULL, true, &s, &e) < 0 || idmap_detect(false, &map, &e) < 0 ||
	    image_ensure(&s, argv[1], PULL_NEVER, &map, NULL, &run, &e) < 0) {
		err_print(&e);
		return 1;
	}
	const struct image_layer_dir dir = {.path = argv[2], .take = true, .exclude = &exclude, .created_by = "RUN x"};
	const struct image_commit c = {.base = run.image.manifest_digest,
				       .lowers = &run.lowers,
				       .dirs = &dir,
				       .ndirs = 1,
				       .config = run.image.config,
				       .name = argv[3]};
	if (image_commit(&s, &map, &c, NULL, &added, &e) < 0) {
		err_print(&e);
		return 1;
	}
	puts(added.id);
	image_run_free(&run);
	store_close(&s);
	return 0;
}
