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
	return seccomp_self_rules(rules, count, e);
}
