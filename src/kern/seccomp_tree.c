/*
 * seccomp_tree.c - rule lists to a balanced tree of number ranges.
 *
 * Why: the kernel runs a new filter once for every call number of the machine (and of its 32-bit sibling) to find those
 * that are always allowed, so the time to load is instructions per number times about 900. Rules of a real profile fall
 * into some 80 ranges per architecture; a balanced tree answers in 7 or 8 comparisons.
 *
 * Code is built from its last instruction to its first. All jumps of classic BPF go forward, so every target is known
 * when a jump to it is made; a label is the number of instructions from the label to the end. A conditional jump
 * reaches 255 instructions; farther targets get an unconditional one (32 bits) in front of the code made so far. An
 * instruction that falls through must be made directly after its target, which flow_to() sees to.
 *
 * Conditions: in general one rule after the other, each comparison on the two halves of the argument. Where all rules
 * of a call are "one argument masked by at most 32 bits equals" there are two better shapes: one mask for all rules
 * (the masked value is looked up in a tree of ranges: socket families, clone flags), and a complement smaller than the
 * rules (ioctl: 33 rules say "everything but two numbers"; two comparisons say it too).
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"
#include "seccomp_internal.h"

enum {
	JUMP_REACH = 250, /* 255, less room for the jumps added while one is made */
	RETURNS_MAX = 16,
	LEAVES_MAX = 16,
	COMPLEMENT_MAX = 256, /* cubes looked at before giving up */
};

struct code {
	struct sock_filter *v; /* v[0] is the program's last instruction */
	size_t n;
	size_t size;
	struct {
		uint32_t action;
		size_t label;
	} returns[RETURNS_MAX]; /* the nearest return of each action */
	size_t nreturns;
	struct {
		const struct seccomp_leaf *leaf;
		size_t label;
	} leaves[LEAVES_MAX]; /* conditional code already there (socket and socketpair have the same rules) */
	size_t nleaves;
};

static size_t emit(struct code *c, uint16_t op, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (c->n == c->size) {
		c->size = c->size ? 2 * c->size : 256;
		c->v = xreallocarray(c->v, c->size, sizeof(*c->v));
	}
	c->v[c->n++] = (struct sock_filter){.code = op, .jt = jt, .jf = jf, .k = k};
	return c->n;
}

/* Make `label` what the next instruction made falls through to. */
static void flow_to(struct code *c, size_t label)
{
	if (label != c->n)
		emit(c, BPF_JMP | BPF_JA, (uint32_t)(c->n - label), 0, 0);
}

static size_t emit_if(struct code *c, uint16_t op, uint32_t k, size_t yes, size_t no)
{
	if (c->n - yes > JUMP_REACH)
		yes = emit(c, BPF_JMP | BPF_JA, (uint32_t)(c->n - yes), 0, 0);
	if (c->n - no > JUMP_REACH)
		no = emit(c, BPF_JMP | BPF_JA, (uint32_t)(c->n - no), 0, 0);
	return emit(c, (uint16_t)(BPF_JMP | op | BPF_K), k, (uint8_t)(c->n - yes), (uint8_t)(c->n - no));
}

