/*
 * seccomp_rules.c - apply the meaning of a rule list once, for every compiler.
 *
 * The list is sorted by name (stable, so "first" keeps its meaning) and walked name by name: the first rule without
 * conditions silences the others; rules whose masked comparison can never hold go away. What is left is what a compiler
 * has to do. Names only mentioned count for the highest number.
 *
 * Multiplexers: on i386 libseccomp extends a rule on socket(2) to socketcall(2), where the arguments are behind a
 * pointer and conditions are silently dropped; a list that allows socket for some families would allow all of them. If
 * such a list does not say what it wants of the multiplexer, the multiplexer is answered ENOSYS. Unconditional rules
 * are left to libseccomp's extension, which is then right: socketcall with that subcall only. A list that names a
 * multiplexer gets what it says and nothing more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"
#include "seccomp_internal.h"

enum { RULES_MAX = 65536 };

static const struct seccomp_rule no_socketcall = {
	.name = "socketcall",
	.action = SECCOMP_RET_ERRNO | ENOSYS,
};

static const struct seccomp_rule no_ipc = {
	.name = "ipc",
	.action = SECCOMP_RET_ERRNO | ENOSYS,
};

static const char *const socketcall_names[] = {
	"socket",  "bind",    "connect", "listen",   "accept",	 "getsockname", "getpeername",
	"send",	   "sendto",  "recv",	 "recvfrom", "shutdown", "setsockopt",	"getsockopt",
	"sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg", "socketpair",
};

static const char *const ipc_names[] = {
	"semop",  "semget", "semctl", "semtimedop", "msgsnd", "msgrcv",
	"msgget", "msgctl", "shmat",  "shmdt",	    "shmget", "shmctl",
};

static bool is_one_of(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

struct ref {
	const struct seccomp_rule *rule;
	size_t index;
};

static int compare_refs(const void *pa, const void *pb)
{
	const struct ref *a = pa;
	const struct ref *b = pb;
	int c = strcmp(a->rule->name, b->rule->name);
	if (c)
		return c;
	return (a->index > b->index) - (a->index < b->index);
}

static int check_rule(const struct seccomp_rule *r, struct err *e)
{
	if (r->nconds > SECCOMP_CONDS_MAX)
		return err_set(e, EINVAL, "rule for %s: %zu conditions", r->name, r->nconds);
	unsigned int seen = 0;
	for (size_t i = 0; i < r->nconds; i++) {
		unsigned int bit = 1u << (r->conds[i].arg & 31);
		if (r->conds[i].arg > 5)
			return err_set(e, EINVAL, "rule for %s: argument %u (0 to 5)", r->name, r->conds[i].arg);
		if (seen & bit)
			return err_set(e, EINVAL, "rule for %s: argument %u is compared twice", r->name,
				       r->conds[i].arg);
		seen |= bit;
	}
	return 0;
}

static bool never_matches(const struct seccomp_rule *r)
{
	for (size_t i = 0; i < r->nconds; i++)
		if (r->conds[i].op == SECCOMP_OP_MASKED_EQ && (r->conds[i].value2 & ~r->conds[i].value))
			return true;
	return false;
}

static bool is_denial(uint32_t action)
{
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_KILL_PROCESS:
	case SECCOMP_RET_KILL_THREAD:
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_ERRNO:
		return true;
	default:
		return false;
	}
}

static void note_max(struct seccomp_normal *n, const char *name)
{
	for (enum seccomp_arch a = 0; a < SECCOMP_ARCH_N; a++) {
		uint32_t nr;
		if (!(n->archs & SECCOMP_ARCH_BIT(a)) || !seccomp_syscall_number(a, name, &nr))
			continue;
		n->has_calls[a] = true;
		if (nr > n->max_nr[a] && !seccomp_is_own_call(a, nr))
			n->max_nr[a] = nr;
	}
}

/* Can libseccomp be trusted with these conditional rules? It merges the rules of a call into one decision tree that
 * does not go back: with overlapping comparisons (2.5.4: "a <= 462" and "a < 441 and b == 96") it misses matches.
 * Equalities on one argument do not overlap in that way. On 32-bit architectures it compares with the low half of the
 * value. It loses memory over a mask of 0. */
static bool library_can(const struct seccomp_rule *const *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct seccomp_cond *c = rules[i]->conds;
		for (size_t k = 0; k < rules[i]->nconds; k++)
			if (c[k].value > UINT32_MAX || c[k].value2 > UINT32_MAX ||
			    (c[k].op == SECCOMP_OP_MASKED_EQ && c[k].value == 0))
				return false;
		if (count > 1 &&
		    (rules[i]->nconds != 1 || c->arg != rules[0]->conds->arg || c->op != rules[0]->conds->op ||
		     rules[i]->action != rules[0]->action || (c->op != SECCOMP_OP_EQ && c->op != SECCOMP_OP_MASKED_EQ)))
			return false;
	}
	return true;
}

