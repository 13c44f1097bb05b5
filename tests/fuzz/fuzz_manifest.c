/*
 * fuzz_manifest.c - any bytes as a manifest, an index or a config: no crash, and what is accepted keeps the promises of
 * imgspec.h (digests, sizes, counts; never both shapes).
 */
#include <stdint.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "rl/model/imgspec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_desc(const struct imgspec_desc *d)
{
	must(imgref_is_digest(d->digest) && d->size >= 0 && d->size <= IMGSPEC_BLOB_MAX && d->media_type);
}

static void as_manifest(const json_t *doc, const struct imgspec_config *config)
{
	struct err e = ERR_INIT;
	struct imgspec_manifest m;
	if (imgspec_manifest_parse(doc, &m, &e) < 0)
		return;
	check_desc(&m.config);
	must(m.nlayers <= IMGSPEC_LAYERS_MAX && m.config.size <= IMGSPEC_CONFIG_MAX);
	for (size_t i = 0; i < m.nlayers; i++)
		check_desc(&m.layers[i]);
	if (config)
		must((imgspec_match(&m, config, &e) == 0) == (m.nlayers == config->diff_ids.count));
	imgspec_manifest_free(&m);
}

static void as_index(const json_t *doc)
{
	struct err e = ERR_INIT;
	struct imgspec_index x;
	struct imgspec_platform want = {0};
	if (imgspec_index_parse(doc, &x, &e) < 0)
		return;
	must(x.nmanifests <= IMGSPEC_INDEX_MAX);
	for (size_t i = 0; i < x.nmanifests; i++)
		check_desc(&x.manifests[i]);
	if (imgspec_platform_parse("linux/arm/v7", &want, &e) == 0) {
		int r = imgspec_index_choose(&x, &want, &e);
		must(r < 0 || (size_t)r < x.nmanifests);
		imgspec_platform_free(&want);
	}
	imgspec_index_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	autojson json_t *doc = NULL;
	autojson json_t *any = NULL;
	enum imgspec_kind kind;
	struct imgspec_config config;
	bool has_config = false;
	const char *text = (const char *)data;
	if (json_parse(text, size, "fuzz", &any, &e) == 0) {
		has_config = imgspec_config_parse(any, &config, &e) == 0;
		/* The parsers are also safe on documents nobody has classified. */
		if (json_is_object(any)) {
			as_manifest(any, has_config ? &config : NULL);
			as_index(any);
		}
	}
	if (has_config) {
		for (size_t i = 0; i < config.diff_ids.count; i++)
			must(imgref_is_digest(config.diff_ids.items[i]));
		for (size_t i = 0; i < config.env.count; i++)
			must(strchr(config.env.items[i], '=') > config.env.items[i]);
		imgspec_config_free(&config);
	}
	if (imgspec_kind(text, size, NULL, &kind, &doc, &e) == 0) {
		bool lists = json_object_get(doc, "manifests");
		must(lists == (kind == IMGSPEC_INDEX));
		must(!lists || (!json_object_get(doc, "layers") && !json_object_get(doc, "config")));
	}
	return 0;
}
