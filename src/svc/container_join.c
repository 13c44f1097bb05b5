/*
 * container_join.c - from a record to a process in the running container: what exec, health checks and nsenter share.
 *
 * Everything that restricts the container is taken from state.json as it was started, not from the image and not from
 * the person's present configuration: namespaces, capabilities, no_new_privs, filter, umask, groups. What the person
 * asks for now may only say what to run, as whom, where, and (privileged) with more capabilities.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/join.h"
#include "rl/kern/caps.h"
#include "rl/kern/pty.h"
#include "rl/svc/secret.h"

struct joinery {
	struct rtspec spec;
	struct seccomp_plan seccomp;
	bool has_seccomp;
	struct idmap map;
	bool has_map;
};

static void fill_env(const struct record_join *j, const struct run_opts *o, struct strv *env)
{
	strv_add_all(env, &j->env);
	if (!o)
		return;
	if (o->tty && !strv_env_get(env, "TERM"))
		strv_env_set(env, "TERM", "xterm");
	for (size_t i = 0; i < o->nenv; i++) {
		const char *value = o->env[i].value ? o->env[i].value : getenv(o->env[i].key);
		if (value)
			strv_env_set(env, o->env[i].key, value);
	}
}

static void fill_spec(const struct container_rec *rec, const struct container_join_opts *opts, struct rtspec *s)
{
	const struct record_join *j = &rec->state.join;
	const struct run_opts *o = opts->o;
	const struct run_opts *made = &rec->config.o;
	strv_add_all(&s->args, opts->args);
	fill_env(j, o, &s->env);
	s->cwd = path_clean(o && o->workdir ? o->workdir : j->cwd ? j->cwd : "/");
	s->user_text = xstrdup(o && o->user ? o->user : j->user ? j->user : "");
	strv_add_all(&s->group_add, &j->group_add);
	s->keep_groups = j->keep_groups;
	s->umask = j->umask;
	s->terminal = o && o->tty;
	s->outlives_parent = opts->outlives_caller;
	s->caps = j->caps;
	s->no_new_privs = j->no_new_privs;
	s->emulate = made->emulate > 0 ? (enum rt_emulate)made->emulate : RT_EMULATE_OFF;
	s->oom_score_adj = made->oom_score_adj;
	s->oom_score_adj_set = made->oom_score_adj_set;
	for (size_t i = 0; i < made->nulimits; i++)
		rtspec_add_rlimit(s, made->ulimits[i].resource, made->ulimits[i].soft, made->ulimits[i].hard, false);
	for (int i = 0; i < RT_NS_COUNT; i++)
		s->ns[i].mode = j->namespaces & (1U << i) ? RT_NS_JOIN : RT_NS_HOST;
	if (s->terminal)
		(void)!pty_get_size(isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO, &s->rows, &s->columns, NULL);
}

/* --privileged: as `run --privileged` would have been, except for what the person closed on purpose. */
static bool raise_privileges(const struct container_rec *rec, struct rtspec *s)
{
	const struct run_opts *made = &rec->config.o;
	s->caps = caps_all_kernel();
	s->no_new_privs = made->no_new_privileges == YES;
	return !made->seccomp;
}

static int fill_seccomp(const struct container_rec *rec, struct joinery *y, struct err *e)
{
	const char *profile = rec->state.join.seccomp;
	autostr struct str text = STR_INIT;
	if (profile && str_eq(profile, "unconfined"))
		return 0;
	bool own = profile && !str_eq(profile, "default");
	if (own) {
		int r = io_read_file(rec->dirfd, CONTAINER_SECCOMP_FILE, CONTAINER_SECCOMP_MAX, &text, e);
		if (r < 0)
			return err_ctx(e, "the container's seccomp profile");
	}
	int r = container_seccomp_plan(rec->store, own ? &text : NULL, profile, y->spec.caps, &y->seccomp, e);
	if (r < 0)
		return r;
	y->spec.seccomp_flags = y->seccomp.flags;
	y->has_seccomp = true;
	return 0;
}

int container_rec_open_member(const struct container_rec *rec, struct err *e)
{
	autofd int init = container_rec_open_init(rec, e);
	if (init < 0)
		return init;
	return rec->state.join.init ? runtime_open_member(rec->state.init.pid, init, e) : take_fd(&init);
}

/* From another session than the container's, systemd's tree cannot be entered (decision 26). */
static int join_within_limits(const struct container_rec *rec, struct runtime_join *j,
			      struct runtime_container *ret_run, struct err *e)
{
	struct err why = ERR_INIT;
	int r = runtime_join(j, ret_run, &why);
	bool refused = j->cgroups && (r == -EACCES || r == -EPERM) && strstr(why.text, "cgroup");
	if (refused && !rec->config.o.limits.required) {
		log_warn("the command runs outside of the container's limits: %s", why.text);
		j->cgroups = NULL;
		return runtime_join(j, ret_run, e);
	}
	if (r < 0 && e)
		*e = why;
	return r;
}

int container_join(const struct container_rec *rec, const struct container_join_opts *o,
		   struct runtime_container *ret_run, struct err *e)
{
	struct joinery y = {.seccomp = SECCOMP_PLAN_INIT};
	autofd int member = container_rec_open_member(rec, e);
	if (member < 0)
		return member;
	rtspec_init(&y.spec);
	fill_spec(rec, o, &y.spec);
	y.has_map = container_rec_map(rec, &y.map);
	bool open = o->o && o->o->privileged && raise_privileges(rec, &y.spec);
	int r = secret_add_env(rec->store, &rec->config.o, o->o, &y.spec, e);
	if (r == 0)
		r = container_rights_fast_join(rec, &y.spec.connect, e);
	if (r == 0 && !open)
		r = fill_seccomp(rec, &y, e);
	if (r == 0) {
		struct runtime_join j = {
			.pidfd = member,
			.namespaces = rec->state.join.namespaces,
			.spec = &y.spec,
			.map = y.has_map ? &y.map : NULL,
			.filter = y.has_seccomp ? &y.seccomp.filter : NULL,
			.stdio = {o->stdio[0], o->stdio[1], o->stdio[2]},
			.preserve_fds = o->preserve_fds,
			.cgroups = rec->state.cgroups.count ? &rec->state.cgroups : NULL,
		};
		r = join_within_limits(rec, &j, ret_run, e);
	}
	seccomp_plan_free(&y.seccomp);
	rtspec_free(&y.spec);
	return r;
}
