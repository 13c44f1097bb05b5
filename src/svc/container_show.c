/*
 * container_show.c - containers as rows of `ps` and as docker's `inspect` document.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "container_stack.h"
#include "host_image.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/engine/join.h"
#include "rl/engine/log_file.h"
#include "rl/svc/container.h"
#include "rl/svc/container_ports.h"

static void put_time(json_t *obj, const char *key, int64_t ns)
{
	char text[FMT_SIZE];
	char whole[FMT_SIZE + 16];
	if (ns == 0) {
		json_put_str(obj, key, "0001-01-01T00:00:00Z");
		return;
	}
	fmt_time(ns / 1000000000, text);
	size_t n = strlen(text);
	snprintf(whole, sizeof(whole), "%.*s.%09lldZ", (int)n - 1, text, (long long)(ns % 1000000000));
	json_put_str(obj, key, whole);
}

static void ago(int64_t ns, int64_t now, const char *after, struct str *out)
{
	char text[FMT_SIZE];
	fmt_duration((now - ns) / 1000000000, text);
	str_addf(out, "%s%s", text, after);
}

static void status_text(const struct container_rec *c, int64_t now, struct str *out)
{
	const struct record_state *s = &c->state;
	switch (c->status) {
	case RECORD_CREATED:
		str_adds(out, "Created");
		return;
	case RECORD_RUNNING:
	case RECORD_PAUSED:
	case RECORD_STOPPING:
		str_adds(out, "Up ");
		ago(s->started, now, "", out);
		if (c->status == RECORD_PAUSED)
			str_adds(out, " (Paused)");
		else if (c->status == RECORD_STOPPING)
			str_adds(out, " (stopping)");
		else if (s->health.status)
			str_addf(out, " (%s%s)", str_eq(s->health.status, "starting") ? "health: " : "",
				 s->health.status);
		return;
	case RECORD_RESTARTING:
		str_addf(out, "Restarting (%d) ", s->exit_code);
		ago(s->finished, now, " ago", out);
		return;
	case RECORD_EXITED:
		if (s->exit_code == RECORD_EXIT_UNKNOWN) {
			str_adds(out, "Exited (unknown)");
			return;
		}
		str_addf(out, "Exited (%d) ", s->exit_code);
		ago(s->finished, now, " ago", out);
		return;
	case RECORD_DEAD:
		str_adds(out, "Dead");
		return;
	}
}

static void join_words(const struct strv *v, struct str *out)
{
	for (size_t i = 0; i < v->count; i++)
		str_addf(out, "%s%s", i ? " " : "", v->items[i]);
}

/* Cut to `max` characters of UTF-8 at most, with "…" at the end as docker shows it. */
static void shorten(struct str *s, size_t max)
{
	size_t n = 0;
	size_t keep = 0;
	for (size_t i = 0; i < s->len; n++) {
		size_t len = str_utf8_len(s->buf + i, s->len - i);
		if (n + 1 == max)
			keep = i;
		i += len ? len : 1;
	}
	if (n <= max)
		return;
	str_cut(s, keep);
	str_adds(s, "\xe2\x80\xa6");
}

static json_t *label_object(const struct strv *labels)
{
	json_t *out = json_object();
	for (size_t i = 0; i < labels->count; i++) {
		autofree char *key = xstrdup(labels->items[i]);
		char *eq = strchr(key, '=');
		if (eq)
			*eq = '\0';
		json_put_str(out, key, eq ? eq + 1 : "");
	}
	return out;
}

/* The caller's to free. */
static char *network_name(const struct run_opts *o)
{
	static const char *const names[] = {
		[NETWORK_SLIRP] = "slirp",	   [NETWORK_NONE] = "none", [NETWORK_HOST] = "host",
		[NETWORK_CONTAINER] = "container", [NETWORK_NS] = "ns",	    [NETWORK_NAMED] = "named"};
	if (o->network.kind == NETWORK_NAMED && o->networks.count)
		return xstrndup(o->networks.items[0], strcspn(o->networks.items[0], ":"));
	return xstrdup(names[o->network.kind]);
}

