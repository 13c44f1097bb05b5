/*
 * container_inspect.c - a container as docker's `inspect` document.
 *
 * Names, types and the empty values of what was not asked for are docker's: scripts take them apart. What docker has no
 * word for (namespaces, whether an exit code is known) stands beside them.
 */
#include <stdio.h>

#include "container_int.h"
#include "container_show.h"
#include "container_stack.h"
#include "rl/base/mem.h"
#include "rl/engine/log_file.h"
#include "rl/svc/container.h"
#include "rl/svc/container_ports.h"

static json_t *health_object(const struct record_health *h)
{
	json_t *out = json_object();
	json_t *log = json_array();
	json_put_str(out, "Status", h->status);
	json_put_int(out, "FailingStreak", h->failing_streak);
	for (size_t i = 0; i < h->nlog; i++) {
		json_t *entry = json_object();
		container_show_time(entry, "Start", h->log[i].start);
		container_show_time(entry, "End", h->log[i].end);
		json_put_int(entry, "ExitCode", h->log[i].exit_code);
		json_put_str(entry, "Output", h->log[i].output);
		json_array_append_new(log, entry);
	}
	json_put(out, "Log", log);
	return out;
}

static json_t *state_object(const struct container_rec *c)
{
	const struct record_state *s = &c->state;
	json_t *out = json_object();
	bool up = container_rec_is_running(c);
	json_put_str(out, "Status", record_status_name(c->status));
	json_put_bool(out, "Running", up || c->status == RECORD_STOPPING);
	json_put_bool(out, "Paused", c->status == RECORD_PAUSED);
	json_put_bool(out, "Restarting", c->status == RECORD_RESTARTING);
	json_put_bool(out, "OOMKilled", s->oom_killed);
	json_put_bool(out, "Dead", c->status == RECORD_DEAD);
	json_put_int(out, "Pid", up ? s->init.pid : 0);
	json_put_int(out, "MonitorPid", container_rec_monitor_lives(c) ? s->monitor.pid : 0);
	json_put_int(out, "ExitCode", s->exit_code);
	json_put_bool(out, "ExitCodeKnown", s->exit_code != RECORD_EXIT_UNKNOWN);
	json_put_str(out, "Error", s->error ? s->error : "");
	json_put_str(out, "LimitsBy", s->limits_rung ? s->limits_rung : "");
	container_show_time(out, "StartedAt", s->started);
	container_show_time(out, "FinishedAt", s->finished);
	if (s->health.status)
		json_put(out, "Health", health_object(&s->health));
	return out;
}

static json_t *strings(const struct strv *v)
{
	json_t *out = json_array();
	for (size_t i = 0; i < v->count; i++)
		json_array_append_new(out, json_string_lossy(v->items[i], strlen(v->items[i])));
	return out;
}

static json_t *config_object(const struct container_rec *c)
{
	const struct record_config *rc = &c->config;
	const struct run_opts *o = &rc->o;
	json_t *out = json_object();
	json_put_str(out, "Hostname", rc->hostname);
	json_put_str(out, "Domainname", o->domainname ? o->domainname : "");
	json_put_str(out, "User", rc->user);
	json_put_bool(out, "AttachStdin", o->interactive && !o->detach);
	json_put_bool(out, "AttachStdout", !o->detach);
	json_put_bool(out, "AttachStderr", !o->detach);
	json_put_bool(out, "Tty", o->tty);
	json_put_bool(out, "OpenStdin", o->interactive);
	json_put(out, "Env", strings(&rc->env));
	json_put(out, "Cmd", strings(o->command.count ? &o->command : &rc->args));
	if (o->entrypoint_set)
		json_put(out, "Entrypoint", strings(&o->entrypoint));
	else
		json_put(out, "Entrypoint", json_null());
	json_put_str(out, "Image", container_show_image(rc));
	json_put_str(out, "WorkingDir", rc->cwd);
	json_put(out, "Labels", container_show_labels(&rc->labels));
	autostr struct str signal = STR_INIT;
	const char *name = sigabbrev_np(rc->stop_signal);
	if (name)
		str_addf(&signal, "SIG%s", name);
	else
		str_addf(&signal, "%d", rc->stop_signal);
	json_put_str(out, "StopSignal", signal.buf);
	json_put_int(out, "StopTimeout", o->stop_timeout);
	if (rc->health.test.count) {
		json_t *health = json_object();
		json_t *test = strings(&rc->health.test);
		json_array_insert_new(test, 0, json_string("CMD"));
		json_put(health, "Test", test);
		json_put_int(health, "Interval", (int64_t)rc->health.interval_ns);
		json_put_int(health, "Timeout", (int64_t)rc->health.timeout_ns);
		json_put_int(health, "StartPeriod", (int64_t)rc->health.start_period_ns);
		json_put_int(health, "StartInterval", (int64_t)rc->health.start_interval_ns);
		json_put_int(health, "Retries", rc->health.retries);
		json_put(out, "Healthcheck", health);
	}
	return out;
}

