/*
 * seccomp_profile.h - seccomp profiles in docker's JSON format and the linux.seccomp object of the OCI runtime spec.
 *
 * Model: bytes in, one struct out, nothing evaluated: conditions on capabilities, architectures and the kernel version
 * stay conditions (engine/seccomp_plan.h applies them). Everything unknown (member, action, operator, capability,
 * architecture, flag) is an error that names the member, e.g. `syscalls[3].args[0].op: unknown operator "SCMP_CMP_XX"`.
 * System call names are not looked up here: which exist depends on the architecture.
 *
 * The two formats differ: docker's has archMap, `name`, errno names (podman), comment, includes and excludes; the
 * runtime spec's has none of these.
 *
 * Limits on input: SECCOMP_PROFILE_MAX_* below; more is -E2BIG or -EFBIG. Pure; owns everything it points to.
 * Calling sequence: seccomp_profile_parse(text, len, format, "web.json", &profile, e); ... seccomp_profile_free().
 */
#ifndef RL_MODEL_SECCOMP_PROFILE_H
#define RL_MODEL_SECCOMP_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum {
	SECCOMP_PROFILE_MAX_BYTES = 1024 * 1024,
	SECCOMP_PROFILE_MAX_RULES = 4096,
	SECCOMP_PROFILE_MAX_NAMES = 16384, /* in all rules together */
	SECCOMP_PROFILE_MAX_ARGS = 6,
	SECCOMP_PROFILE_NAME_MAX = 64,
};

enum seccomp_profile_format {
	SECCOMP_PROFILE_DOCKER,
	SECCOMP_PROFILE_OCI,
};

/* SCMP_ARCH_* of the runtime spec, one bit each in `archs`, in this order. */
enum seccomp_profile_arch {
	SECCOMP_PROFILE_ARCH_X86,
	SECCOMP_PROFILE_ARCH_X86_64,
	SECCOMP_PROFILE_ARCH_X32,
	SECCOMP_PROFILE_ARCH_ARM,
	SECCOMP_PROFILE_ARCH_AARCH64,
	SECCOMP_PROFILE_ARCH_MIPS,
	SECCOMP_PROFILE_ARCH_MIPS64,
	SECCOMP_PROFILE_ARCH_MIPS64N32,
	SECCOMP_PROFILE_ARCH_MIPSEL,
	SECCOMP_PROFILE_ARCH_MIPSEL64,
	SECCOMP_PROFILE_ARCH_MIPSEL64N32,
	SECCOMP_PROFILE_ARCH_PPC,
	SECCOMP_PROFILE_ARCH_PPC64,
	SECCOMP_PROFILE_ARCH_PPC64LE,
	SECCOMP_PROFILE_ARCH_S390,
	SECCOMP_PROFILE_ARCH_S390X,
	SECCOMP_PROFILE_ARCH_PARISC,
	SECCOMP_PROFILE_ARCH_PARISC64,
	SECCOMP_PROFILE_ARCH_RISCV64,
	SECCOMP_PROFILE_ARCH_LOONGARCH64,
	SECCOMP_PROFILE_ARCH_M68K,
	SECCOMP_PROFILE_ARCH_SH,
	SECCOMP_PROFILE_ARCH_SHEB,
	SECCOMP_PROFILE_ARCH_N,
};

enum seccomp_profile_op {
	SECCOMP_PROFILE_OP_NE,
	SECCOMP_PROFILE_OP_LT,
	SECCOMP_PROFILE_OP_LE,
	SECCOMP_PROFILE_OP_EQ,
	SECCOMP_PROFILE_OP_GE,
	SECCOMP_PROFILE_OP_GT,
	SECCOMP_PROFILE_OP_MASKED_EQ, /* (argument & value) == value_two */
	SECCOMP_PROFILE_OP_N,
};

struct seccomp_profile_arg {
	unsigned int index; /* 0 to 5, each at most once in a rule */
	enum seccomp_profile_op op;
	uint64_t value;
	uint64_t value_two;
};

/* includes or excludes; what is absent is empty. */
struct seccomp_profile_filter {
	uint64_t caps;		   /* bit n: capability number n */
	uint32_t archs;		   /* docker's architecture names, as SECCOMP_PROFILE_ARCH_* bits */
	bool has_archs;		   /* the list was there and not empty */
	unsigned int kernel_major; /* minKernel; 0.0 when absent */
	unsigned int kernel_minor;
};

struct seccomp_profile_rule {
	struct strv names;
	uint32_t action; /* SECCOMP_RET_* with errno or trace data in the low 16 bits */
	size_t nargs;
	/* An argument is compared twice, which the runtime spec's format has: any of the comparisons is enough, as runc and
	 * crun read it. Only while it is read: the profile has a rule for each then. */
	bool any_arg;
	struct seccomp_profile_arg args[SECCOMP_PROFILE_MAX_ARGS];
	struct seccomp_profile_filter includes; /* all of it must hold */
	struct seccomp_profile_filter excludes; /* none of it may hold */
};

struct seccomp_profile_archmap {
	enum seccomp_profile_arch arch;
	uint32_t sub_archs;
};

struct seccomp_profile {
	uint32_t default_action;
	bool has_archmap; /* archs comes from archMap (docker's format), keyed by the machine's architecture */
	struct seccomp_profile_archmap archmap[SECCOMP_PROFILE_ARCH_N];
	size_t narchmap;
	uint32_t archs;		 /* `architectures`; the native one is always meant too */
	bool has_flags;		 /* `flags` was there, possibly empty */
	unsigned int flags;	 /* SECCOMP_FILTER_FLAG_* */
	char *listener_path;	 /* NULL when absent */
	char *listener_metadata; /* NULL when absent */
	struct seccomp_profile_rule *rules;
	size_t nrules;
	uint64_t caps_mentioned; /* union of all includes and excludes: other capabilities do not change the result */
	bool kernel_mentioned;	 /* some rule has minKernel */
	bool uses_notify;	 /* some action is SCMP_ACT_NOTIFY */
};

/* `what` names the document in errors. */
int seccomp_profile_parse(const char *text, size_t len, enum seccomp_profile_format format, const char *what,
			  struct seccomp_profile *ret_profile, struct err *e) RL_CHECK;
void seccomp_profile_free(struct seccomp_profile *p);
#define autoprofile __attribute__((cleanup(seccomp_profile_free)))

#define SECCOMP_PROFILE_INIT                                                                                           \
	{                                                                                                              \
		.rules = NULL                                                                                          \
	}

#endif
