/*
 * run_opts_json.c - struct run_opts in config.json.
 *
 * Every member of the struct has a row, except `explain`, which is not a property of a container. A unit test fills the
 * whole struct with values other than the defaults and compares, so a member that is added without a row is noticed.
 */
#include <errno.h>
#include <stdlib.h>

#include "fields_int.h"
#include "rl/base/mem.h"
#include "rl/model/record.h"
#include "rl/model/rtspec.h"

#define O struct run_opts
static const struct field option_fields[] = {
	FIELD(O, FIELD_STR, image),
	FIELD(O, FIELD_STR, rootfs),
	FIELD(O, FIELD_BOOL, rootfs_overlay),
	FIELD(O, FIELD_STRV, command),
	FIELD(O, FIELD_BOOL, entrypoint_set),
	FIELD(O, FIELD_STRV, entrypoint),
	FIELD_ENUM(O, pull, PULL_MISSING, PULL_NEWER),
	FIELD(O, FIELD_STR, platform),
	FIELD(O, FIELD_BOOL, quiet),
	FIELD(O, FIELD_STR, name),
	FIELD(O, FIELD_STR, hostname),
	FIELD(O, FIELD_STR, domainname),
	FIELD(O, FIELD_BOOL, rm),
	FIELD(O, FIELD_BOOL, detach),
	FIELD(O, FIELD_BOOL, interactive),
	FIELD(O, FIELD_BOOL, tty),
	FIELD(O, FIELD_BOOL, init),
	FIELD(O, FIELD_BOOL, read_only),
	FIELD(O, FIELD_BOOL, privileged),
	FIELD(O, FIELD_BOOL, replace),
	FIELD_ENUM(O, restart, RESTART_NO, RESTART_UNLESS_STOPPED),
	FIELD(O, FIELD_UINT, restart_retries),
	FIELD(O, FIELD_STR, cidfile),
	FIELD(O, FIELD_STR, pidfile),
	FIELD(O, FIELD_STRV, labels),
	FIELD(O, FIELD_STRV, annotations),
	FIELD_ENUM(O, stop_signal, 0, 64),
	FIELD(O, FIELD_UINT, stop_timeout),
	FIELD(O, FIELD_UINT, timeout),
	FIELD(O, FIELD_BOOL, sig_proxy),
	FIELD(O, FIELD_STR, detach_keys),
	FIELD_ENUM(O, log_driver, LOG_DRIVER_JSON, LOG_DRIVER_JOURNALD),
	FIELD(O, FIELD_U64, log_max_size),
	FIELD(O, FIELD_UINT, log_max_file),
	FIELD(O, FIELD_STRV, log_opts),
	FIELD(O, FIELD_STR, health_cmd),
	FIELD(O, FIELD_STR, report),
	FIELD(O, FIELD_I64, health_interval),
	FIELD(O, FIELD_I64, health_timeout),
	FIELD(O, FIELD_I64, health_start_period),
	FIELD(O, FIELD_I64, health_start_interval),
	FIELD(O, FIELD_INT, health_retries),
	FIELD(O, FIELD_STR, health_startup_cmd),
	FIELD(O, FIELD_I64, health_startup_interval),
	FIELD(O, FIELD_I64, health_startup_timeout),
	FIELD(O, FIELD_UINT, health_startup_retries),
	FIELD(O, FIELD_UINT, health_startup_success),
	FIELD(O, FIELD_BOOL, no_healthcheck),
	FIELD_ENUM(O, health_on_failure, HEALTH_ACTION_NONE, HEALTH_ACTION_STOP),
	FIELD_ENUM(O, sdnotify, SDNOTIFY_SERVICE, SDNOTIFY_IGNORE),
	FIELD(O, FIELD_STR, workdir),
	FIELD(O, FIELD_STR, user),
	FIELD(O, FIELD_STRV, group_add),
	FIELD_ENUM(O, umask, -1, 0777),
	FIELD(O, FIELD_STRV, sysctls),
	FIELD_ENUM(O, oom_score_adj, -1000, 1000),
	FIELD(O, FIELD_BOOL, oom_score_adj_set),
	FIELD(O, FIELD_U64, shm_size),
	FIELD(O, FIELD_BOOL, no_shm),
	FIELD(O, FIELD_STRV, cap_add),
	FIELD(O, FIELD_STRV, cap_drop),
	FIELD(O, FIELD_STR, seccomp),
	FIELD_ENUM(O, no_new_privileges, UNSET, YES),
	FIELD_ENUM(O, emulate, -1, RT_EMULATE_FULL),
	FIELD(O, FIELD_STRV, mask),
	FIELD(O, FIELD_STRV, unmask),
	FIELD(O, FIELD_BOOL, label_disable),
	FIELD_ENUM(O, userns, USERNS_DEFAULT, USERNS_NOMAP),
	FIELD(O, FIELD_UINT, keep_id_uid),
	FIELD(O, FIELD_UINT, keep_id_gid),
	FIELD_ENUM(O, pid, NS_PRIVATE, NS_PATH),
	FIELD_ENUM(O, ipc, NS_PRIVATE, NS_PATH),
	FIELD_ENUM(O, uts, NS_PRIVATE, NS_PATH),
	FIELD_ENUM(O, cgroupns, NS_PRIVATE, NS_CONTAINER),
	FIELD(O, FIELD_STR, pid_container),
	FIELD(O, FIELD_STR, ipc_container),
	FIELD(O, FIELD_STR, uts_container),
	{.name = "network",
	 .type = FIELD_INT,
	 .offset = offsetof(O, network.kind),
	 .min = NETWORK_SLIRP,
	 .max = NETWORK_NAMED},
	FIELD_AS(O, FIELD_STR, "network_of", network.name),
	FIELD_AS(O, FIELD_STR, "network_options", network.options),
	FIELD(O, FIELD_STRV, dns),
	FIELD(O, FIELD_STRV, dns_search),
	FIELD(O, FIELD_STRV, dns_options),
	FIELD(O, FIELD_STRV, add_hosts),
	FIELD(O, FIELD_BOOL, no_hosts),
	FIELD(O, FIELD_STR, hosts_file),
	FIELD(O, FIELD_STR, mac_address),
	FIELD_AS(O, FIELD_I64, "memory", limits.memory),
	FIELD_AS(O, FIELD_I64, "memory_swap", limits.memory_swap),
	FIELD_AS(O, FIELD_I64, "memory_reservation", limits.memory_reservation),
	FIELD_AS(O, FIELD_I64, "pids_limit", limits.pids),
	FIELD_AS(O, FIELD_I64, "nano_cpus", limits.nano_cpus),
	FIELD_AS(O, FIELD_I64, "cpu_quota", limits.cpu_quota),
	FIELD_AS(O, FIELD_U64, "cpu_period", limits.cpu_period),
	FIELD_AS(O, FIELD_U64, "cpu_shares", limits.cpu_shares),
	FIELD_AS(O, FIELD_STR, "cpuset_cpus", limits.cpuset_cpus),
	FIELD_AS(O, FIELD_STR, "cpuset_mems", limits.cpuset_mems),
	FIELD_AS(O, FIELD_UINT, "blkio_weight", limits.blkio_weight),
	FIELD_AS(O, FIELD_STRV, "cgroup_conf", limits.conf),
	FIELD_AS(O, FIELD_STR, "cgroup_parent", limits.parent),
	{.name = "cgroups",
	 .type = FIELD_INT,
	 .offset = offsetof(O, limits.mode),
	 .min = CGROUPS_AS_NEEDED,
	 .max = CGROUPS_SPLIT},
	FIELD_AS(O, FIELD_BOOL, "require_limits", limits.required),
	FIELD(O, FIELD_STRV, host_access),
	FIELD(O, FIELD_STRV, allow_net),
	FIELD(O, FIELD_STRV, deny_net),
	FIELD(O, FIELD_STRV, volumes_from),
	FIELD(O, FIELD_BOOL, env_host),
	FIELD(O, FIELD_BOOL, hide_home),
	FIELD(O, FIELD_BOOL, single_map),
	FIELD(O, FIELD_STRV, env_merge),
	FIELD(O, FIELD_STRV, unsetenv),
	FIELD(O, FIELD_BOOL, unsetenv_all),
	FIELD(O, FIELD_STR, tz),
	FIELD(O, FIELD_BOOL, no_passwd),
	FIELD(O, FIELD_STR, passwd_entry),
	FIELD(O, FIELD_STR, group_entry),
	FIELD(O, FIELD_STRV, host_users),
	FIELD(O, FIELD_STRV, requires),
	FIELD_ENUM(O, personality, -1, INT32_MAX),
	FIELD(O, FIELD_BOOL, no_hostname),
	FIELD(O, FIELD_BOOL, rmi),
	FIELD(O, FIELD_STR, pod),
	FIELD(O, FIELD_BOOL, holder),
	FIELD(O, FIELD_UINT, pod_share),
	FIELD(O, FIELD_STRV, typed),
	FIELD(O, FIELD_STR, create_dir),
	FIELD(O, FIELD_STRV, publish),
	FIELD(O, FIELD_STRV, expose),
	FIELD(O, FIELD_BOOL, publish_all),
	FIELD(O, FIELD_STRV, networks),
	FIELD_ENUM(O, image_volumes, IMAGE_VOLUMES_ANONYMOUS, IMAGE_VOLUMES_IGNORE),
};
#undef O

