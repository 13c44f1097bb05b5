/*
 * apply_process.c - from "root of the container" to the payload: identity, limits, session, exec.
 *
 * The user is resolved against the container's own passwd and group files, which are hostile: they are read through
 * safepath (no fifo, no device, no way out) with a size limit, and a malformed entry is an error, never uid 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/caps.h"
#include "rl/kern/limits.h"
#include "rl/kern/procfs.h"
#include "rl/kern/pty.h"
#include "rl/kern/safepath.h"

/* Writes go through a procfs that is mounted nowhere; where the kernel refuses one, through the outer one, whose
 * /proc/sys and /proc/self are resolved for the process that looks. */
static int open_procfs(struct apply *a, struct err *e)
{
	if (a->procfd < 0)
		a->procfd = procfs_private(NULL);
	if (a->procfd < 0)
		a->procfd = procfs_outer(e);
	return a->procfd < 0 ? a->procfd : 0;
}

/* A config.json gives sysctls together with the namespace of a pod, which it joins. */
static bool owns(const struct rtspec *s, enum rt_ns_kind kind)
{
	return s->ns[kind].mode == RT_NS_NEW || (s->ids.given && s->ns[kind].mode == RT_NS_JOIN);
}

static int set_sysctl(struct apply *a, const char *assignment, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	const char *value = strchr(assignment, '=');
	if (!value)
		return err_set(e, EINVAL, "sysctl '%s' has no value", assignment);
	autofree char *key = xstrndup(assignment, (size_t)(value - assignment));
	unsigned owned = (owns(s, RT_NS_NET) ? (unsigned)LIMITS_OWN_NET : 0u) |
			 (owns(s, RT_NS_IPC) ? (unsigned)LIMITS_OWN_IPC : 0u) |
			 (owns(s, RT_NS_UTS) ? (unsigned)LIMITS_OWN_UTS : 0u);
	char path[LIMITS_SYSCTL_PATH_SIZE];
	int r = limits_sysctl_path(key, owned, path, e);
	if (r == 0)
		r = open_procfs(a, e);
	return r < 0 ? r : limits_write_sysctl(a->procfd, path, value + 1, e);
}

int apply_sysctl(struct apply *a, const char *assignment, struct err *e)
{
	struct err why = ERR_INIT;
	if (*assignment != '-')
		return set_sysctl(a, assignment, e);
	/* Ours, for comfort: an outer container may have frozen /proc/sys. */
	if (set_sysctl(a, assignment + 1, &why) < 0)
		log_debug(LOG_RUN, "%s", why.text);
	return 0;
}

int apply_oom_score(struct apply *a, struct err *e)
{
	int r = open_procfs(a, e);
	return r < 0 ? r : limits_set_oom_score_adj(a->procfd, a->plan->spec->oom_score_adj, e);
}

int apply_exec_label(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	int r = open_procfs(a, e);
	if (r < 0 || !s->apparmor)
		return r < 0 ? r : procfs_write(a->procfd, "self/attr/exec", s->exec_label, e);
	/* The module's own file first: the other one belongs to whichever is first where several are stacked. */
	autofree char *text = xasprintf("exec %s", s->exec_label);
	if (procfs_write(a->procfd, "self/attr/apparmor/exec", text, NULL) == 0)
		return 0;
	return procfs_write(a->procfd, "self/attr/exec", text, e);
}

static int read_database(struct apply *a, const char *path, struct str *out, struct err *e)
{
	int r = safepath_read_file(a->rootfd, path, USER_SPEC_FILE_MAX, out, e);
	if (r == -ENOENT || r == -ENOTDIR) {
		if (e)
			err_clear(e);
		return 0;
	}
	return r;
}

static int add_groups(struct apply *a, const struct str *group, struct err *e)
{
	const struct strv *add = &a->plan->spec->group_add;
	for (size_t i = 0; i < add->count; i++) {
		uint32_t gid;
		int r = user_spec_group(add->items[i], group->buf, group->len, &gid, e);
		if (r == 0)
			r = user_ids_add_group(&a->ids, gid, e);
		if (r < 0)
			return err_ctx(e, "--group-add");
	}
	return 0;
}

static int check_mapped(const struct apply *a, struct err *e)
{
	const struct idmap *map = a->plan->map;
	if (!map || a->plan->spec->emulate != RT_EMULATE_OFF)
		return 0;
	const char *which = NULL;
	uint32_t id = 0;
	if (idmap_uid_to_host(map, a->ids.uid) == IDMAP_UNMAPPED) {
		which = "user";
		id = a->ids.uid;
	} else if (idmap_gid_to_host(map, a->ids.gid) == IDMAP_UNMAPPED) {
		which = "group";
		id = a->ids.gid;
	}
	if (!which)
		return 0;
	err_set(e, EINVAL, "%s id %u is not mapped into the container", which, id);
	return err_hint(e, map->form == IDMAP_SINGLE
				   ? "only id 0 exists without subordinate ids: use --emulate=full, or `usermod "
				     "--add-subuids 100000-165535 --add-subgids 100000-165535 $USER` and the package "
				     "uidmap give more"
				   : "the ranges in /etc/subuid and /etc/subgid are smaller than that id");
}

