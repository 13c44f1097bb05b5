/*
 * container_resolve.c - what is decided once, when a container is created: command, environment, user, directory, stop
 * signal, labels and health check from the options and the image's config.
 *
 * Trust: from the image config exactly these members are read: Env, Entrypoint, Cmd, WorkingDir, User, StopSignal,
 * Labels, Healthcheck, Volumes. Nothing of it can raise what the container may do: the first five say what to run
 * inside, the stop signal which signal to send to it, the check what more to run inside, labels are inert text, and
 * volumes are places for empty directories (container_volumes.c).
 *
 * The result goes into config.json, so that every later start runs the same, whatever became of the image's name, the
 * caller's environment and the caller's directory.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/port_opt.h"

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

enum { SECOND = 1000000000 };

/* The "config" object of the image's configuration, or NULL. */
static int image_config(const struct container *c, json_t **ret_config, struct err *e)
{
	*ret_config = NULL;
	if (!c->has_image)
		return 0;
	int r = json_get_obj(c->image.image.config, "config", ret_config, e);
	return r < 0 ? err_ctx(e, "image %s", c->o->image) : 0;
}

static int resolve_args(struct container *c, const json_t *config, struct err *e)
{
	const struct run_opts *o = c->o;
	struct strv *args = &c->rec.config.args;
	autostrv struct strv entrypoint = STRV_INIT;
	autostrv struct strv cmd = STRV_INIT;
	int r = json_get_strv(config, "Entrypoint", &entrypoint, e);
	if (r >= 0)
		r = json_get_strv(config, "Cmd", &cmd, e);
	if (r < 0)
		return err_ctx(e, "image %s", o->image);
	if (o->entrypoint_set) {
		/* docker: a new entrypoint also drops the image's command. */
		strv_add_all(args, &o->entrypoint);
		strv_add_all(args, &o->command);
		return 0;
	}
	strv_add_all(args, &entrypoint);
	strv_add_all(args, o->command.count ? &o->command : &cmd);
	return 0;
}

/* All of them see what was there before the first. */
static void merge_env(const struct run_opts *o, struct strv *env)
{
	autostrv struct strv merged = STRV_INIT;
	for (size_t i = 0; i < o->env_merge.count; i++) {
		autostr struct str value = STR_INIT;
		const char *text = o->env_merge.items[i];
		run_opts_expand(strchr(text, '=') + 1, env, &value);
		strv_addf(&merged, "%.*s=%s", (int)strcspn(text, "="), text, value.buf);
	}
	for (size_t i = 0; i < merged.count; i++) {
		char *eq = strchr(merged.items[i], '=');
		*eq = '\0';
		strv_env_set(env, merged.items[i], eq + 1);
	}
}

static int resolve_env(struct container *c, const json_t *config, struct err *e)
{
	const struct run_opts *o = c->o;
	struct strv *env = &c->rec.config.env;
	autostrv struct strv image_env = STRV_INIT;
	for (char **p = o->env_host ? environ : NULL; p && *p; p++) {
		autofree char *key = xstrndup(*p, strcspn(*p, "="));
		if (*key && strlen(key) < strlen(*p))
			strv_env_set(env, key, *p + strlen(key) + 1);
	}
	strv_env_set(env, "PATH", default_path);
	int r = json_get_strv(config, "Env", &image_env, e);
	if (r < 0)
		return err_ctx(e, "image %s", o->image);
	if (o->tty)
		strv_env_set(env, "TERM", "xterm");
	strv_env_set(env, "container", "rl");
	if (o->sdnotify == SDNOTIFY_CONTAINER)
		strv_env_set(env, "NOTIFY_SOCKET", CONTAINER_NOTIFY_INSIDE "/" CONTAINER_NOTIFY_SOCKET);
	if (c->rec.config.hostname)
		strv_env_set(env, "HOSTNAME", c->rec.config.hostname);
	for (size_t i = 0; i < image_env.count; i++) {
		char *value = strchr(image_env.items[i], '=');
		if (!value || value == image_env.items[i])
			continue; /* not an assignment: docker passes it on, no program can use it */
		*value = '\0';
		strv_env_set(env, image_env.items[i], value + 1);
	}
	if (o->unsetenv_all)
		strv_free(env);
	for (size_t i = 0; i < o->unsetenv.count; i++)
		strv_env_unset(env, o->unsetenv.items[i]);
	merge_env(o, env);
	for (size_t i = 0; i < o->nenv; i++) {
		if (o->env[i].value)
			strv_env_set(env, o->env[i].key, o->env[i].value);
		else
			strv_env_unset(env, o->env[i].key);
	}
	return 0;
}