#define M struct mount_opt
static const struct field mount_fields[] = {
	FIELD_ENUM(M, kind, MOUNT_KIND_BIND, MOUNT_KIND_DEVPTS),
	FIELD(M, FIELD_STR, source),
	FIELD(M, FIELD_STR, target),
	FIELD(M, FIELD_STR, subpath),
	FIELD(M, FIELD_BOOL, read_only),
	FIELD(M, FIELD_BOOL, recursive_bind),
	FIELD_ENUM(M, exec, UNSET, YES),
	FIELD_ENUM(M, dev, UNSET, YES),
	FIELD_ENUM(M, suid, UNSET, YES),
	FIELD_ENUM(M, propagation, PROPAGATION_DEFAULT, PROPAGATION_RSHARED),
	FIELD(M, FIELD_BOOL, overlay),
	FIELD(M, FIELD_BOOL, chown),
	FIELD_ENUM(M, copy, UNSET, YES),
	FIELD_ENUM(M, relabel, 0, 'z'),
	FIELD(M, FIELD_BOOL, create_source),
	FIELD(M, FIELD_I64, tmpfs_size),
	FIELD(M, FIELD_INT, tmpfs_mode),
	FIELD(M, FIELD_STR, tmpfs_options),
	FIELD_ENUM(M, atime, ATIME_DEFAULT, ATIME_STRICTATIME),
	FIELD(M, FIELD_STR, upperdir),
	FIELD(M, FIELD_STR, workdir),
	FIELD(M, FIELD_STRV, image_layers),
};
#undef M