/* HOME of a process whose ids are numbers: what passwd says, if it knows them. */
static int find_home(struct apply *a, struct err *e)
{
	autostr struct str passwd = STR_INIT;
	int r = read_database(a, "/etc/passwd", &passwd, e);
	if (r < 0)
		return r;
	struct user_ids found;
	const struct user_spec spec = {.user = {.kind = USER_PART_ID, .id = a->ids.uid},
				       .group = {.kind = USER_PART_ID, .id = a->ids.gid}};
	if (user_spec_resolve(&spec, passwd.buf, passwd.len, "", 0, &found, NULL) == 0) {
		strv_env_set(&a->env, "HOME", found.home);
		user_ids_free(&found);
	}
	return 0;
}

static int take_given_ids(struct apply *a, struct err *e)
{
	const struct rt_ids *ids = &a->plan->spec->ids;
	a->ids = (struct user_ids){.uid = ids->uid, .gid = ids->gid};
	a->ids.ngroups = ids->ngroups;
	a->ids.groups = ids->groups; /* the spec's; the child never frees */
	strv_add_all(&a->env, &a->plan->spec->env);
	int r = check_mapped(a, e);
	return r == 0 && !strv_env_get(&a->env, "HOME") ? find_home(a, e) : r;
}

int apply_user(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	if (s->ids.given)
		return take_given_ids(a, e);
	struct user_spec spec;
	int r = user_spec_parse(s->user_text, &spec, e);
	if (r < 0)
		return r;
	autostr struct str passwd = STR_INIT;
	autostr struct str group = STR_INIT;
	r = read_database(a, "/etc/passwd", &passwd, e);
	if (r == 0)
		r = read_database(a, "/etc/group", &group, e);
	if (r == 0)
		r = user_spec_resolve(&spec, passwd.buf, passwd.len, group.buf, group.len, &a->ids, e);
	if (r == 0)
		r = add_groups(a, &group, e);
	if (r == 0)
		r = check_mapped(a, e);
	if (r < 0)
		return err_ctx(e, "user '%s'", s->user_text ? s->user_text : "");
	strv_add_all(&a->env, &s->env);
	for (size_t i = 0; i < s->secret_env.count; i++) {
		autofree char *key = xstrdup(s->secret_env.items[i]);
		char *value = strchr(key, '=');
		*value = '\0';
		strv_env_set(&a->env, key, value + 1);
	}
	if (!strv_env_get(&a->env, "HOME"))
		strv_env_set(&a->env, "HOME", a->ids.uid == 0 && str_eq(a->ids.home, "/") ? "/root" : a->ids.home);
	return 0;
}

int apply_cwd(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	/* By descriptor and without magic links: a working directory /proc/self/fd/N must not become a directory of the
	 * host that one of our descriptors refers to (CVE-2024-21626). */
	autofd int fd = safepath_open(a->rootfd, s->cwd, O_PATH | O_DIRECTORY, 0, NULL);
	if (fd < 0 && s->make_cwd)
		fd = safepath_mkdirs(a->rootfd, s->cwd, 0755, e);
	else if (fd < 0)
		fd = safepath_open(a->rootfd, s->cwd, O_PATH | O_DIRECTORY, 0, e);
	if (fd < 0)
		return err_status(e, EXIT_CANNOT_INVOKE), err_ctx(e, "working directory %s", s->cwd);
	if (fchdir(fd) < 0)
		return err_sys(e, errno, "working directory %s", s->cwd);
	char path[4096];
	if (!getcwd(path, sizeof(path)) || path[0] != '/')
		return err_set(e, EPERM, "working directory %s is outside of the container", s->cwd);
	return 0;
}

int apply_rlimit(const struct rt_rlimit *l, struct err *e)
{
	uint64_t soft = l->soft;
	uint64_t hard = l->hard;
	if (l->lower_to_hard) {
		uint64_t now_soft;
		uint64_t now_hard;
		int r = limits_get_rlimit(l->resource, &now_soft, &now_hard, e);
		if (r < 0)
			return r;
		hard = RL_MIN(hard, now_hard);
		soft = RL_MIN(soft, hard);
	}
	return limits_set_rlimit(l->resource, soft, hard, e);
}

