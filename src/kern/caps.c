#include "rl/kern/caps.h"

#include <cap-ng.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/prctl.h>

uint64_t caps_all(void)
{
	return CAPS_BIT(CAP_LAST_CAP) | (CAPS_BIT(CAP_LAST_CAP) - 1);
}

int caps_from_name(const char *name)
{
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	int cap = capng_name_to_capability(name);
	return cap >= 0 && cap <= CAP_LAST_CAP ? cap : -1;
}

int caps_to_name(int cap, char *ret_name, size_t size)
{
	const char *name = cap >= 0 && cap <= CAP_LAST_CAP ? capng_capability_to_name((unsigned)cap) : NULL;
	if (!name)
		return -1;
	int n = snprintf(ret_name, size, "CAP_%s", name);
	for (char *p = ret_name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return n < (int)size ? 0 : -1;
}

int caps_drop_bounding(uint64_t keep, struct err *e)
{
	/* Past CAP_LAST_CAP too: a newer kernel has capabilities whose names we do not know, and they go as well. EINVAL
	 * is the first number the running kernel does not have. */
	for (int cap = 0; cap < 64; cap++) {
		if (cap <= CAP_LAST_CAP && (keep & CAPS_BIT(cap)))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			return 0;
		return err_sys(e, errno, "drop capability %d", cap);
	}
	return 0;
}

int caps_set(uint64_t set, struct err *e)
{
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (set & CAPS_BIT(cap))
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, cap);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return err_sys(e, errno ? errno : EPERM, "set capabilities");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return err_sys(e, errno, "clear ambient capabilities");
	return 0;
}
