/*
 * oci_spec.c - from config.json to the runtime spec: process, identity, namespaces, id maps, seccomp.
 *
 * Source: runtime-spec 1.2, config.md and config-linux.md. What an ordinary user cannot have is treated as by other
 * rootless runtimes: what restricts is an error if it cannot be had, what only raises is left out with a warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/caps.h"
#include "rl/kern/limits.h"
#include "rl/kern/procfs.h"

void oci_plan_init(struct oci_plan *p)
{
	*p = (struct oci_plan){.seccomp = SECCOMP_PLAN_INIT};
	rtspec_init(&p->spec);
}

void oci_plan_free(struct oci_plan *p)
{
	rtspec_free(&p->spec);
	seccomp_plan_free(&p->seccomp);
	strv_free(&p->warnings);
	for (size_t i = 0; i < p->nfds; i++)
		close(p->fds[i]);
	p->nfds = 0;
}

int oci_plan_keep_fd(struct oci_plan *p, int fd, struct err *e)
{
	if (p->nfds == ARRAY_SIZE(p->fds)) {
		close(fd);
		return err_set(e, EMFILE, "config.json names too many namespaces and mapped mounts");
	}
	p->fds[p->nfds++] = fd;
	return fd;
}

/* ---- process ---- */

static int to_id(const struct oci_num *n, const char *what, uint32_t *ret, struct err *e)
{
	if (n->given && (n->value < 0 || n->value >= UINT32_MAX))
		return err_set(e, EINVAL, "%s is no id", what);
	*ret = n->given ? (uint32_t)n->value : 0;
	return 0;
}

static int plan_user(const struct oci_user *u, struct rtspec *s, struct err *e)
{
	struct rt_ids *ids = &s->ids;
	ids->given = true;
	int r = to_id(&u->uid, "process.user.uid", &ids->uid, e);
	if (r == 0)
		r = to_id(&u->gid, "process.user.gid", &ids->gid, e);
	ids->groups = xcalloc(u->additional_gids.count + 1, sizeof(*ids->groups));
	for (size_t i = 0; i < u->additional_gids.count && r == 0; i++)
		r = to_id(oci_item(u->additional_gids, struct oci_num, i), "process.user.additionalGids",
			  &ids->groups[ids->ngroups++], e);
	if (r == 0 && u->umask.given && (u->umask.value < 0 || u->umask.value > 0777))
		r = err_set(e, EINVAL, "process.user.umask is no mask of permissions");
	if (u->umask.given)
		s->umask = (int)u->umask.value;
	return r;
}

static int caps_set(const struct strv *names, const char *what, uint64_t *ret, struct strv *warnings)
{
	const uint64_t known = caps_all_kernel();
	for (size_t i = 0; i < names->count; i++) {
		int cap = caps_from_name(names->items[i], NULL);
		/* A newer engine's list on an older kernel: what does not exist cannot be given. */
		if (cap < 0 || !(known & (1ULL << cap)))
			strv_addf(warnings, "ignoring unknown or unavailable capability %s in process.capabilities.%s",
				  names->items[i], what);
		else
			*ret |= 1ULL << cap;
	}
	return 0;
}

static void plan_caps(const struct oci_caps *c, struct oci_plan *p)
{
	struct rt_caps *sets = &p->spec.cap_sets;
	sets->given = true;
	caps_set(&c->bounding, "bounding", &sets->bounding, &p->warnings);
	caps_set(&c->permitted, "permitted", &sets->permitted, &p->warnings);
	caps_set(&c->effective, "effective", &sets->effective, &p->warnings);
	caps_set(&c->inheritable, "inheritable", &sets->inheritable, &p->warnings);
	caps_set(&c->ambient, "ambient", &sets->ambient, &p->warnings);
	p->spec.caps = sets->bounding;
}

static int plan_rlimits(const struct oci_list *list, struct rtspec *s, struct err *e)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct oci_rlimit *l = oci_item(*list, struct oci_rlimit, i);
		int number = str_after(l->type, "RLIMIT_") ? limits_rlimit_number(l->type, e) : -EINVAL;
		if (number < 0)
			return err_set(e, EINVAL, "process.rlimits[%zu].type: wrong rlimit value: %s", i, l->type);
		for (size_t k = 0; k < s->nrlimits; k++)
			if (s->rlimits[k].resource == number)
				return err_set(e, EINVAL, "process.rlimits has %s twice", l->type);
		rtspec_add_rlimit(s, number, (uint64_t)l->soft.value, (uint64_t)l->hard.value, false);
	}
	return 0;
}

