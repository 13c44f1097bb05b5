/*
 * caps.c - see caps.h.
 *
 * Theory: names are libcap-ng's, so that a capability it learns needs no change here. Its capng_apply is not used: it
 * reads /proc/PID/status twice by getpid(), which in a new pid namespace with the outer /proc still mounted is another
 * process, or none; and it costs some 50 system calls where 30 do. The same work is prctl for each capability missing
 * in the bounding set, one capset, one prctl that empties the ambient set. The last capability of the running kernel
 * need not be known for that: dropping one past it is -EINVAL and ends the loop.
 *
 * A process made in a new user namespace has every capability there, whatever its maker had, so nothing has to be
 * intersected; only where no namespace is made (root without one) the kernel may say EPERM, and then what is missing is
 * left out.
 */
#include "rl/kern/caps.h"

#include <cap-ng.h>
#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/mem.h"

enum { CAP_BITS = 64 };

static bool has_cap(uint64_t set, int cap)
{
	return set >> cap & 1;
}

int caps_from_name(const char *name, struct err *e)
{
	const char *bare = strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;
	int cap = capng_name_to_capability(bare);
	if (cap >= 0 && cap < CAP_BITS)
		return cap;
	err_set(e, EINVAL, "unknown capability %s", name);
	const char *names[CAP_LAST_CAP + 2] = {0};
	size_t n = 0;
	for (int i = 0; i <= CAP_LAST_CAP; i++) {
		names[n] = capng_capability_to_name((unsigned)i);
		n += names[n] != NULL;
	}
	char lower[CAPS_NAME_SIZE];
	size_t len = 0;
	for (; bare[len] && len + 1 < sizeof(lower); len++)
		lower[len] = (char)tolower((unsigned char)bare[len]);
	lower[len] = '\0';
	const char *nearest = str_nearest(lower, names);
	if (nearest)
		err_hint(e, "did you mean %s?", nearest);
	return -EINVAL;
}

void caps_name(int cap, char ret_name[CAPS_NAME_SIZE])
{
	const char *name = cap >= 0 && cap <= CAP_LAST_CAP ? capng_capability_to_name((unsigned)cap) : NULL;
	if (name)
		snprintf(ret_name, CAPS_NAME_SIZE, "CAP_%s", name);
	else
		snprintf(ret_name, CAPS_NAME_SIZE, "CAP_%d", cap);
	for (char *p = ret_name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
}

uint64_t caps_all_known(void)
{
	return (2ull << CAP_LAST_CAP) - 1;
}

uint64_t caps_all_kernel(void)
{
	int low = 31; /* exists since there are two words of them */
	int high = CAP_BITS;
	while (high - low > 1) {
		int middle = (low + high) / 2;
		if (prctl(PR_CAPBSET_READ, middle, 0, 0, 0) >= 0)
			low = middle;
		else
			high = middle;
	}
	return low == CAP_BITS - 1 ? UINT64_MAX : (2ull << low) - 1;
}

void caps_describe(uint64_t set, struct str *out)
{
	const char *separator = "";
	for (int cap = 0; cap < CAP_BITS; cap++) {
		char name[CAPS_NAME_SIZE];
		if (!has_cap(set, cap))
			continue;
		caps_name(cap, name);
		str_addf(out, "%s%s", separator, name);
		separator = ",";
	}
}

/* The names of one list as a set; "ALL" is reported apart. */
static int parse_list(const struct strv *list, uint64_t *ret_set, bool *ret_all, struct err *e)
{
	uint64_t set = 0;
	bool all = false;
	for (size_t i = 0; i < list->count; i++) {
		if (strcasecmp(list->items[i], "ALL") == 0 || strcasecmp(list->items[i], "CAP_ALL") == 0) {
			all = true;
			continue;
		}
		int cap = caps_from_name(list->items[i], e);
		if (cap < 0)
			return cap;
		set |= 1ull << cap;
	}
	*ret_set = set;
	*ret_all = all;
	return 0;
}

int caps_adjust(uint64_t base, const struct strv *add, const struct strv *drop, uint64_t *ret_set, struct err *e)
{
	uint64_t added;
	uint64_t dropped;
	bool add_all;
	bool drop_all;
	int r = parse_list(add, &added, &add_all, e);
	if (r < 0)
		return err_ctx(e, "--cap-add");
	r = parse_list(drop, &dropped, &drop_all, e);
	if (r < 0)
		return err_ctx(e, "--cap-drop");
	if (add_all)
		*ret_set = drop_all ? added : caps_all_kernel() & ~dropped;
	else if (drop_all)
		*ret_set = added;
	else
		*ret_set = (base & ~dropped) | added;
	return 0;
}

struct caps_sets caps_for_user(uint64_t set, uid_t uid)
{
	struct caps_sets sets = {.bounding = set};
	if (uid == 0)
		sets.permitted = sets.effective = set;
	return sets;
}

int caps_before_setid(const struct caps_sets *sets, bool keep, struct err *e)
{
	for (int cap = 0; cap < CAP_BITS; cap++) {
		if (has_cap(sets->bounding, cap) || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		int errnum = errno;
		int there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (there < 0)
			break; /* past the last one of this kernel */
		if (there)
			return err_sys(e, errnum, "drop capability %d from the bounding set", cap);
	}
	if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "keep capabilities over the change of user");
	return 0;
}

static int set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	for (int word = 0; word < 2; word++) {
		data[word].effective = (uint32_t)(effective >> (32 * word));
		data[word].permitted = (uint32_t)(permitted >> (32 * word));
		data[word].inheritable = (uint32_t)(inheritable >> (32 * word));
	}
	return (int)syscall(SYS_capset, &header, data);
}

static int get_caps(uint64_t *ret_effective, uint64_t *ret_permitted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = 0}};
	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	*ret_effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	*ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

int caps_after_setid(const struct caps_sets *sets, struct err *e)
{
	uint64_t permitted = sets->permitted;
	uint64_t inheritable = sets->inheritable;
	if (set_caps(sets->effective & permitted, permitted, inheritable) < 0) {
		int errnum = errno;
		uint64_t effective;
		uint64_t have;
		if (errnum != EPERM || get_caps(&effective, &have) < 0)
			return err_sys(e, errnum, "set capabilities");
		permitted &= have;
		inheritable &= have;
		if (set_caps(sets->effective & permitted, permitted, inheritable) < 0)
			return err_sys(e, errno, "set capabilities");
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return err_sys(e, errno, "clear the ambient capabilities");
	const uint64_t ambient = sets->ambient & permitted & inheritable;
	for (int cap = 0; cap < CAP_BITS; cap++)
		if (has_cap(ambient, cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_sys(e, errno, "raise ambient capability %d", cap);
	return 0;
}

int caps_effective(uint64_t *ret_set, struct err *e)
{
	uint64_t permitted;
	uint64_t effective;
	if (get_caps(&effective, &permitted) < 0)
		return err_sys(e, errno, "capget");
	*ret_set = effective;
	return 0;
}
