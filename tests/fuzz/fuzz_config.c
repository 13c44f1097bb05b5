/* links: model base; libs: -ljansson */
/*
 * fuzz_config.c - any bytes as an image config: no crash; DiffIDs are digests, variables have names, and the reader in a
 * hurry (imgspec_diff_ids) sees the same layers as the other one.
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

static void check(const struct imgspec_config *c, const json_t *doc)
{
	struct err e = ERR_INIT;
	autostrv struct strv quick = STRV_INIT;
	for (size_t i = 0; i < c->env.count; i++)
		must(strchr(c->env.items[i], '=') > c->env.items[i]);
	must(imgspec_diff_ids(doc, &quick, &e) == 0 && quick.count == c->diff_ids.count);
	for (size_t i = 0; i < c->diff_ids.count; i++)
		must(imgref_is_digest(c->diff_ids.items[i]) && str_eq(c->diff_ids.items[i] + 7, quick.items[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	autojson json_t *doc = NULL;
	struct imgspec_config config;
	if (json_parse((const char *)data, size, "fuzz", &doc, &e) < 0 || imgspec_config_parse(doc, &config, &e) < 0)
		return 0;
	check(&config, doc);
	imgspec_config_free(&config);
	/* What `import -c` and `commit -c` do to a config somebody else wrote. */
	static const char *const changes[] = {"ENV A=b",   "LABEL x=y", "CMD [\"a\"]",
					      "EXPOSE 80", "VOLUME /v", "USER 1"};
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		(void)!imgspec_change(doc, changes[i], &e);
	return 0;
}