static const struct field ulimit_fields[] = {
	FIELD(struct ulimit_opt, FIELD_STR, name),
	FIELD_ENUM(struct ulimit_opt, resource, 0, 31),
	FIELD(struct ulimit_opt, FIELD_U64, soft),
	FIELD(struct ulimit_opt, FIELD_U64, hard),
};

static const struct field device_fields[] = {
	FIELD(struct device_opt, FIELD_STR, source), FIELD(struct device_opt, FIELD_STR, target),
	FIELD(struct device_opt, FIELD_BOOL, read),  FIELD(struct device_opt, FIELD_BOOL, write),
	FIELD(struct device_opt, FIELD_BOOL, mknod),
};

static const struct field secret_fields[] = {
	FIELD(struct secret_opt, FIELD_STR, name), FIELD(struct secret_opt, FIELD_STR, target),
	FIELD(struct secret_opt, FIELD_BOOL, env), FIELD(struct secret_opt, FIELD_UINT, uid),
	FIELD(struct secret_opt, FIELD_UINT, gid), FIELD(struct secret_opt, FIELD_UINT, mode),
};

static const struct field env_fields[] = {
	FIELD(struct env_opt, FIELD_STR, key),
	FIELD(struct env_opt, FIELD_STR, value),
};

static const struct field io_fields[] = {
	FIELD(struct io_limit, FIELD_STR, device),
	FIELD_ENUM(struct io_limit, kind, IO_LIMIT_RBPS, IO_LIMIT_WEIGHT),
	FIELD(struct io_limit, FIELD_U64, value),
};

/* The arrays of structs. The item is appended zeroed before it is read, so that run_opts_free releases what a
 * failed read leaves. */
