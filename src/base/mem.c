/* The names in parentheses keep the macros that mem.h has for analysers away. */
#include "rl/base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rl/base/err.h"
#include "rl/base/log.h"

RL_NORETURN static void out_of_memory(void)
{
	log_line("out of memory");
	_exit(EXIT_RL_FAILED);
}

void *(xmalloc)(size_t size)
{
	void *p = malloc(size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *(xcalloc)(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *(xrealloc)(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *(xreallocarray)(void *old, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		out_of_memory();
	return xrealloc(old, n * size);
}

char *xstrdup(const char *s)
{
	return xmemdup(s, strlen(s) + 1);
}

char *xstrndup(const char *s, size_t n)
{
	n = strnlen(s, n);
	char *p = xmalloc(n + 1);
	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

void *xmemdup(const void *src, size_t n)
{
	void *p = xmalloc(n);
	if (n) /* nothing may be copied from nowhere */
		memcpy(p, src, n);
	return p;
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *p;
	if (vasprintf(&p, fmt, ap) < 0)
		out_of_memory();
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *p = xvasprintf(fmt, ap);
	va_end(ap);
	return p;
}

/* Not inlined: it works on the stack below its own frame. */
__attribute__((noinline)) void mem_give_back(void)
{
	enum { STACK_USED = 256 * 1024 };
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t top = ((uintptr_t)__builtin_frame_address(0) & ~(page - 1)) - page;
	(void)madvise((void *)(top - STACK_USED), STACK_USED, MADV_DONTNEED);
	(void)malloc_trim(0);
}

extern char mem_tables_begin[] __attribute__((weak));
extern char mem_tables_end[] __attribute__((weak));

void mem_drop_tables(void)
{
	size_t len = (size_t)(mem_tables_end - mem_tables_begin);
	/* Without the relocations that the loader made they would be tables of null pointers: they are closed instead. */
	if (len && mprotect(mem_tables_begin, len, PROT_NONE) == 0)
		(void)madvise(mem_tables_begin, len, MADV_DONTNEED);
}
