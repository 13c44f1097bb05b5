/* The grammars of logs and health checks. */
#include <errno.h>
#include <strings.h>

#include "rl/base/fmt.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/run_opts.h"
#include "run_opts_int.h"

/* ".999" is put behind it. */
enum { LOG_PATH_NAME_MAX = 250 };

static const char *const log_drivers[] = {
	[LOG_DRIVER_JSON] = "json-file",	  [LOG_DRIVER_K8S] = "k8s-file",      [LOG_DRIVER_NONE] = "none",
	[LOG_DRIVER_PASSTHROUGH] = "passthrough", [LOG_DRIVER_JOURNALD] = "journald",
};

static const char *const restart_policies[] = {
	[RESTART_NO] = "no",
	[RESTART_ON_FAILURE] = "on-failure",
	[RESTART_ALWAYS] = "always",
	[RESTART_UNLESS_STOPPED] = "unless-stopped",
};

static const char *const health_actions[] = {
	[HEALTH_ACTION_NONE] = "none",
	[HEALTH_ACTION_KILL] = "kill",
	[HEALTH_ACTION_RESTART] = "restart",
	[HEALTH_ACTION_STOP] = "stop",
};

const char *run_opts_log_driver_name(enum log_driver d)
{
	return log_drivers[d];
}

const char *run_opts_restart_name(enum restart_policy p)
{
	return restart_policies[p];
}

const char *run_opts_health_action_name(enum health_action a)
{
	return health_actions[a];
}

int run_opts_log_driver(struct run_opts *o, const char *value, struct err *e)
{
	/* podman's word for its own format, and what docker calls the compact one: both mean "a file" */
	if (str_eq(value, "local"))
		value = "json-file";
	for (size_t i = 0; i < ARRAY_SIZE(log_drivers); i++) {
		if (!str_eq(value, log_drivers[i]))
			continue;
		o->log_driver = (enum log_driver)i;
		return 0;
	}
	err_set(e, EINVAL, "--log-driver '%s': there is no such driver", value);
	return err_hint(e, "known: json-file, k8s-file, journald, none, passthrough");
}

int run_opts_log_opt(struct run_opts *o, const char *value, struct err *e)
{
	const char *text;
	uint64_t n;
	int r = 0;
	if ((text = str_after(value, "max-size="))) {
		/* docker's "-1": without end */
		n = 0;
		if (!str_eq(text, "-1"))
			r = fmt_parse_size(text, "--log-opt max-size", &n, e);
		if (r == 0 && n && n < 4096)
			return err_set(e, EINVAL, "--log-opt max-size=%s: 4k is the least", text);
		if (r == 0)
			o->log_max_size = n;
	} else if ((text = str_after(value, "max-file="))) {
		r = str_to_u64(text, 1000, "--log-opt max-file", &n, e);
		if (r == 0 && !n)
			return err_set(e, EINVAL, "--log-opt max-file=0: at least one file is kept");
		if (r == 0)
			o->log_max_file = (unsigned)n;
	} else if ((text = str_after(value, "path="))) {
		n = strlen(path_base(text));
		if (!n || n > LOG_PATH_NAME_MAX)
			return err_set(e, EINVAL,
				       "--log-opt path='%s': a file name of at most %d characters is expected", text,
				       LOG_PATH_NAME_MAX);
	} else if (!str_after(value, "tag=") && !str_after(value, "labels=") && !str_after(value, "env=")) {
		err_set(e, EINVAL, "--log-opt '%s': there is no such option", value);
		return err_hint(e,
				"known: max-size=SIZE, max-file=N, path=FILE, tag=TEXT, labels=NAME,..., env=NAME,...");
	}
	if (r == 0)
		strv_add(&o->log_opts, value);
	return r;
}

static int set_check(char **cmd, const char *what, const char *value, struct err *e)
{
	if (*value == '[') {
		json_t *doc = NULL;
		int r = json_parse(value, strlen(value), what, &doc, e);
		autojson json_t *owned = doc;
		if (r < 0)
			return r;
		size_t i;
		json_t *item;
		json_array_foreach (owned, i, item)
			if (!json_is_string(item))
				return err_set(e, EINVAL, "%s '%s': an array of strings is expected", what, value);
	}
	run_opts_set_str(cmd, value);
	return 0;
}

