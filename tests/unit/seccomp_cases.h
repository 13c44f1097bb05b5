/*
 * seccomp_cases.h - compare two filters, and both with the meaning of the rule list, over every call that can tell them
 * apart.
 *
 * The oracle reads the rules as seccomp.h words them and shares no code with the compilers but the table of numbers.
 * The calls tried: numbers 0 to 1100, the same with the x32 bit, the edges of the number space and ARM's private calls;
 * for a number with conditional rules, for every condition: the value, its neighbours, the value with each single bit
 * flipped, with everything outside the mask set, with high halves set; and values that no masked rule of the call
 * matches (for ioctl in the default profile those are TIOCSTI and TIOCLINUX), found by search, treated the same way.
 */
#ifndef TESTS_SECCOMP_CASES_H
#define TESTS_SECCOMP_CASES_H

#include <errno.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/kern/seccomp.h"

struct cases {
	const struct seccomp_rules *rules;
	const struct seccomp_filter *a;
	const struct seccomp_filter *b; /* may be NULL */
	unsigned long tried;
	unsigned long wrong;
	char first[256]; /* the first difference, in words */
	/* The rules by number, for the architecture being tried. */
	enum seccomp_arch arch;
	const struct seccomp_rule **byrule;
	uint32_t *nrs;
	size_t n;
	uint32_t max;
	bool any;
};

static inline bool cases_is_denial(uint32_t action)
{
	uint32_t a = action & SECCOMP_RET_ACTION_FULL;
	return a == SECCOMP_RET_ERRNO || a == SECCOMP_RET_KILL_THREAD || a == SECCOMP_RET_KILL_PROCESS ||
	       a == SECCOMP_RET_TRAP;
}

/* Numbers apart from those that grow with the kernel. */
static inline bool cases_own(enum seccomp_arch arch, uint32_t nr)
{
	return (arch == SECCOMP_ARCH_ARM && nr >= 0x0f0000) ||
	       (arch == SECCOMP_ARCH_X32 && nr - 0x40000000 >= 512 && nr - 0x40000000 < 548);
}

static inline bool cases_cond(const struct seccomp_cond *c, uint64_t v, bool only32)
{
	uint64_t value = c->value;
	if (only32)
		v = (uint32_t)v;
	switch (c->op) {
	case SECCOMP_OP_NE:
		return v != value;
	case SECCOMP_OP_LT:
		return v < value;
	case SECCOMP_OP_LE:
		return v <= value;
	case SECCOMP_OP_EQ:
		return v == value;
	case SECCOMP_OP_GE:
		return v >= value;
	case SECCOMP_OP_GT:
		return v > value;
	case SECCOMP_OP_MASKED_EQ:
		return (v & value) == c->value2;
	}
	return false;
}

/* i386's multiplexers where the list does not name them: the subcall number is argument 0. */
static inline bool cases_mux(const struct cases *c, const struct seccomp_data *d, uint32_t *ret_answer)
{
	static const char *const sub[2][25] = {
		{"",
		 "socket",
		 "bind",
		 "connect",
		 "listen",
		 "accept",
		 "getsockname",
		 "getpeername",
		 "socketpair",
		 "send",
		 "recv",
		 "sendto",
		 "recvfrom",
		 "shutdown",
		 "setsockopt",
		 "getsockopt",
		 "sendmsg",
		 "recvmsg",
		 "accept4",
		 "recvmmsg",
		 "sendmmsg",
		 "",
		 "",
		 "",
		 ""},
		{"", "semop", "semget", "semctl", "semtimedop", "",	  "",	   "", "",
		 "", "",      "msgsnd", "msgrcv", "msgget",	"msgctl", "",	   "", "",
		 "", "",      "",	"shmat",  "shmdt",	"shmget", "shmctl"},
	};
	int which = d->nr == 102 ? 0 : 1;
	const char *const *names = sub[which];
	bool conditional = false;
	bool allowed = false;
	uint32_t answer = c->rules->default_action;
	if (c->arch != SECCOMP_ARCH_X86 || (d->nr != 102 && d->nr != 117))
		return false;
	for (size_t i = 0; i < c->rules->count; i++) {
		const struct seccomp_rule *r = &c->rules->rules[i];
		bool plain = false;
		if (r->mention_only)
			continue;
		bool never = false;
		for (size_t k = 0; k < r->nconds; k++)
			never |= r->conds[k].op == SECCOMP_OP_MASKED_EQ && (r->conds[k].value2 & ~r->conds[k].value);
		if (!never && strcmp(r->name, which ? "ipc" : "socketcall") == 0)
			return false;
		for (size_t k = 0; k < c->rules->count; k++)
			plain |= !c->rules->rules[k].nconds && !c->rules->rules[k].mention_only &&
				 strcmp(c->rules->rules[k].name, r->name) == 0;
		for (int k = 1; k < 25; k++) {
			if (!names[k][0] || strcmp(names[k], r->name) != 0 || r->action == c->rules->default_action)
				continue;
			conditional |= !plain && !never;
			if (plain && !r->nconds && (uint32_t)d->args[0] == (uint32_t)k && !allowed) {
				answer = r->action;
				allowed = true;
			}
		}
	}
	*ret_answer = conditional ? SECCOMP_RET_ERRNO | ENOSYS : answer;
	return true;
}