static size_t emit_load(struct code *c, size_t offset, size_t next)
{
	flow_to(c, next);
	return emit(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static size_t emit_return(struct code *c, uint32_t action)
{
	size_t i = 0;
	while (i < c->nreturns && c->returns[i].action != action)
		i++;
	if (i < c->nreturns && c->n - c->returns[i].label <= JUMP_REACH)
		return c->returns[i].label;
	size_t label = emit(c, BPF_RET | BPF_K, action, 0, 0);
	if (i == c->nreturns && i < RETURNS_MAX)
		c->nreturns++;
	if (i < c->nreturns) {
		c->returns[i].action = action;
		c->returns[i].label = label;
	}
	return label;
}

static size_t emit_end(struct code *c, const struct seccomp_leaf *leaf)
{
	return leaf->kind == SECCOMP_LEAF_TAIL ? 0 : emit_return(c, leaf->action);
}

/* A set of 32-bit values: those v with (v & mask) == value. */
struct cube {
	uint32_t mask;
	uint32_t value;
};

static int compare_cubes(const void *pa, const void *pb)
{
	const struct cube *a = pa;
	const struct cube *b = pb;
	return (a->value > b->value) - (a->value < b->value);
}

/* Cut `hole` out of the disjoint cubes in set[0..n), in place; false when they become too many. What is left of a cube
 * is split along the bits that the hole fixes and the cube does not: differs in the first; agrees there and differs in
 * the second; and so on. */
static bool cut(struct cube *set, size_t *n, struct cube hole)
{
	struct cube out[COMPLEMENT_MAX];
	size_t m = 0;
	for (size_t i = 0; i < *n; i++) {
		struct cube c = set[i];
		bool disjoint = (c.value ^ hole.value) & c.mask & hole.mask;
		uint32_t bits = disjoint ? 0 : hole.mask & ~c.mask;
		if (m + 32 > COMPLEMENT_MAX)
			return false;
		if (disjoint)
			out[m++] = c;
		for (; bits; bits &= bits - 1) {
			uint32_t bit = bits & -bits;
			out[m++] = (struct cube){c.mask | bit, c.value | (~hole.value & bit)};
			c.mask |= bit;
			c.value |= hole.value & bit;
		}
	}
	memcpy(set, out, m * sizeof(*out));
	*n = m;
	return true;
}

static bool same_rules(const struct seccomp_leaf *a, const struct seccomp_leaf *b)
{
	if (a->nrules != b->nrules || a->narrow != b->narrow || a->action != b->action)
		return false;
	for (size_t i = 0; i < a->nrules; i++) {
		const struct seccomp_rule *x = a->rules[i];
		const struct seccomp_rule *y = b->rules[i];
		if (x->action != y->action || x->nconds != y->nconds)
			return false;
		for (size_t k = 0; k < x->nconds; k++)
			if (x->conds[k].arg != y->conds[k].arg || x->conds[k].op != y->conds[k].op ||
			    x->conds[k].value != y->conds[k].value || x->conds[k].value2 != y->conds[k].value2)
				return false;
	}
	return true;
}

static bool same_leaf(const struct seccomp_leaf *a, const struct seccomp_leaf *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case SECCOMP_LEAF_RETURN:
		return a->action == b->action;
	case SECCOMP_LEAF_TAIL:
		return true;
	case SECCOMP_LEAF_RULES:
		return same_rules(a, b);
	}
	return false;
}

static size_t emit_leaf(struct code *c, const struct seccomp_leaf *leaf);

/* Find the range of the accumulator's value among ranges[0..count). */
static size_t emit_ranges(struct code *c, const struct seccomp_range *ranges, size_t count)
{
	if (count == 1)
		return emit_leaf(c, &ranges[0].leaf);
	if (count == 3 && ranges[2].first == ranges[1].first + 1 && same_leaf(&ranges[0].leaf, &ranges[2].leaf)) {
		size_t other = emit_leaf(c, &ranges[0].leaf);
		size_t hit = emit_leaf(c, &ranges[1].leaf);
		return emit_if(c, BPF_JEQ, ranges[1].first, hit, other);
	}
	size_t half = count / 2;
	size_t high = emit_ranges(c, ranges + half, count - half);
	size_t low = emit_ranges(c, ranges, half);
	return emit_if(c, BPF_JGE, ranges[half].first, high, low);
}

/* All rules have this mask: a tree over the masked values. values[] is sorted and without duplicates. */
static size_t emit_one_mask(struct code *c, size_t offset, uint32_t mask, const struct cube *cubes, size_t count,
			    struct seccomp_leaf hit, struct seccomp_leaf other)
{
	autofree struct seccomp_range *ranges = xcalloc(2 * count + 1, sizeof(*ranges));
	size_t n = 0;
	ranges[n++] = (struct seccomp_range){.first = 0, .leaf = other};
	for (size_t i = 0; i < count; i++) {
		uint32_t v = cubes[i].value;
		if (ranges[n - 1].first == v)
			n--;
		if (n == 0 || !same_leaf(&ranges[n - 1].leaf, &hit))
			ranges[n++] = (struct seccomp_range){.first = v, .leaf = hit};
		if (v < UINT32_MAX)
			ranges[n++] = (struct seccomp_range){.first = v + 1, .leaf = other};
	}
	size_t label = emit_ranges(c, ranges, n);
	if (mask != UINT32_MAX) {
		flow_to(c, label);
		label = emit(c, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	}
	return emit_load(c, offset, label);
}

/* One comparison after the other: a member of a cube goes to `hit`, what is in none to `other`. */
static size_t emit_cubes(struct code *c, size_t offset, const struct cube *cubes, size_t count,
			 const struct seccomp_leaf *hit, const struct seccomp_leaf *other)
{
	size_t next = emit_end(c, other);
	for (size_t i = count; i-- > 0;) {
		size_t yes = emit_end(c, hit);
		next = emit_if(c, BPF_JEQ, cubes[i].value, yes, next);
		if (cubes[i].mask != UINT32_MAX) {
			flow_to(c, next);
			next = emit(c, BPF_ALU | BPF_AND | BPF_K, cubes[i].mask, 0, 0);
		}
		next = emit_load(c, offset, next);
	}
	return next;
}

/* seccomp_data.args are 64-bit in the machine's byte order; every machine of ours is little-endian. */
static size_t low_half(unsigned int arg)
{
	return offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);
}

/* One half of an argument against a 32-bit value. */
static size_t emit_half(struct code *c, size_t offset, uint16_t op, uint32_t value, size_t yes, size_t no)
{
	return emit_load(c, offset, emit_if(c, op, value, yes, no));
}

static size_t emit_masked_half(struct code *c, size_t offset, uint32_t mask, uint32_t value, size_t yes, size_t no)
{
	if (mask == 0)
		return yes; /* value is 0 too: seccomp_normalise dropped what never matches */
	size_t next = emit_if(c, BPF_JEQ, value, yes, no);
	if (mask != UINT32_MAX) {
		flow_to(c, next);
		next = emit(c, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	}
	return emit_load(c, offset, next);
}

/* value's high half decides unless equal; then `op` on the low half does. op: BPF_JGT or BPF_JGE. */
static size_t emit_order(struct code *c, size_t low, uint16_t op, uint64_t value, bool narrow, size_t yes, size_t no)
{
	uint32_t high = (uint32_t)(value >> 32);
	if (narrow && high)
		return no; /* the high half is 0 */
	size_t next = emit_half(c, low, op, (uint32_t)value, yes, no);
	if (narrow)
		return next;
	next = emit_if(c, BPF_JEQ, high, next, no);
	next = emit_if(c, BPF_JGT, high, yes, next);
	return emit_load(c, low + 4, next);
}

static size_t emit_cond(struct code *c, const struct seccomp_cond *cond, bool narrow, size_t yes, size_t no)
{
	size_t low = low_half(cond->arg);
	uint64_t mask = cond->op == SECCOMP_OP_MASKED_EQ ? cond->value : UINT64_MAX;
	uint64_t value = cond->op == SECCOMP_OP_MASKED_EQ ? cond->value2 : cond->value;
	size_t next;
	switch (cond->op) {
	case SECCOMP_OP_NE:
		next = yes;
		yes = no;
		no = next;
		/* fall through */
	case SECCOMP_OP_EQ:
	case SECCOMP_OP_MASKED_EQ:
		if (narrow && (value >> 32))
			return no;
		next = emit_masked_half(c, low, (uint32_t)mask, (uint32_t)value, yes, no);
		return narrow ? next
			      : emit_masked_half(c, low + 4, (uint32_t)(mask >> 32), (uint32_t)(value >> 32), next, no);
	case SECCOMP_OP_GT:
		return emit_order(c, low, BPF_JGT, value, narrow, yes, no);
	case SECCOMP_OP_GE:
		return emit_order(c, low, BPF_JGE, value, narrow, yes, no);
	case SECCOMP_OP_LE:
		return emit_order(c, low, BPF_JGT, value, narrow, no, yes);
	case SECCOMP_OP_LT:
		return emit_order(c, low, BPF_JGE, value, narrow, no, yes);
	}
	return no;
}

/* In list order; the first rule of which all conditions hold decides. */
static size_t emit_sequence(struct code *c, const struct seccomp_leaf *leaf)
{
	size_t next = emit_return(c, leaf->action);
	for (size_t i = leaf->nrules; i-- > 0;) {
		const struct seccomp_rule *r = leaf->rules[i];
		size_t yes = emit_return(c, r->action);
		for (size_t k = r->nconds; k-- > 0;)
			yes = emit_cond(c, &r->conds[k], leaf->narrow, yes, next);
		next = yes;
	}
	return next;
}

static bool is_masked_only(const struct seccomp_leaf *leaf)
{
	for (size_t i = 0; i < leaf->nrules; i++) {
		const struct seccomp_rule *r = leaf->rules[i];
		if (r->nconds != 1 || r->conds->op != SECCOMP_OP_MASKED_EQ || r->conds->value > UINT32_MAX ||
		    r->conds->arg != leaf->rules[0]->conds->arg || r->action != leaf->rules[0]->action)
			return false;
	}
	return true;
}

static size_t emit_rules(struct code *c, const struct seccomp_leaf *leaf)
{
	if (!is_masked_only(leaf))
		return emit_sequence(c, leaf);
	size_t offset = low_half(leaf->rules[0]->conds[0].arg);
	autofree struct cube *cubes = xcalloc(leaf->nrules, sizeof(*cubes));
	bool one_mask = true;
	size_t n = 0;
	for (size_t i = 0; i < leaf->nrules; i++) {
		const struct seccomp_cond *cond = &leaf->rules[i]->conds[0];
		cubes[n++] = (struct cube){(uint32_t)cond->value, (uint32_t)cond->value2};
		one_mask &= cubes[n - 1].mask == cubes[0].mask;
	}
	const struct seccomp_leaf hit = {.kind = SECCOMP_LEAF_RETURN, .action = leaf->rules[0]->action};
	const struct seccomp_leaf other = {.kind = SECCOMP_LEAF_RETURN, .action = leaf->action};
	if (one_mask) {
		qsort(cubes, n, sizeof(*cubes), compare_cubes);
		size_t kept = 0;
		for (size_t i = 0; i < n; i++)
			if (i == 0 || cubes[i].value != cubes[kept - 1].value)
				cubes[kept++] = cubes[i];
		return emit_one_mask(c, offset, cubes[0].mask, cubes, kept, hit, other);
	}
	struct cube rest[COMPLEMENT_MAX] = {{0, 0}};
	size_t nrest = 1;
	bool small = true;
	for (size_t i = 0; i < n && small; i++)
		small = cut(rest, &nrest, cubes[i]);
	if (small && nrest < n)
		return emit_cubes(c, offset, rest, nrest, &other, &hit);
	return emit_cubes(c, offset, cubes, n, &hit, &other);
}

static size_t emit_leaf(struct code *c, const struct seccomp_leaf *leaf)
{
	if (leaf->kind != SECCOMP_LEAF_RULES)
		return emit_end(c, leaf);
	size_t i = 0;
	while (i < c->nleaves && !same_rules(c->leaves[i].leaf, leaf))
		i++;
	if (i < c->nleaves && c->n - c->leaves[i].label <= JUMP_REACH)
		return c->leaves[i].label;
	size_t label = emit_rules(c, leaf);
	if (i == c->nleaves && i < LEAVES_MAX)
		c->nleaves++;
	if (i < c->nleaves) {
		c->leaves[i].leaf = leaf;
		c->leaves[i].label = label;
	}
	return label;
}

int seccomp_tree_emit(const struct seccomp_section *sections, size_t nsections, struct seccomp_leaf other,
		      struct seccomp_program *ret_program, struct err *e)
{
	struct code c = {.n = 0};
	size_t label = emit_leaf(&c, &other);
	for (size_t i = nsections; i-- > 0;) {
		size_t next = label;
		size_t root = emit_ranges(&c, sections[i].ranges, sections[i].count);
		root = emit_load(&c, offsetof(struct seccomp_data, nr), root);
		label = emit_if(&c, BPF_JEQ, sections[i].audit_arch, root, next);
	}
	emit_load(&c, offsetof(struct seccomp_data, arch), label);
	if (c.n > BPF_MAXINSNS) {
		free(c.v);
		return err_set(e, E2BIG, "seccomp filter of %zu instructions (the kernel allows %d)", c.n,
			       BPF_MAXINSNS);
	}
	for (size_t i = 0; i < c.n / 2; i++) {
		struct sock_filter swap = c.v[i];
		c.v[i] = c.v[c.n - 1 - i];
		c.v[c.n - 1 - i] = swap;
	}
	ret_program->insns = c.v;
	ret_program->count = c.n;
	return 0;
}

/* The calls of one architecture by number. */
struct call {
	uint32_t nr;
	struct seccomp_leaf leaf;
};

static int compare_calls(const void *pa, const void *pb)
{
	const struct call *a = pa;
	const struct call *b = pb;
	return (a->nr > b->nr) - (a->nr < b->nr);
}

/* Collect the calls of `arch` that this program handles, sorted by number; calls[] has room for n->count. */
static int collect(const struct seccomp_normal *n, enum seccomp_arch arch, bool whole, struct call *calls,
		   size_t *ret_count, struct err *e)
{
	size_t count = 0;
	for (size_t i = 0, end; i < n->count; i = end) {
		const struct seccomp_rule *first = n->rules[i];
		uint32_t nr;
		for (end = i + 1; end < n->count; end++)
			if (strcmp(first->name, n->rules[end]->name) != 0)
				break;
		if ((!whole && !n->ours[i]) || !seccomp_syscall_number(arch, first->name, &nr))
			continue;
		struct seccomp_leaf leaf = {.kind = SECCOMP_LEAF_RETURN, .action = first->action};
		if (first->nconds) {
			leaf = (struct seccomp_leaf){
				.kind = SECCOMP_LEAF_RULES,
				.action = n->default_action,
				.rules = &n->rules[i],
				.nrules = end - i,
				.narrow = arch == SECCOMP_ARCH_X86 || arch == SECCOMP_ARCH_X32 ||
					  arch == SECCOMP_ARCH_ARM,
			};
		}
		calls[count++] = (struct call){.nr = nr, .leaf = leaf};
	}
	qsort(calls, count, sizeof(*calls), compare_calls);
	/* Two names of one number (ARM has some): the first one is enough where they agree. */
	for (size_t i = 1; i < count; i++)
		if (calls[i].nr == calls[i - 1].nr && !same_leaf(&calls[i].leaf, &calls[i - 1].leaf))
			return err_set(e, EOPNOTSUPP, "rules for call %u of %s under two names differ", calls[i].nr,
				       seccomp_arch_name(arch));
	*ret_count = count;
	return 0;
}

static void add_range(struct seccomp_range *ranges, size_t *n, uint32_t first, struct seccomp_leaf leaf)
{
	if (*n && ranges[*n - 1].first == first)
		(*n)--;
	if (*n && same_leaf(&ranges[*n - 1].leaf, &leaf))
		return;
	ranges[(*n)++] = (struct seccomp_range){.first = first, .leaf = leaf};
}

/* What a number without a rule leads to. */
static struct seccomp_leaf background(const struct seccomp_normal *n, enum seccomp_arch arch, bool whole, uint32_t nr)
{
	bool beyond = n->enosys_above_max && n->has_calls[arch] && nr > n->max_nr[arch];
	if (beyond && !seccomp_is_own_call(arch, nr))
		return (struct seccomp_leaf){.kind = SECCOMP_LEAF_RETURN, .action = SECCOMP_RET_ERRNO | ENOSYS};
	return (struct seccomp_leaf){
		.kind = whole ? SECCOMP_LEAF_RETURN : SECCOMP_LEAF_TAIL,
		.action = n->default_action,
	};
}

/* Append the ranges of `arch`. */
static int add_arch(const struct seccomp_normal *n, enum seccomp_arch arch, bool whole, struct seccomp_range *ranges,
		    size_t *nranges, struct err *e)
{
	/* Where the background changes, ascending. */
	uint32_t edges[4] = {0, n->max_nr[arch] + 1};
	size_t nedges = 2;
	if (arch == SECCOMP_ARCH_X32) {
		edges[0] = SECCOMP_X32_BIT;
		edges[nedges++] = SECCOMP_X32_OWN_FIRST;
		edges[nedges++] = SECCOMP_X32_OWN_LAST + 1;
	} else if (arch == SECCOMP_ARCH_ARM) {
		edges[nedges++] = SECCOMP_ARM_OWN_FIRST;
	}
	if (!n->has_calls[arch])
		nedges = 1;
	autofree struct call *calls = xcalloc(n->count + 1, sizeof(*calls));
	size_t count = 0;
	int r = collect(n, arch, whole, calls, &count, e);
	if (r < 0)
		return r;
	for (size_t i = 0, k = 0; i <= count; i++) {
		for (; k < nedges && (i == count || edges[k] <= calls[i].nr); k++)
			add_range(ranges, nranges, edges[k], background(n, arch, whole, edges[k]));
		if (i == count)
			break;
		add_range(ranges, nranges, calls[i].nr, calls[i].leaf);
		add_range(ranges, nranges, calls[i].nr + 1, background(n, arch, whole, calls[i].nr + 1));
	}
	return 0;
}

int seccomp_tree_build(const struct seccomp_normal *n, bool whole, struct seccomp_program *ret_program, struct err *e)
{
	/* Calls of architectures that are not in the list: ours to kill, or libseccomp's. */
	const struct seccomp_leaf bad = {
		.kind = whole ? SECCOMP_LEAF_RETURN : SECCOMP_LEAF_TAIL,
		.action = SECCOMP_BAD_ARCH_ACTION,
	};
	struct seccomp_section sections[SECCOMP_ARCH_N];
	size_t nsections = 0;
	size_t room = 2 * n->count + 8;
	autofree struct seccomp_range *ranges = xcalloc(SECCOMP_ARCH_N * room, sizeof(*ranges));
	struct seccomp_range *next = ranges;
	for (enum seccomp_arch a = 0; a < SECCOMP_ARCH_N; a++) {
		bool with_x32 = a == SECCOMP_ARCH_X86_64 && (n->archs & SECCOMP_ARCH_BIT(SECCOMP_ARCH_X32));
		size_t count = 0;
		int r = 0;
		if (a == SECCOMP_ARCH_X32 && (n->archs & SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86_64)))
			continue; /* done together */
		if (!(n->archs & SECCOMP_ARCH_BIT(a)))
			continue;
		if (a == SECCOMP_ARCH_X32)
			add_range(next, &count, 0, bad);
		r = add_arch(n, a, whole, next, &count, e);
		if (r >= 0 && with_x32)
			r = add_arch(n, SECCOMP_ARCH_X32, whole, next, &count, e);
		if (r < 0)
			return r;
		if (a == SECCOMP_ARCH_X86_64 && !with_x32 && !(n->enosys_above_max && n->has_calls[a]))
			add_range(next, &count, SECCOMP_X32_BIT, bad);
		if (!whole && count == 1)
			continue; /* nothing but the tail */
		sections[nsections++] = (struct seccomp_section){seccomp_arch_audit(a), next, count};
		next += count;
	}
	if (!whole && !nsections)
		return 0;
	return seccomp_tree_emit(sections, nsections, bad, ret_program, e);
}

int seccomp_filter_tree(const struct seccomp_rules *rules, struct seccomp_program *ret_program, struct err *e)
{
	struct seccomp_normal n;
	int r = seccomp_normalise(rules, &n, e);
	if (r < 0)
		return r;
	if (n.library_muxes)
		r = err_set(e, EOPNOTSUPP, "a rule list that does not name socketcall or ipc but calls behind them");
	else
		r = seccomp_tree_build(&n, true, ret_program, e);
	seccomp_normal_free(&n);
	return r;
}
