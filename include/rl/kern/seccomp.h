/*
 * seccomp.h - seccomp filters: rules to BPF, the built-in default filters, loading, simulation.
 *
 * Model: a filter is an array of classic BPF instructions. It comes from one of three places, all with the same
 * meaning:
 *   built in   seccomp_filter_default(): made at build time from share/seccomp/default.json, one per capability set in
 *              common use; costs nothing at run time and loads in well under 300 us;
 *   compiled   seccomp_filter_compile(): a rule list through libseccomp (10 to 15 ms: engine/seccomp_plan.h caches it);
 *   own tree   seccomp_filter_tree(): the generator's compiler, also used for what libseccomp cannot do.
 *
 * What a rule list means (all three agree, and a test compares them):
 *   - Architectures not in the list: the process is killed.
 *   - A number above the highest one the list mentions (x32 and ARM calls of their own aside): ENOSYS where the
 *     default action is a denial, so that a libc newer than the list falls back; the default action otherwise.
 *   - Among the rules of one system call the first without conditions wins; else the first whose conditions hold; a
 *     call without a matching rule gets the default action.
 *   - Conditions on one rule are all required. A rule may compare each argument once.
 *   - Calls that i386 can also make through socketcall(2) or ipc(2) with arguments behind a pointer: if such a call has
 *     conditions and the multiplexer is not named in the list, the multiplexer gets ENOSYS. If it has none, the
 *     multiplexer does for this call what the rule says.
 *
 * Calling sequence on the path of `rl run`:
 *     const struct seccomp_filter *f = seccomp_filter_default(caps);      // NULL: see engine/seccomp_plan.h
 *     ... in the container's child, after no_new_privs, just before exec:
 *     r = seccomp_filter_load(f, 0, e);                                  // no allocation, one system call
 *
 * Ownership: built-in filters are constant. struct seccomp_program owns its instructions (seccomp_program_free).
 * Names in rules are borrowed. Errors follow err.h; -EINVAL names the rule.
 * The names do not clash with libseccomp's own (seccomp_load, seccomp_init, ...), which is linked into the same
 * program.
 */
#ifndef RL_KERN_SECCOMP_H
#define RL_KERN_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"

/* The architectures we can make filters for. Several share one kernel, see seccomp_arch_family(). */
enum seccomp_arch {
	SECCOMP_ARCH_X86_64,
	SECCOMP_ARCH_X86,
	SECCOMP_ARCH_X32,
	SECCOMP_ARCH_AARCH64,
	SECCOMP_ARCH_ARM,
	SECCOMP_ARCH_N,
};

#define SECCOMP_ARCH_BIT(a) (1u << (a))
#define SECCOMP_X32_BIT	    0x40000000u

/* The machine this program was built for. */
enum seccomp_arch seccomp_native_arch(void);
/* Bits of every architecture whose calls a kernel for `native` may accept (native included). */
uint32_t seccomp_arch_family(enum seccomp_arch native);
/* AUDIT_ARCH_* value as in seccomp_data.arch (x86_64 and x32 share one). */
uint32_t seccomp_arch_audit(enum seccomp_arch arch);
/* "x86_64", "x86", "x32", "aarch64", "arm". */
const char *seccomp_arch_name(enum seccomp_arch arch);
/* The number of a system call as in seccomp_data.nr (x32 with its bit), directly callable numbers only: i386's socket
 * is 359, not the multiplexer. Returns false where the architecture has no such call. Knows the calls of libseccomp
 * and, from a table of ours, newer ones. */
bool seccomp_syscall_number(enum seccomp_arch arch, const char *name, uint32_t *ret_nr);
/* True if any architecture of ours has a call of this name. */
bool seccomp_syscall_is_known(const char *name);

enum seccomp_op {
	SECCOMP_OP_NE,
	SECCOMP_OP_LT,
	SECCOMP_OP_LE,
	SECCOMP_OP_EQ,
	SECCOMP_OP_GE,
	SECCOMP_OP_GT,
	SECCOMP_OP_MASKED_EQ, /* (argument & value) == value2 */
};

/* Comparisons are on all 64 bits of the argument (x86, x32, arm: the low 32, the others count as 0), also where the
 * kernel looks at fewer: use SECCOMP_OP_MASKED_EQ with a 32-bit mask for `int` arguments. */
