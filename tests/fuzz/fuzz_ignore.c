/* links: model base; libs: -ljansson */
/*
 * Ignore files: any bytes are refused or give patterns that match in bounded time. The first line of the input is a
 * path, the rest the file.
 */
#include <stdint.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/model/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoignore struct ignore g = IGNORE_INIT;
	const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
	size_t n = line ? (size_t)(line - data) : 0;
	autofree char *path = xstrndup((const char *)data, n);
	struct err e = ERR_INIT;
	if (!line)
		return 0;
	data += n + 1;
	size -= n + 1;
	if (ignore_parse(&g, (const char *)data, size, "fuzz", &e) < 0) {
		if (!e.code || !e.text[0])
			__builtin_trap(); /* a refusal says why */
		return 0;
	}
	bool out = ignore_match(&g, path);
	if (strcmp(path, ".") == 0 && out)
		__builtin_trap();
	(void)ignore_may_reenter(&g, path);
	autofree char *pattern = xstrndup((const char *)data, size);
	if (!strchr(pattern, '/') && !ignore_is_glob(pattern) && ignore_glob(pattern, path) &&
	    strcmp(pattern, path) != 0)
		__builtin_trap(); /* a plain name matches itself and nothing else */
	return 0;
}
