/* links: base */
/* What libslirp asks for and gets. Included as source, because a definition of g_realloc is only the program's when it is
 * in the program. */
#include "src/netd/buffers.c"

#include <string.h>

#include "tap.h"

enum { BELOW = 90 * 1024 }; /* what is mapped by itself */

int main(void)
{
	tap_plan_later();
	buffers_init();
	/* Room for a socket buffer in the heap, with something behind it: there libc can only move one that grows. */
	void *first = xmalloc(BELOW), *second = xmalloc(BELOW), *behind = xmalloc(BELOW);
	free(first);
	free(second);
	char *before = g_realloc(NULL, SOCKET_BUFFER);
	uintptr_t at = (uintptr_t)before;
	char *after = g_realloc(before, SOCKET_BUFFER + 65480 - SOCKET_BUFFER % 65480);
	tap_ok((uintptr_t)after == at, "a socket buffer that gets room for one segment more stays where it is");
	after[SOCKET_BUFFER + 65480 - SOCKET_BUFFER % 65480 - 1] = 'x';
	tap_ok((uintptr_t)g_realloc(after, SOCKET_BUFFER) == at, "and when it gets less");
	free(after);
	free(behind);
	char *text = g_realloc(NULL, 10);
	memcpy(text, "something", 10);
	text = g_realloc(text, 60000);
	tap_ok(memcmp(text, "something", 10) == 0, "what is in a frame buffer that grows is kept");
	tap_ok(g_realloc(text, 0) == NULL, "nothing is asked for and nothing given");
	return tap_done();
}