static void put_share(json_t *out, const char *key, enum ns_share s, const char *container)
{
	autofree char *other = s >= NS_CONTAINER ? xasprintf("%s:%s", s == NS_PATH ? "ns" : "container", container)
						 : NULL;
	json_put_str(out, key, other ? other : s == NS_HOST ? "host" : "private");
}

/* docker's names; what was not asked for is 0 or "". */
static void put_limits(json_t *out, const struct limit_opts *l)
{
	json_put_int(out, "Memory", RL_MAX(l->memory, INT64_C(0)));
	json_put_int(out, "MemorySwap", l->memory_swap);
	json_put_int(out, "MemoryReservation", RL_MAX(l->memory_reservation, INT64_C(0)));
	json_put_int(out, "NanoCpus", RL_MAX(l->nano_cpus, INT64_C(0)));
	json_put_int(out, "CpuQuota", l->cpu_quota);
	json_put_int(out, "CpuPeriod", (int64_t)l->cpu_period);
	json_put_int(out, "CpuShares", (int64_t)l->cpu_shares);
	json_put_str(out, "CpusetCpus", l->cpuset_cpus ? l->cpuset_cpus : "");
	json_put_str(out, "CpusetMems", l->cpuset_mems ? l->cpuset_mems : "");
	json_put_int(out, "PidsLimit", l->pids);
	json_put_int(out, "BlkioWeight", l->blkio_weight);
	json_put_str(out, "CgroupParent", l->parent ? l->parent : "");
}

static json_t *host_config_object(const struct container_rec *c)
{
	const struct run_opts *o = &c->config.o;
	json_t *out = json_object();
	json_t *binds = json_array();
	for (size_t i = 0; i < o->nmounts; i++) {
		const struct mount_opt *m = &o->mounts[i];
		if (!m->source)
			continue;
		autofree char *text = xasprintf("%s:%s%s", m->source, m->target, m->read_only ? ":ro" : "");
		json_array_append_new(binds, json_string_lossy(text, strlen(text)));
	}
	json_put(out, "Binds", binds);
	json_t *annotations = json_object();
	for (size_t i = 0; i < o->annotations.count; i++) {
		autofree char *key = xstrdup(o->annotations.items[i]);
		char *eq = strchr(key, '=');
		if (eq)
			*eq = '\0';
		json_put_str(annotations, key, eq ? eq + 1 : "");
	}
	json_put(out, "Annotations", annotations);
	json_put(out, "VolumesFrom", o->volumes_from.count ? strings(&o->volumes_from) : json_null());
	json_put_str(out, "ContainerIDFile", o->cidfile ? o->cidfile : "");
	json_t *log = json_object();
	json_t *log_config = json_object();
	for (size_t i = 0; i < o->log_opts.count; i++) {
		autofree char *key = xstrdup(o->log_opts.items[i]);
		char *eq = strchr(key, '=');
		*eq = '\0';
		json_put_str(log_config, key, eq + 1);
	}
	json_put_str(log, "Type", run_opts_log_driver_name(o->log_driver));
	json_put(log, "Config", log_config);
	json_put(out, "LogConfig", log);
	autofree char *mode = container_show_network(o);
	if (o->network.kind == NETWORK_CONTAINER)
		put_share(out, "NetworkMode", NS_CONTAINER, o->network.name);
	else
		json_put_str(out, "NetworkMode", mode);
	json_t *policy = json_object();
	json_put_str(policy, "Name", run_opts_restart_name(o->restart));
	json_put_int(policy, "MaximumRetryCount", o->restart_retries);
	json_put(out, "RestartPolicy", policy);
	json_put_bool(out, "AutoRemove", o->rm);
	json_put(out, "CapAdd", strings(&o->cap_add));
	json_put(out, "CapDrop", strings(&o->cap_drop));
	json_put(out, "Dns", strings(&o->dns));
	json_put(out, "ExtraHosts", strings(&o->add_hosts));
	json_put(out, "GroupAdd", strings(&o->group_add));
	put_share(out, "IpcMode", o->ipc, o->ipc_container);
	put_share(out, "PidMode", o->pid, o->pid_container);
	put_share(out, "UTSMode", o->uts, o->uts_container);
	json_put_bool(out, "Privileged", o->privileged);
	json_put_bool(out, "ReadonlyRootfs", o->read_only);
	json_put_bool(out, "Init", o->init);
	json_put_int(out, "ShmSize", (int64_t)o->shm_size);
	json_put_int(out, "OomScoreAdj", o->oom_score_adj);
	put_limits(out, &o->limits);
	return out;
}

