/*
 * seccomp_internal.h - shared by the seccomp files here: normalised rule lists and the range-tree builder.
 */
#ifndef RL_KERN_SECCOMP_INTERNAL_H
#define RL_KERN_SECCOMP_INTERNAL_H

#include "rl/kern/seccomp.h"

/* What bad architectures get, in built-in and compiled filters alike. */
#define SECCOMP_BAD_ARCH_ACTION SECCOMP_RET_KILL_PROCESS

/* Two architectures have calls of their own apart from the numbers that grow with the kernel: ARM far above
 * (cacheflush, set_tls, ...), x32 at 512 to 547. They say nothing about how new a rule list is. */
#define SECCOMP_ARM_OWN_FIRST 0x0f0000u
#define SECCOMP_X32_OWN_FIRST (SECCOMP_X32_BIT | 512)
#define SECCOMP_X32_OWN_LAST  (SECCOMP_X32_BIT | 547)

static inline bool seccomp_is_own_call(enum seccomp_arch arch, uint32_t nr)
{
	if (arch == SECCOMP_ARCH_X32)
		return nr >= SECCOMP_X32_OWN_FIRST && nr <= SECCOMP_X32_OWN_LAST;
	return arch == SECCOMP_ARCH_ARM && nr >= SECCOMP_ARM_OWN_FIRST;
}

/* True for the names libseccomp has a number or a pseudo number for; the others are in our own table or unknown. */
bool seccomp_name_in_library(const char *name);

/* A rule list after the rules of seccomp.h's "what a rule list means" were applied: rules that take effect only, all
 * rules of one name adjacent and in list order, either one without conditions or some with. Pointers are borrowed from
 * the source list or constant; the two arrays are malloc'd. */
struct seccomp_normal {
	uint32_t default_action;
	uint32_t archs;
	bool enosys_above_max; /* the default action is a denial */
	bool library_muxes;    /* libseccomp extends a rule to a multiplexer that the list does not name */
	const struct seccomp_rule **rules;
	bool *ours; /* for each rule: libseccomp does not get it (same for all rules of one name) */
	size_t count;
	bool has_calls[SECCOMP_ARCH_N];	 /* the list names at least one call of the architecture */
	uint32_t max_nr[SECCOMP_ARCH_N]; /* highest such number, the architecture's own aside */
};

int seccomp_normalise(const struct seccomp_rules *src, struct seccomp_normal *ret_normal, struct err *e) RL_CHECK;
void seccomp_normal_free(struct seccomp_normal *n);

/* What a call of a number leads to. */
enum seccomp_leaf_kind {
	SECCOMP_LEAF_RETURN, /* the action */
	SECCOMP_LEAF_TAIL,   /* the code that follows this program */
	SECCOMP_LEAF_RULES,  /* conditional rules, then the action */
};

struct seccomp_leaf {
	enum seccomp_leaf_kind kind;
	uint32_t action;			 /* RETURN; RULES: when no rule matches */
	const struct seccomp_rule *const *rules; /* RULES: the first that matches decides */
	size_t nrules;
	bool narrow; /* RULES: the architecture's arguments are 32-bit */
};

/* From `first` up to the next range's first (or the end) every number has this leaf. ranges[0].first is 0. */
struct seccomp_range {
	uint32_t first;
	struct seccomp_leaf leaf;
};

struct seccomp_section {
	uint32_t audit_arch;
	const struct seccomp_range *ranges;
	size_t count;
};

/* Emit a program for the sections; other architectures go to `other`. Jumps to the tail go just past the program's last
 * instruction. */
int seccomp_tree_emit(const struct seccomp_section *sections, size_t nsections, struct seccomp_leaf other,
		      struct seccomp_program *ret_program, struct err *e) RL_CHECK;

/* The part of `n` that libseccomp does not do (numbers above the highest one, rules marked `ours`), everything else
 * falling through to the tail; with `whole`, all of it. An empty program where there is nothing to do. */
int seccomp_tree_build(const struct seccomp_normal *n, bool whole, struct seccomp_program *ret_program,
		       struct err *e) RL_CHECK;

#endif