/* What the rule list means for one call. */
static inline uint32_t cases_oracle(const struct cases *c, const struct seccomp_data *d)
{
	bool only32 = c->arch == SECCOMP_ARCH_X86 || c->arch == SECCOMP_ARCH_ARM || c->arch == SECCOMP_ARCH_X32;
	uint32_t nr = (uint32_t)d->nr;
	uint32_t answer = c->rules->default_action;
	if (c->any && nr > c->max && cases_is_denial(answer) && !cases_own(c->arch, nr))
		return SECCOMP_RET_ERRNO | ENOSYS;
	if (cases_mux(c, d, &answer))
		return answer;
	for (size_t i = 0; i < c->n; i++)
		if (c->nrs[i] == nr && !c->byrule[i]->nconds && !c->byrule[i]->mention_only)
			return c->byrule[i]->action;
	for (size_t i = 0; i < c->n; i++) {
		const struct seccomp_rule *r = c->byrule[i];
		bool all = c->nrs[i] == nr && !r->mention_only;
		for (size_t k = 0; k < r->nconds && all; k++)
			all = cases_cond(&r->conds[k], d->args[r->conds[k].arg], only32);
		if (all)
			return r->action;
	}
	return answer;
}

static inline void cases_try(struct cases *c, const struct seccomp_data *d)
{
	uint32_t want = cases_oracle(c, d);
	uint32_t a = seccomp_filter_simulate(c->a, d);
	uint32_t b = c->b ? seccomp_filter_simulate(c->b, d) : a;
	c->tried++;
	if (a == want && a == b)
		return;
	if (!c->wrong++)
		snprintf(c->first, sizeof(c->first), "%s call %#x args %#llx %#llx %#llx: %#x, %#x, rules say %#x",
			 seccomp_arch_name(c->arch), (unsigned int)d->nr, (unsigned long long)d->args[0],
			 (unsigned long long)d->args[1], (unsigned long long)d->args[2], a, b, want);
}

/* One interesting value of one argument, and what is near it. */
static inline void cases_around(struct cases *c, uint32_t nr, unsigned int arg, uint64_t v, uint64_t mask)
{
	uint64_t tries[80];
	size_t n = 0;
	tries[n++] = v;
	tries[n++] = v + 1;
	tries[n++] = v - 1;
	tries[n++] = v | ~mask;
	tries[n++] = v | 0xffffffff00000000ull;
	tries[n++] = 0;
	tries[n++] = UINT64_MAX;
	for (int bit = 0; bit < 64; bit++)
		tries[n++] = v ^ (1ull << bit);
	for (size_t i = 0; i < n; i++) {
		for (int rest = 0; rest < 3; rest++) {
			struct seccomp_data d = {.nr = (int)nr, .arch = seccomp_arch_audit(c->arch)};
			for (int k = 0; k < 6; k++)
				d.args[k] = rest == 0 ? 0 : rest == 1 ? UINT64_MAX : v;
			d.args[arg] = tries[i];
			/* Tasks of a 32-bit architecture have no high halves; x32 ones do. */
			if (c->arch == SECCOMP_ARCH_X86 || c->arch == SECCOMP_ARCH_ARM)
				for (int k = 0; k < 6; k++)
					d.args[k] = (uint32_t)d.args[k];
			cases_try(c, &d);
		}
	}
}

/* Search for values of `arg` that no masked rule of the call matches: while one does, flip a bit that it looks at and
 * that no earlier flip fixed, trying each such bit. */
static inline void cases_outside(struct cases *c, uint32_t nr, unsigned int arg, uint64_t v, uint64_t fixed,
				 int *budget)
{
	if (*budget <= 0)
		return;
	for (size_t i = 0; i < c->n; i++) {
		const struct seccomp_cond *cond = &c->byrule[i]->conds[0];
		if (c->nrs[i] != nr || c->byrule[i]->nconds != 1 || cond->arg != arg ||
		    cond->op != SECCOMP_OP_MASKED_EQ || (v & cond->value) != cond->value2)
			continue;
		for (uint64_t bits = cond->value & ~fixed; bits; bits &= bits - 1) {
			uint64_t bit = bits & -bits;
			cases_outside(c, nr, arg, v ^ bit, fixed | bit, budget);
		}
		return;
	}
	--*budget;
	cases_around(c, nr, arg, v, UINT32_MAX);
}

