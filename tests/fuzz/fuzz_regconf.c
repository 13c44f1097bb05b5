/* links: model base; libs: -ljansson */
/*
 * registries.conf: any bytes are refused or give a configuration that answers questions without harm.
 */
#include <stdint.h>

#include "rl/base/mem.h"
#include "rl/model/regconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"busybox", "a.org/b/c", "localhost:5000/x", "team/app:1@sha256:00"};
	struct regconf c = REGCONF_INIT;
	struct err e = ERR_INIT;
	/* Twice: merging with itself is replacing. */
	if (regconf_add(&c, (const char *)data, size, "fuzz", &e) == 0 &&
	    regconf_add(&c, (const char *)data, size, "fuzz", &e) < 0)
		__builtin_trap();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autostrv struct strv out = STRV_INIT;
		struct regconf_sources s = {.items = NULL};
		if (regconf_expand(&c, names[i], &out, &e) == 0 && !out.count)
			__builtin_trap();
		if (regconf_sources(&c, names[i], i & 1, false, &s, &e) == 0 &&
		    (!s.count || s.items[s.count - 1].is_mirror))
			__builtin_trap();
		regconf_sources_free(&s);
	}
	regconf_free(&c);
	return 0;
}