static int resolve_process(struct container *c, const json_t *config, struct err *e)
{
	const struct run_opts *o = c->o;
	struct record_config *rc = &c->rec.config;
	const char *image_dir = NULL;
	const char *image_user = NULL;
	const char *image_signal = NULL;
	int r = json_get_str(config, "WorkingDir", &image_dir, e);
	if (r >= 0)
		r = json_get_str(config, "User", &image_user, e);
	if (r >= 0)
		r = json_get_str(config, "StopSignal", &image_signal, e);
	if (r < 0)
		return err_ctx(e, "image %s", o->image);
	const char *dir = o->workdir ? o->workdir : image_dir && *image_dir ? image_dir : "/";
	if (*dir != '/') {
		autofree char *absolute = path_join("/", dir);
		rc->cwd = path_clean(absolute);
	} else {
		rc->cwd = path_clean(dir);
	}
	const char *user = o->user ? o->user : image_user;
	if (!user && o->userns == USERNS_KEEP_ID)
		rc->user = xasprintf("%u:%u", o->keep_id_uid == RUN_OPTS_OWN_ID ? getuid() : o->keep_id_uid,
				     o->keep_id_gid == RUN_OPTS_OWN_ID ? getgid() : o->keep_id_gid);
	else
		rc->user = xstrdup(user ? user : "");
	rc->stop_signal = SIGTERM;
	struct err why = ERR_INIT;
	if (o->stop_signal)
		rc->stop_signal = o->stop_signal;
	else if (image_signal && *image_signal &&
		 run_opts_parse_signal(image_signal, "the image's stop signal", &rc->stop_signal, &why) < 0)
		log_warn("%s; SIGTERM is used", why.text);
	return 0;
}

static void resolve_labels(struct container *c, const json_t *config)
{
	struct strv *labels = &c->rec.config.labels;
	const char *key;
	json_t *value;
	json_t *of_image = json_object_get(config, "Labels");
	json_object_foreach (of_image, key, value)
		if (json_is_string(value) && *key)
			strv_env_set(labels, key, json_string_value(value));
	for (size_t i = 0; i < c->o->labels.count; i++) {
		autofree char *name = xstrdup(c->o->labels.items[i]);
		char *eq = strchr(name, '=');
		if (eq)
			*eq = '\0';
		strv_env_set(labels, name, eq ? eq + 1 : "");
	}
}

/* Shell text becomes a call of the container's shell, as docker does it. */
static void test_of_text(const char *text, struct strv *test)
{
	strv_add(test, "/bin/sh");
	strv_add(test, "-c");
	strv_add(test, text);
}

static int test_of_option(const char *text, struct strv *test, struct err *e)
{
	if (*text != '[') {
		test_of_text(text, test);
		return 0;
	}
	json_t *array = NULL;
	int r = json_parse(text, strlen(text), "--health-cmd", &array, e);
	autojson json_t *owned = array;
	size_t first = 0;
	if (r < 0)
		return r;
	/* podman takes docker's array form, ["CMD-SHELL", "..."], too */
	const char *kind = json_string_value(json_array_get(owned, 0));
	if (kind && str_eq(kind, "CMD-SHELL") && json_array_size(owned) == 2) {
		test_of_text(json_string_value(json_array_get(owned, 1)), test);
		return 0;
	}
	if (kind && str_eq(kind, "CMD"))
		first = 1;
	for (size_t i = first; i < json_array_size(owned); i++)
		strv_add(test, json_string_value(json_array_get(owned, i)));
	return 0;
}

