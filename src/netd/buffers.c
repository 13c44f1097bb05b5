/*
 * buffers.c - libslirp's memory: what a connection takes and what goes back.
 *
 * A connection has two socket buffers of 128 KiB, of which a short one touches a page each. libslirp asks for them when it
 * sees the first SYN, and asks for up to a segment more as soon as it knows how long segments may be: nothing is in them
 * yet, but realloc cannot know. Where the first had come from the heap instead of a mapping of its own, which happens
 * as soon as anything of that size is free there, all 128 KiB were copied and so touched: a thousand connections took 90 MB
 * instead of 9 for a while. So the first request gets room for the second, and nothing is ever moved.
 *
 * g_realloc is ours as connect is in guard.c: the dynamic linker binds libslirp's calls to the definition in the program.
 */
#include <malloc.h>
#include <stdlib.h>

#include "netd.h"
#include "rl/base/mem.h"

enum {
	SOCKET_BUFFER = 128 * 1024,
	SEGMENT_MAX = 65535,
};

void *g_realloc(void *mem, size_t size);

void *g_realloc(void *mem, size_t size)
{
	if (!size) {
		free(mem);
		return NULL;
	}
	if (mem && malloc_usable_size(mem) >= size)
		return mem;
	return xrealloc(mem, size >= SOCKET_BUFFER ? size + SEGMENT_MAX : size);
}

/* The socket buffers come and go with connections: as mappings of their own they return to the system at once, while
 * libslirp's frame buffers (just below) stay on the heap. Without this the threshold moves up by itself. */
void buffers_init(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 100 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TOP_PAD, 0);
	(void)mallopt(M_ARENA_MAX, 1);
}