static void put_networks_text(json_t *row, const struct run_opts *o)
{
	autostr struct str out = STR_INIT;
	autofree char *first = network_name(o);
	if (o->network.kind != NETWORK_NAMED)
		str_adds(&out, first);
	for (size_t i = 0; i < o->networks.count; i++)
		str_addf(&out, "%s%.*s", out.len ? "," : "", (int)strcspn(o->networks.items[i], ":"),
			 o->networks.items[i]);
	json_put_str(row, "Networks", out.buf ? out.buf : "");
}

static void put_mounts_text(json_t *row, const struct run_opts *o)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < o->nmounts; i++)
		str_addf(&out, "%s%s", out.len ? "," : "",
			 o->mounts[i].source ? o->mounts[i].source : o->mounts[i].target);
	json_put_str(row, "Mounts", out.buf);
}

/* Reference without what docker leaves out. */
static const char *familiar_image(const char *image)
{
	const char *rest = str_after(image, "docker.io/library/");
	return rest ? rest : image;
}

/* As it was typed, as docker shows it; the name that matched is in the record for filters. */
static const char *shown_image(const struct record_config *rc)
{
	return rc->o.image && *rc->o.image ? rc->o.image : familiar_image(rc->image);
}

static void put_row_times(json_t *row, const struct container_rec *c, int64_t now)
{
	autostr struct str since = STR_INIT;
	autostr struct str status = STR_INIT;
	ago(c->config.created, now, " ago", &since);
	status_text(c, now, &status);
	json_put_str(row, "CreatedSince", since.buf);
	json_put_str(row, "Status", status.buf);
}

static void put_more_times(json_t *row, const struct container_rec *c)
{
	char text[FMT_SIZE];
	fmt_time_long(c->config.created / 1000000000, text);
	json_put_str(row, "RunningFor", json_str_or_null(row, "CreatedSince"));
	json_put_str(row, "CreatedAt", text);
	json_put_int(row, "Created", c->config.created / 1000000000);
	json_put_int(row, "StartedAt", c->state.started / 1000000000);
	json_put_int(row, "ExitedAt", c->state.finished / 1000000000);
}

/* Of PID 1, or of its command where that is our reaper, of which the kernel shows nothing. */
static pid_t shown_process(const struct container_rec *c)
{
	pid_t pid = c->state.init.pid;
	if (c->state.join.init && container_rec_is_running(c) && runtime_find_member(pid, &pid, NULL) < 0)
		pid = c->state.init.pid;
	return pid;
}

static void put_namespaces(json_t *row, const struct container_rec *c)
{
	static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"};
	json_t *spaces = json_object();
	pid_t pid = shown_process(c);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];
		char target[64] = "";
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, names[i]);
		if (container_rec_is_running(c) && readlink(path, target, sizeof(target) - 1) > 0)
			json_put_str(spaces, names[i], target);
	}
	json_put(row, "Namespaces", spaces);
}

/* What only a template or JSON shows. */
static void put_more(json_t *row, const struct container_rec *c, bool no_trunc)
{
	const struct record_config *rc = &c->config;
	autostr struct str labels = STR_INIT;
	for (size_t i = 0; i < rc->labels.count; i++)
		str_addf(&labels, "%s%s", i ? "," : "", rc->labels.items[i]);
	json_put_str(row, "ImageID", rc->image_id ? rc->image_id : "");
	json_put_str(row, "State", record_status_name(c->status));
	autofree char *pod = xstrndup(rc->o.pod ? rc->o.pod : "", no_trunc ? RECORD_ID_SIZE : 12);
	json_put_str(row, "Pod", pod);
	json_put_str(row, "Labels", labels.buf);
	put_mounts_text(row, &rc->o);
	put_networks_text(row, &rc->o);
	json_put_str(row, "LocalVolumes", "0");
	json_put_int(row, "Pid", container_rec_is_running(c) ? c->state.init.pid : 0);
	json_put_int(row, "ExitCode", c->state.exit_code);
	json_put_int(row, "Restarts", c->state.restarts);
	json_put_bool(row, "Exited", c->status == RECORD_EXITED);
	put_more_times(row, c);
	if (container_rec_is_running(c))
		put_namespaces(row, c);
}

