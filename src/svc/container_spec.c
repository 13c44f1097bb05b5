/*
 * container_spec.c - a container's record as a runtime spec: the same for the first start and for every later one.
 *
 * Trust: the person's options decide the sandbox; what the image said has been resolved at creation
 * (container_resolve.c) and only fills in what to run in it (CVE-2026-94603, CVE-2026-53488).
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
#include "rl/kern/caps.h"
#include "rl/svc/secret.h"

static void build_process(struct container *c)
{
	const struct run_opts *o = c->o;
	const struct record_config *rc = &c->rec.config;
	struct rtspec *s = &c->spec;
	strv_add_all(&s->args, &rc->args);
	strv_add_all(&s->env, &rc->env);
	s->cwd = xstrdup(rc->cwd);
	s->make_cwd = true;
	s->hold = o->holder;
	s->user_text = xstrdup(rc->user);
	s->init = o->init;
	s->terminal = o->tty;
	s->emulate = o->emulate > 0 ? (enum rt_emulate)o->emulate : RT_EMULATE_OFF;
	if (o->umask >= 0)
		s->umask = o->umask;
	s->personality = o->personality;
	for (size_t i = 0; i < o->group_add.count; i++) {
		if (str_eq(o->group_add.items[i], "keep-groups"))
			s->keep_groups = true;
		else
			strv_add(&s->group_add, o->group_add.items[i]);
	}
	if (o->oom_score_adj_set) {
		s->oom_score_adj = o->oom_score_adj;
		s->oom_score_adj_set = true;
	}
	for (size_t i = 0; i < o->nulimits; i++)
		rtspec_add_rlimit(s, o->ulimits[i].resource, o->ulimits[i].soft, o->ulimits[i].hard, false);
}

static int build_caps(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	if (o->holder) {
		c->spec.caps = 0;
		return 0;
	}
	uint64_t base = o->privileged ? caps_all_kernel() : CAPS_DOCKER_DEFAULT;
	return caps_adjust(base, &o->cap_add, &o->cap_drop, &c->spec.caps, e);
}

int container_seccomp_plan(const struct store *s, const struct str *profile, const char *what, uint64_t caps,
			   struct seccomp_plan *ret_plan, struct err *e)
{
	struct seccomp_plan_input in = {.caps = caps, .cache_dirfd = -1};
	autofd int cache = -1;
	if (profile) {
		in.text = profile->buf;
		in.len = profile->len;
		in.format = SECCOMP_PROFILE_DOCKER;
		in.what = what;
	}
	if (profile || !seccomp_filter_default(caps))
		cache = store_dir(s, "cache", NULL);
	in.cache_dirfd = cache;
	return seccomp_plan_make(&in, ret_plan, e);
}

static int build_seccomp(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	c->spec.no_new_privs = o->no_new_privileges != NO && !o->privileged;
	if (o->no_new_privileges == YES)
		c->spec.no_new_privs = true;
	if (o->privileged && !o->seccomp)
		return 0;
	if (o->seccomp && str_eq(o->seccomp, "unconfined"))
		return 0;
	autostr struct str text = STR_INIT;
	int r = 0;
	if (o->seccomp) {
		r = io_read_file(AT_FDCWD, o->seccomp, CONTAINER_SECCOMP_MAX, &text, e);
		if (r < 0)
			return err_ctx(e, "--security-opt seccomp");
		/* What joins the container later gets this filter, whatever becomes of the profile's file. */
		if (c->dirfd >= 0)
			r = io_replace_file(c->dirfd, CONTAINER_SECCOMP_FILE, text.buf, text.len, 0600, false, e);
	}
	if (r == 0)
		r = container_seccomp_plan(&c->store, o->seccomp ? &text : NULL, o->seccomp, c->spec.caps, &c->seccomp,
					   e);
	if (r < 0)
		return r;
	if (c->seccomp.listener_path) {
		err_set(e, EOPNOTSUPP, "%s: profiles with a listener (SCMP_ACT_NOTIFY) are not for rl run", o->seccomp);
		return err_hint(e, "replace the action SCMP_ACT_NOTIFY and remove listenerPath");
	}
	c->spec.seccomp_flags = c->seccomp.flags;
	for (size_t i = 0; i < c->seccomp.warnings.count; i++)
		log_warn("%s", c->seccomp.warnings.items[i]);
	c->has_seccomp = true;
	return 0;
}

static void share_ns(struct container *c, enum rt_ns_kind kind, enum ns_share share)
{
	if (share == NS_HOST)
		c->spec.ns[kind].mode = RT_NS_HOST;
}

static int build_namespaces(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	struct rtspec *s = &c->spec;
	if (!c->has_map)
		s->ns[RT_NS_USER].mode = RT_NS_HOST;
	share_ns(c, RT_NS_PID, o->pid);
	share_ns(c, RT_NS_IPC, o->ipc);
	share_ns(c, RT_NS_UTS, o->uts);
	share_ns(c, RT_NS_CGROUP, o->cgroupns);
	if (container_shares(c)) {
		int r = container_share_open(c, e);
		if (r < 0)
			return r;
	}
	if (s->ns[RT_NS_UTS].mode == RT_NS_NEW) {
		if (o->domainname)
			s->domainname = xstrdup(o->domainname);
	}
	s->hostname = xstrdup(c->rec.config.hostname);
	return 0;
}

static void build_sysctls(struct container *c)
{
	struct rtspec *s = &c->spec;
	strv_add_all(&s->sysctls, &c->o->sysctls);
	if (s->ns[RT_NS_NET].mode != RT_NS_NEW)
		return;
	/* Low ports and ping are nobody's privilege in a network namespace of one's own (decision 27). */
	uint32_t last = 0;
	for (size_t i = 0; i < c->map.ngid; i++)
		if (c->map.gid[i].inside <= last + 1 || i == 0)
			last = RL_MAX(last, c->map.gid[i].inside + (c->map.gid[i].count - 1));
	if (last > 2147483647)
		last = 2147483647;
	strv_addf(&s->sysctls, "-net.ipv4.ping_group_range=0 %u", last);
	strv_add(&s->sysctls, "-net.ipv4.ip_unprivileged_port_start=0");
}

int container_build_spec(struct container *c, struct err *e)
{
	rtspec_init(&c->spec);
	int r = build_namespaces(c, e);
	if (r < 0)
		return r;
	build_process(c);
	r = container_build_users(c, e);
	if (r < 0)
		return r;
	r = build_caps(c, e);
	if (r == 0)
		r = container_build_network(c, e);
	if (r == 0)
		r = container_build_mounts(c, e);
	if (r < 0)
		return r;
	build_sysctls(c);
	r = secret_add_to_spec(&c->store, c->o, &c->spec, e);
	return r < 0 ? r : build_seccomp(c, e);
}