struct word {
	const char *name;
	uint64_t value;
};

static int find_word(const struct word *words, size_t n, const char *name, const char *what, uint64_t *ret,
		     struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(words[i].name, name)) {
			*ret = words[i].value;
			return 0;
		}
	return err_set(e, EINVAL, "%s: unknown value %s", what, name);
}

static int plan_scheduler(const struct oci_scheduler *from, struct rt_scheduler *s, struct err *e)
{
	static const struct word policies[] = {
		{"SCHED_OTHER", SCHED_NORMAL},	    {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
		{"SCHED_BATCH", SCHED_BATCH},	    {"SCHED_ISO", 4},		{"SCHED_IDLE", SCHED_IDLE},
		{"SCHED_DEADLINE", SCHED_DEADLINE},
	};
	static const struct word flags[] = {
		{"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},
		{"SCHED_FLAG_DL_OVERRUN", 0x04},     {"SCHED_FLAG_KEEP_POLICY", 0x08},
		{"SCHED_FLAG_KEEP_PARAMS", 0x10},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
		{"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
	};
	uint64_t policy = 0;
	int r = find_word(policies, ARRAY_SIZE(policies), from->policy, "process.scheduler.policy", &policy, e);
	for (size_t i = 0; i < from->flags.count && r == 0; i++) {
		uint64_t flag = 0;
		r = find_word(flags, ARRAY_SIZE(flags), from->flags.items[i], "process.scheduler.flags", &flag, e);
		s->flags |= flag;
	}
	s->given = true;
	s->policy = (uint32_t)policy;
	s->nice = (int32_t)from->nice.value;
	s->priority = (uint32_t)from->priority.value;
	s->runtime = (uint64_t)from->runtime.value;
	s->deadline = (uint64_t)from->deadline.value;
	s->period = (uint64_t)from->period.value;
	return r;
}

static int plan_ioprio(const struct oci_ioprio *from, struct rtspec *s, struct err *e)
{
	static const struct word classes[] = {
		{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
		{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
		{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
	};
	uint64_t class = 0;
	int r = find_word(classes, ARRAY_SIZE(classes), from->class, "process.ioPriority.class", &class, e);
	if (r == 0 && (from->priority.value < 0 || from->priority.value > 7))
		r = err_set(e, EINVAL, "process.ioPriority.priority is not 0 to 7");
	s->ioprio = (int)IOPRIO_PRIO_VALUE(class, (uint64_t)from->priority.value);
	return r;
}

static int plan_labels(const struct oci_process *proc, struct rtspec *s, struct err *e)
{
	bool apparmor = proc->apparmor_profile && *proc->apparmor_profile;
	bool selinux = proc->selinux_label && *proc->selinux_label;
	if (apparmor && faccessat(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", F_OK, AT_EACCESS) < 0)
		return err_set(e, EOPNOTSUPP, "process.apparmorProfile: apparmor is not enabled on this host");
	if (selinux && faccessat(AT_FDCWD, "/sys/fs/selinux/enforce", F_OK, AT_EACCESS) < 0)
		return err_set(e, EOPNOTSUPP, "process.selinuxLabel: selinux is not enabled on this host");
	if (apparmor && selinux)
		return err_set(e, EOPNOTSUPP, "process.apparmorProfile and process.selinuxLabel cannot both be set");
	s->apparmor = apparmor;
	if (apparmor || selinux)
		s->exec_label = xstrdup(apparmor ? proc->apparmor_profile : proc->selinux_label);
	return 0;
}

/* Going below one's own score needs a privilege over the machine. */
static int plan_oom(const struct oci_num *score, struct oci_plan *p, struct err *e)
{
	if (!score->given)
		return 0;
	if (score->value < -1000 || score->value > 1000)
		return err_set(e, EINVAL, "process.oomScoreAdj is not between -1000 and 1000");
	const uint64_t sys_resource = 1ULL << 24;
	uint64_t caps = 0;
	char now[16] = "";
	autofd int proc = procfs_outer(NULL);
	autofd int fd = proc < 0 ? -1 : procfs_open(proc, "self/oom_score_adj", O_RDONLY, NULL);
	bool known = fd >= 0 && read(fd, now, sizeof(now) - 1) > 0 && caps_effective(&caps, NULL) == 0;
	long own = strtol(now, NULL, 10);
	bool may = (caps & sys_resource) && !oci_is_rootless(&(struct oci_runtime){.rootless = -1});
	if (known && !may && score->value < own) {
		strv_addf(&p->warnings, "process.oomScoreAdj %d is below the caller's %ld and was not set",
			  (int)score->value, own);
		return 0;
	}
	p->spec.oom_score_adj = (int)score->value;
	p->spec.oom_score_adj_set = true;
	return 0;
}

/* sd_listen_fds(3). PID 1, as runc and crun have it, whatever its number is. */
static void tell_listen_fds(unsigned n, struct strv *env)
{
	char text[16];
	if (!n)
		return;
	snprintf(text, sizeof(text), "%u", n);
	strv_env_set(env, "LISTEN_FDS", text);
	strv_env_set(env, "LISTEN_PID", "1");
}

int oci_plan_process(const struct oci_process *proc, unsigned listen_fds, struct oci_plan *p, struct err *e)
{
	struct rtspec *s = &p->spec;
	if (!proc->args.count || !proc->args.items[0][0])
		return err_set(e, EINVAL, "process.args must not be empty");
	if (proc->cwd[0] != '/')
		return err_set(e, EINVAL, "process.cwd must be an absolute path");
	strv_add_all(&s->args, &proc->args);
	for (size_t i = 0; i < proc->env.count; i++) {
		const char *eq = strchr(proc->env.items[i], '=');
		if (!eq || eq == proc->env.items[i])
			return err_set(e, EINVAL, "process.env[%zu] is not KEY=value", i);
		strv_add(&s->env, proc->env.items[i]);
	}
	tell_listen_fds(listen_fds, &s->env);
	s->cwd = path_clean(proc->cwd);
	s->make_cwd = true;
	s->user_text = xstrdup("");
	s->terminal = proc->terminal.value;
	s->rows = (unsigned short)proc->console.height.value;
	s->columns = (unsigned short)proc->console.width.value;
	s->no_new_privs = proc->no_new_privileges.value;
	s->outlives_parent = true;
	plan_caps(&proc->caps, p);
	int r = plan_user(&proc->user, s, e);
	if (r == 0)
		r = plan_rlimits(&proc->rlimits, s, e);
	if (r == 0 && proc->scheduler.given)
		r = plan_scheduler(&proc->scheduler, &s->scheduler, e);
	if (r == 0 && proc->ioprio.given)
		r = plan_ioprio(&proc->ioprio, s, e);
	if (r == 0)
		r = plan_labels(proc, s, e);
	if (r == 0 && (proc->affinity.initial || proc->affinity.final))
		r = err_set(e, EOPNOTSUPP, "process.execCPUAffinity is not supported: use resources.cpu.cpus");
	return r < 0 ? r : plan_oom(&proc->oom_score_adj, p, e);
}

/* ---- seccomp ---- */

int oci_plan_seccomp(const struct oci_config *c, struct oci_plan *p, struct err *e)
{
	if (!c->seccomp)
		return 0;
	autofree char *text = json_dumps(c->seccomp, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text)
		return err_set(e, EINVAL, "linux.seccomp cannot be read");
	const struct seccomp_plan_input in = {
		.text = text,
		.len = strlen(text),
		.format = SECCOMP_PROFILE_OCI,
		.what = "linux.seccomp",
		.caps = p->spec.caps,
		.cache_dirfd = -1,
	};
	int r = seccomp_plan_make(&in, &p->seccomp, e);
	if (r < 0)
		return r;
	p->has_seccomp = true;
	p->spec.seccomp_flags = p->seccomp.flags;
	for (size_t i = 0; i < p->seccomp.warnings.count; i++)
		log_debug(LOG_SECURITY, "%s", p->seccomp.warnings.items[i]);
	return 0;
}

/* ---- namespaces and ids ---- */

static int namespace_kind(const char *type)
{
	static const char *const names[RT_NS_COUNT] = {
		[RT_NS_USER] = "user", [RT_NS_MOUNT] = "mount", [RT_NS_PID] = "pid",	   [RT_NS_NET] = "network",
		[RT_NS_IPC] = "ipc",   [RT_NS_UTS] = "uts",	[RT_NS_CGROUP] = "cgroup",
	};
	for (int i = 0; i < RT_NS_COUNT; i++)
		if (str_eq(names[i], type))
			return i;
	return str_eq(type, "time") ? RT_NS_COUNT : -1;
}

/* The descriptor of a namespace by path; it has to be one of that kind. */
static int open_namespace(const struct oci_namespace *ns, int kind, struct oci_plan *p, struct err *e)
{
	char name[64] = "";
	char link[40];
	const char *want = kind == RT_NS_COUNT ? "time" : rt_ns_name((enum rt_ns_kind)kind);
	if (ns->path[0] != '/')
		return err_set(e, EINVAL, "namespace path %s is not absolute", ns->path);
	int fd = open(ns->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "open %s namespace %s", ns->type, ns->path);
	fd = oci_plan_keep_fd(p, fd, e);
	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof(name) - 1);
	/* A bind mount of a namespace reads the same. */
	if (n <= 0 || strncmp(name, want, strlen(want)) != 0 || name[strlen(want)] != ':')
		return err_set(e, EINVAL, "%s is not a %s namespace", ns->path, ns->type);
	return fd;
}

static int plan_namespaces(const struct oci_config *c, struct oci_plan *p, struct err *e)
{
	struct rtspec *s = &p->spec;
	unsigned seen = 0;
	for (int i = 0; i < RT_NS_COUNT; i++)
		s->ns[i].mode = RT_NS_HOST;
	for (size_t i = 0; i < c->namespaces.count; i++) {
		const struct oci_namespace *ns = oci_item(c->namespaces, struct oci_namespace, i);
		int kind = namespace_kind(ns->type);
		if (kind < 0)
			return err_set(e, EINVAL, "linux.namespaces[%zu].type: unknown namespace %s", i, ns->type);
		if (seen & (1U << kind))
			return err_set(e, EINVAL, "linux.namespaces has %s twice", ns->type);
		seen |= 1U << kind;
		bool joins = ns->path && *ns->path;
		int fd = joins ? open_namespace(ns, kind, p, e) : 0;
		if (fd < 0)
			return fd;
		if (kind == RT_NS_COUNT && joins)
			s->time.fd = fd;
		else if (kind == RT_NS_COUNT)
			s->time.fresh = true;
		else
			s->ns[kind] = (struct rt_ns){joins ? RT_NS_JOIN : RT_NS_NEW, joins ? fd : -1};
	}
	if (s->ns[RT_NS_MOUNT].mode == RT_NS_HOST)
		return err_set(e, EOPNOTSUPP,
			       "linux.namespaces: a container without a mount namespace is not supported");
	return 0;
}

static int plan_clock(const struct oci_clock *from, struct rt_clock_offset *o, const char *what, struct err *e)
{
	o->given = from->secs.given || from->nanosecs.given;
	o->seconds = from->secs.value;
	o->nanoseconds = (uint32_t)from->nanosecs.value;
	if (from->nanosecs.value < 0 || from->nanosecs.value > 999999999)
		return err_set(e, EINVAL, "linux.timeOffsets.%s.nanosecs is not below a second", what);
	return 0;
}

static int plan_time(const struct oci_config *c, struct rtspec *s, struct err *e)
{
	if (!c->time_offsets.given)
		return 0;
	int r = plan_clock(&c->time_offsets.monotonic, &s->time.monotonic, "monotonic", e);
	if (r == 0)
		r = plan_clock(&c->time_offsets.boottime, &s->time.boottime, "boottime", e);
	if (r == 0 && !s->time.fresh && (s->time.monotonic.given || s->time.boottime.given))
		r = err_set(e, EINVAL, "linux.timeOffsets needs a new time namespace");
	return r;
}

int oci_extents(const struct oci_list *list, const char *what, struct idmap_extent *ret, size_t *ret_n, struct err *e)
{
	if (list->count > IDMAP_EXTENTS_MAX)
		return err_set(e, E2BIG, "%s has more than %d ranges", what, IDMAP_EXTENTS_MAX);
	for (size_t i = 0; i < list->count; i++) {
		const struct oci_id_mapping *m = oci_item(*list, struct oci_id_mapping, i);
		const int64_t all[] = {m->inside.value, m->outside.value, m->size.value};
		for (size_t k = 0; k < ARRAY_SIZE(all); k++)
			if (all[k] < 0 || all[k] > UINT32_MAX)
				return err_set(e, EINVAL, "%s[%zu] is no range of ids", what, i);
		ret[i] = (struct idmap_extent){(uint32_t)m->inside.value, (uint32_t)m->outside.value,
					       (uint32_t)m->size.value};
	}
	*ret_n = list->count;
	return 0;
}

static bool is_own_id(const struct idmap_extent *x, size_t n, uint32_t own)
{
	return n == 1 && x->count == 1 && x->outside == own;
}

/* Who writes the map (kern/idmap.h): we, where we have the capabilities or it is our own id alone; else the setuid
 * helpers, who look into /etc/subuid. */
static int plan_idmap(const struct oci_config *c, bool rootless, struct oci_plan *p, struct err *e)
{
	struct idmap *m = &p->map;
	uint64_t caps = 0;
	const uint64_t needed = 1ULL << 6 | 1ULL << 7; /* CAP_SETGID, CAP_SETUID */
	enum rt_ns_mode mode = p->spec.ns[RT_NS_USER].mode;
	int r = oci_extents(&c->uid_mappings, "linux.uidMappings", m->uid, &m->nuid, e);
	if (r == 0)
		r = oci_extents(&c->gid_mappings, "linux.gidMappings", m->gid, &m->ngid, e);
	if (r == 0)
		r = caps_effective(&caps, e);
	if (r < 0)
		return r;
	if (mode != RT_NS_NEW && (m->nuid || m->ngid) && mode == RT_NS_HOST)
		return err_set(e, EINVAL, "linux.uidMappings and gidMappings need a user namespace");
	if (mode != RT_NS_NEW)
		return 0;
	/* crun's rootless bundles have none: the caller is root, and the subordinate ids follow. */
	if (!m->nuid && !m->ngid && rootless) {
		p->has_map = true;
		return idmap_detect(false, m, e);
	}
	if (!m->nuid || !m->ngid)
		return err_set(e, EINVAL, "user namespaces enabled, but no uid or gid mappings found");
	if (is_own_id(m->uid, m->nuid, geteuid()) && is_own_id(m->gid, m->ngid, getegid()) && (caps & needed) != needed)
		m->form = IDMAP_SINGLE;
	else
		m->form = (caps & needed) == needed ? IDMAP_IDENTITY : IDMAP_RANGED;
	snprintf(m->key, sizeof(m->key), "config");
	p->has_map = true;
	return 0;
}

/* ---- the rest ---- */

static int plan_personality(const struct oci_config *c, struct rtspec *s, struct err *e)
{
	if (!c->personality.domain)
		return 0;
	if (c->personality.flags.count)
		return err_set(e, EOPNOTSUPP, "linux.personality.flags are not supported by any kernel");
	static const struct word domains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};
	uint64_t value = 0;
	int r = find_word(domains, ARRAY_SIZE(domains), c->personality.domain, "linux.personality.domain", &value, e);
	s->personality = (int)value;
	return r;
}

static int plan_propagation(const struct oci_config *c, struct rtspec *s, struct err *e)
{
	static const struct word words[] = {
		{"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
		{"slave", MS_SLAVE},	       {"rslave", MS_SLAVE | MS_REC},
		{"shared", MS_SHARED},	       {"rshared", MS_SHARED | MS_REC},
		{"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
	};
	uint64_t value = 0;
	if (!c->rootfs_propagation || !*c->rootfs_propagation)
		return 0;
	int r = find_word(words, ARRAY_SIZE(words), c->rootfs_propagation, "linux.rootfsPropagation", &value, e);
	s->root_propagation = value;
	s->keep_shared = (value & MS_SHARED) != 0 && s->ns[RT_NS_USER].mode == RT_NS_HOST;
	return r;
}

static int plan_sysctls(const struct oci_config *c, struct rtspec *s, struct err *e)
{
	const char *name;
	json_t *value;
	char path[LIMITS_SYSCTL_PATH_SIZE];
	unsigned owned = (s->ns[RT_NS_NET].mode != RT_NS_HOST ? (unsigned)LIMITS_OWN_NET : 0u) |
			 (s->ns[RT_NS_IPC].mode != RT_NS_HOST ? (unsigned)LIMITS_OWN_IPC : 0u) |
			 (s->ns[RT_NS_UTS].mode != RT_NS_HOST ? (unsigned)LIMITS_OWN_UTS : 0u);
	json_object_foreach (c->sysctl, name, value) {
		/* Checked here, so that the error names the member and nothing has been made. */
		int r = limits_sysctl_path(name, owned, path, e);
		if (r < 0)
			return err_ctx(e, "linux.sysctl");
		strv_addf(&s->sysctls, "%s=%s", name, json_string_value(value));
	}
	return 0;
}

static int check_paths(const struct strv *paths, const char *what, struct err *e)
{
	for (size_t i = 0; i < paths->count; i++)
		if (paths->items[i][0] != '/')
			return err_set(e, EINVAL, "%s[%zu] is not absolute", what, i);
	return 0;
}

/* Mounts that ought to have a label and have none could be read by others. */
static int plan_mount_label(const struct oci_config *c, struct err *e)
{
	if (!c->mount_label || !*c->mount_label)
		return 0;
	return err_set(e, EOPNOTSUPP,
		       faccessat(AT_FDCWD, "/sys/fs/selinux/enforce", F_OK, AT_EACCESS) < 0
			       ? "linux.mountLabel: selinux is not enabled on this host"
			       : "linux.mountLabel is not supported: mounts are not labelled");
}

static int plan_names(const struct oci_config *c, struct rtspec *s, struct err *e)
{
	bool hostname = c->hostname && *c->hostname;
	bool domainname = c->domainname && *c->domainname;
	if ((hostname || domainname) && s->ns[RT_NS_UTS].mode == RT_NS_HOST)
		return err_set(e, EINVAL, "unable to set %s without a private UTS namespace",
			       hostname ? "hostname" : "domainname");
	if (hostname)
		s->hostname = xstrdup(c->hostname);
	if (domainname)
		s->domainname = xstrdup(c->domainname);
	return 0;
}

static int check_version(const char *version, struct err *e)
{
	unsigned major;
	unsigned minor;
	unsigned patch;
	if (sscanf(version, "%u.%u.%u", &major, &minor, &patch) != 3)
		return err_set(e, EINVAL, "ociVersion '%s' is not a version", version);
	if (major != 1)
		return err_set(e, EOPNOTSUPP, "ociVersion %s is not supported: 1.x is", version);
	return 0;
}

int oci_plan_make(const struct oci_context *ctx, struct oci_plan *p, struct err *e)
{
	const struct oci_config *c = ctx->config;
	struct rtspec *s = &p->spec;
	int r = check_version(c->oci_version, e);
	if (r == 0 && !c->process.given)
		r = err_set(e, EINVAL, "config.json: process is missing");
	if (r == 0 && !c->has_linux)
		r = err_set(e, EINVAL, "config.json: linux is missing");
	if (r == 0)
		r = plan_namespaces(c, p, e);
	if (r == 0)
		r = plan_idmap(c, ctx->rootless, p, e);
	if (r == 0)
		r = oci_plan_process(&c->process, ctx->opts->listen_fds, p, e);
	if (r == 0)
		r = oci_plan_seccomp(c, p, e);
	if (r == 0)
		r = plan_time(c, s, e);
	if (r == 0)
		r = plan_names(c, s, e);
	if (r == 0)
		r = plan_mount_label(c, e);
	if (r == 0)
		r = plan_personality(c, s, e);
	if (r == 0)
		r = plan_propagation(c, s, e);
	if (r == 0)
		r = plan_sysctls(c, s, e);
	if (r == 0)
		r = check_paths(&c->masked_paths, "linux.maskedPaths", e);
	if (r == 0)
		r = check_paths(&c->readonly_paths, "linux.readonlyPaths", e);
	if (r < 0)
		return r;
	s->rootfs = xstrdup(ctx->rootfs);
	s->mount_dir = xstrdup(ctx->rootfs);
	s->root_read_only = c->root.readonly.value;
	s->meets_caller = true;
	s->no_pivot = ctx->opts->no_pivot;
	s->keep_keyring = ctx->opts->no_new_keyring;
	s->preserve_fds = ctx->opts->preserve_fds;
	strv_add_all(&s->masked, &c->masked_paths);
	strv_add_all(&s->read_only_paths, &c->readonly_paths);
	r = oci_plan_mounts(ctx, p, e);
	return r < 0 ? r : oci_plan_devices(ctx, p, e);
}
