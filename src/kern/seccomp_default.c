/* The built-in filters: instructions made by src/gen/seccomp_gen.c when rl is built. */
#include "rl/kern/seccomp.h"

#if defined(__x86_64__)
#define SECCOMP_GEN_X86_64
#elif defined(__aarch64__)
#define SECCOMP_GEN_AARCH64
#endif
#include "seccomp_default.inc"

const struct seccomp_filter *seccomp_filter_default(uint64_t caps)
{
#if defined(__x86_64__)
	const struct seccomp_builtin *table = seccomp_builtins_x86_64;
#elif defined(__aarch64__)
	const struct seccomp_builtin *table = seccomp_builtins_aarch64;
#endif
	for (; table->filter.count; table++)
		if (table->caps == (caps & SECCOMP_GEN_RELEVANT_CAPS))
			return &table->filter;
	return NULL;
}

uint64_t seccomp_filter_default_caps(void)
{
	return SECCOMP_GEN_RELEVANT_CAPS;
}
