/* image_add.c - import, load and pull: parameters for rl-image, and its answer; see image.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"
#include "rl/svc/events.h"
#include "rl/svc/image_platform.h"

/* A name on the command line must not be taken for an option of rl-image, and "-" alone is standard input. */
static void add_source(struct strv *verb, const char *source)
{
	strv_add(verb, "--");
	if (source[0] == '-' && source[1])
		strv_addf(verb, "./%s", source);
	else
		strv_add(verb, source);
}

static void note_added(const struct store *s, const char *action, const struct image_list *list)
{
	for (size_t i = 0; list && i < list->count; i++)
		events_note(s, "image", action, list->items[i].id, list->items[i].name);
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
	if (r >= 0)
		note_added(&s, verb->items[0], ret_list);
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
	image_add_registry(&verb, &o->registry);
	add_source(&verb, o->source);
	int r = open_and_run(o->root, o->single, &verb, o->source, ui, &list, e);
	if (r >= 0 && list.count != 1)
		r = err_set(e, EPROTO, "rl-image imported %zu images instead of one", list.count);
	if (r >= 0)
		*ret_added = list.items[0];
	image_list_free(&list);
	return r;
}

/* Transports name the form, which is found out anyway; the file is what follows, and perhaps which of its images. */
static int load_words(const char *source, struct strv *verb, bool *ret_stdin, struct err *e)
{
	struct imgref_location at;
	int r = imgref_locate(source, &at, e);
	if (r < 0)
		return r;
	const char *path = at.transport == IMGREF_STORE ? source : at.path;
	if (at.transport == IMGREF_DOCKER)
		r = err_set(e, EINVAL, "load %s: a registry is not an archive", source);
	strv_add(verb, "load");
	if (at.transport != IMGREF_STORE && at.which)
		strv_addf(verb, "--which=%s", at.which);
	add_source(verb, path);
	*ret_stdin = str_eq(path, "-");
	imgref_location_free(&at);
	return r;
}

int image_load(const char *root, const char *source, bool single, const struct image_ui *ui,
	       struct image_list *ret_list, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	bool with_stdin = false;
	int r = load_words(source, &verb, &with_stdin, e);
	return r < 0 ? r : open_and_run(root, single, &verb, with_stdin ? "-" : "", ui, ret_list, e);
}

int image_load_into(const struct store *s, const struct idmap *map, const char *source, const struct image_ui *ui,
		    struct image_list *ret_list, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	bool with_stdin = false;
	int r = load_words(source, &verb, &with_stdin, e);
	return r < 0 ? r : image_program_run(s, map, &verb, with_stdin, ui, ret_list, e);
}

void image_add_registry(struct strv *verb, const struct image_registry *r)
{
	if (r->authfile)
		strv_addf(verb, "--authfile=%s", r->authfile);
	if (r->cert_dir)
		strv_addf(verb, "--cert-dir=%s", r->cert_dir);
	if (r->tls_verify != UNSET)
		strv_addf(verb, "--tls-verify=%s", r->tls_verify == YES ? "true" : "false");
	if (r->retries)
		strv_addf(verb, "--retry=%u", r->retries);
	if (r->creds)
		setenv("RL_IMAGE_CREDS", r->creds, 1);
	else
		unsetenv("RL_IMAGE_CREDS");
}

int image_pull_into(const struct store *s, const struct idmap *map, const struct image_pull_opts *o,
		    const struct image_ui *ui, struct image_list *ret_list, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	strv_add(&verb, "pull");
	image_add_registry(&verb, &o->registry);
	if (o->platform)
		strv_addf(&verb, "--platform=%s", o->platform);
	if (o->any_single)
		strv_add(&verb, "--any-single");
	if (o->all_tags)
		strv_add(&verb, "--all-tags");
	if (o->policy == PULL_NEWER)
		strv_add(&verb, "--newer");
	const char *name = str_after(o->name, "docker://");
	strv_add(&verb, "--");
	strv_add(&verb, name ? name : o->name);
	int r = image_program_run(s, map, &verb, false, ui, ret_list, e);
	if (r >= 0)
		note_added(s, "pull", ret_list);
	return r;
}

