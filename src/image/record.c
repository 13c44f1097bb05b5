/* record.c - the store's record of an image, from its verified documents; see image_int.h. */
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
