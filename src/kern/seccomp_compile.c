/*
 * seccomp_compile.c - rule lists through libseccomp.
 *
 * The result is a small program of ours followed by libseccomp's. Ours answers what libseccomp cannot express: ENOSYS
 * above the highest number of the list, calls newer than the library (it cannot name them on a 32-bit architecture) and
 * conditions that it would get wrong (library_can in seccomp_rules.c); everything else falls through.
 * Together the parts stay within the kernel's 4096 instructions.
 */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "seccomp_internal.h"

static const uint32_t library_arch[] = {
	[SECCOMP_ARCH_X86_64] = SCMP_ARCH_X86_64, [SECCOMP_ARCH_X86] = SCMP_ARCH_X86,
	[SECCOMP_ARCH_X32] = SCMP_ARCH_X32,	  [SECCOMP_ARCH_AARCH64] = SCMP_ARCH_AARCH64,
	[SECCOMP_ARCH_ARM] = SCMP_ARCH_ARM,
};
_Static_assert(ARRAY_SIZE(library_arch) == SECCOMP_ARCH_N, "every architecture has its line");

static const enum scmp_compare library_op[] = {
	[SECCOMP_OP_NE] = SCMP_CMP_NE,
	[SECCOMP_OP_LT] = SCMP_CMP_LT,
	[SECCOMP_OP_LE] = SCMP_CMP_LE,
	[SECCOMP_OP_EQ] = SCMP_CMP_EQ,
	[SECCOMP_OP_GE] = SCMP_CMP_GE,
	[SECCOMP_OP_GT] = SCMP_CMP_GT,
	[SECCOMP_OP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
};

static int setup(scmp_filter_ctx ctx, uint32_t archs, struct err *e)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SECCOMP_BAD_ARCH_ACTION);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r < 0)
		return err_sys(e, -r, "libseccomp: set attributes");
	for (enum seccomp_arch a = 0; a < SECCOMP_ARCH_N; a++) {
		if (!(archs & SECCOMP_ARCH_BIT(a)))
			continue;
		r = seccomp_arch_add(ctx, library_arch[a]);
		if (r < 0 && r != -EEXIST)
			return err_sys(e, -r, "libseccomp: add architecture %s", seccomp_arch_name(a));
	}
	if (!(archs & SECCOMP_ARCH_BIT(seccomp_native_arch()))) {
		r = seccomp_arch_remove(ctx, library_arch[seccomp_native_arch()]);
		if (r < 0)
			return err_sys(e, -r, "libseccomp: remove architecture %s",
				       seccomp_arch_name(seccomp_native_arch()));
	}
	return 0;
}

static int add_rule(scmp_filter_ctx ctx, const struct seccomp_rule *rule, struct err *e)
{
	struct scmp_arg_cmp cmp[SECCOMP_CONDS_MAX];
	int nr = seccomp_syscall_resolve_name(rule->name);
	if (nr == __NR_SCMP_ERROR)
		return 0; /* known to nobody */
	for (size_t i = 0; i < rule->nconds; i++) {
		const struct seccomp_cond *c = &rule->conds[i];
		cmp[i] = (struct scmp_arg_cmp){c->arg, library_op[c->op], c->value, c->value2};
	}
	int r = seccomp_rule_add_array(ctx, rule->action, nr, (unsigned int)rule->nconds, cmp);
	/* -EEXIST: an identical rule. */
	if (r < 0 && r != -EEXIST)
		return err_sys(e, -r, "libseccomp: rule for %s", rule->name);
	return 0;
}

/* libseccomp 2.5 exports to a descriptor only. */
static int export_program(scmp_filter_ctx ctx, struct seccomp_program *ret_program, struct err *e)
{
	autofd int fd = io_memory_file("seccomp", e);
	struct stat st;
	if (fd < 0)
		return fd;
	int r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return err_sys(e, -r, "libseccomp: make the program");
	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "libseccomp: read the program");
	size_t size = (size_t)st.st_size;
	if (size == 0 || size % sizeof(struct sock_filter) || size > BPF_MAXINSNS * sizeof(struct sock_filter))
		return err_set(e, E2BIG, "seccomp filter of %zu instructions (the kernel allows %d)",
			       size / sizeof(struct sock_filter), BPF_MAXINSNS);
	autofree struct sock_filter *insns = xmalloc(size);
	ssize_t got = io_read_full(fd, insns, size, e);
	if (got < 0)
		return (int)got;
	ret_program->count = (size_t)got / sizeof(*insns);
	ret_program->insns = take_ptr(&insns);
	return 0;
}

static int library_compile(const struct seccomp_normal *n, struct seccomp_program *ret_program, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(n->default_action);
	if (!ctx)
		return err_set(e, EINVAL, "libseccomp refuses default action %#x", n->default_action);
	int r = setup(ctx, n->archs, e);
	for (size_t i = 0; i < n->count && r >= 0; i++)
		if (!n->ours[i] && n->rules[i]->action != n->default_action)
			r = add_rule(ctx, n->rules[i], e);
	if (r >= 0)
		r = export_program(ctx, ret_program, e);
	seccomp_release(ctx);
	return r;
}

int seccomp_filter_compile(const struct seccomp_rules *rules, struct seccomp_program *ret_program, struct err *e)
{
	struct seccomp_normal n;
	autoprogram struct seccomp_program head = SECCOMP_PROGRAM_NONE;
	autoprogram struct seccomp_program body = SECCOMP_PROGRAM_NONE;
	int r = seccomp_normalise(rules, &n, e);
	if (r < 0)
		return r;
	r = seccomp_tree_build(&n, false, &head, e);
	if (r >= 0)
		r = library_compile(&n, &body, e);
	seccomp_normal_free(&n);
	if (r < 0)
		return r;
	size_t count = head.count + body.count;
	if (count > BPF_MAXINSNS)
		return err_set(e, E2BIG, "seccomp filter of %zu instructions (the kernel allows %d)", count,
			       BPF_MAXINSNS);
	struct sock_filter *insns = xreallocarray(NULL, count, sizeof(*insns));
	if (head.count)
		memcpy(insns, head.insns, head.count * sizeof(*insns));
	memcpy(insns + head.count, body.insns, body.count * sizeof(*insns));
	*ret_program = (struct seccomp_program){.insns = insns, .count = count};
	return 0;
}

void seccomp_library_version(unsigned int ret_version[3])
{
	const struct scmp_version *v = seccomp_version();
	ret_version[0] = v ? v->major : 0;
	ret_version[1] = v ? v->minor : 0;
	ret_version[2] = v ? v->micro : 0;
}