static int test_of_image(const json_t *health, struct strv *test, struct err *e)
{
	autostrv struct strv words = STRV_INIT;
	int r = json_get_strv(health, "Test", &words, e);
	if (r < 0)
		return err_ctx(e, "the image's Healthcheck");
	if (words.count >= 2 && str_eq(words.items[0], "CMD-SHELL"))
		test_of_text(words.items[1], test);
	for (size_t i = 1; i < words.count && str_eq(words.items[0], "CMD"); i++)
		strv_add(test, words.items[i]);
	return 0;
}

static uint64_t choose(int64_t option, int64_t image, uint64_t otherwise)
{
	if (option >= 0)
		return (uint64_t)option;
	return image > 0 ? (uint64_t)image : otherwise;
}

static int resolve_startup(const struct run_opts *o, struct record_health_check *h, struct err *e)
{
	if (!o->health_startup_cmd || str_eq(o->health_startup_cmd, "none"))
		return 0;
	if (!h->test.count)
		return err_set(e, EINVAL, "--health-startup-cmd: there is no check that it could come before");
	h->startup_interval_ns = choose(o->health_startup_interval, 0, 30LL * SECOND);
	h->startup_timeout_ns = choose(o->health_startup_timeout, 0, 30LL * SECOND);
	h->startup_interval_ns = RL_MAX(h->startup_interval_ns, (uint64_t)(SECOND / 1000));
	h->startup_timeout_ns = RL_MAX(h->startup_timeout_ns, (uint64_t)(SECOND / 1000));
	h->startup_retries = o->health_startup_retries;
	h->startup_success = RL_MAX(o->health_startup_success, 1U);
	return test_of_option(o->health_startup_cmd, &h->startup_test, e);
}

static int resolve_health(struct container *c, const json_t *config, struct err *e)
{
	const struct run_opts *o = c->o;
	struct record_health_check *h = &c->rec.config.health;
	const json_t *image = json_object_get(config, "Healthcheck");
	if (o->no_healthcheck || (o->health_cmd && (!*o->health_cmd || str_eq(o->health_cmd, "none"))))
		return 0;
	int r = o->health_cmd ? test_of_option(o->health_cmd, &h->test, e) : test_of_image(image, &h->test, e);
	if (r < 0)
		return r;
	h->interval_ns = choose(o->health_interval, json_int_or(image, "Interval", 0), 30LL * SECOND);
	h->timeout_ns = choose(o->health_timeout, json_int_or(image, "Timeout", 0), 30LL * SECOND);
	h->start_period_ns = choose(o->health_start_period, json_int_or(image, "StartPeriod", 0), 0);
	h->start_interval_ns = choose(o->health_start_interval, json_int_or(image, "StartInterval", 0), 5LL * SECOND);
	h->retries = (unsigned)choose(o->health_retries, json_int_or(image, "Retries", 0), 3);
	/* docker's floor: an image must not make us run something in a busy loop */
	if (h->interval_ns)
		h->interval_ns = RL_MAX(h->interval_ns, (uint64_t)(SECOND / 1000));
	h->start_interval_ns = RL_MAX(h->start_interval_ns, (uint64_t)(SECOND / 1000));
	h->timeout_ns = RL_MAX(h->timeout_ns, (uint64_t)(SECOND / 1000));
	h->retries = RL_MAX(h->retries, 1U);
	return resolve_startup(o, h, e);
}

static void make_absolute(char **path, const char *cwd)
{
	if (!*path || **path == '/')
		return;
	char *joined = path_join(cwd, *path);
	free(*path);
	*path = joined;
}