int apply_session(struct apply *a, struct err *e)
{
	/* A session of its own also without a terminal: the payload must not have rl's controlling terminal. */
	if (setsid() < 0 && errno != EPERM)
		return err_sys(e, errno, "setsid");
	if (a->pty_slave < 0)
		return 0;
	int r = pty_set_controlling(a->pty_slave, e);
	if (r < 0)
		return r;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(a->pty_slave, fd) < 0)
			return err_sys(e, errno, "dup the terminal");
	if (fchown(a->pty_slave, a->ids.uid, (gid_t)-1) < 0)
		log_debug(LOG_RUN, "the terminal stays root's: %s", strerrorname_np(errno));
	close_fd(&a->pty_slave);
	return 0;
}

/* Supplementary groups: set where the map allows setgroups at all. */
static int set_groups(const struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	if (s->keep_groups)
		return 0;
	if (a->plan->map && a->plan->map->form == IDMAP_SINGLE) {
		/* setgroups is denied in a map that no privileged helper wrote; the caller's groups stay, unmapped. */
		if (a->ids.ngroups > 1)
			log_debug(LOG_RUN, "supplementary groups cannot be set in the single-uid map");
		return 0;
	}
	autofree gid_t *groups = xcalloc(a->ids.ngroups + 1, sizeof(gid_t));
	for (size_t i = 0; i < a->ids.ngroups; i++)
		groups[i] = a->ids.groups[i];
	if (setgroups(a->ids.ngroups, groups) == 0)
		return 0;
	/* Nobody can drop a group in a user namespace that denies setgroups; of one that is joined the map is not known. */
	if (errno != EPERM || !s->ids.given || a->ids.ngroups)
		return err_sys(e, errno, "set %zu supplementary groups", a->ids.ngroups);
	log_debug(LOG_RUN, "the caller's supplementary groups stay: setgroups is denied");
	return 0;
}

int apply_identity(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	/* docker's rule: the set is what root gets; another user starts with none and can gain from the bounding set
	 * only by executing a file that carries capabilities. */
	struct caps_sets sets = caps_for_user(s->caps, a->ids.uid);
	const struct rt_caps *c = &s->cap_sets;
	if (c->given)
		sets = (struct caps_sets){.bounding = c->bounding,
					  .permitted = c->permitted,
					  .effective = c->effective,
					  .inheritable = c->inheritable,
					  .ambient = c->ambient};
	int r = caps_before_setid(&sets, c->given && c->permitted && a->ids.uid != 0, e);
	if (r < 0)
		return r;
	/* rl-notifyd knows them; to the kernel the payload stays the one id there is. */
	if (s->emulate)
		return caps_after_setid(&sets, e);
	r = set_groups(a, e);
	if (r < 0)
		return r;
	if (setresgid(a->ids.gid, a->ids.gid, a->ids.gid) < 0)
		return err_sys(e, errno, "become group %u", a->ids.gid);
	if (setresuid(a->ids.uid, a->ids.uid, a->ids.uid) < 0)
		return err_sys(e, errno, "become user %u", a->ids.uid);
	return caps_after_setid(&sets, e);
}

static int exec_failed(const char *name, int errnum, bool searched, struct err *e)
{
	if (errnum == ENOENT && searched) {
		err_set(e, ENOENT, "%s: not found in the container's PATH", name);
		return err_status(e, EXIT_NOT_FOUND);
	}
	err_sys(e, errnum, "execute %s", name);
	err_status(e, errnum == ENOENT || errnum == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_INVOKE);
	if (errnum == ENOEXEC)
		err_hint(e, "it is neither a program for this machine nor a script with a #! line");
	else if (errnum == ENOENT)
		err_hint(e, "if the file exists, its interpreter or dynamic loader is missing in the image");
	return -errnum;
}

int apply_exec(struct apply *a, struct err *e)
{
	const struct rtspec *s = a->plan->spec;
	char **argv = s->args.items;
	char **envp = strv_argv(&a->env);
	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, envp);
		return exec_failed(argv[0], errno, false, e);
	}
	const char *path = strv_env_get(&a->env, "PATH");
	if (!path || !*path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	autostrv struct strv dirs = STRV_INIT;
	strv_split(&dirs, path, ':');
	int seen = ENOENT;
	for (size_t i = 0; i < dirs.count; i++) {
		autofree char *file = path_join(*dirs.items[i] ? dirs.items[i] : ".", argv[0]);
		execve(file, argv, envp);
		if (errno == EACCES || errno == EPERM)
			seen = EACCES; /* go on as shells do; report it if nothing else is found */
		else if (errno != ENOENT && errno != ENOTDIR)
			return exec_failed(file, errno, false, e);
	}
	return exec_failed(argv[0], seen, true, e);
}
