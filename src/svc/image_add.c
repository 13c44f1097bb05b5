/* image_add.c - import, load and pull: parameters for rl-image, and its answer; see image.h. */
#include <errno.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

/* A name on the command line must not be taken for an option of rl-image, and "-" alone is standard input. */
static void add_source(struct strv *verb, const char *source)
{
	strv_add(verb, "--");
	if (source[0] == '-' && source[1])
		strv_addf(verb, "./%s", source);
	else
		strv_add(verb, source);
}

static int open_and_run(const char *root, bool single, const struct strv *verb, const char *source,
			const struct image_ui *ui, struct image_list *ret_list, struct err *e)
{
	struct store s;
	struct idmap map;
	int r = idmap_detect(single, &map, e);
	if (r >= 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = image_program_run(&s, &map, verb, str_eq(source, "-"), ui, ret_list, e);
	store_close(&s);
	return r;
}

int image_import(const struct image_import_opts *o, const struct image_ui *ui, struct image_added *ret_added,
		 struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	struct image_list list = {0};
	strv_add(&verb, "import");
	if (o->name)
		strv_addf(&verb, "--name=%s", o->name);
	if (o->message)
		strv_addf(&verb, "--message=%s", o->message);
	for (size_t i = 0; i < o->changes.count; i++)
		strv_addf(&verb, "--change=%s", o->changes.items[i]);
	add_source(&verb, o->source);
	int r = open_and_run(o->root, o->single, &verb, o->source, ui, &list, e);
	if (r >= 0 && list.count != 1)
		r = err_set(e, EPROTO, "rl-image imported %zu images instead of one", list.count);
	if (r >= 0)
		*ret_added = list.items[0];
	image_list_free(&list);
	return r;
}

int image_load(const char *root, const char *source, bool single, const struct image_ui *ui,
	       struct image_list *ret_list, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	struct imgref_location at;
	int r = imgref_locate(source, &at, e);
	if (r < 0)
		return r;
	/* Transports name the form, which is found out anyway; the file is what follows. */
	const char *path = at.transport == IMGREF_STORE ? source : at.path;
	if (at.transport == IMGREF_DOCKER)
		r = err_set(e, EINVAL, "load %s: a registry is not an archive", source);
	strv_add(&verb, "load");
	add_source(&verb, path);
	if (r >= 0)
		r = open_and_run(root, single, &verb, path, ui, ret_list, e);
	imgref_location_free(&at);
	return r;
}

int image_pull_into(const struct store *s, const struct idmap *map, const struct image_pull_opts *o,
		    const struct image_ui *ui, struct image_list *ret_list, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	strv_add(&verb, "pull");
	if (o->platform)
		strv_addf(&verb, "--platform=%s", o->platform);
	if (o->authfile)
		strv_addf(&verb, "--authfile=%s", o->authfile);
	if (o->cert_dir)
		strv_addf(&verb, "--cert-dir=%s", o->cert_dir);
	if (o->tls_verify >= 0)
		strv_addf(&verb, "--tls-verify=%s", o->tls_verify ? "true" : "false");
	if (o->retries >= 0)
		strv_addf(&verb, "--retry=%d", o->retries);
	if (o->all_tags)
		strv_add(&verb, "--all-tags");
	if (o->newer)
		strv_add(&verb, "--newer");
	strv_add(&verb, "--");
	strv_add(&verb, o->ref);
	return image_program_run(s, map, &verb, false, ui, ret_list, e);
}

int image_pull(const char *root, const struct image_pull_opts *o, bool single, const struct image_ui *ui,
	       struct image_list *ret_list, struct err *e)
{
	struct store s;
	struct idmap map;
	int r = idmap_detect(single, &map, e);
	if (r >= 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = image_pull_into(&s, &map, o, ui, ret_list, e);
	store_close(&s);
	return r;
}
