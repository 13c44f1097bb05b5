#include "notifyd.h"
#include "rl/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 }; /* its calls are not through the filter */
#else
enum { SANITIZED = 0 };
#endif

enum { RULES_MAX = 256 };

int notifyd_confine(const struct notifyd *d, struct err *e)
{
	autoprogram struct seccomp_program program = SECCOMP_PROGRAM_NONE;
	autofree struct seccomp_rule *rules = xcalloc(RULES_MAX, sizeof(*rules));
	size_t count = 0;
	for (const struct notifyd_module *const *m = notifyd_modules; *m; m++) {
		size_t n = 0;
		if (!(*m)->is_wanted(&d->cfg))
			continue;
		if (!(*m)->needed || SANITIZED)
			return 0;
		const char *const *names = (*m)->needed(&n);
		for (size_t i = 0; i < n && count < RULES_MAX; i++)
			rules[count++] = (struct seccomp_rule){.name = names[i], .action = SECCOMP_RET_ALLOW};
	}
	const struct seccomp_rules list = {
		.default_action = SECCOMP_RET_KILL_PROCESS,
		.archs = SECCOMP_ARCH_BIT(seccomp_native_arch()),
		.rules = rules,
		.count = count,
	};
	int r = seccomp_filter_tree(&list, &program, e);
	if (r >= 0)
		r = seccomp_filter_load(&(struct seccomp_filter){.insns = program.insns, .count = program.count}, 0, e);
	return r;
}
