/* links: model base; libs: -ljansson */
/*
 * Dockerfile, expansion and ignore patterns: any bytes are refused or give instructions whose words can be expanded.
 */
#include <stdint.h>

#include "rl/base/mem.h"
#include "rl/model/dockerfile.h"
#include "rl/model/ignore.h"

static const char *get(void *arg, const char *name)
{
	(void)arg;
	return str_eq(name, "x") ? "a/b.c" : NULL;
}

static void expand_all(const struct dockerfile *d)
{
	const struct dockerfile_vars v = {.get = get, .escape = d->escape};
	for (size_t i = 0; i < d->count; i++) {
		const struct dockerfile_instr *in = &d->items[i];
		if (!in->text || !in->rest || in->kind >= DOCKERFILE_KIND_N)
			__builtin_trap();
		for (size_t k = 0; k < in->nwords; k++) {
			autostr struct str out = STR_INIT;
			autostrv struct strv words = STRV_INIT;
			(void)!dockerfile_expand(in->words[k].text, &v, &out, NULL);
			(void)!dockerfile_expand_words(in->words[k].text, &v, &words, NULL);
		}
		for (size_t k = 0; k < in->nheredocs; k++) {
			autostr struct str out = STR_INIT;
			(void)!dockerfile_expand_text(in->heredocs[k].text, &v, &out, NULL);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dockerfile d;
	struct dockerfile_where at;
	struct err e = ERR_INIT;
	autoignore struct ignore g = IGNORE_INIT;
	autostr struct str shown = STR_INIT;
	if (dockerfile_parse((const char *)data, size, &d, &at, &e) == 0) {
		expand_all(&d);
		dockerfile_free(&d);
	} else {
		dockerfile_excerpt(&at, &shown);
	}
	if (ignore_parse(&g, (const char *)data, size, "fuzz", &e) == 0)
		(void)ignore_match(&g, "a/b/c.d");
	return 0;
}
