/* links: model base; libs: -ljansson */
/*
 * WWW-Authenticate: any bytes are refused or give challenges without control characters.
 */
#include <stdint.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/model/wwwauth.h"

static void check(const char *s)
{
	for (; s && *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wwwauth w = WWWAUTH_INIT;
	struct err e = ERR_INIT;
	/* Two headers: the input cut in the middle. */
	(void)!wwwauth_add(&w, (const char *)data, size / 2, &e);
	(void)!wwwauth_add(&w, (const char *)data + size / 2, size - size / 2, &e);
	if (w.count > WWWAUTH_CHALLENGES_MAX)
		__builtin_trap();
	for (size_t i = 0; i < w.count; i++) {
		check(w.items[i].realm);
		check(w.items[i].service);
		check(w.items[i].scope);
		check(w.items[i].error);
	}
	wwwauth_choose(&w);
	wwwauth_free(&w);
	return 0;
}
