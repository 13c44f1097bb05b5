/* links: model base; libs: -ljansson */
/*
 * Expansion of variables in words: any text is refused or gives a value within the limits, the three forms agree about
 * what is no reference, and nothing recurses without bound.
 */
#include <stdint.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/model/dockerfile.h"

static const char *get(void *arg, const char *name)
{
	(void)arg;
	return str_eq(name, "x") ? "a/b.c/b" : str_eq(name, "y") ? "" : str_eq(name, "blank") ? "1 2  3" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	for (int k = 0; k < 2; k++) {
		const struct dockerfile_vars v = {.get = get, .escape = k ? '`' : '\\'};
		autostr struct str word = STR_INIT;
		autostr struct str whole = STR_INIT;
		autostrv struct strv words = STRV_INIT;
		struct err e = ERR_INIT;
		int r = dockerfile_expand(text, &v, &word, &e);
		if (r < 0 && (!e.code || !e.text[0]))
			__builtin_trap();
		if (r >= 0 && word.len > DOCKERFILE_VALUE_MAX)
			__builtin_trap();
		if (!strpbrk(text, "$\"'\\`") && (r < 0 || !str_eq(word.buf, text)))
			__builtin_trap(); /* nothing to expand: the text itself */
		(void)!dockerfile_expand_words(text, &v, &words, NULL);
		(void)!dockerfile_expand_text(text, &v, &whole, NULL);
	}
	return 0;
}
