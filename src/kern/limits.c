/*
 * limits.c - resource limits by name, and what of a wish can be had; see limits.h.
 *
 * The names are a table indexed by the kernel's numbers, with a static assertion on their count, so that a new limit
 * cannot be forgotten. A caller without CAP_SYS_RESOURCE may only lower its hard limit, so a wish is weighed against
 * the limits of the process it is for before anything is set: the error can then say what is possible.
 */
#include "rl/kern/limits.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/procfs.h"

static const char *const rlimit_names[RLIM_NLIMITS] = {
	[RLIMIT_AS] = "as",	      [RLIMIT_CORE] = "core",	      [RLIMIT_CPU] = "cpu",
	[RLIMIT_DATA] = "data",	      [RLIMIT_FSIZE] = "fsize",	      [RLIMIT_LOCKS] = "locks",
	[RLIMIT_MEMLOCK] = "memlock", [RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice",
	[RLIMIT_NOFILE] = "nofile",   [RLIMIT_NPROC] = "nproc",	      [RLIMIT_RSS] = "rss",
	[RLIMIT_RTPRIO] = "rtprio",   [RLIMIT_RTTIME] = "rttime",     [RLIMIT_SIGPENDING] = "sigpending",
	[RLIMIT_STACK] = "stack",
};
_Static_assert(RLIM_NLIMITS == 16, "a new resource limit needs a name");

int limits_rlimit_number(const char *name, struct err *e)
{
	const char *bare = strncasecmp(name, "RLIMIT_", 7) == 0 ? name + 7 : name;
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		if (strcasecmp(rlimit_names[i], bare) == 0)
			return i;
	const char *candidates[RLIM_NLIMITS + 1] = {0};
	memcpy(candidates, rlimit_names, sizeof(rlimit_names));
	const char *nearest = str_nearest(bare, candidates);
	err_set(e, EINVAL, "unknown resource limit %s", name);
	if (nearest)
		err_hint(e, "did you mean %s?", nearest);
	return -EINVAL;
}

const char *limits_rlimit_name(int resource)
{
	return resource >= 0 && resource < (int)RLIM_NLIMITS ? rlimit_names[resource] : NULL;
}

_Static_assert(sizeof(rlim_t) == 8 && RLIM_INFINITY == LIMITS_INFINITY, "limits are passed on as they are");

int limits_get_rlimit(int resource, uint64_t *ret_soft, uint64_t *ret_hard, struct err *e)
{
	struct rlimit rl;
	if (getrlimit((__rlimit_resource_t)resource, &rl) < 0)
		return err_sys(e, errno, "get resource limit %d", resource);
	*ret_soft = rl.rlim_cur;
	*ret_hard = rl.rlim_max;
	return 0;
}

static void describe(uint64_t value, char out[24])
{
	if (value == LIMITS_INFINITY)
		snprintf(out, 24, "unlimited");
	else
		snprintf(out, 24, "%llu", (unsigned long long)value);
}

int limits_set_rlimit(int resource, uint64_t soft, uint64_t hard, struct err *e)
{
	const char *name = limits_rlimit_name(resource);
	char wanted[24];
	char allowed[24];
	if (!name)
		return err_set(e, EINVAL, "unknown resource limit %d", resource);
	if (soft > hard)
		return err_set(e, EINVAL, "resource limit %s: the soft limit %llu is above the hard limit %llu", name,
			       (unsigned long long)soft, (unsigned long long)hard);
	const struct rlimit rl = {.rlim_cur = soft, .rlim_max = hard};
	if (setrlimit((__rlimit_resource_t)resource, &rl) == 0)
		return 0;
	int errnum = errno;
	uint64_t our_soft;
	uint64_t our_hard = 0;
	if (errnum != EPERM || limits_get_rlimit(resource, &our_soft, &our_hard, NULL) < 0)
		return err_sys(e, errnum, "set resource limit %s", name);
	/* EPERM with a hard limit below ours is fs.nr_open, for nofile only. */
	describe(hard, wanted);
	describe(our_hard, allowed);
	return err_set(e, EPERM, "resource limit %s: %s is above the hard limit of the caller, %s", name, wanted,
		       allowed);
}

int limits_set_oom_score_adj(int procfd, int value, struct err *e)
{
	char text[16];
	if (value < -1000 || value > 1000)
		return err_set(e, EINVAL, "oom score adjustment %d is not between -1000 and 1000", value);
	snprintf(text, sizeof(text), "%d", value);
	int r = procfs_write(procfd, "self/oom_score_adj", text, e);
	if (r == -EACCES || r == -EPERM)
		err_hint(e, "only the host's root may lower it; ordinary users may raise it");
	return r;
}

struct sysctl_rule {
	const char *name; /* below /proc/sys; with a slash at the end: everything below */
	enum limits_owned needs;
};

/* Those that the kernel keeps per namespace. kernel.domainname and hostname are too, but have options of their own;
 * domainname is here because the runtime spec has no other place for it. */
static const struct sysctl_rule sysctl_rules[] = {
	{"net/", LIMITS_OWN_NET},
	{"fs/mqueue/", LIMITS_OWN_IPC},
	{"kernel/msgmax", LIMITS_OWN_IPC},
	{"kernel/msgmnb", LIMITS_OWN_IPC},
	{"kernel/msgmni", LIMITS_OWN_IPC},
	{"kernel/msg_next_id", LIMITS_OWN_IPC},
	{"kernel/sem", LIMITS_OWN_IPC},
	{"kernel/sem_next_id", LIMITS_OWN_IPC},
	{"kernel/shmall", LIMITS_OWN_IPC},
	{"kernel/shmmax", LIMITS_OWN_IPC},
	{"kernel/shmmni", LIMITS_OWN_IPC},
	{"kernel/shm_next_id", LIMITS_OWN_IPC},
	{"kernel/shm_rmid_forced", LIMITS_OWN_IPC},
	{"kernel/domainname", LIMITS_OWN_UTS},
};

static const char *owned_name(enum limits_owned what)
{
	switch (what) {
	case LIMITS_OWN_NET:
		return "network";
	case LIMITS_OWN_IPC:
		return "ipc";
	case LIMITS_OWN_UTS:
		return "uts";
	default:
		return "other";
	}
}

/* Names of the kernel plus those of network interfaces ("eth0.1", "veth@x"). */
static bool is_sysctl_component(const char *p, size_t len)
{
	if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
		return false;
	return strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@+") >= len;
}

static bool is_sysctl_path(const char *path)
{
	for (const char *p = path;; p++) {
		size_t len = strcspn(p, "/");
		if (!is_sysctl_component(p, len))
			return false;
		p += len;
		if (*p == '\0')
			return true;
	}
}

static const struct sysctl_rule *find_rule(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctl_rules); i++) {
		const char *rest = str_after(name, sysctl_rules[i].name);
		if (rest && (*rest != '\0') == str_ends(sysctl_rules[i].name, "/"))
			return &sysctl_rules[i];
	}
	return NULL;
}