struct seccomp_cond {
	unsigned int arg; /* 0 to 5 */
	enum seccomp_op op;
	uint64_t value;
	uint64_t value2; /* SECCOMP_OP_MASKED_EQ only */
};

enum { SECCOMP_CONDS_MAX = 6 };

struct seccomp_rule {
	const char *name;
	uint32_t action; /* SECCOMP_RET_*, with its data in the low 16 bits */
	bool mention_only; /* applies to nothing; the name counts for the ENOSYS limit (a rule whose capability is absent) */
	size_t nconds;
	struct seccomp_cond conds[SECCOMP_CONDS_MAX];
};

struct seccomp_rules {
	uint32_t default_action;
	uint32_t archs; /* SECCOMP_ARCH_BIT()s, all of one family */
	const struct seccomp_rule *rules;
	size_t count;
};

struct seccomp_filter {
	const struct sock_filter *insns;
	size_t count; /* at most BPF_MAXINSNS */
};

struct seccomp_program {
	struct sock_filter *insns;
	size_t count;
};

#define SECCOMP_PROGRAM_NONE                                                                                           \
	{                                                                                                              \
		.insns = NULL                                                                                          \
	}

void seccomp_program_free(struct seccomp_program *p);
#define autoprogram __attribute__((cleanup(seccomp_program_free)))

/* The built-in filter for a container with these capabilities (bit n is capability number n), or NULL where the set is
 * not one of those built in. Only capabilities that the default profile mentions are compared. Native architecture. */
const struct seccomp_filter *seccomp_filter_default(uint64_t caps);

/* The capabilities that the default profile mentions. */
uint64_t seccomp_filter_default_caps(void);

/* Compile through libseccomp. Unknown names are skipped (see seccomp_syscall_is_known). Replaces *ret_program, which
 * must be empty. */
int seccomp_filter_compile(const struct seccomp_rules *rules, struct seccomp_program *ret_program,
			   struct err *e) RL_CHECK;

/* libseccomp's version, for cache keys. */
void seccomp_library_version(unsigned int ret_version[3]);

/* Compile without libseccomp, to a balanced tree of number ranges. -EOPNOTSUPP for lists that leave i386's
 * multiplexers to libseccomp, and for two names of one call with different rules. */
int seccomp_filter_tree(const struct seccomp_rules *rules, struct seccomp_program *ret_program, struct err *e) RL_CHECK;

/* Install the filter on the calling thread (seccomp(2), SET_MODE_FILTER). `flags` are SECCOMP_FILTER_FLAG_*; with
 * SECCOMP_FILTER_FLAG_NEW_LISTENER the result is the listener's descriptor (close-on-exec, the caller's), else 0.
 * TSYNC is all threads or an error, also together with NEW_LISTENER.
 * Needs no_new_privs or CAP_SYS_ADMIN in the user namespace (-EACCES). Any role; allocates nothing. */
int seccomp_filter_load(const struct seccomp_filter *filter, unsigned int flags, struct err *e) RL_CHECK;

/* What the kernel would answer: runs a program on one call. A program that does not end in a return, or has an
 * instruction that seccomp does not allow, gives SECCOMP_RET_KILL_PROCESS. */
uint32_t seccomp_filter_simulate(const struct seccomp_filter *filter, const struct seccomp_data *data);

/* Restrict the calling program (all threads) to these native system calls from now on; others get `default_action`
 * (SECCOMP_RET_KILL_PROCESS, or SECCOMP_RET_ERRNO | errno). Calls of other architectures are killed, x32 ones get the
 * default action. For helper programs, at start; sets no_new_privs. Numbers are __NR_*; any order, duplicates allowed.
 * Does not use libseccomp: about 50 us. */
int seccomp_self_allow(const int *syscalls, size_t count, uint32_t default_action, struct err *e) RL_CHECK;
/* The same by rules with conditions on arguments, on the calling thread; every other call, and every one of another
 * architecture, ends the process. no_new_privs is set before, by the caller. */
int seccomp_self_rules(const struct seccomp_rule *rules, size_t count, struct err *e) RL_CHECK;

#endif
