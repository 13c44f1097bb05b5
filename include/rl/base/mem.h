/*
 * mem.h - allocation that cannot be forgotten to be checked, and cleanup on leaving a scope.
 *
 * Model: the x-functions never return NULL: when memory is gone they print one line and end the process with
 * EXIT_RL_FAILED (crash-safety of state on disk comes from rename and locks, not from unwinding). Sizes that come from
 * hostile input must be bounded by the caller before they reach these functions.
 *
 * Ownership: autofree/autofd/autodir variables own what they hold; take_ptr and take_fd hand it over and leave
 * NULL or -1 behind. Always initialise an auto variable. All cleanups preserve errno.
 *     autofree char *p = xstrdup(s);
 *     autofd int fd = -1;
 *     return take_fd(&fd);
 */
#ifndef RL_BASE_MEM_H
#define RL_BASE_MEM_H

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rl/base/compiler.h"

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
/* Array growth with overflow check: room for n members of `size` bytes. */
void *xreallocarray(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) RL_PRINTF(1, 2) __attribute__((malloc, returns_nonnull));
char *xvasprintf(const char *fmt, va_list ap) RL_PRINTF(1, 0) __attribute__((malloc, returns_nonnull));

#ifdef __clang_analyzer__
/* Clang's analyser takes every function marked malloc for one that may return NULL. */
#define MEM_ANALYSER_NONNULL(call)                                                                                     \
	({                                                                                                             \
		void *mem_result = (call);                                                                             \
		if (!mem_result)                                                                                       \
			__builtin_unreachable();                                                                       \
		mem_result;                                                                                            \
	})
#define xmalloc(size)		  MEM_ANALYSER_NONNULL((xmalloc)(size))
#define xcalloc(n, size)	  MEM_ANALYSER_NONNULL((xcalloc)(n, size))
#define xrealloc(p, size)	  MEM_ANALYSER_NONNULL((xrealloc)(p, size))
#define xreallocarray(p, n, size) MEM_ANALYSER_NONNULL((xreallocarray)(p, n, size))
#endif

static inline void cleanup_free(void *pp)
{
	int saved = errno;
	free(*(void **)pp);
	errno = saved;
}

static inline void cleanup_fd(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_dir(DIR **d)
{
	int saved = errno;
	if (*d)
		closedir(*d);
	errno = saved;
}

static inline void cleanup_file(FILE **f)
{
	int saved = errno;
	if (*f)
		fclose(*f);
	errno = saved;
}

#define autofree __attribute__((cleanup(cleanup_free)))
#define autofd	 __attribute__((cleanup(cleanup_fd)))
#define autodir	 __attribute__((cleanup(cleanup_dir)))
#define autofile __attribute__((cleanup(cleanup_file)))

static inline int take_fd(int *fd)
{
	int v = *fd;
	*fd = -1;
	return v;
}

#define take_ptr(pp)                                                                                                   \
	({                                                                                                             \
		__typeof__(*(pp)) take_ptr_value = *(pp);                                                              \
		*(pp) = NULL;                                                                                          \
		take_ptr_value;                                                                                        \
	})

/* Close and mark as closed; harmless on -1. */
static inline void close_fd(int *fd)
{
	cleanup_fd(fd);
	*fd = -1;
}

/* For a process that is about to wait for long: what is free of the heap, and the stack below the caller, go back to the
 * system. */
void mem_give_back(void);

/* For a process that stays and will never look at its command line: the pages with the tables of options and verbs
 * (src/cmd/tables.ld) go back to the system, and whoever touches them all the same is ended by SIGSEGV. Nothing in
 * programs that have no such tables. */
void mem_drop_tables(void);

#endif
