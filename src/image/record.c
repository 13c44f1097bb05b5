/* record.c - the store's record of an image, from its verified documents; see image_int.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"

int image_fill_record(const struct imgspec_manifest *m, const struct imgspec_config *config, struct store_record *r,
		      struct err *e)
{
	int rc = imgspec_match(m, config, e);
	if (rc < 0)
		return rc;
	r->media_type = xstrdup(m->media_type);
	memcpy(r->config, m->config.digest, sizeof(r->config));
	r->config_size = m->config.size;
	r->created = config->created ? xstrdup(config->created) : NULL;
	r->layers = xcalloc(m->nlayers + 1, sizeof(*r->layers));
	r->nlayers = m->nlayers;
	for (size_t i = 0; i < m->nlayers; i++) {
		struct store_layer *layer = &r->layers[i];
		layer->media_type = xstrdup(m->layers[i].media_type);
		memcpy(layer->blob, m->layers[i].digest, sizeof(layer->blob));
		layer->blob_size = m->layers[i].size;
		snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", config->diff_ids.items[i]);
		snprintf(layer->key, sizeof(layer->key), "%s", config->diff_ids.items[i] + 7);
		layer->unpacked_size = -1;
	}
	return 0;
}

struct media_pair {
	const char *oci, *docker;
};
static const struct media_pair media_pairs[] = {
	{IMGSPEC_OCI_MANIFEST, IMGSPEC_DOCKER_MANIFEST},
	{IMGSPEC_OCI_CONFIG, IMGSPEC_DOCKER_CONFIG},
	{IMGSPEC_OCI_LAYER, IMGSPEC_DOCKER_LAYER},
	{IMGSPEC_OCI_LAYER_GZIP, IMGSPEC_DOCKER_LAYER_GZIP},
};

int image_translate_type(const char *type, bool docker, const char **ret_type, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(media_pairs); i++) {
		if (!str_eq(type, media_pairs[i].oci) && !str_eq(type, media_pairs[i].docker))
			continue;
		*ret_type = docker ? media_pairs[i].docker : media_pairs[i].oci;
		return 0;
	}
	if (!docker && str_after(type, "application/vnd.oci.")) {
		*ret_type = type;
		return 0;
	}
	int r = err_set(e, EINVAL, "%s cannot be said in docker's format", type);
	return err_hint(e, "use --format oci"), r;
}

int image_parse_config(const struct str *bytes, struct imgspec_config *ret_config, struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse(bytes->buf, bytes->len, "config", &doc, e);
	return r < 0 ? r : imgspec_config_parse(doc, ret_config, e);
}

int image_pin_record(struct store_work *w, const struct store_record *r, struct err *e)
{
	int rc = store_pin_blob(w, r->manifest, r->manifest_size, e);
	if (rc >= 0)
		rc = store_pin_blob(w, r->config, r->config_size, e);
	for (size_t i = 0; i < r->nlayers && rc >= 0; i++)
		rc = store_pin_blob(w, r->layers[i].blob, r->layers[i].blob_size, e);
	return rc < 0 ? rc : 0;
}
