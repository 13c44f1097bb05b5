/*
 * seccomp_rules.c - apply the meaning of a rule list once, for every compiler.
 *
 * The list is sorted by name (stable, so "first" keeps its meaning) and walked name by name: the first rule without
 * conditions silences the others; rules that only repeat the default action, or whose masked comparison can never hold,
 * go away. What is left is what a compiler has to do. Names only mentioned count for the highest number.
 *
 * Multiplexers: on i386 libseccomp extends a rule on socket(2) to socketcall(2), where the arguments are behind a
 * pointer and conditions are silently dropped; a list that allows socket for some families would allow all of them. If
 * such a list does not say what it wants of the multiplexer, the multiplexer is answered ENOSYS.
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
	"socket",   "bind",	  "connect",	"listen",     "accept",	   "getsockname", "getpeername",
	"send",	    "sendto",	  "recv",	"recvfrom",   "shutdown",  "setsockopt",  "getsockopt",
	"sendmsg",  "recvmsg",	  "accept4",	"recvmmsg",   "sendmmsg",  "socketpair",
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
		if (a == SECCOMP_ARCH_ARM && nr >= SECCOMP_ARM_PRIVATE_BASE)
			continue;
		if (nr > n->max_nr[a])
			n->max_nr[a] = nr;
	}
}

/* Which multiplexers must be closed, and which the list names itself. */
struct muxes {
	bool need_socketcall;
	bool need_ipc;
	bool names_socketcall;
	bool names_ipc;
};

/* One name's rules, refs[0..count). */
static void normalise_name(struct seccomp_normal *n, const struct ref *refs, size_t count, struct muxes *mux)
{
	const char *name = refs[0].rule->name;
	const struct seccomp_rule *plain = NULL;
	bool applies = false;
	note_max(n, name);
	for (size_t i = 0; i < count; i++) {
		if (refs[i].rule->mention_only)
			continue;
		applies = true;
		if (!plain && refs[i].rule->nconds == 0)
			plain = refs[i].rule;
	}
	if (applies && strcmp(name, "socketcall") == 0)
		mux->names_socketcall = true;
	if (applies && strcmp(name, "ipc") == 0)
		mux->names_ipc = true;
	if (plain) {
		if (plain->action != n->default_action)
			n->rules[n->count++] = plain;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct seccomp_rule *r = refs[i].rule;
		if (r->mention_only || r->action == n->default_action || never_matches(r))
			continue;
		n->rules[n->count++] = r;
		if (is_one_of(socketcall_names, ARRAY_SIZE(socketcall_names), name))
			mux->need_socketcall = true;
		if (is_one_of(ipc_names, ARRAY_SIZE(ipc_names), name))
			mux->need_ipc = true;
	}
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
		refs[i] = (struct ref){ .rule = &src->rules[i], .index = i };
	}
	qsort(refs, src->count, sizeof(*refs), compare_refs);

	struct seccomp_normal n = {
		.default_action = src->default_action,
		.archs = src->archs,
		.enosys_above_max = is_denial(src->default_action),
		.rules = xcalloc(src->count + 2, sizeof(*n.rules)),
	};
	struct muxes mux = { .need_ipc = false };
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
	*ret_normal = n;
	return 0;
}

void seccomp_normal_free(struct seccomp_normal *n)
{
	int saved = errno;
	free(n->rules);
	n->rules = NULL;
	n->count = 0;
	errno = saved;
}