/* The image is in the store and the policy is content with that: 1, and it is in the list. */
static int is_content(const struct store *s, const struct image_pull_opts *o, struct image_list *ret_list,
		      struct err *e)
{
	if (o->policy != PULL_MISSING && o->policy != PULL_NEVER)
		return 0;
	struct store_image image = {0};
	const char *name = str_after(o->name, "docker://");
	int r = store_find_image(s, name ? name : o->name, &image, e);
	if (r == -ENOENT && o->policy == PULL_MISSING) {
		err_clear(e);
		return 0;
	}
	if (r < 0)
		return r;
	if (!image_platform_matches(image.config, o->platform)) {
		store_image_free(&image);
		if (o->policy == PULL_MISSING)
			return 0;
		return err_set(e, ENOENT, "image %s: the store has it for another platform than %s", o->name,
			       o->platform);
	}
	struct image_added added = {.id = ""};
	memcpy(added.id, image.config_digest, sizeof(added.id));
	memcpy(added.manifest, image.manifest_digest, sizeof(added.manifest));
	snprintf(added.name, sizeof(added.name), "%s", image.name);
	store_image_free(&image);
	ret_list->items = xmemdup(&added, sizeof(added));
	ret_list->count = 1;
	return 1;
}

int image_pull(const struct image_pull_opts *o, const struct image_ui *ui, struct image_list *ret_list, struct err *e)
{
	struct imgref_location at;
	int r = imgref_locate(o->name, &at, e);
	if (r < 0)
		return r;
	bool remote = at.transport == IMGREF_STORE || at.transport == IMGREF_DOCKER;
	imgref_location_free(&at);
	if (!remote)
		return image_load(o->root, o->name, false, ui, ret_list, e);
	struct store s;
	struct idmap map;
	r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = store_open(o->root, true, &s, e);
	if (r < 0)
		return r;
	*ret_list = (struct image_list){0};
	r = is_content(&s, o, ret_list, e);
	if (r == 0)
		r = image_pull_into(&s, &map, o, ui, ret_list, e);
	store_close(&s);
	return r < 0 ? r : 0;
}

int image_list_single(const struct image_list *list, const char *source, char ret_id[STORE_DIGEST_SIZE], struct err *e)
{
	if (!list->count)
		return err_set(e, ENOENT, "%s holds no image", source);
	for (size_t i = 1; i < list->count; i++) {
		if (str_eq(list->items[i].id, list->items[0].id))
			continue;
		err_set(e, EINVAL, "%s holds more than one image", source);
		return err_hint(e, "say which: %s:NAME", source);
	}
	snprintf(ret_id, STORE_DIGEST_SIZE, "%s", list->items[0].id);
	return 0;
}

int image_bring(const struct image_pull_opts *o, const struct image_ui *ui, char **ret_ref, struct err *e)
{
	struct imgref_location at;
	struct image_list list = {0};
	char id[STORE_DIGEST_SIZE];
	int r = imgref_locate(o->name, &at, e);
	if (r < 0)
		return r;
	bool here = at.transport == IMGREF_STORE;
	imgref_location_free(&at);
	if (here) {
		*ret_ref = xstrdup(o->name);
		return 0;
	}
	r = image_pull(o, ui, &list, e);
	if (r >= 0)
		r = image_list_single(&list, o->name, id, e);
	if (r >= 0)
		*ret_ref = xstrdup(id);
	image_list_free(&list);
	return r;
}

int image_bring_default(const char *root, const char *text, char **ret_ref, struct err *e)
{
	const struct image_pull_opts o = {
		.root = root, .name = text, .policy = PULL_MISSING, .registry = {.tls_verify = UNSET}};
	return image_bring(&o, NULL, ret_ref, e);
}
