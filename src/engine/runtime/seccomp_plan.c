/*
 * seccomp_plan.c - which rules of a profile hold for one container: the pure half of the plan.
 *
 * A rule applies if all its includes hold and none of its excludes (each member of excludes alone is enough to drop the
 * rule). Architecture conditions are about the machine, not about the call's architecture, as docker means them. A rule
 * that does not apply still counts for the highest number known, so that a call guarded by a capability is EPERM and
 * not ENOSYS without it.
 */
#include "rl/engine/seccomp_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"

static const enum seccomp_op op_of[] = {
	[SECCOMP_PROFILE_OP_NE] = SECCOMP_OP_NE,
	[SECCOMP_PROFILE_OP_LT] = SECCOMP_OP_LT,
	[SECCOMP_PROFILE_OP_LE] = SECCOMP_OP_LE,
	[SECCOMP_PROFILE_OP_EQ] = SECCOMP_OP_EQ,
	[SECCOMP_PROFILE_OP_GE] = SECCOMP_OP_GE,
	[SECCOMP_PROFILE_OP_GT] = SECCOMP_OP_GT,
	[SECCOMP_PROFILE_OP_MASKED_EQ] = SECCOMP_OP_MASKED_EQ,
};
_Static_assert(ARRAY_SIZE(op_of) == SECCOMP_PROFILE_OP_N, "every operator has its line");

static const enum seccomp_profile_arch profile_arch[] = {
	[SECCOMP_ARCH_X86_64] = SECCOMP_PROFILE_ARCH_X86_64, [SECCOMP_ARCH_X86] = SECCOMP_PROFILE_ARCH_X86,
	[SECCOMP_ARCH_X32] = SECCOMP_PROFILE_ARCH_X32,	     [SECCOMP_ARCH_AARCH64] = SECCOMP_PROFILE_ARCH_AARCH64,
	[SECCOMP_ARCH_ARM] = SECCOMP_PROFILE_ARCH_ARM,
};
_Static_assert(ARRAY_SIZE(profile_arch) == SECCOMP_ARCH_N, "every architecture has its line");

static uint32_t kern_archs(uint32_t profile_archs)
{
	uint32_t archs = 0;
	for (unsigned int a = 0; a < SECCOMP_ARCH_N; a++)
		if (profile_archs & (1u << profile_arch[a]))
			archs |= SECCOMP_ARCH_BIT(a);
	return archs;
}

/* The native architecture always; others as the profile says, as far as this machine could run them. */
static uint32_t plan_archs(const struct seccomp_profile *p, enum seccomp_arch native)
{
	uint32_t archs = kern_archs(p->archs);
	for (size_t i = 0; i < p->narchmap; i++)
		if (p->archmap[i].arch == profile_arch[native])
			archs |= kern_archs(p->archmap[i].sub_archs);
	return (archs & seccomp_arch_family(native)) | SECCOMP_ARCH_BIT(native);
}

struct machine {
	enum seccomp_arch native;
	uint64_t caps;
	unsigned int kernel_major;
	unsigned int kernel_minor;
};

static bool kernel_at_least(const struct machine *m, const struct seccomp_profile_filter *f)
{
	if (m->kernel_major != f->kernel_major)
		return m->kernel_major > f->kernel_major;
	return m->kernel_minor >= f->kernel_minor;
}

static bool rule_applies(const struct seccomp_profile_rule *r, const struct machine *m)
{
	const struct seccomp_profile_filter *in = &r->includes;
	const struct seccomp_profile_filter *out = &r->excludes;
	uint32_t arch = 1u << profile_arch[m->native];
	if ((in->caps & ~m->caps) || (in->has_archs && !(in->archs & arch)) || !kernel_at_least(m, in))
		return false;
	if ((out->caps & m->caps) || (out->archs & arch))
		return false;
	return !((out->kernel_major || out->kernel_minor) && kernel_at_least(m, out));
}

static bool permits(uint32_t action)
{
	action &= SECCOMP_RET_ACTION_FULL;
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_TRACE ||
	       action == SECCOMP_RET_USER_NOTIF;
}

