/* image_save.c - images out of the store: parameters for rl-image, and its answer; see image.h. */
#include <errno.h>

#include "image_int.h"
#include "rl/base/mem.h"

int image_save(const struct image_save_opts *o, const struct image_ui *ui, struct err *e)
{
	struct store s;
	struct idmap map;
	autostrv struct strv verb = STRV_INIT;
	if (o->one_image && o->refs.count > 1)
		return err_set(e, EINVAL, "save: %zu images, and -m=false allows one", o->refs.count);
	strv_add(&verb, "save");
	strv_addf(&verb, "--output=%s", o->output);
	if (o->format)
		strv_addf(&verb, "--format=%s", o->format);
	if (o->name)
		strv_addf(&verb, "--name=%s", o->name);
	if (o->append)
		strv_add(&verb, "--append");
	strv_add(&verb, "--");
	int r = 0;
	for (size_t i = 0; i < o->refs.count && r >= 0; i++) {
		char *ref = NULL;
		r = image_bring_default(o->root, o->refs.items[i], &ref, e);
		if (r >= 0)
			strv_add_owned(&verb, ref);
	}
	if (r >= 0)
		r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = store_open(o->root, true, &s, e);
	if (r < 0)
		return r;
	r = image_program_run(&s, &map, &verb, false, ui, NULL, e);
	store_close(&s);
	return r;
}