/* Which multiplexers must be closed, and which the list names itself. */
struct muxes {
	bool need_socketcall;
	bool need_ipc;
	bool sub_socketcall; /* an unconditional rule that libseccomp extends to the multiplexer */
	bool sub_ipc;
	bool names_socketcall;
	bool names_ipc;
};

static bool is_mux(const char *name)
{
	return strcmp(name, no_socketcall.name) == 0 || strcmp(name, no_ipc.name) == 0;
}

/* Add the rules of one name that take effect. */
static void add_effective(struct seccomp_normal *n, const struct ref *refs, size_t count, struct muxes *mux)
{
	const char *name = refs[0].rule->name;
	const struct seccomp_rule *plain = NULL;
	bool in_socketcall = is_one_of(socketcall_names, ARRAY_SIZE(socketcall_names), name);
	bool in_ipc = is_one_of(ipc_names, ARRAY_SIZE(ipc_names), name);
	for (size_t i = 0; i < count && !plain; i++)
		if (!refs[i].rule->mention_only && refs[i].rule->nconds == 0)
			plain = refs[i].rule;
	if (plain) {
		if (plain->action == n->default_action && !is_mux(name))
			return;
		n->rules[n->count++] = plain;
		mux->sub_socketcall |= in_socketcall;
		mux->sub_ipc |= in_ipc;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct seccomp_rule *r = refs[i].rule;
		if (r->mention_only || never_matches(r))
			continue;
		n->rules[n->count++] = r;
		mux->need_socketcall |= in_socketcall;
		mux->need_ipc |= in_ipc;
	}
}

/* One name's rules, refs[0..count). */
static void normalise_name(struct seccomp_normal *n, const struct ref *refs, size_t count, struct muxes *mux)
{
	const char *name = refs[0].rule->name;
	size_t before = n->count;
	note_max(n, name);
	add_effective(n, refs, count, mux);
	if (n->count == before)
		return;
	bool ours = !seccomp_name_in_library(name) || !library_can(n->rules + before, n->count - before);
	if (is_mux(name)) {
		bool socketcall = strcmp(name, no_socketcall.name) == 0;
		mux->names_socketcall |= socketcall;
		mux->names_ipc |= !socketcall;
		/* libseccomp adds to a multiplexer's rules unless there is one without conditions. */
		ours |= n->rules[before]->nconds || n->rules[before]->action == n->default_action;
	}
	for (size_t i = before; i < n->count; i++)
		n->ours[i] = ours;
}

int seccomp_normalise(const struct seccomp_rules *src, struct seccomp_normal *ret_normal, struct err *e)
{
	if (src->count > RULES_MAX)
		return err_set(e, E2BIG, "%zu seccomp rules (at most %d)", src->count, RULES_MAX);
	if (!src->archs || (src->archs >> SECCOMP_ARCH_N))
		return err_set(e, EINVAL, "seccomp architectures %#x", src->archs);
	autofree struct ref *refs = xcalloc(src->count + 1, sizeof(*refs));
	for (size_t i = 0; i < src->count; i++) {
		int r = check_rule(&src->rules[i], e);
		if (r < 0)
			return r;
		refs[i] = (struct ref){.rule = &src->rules[i], .index = i};
	}
	qsort(refs, src->count, sizeof(*refs), compare_refs);

	struct seccomp_normal n = {
		.default_action = src->default_action,
		.archs = src->archs,
		.enosys_above_max = is_denial(src->default_action),
		.rules = xcalloc(src->count + 2, sizeof(*n.rules)),
		.ours = xcalloc(src->count + 2, sizeof(*n.ours)),
	};
	struct muxes mux = {.need_ipc = false};
	for (size_t i = 0, end; i < src->count; i = end) {
		for (end = i + 1; end < src->count; end++)
			if (strcmp(refs[i].rule->name, refs[end].rule->name) != 0)
				break;
		normalise_name(&n, &refs[i], end - i, &mux);
	}
	if (mux.need_socketcall && !mux.names_socketcall && no_socketcall.action != n.default_action)
		n.rules[n.count++] = &no_socketcall;
	if (mux.need_ipc && !mux.names_ipc && no_ipc.action != n.default_action)
		n.rules[n.count++] = &no_ipc;
	n.library_muxes = (n.archs & SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86)) &&
			  ((mux.sub_socketcall && !mux.names_socketcall && !mux.need_socketcall) ||
			   (mux.sub_ipc && !mux.names_ipc && !mux.need_ipc));
	*ret_normal = n;
	return 0;
}

void seccomp_normal_free(struct seccomp_normal *n)
{
	int saved = errno;
	free(n->rules);
	free(n->ours);
	n->rules = NULL;
	n->ours = NULL;
	n->count = 0;
	errno = saved;
}
