/*
 * container_spec.c - what was asked for plus what the image says, as a runtime spec.
 *
 * Trust: the person's options decide the sandbox; image data fills in what to run in it. From the image config exactly
 * these members are read: Env, Entrypoint, Cmd, WorkingDir, User. Nothing else of an image (labels, annotations,
 * unknown members) is looked at here, so no image can raise what its container may do (CVE-2026-94603,
 * CVE-2026-53488).
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

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* The "config" object of the image's configuration, or NULL. */
static int image_config(const struct container *c, json_t **ret_config, struct err *e)
{
	*ret_config = NULL;
	if (!c->has_image)
		return 0;
	int r = json_get_obj(c->image.image.config, "config", ret_config, e);
	return r < 0 ? err_ctx(e, "image %s", c->o->image) : 0;
}

static int build_args(struct container *c, const json_t *config, struct err *e)
{
	const struct run_opts *o = c->o;
	autostrv struct strv entrypoint = STRV_INIT;
	autostrv struct strv cmd = STRV_INIT;
	int r = json_get_strv(config, "Entrypoint", &entrypoint, e);
	if (r >= 0)
		r = json_get_strv(config, "Cmd", &cmd, e);
	if (r < 0)
		return err_ctx(e, "image %s", o->image);
	if (o->entrypoint_set) {
		/* docker: a new entrypoint also drops the image's command. */
		strv_add_all(&c->spec.args, &o->entrypoint);
		strv_add_all(&c->spec.args, &o->command);
		return 0;
	}
	strv_add_all(&c->spec.args, &entrypoint);
	strv_add_all(&c->spec.args, o->command.count ? &o->command : &cmd);
	return 0;
}

static int build_env(struct container *c, const json_t *config, struct err *e)
{
	const struct run_opts *o = c->o;
	struct strv *env = &c->spec.env;
	autostrv struct strv image_env = STRV_INIT;
	strv_env_set(env, "PATH", default_path);
	int r = json_get_strv(config, "Env", &image_env, e);
	if (r < 0)
		return err_ctx(e, "image %s", o->image);
	if (o->tty)
		strv_env_set(env, "TERM", "xterm");
	strv_env_set(env, "container", "rl");
	if (c->spec.hostname)
		strv_env_set(env, "HOSTNAME", c->spec.hostname);
	for (size_t i = 0; i < image_env.count; i++) {
		char *value = strchr(image_env.items[i], '=');
		if (!value || value == image_env.items[i])
			continue; /* not an assignment: docker passes it on, no program can use it */
		*value = '\0';
		strv_env_set(env, image_env.items[i], value + 1);
	}
	for (size_t i = 0; i < o->nenv; i++) {
		const char *value = o->env[i].value ? o->env[i].value : getenv(o->env[i].key);
		if (value)
			strv_env_set(env, o->env[i].key, value);
		else
			strv_env_unset(env, o->env[i].key);
	}
	return 0;
}

static int build_process(struct container *c, const json_t *config, struct err *e)
{
	const struct run_opts *o = c->o;
	struct rtspec *s = &c->spec;
	const char *image_dir = NULL;
	const char *image_user = NULL;
	int r = json_get_str(config, "WorkingDir", &image_dir, e);
	if (r >= 0)
		r = json_get_str(config, "User", &image_user, e);
	if (r < 0)
		return err_ctx(e, "image %s", o->image);
	const char *dir = o->workdir ? o->workdir : image_dir && *image_dir ? image_dir : "/";
	if (*dir != '/') {
		autofree char *absolute = path_join("/", dir);
		s->cwd = path_clean(absolute);
	} else {
		s->cwd = path_clean(dir);
	}
	s->make_cwd = true;
	const char *user = o->user ? o->user : image_user;
	if (!user && o->userns == USERNS_KEEP_ID)
		s->user_text = xasprintf("%u:%u", o->keep_id_uid == RUN_OPTS_OWN_ID ? getuid() : o->keep_id_uid,
					 o->keep_id_gid == RUN_OPTS_OWN_ID ? getgid() : o->keep_id_gid);
	else
		s->user_text = xstrdup(user ? user : "");
	s->init = o->init;
	s->terminal = o->tty;
	if (o->umask >= 0)
		s->umask = o->umask;
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
	return 0;
}