static json_t *make_row(const struct container_rec *c, bool no_trunc, int64_t now)
{
	const struct record_config *rc = &c->config;
	json_t *row = json_object();
	autofree char *id = no_trunc ? xstrdup(rc->id) : xstrndup(rc->id, 12);
	json_put_str(row, "ID", id);
	if (c->broken) {
		json_put_str(row, "Names", "<broken>");
		json_put_str(row, "Image", "");
		json_put_str(row, "Command", "");
		pid_t pid = container_leftover_find(c);
		autofree char *status = pid ? xasprintf("Dead (the record cannot be read; process %d runs)", (int)pid)
					    : xstrdup("Dead (the record cannot be read)");
		json_put_str(row, "Status", status);
		json_put_str(row, "State", "dead");
		json_put_str(row, "CreatedSince", "");
		json_put_str(row, "Ports", "");
		return row;
	}
	autostr struct str command = STR_INIT;
	join_words(&rc->args, &command);
	if (!no_trunc)
		shorten(&command, 18);
	char *quoted = xasprintf("\"%s\"", command.buf);
	json_put_str(row, "Image", shown_image(rc));
	json_put_str(row, "Command", quoted);
	free(quoted);
	put_row_times(row, c, now);
	autostr struct str ports = STR_INIT;
	container_ports_text(c, &ports);
	json_put_str(row, "Ports", ports.buf);
	json_put_str(row, "Names", rc->name);
	return row;
}

/* Bytes below a directory, not counting what cannot be read. */
static uint64_t tree_size(int dirfd, const char *path, int depth);

static void put_size(json_t *row, const struct container_rec *c)
{
	char text[FMT_SIZE];
	autofd int dir = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t bytes = tree_size(dir, host_image_is(&c->config.o) ? "host" : "upper", 0);
	fmt_size(bytes, text);
	json_put_str(row, "Size", text);
	json_put_int(row, "SizeRw", (int64_t)bytes);
}

int container_rows(const char *root, const struct container_selection *sel, const struct container_rows_opts *o,
		   json_t **ret_rows, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	struct container_list l = {.items = NULL};
	r = container_select_list(&s, sel, &l, e);
	json_t *rows = json_array();
	int64_t now = container_now();
	for (size_t i = 0; r == 0 && i < l.count; i++) {
		json_t *row = make_row(&l.items[i], o->no_trunc, now);
		if (o->sizes)
			put_size(row, &l.items[i]);
		if (o->all && !l.items[i].broken)
			put_more(row, &l.items[i], o->no_trunc);
		json_array_append_new(rows, row);
	}
	container_list_free(&l);
	store_close(&s);
	if (r < 0) {
		json_decref(rows);
		return r;
	}
	*ret_rows = rows;
	return 0;
}

static uint64_t tree_size(int dirfd, const char *path, int depth)
{
	enum { DEPTH_MAX = 256 };
	struct dirent *entry;
	struct stat st;
	uint64_t sum = 0;
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (entry = readdir(d))) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			sum += tree_size(fd, entry->d_name, depth + 1);
		else if (S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	}
	return sum;
}

/* ---- inspect ---- */

static json_t *health_object(const struct record_health *h)
{
	json_t *out = json_object();
	json_t *log = json_array();
	json_put_str(out, "Status", h->status);
	json_put_int(out, "FailingStreak", h->failing_streak);
	for (size_t i = 0; i < h->nlog; i++) {
		json_t *entry = json_object();
		put_time(entry, "Start", h->log[i].start);
		put_time(entry, "End", h->log[i].end);
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
	put_time(out, "StartedAt", s->started);
	put_time(out, "FinishedAt", s->finished);
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
	json_put_str(out, "Image", shown_image(rc));
	json_put_str(out, "WorkingDir", rc->cwd);
	json_put(out, "Labels", label_object(&rc->labels));
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
	autofree char *mode = network_name(o);
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
	autofree char *name = network_name(&c->config.o);
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
	put_time(doc, "Created", rc->created);
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
	put_namespaces(doc, c);
	if (size)
		put_size(doc, c);
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
