/*
 * run_opts.c - life cycle of struct run_opts, the rules between values, and the readers all option groups share.
 */
#include "rl/model/run_opts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <strings.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/port_opt.h"
#include "run_opts_int.h"

void run_opts_init(struct run_opts *o)
{
	*o = (struct run_opts){
		.pull = PULL_MISSING,
		.stop_timeout = 10,
		.sig_proxy = true,
		.umask = -1,
		.personality = -1,
		.shm_size = UINT64_C(64) << 20,
		.no_new_privileges = UNSET,
		.emulate = -1,
		.keep_id_uid = RUN_OPTS_OWN_ID,
		.keep_id_gid = RUN_OPTS_OWN_ID,
		.network.kind = NETWORK_SLIRP,
		.log_max_file = 1,
		.health_interval = -1,
		.health_timeout = -1,
		.health_start_period = -1,
		.health_start_interval = -1,
		.health_retries = -1,
		.health_startup_interval = -1,
		.health_startup_timeout = -1,
	};
}

void run_opts_free_mount(struct mount_opt *m)
{
	free(m->source);
	free(m->target);
	free(m->subpath);
	free(m->tmpfs_options);
	free(m->upperdir);
	free(m->workdir);
	strv_free(&m->image_layers);
}

static void free_arrays(struct run_opts *o)
{
	for (size_t i = 0; i < o->nenv; i++) {
		free(o->env[i].key);
		free(o->env[i].value);
	}
	for (size_t i = 0; i < o->nulimits; i++)
		free(o->ulimits[i].name);
	for (size_t i = 0; i < o->nmounts; i++)
		run_opts_free_mount(&o->mounts[i]);
	for (size_t i = 0; i < o->ndevices; i++) {
		free(o->devices[i].source);
		free(o->devices[i].target);
	}
	for (size_t i = 0; i < o->nsecrets; i++) {
		free(o->secrets[i].name);
		free(o->secrets[i].target);
	}
	free(o->secrets);
	free(o->env);
	free(o->ulimits);
	free(o->mounts);
	free(o->devices);
}

void run_opts_free(struct run_opts *o)
{
	char *const strings[] = {
		o->image,
		o->rootfs,
		o->platform,
		o->name,
		o->hostname,
		o->domainname,
		o->cidfile,
		o->pidfile,
		o->detach_keys,
		o->workdir,
		o->user,
		o->seccomp,
		o->pid_container,
		o->ipc_container,
		o->uts_container,
		o->network.name,
		o->network.options,
		o->mac_address,
		o->health_cmd,
		o->health_startup_cmd,
		o->report,
		o->tz,
		o->create_dir,
		o->pod,
		o->passwd_entry,
		o->group_entry,
		o->ip,
		o->ip6,
		o->hosts_file,
	};
	struct strv *const vectors[] = {
		&o->command,	  &o->entrypoint,      &o->labels,	&o->annotations,
		&o->group_add,	  &o->sysctls,	       &o->cap_add,	&o->cap_drop,
		&o->mask,	  &o->unmask,	       &o->dns,		&o->dns_search,
		&o->dns_options,  &o->add_hosts,       &o->host_access, &o->log_opts,
		&o->volumes_from, &o->env_merge,       &o->unsetenv,	&o->host_users,
		&o->requires,	  &o->typed,	       &o->publish,	&o->expose,
		&o->networks,	  &o->network_aliases, &o->allow_net,	&o->deny_net,
	};
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		strv_free(vectors[i]);
	free_arrays(o);
	limit_opts_free(&o->limits);
	run_opts_init(o);
}

void run_opts_set(char **slot, const char *value)
{
	run_opts_set_str(slot, value);
}

void run_opts_set_str(char **slot, const char *value)
{
	char *copy = xstrdup(value);
	free(*slot);
	*slot = copy;
}

bool run_opts_read_bool(const char *text, bool *ret)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{"true", true},	  {"1", true},	{"yes", true}, {"on", true},   {"t", true},
		{"false", false}, {"0", false}, {"no", false}, {"off", false}, {"f", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i].text) == 0) {
			*ret = words[i].value;
			return true;
		}
	}
	return false;
}

bool run_opts_is_host_name(const char *text, size_t max)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	if (!*text || strlen(text) > max)
		return false;
	for (;;) {
		size_t n = strspn(text, "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
		if (n == 0 || n > 63 || !strchr(letters, text[0]) || !strchr(letters, text[n - 1]))
			return false;
		text += n;
		if (!*text)
			return true;
		if (*text++ != '.')
			return false;
	}
}

bool run_opts_is_ip(const char *text)
{
	unsigned char buf[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, text, buf) == 1 || inet_pton(AF_INET6, text, buf) == 1;
}