int limits_sysctl_path(const char *key, unsigned owned, char ret_path[LIMITS_SYSCTL_PATH_SIZE], struct err *e)
{
	char path[LIMITS_SYSCTL_PATH_SIZE];
	const size_t prefix = strlen("sys/");
	if (strlen(key) + prefix >= sizeof(path))
		return err_set(e, EINVAL, "the name of a sysctl is too long");
	snprintf(path, sizeof(path), "sys/%s", key);
	char *name = path + prefix;
	const char *first = strpbrk(name, "./");
	if (first && *first == '.')
		for (char *p = name; *p; p++)
			*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	if (!is_sysctl_path(name))
		return err_set(e, EINVAL, "%s is not the name of a sysctl", key);
	const struct sysctl_rule *rule = find_rule(name);
	if (!rule)
		return err_set(e, EPERM, "sysctl %s is not in a namespace: it would change the host's", key);
	if (!(owned & rule->needs))
		return err_set(e, EPERM, "sysctl %s needs a %s namespace of the container's own", key,
			       owned_name(rule->needs));
	memcpy(ret_path, path, sizeof(path));
	return 0;
}

int limits_write_sysctl(int procfd, const char *path, const char *value, struct err *e)
{
	/* Checked again here: where root runs us, the kernel lets the root of a user namespace write the host's
	 * sysctls, because the files belong to the same user. */
	const char *name = str_after(path, "sys/");
	if (!name || !is_sysctl_path(name) || !find_rule(name))
		return err_set(e, EPERM, "%s is not a sysctl of a namespace", path);
	return procfs_write(procfd, path, value, e);
}
