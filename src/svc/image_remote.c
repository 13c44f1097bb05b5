/* image_remote.c - push, login, and looking at registries: parameters for rl-image, and its answers; see image.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

static int ask(const char *root, const struct strv *verb, const struct image_ui *ui, struct image_list *ret_list,
	       struct str *ret_text, struct err *e)
{
	struct store s;
	struct idmap map;
	int r = idmap_detect(false, &map, e);
	if (r >= 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = ret_text ? image_program_ask(&s, &map, verb, ret_text, e)
		     : image_program_run(&s, &map, verb, false, ui, ret_list, e);
	store_close(&s);
	return r;
}

static const char *without_transport(const char *name)
{
	const char *rest = str_after(name, "docker://");
	return rest ? rest : name;
}

/* To a file or a directory: what save does. */
static int push_to_file(const struct image_push_opts *o, const struct imgref_location *at, const struct image_ui *ui,
			struct image_added *ret_pushed, struct err *e)
{
	static const char *const formats[IMGREF_TRANSPORT_N] = {[IMGREF_OCI] = "oci-dir",
								[IMGREF_OCI_ARCHIVE] = "oci-archive",
								[IMGREF_DOCKER_ARCHIVE] = "docker-archive",
								[IMGREF_DIR] = "docker-dir"};
	autostrv struct strv refs = STRV_INIT;
	struct store s;
	struct store_image found = {0};
	if (o->force || o->compression || o->format) {
		err_set(e, EINVAL, "push %s: documents and layers are written to %s as they are", o->name, o->dest);
		return err_hint(e, "push to a registry to have them changed");
	}
	strv_add(&refs, o->name);
	int r = image_save(&(struct image_save_opts){.root = o->root,
						     .output = at->path,
						     .format = formats[at->transport],
						     .name = at->which ? at->which : "",
						     .append = true,
						     .refs = refs},
			   ui, e);
	if (r >= 0)
		r = store_open(o->root, false, &s, e);
	if (r < 0)
		return r;
	r = store_find_image(&s, o->name, &found, e);
	if (r >= 0) {
		memcpy(ret_pushed->id, found.config_digest, sizeof(ret_pushed->id));
		memcpy(ret_pushed->manifest, found.manifest_digest, sizeof(ret_pushed->manifest));
		snprintf(ret_pushed->name, sizeof(ret_pushed->name), "%s", o->dest);
		store_image_free(&found);
	}
	store_close(&s);
	return r;
}

static int push_to_registry(const struct image_push_opts *o, const struct image_ui *ui, struct image_added *ret_pushed,
			    struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	struct image_list list = {0};
	strv_add(&verb, "push");
	image_add_registry(&verb, &o->registry);
	if (o->format)
		strv_addf(&verb, "--format=%s", o->format);
	if (o->compression)
		strv_addf(&verb, "--compression=%s", o->compression);
	if (o->level)
		strv_addf(&verb, "--compression-level=%u", o->level);
	if (o->force)
		strv_add(&verb, "--force-compression");
	strv_add(&verb, "--");
	strv_add(&verb, o->name);
	strv_add(&verb, o->dest ? without_transport(o->dest) : "");
	int r = ask(o->root, &verb, ui, &list, NULL, e);
	if (r >= 0 && list.count != 1)
		r = err_set(e, EPROTO, "rl-image pushed %zu images instead of one", list.count);
	if (r >= 0)
		*ret_pushed = list.items[0];
	image_list_free(&list);
	return r;
}

int image_push(const struct image_push_opts *o, const struct image_ui *ui, struct image_added *ret_pushed,
	       struct err *e)
{
	struct image_push_opts p = *o;
	struct imgref_location from = {0};
	struct imgref_location to = {0};
	autofree char *source = NULL;
	int r = imgref_locate(o->name, &from, e);
	if (r >= 0 && o->dest)
		r = imgref_locate(o->dest, &to, e);
	if (r >= 0 && from.transport != IMGREF_STORE) {
		if (!o->dest)
			r = err_set(e, EINVAL,
				    "push %s: where to? An image that is not of the store needs a destination",
				    o->name);
		else
			r = image_bring(&(struct image_pull_opts){.root = o->root,
								  .name = o->name,
								  .policy = PULL_ALWAYS,
								  .registry = o->registry},
					ui, &source, e);
		p.name = source;
	}
	if (r >= 0)
		r = to.transport == IMGREF_STORE || to.transport == IMGREF_DOCKER
			    ? push_to_registry(&p, ui, ret_pushed, e)
			    : push_to_file(&p, &to, ui, ret_pushed, e);
	imgref_location_free(&from);
	imgref_location_free(&to);
	return r;
}

int image_login(const char *root, const char *key, const struct image_registry *registry, struct str *ret_text,
		struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	strv_add(&verb, "login");
	image_add_registry(&verb, registry);
	strv_add(&verb, "--");
	strv_add(&verb, key);
	int r = ask(root, &verb, NULL, NULL, ret_text, e);
	unsetenv("RL_IMAGE_CREDS");
	return r;
}

int image_logout(const char *root, const char *key, const struct image_registry *registry, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	autostr struct str removed = STR_INIT;
	strv_add(&verb, "logout");
	image_add_registry(&verb, registry);
	strv_add(&verb, "--");
	strv_add(&verb, key ? key : "");
	int r = ask(root, &verb, NULL, NULL, &removed, e);
	return r < 0 ? r : removed.len > 0;
}

static int inspect(const char *root, const char *name, const struct image_registry *registry, bool raw,
		   json_t **ret_doc, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	autostr struct str text = STR_INIT;
	strv_add(&verb, "inspect");
	image_add_registry(&verb, registry);
	if (raw)
		strv_add(&verb, "--raw");
	strv_add(&verb, "--");
	strv_add(&verb, without_transport(name));
	int r = ask(root, &verb, NULL, NULL, &text, e);
	return r < 0 ? r : json_parse(text.buf, text.len, "the answer of rl-image", ret_doc, e);
}

int image_inspect_remote(const char *root, const char *name, const struct image_registry *registry, json_t **ret_doc,
			 struct err *e)
{
	return inspect(root, name, registry, false, ret_doc, e);
}

int image_raw_remote(const char *root, const char *name, const struct image_registry *registry, json_t **ret_doc,
		     struct err *e)
{
	return inspect(root, name, registry, true, ret_doc, e);
}

int image_remote_tags(const char *root, const char *name, const struct image_registry *registry, char **ret_name,
		      struct strv *ret_tags, struct err *e)
{
	autostrv struct strv verb = STRV_INIT;
	autostr struct str text = STR_INIT;
	autostrv struct strv lines = STRV_INIT;
	strv_add(&verb, "tags");
	image_add_registry(&verb, registry);
	strv_add(&verb, "--");
	strv_add(&verb, without_transport(name));
	int r = ask(root, &verb, NULL, NULL, &text, e);
	if (r < 0)
		return r;
	/* The repository, then one tag per line. */
	strv_split(&lines, text.buf, '\n');
	*ret_name = xstrdup(lines.items[0]);
	for (size_t i = 1; i < lines.count; i++)
		if (*lines.items[i])
			strv_add(ret_tags, lines.items[i]);
	return 0;
}
