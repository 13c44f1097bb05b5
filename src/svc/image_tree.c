/* image_tree.c - the layers of an image and which images end in them; see rl/svc/image_tree.h. */
#include "rl/svc/image_tree.h"

#include <stdlib.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/mem.h"

/* Does the image of `r` consist of the lowest `n` layers of `of`? */
static bool is_base(const struct store_record *r, const struct store_record *of, size_t n)
{
	if (r->nlayers != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!str_eq(r->layers[i].diff_id, of->layers[i].diff_id))
			return false;
	return true;
}

static json_t *names_array(const struct store *s, const char *manifest)
{
	autostrv struct strv names = STRV_INIT;
	json_t *array = json_array();
	if (store_names(s, manifest, &names, NULL) >= 0)
		for (size_t i = 0; i < names.count; i++)
			json_array_append_new(array, json_string(names.items[i]));
	return array;
}

/* The names of every image that ends at layer n of `of`. */
static json_t *top_of(const struct store *s, const struct store_record *all, size_t count,
		      const struct store_record *of, size_t n)
{
	json_t *names = json_array();
	for (size_t i = 0; i < count; i++) {
		if (!is_base(&all[i], of, n))
			continue;
		autojson json_t *own = names_array(s, all[i].manifest);
		json_array_extend(names, own);
	}
	return names;
}

static json_t *layer_rows(const struct store *s, const struct store_record *of, const struct store_record *all,
			  size_t count)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < of->nlayers; i++) {
		const struct store_layer *l = &of->layers[i];
		json_t *row = json_object();
		json_put_str(row, "ID", l->diff_id);
		json_put_int(row, "Size", l->unpacked_size >= 0 ? l->unpacked_size : l->blob_size);
		json_put_bool(row, "Unpacked", l->unpacked_size >= 0);
		json_put(row, "TopLayerOf", top_of(s, all, count, of, i + 1));
		json_array_append_new(rows, row);
	}
	return rows;
}

static int find_record(const char *name, struct store_record *record, void *arg)
{
	struct store_record *want = arg;
	(void)name;
	if (!str_eq(record->manifest, want->manifest))
		return 0;
	*want = *record;
	*record = (struct store_record){0};
	return 1;
}

static int read_record(const struct store *s, const struct store_image *image, struct store_record *ret, struct err *e)
{
	int r = store_record_read(s, image->manifest_digest, ret, e);
	if (r != -ENOENT || !image->builtin)
		return r;
	memcpy(ret->manifest, image->manifest_digest, sizeof(ret->manifest));
	r = store_builtin_each(s, find_record, ret, e);
	return r < 0 ? r : 0;
}

static int make_tree(const struct store *s, const struct store_image *image, json_t **ret_doc, struct err *e)
{
	struct store_record record = {0};
	struct store_list list = {0};
	int r = read_record(s, image, &record, e);
	if (r >= 0)
		r = store_list(s, &list, e);
	struct store_record *all = xcalloc(list.count + 1, sizeof(*all));
	size_t count = 0;
	for (size_t i = 0; r >= 0 && i < list.count; i++) {
		bool again = list.items[i].broken;
		for (size_t k = 0; k < count && !again; k++)
			again = str_eq(all[k].manifest, list.items[i].manifest_digest);
		if (!again && store_record_read(s, list.items[i].manifest_digest, &all[count], NULL) >= 0)
			count++;
	}
	if (r >= 0) {
		int64_t size = 0;
		for (size_t i = 0; i < record.nlayers; i++)
			size += record.layers[i].unpacked_size >= 0 ? record.layers[i].unpacked_size
								    : record.layers[i].blob_size;
		json_t *doc = json_object();
		json_put_str(doc, "ID", image->config_digest);
		json_put(doc, "Tags", names_array(s, image->manifest_digest));
		json_put_int(doc, "Size", size);
		json_put(doc, "Layers", layer_rows(s, &record, all, count));
		*ret_doc = doc;
	}
	for (size_t i = 0; i < count; i++)
		store_record_free(&all[i]);
	free(all);
	store_list_free(&list);
	store_record_free(&record);
	return r < 0 ? r : 0;
}

int image_tree(const char *root, const char *text, json_t **ret_doc, struct err *e)
{
	struct store s;
	struct store_image image;
	autofree char *ref = NULL;
	int r = image_bring_default(root, text, &ref, e);
	if (r >= 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = store_find_image(&s, ref, &image, e);
	if (r >= 0) {
		r = make_tree(&s, &image, ret_doc, e);
		store_image_free(&image);
	}
	store_close(&s);
	return r;
}
