#include "rl/kern/seccomp.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "seccomp_internal.h"

void seccomp_program_free(struct seccomp_program *p)
{
	int saved = errno;
	free(p->insns);
	p->insns = NULL;
	p->count = 0;
	errno = saved;
}

static int load_failed(int errnum, struct err *e)
{
	err_sys(e, errnum, "load seccomp filter");
	if (errnum == EACCES)
		return err_hint(
			e, "no_new_privs must be set, or the process must have CAP_SYS_ADMIN in its user namespace");
	if (errnum == EINVAL)
		return err_hint(e, "the kernel may lack CONFIG_SECCOMP_FILTER or one of the flags asked for");
	if (errnum == EBUSY)
		return err_hint(e, "another filter of this process already has a listener");
	return -errnum;
}

int seccomp_filter_load(const struct seccomp_filter *filter, unsigned int flags, struct err *e)
{
	if (filter->count == 0 || filter->count > BPF_MAXINSNS)
		return err_set(e, EINVAL, "seccomp filter of %zu instructions (at most %d)", filter->count,
			       BPF_MAXINSNS);
	/* Without this a failing TSYNC answers with a thread's id, which could be taken for a listener. */
	if ((flags & SECCOMP_FILTER_FLAG_TSYNC) && (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER))
		flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	struct sock_fprog prog = {
		.len = (unsigned short)filter->count,
		.filter = (struct sock_filter *)(uintptr_t)filter->insns,
	};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (r < 0)
		return load_failed(errno, e);
	if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		return (int)r;
	if (r > 0)
		return err_set(e, ESRCH, "load seccomp filter: thread %ld has another filter", r);
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	int x = *(const int *)a;
	int y = *(const int *)b;
	return (x > y) - (x < y);
}

int seccomp_self_allow(const int *syscalls, size_t count, uint32_t default_action, struct err *e)
{
	autofree int *sorted = xmemdup(syscalls, count * sizeof(*syscalls));
	qsort(sorted, count, sizeof(*sorted), compare_numbers);
	autofree struct seccomp_range *ranges = xcalloc(2 * count + 1, sizeof(*ranges));
	const struct seccomp_leaf deny = {.kind = SECCOMP_LEAF_RETURN, .action = default_action};
	const struct seccomp_leaf allow = {.kind = SECCOMP_LEAF_RETURN, .action = SECCOMP_RET_ALLOW};
	size_t n = 0;
	ranges[n++] = (struct seccomp_range){.first = 0, .leaf = deny};
	for (size_t i = 0; i < count; i++) {
		if (sorted[i] < 0)
			return err_set(e, EINVAL, "system call number %d", sorted[i]);
		uint32_t nr = (uint32_t)sorted[i];
		if (ranges[n - 1].first > nr)
			continue; /* a duplicate */
		if (ranges[n - 1].first == nr)
			n--; /* adjacent to the one before: its closing range starts here */
		if (n == 0 || ranges[n - 1].leaf.action != SECCOMP_RET_ALLOW)
			ranges[n++] = (struct seccomp_range){.first = nr, .leaf = allow};
		ranges[n++] = (struct seccomp_range){.first = nr + 1, .leaf = deny};
	}
	const struct seccomp_section section = {
		.audit_arch = seccomp_arch_audit(seccomp_native_arch()),
		.ranges = ranges,
		.count = n,
	};
	const struct seccomp_leaf bad = {.kind = SECCOMP_LEAF_RETURN, .action = SECCOMP_BAD_ARCH_ACTION};
	autoprogram struct seccomp_program program = SECCOMP_PROGRAM_NONE;
	int r = seccomp_tree_emit(&section, 1, bad, &program, e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "set no_new_privs");
	const struct seccomp_filter filter = {.insns = program.insns, .count = program.count};
	return seccomp_filter_load(&filter, SECCOMP_FILTER_FLAG_TSYNC, e);
}

int seccomp_self_rules(const struct seccomp_rule *rules, size_t count, struct err *e)
{
	autoprogram struct seccomp_program program = SECCOMP_PROGRAM_NONE;
	const struct seccomp_rules list = {.default_action = SECCOMP_RET_KILL_PROCESS,
					   .archs = SECCOMP_ARCH_BIT(seccomp_native_arch()),
					   .rules = rules,
					   .count = count};
	int r = seccomp_filter_tree(&list, &program, e);
	if (r < 0)
		return r;
	return seccomp_filter_load(&(struct seccomp_filter){.insns = program.insns, .count = program.count}, 0, e);
}