int run_opts_health_cmd(struct run_opts *o, const char *value, struct err *e)
{
	return set_check(&o->health_cmd, "--health-cmd", value, e);
}

int run_opts_health_startup_cmd(struct run_opts *o, const char *value, struct err *e)
{
	return set_check(&o->health_startup_cmd, "--health-startup-cmd", value, e);
}

static int duration(const char *value, const char *what, int64_t *ret, struct err *e)
{
	uint64_t ns;
	int r = fmt_parse_duration(value, what, &ns, e);
	if (r < 0)
		return r;
	if (ns > INT64_MAX / 2)
		return err_set(e, ERANGE, "%s: '%s' is too long", what, value);
	*ret = (int64_t)ns;
	return 0;
}

int run_opts_health_interval(struct run_opts *o, const char *value, struct err *e)
{
	/* podman: "disable" leaves the check to be run by hand */
	if (str_eq(value, "disable")) {
		o->health_interval = 0;
		return 0;
	}
	return duration(value, "--health-interval", &o->health_interval, e);
}

int run_opts_health_timeout(struct run_opts *o, const char *value, struct err *e)
{
	return duration(value, "--health-timeout", &o->health_timeout, e);
}

int run_opts_health_start_period(struct run_opts *o, const char *value, struct err *e)
{
	return duration(value, "--health-start-period", &o->health_start_period, e);
}

int run_opts_health_start_interval(struct run_opts *o, const char *value, struct err *e)
{
	return duration(value, "--health-start-interval", &o->health_start_interval, e);
}

int run_opts_health_retries(struct run_opts *o, const char *value, struct err *e)
{
	uint64_t n;
	int r = str_to_u64(value, 1000000, "--health-retries", &n, e);
	if (r == 0)
		o->health_retries = (int)n;
	return r;
}

int run_opts_health_startup_interval(struct run_opts *o, const char *value, struct err *e)
{
	return duration(value, "--health-startup-interval", &o->health_startup_interval, e);
}

int run_opts_health_startup_timeout(struct run_opts *o, const char *value, struct err *e)
{
	return duration(value, "--health-startup-timeout", &o->health_startup_timeout, e);
}

static int count(const char *value, const char *what, unsigned *ret, struct err *e)
{
	uint64_t n;
	int r = str_to_u64(value, 1000000, what, &n, e);
	if (r == 0)
		*ret = (unsigned)n;
	return r;
}

int run_opts_health_startup_retries(struct run_opts *o, const char *value, struct err *e)
{
	return count(value, "--health-startup-retries", &o->health_startup_retries, e);
}

int run_opts_health_startup_success(struct run_opts *o, const char *value, struct err *e)
{
	return count(value, "--health-startup-success", &o->health_startup_success, e);
}

int run_opts_sdnotify(struct run_opts *o, const char *value, struct err *e)
{
	static const char *const words[] = {
		[SDNOTIFY_SERVICE] = "conmon",
		[SDNOTIFY_CONTAINER] = "container",
		[SDNOTIFY_HEALTHY] = "healthy",
		[SDNOTIFY_IGNORE] = "ignore",
	};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!str_eq(value, words[i]))
			continue;
		o->sdnotify = (enum sdnotify)i;
		return 0;
	}
	return err_set(e, EINVAL, "--sdnotify '%s': conmon, container, healthy or ignore is expected", value);
}

int run_opts_health_on_failure(struct run_opts *o, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(health_actions); i++) {
		if (!str_eq(value, health_actions[i]))
			continue;
		o->health_on_failure = (enum health_action)i;
		return 0;
	}
	return err_set(e, EINVAL, "--health-on-failure '%s': none, kill, restart or stop is expected", value);
}

int run_opts_report(struct run_opts *o, const char *value, struct err *e)
{
	/* A mistyped word must not become a file. */
	if (!str_eq(value, "line") && !str_eq(value, "json") && !strchr(value, '/') && !strchr(value, '.'))
		return err_set(e, EINVAL,
			       "--report '%s': line, json or the name of a file (with a '/' or a '.') is expected",
			       value);
	run_opts_set_str(&o->report, value);
	return 0;
}
