/*
 * check_lists.c - the multi-platform indexes of `rl manifest`; see check_int.h.
 *
 * An index promises its images. Their records are what keeps them, so what is looked for is the record; the image of an
 * entry that has none is put to the others, with the repository of the index as the place to fetch it from.
 */
#include <string.h>

#include "check_int.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

static int add_entry(const char *index, const char *digest, void *arg)
{
	struct check *k = arg;
	struct store_record record = {0};
	struct check_image *image = check_image_of(k, digest);
	if (image->index)
		return 0;
	image->index = xstrdup(index);
	int r = store_record_read(&k->c->store, digest, &record, NULL);
	store_record_free(&record);
	if (r >= 0 || image->names.count)
		return 0;
	autofree char *repository = imgref_repository(index);
	strv_addf(&image->names, "%s@%s", repository, digest);
	return 0;
}

int check_lists(struct check *k, struct err *e)
{
	autostrv struct strv damaged = STRV_INIT;
	int r = store_lists_each(&k->c->store, add_entry, k, &damaged, e);
	for (size_t i = 0; r >= 0 && i < damaged.count; i++) {
		const char *name = imgref_familiar(damaged.items[i]);
		check_report(k, CHECK_BROKEN, "index damaged", name, NULL,
			     "it is no document, and only who made it knows what it was: rl manifest rm %s", name);
	}
	return r;
}

bool check_list_entry_lost(struct check *k, const struct check_image *image)
{
	if (!image->index)
		return false;
	const char *index = imgref_familiar(image->index);
	check_report(k, CHECK_BROKEN, "index entry missing", image->manifest, image,
		     "the image is not here; take it out of the index: rl manifest remove %s %s", index,
		     image->manifest);
	return true;
}

void check_list_entry_mended(const struct check *k, const struct check_image *image)
{
	struct err why = ERR_INIT;
	if (!image->index || store_tag(&k->c->store, image->names.items[0], image->manifest, &why) >= 0)
		return;
	image_note(k->c, "%s", why.text);
}