/* Later starts have another caller: what depends on this one is taken now. */
static int take_from_caller(struct run_opts *o, struct err *e)
{
	autofree char *cwd = getcwd(NULL, 0);
	for (size_t i = 0; i < o->nenv; i++) {
		const char *value = o->env[i].value ? NULL : getenv(o->env[i].key);
		if (value)
			o->env[i].value = xstrdup(value);
	}
	if (!cwd)
		return err_sys(e, errno, "current directory");
	free(o->create_dir);
	o->create_dir = xstrdup(cwd);
	for (size_t i = 0; i < o->nmounts; i++)
		if (o->mounts[i].kind == MOUNT_KIND_BIND) {
			make_absolute(&o->mounts[i].source, cwd);
			make_absolute(&o->mounts[i].upperdir, cwd);
			make_absolute(&o->mounts[i].workdir, cwd);
		}
	for (size_t i = 0; i < o->ndevices; i++)
		make_absolute(&o->devices[i].source, cwd);
	for (size_t i = 0; i < o->log_opts.count; i++) {
		const char *path = str_after(o->log_opts.items[i], "path=");
		if (path && *path != '/') {
			char *absolute = xasprintf("path=%s/%s", cwd, path);
			free(o->log_opts.items[i]);
			o->log_opts.items[i] = absolute;
		}
	}
	make_absolute(&o->rootfs, cwd);
	make_absolute(&o->cidfile, cwd);
	make_absolute(&o->pidfile, cwd);
	if (o->report && !str_eq(o->report, "line") && !str_eq(o->report, "json"))
		make_absolute(&o->report, cwd);
	if (o->seccomp && !str_eq(o->seccomp, "unconfined"))
		make_absolute(&o->seccomp, cwd);
	if (o->network.kind == NETWORK_NS)
		make_absolute(&o->network.name, cwd);
	make_absolute(&o->hosts_file, cwd);
	return 0;
}

/* What the image says it serves, for -P. What is no port is nothing we could publish. */
static void resolve_expose(struct container *c, const json_t *config)
{
	struct strv *expose = &c->rec.config.o.expose;
	const char *key;
	json_t *value;
	json_t *of_image = json_object_get(config, "ExposedPorts");
	json_object_foreach (of_image, key, value) {
		struct port_opt p;
		if (port_opt_parse_expose(key, &p, NULL) == 0 && !strv_has(expose, key))
			strv_add(expose, key);
	}
}

static void resolve_hostname(struct container *c)
{
	struct record_config *rc = &c->rec.config;
	char name[256] = "";
	if (c->o->uts == NS_PRIVATE) {
		rc->hostname = c->o->hostname ? xstrdup(c->o->hostname) : xstrndup(c->id, 12);
		return;
	}
	if (c->o->uts == NS_PATH)
		rc->hostname = container_ns_hostname(c->o->uts_container);
	if (rc->hostname)
		return;
	autorec struct container_rec other = CONTAINER_REC_INIT;
	if (c->o->uts == NS_CONTAINER && container_store_find(&c->store, c->o->uts_container, &other, NULL) == 0)
		rc->hostname = xstrdup(other.config.hostname);
	else if (gethostname(name, sizeof(name) - 1) == 0)
		rc->hostname = xstrdup(name);
}

int container_resolve(struct container *c, struct err *e)
{
	struct record_config *rc = &c->rec.config;
	json_t *config = NULL;
	memcpy(rc->id, c->id, sizeof(rc->id));
	rc->created = container_now();
	if (c->has_map)
		container_map_to_record(&c->map, &rc->map);
	rc->image = xstrdup(c->o->image ? c->o->image : "");
	if (c->has_image) {
		if (*c->image.image.name) {
			free(rc->image);
			rc->image = xstrdup(c->image.image.name);
		}
		rc->image_id = xstrdup(c->image.image.config_digest);
		rc->image_manifest = xstrdup(c->image.image.manifest_digest);
		strv_add_all(&rc->layers, &c->image.lowers);
	}
	int r = take_from_caller(&rc->o, e);
	if (r == 0)
		r = image_config(c, &config, e);
	if (r < 0)
		return r;
	resolve_hostname(c);
	resolve_labels(c, config);
	resolve_expose(c, config);
	r = resolve_args(c, config, e);
	if (r == 0)
		r = resolve_env(c, config, e);
	if (r == 0)
		r = resolve_process(c, config, e);
	if (r == 0)
		r = resolve_health(c, config, e);
	container_emulate_resolve(c);
	return r < 0 ? r : container_volumes_resolve(c, config, e);
}