/* A name nobody knows is a call of a newer kernel or a mistake. Not allowing it is safe; not denying it is not. */
static int check_name(const char *name, uint32_t action, uint32_t default_action, struct strv *warnings, struct err *e)
{
	if (seccomp_syscall_is_known(name))
		return 0;
	if (permits(default_action) && !permits(action)) {
		err_set(e, EINVAL, "system call \"%s\" is unknown and cannot be denied", name);
		return err_hint(e, "correct the name, or use a profile that allows what is needed instead");
	}
	if (warnings)
		strv_addf(warnings, "seccomp profile: system call \"%s\" is unknown and was ignored", name);
	return 0;
}

static struct seccomp_rule make_rule(const struct seccomp_profile_rule *from, const char *name, bool applies)
{
	struct seccomp_rule rule = {
		.name = name,
		.action = from->action,
		.mention_only = !applies,
		.nconds = from->nargs,
	};
	for (size_t i = 0; i < from->nargs; i++)
		rule.conds[i] = (struct seccomp_cond){
			.arg = from->args[i].index,
			.op = op_of[from->args[i].op],
			.value = from->args[i].value,
			.value2 = from->args[i].value_two,
		};
	return rule;
}

/* Index of applying rules by name, to find denials with conditions that an allowance without them makes void: people
 * write such pairs and believe in them. */
static int compare_names(const void *pa, const void *pb)
{
	const struct seccomp_rule *a = *(const struct seccomp_rule *const *)pa;
	const struct seccomp_rule *b = *(const struct seccomp_rule *const *)pb;
	int c = strcmp(a->name, b->name);
	return c ? c : (a > b) - (a < b);
}

static void warn_void(const struct seccomp_rule *rules, size_t count, struct strv *warnings)
{
	autofree const struct seccomp_rule **sorted = xcalloc(count + 1, sizeof(*sorted));
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		if (!rules[i].mention_only)
			sorted[n++] = &rules[i];
	qsort(sorted, n, sizeof(*sorted), compare_names);
	for (size_t i = 0, end; i < n; i = end) {
		const struct seccomp_rule *plain = NULL;
		const struct seccomp_rule *lost = NULL;
		for (end = i; end < n && strcmp(sorted[i]->name, sorted[end]->name) == 0; end++) {
			if (!plain && sorted[end]->nconds == 0)
				plain = sorted[end];
			if (sorted[end]->nconds && !permits(sorted[end]->action))
				lost = sorted[end];
		}
		if (plain && lost && permits(plain->action))
			strv_addf(warnings,
				  "seccomp profile: \"%s\" is allowed without conditions, so its rule that denies some "
				  "arguments has no effect",
				  plain->name);
	}
}

int seccomp_plan_rules(const struct seccomp_profile *profile, enum seccomp_arch native, uint64_t caps,
		       unsigned int kernel_major, unsigned int kernel_minor, struct seccomp_rules *ret_rules,
		       struct strv *warnings, struct err *e)
{
	const struct machine m = {native, caps, kernel_major, kernel_minor};
	size_t total = 0;
	size_t n = 0;
	for (size_t i = 0; i < profile->nrules; i++)
		total += profile->rules[i].names.count;
	autofree struct seccomp_rule *rules = xcalloc(total + 1, sizeof(*rules));
	for (size_t i = 0; i < profile->nrules; i++) {
		const struct seccomp_profile_rule *from = &profile->rules[i];
		bool applies = rule_applies(from, &m);
		for (size_t k = 0; k < from->names.count; k++) {
			const char *name = from->names.items[k];
			int r = applies ? check_name(name, from->action, profile->default_action, warnings, e) : 0;
			if (r < 0)
				return r;
			rules[n++] = make_rule(from, name, applies);
		}
	}
	if (warnings)
		warn_void(rules, n, warnings);
	*ret_rules = (struct seccomp_rules){
		.default_action = profile->default_action,
		.archs = plan_archs(profile, native),
		.rules = take_ptr(&rules),
		.count = n,
	};
	return 0;
}
