/* links: model base; libs: -ljansson */
/*
 * fuzz_index.c - any bytes as an index or manifest list: no crash, bounded, and the image that is chosen for a platform
 * is one of its entries, whatever platform is asked for.
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

static void choose(const struct imgspec_index *x, const char *platform)
{
	struct err e = ERR_INIT;
	struct imgspec_platform want = {0};
	if (imgspec_platform_parse(platform, &want, &e) < 0)
		return;
	int r = imgspec_index_choose(x, &want, &e);
	must(r < 0 ? e.code : (size_t)r < x->nmanifests);
	imgspec_platform_free(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	autojson json_t *doc = NULL;
	struct imgspec_index x;
	if (json_parse((const char *)data, size, "fuzz", &doc, &e) < 0 || !json_is_object(doc) ||
	    imgspec_index_parse(doc, &x, &e) < 0)
		return 0;
	must(x.nmanifests <= IMGSPEC_INDEX_MAX);
	for (size_t i = 0; i < x.nmanifests; i++) {
		const struct imgspec_desc *d = &x.manifests[i];
		must(imgref_is_digest(d->digest) && d->size >= 0 && d->size <= IMGSPEC_BLOB_MAX && d->media_type);
		/* What an entry says of its platform, as somebody's wish. */
		autofree char *own = xasprintf("%s/%s/%s", d->platform.os ? d->platform.os : "linux",
					       d->platform.architecture ? d->platform.architecture : "amd64",
					       d->platform.variant ? d->platform.variant : "v8");
		if (i < 8)
			choose(&x, own);
	}
	choose(&x, "linux/amd64");
	choose(&x, "linux/arm/v7");
	imgspec_index_free(&x);
	return 0;
}
