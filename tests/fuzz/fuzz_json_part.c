/* links: base; libs: -ljansson */
/*
 * Any bytes: whatever jansson takes for an object is taken here, too, and what is kept of it is the same.
 */
#include <stdint.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct json_part inner[] = {{"a", NULL}, {"b", NULL}, {NULL, NULL}};
	static const struct json_part parts[] = {{"a", NULL}, {"id", NULL}, {"in", inner}, {NULL, NULL}};
	autojson json_t *whole = NULL;
	autojson json_t *part = NULL;
	struct err e = ERR_INIT;
	int r = json_parse_parts((const char *)data, size, "fuzz", parts, &part, &e);
	if (json_parse((const char *)data, size, "fuzz", &whole, &e) < 0 || !json_is_object(whole))
		return 0;
	/* jansson nests deeper and loses a NUL behind a number; names that are written with escapes are not found here. */
	if (r < 0) {
		if (!strstr(e.text, "deep") && !memchr(data, '\0', size))
			__builtin_trap();
		return 0;
	}
	const char *key;
	json_t *value;
	json_object_foreach (part, key, value) {
		const json_t *other = json_object_get(whole, key);
		if (!other || (strcmp(key, "in") != 0 && !json_equal(value, other)))
			__builtin_trap();
	}
	return 0;
}