int run_opts_parse_signal(const char *text, const char *what, int *ret_signal, struct err *e)
{
	if (*text >= '0' && *text <= '9') {
		uint64_t n;
		int r = str_to_u64(text, 64, what, &n, e);
		if (r < 0)
			return r;
		if (n == 0)
			return err_set(e, EINVAL, "%s: 0 is not a signal", what);
		*ret_signal = (int)n;
		return 0;
	}
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *known = sigabbrev_np(i);
		if (known && strcasecmp(known, name) == 0) {
			*ret_signal = i;
			return 0;
		}
	}
	bool from_min = strncasecmp(name, "RTMIN", 5) == 0;
	if (from_min || strncasecmp(name, "RTMAX", 5) == 0) {
		char sign = from_min ? '+' : '-';
		uint64_t offset = 0;
		bool ok = !name[5] || (name[5] == sign &&
				       str_to_u64(name + 6, (uint64_t)(SIGRTMAX - SIGRTMIN), what, &offset, NULL) == 0);
		if (ok) {
			*ret_signal = from_min ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
			return 0;
		}
	}
	return err_set(e, EINVAL, "%s: '%s' is not a signal (examples: TERM, SIGINT, 15, RTMIN+3)", what, text);
}

static int check_mounts(const struct run_opts *o, struct err *e)
{
	for (size_t i = 0; i < o->nmounts; i++)
		for (size_t k = 0; k < i; k++)
			if (str_eq(o->mounts[i].target, o->mounts[k].target))
				return err_set(e, EINVAL, "two mounts on the same place: %s", o->mounts[i].target);
	return 0;
}

/* A sysctl belongs to the namespace whose first components it has; with the host's namespace it would be the host's. */
static int check_sysctls(const struct run_opts *o, struct err *e)
{
	for (size_t i = 0; i < o->sysctls.count; i++) {
		const char *s = o->sysctls.items[i];
		if (str_after(s, "net.") && o->network.kind == NETWORK_HOST)
			return err_set(e, EINVAL, "--sysctl %s: not with --network host, it would change the host", s);
		bool ipc = str_after(s, "fs.mqueue.") || str_after(s, "kernel.msg") || str_after(s, "kernel.sem") ||
			   str_after(s, "kernel.shm");
		if (ipc && o->ipc == NS_HOST)
			return err_set(e, EINVAL, "--sysctl %s: not with --ipc host, it would change the host", s);
	}
	return 0;
}

int run_opts_check(struct run_opts *o, struct err *e)
{
	int r = check_mounts(o, e);
	if (r < 0)
		return r;
	r = check_sysctls(o, e);
	if (r < 0)
		return r;
	if (o->hostname && o->uts == NS_HOST)
		return err_set(e, EINVAL, "--hostname: not with --uts host, it would change the host's name");
	if (o->domainname && o->uts == NS_HOST)
		return err_set(e, EINVAL, "--domainname: not with --uts host, it would change the host's name");
	if ((o->hostname || o->domainname) && o->uts == NS_CONTAINER)
		return err_set(e, EINVAL, "--%s: not with --uts container:%s, it would change that one's name",
			       o->hostname ? "hostname" : "domainname", o->uts_container);
	if ((o->hostname || o->domainname) && o->uts == NS_PATH)
		return err_set(e, EINVAL, "--%s: not with --uts ns:%s, whose name is somebody else's",
			       o->hostname ? "hostname" : "domainname", o->uts_container);
	bool foreign_net = o->network.kind == NETWORK_HOST || o->network.kind == NETWORK_CONTAINER ||
			   o->network.kind == NETWORK_NS;
	if (o->mac_address && (foreign_net || o->network.kind == NETWORK_NONE))
		return err_set(e, EINVAL, "--mac-address: the container has no network interface of its own");
	if ((o->publish.count || o->publish_all) &&
	    (o->network.kind == NETWORK_CONTAINER || o->network.kind == NETWORK_NS))
		return err_hint((err_set(e, EINVAL, "-p: the network is somebody else's and so are its ports"), e),
				"publish them where the network is made");
	if ((o->allow_net.count || o->deny_net.count) && (foreign_net || o->network.kind == NETWORK_NONE))
		return err_set(e, EINVAL, "%s: not with this --network, %s",
			       o->allow_net.count ? "--allow-net" : "--deny-net",
			       foreign_net ? "which is not the container's own" : "which leads nowhere");
	if (o->network.kind != NETWORK_NAMED && (o->ip || o->ip6 || o->network_aliases.count))
		return err_hint((err_set(e, EINVAL, "--ip, --ip6 and --network-alias are for networks with a name"), e),
				"make one with 'rl network create NAME' and give --network NAME");
	r = run_opts_fold_first(o, e);
	if (r < 0)
		return r;
	r = port_opt_check_all(&o->publish, e);
	if (r < 0)
		return r;
	if (o->rm && o->restart != RESTART_NO)
		return err_set(e, EINVAL, "--rm and --restart exclude each other");
	if (o->detach && o->report && (str_eq(o->report, "line") || str_eq(o->report, "json")))
		return err_set(e, EINVAL,
			       "--report %s: nobody is there to read it when a detached container ends; give a file",
			       o->report);
	return limit_opts_check(&o->limits, e);
}