static int build_caps(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	uint64_t base = o->privileged ? caps_all_kernel() : CAPS_DOCKER_DEFAULT;
	return caps_adjust(base, &o->cap_add, &o->cap_drop, &c->spec.caps, e);
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
	struct seccomp_plan_input in = {.caps = c->spec.caps, .cache_dirfd = -1};
	autostr struct str text = STR_INIT;
	autofd int cache = -1;
	int r = 0;
	if (o->seccomp) {
		r = io_read_file(AT_FDCWD, o->seccomp, 4 << 20, &text, e);
		if (r < 0)
			return err_ctx(e, "--security-opt seccomp");
		in.text = text.buf;
		in.len = text.len;
		in.format = SECCOMP_PROFILE_DOCKER;
		in.what = o->seccomp;
	}
	if (o->seccomp || !seccomp_filter_default(c->spec.caps))
		cache = store_dir(&c->store, "cache", NULL);
	in.cache_dirfd = cache;
	r = seccomp_plan_make(&in, &c->seccomp, e);
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

static int build_network(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	struct rt_ns *ns = &c->spec.ns[RT_NS_NET];
	int r = 0;
	switch (o->network.kind) {
	case NETWORK_NONE:
		return 0;
	case NETWORK_HOST:
		ns->mode = RT_NS_HOST;
		return 0;
	case NETWORK_SLIRP:
		break;
	case NETWORK_NS:
		ns->mode = RT_NS_JOIN;
		ns->fd = open(o->network.name, O_RDONLY | O_CLOEXEC);
		return ns->fd < 0 ? err_sys(e, errno, "--network ns:%s", o->network.name) : 0;
	case NETWORK_CONTAINER:
	case NETWORK_NAMED:
		err_set(e, ENOENT, "there is no network '%s'", o->network.name);
		return err_hint(e, "--network slirp, none, host and ns:PATH exist");
	}
	net_slirp_opts_init(&c->slirp_opts);
	r = net_slirp_parse(o->network.options, &c->slirp_opts, e);
	if (r == 0)
		r = net_slirp_set_host_access(&o->host_access, &c->slirp_opts, e);
	if (r == 0)
		r = net_slirp_set_dns(&o->dns, &c->slirp_opts, e);
	if (r == 0)
		r = net_slirp_choose_subnet(&c->slirp_opts, e);
	if (r < 0)
		return err_ctx(e, "--network");
	if (o->mac_address && sscanf(o->mac_address, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &c->slirp_opts.mac[0],
				     &c->slirp_opts.mac[1], &c->slirp_opts.mac[2], &c->slirp_opts.mac[3],
				     &c->slirp_opts.mac[4], &c->slirp_opts.mac[5]) != NET_MAC_LEN)
		return err_set(e, EINVAL, "--mac-address: '%s' is not an address", o->mac_address);
	c->uses_slirp = true;
	return 0;
}

static int share_ns(struct container *c, enum rt_ns_kind kind, enum ns_share share, const char *option, struct err *e)
{
	if (share == NS_HOST)
		c->spec.ns[kind].mode = RT_NS_HOST;
	if (share == NS_CONTAINER)
		return err_set(e, ENOENT, "%s=container: there is no such running container", option);
	return 0;
}

static int build_namespaces(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	struct rtspec *s = &c->spec;
	if (!c->has_map)
		s->ns[RT_NS_USER].mode = RT_NS_HOST;
	int r = share_ns(c, RT_NS_PID, o->pid, "--pid", e);
	if (r == 0)
		r = share_ns(c, RT_NS_IPC, o->ipc, "--ipc", e);
	if (r == 0)
		r = share_ns(c, RT_NS_UTS, o->uts, "--uts", e);
	if (r == 0)
		r = share_ns(c, RT_NS_CGROUP, o->cgroupns, "--cgroupns", e);
	if (r < 0)
		return r;
	if (s->ns[RT_NS_UTS].mode == RT_NS_NEW) {
		s->hostname = o->hostname ? xstrdup(o->hostname) : xstrndup(c->id, 12);
		if (o->domainname)
			s->domainname = xstrdup(o->domainname);
	} else {
		char name[256] = "";
		gethostname(name, sizeof(name) - 1);
		s->hostname = xstrdup(name);
	}
	return 0;
}

static void build_sysctls(struct container *c)
{
	struct rtspec *s = &c->spec;
	strv_add_all(&s->sysctls, &c->o->sysctls);
	if (s->ns[RT_NS_NET].mode != RT_NS_NEW)
		return;
	/* Low ports and ping are nobody's privilege in a network namespace of one's own (DECISIONS 27). */
	uint32_t last = 0;
	for (size_t i = 0; i < c->map.ngid; i++)
		if (c->map.gid[i].inside <= last + 1 || i == 0)
			last = RL_MAX(last, c->map.gid[i].inside + (c->map.gid[i].count - 1));
	if (last > 2147483647)
		last = 2147483647;
	strv_addf(&s->sysctls, "net.ipv4.ping_group_range=0 %u", last);
	strv_add(&s->sysctls, "net.ipv4.ip_unprivileged_port_start=0");
}

int container_build_spec(struct container *c, struct err *e)
{
	rtspec_init(&c->spec);
	json_t *config = NULL;
	int r = image_config(c, &config, e);
	if (r == 0)
		r = build_namespaces(c, e);
	if (r == 0)
		r = build_args(c, config, e);
	if (r == 0)
		r = build_env(c, config, e);
	if (r == 0)
		r = build_process(c, config, e);
	if (r == 0)
		r = build_caps(c, e);
	if (r == 0)
		r = build_network(c, e);
	if (r == 0)
		r = container_build_mounts(c, e);
	if (r < 0)
		return r;
	build_sysctls(c);
	return build_seccomp(c, e);
}