static json_t *mounts_array(const struct container_rec *c)
{
	const struct run_opts *o = &c->config.o;
	static const char *const kinds[] = {[MOUNT_KIND_BIND] = "bind",
					    [MOUNT_KIND_TMPFS] = "tmpfs",
					    [MOUNT_KIND_VOLUME] = "volume",
					    [MOUNT_KIND_IMAGE] = "image",
					    [MOUNT_KIND_DEVPTS] = "devpts"};
	json_t *out = json_array();
	for (size_t i = 0; i < o->nmounts; i++) {
		const struct mount_opt *m = &o->mounts[i];
		json_t *one = json_object();
		json_put_str(one, "Type", kinds[m->kind]);
		if (m->kind == MOUNT_KIND_VOLUME && m->source) {
			autofree char *data = xasprintf("%s/volumes/%s/_data", c->store->root, m->source);
			json_put_str(one, "Name", m->source);
			json_put_str(one, "Source", data);
			json_put_str(one, "Driver", "local");
		} else {
			json_put_str(one, "Source", m->source ? m->source : "");
		}
		json_put_str(one, "Destination", m->target);
		json_put_str(one, "Mode", m->read_only ? "ro" : "");
		json_put_bool(one, "RW", !m->read_only);
		json_put_str(one, "Propagation", m->kind == MOUNT_KIND_BIND ? "rprivate" : "");
		json_array_append_new(out, one);
	}
	return out;
}

static json_t *network_object(const struct container_rec *c)
{
	json_t *out = json_object();
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c->state.init.pid);
	json_put(out, "Ports", container_ports_object(c));
	json_put_str(out, "SandboxKey", container_rec_is_running(c) ? path : "");
	autofree char *name = container_show_network(&c->config.o);
	container_networks_put(c, name, out);
	return out;
}

static void put_paths(json_t *doc, const struct container_rec *c)
{
	static const struct {
		const char *key, *file;
	} files[] = {{"ResolvConfPath", "resolv.conf"}, {"HostnamePath", "hostname"}, {"HostsPath", "hosts"}};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		autofree char *path = xasprintf("%s/%s", c->dir, files[i].file);
		json_put_str(doc, files[i].key, path);
	}
	enum log_driver driver = c->config.o.log_driver;
	bool logged = driver == LOG_DRIVER_JSON || driver == LOG_DRIVER_K8S;
	autofree char *log = xasprintf("%s/" LOG_FILE_NAME, c->dir);
	const char *elsewhere = container_log_path(&c->config.o);
	json_put_str(doc, "LogPath", !logged ? "" : elsewhere ? elsewhere : log);
}

static json_t *document(const struct container_rec *c, bool size)
{
	const struct record_config *rc = &c->config;
	json_t *doc = json_object();
	struct strv rest = {.items = rc->args.items + (rc->args.count > 0),
			    .count = rc->args.count - (rc->args.count > 0)};
	autofree char *name = xasprintf("/%s", rc->name);
	json_put_str(doc, "Id", rc->id);
	container_show_time(doc, "Created", rc->created);
	json_put_str(doc, "Path", rc->args.count ? rc->args.items[0] : "");
	json_put(doc, "Args", strings(&rest));
	json_put(doc, "State", state_object(c));
	json_put_str(doc, "Image", rc->image_id ? rc->image_id : "");
	put_paths(doc, c);
	json_put_str(doc, "Name", name);
	json_put_int(doc, "RestartCount", c->state.restarts);
	json_put_str(doc, "Driver", "overlay");
	json_put(doc, "GraphDriver", container_stack_describe(c));
	json_put_str(doc, "Platform", "linux");
	json_put(doc, "HostConfig", host_config_object(c));
	json_put(doc, "Mounts", mounts_array(c));
	json_put(doc, "Config", config_object(c));
	json_put(doc, "NetworkSettings", network_object(c));
	container_show_namespaces(doc, c);
	if (size)
		container_show_size(doc, c);
	return doc;
}

int container_inspect(const char *root, const char *name, bool size, json_t **ret_doc, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec c = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &c, e);
	if (r == 0)
		*ret_doc = document(&c, size);
	store_close(&s);
	return r;
}
