/*
 * seccomp_arch.c - architectures and system call numbers.
 *
 * libseccomp is the source of names and numbers. Two things are added. Calls newer than the library: since Linux 5.1 a
 * new call has the same number on every architecture of ours, so one small table does. And on i386 the library answers
 * the socket and System V calls with pseudo numbers that stand for "the multiplexer or the direct call"; filters here
 * treat the two separately (the multiplexer hides its arguments), so the direct numbers are listed.
 */
#include "rl/kern/seccomp.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <string.h>

#include "seccomp_internal.h"

struct arch_info {
	const char *name;
	uint32_t audit;
	uint32_t library; /* SCMP_ARCH_* */
};

static const struct arch_info archs[] = {
	[SECCOMP_ARCH_X86_64] = {"x86_64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64},
	[SECCOMP_ARCH_X86] = {"x86", AUDIT_ARCH_I386, SCMP_ARCH_X86},
	[SECCOMP_ARCH_X32] = {"x32", AUDIT_ARCH_X86_64, SCMP_ARCH_X32},
	[SECCOMP_ARCH_AARCH64] = {"aarch64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64},
	[SECCOMP_ARCH_ARM] = {"arm", AUDIT_ARCH_ARM, SCMP_ARCH_ARM},
};
_Static_assert(ARRAY_SIZE(archs) == SECCOMP_ARCH_N, "every architecture has its line");

#define ALL_ARCHS  ((1u << SECCOMP_ARCH_N) - 1)
#define ONLY_64BIT SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86_64)

struct call_number {
	const char *name;
	uint32_t nr;
	uint32_t archs;
};

/* Linux 6.5 to 7.0; consulted after the library. */
static const struct call_number newer_calls[] = {
	{"uretprobe", 335, ONLY_64BIT},	       {"uprobe", 336, ONLY_64BIT},
	{"cachestat", 451, ALL_ARCHS},	       {"fchmodat2", 452, ALL_ARCHS},
	{"map_shadow_stack", 453, ALL_ARCHS},  {"futex_wake", 454, ALL_ARCHS},
	{"futex_wait", 455, ALL_ARCHS},	       {"futex_requeue", 456, ALL_ARCHS},
	{"statmount", 457, ALL_ARCHS},	       {"listmount", 458, ALL_ARCHS},
	{"lsm_get_self_attr", 459, ALL_ARCHS}, {"lsm_set_self_attr", 460, ALL_ARCHS},
	{"lsm_list_modules", 461, ALL_ARCHS},  {"mseal", 462, ALL_ARCHS},
	{"setxattrat", 463, ALL_ARCHS},	       {"getxattrat", 464, ALL_ARCHS},
	{"listxattrat", 465, ALL_ARCHS},       {"removexattrat", 466, ALL_ARCHS},
	{"open_tree_attr", 467, ALL_ARCHS},    {"file_getattr", 468, ALL_ARCHS},
	{"file_setattr", 469, ALL_ARCHS},      {"listns", 470, ALL_ARCHS},
	{"rseq_slice_yield", 471, ALL_ARCHS},
};

static const struct call_number i386_direct_calls[] = {
	{"recvmmsg", 337, 0},	{"sendmmsg", 345, 0},	{"socket", 359, 0},	 {"socketpair", 360, 0},
	{"bind", 361, 0},	{"connect", 362, 0},	{"listen", 363, 0},	 {"accept4", 364, 0},
	{"getsockopt", 365, 0}, {"setsockopt", 366, 0}, {"getsockname", 367, 0}, {"getpeername", 368, 0},
	{"sendto", 369, 0},	{"sendmsg", 370, 0},	{"recvfrom", 371, 0},	 {"recvmsg", 372, 0},
	{"shutdown", 373, 0},	{"semget", 393, 0},	{"semctl", 394, 0},	 {"shmget", 395, 0},
	{"shmctl", 396, 0},	{"shmat", 397, 0},	{"shmdt", 398, 0},	 {"msgget", 399, 0},
	{"msgsnd", 400, 0},	{"msgrcv", 401, 0},	{"msgctl", 402, 0},
};

static const struct call_number *find(const struct call_number *table, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

enum seccomp_arch seccomp_native_arch(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	return SECCOMP_ARCH_X86_64;
#elif defined(__aarch64__)
	return SECCOMP_ARCH_AARCH64;
#else
#error "add this architecture to seccomp_arch.c and to the generator"
#endif
}

uint32_t seccomp_arch_family(enum seccomp_arch native)
{
	switch (native) {
	case SECCOMP_ARCH_X86_64:
	case SECCOMP_ARCH_X86:
	case SECCOMP_ARCH_X32:
		return SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86_64) | SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86) |
		       SECCOMP_ARCH_BIT(SECCOMP_ARCH_X32);
	case SECCOMP_ARCH_AARCH64:
	case SECCOMP_ARCH_ARM:
		return SECCOMP_ARCH_BIT(SECCOMP_ARCH_AARCH64) | SECCOMP_ARCH_BIT(SECCOMP_ARCH_ARM);
	case SECCOMP_ARCH_N:
		break;
	}
	return 0;
}

uint32_t seccomp_arch_audit(enum seccomp_arch arch)
{
	return archs[arch].audit;
}

const char *seccomp_arch_name(enum seccomp_arch arch)
{
	return archs[arch].name;
}

bool seccomp_name_in_library(const char *name)
{
	return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}

bool seccomp_syscall_number(enum seccomp_arch arch, const char *name, uint32_t *ret_nr)
{
	int nr = seccomp_syscall_resolve_name_arch(archs[arch].library, name);
	if (nr >= 0) {
		*ret_nr = (uint32_t)nr;
		return true;
	}
	const struct call_number *c = NULL;
	if (arch == SECCOMP_ARCH_X86)
		c = find(i386_direct_calls, ARRAY_SIZE(i386_direct_calls), name);
	if (!c && nr == __NR_SCMP_ERROR) {
		c = find(newer_calls, ARRAY_SIZE(newer_calls), name);
		if (c && !(c->archs & SECCOMP_ARCH_BIT(arch)))
			c = NULL;
	}
	if (!c)
		return false;
	*ret_nr = c->nr | (arch == SECCOMP_ARCH_X32 ? SECCOMP_X32_BIT : 0);
	return true;
}

bool seccomp_syscall_is_known(const char *name)
{
	return seccomp_name_in_library(name) || find(newer_calls, ARRAY_SIZE(newer_calls), name);
}