static inline void cases_number(struct cases *c, uint32_t nr)
{
	struct seccomp_data d = {.nr = (int)nr, .arch = seccomp_arch_audit(c->arch)};
	cases_try(c, &d);
	for (d.args[0] = 1; c->arch == SECCOMP_ARCH_X86 && (nr == 102 || nr == 117) && d.args[0] < 40; d.args[0]++)
		cases_try(c, &d);
	unsigned int searched = 0;
	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; c->nrs[i] == nr && k < c->byrule[i]->nconds; k++) {
			const struct seccomp_cond *cond = &c->byrule[i]->conds[k];
			bool masked = cond->op == SECCOMP_OP_MASKED_EQ;
			int budget = 8;
			cases_around(c, nr, cond->arg, masked ? cond->value2 : cond->value,
				     masked ? cond->value : UINT64_MAX);
			if (masked && !(searched & (1u << cond->arg)))
				cases_outside(c, nr, cond->arg, 0, 0, &budget);
			searched |= 1u << cond->arg;
		}
	}
}

static inline void cases_arch(struct cases *c, enum seccomp_arch arch)
{
	const struct seccomp_rules *rules = c->rules;
	static const uint32_t edges[] = {0x000effffu, 0x000f0000u, 0x000f0001u, 0x000f0002u, 0x000f0005u, 0x000f0006u,
					 0x3fffffffu, 0x40000000u, 0x7fffffffu, 0x80000000u, 0xffffffffu};
	c->arch = arch;
	c->byrule = xcalloc(rules->count + 1, sizeof(*c->byrule));
	c->nrs = xcalloc(rules->count + 1, sizeof(*c->nrs));
	c->n = 0;
	c->max = 0;
	c->any = false;
	for (size_t i = 0; i < rules->count; i++) {
		uint32_t nr;
		if (!seccomp_syscall_number(arch, rules->rules[i].name, &nr))
			continue;
		c->any = true;
		c->nrs[c->n] = nr;
		c->byrule[c->n++] = &rules->rules[i];
		if (nr > c->max && !cases_own(arch, nr))
			c->max = nr;
	}
	/* The two architectures that share an AUDIT_ARCH value split the number space. */
	uint32_t base = arch == SECCOMP_ARCH_X32 ? SECCOMP_X32_BIT : 0;
	for (uint32_t nr = 0; nr <= 1100; nr++)
		cases_number(c, base + nr);
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		if (seccomp_arch_audit(arch) != seccomp_arch_audit(SECCOMP_ARCH_X86_64) ||
		    (edges[i] >= SECCOMP_X32_BIT) == (arch == SECCOMP_ARCH_X32))
			cases_number(c, edges[i]);
	free(c->byrule);
	free(c->nrs);
}

/* Everything, for the architectures of the list; architectures that are not in it must be killed. */
static inline void cases_run(struct cases *c)
{
	for (enum seccomp_arch arch = 0; arch < SECCOMP_ARCH_N; arch++)
		if (c->rules->archs & SECCOMP_ARCH_BIT(arch))
			cases_arch(c, arch);
	uint32_t strange[] = {0,
			      0x40000003u ^ 0x80000000u,
			      0xc0000015u,
			      seccomp_arch_audit(SECCOMP_ARCH_ARM),
			      seccomp_arch_audit(SECCOMP_ARCH_X86),
			      seccomp_arch_audit(SECCOMP_ARCH_AARCH64),
			      seccomp_arch_audit(SECCOMP_ARCH_X86_64)};
	for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
		bool listed = false;
		for (enum seccomp_arch arch = 0; arch < SECCOMP_ARCH_N; arch++)
			if ((c->rules->archs & SECCOMP_ARCH_BIT(arch)) && seccomp_arch_audit(arch) == strange[i])
				listed = true;
		for (int nr = 0; nr < 500 && !listed; nr++) {
			struct seccomp_data d = {.nr = nr, .arch = strange[i]};
			c->tried++;
			if (seccomp_filter_simulate(c->a, &d) == SECCOMP_RET_KILL_PROCESS &&
			    (!c->b || seccomp_filter_simulate(c->b, &d) == SECCOMP_RET_KILL_PROCESS))
				continue;
			if (!c->wrong++)
				snprintf(c->first, sizeof(c->first), "architecture %#x call %d is not killed",
					 strange[i], nr);
		}
	}
}

#endif
