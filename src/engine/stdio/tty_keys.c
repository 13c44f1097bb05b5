#include <string.h>

#include "rl/engine/stdio.h"

size_t tty_keys_filter(struct tty_keys *k, const char *in, size_t n, char *out, bool *ret_found)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		if (k->nkeys && (unsigned char)in[i] != k->keys[k->matched]) {
			memcpy(out + len, k->keys, k->matched);
			len += k->matched;
			k->matched = 0;
		}
		if (!k->nkeys || (unsigned char)in[i] != k->keys[k->matched]) {
			out[len++] = in[i];
			continue;
		}
		if (++k->matched == k->nkeys) {
			k->matched = 0;
			*ret_found = true;
			return len;
		}
	}
	return len;
}
