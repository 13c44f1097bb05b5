/* links: model base; libs: -ljansson */
/*
 * fuzz_manifest.c - any bytes as a manifest: no crash, and what is accepted keeps the promises of imgspec.h (digests,
 * sizes, counts; never a document that is an index as well).
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

static void as_manifest(const json_t *doc)
{
	struct err e = ERR_INIT;
	struct imgspec_manifest m;
	if (imgspec_manifest_parse(doc, &m, &e) < 0)
		return;
	check_desc(&m.config);
	must(m.nlayers <= IMGSPEC_LAYERS_MAX && m.config.size <= IMGSPEC_CONFIG_MAX);
	for (size_t i = 0; i < m.nlayers; i++)
		check_desc(&m.layers[i]);
	imgspec_manifest_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	autojson json_t *doc = NULL;
	autojson json_t *any = NULL;
	enum imgspec_kind kind;
	const char *text = (const char *)data;
	/* The parser is also safe on documents nobody has classified. */
	if (json_parse(text, size, "fuzz", &any, &e) == 0 && json_is_object(any))
		as_manifest(any);
	if (imgspec_kind(text, size, NULL, &kind, &doc, &e) == 0) {
		bool lists = json_object_get(doc, "manifests");
		must(lists == (kind == IMGSPEC_INDEX));
		must(!lists || (!json_object_get(doc, "layers") && !json_object_get(doc, "config")));
	}
	return 0;
}