struct array {
	const char *name;
	size_t items, count; /* offsets */
	size_t size;
	const struct field *fields;
	size_t nfields;
	bool (*is_complete)(const void *item);
};

static bool mount_complete(const void *item)
{
	return ((const struct mount_opt *)item)->target != NULL;
}

static bool ulimit_complete(const void *item)
{
	return ((const struct ulimit_opt *)item)->name != NULL;
}

static bool device_complete(const void *item)
{
	const struct device_opt *d = item;
	return d->source && d->target;
}

static bool secret_complete(const void *item)
{
	const struct secret_opt *s = item;
	return s->name && s->target;
}

static bool io_complete(const void *item)
{
	return ((const struct io_limit *)item)->device != NULL;
}

static bool env_complete(const void *item)
{
	return ((const struct env_opt *)item)->key != NULL;
}

#define ARRAY(member, counter, type, table, complete)                                                                  \
	{                                                                                                              \
#member, offsetof(struct run_opts, member), offsetof(struct run_opts, counter), sizeof(type), table,   \
			ARRAY_SIZE(table), complete                                                                    \
	}
static const struct array arrays[] = {
	ARRAY(env, nenv, struct env_opt, env_fields, env_complete),
	ARRAY(ulimits, nulimits, struct ulimit_opt, ulimit_fields, ulimit_complete),
	ARRAY(mounts, nmounts, struct mount_opt, mount_fields, mount_complete),
	ARRAY(devices, ndevices, struct device_opt, device_fields, device_complete),
	ARRAY(secrets, nsecrets, struct secret_opt, secret_fields, secret_complete),
	ARRAY(limits.io, limits.nio, struct io_limit, io_fields, io_complete),
};

static json_t *write_array(const struct array *a, const struct run_opts *o)
{
	const char *items = *(char *const *)(const void *)((const char *)o + a->items);
	size_t n = *(const size_t *)(const void *)((const char *)o + a->count);
	json_t *out = json_array();
	autofree void *zeros = xcalloc(1, a->size);
	for (size_t i = 0; i < n; i++) {
		json_t *item = json_object();
		fields_to_json_brief(a->fields, a->nfields, items + i * a->size, zeros, item);
		json_array_append_new(out, item);
	}
	return out;
}

static int read_array(const struct array *a, const json_t *doc, struct run_opts *o, struct err *e)
{
	char **items = (char **)(void *)((char *)o + a->items);
	size_t *n = (size_t *)(void *)((char *)o + a->count);
	const json_t *array = json_object_get(doc, a->name);
	size_t i;
	json_t *item;
	if (array && !json_is_array(array))
		return err_set(e, EBADMSG, "\"%s\" is not an array", a->name);
	json_array_foreach (array, i, item) {
		*items = xreallocarray(*items, *n + 1, a->size);
		char *at = *items + *n * a->size;
		memset(at, 0, a->size);
		(*n)++;
		int r = fields_from_json(a->fields, a->nfields, item, at, e);
		if (r < 0)
			return err_ctx(e, "\"%s\"", a->name);
		if (!a->is_complete(at))
			return err_set(e, EBADMSG, "\"%s\" has an incomplete item", a->name);
	}
	return 0;
}

json_t *run_opts_to_json(const struct run_opts *o)
{
	json_t *doc = json_object();
	struct run_opts defaults;
	run_opts_init(&defaults);
	fields_to_json_brief(option_fields, ARRAY_SIZE(option_fields), o, &defaults, doc);
	json_put_int(doc, "nenv_files", (int64_t)o->nenv_files);
	for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
		json_put(doc, arrays[i].name, write_array(&arrays[i], o));
	return doc;
}

int run_opts_from_json(const json_t *doc, struct run_opts *o, struct err *e)
{
	int r = fields_from_json(option_fields, ARRAY_SIZE(option_fields), doc, o, e);
	for (size_t i = 0; i < ARRAY_SIZE(arrays) && r == 0; i++)
		r = read_array(&arrays[i], doc, o, e);
	if (r < 0)
		return r;
	int64_t files = json_int_or(doc, "nenv_files", 0);
	o->nenv_files = files > 0 && (size_t)files <= o->nenv ? (size_t)files : 0;
	return 0;
}
